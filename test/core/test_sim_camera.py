# Copyright 2026 the robocache_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The camera: geometry by hand, and agreement with the LiDAR about what is where."""

from __future__ import annotations

import numpy as np
import pytest

from robocache_ros.sim import Box, CameraConfig, LidarConfig, Path, World
from robocache_ros.sim.camera import NO_LABEL, NOTHING, Camera
from robocache_ros.sim.lidar import Lidar
from robocache_ros.sim.path import place
from robocache_ros.sim.world import BOXES, FLOOR, SKY, WALLS

STILL = Path((0.0, 0.0), loop_sec=3.0, turns=0)  # in the origin, looks along +y
MOVING = Path((1.2, 0.9), loop_sec=3.0)


def test_a_point_ahead_projects_to_the_centre_and_one_at_45_degrees_to_the_edge():
    camera = Camera(CameraConfig(width=640, height=480))
    u, v, depth = camera.project(np.array([[0.0, 2.0, 0.0], [0.0, 0.0, 1.0], [4.0, 2.0, 2.0]]))
    assert u == pytest.approx([319.5, 639.5, 319.5])
    assert v == pytest.approx([239.5, 239.5, 399.5])
    assert depth == pytest.approx([4.0, 2.0, 2.0])


def test_the_focal_length_is_that_of_the_angle_of_view():
    assert Camera(CameraConfig(width=640)).focal == 320.0
    assert Camera(CameraConfig(width=640, view_deg=60.0)).focal == pytest.approx(320 * 3**0.5)
    # 320 pixels for 100 degrees.
    fisheye = CameraConfig(
        view_deg=200.0, distortion_model='equidistant', distortion=(0.0, 0.0, 0.0, 0.0)
    )
    assert Camera(fisheye).focal == pytest.approx(320 / np.radians(100))


def test_the_image_shows_the_box_ahead_the_floor_below_and_the_sky_above():
    yard = Box((-20.0, -20.0, 0.0), (20.0, 20.0, 2.0), (9, 9, 9), 0.5)
    box = Box((-1.0, 4.0, 0.0), (1.0, 6.0, 2.0), (250, 100, 50), 0.8)
    world, camera = World([box], yard), Camera(CameraConfig(width=65, height=49))
    surface = camera.surfaces(world, STILL, 0.0)
    assert surface.shape == (49, 65)
    assert surface[24, 32] == BOXES + 2  # the face towards low y
    assert surface[0, 32] == SKY
    assert surface[48, 0] in (FLOOR, FLOOR + 1)
    # The camera stands at y = 0.3, so the box is 3.7 m ahead and spans 1/3.7 of the focal length.
    columns = np.flatnonzero(surface[24] == BOXES + 2)
    assert columns[0] == np.ceil(32 - 32.5 / 3.7)
    assert columns[-1] == np.floor(32 + 32.5 / 3.7)
    image = camera.render(world, STILL, 0.0)
    assert image.dtype == np.uint8
    assert image.shape == (49, 65, 3)
    assert image[24, 32].tolist() == [150, 60, 30]  # 0.6 of the colour: seen from low y


def test_what_is_left_of_the_platform_is_left_in_the_image():
    world = World([Box((-3.0, 5.0, 0.0), (-2.0, 6.0, 3.0), (0, 0, 0), 0.8)])
    surface = Camera(CameraConfig(width=64, height=48)).surfaces(world, STILL, 0.0)
    columns = np.flatnonzero((surface >= BOXES).any(axis=0))
    assert 0 < columns.max() < 32


def test_lidar_points_fall_on_pixels_of_the_same_surface():
    world, t = World(), 0.7
    camera, lidar = Camera(CameraConfig()), Lidar(LidarConfig(rings=32, columns=720))
    sweep = lidar.sweep(world, MOVING, t)
    times = t + sweep.points['time'].astype(np.float64)
    x, y, z = (sweep.points[name].astype(np.float64) for name in 'xyz')
    yaw = MOVING.yaw(times)
    where = place(MOVING.position(times), yaw, lidar.config.position)
    where += np.stack([np.cos(yaw) * x - np.sin(yaw) * y, np.sin(yaw) * x + np.cos(yaw) * y, z])

    yaw = MOVING.yaw(t)
    away = where - place(MOVING.position(t), yaw, camera.config.position)[:, None]
    ahead = np.cos(yaw) * away[0] + np.sin(yaw) * away[1]
    left = np.cos(yaw) * away[1] - np.sin(yaw) * away[0]
    front = ahead > 0.5
    u, v, _ = camera.project(np.stack([-left, -away[2], ahead])[:, front])
    column, row = np.floor(u + 0.5).astype(int), np.floor(v + 0.5).astype(int)
    inside = (column >= 0) & (column < 640) & (row >= 0) & (row < 480)
    seen = camera.surfaces(world, MOVING, t)[row[inside], column[inside]]
    true = sweep.surface[front][inside]
    assert len(seen) > 3000
    # The LiDAR sits higher and measures later, so a few points are hidden from the camera.
    assert (seen == true).mean() > 0.96
    image = camera.render(world, MOVING, t)[row[inside], column[inside]]
    assert (image == world.colors[true]).all(axis=1).mean() > 0.96


@pytest.mark.parametrize(
    ('model', 'distortion', 'view_deg'),
    [
        ('plumb_bob', (-0.25, 0.06, 2e-3, -1e-3, 0.0), 80.0),
        ('rational_polynomial', (0.4, 0.05, 1e-3, 0.0, 0.0, 0.7, 0.1, 0.0), 80.0),
        ('equidistant', (0.02, -4e-3, 0.0, 0.0), 200.0),
    ],
)
def test_a_distorted_image_shows_each_surface_where_the_model_puts_it(model, distortion, view_deg):
    config = CameraConfig(
        width=160, height=120, view_deg=view_deg, distortion_model=model, distortion=distortion
    )
    camera, world = Camera(config), World()
    surface = camera.surfaces(world, STILL, 0.0)
    # Points in the world, seen along +y from the camera: those that no box can hide are the sky's.
    origin = place(STILL.position(0.0), STILL.yaw(0.0), config.position)
    away = np.random.default_rng(5).standard_normal((3, 4000))
    away /= np.sqrt((away**2).sum(axis=0))
    hits = world.cast(origin[:, None].astype(np.float32), away.astype(np.float32))
    optical = np.stack([away[0], -away[2], away[1]])  # right is +x, down is -z, ahead is +y
    angle = np.degrees(np.arccos(optical[2]))
    near = angle < (115 if model == 'equidistant' else 55)
    u, v, _ = camera.project(optical[:, near])
    column, row = np.floor(u + 0.5).astype(int), np.floor(v + 0.5).astype(int)
    inside = (column >= 0) & (column < 160) & (row >= 0) & (row < 120)
    seen = surface[row[inside], column[inside]]
    assert inside.sum() > 300
    # The centre of a pixel may see the next surface: at the edges only.
    assert (seen == hits.surface[near][inside]).mean() > 0.95


def test_a_fisheye_sees_what_is_behind_it():
    behind = World([Box((-1.0, -1.0, 0.0), (1.0, -0.3, 3.0), (200, 0, 0), 0.5)])
    fisheye = CameraConfig(
        width=200, height=150, view_deg=200.0, distortion_model='equidistant',
        distortion=(0.0,) * 4, position=(0.0, 4.6, 1.2),
    )  # fmt: skip
    surface = Camera(fisheye).surfaces(behind, STILL, 0.0)
    # It looks along +y from 4.6 m to the left, and the box begins 0.3 m further back, 3.6 m to
    # the right: 94.8 degrees away. A pixel is a degree, and the last one is at 99.5.
    columns = np.flatnonzero(surface[75] >= BOXES)
    assert (columns[0], columns[-1]) == (pytest.approx(194, abs=1), 199)


def test_past_the_fold_of_its_lens_a_camera_sees_nothing():
    # r - r^3 / 3 ends at 2/3; the edges of the image are at 1.
    config = CameraConfig(width=61, height=3, distortion=(-1 / 3, 0.0, 0.0, 0.0, 0.0))
    camera, world = Camera(config), World()
    surface = camera.surfaces(world, STILL, 0.0)
    assert (surface[1] == NOTHING).tolist() == [abs(column - 30) > 20 for column in range(61)]
    assert not camera.colored(world, surface)[surface == NOTHING].any()
    assert (camera.labelled(world, surface)[surface == NOTHING] == NO_LABEL).all()


def test_labels_name_the_class_of_what_is_seen():
    world = World([Box((-1.0, 4.0, 0.0), (1.0, 6.0, 2.0), (0, 0, 0), 0.8)])
    surfaces = np.array([[SKY, FLOOR, FLOOR + 1, WALLS], [WALLS + 3, BOXES, BOXES + 5, NOTHING]])
    labels = Camera(CameraConfig()).labelled(world, surfaces)
    assert labels.dtype == np.uint8
    assert labels.tolist() == [[0, 1, 1, 2], [2, 3, 3, NO_LABEL]]


@pytest.mark.parametrize(
    ('settings', 'sentence'),
    [
        ({'distortion_model': 'fov'}, 'distortion_model fov must be one of plumb_bob, rational'),
        ({'distortion': (0.1,)}, r'distortion \(0.1,\) must be 5 numbers for plumb_bob'),
        ({'view_deg': 170.0}, 'view_deg 170.0 must be positive and at most 160 for plumb_bob'),
        ({'jpeg_quality': 101}, 'jpeg_quality 101 must lie in 0 to 100'),
    ],
)
def test_a_camera_that_can_not_be_is_refused(settings, sentence):
    with pytest.raises(ValueError, match=sentence):
        CameraConfig(**settings)
