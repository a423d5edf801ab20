# Copyright 2026 the robocache_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Which samples make a frame, and where its clouds are: safe from whatever arrives later."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import replace

import numpy as np

from robocache_ros.assembly import Assembler, CloudPick, Selection, Window
from robocache_ros.config import Config, ImageSource
from robocache_ros.motion_sources import Moment, MotionSources
from robocache_ros.painting import Painter, Shot
from robocache_ros.placing import Placed, Placer
from robocache_ros.reasons import Reason
from robocache_ros.samples import IntArray, Vector
from robocache_ros.timeline.aligner import Ready
from robocache_ros.timeline.found import Found
from robocache_ros.timeline.timeline import Timeline
from robocache_ros.timeline.track import Track


class Selector:
    """Chooses the samples of a frame. The pipeline holds its lock around every call."""

    def __init__(
        self,
        config: Config,
        timeline: Timeline,
        motion: MotionSources,
        placer: Placer,
        painter: Painter,
        assembler: Assembler,
    ) -> None:
        self._config = config
        self._timeline = timeline
        self._motion = motion
        self._placer = placer
        self._painter = painter
        self._assembler = assembler
        self._voxel_tracks = timeline.voxel_tracks

    def select(self, ready: Ready, now_ns: int, grid: bool) -> Selection:
        """Return everything a frame is a function of: of the `grid`, or of the feature table."""
        clouds = list(self.clouds_at(self._voxel_tracks, ready.t_ref_ns))
        frame_id = self.frame_id(clouds)
        moment = Moment(ready.t_ref_ns, frame_id)
        picks: list[CloudPick] = []
        windows = []
        if grid:
            self._motion.watch_bias(ready.t_ref_ns)
            shots = [list(self._painter.shots(cloud)) for cloud in clouds]
            shots_ns = [shot.t_ns for some in shots for shot in some]
            moment = self._motion.moment(ready.t_ref_ns, frame_id, clouds, shots_ns)
            picks = [
                self._painted(moment, cloud, some)
                for cloud, some in zip(clouds, shots, strict=True)
            ]
        else:
            targets = self._assembler.targets_ns(ready.t_ref_ns)
            windows = [
                self._window(track, targets, frame_id) for track in self._timeline.tracks.values()
            ]
        epoch = self._timeline.epoch
        return Selection(ready, now_ns, epoch, frame_id, picks, windows, moment)

    def clouds_at(self, tracks: Sequence[Track], t_ref_ns: int) -> Iterator[Found]:
        """Yield the newest usable clouds at or before `t_ref_ns` of these sources."""
        for track in tracks:
            last = int(track.ring.times.searchsorted(t_ref_ns, side='right')) - 1
            if last < 0 or not self._timeline.in_epoch(track):
                continue
            if t_ref_ns - int(track.ring.times[last]) > track.config.max_gap_ns:
                continue
            for at in range(last, max(last - self._config.voxels.sweeps, -1), -1):
                snapshot = track.ring.column(0)[at]
                if snapshot.payload is not None:
                    yield Found(track, int(track.ring.times[at]), snapshot, older=at < last)

    def frame_id(self, clouds: Sequence[Found]) -> str:
        """
        Output frame: as configured, or the one of the trigger, or of the first voxel source.

        Of a trigger without coordinates, such as a camera, the clouds decide as well.
        """
        if self._config.frame:
            return self._config.frame
        trigger = self._timeline.tracks.get(self._config.trigger)
        if trigger in self._voxel_tracks or not self._voxel_tracks:
            decides = trigger
        else:
            decides = self._voxel_tracks[0]
        if decides is None:
            return ''
        by_source = {c.source: c.cloud.frame_id for c in clouds if not c.older}
        return by_source.get(decides.config.name, decides.frame_id)

    def _pick(self, moment: Moment, found: Found, placed: Placed) -> CloudPick:
        """Give a cloud, put where it belongs, what all its points share."""
        cloud, notes = placed.cloud, placed.notes
        if cloud is not None:
            cloud = self._assembler.with_constants(cloud, moment.t_ref_ns - found.t_ns)
        return CloudPick(found.source, found.t_ns, found.snapshot, cloud, notes, moment.used)

    def _painted(self, moment: Moment, found: Found, shots: Sequence[Shot]) -> CloudPick:
        """Put a cloud where it belongs, with the images that see it there."""
        placed = self._placer.place(moment, found)
        pick = self._pick(moment, found, placed)
        if pick.cloud is None:
            return pick
        sights, trouble = self._painter.sights(moment, shots, placed)
        return replace(pick, sights=sights, trouble=trouble)

    def _window(self, track: Track, targets_ns: IntArray, frame_id: str) -> Window:
        """Copy what a table may need of one source; of clouds and images only what it will."""
        ring = track.ring
        if len(ring) == 0 or not self._timeline.in_epoch(track):
            return Window(track.config, np.empty(0, np.int64), _no_samples(track))
        if track.is_vector:
            samples = Vector(ring.column(0).copy(), ring.column(1).copy())
            return Window(track.config, ring.times.copy(), samples)
        if isinstance(track.config, ImageSource):
            return self._images(track, targets_ns)
        snapshots = ring.column(0)
        held = np.unique(_held(ring.times, targets_ns))
        chosen = [at for at in held if snapshots[at].has_features]
        found = [Found(track, int(ring.times[at]), snapshots[at]) for at in chosen]
        picks = [self._at_its_own_time(one, frame_id) for one in found]
        trouble: Counter[Reason] = Counter()
        if len(chosen) < len(held):
            trouble[Reason.GRID_CHANGED] = len(held) - len(chosen)
        for pick in picks:
            trouble.update({} if pick is None else pick.notes)
        lying = [k for k, pick in enumerate(picks) if pick is None or pick.cloud is not None]
        if not lying:
            return Window(track.config, np.empty(0, np.int64), _no_samples(track), (), trouble)
        return Window(
            track.config,
            ring.times[[chosen[k] for k in lying]],
            [found[k].snapshot for k in lying],
            [picks[k] for k in lying],
            trouble,
        )

    def _images(self, track: Track, targets_ns: IntArray) -> Window:
        """Take the images that targets have, and those that have been encoded: maybe older."""
        times, snapshots = track.ring.times, track.ring.column(0)
        usable = np.flatnonzero([snapshot.has_features for snapshot in snapshots])
        encoded = np.flatnonzero([snapshot.encoding is not None for snapshot in snapshots])
        chosen = np.unique(
            np.concatenate([these[_held(times[these], targets_ns)] for these in (usable, encoded)])
        )
        images = list(snapshots[chosen])
        if not images:
            return Window(track.config, np.empty(0, np.int64), _no_samples(track))
        encodings = [image.encoding for image in images]
        return Window(track.config, times[chosen], images, encodings=encodings)

    def _at_its_own_time(self, found: Found, frame_id: str) -> CloudPick | None:
        """Put a cloud, whose features are not known for good yet, where it was measured."""
        snapshot = found.snapshot
        if snapshot.settled or snapshot.payload is None:
            return None
        if not self._config.frame:
            return CloudPick(found.source, found.t_ns, snapshot, found.cloud)
        moment = self._motion.moment(found.t_ns, frame_id, [found])
        return self._pick(moment, found, self._placer.place(moment, found))


def _held(times: IntArray, targets_ns: IntArray) -> IntArray:
    """Which sample each target has, if there are any: the last one before it, or the first."""
    found = np.maximum(times.searchsorted(targets_ns, side='right') - 1, 0)
    return found if len(times) else found[:0]


def _no_samples(track: Track) -> Vector:
    width = sum(group.width for group in track.groups)
    return Vector(np.empty((0, width), np.float32), np.empty((0, len(track.groups)), np.bool_))
