# Copyright 2026 the robocache_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Samples in, frames out: the object that a live node, a replay and a data loader all drive."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

import numpy as np

from robocache_ros.assembly import Assembler, CloudPick, Notes, Selection, Window
from robocache_ros.backends import Backend
from robocache_ros.codec.cloud import CloudView
from robocache_ros.codec.image import ImageView
from robocache_ros.config import Config, ImageSource
from robocache_ros.reasons import Reason
from robocache_ros.samples import FeatureFrame, Frame, IntArray, Vector, VoxelFrame
from robocache_ros.schema import Schema
from robocache_ros.timeline.aligner import Aligner, OutputStatus, Ready
from robocache_ros.timeline.epochs import Arrival
from robocache_ros.timeline.timeline import Timeline
from robocache_ros.timeline.track import Snapshot, SourceStatus, Track
from robocache_ros.timeline.trigger import make_trigger

Payload = CloudView | ImageView | Vector


@dataclass(frozen=True)
class PipelineStatus:
    """The accounts of all sources and outputs, taken at one moment."""

    epoch: int
    sources: Mapping[str, SourceStatus]
    outputs: Mapping[str, OutputStatus]  # 'voxels', 'features'


class Pipeline:
    """
    Aligns samples in time and computes frames. It knows no ROS and has no clock.

    `push` and `reject` may be called from any thread and only store; `advance` belongs to one
    thread and computes outside the lock. All `arrival_ns` and `now_ns` come from one monotonic
    clock of the caller: the steady clock live, the recorded receive times in a replay.
    """

    def __init__(self, config: Config, backend: Backend, max_backlog: int | None = 3) -> None:
        """
        Prepare everything that can be known before the first sample.

        With `max_backlog` frames ready at once, all but the newest are dropped; None keeps all,
        for replays that need not keep up with anything.
        """
        self.config = config
        self.schema = Schema.from_config(config)
        self._lock = threading.Lock()
        self._assembler = Assembler(config, self.schema, backend)
        self._timeline = Timeline(config)
        self._trigger = make_trigger(config, self._timeline)
        tracks = self._timeline.tracks
        self._voxel_tracks = [tracks[source.name] for source in config.voxel_sources()]
        self._voxels = Aligner('voxels', config, self._timeline, self._voxel_tracks, max_backlog)
        self._features = Aligner(
            'features', config, self._timeline, list(tracks.values()), max_backlog
        )
        self._aligners = [self._voxels, self._features] if self._voxel_tracks else [self._features]
        self._compute: dict[str, Callable[[Selection], tuple[Frame | None, Notes]]] = {
            'voxels': self._assembler.voxel_frame,
            'features': self._assembler.feature_frame,
        }
        self._advanced_ns = 0

    def push(
        self, arrival_ns: int, source: str, t_ns: int, payload: Payload, frame_id: str = ''
    ) -> None:
        """
        Take a decoded message of `source` with sample time `t_ns`.

        Raises Rejected, without counting it, for an image smaller than its feature grid.
        """
        row: tuple[object, ...]
        if isinstance(payload, ImageView):
            config = self.config.source(source)
            assert isinstance(config, ImageSource)
            payload.check_grid(*config.grid, config.channels)
        if isinstance(payload, Vector):
            row = (payload.values, payload.valid)
        else:
            row = (Snapshot(payload),)
        sample = Arrival(arrival_ns, t_ns, row)
        with self._lock:
            epoch = self._timeline.epoch
            accepted = self._timeline.push(source, sample)
            track = self._timeline.tracks[source]
            if any(one is sample for one in accepted):
                track.frame_id = frame_id
                if isinstance(payload, CloudView):
                    track.fields = tuple(filter(payload.has, payload.fields))
                if not isinstance(payload, ImageView):
                    track.notes.update(payload.notes)
            if self._timeline.epoch != epoch:
                self._begin_epoch()
            for pending in self._trigger.fire(source, accepted):
                for aligner in self._aligners:
                    aligner.add(pending)

    def reject(self, source: str, reason: Reason) -> None:
        """Account for a message of `source` that could not become a sample."""
        with self._lock:
            track = self._timeline.tracks[source]
            track.received += 1
            track.rejected[reason] += 1

    def clock_jumped(self, clock_ns: int, arrival_ns: int) -> None:
        """Begin a new epoch: the ROS clock jumped back to `clock_ns`."""
        with self._lock:
            epoch = self._timeline.epoch
            self._timeline.clock_jumped(clock_ns, arrival_ns)
            if self._timeline.epoch != epoch:
                self._begin_epoch()

    def advance(self, now_ns: int) -> Iterator[Frame]:
        """Yield every frame that can be made by now, in the order of its time."""
        self._advanced_ns = now_ns
        while True:
            frame = self._next_frame(now_ns)
            if frame is None:
                return
            yield frame

    def next_deadline_ns(self) -> int | None:
        """Return when to call `advance` again although nothing arrives; None for never."""
        with self._lock:
            deadlines = [aligner.deadline_ns(self._advanced_ns) for aligner in self._aligners]
        return min((time_ns for time_ns in deadlines if time_ns is not None), default=None)

    def status(self, now_ns: int) -> PipelineStatus:
        """Return all accounts; within each, the numbers add up exactly."""
        with self._lock:
            epoch = self._timeline.epoch
            tracks = self._timeline.tracks.items()
            return PipelineStatus(
                epoch,
                {name: track.status(now_ns, epoch) for name, track in tracks},
                {aligner.name: aligner.status() for aligner in self._aligners},
            )

    def _next_frame(self, now_ns: int) -> Frame | None:
        """Choose samples under the lock, compute without it, then settle the accounts."""
        while True:
            with self._lock:
                aligner, ready = self._next_ready(now_ns)
                if ready is None:
                    return None
                selection = self._select(aligner, ready, now_ns)
                aligner.frame_id = selection.frame_id
            try:
                frame, notes = self._compute[aligner.name](selection)
            except Exception:
                with self._lock:
                    aligner.lose(ready.t_ref_ns, Reason.FRAME_ERROR, Reason.COMPUTE_ERROR)
                raise
            with self._lock:
                self._note(aligner, notes)
                if self._settle(aligner, frame, selection.epoch):
                    return frame

    def _next_ready(self, now_ns: int) -> tuple[Aligner, Ready | None]:
        """Ask the output that is further behind first, so that neither starves the other."""
        for aligner in sorted(self._aligners, key=Aligner.head_ns):
            ready = aligner.next(now_ns)
            if ready is not None:
                return aligner, ready
        return self._features, None

    def _pick_clouds(self, t_ref_ns: int) -> list[CloudPick]:
        """Return the newest usable cloud at or before `t_ref_ns` of every voxel source."""
        picks = []
        for track in self._voxel_tracks:
            at = int(track.ring.times.searchsorted(t_ref_ns, side='right')) - 1
            if at < 0 or not self._timeline.in_epoch(track):
                continue
            t_ns, snapshot = int(track.ring.times[at]), track.ring.column(0)[at]
            if t_ref_ns - t_ns <= track.config.max_gap_ns and snapshot.payload is not None:
                picks.append(CloudPick(track.config.name, t_ns, snapshot))
        return picks

    def _select(self, aligner: Aligner, ready: Ready, now_ns: int) -> Selection:
        """Return everything the frame is a function of, safe from later arrivals."""
        picks = self._pick_clouds(ready.t_ref_ns)
        windows = []
        if aligner is self._features:
            targets = self._assembler.targets_ns(ready.t_ref_ns)
            windows = [self._window(t, targets) for t in self._timeline.tracks.values()]
        epoch = self._timeline.epoch
        return Selection(ready, now_ns, epoch, self._frame_id(picks), picks, windows)

    def _window(self, track: Track, targets_ns: IntArray) -> Window:
        """Copy what a table may need of one source; of clouds and images only what it will."""
        ring = track.ring
        if len(ring) == 0 or not self._timeline.in_epoch(track):
            return Window(track.config, np.empty(0, np.int64), _no_samples(track))
        if track.is_vector:
            samples = Vector(ring.column(0).copy(), ring.column(1).copy())
            return Window(track.config, ring.times.copy(), samples)
        held = np.maximum(ring.times.searchsorted(targets_ns, side='right') - 1, 0)
        chosen = [at for at in np.unique(held) if ring.column(0)[at].has_features]
        return Window(track.config, ring.times[chosen], list(ring.column(0)[chosen]))

    def _frame_id(self, picks: list[CloudPick]) -> str:
        """
        Output frame: as configured, or the one of the trigger, or of the first voxel source.

        Of a trigger without coordinates, such as a camera, the clouds decide as well.
        """
        if self.config.output_frame:
            return self.config.output_frame
        trigger = self._timeline.tracks.get(self.config.trigger)
        if trigger in self._voxel_tracks or not self._voxel_tracks:
            decides = trigger
        else:
            decides = self._voxel_tracks[0]
        if decides is None:
            return ''
        by_source = {pick.source: pick.frame_id for pick in picks}
        return by_source.get(decides.config.name, decides.frame_id)

    def _note(self, aligner: Aligner, notes: Notes) -> None:
        for name, found in notes.items():
            track = self._timeline.tracks.get(name)
            (track or aligner).notes.update(found)

    def _settle(self, aligner: Aligner, frame: Frame | None, epoch: int) -> bool:
        """Note which samples a frame used; False if it must not go out after all."""
        if frame is None:
            aligner.dropped[Reason.FRAME_NO_CLOUD] += 1
            return False
        if epoch != self._timeline.epoch:
            aligner.dropped[Reason.FRAME_EPOCH] += 1
            return False
        aligner.invalid.update(frame.missing)
        if any(self.config.source(name).required for name in frame.missing):
            aligner.lose(frame.t_ref_ns, Reason.FRAME_REQUIRED, Reason.REQUIRED_MISSING)
            return False
        aligner.emitted += 1
        aligner.partial += not frame.complete
        for source, times in frame.used.items():
            track = self._timeline.tracks[source]
            track.ring.mark_used(np.array(times, np.int64))
            if isinstance(frame, FeatureFrame) and not track.is_vector:
                self._release(track, self._assembler.targets_ns(frame.t_ref_ns))
        if isinstance(frame, VoxelFrame):
            aligner.points += frame.voxels.stats.points
            aligner.points_used += frame.voxels.stats.used
        return True

    def _release(self, track: Track, targets_ns: IntArray) -> None:
        """Give back the bytes of clouds and images that no later frame can need."""
        times, snapshots = track.ring.times, track.ring.column(0)
        held = times.searchsorted(targets_ns[[0, -1]], side='right') - 1
        first_row, last_row = (max(int(at), 0) for at in held)
        keep_from = last_row + 1
        if track in self._voxel_tracks:
            # The newest cloud may go into the next grid as well; grids may be behind the features.
            behind_ns = min(int(targets_ns[-1]), self._voxels.head_ns())
            keep_from = max(int(times.searchsorted(behind_ns, side='right')) - 1, 0)
        for at, snapshot in enumerate(snapshots[:keep_from]):
            if at < first_row or snapshot.vector is not None:
                snapshot.release()

    def _begin_epoch(self) -> None:
        for aligner in self._aligners:
            aligner.flush()
        self._trigger.reset()


def _no_samples(track: Track) -> Vector:
    width = sum(group.width for group in track.groups)
    return Vector(np.empty((0, width), np.float32), np.empty((0, len(track.groups)), np.bool_))
