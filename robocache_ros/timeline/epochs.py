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

    A sample further than `jump_ns` from the newest is held back. If the next one follows it
    rather than the newest, the two confirm each other; otherwise the held one was a glitch. A
    step forward that the arrival clock saw as well is a gap in the data, and needs no
    confirmation.
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
        newest = self._newest
        if newest is not None and held is not None and self._confirms(newest, held, sample):
            went_back = held.t_ns < newest.t_ns
            self._newest = _later(held, sample) if went_back else _later(newest, held, sample)
            return Judgement((held, sample), (), went_back)
        unconfirmed = () if held is None else (held,)
        if newest is not None and not self._in_line(newest, sample):
            self._held = sample
            return Judgement((), unconfirmed, went_back=False)
        self._newest = _later(sample) if newest is None else _later(newest, sample)
        return Judgement((sample,), unconfirmed, went_back=False)

    def restart(self, sample: Arrival) -> Judgement:
        """Take `sample` as the first of a new epoch that something else has confirmed."""
        held, self._held = self._held, None
        self._newest = _later(sample)
        if held is not None and abs(sample.t_ns - held.t_ns) <= self._jump_ns:
            self._newest = _later(held, sample)
            return Judgement((held, sample), (), went_back=True)
        return Judgement((sample,), () if held is None else (held,), went_back=True)

    def _confirms(self, newest: Arrival, held: Arrival, sample: Arrival) -> bool:
        """Whether `sample` goes on from where the held one jumped to."""
        if held.t_ns > newest.t_ns:  # forward: a slow source that is replayed fast jumps each time
            in_line = self._in_line(newest, sample)
            return not in_line and sample.t_ns >= max(newest.t_ns, held.t_ns - self._jump_ns)
        nearer = abs(sample.t_ns - held.t_ns) < abs(sample.t_ns - newest.t_ns)
        return nearer and self._in_line(held, sample)

    def _in_line(self, before: Arrival, sample: Arrival) -> bool:
        """Whether `sample` may follow `before` without a jump."""
        step_ns = sample.t_ns - before.t_ns
        if abs(step_ns) <= self._jump_ns:
            return True
        elapsed_ns = sample.arrival_ns - before.arrival_ns
        return step_ns > 0 and abs(step_ns - elapsed_ns) <= self._jump_ns


def _later(*samples: Arrival) -> Arrival:
    """Return when the latest came, without what it carries: that may be a large message."""
    return max(reversed(samples), key=lambda sample: sample.t_ns)._replace(row=())
