# Copyright 2026 the robocache_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Where one frame is in another: the truth of the simulator, with none of the code it judges."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]
Triple = tuple[float, float, float]
Angles = Triple  # roll, pitch, yaw, radians
Quaternion = tuple[float, float, float, float]


class Rigid(NamedTuple):
    """A rotation and a shift, one or N of them; points go in and come out as [..., 3] metres."""

    rotation: Array  # [..., 3, 3]
    position: Array  # [..., 3] metres

    def of(self, points: Array) -> Array:
        """Move points of the inner frame into the outer one."""
        return np.asarray((self.rotation @ points[..., None])[..., 0] + self.position)

    def then(self, inner: Rigid) -> Rigid:
        """Return where a frame is in the outer one that is at `inner` in ours."""
        return Rigid(self.rotation @ inner.rotation, self.of(inner.position))

    def inverse(self) -> Rigid:
        """Return where the outer frame is in the inner one."""
        back = np.swapaxes(self.rotation, -1, -2)
        return Rigid(back, -(back @ self.position[..., None])[..., 0])


def turned(yaw: float | Array) -> Array:
    """Rotations about z: [..., 3, 3] for radians [...]."""
    cos, sin = np.cos(yaw), np.sin(yaw)
    zero, one = np.zeros_like(cos), np.ones_like(cos)
    rows = [[cos, -sin, zero], [sin, cos, zero], [zero, zero, one]]
    return np.stack([np.stack(row, axis=-1) for row in rows], axis=-2)


def rotation_of(rpy: Angles) -> Array:
    """Rotation [3, 3] of roll, pitch, yaw as in URDF: about the fixed x, then y, then z."""
    x, y, z, w = quaternion_of(rpy)
    return np.array(
        [
            [1 - 2 * (y * y + z * z), 2 * (x * y - z * w), 2 * (x * z + y * w)],
            [2 * (x * y + z * w), 1 - 2 * (x * x + z * z), 2 * (y * z - x * w)],
            [2 * (x * z - y * w), 2 * (y * z + x * w), 1 - 2 * (x * x + y * y)],
        ]
    )


def quaternion_of(rpy: Angles) -> Quaternion:
    """Quaternion x y z w of roll, pitch, yaw."""
    (sr, cr), (sp, cp), (sy, cy) = ((math.sin(a / 2), math.cos(a / 2)) for a in rpy)
    return (
        sr * cp * cy - cr * sp * sy,
        cr * sp * cy + sr * cp * sy,
        cr * cp * sy - sr * sp * cy,
        cr * cp * cy + sr * sp * sy,
    )


def product(a: Quaternion, b: Quaternion) -> Quaternion:
    """Quaternion of the rotation b followed by the rotation a."""
    ax, ay, az, aw = a
    bx, by, bz, bw = b
    return (
        aw * bx + ax * bw + ay * bz - az * by,
        aw * by - ax * bz + ay * bw + az * bx,
        aw * bz + ax * by - ay * bx + az * bw,
        aw * bw - ax * bx - ay * by - az * bz,
    )
