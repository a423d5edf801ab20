# Copyright 2026 the robocache_ros authors
# SPDX-License-Identifier: Apache-2.0
"""What the node sends is what was computed, in messages that other programs read."""

from __future__ import annotations

import json

import numpy as np
import pytest
from hand_made import FRAME_ID, NAN_BITS, T_REF_NS, Source, config_of, feature_frame, voxel_frame
from rclpy.node import Node
from rclpy.parameter import Parameter
from rclpy.qos import DurabilityPolicy, QoSProfile, ReliabilityPolicy
from rclpy.serialization import serialize_message
from sensor_msgs.msg import JointState, PointCloud2
from std_msgs.msg import Float32MultiArray, String, UInt8MultiArray

from robocache_ros.codec.table import features_table, voxels_table
from robocache_ros.reading import read_dense, read_features, read_voxels
from robocache_ros.ros.outputs import to_cloud, to_multi_array
from robocache_ros.schema import Schema


@pytest.fixture
def listen(context, executor, wait_until):
    """Give listen(node, kind, topic): subscribe, wait until matched, return the list received."""
    listener = Node('listener', context=context)
    executor.add_node(listener)

    def listen(kind, topic, qos=5):
        received = []
        subscription = listener.create_subscription(kind, topic, received.append, qos)
        wait_until(
            lambda: listener.count_publishers(topic) > 0, 10, f'a publisher of {topic}', executor
        )
        return received, subscription

    yield listen
    listener.destroy_node()


@pytest.fixture
def send(executor, wait_until):
    """Give send(node, frame, received): publish until something comes, return the first."""

    def send(node, frame, received):
        def arrived():
            # Until both sides know of each other, nothing is sent.
            node.outputs.publish(frame)
            return received

        return wait_until(arrived, 10, 'a message', executor)[0]

    return send


def test_voxels_arrive_field_by_field(context, listen, send):
    node = Source(context, config_of()).started()
    received, _ = listen(PointCloud2, '/preprocessor/voxels')
    message = send(node, voxel_frame(node.config), received)
    assert (message.header.stamp.sec, message.header.stamp.nanosec) == (1_700_000_000, 999_999_999)
    assert message.header.frame_id == FRAME_ID
    assert [f.name for f in message.fields] == ['x', 'y', 'z', 'count', 'mean_intensity']
    assert (message.height, message.width, message.point_step, message.row_step) == (1, 2, 20, 40)
    rows = read_voxels(message)
    assert rows.stamp_ns == T_REF_NS
    assert np.transpose([rows.x, rows.y, rows.z]).tolist() == [[1.5, 0.5, 0.5], [3.5, 2.5, 1.5]]
    assert rows.channels['count'].dtype == np.uint32
    assert rows.channels['count'].tolist() == [4_000_000_000, 1]
    mean = np.ascontiguousarray(rows.channels['mean_intensity']).view(np.uint32)
    assert mean.tolist() == [np.float32(0.25).view(np.uint32), NAN_BITS]
    node.destroy_node()


def test_features_arrive_field_by_field(context, listen, send):
    node = Source(context, config_of()).started()
    received, _ = listen(PointCloud2, '/preprocessor/features')
    frame = feature_frame(node.schema)
    rows = read_features(send(node, frame, received))
    assert (rows.stamp_ns, rows.frame_id) == (T_REF_NS, FRAME_ID)
    assert rows.schema_id == node.schema.schema_id
    assert rows.groups == tuple(group.name for group in node.schema.groups)
    for name in ('dt', 'values', 'valid', 'age'):
        np.testing.assert_array_equal(getattr(rows, name), getattr(frame, name), name)
    node.destroy_node()


def test_the_newest_row_arrives_alone_and_with_names(context, listen, send):
    node = Source(context, config_of(features__named=True)).started()
    frame = feature_frame(node.schema)
    received, _ = listen(Float32MultiArray, '/preprocessor/features/latest')
    latest = send(node, frame, received)
    width = len(node.schema.feature_names)
    assert [(d.label, d.size, d.stride) for d in latest.layout.dim] == [('feature', width, width)]
    assert list(latest.data) == frame.values[-1].tolist()
    received, _ = listen(JointState, '/preprocessor/features/named')
    named = send(node, frame, received)
    assert tuple(named.name) == node.schema.feature_names
    assert list(named.position) == frame.values[-1].tolist()
    assert named.header.frame_id == FRAME_ID
    node.destroy_node()


@pytest.mark.parametrize(
    ('dtype', 'kind'), [('float32', Float32MultiArray), ('uint8', UInt8MultiArray)]
)
def test_a_dense_grid_arrives_in_its_shape(dtype, kind, context, listen, send):
    node = Source(context, config_of(voxels__dense=dtype)).started()
    dense = np.arange(2 * 3 * 4 * 2).reshape(2, 3, 4, 2).astype(dtype)
    received, _ = listen(kind, '/preprocessor/voxels/dense')
    message = send(node, voxel_frame(node.config, dense=dense), received)
    dims = [(d.label, d.size, d.stride) for d in message.layout.dim]
    assert dims == [('z', 2, 48), ('y', 3, 24), ('x', 4, 8), ('channel', 2, 2)]
    again = read_dense(message)
    assert again.dtype == dtype
    np.testing.assert_array_equal(again, dense)
    node.destroy_node()


def test_outputs_that_are_not_asked_for_do_not_exist(context, listen):
    node = Source(context, config_of()).started()
    topics = {name for name, _ in node.get_publisher_names_and_types_by_node('preprocessor', '/')}
    ours = {name for name in topics if name.startswith('/preprocessor/')}
    assert ours - {'/preprocessor/transition_event'} == {
        '/preprocessor/voxels',
        '/preprocessor/features',
        '/preprocessor/features/latest',
        '/preprocessor/schema',
    }
    node.destroy_node()


def test_nothing_is_encoded_for_nobody(context, executor, listen, send, wait_until, monkeypatch):
    encoded = []
    node = Source(context, config_of()).started()
    monkeypatch.setattr(
        'robocache_ros.ros.outputs.voxels_table',
        lambda frame: encoded.append(frame) or voxels_table(frame),
    )
    node.outputs.publish(voxel_frame(node.config))
    assert encoded == []
    received, _ = listen(PointCloud2, '/preprocessor/voxels')
    send(node, voxel_frame(node.config), received)
    assert encoded
    node.destroy_node()


def test_an_inactive_node_sends_no_frame_but_its_schema(
    context, executor, listen, send, wait_until
):
    node = Source(context, config_of())
    node.trigger_configure()
    frames, _ = listen(PointCloud2, '/preprocessor/voxels')
    latched = QoSProfile(depth=1, durability=DurabilityPolicy.TRANSIENT_LOCAL)
    schemas, _ = listen(String, '/preprocessor/schema', latched)
    wait_until(lambda: schemas, 10, 'the schema', executor)
    assert json.loads(schemas[0].data)['schema_id'] == node.schema.schema_id
    wait_until(
        lambda: node.count_subscribers('/preprocessor/voxels'), 10, 'the listener', executor
    )
    node.outputs.publish(voxel_frame(node.config))
    node.trigger_activate()
    send(node, voxel_frame(node.config, T_REF_NS + 1), frames)
    assert frames[0].header.stamp.sec == 1_700_000_001  # not the one before
    node.destroy_node()


def test_quality_of_service_can_be_overridden(context, executor, listen):
    override = 'qos_overrides./preprocessor/voxels.publisher.reliability'
    node = Source(
        context, config_of(), parameter_overrides=[Parameter(override, value='best_effort')]
    ).started()
    listen(PointCloud2, '/preprocessor/voxels')

    def reliability(topic):
        infos = node.get_publishers_info_by_topic(topic)
        return [info.qos_profile.reliability for info in infos]

    assert reliability('/preprocessor/voxels') == [ReliabilityPolicy.BEST_EFFORT]
    assert reliability('/preprocessor/features') == [ReliabilityPolicy.RELIABLE]
    node.destroy_node()


def test_outputs_come_back_after_cleanup(context, listen, send):
    node = Source(context, config_of()).started()
    node.trigger_deactivate()
    node.trigger_cleanup()
    assert node.count_publishers('/preprocessor/voxels') == 0
    node.started()
    received, _ = listen(PointCloud2, '/preprocessor/voxels')
    send(node, voxel_frame(node.config), received)
    node.destroy_node()


def test_two_nodes_in_one_process_keep_apart(context, listen, send):
    one = Source(context, config_of(), 'one').started()
    two = Source(context, config_of(), 'two', namespace='robot').started()
    from_one, _ = listen(PointCloud2, '/one/voxels')
    from_two, _ = listen(PointCloud2, '/robot/two/voxels')
    send(one, voxel_frame(one.config, 5_000_000_001), from_one)
    send(two, voxel_frame(two.config, 7_000_000_001), from_two)
    assert {m.header.stamp.sec for m in from_one} == {5}
    assert {m.header.stamp.sec for m in from_two} == {7}
    one.destroy_node()
    two.destroy_node()


def test_rosbags_reads_the_same_from_the_wire():
    typesys = pytest.importorskip('rosbags.typesys', reason='rosbags is not installed')
    store = typesys.get_typestore(typesys.Stores.ROS2_JAZZY)
    config = config_of()
    schema = Schema.from_config(config)
    for table, frame in (
        (voxels_table(voxel_frame(config)), voxel_frame(config)),
        (features_table(feature_frame(schema), schema), feature_frame(schema)),
    ):
        wire = serialize_message(to_cloud(table, frame))
        cloud = store.deserialize_cdr(wire, 'sensor_msgs/msg/PointCloud2')
        assert cloud.data.tobytes() == table.data.tobytes()
        assert (cloud.header.stamp.sec, cloud.header.stamp.nanosec) == divmod(T_REF_NS, 10**9)
        assert cloud.header.frame_id == FRAME_ID
        assert [(f.name, f.offset, f.datatype, f.count) for f in cloud.fields] == list(
            table.fields
        )
        assert (cloud.is_bigendian, cloud.is_dense) == (False, True)


def test_rosbags_reads_a_dense_grid_from_the_wire():
    typesys = pytest.importorskip('rosbags.typesys', reason='rosbags is not installed')
    dense = np.arange(48, dtype=np.float32).reshape(2, 3, 4, 2)
    wire = serialize_message(to_multi_array(dense, ('z', 'y', 'x', 'channel')))
    store = typesys.get_typestore(typesys.Stores.ROS2_JAZZY)
    message = store.deserialize_cdr(wire, 'std_msgs/msg/Float32MultiArray')
    np.testing.assert_array_equal(read_dense(message), dense)
