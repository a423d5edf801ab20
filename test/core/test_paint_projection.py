# Copyright 2026 the robocache_ros authors
# SPDX-License-Identifier: Apache-2.0
"""
Points fall on the pixels that OpenCV says, for each camera model.

The image holds the number of each pixel, and each point has a voxel of its own, so that the
greatest value of a voxel tells the pixel of its point.
"""

from __future__ import annotations

import math

import numpy as np
import pytest
from painted import F32, camera, info, numbered, painted, view
from voxel_oracle import NO_VALUE_BITS

from robocache_ros.codec.camera import Camera
from robocache_ros.grid import Grid

pytestmark = pytest.mark.filterwarnings('error')

WIDTH, HEIGHT = 64, 48
GRID = Grid.from_range(1 / 64, [-8, -8, -8, 8, 8, 8])
UNSEEN = -1
MODELS = {
    'pinhole': ('plumb_bob', (), 40.0),
    'plumb_bob': ('plumb_bob', (-0.28, 0.07, 0.0012, -0.0023, 0.01), 45.0),
    'growing': ('plumb_bob', (0.2, 0.3, -0.01, 0.02), 40.0),
    'rational': ('rational_polynomial', (0.54, -2.61, 9e-4, -3e-4, 1.49, 0.41, -2.43, 1.42), 40.0),
}
FISHEYES = {
    'fisheye': ((0.05, -0.011, 0.003, -0.0007), 12.0),
    'ideal fisheye': ((), 11.0),
    'narrow fisheye': ((-0.1, 0.0, 0.0, 0.0), 20.0),
}
# Turned about all axes, and away from the origin of the grid.
TURN, SHIFT = np.array([0.3, -0.4, 0.2]), np.array([0.25, -0.5, 0.125])


@pytest.fixture(scope='session')
def pixels_of(voxelize):
    def run(points, lens, rotation, translation):
        """Number of the pixel of each point, UNSEEN without one; and which points to compare."""
        matrix = np.eye(4)
        matrix[:3, :3], matrix[:3, 3] = rotation, translation
        seen = view(numbered(lens.height, lens.width), lens, ['pixel'], matrix)
        found = voxelize(painted(points, seen), GRID, ['max_pixel'])
        column = found.columns['max_pixel']
        bits = column.view(np.uint32)
        number = np.where(bits == NO_VALUE_BITS, UNSEEN, np.nan_to_num(column)).astype(int)
        ix, iy, iz = np.floor((points - F32(-8)) * F32(64)).astype(np.int64).T
        index = (iz * 1024 + iy) * 1024 + ix
        alone = np.bincount(np.searchsorted(found.index, index), minlength=len(found)) == 1
        place = np.searchsorted(found.index, index)
        assert found.stats.used == len(points)
        return number[place], alone[place]

    return run


def rotation_of(turn):
    """Rotation matrix of a rotation vector, by Rodrigues, in float64."""
    angle = float(np.linalg.norm(turn))
    x, y, z = turn / angle
    cross = np.array([[0, -z, y], [z, 0, -x], [-y, x, 0]])
    return np.eye(3) + math.sin(angle) * cross + (1 - math.cos(angle)) * cross @ cross


def points_around(n, seed=0):
    return np.random.default_rng(seed).uniform(-7.5, 7.5, (n, 3)).astype(F32)


def number_at(u, v):
    """Number of the pixel at u and v, or UNSEEN."""
    inside = (u >= -0.5) & (u < WIDTH - 0.5) & (v >= -0.5) & (v < HEIGHT - 0.5)
    u, v = np.where(inside, u, 0), np.where(inside, v, 0)
    number = np.where(inside, np.floor(v + 0.5) * WIDTH + np.floor(u + 0.5), UNSEEN)
    return number.astype(int)


def far_from_edges(u, v):
    """Tell where float32 can not fall on another pixel than float64."""
    return np.all([np.abs(np.mod(w, 1.0) - 0.5) > 2e-3 for w in (u, v)], axis=0)


@pytest.mark.parametrize('model', MODELS)
def test_a_pinhole_sees_what_opencv_projects(pixels_of, model):
    cv2 = pytest.importorskip('cv2', reason='needs OpenCV, the oracle of projections')
    name, d, f = MODELS[model]
    lens = camera(WIDTH, HEIGHT, (f, f + 1.5), (30.25, 22.75), name, d)
    points = points_around(4000)
    rotation = rotation_of(TURN)
    place = points.astype(np.float64) @ rotation.T + SHIFT
    k = np.array([[lens.fx, 0, lens.cx], [0, lens.fy, lens.cy], [0, 0, 1]])
    with np.errstate(all='ignore'):
        projected, _ = cv2.projectPoints(
            points.astype(np.float64), TURN, SHIFT, k, np.array(d, np.float64)
        )
    u, v = projected[:, 0].T
    r2 = (place[:, 0] ** 2 + place[:, 1] ** 2) / place[:, 2] ** 2
    ahead = (place[:, 2] > 0.05) & ((r2 <= lens.limit) | (not any(d)))
    expected = np.where(ahead, number_at(u, v), UNSEEN)
    found, alone = pixels_of(points, lens, rotation, SHIFT)
    clear = alone & far_from_edges(u, v)
    assert np.array_equal(found[clear], expected[clear])
    assert np.count_nonzero(clear) > 3900
    assert np.count_nonzero(expected[clear] >= 0) > 200


@pytest.mark.parametrize('model', FISHEYES)
def test_a_fisheye_sees_what_opencv_projects_ahead_of_it(pixels_of, model):
    cv2 = pytest.importorskip('cv2', reason='needs OpenCV, the oracle of projections')
    d, f = FISHEYES[model]
    lens = camera(WIDTH, HEIGHT, (f, f + 0.5), (31.0, 23.5), 'equidistant', d)
    rotation = rotation_of(TURN)
    points = points_around(4000)
    points = points[points @ rotation[2] + SHIFT[2] > 0.1]
    place = points.astype(np.float64) @ rotation.T + SHIFT
    k = np.array([[lens.fx, 0, lens.cx], [0, lens.fy, lens.cy], [0, 0, 1]])
    projected, _ = cv2.fisheye.projectPoints(
        points[:, None].astype(np.float64), TURN, SHIFT, k, np.array(d or (0,) * 4, np.float64)
    )
    u, v = projected[:, 0].T
    theta = np.arctan2(np.hypot(place[:, 0], place[:, 1]), place[:, 2])
    expected = np.where(theta <= lens.limit, number_at(u, v), UNSEEN)
    found, alone = pixels_of(points, lens, rotation, SHIFT)
    clear = alone & far_from_edges(u, v)
    assert np.array_equal(found[clear], expected[clear])
    assert np.count_nonzero(clear) > 1800
    assert np.count_nonzero(expected[clear] >= 0) > 800


def test_a_fisheye_sees_beyond_90_degrees_up_to_170(pixels_of):
    # OpenCV mirrors what is behind, so by hand: u = c + f theta x / r, theta from atan2.
    lens = camera(WIDTH, HEIGHT, 8.0, (31.0, 23.0), 'equidistant')
    points = points_around(4000)
    x, y, z = points.astype(np.float64).T
    theta = np.arctan2(np.hypot(x, y), z)
    u, v = (c + 8.0 * theta * side / np.hypot(x, y) for side, c in ((x, 31.0), (y, 23.0)))
    expected = np.where(theta <= math.radians(170), number_at(u, v), UNSEEN)
    found, alone = pixels_of(points, lens, np.eye(3), np.zeros(3))
    clear = alone & far_from_edges(u, v) & (np.abs(theta - math.radians(170)) > 1e-4)
    assert np.array_equal(found[clear], expected[clear])
    beyond = theta > math.radians(90)
    assert np.count_nonzero(expected[clear & beyond] >= 0) > 1000
    assert np.count_nonzero(expected[clear & (theta > math.radians(165))] >= 0) > 5
    assert np.all(found[alone & (theta > math.radians(170.1))] == UNSEEN)


def test_points_that_a_lens_folds_back_into_the_image_are_not_seen(pixels_of):
    # r (1 - 0.3 r^2) is 0.7 at r = 1 and comes back to 0.126 at r = 1.8.
    lens = camera(WIDTH, HEIGHT, 20.0, (31.0, 23.0), 'plumb_bob', (-0.3, 0, 0, 0))
    points = np.array([(1.0, 0, 1), (1.8, 0, 1), (0, 1.8, 1)], F32)
    found, _ = pixels_of(points, lens, np.eye(3), np.zeros(3))
    assert found.tolist() == [23 * WIDTH + 45, UNSEEN, UNSEEN]


def test_a_rectified_camera_sees_from_the_place_of_the_second_one(pixels_of):
    p = [20.0, 0, 31, -10, 0, 20, 23, 0, 0, 0, 1, 0]  # half a metre to the right
    lens = Camera.from_info(info(WIDTH, HEIGHT, p=p), rectified=True)
    points = np.array([(0.5, 0, 2), (1.0, 0.2, 2)], F32)
    found, _ = pixels_of(points, lens, lens.rectify[:3, :3], lens.rectify[:3, 3])
    assert found.tolist() == [23 * WIDTH + 31, 25 * WIDTH + 36]


def test_a_scaled_camera_sees_the_same_place_of_the_image(pixels_of):
    lens = camera(2 * WIDTH, 2 * HEIGHT, 50.0, (63.5, 47.5), 'plumb_bob', (0.05, 0.01, 0, 0))
    points = points_around(2000)
    whole, alone = pixels_of(points, lens, np.eye(3), np.zeros(3))
    half, _ = pixels_of(points, lens.for_size(WIDTH, HEIGHT), np.eye(3), np.zeros(3))
    row, column = np.divmod(whole, 2 * WIDTH)
    expected = np.where(whole == UNSEEN, UNSEEN, row // 2 * WIDTH + column // 2)
    assert np.count_nonzero(half[alone] != expected[alone]) <= 2  # on the edge of a pixel
    assert np.count_nonzero(half[alone] >= 0) > 100
