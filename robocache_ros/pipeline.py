# Copyright 2026 the robocache_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Samples in, frames out: the object that a live node, a replay and a data loader all drive."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np

from robocache_ros.assembly import Assembler, Notes, Selection, stale_features
from robocache_ros.backends import Backend
from robocache_ros.codec.camera import Camera
from robocache_ros.codec.cloud import CloudView
from robocache_ros.codec.compressed import DecoderMissing, Picture, decoder_identity
from robocache_ros.config import (
    CompressedImageSource,
    Config,
    ConfigError,
    ImageSource,
    check_change,
)
from robocache_ros.encoding import EncoderStatus, Encodes, open_encoders
from robocache_ros.motion.pose import Pose
from robocache_ros.motion_sources import MotionSources
from robocache_ros.painting import Painter
from robocache_ros.placing import Placer
from robocache_ros.reasons import ENCODERLESS, Reason, Rejected
from robocache_ros.robot_frames import SILENT_NS, RobotFrames
from robocache_ros.samples import (
    FeatureFrame,
    FloatArray,
    Frame,
    IntArray,
    Vector,
    VoxelFrame,
)
from robocache_ros.schema import Schema
from robocache_ros.selecting import Selector
from robocache_ros.sweep_watch import SweepWatch
from robocache_ros.timeline.aligner import Aligner, OutputStatus, Ready
from robocache_ros.timeline.epochs import Arrival
from robocache_ros.timeline.timeline import Timeline
from robocache_ros.timeline.track import Snapshot, SourceStatus, Track
from robocache_ros.timeline.trigger import make_trigger

Payload = CloudView | Picture | Vector


@dataclass(frozen=True)
class PipelineStatus:
    """The accounts of all sources and outputs, taken at one moment."""

    epoch: int
    sources: Mapping[str, SourceStatus]
    outputs: Mapping[str, OutputStatus]  # 'voxels', 'features'
    encoders: Mapping[str, EncoderStatus]  # by source


class Pipeline:
    """
    Aligns samples in time and computes frames. It knows no ROS and has no clock.

    `advance` belongs to one thread and computes outside the lock; all else may be called from any
    thread, and only stores or looks. All `arrival_ns` and `now_ns` come from one monotonic clock
    of the caller: the steady clock live, the recorded receive times in a replay.
    """

    def __init__(
        self,
        config: Config,
        backend: Backend,
        max_backlog: int | None = 3,
        encoders: Mapping[str, Encodes] | None = None,
        on_change: Callable[[], None] = lambda: None,
    ) -> None:
        """
        Prepare everything that can be known before the first sample.

        With `max_backlog` frames ready at once, all but the newest are dropped; None keeps all,
        for replays that need not keep up with anything. `encoders` of image sources by name; by
        default those of the configuration, which encode every image while it is pushed.
        `on_change` is called, in the thread of `advance`, when a `reconfigure` has taken effect.
        Raises ConfigError where a file that the configuration names can not be used.
        """
        self._encoders = open_encoders(config, live=False) if encoders is None else encoders
        digests = {f'{name}.encoder.path': one.digest for name, one in self._encoders.items()}
        self._lock = threading.Lock()
        self._backend = backend
        self._assembler = Assembler(config, Schema.from_config(config, digests), backend)
        self._staged: Assembler | None = None  # of the configuration to come
        self._on_change = on_change
        self._timeline = Timeline(config)
        self._trigger = make_trigger(config, self._timeline)
        tracks = self._timeline.tracks
        self._voxel_tracks = self._timeline.voxel_tracks
        self._transforms_ns: int | None = None  # arrival of the last one
        self._frames = RobotFrames(config)
        self._motion = MotionSources(config, self._timeline, self._frames)
        self._placer = Placer(config, self._frames)
        self._painter = Painter(config, self._timeline, self._placer)
        # What decodes and encodes the images, by source: its other builds give other bits.
        self.made_by = {
            **_decoders(config),
            **{f'{name}.encoder': one.identity for name, one in self._encoders.items()},
        }
        self._selector = self._new_selector()
        self._watch = SweepWatch(config, self._timeline, self._motion, self._placer)
        heard = [*self._voxel_tracks, *self._motion.tracks, *self._painter.tracks]
        self._voxels = self._aligner('voxels', heard, self._voxel_tracks, max_backlog)
        cloud_tracks = [tracks[source.name] for source in config.cloud_sources()]
        self._features = self._aligner(
            'features', list(tracks.values()), cloud_tracks, max_backlog
        )
        self._aligners = [self._voxels, self._features] if self._voxel_tracks else [self._features]
        self._advanced_ns = 0

    @property
    def config(self) -> Config:
        """What frames are computed with."""
        return self._assembler.config

    @property
    def schema(self) -> Schema:
        """What the numbers of the frames mean."""
        return self._assembler.schema

    def _new_selector(self) -> Selector:
        return Selector(
            self.config, self._timeline, self._motion, self._placer, self._painter, self._assembler
        )

    def _aligner(
        self, name: str, tracks: Sequence[Track], clouds: Sequence[Track], max_backlog: int | None
    ) -> Aligner:
        """Make frames of `tracks` wait for them, and until it is known how `clouds` moved."""
        return Aligner(
            name,
            self.config,
            self._timeline,
            tracks,
            max_backlog,
            until_ns=partial(self._known_until_ns, clouds),
            held_up=partial(self._waits_for_others, clouds),
        )

    def push(
        self, arrival_ns: int, source: str, t_ns: int, payload: Payload, frame_id: str = ''
    ) -> None:
        """
        Take a decoded message of `source` with sample time `t_ns`.

        Raises Rejected, without counting it, for an image smaller than its feature grid.
        """
        if isinstance(payload, Picture):
            config = self.config.source(source)
            assert isinstance(config, ImageSource)
            payload.check_grid(*config.grid, config.channels)
        sample = Arrival(arrival_ns, t_ns, _row_of(payload))
        with self._lock:
            epoch = self._timeline.epoch
            accepted = self._timeline.push(source, sample)
            track = self._timeline.tracks[source]
            if any(one is sample for one in accepted):
                track.frame_id = frame_id
                self._frames.learn(source, frame_id)
                if isinstance(payload, CloudView):
                    track.fields = tuple(filter(payload.has, payload.fields))
                if not isinstance(payload, Picture):
                    track.notes.update(payload.notes)
            images = self._to_encode(source, accepted)
            if self._timeline.epoch != epoch:
                self._begin_epoch()
            for pending in self._trigger.fire(source, accepted):
                for aligner in self._aligners:
                    aligner.add(pending)
        for snapshot in images:  # not under the lock: the answer may come at once
            assert isinstance(snapshot.payload, Picture)
            encoded = partial(self._encoded, source, snapshot)
            self._encoders[source].submit(snapshot.payload, encoded)

    def reject(self, source: str, reason: Reason) -> None:
        """Account for a message of `source` that could not become a sample."""
        with self._lock:
            track = self._timeline.tracks[source]
            track.received += 1
            track.rejected[reason] += 1

    def tell_transform(
        self, arrival_ns: int, parent: str, child: str, t_ns: int | None, pose: Pose
    ) -> None:
        """
        Take the pose of the frame `child` in `parent` at `t_ns`, or for ever without a time.

        Raises ValueError, with a sentence, for frames that can not be what they are told to be.
        """
        with self._lock:
            if t_ns is not None and self._timeline.is_of_last_epoch(t_ns, arrival_ns):
                return
            self._frames.tell(parent, child, t_ns, pose)
            if t_ns is not None:
                self._transforms_ns = arrival_ns

    def tell_camera(self, source: str, camera: Camera | Reason) -> None:
        """Take the calibration of a source that paints, or why what came is none."""
        with self._lock:
            if isinstance(camera, Reason):
                self._timeline.tracks[source].notes[camera] += 1
            else:
                self._painter.tell(source, camera)

    def explain_transform(self, source: str) -> str:
        """Say how a source's frame is connected with that of the output, or of the robot."""
        with self._lock:
            return self._placer.explain(self._timeline.tracks[source], self._selector.frame_id([]))

    def explain_motion(self, source: str) -> str:
        """Say what is known of the robot in `deskew.fixed_frame` at the time of a source."""
        with self._lock:
            return self._placer.explain_motion(self._timeline.tracks[source])

    @property
    def gyro_bias(self) -> tuple[float, ...]:
        """What the gyroscope that `deskew` names shows when nothing turns, rad/s."""
        with self._lock:
            return self._motion.bias

    def clock_jumped(self, clock_ns: int, arrival_ns: int) -> None:
        """Begin a new epoch: the ROS clock jumped back to `clock_ns`."""
        with self._lock:
            epoch = self._timeline.epoch
            self._timeline.clock_jumped(clock_ns, arrival_ns)
            if self._timeline.epoch != epoch:
                self._begin_epoch()

    def reconfigure(self, config: Config) -> None:
        """
        Go on with another configuration, of which only parameters that are not read-only differ.

        From any thread. It takes effect between two frames in `advance`, once both outputs have
        gone equally far, so that the halves of a frame agree: at most `timeout_sec` later. Nothing
        stored or waiting is lost; rows of clouds that have given their points back are not valid,
        and their frames partial, where the grid is another one. Another call before that replaces
        it. Raises ConfigError, and then nothing changes.
        """
        check_change(self.config, config)
        staged = Assembler(config, self.schema.changed(config), self._backend)
        with self._lock:
            self._staged = staged

    def apply_change(self, at_once: bool = False) -> bool:
        """
        Let `reconfigure` take effect now, if it can; for where nobody is in `advance`.

        With `at_once` it can: half a frame that is yet to be made is given up.
        """
        with self._lock:
            if at_once and self._staged is not None:
                self._give_up_halves()
            changed = self._change()
        if changed:
            self._on_change()
        return changed

    def advance(self, now_ns: int) -> Iterator[Frame]:
        """Yield every frame that can be made by now, in the order of its time."""
        self._advanced_ns = now_ns
        while True:
            self._look_at_sweeps()  # of the frame before: it has gone out
            frame = self._next_frame(now_ns)
            if frame is None:
                return
            yield frame

    def next_deadline_ns(self) -> int | None:
        """Return when to call `advance` again although nothing arrives; None for never."""
        with self._lock:
            due = self._due_aligners()
            if not due:
                return self._advanced_ns
            deadlines = [aligner.deadline_ns(self._advanced_ns) for aligner in due]
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
                {name: encoder.status() for name, encoder in self._encoders.items()},
            )

    def _next_frame(self, now_ns: int) -> Frame | None:
        """Choose samples under the lock, compute without it, then settle the accounts."""
        while True:
            self.apply_change()
            with self._lock:
                aligner, ready = self._next_ready(now_ns)
            if ready is None:
                return None
            try:
                selection = self._select(aligner, ready, now_ns)
                frame, notes = self._compute(aligner, selection)
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
        for aligner in sorted(self._due_aligners(), key=Aligner.head_ns):
            ready = aligner.next(now_ns)
            if ready is not None:
                return aligner, ready
        return self._features, None

    def _due_aligners(self) -> list[Aligner]:
        """Return the outputs that may go on; before a change, only one behind the other."""
        if self._staged is None:
            return self._aligners
        gone = [aligner.last_ns for aligner in self._aligners if aligner.last_ns is not None]
        return [aligner for aligner in self._aligners if gone and aligner.head_ns() <= max(gone)]

    def _give_up_halves(self) -> None:
        gone = [aligner.last_ns for aligner in self._aligners if aligner.last_ns is not None]
        for aligner in self._due_aligners():
            aligner.give_up_until(max(gone))

    def _change(self) -> bool:
        """Put what is staged into effect, unless half a frame is yet to be made."""
        if self._staged is None or self._due_aligners():
            return False
        before, self._assembler, self._staged = self.config, self._staged, None
        self._timeline.use(self.config, stale_features(before, self.config))
        self._trigger.use(self.config)
        for aligner in (self._voxels, self._features):
            aligner.use(self.config)
        self._frames.use(self.config)
        self._painter.use(self.config)
        self._selector = self._new_selector()
        return True  # all else depends on parameters that are read-only

    def _compute(self, aligner: Aligner, selection: Selection) -> tuple[Frame | None, Notes]:
        if aligner is self._voxels:
            return self._assembler.voxel_frame(selection)
        return self._assembler.feature_frame(selection)

    def _to_encode(self, source: str, accepted: Sequence[Arrival]) -> list[Snapshot]:
        """Return those images, which have just become samples, that an encoder gets."""
        if source not in self._encoders:
            return []
        rows = (sample.row[0] for sample in accepted)
        images = [image for image in rows if isinstance(image, Snapshot)]
        for image in images:
            image.encoding_due = True
        return images

    def _encoded(self, source: str, image: Snapshot, found: FloatArray | Reason) -> None:
        """Take what the encoder makes of an image: its features, or why it has none."""
        with self._lock:
            image.encoding_due = False
            if not isinstance(found, Reason):
                image.encoding = found
            elif found in ENCODERLESS:
                self._timeline.tracks[source].notes[found] += 1
            else:
                self._leave_out(source, image, found)

    def _known_until_ns(self, tracks: Sequence[Track], track: Track, t_ref_ns: int) -> int:
        """Return until when a source has to be known: if it tells the motion, beyond the frame."""
        moves, paints = track in self._motion.tracks, track in self._painter.tracks
        grid = tracks is self._voxel_tracks
        times = [t_ref_ns]
        for found in self._selector.clouds_at(tracks, t_ref_ns) if moves or paints else ():
            if moves:
                times.append(found.last_ns)
            if moves and grid:
                times += [shot.t_ns for shot in self._painter.shots(found)]
            if paints and grid:
                times.append(found.middle_ns)  # until then there may be an image that is nearer
        return max(times)

    def _waits_for_others(self, tracks: Sequence[Track], t_ref_ns: int, now_ns: int) -> bool:
        """Whether anything that is no source has yet to reach a frame with these clouds."""
        if tracks is not self._voxel_tracks and self._waits_for_encoders(t_ref_ns):
            return True
        return self._waits_for_transforms(tracks, t_ref_ns, now_ns)

    def _waits_for_encoders(self, t_ref_ns: int) -> bool:
        """Whether an image that is waited for is still in its encoder."""
        for name in self._encoders:
            track = self._timeline.tracks[name]
            at = int(track.ring.times.searchsorted(t_ref_ns, side='right')) - 1
            if track.config.wait == 'newest' or at < 0 or not self._timeline.in_epoch(track):
                continue
            near = t_ref_ns - int(track.ring.times[at]) <= track.config.max_gap_ns
            if near and track.ring.column(0)[at].encoding_due:
                return True
        return False

    def _waits_for_transforms(self, tracks: Sequence[Track], t_ref_ns: int, now_ns: int) -> bool:
        """Whether /tf, if anything comes from it, has yet to reach the clouds of a frame."""
        told_ns = self._transforms_ns
        if told_ns is None or now_ns - told_ns > SILENT_NS:
            return False
        clouds = list(self._selector.clouds_at(tracks, t_ref_ns))
        shots = []
        if tracks is self._voxel_tracks:
            shots = [shot.place(self._frames) for f in clouds for shot in self._painter.shots(f)]
        return self._placer.waits(t_ref_ns, self._selector.frame_id(clouds), clouds, shots)

    def _select(self, aligner: Aligner, ready: Ready, now_ns: int) -> Selection:
        """Choose the samples of a frame; where an image turns out to be damaged, others."""
        while True:
            with self._lock:
                selection = self._selector.select(ready, now_ns, grid=aligner is self._voxels)
                aligner.frame_id = selection.frame_id
                if aligner is self._voxels:
                    self._watch.keep(selection.moment)
            damaged = [found for found in map(_damage_of, selection.images()) if found]
            if not damaged:
                return selection
            with self._lock:
                for source, image, reason in damaged:
                    self._leave_out(source, image, reason)

    def _leave_out(self, source: str, image: Snapshot, reason: Reason) -> None:
        """Note an image that can not be unpacked, once, and let no frame choose it again."""
        if not image.damaged:
            image.damaged = True
            image.release()
            self._timeline.tracks[source].notes[reason] += 1

    def _look_at_sweeps(self) -> None:
        """See how well two sweeps agree; after the frame has gone out, as it can wait."""
        with self._lock:
            sweeps = self._watch.taken()
        if sweeps is not None:
            found = self._assembler.agreement(sweeps)
            with self._lock:
                self._timeline.tracks[sweeps.source].agreement = found

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
            aligner.painted += any(t.config.name in frame.used for t in self._painter.tracks)
            aligner.unseen.update(frame.voxels.stats.unseen_of)
        return True

    def _release(self, track: Track, targets_ns: IntArray) -> None:
        """Give back the bytes of clouds and images that no later frame can need."""
        times, snapshots = track.ring.times, track.ring.column(0)
        held = times.searchsorted(targets_ns[[0, -1]], side='right') - 1
        first_row, last_row = (max(int(at), 0) for at in held)
        keep_from = last_row + 1
        # Grids may be behind the features.
        behind_ns = min(int(targets_ns[-1]), self._voxels.head_ns())
        if track in self._voxel_tracks:
            keep_from = self._oldest_row(track, behind_ns)
        elif track in self._painter.tracks:
            first_ns = min(self._oldest_cloud_ns(behind_ns), behind_ns) - track.config.max_gap_ns
            keep_from = min(keep_from, int(times.searchsorted(first_ns)))
        for at, snapshot in enumerate(snapshots[:keep_from]):
            if at < first_row or snapshot.settled:
                snapshot.release()

    def _oldest_row(self, track: Track, t_ref_ns: int) -> int:
        """Return where the clouds begin that the next grid may need: the newest, and older."""
        newest = int(track.ring.times.searchsorted(t_ref_ns, side='right')) - 1
        older = max(self.config.voxels.sweeps - 1, int(self.config.deskew.active))
        return max(newest - older, 0)

    def _oldest_cloud_ns(self, t_ref_ns: int) -> int:
        """Return the middle of the oldest cloud that a grid of now may need."""
        clouds = self._selector.clouds_at(self._voxel_tracks, t_ref_ns)
        return min((cloud.middle_ns for cloud in clouds), default=t_ref_ns)

    def _begin_epoch(self) -> None:
        for aligner in self._aligners:
            aligner.flush()
        self._trigger.reset()
        self._frames.tree.clear()
        self._motion.begin_epoch()
        self._watch.begin_epoch()


def _damage_of(chosen: tuple[str, Snapshot]) -> tuple[str, Snapshot, Reason] | None:
    """Return what keeps an image from being unpacked, if anything does."""
    source, image = chosen
    try:
        if isinstance(image.payload, Picture):
            image.payload.unpacked()
    except Rejected as damaged:
        return source, image, damaged.reason
    return None


def _decoders(config: Config) -> dict[str, str]:
    """Return what decodes the images of each source; ConfigError if there is nothing that can."""
    found = {}
    for source in config.sources:
        if isinstance(source, CompressedImageSource):
            try:
                found[source.name] = decoder_identity()
            except DecoderMissing as missing:
                raise ConfigError(
                    f'{source.name}.type compressed_image is not possible: {missing}'
                ) from missing
    return found


def _row_of(payload: Payload) -> tuple[object, ...]:
    """Return what the ring buffer of a source keeps of a sample, column by column."""
    if not isinstance(payload, Vector):
        return (Snapshot(payload),)
    row = (payload.values, payload.valid)
    return row if payload.pose is None else (*row, payload.pose)
