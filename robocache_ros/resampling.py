# Copyright 2026 the robocache_ros authors
# SPDX-License-Identifier: Apache-2.0
"""What goes into resampling and what comes out: the vocabulary every backend shares."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import accumulate
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from robocache_ros.samples import AnyArray, FloatArray, IntArray

RULES = ('linear', 'slerp', 'hold', 'nearest')
DTYPES = ('float32', 'float16', 'bfloat16')

DEFAULT_MAX_GAP_NS = 200_000_000

_STORED = {np.dtype(np.float32): 'float32', np.dtype(np.float16): 'float16'}


class Stream(NamedTuple):
    """
    Samples of one stream for a batch of B sequences, and how to resample them.

    From the functions of the package, values that are on a GPU are a DeviceArray, with a dtype.
    """

    times: IntArray  # [B, S] int64 ns, strictly increasing along S
    values: AnyArray  # [B, S, D] float32, float16, or uint16 holding the bits of bfloat16
    rule: str = 'linear'  # one of RULES; slerp needs D = 4, x y z w
    max_gap_ns: int = DEFAULT_MAX_GAP_NS
    dtype: str | None = None  # 'bfloat16' where values are uint16, else implied by values


class UnusableSamples(Exception):  # noqa: N818 - no error: the caller brings them to the host
    """Values on a device have, or may have, samples to be left out, which is for the host."""


class Resampled(NamedTuple):
    """One stream at the target times, and which samples it was made of."""

    values: AnyArray  # [B, T, D] float32; or float16, or uint16 bits of bfloat16, as asked for
    valid: npt.NDArray[np.bool_]  # [B, T]
    age: FloatArray  # [B, T] s since the newest sample at or before the target
    lower: IntArray  # [B, T] index along S of the first sample used, -1 without samples
    upper: IntArray  # [B, T] index along S of the last sample used; lower where only one is
    dropped: int = 0  # samples left out as unusable before resampling


class Fused(NamedTuple):
    """Several streams at the target times, side by side."""

    values: AnyArray  # [B, T, F] with F the sum of all D; dtype as of Resampled
    valid: npt.NDArray[np.bool_]  # [B, T, N], one column per stream
    age: FloatArray  # [B, T, N] s
    columns: tuple[slice, ...]  # columns of each stream in values
    dropped: tuple[int, ...]  # per stream, samples left out as unusable before resampling


def columns_of(streams: Sequence[Stream]) -> tuple[slice, ...]:
    """Columns of each stream where their values lie side by side."""
    ends = list(accumulate((stream.values.shape[2] for stream in streams), initial=0))
    return tuple(slice(*pair) for pair in zip(ends[:-1], ends[1:], strict=True))


def stored_dtype(values: npt.NDArray[Any], dtype: str | None) -> str:
    """Name of what `values` store, one of DTYPES; raises ValueError for anything else."""
    stored = _STORED.get(values.dtype)  # native byte order only
    if dtype == 'bfloat16' and values.dtype == np.uint16:
        stored = dtype
    if stored is None or dtype not in (None, stored):
        raise ValueError(
            f'values of type {values.dtype} with dtype={dtype!r}: use float32, float16, '
            "or uint16 with dtype='bfloat16'"
        )
    return stored
