# Copyright 2026 the robocache_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The LiDAR: angles, times and layout by hand, every point on a surface of the world."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scipy.spatial.transform import Rotation
from sim_world import off_surface

from robocache_ros.sim import Box, LidarConfig, Path, World
from robocache_ros.sim.lidar import POINT, Lidar
from robocache_ros.sim.path import place
from robocache_ros.sim.world import BOXES, WALLS

MOVING = Path((1.2, 0.9), loop_sec=3.0, turns=2)
STILL = Path((0.0, 0.0), loop_sec=3.0, turns=0)  # in the origin, looks along y
SMALL = LidarConfig(rings=16, columns=180)


def in_world(sweep, path, position):
    """Points where they are: each moved by the true pose at its own time."""
    t = sweep.start_sec + sweep.points['time'].astype(np.float64)
    yaw = path.yaw(t)
    x, y, z = (sweep.points[name].astype(np.float64) for name in 'xyz')
    turned = np.stack([np.cos(yaw) * x - np.sin(yaw) * y, np.sin(yaw) * x + np.cos(yaw) * y, z])
    return turned + place(path.position(t), yaw, position)


def test_rings_are_evenly_spread_between_lowest_and_highest():
    lidar = Lidar(LidarConfig(rings=5, lowest_deg=-20.0, highest_deg=20.0))
    assert np.degrees(lidar.elevation) == pytest.approx([-20, -10, 0, 10, 20])
    sweep = Lidar(SMALL).sweep(World(), MOVING, 0.4)
    p = sweep.points
    elevation = np.degrees(np.arctan2(p['z'], np.hypot(p['x'], p['y'])))
    assert elevation == pytest.approx(-25.0 + p['ring'] * 40.0 / 15, abs=1e-4)


def test_time_grows_with_azimuth_and_stays_below_the_period():
    points = Lidar(SMALL).sweep(World(), MOVING, 0.4).points
    azimuth = np.arctan2(points['y'], points['x'])
    assert (np.diff(points['time']) >= 0).all()
    assert points['time'][0] == 0.0
    assert points['time'].max() == pytest.approx(0.1 * 179 / 180)
    # From the rear once round; the first column lies at -pi, which is +pi as well.
    expected = (points['time'] / 0.1 * 2 - 1) * np.pi
    assert azimuth[16:] == pytest.approx(expected[16:], abs=1e-4)
    assert np.abs(azimuth[:16]) == pytest.approx(np.pi)


def test_points_moved_by_the_true_pose_at_their_own_time_lie_on_the_world():
    config, world = LidarConfig(rings=32, columns=720), World()
    sweep = Lidar(config).sweep(world, MOVING, 0.4)
    points = in_world(sweep, MOVING, config.position)
    assert len(sweep.points) > 20000
    assert off_surface(world, points).max() < 1e-3


@pytest.mark.parametrize('rpy', [(0.0, 0.0, 1.2), (0.3, -0.2, 2.5), (np.pi, 0.0, 0.0)])
def test_a_lidar_that_is_turned_measures_the_same_world(rpy):
    config, world = LidarConfig(rings=32, columns=360, rpy=rpy, position=(0.3, 0.2, 1.5)), World()
    sweep = Lidar(config).sweep(world, MOVING, 0.4)
    x, y, z = (sweep.points[name].astype(np.float64) for name in 'xyz')
    turned = Rotation.from_euler('xyz', rpy).apply(np.stack([x, y, z], axis=1))
    upright = {**dict(zip('xyz', turned.T, strict=True)), 'time': sweep.points['time']}
    points = in_world(replace(sweep, points=upright), MOVING, config.position)
    assert points.shape[1] > 8000
    assert off_surface(world, points).max() < 1e-3
    # The beams leave it as they leave one that stands upright.
    elevation = np.degrees(np.arctan2(z, np.hypot(x, y)))
    assert elevation == pytest.approx(-25.0 + sweep.points['ring'] * 40.0 / 31, abs=1e-4)


def test_motion_smears_a_sweep_that_is_taken_for_one_instant():
    config, world = SMALL, World()
    sweep = Lidar(config).sweep(world, MOVING, 0.4)
    sweep.points['time'] = 0.0
    off = off_surface(world, in_world(sweep, MOVING, config.position))
    assert off[:16].max() < 1e-3  # the first column was measured at that instant
    assert off.max() > 0.5


def test_range_is_the_length_of_the_point():
    sweep = Lidar(SMALL).sweep(World(), MOVING, 0.0)
    p = sweep.points
    assert np.sqrt(p['x'] ** 2 + p['y'] ** 2 + p['z'] ** 2) == pytest.approx(sweep.range, rel=1e-6)


def test_intensity_is_reflectivity_seen_straight_on_and_less_at_a_slant():
    yard = Box((-10.0, -10.0, 0.0), (10.0, 10.0, 5.0), (0, 0, 0), 0.4)
    box = Box((-1.0, 3.0, 0.0), (1.0, 4.0, 4.0), (0, 0, 0), 0.8)
    config = LidarConfig(rings=1, columns=8, lowest_deg=0.0, highest_deg=0.0)
    sweep = Lidar(config).sweep(World([box], yard), STILL, 0.0)
    # The platform looks along +y: azimuth 0 meets the box, +-90 degrees the side walls.
    assert sweep.points['intensity'][4] == pytest.approx(255 * 0.8, rel=1e-6)
    assert sweep.range[4] == pytest.approx(3.0)
    assert sweep.surface[4] == BOXES + 2
    assert sweep.points['intensity'][2] == pytest.approx(255 * 0.4, rel=1e-6)
    assert sweep.surface[2] == WALLS + 1  # to the right is +x
    slanted = 255 * 0.4 * (0.25 + 0.75 * np.sqrt(0.5))
    assert sweep.points['intensity'][3] == pytest.approx(slanted, rel=1e-6)


def test_returns_beyond_the_range_are_lost():
    near = Lidar(LidarConfig(rings=16, columns=180, max_range=5.0)).sweep(World(), MOVING, 0.0)
    full = Lidar(SMALL).sweep(World(), MOVING, 0.0)
    kept = full.range <= 5.0
    assert 0 < kept.sum() < len(full.range)
    assert np.array_equal(near.points, full.points[kept])


def test_a_point_takes_22_bytes_as_from_common_drivers():
    assert POINT.itemsize == 22
    offsets = {name: field[1] for name, field in POINT.fields.items()}
    assert offsets == {'x': 0, 'y': 4, 'z': 8, 'intensity': 12, 'ring': 16, 'time': 18}


def test_the_default_sweep_has_about_100k_points():
    sweep = Lidar(LidarConfig()).sweep(World(), MOVING, 0.0)
    assert 98_000 < len(sweep.points) <= 64 * 1600
