# Copyright 2026 the robocache_ros authors
# SPDX-License-Identifier: Apache-2.0
"""All sources on one time axis, and the rule that samples of two epochs never meet."""

from __future__ import annotations

import logging
from collections.abc import Collection

from robocache_ros.config import Config
from robocache_ros.reasons import Reason
from robocache_ros.schema import groups_of
from robocache_ros.timeline.epochs import Arrival
from robocache_ros.timeline.track import Track

_log = logging.getLogger(__name__)

_SLOWEST = 2**63  # period of a source that has sent only one sample


class Timeline:
    """
    The tracks of all sources, and the epoch they are in.

    One source, the leader, decides: its confirmed jump back opens a new epoch for everybody. The
    leader is the trigger; for `trigger: rate`, the first source that is alive. A source that has
    not jumped yet is behind, and what it sends is dropped as `old_epoch`; one that jumped first
    is ahead, and its samples wait. Either is back in line when its own jump is confirmed, or as
    soon as a sample of it lies close to the leader's time again.
    """

    def __init__(self, config: Config) -> None:
        jump_ns = round(config.clock_jump_sec * 1e9)
        self.tracks = {
            source.name: Track(source, groups_of(source), jump_ns, config.timeout_ns)
            for source in config.sources
        }
        self.voxel_tracks = [self.tracks[source.name] for source in config.voxel_sources()]
        self.epoch = 0
        self.opened_ns = 0  # arrival time of what opened the epoch
        self._opened_by_source = False
        self._jump_ns = jump_ns
        self._trigger = self.tracks.get(config.trigger)
        self._clock_ns: int | None = None  # where the ROS clock jumped to

    def use(self, config: Config, stale: Collection[str]) -> None:
        """Go on with a changed configuration; the features of `stale` sources do not hold."""
        for source in config.sources:
            self.tracks[source.name].use(
                source, groups_of(source), config.timeout_ns, source.name not in stale
            )

    def push(self, source: str, sample: Arrival) -> list[Arrival]:
        """Take one sample; return those that entered the ring buffer, usually just this one."""
        track = self.tracks[source]
        track.received += 1
        if not track.heard:
            track.epoch = self.epoch
        if track.epoch != self.epoch and self._in_line(track, sample):
            judgement = track.gate.restart(sample)
        else:
            judgement = track.gate.judge(sample)
        track.rejected[Reason.JUMP_UNCONFIRMED] += len(judgement.unconfirmed)
        if judgement.went_back:
            self._jumped_back(track, sample)
        elif track.epoch < self.epoch:
            track.rejected[Reason.OLD_EPOCH] += len(judgement.accepted)
            return []
        return [one for one in judgement.accepted if track.insert(one)]

    def clock_jumped(self, clock_ns: int, arrival_ns: int) -> None:
        """Note that the ROS clock jumped back to `clock_ns`: a new epoch, unless it is known."""
        if self._opened_by_source and arrival_ns - self.opened_ns <= self._jump_ns:
            return  # the leader has just told us
        self._clock_ns = clock_ns
        self._open(self.epoch + 1, arrival_ns, 'the ROS clock')
        self._opened_by_source = False

    def leader(self, now_ns: int) -> Track | None:
        """Return the source whose jumps count: the trigger, or the first one that is alive."""
        if self._trigger is not None:
            return self._trigger
        heard = [track for track in self.tracks.values() if track.heard]
        alive = [track for track in heard if not track.is_silent(now_ns)]
        return next(iter(alive or heard), None)

    def in_epoch(self, track: Track) -> bool:
        """Whether the samples of this source may meet those of the leader."""
        return track.heard and track.epoch == self.epoch

    def data_time_ns(self, now_ns: int) -> int | None:
        """Newest time of the fastest living source on the leader's clock."""
        leader = self.leader(now_ns)
        if leader is None or leader.gate.newest_ns is None or not self.in_epoch(leader):
            return None
        fastest = leader
        for track in self.tracks.values():
            if self.in_epoch(track) and not track.is_silent(now_ns):
                agrees = abs((track.gate.newest_ns or 0) - leader.gate.newest_ns) <= self._jump_ns
                if agrees and (track.period_ns() or _SLOWEST) < (fastest.period_ns() or _SLOWEST):
                    fastest = track
        return fastest.gate.newest_ns

    def is_of_last_epoch(self, t_ns: int, arrival_ns: int) -> bool:
        """Whether what is no sample was on its way when the epoch began: it lies after it."""
        if self.epoch == 0 or arrival_ns - self.opened_ns > self._jump_ns:
            return False
        now_ns = self._reference_ns(arrival_ns)
        return now_ns is not None and t_ns - now_ns > self._jump_ns

    def _reference_ns(self, arrival_ns: int, other: Track | None = None) -> int | None:
        """Where the current epoch is, by what is not the `other` track."""
        leader = self.leader(arrival_ns)
        if leader is not None and leader is not other and self.in_epoch(leader):
            return leader.gate.newest_ns
        return self._clock_ns

    def _in_line(self, track: Track, sample: Arrival) -> bool:
        """Whether the sample lies close to where the current epoch is."""
        reference_ns = self._reference_ns(sample.arrival_ns, track)
        return reference_ns is not None and abs(sample.t_ns - reference_ns) <= self._jump_ns // 2

    def _jumped_back(self, track: Track, sample: Arrival) -> None:
        """Put the track, whose next samples are of another time, into the right epoch."""
        leads = self._leads(track, sample.arrival_ns)
        joins = track.epoch < self.epoch or (not leads and self._in_line(track, sample))
        track.flush(Reason.EPOCH_FLUSH)
        track.epoch = self.epoch if joins else self.epoch + 1
        if leads:
            self._clock_ns = None  # from here on the leader's own stamps are the reference
            if not joins:
                self._open(track.epoch, sample.arrival_ns, track.config.name)

    def _leads(self, track: Track, now_ns: int) -> bool:
        """Whether the jump of this source is everybody's."""
        leader = self.leader(now_ns)
        if leader is None or leader is track or self._trigger is not None:
            return leader is track
        # Nobody is designated, and the one that would lead is not there to say anything.
        return leader.is_silent(now_ns) or not self.in_epoch(leader)

    def _open(self, epoch: int, arrival_ns: int, cause: str) -> None:
        self.epoch = epoch
        self.opened_ns = arrival_ns
        self._opened_by_source = True
        for track in self.tracks.values():
            if track.epoch < epoch:
                track.flush(Reason.EPOCH_FLUSH)
        _log.warning('Time jumped back (%s): epoch %d begins, buffers are empty.', cause, epoch)
