# Copyright 2026 the robocache_ros authors
# SPDX-License-Identifier: Apache-2.0
"""An odometry message as one vector, and its pose with all the digits it was sent with."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from robocache_ros.codec.imu import LIMIT
from robocache_ros.reasons import Reason, Rejected
from robocache_ros.samples import Vector


def decode_odometry(msg: Any) -> Vector:
    """
    Vector of a nav_msgs/Odometry: thirteen float32 values in four groups, and the exact pose.

    Position x y z in metres and orientation x y z w in the frame of the header; linear velocity in
    m/s and angular velocity in rad/s about the axes of the child frame. Raises Rejected where a
    value is not finite or the orientation is no rotation: a pose is one thing.
    """
    place, turn = msg.pose.pose.position, msg.pose.pose.orientation
    moving, turning = msg.twist.twist.linear, msg.twist.twist.angular
    position, linear, angular = (
        (float(v.x), float(v.y), float(v.z)) for v in (place, moving, turning)
    )
    x, y, z, w = float(turn.x), float(turn.y), float(turn.z), float(turn.w)
    values = (*position, x, y, z, w, *linear, *angular)
    if not all(math.isfinite(value) and abs(value) < LIMIT for value in values):
        raise Rejected(Reason.NONFINITE, f'pose and twist are {values}')
    norm2 = (x * x + y * y) + (z * z + w * w)
    if not 0.5 <= norm2 <= 2.0:
        raise Rejected(Reason.BAD_POSE, f'the orientation is {(x, y, z, w)}')
    norm = math.sqrt(norm2)
    pose = np.array((*position, x / norm, y / norm, z / norm, w / norm))
    return Vector(np.array(values, np.float32) + np.float32(0), np.ones(4, np.bool_), pose=pose)
