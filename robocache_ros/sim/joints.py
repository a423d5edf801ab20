# Copyright 2026 the robocache_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Joints of the platform: wheels that roll as far as it drives, an arm that swings."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from robocache_ros.sim.path import Path

WHEEL_RADIUS = 0.15  # metres
TRACK = 0.6  # metres between the wheels
# name, amplitude in radians, frequency in Hz, phase in radians
ARM = (('shoulder', 0.6, 0.5, 0.0), ('elbow', 0.4, 0.75, 1.0))
NAMES = ('wheel_left', 'wheel_right', *(name for name, *_ in ARM))


class JointValues(NamedTuple):
    """Radians and radians per second, in the order of NAMES."""

    position: tuple[float, ...]
    velocity: tuple[float, ...]


def joints_at(path: Path, t: float) -> JointValues:
    """All joints at path time `t`, exact: velocity is the derivative of position."""
    driven, speed = float(path.distance(t)), float(np.hypot(*path.velocity(t)[:2]))
    turned, turning = float(path.yaw(t) - path.yaw(0.0)), float(path.yaw_rate(t))
    position, velocity = [], []
    for side in (-TRACK / 2, TRACK / 2):  # the outer wheel of a turn goes further
        position.append((driven + side * turned) / WHEEL_RADIUS)
        velocity.append((speed + side * turning) / WHEEL_RADIUS)
    for _, amplitude, frequency, phase in ARM:
        rate = 2.0 * math.pi * frequency
        position.append(amplitude * math.sin(rate * t + phase))
        velocity.append(amplitude * rate * math.cos(rate * t + phase))
    return JointValues(tuple(position), tuple(velocity))
