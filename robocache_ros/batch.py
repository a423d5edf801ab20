# Copyright 2026 the robocache_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Streams as a caller has them, checked and brought into the one shape that backends take."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from robocache_ros.backends.numpy_half import widen
from robocache_ros.backends.numpy_slerp import squared_norm
from robocache_ros.interop import DeviceArray, check_place, is_bfloat16, on_host, view
from robocache_ros.resampling import RULES, Stream, stored_dtype
from robocache_ros.samples import AnyArray, IntArray

MAX_TIME_NS = 2**62  # differences of two such times always fit into int64
MAX_VALUE = 2.0**126  # b - a of two such values never overflows
_MAX_BITS = {'bfloat16': 0x7E80, 'float16': 0x7C00}  # 2^126, and infinity below that
_NORM2_RANGE = (0.5, 2.0)  # of a quaternion that is taken for one

BoolArray = npt.NDArray[np.bool_]


class Batch(NamedTuple):
    """Streams with one batch size and the targets of each sequence."""

    streams: tuple[Stream, ...]
    targets: IntArray  # [B, T]
    # Per stream [B, S]; None where every sample is, or where values are on a GPU.
    usable: tuple[BoolArray | None, ...]
    single: bool  # the caller gave one sequence without a batch axis

    @property
    def dropped(self) -> tuple[int, ...]:
        """Samples per stream that are not usable."""
        return tuple(0 if mask is None else int(np.count_nonzero(~mask)) for mask in self.usable)

    def on_host(self) -> Batch:
        """Return the same with all values on the host, so that unusable samples are found."""
        streams = [s._replace(values=on_host(s.values)) for s in self.streams]
        return make_batch(streams, self.targets)._replace(single=self.single)

    def sequence(self, b: int) -> tuple[Stream, ...]:
        """Streams of sequence `b` as a batch of one, without the samples that are not usable."""
        chosen = []
        for stream, mask in zip(self.streams, self.usable, strict=True):
            keep = slice(None) if mask is None else mask[b]
            times, values = stream.times[b][keep], stream.values[b][keep]
            chosen.append(stream._replace(times=times[None], values=values[None]))
        return tuple(chosen)


def make_batch(streams: Sequence[Stream], targets: npt.ArrayLike) -> Batch:
    """
    Check everything a backend takes for granted; ValueError with a sentence where it fails.

    Values on a GPU are left there, and whether they are finite to its backend.
    """
    if not streams:
        raise ValueError('no streams: at least one is needed')
    checked = [_checked(Stream(*stream), f'stream {k}') for k, stream in enumerate(streams)]
    singles = {stream.values.ndim == 2 for stream in checked}
    if len(singles) > 1:
        raise ValueError('some streams have a batch axis and some have none')
    single = singles.pop()
    sizes = {1 if single else len(stream.values) for stream in checked}
    if len(sizes) > 1:
        raise ValueError(f'streams of different batch sizes: {sorted(sizes)}')
    batch = sizes.pop()
    if batch == 0:
        raise ValueError('a batch of 0 sequences: at least one is needed')
    check_place([stream.values for stream in checked], 'values of streams')
    aim = _times(targets, 'targets')
    if single and aim.ndim != 1:
        raise ValueError(f'targets of shape {list(aim.shape)}: [T] for streams without batch axis')
    if aim.ndim == 2 and len(aim) != batch:
        raise ValueError(f'targets of shape {list(aim.shape)}: [T] or [{batch}, T] is needed')
    ready = tuple(_batched(stream, batch) for stream in checked)
    for k, stream in enumerate(ready):
        _check_increasing(stream.times, f'stream {k}')
    usable = tuple(_usable(stream) for stream in ready)
    return Batch(ready, _for_all(aim, batch), usable, single)


def _checked(stream: Stream, name: str) -> Stream:
    """Arrays of the right types and shapes; a batch axis is where the caller has one."""
    if stream.rule not in RULES:
        raise ValueError(f'{name}: rule {stream.rule!r} is not one of {", ".join(RULES)}')
    gap = stream.max_gap_ns
    if not isinstance(gap, (int, np.integer)) or not 0 <= gap < MAX_TIME_NS:
        raise ValueError(f'{name}: max_gap_ns = {gap} is not an integer in 0 .. 2^62')
    times = _times(stream.times, f'{name}: times')
    values = view(stream.values)
    if not isinstance(values, DeviceArray):
        values = _as_stored(values)
    kept = np.dtype(np.float32) if values.dtype == np.float64 else values.dtype
    named = 'bfloat16' if stream.dtype is None and is_bfloat16(stream.values) else stream.dtype
    try:
        stored = stored_dtype(np.empty(0, kept), named)
    except ValueError as error:
        raise ValueError(f'{name}: {error}') from None
    if values.ndim not in (2, 3) or times.shape not in (values.shape[:-1], values.shape[-2:-1]):
        raise ValueError(
            f'{name}: times {list(times.shape)} and values {list(values.shape)} do not fit: '
            '[S] and [S, D], or [B, S] and [B, S, D]'
        )
    if stream.rule == 'slerp' and values.shape[-1] != 4:
        raise ValueError(f'{name}: slerp needs 4 values x y z w, not {values.shape[-1]}')
    same: Any = values
    return stream._replace(times=times, values=same, dtype=stored)


def _as_stored(values: AnyArray) -> AnyArray:
    """float64 as float32, in the byte order of the machine and without -0."""
    if values.dtype == np.float64:
        with np.errstate(over='ignore'):  # infinite afterwards, and dropped as such
            values = values.astype(np.float32)
    if not values.dtype.isnative:
        values = values.astype(values.dtype.newbyteorder('='))
    if values.dtype == np.float32:
        values = values + np.float32(0.0)  # as the codec of the node has it
    return values


def _times(times: npt.ArrayLike, name: str) -> IntArray:
    array = on_host(times)
    if array.ndim not in (1, 2):
        raise ValueError(f'{name} of shape {list(array.shape)}: one or two axes are needed')
    if array.size == 0:
        return array.astype(np.int64)
    if array.dtype.kind not in 'iu':
        raise ValueError(f'{name} of type {array.dtype}: integer nanoseconds are needed')
    if array.min() <= -MAX_TIME_NS or array.max() >= MAX_TIME_NS:
        raise ValueError(f'{name}: beyond 2^62 ns')
    return array.astype(np.int64, copy=False)


def _batched(stream: Stream, batch: int) -> Stream:
    values: Any = stream.values
    if values.ndim == 2:
        values = values.as_batch() if isinstance(values, DeviceArray) else values[None]
    return stream._replace(times=_for_all(stream.times, batch), values=values)


def _for_all(times: IntArray, batch: int) -> IntArray:
    """Times [B, S] from [S] that count for every sequence, or as they are."""
    return times if times.ndim == 2 else np.repeat(times[None], batch, axis=0)


def _check_increasing(times: IntArray, name: str) -> None:
    rising = times[:, 1:] > times[:, :-1]
    if not rising.all():
        row, k = np.argwhere(~rising)[0]
        raise ValueError(
            f'{name}: times of row {row} do not increase: {times[row, k]} ns, '
            f'then {times[row, k + 1]} ns (samples {k} and {k + 1})'
        )


def _usable(stream: Stream) -> BoolArray | None:
    """Samples [B, S] whose values are all finite and below 2^126; None where all are."""
    values: AnyArray = stream.values
    if isinstance(values, DeviceArray) or values.size == 0:
        return None
    if stream.rule == 'slerp':
        return _near_unit(stream)
    limit = _MAX_BITS.get(str(stream.dtype))
    if limit is not None:
        size = values.view(np.uint16) & np.uint16(0x7FFF)
        return None if size.max() < limit else np.all(size < limit, axis=2)
    # Two passes without a temporary; a NaN makes both false.
    if values.max() < MAX_VALUE and values.min() > -MAX_VALUE:
        return None
    fine: BoolArray = np.logical_and.reduce(np.abs(values) < MAX_VALUE, axis=2)
    return fine


def _near_unit(stream: Stream) -> BoolArray | None:
    """Samples [B, S] whose quaternion is near unit length, which no bad value is; None for all."""
    norm2 = squared_norm(widen(stream.values, str(stream.dtype)).astype(np.float64))
    near = (norm2 >= _NORM2_RANGE[0]) & (norm2 <= _NORM2_RANGE[1])
    return None if near.all() else near
