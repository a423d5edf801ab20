# Copyright 2026 the robocache_ros authors
# SPDX-License-Identifier: Apache-2.0
"""When is a frame ready? One queue for each half of a frame: voxels and features."""

from __future__ import annotations

import sys
from bisect import insort
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from robocache_ros.config import Config
from robocache_ros.reasons import Reason
from robocache_ros.timeline.timeline import Timeline
from robocache_ros.timeline.track import Track
from robocache_ros.timeline.trigger import Pending


class Ready(NamedTuple):
    """A frame to compute now; complete if everything it waits for had arrived."""

    t_ref_ns: int
    arrival_ns: int
    complete: bool


@dataclass(frozen=True)
class OutputStatus:
    """The account of one output: frames sent, and frames not sent by reason."""

    emitted: int
    partial: int
    dropped: Mapping[Reason, int]
    notes: Mapping[Reason, int]  # values left out of the frames that were sent
    points: int  # points of all clouds that went into frames so far
    points_used: int  # those of them that lay in the grid
    painted: int  # frames that images have painted
    unseen: Mapping[str, int]  # point field -> points in the grid that no camera gave it
    frame_id: str  # of the newest frame, sent or not
    late: Mapping[str, int]  # source -> frames it had not reached when they stopped waiting
    invalid: Mapping[str, int]  # source -> frames in which nothing of it was valid


class Aligner:
    """
    The frames of one output that wait for their sources, oldest first.

    A source with `wait: until_t_ref` is waited for until it has reached the frame's time, one
    with `wait: newest` is not waited for. A source never heard, silent, or on another clock
    gates nothing, unless it is required. Nothing waits longer than `timeout_sec`.
    """

    def __init__(
        self,
        name: str,
        config: Config,
        timeline: Timeline,
        tracks: Sequence[Track],
        max_backlog: int | None,
        until_ns: Callable[[Track, int], int] = lambda track, t_ref_ns: t_ref_ns,
        held_up: Callable[[int, int], bool] = lambda t_ref_ns, now_ns: False,
    ) -> None:
        """
        Start without frames.

        `until_ns` tells from the time of a frame which time an `until_t_ref` source has to reach,
        `held_up`, from that and now, whether it waits for anything that is no source.
        """
        self.name = name
        self.tracks = tuple(tracks)
        self.emitted = 0
        self.partial = 0
        self.dropped: Counter[Reason] = Counter()
        self.notes: Counter[Reason] = Counter()
        self.points = 0
        self.points_used = 0
        self.painted = 0
        self.unseen: Counter[str] = Counter()
        self.frame_id = ''
        self.late: Counter[str] = Counter()
        self.invalid: Counter[str] = Counter()
        self._timeline = timeline
        self._trigger = timeline.tracks.get(config.trigger)
        self.use(config)
        self._jump_ns = round(config.clock_jump_sec * 1e9)
        self._max_backlog = max_backlog
        self._until_ns = until_ns
        self._held_up = held_up
        self._backlog = 0  # frames that were ready when the last one left
        self._pending: list[Pending] = []
        self.last_ns: int | None = None  # t_ref of the last frame that left

    def use(self, config: Config) -> None:
        """Let frames wait as a configuration says, also those that wait already."""
        self._timeout_ns = config.timeout_ns
        self._skip_partial = config.on_timeout == 'skip'

    def add(self, pending: Pending) -> None:
        """Queue a frame, unless a newer one has already gone out."""
        if self.last_ns is not None and self.last_ns - pending.t_ref_ns > self._jump_ns:
            self.last_ns = None  # `trigger: rate` follows a source on another clock from here on
        if self.last_ns is not None and pending.t_ref_ns <= self.last_ns:
            self.dropped[Reason.FRAME_OUT_OF_ORDER] += 1
        else:
            insort(self._pending, pending)

    def flush(self) -> None:
        """Forget what waits: its epoch is over."""
        self.dropped[Reason.FRAME_EPOCH] += len(self._pending)
        self._pending.clear()
        self.last_ns = None

    def give_up_until(self, t_ns: int) -> None:
        """Drop what waits up to a time: its other half has gone, and this one will not fit it."""
        while self.head_ns() <= t_ns:
            self.last_ns = self._pending.pop(0).t_ref_ns
            self.dropped[Reason.FRAME_CHANGED] += 1

    def head_ns(self) -> int:
        """Time of the oldest frame that waits; far in the future if none does."""
        return self._pending[0].t_ref_ns if self._pending else sys.maxsize

    def next(self, now_ns: int) -> Ready | None:
        """Return the next frame to compute, or None if there is nothing to do yet."""
        self._drop_backlog(now_ns)
        while self._pending and self._is_due(self._pending[0], now_ns):
            t_ref_ns, arrival_ns = self._pending.pop(0)
            self.last_ns = t_ref_ns
            waiting = [t for t in self.tracks if self._waits_for(t, t_ref_ns, now_ns)]
            held_up = self._held_up(t_ref_ns, now_ns)
            short = [t.config.name for t in waiting if not self._satisfied(t, t_ref_ns)]
            self.late.update(
                t.config.name for t in self.tracks if not self._has_reached(t, t_ref_ns)
            )
            if short:
                self.invalid.update(short)
                self.lose(t_ref_ns, Reason.FRAME_REQUIRED, Reason.REQUIRED_MISSING)
            elif (waiting or held_up) and self._skip_partial:
                self.lose(t_ref_ns, Reason.FRAME_TIMEOUT, Reason.TIMEOUT_SKIP)
            else:
                reached = all(self._has_reached(track, t_ref_ns) for track in self.tracks)
                return Ready(t_ref_ns, arrival_ns, reached and not held_up)
        return None

    def deadline_ns(self, now_ns: int) -> int | None:
        """Return when `next` may have an answer although nothing arrives, None for never."""
        if not self._pending:
            return None
        times = [self._pending[0].arrival_ns, self._timeline.opened_ns]
        times = [time_ns + self._timeout_ns for time_ns in times]
        times += [track.silent_from_ns() or 0 for track in self.tracks]
        return min((time_ns for time_ns in times if time_ns > now_ns), default=now_ns)

    def lose(self, t_ref_ns: int, frame_reason: Reason, sample_reason: Reason) -> None:
        """Count a frame that does not go out, and its trigger sample if nothing else uses it."""
        self.dropped[frame_reason] += 1
        if self._trigger is not None:
            self._trigger.ring.mark_lost(t_ref_ns, sample_reason)

    def status(self) -> OutputStatus:
        """Return the account as of now."""
        return OutputStatus(
            self.emitted,
            self.partial,
            dict(+self.dropped),
            dict(+self.notes),
            self.points,
            self.points_used,
            self.painted,
            dict(self.unseen),
            self.frame_id,
            dict(self.late),
            dict(self.invalid),
        )

    def _drop_backlog(self, now_ns: int) -> None:
        """
        Under overload the newest wins: skip what is ready and too far behind.

        Many frames at once are no overload yet: a source they wait for may send in bursts. But
        if no fewer are ready than when the last frame left, more come than go.
        """
        before, self._backlog = self._backlog, 0
        if self._max_backlog is None or len(self._pending) <= self._max_backlog:
            return
        ready = 0
        while ready < len(self._pending) and self._is_due(self._pending[ready], now_ns):
            ready += 1
        if ready > self._max_backlog:
            if 0 < before <= ready:
                for pending in self._pending[: ready - 1]:
                    self.lose(pending.t_ref_ns, Reason.FRAME_OVERLOAD, Reason.OVERLOAD)
                del self._pending[: ready - 1]
            self._backlog = ready

    def _is_due(self, pending: Pending, now_ns: int) -> bool:
        if now_ns - pending.arrival_ns >= self._timeout_ns:
            return True
        if any(self._waits_for(t, pending.t_ref_ns, now_ns) for t in self.tracks):
            return False
        return not self._held_up(pending.t_ref_ns, now_ns)

    def _waits_for(self, track: Track, t_ref_ns: int, now_ns: int) -> bool:
        if not self._satisfied(track, t_ref_ns):
            return True
        if self._has_reached(track, t_ref_ns) or track.is_silent(now_ns):
            return False
        if not track.heard or track.epoch > self._timeline.epoch:
            return False
        # A source that has yet to follow a clock jump gets as long as any other late source.
        behind = track.epoch < self._timeline.epoch
        return not behind or now_ns < self._timeline.opened_ns + self._timeout_ns

    def _has_reached(self, track: Track, t_ref_ns: int) -> bool:
        if track.config.wait == 'newest':
            return True
        newest_ns = track.gate.newest_ns
        if newest_ns is None or not self._timeline.in_epoch(track):
            return False
        return newest_ns >= self._until_ns(track, t_ref_ns)

    def _satisfied(self, track: Track, t_ref_ns: int) -> bool:
        """Whether a required source has something valid for this time."""
        if not track.config.required or track is self._trigger:
            return True
        at = int(track.ring.times.searchsorted(t_ref_ns, side='right')) - 1
        if at < 0 or not self._timeline.in_epoch(track):
            return False
        return t_ref_ns - int(track.ring.times[at]) <= track.config.max_gap_ns
