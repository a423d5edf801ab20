# Copyright 2026 the robocache_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Which cells have a point, as bytes and as bits."""

from __future__ import annotations

import numpy as np
import pytest
from voxel_oracle import cloud, spec_of, unit_grid

from robocache_ros.backends import numpy_occupancy
from robocache_ros.grid import Grid

F32 = np.float32


@pytest.fixture(params=['bytes packed', 'bits set'])
def packing(request, monkeypatch):
    """Both ways in which bits are made: small grids and large ones."""
    if request.param == 'bits set':
        monkeypatch.setattr(numpy_occupancy, '_PACKED_CELLS', 0)


def scan(points, spread=2.5):
    return cloud(np.random.default_rng(5).uniform(-spread, spread, (points, 3)).astype(F32))


def test_a_cell_is_1_where_there_is_a_point_however_many(backend):
    grid = Grid.from_range(1.0, [0, 0, 0, 4, 3, 2])
    points = cloud([(3.5, 2.5, 0.5), (3.1, 2.9, 0.1), (0.5, 0.5, 1.5)])
    found = backend.occupancy([points], grid)
    assert found.dtype == np.uint8
    assert found.shape == (2, 3, 4)
    assert found[0, 2, 3] == 1
    assert found[1, 0, 0] == 1
    assert np.count_nonzero(found) == 2


@pytest.mark.usefixtures('packing')
def test_bits_run_from_the_lowest_of_the_first_byte(backend):
    grid = Grid.from_range(1.0, [0, 0, 0, 11, 1, 1])
    cells = [0, 3, 3, 7, 8, 10]
    points = cloud([(cell + 0.5, 0.5, 0.5) for cell in cells])
    found = backend.occupancy([points], grid, packed=True)
    assert found.dtype == np.uint8
    assert found.tolist() == [0b10001001, 0b00000101]


@pytest.mark.usefixtures('packing')
@pytest.mark.parametrize('points', [0, 1, 3000])
@pytest.mark.parametrize('dims', [(16, 16, 16), (7, 5, 3), (1, 1, 1)])
def test_bits_and_bytes_say_what_the_count_says(points, dims, backend):
    grid = Grid((-2.0, -2.0, -2.0), (0.25, 0.25, 0.25), dims)
    view = scan(points)
    counted = backend.voxelize_dense([view], spec_of(grid, ['count']))[..., 0]
    found = backend.occupancy([view], grid)
    assert found.tobytes() == (counted > 0).astype(np.uint8).tobytes()
    packed = backend.occupancy([view], grid, packed=True)
    assert packed.tobytes() == np.packbits(found.reshape(-1), bitorder='little').tobytes()


def test_points_that_are_outside_or_not_finite_occupy_nothing(backend):
    rows = [(-0.1, 0.5, 0.5), (4.0, 0.5, 0.5), (float('nan'), 0.5, 0.5), (0.5, float('inf'), 0.5)]
    assert not backend.occupancy([cloud(rows)], unit_grid()).any()


def test_max_points_counts_over_all_clouds(backend):
    clouds = [cloud([(0.5, 0.5, 0.5)] * 2), cloud([(1.5, 0.5, 0.5), (0.5, 1.5, 0.5)])]
    found = backend.occupancy(clouds, unit_grid(2), max_points=3)
    assert np.flatnonzero(found).tolist() == [0, 1]


def test_a_grid_with_too_many_cells_is_refused(backend):
    grid = Grid((0.0, 0.0, 0.0), (1.0, 1.0, 1.0), (2**11, 2**10, 2**10))
    for packed in (False, True):
        with pytest.raises(ValueError, match=r'more than 2\^31 - 1'):
            backend.occupancy([scan(1)], grid, packed=packed)


def test_no_occupancy_lies_in_the_workspace(backend):
    for packed in (False, True):
        first = backend.occupancy([scan(99)], unit_grid(), packed=packed)
        kept = first.copy()
        backend.occupancy([cloud([])], unit_grid(), packed=packed)
        assert first.tobytes() == kept.tobytes()
