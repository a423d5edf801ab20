# Copyright 2026 the robocache_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Voxels one point at a time, in fractions: slow, and nothing in it can be out of order."""

from __future__ import annotations

import math
from fractions import Fraction

import numpy as np

from robocache_ros.backends import make_backend
from robocache_ros.codec.cloud import CloudView
from robocache_ros.grid import MAX_POINTS, Channel, Grid, VoxelSpec

F32 = np.float32
NO_VALUE_BITS = 0x7FC00000
NO_VALUE = np.array(NO_VALUE_BITS, np.uint32).view(np.float32)
CHANNELS = ('count', 'occupancy', 'centroid', 'mean_v', 'min_v', 'max_v', 'sum_v')


def cloud(points, **fields):
    """View of points [(x, y, z), ...], float32 unless it is an array of another type."""
    rows = points if isinstance(points, np.ndarray) else np.array(points, F32).reshape(-1, 3)
    return CloudView.from_columns({'x': rows[:, 0], 'y': rows[:, 1], 'z': rows[:, 2], **fields})


def spec_of(grid, channels=CHANNELS, max_points=MAX_POINTS, max_voxels=MAX_POINTS, **resolutions):
    parsed = tuple(Channel.parse(name) for name in channels)
    return VoxelSpec(grid, parsed, max_points, max_voxels, resolutions)


def voxelize(clouds, grid, channels=CHANNELS, **limits):
    """Voxels of one cloud or several, by a fresh NumPy backend."""
    clouds = [clouds] if isinstance(clouds, CloudView) else clouds
    return make_backend('numpy').voxelize(clouds, spec_of(grid, channels, **limits))


def unit_grid(n=4):
    """n cells of 1 m along each axis, from 0."""
    return Grid.from_range(1.0, [0, 0, 0, n, n, n])


def bits(values):
    """Every array as bytes, so that comparison is to the bit."""
    arrays = {'index': values.index, 'n': values.count, **values.columns}
    return {name: (str(array.dtype), array.tobytes()) for name, array in arrays.items()}


def cell_of(point, grid):
    """Cell (ix, iy, iz) and float32 coordinates t of a point, None if it is outside."""
    cell, coords = [], []
    for p, low, size, n in zip(point, grid.origin, grid.size, grid.dims, strict=True):
        with np.errstate(all='ignore'):
            t = (F32(p) - F32(low)) * F32(1.0 / size)
        if not (t >= 0 and t < F32(n)):
            return None
        cell.append(math.floor(t))
        coords.append(t)
    return tuple(cell), coords


def expected(points, values, grid, resolution):
    """Index -> columns, for finite `values` (Python numbers) whose steps stay below 2^35."""
    members = {}
    for point, value in zip(points, values, strict=True):
        found = cell_of(point, grid)
        if found is not None:
            (ix, iy, iz), t = found
            index = (iz * grid.dims[1] + iy) * grid.dims[0] + ix
            members.setdefault(index, []).append((found[0], t, value))
    return {index: _columns(points, grid, resolution) for index, points in sorted(members.items())}


def _columns(members, grid, resolution):
    n = len(members)
    columns = {'count': n, 'occupancy': F32(1)}
    for axis, name in enumerate('xyz'):
        cell = members[0][0][axis]
        fractions = [Fraction(float(t[axis])) - cell for _, t, _ in members]
        steps = sum(math.floor(fraction * 2**20) for fraction in fractions)
        center = cell + (float(steps) / float(n) + 0.5) / 2.0**20
        columns[f'centroid_{name}'] = F32(grid.origin[axis] + center * grid.size[axis])
    values = [value for _, _, value in members]
    # round() of a fraction goes to the nearest even one, as rint does
    steps = sum(round(Fraction(value) / Fraction(resolution)) for value in values)
    columns['mean_v'] = F32(float(steps) / float(n) * resolution)
    columns['min_v'] = F32(min(values)) + F32(0)  # never -0
    columns['max_v'] = F32(max(values)) + F32(0)
    columns['sum_v'] = F32(float(steps) * resolution)
    return columns


def assert_equal(voxels, wanted):
    """Compare voxels with what `expected` says, to the bit."""
    assert voxels.index.tolist() == list(wanted)
    for name, column in voxels.columns.items():
        right = np.array([columns[name] for columns in wanted.values()], column.dtype)
        assert column.tobytes() == right.tobytes(), name
