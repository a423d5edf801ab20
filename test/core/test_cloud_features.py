# Copyright 2026 the robocache_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Features of a cloud: points, voxels, centroid, extent and coarse occupancy, all exact."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
from voxel_oracle import cloud, unit_grid, voxelize

from robocache_ros.cloud_features import cloud_features
from robocache_ros.grid import Grid

F32 = np.float32


def features(points, grid, shape=(1, 1, 1)):
    return cloud_features(voxelize(cloud(points), grid, ['count']), shape)


def test_groups_come_in_order_points_occupied_centroid_extent_occupancy():
    points = [(0.1, 0.2, 0.3), (0.9, 0.2, 0.3), (3.5, 1.5, 0.5)]
    found = features(points, unit_grid(), (2, 2, 2))
    # voxels (0,0,0) with two points and (3,1,0) with one: (2 * 0 + 3) / 3 + 0.5 = 1.5 m along x
    assert found.values.tolist() == [
        3.0, 2.0,
        1.5, F32(1 / 3 + 0.5), 0.5,
        4.0, 2.0, 1.0,
        1, 1, 0, 0, 0, 0, 0, 0,
    ]  # fmt: skip
    assert found.values.dtype == np.float32
    assert found.valid.tolist() == [True] * 5
    assert found.notes == {}


def test_without_points_centroid_and_extent_are_zero_and_not_valid():
    for points in ([], [(9, 9, 9)]):
        found = features(points, Grid.from_range(1.0, [2, 2, 2, 4, 4, 4]), (1, 2, 2))
        assert found.values.tolist() == [0.0] * 12
        assert found.valid.tolist() == [True, True, False, False, True]


def test_one_point_is_at_its_voxel_centre_and_one_voxel_wide():
    grid = Grid.from_range([0.1, 0.2, 0.4], [-1, -1, -1, 1, 1, 1])
    found = features([(-0.95, 0.5, 0.99)], grid)
    assert found.values[2:5].tolist() == [F32(-1 + 0.5 * 0.1), F32(-1 + 7.5 * 0.2), F32(0.8)]
    assert found.values[5:8].tolist() == [F32(0.1), F32(0.2), F32(0.4)]


def test_occupancy_is_z_major_x_fastest():
    grid = Grid.from_range(1.0, [0, 0, 0, 6, 4, 2])
    shape = (2, 2, 3)
    for point, cell in [
        ((0.5, 0.5, 0.5), (0, 0, 0)),
        ((2.5, 0.5, 0.5), (0, 0, 1)),
        ((0.5, 2.5, 0.5), (0, 1, 0)),
        ((0.5, 0.5, 1.5), (1, 0, 0)),
        ((5.5, 3.5, 1.5), (1, 1, 2)),
    ]:
        occupancy = features([point], grid, shape).values[8:].reshape(shape)
        assert np.argwhere(occupancy).tolist() == [list(cell)]
        assert occupancy[cell] == 1.0


@pytest.mark.parametrize(('n', 'coarse'), [(7, 3), (3, 7), (5, 5), (8, 1)])
def test_coarse_cell_of_cell_i_is_i_times_coarse_by_n_rounded_down(n, coarse):
    grid = Grid.from_range(1.0, [0, 0, 0, n, 1, 1])
    for i in range(n):
        found = features([(i + 0.5, 0.5, 0.5)], grid, (1, 1, coarse))
        assert np.flatnonzero(found.values[8:]).tolist() == [int(Fraction(i * coarse, n))]


def test_several_points_in_a_coarse_cell_are_still_one():
    found = features([(0.5, 0.5, 0.5)] * 5 + [(1.5, 0.5, 0.5)], unit_grid(), (1, 1, 2))
    assert found.values[8:].tolist() == [1.0, 0.0]


def test_centroid_weighs_voxels_by_points_exactly():
    rng = np.random.default_rng(5)
    points = rng.uniform(-40, 40, (20000, 3)).astype(F32)
    grid = Grid.from_range(0.1, [-40, -40, -40, 40, 40, 40])
    voxels = voxelize(cloud(points), grid, ['count'])
    found = cloud_features(voxels, (4, 8, 8))
    counts = voxels.count.tolist()
    for axis, coord in enumerate(grid.unravel(voxels.index)):
        total = sum(c * i for c, i in zip(counts, coord.tolist(), strict=True))
        assert found.values[2 + axis] == F32(-40.0 + (total / sum(counts) + 0.5) * 0.1)
        assert abs(found.values[2 + axis] - points[:, axis].astype(float).mean()) < 0.01
        edges = int(coord.max()) - int(coord.min()) + 1
        assert found.values[5 + axis] == F32(edges * 0.1)


def test_features_do_not_depend_on_the_channels_asked_for():
    view = cloud([(0.5, 0.5, 0.5), (1.5, 0.5, 0.5)], v=np.ones(2, F32))
    plain = cloud_features(voxelize(view, unit_grid(), ['count']), (2, 2, 2))
    other = cloud_features(voxelize(view, unit_grid(), ['mean_v']), (2, 2, 2))
    assert plain.values.tobytes() == other.values.tobytes()
