# Copyright 2026 the robocache_ros authors
# SPDX-License-Identifier: Apache-2.0
"""An IMU in the origin of the platform: the derivatives of the path, plus bias and noise."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from robocache_ros.sim.config import ImuConfig
from robocache_ros.sim.path import GRAVITY, Path
from robocache_ros.sim.rigid import Quaternion, Triple, product, quaternion_of, rotation_of


class Motion(NamedTuple):
    """One measurement, in the frame of the IMU."""

    orientation: Quaternion  # x y z w, IMU in the world
    angular_velocity: Triple  # rad/s
    linear_acceleration: Triple  # m/s^2, what holds the platform up included


class Imu:
    """Measures the motion on a path."""

    def __init__(self, config: ImuConfig) -> None:
        self.config = config

    def measure(self, path: Path, t: float, random: np.random.Generator | None = None) -> Motion:
        """Measure at path time `t`; without a random generator, with no noise but the bias."""
        yaw = float(path.yaw(t))
        ax, ay, _ = path.acceleration(t).tolist()
        cos, sin = math.cos(yaw), math.sin(yaw)
        gyro = (0.0, 0.0, float(path.yaw_rate(t)))
        accel = (cos * ax + sin * ay, cos * ay - sin * ax, GRAVITY)
        orientation = (0.0, 0.0, math.sin(yaw / 2), math.cos(yaw / 2))
        if any(self.config.rpy):
            gyro, accel = self._into_imu(gyro), self._into_imu(accel)
            orientation = product(orientation, quaternion_of(self.config.rpy))
        gyro = _add(gyro, self.config.gyro_bias)
        if random is not None:
            noise = random.standard_normal(6).tolist()
            gyro = _add(gyro, noise[:3], self.config.gyro_noise)
            accel = _add(accel, noise[3:], self.config.accel_noise)
        return Motion(orientation, gyro, accel)

    def _into_imu(self, vector: Triple) -> Triple:
        x, y, z = (rotation_of(self.config.rpy).T @ vector).tolist()
        return x, y, z


def _add(exact: Triple, error: Sequence[float], scale: float = 1.0) -> Triple:
    x, y, z = (a + scale * b for a, b in zip(exact, error, strict=True))
    return x, y, z
