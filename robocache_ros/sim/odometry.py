# Copyright 2026 the robocache_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Odometry: where the platform is in the world and how fast it moves, with noise if asked for."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from robocache_ros.sim.config import OdometryConfig
from robocache_ros.sim.path import Path
from robocache_ros.sim.rigid import Quaternion, Triple


class OdometryValues(NamedTuple):
    """One measurement."""

    position: Triple  # metres, in the world
    orientation: Quaternion  # x y z w, platform in the world
    linear: Triple  # m/s, in the frame of the platform
    angular: Triple  # rad/s, in the frame of the platform


class Odometry:
    """Measures pose and twist on a path; the world is the frame that does not move."""

    def __init__(self, config: OdometryConfig) -> None:
        self.config = config

    def measure(
        self, path: Path, t: float, random: np.random.Generator | None = None
    ) -> OdometryValues:
        """Measure at path time `t`; without a random generator, exactly."""
        config = self.config
        dx, dy, turned, ahead, left, turning = (
            [0.0] * 6 if random is None else random.standard_normal(6).tolist()
        )
        x, y, z = path.position(t).tolist()
        vx, vy, _ = path.velocity(t).tolist()
        yaw = float(path.yaw(t))
        cos, sin = math.cos(yaw), math.sin(yaw)
        half = (yaw + config.yaw_noise * turned) / 2
        noise = config.twist_noise
        return OdometryValues(
            (x + config.position_noise * dx, y + config.position_noise * dy, z),
            (0.0, 0.0, math.sin(half), math.cos(half)),
            (cos * vx + sin * vy + noise * ahead, cos * vy - sin * vx + noise * left, 0.0),
            (0.0, 0.0, float(path.yaw_rate(t)) + noise * turning),
        )
