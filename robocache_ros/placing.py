# Copyright 2026 the robocache_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Where the clouds of a frame are in it: by the frames of the robot, and by how it moved."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from robocache_ros.agreement import Sweeps
from robocache_ros.codec.cloud import CloudView, Transform
from robocache_ros.config import CloudSource, Config, ImuSource
from robocache_ros.motion.deskew import motion_of
from robocache_ros.motion.ego import EgoMotion
from robocache_ros.motion.frames import Frames
from robocache_ros.motion.gyro import MAX_RATE, integrate, standstill_bias
from robocache_ros.motion.pose import Pose, compose, identity, matrices, rotate
from robocache_ros.motion.segments import knots
from robocache_ros.motion.trajectory import Trajectory, needed_samples
from robocache_ros.reasons import Reason
from robocache_ros.samples import IntArray
from robocache_ros.timeline.timeline import Timeline
from robocache_ros.timeline.track import Snapshot, Track

_ANGULAR_VELOCITY = 1  # group of an IMU's vector, and its columns
_RATES = slice(4, 7)
_TOLD_SEC = 10.0  # at least so long /tf is remembered, as tf2 does
_MANY_FRAMES = 1000  # that sources name themselves
_STANDSTILL_NS = 1_000_000_000
_MAX_SPEED = 150.0  # m/s; a robot that seems to be faster was put somewhere else
_SILENT_NS = 1_000_000_000  # a transform that is later than this has stopped
_WITHOUT_MOTION = {
    Reason.TRANSFORM_LATE: Reason.MOTION_LATE,
    Reason.TRANSFORM_OLD: Reason.MOTION_GAP,
}


class Placed(NamedTuple):
    """A cloud as it goes into a grid, and what has to be said about it."""

    cloud: CloudView | None  # with its transform or motion; None: it is left out
    notes: Counter[Reason]


class Found(NamedTuple):
    """A cloud in a ring buffer."""

    track: Track
    t_ns: int
    snapshot: Snapshot
    older: bool = False  # a newer one of the source goes into the same grid

    @property
    def source(self) -> str:
        """Name of its source."""
        return self.track.config.name

    @property
    def cloud(self) -> CloudView:
        """The cloud as it came; it is not released while a frame may still need it."""
        assert isinstance(self.snapshot.payload, CloudView)
        return self.snapshot.payload

    @property
    def first_ns(self) -> int:
        """Time of its first point."""
        return self.t_ns if self.cloud.times is None else self.cloud.times.first_ns

    @property
    def last_ns(self) -> int:
        """Time of its last point."""
        return self.t_ns if self.cloud.times is None else self.cloud.times.last_ns


@dataclass
class Moment:
    """One frame: its time, its coordinate frame, and the samples that told how the robot moved."""

    t_ref_ns: int
    frame_id: str
    turning: Trajectory | None = None  # of base_frame by the gyroscope
    moving: Trajectory | None = None  # of base_frame by odometry
    problem: Reason | None = None  # why nothing tells the motion
    used: dict[str, tuple[int, ...]] = field(default_factory=dict)
    notes: dict[str, Counter[Reason]] = field(default_factory=dict)

    def miss(self, source: str, reason: Reason) -> None:
        """Note that it is not known where a source is that tells the motion."""
        self.problem = Reason.MOTION_MISSING
        self.notes[source] = Counter({reason: 1})


class Placer:
    """
    Puts clouds where they were at the time of a frame, seen from its coordinate frame.

    The pipeline holds its lock around every call.
    """

    def __init__(self, config: Config, timeline: Timeline) -> None:
        longest_sec = max(source.history_sec for source in config.sources)
        self.frames = Frames(max(_TOLD_SEC, longest_sec + config.timeout_sec))
        self._config = config
        self._deskew = config.deskew
        self._timeline = timeline
        self._imu = timeline.tracks.get(config.deskew.imu)
        self._odometry = timeline.tracks.get(config.deskew.odometry)
        self._bias = self._given_bias()
        # A source with an extrinsic has a frame of its own: another may use the same frame_id.
        self._own_frames: dict[str, str] = {}
        self._given: set[str] = set()  # frame_ids whose place the configuration tells
        for source in config.sources:
            extrinsic = getattr(source, 'extrinsic', None)
            if extrinsic is not None:
                own = self._own_frames[source.name] = f'({source.name})'
                self.frames.add_static(config.base_frame, own, Pose.of(extrinsic))
        self._given.update(self._own_frames.values())

    def begin_epoch(self) -> None:
        """Forget what was told, and learnt, about another time."""
        self.frames.clear()
        self._bias = self._given_bias()

    def _given_bias(self) -> npt.NDArray[np.float64]:
        source = None if self._imu is None else self._imu.config
        return np.array(source.gyro_bias if isinstance(source, ImuSource) else (0.0, 0.0, 0.0))

    @property
    def has_frames(self) -> bool:
        """Whether frames are configured at all; if not, clouds lie where they say."""
        return bool(self._config.base_frame or self._config.output_frame)

    def explain(self, track: Track, frame_id: str) -> str:
        """
        Say how the frame of a source is connected, if it is, as of its newest sample.

        That of a cloud with `frame_id`, any other with that of the robot.
        """
        target = frame_id if isinstance(track.config, CloudSource) else self._config.base_frame
        sensor = self._own_frames.get(track.config.name, track.frame_id)
        return self.frames.explain(target, sensor, track.gate.newest_ns or 0)

    def explain_motion(self, track: Track) -> str:
        """Say what is known of the robot in the fixed frame, at the newest of a source."""
        fixed, base = self._deskew.fixed_frame, self._config.base_frame
        return self.frames.explain(fixed, base, track.gate.newest_ns or 0)

    @property
    def bias(self) -> tuple[float, ...]:
        """What the gyroscope shows when nothing turns, rad/s."""
        return tuple(self._bias.tolist())

    def learn(self, source: str, frame_id: str) -> None:
        """Note the frame_id of a source, which other frames may hang on, such as the output's."""
        own, frame_id = self._own_frames.get(source), frame_id.removeprefix('/')
        base = self._config.base_frame
        if own is None or frame_id in ('', base) or frame_id in self._given:
            return
        if len(self._given) < _MANY_FRAMES and not self.frames.is_below(base, frame_id):
            self._given.add(frame_id)
            self.frames.add_static(own, frame_id, identity())

    def tell(self, parent: str, child: str, t_ns: int | None, pose: Pose) -> None:
        """
        Take a transform of /tf, or of /tf_static without a time.

        What the configuration tells about a frame wins. ValueError for what is no transform.
        """
        if child.removeprefix('/') in self._given:
            return
        if self.frames.is_below(parent, child):
            self._leave_to_transforms(parent)
        if t_ns is None:
            self.frames.add_static(parent, child, pose)
        else:
            self.frames.add_dynamic(parent, child, t_ns, pose)

    def _leave_to_transforms(self, parent: str) -> None:
        """
        Take back what was noted of a frame, and those above it, that /tf has above the robot.

        LiDAR odometry does that. A source with an extrinsic still is where that says.
        """
        for frame in self._given.difference(self._own_frames.values()):
            if frame == parent.removeprefix('/') or self.frames.is_below(parent, frame):
                self.frames.forget(frame)
                self._given.discard(frame)

    def moment(self, t_ref_ns: int, frame_id: str, clouds: Sequence[Found]) -> Moment:
        """Gather what tells the motion during these clouds and up to the time of a frame."""
        moment = Moment(t_ref_ns, frame_id)
        if not self._deskew.active or not clouds:
            return moment
        begin_ns = min(t_ref_ns, *(cloud.first_ns for cloud in clouds))
        end_ns = max(t_ref_ns, *(cloud.last_ns for cloud in clouds))
        if self._imu is not None:
            self._turn(moment, self._imu, begin_ns, end_ns)
        if self._odometry is not None:
            self._move(moment, self._odometry, begin_ns, end_ns)
        return moment

    def watch_bias(self, t_ref_ns: int) -> None:
        """Take what the gyroscope has shown in the last second for its bias if nothing turned."""
        if self._imu is None or not self._deskew.estimate_bias or not self._hears(self._imu):
            return
        times, rates = _rates_of(self._imu)
        end = int(times.searchsorted(t_ref_ns, side='right'))
        begin = int(times.searchsorted(t_ref_ns - _STANDSTILL_NS, side='right')) - 1
        last_second = slice(max(begin, 0), end)
        bias = standstill_bias(times[last_second], rates[last_second])
        self._bias = self._bias if bias is None else bias

    def place(self, moment: Moment, found: Found) -> Placed:
        """Give a cloud the transform or the motion that puts it into the frame of a moment."""
        notes: Counter[Reason] = Counter()
        if self._sensor(found) == moment.frame_id and not self._deskew.active:
            return Placed(found.cloud, notes)
        if not self.has_frames:
            return Placed(None, Counter({Reason.FRAME_MISMATCH: 1}))
        ego = self._ego(moment, found) if self._deskew.active else None
        if isinstance(ego, Reason):
            notes[ego] += 1
            if found.older:  # nobody knows where the robot has been since
                return Placed(None, notes)
        if isinstance(ego, EgoMotion):
            placed = self._moving(moment, found, ego)
        else:
            placed = self._still(moment, found)
        if isinstance(placed, Reason):
            notes[placed] += 1
            return Placed(None, notes)
        return Placed(placed, notes)

    def sweeps(self, moment: Moment, newer: Found, older: Found) -> Sweeps | None:
        """Put two sweeps of a source into the frame of a moment, moved and as if nothing had."""
        moving: list[CloudView] = []
        still: list[CloudView] = []
        for found in (newer, older):
            ego = self._ego(moment, found)
            moved = ego if isinstance(ego, Reason) else self._moving(moment, found, ego)
            unmoved = self._still(moment, found)
            if isinstance(moved, Reason) or isinstance(unmoved, Reason):
                return None
            moving.append(moved)
            still.append(unmoved)
        return Sweeps(newer.source, moving, still)

    def waits(self, t_ref_ns: int, frame_id: str, clouds: Sequence[Found]) -> bool:
        """Whether /tf has yet to reach the time of a frame, or of one of its clouds."""
        base, fixed = self._config.base_frame, self._deskew.fixed_frame
        asked = [(frame_id, base, t_ref_ns)] if base and frame_id else []
        for cloud in clouds:
            asked.append((base or frame_id, self._sensor(cloud), cloud.t_ns))
            if fixed:
                asked.append((fixed, base, max(t_ref_ns, cloud.last_ns)))
        return any(self._comes(*one) for one in asked)

    def _comes(self, target: str, source: str, t_ns: int) -> bool:
        """Whether a transform is late, but not by so much that nobody tells it any more."""
        late = Reason.TRANSFORM_LATE
        if self.frames.lookup(target, source, t_ns) is not late:
            return False
        return self.frames.lookup(target, source, t_ns - _SILENT_NS) is not late

    def _sensor(self, found: Found) -> str:
        return self._own_frames.get(found.source, found.cloud.frame_id)

    def _mounted(self, frame_id: str, found: Found) -> Pose | Reason:
        """Pose in a frame, at the time of a cloud, of what its coordinates count from."""
        sensor = self.frames.lookup(frame_id, self._sensor(found), found.t_ns)
        if isinstance(sensor, Reason):
            return sensor
        return compose(sensor, identity()._replace(position=np.array(found.cloud.input_origin)))

    def _still(self, moment: Moment, found: Found) -> CloudView | Reason:
        """Move a cloud as a whole, as if the robot had stood still since."""
        pose = self._mounted(moment.frame_id, found)
        return pose if isinstance(pose, Reason) else _moved(found.cloud, pose)

    def _moving(self, moment: Moment, found: Found, ego: EgoMotion) -> CloudView | Reason:
        """Move each point from where the sensor was then."""
        base = self._config.base_frame
        mounted = self._mounted(base, found)
        out = self.frames.lookup(moment.frame_id, base, moment.t_ref_ns)
        if isinstance(mounted, Reason):
            return mounted
        if isinstance(out, Reason):
            return out

        def sensor_at(times_ns: IntArray) -> Pose:
            return compose(out, compose(ego.relative(moment.t_ref_ns, times_ns), mounted))

        if found.cloud.times is None:
            pose = sensor_at(np.array([found.t_ns], np.int64))
            return _moved(found.cloud, Pose(pose.rotation[0], pose.position[0]))
        return replace(found.cloud, motion=motion_of(found.cloud.times, sensor_at))

    def _ego(self, moment: Moment, found: Found) -> EgoMotion | Reason:
        """Return how the robot moved while a cloud was measured and until the frame."""
        if moment.problem is not None:
            return moment.problem
        moving: Trajectory | Reason | None = moment.moving
        if self._deskew.fixed_frame:
            moving = self._told_by_transforms(found, moment.t_ref_ns)
        if isinstance(moving, Reason):
            return _WITHOUT_MOTION.get(moving, Reason.MOTION_MISSING)
        ego = EgoMotion(moment.turning, moving)
        begin_ns = min(found.first_ns, moment.t_ref_ns)
        return ego.trouble(begin_ns, max(found.last_ns, moment.t_ref_ns)) or ego

    def _told_by_transforms(self, found: Found, t_ref_ns: int) -> Trajectory | Reason:
        """Poses of base_frame in the fixed frame of /tf, where the motion will be asked for."""
        _, times = knots(found.first_ns, found.last_ns)
        times = np.unique(np.append(np.maximum(times, found.first_ns), t_ref_ns))
        poses = self.frames.at(self._deskew.fixed_frame, self._config.base_frame, times)
        if isinstance(poses, Reason):
            return poses
        return Trajectory(times, poses, int(times[-1] - times[0]) + 1, _MAX_SPEED)

    def _hears(self, track: Track) -> bool:
        """Whether there are samples that tell the motion, of the time that the frames are of."""
        return len(track.ring) > 0 and self._timeline.in_epoch(track)

    def _turn(self, moment: Moment, track: Track, begin_ns: int, end_ns: int) -> None:
        """Add up the gyroscope's rates, about the axes of base_frame."""
        if not self._hears(track):
            moment.problem = Reason.MOTION_MISSING
            return
        base = self._config.base_frame
        sensor = self._own_frames.get(track.config.name, track.frame_id)
        mounted = self.frames.lookup(base, sensor, moment.t_ref_ns)
        if isinstance(mounted, Reason):
            moment.miss(track.config.name, mounted)
            return
        times, rates = _rates_of(track)
        needed = needed_samples(times, begin_ns, end_ns)
        moment.used[track.config.name] = tuple(times[needed].tolist())
        turning = rotate(mounted.rotation, rates[needed] - self._bias)
        moment.turning = integrate(times[needed].copy(), turning, track.config.max_gap_ns)

    def _move(self, moment: Moment, track: Track, begin_ns: int, end_ns: int) -> None:
        """Take the poses of odometry, which are those of base_frame or of another frame on it."""
        if not self._hears(track):
            moment.problem = Reason.MOTION_MISSING
            return
        base = self._config.base_frame
        mounted = self.frames.lookup(track.frame_id or base, base, moment.t_ref_ns)
        if isinstance(mounted, Reason):
            moment.miss(track.config.name, mounted)
            return
        needed = needed_samples(track.ring.times, begin_ns, end_ns)
        times, poses = track.ring.times[needed].copy(), track.ring.column(2)[needed]
        moment.used[track.config.name] = tuple(times.tolist())
        body = compose(Pose(poses[:, 3:], poses[:, :3]), mounted)
        moment.moving = Trajectory(times, body, track.config.max_gap_ns, _MAX_SPEED)


def _rates_of(track: Track) -> tuple[IntArray, npt.NDArray[np.float64]]:
    """Times [n] and turn rates [n, 3] rad/s of the samples of an IMU that have them."""
    rates = track.ring.column(0)[:, _RATES].astype(np.float64)
    usable = track.ring.column(1)[:, _ANGULAR_VELOCITY] & (np.abs(rates) < MAX_RATE).all(axis=1)
    return track.ring.times[usable], rates[usable]


def asked_of_transforms(config: Config) -> tuple[str, ...]:
    """Return what a configuration depends on /tf for, in words; () if on nothing."""
    if not (config.base_frame or config.output_frame):
        return ()
    base, output = config.base_frame or config.output_frame, config.output_frame
    placed = [*config.cloud_sources(), *(s for s in config.sources if s.name == config.deskew.imu)]
    asked = [
        f'where {source.name} is, unless in the frame {base}'
        for source in placed
        if getattr(source, 'extrinsic', None) is None
    ]
    if output and output != base:
        asked.append(f'where {base} is in {output}')
    if config.deskew.fixed_frame:
        asked.append(f'how {base} moves in {config.deskew.fixed_frame}')
    return tuple(asked)


def reads_transforms(config: Config) -> bool:
    """Whether /tf is read: also where odometry may turn out to be that of another frame."""
    return bool(asked_of_transforms(config) or config.deskew.odometry)


def _moved(cloud: CloudView, pose: Pose) -> CloudView:
    matrix = np.eye(4)
    matrix[:3, :3], matrix[:3, 3] = matrices(pose.rotation), pose.position
    return replace(cloud, transform=Transform.from_matrix(matrix))
