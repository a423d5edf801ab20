# Copyright 2026 the robocache_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Measurements as messages: plain objects with the attributes of sensor_msgs, without ROS."""

from __future__ import annotations

from array import array
from types import SimpleNamespace
from typing import Any

import numpy as np
import numpy.typing as npt

from robocache_ros.sim.imu import Motion
from robocache_ros.sim.joints import NAMES, JointValues
from robocache_ros.sim.lidar import POINT, Sweep

_DATATYPES = {'<f4': 7, '<u2': 4}  # PointField.FLOAT32, PointField.UINT16


def header(stamp_ns: int, frame_id: str) -> SimpleNamespace:
    """std_msgs/Header."""
    sec, nanosec = divmod(stamp_ns, 1_000_000_000)
    return SimpleNamespace(stamp=SimpleNamespace(sec=sec, nanosec=nanosec), frame_id=frame_id)


def cloud_body(sweep: Sweep) -> dict[str, Any]:
    """Everything of a sensor_msgs/PointCloud2 but its header; the bytes are copied once, here."""
    fields = [
        SimpleNamespace(name=name, offset=field[1], datatype=_DATATYPES[field[0].str], count=1)
        for name, field in (POINT.fields or {}).items()
    ]
    count = len(sweep.points)
    return {
        'height': 1,
        'width': count,
        'fields': fields,
        'is_bigendian': False,
        'point_step': POINT.itemsize,
        'row_step': POINT.itemsize * count,
        'data': _bytes(sweep.points),
        'is_dense': True,
    }


def image_body(image: npt.NDArray[np.uint8]) -> dict[str, Any]:
    """Everything of a sensor_msgs/Image but its header, from [height, width, 3]."""
    height, width, channels = image.shape
    return {
        'height': height,
        'width': width,
        'encoding': 'rgb8',
        'is_bigendian': 0,
        'step': width * channels,
        'data': _bytes(image),
    }


def imu_body(motion: Motion, gyro_noise: float, accel_noise: float) -> dict[str, Any]:
    """Everything of a sensor_msgs/Imu but its header."""
    x, y, z, w = motion.orientation
    return {
        'orientation': SimpleNamespace(x=x, y=y, z=z, w=w),
        'orientation_covariance': np.zeros(9),
        'angular_velocity': _vector(motion.angular_velocity),
        'angular_velocity_covariance': np.eye(3).ravel() * gyro_noise**2,
        'linear_acceleration': _vector(motion.linear_acceleration),
        'linear_acceleration_covariance': np.eye(3).ravel() * accel_noise**2,
    }


def joints_body(values: JointValues) -> dict[str, Any]:
    """Everything of a sensor_msgs/JointState but its header; effort is not measured."""
    return {
        'name': list(NAMES),
        'position': array('d', values.position),
        'velocity': array('d', values.velocity),
        'effort': array('d'),
    }


def _vector(values: tuple[float, float, float]) -> SimpleNamespace:
    x, y, z = values
    return SimpleNamespace(x=x, y=y, z=z)


def _bytes(values: npt.NDArray[Any]) -> array[int]:
    """Copy into the one type that a message takes without converting it."""
    return array('B', values.tobytes())
