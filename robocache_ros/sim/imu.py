# Copyright 2026 the robocache_ros authors
# SPDX-License-Identifier: Apache-2.0
"""An IMU in the origin of the platform: the derivatives of the path, plus noise."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from robocache_ros.sim.config import ImuConfig
from robocache_ros.sim.path import GRAVITY, Path

Triple = tuple[float, float, float]


class Motion(NamedTuple):
    """One measurement, in the frame of the platform."""

    orientation: tuple[float, float, float, float]  # x y z w, platform in the world
    angular_velocity: Triple  # rad/s
    linear_acceleration: Triple  # m/s^2, what holds the platform up included


class Imu:
    """Measures the motion on a path."""

    def __init__(self, config: ImuConfig) -> None:
        self.config = config

    def measure(self, path: Path, t: float, random: np.random.Generator | None = None) -> Motion:
        """Measure at path time `t`; without a random generator, exactly."""
        yaw = float(path.yaw(t))
        ax, ay, _ = path.acceleration(t).tolist()
        cos, sin = math.cos(yaw), math.sin(yaw)
        gyro = (0.0, 0.0, float(path.yaw_rate(t)))
        accel = (cos * ax + sin * ay, cos * ay - sin * ax, GRAVITY)
        if random is not None:
            noise = random.standard_normal(6).tolist()
            gyro = _add(gyro, noise[:3], self.config.gyro_noise)
            accel = _add(accel, noise[3:], self.config.accel_noise)
        return Motion((0.0, 0.0, math.sin(yaw / 2), math.cos(yaw / 2)), gyro, accel)


def _add(exact: Triple, noise: list[float], deviation: float) -> Triple:
    x, y, z = (a + deviation * b for a, b in zip(exact, noise, strict=True))
    return x, y, z
