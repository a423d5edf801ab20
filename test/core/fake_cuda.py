# Copyright 2026 the robocache_ros authors
# SPDX-License-Identifier: Apache-2.0
"""A CUDA backend that computes on NumPy and fails when told, and a clock that stands still."""

from __future__ import annotations

import threading

from robocache_ros.backends.cuda.device import DeviceHung
from robocache_ros.backends.numpy_backend import NumpyBackend

DEADLINE_SEC = 10


class Clock:
    """Seconds that pass when the test says so."""

    def __init__(self):
        self.now_sec = 1000.0

    def __call__(self):
        return self.now_sec


class FakeCuda:
    """Raises `error` at every call while it has one; tells what was called."""

    def __init__(self, error=None):
        self.error = error
        self.calls = []
        self.closed = False
        self.hung = False
        self._numpy = NumpyBackend()

    def __getattr__(self, name):
        operation = getattr(self._numpy, name)

        def call(*args, **kwargs):
            self.calls.append(name)
            assert not self.closed
            assert not self.hung
            if self.error is not None:
                self.hung = isinstance(self.error, DeviceHung)
                raise self.error
            return operation(*args, **kwargs)

        return call

    def close(self):
        assert not self.hung
        self.closed = True


class Opener:
    """Opens to `cuda`, or raises `error`; waits for `gate` if that is closed."""

    def __init__(self, cuda=None, error=None):
        self.cuda = cuda or FakeCuda()
        self.error = error
        self.times = 0
        self.gate = threading.Event()
        self.gate.set()
        self.entered = threading.Event()

    def __call__(self):
        self.times += 1
        self.entered.set()
        assert self.gate.wait(DEADLINE_SEC)
        if self.error is not None:
            raise self.error
        return self.cuda
