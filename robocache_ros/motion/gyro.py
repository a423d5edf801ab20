# Copyright 2026 the robocache_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Turn rates of a gyro: what they add up to, and what they say when nothing turns."""

from __future__ import annotations

import numpy as np

from robocache_ros.motion.pose import Pose, turned
from robocache_ros.motion.quaternion import Float64Array, product
from robocache_ros.motion.trajectory import Trajectory
from robocache_ros.samples import IntArray

MAX_RATE = 100.0  # rad/s; no gyro measures more
# Nothing turns: a bias of more is no gyro for this, noise of more than 6 sigma is a movement.
_MAX_BIAS = 0.05  # rad/s
_MAX_SPREAD = 0.03  # rad/s, between the least and the greatest
_MAX_DRIFT = 0.002  # rad/s, between the means of the first and the second half
_MIN_SPAN_NS = 1_000_000_000
_MAX_GAP_NS = 100_000_000
_STEP = 2.0**-32  # rad/s: sums are of integers, so that they do not depend on their order


def integrate(times: IntArray, rates: Float64Array, max_gap_ns: int) -> Trajectory:
    """
    Orientations of a body, relative to that at the first sample, from its turn rates.

    `times` int64 [n] ns, increasing; `rates` [n, 3] rad/s about the axes of the body, taken to be
    linear between the samples; one that no gyro can measure is left out. Positions are zero.
    """
    possible = (np.abs(rates) < MAX_RATE).all(axis=1)  # not so where it is NaN
    times, rates = times[possible], rates[possible].astype(np.float64)
    seconds = (np.diff(times) * 1e-9)[:, None]
    begin, end = rates[:-1], rates[1:]
    # The mean rate, and what is due to its turning on the way: fourth order in time.
    turns = seconds * (0.5 * (begin + end) + seconds * (_cross(begin, end) / 12.0))
    steps = np.zeros((4, len(times)))
    steps[3, :1] = 1.0
    steps[:, 1:] = turned(turns).T
    rotation = np.ascontiguousarray(_accumulated(steps).T)
    return Trajectory(times, Pose(rotation, np.zeros((len(times), 3))), max_gap_ns)


def standstill_bias(times: IntArray, rates: Float64Array) -> Float64Array | None:
    """
    Mean rates [3] rad/s over all samples if nothing turned in that time; None if that is open.

    `times` int64 [n] ns, at least one second without gaps; `rates` [n, 3] rad/s. A robot that
    turns evenly and slower than a bad gyro drifts looks just as one that stands.
    """
    if len(times) < 2 or times[-1] - times[0] < _MIN_SPAN_NS:
        return None
    if np.diff(times).max() > _MAX_GAP_NS or not np.abs(rates).max() < 1.0:
        return None
    spread = (rates.max(axis=0) - rates.min(axis=0)).max()
    middle = len(times) // 2
    mean, first, second = (_mean(part) for part in (rates, rates[:middle], rates[middle:]))
    drift = np.abs(first - second).max()
    quiet = spread <= _MAX_SPREAD and drift <= _MAX_DRIFT and np.abs(mean).max() <= _MAX_BIAS
    return mean if quiet else None


def _accumulated(q: Float64Array) -> Float64Array:
    """Products q0, q0 q1, q0 q1 q2 ... of columns [4, n], of unit length."""
    reach = 1
    while reach < q.shape[1]:  # each is the product of twice as many as the round before
        longer = product(tuple(q[:, :-reach]), tuple(q[:, reach:]))
        q = np.concatenate((q[:, :reach], longer), axis=1)
        reach *= 2
    x, y, z, w = q
    unit: Float64Array = q / np.sqrt((x * x + y * y) + (z * z + w * w))
    return unit


def _cross(a: Float64Array, b: Float64Array) -> Float64Array:
    (ax, ay, az), (bx, by, bz) = a.T, b.T
    return np.stack((ay * bz - az * by, az * bx - ax * bz, ax * by - ay * bx), axis=-1)


def _mean(rates: Float64Array) -> Float64Array:
    steps = np.rint(rates / _STEP).astype(np.int64)
    mean: Float64Array = steps.sum(axis=0, dtype=np.int64) / len(rates) * _STEP
    return mean
