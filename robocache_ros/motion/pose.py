# Copyright 2026 the robocache_ros authors
# SPDX-License-Identifier: Apache-2.0
"""A pose: how a frame is turned and where it is, seen from another; one or a whole array."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from robocache_ros.backends.numpy_slerp import SIN, odd_series, squared_norm
from robocache_ros.motion.quaternion import Float64Array, Four, Three, conjugate, product, turn

_RADIANS = 2.0 * math.pi  # no more in one angle: what is more is meant as degrees


class Pose(NamedTuple):
    """
    The pose of a frame B in a frame A: p_A = rotation p_B + position.

    Leading axes are those of any array and broadcast; unit quaternions are x y z w.
    """

    rotation: Float64Array  # [..., 4], of unit length
    position: Float64Array  # [..., 3] metres

    @classmethod
    def of(cls, numbers: Sequence[float]) -> Pose:
        """
        Read 6 numbers x y z roll pitch yaw, or 7 numbers x y z qx qy qz qw.

        Angles are as in URDF, in radians about fixed axes: R = Rz(yaw) Ry(pitch) Rx(roll).
        Raises ValueError with a sentence.
        """
        given = np.array(numbers, np.float64)
        if given.shape not in ((6,), (7,)):
            raise ValueError(
                'a pose is 6 numbers x y z roll pitch yaw or 7 numbers x y z qx qy qz qw, '
                f'got {given.tolist()}'
            )
        if not np.isfinite(given).all():
            raise ValueError(f'the numbers of a pose must be finite, got {given.tolist()}')
        read = _from_angles if len(given) == 6 else _from_quaternion
        return cls(read(given[3:]), given[:3].copy())


def identity() -> Pose:
    """Return the pose of a frame in itself."""
    return Pose(np.array([0.0, 0.0, 0.0, 1.0]), np.zeros(3))


def compose(a: Pose, b: Pose) -> Pose:
    """Return the pose of C in A, of `a`: B in A, and `b`: C in B."""
    turned = turn(columns(a.rotation), vector(b.position))
    rotation = product(columns(a.rotation), columns(b.rotation))
    return Pose(np.stack(rotation, axis=-1), np.stack(turned, axis=-1) + a.position)


def inverse(a: Pose) -> Pose:
    """Return the pose of A in B, of B in A."""
    back = np.stack(conjugate(columns(a.rotation)), axis=-1)
    return Pose(back, -rotate(back, a.position))


def rotate(q: Float64Array, v: Float64Array) -> Float64Array:
    """Vectors [..., 3] turned by unit quaternions [..., 4]."""
    return np.stack(turn(columns(q), vector(v)), axis=-1)


def matrices(q: Float64Array) -> Float64Array:
    """Rotation matrices [..., 3, 3] of unit quaternions [..., 4]."""
    x, y, z, w = columns(q)
    rows = (
        (1.0 - 2.0 * (y * y + z * z), 2.0 * (x * y - z * w), 2.0 * (x * z + y * w)),
        (2.0 * (x * y + z * w), 1.0 - 2.0 * (x * x + z * z), 2.0 * (y * z - x * w)),
        (2.0 * (x * z - y * w), 2.0 * (y * z + x * w), 1.0 - 2.0 * (x * x + y * y)),
    )
    return np.stack([np.stack(row, axis=-1) for row in rows], axis=-2)


def turned(vectors: Float64Array) -> Float64Array:
    """Unit quaternions [..., 4] of turns about vectors [..., 3] by their lengths in radians."""
    x, y, z = vector(vectors)
    angle = np.sqrt((x * x + y * y) + z * z)
    half = 0.5 * angle
    half -= math.pi * np.rint(half / math.pi)  # half a turn more or less: the same rotation
    # sin(angle / 2) / angle has no value at 0; its limit is 1/2.
    still = angle == 0.0
    share = np.where(still, 0.5, odd_series(half, SIN) / np.where(still, 1.0, angle))
    quarter = odd_series(0.5 * half, SIN)
    return np.stack((share * x, share * y, share * z, 1.0 - 2.0 * quarter * quarter), axis=-1)


def columns(q: Float64Array) -> Four[Float64Array]:
    """Split quaternions [..., 4] into views x, y, z, w."""
    return q[..., 0], q[..., 1], q[..., 2], q[..., 3]


def vector(v: Float64Array) -> Three[Float64Array]:
    """Split vectors [..., 3] into views x, y, z."""
    return v[..., 0], v[..., 1], v[..., 2]


def _from_angles(angles: Float64Array) -> Float64Array:
    if np.abs(angles).max() > _RADIANS:
        raise ValueError(
            f'roll pitch yaw are radians, at most one turn each, got {angles.tolist()}'
        )
    about_x, about_y, about_z = turned(np.diag(angles))
    about_yx = product(columns(about_y), columns(about_x))
    return np.stack(product(columns(about_z), about_yx), axis=-1)


def _from_quaternion(q: Float64Array) -> Float64Array:
    norm = squared_norm(q)
    if not 0.5 <= norm <= 2.0:
        raise ValueError(f'the quaternion {q.tolist()} is not of unit length')
    unit: Float64Array = q / np.sqrt(norm)
    return unit
