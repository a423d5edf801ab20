# Copyright 2026 the robocache_ros authors
# SPDX-License-Identifier: Apache-2.0
"""
Values of streams at target times: the specification of fusion (numerics rules 6 and 7).

At these sizes NumPy costs calls, not work: index arithmetic runs once over the rows of all
streams together, [N, B, T], and only the values are touched stream by stream.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from robocache_ros.backends.numpy_half import narrow, widen
from robocache_ros.backends.numpy_slerp import slerp
from robocache_ros.backends.workspace import Workspace
from robocache_ros.resampling import Fused, Resampled, Stream, columns_of, stored_dtype
from robocache_ros.samples import NEVER_SEEN_AGE_SEC, AnyArray, FloatArray, IntArray

_BoolArray = npt.NDArray[np.bool_]

_BETWEEN = ('linear', 'slerp')  # rules that look at two samples


class _Brackets(NamedTuple):
    """Which samples surround each target, for all N streams; arrays are [N, B, T]."""

    lower: IntArray  # sample before, as a row of the stream's values seen as [B * S, D]
    upper: IntArray  # sample after, or `lower` where one sample gives the result
    weight: FloatArray  # of `upper`, 0 where it is `lower`; of no meaning to hold and nearest
    valid: _BoolArray
    age: FloatArray


def resample(
    stream: Stream,
    targets: IntArray,
    *,
    out_dtype: str = 'float32',
    work: Workspace | None = None,
) -> Resampled:
    """
    Resample one stream to `targets` int64 [B, T].

    Times increase strictly, values are finite and below 2^126: the caller has seen to it.
    `valid` is False outside the samples and in gaps over `max_gap_ns`, where the nearest sample
    is held; without samples, values are zeros (slerp: the identity) and age 3600.
    """
    found = _find_brackets((stream,), targets)
    out = np.empty((*targets.shape, stream.values.shape[2]), np.float32)
    _blend(work or Workspace(), stream, found.lower[0], found.upper[0], found.weight[0], out)
    lower = _within_row(found.lower[0], stream.times)
    upper = _within_row(found.upper[0], stream.times)
    return Resampled(narrow(out, out_dtype), found.valid[0], found.age[0], lower, upper)


def fuse(
    streams: Sequence[Stream],
    targets: IntArray,
    *,
    out_dtype: str = 'float32',
    work: Workspace | None = None,
) -> Fused:
    """
    Resample streams of a batch to `targets` int64 [B, T] and lay their values side by side.

    Each stream is what `resample` makes of it, to the bit.
    """
    found = _find_brackets(streams, targets)
    columns = columns_of(streams)
    out = np.empty((*targets.shape, columns[-1].stop), np.float32)
    work = work or Workspace()
    for k, stream in enumerate(streams):
        part = out[..., columns[k]]
        _blend(work, stream, found.lower[k], found.upper[k], found.weight[k], part)
    valid = np.ascontiguousarray(found.valid.transpose(1, 2, 0))
    age = np.ascontiguousarray(found.age.transpose(1, 2, 0))
    return Fused(narrow(out, out_dtype), valid, age, columns, (0,) * len(streams))


def _find_brackets(streams: Sequence[Stream], targets: IntArray) -> _Brackets:
    """Search all streams for all targets, and settle what the rules make of what was found."""
    # A stream without samples is searched as one with a sample at 0; _blend knows better.
    rows = [
        s.times if s.times.shape[1] else np.zeros((len(targets), 1), np.int64) for s in streams
    ]
    lower, first, last = _search(rows, targets)
    times = np.concatenate([t.reshape(-1) for t in rows])
    t0 = times.take(lower, mode='clip')
    dt = targets - t0  # [N, B, T]; negative before the first sample
    upper = lower + (dt > 0)
    np.minimum(upper, last, out=upper)
    gap = times.take(upper, mode='clip')
    gap -= t0  # 0 on an exact hit and outside the samples
    narrow = gap <= np.array([s.max_gap_ns for s in streams], np.int64)[:, None, None]
    # As unsigned numbers a negative dt is the largest of all: one compare for 0 <= dt <= gap.
    valid = dt.view(np.uint64) <= gap.view(np.uint64)
    valid &= narrow
    weight = (dt / np.maximum(gap, 1)).astype(np.float32)
    weight *= valid
    age = (dt / 1e9).astype(np.float32)
    lower -= first
    upper -= first
    found = _Brackets(lower, upper, weight, valid, age)
    all_narrow = bool(narrow.all())
    for k, stream in enumerate(streams):
        if stream.times.shape[1] == 0:
            valid[k], age[k] = False, NEVER_SEEN_AGE_SEC
        elif not (all_narrow and stream.rule in _BETWEEN):
            _settle(stream, found, k, dt[k], gap[k])
    return found


def _search(rows: Sequence[IntArray], targets: IntArray) -> tuple[IntArray, IntArray, IntArray]:
    """
    Last sample at or before each target, else the first of its row, with all rows end to end.

    Returns the samples [N, B, T], the first one of each stream [N, 1, 1] and the last one of each
    row [N, B, 1], all as indices into the times of all streams together.
    """
    batch, count = targets.shape
    lower = np.empty((len(rows), batch, count), np.int64)
    starts = []
    start = 0
    for k, times in enumerate(rows):
        for b in range(batch):
            # Without its first time, a row counts the samples after it: never below 0.
            lower[k, b] = times[b, 1:].searchsorted(targets[b], 'right')
            starts.append(start)
            start += times.shape[1]
    starts.append(start)
    begin = np.array(starts, np.int64)
    lower += begin[:-1].reshape(-1, batch, 1)
    return lower, begin[:-1:batch, None, None], begin[1:].reshape(-1, batch, 1) - 1


def _settle(stream: Stream, found: _Brackets, k: int, dt: IntArray, gap: IntArray) -> None:
    """Make the one sample that gives the result both `lower` and `upper`, where only one does."""
    lower, upper = found.lower[k], found.upper[k]
    nearer = np.minimum(dt, gap - dt)
    nearest = np.where(dt > nearer, upper, lower)  # the earlier one when tied
    if stream.rule == 'hold':
        upper[...] = lower
        np.less_equal(dt.view(np.uint64), np.uint64(stream.max_gap_ns), out=found.valid[k])
    elif stream.rule == 'nearest':
        inside = dt.view(np.uint64) <= gap.view(np.uint64)
        np.logical_and(inside, nearer <= stream.max_gap_ns, out=found.valid[k])
        lower[...] = nearest
        upper[...] = nearest
    else:
        wide = gap > stream.max_gap_ns
        np.copyto(lower, nearest, where=wide)
        np.copyto(upper, nearest, where=wide)


def _blend(
    work: Workspace,
    stream: Stream,
    lower: IntArray,
    upper: IntArray,
    weight: FloatArray,
    out: FloatArray,
) -> None:
    """Values [B, T, D] between the samples `lower` and `upper` [B, T]: a + w * (b - a)."""
    if stream.times.shape[1] == 0:
        out[...] = (0.0, 0.0, 0.0, 1.0) if stream.rule == 'slerp' else 0.0
        return
    batch, samples, width = stream.values.shape
    rows: AnyArray = stream.values.reshape(batch * samples, width)
    dtype = stored_dtype(rows, stream.dtype)
    if len(rows) < 2 * lower.size:  # widen each sample once rather than each time it is used
        rows, dtype = widen(rows, dtype), 'float32'
    a = widen(_gather(work, 'a', rows, lower), dtype)
    if stream.rule not in _BETWEEN:
        out[...] = a
        return
    b = widen(_gather(work, 'b', rows, upper), dtype)
    if stream.rule == 'slerp':
        out[...] = slerp(a.reshape(-1, 4), b.reshape(-1, 4), weight.reshape(-1)).reshape(a.shape)
        return
    b -= a
    b *= weight[..., None]
    np.add(a, b, out=out)


def _gather(work: Workspace, name: str, rows: AnyArray, index: IntArray) -> AnyArray:
    """Rows [n, D] at `index` [B, T] in scratch memory [B, T, D]."""
    shape = (*index.shape, rows.shape[1])
    buffer = work.array(name, index.size * rows.shape[1], rows.dtype).reshape(shape)
    # Indices are right by construction; 'clip' only spares the copy that checking them costs.
    return rows.take(index, axis=0, out=buffer, mode='clip')


def _within_row(index: IntArray, times: IntArray) -> IntArray:
    """Indices along S from those into [B * S]; -1 where there are no samples."""
    batch, samples = times.shape
    if samples == 0:
        return np.full_like(index, -1)
    if batch > 1:
        index -= np.arange(0, batch * samples, samples)[:, None]
    return index
