# Copyright 2026 the robocache_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Distances to whatever is next: those of a planar scan in equal sectors, or a single one."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from robocache_ros.codec.imu import LIMIT
from robocache_ros.reasons import Reason, Rejected
from robocache_ros.samples import Vector


def decode_scan(msg: Any, beams: int) -> Vector:
    """
    Vector of a sensor_msgs/LaserScan: float32 [beams] in metres, one group.

    Sector k holds the ranges from k·n // beams up to (k + 1)·n // beams of all n, and its value is
    the least of those within range_min .. range_max, both included: the next obstacle. Where none
    is, also for NaN and infinity, it is range_max. Raises Rejected for fewer ranges than sectors
    and for limits that are no finite interval.
    """
    least, greatest = _limits(float(msg.range_min), float(msg.range_max))
    ranges = np.asarray(msg.ranges, np.float32)
    n = len(ranges)
    if n < beams:
        raise Rejected(Reason.ARRAY_SHORT, f'ranges has {n} values, beams is {beams}')
    with np.errstate(invalid='ignore'):
        measured = (ranges >= least) & (ranges <= greatest)  # false for NaN
    first = np.arange(beams) * n // beams
    sectors = np.minimum.reduceat(np.where(measured, ranges, greatest), first)
    return Vector(sectors + np.float32(0), np.ones(1, np.bool_))  # no -0


def decode_range(msg: Any) -> Vector:
    """
    Vector of a sensor_msgs/Range: one float32 value in metres.

    +Inf means that nothing is within reach, and is max_range, as is what lies beyond it; -Inf
    means that something is too near to be measured, and is 0 (REP 117). Raises Rejected for NaN
    and for limits that are no finite interval.
    """
    _, greatest = _limits(float(msg.min_range), float(msg.max_range))
    distance = float(msg.range)
    if math.isnan(distance):
        raise Rejected(Reason.NONFINITE, f'range is {distance}')
    value = min(max(distance, 0.0), float(greatest))
    return Vector(np.array([value], np.float32) + np.float32(0), np.ones(1, np.bool_))


def _limits(least: float, greatest: float) -> tuple[np.float32, np.float32]:
    if not 0.0 <= least <= greatest < LIMIT or greatest == 0.0:  # true for NaN
        raise Rejected(Reason.RANGE_LIMITS, f'from {least} to {greatest}')
    return np.float32(least), np.float32(greatest)
