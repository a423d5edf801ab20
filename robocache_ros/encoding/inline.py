# Copyright 2026 the robocache_ros authors
# SPDX-License-Identifier: Apache-2.0
"""An encoder that computes at once: what comes out depends on nothing but the image."""

from __future__ import annotations

import time
from collections.abc import Callable

from robocache_ros.config import ImageSource
from robocache_ros.encoding.attempt import MODEL_FAULTS, Attempt, Network, Picture, attempt
from robocache_ros.encoding.status import Account, EncoderStatus
from robocache_ros.reasons import Reason
from robocache_ros.samples import FloatArray


class InlineEncoder:
    """For a replay and a data loader, which wait; of one thread. It drops no image."""

    def __init__(self, source: ImageSource, network: Network) -> None:
        """Encode the images of `source`."""
        self._network = network
        self._width = source.encoder.width
        self._account = Account()
        self._last = Attempt(Reason.ENCODER_OFF, '')

    @property
    def identity(self) -> str:
        """What computes, and where."""
        return self._network.identity

    @property
    def digest(self) -> str:
        """SHA-256 of the file of the network."""
        return self._network.digest

    def submit(self, picture: Picture, done: Callable[[FloatArray | Reason], None]) -> None:
        """Encode a picture and call `done` with the encoding, float32 [width], or a reason."""
        start_sec = time.perf_counter()
        self._last = attempt(self._network, picture, self._width)
        self._account.tried(self._last, time.perf_counter() - start_sec)
        done(self._last.result)

    def status(self) -> EncoderStatus:
        """Return how it went so far."""
        failing = self._last.reason in MODEL_FAULTS
        return self._account.status(
            'failing' if failing else 'ok',
            self._last.text if failing else '',
            self._network.device,
        )

    def stop(self) -> None:
        """Do nothing: nothing is under way."""

    def close(self, wait_sec: float = 0.0) -> None:
        """Do nothing: there is nothing to end."""
