# Copyright 2026 the robocache_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The states again and again: nothing grows. And a manager of many nodes, as Nav2 has one."""

from __future__ import annotations

import gc
import os
from pathlib import Path
from types import MethodType

import numpy as np
import pytest
from lifecycle_msgs.msg import State, Transition
from lifecycle_msgs.srv import ChangeState, GetState
from rclpy.lifecycle import TransitionCallbackReturn
from rclpy.parameter import Parameter
from rig import SECOND, START_NS, cloud, image
from sensor_msgs.msg import Image, PointCloud2
from test_node_lifecycle import entities

import robocache_ros.node as node_module
from robocache_ros.encoding import EncoderPool

SUCCESS = TransitionCallbackReturn.SUCCESS
CYCLES = 200
LOOKS = (20, 79, 139, 199)  # after these cycles; by the first all caches are full
# What grows is seen from each look to the next, what ends late of other tests from one of them: an
# object kept by every cycle, and memory outside of Python as well.
ROOM_KB = 3 * 1024
ROOM_OBJECTS = 40

ENCODES = {
    'sources': ['lidar', 'camera'],
    'camera.encoder.path': '/nowhere/net.pt',
    'camera.encoder.width': 3,
    'camera.encoder.input_size': [8, 8],
    'camera.encoder.mean': [0.0],
    'camera.encoder.std': [1.0],
}


class Network:
    identity, digest, device = 'a test', 64 * '0', 'cpu'

    def encode(self, image):
        return np.ones(3, np.float32)


def used_of_the_process():
    """Return what a process can run out of: files, segments, objects, memory."""
    gc.collect()
    return {
        'files': len(os.listdir('/proc/self/fd')),
        'segments': Path('/proc/self/maps').read_text().count('/dev/shm/'),
        'objects': sum(not is_of_coverage(one) for one in gc.get_objects()),
        'kilobytes': int(Path('/proc/self/statm').read_text().split()[1]) * 4,
    }


def is_of_coverage(one):
    """Whether an object is what coverage.py keeps of each thread there ever was."""
    owner = one.__self__ if isinstance(one, MethodType) else one
    return str(type(owner).__module__).partition('.')[0] == 'coverage'


def threads():
    return len(os.listdir('/proc/self/task'))


def change_a_parameter(node, number):
    """Let an output come and go, and the grid be another one."""
    changes = {
        'voxels.dense': ('none', 'uint8')[number % 2],
        'voxels.voxel_size': 1.0 + number % 2,
    }
    parameters = [Parameter(name, value=value) for name, value in changes.items()]
    assert node.set_parameters_atomically(parameters).successful


def test_200_cycles_leave_nothing_behind(rig, monkeypatch):
    monkeypatch.setattr(
        node_module,
        'open_encoders',
        lambda config, live, on_done: {
            'camera': EncoderPool(config.source('camera'), Network(), on_done)
        },
    )
    given = {key.replace('.', '__'): value for key, value in ENCODES.items()}
    node = rig.node(autostart=False, **given)
    frames = []
    node.subscribe_frames(lambda frame, schema: frames.append(type(frame)))
    lidar = rig.publisher(PointCloud2, 'lidar/points')
    camera = rig.publisher(Image, 'camera/image')
    used = []
    for number in range(CYCLES):
        assert node.trigger_configure() == node.trigger_activate() == SUCCESS
        if number % 10 == 0:  # with a frame
            rig.settle(node, lidar, camera)
            expected = len(frames) + 2
            camera.publish(image(START_NS + number * SECOND))
            rig.wait(lambda: rig.received(node, 'camera'), 'the image')
            lidar.publish(cloud(START_NS + number * SECOND + 1000))
            rig.wait(lambda n=expected: len(frames) == n, 'voxels and features')
        change_a_parameter(node, number)
        assert node.trigger_deactivate() == node.trigger_cleanup() == SUCCESS
        rig.arrays.clear()
        if number == LOOKS[0]:
            before, most = entities(node), threads()
        if number in LOOKS:
            used.append(used_of_the_process())
    rig.wait(lambda: threads() <= most, 'threads to end, which outlast their joining a little')
    assert entities(node) == before
    steps = list(zip(used[:-1], used[1:], strict=True))
    assert len(steps) == len(LOOKS) - 1
    grown = {key: min(later[key] - earlier[key] for earlier, later in steps) for key in used[0]}
    assert grown.pop('objects') < ROOM_OBJECTS
    assert grown.pop('kilobytes') < ROOM_KB
    assert max(grown.values()) <= 0, grown


class Manager:
    """
    Asks a node what Nav2's lifecycle manager asks the nodes it is told of, in the same order.

    It waits for the service, changes the state without a limit of time, then looks whether the
    node is where it should be.
    """

    GOALS = {
        Transition.TRANSITION_CONFIGURE: State.PRIMARY_STATE_INACTIVE,
        Transition.TRANSITION_ACTIVATE: State.PRIMARY_STATE_ACTIVE,
        Transition.TRANSITION_DEACTIVATE: State.PRIMARY_STATE_INACTIVE,
        Transition.TRANSITION_CLEANUP: State.PRIMARY_STATE_UNCONFIGURED,
        Transition.TRANSITION_UNCONFIGURED_SHUTDOWN: State.PRIMARY_STATE_FINALIZED,
    }

    def __init__(self, rig, name):
        self._rig = rig
        self._change = rig.own.create_client(ChangeState, f'{name}/change_state')
        self._state = rig.own.create_client(GetState, f'{name}/get_state')

    def _ask(self, client, request):
        self._rig.wait(client.service_is_ready, client.srv_name)
        future = client.call_async(request)
        self._rig.wait(future.done, f'an answer of {client.srv_name}')
        return future.result()

    def _make(self, *transitions, hard=False):
        for transition in transitions:
            request = ChangeState.Request()
            request.transition.id = transition
            changed = self._ask(self._change, request).success
            if not (changed and self.state == self.GOALS[transition]) and not hard:
                return False
        return True

    @property
    def state(self):
        return self._ask(self._state, GetState.Request()).current_state.id

    def startup(self):
        return self._make(Transition.TRANSITION_CONFIGURE, Transition.TRANSITION_ACTIVATE)

    def pause(self):
        return self._make(Transition.TRANSITION_DEACTIVATE)

    def resume(self):
        return self._make(Transition.TRANSITION_ACTIVATE)

    def reset(self, hard=False):
        wanted = Transition.TRANSITION_DEACTIVATE, Transition.TRANSITION_CLEANUP
        return self._make(*wanted, hard=hard)

    def shutdown(self):
        for transition in (
            Transition.TRANSITION_DEACTIVATE,
            Transition.TRANSITION_CLEANUP,
            Transition.TRANSITION_UNCONFIGURED_SHUTDOWN,
        ):
            self._make(transition)
        return self.state == State.PRIMARY_STATE_FINALIZED


@pytest.fixture
def manager(rig):
    return Manager(rig, '/preprocessor')


def test_a_manager_starts_pauses_resumes_resets_and_ends_it(rig, manager):
    node = rig.node(autostart=False)
    assert manager.startup()
    assert manager.pause()
    assert manager.resume()
    assert manager.reset()
    assert manager.startup()
    assert manager.shutdown()
    assert node.lifecycle_state == 'finalized'
    assert node.problem == ''


def test_a_manager_can_reset_and_end_it_from_any_state(rig, manager):
    node = rig.node(autostart=False)
    for steps in ((), (manager.startup,), (manager.startup, manager.pause)):
        assert all(step() for step in steps)
        assert manager.reset(hard=True)
        assert node.lifecycle_state == 'unconfigured'
    assert manager.shutdown()


def test_a_manager_is_told_that_a_node_started_itself_and_nothing_breaks(rig, manager):
    node = rig.active()
    assert not manager.startup()
    assert node.lifecycle_state == 'active'
    assert manager.pause()
    assert manager.resume()


def test_a_manager_can_start_it_once_what_was_wrong_is_mended(rig, manager):
    node = rig.node(autostart=False, trigger='sonar')
    assert not manager.startup()
    assert manager.state == State.PRIMARY_STATE_UNCONFIGURED
    assert 'sonar' in node.problem
