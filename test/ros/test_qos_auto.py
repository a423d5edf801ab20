# Copyright 2026 the robocache_ros authors
# SPDX-License-Identifier: Apache-2.0
"""`qos: auto` over real DDS: what is subscribed with, and that data and accounts survive it."""

from __future__ import annotations

import pytest
from rig import BEST_EFFORT, RELIABLE, SECOND, START_NS, cloud, imu, level, values
from sensor_msgs.msg import Imu, LaserScan, PointCloud2

from robocache_ros.ros.events import UnsupportedEventTypeError


def lidar(node):
    return node._running.inputs['lidar']


def reliabilities(rig, topic):
    """Return what the graph says about the subscriptions, which no attribute of ours can fake."""
    return [
        info.qos_profile.reliability for info in rig.own.get_subscriptions_info_by_topic(topic)
    ]


def wait_for_qos(rig, node, expected):
    policy = {'reliable': RELIABLE, 'best_effort': BEST_EFFORT}[expected.split()[0]]
    rig.wait(lambda: lidar(node).qos == expected, f'the subscription to be {expected}')
    rig.wait(lambda: reliabilities(rig, '/lidar/points') == [policy], 'the graph to follow')


@pytest.mark.parametrize(
    ('offered', 'expected'),
    [
        ((), 'best_effort (auto)'),
        ((RELIABLE,), 'reliable (auto)'),
        ((BEST_EFFORT,), 'best_effort (auto)'),
        ((RELIABLE, RELIABLE), 'reliable (auto)'),
        ((RELIABLE, BEST_EFFORT), 'best_effort (auto)'),
    ],
)
def test_auto_is_reliable_exactly_when_every_publisher_is(rig, offered, expected):
    publishers = [rig.publisher(PointCloud2, 'lidar/points', each) for each in offered]
    node = rig.active()
    rig.wait(lambda: lidar(node).publishers == len(offered), 'discovery')
    wait_for_qos(rig, node, expected)
    for n, publisher in enumerate(publishers):
        rig.wait(publisher.get_subscription_count, 'a match')
        publisher.publish(cloud(START_NS + n * SECOND // 10))
    rig.wait(lambda: rig.received(node, 'lidar') == len(offered), 'a cloud from each publisher')


@pytest.mark.parametrize('offered', [RELIABLE, BEST_EFFORT])
def test_what_is_published_already_is_subscribed_as_suits_it_at_once(rig, offered):
    rig.publisher(PointCloud2, 'lidar/points', offered)
    node = rig.node(autostart=False)
    node.trigger_configure()  # and no look follows
    assert node._running.inputs['lidar']._reliability == offered


def test_auto_follows_publishers_that_come_and_go_and_the_account_goes_on(rig):
    node = rig.active()
    reliable = rig.publisher(PointCloud2, 'lidar/points', RELIABLE)
    wait_for_qos(rig, node, 'reliable (auto)')
    rig.wait(reliable.get_subscription_count, 'a match')
    reliable.publish(cloud(START_NS))
    rig.wait(lambda: rig.received(node, 'lidar') == 1, 'the first cloud')

    best_effort = rig.publisher(PointCloud2, 'lidar/points', BEST_EFFORT)
    wait_for_qos(rig, node, 'best_effort (auto)')
    for n, publisher in enumerate((reliable, best_effort), start=1):
        rig.wait(publisher.get_subscription_count, 'a match')
        publisher.publish(cloud(START_NS + n * SECOND // 10))
    rig.wait(lambda: rig.received(node, 'lidar') == 3, 'a cloud from each')

    rig.own.destroy_publisher(best_effort)
    wait_for_qos(rig, node, 'reliable (auto)')
    rig.wait(reliable.get_subscription_count, 'a match')
    reliable.publish(cloud(START_NS + 3 * SECOND // 10))
    rig.wait(lambda: rig.received(node, 'lidar') == 4, 'the last cloud')

    found = values(rig.diagnose(node)['source lidar'])
    assert found['received'] == '4'
    assert found['lost_transport'] == '0'
    assert not any(key.startswith('dropped.') for key in found)
    assert found['publishers'] == '1'
    assert found['qos'] == 'reliable (auto)'


def test_auto_keeps_what_it_has_when_the_last_publisher_leaves(rig):
    publisher = rig.publisher(PointCloud2, 'lidar/points', RELIABLE)
    node = rig.active()
    wait_for_qos(rig, node, 'reliable (auto)')
    rig.own.destroy_publisher(publisher)
    rig.wait(lambda: lidar(node).publishers == 0, 'the publisher to be gone')
    assert lidar(node).qos == 'reliable (auto)'


def test_publishers_of_another_type_do_not_count_and_are_named(rig):
    rig.stranger().create_publisher(LaserScan, 'lidar/points', 10)
    node = rig.active()
    rig.wait(lambda: lidar(node).other_types, 'discovery')
    assert lidar(node).publishers == 0
    status = rig.diagnose(node)['source lidar']
    assert level(status) == 2  # the trigger
    assert '/lidar/points carries sensor_msgs/msg/LaserScan' in status.message


def test_a_topic_that_carries_what_is_missing_is_suggested(rig):
    rig.publisher(PointCloud2, '/velodyne_points')
    rig.publisher(Imu, '/imu')
    node = rig.active()  # whose own outputs are clouds as well
    statuses = rig.diagnose(node)
    assert 'PointCloud2 on /lidar/points, but on /velodyne_points: ' in (
        statuses['source lidar'].message
    )
    assert 'Imu on /imu/data, but on /imu: ' in statuses['source imu'].message
    assert 'Image on /camera/image: ' in statuses['source camera'].message


def test_fixed_reliable_with_a_best_effort_publisher_names_the_topic_and_the_fix(rig):
    publisher = rig.publisher(PointCloud2, 'lidar/points', BEST_EFFORT)
    node = rig.active(lidar__qos='reliable')
    rig.wait(lambda: lidar(node).incompatible and lidar(node).publishers, 'the event')
    assert lidar(node).qos == 'reliable'
    status = rig.diagnose(node)['source lidar']
    assert level(status) == 2
    assert '/lidar/points' in status.message
    assert 'set it to auto' in status.message
    rig.own.destroy_publisher(publisher)
    rig.wait(lambda: not lidar(node).incompatible, 'the complaint to go with its cause')


def test_fixed_best_effort_stays_best_effort(rig):
    publisher = rig.publisher(PointCloud2, 'lidar/points', RELIABLE)
    node = rig.active(lidar__qos='best_effort')
    rig.settle(node, publisher)
    wait_for_qos(rig, node, 'best_effort')
    publisher.publish(cloud(START_NS))
    rig.wait(lambda: rig.received(node, 'lidar') == 1, 'the cloud')


def test_the_standard_qos_overrides_win_over_the_parameters_of_the_source(rig):
    prefix = 'qos_overrides./lidar/points.subscription'
    given = {f'{prefix}.reliability': 'best_effort', f'{prefix}.depth': 17}
    node = rig.active(lidar__qos='reliable', lidar__depth=3, **given)
    publisher = rig.publisher(PointCloud2, 'lidar/points', RELIABLE)
    rig.settle(node, publisher)
    wait_for_qos(rig, node, 'best_effort')
    subscription = next(s for s in node.subscriptions if s.topic_name == '/lidar/points')
    assert subscription.qos_profile.depth == 17


def test_an_override_of_reliability_to_auto_still_adapts(rig):
    given = {'qos_overrides./lidar/points.subscription.reliability': 'auto'}
    node = rig.active(lidar__qos='best_effort', **given)
    rig.publisher(PointCloud2, 'lidar/points', RELIABLE)
    wait_for_qos(rig, node, 'reliable (auto)')


def test_swapped_topic_names_are_watched_where_they_are_subscribed(rig):
    swap = ['--ros-args', '-r', 'lidar/points:=/imu/data', '-r', 'imu/data:=/lidar/points']
    points = rig.publisher(PointCloud2, 'imu/data', RELIABLE)
    turns = rig.publisher(Imu, 'lidar/points', RELIABLE)
    node = rig.active(cli_args=swap)
    rig.settle(node, points, turns)
    assert lidar(node).publishers == 1
    points.publish(cloud(START_NS))
    turns.publish(imu(START_NS))
    rig.wait(lambda: rig.received(node, 'lidar') == 1, 'the cloud')
    rig.wait(lambda: rig.received(node, 'imu') == 1, 'the turn')


def test_a_middleware_without_events_is_subscribed_to_all_the_same(rig, monkeypatch):
    node = rig.node(autostart=False)
    create = node.create_subscription

    def without_events(*args, event_callbacks, **kwargs):
        if event_callbacks.message_lost is not None:
            raise UnsupportedEventTypeError('no such event')
        return create(*args, event_callbacks=event_callbacks, **kwargs)

    monkeypatch.setattr(node, 'create_subscription', without_events)
    node.trigger_configure()
    node.trigger_activate()
    publisher = rig.publisher(PointCloud2, 'lidar/points', RELIABLE)
    rig.settle(node, publisher)
    publisher.publish(cloud(START_NS))
    rig.wait(lambda: rig.received(node, 'lidar') == 1, 'the cloud')
