# Copyright 2026 the robocache_ros authors
# SPDX-License-Identifier: Apache-2.0
"""What has changed from one look at the node to the next."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Collection, Mapping

_WINDOW_TICKS = 5
_TELLINGS = 3  # how often the log says the same; /diagnostics says it always
_MINUTE_NS = 60_000_000_000


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
        self.see(now_ns, counts)

    def see(self, now_ns: int, counts: Mapping[str, int]) -> None:
        """See how the counts have grown by now, between two ticks."""
        first_ns, first = self._ticks[0]
        self.window_sec = (now_ns - first_ns) * 1e-9
        self.recent = Counter({key: n - first.get(key, 0) for key, n in counts.items()})

    def rate_hz(self, key: str) -> float:
        """Growth per second."""
        return self.recent[key] / self.window_sec if self.window_sec > 0 else 0.0


class News:
    """Decides what of the problems of one part, which come and go, is worth a line in the log."""

    def __init__(self, patience: int = 2) -> None:
        """Tell a problem that is there at `patience` looks in a row."""
        self._patience = patience
        self._looks: dict[str, int] = {}
        self._told: set[str] = set()
        self._tellings: Counter[str] = Counter()

    def of(self, kinds: Collection[str], told: Collection[str] = ()) -> list[str]:
        """
        Return which of the kinds of problems that there are now are to be told now.

        Each once, and again after it was gone, but not for ever. `told`: kinds that were told
        elsewhere when they first came.
        """
        self._looks = {kind: self._looks.get(kind, 0) + 1 for kind in kinds}
        new = [
            kind
            for kind, looks in self._looks.items()
            if looks == self._patience and self._tellings[kind] < _TELLINGS
        ]
        self._tellings.update(new)
        new = [kind for kind in new if kind not in told or self._tellings[kind] > 1]
        self._told.update(new)
        return new

    def is_recovery(self, well: bool) -> bool:
        """Whether to tell that all is well: once, after a problem was told."""
        recovered = well and bool(self._told)
        if recovered:
            self._told.clear()
        return recovered


class LineBudget:
    """No more lines in any minute than people read."""

    def __init__(self, lines: int) -> None:
        self._said_ns: deque[int] = deque(maxlen=lines)

    def allows(self, now_ns: int) -> bool:
        """Whether one more line is due, which then counts."""
        if self.is_spent(now_ns):
            return False
        self.spend(now_ns)
        return True

    def is_spent(self, now_ns: int) -> bool:
        """Whether no more line is due."""
        full = len(self._said_ns) == self._said_ns.maxlen
        return full and now_ns - self._said_ns[0] < _MINUTE_NS

    def spend(self, now_ns: int) -> None:
        """Count a line."""
        self._said_ns.append(now_ns)
