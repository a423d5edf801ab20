# Copyright 2026 the robocache_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Where the clouds of a frame are in it: by the frames of the robot, and by how it moved."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from typing import NamedTuple

import numpy as np

from robocache_ros.agreement import Sweeps
from robocache_ros.codec.cloud import ORIGIN_ZERO, CloudView, Origin, Transform
from robocache_ros.config import CloudSource, Config, ImageSource
from robocache_ros.motion.deskew import motion_of
from robocache_ros.motion.ego import EgoMotion
from robocache_ros.motion.pose import Pose, compose, identity, matrices
from robocache_ros.motion.segments import knots
from robocache_ros.motion.trajectory import MAX_SPEED, Trajectory
from robocache_ros.motion_sources import Moment
from robocache_ros.reasons import Reason
from robocache_ros.robot_frames import SILENT_NS, RobotFrames
from robocache_ros.samples import IntArray
from robocache_ros.timeline.found import Found
from robocache_ros.timeline.track import Track

_WITHOUT_MOTION = {
    Reason.TRANSFORM_LATE: Reason.MOTION_LATE,
    Reason.TRANSFORM_OLD: Reason.MOTION_GAP,
}


class Placed(NamedTuple):
    """A cloud as it goes into a grid, and what has to be said about it."""

    cloud: CloudView | None  # with its transform or motion; None: it is left out
    notes: Counter[Reason]
    counts_from: Origin = ORIGIN_ZERO  # where, in the frame of the grid, its coordinates are 0


class Placer:
    """
    Puts clouds where they were at the time of a frame, seen from its coordinate frame.

    The pipeline holds its lock around every call.
    """

    def __init__(self, config: Config, frames: RobotFrames) -> None:
        self._config = config
        self._deskew = config.deskew
        self._frames = frames

    def explain(self, track: Track, frame_id: str) -> str:
        """
        Say how the frame of a source is connected, if it is, as of its newest sample.

        That of a cloud or a camera with `frame_id`, any other with that of the robot.
        """
        of_output = isinstance(track.config, (CloudSource, ImageSource))
        target = frame_id if of_output else self._config.base_frame
        sensor = self._frames.of(track.config.name, track.frame_id)
        return self._frames.tree.explain(target, sensor, track.gate.newest_ns or 0)

    def explain_motion(self, track: Track) -> str:
        """Say what is known of the robot in the fixed frame, at the newest of a source."""
        fixed, base = self._deskew.fixed_frame, self._config.base_frame
        return self._frames.tree.explain(fixed, base, track.gate.newest_ns or 0)

    def place(self, moment: Moment, found: Found) -> Placed:
        """Give a cloud the transform or the motion that puts it into the frame of a moment."""
        notes: Counter[Reason] = Counter()
        if self._sensor(found) == moment.frame_id and not self._deskew.active:
            return Placed(found.cloud, notes, found.cloud.input_origin)
        if not self._config.frame:
            return Placed(None, Counter({Reason.FRAME_MISMATCH: 1}))
        ego = self._ego(moment, found.first_ns, found.last_ns) if self._deskew.active else None
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

    def seen_at(
        self, moment: Moment, source: str, frame_id: str, t_ns: int
    ) -> tuple[Pose | Reason, Counter[Reason]]:
        """
        Pose, in the frame of a moment, that a sensor in `frame_id` had at a time.

        And why it is not known how the robot has moved since: then it is where it would be on a
        robot that stood still.
        """
        notes: Counter[Reason] = Counter()
        sensor = self._frames.of(source, frame_id)
        if not self._deskew.active:
            return self._frames.tree.lookup(moment.frame_id, sensor, t_ns), notes
        ego = self._ego(moment, t_ns, t_ns)
        if isinstance(ego, Reason):
            notes[ego] += 1
            return self._frames.tree.lookup(moment.frame_id, sensor, t_ns), notes
        mounted = self._frames.tree.lookup(self._config.base_frame, sensor, t_ns)
        if isinstance(mounted, Reason):
            return mounted, notes
        carried = self._carrier(moment, ego, mounted)
        if isinstance(carried, Reason):
            return carried, notes
        pose = carried(np.array([t_ns], np.int64))
        return Pose(pose.rotation[0], pose.position[0]), notes

    def sweeps(self, moment: Moment, newer: Found, older: Found) -> Sweeps | None:
        """Put two sweeps into the frame of a moment, deskewed and as if nothing had turned."""
        deskewed: list[CloudView] = []
        unturned: list[CloudView] = []
        for found in (newer, older):
            ego = self._ego(moment, found.first_ns, found.last_ns)
            if isinstance(ego, Reason):
                return None
            for clouds, motion in ((deskewed, ego), (unturned, replace(ego, turns=False))):
                cloud = self._moving(moment, found, motion)
                if isinstance(cloud, Reason):
                    return None
                clouds.append(cloud)
        return Sweeps(newer.source, deskewed, unturned)

    def waits(
        self,
        t_ref_ns: int,
        frame_id: str,
        clouds: Sequence[Found],
        shots: Iterable[tuple[str, int]] = (),
    ) -> bool:
        """
        Whether /tf has yet to reach the time of a frame, or of one of its clouds.

        Or of the `shots` that paint them: frame of the camera, and time.
        """
        base, fixed = self._config.base_frame, self._deskew.fixed_frame
        asked = [(frame_id, base, t_ref_ns)] if base and frame_id else []
        for camera, t_ns in shots:
            asked.append((base if self._deskew.active else frame_id, camera, t_ns))
            if fixed:
                asked.append((fixed, base, max(t_ref_ns, t_ns)))
        for cloud in clouds:
            asked.append((base or frame_id, self._sensor(cloud), cloud.t_ns))
            if fixed:
                asked.append((fixed, base, max(t_ref_ns, cloud.last_ns)))
        return any(self._comes(*one) for one in asked)

    def _comes(self, target: str, source: str, t_ns: int) -> bool:
        """Whether a transform is late, but not by so much that nobody tells it any more."""
        late = Reason.TRANSFORM_LATE
        if self._frames.tree.lookup(target, source, t_ns) is not late:
            return False
        return self._frames.tree.lookup(target, source, t_ns - SILENT_NS) is not late

    def _sensor(self, found: Found) -> str:
        return self._frames.of(found.source, found.cloud.frame_id)

    def _mounted(self, frame_id: str, found: Found) -> Pose | Reason:
        """Pose in a frame, at the time of a cloud, of what its coordinates count from."""
        sensor = self._frames.tree.lookup(frame_id, self._sensor(found), found.t_ns)
        if isinstance(sensor, Reason):
            return sensor
        return compose(sensor, identity()._replace(position=np.array(found.cloud.input_origin)))

    def _still(self, moment: Moment, found: Found) -> CloudView | Reason:
        """Move a cloud as a whole, as if the robot had stood still since."""
        pose = self._mounted(moment.frame_id, found)
        return pose if isinstance(pose, Reason) else _moved(found.cloud, pose)

    def _moving(self, moment: Moment, found: Found, ego: EgoMotion) -> CloudView | Reason:
        """Move each point from where the sensor was then."""
        mounted = self._mounted(self._config.base_frame, found)
        if isinstance(mounted, Reason):
            return mounted
        sensor_at = self._carrier(moment, ego, mounted)
        if isinstance(sensor_at, Reason):
            return sensor_at
        if found.cloud.times is None:
            pose = sensor_at(np.array([found.t_ns], np.int64))
            return _moved(found.cloud, Pose(pose.rotation[0], pose.position[0]))
        return replace(found.cloud, motion=motion_of(found.cloud.times, sensor_at))

    def _carrier(
        self, moment: Moment, ego: EgoMotion, mounted: Pose
    ) -> Callable[[IntArray], Pose] | Reason:
        """Return what tells where something `mounted` on the robot was, in a moment's frame."""
        out = self._frames.tree.lookup(moment.frame_id, self._config.base_frame, moment.t_ref_ns)
        if isinstance(out, Reason):
            return out

        def at(times_ns: IntArray) -> Pose:
            return compose(out, compose(ego.relative(moment.t_ref_ns, times_ns), mounted))

        return at

    def _ego(self, moment: Moment, first_ns: int, last_ns: int) -> EgoMotion | Reason:
        """Return how the robot moved while something was measured and until the frame."""
        if moment.problem is not None:
            return moment.problem
        moving: Trajectory | Reason | None = moment.moving
        if self._deskew.fixed_frame:
            moving = self._told_by_transforms(first_ns, last_ns, moment.t_ref_ns)
        if isinstance(moving, Reason):
            return _WITHOUT_MOTION.get(moving, Reason.MOTION_MISSING)
        ego = EgoMotion(moment.turning, moving)
        begin_ns = min(first_ns, moment.t_ref_ns)
        return ego.trouble(begin_ns, max(last_ns, moment.t_ref_ns)) or ego

    def _told_by_transforms(
        self, first_ns: int, last_ns: int, t_ref_ns: int
    ) -> Trajectory | Reason:
        """Poses of base_frame in the fixed frame of /tf, where the motion will be asked for."""
        _, times = knots(first_ns, last_ns)
        times = np.unique(np.append(np.maximum(times, first_ns), t_ref_ns))
        poses = self._frames.tree.at(self._deskew.fixed_frame, self._config.base_frame, times)
        if isinstance(poses, Reason):
            return poses
        return Trajectory(times, poses, int(times[-1] - times[0]) + 1, MAX_SPEED)


def _moved(cloud: CloudView, pose: Pose) -> CloudView:
    matrix = np.eye(4)
    matrix[:3, :3], matrix[:3, 3] = matrices(pose.rotation), pose.position
    return replace(cloud, transform=Transform.from_matrix(matrix))
