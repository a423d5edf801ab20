# Copyright 2026 the robocache_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The camera: geometry by hand, and agreement with the LiDAR about what is where."""

from __future__ import annotations

import numpy as np
import pytest

from robocache_ros.sim import Box, CameraConfig, LidarConfig, Path, World
from robocache_ros.sim.camera import Camera
from robocache_ros.sim.lidar import Lidar
from robocache_ros.sim.path import place
from robocache_ros.sim.world import BOXES, FLOOR, SKY

STILL = Path((0.0, 0.0), loop_sec=3.0, turns=0)  # in the origin, looks along +y
MOVING = Path((1.2, 0.9), loop_sec=3.0)


def test_a_point_ahead_projects_to_the_centre_and_one_at_45_degrees_to_the_edge():
    camera = Camera(CameraConfig(width=640, height=480))
    u, v, depth = camera.project(np.array([[0.0, 2.0, 0.0], [0.0, 0.0, 1.0], [4.0, 2.0, 2.0]]))
    assert u == pytest.approx([319.5, 639.5, 319.5])
    assert v == pytest.approx([239.5, 239.5, 399.5])
    assert depth == pytest.approx([4.0, 2.0, 2.0])


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
