# Copyright 2026 the robocache_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The whole robot: its messages in order, the same for the same seed, and readable."""

from __future__ import annotations

import io
import sys
from collections import Counter
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
from sim_world import off_surface

from robocache_ros.codec.cloud import decode_cloud
from robocache_ros.codec.image import decode_image
from robocache_ros.codec.imu import decode_imu
from robocache_ros.codec.joints import joint_decoder
from robocache_ros.codec.stamp import stamp_ns
from robocache_ros.config import Config
from robocache_ros.demo.options import PARAMETERS
from robocache_ros.resources import config_file
from robocache_ros.sim import (
    CameraConfig,
    ImuConfig,
    JointsConfig,
    LidarConfig,
    OdometryConfig,
    RearLidarConfig,
    Robot,
    RobotConfig,
)
from robocache_ros.sim.joints import NAMES, joints_at

CONFIG = RobotConfig(
    lidar=LidarConfig(rings=8, columns=90),
    camera=CameraConfig(width=32, height=24),
)
TWO_LIDARS = replace(CONFIG, lidar_rear=RearLidarConfig(rate_hz=10.0, rings=8, columns=90))
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
    assert counts == {'lidar': 9, 'camera': 30, 'imu': 400, 'joints': 100, 'odom': 50}


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


def test_a_calibration_comes_with_the_image_of_the_same_stamp():
    camera = CameraConfig(
        width=32, height=24, distortion_model='equidistant', view_deg=180.0,
        distortion=(0.1, 0.2, 0.3, 0.4),
    )  # fmt: skip
    robot = Robot(replace(CONFIG, camera=camera))
    assert robot.companions('camera') == ('camera_info',)
    assert robot.companions('lidar') == ()
    info = robot.message('camera_info', 4_000_000, START_NS)
    assert stamp_ns(info.header) == START_NS
    assert info.header.frame_id == 'camera_optical'
    assert (info.width, info.height, info.distortion_model) == (32, 24, 'equidistant')
    assert list(info.d) == [0.1, 0.2, 0.3, 0.4]
    focal = pytest.approx(16 / (np.pi / 2))
    assert list(info.k) == [focal, 0, 15.5, 0, focal, 11.5, 0, 0, 1]
    assert list(info.r) == [1, 0, 0, 0, 1, 0, 0, 0, 1]
    assert list(info.p) == [focal, 0, 15.5, 0, 0, focal, 11.5, 0, 0, 0, 1, 0]
    assert flat(info.roi) == {
        'x_offset': 0, 'y_offset': 0, 'height': 0, 'width': 0, 'do_rectify': False,
    }  # fmt: skip
    assert (info.binning_x, info.binning_y) == (0, 0)


def test_the_robot_as_it_is_by_default_is_the_one_that_camera_yaml_describes():
    pytest.importorskip('yaml', reason='needs PyYAML, as the package does')
    config, robot = Config.from_yaml(config_file(PARAMETERS)), Robot()
    for name in ('lidar', 'camera', 'imu'):
        position, rpy = robot.mounting(name)
        assert config.source(name).extrinsic == pytest.approx((*position, *rpy), abs=1e-5)
    assert config.base_frame == robot.config.odom.child_frame_id
    assert [camera.painted for camera in config.cameras()] == [('r', 'g', 'b')]
    assert config.source('camera').camera_info_topic == 'camera/camera_info'
    assert 'rgb' in config.voxels.channels


def test_labels_and_jpeg_images_are_those_of_the_image():
    image = pytest.importorskip('PIL.Image', reason='needs Pillow, to read JPEG')
    camera = CameraConfig(width=320, height=240, labels=True, jpeg_quality=95)
    robot = Robot(replace(CONFIG, camera=camera))
    assert robot.companions('camera') == ('camera_info', 'camera_labels', 'camera_compressed')
    capture_ns = 4_000_000 + 3_000_000_000
    shown, labels, packed = (
        robot.message(name, capture_ns, START_NS)
        for name in ('camera', 'camera_labels', 'camera_compressed')
    )
    assert {stamp_ns(m.header) for m in (shown, labels, packed)} == {START_NS}
    assert {m.header.frame_id for m in (shown, labels, packed)} == {'camera_optical'}
    surfaces = robot.camera.surfaces(robot.world, robot.path, 0.004)
    view = decode_image(labels)
    assert view.encoding == 'mono8'
    assert np.array_equal(view.plane('y'), robot.world.labels[surfaces])
    assert packed.format == 'rgb8; jpeg compressed bgr8'
    read = np.asarray(image.open(io.BytesIO(packed.data)), int)
    off = np.abs(read - np.reshape(shown.data, (240, 320, 3)).astype(int))
    assert np.median(off) <= 2
    assert np.mean(off) < 3


def test_jpeg_images_without_pillow_are_refused_with_the_way_to_have_them(monkeypatch):
    monkeypatch.setitem(sys.modules, 'PIL', None)
    camera = replace(CONFIG.camera, jpeg_quality=80)
    with pytest.raises(ValueError, match=r'camera\.jpeg_quality needs Pillow: pip install pillow'):
        Robot(replace(CONFIG, camera=camera))
    assert Robot(CONFIG).companions('camera') == ('camera_info',)


def test_true_colours_are_those_of_the_surfaces_of_the_points():
    robot = Robot(CONFIG)
    colors = robot.true_colors('lidar', 300_000_000)
    surface = robot.sweep(0.3).surface
    assert colors.shape == (len(surface), 3)
    assert tuple(colors[0]) == tuple(robot.world.colors[surface[0]])
    assert np.array_equal(colors, robot.world.colors[surface])


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
    assert {e.source for e in robot.events(0.5)} == {'lidar', 'imu', 'joints', 'odom'}


def test_the_odometry_is_the_pose_and_the_twist_at_its_stamp():
    robot = Robot(CONFIG)
    message = latest(robot, 'odom')
    t = (stamp_ns(message.header) - START_NS) * 1e-9
    assert t == pytest.approx(0.48)
    assert (message.header.frame_id, message.child_frame_id) == ('odom', 'base_link')
    x, y, z = robot.path.position(t)
    at = message.pose.pose.position
    assert (at.x, at.y, at.z) == pytest.approx((x, y, z))
    q = message.pose.pose.orientation
    assert 2 * np.arctan2(q.z, q.w) % (2 * np.pi) == pytest.approx(robot.path.yaw(t))
    linear, angular = message.twist.twist.linear, message.twist.twist.angular
    # It looks where it drives.
    assert linear.x == pytest.approx(np.hypot(*robot.path.velocity(t)[:2]))
    assert (linear.y, linear.z) == pytest.approx((0.0, 0.0), abs=1e-12)
    assert (angular.x, angular.y, angular.z) == (0.0, 0.0, robot.path.yaw_rate(t))
    assert len(message.pose.covariance) == len(message.twist.covariance) == 36


def test_noise_of_the_odometry_is_that_of_its_covariance_and_of_the_seed():
    noisy = replace(CONFIG, odom=OdometryConfig(position_noise=0.1, yaw_noise=0.2))
    message = latest(Robot(noisy), 'odom')
    assert np.diag(message.pose.covariance.reshape(6, 6)) == pytest.approx(
        [0.01, 0.01, 0, 0, 0, 0.04]
    )
    position = flat(message.pose.pose.position)
    assert position != flat(latest(Robot(CONFIG), 'odom').pose.pose.position)
    assert position == flat(latest(Robot(noisy), 'odom').pose.pose.position)
    other = latest(Robot(replace(noisy, seed=1)), 'odom')
    assert position != flat(other.pose.pose.position)


def test_the_rear_lidar_is_off_until_it_has_a_rate():
    assert 'lidar_rear' not in {e.source for e in Robot(CONFIG).events(0.5)}
    robot = Robot(TWO_LIDARS)
    clouds = [e for e in robot.events(0.5, START_NS) if e.source == 'lidar_rear']
    assert [stamp_ns(e.message.header) - START_NS for e in clouds] == [
        37_000_000,
        137_000_000,
        237_000_000,
        337_000_000,
    ]
    assert {e.message.header.frame_id for e in clouds} == {'lidar_rear'}
    assert clouds[0].publish_ns - START_NS == 37_000_000 + 102_000_000


@pytest.mark.parametrize('source', ['lidar', 'lidar_rear'])
def test_true_points_lie_on_the_world_and_those_of_the_message_do_not(source):
    robot = Robot(TWO_LIDARS)
    capture_ns, t_ref_ns = 237_000_000, 330_000_000
    if source == 'lidar':
        capture_ns = 200_000_000
    true = robot.true_points(source, capture_ns, t_ref_ns)
    base = robot.pose('base', t_ref_ns * 1e-9)
    assert off_surface(robot.world, base.of(true).T).max() < 1e-3
    view = decode_cloud(robot.message(source, capture_ns, capture_ns))
    smeared = base.then(robot.mounted(source)).of(np.stack(view.xyz(), axis=1).astype(float))
    assert view.n == len(true) > 400
    assert off_surface(robot.world, smeared.T).max() > 0.3


def test_a_robot_that_turns_on_the_spot_turns_its_points_back_by_hand():
    # Half a turn a second, to the left; the sweep begins at the rear and takes 0.1 s.
    config = replace(CONFIG, semi_axes=(0.0, 0.0), loop_sec=2.0)
    robot = Robot(replace(config, lidar=replace(CONFIG.lidar, position=(0.0, 0.0, 1.6))))
    true = robot.true_points('lidar', 0, 100_000_000)
    points = robot.sweep(0.0).points
    left = np.pi * (points['time'].astype(np.float64) - 0.1)  # yaw then, seen from the end
    x, y = points['x'].astype(np.float64), points['y'].astype(np.float64)
    assert true[:, 0] == pytest.approx(np.cos(left) * x - np.sin(left) * y, abs=1e-9)
    assert true[:, 1] == pytest.approx(np.sin(left) * x + np.cos(left) * y, abs=1e-9)
    assert true[:, 2] == pytest.approx(points['z'] + 1.6, abs=1e-6)


def test_true_points_are_also_told_in_the_frame_of_a_sensor():
    robot = Robot(TWO_LIDARS)
    in_base = robot.true_points('lidar', 0, 50_000_000)
    in_rear = robot.true_points('lidar', 0, 50_000_000, 'lidar_rear')
    assert robot.mounted('lidar_rear').of(in_rear) == pytest.approx(in_base)
    assert robot.mounted('lidar_rear').position == pytest.approx([-0.4, 0.1, 0.7])


def test_a_camera_looks_ahead_with_its_z_axis():
    mounted = Robot(CONFIG).mounted('camera')
    ahead, right, down = np.eye(3)[2], np.eye(3)[0], np.eye(3)[1]
    assert mounted.of(ahead) == pytest.approx([1.3, 0.0, 1.2])
    assert mounted.of(right) == pytest.approx([0.3, -1.0, 1.2])
    assert mounted.of(down) == pytest.approx([0.3, 0.0, 0.2])


@pytest.mark.parametrize(('stamp_at', 'share'), [('start', 0.0), ('middle', 0.5), ('end', 1.0)])
def test_the_header_stamps_the_first_point_the_last_or_the_middle_between(stamp_at, share):
    later = share * 100 * 89 / 90  # ms: of 90 columns the last is measured 89 after the first
    robot = Robot(replace(CONFIG, lidar=replace(CONFIG.lidar, stamp_at=stamp_at)))
    message = latest(robot, 'lidar')
    assert stamp_ns(message.header) == START_NS + round((300 + later) * 1e6)
    # Counted from the header, the first point has always the same time.
    first = decode_cloud(message).column('time')[0]
    assert first == pytest.approx(-later * 1e-3, abs=1e-9)


def test_absolute_times_are_those_of_the_message_though_sweeps_are_rendered_once():
    lidar = replace(CONFIG.lidar, time_field='timestamp', stamp_at='end')
    robot = Robot(replace(CONFIG, lidar=lidar))
    since = robot.sweep(0.3).points['time']
    for loop, start_ns in enumerate((1_700_000_000 * 10**9, 1_700_000_003 * 10**9)):
        capture_ns = 300_000_000 + loop * 3_000_000_000
        message = robot.message('lidar', capture_ns, start_ns)
        assert stamp_ns(message.header) == start_ns + 98_888_889
        view = decode_cloud(message)
        # A float64 of seconds since the epoch has steps of 2.4e-7 s.
        assert view.column('timestamp') - start_ns * 1e-9 == pytest.approx(since, abs=3e-7)
        assert np.array_equal(view.column('x'), robot.sweep(0.3).points['x'])
