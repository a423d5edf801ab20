# Copyright 2026 the robocache_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Parameters of a running node change, by the services that `ros2 param` calls."""

from __future__ import annotations

import json

import pytest
import yaml
from hand_made import Source, config_of, feature_frame, voxel_frame
from rcl_interfaces.srv import (
    GetParameters,
    ListParameters,
    SetParameters,
    SetParametersAtomically,
)
from rclpy.parameter import Parameter, parameter_value_to_python
from rclpy.parameter_client import AsyncParameterClient
from rig import SECOND, START_NS, cloud, imu
from sensor_msgs.msg import Imu, JointState, PointCloud2
from std_msgs.msg import Float32MultiArray, String, UInt8MultiArray

from robocache_ros.codec.table import features_table, voxels_table
from robocache_ros.config import Config
from robocache_ros.config.params_file import read_params_file
from robocache_ros.node import PreprocessorNode
from robocache_ros.pipeline import Pipeline
from robocache_ros.reader import FrameReader
from robocache_ros.reasons import Reason
from robocache_ros.ros.outputs import Outputs, schema_qos, to_cloud
from robocache_ros.ros.params import read_config
from robocache_ros.samples import VoxelFrame
from robocache_ros.schema import Schema

NAME = '/preprocessor'
LIDAR = {'sources': ['lidar'], 'backend': 'numpy'}
STEP_NS = SECOND // 10


class Remote:
    """What `ros2 param` is: a client of the services, on the test's own node."""

    def __init__(self, rig):
        self._rig = rig

    def call(self, kind, service, request):
        client = self._rig.own.create_client(kind, f'{NAME}/{service}')
        self._rig.wait(client.service_is_ready, service)
        future = client.call_async(request)
        self._rig.wait(future.done, f'the answer of {service}')
        self._rig.own.destroy_client(client)
        return future.result()

    def set(self, **parameters):
        """Set one after the other; `a__b` stands for a.b. Returns '' or the reason, of each."""
        request = SetParameters.Request(parameters=messages(parameters))
        results = self.call(SetParameters, 'set_parameters', request).results
        return ['' if result.successful else result.reason or '?' for result in results]

    def set_together(self, **parameters):
        request = SetParametersAtomically.Request(parameters=messages(parameters))
        result = self.call(SetParametersAtomically, 'set_parameters_atomically', request).result
        return '' if result.successful else result.reason or '?'

    def dump(self):
        """Every parameter there is by its name, as `ros2 param dump` asks for them."""
        found = self.call(ListParameters, 'list_parameters', ListParameters.Request()).result.names
        request = GetParameters.Request(names=found)
        values = self.call(GetParameters, 'get_parameters', request).values
        return {n: parameter_value_to_python(v) for n, v in zip(found, values, strict=True)}


def messages(parameters):
    named = {name.replace('__', '.'): value for name, value in parameters.items()}
    return [Parameter(name, value=value).to_parameter_msg() for name, value in named.items()]


def plain(value):
    return value if isinstance(value, bool | int | float | str) else list(value)


def nested(flat):
    """Parameters as a parameters file has them, in blocks."""
    tree = {}
    for name, value in flat.items():
        *blocks, key = name.split('.')
        inside = tree
        for block in blocks:
            inside = inside.setdefault(block, {})
        inside[key] = plain(value)
    return {NAME: {'ros__parameters': tree}}


@pytest.fixture
def remote(rig):
    return Remote(rig)


@pytest.fixture
def lidar(rig):
    """Give the publisher of clouds."""
    return rig.publisher(PointCloud2, '/lidar/points')


def stream(rig, node, publisher, first, number):
    """Send clouds of a tenth of a second."""
    for k in range(first, first + number):
        rig.send(node, 'lidar', publisher, cloud(START_NS + k * STEP_NS))


def meet(rig, node, reader):
    """Wait until node and reader know each other."""
    outputs = node._outputs
    rig.wait(lambda: reader._schema is not None, 'the schema')
    for publisher in (outputs._voxels, outputs._features, outputs._about):
        rig.wait(publisher.get_subscription_count, 'the reader')


def test_frames_after_a_change_are_of_the_new_grid_and_none_is_lost(rig, remote, lidar):
    node, frames = rig.active(**LIDAR), []
    reader = FrameReader(rig.own, callback=frames.append)
    rig.settle(node, lidar)
    meet(rig, node, reader)
    stream(rig, node, lidar, 0, 3)
    rig.wait(lambda: len(frames) == 3, 'the frames before')
    assert remote.set(voxels__voxel_size=2.0) == ['']
    stream(rig, node, lidar, 3, 3)
    rig.wait(lambda: len(frames) == 6, 'all frames')
    dims = [tuple(frame.schema['grid']['dims']) for frame in frames]
    assert dims == [(16, 16, 4)] * 3 + [(8, 8, 2)] * 3
    for frame, of_grid in zip(frames, dims, strict=True):
        assert frame.features.schema_id == frame.schema['schema_id']
        assert (frame.voxels.x.tolist() == [0.5]) == (of_grid == (16, 16, 4))  # centre of the cell
    assert (reader.refused, reader.unpaired) == (0, 0)
    reader.close()


def test_the_schema_goes_out_before_the_first_frame_of_it(rig, remote, lidar, monkeypatch):
    node, sent = rig.active(**LIDAR), []
    rig.settle(node, lidar)
    rig.collect(PointCloud2, f'{NAME}/features')
    rig.wait(lambda: node._outputs._features.get_subscription_count(), 'the subscription')
    to_send = node._outputs._features.publish
    to_tell = node._outputs._about.publish
    monkeypatch.setattr(
        node._outputs._about, 'publish', lambda m: (sent.append(json.loads(m.data)), to_tell(m))
    )
    monkeypatch.setattr(node._outputs._features, 'publish', lambda m: (sent.append(m), to_send(m)))
    stream(rig, node, lidar, 0, 1)
    rig.wait(lambda: sent, 'the first frame')
    assert remote.set_together(features__targets=4, voxels__channels=['count']) == ''
    stream(rig, node, lidar, 1, 1)
    rig.wait(lambda: len(sent) == 3, 'two frames')
    before, about, after = sent
    assert (before.width, after.width) == (10, 4)
    assert [c['name'] for c in about['channels']] == ['count']
    assert about['schema_id'] == node._running.pipeline.schema.schema_id


def test_a_set_with_one_wrong_value_changes_nothing_and_names_all_that_is_wrong(rig, remote):
    node = rig.active(**LIDAR)
    before, values = node._running.pipeline.config, remote.dump()
    reason = remote.set_together(
        voxels__voxel_size=0.5, features__targets=0, voxels__dense='int8', on_timeout='skip'
    )
    assert reason == (
        "voxels.dense must be one of none, float32, uint8, not 'int8'; "
        'features.targets must be an integer from 1 to 10000 rows, not 0'
    )
    assert remote.dump() == values
    assert node._running.pipeline.config is before


def test_values_are_right_or_wrong_together_with_those_that_stay(rig, remote):
    node = rig.active(**LIDAR)
    (reason,) = remote.set(timeout_sec=1.9)
    assert reason.startswith('lidar.history_sec must be at least 2.1 s')
    assert remote.set_together(timeout_sec=1.9, features__targets=5) == ''
    rig.wait(lambda: node._running.config.timeout_sec == 1.9, 'the change')


def test_what_is_read_once_is_refused_with_the_reason_unless_it_is_that_already(rig, remote):
    node = rig.active(**LIDAR)
    topic, again, size = remote.set(
        lidar__topic='other', lidar__history_sec=2, voxels__voxel_size=0.5
    )
    assert topic.startswith('lidar.topic is read once: subscriptions, buffers and memory')
    assert topic.endswith('Start the node anew with another value')
    assert (again, size) == ('', '')
    assert 'lidar.topic is read once' in remote.set_together(
        lidar__topic='other', voxels__voxel_size=1.0
    )
    rig.wait(lambda: node._running.config.voxels.voxel_size == (0.5,) * 3, 'the change')
    (refused,) = node.set_parameters([Parameter('backend', value='auto')])  # from inside, too
    assert 'backend is read once' in refused.reason


def test_what_rclpy_has_declared_by_itself_is_read_once_all_the_same(rig):
    given = {
        **LIDAR,
        'lidar.topic': 'here',
        'autostart': False,
        'lidar.occupancy_shape': [1, 2, 2],
    }
    node = PreprocessorNode(
        context=rig.own.context,
        parameter_overrides=[Parameter(name, value=value) for name, value in given.items()],
        automatically_declare_parameters_from_overrides=True,
    )
    node.trigger_configure()
    results = node.set_parameters(
        [Parameter('lidar.topic', value='there'), Parameter('voxels.voxel_size', value=0.5)]
    )
    assert [result.successful for result in results] == [False, True]
    assert results[0].reason.startswith('lidar.topic is read once')
    assert node.get_parameter('lidar.topic').value == 'here'
    node.destroy_node()


@pytest.mark.parametrize('size', [2, [1.0, 2.0, 4.0], [1, 2, 4], 2.0], ids=str)
def test_a_value_may_have_every_form_that_a_file_takes(rig, remote, size):
    node = rig.active(**LIDAR)
    assert remote.set(voxels__voxel_size=size) == ['']
    sizes = (float(size),) * 3 if isinstance(size, int | float) else tuple(map(float, size))
    rig.wait(lambda: node._running.config.voxels.voxel_size == sizes, 'the change')
    assert plain(remote.dump()['voxels.voxel_size']) == size


def test_a_parameter_can_not_be_deleted_and_an_empty_list_is_refused(rig, remote):
    node = rig.active(**LIDAR)
    assert all('voxels.channels must be' in reason for reason in remote.set(voxels__channels=[]))
    (reason,) = remote.set(voxels__seed=None)
    assert reason.startswith('voxels.seed must be an integer')
    assert node.has_parameter('voxels.seed')


def test_parameters_of_others_are_none_of_our_business(rig, remote):
    node = rig.node(**LIDAR)
    node.declare_parameter('theirs', 1)
    rig.wait(lambda: node.lifecycle_state == 'active', 'the start')
    before = node._running.pipeline.config
    assert remote.set(theirs=2, use_sim_time=True) == ['', '']
    assert node._running.pipeline.config is before


def test_publishers_come_change_their_type_and_go_with_their_parameters(rig, remote, lidar):
    node = rig.active(**LIDAR)
    rig.settle(node, lidar)
    dense = []
    floats = rig.own.create_subscription(
        Float32MultiArray, f'{NAME}/voxels/dense', dense.append, 5
    )
    named = rig.collect(JointState, f'{NAME}/features/named')
    assert remote.set_together(voxels__dense='float32', features__named=True) == ''
    optional = node._outputs._optional
    assert set(optional) == {'voxels/dense', 'features/named'}
    rig.wait(lambda: all(p.get_subscription_count() for p in optional.values()), 'subscriptions')
    stream(rig, node, lidar, 0, 1)
    rig.wait(lambda: dense and named, 'the outputs')
    assert [d.size for d in dense[0].layout.dim] == [4, 16, 16, 2]
    rig.own.destroy_subscription(floats)  # in one process a topic has one type
    assert remote.set(voxels__dense='uint8', features__named=False) == ['', '']
    rig.wait(
        lambda: {n: p.msg_type for n, p in optional.items()} == {'voxels/dense': UInt8MultiArray},
        'the publishers',
    )
    dense = rig.collect(UInt8MultiArray, f'{NAME}/voxels/dense')
    rig.wait(lambda: optional['voxels/dense'].get_subscription_count(), 'the subscription')
    stream(rig, node, lidar, 1, 1)
    rig.wait(lambda: dense, 'the bytes')
    assert remote.set(voxels__dense='none') == ['']
    rig.wait(lambda: not optional, 'the publisher to go')
    assert not node.count_publishers(f'{NAME}/features/named')


@pytest.mark.parametrize('fails', [(Outputs, '_publisher'), (Pipeline, 'reconfigure')])
def test_where_a_change_can_not_be_applied_nothing_changes(rig, remote, monkeypatch, fails):
    node = rig.active(**LIDAR)
    before, does = node._running.pipeline.config, getattr(*fails)

    def fail(self, *arguments):
        if 'features/named' in arguments or fails[0] is Pipeline:
            raise RuntimeError('no such thing')
        return does(self, *arguments)

    monkeypatch.setattr(*fails, fail)
    reason = remote.set_together(
        voxels__dense='uint8', features__named=True, voxels__voxel_size=0.5
    )
    assert reason == 'nothing was changed, as that failed: no such thing'
    assert node._outputs._optional == {}
    assert remote.dump()['voxels.voxel_size'] == 1.0
    rig.wait(lambda: node._running.pipeline.next_deadline_ns() is None, 'the worker')
    assert node._running.pipeline.config is before
    monkeypatch.undo()
    assert remote.set(voxels__dense='uint8') == ['']


def test_a_frame_that_overtakes_its_schema_is_kept_and_one_of_the_last_schema_still_fits(rig):
    frames = []
    reader = FrameReader(rig.own, callback=frames.append)
    configs = [config_of(features__target_rate_hz=rate) for rate in (50.0, 40.0)]

    def tell(config):
        reader._on_schema(String(data=Source.text_of(config)))

    def arrive(config, t_ns):
        schema = Schema.from_config(config)
        voxels, features = voxel_frame(config, t_ns), feature_frame(schema, t_ns)
        reader._on_voxels(to_cloud(voxels_table(voxels), voxels))
        reader._on_features(to_cloud(features_table(features, schema), features))

    tell(configs[0])
    for t_ns, config in ((1 * SECOND, configs[0]), (2 * SECOND, configs[1])):
        arrive(config, t_ns)
    assert (len(frames), reader.refused) == (1, 1)
    tell(configs[1])
    arrive(configs[0], 3 * SECOND)  # it was under way
    arrive(configs[1], 4 * SECOND)
    assert [frame.stamp_ns // SECOND for frame in frames] == [1, 2, 3, 4]
    rates = [frame.schema['features']['target_rate_hz'] for frame in frames]
    assert rates == [50.0, 40.0, 50.0, 40.0]
    assert reader.refused == 0
    reader.close()


def test_an_early_frame_that_can_not_be_read_is_refused_and_the_next_one_is_not_lost(rig):
    frames, config = [], config_of()
    reader, schema = FrameReader(rig.own, callback=frames.append), Schema.from_config(config)
    for t_ns in (1 * SECOND, 2 * SECOND):
        voxels, features = voxel_frame(config, t_ns), feature_frame(schema, t_ns)
        grid = to_cloud(voxels_table(voxels), voxels)
        if t_ns == 1 * SECOND:
            grid.fields = grid.fields[:1]
        reader._on_voxels(grid)
        reader._on_features(to_cloud(features_table(features, schema), features))
    assert (len(frames), reader.refused) == (0, 2)
    reader._on_schema(String(data=Source.text_of(config)))
    assert [frame.stamp_ns for frame in frames] == [2 * SECOND]
    assert (reader.paired, reader.refused) == (1, 1)
    reader.close()


def test_many_changes_a_second_lose_no_frame(rig, remote, lidar):
    node, frames = rig.active(**LIDAR), []
    reader = FrameReader(rig.own, callback=frames.append, depth=100)
    rig.settle(node, lidar)
    meet(rig, node, reader)
    sizes = [1.0, 2.0, 0.5, 4.0]
    for k in range(24):
        assert remote.set(voxels__voxel_size=sizes[k % 4]) == ['']
        lidar.publish(cloud(START_NS + k * STEP_NS))
        rig.wait(lambda n=k: len(frames) >= n - 1, 'the frames before: it is no overload')
    rig.wait(lambda: len(frames) == 24, 'all frames')
    assert [frame.stamp_ns for frame in frames] == [START_NS + k * STEP_NS for k in range(24)]
    for frame in frames:
        size = frame.schema['grid']['voxel_size'][0]
        assert frame.voxels.x.tolist() == [0.5 // size * size + size / 2]
    assert (reader.refused, reader.unpaired) == (0, 0)
    assert len({frame.features.schema_id for frame in frames}) == 4
    reader.close()


def test_a_node_that_is_not_configured_yet_takes_changes_and_mends_what_is_wrong(rig, remote):
    node = rig.node(**LIDAR, autostart=False, timeout_sec=30.0, features__targets=0)
    assert str(node.trigger_configure()) != 'TransitionCallbackReturn.SUCCESS'
    assert 'features.targets' in node.problem
    assert remote.set(features__targets=-1)[0].startswith('features.targets must be')
    # Neither alone makes the whole right.
    assert remote.set(features__targets=4, timeout_sec=0.2, voxels__voxel_size=2.0) == [''] * 3
    assert remote.set(timeout_sec=30.0)[0].startswith('lidar.history_sec must be')
    node.trigger_configure()
    assert node.problem == ''
    config = node._running.pipeline.config
    assert (config.timeout_sec, config.features.targets, config.grid.dims[0]) == (0.2, 4, 8)


def test_an_inactive_node_tells_its_new_schema_at_once(rig, remote):
    node = rig.node(**LIDAR, autostart=False)
    node.trigger_configure()
    told = []
    rig.own.create_subscription(String, f'{NAME}/schema', told.append, schema_qos())
    assert remote.set(voxels__voxel_size=2.0) == ['']
    assert node._running.config.grid.dims == (8, 8, 2)
    rig.wait(lambda: told and json.loads(told[-1].data)['grid']['dims'] == [8, 8, 2], 'the schema')


def test_without_data_a_running_node_tells_its_new_schema_as_well(rig, remote):
    node = rig.active(**LIDAR)
    told = rig.collect(String, f'{NAME}/schema')
    rig.wait(lambda: node.count_subscribers(f'{NAME}/schema'), 'the subscription')
    rig.wait(lambda: node._outputs._about.get_subscription_count(), 'the subscription')
    assert remote.set(voxels__voxel_size=2.0) == ['']
    rig.wait(lambda: told and json.loads(told[-1].data)['grid']['dims'] == [8, 8, 2], 'the schema')


def test_what_was_changed_stays_when_the_node_is_configured_anew(rig, remote):
    node = rig.active(**LIDAR)
    assert remote.set(voxels__voxel_size=2.0, lidar__max_gap_sec=0.3) == ['', '']
    node.trigger_deactivate()
    node.trigger_cleanup()
    node.trigger_configure()
    assert node._running.config.grid.dims == (8, 8, 2)
    assert node._running.config.source('lidar').max_gap_ns == 300_000_000


def test_a_dump_starts_the_same_node_and_can_be_loaded(rig, remote, tmp_path):
    node = rig.active(
        sources=['lidar', 'imu'],
        backend='numpy',
        base_frame='base_link',
        imu__extrinsic=[0.0, 0.0, 1.0, 0.0, 0.0, 0.0],
        lidar__fields__intensity__resolution=0.5,
    )
    changes = {'voxels__dense': 'uint8', 'features__targets': 4, 'imu__wait': 'newest'}
    assert remote.set(**changes, voxels__voxel_size=[1, 2, 2]) == [''] * 4
    rig.wait(lambda: node._running.config.grid.dims == (16, 8, 2), 'the changes')
    path, config = tmp_path / 'dump.yaml', node._running.config
    path.write_text(yaml.safe_dump(nested(remote.dump())))
    assert Config.from_mapping(read_params_file(path, NAME)) == config
    node.destroy_node()
    arguments = ['--ros-args', '--params-file', str(path)]
    same = PreprocessorNode(context=rig.own.context, cli_args=arguments)
    try:
        assert read_config(same) == (config, ())
    finally:
        same.destroy_node()


def test_a_loaded_file_changes_what_differs(rig, remote, tmp_path):
    node = rig.active(**LIDAR)
    flat = {**remote.dump(), 'voxels.voxel_size': 0.5, 'features.target_rate_hz': 20}
    path = tmp_path / 'dump.yaml'
    path.write_text(yaml.safe_dump(nested({**flat, 'lidar.depth': 7})))
    client = AsyncParameterClient(rig.own, NAME)
    future = client.load_parameter_file(str(path))  # as `ros2 param load` does
    rig.wait(future.done, 'the answers')
    refused = [result.reason for result in future.result().results if not result.successful]
    assert [reason.partition(' is')[0] for reason in refused] == ['lidar.depth']
    rig.wait(lambda: node._running.config.grid.dims[0] == 32, 'the change')
    assert node._running.config.features.target_rate_hz == 20.0


RANGES = {
    'wide': {
        'voxels.point_cloud_range': [-500.0, -500.0, -50.0, 500.0, 500.0, 50.0],
        'voxels.voxel_size': 1.0,
    },
    'fine': {
        'voxels.point_cloud_range': [-2.0, -2.0, -1.0, 2.0, 2.0, 1.0],
        'voxels.voxel_size': 0.002,
    },
}


@pytest.mark.parametrize('backwards', [False, True])
@pytest.mark.parametrize(('before', 'after'), [('wide', 'fine'), ('fine', 'wide')])
def test_a_file_may_be_loaded_in_any_order(rig, remote, before, after, backwards):
    node = rig.node(**LIDAR, autostart=False, **RANGES[before])
    values = list(RANGES[after].items())
    values = dict(reversed(values) if backwards else values)
    bad = {'features.targets': 0, 'lidar.topic': 'other'}
    reasons = remote.set(**values, **bad)
    assert reasons[:2] == ['', '']
    assert reasons[2].startswith('features.targets must be')
    assert reasons[3].startswith('lidar.topic is read once')
    assert read_config(node)[0].voxels.voxel_size[0] == values['voxels.voxel_size']


def test_of_one_name_that_is_set_twice_the_last_value_stays(rig):
    node = rig.node(**LIDAR, autostart=False, **RANGES['wide'])
    values = (0.002, 2.0)  # the first becomes right after it
    first, second, extent = node.set_parameters(
        [
            *(Parameter('voxels.voxel_size', value=value) for value in values),
            Parameter(
                'voxels.point_cloud_range', value=RANGES['fine']['voxels.point_cloud_range']
            ),
        ]
    )
    assert (first.successful, second.successful, extent.successful) == (False, True, True)
    assert node.get_parameter('voxels.voxel_size').value == 2.0


def test_a_name_there_is_not_is_refused_with_the_one_that_is_meant(rig, remote):
    node = rig.node(**LIDAR, autostart=False)
    before = remote.dump()
    size, alone, camera, none = remote.set(
        voxels__voxel_siz=0.5, timeout_secs=1.0, camera__grid=[2, 2], weather='fine'
    )
    assert size.startswith(
        'unknown parameter voxels.voxel_siz: did you mean voxels.voxel_size? voxels has '
    )
    assert alone == 'unknown parameter timeout_secs: did you mean timeout_sec?'
    assert camera == 'camera.grid is not in use, because camera is not among sources [lidar]'
    assert none == 'unknown parameter weather, and none is near'
    (late,) = remote.set(lidar__fields__intensity__resolution=0.5)
    assert late.startswith('lidar.fields.intensity.resolution was not given at the start')
    reason = remote.set_together(timeout_secs=1.0, features__targets=0)
    assert reason.startswith(f'{alone}; features.targets must be')
    (inside,) = node.set_parameters([Parameter('timeout_secs', value=1.0)])
    assert inside.reason == alone
    assert remote.dump() == before


def test_a_publisher_for_a_change_to_come_outlives_the_change_before_it(rig):
    node = rig.active(**LIDAR)
    outputs, pipeline = node._outputs, node._running.pipeline
    node._running.worker.stop()
    with outputs.prepared(changed(pipeline.config, voxels__dense='float32')):
        outputs.adapt()  # as the change before it wants it
    prepared = outputs._optional['voxels/dense']
    outputs.adapt()
    assert outputs._optional == {'voxels/dense': prepared}
    with pytest.raises(RuntimeError, match='no such thing'):  # noqa: SIM117
        with outputs.prepared(changed(pipeline.config, features__named=True)):
            raise RuntimeError('no such thing')
    assert outputs._optional == {'voxels/dense': prepared}
    with outputs.prepared(pipeline.config):
        pass
    outputs.adapt()
    assert outputs._optional == {}


def changed(config, **parameters):
    named = {name.replace('__', '.'): value for name, value in parameters.items()}
    return Config.from_mapping({**config.to_mapping(), **named})


@pytest.mark.parametrize('stops', ['before', 'after'])
def test_half_a_frame_does_not_keep_a_stopped_node_from_changing(rig, remote, lidar, stops):
    given = {'lidar.history_sec': 90.0, 'imu.history_sec': 90.0, 'timeout_sec': 60.0}
    node, halves = rig.active(sources=['lidar', 'imu'], backend='numpy', **given), []
    imus = rig.publisher(Imu, '/imu/data')
    node.subscribe_frames(lambda frame, _: halves.append(type(frame)))
    rig.settle(node, lidar)
    rig.settle(node, imus)
    rig.send(node, 'imu', imus, imu(START_NS - STEP_NS))
    rig.send(node, 'lidar', lidar, cloud(START_NS))
    rig.wait(lambda: halves == [VoxelFrame], 'the voxels: features wait for the imu')
    pipeline, told = node._running.pipeline, rig.collect(String, f'{NAME}/schema')
    if stops == 'before':
        node.trigger_deactivate()
    assert remote.set(voxels__voxel_size=2.0) == ['']
    if stops == 'after':
        assert pipeline.config.grid.dims == (16, 16, 4)
        node.trigger_deactivate()
    assert pipeline.config.grid.dims == (8, 8, 2)
    assert pipeline.status(0).outputs['features'].dropped == {Reason.FRAME_CHANGED: 1}
    node.trigger_activate()
    for k in (1, 2):
        rig.send(node, 'imu', imus, imu(START_NS + k * STEP_NS))
        rig.send(node, 'lidar', lidar, cloud(START_NS + k * STEP_NS))
    rig.send(node, 'imu', imus, imu(START_NS + 3 * STEP_NS))
    rig.wait(lambda: len(halves) == 5, 'both halves of the frames since')
    assert json.loads(told[-1].data)['schema_id'] == pipeline.schema.schema_id
