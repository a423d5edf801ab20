# Copyright 2026 the robocache_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Frames for consumers in the same process: by reference, nothing encoded or copied."""

from __future__ import annotations

import threading
import time
import traceback
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import fields, replace
from types import MappingProxyType
from typing import Any

import numpy as np

from robocache_ros.grid import SparseVoxels
from robocache_ros.samples import FeatureFrame, Frame, VoxelFrame
from robocache_ros.schema import Schema

OnFrame = Callable[[Frame, Schema], object]

# For callbacks that are at work when they are closed, all of them together.
_CLOSING_SEC = 0.5
_ERRORS_LOGGED = 5  # different ones; `errors` counts all of them


class FrameSubscription:
    """
    One consumer: its callback runs in a thread of its own, so that it holds nobody up.

    A callback that is too slow gets the newest frames, `dropped` counts the others. One that
    raises is told to the log, counted in `errors`, and called with the next frame.
    """

    def __init__(
        self,
        callback: OnFrame,
        depth: int,
        log_error: Callable[[str], None],
        forget: Callable[[FrameSubscription], None],
        name: str,
    ) -> None:
        """
        Start to wait for frames.

        Args:
            callback: takes each frame, and the schema that it was made with.
            depth: frames that wait for the callback at most.
            log_error: takes a sentence, in the thread of the callback.
            forget: called when this is closed.
            name: of the thread.
        """
        if depth < 1:
            raise ValueError(f'depth must be at least 1, got {depth}')
        self.dropped = 0
        self.errors = 0
        self._callback = callback
        self._log_error = log_error
        self._forget = forget
        self._logged: set[str] = set()
        self._condition = threading.Condition()
        self._waiting: deque[tuple[Frame, Schema]] = deque(maxlen=depth)
        self._closed = False
        # A daemon: a callback that hangs must not keep the process from ending.
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self._thread.start()

    def __enter__(self) -> FrameSubscription:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """End it, from any thread; the callback is not called again, unless it hangs."""
        self._forget(self)
        self.end()
        self.join(_CLOSING_SEC)

    @property
    def closed(self) -> bool:
        """Whether it was closed, or its node destroyed: no more frames will come."""
        return self._closed

    def end(self) -> None:
        """Let its thread end, without waiting for it."""
        with self._condition:
            self._closed = True
            self._waiting.clear()
            self._condition.notify()

    def join(self, timeout_sec: float) -> None:
        """Wait until its thread has ended, unless that is the one that asks."""
        if self._thread is not threading.current_thread():
            self._thread.join(timeout_sec)

    def offer(self, frame: Frame, schema: Schema) -> None:
        """Leave a frame for the callback; costs the caller microseconds."""
        with self._condition:
            self.dropped += len(self._waiting) == self._waiting.maxlen
            self._waiting.append((frame, schema))
            self._condition.notify()

    def _run(self) -> None:
        while True:
            with self._condition:
                self._condition.wait_for(lambda: self._waiting or self._closed)
                if self._closed:
                    return
                frame, schema = self._waiting.popleft()
            try:
                self._callback(frame, schema)
            except Exception as error:
                self._failed(error)

    def _failed(self, error: Exception) -> None:
        self.errors += 1
        said = f'{type(error).__name__}: {error}'
        if said not in self._logged and len(self._logged) < _ERRORS_LOGGED:
            self._logged.add(said)
            self._log_error(
                f'A callback of subscribe_frames failed; it gets the next frame all the same. '
                f'{traceback.format_exc()}'
            )


class FrameSubscriptions:
    """All consumers of one node; they stay when it is configured anew."""

    def __init__(self, name: str, log_error: Callable[[str], None]) -> None:
        self._name = name
        self._log_error = log_error
        self._all: tuple[FrameSubscription, ...] = ()  # replaced, never changed: read unlocked
        self._closed = False
        self._lock = threading.Lock()

    def add(self, callback: OnFrame, depth: int) -> FrameSubscription:
        """Begin to give frames to a callback; RuntimeError once they are closed."""
        with self._lock:
            if self._closed:
                raise RuntimeError('the node was destroyed, no more frames will come of it')
            one = FrameSubscription(callback, depth, self._log_error, self._forget, self._name)
            self._all = (*self._all, one)
        return one

    def offer(self, frame: Frame, schema: Schema) -> None:
        """Leave a frame for all of them; in the thread of the worker."""
        if not self._all:
            return
        frame = read_only(frame)
        for each in self._all:
            each.offer(frame, schema)

    def close(self) -> None:
        """End all of them, for good."""
        with self._lock:
            self._closed = True
            ended, self._all = self._all, ()
        for each in ended:
            each.end()
        deadline = time.monotonic() + _CLOSING_SEC
        for each in ended:
            each.join(max(0.0, deadline - time.monotonic()))

    def _forget(self, one: FrameSubscription) -> None:
        with self._lock:
            self._all = tuple(each for each in self._all if each is not one)


def read_only(value: Any) -> Any:
    """Return a frame, or part of one, with arrays of the same memory that can not be written."""
    if isinstance(value, np.ndarray):
        view = value.view()
        view.flags.writeable = False
        return view
    if isinstance(value, Mapping):
        return MappingProxyType({name: read_only(each) for name, each in value.items()})
    if isinstance(value, (VoxelFrame, FeatureFrame, SparseVoxels)):
        parts = {each.name: read_only(getattr(value, each.name)) for each in fields(value)}
        return replace(value, **parts)
    return value
