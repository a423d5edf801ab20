# Copyright 2026 the robocache_ros authors
# SPDX-License-Identifier: Apache-2.0
"""States of the node: what exists in which, how it gets there, and what it says when it can't."""

from __future__ import annotations

import threading

import pytest
from lifecycle_msgs.msg import Transition
from lifecycle_msgs.srv import ChangeState, GetState
from rclpy.lifecycle import TransitionCallbackReturn
from rig import SECOND, START_NS, cloud, level, values
from sensor_msgs.msg import PointCloud2
from std_msgs.msg import String

import robocache_ros.node as node_module
from robocache_ros.node import PreprocessorNode
from robocache_ros.ros.outputs import schema_qos

SUCCESS = TransitionCallbackReturn.SUCCESS
FAILURE = TransitionCallbackReturn.FAILURE


def change(rig, node, transition):
    """Ask for a transition as `ros2 lifecycle set` does; return whether it was made."""
    client = rig.own.create_client(ChangeState, f'{node.get_fully_qualified_name()}/change_state')
    rig.wait(client.service_is_ready, 'the lifecycle service')
    request = ChangeState.Request()
    request.transition.id = transition
    future = client.call_async(request)
    rig.wait(future.done, 'the transition')
    rig.own.destroy_client(client)
    return future.result().success


def state_of(rig, node):
    client = rig.own.create_client(GetState, f'{node.get_fully_qualified_name()}/get_state')
    rig.wait(client.service_is_ready, 'the lifecycle service')
    future = client.call_async(GetState.Request())
    rig.wait(future.done, 'the state')
    rig.own.destroy_client(client)
    return future.result().current_state.label


def entities(node):
    return {
        'publishers': sorted(p.topic_name for p in node.publishers),
        'subscriptions': sorted(s.topic_name for s in node.subscriptions),
        'timers': len(list(node.timers)),
        'services': len(list(node.services)),
        'waitables': len(list(node.waitables)),
        'threads': sorted(t.name for t in threading.enumerate()),
    }


def topics(node):
    return {s.topic_name for s in node.subscriptions}


def test_the_constructor_declares_and_does_nothing_else(rig):
    threads = threading.active_count()
    node = rig.node()
    assert node.lifecycle_state == 'unconfigured'
    assert node.get_parameter('voxels.voxel_size').value is not None
    assert not any('lidar' in topic for topic in topics(node))
    assert not any('voxels' in p.topic_name for p in node.publishers)
    assert threading.active_count() == threads


def test_with_autostart_it_becomes_active_by_being_spun(rig):
    node = rig.active()
    assert state_of(rig, node) == 'active'
    assert {'/lidar/points', '/camera/image', '/imu/data'} <= topics(node)
    status = rig.diagnose(node)['node']
    assert level(status) == 0
    assert values(status)['state'] == 'active'
    assert values(status)['backend'] == 'numpy'
    assert values(status)['backend_reason'] in status.message


def test_without_autostart_it_stays_unconfigured_and_says_what_to_do(rig):
    node = rig.node(autostart=False)
    rig.wait(lambda: rig.arrays, 'diagnostics that nobody asked for')
    status = rig.diagnose(node)['node']
    assert state_of(rig, node) == 'unconfigured'
    assert level(status) == 1
    assert 'ros2 lifecycle set /preprocessor configure' in status.message


def test_a_lifecycle_manager_that_is_faster_than_autostart_is_not_disturbed(rig):
    node = rig.node()
    assert node.trigger_configure() == SUCCESS
    for _ in range(20):
        rig._executor.spin_once(timeout_sec=0.01)
    assert node.lifecycle_state == 'inactive'
    assert not node.autostart_failed


def test_it_goes_through_its_states_again_and_again_and_leaves_nothing_behind(rig):
    node = rig.node(autostart=False)
    before = None
    heard = rig.collect(PointCloud2, '/preprocessor/voxels')
    points = rig.publisher(PointCloud2, 'lidar/points')
    for cycle in range(3):
        assert change(rig, node, Transition.TRANSITION_CONFIGURE)
        assert state_of(rig, node) == node.lifecycle_state == 'inactive'
        assert level(rig.diagnose(node)['node']) == 1
        assert change(rig, node, Transition.TRANSITION_ACTIVATE)
        assert state_of(rig, node) == node.lifecycle_state == 'active'
        rig.settle(node, points)
        rig.wait(lambda: rig.own.count_publishers('/preprocessor/voxels'), 'the output')
        wait_for_matched_output(rig, node)
        points.publish(cloud(START_NS + cycle * SECOND))
        rig.wait(lambda n=cycle + 1: len(heard) == n, f'the voxels of cycle {cycle}')
        assert change(rig, node, Transition.TRANSITION_DEACTIVATE)
        assert state_of(rig, node) == node.lifecycle_state == 'inactive'
        assert change(rig, node, Transition.TRANSITION_CLEANUP)
        assert state_of(rig, node) == node.lifecycle_state == 'unconfigured'
        after = entities(node)
        assert not any('lidar' in topic for topic in after['subscriptions'])
        assert before is None or after == before
        before = after


def wait_for_matched_output(rig, node):
    outputs = [p for p in node.publishers if p.topic_name == '/preprocessor/voxels']
    rig.wait(lambda: outputs[0].get_subscription_count(), 'the listener to be known')


def test_an_inactive_node_ignores_messages_and_an_active_one_goes_on_where_it_was(rig):
    node = rig.active()
    points = rig.publisher(PointCloud2, 'lidar/points')
    rig.settle(node, points)
    points.publish(cloud(START_NS))
    rig.wait(lambda: rig.received(node, 'lidar') == 1, 'the first cloud')
    assert node.trigger_deactivate() == SUCCESS
    ears = rig.collect(PointCloud2, 'lidar/points')
    rig.wait(lambda: points.get_subscription_count() == 2, 'the second listener')
    points.publish(cloud(START_NS + SECOND))
    rig.wait(lambda: ears, 'the cloud to have passed')
    for _ in range(10):
        rig._executor.spin_once(timeout_sec=0.01)
    assert rig.received(node, 'lidar') == 1
    status = rig.diagnose(node)
    assert level(status['source lidar']) == 0
    assert 'ignored' in status['source lidar'].message
    assert node.trigger_activate() == SUCCESS
    points.publish(cloud(START_NS + 2 * SECOND))
    rig.wait(lambda: rig.received(node, 'lidar') == 2, 'the third cloud')


def test_the_schema_is_published_when_configured_for_whoever_comes_late(rig):
    node = rig.node(autostart=False)
    assert node.trigger_configure() == SUCCESS
    heard = []
    rig.own.create_subscription(String, '/preprocessor/schema', heard.append, schema_qos())
    rig.wait(lambda: heard, 'the schema')
    assert '"schema_id"' in heard[0].data


@pytest.mark.parametrize(
    ('parameter', 'value', 'words'),
    [
        ('trigger', 'sonar', 'sonar'),
        ('voxels.voxel_size', -1.0, 'voxels.voxel_size'),
        ('lidar.qos', 'sometimes', 'lidar.qos must be one of auto, reliable, best_effort'),
        ('voxels.voxelsize', 0.1, 'did you mean voxels.voxel_size?'),
        ('autostart', 'yes please', 'autostart must be true or false'),
        (
            'qos_overrides./lidar/points.subscription.reliability',
            'sometimes',
            "must be auto, reliable or best_effort, not 'sometimes'",
        ),
        ('qos_overrides./lidar/points.subscription.depth', 'deep', "expecting type 'INTEGER'"),
    ],
)
def test_a_bad_parameter_keeps_it_unconfigured_with_a_sentence(rig, parameter, value, words):
    node = rig.node(**{'autostart': False} | {parameter: value})
    before = entities(node)
    assert node.trigger_configure() == FAILURE
    assert node.lifecycle_state == 'unconfigured'
    assert words in node.problem
    assert 'Traceback' not in node.problem
    assert entities(node) == before
    status = rig.diagnose(node)['node']
    assert level(status) == 2
    assert words in status.message


def test_cuda_on_a_machine_without_it_is_refused_with_the_cause(rig):
    node = rig.node(autostart=False, backend='cuda', device_id=255)
    assert node.trigger_configure() == FAILURE
    assert 'cuda was asked for, but ' in node.problem
    assert 'Traceback' not in node.problem


def test_autostart_with_a_bad_parameter_is_marked_as_failed(rig, capfd):
    node = rig.node(trigger='sonar')
    rig.wait(lambda: node.autostart_failed, 'the failure')
    assert node.lifecycle_state == 'unconfigured'
    assert 'sonar' in capfd.readouterr().err


def test_an_error_of_ours_while_configuring_is_told_with_its_traceback(rig, monkeypatch, capfd):
    def broken(*_):
        raise KeyError('a bug')

    node = rig.node(autostart=False)
    before = entities(node)
    monkeypatch.setattr(node_module, 'Inputs', broken)
    assert node.trigger_configure() == FAILURE
    assert "KeyError: 'a bug'" in node.problem
    assert 'Traceback' in capfd.readouterr().err
    assert entities(node) == before
    monkeypatch.undo()
    assert node.trigger_configure() == SUCCESS
    assert node.problem == ''


def test_activating_while_an_old_computation_hangs_fails_and_can_be_tried_again(rig):
    node = rig.node(autostart=False)
    assert node.trigger_configure() == SUCCESS
    worker = node._running.worker
    hanging = threading.Event()
    worker._thread = threading.Thread(target=hanging.wait, daemon=True)
    worker._thread.start()
    assert node.trigger_activate() == FAILURE
    assert node.lifecycle_state == 'inactive'
    assert 'has not ended' in node.problem
    hanging.set()
    worker._thread.join()
    assert node.trigger_activate() == SUCCESS


def test_deactivating_does_not_wait_for_a_computation_that_hangs(rig, capfd):
    node = rig.active()
    entered, hanging = threading.Event(), threading.Event()
    node._running.pipeline.advance = lambda _: (entered.set(), hanging.wait(), iter(()))[2]
    node._running.pipeline.next_deadline_ns = lambda: 0
    node._running.worker.wake()
    assert entered.wait(10)
    assert node.trigger_deactivate() == SUCCESS
    assert 'takes long' in capfd.readouterr().err
    hanging.set()


@pytest.mark.parametrize('steps', [0, 1, 2])
def test_shutdown_from_any_state_frees_everything_and_still_says_so(rig, steps):
    node = rig.node(autostart=False)
    before = entities(node)
    for step in (node.trigger_configure, node.trigger_activate)[:steps]:
        assert step() == SUCCESS
    assert node.trigger_shutdown() == SUCCESS
    assert state_of(rig, node) == node.lifecycle_state == 'finalized'
    assert entities(node) == before
    assert 'Shut down' in rig.diagnose(node)['node'].message


@pytest.mark.parametrize('steps', [0, 1, 2])
def test_destroying_it_twice_in_any_state_is_fine(context, steps):
    threads = threading.active_count()
    node = PreprocessorNode(context=context)
    for step in (node.trigger_configure, node.trigger_activate)[:steps]:
        assert step() == SUCCESS
    node.destroy_node()
    node.destroy_node()
    assert threading.active_count() == threads


def test_it_takes_the_arguments_every_node_takes(rig):
    node = rig.node('eyes', namespace='/robot7', cli_args=['--ros-args', '-r', 'imu/data:=/imu'])
    rig.wait(lambda: node.lifecycle_state == 'active', 'the node to become active')
    assert node.get_fully_qualified_name() == '/robot7/eyes'
    assert {'/robot7/lidar/points', '/imu'} <= topics(node)
    assert {each.topic for each in node._running.inputs} == {
        '/robot7/lidar/points',
        '/robot7/camera/image',
        '/imu',
    }
