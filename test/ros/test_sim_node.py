# Copyright 2026 the robocache_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The sim node over DDS: rates, stamps, sim/sent, simulated time, refusals and its end."""

from __future__ import annotations

import signal
import sys
import time
from collections import defaultdict
from types import SimpleNamespace

import numpy as np
import pytest
from nav_msgs.msg import Odometry
from rclpy.impl.rcutils_logger import RcutilsLogger
from rclpy.node import Node
from rclpy.parameter import Parameter
from rclpy.qos import QoSProfile, ReliabilityPolicy
from rosgraph_msgs.msg import Clock
from scipy.spatial.transform import Rotation
from sensor_msgs.msg import (
    CameraInfo,
    CompressedImage,
    Image,
    Imu,
    JointState,
    PointCloud2,
    TimeReference,
)

from robocache_ros.codec.cloud import decode_cloud
from robocache_ros.codec.stamp import stamp_ns
from robocache_ros.ros import sim_frames
from robocache_ros.ros.sim_node import CLOCK_START_NS, SimNode, _fill
from robocache_ros.sim import Robot, RobotConfig

MS = 1_000_000
SMALL = {
    'lidar.rings': 8,
    'lidar.columns': 90,
    'camera.width': 32,
    'camera.height': 24,
    'imu.jitter_sec': 0.0,
}
SIM = [sys.executable, '-m', 'robocache_ros', 'sim', '--ros-args']


class Listener:
    """Everything that a robot sends, by topic."""

    def __init__(self, context, namespace=''):
        self.node = Node('listener', context=context, namespace=namespace)
        self.got = defaultdict(list)
        self.listen(PointCloud2, 'lidar/points')
        self.listen(Image, 'camera/image')
        self.listen(Imu, 'imu/data')
        self.listen(JointState, 'joint_states')
        self.listen(Odometry, 'odom')
        self.listen(TimeReference, 'sim/sent')

    def listen(self, kind, topic):
        self.node.create_subscription(kind, topic, self.got[topic].append, QoSProfile(depth=1000))

    def stamps(self, topic):
        return [stamp_ns(message.header) for message in self.got[topic]]


@pytest.fixture
def nodes(executor):
    """Give a list whose nodes are spun, and destroyed at the end."""
    kept = []

    class Nodes(list):
        def append(self, node):
            kept.append(node)
            executor.add_node(node)

    yield Nodes()
    for node in kept:
        executor.remove_node(node)
        node.destroy_node()


@pytest.fixture
def start(context, nodes):
    """start(parameters, namespace='') -> (SimNode, Listener), both spun by `executor`."""

    def start(namespace='', **parameters):
        values = {**SMALL, **{name.replace('__', '.'): v for name, v in parameters.items()}}
        listener = Listener(context, namespace)
        nodes.append(listener.node)
        sim = SimNode(
            context=context,
            namespace=namespace,
            parameter_overrides=[Parameter(name, value=v) for name, v in values.items()],
        )
        nodes.append(sim)
        return sim, listener

    return start


def test_every_sensor_keeps_its_rate_and_stamps_with_the_ros_clock(start, wait_until, executor):
    sim, listener = start()
    got = listener.got
    wait_until(lambda: len(got['lidar/points']) >= 5, 20, 'five clouds', executor)
    now_ns = sim.get_clock().now().nanoseconds
    for topic, period_ns in (
        ('lidar/points', 100 * MS),
        ('camera/image', 1_000_000_000 / 30),
        ('imu/data', 2.5 * MS),
        ('joint_states', 10 * MS),
        ('odom', 20 * MS),
    ):
        stamps = listener.stamps(topic)
        # Stamps are exact to the nanosecond: load only moves, or at worst loses, the messages.
        periods = np.diff(stamps) / period_ns
        assert np.median(periods) == pytest.approx(1.0, abs=1e-6)
        assert np.abs(periods - np.rint(periods)).max() < 1e-6
        assert 0 < now_ns - stamps[-1] < 10_000 * MS
    assert [m.header.frame_id for m in (got['lidar/points'][0], got['imu/data'][0])] == [
        'lidar',
        'imu',
    ]


def test_what_is_published_is_what_the_robot_of_the_same_configuration_measures(
    start, wait_until, executor
):
    sim, listener = start()
    clouds = listener.got['lidar/points']
    wait_until(lambda: len(clouds) >= 2, 20, 'two clouds', executor)
    truths = [sim.robot.sweep(slot * 0.1).points.tobytes() for slot in range(30)]
    slots = [truths.index(bytes(cloud.data)) for cloud in clouds[:2]]
    assert (slots[1] - slots[0]) % 30 == 1
    assert decode_cloud(clouds[0]).has('time')


def test_sim_sent_names_every_message_and_when_it_was_published(start, wait_until, executor):
    _, listener = start(duration_sec=0.5)
    got = listener.got
    topics = {
        'lidar': 'lidar/points',
        'camera': 'camera/image',
        'imu': 'imu/data',
        'joints': 'joint_states',
        'odom': 'odom',
    }
    wait_until(
        lambda: len(got['lidar/points']) >= 3 and len(got['sim/sent']) >= 250,
        20,
        'half a second of messages',
        executor,
    )
    sent = defaultdict(list)
    for reference in got['sim/sent']:
        assert reference.header.frame_id == reference.source
        sent[reference.source].append(stamp_ns(reference.header))
        at_ns = reference.time_ref.sec * 1_000_000_000 + reference.time_ref.nanosec
        assert 0 < time.monotonic_ns() - at_ns < 20_000 * MS
    for source, topic in topics.items():
        # The two topics are discovered one after the other, so one may lack the first messages.
        first = max(sent[source][0], listener.stamps(topic)[0])
        last = min(sent[source][-1], listener.stamps(topic)[-1])
        assert last > first
        assert [s for s in sent[source] if first <= s <= last] == [
            s for s in listener.stamps(topic) if first <= s <= last
        ]


def test_it_finishes_after_its_duration(start, wait_until, executor):
    sim, listener = start(duration_sec=0.3)
    wait_until(sim.finished.done, 20, 'the end', executor)
    wait_until(lambda: listener.got['imu/data'], 5, 'the last messages', executor)
    stamps = listener.stamps('imu/data')
    assert stamps[-1] - stamps[0] < 300 * MS


def test_a_sensor_with_rate_0_has_no_topic(start, wait_until, executor):
    sim, listener = start(camera__rate_hz=0, lidar__rate_hz=0.0)
    wait_until(lambda: listener.got['imu/data'], 20, 'an IMU message', executor)
    assert sim.count_publishers('camera/image') == 0
    assert sim.count_publishers('lidar/points') == 0


def test_the_odometry_tells_where_the_platform_is_at_its_stamp(start, wait_until, executor):
    sim, listener = start(publish_clock=True, camera__rate_hz=0.0, lidar__rate_hz=0.0)
    wait_until(lambda: len(listener.got['odom']) >= 5, 20, 'odometry', executor)
    message = listener.got['odom'][-1]
    t = (stamp_ns(message.header) - CLOCK_START_NS) * 1e-9
    at, looks = message.pose.pose.position, message.pose.pose.orientation
    assert (at.x, at.y, at.z) == pytest.approx(sim.robot.path.position(t))
    assert 2 * np.arctan2(looks.z, looks.w) % (2 * np.pi) == pytest.approx(sim.robot.path.yaw(t))
    assert message.twist.twist.angular.z == pytest.approx(sim.robot.path.yaw_rate(t))
    assert (message.header.frame_id, message.child_frame_id) == ('odom', 'base_link')


def test_a_second_lidar_has_a_topic_once_it_has_a_rate(start, wait_until, executor):
    sim, listener = start(lidar_rear__rate_hz=10.0, lidar_rear__rings=4, camera__rate_hz=0.0)
    listener.listen(PointCloud2, 'lidar_rear/points')
    clouds = listener.got['lidar_rear/points']
    wait_until(lambda: len(clouds) >= 2, 20, 'two clouds', executor)
    assert clouds[0].header.frame_id == 'lidar_rear'
    truths = [sim.robot.sweep(0.037 + k * 0.1, 'lidar_rear').points.tobytes() for k in range(30)]
    assert bytes(clouds[0].data) in truths


def test_every_image_comes_with_its_calibration(start, wait_until, executor):
    sim, listener = start(lidar__rate_hz=0.0, imu__rate_hz=0.0)
    listener.listen(CameraInfo, 'camera/camera_info')
    got = listener.got
    wait_until(lambda: len(got['camera/image']) >= 5, 20, 'images', executor)
    images, infos = (listener.stamps(f'camera/{name}') for name in ('image', 'camera_info'))
    first, last = max(images[0], infos[0]), min(images[-1], infos[-1])
    assert last > first
    assert [s for s in images if first <= s <= last] == [s for s in infos if first <= s <= last]
    info = got['camera/camera_info'][0]
    assert (info.width, info.height, info.distortion_model) == (32, 24, 'plumb_bob')
    assert info.header.frame_id == 'camera_optical'
    assert list(info.k) == [16, 0, 15.5, 0, 16, 11.5, 0, 0, 1]
    assert list(info.d) == [0.0] * 5
    assert sim.count_publishers('camera/labels') == 0
    assert sim.count_publishers('camera/image/compressed') == 0
    # One message of the sensor is one in sim/sent, whatever comes with it.
    assert {reference.source for reference in got['sim/sent']} == {'camera', 'joints', 'odom'}


def test_labels_and_jpeg_images_are_sent_where_asked_for(start, wait_until, executor):
    pytest.importorskip('PIL', reason='needs Pillow, to write JPEG')
    _, listener = start(camera__labels=True, camera__jpeg_quality=90, lidar__rate_hz=0.0)
    listener.listen(Image, 'camera/labels')
    listener.listen(CompressedImage, 'camera/image/compressed')
    got = listener.got
    topics = ('camera/labels', 'camera/image/compressed')
    wait_until(lambda: all(len(got[topic]) >= 2 for topic in topics), 20, 'both', executor)
    assert (got['camera/labels'][0].encoding, got['camera/labels'][0].step) == ('mono8', 32)
    assert bytes(got['camera/image/compressed'][0].data[:3]) == b'\xff\xd8\xff'
    for topic in topics:
        assert set(listener.stamps(topic)) & set(listener.stamps('camera/image'))


def test_without_tf2_msgs_it_says_so_and_runs_on(start, wait_until, executor, monkeypatch):
    monkeypatch.setitem(sys.modules, 'tf2_msgs', None)
    said = []
    monkeypatch.setattr(RcutilsLogger, 'warning', lambda self, text, **_: said.append(text))
    sim, listener = start(publish_tf=True, camera__rate_hz=0.0, lidar__rate_hz=0.0)
    wait_until(lambda: listener.got['odom'], 20, 'odometry', executor)
    assert said == [sim_frames.NO_TF]
    assert sim.count_publishers('/tf') == sim.count_publishers('/tf_static') == 0


class FakeTFMessage:
    """Stands for tf2_msgs/TFMessage where that is not installed."""

    def __init__(self, transforms):
        self.transforms = transforms


class FakeNode:
    """Keeps what is published, by topic."""

    def __init__(self):
        self.sent = defaultdict(list)

    def create_publisher(self, kind, topic, qos):
        assert kind is FakeTFMessage
        return SimpleNamespace(publish=self.sent[topic].append)


def test_frames_are_those_of_the_sensors_that_are_on_and_of_the_platform():
    turned = {'lidar_rear.rate_hz': 10.0, 'lidar.rate_hz': 0.0, 'imu.rpy': [0.0, 0.3, 1.0]}
    robot = Robot(RobotConfig.from_mapping(turned))
    node = FakeNode()
    frames = sim_frames.SimFrames(node, robot, FakeTFMessage)
    odometry = _fill(Odometry(), robot.message('odom', 500_000_000, 7_000_000_000))
    frames.moved(odometry)
    (fixed,), (moving,) = node.sent['/tf_static'], node.sent['/tf']
    sources = {'camera_optical': 'camera', 'imu': 'imu', 'lidar_rear': 'lidar_rear'}
    assert {each.child_frame_id for each in fixed.transforms} == set(sources)
    for each in fixed.transforms:
        assert each.header.frame_id == 'base_link'
        check(each.transform, robot.mounted(sources[each.child_frame_id]))
    (there,) = moving.transforms
    assert (there.header.frame_id, there.child_frame_id) == ('odom', 'base_link')
    assert stamp_ns(there.header) == 7_000_000_000
    check(there.transform, robot.pose('base', 0.5))


def check(transform, rigid):
    q, at = transform.rotation, transform.translation
    matrix = Rotation.from_quat([q.x, q.y, q.z, q.w]).as_matrix()
    assert matrix == pytest.approx(rigid.rotation, abs=1e-12)
    assert [at.x, at.y, at.z] == pytest.approx(rigid.position)


@pytest.mark.parametrize('offered', ['reliable', 'best_effort'])
def test_reliability_is_that_of_the_sensor_topics(start, offered):
    sim, _ = start(reliability=offered)
    for topic in ('lidar/points', 'camera/image', 'imu/data', 'joint_states'):
        (info,) = sim.get_publishers_info_by_topic(f'/{topic}')
        assert info.qos_profile.reliability == ReliabilityPolicy[offered.upper()]
    for topic in ('sim/sent', 'camera/camera_info'):
        (info,) = sim.get_publishers_info_by_topic(f'/{topic}')
        assert info.qos_profile.reliability == ReliabilityPolicy.RELIABLE


def test_two_robots_in_two_namespaces_do_not_meet(start, wait_until, executor):
    _, left = start(namespace='left', camera__rate_hz=0.0, seed=1)
    _, right = start(namespace='right', imu__rate_hz=0.0, seed=2)
    wait_until(
        lambda: left.got['lidar/points'] and right.got['lidar/points'], 20, 'clouds', executor
    )
    assert not left.got['camera/image']
    assert left.got['imu/data']
    assert right.got['camera/image']
    assert not right.got['imu/data']


def test_a_looping_clock_jumps_back_and_takes_the_stamps_along(start, wait_until, executor):
    _, listener = start(publish_clock=True, clock_loop_sec=0.5, camera__rate_hz=0.0)
    listener.listen(Clock, '/clock')
    clock = listener.got['/clock']
    imu = listener.got['imu/data']

    def laps():
        return int(np.sum(np.diff(listener.stamps('imu/data')) < 0))

    wait_until(lambda: laps() >= 2, 20, 'two jumps back', executor)
    times = [m.clock.sec * 1_000_000_000 + m.clock.nanosec for m in clock]
    steps = set(np.diff(times))
    assert steps == {10 * MS, -490 * MS}
    assert min(times) >= CLOCK_START_NS
    assert max(times) < CLOCK_START_NS + 500 * MS
    # Every lap is the same: it starts at the same stamp with the same measurement.
    stamps = listener.stamps('imu/data')
    first, second = (int(jump) + 1 for jump in np.flatnonzero(np.diff(stamps) < 0)[:2])
    assert stamps[first] == stamps[second] == CLOCK_START_NS
    assert imu[first].angular_velocity == imu[second].angular_velocity


def test_what_is_long_overdue_is_left_out_not_sent_in_a_burst(start, wait_until, executor):
    sim, listener = start(camera__rate_hz=0.0, lidar__rate_hz=0.0)
    wait_until(lambda: listener.got['imu/data'], 20, 'an IMU message', executor)
    sim._start_ns -= 5_000 * MS  # as if the process had been stopped for five seconds
    count = len(listener.got['imu/data'])
    wait_until(lambda: len(listener.got['imu/data']) > count + 450, 20, 'more of them', executor)
    steps = np.diff(listener.stamps('imu/data'))
    # 5 s are missing but for the last one, which is caught up with.
    assert 3_900 * MS < steps.max() < 4_900 * MS


@pytest.mark.parametrize(
    ('parameters', 'sentence'),
    [
        ({'reliability': 'certain'}, "reliability 'certain' is not one of"),
        ({'duration_sec': -1.0}, 'duration_sec -1.0 must not be negative'),
        ({'clock_loop_sec': 2.0}, 'clock_loop_sec needs publish_clock'),
        ({'use_sim_time': True}, 'use_sim_time needs publish_clock'),
        ({'lidar__rings': 0}, 'lidar.rings 0 must be positive'),
        ({'publish_clock': 'yes'}, "publish_clock: 'yes' is not of the same kind"),
    ],
)
def test_parameters_that_can_not_be_are_refused(start, parameters, sentence):
    with pytest.raises(ValueError, match=sentence):
        start(**parameters)


@pytest.mark.parametrize('number', [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize('while_rendering', [True, False])
def test_a_signal_ends_it_within_two_seconds_and_without_a_traceback(
    start_process, context, executor, nodes, wait_until, number, while_rendering
):
    listener = Listener(context)
    nodes.append(listener.node)
    size = [] if while_rendering else ['-p', 'lidar.rings:=8', '-p', 'camera.width:=32']
    process = start_process(*SIM, '-p', 'camera.height:=480', *size)
    if while_rendering:
        wait_until(lambda: listener.node.count_publishers('sim/sent'), 30, 'the node', executor)
    else:
        wait_until(lambda: listener.got['lidar/points'], 30, 'a cloud', executor)
    process.send_signal(number)
    assert process.wait(timeout=2) == 0
    assert 'Traceback' not in process.log.read_text()


def test_its_process_ends_by_itself_after_the_duration(start_process):
    sizes = [f'{name}:={value}' for name, value in SMALL.items()]
    arguments = [word for size in sizes for word in ('-p', size)]
    process = start_process(*SIM, '-p', 'duration_sec:=0.2', '-p', 'lidar.ring:=8', *arguments)
    assert process.wait(timeout=30) == 0
    log = process.log.read_text()
    assert 'simulated robot: lidar 10 Hz' in log
    assert 'no settings of the simulated robot: lidar.ring' in log


def test_its_process_says_in_one_sentence_what_is_refused(start_process):
    process = start_process(*SIM, '-p', 'lidar.rings:=-3')
    assert process.wait(timeout=30) == 1
    assert process.log.read_text().splitlines()[-1] == 'sim: lidar.rings -3 must be positive'
