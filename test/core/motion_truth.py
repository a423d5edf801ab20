# Copyright 2026 the robocache_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Motion that is known exactly, and Motion read literally: what the tests of motion compare with.

about_z(angle)               a quaternion
matrix(pose)                 4x4 float64, by scipy
apart(a, b)                  angle between rotations in radians, by scipy
body_at, sensor_at(path, times_ns, ...)   exact poses on a Path
moved(motion, values, xyz)   points [3, n] float32 as numerics rule 8 says, point by point
"""

from __future__ import annotations

import math

import numpy as np
from scipy.spatial.transform import Rotation

from robocache_ros.motion.pose import Pose
from robocache_ros.sim.path import place

f32 = np.float32


def about_z(angle):
    return (0.0, 0.0, math.sin(angle / 2), math.cos(angle / 2))


def pose(position, rotation=(0.0, 0.0, 0.0, 1.0)):
    return Pose(np.array(rotation, float), np.array(position, float))


def random_poses(n, seed):
    rng = np.random.default_rng(seed)
    rotation = Rotation.random(n, random_state=seed).as_quat()
    return Pose(rotation, rng.uniform(-10, 10, (n, 3)))


def matrix(one):
    found = np.eye(4)
    found[:3, :3] = Rotation.from_quat(one.rotation).as_matrix()
    found[:3, 3] = one.position
    return found


def apart(a, b):
    return (Rotation.from_quat(a) * Rotation.from_quat(b).inv()).magnitude()


def body_at(path, times_ns, mounted=(0.0, 0.0, 0.0)):
    """Poses [k] in the world of what is mounted upright on the platform."""
    t = np.asarray(times_ns) * 1e-9
    yaw = path.yaw(t)
    zero = np.zeros_like(yaw)
    rotation = np.stack([zero, zero, np.sin(yaw / 2), np.cos(yaw / 2)], axis=-1)
    return Pose(rotation, place(path.position(t), yaw, mounted).T.copy())


def moved(motion, values, xyz):
    """Numerics rule 8 for one point after the other."""
    last = f32(len(motion.segments)).item() * 2**22 - 1
    out = []
    for v, point in zip(values, np.asarray(xyz, f32).T, strict=True):
        u = (float(v) - motion.base) * motion.scale
        u = min(u, last) if u >= 0 else 0.0
        u = int(np.rint(u))
        m = motion.segments[u >> 22]
        w = f32(u & (2**22 - 1)) * f32(2.0**-22)
        out.append([row_of(m, r, w, point) for r in range(3)])
    return np.array(out, f32).T


def row_of(m, r, w, point):
    products = []
    for k in range(3):
        a, b, c = m[9 * k + 3 * r : 9 * k + 3 * r + 3]
        products.append((a * point[0] + b * point[1]) + c * point[2])
    turned = (products[0] + w * products[1]) + (w * w) * products[2]
    return turned + (m[27 + r] + w * m[30 + r])
