# Copyright 2026 the robocache_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Voxel grids of point clouds, sparse and dense: the specification (numerics rules 2 to 4)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from robocache_ros.backends.numpy_cap import cap
from robocache_ros.backends.numpy_cells import group, keys_in_box, locate
from robocache_ros.backends.numpy_channels import Channels
from robocache_ros.backends.numpy_fields import Fields
from robocache_ros.backends.workspace import Workspace
from robocache_ros.grid import MAX_POINTS, PointStats, SparseVoxels, VoxelSpec
from robocache_ros.samples import AnyArray, FloatArray

if TYPE_CHECKING:
    from robocache_ros.codec.cloud import CloudView

# Counting every cell is twice as fast as finding the occupied ones, up to this many per point.
_COUNTED_CELLS_PER_POINT = 24


def voxelize(work: Workspace, clouds: Sequence[CloudView], spec: VoxelSpec) -> SparseVoxels:
    """Occupied voxels of the clouds, merged in the order given."""
    points = locate(work, clouds, spec.grid, spec.max_points)
    cells = group(work, points, spec.grid)
    points, cells, over_cap = cap(work, points, cells, spec)
    fields = Fields(work, clouds, spec, points)
    channels = Channels(work, spec.grid, points, cells, fields)
    m = min(len(cells.index), spec.max_voxels)  # the lowest indices stay
    columns = {
        name: values[:m]
        for channel in spec.channels
        for name, values in zip(channel.columns, channels.compute(channel), strict=True)
    }
    total = sum(cloud.n for cloud in clouds)
    stats = PointStats(
        points=total,
        used=len(points),
        nonfinite=points.nonfinite,
        out_of_range=points.looked_at - len(points) - points.nonfinite - over_cap,
        over_limit=total - points.looked_at,
        over_cap=over_cap,
        voxels_over_limit=len(cells.index) - m,
        value_nonfinite=fields.nonfinite,
        value_range=fields.out_of_range,
        fields_missing=fields.missing,
        unseen_of=fields.unseen_of,
    )
    count = channels.count[:m].astype(np.uint32)
    return SparseVoxels(spec.grid, cells.index[:m], count, columns, stats)


def voxelize_dense(
    work: Workspace,
    clouds: Sequence[CloudView],
    spec: VoxelSpec,
    out: FloatArray | None = None,
) -> FloatArray:
    """
    All voxels of the clouds as a dense grid float32 [nz, ny, nx, C]; `max_voxels` is not applied.

    `out` is filled and returned where given. The same as `densify` of `voxelize`.
    """
    spec.check_dense()
    if spec.columns == ('count',) and not spec.max_points_per_voxel:
        points = locate(work, clouds, spec.grid, spec.max_points)
        if spec.grid.cells <= _COUNTED_CELLS_PER_POINT * len(points):
            keys = keys_in_box(work, points.t, (0, 0, 0), spec.grid)
            grid = _zeroed((*spec.grid.shape, 1), 'float32', out)
            grid.reshape(-1)[:] = np.bincount(keys, minlength=spec.grid.cells)
            return grid
    return densify(voxelize(work, clouds, replace(spec, max_voxels=MAX_POINTS)), 'float32', out)


def densify(voxels: SparseVoxels, dtype: str = 'float32', out: AnyArray | None = None) -> AnyArray:
    """
    Dense grid [nz, ny, nx, C] of sparse voxels; float32, or uint8 rounded and clipped to 0..255.

    Empty cells are 0, and so are occupied ones without a valid value. `out` is filled and returned
    where given.
    """
    if dtype not in ('float32', 'uint8'):
        raise ValueError(f"dense dtype must be float32 or uint8, got '{dtype}'")
    grid = _zeroed((*voxels.grid.shape, len(voxels.columns)), dtype, out)
    rows = np.empty((len(voxels), len(voxels.columns)), np.float32)
    for number, values in enumerate(voxels.columns.values()):
        rows[:, number] = values
    rows[np.isnan(rows)] = 0.0
    if dtype == 'uint8':
        np.clip(np.rint(rows, out=rows), 0.0, 255.0, out=rows)
    grid.reshape(-1, rows.shape[1])[voxels.index] = rows
    return grid


def check_out(shape: tuple[int, ...], dtype: str, out: AnyArray) -> None:
    """ValueError if a dense grid can not be written to `out`."""
    if out.shape != shape or out.dtype != dtype or not out.flags.c_contiguous:
        raise ValueError(
            f'out must be a contiguous {dtype} array of shape {shape}, '
            f'got {out.dtype} of shape {out.shape}'
        )


def _zeroed(shape: tuple[int, ...], dtype: str, out: AnyArray | None) -> AnyArray:
    if out is None:
        return np.zeros(shape, dtype)
    check_out(shape, dtype, out)
    out.fill(0)
    return out
