# Copyright 2026 the robocache_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Points moved each by its own time, which undoes the motion during a sweep (numerics rule 8)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from robocache_ros.backends.workspace import Workspace
from robocache_ros.codec.cloud import SEGMENT_BITS, CloudView, Motion
from robocache_ros.samples import AnyArray, FloatArray, IntArray

_NS = 1 << SEGMENT_BITS  # of a segment
_BLOCK = 2**15  # points whose intermediate results stay near the core
# A run of points in one segment costs as much as to gather about this many points by segment.
_POINTS_PER_RUN = 1024


def deskew(
    work: Workspace, cloud: CloudView, motion: Motion, points: Sequence[FloatArray]
) -> None:
    """
    Move x, y and z, float32[n] of the first n points of a cloud, in place.

    With u the time of a point in the motion, s = u >> 22 its segment, w = (u mod 2^22) * 2^-22
    and M0 .. dT the numbers of s, each in float32 and in this order:
    p' = ((M0 p + w * M1 p) + (w * w) * M2 p) + (T0 + w * dT), M p = (m0 * x + m1 * y) + m2 * z.
    """
    n = len(points[0])
    if n == 0:
        return
    segment, w = _moments(work, cloud, motion, n)
    starts = _run_starts(segment)
    if len(starts) <= len(motion.segments) + n // _POINTS_PER_RUN:
        for number, block in _blocks(segment[starts], starts, n):
            columns = [column[block] for column in points]
            _move(work, columns, w[block], motion.segments[number])
        return
    order, numbers, starts = _by_segment(segment, starts)
    for number, block in _blocks(numbers, starts, n):
        where = order[block]
        *columns, own_w = (
            column.take(where, out=work.array(f'own{k}', len(where), np.float32), mode='clip')
            for k, column in enumerate((*points, w))
        )
        _move(work, columns, own_w, motion.segments[number])
        for column, moved in zip(points, columns, strict=True):
            column[where] = moved


def _moments(
    work: Workspace, cloud: CloudView, motion: Motion, n: int
) -> tuple[IntArray, FloatArray]:
    """Segment of each point, an integer, and its w in 0 <= w < 1, float32; both [n]."""
    field = cloud.stored_dtype(motion.field)
    values = cloud.column(
        motion.field, out=work.array('time', n, field.newbyteorder('=')), limit=n
    )
    end = len(motion.segments) * _NS - 1
    # 32 bits, where they hold all times, take half as long.
    segment = work.array('segment', n, np.int32 if end < 2**31 else np.int64)
    w = work.array('w', n, np.float32)
    for low in range(0, n, _BLOCK):
        block = slice(low, min(low + _BLOCK, n))
        _split(work, values[block], motion, end, segment[block], w[block])
    return segment, w


def _split(
    work: Workspace, values: AnyArray, motion: Motion, end: int, segment: IntArray, w: FloatArray
) -> None:
    """Write segment and w of some points, from the values of their time."""
    u = work.array('u', len(values), np.float64)
    ns = work.array('ns', len(values), segment.dtype)
    np.copyto(u, values)
    with np.errstate(over='ignore', invalid='ignore'):
        u -= motion.base
        u *= motion.scale
        if not (u.min() >= 0 and u.max() <= end):
            np.fmax(u, 0.0, out=u)  # of a NaN and 0 it takes 0
            np.minimum(u, float(end), out=u)
    np.copyto(ns, np.rint(u, out=u), casting='unsafe')
    np.right_shift(ns, SEGMENT_BITS, out=segment)
    ns &= _NS - 1
    np.copyto(w, ns, casting='same_kind')  # exact, and so is the product
    w *= np.float32(1.0 / _NS)


def _run_starts(values: AnyArray) -> IntArray:
    """Where runs of equal values begin, ascending from 0."""
    return np.concatenate(([0], np.flatnonzero(values[1:] != values[:-1]) + 1))


def _by_segment(segment: IntArray, starts: IntArray) -> tuple[IntArray, IntArray, IntArray]:
    """
    Positions of all points, segment after segment, which segments there are, and their starts.

    Whole runs are sorted: of organised clouds there are far fewer of them than points.
    """
    numbers, lengths = segment[starts], np.diff(starts, append=len(segment))
    # By radix, as 16 bits are; of more segments those that share them may take turns.
    turn = np.argsort(numbers.astype(np.uint16), kind='stable')
    numbers, lengths = numbers[turn], lengths[turn]
    begins = np.cumsum(lengths, dtype=np.int64) - lengths
    order = np.repeat(starts[turn] - begins, lengths)
    order += np.arange(len(order))
    firsts = _run_starts(numbers)
    return order, numbers[firsts], begins[firsts]


def _blocks(numbers: IntArray, starts: IntArray, n: int) -> Iterator[tuple[int, slice]]:
    """Runs of points that begin at `starts`, each with its number, in blocks of bounded size."""
    ends = [*starts[1:].tolist(), n]
    for number, start, end in zip(numbers.tolist(), starts.tolist(), ends, strict=True):
        for low in range(start, end, _BLOCK):
            yield number, slice(low, min(low + _BLOCK, end))


def _move(
    work: Workspace, points: Sequence[FloatArray], w: FloatArray, numbers: FloatArray
) -> None:
    """Move points of one segment; all nine products M p at once, three rows of three matrices."""
    m = numbers[:27].reshape(3, 3, 3, 1)  # matrix, row, column
    shift, drift = numbers[27:30, None], numbers[30:, None]
    shape, size = (3, 3, len(w)), 9 * len(w)
    mp = work.array('mp', size, np.float32).reshape(shape)
    term = work.array('mp_term', size, np.float32).reshape(shape)
    with np.errstate(over='ignore', invalid='ignore'):  # points that are not finite are dropped
        np.multiply(points[0], m[:, :, 0], out=mp)
        for axis in (1, 2):
            mp += np.multiply(points[axis], m[:, :, axis], out=term)
        moved, linear, square = mp
        moved += np.multiply(linear, w, out=linear)
        square *= np.multiply(w, w, out=term[0, 0])
        moved += square
        translation = np.multiply(w, drift, out=term[0])
        translation += shift
        for column, row, offset in zip(points, moved, translation, strict=True):
            np.add(row, offset, out=column)
