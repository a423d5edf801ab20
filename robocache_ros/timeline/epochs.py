# Copyright 2026 the robocache_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Clock jumps: is a stamp out of line a glitch, a gap, or the start of a new time?"""

from __future__ import annotations

from typing import NamedTuple


class Arrival(NamedTuple):
    """One sample on its way into a ring buffer."""

    arrival_ns: int  # monotonic
    t_ns: int  # sample time
    row: tuple[object, ...]  # what the ring buffer stores beside the time


class Judgement(NamedTuple):
    """What became of the sample just judged, and of the one that was held back before it."""

    accepted: tuple[Arrival, ...]
    unconfirmed: tuple[Arrival, ...]
    went_back: bool  # the accepted samples begin a new epoch of this source


class JumpGate:
    """
    Judges the stamps of one source against that source's own newest, and nothing else.

    A sample further than `jump_ns` from the newest is held back. If the next one is out of line
    to the same side, the two confirm each other; otherwise the held one was a glitch. A step
    forward that the arrival clock saw as well is a gap in the data, and needs no confirmation.
    """

    def __init__(self, jump_ns: int) -> None:
        self._jump_ns = jump_ns
        self._newest: Arrival | None = None
        self._held: Arrival | None = None

    @property
    def newest_ns(self) -> int | None:
        """Newest time this source has been seen at, in its current epoch."""
        return None if self._newest is None else self._newest.t_ns

    @property
    def held(self) -> int:
        """How many samples wait for confirmation: 0 or 1."""
        return 0 if self._held is None else 1

    def judge(self, sample: Arrival) -> Judgement:
        """Sort `sample` in: accepted, held back, or the confirmation of the one held."""
        held, self._held = self._held, None
        unconfirmed = () if held is None else (held,)
        side = self._side(sample)
        if side == 0:
            self._follow(sample)
            return Judgement((sample,), unconfirmed, went_back=False)
        if held is None or self._side(held) != side or sample.t_ns < held.t_ns - self._jump_ns:
            self._held = sample
            return Judgement((), unconfirmed, went_back=False)
        if side < 0:
            self._newest = None
        self._follow(held)
        self._follow(sample)
        return Judgement((held, sample), (), went_back=side < 0)

    def restart(self, sample: Arrival) -> Judgement:
        """Take `sample` as the first of a new epoch that something else has confirmed."""
        held, self._held = self._held, None
        self._newest = sample
        return Judgement((sample,), () if held is None else (held,), went_back=True)

    def _side(self, sample: Arrival) -> int:
        """-1: jumps back, +1: jumps forward, 0: in line with the newest."""
        if self._newest is None:
            return 0
        step_ns = sample.t_ns - self._newest.t_ns
        if abs(step_ns) <= self._jump_ns:
            return 0
        if step_ns < 0:
            return -1
        elapsed_ns = sample.arrival_ns - self._newest.arrival_ns
        return 0 if abs(step_ns - elapsed_ns) <= self._jump_ns else 1

    def _follow(self, sample: Arrival) -> None:
        if self._newest is None or sample.t_ns >= self._newest.t_ns:
            self._newest = sample
