# Copyright 2026 the robocache_ros authors
# SPDX-License-Identifier: Apache-2.0
"""
A spinning LiDAR on the moving platform: each point is measured from where the platform is then.

So a sweep is smeared by the motion, as a real one is; `Sweep` keeps what is needed to undo it.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from robocache_ros.sim.config import LidarConfig
from robocache_ros.sim.path import Path, place
from robocache_ros.sim.rigid import rotation_of
from robocache_ros.sim.world import SKY, World

# 22 bytes without padding, the layout of common drivers.
POINT = np.dtype(
    [
        ('x', '<f4'),
        ('y', '<f4'),
        ('z', '<f4'),
        ('intensity', '<f4'),  # 0 to 255
        ('ring', '<u2'),  # 0 is the lowest
        ('time', '<f4'),  # seconds since the start of the sweep
    ]
)


@dataclass(frozen=True)
class Sweep:
    """N returns in firing order (azimuth by azimuth, ring 0 first) and the truth behind them."""

    start_sec: float  # on the path
    points: npt.NDArray[np.void]  # POINT [N], in the sensor frame at each point's own time
    range: npt.NDArray[np.float32]  # [N] metres
    surface: npt.NDArray[np.int16]  # [N] see world.py


class Lidar:
    """The beams of a LiDAR and how they meet the world."""

    def __init__(self, config: LidarConfig) -> None:
        self.config = config
        self.sweep_sec = 1.0 / config.rate_hz if config.rate_hz else 0.1
        self.elevation = np.radians(
            np.linspace(config.lowest_deg, config.highest_deg, config.rings)
        )
        step = np.arange(config.columns) / config.columns
        self.azimuth = (2.0 * step - 1.0) * np.pi  # from the rear, counter-clockwise
        self.time = step * self.sweep_sec

    def sweep(self, world: World, path: Path, start_sec: float) -> Sweep:
        """Measure one sweep that starts at path time `start_sec`."""
        t = start_sec + self.time
        yaw = path.yaw(t)
        origin = place(path.position(t), yaw, self.config.position).astype(np.float32)
        beams = self._beams_in_world(yaw)
        hits = world.cast(np.repeat(origin, self.config.rings, axis=1), beams)
        seen = np.flatnonzero((hits.surface != SKY) & (hits.distance <= self.config.max_range))
        distance, surface = hits.distance[seen], hits.surface[seen]
        column, ring = np.divmod(seen, self.config.rings)
        points = np.empty(len(seen), POINT)
        local = self._beams(self.azimuth)[:, seen] * distance
        points['x'], points['y'], points['z'] = local
        # The cosine of the incidence is the beam's part along the surface's normal.
        cosine = np.abs(beams[world.normal_axis[surface], seen])
        points['intensity'] = 255.0 * world.reflectivity[surface] * (0.25 + 0.75 * cosine)
        points['ring'] = ring
        points['time'] = self.time[column]
        return Sweep(start_sec, points, distance, surface)

    def _beams_in_world(self, yaw: npt.NDArray[np.float64]) -> npt.NDArray[np.float32]:
        """Unit vectors float32 [3, columns * rings] for the yaw of the platform at each column."""
        if not any(self.config.rpy):
            return self._beams(self.azimuth + yaw)
        local = self._beams(self.azimuth).astype(np.float64)
        ahead, left, up = rotation_of(self.config.rpy) @ local
        cos, sin = (np.repeat(f(yaw), self.config.rings) for f in (np.cos, np.sin))
        turned = np.stack([cos * ahead - sin * left, sin * ahead + cos * left, up])
        return turned.astype(np.float32)

    def _beams(self, azimuth: npt.NDArray[np.float64]) -> npt.NDArray[np.float32]:
        """Unit vectors float32 [3, columns * rings] for one azimuth per column."""
        level, up = np.cos(self.elevation), np.sin(self.elevation)
        x, y = np.outer(np.cos(azimuth), level), np.outer(np.sin(azimuth), level)
        z = np.broadcast_to(up, x.shape)
        return np.stack([x, y, z]).reshape(3, -1).astype(np.float32)
