# Copyright 2026 the robocache_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Where the platform is: an ellipse driven at constant parameter speed, exact at every time."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]
GRAVITY = 9.80665  # m/s^2, standard gravity

_ARC_STEPS = 4096


@dataclass(frozen=True)
class Path:
    """
    A closed path in the ground plane, z up, once around the origin every `loop_sec`.

    Times are float64 seconds, scalar or [N], of any size: the path repeats for ever. Vectors are
    [3] or [3, N] in the world frame. With `turns` 1 the platform looks along the path; every
    further turn spins it once more per loop. Semi axes (0, 0) with 0 turns stand still.
    """

    semi_axes: tuple[float, float]  # metres
    loop_sec: float
    turns: int = 1

    def __post_init__(self) -> None:
        a, b = self.semi_axes
        if (a > 0) != (b > 0) or min(a, b) < 0:
            raise ValueError(f'semi_axes {self.semi_axes} must both be positive, or both be 0')
        if not self.loop_sec > 0:
            raise ValueError(f'loop_sec {self.loop_sec} must be positive')

    @property
    def _rate(self) -> float:
        return 2.0 * math.pi / self.loop_sec

    def position(self, t: float | Array) -> Array:
        """Metres."""
        a, b = self.semi_axes
        angle = self._rate * np.asarray(t)
        return np.stack([a * np.cos(angle), b * np.sin(angle), 0.0 * angle])

    def velocity(self, t: float | Array) -> Array:
        """Metres per second."""
        a, b = self.semi_axes
        angle, w = self._rate * np.asarray(t), self._rate
        return np.stack([-a * w * np.sin(angle), b * w * np.cos(angle), 0.0 * angle])

    def acceleration(self, t: float | Array) -> Array:
        """Metres per second squared, without gravity."""
        return -(self._rate**2) * self.position(t)

    def yaw(self, t: float | Array) -> Array:
        """Radians, continuous: grows by `turns` turns every loop and never wraps."""
        a, b = self.semi_axes
        angle = self._rate * np.asarray(t)
        # The heading of the ellipse is that of the circle, angle + pi/2, plus this small part.
        sway = np.arctan2(
            (a - b) * np.sin(angle) * np.cos(angle),
            a * np.sin(angle) ** 2 + b * np.cos(angle) ** 2,
        )
        return np.asarray(self.turns * angle + math.pi / 2.0 + sway)

    def yaw_rate(self, t: float | Array) -> Array:
        """Radians per second, the derivative of `yaw`."""
        a, b = self.semi_axes
        angle, w = self._rate * np.asarray(t), self._rate
        if a == 0.0:
            return np.asarray(self.turns * w + 0.0 * angle)
        heading_rate = a * b * w / ((a * np.sin(angle)) ** 2 + (b * np.cos(angle)) ** 2)
        return np.asarray((self.turns - 1) * w + heading_rate)

    def distance(self, t: float | Array) -> Array:
        """Metres driven since time 0 (an elliptic integral: a table, good to 1e-6 m)."""
        t = np.asarray(t)
        loops = np.floor(t / self.loop_sec)
        times, metres = self._arc_table
        return np.asarray(loops * metres[-1] + np.interp(t - loops * self.loop_sec, times, metres))

    @cached_property
    def _arc_table(self) -> tuple[Array, Array]:
        times = np.linspace(0.0, self.loop_sec, _ARC_STEPS + 1, dtype=np.float64)
        speed = np.hypot(*self.velocity(times)[:2])
        steps = 0.5 * (speed[1:] + speed[:-1]) * (self.loop_sec / _ARC_STEPS)
        return times, np.concatenate([[0.0], np.cumsum(steps)])


def place(position: Array, yaw: float | Array, mounted: tuple[float, float, float]) -> Array:
    """Where a point of the platform is in the world: [3] or [3, N] metres."""
    x, y, z = mounted
    cos, sin = np.cos(yaw), np.sin(yaw)
    return position + np.stack([cos * x - sin * y, sin * x + cos * y, z + 0.0 * cos])
