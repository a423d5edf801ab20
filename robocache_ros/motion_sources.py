# Copyright 2026 the robocache_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The sources that tell how the robot moves: a gyroscope and odometry."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from robocache_ros.config import Config, ImuSource
from robocache_ros.motion.gyro import MAX_RATE, integrate, standstill_bias
from robocache_ros.motion.pose import Pose, compose, rotate
from robocache_ros.motion.trajectory import MAX_SPEED, Trajectory, needed_samples
from robocache_ros.reasons import Reason
from robocache_ros.robot_frames import RobotFrames
from robocache_ros.samples import IntArray
from robocache_ros.timeline.found import Found
from robocache_ros.timeline.timeline import Timeline
from robocache_ros.timeline.track import Track

_ANGULAR_VELOCITY = 1  # group of an IMU's vector, and its columns
_RATES = slice(4, 7)
_STANDSTILL_NS = 1_000_000_000


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


class MotionSources:
    """
    The gyroscope and the odometry that `deskew` names, as trajectories of base_frame.

    The pipeline holds its lock around every call.
    """

    def __init__(self, config: Config, timeline: Timeline, frames: RobotFrames) -> None:
        self._base = config.base_frame
        self._deskew = config.deskew
        self._timeline = timeline
        self._frames = frames
        self._imu = timeline.tracks.get(config.deskew.imu)
        self._odometry = timeline.tracks.get(config.deskew.odometry)
        self.tracks = [track for track in (self._imu, self._odometry) if track is not None]
        self._bias = self._given_bias()

    def begin_epoch(self) -> None:
        """Forget what was learnt about another time."""
        self._bias = self._given_bias()

    @property
    def bias(self) -> tuple[float, ...]:
        """What the gyroscope shows when nothing turns, rad/s."""
        return tuple(self._bias.tolist())

    def moment(
        self, t_ref_ns: int, frame_id: str, clouds: Sequence[Found], shots_ns: Sequence[int] = ()
    ) -> Moment:
        """
        Gather what tells the motion during these clouds and up to the time of a frame.

        `shots_ns`: of the images that paint them.
        """
        moment = Moment(t_ref_ns, frame_id)
        if not self._deskew.active or not clouds:
            return moment
        begin_ns = min(t_ref_ns, *shots_ns, *(cloud.first_ns for cloud in clouds))
        end_ns = max(t_ref_ns, *shots_ns, *(cloud.last_ns for cloud in clouds))
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

    def _given_bias(self) -> npt.NDArray[np.float64]:
        source = None if self._imu is None else self._imu.config
        return np.array(source.gyro_bias if isinstance(source, ImuSource) else (0.0, 0.0, 0.0))

    def _hears(self, track: Track) -> bool:
        """Whether there are samples that tell the motion, of the time that the frames are of."""
        return len(track.ring) > 0 and self._timeline.in_epoch(track)

    def _mounted(self, moment: Moment, track: Track, target: str, frame: str) -> Pose | None:
        """Pose of `frame` in `target`; None, and noted, if that or the source is not there."""
        if not self._hears(track):
            moment.problem = Reason.MOTION_MISSING
            return None
        found = self._frames.tree.lookup(target, frame, moment.t_ref_ns)
        if isinstance(found, Reason):
            moment.miss(track.config.name, found)
            return None
        return found

    def _turn(self, moment: Moment, track: Track, begin_ns: int, end_ns: int) -> None:
        """Add up the gyroscope's rates, about the axes of base_frame."""
        sensor = self._frames.of(track.config.name, track.frame_id)
        mounted = self._mounted(moment, track, self._base, sensor)
        if mounted is None:
            return
        times, rates = _rates_of(track)
        needed = needed_samples(times, begin_ns, end_ns)
        moment.used[track.config.name] = tuple(times[needed].tolist())
        turning = rotate(mounted.rotation, rates[needed] - self._bias)
        moment.turning = integrate(times[needed].copy(), turning, track.config.max_gap_ns)

    def _move(self, moment: Moment, track: Track, begin_ns: int, end_ns: int) -> None:
        """Take the poses of odometry, which are those of base_frame or of another frame on it."""
        mounted = self._mounted(moment, track, track.frame_id or self._base, self._base)
        if mounted is None:
            return
        needed = needed_samples(track.ring.times, begin_ns, end_ns)
        times, poses = track.ring.times[needed].copy(), track.ring.column(2)[needed]
        moment.used[track.config.name] = tuple(times.tolist())
        body = compose(Pose(poses[:, 3:], poses[:, :3]), mounted)
        moment.moving = Trajectory(times, body, track.config.max_gap_ns, MAX_SPEED)


def _rates_of(track: Track) -> tuple[IntArray, npt.NDArray[np.float64]]:
    """Times [n] and turn rates [n, 3] rad/s of the samples of an IMU that have them."""
    rates = track.ring.column(0)[:, _RATES].astype(np.float64)
    usable = track.ring.column(1)[:, _ANGULAR_VELOCITY] & (np.abs(rates) < MAX_RATE).all(axis=1)
    return track.ring.times[usable], rates[usable]
