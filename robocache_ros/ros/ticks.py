# Copyright 2026 the robocache_ros authors
# SPDX-License-Identifier: Apache-2.0
"""What has changed from one look at the node to the next."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Mapping

_WINDOW_TICKS = 5
_TELLINGS = 3  # how often the log says that a source is missing; /diagnostics says it always


class Growth:
    """Counts of the last few ticks, to tell what happens now from what has ever happened."""

    def __init__(self, since_ns: int) -> None:
        """Begin with all counts 0 at `since_ns`."""
        self._ticks: deque[tuple[int, Mapping[str, int]]] = deque(
            [(since_ns, {})], maxlen=_WINDOW_TICKS + 1
        )
        self.window_sec = 0.0
        self.recent: Counter[str] = Counter()

    def add(self, now_ns: int, counts: Mapping[str, int]) -> None:
        """Note the counts as of now, and how they have grown within the window."""
        self._ticks.append((now_ns, counts))
        first_ns, first = self._ticks[0]
        self.window_sec = (now_ns - first_ns) * 1e-9
        self.recent = Counter({key: n - first.get(key, 0) for key, n in counts.items()})

    def rate_hz(self, key: str) -> float:
        """Growth per second."""
        return self.recent[key] / self.window_sec if self.window_sec > 0 else 0.0


class Missing:
    """Decides what of a source that comes and goes is worth a line in the log."""

    def __init__(self) -> None:
        self._ticks = 0
        self._told = False
        self._tellings = 0

    def is_news(self, missing: bool, delivers: bool) -> bool:
        """Whether to log: gone for the second tick in a row, or back after that was told."""
        self._ticks = self._ticks + 1 if missing else 0
        if not self._told and self._ticks == 2 and self._tellings < _TELLINGS:
            self._told = True
            self._tellings += 1
            return True
        if self._told and delivers and not missing:
            self._told = False
            return True
        return False
