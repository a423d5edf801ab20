# Copyright 2026 the robocache_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Something fails in each step of each transition: where the node then is, and what is left."""

from __future__ import annotations

import threading

import pytest
from lifecycle_msgs.msg import Transition
from lifecycle_msgs.srv import ChangeState
from nav_msgs.msg import Odometry
from rclpy.lifecycle import LifecycleNode, TransitionCallbackReturn
from rig import level
from test_cameras import underscored
from test_node_lifecycle import entities, state_of

import robocache_ros.node as node_module
import robocache_ros.ros.transforms as transforms_module
from robocache_ros.backends.numpy_backend import NumpyBackend
from robocache_ros.node import PreprocessorNode
from robocache_ros.ros.inputs import Inputs
from robocache_ros.ros.outputs import Outputs
from robocache_ros.ros.worker import Worker

SUCCESS = TransitionCallbackReturn.SUCCESS
FAILURE = TransitionCallbackReturn.FAILURE
ERROR = TransitionCallbackReturn.ERROR

# Everything that configuring may create: both optional outputs, a calibration and transforms.
ALL = {
    'sources': ['lidar', 'camera'],
    'base_frame': 'base_link',
    'camera.paint': ['rgb'],
    'voxels.channels': ['count', 'mean_r'],
    'voxels.dense': 'float32',
    'features.named': True,
}
CLOSERS = {
    'the worker': (Worker, 'stop'),
    'the inputs': (Inputs, 'destroy'),
    'the outputs': (Outputs, 'destroy'),
    'the backend': (NumpyBackend, 'close'),
}


class Fault:
    """Raises when it is called, the first `times` times, and then calls what it replaces."""

    def __init__(self, original=None, times=1):
        self._original = original
        self._left = times

    def __call__(self, *args, **kwargs):
        if self._left:
            self._left -= 1
            raise OSError('planted')
        return self._original(*args, **kwargs)

    def __get__(self, one, kind=None):
        return self if one is None else lambda *args, **kwargs: self(one, *args, **kwargs)


@pytest.fixture
def plant(monkeypatch):
    """Let a function of an object fail: plant(owner, name, times=1)."""

    def plant(owner, name, times=1):
        monkeypatch.setattr(owner, name, Fault(getattr(owner, name), times))

    return plant


@pytest.mark.parametrize(
    'step',
    [
        'read_config', 'Workload.of', 'make_backend', 'open_encoders', 'Pipeline', 'Outputs',
        'Worker', 'Inputs', 'Running', 'JumpThreshold',
    ],
)  # fmt: skip
def test_a_step_of_configuring_that_fails_leaves_nothing_behind(rig, plant, step):
    node = rig.node(autostart=False, backend='numpy')
    before = entities(node)
    *owners, name = step.split('.')
    plant(getattr(node_module, owners[0]) if owners else node_module, name)
    assert node.trigger_configure() == FAILURE
    assert state_of(rig, node) == node.lifecycle_state == 'unconfigured'
    assert node.problem.startswith('Can not configure: ')
    assert 'planted' in node.problem
    assert entities(node) == before
    assert node.trigger_configure() == node.trigger_activate() == SUCCESS
    assert node.problem == ''


@pytest.mark.parametrize(
    ('creates', 'least'),
    [
        ('create_lifecycle_publisher', 5),
        ('create_publisher', 1),
        ('create_subscription', 5),
        ('create_timer', 2),
        ('create_guard_condition', 1),
    ],
)
def test_whatever_can_not_be_created_all_that_was_is_destroyed(rig, monkeypatch, creates, least):
    monkeypatch.setattr(transforms_module, '_message_type', lambda: Odometry)  # any
    node = rig.node(autostart=False, **underscored(ALL))
    before = entities(node)
    create, number = getattr(LifecycleNode, creates), 0
    while node.lifecycle_state == 'unconfigured':
        calls = iter(range(number))

        def limited(*args, calls=calls, **kwargs):
            if next(calls, None) is None:
                raise OSError('planted')
            return create(*args, **kwargs)

        monkeypatch.setattr(LifecycleNode, creates, limited)
        node.trigger_configure()
        if node.lifecycle_state == 'unconfigured':
            assert 'planted' in node.problem
            assert entities(node) == before, f'after {number} calls of {creates}'
            number += 1
    assert number >= least


def watched(free, part, freed):
    def freeing(*args):
        result = free(*args)
        freed.append(part)
        return result

    return freeing


ACTIVATING = {
    'publishers': (LifecycleNode, 'on_activate'),
    'the worker': (Worker, 'start'),
    'inputs': (Inputs, 'set_active'),
}


@pytest.mark.parametrize('step', ACTIVATING)
def test_activating_that_fails_leaves_it_inactive_and_it_can_be_tried_again(rig, plant, step):
    node = rig.node(autostart=False, backend='numpy')
    assert node.trigger_configure() == SUCCESS
    before = entities(node)
    plant(*ACTIVATING[step])
    assert node.trigger_activate() == FAILURE
    assert state_of(rig, node) == node.lifecycle_state == 'inactive'
    assert node.problem.startswith('Can not activate: ')
    assert 'planted' in node.problem
    assert entities(node) == before
    assert not node._outputs._voxels.is_activated
    assert not any(each.active for each in node._running.inputs)
    assert node.trigger_activate() == SUCCESS
    assert node._outputs._voxels.is_activated
    assert node._running.worker.alive


def test_activating_that_can_not_even_be_undone_frees_everything(rig, plant):
    node = rig.node(autostart=False, backend='numpy')
    before = entities(node)
    assert node.trigger_configure() == SUCCESS
    plant(Inputs, 'set_active', times=2)
    assert node.trigger_activate() == ERROR
    assert state_of(rig, node) == node.lifecycle_state == 'unconfigured'
    assert 'Can not activate: ' in node.problem
    assert 'Nor undo that: ' in node.problem
    assert entities(node) == before
    assert node.trigger_configure() == node.trigger_activate() == SUCCESS


@pytest.mark.parametrize(
    'fault', [(LifecycleNode, 'on_deactivate'), (Worker, 'stop'), (Inputs, 'set_active')]
)
def test_deactivating_that_fails_frees_everything_and_says_why(rig, plant, fault):
    node = rig.node(autostart=False, backend='numpy')
    before = entities(node)
    assert node.trigger_configure() == node.trigger_activate() == SUCCESS
    plant(*fault)
    assert node.trigger_deactivate() == ERROR
    assert state_of(rig, node) == node.lifecycle_state == 'unconfigured'
    assert node.problem.startswith('Can not deactivate: ')
    assert entities(node) == before
    status = rig.diagnose(node)['node']
    assert level(status) == 2
    assert 'planted' in status.message
    assert node.trigger_configure() == node.trigger_activate() == SUCCESS


@pytest.mark.parametrize('part', CLOSERS)
def test_cleaning_up_frees_the_rest_where_one_part_fails(rig, monkeypatch, plant, part):
    node = rig.node(autostart=False, backend='numpy')
    freed = []
    for other, (kind, name) in CLOSERS.items():
        monkeypatch.setattr(kind, name, watched(getattr(kind, name), other, freed))
    plant(*CLOSERS[part])
    assert node.trigger_configure() == SUCCESS
    assert node.trigger_cleanup() == ERROR
    assert set(freed) == set(CLOSERS) - {part}
    assert state_of(rig, node) == node.lifecycle_state == 'unconfigured'
    assert node.problem.startswith('Can not clean up: ')
    assert node.trigger_configure() == node.trigger_activate() == SUCCESS
    assert node.problem == ''


@pytest.mark.parametrize('part', CLOSERS)
def test_shutting_down_ends_in_finalized_even_where_one_part_fails(rig, plant, part):
    node = rig.node(autostart=False, backend='numpy')
    plant(*CLOSERS[part])
    assert node.trigger_configure() == node.trigger_activate() == SUCCESS
    assert node.trigger_shutdown() == FAILURE
    assert state_of(rig, node) == node.lifecycle_state == 'finalized'
    assert 'planted' in rig.diagnose(node)['node'].message


def test_what_can_never_be_freed_ends_in_finalized_with_the_first_reason(rig, plant):
    node = rig.node(autostart=False, backend='numpy')
    assert node.trigger_configure() == node.trigger_activate() == SUCCESS
    stop, worker = Worker.stop, node._running.worker
    plant(Worker, 'stop', times=3)
    assert node.trigger_deactivate() == ERROR
    assert state_of(rig, node) == node.lifecycle_state == 'finalized'
    assert node.problem.startswith('Can not deactivate: ')
    assert 'Can not free the rest: ' in node.problem
    stop(worker)


def test_a_part_that_can_not_be_freed_does_not_keep_the_node_from_being_destroyed(
    rig, context, plant
):
    node = PreprocessorNode('doomed', context=context)
    plant(Outputs, 'destroy')
    assert node.trigger_configure() == SUCCESS
    rig.wait(lambda: 'doomed' in rig.own.get_node_names(), 'the node to be known')
    with pytest.raises(OSError, match='planted'):
        node.destroy_node()
    node.destroy_node()
    rig.wait(lambda: 'doomed' not in rig.own.get_node_names(), 'the node to be gone')


def test_a_frame_that_comes_too_late_is_sent_to_nobody(rig, wait_until):
    node = rig.active()
    got = []
    node.subscribe_frames(lambda frame, _: got.append(frame))
    entered, hanging = threading.Event(), threading.Event()

    def late(_):
        entered.set()
        hanging.wait()
        yield 'a frame'

    node._running.pipeline.advance = late
    node._running.pipeline.next_deadline_ns = lambda: 0
    worker = node._running.worker
    worker.wake()
    assert entered.wait(10)
    assert node.trigger_deactivate() == SUCCESS
    hanging.set()
    wait_until(lambda: not worker.alive, 10, 'the thread to end')
    assert got == []
    assert worker.errors == 0


# By the number of the state -> the transitions that there are from it.
POSSIBLE = {
    'unconfigured': {Transition.TRANSITION_CONFIGURE, Transition.TRANSITION_UNCONFIGURED_SHUTDOWN},
    'inactive': {
        Transition.TRANSITION_ACTIVATE,
        Transition.TRANSITION_CLEANUP,
        Transition.TRANSITION_INACTIVE_SHUTDOWN,
    },
    'active': {Transition.TRANSITION_DEACTIVATE, Transition.TRANSITION_ACTIVE_SHUTDOWN},
    'finalized': set(),
}
NUMBERS = {*set().union(*POSSIBLE.values()), Transition.TRANSITION_CREATE, 250}


@pytest.mark.parametrize('state', POSSIBLE)
def test_what_is_not_possible_is_answered_changes_nothing_and_is_explained(rig, capfd, state):
    node = rig.node(autostart=False, backend='numpy')
    steps = {
        'inactive': [node.trigger_configure],
        'active': [node.trigger_configure, node.trigger_activate],
        'finalized': [node.trigger_shutdown],
    }
    for step in steps.get(state, []):
        assert step() == SUCCESS
    before = entities(node)
    client = rig.own.create_client(ChangeState, '/preprocessor/change_state')
    rig.wait(client.service_is_ready, 'the lifecycle service')
    for number in NUMBERS - POSSIBLE[state]:
        request = ChangeState.Request()
        request.transition.id = number
        future = client.call_async(request)
        rig.wait(future.done, 'the answer')
        assert not future.result().success
    request.transition.label = 'create'
    future = client.call_async(request)
    rig.wait(future.done, 'the answer')
    assert not future.result().success
    assert state_of(rig, node) == node.lifecycle_state == state
    assert entities(node) == before
    assert node.problem == ''
    said = capfd.readouterr().err
    assert f'Can not create: the node is {state}, from where there is ' in said
    assert 'Traceback' not in said
