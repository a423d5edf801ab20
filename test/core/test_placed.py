# Copyright 2026 the robocache_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The picture of deskew, held against the truth of the simulated robot that the demo drives."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import yaml

from robocache_ros.codec.cloud import CloudView, Motion, Transform
from robocache_ros.config import Config
from robocache_ros.demo.options import FAST_PARAMETERS, FAST_ROBOT
from robocache_ros.demo.placed import PlacedClouds, points_of, taken_at_once
from robocache_ros.resources import config_file
from robocache_ros.sim import Robot, RobotConfig
from robocache_ros.sim.robot import START_NS

MS = 1_000_000
SWEEP_NS = 99_750_000  # from the first of 400 columns to the last


@pytest.fixture(scope='module')
def config():
    return Config.from_yaml(config_file(FAST_PARAMETERS))


@pytest.fixture(scope='module')
def robot():
    """Give the robot of the demo, with fewer points and exact sensors."""
    pairs = (assignment.split(':=') for assignment in FAST_ROBOT)
    given = {name: yaml.safe_load(value) for name, value in pairs}
    few = {'lidar.rings': 16, 'lidar.columns': 400, 'lidar_rear.columns': 200}
    exact = {'imu.gyro_noise': 0.0, 'imu.jitter_sec': 0.0}
    off = {'camera.rate_hz': 0.0, 'joints.rate_hz': 0.0}
    return Robot(RobotConfig.from_mapping({**given, **few, **exact, **off}))


@pytest.fixture(scope='module')
def placed(config, robot):
    """Give what is placed of 0.6 s."""
    clouds = PlacedClouds(config)
    heard = {source.name for source in clouds.sources}
    assert heard == {'lidar', 'lidar_rear', 'imu', 'odom'}
    messages = (event for event in robot.events(0.6) if event.source in heard)
    return [one for event in messages for one in clouds.push(event.source, event.message)]


def truth(robot, t_ref_ns):
    """Points of both LiDARs where they were, in the base at robot time `t_ref_ns`."""
    front = robot.true_points('lidar', t_ref_ns - SWEEP_NS, t_ref_ns)
    # The newest sweep of the rear that was over by then; it begins 37 ms later, 5 ms per column.
    rear = robot.true_points('lidar_rear', t_ref_ns - SWEEP_NS - 63 * MS, t_ref_ns)
    return front, rear


def test_the_robot_of_the_demo_is_the_one_that_its_parameters_describe(config, robot):
    for name in ('lidar', 'lidar_rear', 'imu'):
        position, rpy = robot.mounting(name)
        assert config.source(name).extrinsic == (*position, *rpy)
    assert config.source('imu').gyro_bias == robot.config.imu.gyro_bias
    assert config.base_frame == robot.config.odom.child_frame_id


def test_the_robot_of_the_demo_is_fast(robot):
    t = np.linspace(0.0, 3.0, 301)
    assert robot.path.yaw_rate(t).min() > 2.0
    assert np.hypot(*robot.path.velocity(t)[:2]).min() > 1.5


def test_deskewed_points_are_where_they_were_and_smeared_ones_metres_away(placed, robot):
    # The rear LiDAR's first sweep is over at 137 ms.
    later = [one for one in placed if one.stamp_ns > START_NS + 150 * MS]
    assert len(later) >= 3
    for one in later:
        front, rear = truth(robot, one.stamp_ns - START_NS)
        true = np.concatenate([front, rear])
        assert len(one.deskewed) == len(one.smeared) == len(true) > 5000
        assert np.linalg.norm(one.deskewed - true, axis=1).max() < 0.01
        assert np.linalg.norm(one.smeared - true, axis=1).max() > 3.0


def test_a_cloud_taken_at_once_moves_as_its_last_point_does():
    columns = {name: np.float32([1, 2, 3]) for name in 'xyz'}
    cloud = CloudView.from_columns({**columns, 't': np.uint32([0, 10, 2**23 - 1])})
    segments = np.random.default_rng(2).normal(size=(2, 33)).astype(np.float32)
    moving = replace(cloud, motion=Motion('t', 1.0, 0.0, segments))
    at_once = taken_at_once(moving)
    assert at_once.motion is None
    assert isinstance(at_once.transform, Transform)
    whole, each = points_of([at_once]), points_of([moving])
    assert whole[2] == pytest.approx(each[2], rel=1e-5)
    assert not np.allclose(whole[:2], each[:2])
    assert taken_at_once(cloud) is cloud


def test_points_without_a_place_are_left_out():
    x = np.float32([1, np.nan, 3])
    one, two = (CloudView.from_columns({'x': x + k, 'y': x, 'z': x}) for k in (0, 1))
    assert points_of([one, two])[:, 0].tolist() == [1, 3, 2, 4]
    assert points_of([]).shape == (0, 3)


def test_what_makes_frames_but_is_not_looked_at_does_not_hold_the_picture_up(config, robot):
    clouds = PlacedClouds(replace(config, trigger='camera'))
    messages = [event for event in robot.events(0.4) if event.source in ('lidar', 'imu', 'odom')]
    assert [one for event in messages for one in clouds.push(event.source, event.message)]


def test_motion_that_reaches_the_viewer_later_and_later_is_waited_for(config, robot, monkeypatch):
    def arrival_ns(event):
        since_ns = event.publish_ns - START_NS
        return event.publish_ns + (since_ns // 2 if event.source in ('imu', 'odom') else 0)

    clouds = PlacedClouds(config)
    heard = {source.name for source in clouds.sources}
    events = [event for event in robot.events(1.0) if event.source in heard]
    placed = []
    for event in sorted(events, key=arrival_ns):  # in the end 0.5 s late; a node waits for 0.1 s
        now_ns = arrival_ns(event)
        monkeypatch.setattr('robocache_ros.demo.placed.time.monotonic_ns', lambda t=now_ns: t)
        placed += clouds.push(event.source, event.message)
    assert len(placed) >= 8
    for one in placed[1:]:
        assert np.abs(one.deskewed - one.smeared).max() > 1.0


def test_what_cameras_paint_is_no_part_of_the_picture_of_points(config, robot):
    camera = replace(config.source('camera'), paint=('rgb',), extrinsic=(0.0,) * 6)
    sources = [camera if source.name == 'camera' else source for source in config.sources]
    voxels = replace(config.voxels, channels=('count', 'mean_r'), dense='float32')
    voxels = replace(voxels, voxel_size=(1.0, 1.0, 1.0))
    clouds = PlacedClouds(replace(config, sources=tuple(sources), voxels=voxels, trigger='camera'))
    assert {source.name for source in clouds.sources} == {'lidar', 'lidar_rear', 'imu', 'odom'}
    messages = [event for event in robot.events(0.4) if event.source in ('lidar', 'imu', 'odom')]
    assert [one for event in messages for one in clouds.push(event.source, event.message)]
