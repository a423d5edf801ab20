# Copyright 2026 the robocache_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Messages in, messages out, over real DDS, with a real node in between."""

from __future__ import annotations

import sys
import time

import numpy as np
import pytest
from rig import SECOND, SMALL, START_NS, cloud, image, imu, is_conserved, level, stamp, values
from rosgraph_msgs.msg import Clock
from sensor_msgs.msg import Image, Imu, PointCloud2

from robocache_ros.backends import make_backend
from robocache_ros.backends.numpy_backend import NumpyBackend
from robocache_ros.codec.cloud import decode_cloud
from robocache_ros.codec.image import decode_image
from robocache_ros.codec.imu import decode_imu
from robocache_ros.config import Config
from robocache_ros.pipeline import Pipeline
from robocache_ros.reading import read_features, read_voxels
from robocache_ros.samples import VoxelFrame

PERIOD_NS = SECOND // 10
DECODERS = {'lidar': decode_cloud, 'camera': decode_image, 'imu': decode_imu}


def outputs(rig, node):
    """Subscribe to both outputs of a node, and wait until the node knows."""
    name = node.get_fully_qualified_name()
    heard = [rig.collect(PointCloud2, f'{name}/{output}') for output in ('voxels', 'features')]
    ours = [p for p in node.publishers if p.topic_name in (f'{name}/voxels', f'{name}/features')]
    rig.wait(lambda: all(p.get_subscription_count() for p in ours), 'the listeners to be known')
    return heard


def script(frames=5, seed=3):
    """Yield what a robot sends: per cloud ten turns and three images, all up to its time."""
    chance = np.random.default_rng(seed)
    for n in range(1, frames + 1):
        t_ns = START_NS + n * PERIOD_NS
        for k in range(9, -1, -1):
            yield 'imu', imu(t_ns - k * PERIOD_NS // 10, rate=chance.normal())
        for k in range(2, -1, -1):
            yield 'camera', image(t_ns - k * PERIOD_NS // 3, grey=int(chance.integers(256)))
        points = chance.uniform(-9, 9, (400, 4)) * (1, 1, 0.3, 20)
        yield 'lidar', cloud(t_ns, points)


def frames_of_the_core(messages):
    """Compute the frames without ROS: the same messages, straight into a pipeline."""
    pipeline = Pipeline(Config.from_mapping(SMALL), make_backend('numpy'))
    frames = []
    for arrival_ns, (source, message) in enumerate(messages):
        sample = DECODERS[source](message)
        pipeline.push(arrival_ns, source, stamp(message), sample, message.header.frame_id)
        frames += pipeline.advance(arrival_ns)
    voxels = [frame for frame in frames if isinstance(frame, VoxelFrame)]
    return voxels, [frame for frame in frames if not isinstance(frame, VoxelFrame)]


def test_what_comes_out_is_what_the_core_makes_of_what_was_sent(rig):
    node = rig.active(timeout_sec=1.5)  # after which a source counts as silent
    publishers = {
        'lidar': rig.publisher(PointCloud2, 'lidar/points'),
        'camera': rig.publisher(Image, 'camera/image'),
        'imu': rig.publisher(Imu, 'imu/data'),
    }
    rig.settle(node, *publishers.values())
    voxels, features = outputs(rig, node)
    for n, (source, message) in enumerate(script()):
        rig.send(node, source, publishers[source], message)
        if source == 'lidar':  # one frame after the other, as in real time
            done = (n + 1) // 14
            rig.wait(lambda n=done: len(voxels) == len(features) == n, f'frame {done}')

    expected_voxels, expected_features = frames_of_the_core(script())
    assert len(expected_voxels) == len(expected_features) == 5
    for message, frame in zip(voxels, expected_voxels, strict=True):
        rows = read_voxels(message)
        assert stamp(message) == frame.t_ref_ns
        assert message.header.frame_id == frame.frame_id == 'lidar'
        assert len(frame.voxels) > 100
        for got, center in zip((rows.x, rows.y, rows.z), frame.voxels.centers(), strict=True):
            np.testing.assert_array_equal(got, center)
        assert list(rows.channels) == ['count', 'mean_intensity']
        for name, column in frame.voxels.columns.items():
            np.testing.assert_array_equal(rows.channels[name], column)
    for message, frame in zip(features, expected_features, strict=True):
        rows = read_features(message)
        assert stamp(message) == frame.t_ref_ns
        assert frame.complete
        np.testing.assert_array_equal(rows.dt, frame.dt)
        np.testing.assert_array_equal(rows.values, frame.values)
        np.testing.assert_array_equal(rows.valid, frame.valid)
        np.testing.assert_array_equal(rows.age, frame.age)
    statuses = rig.diagnose(node)
    for source, sent in (('lidar', 5), ('camera', 15), ('imu', 50)):
        assert values(statuses[f'source {source}'])['received'] == str(sent)
        assert is_conserved(statuses[f'source {source}'])
        assert level(statuses[f'source {source}']) == 0
    for output in ('output voxels', 'output features'):
        found = values(statuses[output])
        assert (found['messages'], found['partial']) == ('5', '0')
        assert float(found['compute_ms_p99']) > 0


def test_lidar_alone_gives_every_frame_without_waiting_and_a_warning_per_missing_source(
    rig, capfd
):
    # A frame that waited for the missing sources would come after a minute.
    history = {f'{name}.history_sec': 70.0 for name in ('lidar', 'camera', 'imu')}
    node = rig.active(timeout_sec=60.0, **history)
    lidar = rig.publisher(PointCloud2, 'lidar/points')
    rig.settle(node, lidar)
    voxels, features = outputs(rig, node)
    sent = [START_NS + n * PERIOD_NS for n in range(30)]
    for n, t_ns in enumerate(sent):
        rig.send(node, 'lidar', lidar, cloud(t_ns))
        rig.wait(lambda n=n: len(voxels) == len(features) == n + 1, f'frame {n}')
        if n % 10 == 0:
            rig.diagnose(node)
    assert [stamp(message) for message in voxels] == sent
    assert [stamp(message) for message in features] == sent
    newest = read_features(features[-1])
    assert 0 < newest.valid[-1].sum() < newest.valid.shape[1]
    statuses = rig.diagnose(node)
    assert [level(statuses[f'source {name}']) for name in ('lidar', 'camera', 'imu')] == [0, 1, 1]
    assert level(statuses['output voxels']) == level(statuses['output features']) == 0
    assert 'without camera, imu' in statuses['output features'].message
    log = capfd.readouterr().err.splitlines()
    assert sum('camera: No publisher' in line for line in log) == 1
    assert sum('imu: No publisher' in line for line in log) == 1
    assert sum('The stamps of lidar are' in line for line in log) == 1  # START_NS is years ago
    assert len(log) == 4  # and the one that says what has started


def test_two_robots_in_two_namespaces_do_not_mix(rig):
    nodes = [rig.active(namespace=f'/robot{n}') for n in (1, 2)]
    lidars = [rig.publisher(PointCloud2, f'/robot{n}/lidar/points') for n in (1, 2)]
    heard = []
    for node, lidar in zip(nodes, lidars, strict=True):
        rig.settle(node, lidar)
        heard.append(outputs(rig, node))
    for n in range(5):
        for robot in (0, 1):
            # Robot 1 sees one point, robot 2 sees two, at times of their own.
            t_ns = START_NS + robot * 7 + n * PERIOD_NS
            points = [(0.5, 0.5, 0.5, 1.0)] * (robot + 1)
            rig.send(nodes[robot], 'lidar', lidars[robot], cloud(t_ns, points, f'lidar{robot}'))
        frames = [one for pair in heard for one in pair]
        rig.wait(lambda n=n, f=frames: all(len(one) == n + 1 for one in f), f'frame {n} of both')
    for robot, (voxels, features) in enumerate(heard):
        expected = [START_NS + robot * 7 + n * PERIOD_NS for n in range(5)]
        assert [stamp(message) for message in voxels] == expected
        assert [stamp(message) for message in features] == expected
        assert {int(read_voxels(m).channels['count'].sum()) for m in voxels} == {robot + 1}
        assert {m.header.frame_id for m in voxels} == {f'lidar{robot}'}
    for node in nodes:
        assert values(rig.diagnose(node)['source lidar'])['received'] == '5'


def test_two_nodes_in_one_process_share_topics_and_nothing_else(rig):
    fine = rig.active('fine')
    coarse = rig.active('coarse', voxels__voxel_size=4.0)
    lidar = rig.publisher(PointCloud2, 'lidar/points')
    rig.settle(fine, lidar)
    rig.settle(coarse, lidar)
    heard = {node: outputs(rig, node)[0] for node in (fine, coarse)}
    rig.wait(lambda: lidar.get_subscription_count() == 2, 'both nodes')
    lidar.publish(cloud(START_NS, [(0.5, 0.5, 0.5, 1.0), (2.5, 0.5, 0.5, 1.0)]))
    rig.wait(lambda: all(heard.values()), 'voxels of both')
    assert {node: len(read_voxels(one[0]).x) for node, one in heard.items()} == {
        fine: 2,
        coarse: 1,
    }
    coarse.destroy_node()
    lidar.publish(cloud(START_NS + PERIOD_NS))
    rig.wait(lambda: len(heard[fine]) == 2, 'voxels of the one that is left')


DRIVER = """
import sys, rclpy
from array import array
from rclpy.node import Node
from rclpy.qos import QoSProfile, ReliabilityPolicy
from sensor_msgs.msg import PointCloud2, PointField
POINTS, STEP = 500_000, 32
rclpy.init()
node = Node('driver')
qos = QoSProfile(depth=2, reliability=ReliabilityPolicy[sys.argv[1]])
publisher = node.create_publisher(PointCloud2, 'lidar/points', qos)
message = PointCloud2(height=1, width=POINTS, point_step=STEP, row_step=POINTS * STEP)
message.header.frame_id = 'big'
message.fields = [PointField(name=n, offset=4 * i, datatype=7, count=1)
                  for i, n in enumerate(('x', 'y', 'z', 'intensity'))]
point = array('f', [1.5, -2.5, 0.5, 8.0]).tobytes() + bytes(STEP - 16)
message.data = array('B', point * POINTS)
def send():
    message.header.stamp = node.get_clock().now().to_msg()
    publisher.publish(message)
node.create_timer(0.2, send)
try:
    rclpy.spin(node)
except (KeyboardInterrupt, rclpy.executors.ExternalShutdownException):
    pass
node.destroy_node()
rclpy.get_default_context().try_shutdown()
"""


@pytest.mark.parametrize('reliability', ['RELIABLE', 'BEST_EFFORT'])
def test_clouds_of_16_megabytes_of_another_process_come_through(rig, start_process, reliability):
    node = rig.active(timeout_sec=1.5)  # after which a source counts as silent
    voxels, _ = outputs(rig, node)
    driver = start_process(sys.executable, '-c', DRIVER, reliability)
    rig.wait(lambda: len(voxels) >= 3, f'three frames; {driver.log.read_text()}', 20)
    qos = 'reliable' if reliability == 'RELIABLE' else 'best_effort'
    assert node._running.inputs['lidar'].qos == f'{qos} (auto)'
    for message in voxels:
        rows = read_voxels(message)
        assert rows.channels['count'].tolist() == [500_000]
        assert rows.channels['mean_intensity'].tolist() == [8.0]
        assert (rows.x[0], rows.y[0], rows.z[0]) == (1.5, -2.5, 0.5)


def test_when_the_clock_loops_the_first_cloud_after_it_gives_a_frame_again(rig, capfd):
    node = rig.active(use_sim_time=True, sources=['lidar'])
    clock = rig.publisher(Clock, '/clock')
    lidar = rig.publisher(PointCloud2, 'lidar/points')
    rig.settle(node, lidar)
    rig.wait(clock.get_subscription_count, 'the clock to be heard')
    voxels, _ = outputs(rig, node)

    def tick(t_ns):
        clock.publish(Clock(clock=cloud(t_ns).header.stamp))
        rig.wait(lambda: node.get_clock().now().nanoseconds == t_ns, 'the time')

    times = [100 * SECOND + n * PERIOD_NS for n in range(20)]
    for n, t_ns in enumerate(times + times[:5]):
        tick(t_ns)
        rig.send(node, 'lidar', lidar, cloud(t_ns))
        rig.wait(lambda n=n: len(voxels) == n + 1, f'frame {n}')
    assert [stamp(message) for message in voxels] == times + times[:5]
    found = rig.diagnose(node)
    assert values(found['node'])['epoch'] == '1'
    assert is_conserved(found['source lidar'])


def test_a_jump_of_the_clock_is_told_to_the_pipeline_in_use_and_once(rig):
    node = rig.node(use_sim_time=True, autostart=False)
    for transition in (node.trigger_configure, node.trigger_cleanup, node.trigger_configure):
        transition()
    clock = rig.publisher(Clock, '/clock')
    rig.wait(clock.get_subscription_count, 'the clock to be heard')
    jumps = []
    node._running.pipeline.clock_jumped = lambda clock_ns, _: jumps.append(clock_ns)
    # The first time is no jump, nor is one forward, nor one back within clock_jump_sec (1 s).
    for t_ns in (100 * SECOND, 500 * SECOND, 499 * SECOND + 1, 50 * SECOND):
        clock.publish(Clock(clock=cloud(t_ns).header.stamp))
        rig.wait(lambda t=t_ns: node.get_clock().now().nanoseconds == t, 'the time')
    assert jumps == [50 * SECOND]


def test_when_a_bag_loops_without_a_clock_the_second_cloud_confirms_it(rig):
    node = rig.active(sources=['lidar'])
    lidar = rig.publisher(PointCloud2, 'lidar/points')
    rig.settle(node, lidar)
    voxels, _ = outputs(rig, node)
    times = [START_NS + n * PERIOD_NS for n in range(20)]
    for n, t_ns in enumerate(times):
        rig.send(node, 'lidar', lidar, cloud(t_ns))
        rig.wait(lambda n=n: len(voxels) == n + 1, f'frame {n}')
    rig.send(node, 'lidar', lidar, cloud(times[0]), cloud(times[1]))
    rig.wait(lambda: len(voxels) == 22, 'the frames of both clouds')
    assert [stamp(message) for message in voxels[20:]] == times[:2]
    assert values(rig.diagnose(node)['node'])['epoch'] == '1'


def test_a_paused_simulation_stops_neither_start_nor_diagnostics(rig):
    node = rig.active(use_sim_time=True)  # and no /clock at all
    rig.wait(lambda: len(rig.arrays) >= 2, 'diagnostics by the steady clock')
    assert node.get_clock().now().nanoseconds == 0


def test_a_frame_that_can_not_be_computed_is_counted_and_the_next_one_comes(
    rig, monkeypatch, capfd
):
    node = rig.active(sources=['lidar'])
    lidar = rig.publisher(PointCloud2, 'lidar/points')
    rig.settle(node, lidar)
    voxels, _ = outputs(rig, node)

    def broken(*_):
        raise ArithmeticError('a bug')

    with monkeypatch.context() as patch:
        patch.setattr(NumpyBackend, 'voxelize', broken)
        rig.send(node, 'lidar', lidar, cloud(START_NS))
        rig.wait(lambda: node._running.worker.errors >= 1, 'the error')
        status = rig.diagnose(node)['node']
        assert level(status) == 2
        assert 'ArithmeticError: a bug' in status.message
    for n in range(1, 4):
        rig.send(node, 'lidar', lidar, cloud(START_NS + n * PERIOD_NS))
        rig.wait(lambda n=n: len(voxels) == n, f'frame {n} after it')
    assert stamp(voxels[-1]) == START_NS + 3 * PERIOD_NS
    assert capfd.readouterr().err.count('Traceback') == 1
    assert is_conserved(rig.diagnose(node)['source lidar'])


def test_a_source_that_falls_silent_is_told_and_its_return_too(rig, capfd):
    node = rig.active(sources=['lidar', 'imu'])
    lidar = rig.publisher(PointCloud2, 'lidar/points')
    turns = rig.publisher(Imu, 'imu/data')
    rig.settle(node, lidar, turns)
    began = time.monotonic()
    for n in range(3):
        rig.send(node, 'imu', turns, imu(START_NS + n * SECOND // 100))
    rig.wait(lambda: rig.diagnose(node)['source imu'].message.startswith('Silent'), 'the silence')
    rig.diagnose(node)
    log = capfd.readouterr().err
    assert log.count('imu: Silent for') == 1
    gap_ns = round((time.monotonic() - began) * 1e9)
    rig.send(node, 'imu', turns, imu(START_NS + gap_ns))
    assert level(rig.diagnose(node)['source imu']) == 0
    assert capfd.readouterr().err.count('imu: fine now: ') == 1


@pytest.mark.parametrize('trigger', ['lidar', 'rate'])
def test_a_source_on_another_clock_is_found_out(rig, trigger):
    node = rig.active(sources=['lidar', 'imu'], trigger=trigger)
    lidar = rig.publisher(PointCloud2, 'lidar/points')
    turns = rig.publisher(Imu, 'imu/data')
    rig.settle(node, lidar, turns)

    def sentence():
        rig.send(node, 'lidar', lidar, cloud(START_NS))
        rig.send(node, 'imu', turns, imu(START_NS - 52 * SECOND))
        return rig.diagnose(node)['source imu'].message

    rig.wait(lambda: sentence().startswith('Its stamps are 52.0 s behind those of lidar'), 'it')
