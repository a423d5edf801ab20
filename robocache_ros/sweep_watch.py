# Copyright 2026 the robocache_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Now and then, the last two sweeps of a source, to see how well they agree."""

from __future__ import annotations

from robocache_ros.agreement import Sweeps
from robocache_ros.config import Config
from robocache_ros.motion_sources import Moment, MotionSources
from robocache_ros.placing import Placer
from robocache_ros.timeline.found import Found
from robocache_ros.timeline.timeline import Timeline

_LOOK_NS = 1_000_000_000


class SweepWatch:
    """Looks at one source after the other. The pipeline holds its lock around every call."""

    def __init__(
        self, config: Config, timeline: Timeline, motion: MotionSources, placer: Placer
    ) -> None:
        self._config = config
        self._timeline = timeline
        self._motion = motion
        self._placer = placer
        self._voxel_tracks = timeline.voxel_tracks
        self._sweeps: Sweeps | None = None  # to be looked at
        self._next_look_ns = 0
        self._looks = 0

    def begin_epoch(self) -> None:
        """Look again at once, as time has begun anew."""
        self._next_look_ns = 0

    def taken(self) -> Sweeps | None:
        """Return the sweeps that were kept last, once."""
        sweeps, self._sweeps = self._sweeps, None
        return sweeps

    def keep(self, moment: Moment) -> None:
        """Once a second, keep the last two sweeps of one source to see how well they agree."""
        if not self._config.deskew.active or moment.t_ref_ns < self._next_look_ns:
            return
        track = self._voxel_tracks[self._looks % len(self._voxel_tracks)]
        self._looks += 1  # one without sweeps keeps nobody from looking at the others
        last = int(track.ring.times.searchsorted(moment.t_ref_ns, side='right')) - 1
        snapshots = track.ring.column(0)
        if last < 1 or not self._timeline.in_epoch(track):
            return
        if any(snapshots[at].payload is None for at in (last - 1, last)):
            return
        found = [Found(track, int(track.ring.times[at]), snapshots[at]) for at in (last, last - 1)]
        over_both = self._motion.moment(moment.t_ref_ns, moment.frame_id, found)
        self._sweeps = self._placer.sweeps(over_both, *found)
        self._next_look_ns = moment.t_ref_ns + _LOOK_NS
