# Copyright 2026 the robocache_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Types of the table over real DDS: with a header and without, as they are and as they are not."""

from __future__ import annotations

import array

import numpy as np
import pytest
from geometry_msgs.msg import Twist, WrenchStamped
from rig import START_NS, cloud, header, is_conserved, stamp, values
from sensor_msgs.msg import Joy, LaserScan, PointCloud2
from std_msgs.msg import Float32MultiArray

from robocache_ros.codec.fields import Row
from robocache_ros.config import ConfigError
from robocache_ros.config.fields_source import source_class
from robocache_ros.config.kinds import SOURCE_TYPES
from robocache_ros.config.message_types import MESSAGE_TYPES, MessageType
from robocache_ros.reading import read_features
from robocache_ros.ros.input import message_type

MS = 1_000_000
POINT = MessageType(
    'point', 'geometry_msgs/msg/Point', 'point', (Row('x', 'x', (), 'linear', 'm'),), stamped=False
)


def wrench(t_ns, force):
    message = WrenchStamped(header=header(t_ns, 'tool'))
    message.wrench.force.x = force
    message.wrench.torque.z = -force
    return message


def scan(t_ns, ranges):
    message = LaserScan(header=header(t_ns, 'scan'), range_min=0.5, range_max=8.0)
    message.ranges = array.array('f', ranges)
    return message


def listen(rig, node):
    """Subscribe to the features of a node, and wait until the node knows."""
    heard = rig.collect(PointCloud2, '/preprocessor/features')
    (ours,) = [p for p in node.publishers if p.topic_name == '/preprocessor/features']
    rig.wait(ours.get_subscription_count, 'the listener to be known')
    return heard


def test_wrench_scan_and_joystick_are_fused_at_the_time_of_a_cloud(rig):
    node = rig.active(
        sources=['lidar', 'tool', 'front', 'pad'],
        features__targets=1,
        timeout_sec=1.5,
        tool__type='wrench_stamped',
        front__type='laser_scan',
        front__beams=2,
        pad__type='joy',
        pad__axes=1,
        pad__buttons=2,
    )
    sent = {
        'tool': rig.publisher(WrenchStamped, 'tool/wrench'),
        'front': rig.publisher(LaserScan, 'front/scan'),
        'pad': rig.publisher(Joy, 'pad/joy'),
        'lidar': rig.publisher(PointCloud2, 'lidar/points'),
    }
    rig.settle(node, *sent.values())
    heard = listen(rig, node)
    rig.send(node, 'tool', sent['tool'], wrench(START_NS, 2.0), wrench(START_NS + 100 * MS, 4.0))
    infinity = float('inf')
    rig.send(node, 'front', sent['front'], scan(START_NS, [3.0, 1.5, 0.25, infinity]))
    stick = Joy(header=header(START_NS + 20 * MS), axes=[-0.5, 1.0], buttons=[0, 1, 1])
    rig.send(node, 'pad', sent['pad'], stick)
    rig.send(node, 'lidar', sent['lidar'], cloud(START_NS + 50 * MS))
    rig.wait(lambda: heard, 'the features')

    rows = read_features(heard[0])
    assert stamp(heard[0]) == START_NS + 50 * MS
    assert rows.groups[-5:] == (
        'tool_force', 'tool_torque', 'front_ranges', 'pad_axes', 'pad_buttons'
    )  # fmt: skip
    halfway = [3.0, 0.0, 0.0, 0.0, 0.0, -3.0]
    assert rows.values[0, -11:].tolist() == [*halfway, 1.5, 8.0, -0.5, 0.0, 1.0]
    assert rows.valid[0, -5:].tolist() == [1] * 5
    ages = np.array([0.05, 0.05, 0.05, 0.03, 0.03], np.float32)
    np.testing.assert_array_equal(rows.age[0, -5:], ages)


def test_a_twist_without_a_header_is_of_the_time_when_it_arrives(rig):
    node = rig.active(
        sources=['cmd'], trigger='cmd', cmd__type='twist', cmd__topic='cmd_vel',
        features__targets=1,
    )  # fmt: skip
    publisher = rig.publisher(Twist, 'cmd_vel')
    rig.settle(node, publisher)
    heard = listen(rig, node)
    message = Twist()
    message.linear.x, message.angular.z = 0.5, -0.25
    before_ns = node.get_clock().now().nanoseconds
    rig.send(node, 'cmd', publisher, message)
    rig.wait(lambda: heard, 'the features')
    assert before_ns <= stamp(heard[0]) <= node.get_clock().now().nanoseconds
    assert heard[0].header.frame_id == ''
    rows = read_features(heard[0])
    assert rows.groups == ('cmd_linear_velocity', 'cmd_angular_velocity')
    assert rows.values.tolist() == [[0.5, 0.0, 0.0, 0.0, 0.0, -0.25]]
    assert rows.valid.tolist() == [[1, 1]]


def test_an_array_that_is_too_short_is_dropped_and_counted(rig, capfd):
    node = rig.active(
        sources=['policy'], trigger='policy', policy__type='float32_multi_array', policy__width=3,
        features__targets=1,
    )  # fmt: skip
    publisher = rig.publisher(Float32MultiArray, 'policy/values')
    rig.settle(node, publisher)
    heard = listen(rig, node)
    for numbers in ([1.0, 2.0], [1.0, 2.0, 3.0, 4.0]):
        rig.send(node, 'policy', publisher, Float32MultiArray(data=numbers))
    rig.wait(lambda: heard, 'the features')
    assert read_features(heard[0]).values.tolist() == [[1.0, 2.0, 3.0]]
    status = rig.diagnose(node)['source policy']
    assert values(status)['dropped.array_short'] == '1'
    assert is_conserved(status)
    assert '(array_short: data has 2 values, width is 3)' in capfd.readouterr().err


def test_what_has_no_header_can_not_be_stamped_by_one(rig):
    node = rig.node(sources=['cmd'], trigger='cmd', cmd__type='twist', cmd__stamp='header')
    rig.wait(lambda: node.autostart_failed, 'the refusal')
    assert 'cmd.stamp must be receive, as geometry_msgs/msg/Twist has no header' in node.problem


@pytest.mark.parametrize('about', MESSAGE_TYPES, ids=lambda about: about.type)
def test_every_type_of_the_table_is_installed_and_has_what_its_rows_say(about):
    needed = {width.name: width.default or 1 for width in about.widths}
    kind = SOURCE_TYPES[about.type]
    found = message_type(kind('s', **needed))
    assert found.__name__ == about.message.rpartition('/')[2]
    assert hasattr(found(), 'header') == about.stamped


UNFITTING = {
    'needs the package acme_msgs, which is not installed: `apt install ros-$ROS_DISTRO-acme-': {
        'message': 'acme_msgs/msg/Load'
    },
    'needs geometry_msgs/msg/Load, which the package geometry_msgs that is installed does not': {
        'message': 'geometry_msgs/msg/Load'
    },
    'has a row for load.x, which geometry_msgs/msg/Point does not have': {
        'rows': (Row('load.x', 'x', (), 'linear', 'm'),)
    },
    'has a row for x.a, which geometry_msgs/msg/Point does not have': {
        'rows': (Row('x', 'x', ('a', 'b'), 'linear', 'm'),)
    },
}


@pytest.mark.parametrize('problem', UNFITTING)
def test_a_type_that_does_not_fit_its_message_is_refused_before_the_first_one(problem):
    assert message_type(source_class(POINT)('s')).__name__ == 'Point'
    entry = {name: getattr(POINT, name) for name in MessageType.__dataclass_fields__}
    with pytest.raises(ConfigError) as caught:
        message_type(source_class(MessageType(**{**entry, **UNFITTING[problem]}))('s'))
    assert str(caught.value).startswith(f's.type point {problem}')
