# Copyright 2026 the robocache_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The core as plain functions on arrays: no ROS, no node, the same bits as on the robot."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt

from robocache_ros.backends import Backend, make_backend
from robocache_ros.batch import Batch, make_batch
from robocache_ros.grid import MAX_POINTS, Channel, Grid, SparseVoxels, VoxelSpec
from robocache_ros.points import as_cloud
from robocache_ros.resampling import DEFAULT_MAX_GAP_NS, DTYPES, Fused, Resampled, Stream
from robocache_ros.samples import AnyArray, FloatArray, IntArray

_local = threading.local()  # a backend owns workspaces: one for each thread


def voxelize(
    points: Any,
    *,
    voxel_size: float | Sequence[float],
    point_cloud_range: Sequence[float],
    channels: Sequence[str] = ('count',),
    fields: Sequence[str] | None = None,
    dense: bool = False,
    max_points: int = MAX_POINTS,
    max_voxels: int = MAX_POINTS,
    resolutions: Mapping[str, float] | None = None,
    backend: str = 'auto',
) -> SparseVoxels | FloatArray:
    """
    Voxels of points: the occupied ones, or with `dense` a grid float32 [nz, ny, nx, C].

    `points`: array [N, 3+] of x, y, z (m) and the columns named by `fields`, a tuple or mapping of
    columns, a structured array, or a PointCloud2 message. `voxel_size` in metres, one number or
    three; `point_cloud_range` [x y z min, x y z max]; `channels`: count, occupancy, centroid,
    mean_F, min_F, max_F, sum_F with F any field. Points outside are left out and counted in
    `.stats`; of more than `max_points` the first ones are used, of more than `max_voxels` those
    with the lowest indices stay (a dense grid has all). `resolutions`: steps in which a field is
    summed, powers of two; default 1 for integers and 2^-18 for floats.
    Dense: count has to be a channel; empty cells and voxels without a valid value are 0.
    Raises ValueError, or Rejected for a malformed message.
    """
    cloud = as_cloud(points, fields)
    spec = VoxelSpec(
        Grid.from_range(voxel_size, point_cloud_range),
        tuple(Channel.parse(name) for name in channels),
        max_points,
        max_voxels,
        resolutions or {},
    )
    lacking = [name for name in spec.fields if not cloud.has(name)]
    if lacking:
        usable = [name for name in cloud.fields if cloud.has(name)]
        raise ValueError(
            f'channels {list(channels)} need the fields {lacking}; the points have {usable} '
            '(64-bit integers are times and no values)'
        )
    run = _backend(backend)
    return run.voxelize_dense([cloud], spec) if dense else run.voxelize([cloud], spec)


def resample(
    times: npt.ArrayLike,
    values: npt.ArrayLike,
    targets: npt.ArrayLike,
    *,
    rule: str = 'linear',
    max_gap_ns: int = DEFAULT_MAX_GAP_NS,
    dtype: str | None = None,
    out_dtype: str = 'float32',
    backend: str = 'auto',
) -> Resampled:
    """
    Values of one stream at the target times, by one of the rules of the node.

    `times` [B, S] integer ns, strictly increasing along S; `values` [B, S, D] float32, float64
    (rounded to float32), float16, or uint16 with `dtype='bfloat16'`; `targets` [B, T] integer ns
    in any order. `times` and `targets` without a batch axis count for every sequence; with
    `values` [S, D] the results have no batch axis either.

    `rule`: linear, slerp (x y z w), hold or nearest. Outside the samples, and in gaps over
    `max_gap_ns`, the nearest value is held and `valid` is False: never extrapolated, never NaN.
    Samples with a value that is not finite or 2^126 and more are left out whole and counted in
    `dropped`, as are quaternions with a squared norm outside 0.5 .. 2.
    `out_dtype`: float32, float16 or bfloat16 (uint16 bits), rounded to nearest even.
    Raises ValueError, naming stream and row, for anything that does not fit.
    """
    stream = Stream(
        _as_array(times), _as_array(values), rule=rule, max_gap_ns=max_gap_ns, dtype=dtype
    )
    batch = make_batch((stream,), targets)
    run = _backend(backend)
    _check_out_dtype(out_dtype)
    if batch.usable[0] is None:
        result = _resample(run, batch.streams[0], batch.targets, out_dtype)
    else:
        result = _resample_rows(run, batch, out_dtype)
    return _each_array(result, lambda array: array[0]) if batch.single else result


def fuse(
    streams: Sequence[Stream],
    targets: npt.ArrayLike,
    *,
    out_dtype: str = 'float32',
    backend: str = 'auto',
) -> Fused:
    """
    Several streams at the target times, side by side in one array [B, T, F].

    Each stream is what `resample` makes of it, to the bit; see there for what a `Stream`, or a
    plain tuple of its fields, may hold. Results have no batch axis where the streams have none.
    """
    batch = make_batch(streams, targets)
    run = _backend(backend)
    _check_out_dtype(out_dtype)
    if all(mask is None for mask in batch.usable):
        fused = run.fuse(batch.streams, batch.targets, out_dtype=out_dtype)
    else:
        rows = [
            run.fuse(batch.sequence(b), batch.targets[b : b + 1], out_dtype=out_dtype)
            for b in range(len(batch.targets))
        ]
        fused = _joined(rows)._replace(dropped=batch.dropped)
    return _each_array(fused, lambda array: array[0]) if batch.single else fused


def _resample(run: Backend, stream: Stream, targets: IntArray, out_dtype: str) -> Resampled:
    return run.resample(
        stream.times,
        stream.values,
        targets,
        stream.rule,
        stream.max_gap_ns,
        dtype=stream.dtype,
        out_dtype=out_dtype,
    )


def _resample_rows(run: Backend, batch: Batch, out_dtype: str) -> Resampled:
    """Row by row, because each has lost other samples; indices count the samples as given."""
    assert batch.usable[0] is not None
    rows = []
    for b, usable in enumerate(batch.usable[0]):
        row = _resample(run, batch.sequence(b)[0], batch.targets[b : b + 1], out_dtype)
        given = np.append(np.flatnonzero(usable), -1)  # index -1, no samples, stays what it is
        rows.append(row._replace(lower=given[row.lower], upper=given[row.upper]))
    return _joined(rows)._replace(dropped=batch.dropped[0])


_Result = TypeVar('_Result', Resampled, Fused)


def _each_array(result: _Result, change: Callable[[AnyArray], AnyArray]) -> _Result:
    arrays: dict[str, Any] = {
        k: change(v) for k, v in result._asdict().items() if isinstance(v, np.ndarray)
    }
    return result._replace(**arrays)


def _joined(rows: Sequence[_Result]) -> _Result:
    """Results of single sequences as those of a batch."""
    names = [k for k, v in rows[0]._asdict().items() if isinstance(v, np.ndarray)]
    arrays: dict[str, Any] = {k: np.concatenate([getattr(row, k) for row in rows]) for k in names}
    return rows[0]._replace(**arrays)


def _backend(name: str) -> Backend:
    known: dict[str, Backend] = _local.__dict__.setdefault('backends', {})
    if name not in known:
        known[name] = make_backend(name)[0]
    return known[name]


def _check_out_dtype(name: str) -> None:
    if name not in DTYPES:
        raise ValueError(f'out_dtype {name!r} is not one of {", ".join(DTYPES)}')


def _as_array(values: npt.ArrayLike) -> AnyArray:
    return np.asarray(values)
