# Copyright 2026 the robocache_ros authors
# SPDX-License-Identifier: Apache-2.0
"""A network that does what a test tells it to, and a listener that waits for its results."""

from __future__ import annotations

import threading
from types import SimpleNamespace

import numpy as np

from robocache_ros.config import EncoderConfig, ImageSource
from robocache_ros.reasons import Reason

DEADLINE_SEC = 20.0
WIDTH = 2


def source(**encoder):
    return ImageSource('camera', encoder=EncoderConfig(**{'path': 'x', 'width': WIDTH, **encoder}))


def picture(value, error=None):
    """Return a picture that is its own image: `value` tells them apart."""

    def unpacked(keep=True):
        if error is not None:
            raise error
        return value

    return SimpleNamespace(unpacked=unpacked)


def good(value):
    return np.array([value, 0.5], np.float32)


class Network:
    """Calls `behave(image)`, which is `good` until a test sets it."""

    identity, digest, device = 'fake 1.0', '0' * 64, 'cpu'

    def __init__(self):
        self.behave = good
        self.seen = []

    def encode(self, image):
        self.seen.append(image)
        return self.behave(image)


class Gate:
    """A network that stops in its calls until it is let go; `entered` counts them."""

    def __init__(self):
        self.entered = threading.Semaphore(0)
        self.open = threading.Event()

    def __call__(self, image):
        self.entered.release()
        assert self.open.wait(DEADLINE_SEC)
        return good(image)

    def wait_entered(self, calls=1):
        for _ in range(calls):
            assert self.entered.acquire(timeout=DEADLINE_SEC), 'no call of the network'


class Clock:
    """Stands still, or goes on by `step` whenever somebody looks."""

    def __init__(self):
        self.now, self.step = 100.0, 0.0

    def __call__(self):
        self.now += self.step
        return self.now


class Listener:
    """Keeps what each image got, in order; `expect` makes the `done` of one."""

    def __init__(self):
        self.results = []
        self._changed = threading.Condition()

    def expect(self, name):
        def done(result):
            value = result if isinstance(result, Reason) else float(result[0])
            with self._changed:
                self.results.append((name, value))
                self._changed.notify_all()

        return done

    def wait(self, count):
        with self._changed:
            arrived = self._changed.wait_for(lambda: len(self.results) >= count, DEADLINE_SEC)
        assert arrived, self.results
        return self.results
