# Copyright 2026 the robocache_ros authors
# SPDX-License-Identifier: Apache-2.0
"""
Quaternions as four columns x y z w, each a number or an array: one formula serves both.

No math library, so that bits agree anywhere; the series are those of the fusion.
"""

from __future__ import annotations

import math
from typing import TypeVar

import numpy as np
import numpy.typing as npt

from robocache_ros.backends.numpy_slerp import ATAN, SIN, odd_series

Float64Array = npt.NDArray[np.float64]
Number = TypeVar('Number', float, Float64Array)

Four = tuple[Number, Number, Number, Number]
Three = tuple[Number, Number, Number]


def product(a: Four[Number], b: Four[Number]) -> Four[Number]:
    """Turn by `b`, then by `a`."""
    ax, ay, az, aw = a
    bx, by, bz, bw = b
    return (
        (aw * bx + ax * bw) + (ay * bz - az * by),
        (aw * by + ay * bw) + (az * bx - ax * bz),
        (aw * bz + az * bw) + (ax * by - ay * bx),
        (aw * bw - ax * bx) - (ay * by + az * bz),
    )


def conjugate(q: Four[Number]) -> Four[Number]:
    """Turn back what the unit quaternion `q` turns."""
    x, y, z, w = q
    return -x, -y, -z, w


def turn(q: Four[Number], v: Three[Number]) -> Three[Number]:
    """Turn a vector by a unit quaternion."""
    x, y, z, w = q
    vx, vy, vz = v
    # t = 2 q x v, and then v + w t + q x t
    tx, ty, tz = y * vz - z * vy, z * vx - x * vz, x * vy - y * vx
    tx, ty, tz = tx + tx, ty + ty, tz + tz
    return (
        (vx + w * tx) + (y * tz - z * ty),
        (vy + w * ty) + (z * tx - x * tz),
        (vz + w * tz) + (x * ty - y * tx),
    )


def between(q0: Four[float], q1: Four[float], weight: float) -> Four[float]:
    """Interpolate two quaternions: `slerp_columns` for one, to the bit, at the cost of one."""
    x0, y0, z0, w0 = q0
    x1, y1, z1, w1 = q1
    if (x0 * x1 + y0 * y1) + (z0 * z1 + w0 * w1) < 0.0:
        x1, y1, z1, w1 = -x1, -y1, -z1, -w1
    ratio = _norm(x1 - x0, y1 - y0, z1 - z0, w1 - w0) / _norm(x1 + x0, y1 + y0, z1 + z0, w1 + w0)
    for _ in range(2):
        ratio = ratio / (1.0 + math.sqrt(1.0 + ratio * ratio))
    theta = 2.0 * (4.0 * odd_series(ratio, ATAN))
    a, b = 1.0 - weight, weight
    if theta != 0.0:
        a, b = odd_series(a * theta, SIN), odd_series(b * theta, SIN)
    x, y, z, w = a * x0 + b * x1, a * y0 + b * y1, a * z0 + b * z1, a * w0 + b * w1
    norm = _norm(x, y, z, w)
    return x / norm, y / norm, z / norm, w / norm


def _norm(x: float, y: float, z: float, w: float) -> float:
    return math.sqrt((x * x + y * y) + (z * z + w * w))
