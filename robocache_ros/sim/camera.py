# Copyright 2026 the robocache_ros authors
# SPDX-License-Identifier: Apache-2.0
"""A calibrated camera: one ray per pixel, coloured by the surface it meets."""

from __future__ import annotations

import io
import math
from typing import Any

import numpy as np
import numpy.typing as npt

from robocache_ros.sim.config import CameraConfig
from robocache_ros.sim.lens import EQUIDISTANT, Lens
from robocache_ros.sim.path import Path, place
from robocache_ros.sim.world import World

NOTHING = -1  # instead of a surface: the pixel lies beyond what the lens shows
BLACK, NO_LABEL = 0, 255  # the colour and the label of such a pixel
NO_PILLOW = 'camera.jpeg_quality needs Pillow: pip install pillow, or leave it at 0'


class Camera:
    """
    A camera that looks along the platform's x axis; all pixels are exposed at one instant.

    The optical frame has z ahead, x right, y down; pixel (u, v) has its centre at (u, v).
    """

    def __init__(self, config: CameraConfig) -> None:
        self.config = config
        self._pillow: Any = _pillow() if config.jpeg_quality else None
        half = math.radians(config.view_deg / 2)
        reach = half if config.distortion_model == EQUIDISTANT else math.tan(half)
        self.focal = round(config.width / 2.0 / reach, 9)  # pixels
        self.center = ((config.width - 1) / 2.0, (config.height - 1) / 2.0)
        self.lens = Lens(config.distortion_model, config.distortion)
        right = (np.arange(config.width) - self.center[0]) / self.focal
        down = (np.arange(config.height) - self.center[1]) / self.focal
        x, y, z = self.lens.undistort(np.stack(np.meshgrid(right, down)).reshape(2, -1))
        self._rays = np.stack([z, -x, -y]).astype(np.float32)  # ahead, left, up
        self._dark = np.isnan(z)
        self._rays[:, self._dark] = 1.0  # anything that is a number

    def render(self, world: World, path: Path, t: float) -> npt.NDArray[np.uint8]:
        """Image uint8 [height, width, 3], red green blue, at path time `t`."""
        return self.colored(world, self.surfaces(world, path, t))

    def colored(self, world: World, surfaces: npt.NDArray[np.int16]) -> npt.NDArray[np.uint8]:
        """Image uint8 [height, width, 3] of the surfaces that its pixels see."""
        image = np.take(world.colors, surfaces, axis=0)
        image[surfaces == NOTHING] = BLACK
        return image

    def labelled(self, world: World, surfaces: npt.NDArray[np.int16]) -> npt.NDArray[np.uint8]:
        """Image uint8 [height, width] of the classes of these surfaces, see world.LABELS."""
        image = np.take(world.labels, surfaces)
        image[surfaces == NOTHING] = NO_LABEL
        return image

    def surfaces(self, world: World, path: Path, t: float) -> npt.NDArray[np.int16]:
        """The number of the surface that each pixel sees: [height, width], see world.py."""
        yaw = path.yaw(t)
        origin = place(path.position(t), yaw, self.config.position).astype(np.float32)
        cos, sin = np.float32(np.cos(yaw)), np.float32(np.sin(yaw))
        ahead, left, up = self._rays
        rays = np.stack([cos * ahead - sin * left, sin * ahead + cos * left, up])
        surface = world.cast(origin[:, None], rays).surface
        surface[self._dark] = NOTHING
        return surface.reshape(self.config.height, self.config.width)

    def jpeg(self, image: npt.NDArray[np.uint8]) -> bytes:
        """Compress an image [height, width, 3] with the quality that is set."""
        out = io.BytesIO()
        self._pillow.fromarray(image).save(out, 'JPEG', quality=self.config.jpeg_quality)
        return out.getvalue()

    def project(self, points: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        """Pixel coordinates u, v and the depth z of points [3, N] given in the optical frame."""
        u, v = (
            self.focal * seen + middle
            for seen, middle in zip(self.lens.distort(points), self.center, strict=True)
        )
        return np.stack([u, v, points[2]])


def _pillow() -> Any:
    """Pillow's module of images; ValueError where it is not installed."""
    try:
        from PIL import Image
    except ImportError:
        raise ValueError(NO_PILLOW) from None
    return Image
