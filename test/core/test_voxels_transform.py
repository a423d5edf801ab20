# Copyright 2026 the robocache_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Points are moved into the frame of the grid by numerics rule 5, and only where asked to."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from robocache_ros.codec.cloud import CloudView, Transform
from robocache_ros.grid import Channel, Grid, VoxelSpec

F32 = np.float32
# A quarter turn around z, then 1, 2 and 3 metres along x, y and z.
TURN = [[0, -1, 0, 1], [1, 0, 0, 2], [0, 0, 1, 3], [0, 0, 0, 1]]


def moved(points, matrix):
    columns = dict(zip('xyz', np.array(points, F32).reshape(-1, 3).T, strict=True))
    return replace(CloudView.from_columns(columns), transform=Transform.from_matrix(matrix))


@pytest.fixture(scope='session')
def voxels(backend):
    def run(clouds, size=1.0, bounds=(-8, -8, -8, 8, 8, 8), channel='count'):
        spec = VoxelSpec(Grid.from_range(size, bounds), (Channel.parse(channel),))
        return backend.voxelize(clouds, spec)

    return run


def test_a_point_lands_in_the_cell_worked_out_by_hand(voxels):
    # (5.5, 0.5, -1.5) turns to (-0.5, 5.5, -1.5) and moves to (0.5, 7.5, 1.5): cell 8, 15, 9.
    found = voxels([moved([[5.5, 0.5, -1.5]], TURN)])
    assert found.index.tolist() == [(9 * 16 + 15) * 16 + 8]


def test_each_cloud_has_its_own_transform(voxels):
    point = [[5.5, 0.5, -1.5]]
    found = voxels([moved(point, TURN), moved(point, np.eye(4)), moved(point, TURN)])
    assert found.index.tolist() == [(6 * 16 + 8) * 16 + 13, (9 * 16 + 15) * 16 + 8]
    assert found.count.tolist() == [1, 2]


def test_every_product_and_sum_is_rounded_to_float32_in_the_given_order(voxels):
    rng = np.random.default_rng(3)
    matrix = np.eye(4)
    matrix[:3] = rng.uniform(-1, 1, (3, 4))
    rows = matrix[:3].astype(F32)
    points = rng.uniform(-50, 50, (200, 3)).astype(F32)
    wanted = np.array(
        [[F32(F32(r[0] * x + r[1] * y) + r[2] * z) + r[3] for r in rows] for x, y, z in points],
        F32,
    )
    bounds = (-200, -200, -200, 200, 200, 200)
    small = (-1, -1, -1, 1, 1, 1)
    found = voxels([moved(points, matrix)], 0.001953125, small)
    same = voxels([moved(wanted, np.eye(4))], 0.001953125, small)
    np.testing.assert_array_equal(found.index, same.index)
    wide = voxels([moved(points, matrix)], 1.0, bounds, 'centroid')
    plain = voxels([moved(wanted, np.eye(4))], 1.0, bounds, 'centroid')
    for name, values in plain.columns.items():
        np.testing.assert_array_equal(wide.columns[name], values)


def test_points_that_a_transform_makes_infinite_count_as_not_finite(voxels):
    found = voxels([moved([[1e38, 0, 0], [np.nan, 0, 0], [1, 0, 0]], np.diag([10.0, 1, 1, 1]))])
    assert (found.stats.nonfinite, found.stats.out_of_range) == (2, 1)


def test_a_transform_that_moves_nothing_as_float32_is_none():
    assert Transform.from_matrix(np.eye(4)) is None
    assert Transform.from_matrix(np.eye(4) + np.diag([1e-12, 0, 0, 0])) is None


def test_a_transform_is_rounded_once_and_has_no_minus_zero():
    matrix = -np.array(TURN, float)
    matrix[3] = 0, 0, 0, 1
    made = Transform.from_matrix(matrix)
    assert made.rotation.dtype == made.translation.dtype == F32
    assert not np.signbit(made.rotation[made.rotation == 0]).any()
    assert made.translation.tolist() == [-1, -2, -3]


@pytest.mark.parametrize(
    ('matrix', 'said'),
    [
        (np.eye(3), r'\[4, 4\]'),
        (np.eye(4)[::-1], 'last row 0 0 0 1'),
        (np.diag([np.nan, 1, 1, 1]), 'finite'),
        (np.diag([1e39, 1, 1, 1]), 'finite as float32'),
    ],
)
def test_what_is_no_transform_is_refused_with_a_sentence(matrix, said):
    with pytest.raises(ValueError, match=said):
        Transform.from_matrix(matrix)
