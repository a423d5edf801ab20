# Copyright 2026 the robocache_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Frames and motion in a real node: what it computes, and what it says where it can not."""

from __future__ import annotations

import importlib.util
import math
import sys
import time
from types import SimpleNamespace

import numpy as np
import pytest
from geometry_msgs.msg import TransformStamped
from nav_msgs.msg import Odometry
from rclpy.qos import DurabilityPolicy, QoSProfile, ReliabilityPolicy
from rig import SECOND, SMALL, START_NS, cloud, header, imu, level, stamp, values
from sensor_msgs.msg import Imu, JointState, PointCloud2

from robocache_ros.backends import make_backend
from robocache_ros.config import Config
from robocache_ros.decoding import Decoder, frame_of
from robocache_ros.pipeline import Pipeline
from robocache_ros.reading import read_features, read_voxels
from robocache_ros.ros.transforms import Transforms
from robocache_ros.samples import VoxelFrame

PERIOD_NS = SECOND // 10
HALF = math.sqrt(0.5)
TF2_MSGS = importlib.util.find_spec('tf2_msgs') is not None
NO_TF2_MSGS = 'tf2_msgs is not installed: /tf can not be heard over DDS'

FRAMES = {
    'sources': ['lidar', 'imu', 'odom'],
    'base_frame': 'base_link',
    'lidar.extrinsic': [0.5, 0.0, 1.0, 0.0, 0.1, 0.5],
    'imu.extrinsic': [0.0, 0.1, 0.2, 0.0, 0.0, HALF, HALF],
    'deskew.imu': 'imu',
    'deskew.odometry': 'odom',
    'voxels.channels': ['count', 'centroid', 'max_time_lag'],
    'voxels.sweeps': 2,
    'timeout_sec': 1.5,  # after which a source counts as silent
}
UNPLACED = {'sources': ['lidar'], 'base_frame': 'base_link'}


@pytest.fixture
def without_tf(monkeypatch):
    """Make a machine of this one that has no tf2_msgs."""
    for name in ('tf2_msgs', 'tf2_msgs.msg'):
        monkeypatch.setitem(sys.modules, name, None)


def odometry(t_ns, x, yaw):
    message = Odometry(header=header(t_ns, 'odom'), child_frame_id='base_link')
    message.pose.pose.position.x = x
    message.pose.pose.orientation.z = math.sin(yaw / 2)
    message.pose.pose.orientation.w = math.cos(yaw / 2)
    return message


def sweep(t_ns, chance, points=300):
    """Cloud of a tenth of a second that ends at its stamp, with the time of each point."""
    values = np.empty((points, 4))
    values[:, :3] = chance.uniform(-6, 6, (points, 3)) * (1, 1, 0.2)
    values[:, 3] = np.linspace(-0.1, 0.0, points)
    message = cloud(t_ns, values, 'velodyne')
    message.fields[3].name = 'time'
    return message


def script(frames=4, seed=5):
    """Yield what a robot sends that turns and drives: all of it up to the time of each cloud."""
    chance = np.random.default_rng(seed)
    for n in range(1, frames + 1):
        t_ns = START_NS + n * PERIOD_NS
        for k in range(11 if n == 1 else 9, -1, -1):  # from before the first point on
            yield 'imu', imu(t_ns - k * PERIOD_NS // 10, rate=1.0 + chance.normal())
        for k in range(6 if n == 1 else 4, -1, -1):
            at_ns = t_ns - k * PERIOD_NS // 5
            since = (at_ns - START_NS) / SECOND
            yield 'odom', odometry(at_ns, 5.0 * since, since)
        yield 'lidar', sweep(t_ns, chance)


def frames_of_the_core(parameters, messages):
    """Compute the frames without ROS: the same messages, straight into a pipeline."""
    blocks = {*parameters['sources'], 'voxels'}
    small = {key: value for key, value in SMALL.items() if key.split('.')[0] in blocks}
    config = Config.from_mapping({**small, **parameters})
    pipeline = Pipeline(config, make_backend('numpy'))
    decoders = {source.name: Decoder(source, config.deskew) for source in config.sources}
    frames = []
    for arrival_ns, (source, message) in enumerate(messages):
        t_ns, sample = decoders[source](message, stamp(message))
        pipeline.push(arrival_ns, source, t_ns, sample, frame_of(message))
        frames += pipeline.advance(arrival_ns)
    voxels = [frame for frame in frames if isinstance(frame, VoxelFrame)]
    return voxels, [frame for frame in frames if not isinstance(frame, VoxelFrame)]


def underscored(parameters):
    return {key.replace('.', '__'): value for key, value in parameters.items()}


def listen(rig, node):
    """Subscribe to both outputs of a node, and wait until it knows."""
    heard = [rig.collect(PointCloud2, f'/preprocessor/{name}') for name in ('voxels', 'features')]
    ours = [p for p in node.publishers if p.topic_name.endswith(('/voxels', '/features'))]
    rig.wait(lambda: all(p.get_subscription_count() for p in ours), 'the listeners to be known')
    return heard


def noted(node, source):
    notes = node._running.pipeline.status(time.monotonic_ns()).sources[source].notes
    return {reason.key for reason in notes}


def mounted(parent, child, z, t_ns=0):
    """Message of /tf or /tf_static: one frame above another."""
    transform = TransformStamped(header=header(t_ns, parent), child_frame_id=child)
    transform.transform.translation.z = z
    transform.transform.rotation.w = 1.0
    return SimpleNamespace(transforms=[transform])


def test_deskewed_clouds_in_the_frame_of_the_robot_are_those_of_the_core(rig):
    node = rig.active(**underscored(FRAMES))
    publishers = {
        'lidar': rig.publisher(PointCloud2, 'lidar/points'),
        'imu': rig.publisher(Imu, 'imu/data'),
        'odom': rig.publisher(Odometry, 'odom'),
    }
    rig.settle(node, *publishers.values())
    voxels, features = listen(rig, node)
    done = 0
    for source, message in script():
        rig.send(node, source, publishers[source], message)
        if source == 'lidar':  # one frame after the other, as in real time
            done += 1
            rig.wait(lambda n=done: len(voxels) == len(features) == n, f'frame {done}')

    expected_voxels, expected_features = frames_of_the_core(FRAMES, script())
    without = ('deskew.imu', 'deskew.odometry', 'voxels.sweeps')
    smeared = {key: value for key, value in FRAMES.items() if key not in without}
    others, _ = frames_of_the_core(smeared, script())
    assert len(expected_voxels) == len(expected_features) == 4
    for message, frame, other in zip(voxels, expected_voxels, others, strict=True):
        rows = read_voxels(message)
        assert frame.complete
        assert stamp(message) == frame.t_ref_ns
        assert message.header.frame_id == frame.frame_id == 'base_link'
        assert frame.voxels.index.tolist() != other.voxels.index.tolist()
        for got, center in zip((rows.x, rows.y, rows.z), frame.voxels.centers(), strict=True):
            np.testing.assert_array_equal(got, center)
        assert set(rows.channels) == set(frame.voxels.columns)
        for name, column in frame.voxels.columns.items():
            np.testing.assert_array_equal(rows.channels[name], column)
    for message, frame in zip(features, expected_features, strict=True):
        rows = read_features(message)
        assert frame.complete
        np.testing.assert_array_equal(rows.values, frame.values)
        np.testing.assert_array_equal(rows.valid, frame.valid)
    found = {name: values(status) for name, status in rig.diagnose(node).items()}
    assert found['source lidar']['deskew'] == 'on'
    assert found['source lidar']['extrinsic'] == 'lidar.extrinsic'
    assert found['source imu']['extrinsic'] == 'imu.extrinsic'
    assert found['source imu']['gyro_bias'] == '0.00000 0.00000 0.00000'
    assert ('transforms' in found) == TF2_MSGS  # for an odometry that is of another frame
    assert 'deskew' not in found['source odom']


def test_a_lidar_whose_frame_nobody_knows_is_told_with_the_next_diagnostics(rig):
    node = rig.active(**UNPLACED)
    lidar = rig.publisher(PointCloud2, 'lidar/points')
    rig.settle(node, lidar)
    rig.send(node, 'lidar', lidar, cloud(START_NS, frame_id='velodyne'))
    rig.wait(lambda: 'transform_unknown' in noted(node, 'lidar'), 'the frame')
    statuses = rig.diagnose(node)
    status = statuses['source lidar']
    assert level(status) == 2  # no grid without it
    amount, _, sentence = status.message.partition(' of the last ')
    assert amount == '1 cloud'
    assert sentence.partition(' left ')[2] == (
        'out of the grid (transform_unknown). As of now: nothing is known of the frame '
        "'velodyne'; frames known: none. Set `lidar.extrinsic`, "
        'or publish the frame on /tf_static or /tf.'
    )
    assert values(status)['extrinsic'] == '/tf'
    assert values(status)['deskew'] == 'off (not configured)'
    voxels = statuses['output voxels']
    assert values(voxels)['dropped.frame_no_cloud'] == '1'
    assert ' Away: lidar. lidar: 1 cloud of the last ' in voxels.message


def test_transforms_put_clouds_into_the_grid_and_are_counted(rig, capfd):
    node = rig.active(**UNPLACED)
    lidar = rig.publisher(PointCloud2, 'lidar/points')
    rig.settle(node, lidar)
    voxels, _ = listen(rig, node)
    transforms = node._running.inputs.transforms
    transforms.take(mounted('base_link', 'velodyne', 1.0), static=True)
    rig.send(node, 'lidar', lidar, cloud(START_NS, frame_id='velodyne'))
    rig.wait(lambda: voxels, 'the grid')
    assert voxels[0].header.frame_id == 'base_link'
    assert read_voxels(voxels[0]).z.tolist() == [1.5]  # the point was in the voxel at 0.5
    capfd.readouterr()
    for _ in range(3):
        transforms.take(mounted('map', 'velodyne', 1.0, START_NS), static=False)
    status = rig.diagnose(node)['transforms']
    found = values(status)
    assert (found['received'], found['refused.tf_parent']) == ('4', '3')
    assert level(status) == 1
    rig.diagnose(node)
    rig.diagnose(node)
    log = capfd.readouterr().err
    assert log.count("transforms: refused the frame 'velodyne' in 'map' on /tf (tf_parent") == 1
    assert log.count('tf_parent') == 1


def test_a_cloud_that_waits_for_tf_leaves_when_its_transform_comes(rig):
    parameters = {'output_frame': 'odom', 'lidar.extrinsic': [0.0] * 6, 'timeout_sec': 30.0}
    histories = {'lidar.history_sec': 60.0}
    node = rig.active(**underscored({**UNPLACED, **parameters, **histories}))
    lidar = rig.publisher(PointCloud2, 'lidar/points')
    rig.settle(node, lidar)
    voxels, features = listen(rig, node)
    transforms = node._running.inputs.transforms
    transforms.take(mounted('odom', 'base_link', 0.0, START_NS - PERIOD_NS), static=False)
    rig.send(node, 'lidar', lidar, cloud(START_NS))
    pipeline = node._running.pipeline
    before_ns = pipeline._advanced_ns
    rig.wait(lambda: pipeline._advanced_ns > before_ns, 'a look at what is ready')
    assert voxels == features == []
    transforms.take(mounted('odom', 'base_link', 1.0, START_NS), static=False)
    # Well before /tf would count as silent, so that it was the transform that woke the worker.
    rig.wait(lambda: voxels and features, 'both halves of the frame', 0.8)
    assert read_voxels(voxels[0]).z.tolist() == [1.5]
    assert read_features(features[0]).valid[-1].all()


def test_an_imu_that_nobody_knows_the_place_of_leaves_clouds_as_they_are_and_is_told(rig):
    parameters = {key: v for key, v in FRAMES.items() if key != 'imu.extrinsic'}
    node = rig.active(**underscored(parameters))
    turns, lidar = rig.publisher(Imu, 'imu/data'), rig.publisher(PointCloud2, 'lidar/points')
    rig.settle(node, turns, lidar)
    voxels, _ = listen(rig, node)
    for source, message in script(1):
        if source != 'odom':
            rig.send(node, source, {'imu': turns, 'lidar': lidar}[source], message)
    rig.wait(lambda: voxels, 'the grid')
    found = rig.diagnose(node)
    assert found['source imu'].message.startswith(
        'Clouds are not corrected for motion: nothing tells where imu is on the robot '
        "(transform_unknown). As of now: nothing is known of the frame 'imu'; frames known: "
    )
    status = found['source lidar']
    assert values(status)['deskew'] == 'off (motion_missing)'
    assert 'It is told by imu (arriving) and odom (unheard).' in status.message


def test_without_tf2_msgs_a_node_says_once_what_it_will_not_know_and_goes_on(
    rig, without_tf, capfd
):
    parameters = {key: v for key, v in FRAMES.items() if key != 'imu.extrinsic'}
    node = rig.active(**underscored(parameters), output_frame='map')
    for _ in range(3):
        status = rig.diagnose(node)['transforms']
    sentence = (
        'tf2_msgs is not installed (it comes with an installation of ROS 2 and is on no package '
        'index), so nothing is read from /tf and /tf_static, and only `extrinsic` tells where '
        'sensors are. Not known: where imu is, unless in the frame base_link, where base_link is '
        'in map.'
    )
    assert (level(status), status.message) == (1, sentence)
    assert capfd.readouterr().err.count(sentence) == 1
    assert rig.own.get_subscriptions_info_by_topic('/tf') == []


def test_a_node_that_asks_nothing_of_tf_does_not_read_it(rig, capfd):
    node = rig.active(sources=['lidar'])
    assert node._running.inputs.transforms is None
    assert rig.own.get_subscriptions_info_by_topic('/tf_static') == []
    assert 'tf2_msgs' not in capfd.readouterr().err


def test_tf_is_read_with_the_qos_of_everybody_else_and_can_be_remapped(rig):
    node = rig.node(autostart=False, cli_args=['--ros-args', '-r', '/tf:=/r1/tf'])
    config = Config.from_mapping(UNPLACED)
    # Any message does for looking at the subscriptions.
    transforms = Transforms(node, config, None, None, JointState)
    known = {
        topic: rig.wait(lambda t=topic: rig.own.get_subscriptions_info_by_topic(t), topic)
        for topic in ('/r1/tf', '/tf_static')
    }
    for topic, durability in (
        ('/r1/tf', DurabilityPolicy.VOLATILE),
        ('/tf_static', DurabilityPolicy.TRANSIENT_LOCAL),
    ):
        (info,) = known[topic]
        assert info.qos_profile.durability == durability
        assert info.qos_profile.reliability == ReliabilityPolicy.RELIABLE
    assert rig.own.get_subscriptions_info_by_topic('/tf') == []
    transforms.destroy()
    rig.wait(lambda: not rig.own.get_subscriptions_info_by_topic('/r1/tf'), 'the end of it')


def test_every_message_on_both_topics_gets_to_the_reader_in_order_also_of_a_burst(rig):
    latched = QoSProfile(depth=3, durability=DurabilityPolicy.TRANSIENT_LOCAL)
    fixed = rig.own.create_publisher(JointState, '/tf_static', latched)
    moving = rig.own.create_publisher(JointState, '/tf', 100)
    fixed.publish(JointState(name=['before']))
    woken = []
    node = rig.node(autostart=False)
    # Any message does for looking at what arrives.
    config = Config.from_mapping(UNPLACED)
    transforms = Transforms(node, config, None, lambda: woken.append(True), JointState)
    read = []
    transforms.reader.read = lambda _, message, static: read.append((message.name[0], static))
    rig.wait(lambda: read, 'what was latched')
    rig.wait(moving.get_subscription_count, 'the subscription to /tf')
    for k in range(50):
        moving.publish(JointState(name=[str(k)]))
    rig.wait(lambda: not transforms._door.open, 'the burst to be noticed')
    rig.wait(lambda: transforms._door.open, 'the burst to be over')
    moving.publish(JointState(name=['after']))
    rig.wait(lambda: len(read) == 52, 'what comes after it')
    burst = [(str(k), False) for k in range(50)]
    assert read == [('before', True), *burst, ('after', False)]
    assert len(woken) == 52
    transforms.destroy()


def test_a_bug_in_the_reader_is_counted_told_and_survived(rig, capfd):
    node = rig.active(**UNPLACED)
    transforms = node._running.inputs.transforms
    for _ in range(3):
        transforms.take(SimpleNamespace(), static=False)
    status = rig.diagnose(node)['transforms']
    assert level(status) == 2
    assert 'AttributeError' in status.message
    assert capfd.readouterr().err.count('Traceback') == 1
    transforms.take(mounted('base_link', 'velodyne', 1.0), static=True)
    assert values(rig.diagnose(node)['transforms'])['received'] == '1'


@pytest.mark.skipif(not TF2_MSGS, reason=NO_TF2_MSGS)
def test_transforms_over_dds_place_clouds_also_those_told_before_the_node_was_there(rig):
    from tf2_msgs.msg import TFMessage

    latched = QoSProfile(depth=1, durability=DurabilityPolicy.TRANSIENT_LOCAL)
    fixed = rig.own.create_publisher(TFMessage, '/tf_static', latched)
    moving = rig.own.create_publisher(TFMessage, '/tf', 100)
    (transform,) = mounted('base_link', 'velodyne', 1.0).transforms
    fixed.publish(TFMessage(transforms=[transform]))
    node = rig.active(**UNPLACED, output_frame='odom')
    reader = node._running.inputs.transforms.reader
    rig.wait(lambda: reader.received == 1, 'what was latched')
    rig.wait(moving.get_subscription_count, 'the subscription to /tf')
    moving.publish(TFMessage(transforms=mounted('odom', 'base_link', 0.0, START_NS).transforms))
    rig.wait(lambda: reader.received == 2, 'what moves')
    lidar = rig.publisher(PointCloud2, 'lidar/points')
    rig.settle(node, lidar)
    voxels, _ = listen(rig, node)
    rig.send(node, 'lidar', lidar, cloud(START_NS, frame_id='velodyne'))
    rig.wait(lambda: voxels, 'the grid')
    assert voxels[0].header.frame_id == 'odom'
    assert read_voxels(voxels[0]).z.tolist() == [1.5]


def test_odometry_without_nav_msgs_is_refused_with_the_package_and_all_else_runs(rig, monkeypatch):
    for name in ('nav_msgs', 'nav_msgs.msg'):
        monkeypatch.setitem(sys.modules, name, None)
    node = rig.node(sources=['lidar', 'odom'])
    rig.wait(lambda: node.autostart_failed, 'the refusal')
    assert 'odom.type odometry needs the package nav_msgs, which is not installed' in node.problem
    assert 'ros-$ROS_DISTRO-nav-msgs' in node.problem
    rig.active('other', sources=['lidar'])
