# Copyright 2026 the robocache_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Measurements as messages: plain objects with the attributes of ROS messages, without ROS."""

from __future__ import annotations

from array import array
from types import SimpleNamespace
from typing import Any

import numpy as np
import numpy.typing as npt

from robocache_ros.sim.camera import Camera
from robocache_ros.sim.config import OdometryConfig
from robocache_ros.sim.imu import Motion
from robocache_ros.sim.joints import NAMES, JointValues
from robocache_ros.sim.odometry import OdometryValues

_DATATYPES = {'<u2': 4, '<u4': 6, '<f4': 7, '<f8': 8}  # of PointField


def header(stamp_ns: int, frame_id: str) -> SimpleNamespace:
    """std_msgs/Header."""
    sec, nanosec = divmod(stamp_ns, 1_000_000_000)
    return SimpleNamespace(stamp=SimpleNamespace(sec=sec, nanosec=nanosec), frame_id=frame_id)


def cloud_body(points: npt.NDArray[np.void]) -> dict[str, Any]:
    """Everything of a sensor_msgs/PointCloud2 but its header; the bytes are copied once, here."""
    fields = [
        SimpleNamespace(name=name, offset=field[1], datatype=_DATATYPES[field[0].str], count=1)
        for name, field in (points.dtype.fields or {}).items()
    ]
    count, step = len(points), points.dtype.itemsize
    return {
        'height': 1,
        'width': count,
        'fields': fields,
        'is_bigendian': False,
        'point_step': step,
        'row_step': step * count,
        'data': _bytes(points),
        'is_dense': True,
    }


def image_body(image: npt.NDArray[np.uint8]) -> dict[str, Any]:
    """Everything of a sensor_msgs/Image but its header: [height, width] or with 3 colours."""
    height, width = image.shape[:2]
    return {
        'height': height,
        'width': width,
        'encoding': 'rgb8' if image.ndim == 3 else 'mono8',
        'is_bigendian': 0,
        'step': image.strides[0],
        'data': _bytes(image),
    }


def compressed_body(jpeg: bytes) -> dict[str, Any]:
    """Everything of a sensor_msgs/CompressedImage but its header, as image_transport says it."""
    return {'format': 'rgb8; jpeg compressed bgr8', 'data': array('B', jpeg)}


def camera_info_body(camera: Camera) -> dict[str, Any]:
    """Everything of a sensor_msgs/CameraInfo but its header; P repeats K."""
    config, f, (cx, cy) = camera.config, camera.focal, camera.center
    whole = SimpleNamespace(x_offset=0, y_offset=0, height=0, width=0, do_rectify=False)
    return {
        'height': config.height,
        'width': config.width,
        'distortion_model': config.distortion_model,
        'd': array('d', config.distortion),
        'k': np.array([f, 0.0, cx, 0.0, f, cy, 0.0, 0.0, 1.0]),
        'r': np.eye(3).ravel(),
        'p': np.array([f, 0.0, cx, 0.0, 0.0, f, cy, 0.0, 0.0, 0.0, 1.0, 0.0]),
        'binning_x': 0,
        'binning_y': 0,
        'roi': whole,
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


def odometry_body(values: OdometryValues, config: OdometryConfig) -> dict[str, Any]:
    """Everything of a nav_msgs/Odometry but its header."""
    x, y, z, w = values.orientation
    place, angle, speed = (
        deviation**2 for deviation in (config.position_noise, config.yaw_noise, config.twist_noise)
    )
    pose = SimpleNamespace(
        position=_vector(values.position), orientation=SimpleNamespace(x=x, y=y, z=z, w=w)
    )
    twist = SimpleNamespace(linear=_vector(values.linear), angular=_vector(values.angular))
    return {
        'child_frame_id': config.child_frame_id,
        'pose': SimpleNamespace(pose=pose, covariance=_diagonal(place, place, angle)),
        'twist': SimpleNamespace(twist=twist, covariance=_diagonal(speed, speed, speed)),
    }


def _diagonal(x: float, y: float, yaw: float) -> npt.NDArray[np.float64]:
    """Covariance [36] of x, y, z, roll, pitch, yaw; what can not move is certain."""
    return np.diag([x, y, 0.0, 0.0, 0.0, yaw]).ravel()


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
