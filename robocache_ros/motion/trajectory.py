# Copyright 2026 the robocache_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Poses over time, and whether they are enough to tell a motion."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from robocache_ros.backends.numpy_slerp import slerp_columns
from robocache_ros.motion.pose import Pose
from robocache_ros.reasons import Reason
from robocache_ros.samples import IntArray

MAX_SPEED = 150.0  # m/s; a robot that seems to be faster was put somewhere else


@dataclass(frozen=True, eq=False)
class Trajectory:
    """Poses of one frame in another at n times, and how far apart two may be to tell a motion."""

    times: IntArray  # [n] ns, strictly increasing
    pose: Pose  # [n]
    max_gap_ns: int
    max_speed: float = math.inf  # m/s along an axis; what is faster was set anew

    def __post_init__(self) -> None:
        if (self.times[1:] <= self.times[:-1]).any():
            raise ValueError('the times of a trajectory must increase')

    def at(self, times_ns: IntArray) -> Pose:
        """
        Poses [k] at `times_ns` int64 [k]: slerp and linear between samples, the ends are held.

        Says nothing about how good that is: see `trouble`.
        """
        last = len(self.times) - 1
        if last < 0:
            raise ValueError('a trajectory without samples has no poses')
        after = self.times.searchsorted(times_ns, side='right')
        lower = np.maximum(after - 1, 0)
        upper = np.minimum(after, last)
        gap = self.times[upper] - self.times[lower]  # 0 outside
        weight = (times_ns - self.times[lower]) / np.maximum(gap, 1)
        weight = np.where(gap > 0, weight, 0.0)
        rotation, position = self.pose
        turned = slerp_columns(rotation[lower].T, rotation[upper].T, weight)
        step = position[upper] - position[lower]
        return Pose(np.ascontiguousarray(turned.T), position[lower] + weight[:, None] * step)

    def trouble(self, begin_ns: int, end_ns: int) -> Reason | None:
        """
        Tell what is missing for a motion from `begin_ns` to `end_ns`.

        No samples, no sample at or after the end (yet), none at or before the begin, or two
        within that are too far apart, in time or for `max_speed`.
        """
        if not len(self.times):
            return Reason.MOTION_MISSING
        if self.times[-1] < end_ns:
            return Reason.MOTION_LATE
        needed = needed_samples(self.times, begin_ns, end_ns)
        steps_ns = np.diff(self.times[needed])
        if self.times[needed][0] > begin_ns or (steps_ns > self.max_gap_ns).any():
            return Reason.MOTION_GAP
        steps = np.abs(np.diff(self.pose.position[needed], axis=0)).max(axis=1, initial=0.0)
        if not (steps <= self.max_speed * 1e-9 * steps_ns).all():
            return Reason.MOTION_GAP
        return None


def needed_samples(times: IntArray, begin_ns: int, end_ns: int) -> slice:
    """
    Samples that decide about `begin_ns` to `end_ns`: those inside and one at or beyond each end.

    A motion made of them alone is the same whatever else is in the history.
    """
    first = int(times.searchsorted(begin_ns, side='right')) - 1
    last = int(times.searchsorted(end_ns, side='left'))
    return slice(max(first, 0), last + 1)
