# Copyright 2026 the robocache_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Dense grids: layout, empty cells, rounding to uint8, and equality with the sparse ones."""

from __future__ import annotations

import numpy as np
import pytest
from voxel_oracle import CHANNELS, cloud, spec_of, unit_grid

from robocache_ros.backends.numpy_backend import NumpyBackend
from robocache_ros.grid import Grid

F32 = np.float32
NAN = float('nan')


def scan(points=3000, spread=2.5):
    rows = np.random.default_rng(2).uniform(-spread, spread, (points, 4)).astype(F32)
    rows[::7, 3] = NAN
    return cloud(rows[:, :3], v=rows[:, 3])


def test_layout_is_z_y_x_channel(backend, voxelize):
    grid = Grid.from_range(1.0, [0, 0, 0, 4, 3, 2])
    found = voxelize(cloud([(3.5, 2.5, 0.5)], v=np.array([7], F32)), grid, ['count', 'mean_v'])
    dense = backend.densify(found)
    assert dense.shape == (2, 3, 4, 2)
    assert dense.dtype == np.float32
    assert dense[0, 2, 3].tolist() == [1.0, 7.0]
    assert np.count_nonzero(dense) == 2


def test_every_column_of_a_channel_has_its_place(voxelize, backend):
    found = voxelize(cloud([(0.5, 0.5, 0.5)]), unit_grid(), ['count', 'centroid', 'occupancy'])
    assert backend.densify(found)[0, 0, 0].tolist() == [1.0, *[F32(0.5 + 2.0**-21)] * 3, 1.0]


def test_empty_cells_and_voxels_without_a_value_are_positive_zero(voxelize, backend):
    found = voxelize(cloud([(0.5, 0.5, 0.5)], v=np.array([NAN], F32)), unit_grid())
    dense = backend.densify(found)
    names = list(found.columns)
    assert dense[0, 0, 0, names.index('count')] == 1.0
    assert dense[0, 0, 0, names.index('mean_v')] == 0.0
    assert not np.signbit(dense).any()
    assert np.isfinite(dense).all()


def test_uint8_rounds_to_nearest_even_and_clips(voxelize, backend):
    values = np.array([0.5, 1.5, 254.5, 255.5, 1000.0, -3.0, NAN, 2.4], F32)
    points = [(i + 0.5, 0.5, 0.5) for i in range(8)]
    found = voxelize(cloud(points, v=values), unit_grid(8), ['count', 'mean_v'])
    dense = backend.densify(found, 'uint8')
    assert dense.dtype == np.uint8
    assert dense[0, 0, :, 1].tolist() == [0, 2, 254, 255, 255, 0, 0, 2]
    assert dense[0, 0, :, 0].tolist() == [1] * 8


@pytest.mark.parametrize('channels', [['count'], CHANNELS])
@pytest.mark.parametrize('points', [0, 1, 20, 5000])  # few and many per cell go different ways
def test_dense_is_the_sparse_result_spread_out(channels, points, backend):
    grid = Grid.from_range(0.25, [-2, -2, -2, 2, 2, 2])
    view, spec = scan(points), spec_of(grid, channels)
    found = backend.voxelize([view], spec)
    dense = backend.voxelize_dense([view], spec)
    assert dense.tobytes() == backend.densify(found).tobytes()
    assert dense.shape == (16, 16, 16, len(spec.columns))
    rows = dense.reshape(-1, dense.shape[3])
    occupied = rows[:, spec.columns.index('count')] > 0
    assert np.flatnonzero(occupied).tolist() == found.index.tolist()
    for name, column in found.columns.items():
        right = np.where(np.isnan(column), 0, column).astype(F32)
        assert rows[occupied, spec.columns.index(name)].tobytes() == right.tobytes()


def test_dense_of_several_clouds_honours_max_points_but_not_max_voxels(backend):
    spec = spec_of(unit_grid(2), ['count'], max_points=5, max_voxels=1)
    clouds = [cloud([(0.5, 0.5, 0.5)] * 3), cloud([(1.5, 1.5, 1.5)] * 3)]
    for channels in (['count'], ['count', 'occupancy']):
        spec = spec_of(unit_grid(2), channels, max_points=5, max_voxels=1)
        dense = backend.voxelize_dense(clouds, spec)
        assert dense[..., 0].ravel().tolist() == [3, 0, 0, 0, 0, 0, 0, 2]


@pytest.mark.parametrize('channels', [['count'], ['count', 'mean_v']])
def test_out_is_cleared_filled_and_returned(channels, backend):
    grid = Grid.from_range(0.25, [-2, -2, -2, 2, 2, 2])
    spec = spec_of(grid, channels)
    out = np.full((16, 16, 16, len(channels)), 99, F32)
    view = scan()
    assert backend.voxelize_dense([view], spec, out) is out
    assert out.tobytes() == backend.voxelize_dense([view], spec).tobytes()
    found = backend.voxelize([view], spec)
    small = np.full(out.shape, 99, np.uint8)
    assert backend.densify(found, 'uint8', small) is small
    assert small.tobytes() == backend.densify(found, 'uint8').tobytes()


def test_out_and_dtype_that_do_not_fit_are_refused(backend):
    spec = spec_of(unit_grid(), ['count'])
    found = backend.voxelize([cloud([])], spec)
    with pytest.raises(ValueError, match=r'shape \(4, 4, 4, 1\)'):
        backend.densify(found, 'float32', np.zeros((4, 4, 4), F32))
    with pytest.raises(ValueError, match='contiguous float32'):
        backend.voxelize_dense([cloud([(1, 1, 1)] * 9)], spec, np.zeros((4, 4, 4, 1)))
    with pytest.raises(ValueError, match='contiguous'):
        backend.densify(found, 'float32', np.zeros((4, 4, 4, 2), F32)[..., :1])
    with pytest.raises(ValueError, match="'float16'"):
        backend.densify(found, 'float16')


def test_dense_without_count_is_refused(backend):
    with pytest.raises(ValueError, match='channel count'):
        backend.voxelize_dense([cloud([])], spec_of(unit_grid(), ['mean_v']))


def test_no_dense_result_lies_in_the_workspace():
    backend = NumpyBackend()
    for channels in (['count'], ['count', 'mean_v']):
        spec = spec_of(unit_grid(), channels)
        for _ in range(2):
            dense = backend.voxelize_dense([scan()], spec)
        buffers = backend._work._buffers.values()
        assert not any(np.shares_memory(dense, buffer) for buffer in buffers)
