# Copyright 2026 the robocache_ros authors
# SPDX-License-Identifier: Apache-2.0
"""A node with a GPU that fails: what it sends, what it says, and how it ends."""

from __future__ import annotations

import json
import signal
import sys
import time
from pathlib import Path

import openers
import pytest
from cpu_device import compiler
from fake_cuda import DEADLINE_SEC, FakeCuda, Opener
from lifecycle_msgs.srv import GetState
from rclpy.qos import DurabilityPolicy, QoSProfile
from rig import START_NS, cloud, level, stamp, values
from sensor_msgs.msg import Image, Imu, PointCloud2
from std_msgs.msg import String, UInt8MultiArray
from test_end_to_end import outputs

from robocache_ros.backends import ACCELERATORS, abandoned
from robocache_ros.backends.cuda.device import DeviceLost, OutOfResources
from robocache_ros.ros.sim_node import _fill
from robocache_ros.sim.config import (
    CameraConfig,
    ImuConfig,
    JointsConfig,
    LidarConfig,
    OdometryConfig,
    RobotConfig,
)
from robocache_ros.sim.robot import Robot

RULE_SEC = 2.0  # from the signal to the end of the process


@pytest.fixture
def gpu(monkeypatch):
    """Give the node a GPU: an Opener, whose `cuda` has an `error` to set."""
    opener = Opener()
    monkeypatch.setattr(openers, 'fake', opener)
    monkeypatch.setitem(ACCELERATORS, 'cuda', 'openers:open_fake')
    monkeypatch.setattr(abandoned, '_kept', [])
    yield opener
    opener.gate.set()


def schemas(rig, node):
    """Subscribe to the schema of a node; what has been published is in the list, parsed."""
    heard = []
    qos = QoSProfile(depth=10, durability=DurabilityPolicy.TRANSIENT_LOCAL)
    topic = f'{node.get_fully_qualified_name()}/schema'
    rig.own.create_subscription(String, topic, lambda m: heard.append(json.loads(m.data)), qos)
    rig.wait(lambda: heard, 'the schema')
    return heard


def ready(node):
    node._backend._accelerator.wait()


def test_a_new_schema_of_the_same_meaning_is_published_when_cuda_takes_over(rig, gpu):
    gpu.gate.clear()
    node = rig.active(backend='cuda')
    heard = schemas(rig, node)
    status = rig.diagnose(node)['node']
    assert level(status) == 0
    assert values(status)['backend'] == 'numpy'
    assert values(status)['backend_reason'] == 'CUDA is getting ready'
    gpu.gate.set()
    ready(node)
    status = rig.diagnose(node)['node']
    assert status.message == 'Active on the cuda backend: as configured.'
    assert values(status)['voxelize.crossover'] == '0'
    rig.wait(lambda: len(heard) == 2, 'a new schema')
    rig.diagnose(node)
    before, after = (document.pop('backend') for document in heard)
    assert heard[0] == heard[1]
    assert before == {'name': 'numpy', 'reason': 'CUDA is getting ready', 'crossover': {}}
    assert (after['name'], after['crossover']['voxelize']) == ('cuda', 0)


def test_a_gpu_that_is_lost_costs_no_frame_and_is_said_with_the_fix(rig, gpu):
    node = rig.active(backend='cuda')
    ready(node)
    heard = schemas(rig, node)
    lidar = rig.publisher(PointCloud2, 'lidar/points')
    rig.settle(node, lidar)
    voxels, _ = outputs(rig, node)
    rig.send(node, 'lidar', lidar, cloud(START_NS))
    rig.wait(lambda: len(voxels) == 1, 'a frame')
    gpu.cuda.error = DeviceLost('Xid 79')
    rig.send(node, 'lidar', lidar, cloud(START_NS + 10**8))
    rig.wait(lambda: len(voxels) == 2, 'a frame')
    assert bytes(voxels[0].data) == bytes(voxels[1].data)
    status = rig.diagnose(node)['node']
    assert level(status) == 1
    assert status.message.startswith(
        'Active on the numpy backend: CUDA is off until this process restarts: Xid 79. Restart'
    )
    found = values(status)
    assert (found['voxelize.cuda'], found['voxelize.gpu_lost']) == ('1', '1')
    rig.wait(lambda: len(heard) >= 2, 'a new schema')
    assert heard[-1]['backend']['name'] == 'numpy'


def test_a_gpu_without_memory_is_said_with_the_time_of_the_next_try(rig, gpu):
    node = rig.active(backend='auto')
    ready(node)
    node._backend._accelerator.crossover = {'voxelize': 0}
    gpu.cuda.error = OutOfResources('no memory left')
    lidar = rig.publisher(PointCloud2, 'lidar/points')
    rig.settle(node, lidar)
    rig.send(node, 'lidar', lidar, cloud(START_NS))
    counted = node._backend.status
    rig.wait(lambda: counted().counts.get('voxelize'), 'a frame')
    status = rig.diagnose(node)['node']
    assert level(status) == 1
    assert 'no memory left' in status.message
    assert 'nvidia-smi' in status.message
    assert values(status)['voxelize.gpu_resources'] == '1'
    assert 0.0 <= float(values(status)['voxelize.retry_sec']) <= 1.0


def test_cleaning_up_waits_for_no_opening_and_the_next_one_is_another(rig, gpu):
    gpu.gate.clear()
    node = rig.active(backend='cuda')
    first = node._backend
    node.trigger_deactivate()
    node.trigger_cleanup()
    assert node.lifecycle_state == 'unconfigured'
    cuda, gpu.cuda = gpu.cuda, FakeCuda()
    node.trigger_configure()
    assert node._backend is not first
    gpu.cuda, second = cuda, gpu.cuda
    gpu.gate.set()
    first._accelerator.wait()
    assert cuda.closed
    assert not second.closed


def test_a_configuration_that_fails_gives_the_gpu_back(rig, gpu, monkeypatch):
    def failing(*_):
        raise RuntimeError('no more topics')

    monkeypatch.setattr('robocache_ros.node.Inputs', failing)
    node = rig.node(backend='cuda', autostart=False)
    node.trigger_configure()
    assert 'no more topics' in node.problem
    rig.wait(lambda: gpu.cuda.closed, 'the GPU to be given back')


def active_process(rig, start_process, function, *arguments):
    """Start a node in a process of its own, with a function of openers.py for its GPU."""
    program = Path(openers.__file__)
    process = start_process(
        *(sys.executable, program, function, '--ros-args', '-p', 'backend:=cuda'), *arguments
    )
    client = rig.own.create_client(GetState, '/preprocessor/get_state')
    rig.wait(client.service_is_ready, 'the node', DEADLINE_SEC)

    def active():
        future = client.call_async(GetState.Request())
        rig.wait(future.done, 'an answer')
        return future.result().current_state.label == 'active'

    rig.wait(active, 'the node to become active', DEADLINE_SEC)
    return process


def ended_well(process):
    since = time.monotonic()
    process.send_signal(signal.SIGINT)
    code = process.wait(DEADLINE_SEC)
    took_sec = time.monotonic() - since
    log = process.log.read_text()
    assert code == 0, log
    assert 'Traceback' not in log
    assert took_sec < RULE_SEC
    return log


def test_a_gpu_that_hangs_keeps_no_process_from_ending(rig, start_process):
    process = active_process(rig, start_process, 'open_hanging')
    lidar = rig.publisher(PointCloud2, 'lidar/points')
    voxels = rig.collect(PointCloud2, '/preprocessor/voxels')
    rig.wait(lidar.get_subscription_count, 'the node to listen')
    rig.wait(lambda: rig.own.count_publishers('/preprocessor/voxels'), 'the output')

    sent = iter(range(1000))

    def heard():
        lidar.publish(cloud(START_NS + next(sent) * 10**8))
        return len(voxels) > 2 and 'it hangs' in process.log.read_text()

    rig.wait(heard, 'frames in spite of it', DEADLINE_SEC)
    log = ended_well(process)
    assert log.count('it hangs') == 1
    assert 'CUDA is off until this process restarts: no answer in 1 s. Restart' in log


def test_a_signal_while_the_node_waits_for_a_gpu_that_hangs_ends_it_in_time(rig, start_process):
    process = active_process(rig, start_process, 'open_hanging')
    lidar = rig.publisher(PointCloud2, 'lidar/points')
    rig.wait(lidar.get_subscription_count, 'the node to listen')
    sent = iter(range(1000))

    def hangs():
        lidar.publish(cloud(START_NS + next(sent) * 10**8))
        return 'it hangs' in process.log.read_text()

    rig.wait(hangs, 'the device to hang', DEADLINE_SEC)
    ended_well(process)


def test_a_gpu_that_is_being_opened_keeps_no_process_from_ending(rig, start_process):
    ended_well(active_process(rig, start_process, 'open_slowly'))


FINE = {
    'voxels.voxel_size': 0.25,
    'voxels.point_cloud_range': [-20.0, -20.0, -2.0, 20.0, 20.0, 4.0],
    'voxels.channels': ['count', 'centroid', 'mean_intensity', 'max_ring'],
    'voxels.dense': 'uint8',
    'camera.grid': [4, 6],
    'timeout_sec': 30.0,  # a frame is complete, however slow the machine is
    'clock_jump_sec': 100.0,
    **{f'{name}.history_sec': 60.0 for name in ('lidar', 'camera', 'imu')},
}
TYPES = {'lidar': PointCloud2, 'camera': Image, 'imu': Imu}
TOPICS = {'lidar': 'lidar/points', 'camera': 'camera/image', 'imu': 'imu/data'}


def simulated(seed):
    """Yield what a small robot sends in half a second: source and message."""
    robot = Robot(
        RobotConfig(
            seed=seed,
            lidar=LidarConfig(rings=16, columns=200, prerender=0),
            camera=CameraConfig(width=80, height=60, prerender=0),
            imu=ImuConfig(rate_hz=100.0),
            joints=JointsConfig(rate_hz=0.0),
            odom=OdometryConfig(rate_hz=0.0),
        )
    )
    for event in robot.events(0.52):
        yield event.source, _fill(TYPES[event.source](), event.message)


def heard_of(rig, node):
    """Subscribe to all that a node sends of a frame."""
    name = node.get_fully_qualified_name()
    dense = rig.collect(UInt8MultiArray, f'{name}/voxels/dense')
    return [*outputs(rig, node), dense]


def test_the_kernels_give_the_node_the_bytes_of_numpy(rig, monkeypatch):
    compiler()  # or the test is skipped
    monkeypatch.setitem(ACCELERATORS, 'cuda', 'openers:open_cpu')
    nodes = [rig.active(f'on_{name}', backend=name, **FINE) for name in ('numpy', 'cuda')]
    ready(nodes[1])
    publishers = {name: rig.publisher(TYPES[name], TOPICS[name]) for name in TYPES}
    for node in nodes:
        rig.settle(node, *publishers.values())
    heard = [output for node in nodes for output in heard_of(rig, node)]
    received, clouds, frames = dict.fromkeys(TYPES, 0), [], 0
    for source, message in simulated(seed=5):
        publishers[source].publish(message)
        received[source] += 1
        rig.wait(
            lambda s=source: all(rig.received(node, s) == received[s] for node in nodes), source
        )
        if source == 'lidar':
            clouds.append(stamp(message))
        if source == 'imu':
            frames = sum(t_ns <= stamp(message) for t_ns in clouds)
        rig.wait(lambda n=frames: all(len(output) == n for output in heard), f'frame {frames}')
    assert frames >= 4
    for on_numpy, on_cuda in zip(heard[:3], heard[3:], strict=True):
        for one, other in zip(on_numpy, on_cuda, strict=True):
            assert bytes(one.data) == bytes(other.data)
            one.data = other.data
            assert one == other
    assert min(message.width for message in heard[0]) > 500
    counts = nodes[1]._backend.status().counts
    assert {op: list(count) for op, count in counts.items()} == {
        'voxelize': ['cuda'], 'image_grid': ['cuda'], 'resample': ['cuda'],
    }  # fmt: skip
