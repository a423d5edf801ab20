# Copyright 2026 the robocache_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The monitor counts what a node sends and reads what it says about itself."""

from __future__ import annotations

import contextlib
import os
import pty
import signal
import subprocess
import sys
import time

import pytest
from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus, KeyValue
from hand_made import T_REF_NS, Source, config_of, feature_frame, voxel_frame
from rclpy.node import Node
from sensor_msgs.msg import TimeReference

from robocache_ros.demo.monitor import Monitor, main, silence


@pytest.fixture
def source(context):
    node = Source(context, config_of()).started()
    yield node
    node.destroy_node()


@pytest.fixture
def monitor(domain_id):
    monitor = Monitor('/preprocessor', 'lidar', domain_id)
    yield monitor
    monitor.close()


def test_outputs_are_counted_with_their_stamps_and_sizes(source, monitor):
    seen = monitor.seen
    topics = ('/preprocessor/voxels', '/preprocessor/features')
    assert monitor.spin_until(lambda: all(map(source.count_subscribers, topics)), 10)
    frame = feature_frame(source.schema)
    frame.valid[-1, :] = 1
    frame.valid[-1, :2] = 0
    source.outputs.publish(voxel_frame(source.config))
    source.outputs.publish(frame)
    assert monitor.spin_until(lambda: seen.voxels.size and seen.features.size, 10)
    assert (seen.voxels.stamp_ns, seen.voxels.size) == ([T_REF_NS], [2])
    groups = len(source.schema.groups)
    assert seen.features.stamp_ns == [T_REF_NS]
    assert seen.features.size == [(groups - 2) / groups]
    assert monitor.listeners() == 1


def test_what_the_simulator_sent_is_counted_per_source(context, monitor):
    node = Node('robot', context=context)
    publisher = node.create_publisher(TimeReference, 'sim/sent', 1000)
    assert monitor.spin_until(publisher.get_subscription_count, 10)
    for k in range(300):  # more than an executor would take before the next drain
        message = TimeReference(source='lidar' if k % 3 == 0 else 'imu')
        message.header.stamp.sec = k
        message.time_ref.sec, message.time_ref.nanosec = 1000 + k, 5
        publisher.publish(message)
    seen = monitor.seen
    assert monitor.spin_until(lambda: sum(seen.published.values()) == 300, 10)
    assert seen.published == {'lidar': 100, 'imu': 200}
    assert seen.trigger_sent_ns[3 * 10**9] == 1003 * 10**9 + 5
    assert len(seen.trigger_sent_ns) == 100
    assert seen.sent_ns == (1000 * 10**9 + 5, 1299 * 10**9 + 5)
    node.destroy_node()


def test_only_the_watched_nodes_diagnostics_are_read(context, monitor):
    node = Node('speaker', context=context)
    publisher = node.create_publisher(DiagnosticArray, '/diagnostics', 10)
    assert monitor.spin_until(publisher.get_subscription_count, 10)

    def status(name, level, sentence, **values):
        pairs = [KeyValue(key=key, value=value) for key, value in values.items()]
        return DiagnosticStatus(name=name, level=level, message=sentence, values=pairs)

    publisher.publish(DiagnosticArray(status=[status('/camera: node', b'\2', 'on fire')]))
    publisher.publish(
        DiagnosticArray(
            status=[
                status('/preprocessor: node', b'\0', 'fine', state='active'),
                status('/preprocessor: source lidar', b'\1', 'No publisher.', received='0'),
                status('/preprocessor: output voxels', b'\0', '', messages='7'),
                status('/preprocessor2: node', b'\2', 'somebody else'),
            ]
        )
    )
    assert monitor.spin_until(lambda: monitor.last_diagnostics_ns, 10)
    health = monitor.seen.health
    assert health.node == {'state': 'active'}
    assert health.sources == {'lidar': {'received': '0'}}
    assert health.outputs == {'voxels': {'messages': '7'}}
    assert health.complaints == ['source lidar: No publisher.']
    node.destroy_node()


def test_a_node_that_has_run_for_hours_is_counted_from_where_its_own_count_is(context, monitor):
    node = Node('robot', context=context)
    sent = node.create_publisher(TimeReference, 'sim/sent', 1000)
    diagnostics = node.create_publisher(DiagnosticArray, '/diagnostics', 10)
    counts = [KeyValue(key='received', value='9000')]
    about = DiagnosticStatus(name='/preprocessor: source lidar', level=b'\0', values=counts)
    for each in (sent, diagnostics):
        assert monitor.spin_until(each.get_subscription_count, 10)
    seen = monitor.seen
    sent.publish(TimeReference(source='lidar'))
    assert monitor.spin_until(lambda: seen.published == {'lidar': 1}, 10)
    diagnostics.publish(DiagnosticArray(status=[about]))
    assert monitor.spin_until(lambda: seen.health.sources, 10)
    for _ in range(3):
        sent.publish(TimeReference(source='lidar'))
    assert monitor.spin_until(lambda: seen.published == {'lidar': 9003}, 10)
    node.destroy_node()


def test_what_a_node_complains_of_after_the_last_message_is_not_held_against_it(context, monitor):
    node = Node('robot', context=context)
    sent = node.create_publisher(TimeReference, 'sim/sent', 1000)
    diagnostics = node.create_publisher(DiagnosticArray, '/diagnostics', 10)
    for each in (sent, diagnostics):
        assert monitor.spin_until(each.get_subscription_count, 10)
    seen = monitor.seen

    def complain(sentence):
        status = DiagnosticStatus(name='/preprocessor: node', level=b'\1', message=sentence)
        diagnostics.publish(DiagnosticArray(status=[status]))
        assert monitor.spin_until(lambda: sentence in str(seen.health.complaints), 10)

    complain('too early')
    assert seen.complaints() == ['node: too early']  # nothing has been sent
    last_ns = time.monotonic_ns()
    complain('silent')
    message = TimeReference(source='lidar')
    message.time_ref.sec, message.time_ref.nanosec = divmod(last_ns, 10**9)
    sent.publish(message)
    assert monitor.spin_until(lambda: seen.published, 10)
    assert seen.complaints() == []  # it was sent before the complaint, and none came after it
    node.destroy_node()


def test_while_there_is_nothing_to_show_it_says_what_it_waits_for_and_what_there_is():
    assert silence('/preprocessor', 0.9, [], '0') == ''
    assert silence('/preprocessor', None, ['/r1/eyes'], '7') == (
        'waiting for /preprocessor: no diagnostics from it yet; ROS_DOMAIN_ID=7 has /r1/eyes'
    )
    assert silence('/eyes', 12.3, [], '0') == (
        '/eyes has sent no diagnostics for 12 s; ROS_DOMAIN_ID=0 has no other node'
    )


def test_it_knows_the_preprocessors_there_are_and_without_any_all_nodes(
    context, monitor, executor
):
    robot = Node('robot', context=context, namespace='r1')
    assert monitor.spin_until(lambda: monitor.others() == ['/r1/robot'], 10)
    other = Source(context, config_of(), 'eyes', namespace='r1').started()
    assert monitor.spin_until(lambda: monitor.others() == ['/r1/eyes'], 10)
    other.destroy_node()
    robot.destroy_node()


def test_an_option_it_does_not_know_is_refused(capsys):
    with pytest.raises(SystemExit, match='2'):
        main(['--nodes', '/eyes', '--ros-args', '-r', 'a:=b'])
    assert 'unknown: --nodes /eyes. What is for ROS follows --ros-args.' in capsys.readouterr().err


def test_spinning_ends_at_the_deadline(monitor):
    assert monitor.spin_until(lambda: False, 0.05) is False


def test_on_a_terminal_it_redraws_until_ctrl_c(source, executor, node_env, wait_until):
    ours, its = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, '-m', 'robocache_ros', 'monitor', '--node', '/preprocessor'],
        env=node_env,
        stdout=its,
        stderr=its,
    )
    os.close(its)
    os.set_blocking(ours, False)
    shown = bytearray()

    def twice():
        source.send()
        with contextlib.suppress(BlockingIOError):  # nothing new
            shown.extend(os.read(ours, 65536))
        return shown.count(b'\x1b[J') >= 2

    executor.add_node(source)
    wait_until(twice, 20, 'the table to be redrawn', executor)
    process.send_signal(signal.SIGINT)
    assert process.wait(timeout=10) == 0
    os.close(ours)
    assert b'voxels' in shown
    assert b'Traceback' not in shown
