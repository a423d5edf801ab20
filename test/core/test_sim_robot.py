# Copyright 2026 the robocache_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The whole robot: its messages in order, the same for the same seed, and readable."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest

from robocache_ros.codec.cloud import decode_cloud
from robocache_ros.codec.image import decode_image
from robocache_ros.codec.imu import decode_imu
from robocache_ros.codec.joints import joint_decoder
from robocache_ros.codec.stamp import stamp_ns
from robocache_ros.sim import (
    CameraConfig,
    ImuConfig,
    JointsConfig,
    LidarConfig,
    Robot,
    RobotConfig,
)
from robocache_ros.sim.joints import NAMES, joints_at

CONFIG = RobotConfig(
    lidar=LidarConfig(rings=8, columns=90),
    camera=CameraConfig(width=32, height=24),
)
START_NS = 5_000_000_000


def flat(value):
    """A message as plain values that can be compared."""
    if isinstance(value, SimpleNamespace):
        return {name: flat(item) for name, item in vars(value).items()}
    if isinstance(value, list):
        return [flat(item) for item in value]
    return bytes(value) if isinstance(value, np.ndarray) else value


def messages(config, duration_sec=0.5):
    return [(e.publish_ns, e.source, flat(e.message)) for e in Robot(config).events(duration_sec)]


def latest(robot, source):
    return [e.message for e in robot.events(0.5, START_NS) if e.source == source][-1]


def test_same_seed_same_bytes():
    config = replace(
        CONFIG,
        seed=4,
        lidar=replace(CONFIG.lidar, jitter_sec=0.01),
        imu=ImuConfig(drop_probability=0.2, latency_jitter_sec=0.02),
    )
    assert messages(config) == messages(config)
    assert messages(config) != messages(replace(config, seed=5))


def test_messages_come_in_publish_order_at_their_rates():
    events = list(Robot(CONFIG).events(1.0, START_NS))
    times = [e.publish_ns for e in events]
    assert times == sorted(times)
    # A sweep comes out 0.102 s after its start, so the tenth is not yet there.
    counts = Counter(e.source for e in events)
    assert counts == {'lidar': 9, 'camera': 30, 'imu': 400, 'joints': 100}


def test_stamps_are_the_start_plus_the_time_of_measurement():
    robot = Robot(CONFIG)
    sweeps = [e for e in robot.events(1.0, START_NS) if e.source == 'lidar']
    assert [stamp_ns(e.message.header) for e in sweeps[:3]] == [
        5_000_000_000,
        5_100_000_000,
        5_200_000_000,
    ]
    assert sweeps[0].publish_ns == 5_102_000_000


def test_lost_messages_do_not_come():
    config = replace(CONFIG, joints=JointsConfig(drop_intervals_sec=(0.1, 0.4)))
    times = [e.publish_ns for e in Robot(config).events(0.5, 0) if e.source == 'joints']
    assert max(t for t in times if t < 200_000_000) == 91_000_000
    assert min(t for t in times if t > 200_000_000) == 401_000_000


def test_the_cloud_is_the_sweep_at_its_stamp():
    robot = Robot(CONFIG)
    view = decode_cloud(latest(robot, 'lidar'))
    truth = robot.sweep(0.3)
    assert view.n == len(truth.points)
    assert view.frame_id == 'lidar'
    for name in truth.points.dtype.names:
        assert np.array_equal(view.column(name), truth.points[name])


def test_the_image_is_the_view_at_its_stamp():
    robot = Robot(CONFIG)
    view = decode_image(latest(robot, 'camera'))
    truth = robot.camera.render(robot.world, robot.path, 0.004 + 14 / 30)
    assert (view.encoding, view.height, view.width) == ('rgb8', 24, 32)
    assert np.array_equal(np.reshape(view.data, (24, 32, 3)), truth)


def test_the_imu_is_the_motion_at_its_stamp():
    robot = Robot(replace(CONFIG, imu=ImuConfig(gyro_noise=0.0, accel_noise=0.0)))
    message = latest(robot, 'imu')
    t = (stamp_ns(message.header) - START_NS) * 1e-9
    truth = robot.imu.measure(robot.path, t)
    vector = decode_imu(message)
    assert vector.valid.all()
    assert vector.values == pytest.approx(np.concatenate(truth), rel=1e-6, abs=1e-6)


def test_the_joints_are_those_at_their_stamp():
    robot = Robot(CONFIG)
    vector = joint_decoder(NAMES, ('position', 'velocity'))(latest(robot, 'joints'))
    truth = joints_at(robot.path, 0.49)
    assert vector.values == pytest.approx([*truth.position, *truth.velocity], rel=1e-6)


def test_noise_does_not_depend_on_what_was_measured_before():
    robot = Robot(CONFIG)
    once = flat(robot.message('imu', 123_456_789, 0))
    robot.message('imu', 5, 0)
    assert flat(robot.message('imu', 123_456_789, 0)) == once


def test_sweeps_come_round_again_without_being_rendered_again():
    robot = Robot(CONFIG)
    assert sum(1 for _ in robot.prerender()) == 30 + 90
    first, again = (robot.message('lidar', n * 3_000_000_000, 0) for n in (0, 2))
    assert first.data is again.data
    assert first.header is not again.header


def test_with_fewer_renderings_the_nearest_is_shown():
    robot = Robot(replace(CONFIG, lidar=replace(CONFIG.lidar, prerender=3)))
    assert robot.rendered_sec('lidar', 1_400_000_000) == pytest.approx(1.0)
    assert robot.rendered_sec('lidar', 1_600_000_000) == pytest.approx(2.0)
    shown = decode_cloud(robot.message('lidar', 1_400_000_000, 0))
    assert np.array_equal(shown.column('x'), robot.sweep(1.0).points['x'])


def test_without_prerendering_every_sweep_shows_its_very_own_time():
    robot = Robot(replace(CONFIG, lidar=replace(CONFIG.lidar, prerender=0)))
    assert sum(1 for _ in robot.prerender()) == 90  # the images
    assert robot.rendered_sec('lidar', 123_456_789) == pytest.approx(0.123456789)
    shown = decode_cloud(robot.message('lidar', 123_456_789, 0))
    assert np.array_equal(shown.column('x'), robot.sweep(0.123456789).points['x'])


def test_by_default_every_measurement_shows_its_own_time():
    robot = Robot()
    for source, rate in (('lidar', 10), ('camera', 30)):
        phase = getattr(robot.config, source).phase_sec
        for count in (0, 1, 77, 100_000):
            t = phase + count / rate
            assert robot.rendered_sec(source, round(t * 1e9)) == pytest.approx(t, abs=1e-6)


def test_a_sensor_turned_off_sends_nothing_and_renders_nothing():
    config = replace(CONFIG, camera=replace(CONFIG.camera, rate_hz=0.0))
    robot = Robot(config)
    assert sum(1 for _ in robot.prerender()) == 30
    assert {e.source for e in robot.events(0.5)} == {'lidar', 'imu', 'joints'}
