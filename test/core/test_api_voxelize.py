# Copyright 2026 the robocache_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Voxels without ROS: every form points may have, and what is refused."""

from __future__ import annotations

import threading

import numpy as np
import pytest
from codec_messages import cloud as message
from voxel_oracle import bits, cloud
from voxel_oracle import voxelize as by_backend

from robocache_ros.api import occupancy, voxelize
from robocache_ros.codec.cloud import CloudView
from robocache_ros.grid import Grid
from robocache_ros.reasons import Rejected

pytestmark = pytest.mark.usefixtures('package')

F32 = np.float32
GRID = {'voxel_size': 0.5, 'point_cloud_range': [-2, -2, -2, 2, 2, 2]}
CHANNELS = ['count', 'centroid', 'mean_intensity']


@pytest.fixture
def rows():
    rows = np.random.default_rng(9).uniform(-2.2, 2.2, (500, 4)).astype(F32)
    rows[:, 3] = np.arange(500)
    return rows


def test_points_alone_are_counted(rows):
    found = voxelize(rows[:, :3], **GRID)
    inside = (np.abs(rows[:, :3]) < 2).all(axis=1)
    assert list(found.columns) == ['count']
    assert found.count.sum() == np.count_nonzero(inside)
    assert found.stats.out_of_range == np.count_nonzero(~inside)


def test_every_form_of_the_same_points_gives_the_same_voxels(rows):
    x, y, z, intensity = rows.T
    named = {'x': x, 'y': y, 'z': z, 'intensity': intensity}
    structured = np.zeros(len(rows), [(name, 'f4') for name in named])
    for name, column in named.items():
        structured[name] = column
    forms = {
        'rows': (rows, ['intensity']),
        'rows of float64': (rows.astype(np.float64), ['intensity']),
        'fortran rows': (np.asfortranarray(rows), ['intensity']),
        'lists': (rows.tolist(), ['intensity']),
        'tuple of columns': ((x, y, z, intensity), ['intensity']),
        'mapping': (named, None),
        'structured array': (structured, None),
        'view': (CloudView.from_columns(named), None),
        'message': (message([tuple(row) for row in rows.tolist()]), None),
    }
    view = cloud(rows[:, :3], intensity=intensity)
    grid = Grid.from_range(0.5, GRID['point_cloud_range'])
    wanted = bits(by_backend(view, grid, CHANNELS))
    for name, (points, fields) in forms.items():
        found = voxelize(points, **GRID, channels=CHANNELS, fields=fields)
        assert bits(found) == wanted, name


def test_columns_beyond_those_named_are_refused_and_unnamed_ones_left_alone(rows):
    assert len(voxelize(rows, **GRID)) > 0
    with pytest.raises(ValueError, match='4 columns, expected 5: x, y, z, a, b'):
        voxelize(rows, **GRID, fields=['a', 'b'])


@pytest.mark.parametrize('dtype', ['i2', 'i8', 'u1', 'f2'])
def test_coordinates_of_other_types_are_taken_as_numbers(dtype):
    points = np.array([[0, 1, 1], [1, 1, 0]], dtype)
    found = voxelize(points, voxel_size=1.0, point_cloud_range=[0, 0, 0, 2, 2, 2])
    assert found.index.tolist() == [3, 6]


def test_dense_gives_the_grid_as_an_array(rows):
    dense = voxelize(rows, **GRID, channels=['count', 'mean_i'], fields=['i'], dense=True)
    assert dense.shape == (8, 8, 8, 2)
    sparse = voxelize(rows, **GRID, channels=['count', 'mean_i'], fields=['i'])
    assert dense.reshape(-1, 2)[sparse.index, 1].tolist() == sparse.columns['mean_i'].tolist()
    assert dense[..., 0].sum() == sparse.count.sum()


def test_limits_and_resolutions_are_passed_on(rows):
    found = voxelize(rows, **GRID, max_points=100, max_voxels=7)
    assert (len(found), found.stats.over_limit) == (7, 400)
    coarse = voxelize(
        [[0.1, 0.1, 0.1, 1.3]], **GRID, channels=['sum_v'], fields=['v'], resolutions={'v': 0.5}
    )
    assert coarse.columns['sum_v'].tolist() == [1.5]


def test_a_transform_moves_the_points_into_the_frame_of_the_grid():
    quarter_turn = [[0, -1, 0, 0.5], [1, 0, 0, 0], [0, 0, 1, -1], [0, 0, 0, 1]]
    point = np.array([[1.25, 0.25, 0.75]])  # becomes 0.5 - 0.25, 1.25, 0.75 - 1
    found = voxelize(point, **GRID, transform=quarter_turn)
    assert [center.tolist() for center in found.centers()] == [[0.25], [1.25], [-0.25]]
    cells = occupancy(point, **GRID, transform=quarter_turn)
    assert np.argwhere(cells).tolist() == [[3, 6, 4]]  # z, y, x
    in_millimetres = np.diag([0.001, 0.001, 0.001, 1])
    found = voxelize(point * 1000, **GRID, transform=in_millimetres)
    assert [center.tolist() for center in found.centers()] == [[1.25], [0.25], [0.75]]


def test_an_identity_changes_nothing(rows):
    plain, moved = (voxelize(rows, **GRID, transform=change) for change in (None, np.eye(4)))
    assert bits(plain) == bits(moved)


def test_occupancy_says_which_cells_have_a_point():
    corners = {'voxel_size': 1.0, 'point_cloud_range': [0, 0, 0, 2, 2, 3]}
    points = [[0.5, 0.5, 0.5], [1.5, 0.5, 2.5], [1.5, 0.5, 2.7], [9, 9, 9]]
    assert occupancy(points, **corners).tolist() == [
        [[1, 0], [0, 0]],
        [[0, 0], [0, 0]],
        [[0, 1], [0, 0]],
    ]
    packed = occupancy(points, **corners, packed=True)
    assert packed.tolist() == [0b00000001, 0b00000010]  # cells 0 and 9
    assert occupancy(points, **corners, max_points=1).sum() == 1


def test_occupancy_takes_points_in_every_form(rows):
    wanted = occupancy(rows[:, :3], **GRID)
    x, y, z, _ = rows.T
    for points in (rows, (x, y, z), {'x': x, 'y': y, 'z': z}, message(rows.tolist())):
        assert occupancy(points, **GRID).tobytes() == wanted.tobytes()
    assert wanted.dtype == np.uint8
    assert wanted.sum() == len(voxelize(rows, **GRID))


def test_occupancy_refuses_what_does_not_fit():
    with pytest.raises(ValueError, match='max_points must be in 1'):
        occupancy(np.zeros((5, 3)), **GRID, max_points=0)
    with pytest.raises(ValueError, match='2 columns, expected 3'):
        occupancy(np.zeros((5, 2)), **GRID)
    far = {'voxel_size': 0.001, 'point_cloud_range': [0, 0, 0, 2, 2, 2]}
    with pytest.raises(ValueError, match='a dense grid of 8000000000 cells'):
        occupancy(np.zeros((5, 3)), **far)


def test_no_points_give_no_voxels():
    assert len(voxelize(np.zeros((0, 3)), **GRID)) == 0
    assert voxelize(np.zeros((0, 3)), **GRID, dense=True).sum() == 0


@pytest.mark.parametrize(
    ('points', 'arguments', 'words'),
    [
        (np.zeros(3), {}, 'shape'),
        (np.zeros((5, 2)), {}, '2 columns, expected 3: x, y, z'),
        (np.zeros((2, 3, 3)), {}, 'shape'),
        ((np.zeros(2), np.zeros(2)), {}, '2 columns'),
        ((np.zeros(2), np.zeros(2), np.zeros(3)), {}, 'shape'),
        ({'x': np.zeros(2), 'y': np.zeros(2)}, {}, "no column 'z'"),
        ({'x': [0.0], 'y': [0.0], 'z': [0.0]}, {'fields': ['a']}, 'these points have names'),
        (np.zeros((5, 4)), {'fields': ['x']}, 'repeats a name'),
        (np.zeros((5, 3)), {'channels': ['mean_i']}, "need the fields ['i']; the points have"),
        (np.zeros((5, 4), 'i8'), {'channels': ['sum_t'], 'fields': ['t']}, '64-bit integers'),
        (np.zeros((5, 3)), {'channels': ['nonsense']}, "unknown channel 'nonsense'"),
        (np.zeros((5, 3)), {'channels': ['mean_x'], 'dense': True}, 'channel count'),
        (np.zeros((5, 3)), {'max_points': 0}, 'max_points'),
        (np.zeros((5, 3)), {'backend': 'gpu'}, 'auto, numpy, cuda'),
        (np.zeros((5, 3)), {'voxel_size': 0}, 'voxel_size'),
        (np.zeros((5, 3)), {'transform': np.eye(3)}, '[4, 4] matrix with the last row 0 0 0 1'),
        (np.zeros((5, 3)), {'transform': np.ones((4, 4))}, '[4, 4] matrix with the last row'),
        (np.zeros((5, 3)), {'transform': np.diag([1e39, 1, 1, 1])}, 'finite as float32'),
    ],
)
def test_what_does_not_fit_is_refused_with_a_sentence(points, arguments, words):
    with pytest.raises(ValueError) as caught:
        voxelize(points, **{**GRID, **arguments})
    assert words in str(caught.value)


def test_malformed_message_is_rejected_with_its_reason():
    broken = message([(1.0, 1.0, 1.0, 1.0)])
    broken.width = 99
    with pytest.raises(Rejected, match='cloud_size'):
        voxelize(broken, **GRID)


def test_two_threads_do_not_share_a_workspace(rows):
    wanted = bits(voxelize(rows, **GRID, channels=CHANNELS, fields=['intensity']))
    wrong = []

    def run():
        for _ in range(20):
            found = voxelize(rows, **GRID, channels=CHANNELS, fields=['intensity'])
            if bits(found) != wanted:
                wrong.append(found)

    threads = [threading.Thread(target=run) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong
