# Copyright 2026 the robocache_ros authors
# SPDX-License-Identifier: Apache-2.0
"""From the times of a cloud's points and the poses of its sensor to the motion of its points."""

from __future__ import annotations

from collections.abc import Callable

from robocache_ros.codec.cloud import Motion
from robocache_ros.codec.point_time import PointTimes
from robocache_ros.motion.pose import Pose
from robocache_ros.motion.segments import fit, knots
from robocache_ros.samples import IntArray


def motion_of(times: PointTimes, poses_at: Callable[[IntArray], Pose]) -> Motion:
    """
    Motion that takes each point from the sensor at the point's time to one target frame.

    `poses_at` gives the poses [k] of the sensor in the target frame at times int64 [k] ns, none
    before the first point and none after the last.
    """
    begin_ns, knot_times = knots(times.first_ns, times.last_ns)
    base = times.zero + (begin_ns - times.zero_ns) / times.scale
    return Motion(times.field, times.scale, base, fit(poses_at(knot_times), knot_times))
