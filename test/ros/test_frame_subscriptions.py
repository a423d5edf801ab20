# Copyright 2026 the robocache_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Frames by reference within one process: what a consumer gets, and what it can not break."""

from __future__ import annotations

import threading
from types import SimpleNamespace

import numpy as np
import pytest
from hand_made import T_REF_NS, config_of, feature_frame, voxel_frame
from rclpy.lifecycle import TransitionCallbackReturn
from rig import SECOND, START_NS, cloud
from sensor_msgs.msg import PointCloud2

import robocache_ros.ros.outputs as outputs_module
from robocache_ros.node import PreprocessorNode
from robocache_ros.ros.frame_subscriptions import FrameSubscription, FrameSubscriptions, read_only
from robocache_ros.samples import FeatureFrame, VoxelFrame
from robocache_ros.schema import Schema

SUCCESS = TransitionCallbackReturn.SUCCESS
DEADLINE_SEC = 10
CONFIG = config_of()
SCHEMA = Schema.from_config(CONFIG)


@pytest.fixture
def consumers():
    """Give the subscriptions of no node; what they complain about is in `said`."""
    said = []
    consumers = FrameSubscriptions('frames', said.append)
    consumers.said = said
    yield consumers
    consumers.close()


def test_the_arrays_of_a_frame_are_the_same_memory_and_can_not_be_written(consumers, wait_until):
    got = []
    consumers.add(lambda frame, schema: got.append((frame, schema)), 10)
    dense = np.zeros((2, 3, 4, 2), np.float32)
    sent = voxel_frame(CONFIG, dense=dense), feature_frame(SCHEMA)
    for frame in sent:
        consumers.offer(frame, SCHEMA)
    wait_until(lambda: len(got) == 2, DEADLINE_SEC, 'both frames')
    (voxels, schema), (features, _) = got
    assert schema is SCHEMA
    assert voxels.t_ref_ns == features.t_ref_ns == T_REF_NS
    pairs = [
        (voxels.dense, dense),
        (voxels.voxels.index, sent[0].voxels.index),
        (voxels.voxels.columns['count'], sent[0].voxels.columns['count']),
        (features.values, sent[1].values),
        (features.valid, sent[1].valid),
        (features.age, sent[1].age),
        (features.dt, sent[1].dt),
    ]
    for array, original in pairs:
        assert np.shares_memory(array, original)
        with pytest.raises(ValueError, match='read-only'):
            array[...] = 0
    original[...] = 0  # what the node itself holds is as it was
    with pytest.raises(TypeError):
        voxels.voxels.columns['count'] = None


def test_all_consumers_of_one_frame_get_the_same_object(consumers, wait_until):
    got = []
    for _ in range(2):
        consumers.add(lambda frame, _: got.append(frame), 10)
    consumers.offer(feature_frame(SCHEMA), SCHEMA)
    wait_until(lambda: len(got) == 2, DEADLINE_SEC, 'both consumers')
    assert got[0] is got[1]


def test_a_slow_callback_holds_nobody_up_and_goes_on_with_the_newest_frames(consumers, wait_until):
    entered, go_on = threading.Event(), threading.Event()
    got, others = [], []

    def slow(frame, _):
        entered.set()
        go_on.wait(DEADLINE_SEC)
        got.append(frame.t_ref_ns)

    one = consumers.add(slow, 3)
    consumers.add(lambda frame, _: others.append(frame.t_ref_ns), 100)
    consumers.offer(feature_frame(SCHEMA, 0), SCHEMA)
    assert entered.wait(DEADLINE_SEC)
    for t_ref_ns in range(1, 11):
        consumers.offer(feature_frame(SCHEMA, t_ref_ns), SCHEMA)
    wait_until(lambda: len(others) == 11, DEADLINE_SEC, 'the fast one')
    go_on.set()
    wait_until(lambda: len(got) == 4, DEADLINE_SEC, 'the slow one')
    assert got == [0, 8, 9, 10]
    assert one.dropped == 7


def test_a_callback_that_raises_is_told_once_counted_and_called_again(consumers, wait_until):
    calls = []

    def broken(frame, _):
        calls.append(frame)
        raise ValueError('no such arm' if len(calls) < 3 else f'arm {len(calls)}')

    one = consumers.add(broken, 100)
    for _ in range(10):
        consumers.offer(feature_frame(SCHEMA), SCHEMA)
    wait_until(lambda: one.errors == 10, DEADLINE_SEC, 'all errors')
    assert len(calls) == 10
    assert len(consumers.said) == 5  # different ones, no more than that
    assert 'ValueError: no such arm' in consumers.said[0]


def test_after_closing_the_callback_is_not_called_and_its_thread_has_ended(consumers):
    threads = threading.active_count()
    got = []
    with consumers.add(lambda frame, _: got.append(frame), 10):
        assert threading.active_count() == threads + 1
    consumers.offer(feature_frame(SCHEMA), SCHEMA)
    assert threading.active_count() == threads
    assert got == []
    assert not consumers._all


def test_a_callback_may_close_its_own_subscription(consumers, wait_until):
    got = []

    def once(frame, _):
        got.append(frame)
        one.close()

    one = consumers.add(once, 10)
    for _ in range(3):
        consumers.offer(feature_frame(SCHEMA), SCHEMA)
    wait_until(lambda: not one._thread.is_alive(), DEADLINE_SEC, 'the thread to end')
    assert len(got) == 1
    assert one.errors == 0


def test_without_a_place_for_one_frame_there_is_no_subscription(consumers):
    with pytest.raises(ValueError, match='depth must be at least 1, got 0'):
        consumers.add(print, 0)


def test_consumers_that_hang_are_waited_for_together(consumers, monkeypatch):
    hanging, joined = threading.Event(), []
    entered = threading.Semaphore(0)
    clock = iter(range(100))
    monkeypatch.setattr(FrameSubscription, 'join', lambda self, sec: joined.append((self, sec)))

    def hang(*_):
        entered.release()
        hanging.wait()

    all_of_them = [consumers.add(hang, 1) for _ in range(6)]
    consumers.offer(feature_frame(SCHEMA), SCHEMA)
    for _ in all_of_them:
        entered.acquire()
    monkeypatch.setattr(
        'robocache_ros.ros.frame_subscriptions.time',
        SimpleNamespace(monotonic=lambda: next(clock) / 8),
    )
    consumers.close()
    assert all(one.closed for one in all_of_them)
    assert joined == list(zip(all_of_them, (0.375, 0.25, 0.125, 0.0, 0.0, 0.0), strict=True))
    hanging.set()


def test_of_a_destroyed_node_there_are_no_more_frames_and_no_thread_is_left(rig, context):
    node = PreprocessorNode('ends', context=context)
    one = node.subscribe_frames(print)
    assert not one.closed
    node.destroy_node()
    assert one.closed
    threads = threading.active_count()
    with pytest.raises(RuntimeError, match='the node was destroyed, no more frames will come'):
        node.subscribe_frames(print)
    assert threading.active_count() == threads


def test_where_nobody_listens_frames_are_not_even_wrapped(consumers, monkeypatch):
    monkeypatch.setattr('robocache_ros.ros.frame_subscriptions.read_only', None)
    consumers.offer(feature_frame(SCHEMA), SCHEMA)


def test_read_only_leaves_what_is_no_array_as_it_is():
    frame = voxel_frame(CONFIG)
    closed = read_only(frame)
    assert closed.dense is None
    assert (closed.frame_id, closed.voxels.grid) == (frame.frame_id, frame.voxels.grid)


def test_a_node_gives_its_frames_by_reference_and_encodes_nothing_for_them(rig, monkeypatch):
    def never(*_):
        raise AssertionError('encoded, although nobody listens')

    for name in ('to_cloud', 'to_multi_array', 'voxels_table', 'features_table'):
        monkeypatch.setattr(outputs_module, name, never)
    node = rig.active(sources=['lidar'])
    got = []
    node.subscribe_frames(lambda frame, schema: got.append((frame, schema)))
    points = rig.publisher(PointCloud2, 'lidar/points')
    rig.settle(node, points)
    points.publish(cloud(START_NS))
    rig.wait(lambda: len(got) == 2, 'both halves of the frame')
    frames = {type(frame): frame for frame, _ in got}
    assert {frame.t_ref_ns for frame in frames.values()} == {START_NS}
    assert frames[VoxelFrame].voxels.columns['count'].tolist() == [1]
    schema = got[0][1]
    assert frames[FeatureFrame].values.shape[1] == len(schema.feature_names)
    assert node._running.worker.errors == 0


def test_a_subscription_outlives_cleaning_up_and_ends_with_the_node(rig, context):
    threads = threading.active_count()
    node = rig.node(autostart=False, sources=['lidar'])
    got = []
    one = node.subscribe_frames(lambda frame, _: got.append(frame))
    points = rig.publisher(PointCloud2, 'lidar/points')
    for cycle in range(2):
        assert node.trigger_configure() == node.trigger_activate() == SUCCESS
        rig.settle(node, points)
        points.publish(cloud(START_NS + cycle * SECOND))
        rig.wait(lambda n=2 * cycle + 2: len(got) == n, f'the frames of cycle {cycle}')
        assert node.trigger_deactivate() == node.trigger_cleanup() == SUCCESS
    assert one._thread.is_alive()
    node.destroy_node()
    assert threading.active_count() == threads


def test_a_consumer_that_hangs_delays_neither_the_node_nor_its_end(rig, monkeypatch):
    monkeypatch.setattr('robocache_ros.ros.frame_subscriptions._CLOSING_SEC', 0.1)
    hanging = threading.Event()
    node = rig.active(sources=['lidar'])
    node.subscribe_frames(lambda *_: hanging.wait())
    heard = rig.collect(PointCloud2, '/preprocessor/voxels')
    points = rig.publisher(PointCloud2, 'lidar/points')
    rig.settle(node, points)
    rig.wait(lambda: node._outputs._voxels.get_subscription_count(), 'the listener')
    for number in range(3):
        points.publish(cloud(START_NS + number * SECOND))
        rig.wait(lambda n=number + 1: len(heard) == n, 'the voxels')
    node.destroy_node()
    hanging.set()
