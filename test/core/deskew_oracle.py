# Copyright 2026 the robocache_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Deskew one point at a time, every product and sum written out; and motions to try it with."""

from __future__ import annotations

import math

import numpy as np

from robocache_ros.codec.cloud import Motion

F32 = np.float32
SEGMENT_NS = 4_194_304


def segment(m0=None, m1=None, m2=None, t0=(0, 0, 0), dt=(0, 0, 0)):
    """Numbers of one segment; without matrices nothing turns."""
    m0 = np.eye(3) if m0 is None else m0
    m1, m2 = (np.zeros((3, 3)) if m is None else m for m in (m1, m2))
    return np.concatenate([np.ravel(part) for part in (m0, m1, m2, t0, dt)]).astype(F32)


def motion(*segments, field='time', scale=1.0, base=0.0):
    """Motion of these segments, times in ns unless told."""
    return Motion(field, scale, base, np.array(segments, F32).reshape(-1, 33))


def some_motion(count, seed=0, **fields):
    """Motion of `count` segments of a robot that turns and drives, all numbers different."""
    rng = np.random.default_rng(seed)
    segments = [
        segment(
            np.eye(3) + rng.uniform(-0.5, 0.5, (3, 3)),
            rng.uniform(-0.02, 0.02, (3, 3)),
            rng.uniform(-0.001, 0.001, (3, 3)),
            rng.uniform(-1, 1, 3),
            rng.uniform(-0.1, 0.1, 3),
        )
        for _ in range(count)
    ]
    return motion(*segments, **fields)


def moved(points, times, motion):
    """Rows float32 [n, 3] of `points` [n, 3] at `times` [n] after the motion."""
    with np.errstate(all='ignore'):
        rows = [_moved(p, float(t), motion) for p, t in zip(points, times, strict=True)]
    return np.array(rows, F32).reshape(-1, 3)


def _moved(point, time, motion):
    u = (time - motion.base) * motion.scale
    last = len(motion.segments) * SEGMENT_NS - 1
    u = 0 if not u >= 0 else last if u > last else round(u)  # to even, as rint
    number, within = divmod(u, SEGMENT_NS)
    w = F32(math.ldexp(within, -22))
    numbers = motion.segments[number]
    m0, m1, m2 = numbers[:27].reshape(3, 3, 3)
    t0, dt = numbers[27:30], numbers[30:]
    x, y, z = (F32(value) for value in point)

    def row(m):
        return F32(F32(F32(m[0] * x) + F32(m[1] * y)) + F32(m[2] * z))

    ww = F32(w * w)
    return [
        F32(
            F32(F32(row(m0[r]) + F32(w * row(m1[r]))) + F32(ww * row(m2[r])))
            + F32(t0[r] + F32(w * dt[r]))
        )
        for r in range(3)
    ]
