# Copyright 2026 the robocache_ros authors
# SPDX-License-Identifier: Apache-2.0
"""From a message on a topic to a sample or a counted drop: nothing raises, nothing is lost."""

from __future__ import annotations

import math
import random
import time
from types import SimpleNamespace

from nav_msgs.msg import Odometry
from rclpy.serialization import serialize_message
from rig import SECOND, START_NS, cloud, image, imu, is_conserved, level, stamp, values
from rosgraph_msgs.msg import Clock
from sensor_msgs.msg import Image, Imu, JointState, PointCloud2, PointField

from robocache_ros.reasons import Reason


class Robot:
    """An active node and a settled publisher to each of its sources."""

    def __init__(self, rig, **parameters):
        self.node = rig.active(**parameters)
        self.lidar = rig.publisher(PointCloud2, 'lidar/points')
        self.camera = rig.publisher(Image, 'camera/image')
        self.imu = rig.publisher(Imu, 'imu/data')
        rig.settle(self.node, self.lidar, self.camera, self.imu)


def newest_ns(node, source):
    return node._running.pipeline.status(time.monotonic_ns()).sources[source].newest_ns


def drops(rig, node, source):
    found = values(rig.diagnose(node)[f'source {source}'])
    return {key: int(n) for key, n in found.items() if key.startswith('dropped.')}


def test_the_time_of_a_sample_is_its_stamp_plus_the_offset(rig):
    robot = Robot(rig, lidar__time_offset_sec=-0.025)
    rig.send(robot.node, 'lidar', robot.lidar, cloud(START_NS))
    assert newest_ns(robot.node, 'lidar') == START_NS - 25_000_000


def test_with_stamp_receive_the_time_is_the_arrival_by_the_ros_clock(rig):
    robot = Robot(rig, imu__stamp='receive')
    before_ns = robot.node.get_clock().now().nanoseconds
    rig.send(robot.node, 'imu', robot.imu, imu(0))
    assert before_ns <= newest_ns(robot.node, 'imu') <= robot.node.get_clock().now().nanoseconds
    assert drops(rig, robot.node, 'imu') == {}


def test_with_stamp_receive_and_a_silent_clock_there_is_no_time_to_give(rig, capfd):
    robot = Robot(rig, imu__stamp='receive', use_sim_time=True)
    rig.send(robot.node, 'imu', robot.imu, imu(START_NS))
    assert drops(rig, robot.node, 'imu') == {'dropped.clock_unset': 1}
    assert '/clock is silent' in capfd.readouterr().err
    clock = rig.publisher(Clock, '/clock')
    rig.wait(clock.get_subscription_count, 'the clock to be heard')
    clock.publish(Clock(clock=imu(START_NS).header.stamp))
    rig.wait(lambda: robot.node.get_clock().now().nanoseconds, 'the time')
    rig.send(robot.node, 'imu', robot.imu, imu(0))
    assert newest_ns(robot.node, 'imu') == START_NS


def timed_cloud(t_ns, times):
    """Cloud with one point for each time, in seconds from the header."""
    message = cloud(t_ns, [(0.5, 0.5, 0.5, t) for t in times])
    message.fields[3].name = 'time'
    return message


def test_how_point_times_are_read_is_logged_once_and_in_the_diagnostics(rig, capfd):
    robot = Robot(rig, lidar__point_time='time')
    assert 'point_time' not in values(rig.diagnose(robot.node)['source lidar'])
    for k in range(2):
        sweep = timed_cloud(START_NS + k * SECOND // 10, [-0.09375, -0.03125, 0.0])
        rig.send(robot.node, 'lidar', robot.lidar, sweep)
    said = (
        '`time` (float32, s, counted from the header): a sweep of 93.75 ms, with the stamp of '
        'the header at its end'
    )
    assert values(rig.diagnose(robot.node)['source lidar'])['point_time'] == said
    assert capfd.readouterr().err.count(f'lidar: the time of each point is {said}. ') == 1


def test_a_cloud_without_times_is_warned_about_once_and_counted(rig, capfd):
    robot = Robot(rig, lidar__point_time='time', lidar__time_offset_sec=0.5)
    for k in range(3):
        still = timed_cloud(START_NS + k * SECOND // 10, [0.0, 0.0])
        rig.send(robot.node, 'lidar', robot.lidar, still)
    for _ in range(3):
        status = rig.diagnose(robot.node)['source lidar']
    assert values(status)['note.point_time_missing'] == '3'
    assert level(status) == 1
    assert newest_ns(robot.node, 'lidar') == START_NS + 2 * SECOND // 10 + SECOND // 2
    log = capfd.readouterr().err
    assert log.count('point_time_missing: `time` is 0 in all points') == 1
    assert log.count('no field tells the time') == 0


def test_joint_states_are_read_by_their_configured_names(rig):
    node = rig.active(sources=['lidar', 'joints'], joints__joints=['elbow', 'wrist'])
    joints = rig.publisher(JointState, 'joint_states')
    rig.settle(node, joints)
    message = JointState(header=imu(START_NS).header, name=['wrist', 'base', 'elbow'])
    message.position = [1.0, 2.0, 3.0]
    rig.send(node, 'joints', joints, message)
    assert drops(rig, node, 'joints') == {}
    other = JointState(header=imu(START_NS + 1).header, name=['wrist'], position=[1.0])
    rig.send(node, 'joints', joints, other)
    assert drops(rig, node, 'joints') == {'dropped.joint_missing': 1}


def test_odometry_is_read_about_its_child_and_dropped_whole_where_it_has_no_pose(rig):
    node = rig.active(sources=['lidar', 'odom'])
    publisher = rig.publisher(Odometry, 'odom')
    rig.settle(node, publisher)
    good, unset, torn, unstamped = (Odometry(header=imu(START_NS + n).header) for n in range(4))
    for message in (good, torn, unstamped):
        message.child_frame_id = 'base_link'
        message.pose.pose.orientation.w = 1.0
    unset.pose.pose.orientation.w = 0.0
    torn.twist.twist.linear.y = math.nan
    unstamped.header.stamp.sec = unstamped.header.stamp.nanosec = 0
    rig.send(node, 'odom', publisher, good, unset, torn, unstamped)
    assert drops(rig, node, 'odom') == {
        'dropped.bad_pose': 1,
        'dropped.nonfinite': 1,
        'dropped.stamp_unset': 1,
    }
    status = node._running.pipeline.status(time.monotonic_ns()).sources['odom']
    assert (status.newest_ns, status.frame_id, status.buffered) == (START_NS, 'base_link', 1)


def test_a_bad_message_is_warned_about_once_per_reason_and_so_is_the_recovery(rig, capfd):
    robot = Robot(rig)
    short = cloud(START_NS)
    short.width = 1000
    for n in range(3):
        good = cloud(START_NS + n * SECOND // 10)
        rig.send(robot.node, 'lidar', robot.lidar, short, cloud(0), good)
    assert drops(rig, robot.node, 'lidar') == {'dropped.cloud_size': 3, 'dropped.stamp_unset': 3}
    log = capfd.readouterr().err
    assert log.count('lidar: dropped a message on /lidar/points') == 2
    assert log.count(Reason.CLOUD_SIZE.fix) == 1
    assert log.count(Reason.STAMP_UNSET.fix) == 1
    assert log.count('lidar: messages on /lidar/points are good again') == 1


def test_an_error_of_ours_is_counted_told_and_survived(rig, capfd):
    robot = Robot(rig)
    lidar = robot.node._running.inputs['lidar']
    decode = lidar._decode

    def broken(message, stamp_ns):
        raise ZeroDivisionError('a bug')

    lidar._decode = broken
    for n in range(3):
        robot.lidar.publish(cloud(START_NS + n))
    rig.wait(lambda: lidar.errors == 3, 'the errors')
    status = rig.diagnose(robot.node)['source lidar']
    assert level(status) == 2
    assert 'ZeroDivisionError: a bug' in status.message
    assert values(status)['errors'] == '3'
    assert is_conserved(status)
    assert capfd.readouterr().err.count('Traceback') == 1
    lidar._decode = decode
    rig.send(robot.node, 'lidar', robot.lidar, cloud(START_NS + SECOND))


def test_losses_that_the_middleware_reports_are_counted_while_active(rig):
    node = rig.active()
    lidar = node._running.inputs['lidar']
    lidar._on_lost(SimpleNamespace(total_count=5, total_count_change=3))
    lidar._on_lost(SimpleNamespace(total_count=7, total_count_change=2))
    node.trigger_deactivate()
    lidar._on_lost(SimpleNamespace(total_count=8, total_count_change=1))
    assert values(rig.diagnose(node)['source lidar'])['lost_transport'] == '5'


def malformed_clouds():
    """Yield clouds that a broken driver could send, each of them valid CDR."""
    for change in (
        {'width': 0},
        {'width': 2**32 - 1},
        {'height': 0},
        {'height': 2**32 - 1, 'width': 2**32 - 1},
        {'point_step': 0},
        {'point_step': 2**32 - 1},
        {'row_step': 0},
        {'row_step': 7},
        {'is_bigendian': True},
        {'fields': []},
        {'fields': [PointField(name=n, offset=0, datatype=7, count=0) for n in 'xyz']},
        {'fields': [PointField(name=n, offset=2**32 - 1, datatype=7, count=1) for n in 'xyz']},
        {'fields': [PointField(name=n, offset=0, datatype=200, count=1) for n in 'xyz']},
        {'fields': [PointField(name='', offset=0, datatype=7, count=1)]},
        {'fields': [PointField(name='x', offset=0, datatype=7, count=2**32 - 1)] * 3},
    ):
        message = cloud(START_NS, [(1.0, 2.0, 0.5, 9.0)] * 5)
        for name, value in change.items():
            setattr(message, name, value)
        yield message
    yield cloud(START_NS, [(math.nan, math.inf, -math.inf, math.nan)] * 5)
    yield PointCloud2()


def malformed_images():
    for change in (
        {'encoding': 'yuv422_yuy2'},
        {'encoding': ''},
        {'width': 2**32 - 1},
        {'height': 2**32 - 1},
        {'step': 0},
        {'step': 2**32 - 1},
        {'width': 1, 'height': 1},
        {'encoding': 'mono16'},
    ):
        message = image(START_NS)
        for name, value in change.items():
            setattr(message, name, value)
        yield message
    yield Image()


def malformed_imus():
    for value in (math.nan, math.inf, 1e300):
        message = imu(START_NS)
        message.angular_velocity.x = value
        yield message
        message = imu(START_NS)
        message.orientation.x = value
        yield message
    message = imu(START_NS)
    message.header.stamp.nanosec = 2**32 - 1
    yield message
    message = imu(START_NS)
    message.header.stamp.sec = -(2**31)
    yield message
    yield Imu()


def fuzzed_clouds(count, seed):
    """Yield clouds with random numbers where numbers are."""
    chance = random.Random(seed)
    some = (0, 1, 2, 3, 4, 5, 8, 12, 16, 20, 255, 2**16, 2**31, 2**32 - 1)
    for n in range(count):
        message = cloud(START_NS + n * SECOND // 100, [(n * 0.1, 1.0, 0.5, 9.0)] * 5)
        for name in ('width', 'height', 'point_step', 'row_step'):
            if chance.random() < 0.3:
                setattr(message, name, chance.choice(some))
        for field in message.fields:
            if chance.random() < 0.2:
                field.offset = chance.choice(some)
                field.datatype = chance.randrange(14)
                field.count = chance.choice(some[:4])
        if chance.random() < 0.2:
            del message.data[chance.randrange(len(message.data)) :]
        yield message


def test_hostile_messages_raise_nothing_and_every_one_is_accounted_for(rig):
    robot = Robot(rig)
    clouds = [*malformed_clouds(), *fuzzed_clouds(200, seed=1)]
    rig.send(robot.node, 'lidar', robot.lidar, *clouds)
    rig.send(robot.node, 'camera', robot.camera, *malformed_images())
    rig.send(robot.node, 'imu', robot.imu, *malformed_imus())
    after_ns = START_NS + 100 * SECOND
    rig.send(robot.node, 'lidar', robot.lidar, cloud(after_ns), cloud(after_ns + SECOND // 10))
    assert newest_ns(robot.node, 'lidar') == after_ns + SECOND // 10
    statuses = rig.diagnose(robot.node)
    for source in ('lidar', 'camera', 'imu'):
        found = values(statuses[f'source {source}'])
        assert is_conserved(statuses[f'source {source}']), found
        assert found['errors'] == '0'
        assert any(key.startswith('dropped.') for key in found)
    assert values(statuses['node'])['errors'] == '0'


def test_bytes_that_are_no_message_and_text_that_is_no_utf8_do_no_harm(rig):
    robot = Robot(rig)
    heard = rig.collect(PointCloud2, '/preprocessor/voxels')
    rig.wait(lambda: rig.own.count_publishers('/preprocessor/voxels'), 'the output')
    good = serialize_message(cloud(START_NS, frame_id='abcd'))
    for raw in (b'', good[:20], bytes(64), good[:-8] + b'\xff' * 8):
        robot.lidar.publish(raw)
    robot.lidar.publish(good.replace(b'abcd', b'\xff\xfe\x80\xc0'))
    rig.wait(lambda: rig.received(robot.node, 'lidar'), 'the cloud with the odd frame')
    rig.wait(lambda: heard, 'its voxels')
    assert stamp(heard[0]) == START_NS
