# Copyright 2026 the robocache_ros authors
# SPDX-License-Identifier: Apache-2.0
"""
Why is there no output? Every cause is made to happen over DDS, and its sentence is read.

Those of frames, cameras, encoders, backends, other clocks, epochs and bugs are tested where they
are: test_frames, test_cameras, test_backend, test_end_to_end, test_node_input, test_qos_auto.
"""

from __future__ import annotations

import sys
import time
from functools import partial

import pytest
from rclpy.qos import QoSProfile
from rig import (
    BEST_EFFORT,
    RELIABLE,
    SECOND,
    START_NS,
    cloud,
    imu,
    level,
    values,
)
from rosgraph_msgs.msg import Clock
from sensor_msgs.msg import Imu, PointCloud2

from robocache_ros.reasons import Reason
from robocache_ros.ros import source_verdicts, verdicts
from robocache_ros.ros.diagnostics import Part
from robocache_ros.ros.verdicts import Level, Verdict

OK, WARN, ERROR = 0, 1, 2
PERIOD_NS = SECOND // 10
STARVED = 'Nothing to send: lidar is the trigger and does not deliver. '


def told(status):
    return level(status), status.message


def test_without_a_publisher_the_source_and_every_output_say_so(rig):
    node = rig.active(sources=['lidar'])
    statuses = rig.diagnose(node)
    sentence = (
        'No publisher of sensor_msgs/msg/PointCloud2 on /lidar/points: start the driver, or set '
        'lidar.topic, or take lidar out of sources.'
    )
    assert told(statuses['source lidar']) == (ERROR, sentence)
    assert told(statuses['output voxels']) == (ERROR, STARVED + sentence)
    assert told(statuses['output features']) == (ERROR, STARVED + sentence)


def test_with_a_rate_the_outputs_repeat_what_the_only_source_says(rig):
    node = rig.active(sources=['lidar'], trigger='rate')
    statuses = rig.diagnose(node)
    severity, sentence = told(statuses['source lidar'])
    assert severity == ERROR
    for output in ('output voxels', 'output features'):
        starved = f'Nothing to send: no source delivers. lidar: {sentence}'
        assert told(statuses[output]) == (ERROR, starved)


OVERRIDE = 'qos_overrides./lidar/points.subscription.'


@pytest.mark.parametrize(
    ('parameters', 'offered', 'words'),
    [
        (
            {'lidar.qos': 'reliable'},
            BEST_EFFORT,
            'as best_effort and volatile, but `lidar.qos` asks for reliable: set it to auto.',
        ),
        (
            {OVERRIDE + 'reliability': 'reliable'},
            BEST_EFFORT,
            (
                f'as best_effort and volatile, but `{OVERRIDE}reliability` asks for reliable: set '
                'it to auto.'
            ),
        ),
        (
            {OVERRIDE + 'durability': 'transient_local'},
            RELIABLE,
            (
                f'as reliable and volatile, but `{OVERRIDE}durability` asks for transient_local: '
                'set it to volatile.'
            ),
        ),
    ],
    ids=['source', 'reliability', 'durability'],
)
def test_a_publisher_that_offers_too_little_is_named_with_its_profile(
    rig, parameters, offered, words
):
    driver = rig.stranger()
    qos = QoSProfile(depth=5, reliability=offered)
    publisher = driver.create_publisher(PointCloud2, '/lidar/points', qos)
    node = rig.active(sources=['lidar'], **parameters)
    lidar = node._running.inputs['lidar']
    rig.wait(lambda: '/stranger' in lidar.incompatible, 'the publisher to be known')
    publisher.publish(cloud(START_NS))
    statuses = rig.diagnose(node)
    sentence = f'/stranger publishes /lidar/points {words}'
    assert told(statuses['source lidar']) == (ERROR, sentence)
    assert told(statuses['output voxels']) == (ERROR, STARVED + sentence)
    assert rig.received(node, 'lidar') == 0
    driver.destroy_publisher(publisher)
    rig.wait(lambda: not lidar.incompatible, 'it to be gone')


def test_several_that_offer_too_little_are_counted(rig):
    for _ in range(3):
        rig.publisher(PointCloud2, 'lidar/points', BEST_EFFORT)
    node = rig.active(sources=['lidar'], lidar__qos='reliable')
    rig.wait(
        lambda: 'volatile (as 2 more), but' in rig.diagnose(node)['source lidar'].message,
        'the other two',
    )


SMALL_SEGMENT = """<?xml version="1.0" encoding="UTF-8"?>
<dds xmlns="http://www.eprosima.com"><profiles>
  <transport_descriptors><transport_descriptor>
    <transport_id>small</transport_id><type>SHM</type><segment_size>262144</segment_size>
  </transport_descriptor></transport_descriptors>
  <participant profile_name="small" is_default_profile="true"><rtps>
    <userTransports><transport_id>small</transport_id></userTransports>
    <useBuiltinTransports>false</useBuiltinTransports>
  </rtps></participant>
</profiles></dds>
"""

POINTS = 20_000  # of 16 bytes: more than that segment has room for
DRIVER = """
import sys, rclpy
from array import array
from rclpy.node import Node
from rclpy.qos import QoSProfile, ReliabilityPolicy
from sensor_msgs.msg import PointCloud2, PointField
POINTS = int(sys.argv[1])
rclpy.init()
node = Node('driver')
qos = QoSProfile(depth=2, reliability=ReliabilityPolicy.BEST_EFFORT)
publisher = node.create_publisher(PointCloud2, 'lidar/points', qos)
message = PointCloud2(height=1, width=POINTS, point_step=16, row_step=POINTS * 16)
message.fields = [PointField(name=n, offset=4 * i, datatype=7, count=1)
                  for i, n in enumerate(('x', 'y', 'z', 'intensity'))]
message.data = array('B', bytes(POINTS * 16))
def send():
    message.header.stamp = node.get_clock().now().to_msg()
    publisher.publish(message)
node.create_timer(0.03, send)
try:
    rclpy.spin(node)
except (KeyboardInterrupt, rclpy.executors.ExternalShutdownException):
    pass
node.destroy_node()
rclpy.get_default_context().try_shutdown()
"""
PROFILE_FIX = (
    'FASTDDS_DEFAULT_PROFILES_FILE to config/fastdds_large_messages.xml where they are published.'
)


def test_clouds_that_are_lost_for_their_size_are_counted_and_told_with_the_cure(
    rig, start_process, node_env, tmp_path
):
    profile = tmp_path / 'small.xml'
    profile.write_text(SMALL_SEGMENT)
    env = {n: str(profile) for n in node_env if n.endswith('_DEFAULT_PROFILES_FILE')}
    node = rig.active(sources=['lidar'], lidar__max_gap_sec=5.0)
    start_process(sys.executable, '-c', DRIVER, POINTS, env=env)

    def sentence():
        status = rig.diagnose(node)['source lidar']
        return status.message if ' lost on the way in the last ' in status.message else ''

    assert rig.wait(sentence, 'the loss', 20).endswith(PROFILE_FIX)


def test_a_publisher_of_which_nothing_arrives_is_told_with_both_causes(rig, monkeypatch):
    monkeypatch.setattr(source_verdicts, 'PATIENCE_SEC', 0.0)
    rig.publisher(PointCloud2, 'lidar/points', BEST_EFFORT)
    node = rig.active(sources=['lidar'])
    lidar = node._running.inputs['lidar']
    rig.wait(lambda: lidar.publishers, 'the publisher to be known')
    with monkeypatch.context() as patient:
        patient.setattr(source_verdicts, 'PATIENCE_SEC', 60.0)
        statuses = rig.diagnose(node)
        assert told(statuses['source lidar'])[0] == OK
        assert told(statuses['output voxels']) == (OK, 'Waiting for the first frame.')
    severity, sentence = told(rig.diagnose(node)['source lidar'])
    assert severity == ERROR
    assert sentence.startswith(
        '1 publisher on /lidar/points, but nothing has arrived (QoS best_effort (auto)): the '
        'driver may be idle, or its messages too large for its transport. '
    )
    assert sentence.endswith(PROFILE_FIX)


def short(stamp_ns):
    message = cloud(stamp_ns)
    message.width = 1000
    return message


def test_a_level_goes_up_at_once_and_down_after_it_has_held_for_a_tick(rig):
    diagnostics = rig.active(sources=['lidar'])._diagnostics

    def shown(severity, tick=True):
        part = Part('source lidar', [Verdict(Level(severity), '')], {}, well=not severity)
        (steady,) = diagnostics._steady([part], tick)
        diagnostics._shown['source lidar'] = steady
        return steady.level

    diagnostics._shown.clear()
    assert [shown(level) for level in (OK, ERROR, WARN, WARN, OK)] == [0, 2, 2, 1, 1]
    assert shown(WARN, tick=False) == WARN  # so it has not held
    assert [shown(level) for level in (OK, OK)] == [1, 0]
    assert shown(ERROR, tick=False) == ERROR


@pytest.mark.parametrize(
    ('make', 'reason'),
    [(lambda _: cloud(0), Reason.STAMP_UNSET), (short, Reason.CLOUD_SIZE)],
    ids=['stamp_unset', 'cloud_size'],
)
def test_where_everything_is_dropped_source_and_outputs_name_the_reason_and_the_fix(
    rig, make, reason
):
    node = rig.active(sources=['lidar'])
    lidar = rig.publisher(PointCloud2, 'lidar/points')
    rig.settle(node, lidar)
    rig.send(node, 'lidar', lidar, *(make(START_NS + n * PERIOD_NS) for n in range(3)))
    statuses = rig.diagnose(node)
    severity, sentence = told(statuses['source lidar'])
    assert severity == ERROR
    assert sentence.startswith('All 3 messages of the last ')
    assert sentence.endswith(f' s were dropped, {reason.key}. {reason.what} {reason.fix}')
    assert told(statuses['output voxels']) == (ERROR, STARVED + sentence)


def test_a_required_source_that_falls_silent_is_named_by_itself_and_by_the_output(rig):
    node = rig.active(sources=['lidar', 'imu'], imu__required=True)
    lidar = rig.publisher(PointCloud2, 'lidar/points')
    turns = rig.publisher(Imu, 'imu/data')
    rig.settle(node, lidar, turns)
    for n in range(3):
        rig.send(node, 'imu', turns, imu(START_NS + n * SECOND // 100))
    rig.wait(lambda: missed(node, 'imu'), 'the silence')
    for n in range(1, 4):
        rig.send(node, 'lidar', lidar, cloud(START_NS + n * SECOND))
        rig.wait(partial(lost_features, node, n), f'frame {n} to be given up')
    statuses = rig.diagnose(node)
    severity, sentence = told(statuses['source imu'])
    assert severity == ERROR
    assert sentence.startswith('Silent for ')
    assert sentence.endswith(
        's: nothing arrives on /imu/data, although it has 1 publisher. Look at the driver and at '
        'what it is connected to.'
    )
    severity, sentence = told(statuses['output features'])
    assert severity == ERROR
    assert sentence.startswith('3 frames of the last ')
    needed = f'(frame_required): {Reason.FRAME_REQUIRED.what} Away: imu. imu: Silent for '
    assert needed in sentence


def missed(node, source):
    return node._running.pipeline.status(time.monotonic_ns()).sources[source].missed


def lost_features(node, count):
    features = node._running.pipeline.status(time.monotonic_ns()).outputs['features']
    return features.dropped.get(Reason.FRAME_REQUIRED) == count


def test_while_all_points_are_out_of_range_the_grid_says_so(rig):
    node = rig.active(sources=['lidar'])
    lidar = rig.publisher(PointCloud2, 'lidar/points')
    rig.settle(node, lidar)
    for n in range(2):
        rig.send(node, 'lidar', lidar, cloud(START_NS + n * PERIOD_NS, [(99.0, 0, 0, 1)] * 5))
    outputs = node._running.worker.outputs
    rig.wait(lambda: outputs['voxels'].messages == 2, 'the grids')
    assert told(rig.diagnose(node)['output voxels']) == (
        WARN,
        (
            'All voxel grids are empty: none of 10 points lies in voxels.point_cloud_range; check '
            'the range, the units and the frame of the cloud.'
        ),
    )


def test_an_inactive_node_says_how_to_activate_it_and_its_parts_point_to_that(rig):
    node = rig.active('filter', '/robot', sources=['lidar'])
    node.trigger_deactivate()
    statuses = rig.diagnose(node)
    assert told(statuses.pop('node')) == (
        WARN,
        (
            'Configured but not active, so messages are ignored. Run `ros2 lifecycle set '
            '/robot/filter activate`.'
        ),
    )
    ignored = (OK, 'The node is not active, so messages are ignored: see its own status.')
    assert {told(status) for status in statuses.values()} == {ignored}


def test_while_the_time_of_a_simulation_stands_still_the_node_says_so(rig):
    node = rig.active(sources=['lidar'], use_sim_time=True)
    assert told(rig.diagnose(node)['node']) == (
        WARN,
        (
            'use_sim_time is true, but nothing arrives on /clock: start the simulator, or `ros2 '
            'bag play --clock`, or set use_sim_time: false.'
        ),
    )


def test_messages_without_a_time_of_arrival_are_told_with_the_silent_clock(rig):
    node = rig.active(sources=['lidar'], lidar__stamp='receive', use_sim_time=True)
    lidar = rig.publisher(PointCloud2, 'lidar/points')
    rig.settle(node, lidar)
    rig.send(node, 'lidar', lidar, cloud(START_NS))
    reason = Reason.CLOCK_UNSET
    sentence = told(rig.diagnose(node)['source lidar'])[1]
    assert sentence.endswith(f' s were dropped, clock_unset. {reason.what} {reason.fix}')


def test_while_the_clock_stands_and_sources_go_on_the_node_says_so(rig, monkeypatch):
    monkeypatch.setattr(verdicts, '_STILL_SEC', 0.0)
    node = rig.active(sources=['lidar'], use_sim_time=True)
    clock, lidar = rig.publisher(Clock, '/clock'), rig.publisher(PointCloud2, 'lidar/points')
    rig.settle(node, lidar)
    rig.wait(clock.get_subscription_count, 'the clock to be heard')
    clock.publish(Clock(clock=cloud(START_NS).header.stamp))
    rig.wait(lambda: node.get_clock().now().nanoseconds, 'the time')
    rig.diagnose(node)
    assert 'stood still' not in told(rig.diagnose(node)['node'])[1]  # as the sources do
    rig.send(node, 'lidar', lidar, cloud(START_NS))
    severity, sentence = told(rig.diagnose(node)['node'])
    assert severity == WARN
    assert sentence.startswith('/clock has stood still for ')


def test_clouds_without_points_are_named_by_the_source_and_by_the_grid(rig):
    node = rig.active(sources=['lidar'])
    lidar = rig.publisher(PointCloud2, 'lidar/points')
    rig.settle(node, lidar)
    for n in range(2):
        rig.send(node, 'lidar', lidar, cloud(START_NS + n * PERIOD_NS, []))
    outputs = node._running.worker.outputs
    rig.wait(lambda: [outputs[o].messages for o in outputs] == [2, 2], 'the frames')
    statuses = rig.diagnose(node)
    severity, sentence = told(statuses['source lidar'])
    assert severity == WARN
    assert sentence.startswith('Its clouds have no points, in 2 clouds of the last ')
    severity, sentence = told(statuses['output voxels'])
    assert severity == WARN
    assert 'no cloud in them has a point. lidar: Its clouds have no points, in 2 ' in sentence


def test_stamps_of_another_time_than_the_clock_are_told_by_the_node(rig):
    node = rig.active(sources=['lidar'])
    lidar = rig.publisher(PointCloud2, 'lidar/points')
    rig.settle(node, lidar)
    rig.send(node, 'lidar', lidar, cloud(START_NS))
    severity, sentence = told(rig.diagnose(node)['node'])
    assert severity == WARN
    assert sentence.startswith('The stamps of lidar are ')
    assert ' s behind the ROS clock, and so are those of the outputs. A bag: play it' in sentence


def test_rhythm_fill_and_stages_are_among_the_numbers(rig):
    node = rig.active(sources=['lidar'], lidar__history_sec=1.0)
    lidar = rig.publisher(PointCloud2, 'lidar/points')
    rig.settle(node, lidar)
    begin_ns = node.get_clock().now().nanoseconds - 2 * SECOND
    for n in (0, 1, 2, 3, 4, 6):
        rig.send(node, 'lidar', lidar, cloud(begin_ns + n * PERIOD_NS))
        rig.wait(lambda: emitted(node) > 0, 'a frame')
    rig.wait(lambda: emitted(node) == 6, 'all frames')
    rig.wait(lambda: node._running.worker.outputs['features'].messages == 6, 'their account')
    statuses = rig.diagnose(node)
    source, output = values(statuses['source lidar']), values(statuses['output features'])
    assert (source['gaps'], source['longest_gap_ms'], source['fill']) == ('1', '200.0', '60%')
    assert source['clock_offset_ms'] == '0.0'  # it is the reference
    for key in ('latency_ms', 'jitter_ms', 'arrival_jitter_ms', 'decode_ms_p50'):
        assert float(source[key]) > 0
    stages = ('transport', 'decode', 'wait', 'compute', 'encode', 'publish', 'total')
    for stage in stages:
        p50, p95, p99 = (float(output[f'{stage}_ms_{p}']) for p in ('p50', 'p95', 'p99'))
        assert 0 <= p50 <= p95 <= p99
    assert values(statuses['node'])['epoch'] == '0'


def emitted(node):
    return node._running.pipeline.status(time.monotonic_ns()).outputs['features'].emitted


def test_a_source_whose_clock_is_off_tells_by_how_much(rig):
    node = rig.active(sources=['lidar', 'imu'])
    lidar = rig.publisher(PointCloud2, 'lidar/points')
    turns = rig.publisher(Imu, 'imu/data')
    rig.settle(node, lidar, turns)
    rig.send(node, 'lidar', lidar, cloud(START_NS))
    rig.send(node, 'imu', turns, imu(START_NS + 900 * SECOND // 1000))  # too little to warn
    found = values(rig.diagnose(node)['source imu'])
    assert 0 < float(found['clock_offset_ms']) < 900  # less what lay between the two


def test_a_source_whose_clock_is_behind_is_not_blamed_for_its_delay(rig):
    node = rig.active(sources=['lidar', 'imu'])
    lidar = rig.publisher(PointCloud2, 'lidar/points')
    turns = rig.publisher(Imu, 'imu/data')
    rig.settle(node, lidar, turns)
    for n in range(3):
        rig.send(node, 'imu', turns, imu(START_NS + n * PERIOD_NS - SECOND // 2))
        rig.send(node, 'lidar', lidar, cloud(START_NS + n * PERIOD_NS))
    rig.wait(lambda: node._running.worker.outputs['features'].messages == 3, 'the frames')
    sentence = told(rig.diagnose(node)['output features'])[1]
    assert 'its clock may be behind. Synchronise the clocks, or set imu.time_of' in sentence


def test_a_change_of_level_is_published_at_once_and_nothing_else_is(rig, monkeypatch):
    node = rig.active(sources=['lidar'])
    rig.diagnose(node)
    # Without what is sent every second, only what changes is.
    diagnostics = node._diagnostics
    monkeypatch.setattr(diagnostics, 'publish', lambda *_: None)
    sent = []
    send = diagnostics._send
    monkeypatch.setattr(diagnostics, '_send', lambda parts: (sent.append(parts), send(parts)))
    for _ in range(5):
        node._watch()
    assert sent == []
    heard = len(rig.arrays)
    node.trigger_deactivate()
    rig.wait(lambda: len(rig.arrays) > heard, 'diagnostics out of turn')
    statuses = {status.name: status for status in rig.arrays[-1].status}
    assert told(statuses['/preprocessor: node'])[0] == WARN
    node._watch()
    assert len(sent) == 1
