# Copyright 2026 the robocache_ros authors
# SPDX-License-Identifier: Apache-2.0
"""An IMU message as one vector: orientation, angular velocity, linear acceleration."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from robocache_ros.reasons import Reason, Rejected
from robocache_ros.samples import Vector

LIMIT = 2.0**126  # differences of two such values still fit in float32

NO_ORIENTATION = (0.0, 0.0, 0.0, 1.0)
_NO_VALUES = (0.0, 0.0, 0.0)


def decode_imu(msg: Any) -> Vector:
    """
    Vector of a sensor_msgs/Imu: ten float32 values in three groups.

    Orientation x y z w; angular velocity x y z in rad/s; linear acceleration x y z in m/s2. A
    group whose covariance begins with -1 is not measured: it is invalid and its values are
    neutral. An orientation that is no rotation is invalid as well, and noted. Raises Rejected
    where a measured rate or acceleration is not finite.
    """
    orientation, has_orientation, notes = _orientation(msg)
    rate, has_rate = _triple(msg, 'angular_velocity')
    acceleration, has_acceleration = _triple(msg, 'linear_acceleration')
    values = np.array((*orientation, *rate, *acceleration), np.float32)
    values += 0.0  # no -0
    return Vector(values, np.array((has_orientation, has_rate, has_acceleration)), notes)


def _orientation(msg: Any) -> tuple[tuple[float, ...], bool, Mapping[Reason, int]]:
    if not _measured(msg.orientation_covariance):
        return NO_ORIENTATION, False, {}
    q = msg.orientation
    x, y, z, w = float(q.x), float(q.y), float(q.z), float(q.w)
    if not is_rotation(x, y, z, w):
        return NO_ORIENTATION, False, {Reason.BAD_QUATERNION: 1}
    return (x, y, z, w), True, {}


def is_rotation(x: float, y: float, z: float, w: float) -> bool:
    """Whether a quaternion is near unit length; false for NaN."""
    return 0.5 <= (x * x + y * y) + (z * z + w * w) <= 2.0


def _measured(covariance: Any) -> bool:
    return len(covariance) == 0 or float(covariance[0]) != -1.0


def _triple(msg: Any, name: str) -> tuple[tuple[float, ...], bool]:
    if not _measured(getattr(msg, f'{name}_covariance')):
        return _NO_VALUES, False
    vector = getattr(msg, name)
    values = (float(vector.x), float(vector.y), float(vector.z))
    if not all(math.isfinite(value) and abs(value) < LIMIT for value in values):
        raise Rejected(Reason.NONFINITE, f'{name} is {values}')
    return values, True
