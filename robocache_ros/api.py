# Copyright 2026 the robocache_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The core as plain functions on arrays: no ROS, no node, the same bits as on the robot."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt

from robocache_ros.backends import Backend, make_backend
from robocache_ros.backends.numpy_deskew import deskew as move_points
from robocache_ros.backends.workspace import Workspace
from robocache_ros.batch import Batch, make_batch
from robocache_ros.codec.cloud import Motion
from robocache_ros.grid import MAX_POINTS, Channel, Grid, SparseVoxels, VoxelSpec
from robocache_ros.interop import Kind, kind_of
from robocache_ros.points import as_cloud, kind_of_points
from robocache_ros.resampling import (
    DEFAULT_MAX_GAP_NS,
    DTYPES,
    Fused,
    Resampled,
    Stream,
    UnusableSamples,
)
from robocache_ros.samples import AnyArray, FloatArray

_Result = TypeVar('_Result', Resampled, Fused)

_local = threading.local()  # workspaces, and backends that own some: one for each thread


def voxelize(
    points: Any,
    *,
    voxel_size: float | Sequence[float],
    point_cloud_range: Sequence[float],
    channels: Sequence[str] = ('count',),
    fields: Sequence[str] | None = None,
    dense: bool = False,
    transform: npt.ArrayLike | None = None,
    motion: Motion | None = None,
    max_points: int = MAX_POINTS,
    max_voxels: int = MAX_POINTS,
    max_points_per_voxel: int = 0,
    seed: int = 0,
    resolutions: Mapping[str, float] | None = None,
    backend: str = 'auto',
) -> SparseVoxels | FloatArray:
    """
    Voxels of points: the occupied ones, or with `dense` a grid float32 [nz, ny, nx, C].

    `points`: array [N, 3+] of x, y, z (m) and the columns named by `fields`, a tuple or mapping of
    columns, a structured array, or a PointCloud2 message. `voxel_size` in metres, one number or
    three; `point_cloud_range` [x y z min, x y z max]; `channels`: count, occupancy, centroid,
    mean_F, min_F, max_F, sum_F, majority_F with F any field, and rgb, which packs the mean colour
    of r, g and b as viewers read it. Points outside are left out and counted in `.stats`; of more
    than `max_points` the first ones are used, of more than `max_voxels` those with the lowest
    indices stay (a dense grid has all). Of a voxel with more points than `max_points_per_voxel` a
    fair sample of so many is used, which depends on `seed` and on where the points are, not on
    their order; 0 uses all. `resolutions`: steps in which a field is summed, powers of two;
    default 1 for integers and 2^-18 for floats. `transform`: [4, 4], any affine map into the frame
    of the grid, rounded to float32; `motion` instead: see `deskew`.
    Dense: count has to be a channel; empty cells and voxels without a valid value are 0.

    Arrays may be NumPy's, torch's, CuPy's, or any that speak DLPack; they are read where they
    are, and results are of the same kind in the same place (torch: uint32 as int32). Arrays on a
    GPU that its backend can not take are copied to the CPU and the results back: the same bits.
    Raises ValueError, Rejected for a malformed message, and DeviceLost for arrays on a GPU that
    failed.
    """
    cloud = as_cloud(points, fields, transform, motion)
    kind = kind_of_points(points)
    spec = VoxelSpec(
        Grid.from_range(voxel_size, point_cloud_range),
        tuple(Channel.parse(name) for name in channels),
        max_points,
        max_voxels,
        resolutions or {},
        max_points_per_voxel,
        seed,
    )
    lacking = [name for name in spec.fields if not cloud.has(name)]
    if lacking:
        usable = [name for name in cloud.fields if cloud.has(name)]
        raise ValueError(
            f'channels {list(channels)} need the fields {lacking}; the points have {usable} '
            '(64-bit integers are times and no values)'
        )
    run = _backend(backend, kind.device_id)
    if dense:
        grid: FloatArray = kind.give(run.voxelize_dense([cloud], spec))
        return grid
    return _voxels_of_kind(run.voxelize([cloud], spec), kind)


def occupancy(
    points: Any,
    *,
    voxel_size: float | Sequence[float],
    point_cloud_range: Sequence[float],
    packed: bool = False,
    transform: npt.ArrayLike | None = None,
    motion: Motion | None = None,
    max_points: int = MAX_POINTS,
    backend: str = 'auto',
) -> AnyArray:
    """
    Cells with at least one point: uint8 [nz, ny, nx] of 0 and 1, of the kind of `points`.

    `packed`: uint8 [ceil(cells / 8)], the cell of linear index i (z-major, x fastest) in bit
    i % 8 of byte i // 8. The other arguments, and what is raised, as for `voxelize`.
    """
    cloud = as_cloud(points, None, transform, motion)
    kind = kind_of_points(points)
    grid = Grid.from_range(voxel_size, point_cloud_range)
    spec = VoxelSpec(grid, (Channel.parse('occupancy'),), max_points)
    run = _backend(backend, kind.device_id)
    cells: AnyArray = kind.give(run.occupancy([cloud], grid, spec.max_points, packed))
    return cells


def deskew(points: Any, motion: Motion, *, fields: Sequence[str] | None = None) -> Any:
    """
    Points moved each by its own time: x, y and z as float32 [N] each, in metres.

    What `voxelize` computes with `motion`, to the bit, for whoever needs the points themselves.
    `points` and `fields` as there; the field that the motion reads the time in is one of them.
    `motion_of` in `robocache_ros.motion.deskew` makes a `Motion` of the times of the points and
    the poses of the sensor. Computed on the CPU; results are of the kind of the points, in the
    same place.
    """
    cloud = as_cloud(points, fields, None, motion)
    kind = kind_of_points(points)
    x, y, z = cloud.xyz()
    move_points(_local.__dict__.setdefault('work', Workspace()), cloud, motion, (x, y, z))
    return kind.give(x), kind.give(y), kind.give(z)


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
    Arrays may be of any kind, as for `voxelize`; results are of the kind of `values`, with
    bfloat16 as itself in torch.
    Raises ValueError, naming stream and row, for anything that does not fit.
    """
    samples: Any = {'times': times, 'values': values}
    stream = Stream(**samples, rule=rule, max_gap_ns=max_gap_ns, dtype=dtype)
    batch = make_batch((stream,), targets)
    return _computed(_resample, batch, kind_of(values), out_dtype, backend)


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
    plain tuple of its fields, may hold. Results have no batch axis where the streams have none,
    and are of the kind of the first stream's values.
    """
    batch = make_batch(streams, targets)
    kind = kind_of(Stream(*streams[0]).values)
    return _computed(_fuse, batch, kind, out_dtype, backend)


def _computed(
    work: Callable[[Backend, Batch, str], _Result],
    batch: Batch,
    kind: Kind,
    out_dtype: str,
    backend: str,
) -> _Result:
    """Do the work where the arrays are, or on the host where samples are to be left out."""
    if out_dtype not in DTYPES:
        raise ValueError(f'out_dtype {out_dtype!r} is not one of {", ".join(DTYPES)}')
    run = _backend(backend, kind.device_id)
    try:
        result = work(run, batch, out_dtype)
    except UnusableSamples:
        result = work(run, batch.on_host(), out_dtype)
    return _of_kind(result, kind, batch.single)


def _resample(run: Backend, batch: Batch, out_dtype: str) -> Resampled:
    if batch.usable[0] is None:
        return run.resample(batch.streams[0], batch.targets, out_dtype=out_dtype)
    # Row by row, because each has lost other samples; indices count the samples as given.
    rows = []
    for b, usable in enumerate(batch.usable[0]):
        stream, targets = batch.sequence(b)[0], batch.targets[b : b + 1]
        row = run.resample(stream, targets, out_dtype=out_dtype)
        given = np.append(np.flatnonzero(usable), -1)  # index -1, no samples, stays what it is
        rows.append(row._replace(lower=given[row.lower], upper=given[row.upper]))
    return _joined(rows)._replace(dropped=batch.dropped[0])


def _fuse(run: Backend, batch: Batch, out_dtype: str) -> Fused:
    if all(mask is None for mask in batch.usable):
        return run.fuse(batch.streams, batch.targets, out_dtype=out_dtype)
    rows = [
        run.fuse(batch.sequence(b), batch.targets[b : b + 1], out_dtype=out_dtype)
        for b in range(len(batch.targets))
    ]
    return _joined(rows)._replace(dropped=batch.dropped)


def _voxels_of_kind(voxels: SparseVoxels, kind: Kind) -> SparseVoxels:
    columns = {name: kind.give(values) for name, values in voxels.columns.items()}
    index, count = kind.give(voxels.index), kind.give(voxels.count)
    return replace(voxels, index=index, count=count, columns=columns)


def _of_kind(result: _Result, kind: Kind, single: bool) -> _Result:
    """Arrays of the caller's kind, without batch axis where the caller has none."""
    arrays: dict[str, Any] = {
        name: kind.give(array[0] if single else array)
        for name, array in result._asdict().items()
        if hasattr(array, 'dtype')
    }
    return result._replace(**arrays)


def _joined(rows: Sequence[_Result]) -> _Result:
    """Results of single sequences as those of a batch."""
    names = [k for k, v in rows[0]._asdict().items() if isinstance(v, np.ndarray)]
    arrays: dict[str, Any] = {k: np.concatenate([getattr(row, k) for row in rows]) for k in names}
    return rows[0]._replace(**arrays)


def _backend(name: str, device_id: int | None) -> Backend:
    """Backend for arrays on the GPU `device_id`, or on the host; one for each thread."""
    if name == 'numpy' and device_id is not None:
        raise ValueError(
            f"backend 'numpy' computes on the CPU, and the arrays are on GPU {device_id}: "
            "use 'auto' or 'cuda', or bring them to the CPU"
        )
    known: dict[tuple[str, int], Backend] = _local.__dict__.setdefault('backends', {})
    key = name, device_id or 0
    if key not in known:
        known[key] = make_backend(*key, wait=name == 'cuda' or device_id is not None)
    return known[key]
