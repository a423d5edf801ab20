# Copyright 2026 the robocache_ros authors
# SPDX-License-Identifier: Apache-2.0
"""A pinhole camera: one ray per pixel, coloured by the surface it meets."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from robocache_ros.sim.config import CameraConfig
from robocache_ros.sim.path import Path, place
from robocache_ros.sim.world import World


class Camera:
    """
    A camera that looks along the platform's x axis; all pixels are exposed at one instant.

    The optical frame has z ahead, x right, y down; pixel (u, v) has its centre at (u, v).
    """

    def __init__(self, config: CameraConfig) -> None:
        self.config = config
        self.focal = config.width / 2.0  # pixels; 90 degrees from edge to edge
        self.center = ((config.width - 1) / 2.0, (config.height - 1) / 2.0)
        right = (np.arange(config.width) - self.center[0]) / self.focal
        down = (np.arange(config.height) - self.center[1]) / self.focal
        left, up = np.meshgrid(-right, -down)
        rays = np.stack([np.ones_like(left), left, up]).reshape(3, -1)
        self._rays = (rays / np.sqrt((rays**2).sum(axis=0))).astype(np.float32)

    def render(self, world: World, path: Path, t: float) -> npt.NDArray[np.uint8]:
        """Image uint8 [height, width, 3], red green blue, at path time `t`."""
        return np.take(world.colors, self.surfaces(world, path, t), axis=0)

    def surfaces(self, world: World, path: Path, t: float) -> npt.NDArray[np.int16]:
        """The number of the surface that each pixel sees: [height, width], see world.py."""
        yaw = path.yaw(t)
        origin = place(path.position(t), yaw, self.config.position).astype(np.float32)
        cos, sin = np.float32(np.cos(yaw)), np.float32(np.sin(yaw))
        ahead, left, up = self._rays
        rays = np.stack([cos * ahead - sin * left, sin * ahead + cos * left, up])
        surface = world.cast(origin[:, None], rays).surface
        return surface.reshape(self.config.height, self.config.width)

    def project(self, points: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        """Pixel coordinates u, v and the depth of points [3, N] given in the optical frame."""
        x, y, z = points
        u, v = (self.focal * c / z + m for c, m in zip((x, y), self.center, strict=True))
        return np.stack([u, v, z])
