# Copyright 2026 the robocache_ros authors
# SPDX-License-Identifier: Apache-2.0
"""A policy gets both halves of a frame at once, of the schema it was told, or nothing."""

from __future__ import annotations

import contextlib
import sys
import threading
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import rclpy
from hand_made import FRAME_ID, T_REF_NS, Source, config_of, feature_frame, voxel_frame
from rclpy.executors import SingleThreadedExecutor
from rclpy.node import Node
from std_msgs.msg import String

from robocache_ros import reader as reader_module
from robocache_ros.backends import make_backend
from robocache_ros.codec.cloud import CloudView
from robocache_ros.codec.table import voxels_table
from robocache_ros.reader import FrameReader, read_schema, to_dense
from robocache_ros.reading import has_voxels, read_voxels
from robocache_ros.ros.outputs import to_cloud

SECOND = 1_000_000_000


@pytest.fixture
def policy(context):
    """Give a node for the reader, in no executor."""
    node = Node('policy', context=context)
    yield node
    node.destroy_node()


@pytest.fixture
def source(context):
    node = Source(context, config_of()).started()
    yield node
    node.destroy_node()


@pytest.fixture
def matched(policy, source, executor, wait_until):
    """Give matched(reader, source): wait until each knows the other and the schema is there."""

    def matched(reader, source=source, node=policy):
        executor.add_node(node)
        name = source.get_fully_qualified_name()
        topics = [f'{name}/{part}' for part in ('voxels', 'features')]
        wait_until(
            lambda: (
                all(source.count_subscribers(topic) for topic in topics)
                and reader._schema is not None
            ),
            10,
            'reader and source to meet',
            executor,
        )
        return reader

    return matched


def test_a_frame_has_both_halves_and_the_schema(policy, source, matched, executor, wait_until):
    got = []
    reader = matched(FrameReader(policy, callback=got.append))
    source.send()
    frame = wait_until(lambda: got, 10, 'a frame', executor)[0]
    assert (frame.stamp_ns, frame.frame_id) == (T_REF_NS, FRAME_ID)
    assert frame.schema['schema_id'] == source.schema.schema_id == frame.features.schema_id
    assert frame.voxels.channels['count'].tolist() == [4_000_000_000, 1]
    np.testing.assert_array_equal(frame.features.values, feature_frame(source.schema).values)
    assert reader.latest() is frame
    assert (reader.paired, reader.unpaired, reader.refused) == (1, 0, 0)


def test_halves_of_different_stamps_make_no_frame(policy, source, matched, executor, wait_until):
    reader = matched(FrameReader(policy))
    source.outputs.publish(voxel_frame(source.config, 1 * SECOND))
    source.outputs.publish(feature_frame(source.schema, 2 * SECOND))
    source.send(3 * SECOND)
    frame = wait_until(reader.latest, 10, 'a frame', executor)
    assert frame.stamp_ns == 3 * SECOND
    assert (reader.paired, reader.unpaired) == (1, 2)


@pytest.fixture
def impatient(monkeypatch):
    """Let readers complain after a moment, and give what they said so far."""
    said = []
    monkeypatch.setattr(reader_module, '_PATIENCE_SEC', 0.05)
    monkeypatch.setattr(FrameReader, '_warn', lambda self, about, sentence: said.append(sentence))
    return said


def test_a_wrong_name_is_said_once_with_the_topics_and_the_names_there_are(
    policy, source, executor, wait_until, impatient
):
    wait_until(lambda: policy.count_publishers('/preprocessor/schema'), 10, 'the source')
    reader = FrameReader(policy, 'eyes')
    assert reader.wait(timeout_sec=0.5) is None
    (said,) = impatient
    assert 'nobody publishes /eyes/schema, /eyes/voxels, /eyes/features; ' in said
    assert 'there is /preprocessor: is that its name?' in said


def test_a_node_that_sends_nothing_is_said_and_one_that_does_is_not(
    policy, source, matched, executor, wait_until, impatient, monkeypatch
):
    quiet = matched(FrameReader(policy))
    wait_until(lambda: impatient, 10, 'the complaint', executor)
    assert 'although all its topics have a publisher' in impatient[0]
    quiet.close()
    monkeypatch.setattr(reader_module, '_PATIENCE_SEC', 60.0)
    reader = matched(FrameReader(policy))
    source.send()
    wait_until(lambda: reader.paired, 10, 'a frame', executor)
    reader._explain_silence()
    assert len(impatient) == 1


def test_a_frame_of_another_schema_is_refused_and_said_once(
    policy, source, matched, executor, wait_until, monkeypatch
):
    warnings = []
    reader = matched(FrameReader(policy))
    monkeypatch.setattr(reader, '_warn', lambda about, sentence: warnings.append(sentence))
    other = Source(source.context, config_of(features__target_rate_hz=40.0), 'other')
    strange = feature_frame(other.schema)
    monkeypatch.setattr(source.outputs, '_schema', other.schema)
    for stamp in (T_REF_NS, T_REF_NS + 1):
        source.outputs.publish(voxel_frame(source.config, stamp))
        source.outputs.publish(feature_frame(other.schema, stamp))
    wait_until(lambda: reader.refused == 2, 10, 'two refusals', executor)
    assert strange.values.shape == feature_frame(source.schema).values.shape  # only the id tells
    assert reader.latest() is None
    assert f'{other.schema.schema_id:#010x}' in warnings[0]
    assert f'{source.schema.schema_id:#010x}' in warnings[0]
    other.destroy_node()


def test_a_node_that_is_configured_anew_is_followed(policy, source, matched, executor, wait_until):
    reader = matched(FrameReader(policy))
    source.trigger_deactivate()
    source.trigger_cleanup()
    source.use(config_of(features__target_rate_hz=40.0))
    source.started()

    def new_frame():
        source.send()
        return reader.latest()

    frame = wait_until(new_frame, 10, 'a frame of the new configuration', executor)
    assert frame.features.schema_id == source.schema.schema_id
    assert frame.schema['features']['target_rate_hz'] == 40.0


def test_each_warning_is_given_once(policy, monkeypatch):
    said = []
    reader = FrameReader(policy)
    logger = type('Logger', (), {'warning': staticmethod(said.append)})
    monkeypatch.setattr(policy, 'get_logger', lambda: logger)
    for text in ('no json', '[]', '{"grid": 1}'):
        reader._on_schema(String(data=text))
    assert len(said) == 1
    assert said[0].startswith('/preprocessor/schema: not a schema')


def test_a_late_joiner_still_gets_the_schema(policy, source, executor, wait_until):
    source.send()  # long before anyone listens
    reader = FrameReader(policy, '/preprocessor')
    executor.add_node(policy)
    schema = wait_until(lambda: reader._schema, 10, 'the schema', executor)
    assert schema == read_schema(String(data=source.about))
    assert schema['features']['groups'][-1]['name'] == 'imu_linear_acceleration'


def test_wait_spins_a_node_that_nobody_spins(policy, source, matched, executor):
    reader = matched(FrameReader(policy))
    executor.remove_node(policy)
    assert reader.wait(timeout_sec=0.05) is None
    source.send(1 * SECOND)
    assert reader.wait(timeout_sec=10).stamp_ns == 1 * SECOND
    assert reader.wait(timeout_sec=0.05) is None  # each frame once
    assert reader.latest().stamp_ns == 1 * SECOND


def test_wait_sleeps_while_another_thread_spins(policy, source, matched, executor):
    reader = matched(FrameReader(policy))
    stop = threading.Event()

    def spin():
        while not stop.is_set():
            executor.spin_once(timeout_sec=0.05)

    thread = threading.Thread(target=spin)
    thread.start()
    try:
        source.send()
        assert reader.wait(timeout_sec=10).stamp_ns == T_REF_NS
    finally:
        stop.set()
        thread.join()


def test_wait_ends_with_the_context(context, policy, source):
    reader = FrameReader(policy)
    timer = threading.Timer(0.2, rclpy.shutdown, kwargs={'context': context})
    timer.start()
    with contextlib.suppress(rclpy.executors.ExternalShutdownException):  # as all who spin
        assert reader.wait(timeout_sec=10) is None
    timer.join()


def test_a_reader_lives_on_the_node_it_reads(source, executor, matched, wait_until):
    got = []
    matched(FrameReader(source, 'preprocessor', callback=got.append), node=source)
    source.send()
    wait_until(lambda: got, 10, 'a frame', executor)


def test_torch_tensors_share_the_memory_of_the_messages(
    policy, source, matched, executor, wait_until
):
    torch = pytest.importorskip('torch')
    reader = matched(FrameReader(policy, tensor='torch'))
    source.send()
    frame = wait_until(reader.latest, 10, 'a frame', executor)
    values = frame.features.values
    assert isinstance(values, torch.Tensor)
    assert values.dtype == torch.float32
    np.testing.assert_array_equal(values.numpy(), feature_frame(source.schema).values)
    # Rows of a message, not a copy of them: a step is a whole row, ages and flags included.
    assert values.stride(0) > values.shape[1]
    assert frame.voxels.channels['count'].tolist() == [4_000_000_000 - 2**32, 1]
    assert torch.isnan(frame.voxels.channels['mean_intensity']).tolist() == [False, True]
    grid = to_dense(frame.voxels, frame.schema)
    assert isinstance(grid, torch.Tensor)
    assert grid.shape == (2, 2, 3, 4)


def test_without_torch_the_reader_says_what_to_install(policy, monkeypatch):
    monkeypatch.setitem(sys.modules, 'torch', None)
    with pytest.raises(ImportError, match='pip install torch'):
        FrameReader(policy, tensor='torch')


def test_an_unknown_tensor_kind_is_refused_with_the_allowed_ones(policy):
    with pytest.raises(ValueError, match="'numpy', 'torch', not 'jax'"):
        FrameReader(policy, tensor='jax')


def test_a_node_without_clouds_gives_frames_without_voxels(
    context, policy, matched, executor, wait_until
):
    config = config_of(sources=['imu'], trigger='imu')
    node = Source(context, config, 'blind').started()
    reader = matched(FrameReader(policy, '/blind'), node)
    assert not has_voxels(reader._schema)
    node.outputs.publish(feature_frame(node.schema))
    frame = wait_until(reader.latest, 10, 'a frame', executor)
    assert frame.voxels is None
    assert frame.features.groups == tuple(group.name for group in node.schema.groups)
    node.destroy_node()


def test_dense_from_sparse_has_the_channels_first():
    config = config_of()
    voxels = read_voxels(to_cloud(voxels_table(voxel_frame(config)), voxel_frame(config)))
    schema = read_schema(String(data=Source.text_of(config)))
    grid = to_dense(voxels, schema)
    expected = np.zeros((2, 2, 3, 4), np.float32)  # channel, z, y, x
    expected[:, 0, 0, 1] = 4e9, 0.25
    expected[:, 1, 2, 3] = 1, 0  # no valid value: 0, and a count that says so
    np.testing.assert_array_equal(grid, expected)


def test_dense_from_sparse_is_the_dense_grid_of_the_node():
    config = config_of()
    rng = np.random.default_rng(7)
    columns = {name: rng.uniform(-1, 5, 1000).astype(np.float32) for name in 'xyz'}
    intensity = np.where(rng.random(1000) < 0.3, np.nan, rng.random(1000)).astype(np.float32)
    cloud = CloudView.from_columns({**columns, 'intensity': intensity})
    backend = make_backend('numpy')
    voxels = backend.voxelize([cloud], config.voxel_spec)
    frame = replace(voxel_frame(config), voxels=voxels)
    rows = read_voxels(to_cloud(voxels_table(frame), frame))
    grid = to_dense(rows, read_schema(String(data=Source.text_of(config))))
    node_grid = backend.densify(voxels, 'float32')  # [z, y, x, channel]
    np.testing.assert_array_equal(grid, np.moveaxis(node_grid, 3, 0))
    assert len(voxels) > 15


def test_the_policy_of_the_readme_runs(source, start_process, executor, wait_until):
    pytest.importorskip('torch')
    readme = (Path(__file__).resolve().parents[2] / 'README.md').read_text()
    example = readme.split('```python\n')[1].split('```')[0]
    assert len([line for line in example.splitlines() if line]) <= 10
    policy = (
        'def policy(grid, values, valid):\n'
        '    print(type(grid), grid.shape, values.shape)\n'
        '    exit()'
    )
    process = start_process(sys.executable, '-c', f'{policy}\n{example}')
    executor.add_node(source)

    def ended():
        source.send()
        return process.poll() is not None

    wait_until(ended, 30, 'the example to get a frame', executor)
    width = len(source.schema.feature_names)
    assert process.log.read_text().splitlines()[-1] == (
        f"<class 'torch.Tensor'> torch.Size([2, 2, 3, 4]) torch.Size([3, {width}])"
    )


def test_a_shut_down_executor_does_not_matter(policy, source, matched, executor):
    """The node was in an executor that is gone: `wait` spins it again."""
    reader = matched(FrameReader(policy))
    executor.remove_node(policy)
    other = SingleThreadedExecutor(context=policy.context)
    other.add_node(policy)
    other.remove_node(policy)
    other.shutdown()
    source.send()
    assert reader.wait(timeout_sec=10).stamp_ns == T_REF_NS
