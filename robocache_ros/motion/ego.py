# Copyright 2026 the robocache_ros authors
# SPDX-License-Identifier: Apache-2.0
"""How the body moved between two times, by what tells its rotation and its translation."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from robocache_ros.motion.pose import Pose, compose, identity, inverse
from robocache_ros.motion.trajectory import Trajectory
from robocache_ros.reasons import Reason
from robocache_ros.samples import IntArray


@dataclass(frozen=True, eq=False)
class EgoMotion:
    """
    The motion of the body: a gyro tells best how it turned, odometry how it moved.

    Both trajectories are of the body, each in a world of its own: only differences count.
    """

    rotation: Trajectory | None  # without it, the rotation of `translation` serves
    translation: Trajectory | None  # without it, the body only turns
    turns: bool = True  # else as if it had never turned, and moved all the same

    def __post_init__(self) -> None:
        if self.rotation is None and self.translation is None:
            raise ValueError('the motion of a body needs a rotation, a translation or both')

    def relative(self, t_ref_ns: int, times_ns: IntArray) -> Pose:
        """Poses [k] of the body at `times_ns` int64 [k] in the body at `t_ref_ns`."""
        times = np.concatenate((np.array([t_ref_ns], np.int64), times_ns))
        parts = [
            _since_first(part.at(times)) for part in (self.rotation, self.translation) if part
        ]
        turned, moved = parts[0], parts[-1]
        if self.turns:
            return Pose(turned.rotation, moved.position)
        return Pose(np.broadcast_to(identity().rotation, turned.rotation.shape), moved.position)

    def trouble(self, begin_ns: int, end_ns: int) -> Reason | None:
        """Tell what is missing for a motion from `begin_ns` to `end_ns`, in either of both."""
        for part in (self.rotation, self.translation):
            reason = part.trouble(begin_ns, end_ns) if part else None
            if reason is not None:
                return reason
        return None


def _since_first(poses: Pose) -> Pose:
    """Poses 1 to k in pose 0; subtracted before they are turned, as coordinates may be large."""
    rotation, position = poses
    start = inverse(Pose(rotation[0], np.zeros(3)))
    return compose(start, Pose(rotation[1:], position[1:] - position[0]))
