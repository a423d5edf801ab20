# Copyright 2026 the robocache_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Encoders: networks of the user that turn images into features; see docs/encoders.md."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from typing import Protocol

from robocache_ros.config import Config, ImageSource
from robocache_ros.config.parameters import Problems
from robocache_ros.encoding.attempt import Picture
from robocache_ros.encoding.inline import InlineEncoder
from robocache_ros.encoding.model import Model
from robocache_ros.encoding.pool import CLOSE_SEC, EncoderPool
from robocache_ros.encoding.status import EncoderStatus
from robocache_ros.reasons import Reason
from robocache_ros.samples import FloatArray

__all__ = [
    'EncoderPool', 'EncoderStatus', 'Encodes', 'InlineEncoder', 'close_encoders', 'open_encoders',
]  # fmt: skip


class Encodes(Protocol):
    """What encodes the images of a source."""

    @property
    def identity(self) -> str:
        """What computes, and where: other numbers come out of another one."""
        ...

    @property
    def digest(self) -> str:
        """SHA-256 of the file of the network."""
        ...

    def submit(self, picture: Picture, done: Callable[[FloatArray | Reason], None]) -> None:
        """Have a picture encoded; `done` is called once, from any thread, maybe at once."""
        ...

    def status(self) -> EncoderStatus:
        """Return how it goes."""
        ...

    def stop(self) -> None:
        """Begin to end: what is under way is refused; returns at once."""
        ...

    def close(self, wait_sec: float = CLOSE_SEC) -> None:
        """Stop, and wait for what ends within `wait_sec`."""
        ...


def open_encoders(
    config: Config, live: bool, on_done: Callable[[], None] = lambda: None
) -> dict[str, Encodes]:
    """
    Load the networks of all sources and try each once; ConfigError with all that is wrong.

    live: threads encode beside the pipeline, and images may be dropped. Otherwise each image is
        encoded where it is submitted, and none is dropped.
    on_done: called after results that come by themselves, from another thread.
    """
    problems = Problems()
    encoders: dict[str, Encodes] = {}
    for source in config.sources:
        if isinstance(source, ImageSource) and source.encoder.path:
            with problems.collected():
                model = Model.open(source)
                encoders[source.name] = (
                    EncoderPool(source, model, on_done) if live else InlineEncoder(source, model)
                )
    problems.refuse()
    return encoders


def close_encoders(encoders: Iterable[Encodes]) -> None:
    """End all of them, within a second: those that hang are waited for together."""
    closing = tuple(encoders)
    for encoder in closing:
        encoder.stop()
    end_sec = time.monotonic() + CLOSE_SEC
    for encoder in closing:
        encoder.close(max(0.0, end_sec - time.monotonic()))
