# Copyright 2026 the robocache_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The motion of a sweep in segments: polynomials short enough to be right to a hair."""

from __future__ import annotations

import numpy as np

from robocache_ros.codec.cloud import SEGMENT_BITS, SEGMENT_NUMBERS
from robocache_ros.motion.pose import Pose, matrices
from robocache_ros.samples import FloatArray, IntArray


def knots(first_ns: int, last_ns: int) -> tuple[int, IntArray]:
    """
    Return the begin of the segments that hold `first_ns` to `last_ns`, and the times to fit at.

    Times int64 [2 S + 1]: begin, middle and end of each segment. The last segment is fitted up
    to `last_ns` only: what happens later is not known when a sweep has just ended.
    """
    if last_ns < first_ns:
        raise ValueError(f'the last point, {last_ns}, is before the first, {first_ns}')
    segments = ((last_ns - first_ns) >> SEGMENT_BITS) + 1
    times = first_ns + (np.arange(2 * segments + 1, dtype=np.int64) << (SEGMENT_BITS - 1))
    times[-1] = last_ns
    times[-2] = (times[-3] + last_ns) // 2
    return first_ns, times


def fit(poses: Pose, times: IntArray) -> FloatArray:
    """
    Segments float32 [S, 33], see `Motion`, of poses [2 S + 1] at the times of `knots`.

    The matrix is the parabola through begin, middle and end; the position is linear.
    """
    matrix = matrices(poses.rotation).reshape(-1, 9)
    begin, middle, end = matrix[:-1:2], matrix[1::2], matrix[2::2]
    at_begin, at_end = poses.position[:-1:2], poses.position[2::2]
    lengths = np.maximum(times[2::2] - times[:-1:2], 1)  # 0 where all points are at one time
    w = (lengths / (1 << SEGMENT_BITS))[:, None]  # at the end: 1, but in the last segment
    half, whole = middle - begin, end - begin
    segments = np.empty((len(begin), SEGMENT_NUMBERS), np.float32)
    segments[:, 0:9] = begin
    segments[:, 9:18] = (4.0 * half - whole) / w
    segments[:, 18:27] = (2.0 * whole - 4.0 * half) / (w * w)
    segments[:, 27:30] = at_begin
    segments[:, 30:33] = (at_end - at_begin) / w
    return segments
