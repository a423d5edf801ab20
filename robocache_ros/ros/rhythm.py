# Copyright 2026 the robocache_ros authors
# SPDX-License-Identifier: Apache-2.0
"""When the messages of one source came, and what their stamps say of that."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from itertools import chain

import numpy as np

from robocache_ros.ros.latency import Timing
from robocache_ros.samples import IntArray

_WINDOW_NS = 5_000_000_000
_MOST_KEPT = 2048  # a second of what is fast
_FEWEST_STEPS = 4  # before which there is no usual one
_GAP_PERIODS = 1.5  # a step this long lacks a message
_BACKWARDS_NS = 1_000_000_000  # not a message out of order, but another time


@dataclass(frozen=True)
class Beat:
    """What the messages of the last seconds amount to; None where they are too few."""

    gaps: int = 0  # since the node was configured
    longest_gap_ms: float = 0.0  # likewise
    stamp_jitter_ms: float | None = None
    arrival_jitter_ms: float | None = None
    least_lag_ns: int | None = None  # from stamp to arrival, on two clocks
    lag: Timing | None = None  # the same
    decode: Timing | None = None

    def values(self) -> dict[str, str]:
        """Return what diagnostics show of it."""
        found = {'gaps': str(self.gaps), 'longest_gap_ms': f'{self.longest_gap_ms:.1f}'}
        if self.stamp_jitter_ms is not None:
            found['jitter_ms'] = f'{self.stamp_jitter_ms:.2f}'
        if self.arrival_jitter_ms is not None:
            found['arrival_jitter_ms'] = f'{self.arrival_jitter_ms:.2f}'
        return found | (self.decode.values('decode') if self.decode else {})


class Rhythm:
    """
    Remembers when messages came, and of which time they were.

    `note` is called for every message and does next to nothing; the rest is left to `look`.
    """

    def __init__(self) -> None:
        self._heard: deque[tuple[int, int, int]] = deque(maxlen=_MOST_KEPT)
        self._seen_ns = 0  # arrival of the last message that `look` has seen
        self._newest_ns: int | None = None
        self._gaps = 0
        self._longest_ns = 0

    def note(self, arrival_ns: int, t_ns: int, decode_ns: int) -> None:
        """Note a message that took so long to become a sample of that time."""
        self._heard.append((arrival_ns, t_ns, decode_ns))

    def decoding_ns(self) -> dict[int, int]:
        """Return how long the last messages took to become samples, by their arrival."""
        return {arrival_ns: decode_ns for arrival_ns, _, decode_ns in self._heard}

    def look(self, now_ns: int) -> Beat:
        """Sum up the messages of the last seconds, and count the gaps since the last look."""
        heard = np.fromiter(chain.from_iterable(self._heard), np.int64).reshape(-1, 3)
        begin = int(heard[:, 0].searchsorted(now_ns - _WINDOW_NS))
        if begin == len(heard):
            return Beat(self._gaps, self._longest_ns * 1e-6)
        arrivals, times, decoding = heard[begin:].T
        steps = np.diff(times)
        steps = steps[steps > 0]
        if len(steps) >= _FEWEST_STEPS:
            new = int(arrivals.searchsorted(self._seen_ns, side='right'))
            self._count_gaps(times[new:].tolist(), float(np.median(steps)))
            self._seen_ns = int(arrivals[-1])
        lags = arrivals - times
        return Beat(
            gaps=self._gaps,
            longest_gap_ms=self._longest_ns * 1e-6,
            stamp_jitter_ms=_jitter_ms(steps),
            arrival_jitter_ms=_jitter_ms(np.diff(arrivals)),
            least_lag_ns=int(lags.min()),
            lag=Timing.of(lags),
            decode=Timing.of(decoding),
        )

    def _count_gaps(self, times_ns: list[int], period_ns: float) -> None:
        for t_ns in times_ns:
            step_ns = 0 if self._newest_ns is None else t_ns - self._newest_ns
            if step_ns > _GAP_PERIODS * period_ns:
                self._gaps += 1
                self._longest_ns = max(self._longest_ns, step_ns)
            if self._newest_ns is None or step_ns > 0 or step_ns < -_BACKWARDS_NS:
                self._newest_ns = t_ns


def _jitter_ms(steps: IntArray) -> float | None:
    """How far steps are from the usual one, but for the worst twentieth of them."""
    if len(steps) < _FEWEST_STEPS:
        return None
    found = Timing.of(np.abs(steps - int(np.median(steps))))
    return None if found is None else found.p95_ms
