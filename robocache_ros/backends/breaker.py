# Copyright 2026 the robocache_ros authors
# SPDX-License-Identifier: Apache-2.0
"""When to try again what has just failed: after a pause that doubles."""

from __future__ import annotations

import math
from collections.abc import Callable

FIRST_PAUSE_SEC = 1.0
LONGEST_PAUSE_SEC = 60.0


class Breaker:
    """
    Open for a pause after each failure; a success closes it.

    Failures in quick succession double the pause even when there are successes between them, so
    that what fails every other time is not tried every second.
    """

    def __init__(self, clock: Callable[[], float]) -> None:
        """Start closed; `clock` gives seconds and never goes back."""
        self._clock = clock
        self._pause_sec = 0.0
        self._until_sec = -math.inf
        self.cause = ''  # of the last failure; '' once a success has closed it

    @property
    def wait_sec(self) -> float:
        """Seconds until the next try; 0 when it may be now."""
        return max(0.0, self._until_sec - self._clock())

    def failed(self, cause: str) -> None:
        """Pause: 1 s, or twice the last pause if that ended less than a minute ago."""
        now_sec = self._clock()
        again = now_sec - self._until_sec < LONGEST_PAUSE_SEC
        self._pause_sec = self._pause_sec * 2 if again else FIRST_PAUSE_SEC
        self._pause_sec = min(self._pause_sec, LONGEST_PAUSE_SEC)
        self._until_sec = now_sec + self._pause_sec
        self.cause = cause

    def succeeded(self) -> None:
        """Close."""
        self.cause = ''
