# Copyright 2026 the robocache_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The one thread that computes: waits until a frame is ready, computes it, hands it on."""

from __future__ import annotations

import logging
import threading
import time
import traceback
from collections import deque
from collections.abc import Callable, Iterator
from typing import Protocol

import numpy as np

from robocache_ros.ros.latency import Passage
from robocache_ros.samples import Frame, VoxelFrame

_log = logging.getLogger(__name__)

# Frames whose timing is kept per output: 25 s at 10 Hz, so that a p99 means something.
_PASSAGES_KEPT = 256
# After an error in a computation: long enough that a pipeline which fails for ever costs little,
# short enough that the next frame of a 10 Hz trigger is not late.
_PAUSE_AFTER_ERROR_SEC = 0.02


class Advances(Protocol):
    """What the worker needs of a pipeline."""

    def advance(self, now_ns: int) -> Iterator[Frame]:
        """Compute what is ready."""

    def next_deadline_ns(self) -> int | None:
        """Say when to call advance although nothing arrives; None while no frame waits."""


class OutputStats:
    """What has become of one output; written by the worker, read by diagnostics."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._passages: deque[Passage] = deque(maxlen=_PASSAGES_KEPT)
        self.messages = 0
        self.partial = 0

    def add(self, frame: Frame, computed_ns: int, encoded_ns: int, sent_ns: int) -> None:
        """Count a frame that was computed, encoded and sent by these times."""
        with self._lock:
            self.messages += 1
            self.partial += not frame.complete
            times = (frame.arrival_ns, frame.ready_ns, computed_ns, encoded_ns, sent_ns)
            self._passages.append(Passage(frame.t_ref_ns, *times))

    def passages(self) -> list[Passage]:
        """Return how the last frames went through."""
        with self._lock:
            return list(self._passages)


class Worker:
    """
    Drives a pipeline from a thread of its own, and publishes what comes out of it.

    Callbacks call `wake` after a push. An error in a computation costs its frame, never the
    thread: it is counted and told to `on_error`, and the next frame is computed.
    """

    def __init__(
        self,
        pipeline: Advances,
        publish: Callable[[Frame], int],
        on_error: Callable[[str, str], None],
        name: str = 'worker',
    ) -> None:
        """
        Prepare; nothing runs before `start`.

        Args:
            pipeline: what is advanced.
            publish: takes each frame, in the worker's thread; returns when (monotonic) it was
                encoded, which is before it was sent.
            on_error: takes one line and a traceback, in the worker's thread.
            name: of the thread.
        """
        self._pipeline = pipeline
        self._publish = publish
        self._on_error = on_error
        self._name = name
        self._condition = threading.Condition()
        self._woken = False
        self._stopping = False
        self._given_up = False  # what is still computed after the last stop
        self._thread: threading.Thread | None = None
        self.outputs = {'voxels': OutputStats(), 'features': OutputStats()}
        self.errors = 0
        self.last_error = ''

    @property
    def running(self) -> bool:
        """Whether frames are being computed."""
        return self.alive and not self._stopping

    @property
    def alive(self) -> bool:
        """Whether the thread is there, even if it was told to stop."""
        return self._thread is not None and self._thread.is_alive()

    def start(self) -> None:
        """Begin to compute; RuntimeError if the thread of the last run has not ended."""
        if self.alive:
            raise RuntimeError('the computation before the last stop has not ended yet')
        self._stopping = self._given_up = False
        self._woken = True  # what became ready before the start is computed at once
        # A daemon: a computation that hangs must not keep the process from ending.
        self._thread = threading.Thread(target=self._run, name=self._name, daemon=True)
        self._thread.start()

    def wake(self) -> None:
        """
        Say that something has arrived. From any thread, and cheap: an IMU does it 400 times a
        second, and mostly no frame waits for it.
        """
        if self._pipeline.next_deadline_ns() is None:
            return
        with self._condition:
            self._woken = True
            self._condition.notify()

    def stop(self, timeout_sec: float = 1.0) -> bool:
        """End after the frame in hand; False if that takes longer than `timeout_sec`."""
        with self._condition:
            self._stopping = True
            self._condition.notify()
        if self._thread is not None:
            self._thread.join(timeout_sec)
        self._given_up = self.alive
        return not self._given_up

    def _run(self) -> None:
        if flushes_denormals():
            _log.warning(
                'This process rounds denormal numbers to zero (a library built with -ffast-math '
                'does that): results may differ in their last bits from those of other machines.'
            )
        while not self._stopping:
            try:
                self._wait()
                self._advance()
            # Whatever it is, it is a bug of this package, and the robot needs the next frame.
            except Exception as error:
                self._failed(error)

    def _wait(self) -> None:
        """Sleep until something arrives, or the pipeline's next deadline, or the end."""
        deadline_ns = self._pipeline.next_deadline_ns()
        with self._condition:
            if not (self._woken or self._stopping):
                self._condition.wait(_seconds_until(deadline_ns))
            self._woken = False

    def _advance(self) -> None:
        while not self._stopping:
            # One frame at a time: what waits, and for how long, is judged by the clock of now.
            frame = next(self._pipeline.advance(time.monotonic_ns()), None)
            if frame is None or self._given_up:
                return
            computed_ns = time.monotonic_ns()
            encoded_ns = self._publish(frame)
            kind = 'voxels' if isinstance(frame, VoxelFrame) else 'features'
            self.outputs[kind].add(frame, computed_ns, encoded_ns, time.monotonic_ns())

    def _failed(self, error: Exception) -> None:
        if self._stopping:  # publishers vanish below us when the context is shut down
            return
        self.errors += 1
        self.last_error = f'{type(error).__name__}: {error}'
        self._on_error(self.last_error, traceback.format_exc())
        with self._condition:
            self._condition.wait_for(lambda: self._stopping, _PAUSE_AFTER_ERROR_SEC)


def _seconds_until(deadline_ns: int | None) -> float | None:
    return None if deadline_ns is None else max(0.0, (deadline_ns - time.monotonic_ns()) * 1e-9)


def flushes_denormals() -> bool:
    """
    Whether this thread rounds denormals to zero, which would change the bits of the results.

    A library built with -ffast-math switches that on for the thread that loads it and for those
    which it starts.
    """
    return bool(np.float32(1e-45) * np.float32(1) == 0)
