# Copyright 2026 the robocache_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Tables, voxels and features survive the way through a message."""

from __future__ import annotations

from types import SimpleNamespace as Message

import numpy as np
import pytest
from codec_messages import XYZ_FIELDS, but, cloud, header, slow_columns
from codec_strategies import as_message, tables
from hypothesis import given, settings

from robocache_ros.codec.table import (
    decode_table,
    encode_table,
    features_table,
    read_features,
    read_voxels,
    voxels_table,
)
from robocache_ros.reasons import Reason, Rejected
from robocache_ros.samples import FeatureFrame, VoxelFrame

SCHEMA = Message(
    groups=(Message(name='imu_orientation', width=4), Message(name='lidar_points', width=1)),
    schema_id=0xFEDCBA98,
)


def feature_frame():
    return FeatureFrame(
        t_ref_ns=12_000_000_034,
        epoch=0,
        frame_id='lidar',
        dt=np.array([-0.5, 0.0], np.float32),
        values=np.array([[1, 2, 3, 4, 5], [6, 7, 8, 9, 10]], np.float32),
        valid=np.array([[1, 0], [0, 1]], np.uint8),
        age=np.array([[0.25, 3600.0], [0.125, -1.0]], np.float32),
        used={},
        missing=(),
        complete=True,
        arrival_ns=0,
        ready_ns=0,
    )


def voxel_frame(columns, centers):
    voxels = Message(columns=columns, centers=lambda: centers)
    return VoxelFrame(12_000_000_034, 0, 'lidar', voxels, None, {}, (), True, 0, 0)


def test_rows_lie_as_the_layout_says():
    table = encode_table({'x': np.array([1.0, -1.0], np.float32), 'flag': np.array([True, False])})
    assert table.fields == (('x', 0, 7, 1), ('flag', 4, 2, 1))
    assert (table.point_step, table.n) == (8, 2)
    assert table.data.tobytes().hex() == '0000803f01000000' + '000080bf00000000'


def test_big_endian_columns_are_written_little_endian():
    table = encode_table({'a': np.array([1], '>u2'), 'b': np.array([[1, 2]], '>i4')})
    assert table.data.tobytes().hex() == '0100' + '01000000' + '02000000' + '0000'


@pytest.mark.parametrize(
    'columns',
    [
        {'a': np.ones(2), 'b': np.ones(3)},
        {'a': np.ones(2, 'f2')},
        {'a': np.ones((2, 1, 1))},
        {'a': np.ones((2, 0))},
        {'a': np.ones(2), 'b': np.array(['x', 'y'])},
    ],
)
def test_columns_that_are_no_table_are_refused(columns):
    with pytest.raises(ValueError, match='column'):
        encode_table(columns)


@settings(deadline=None)
@given(tables())
def test_columns_come_back_from_a_table(columns):
    back = decode_table(as_message(encode_table(columns)))
    assert list(back) == list(columns)
    for name, values in columns.items():
        flat = values[:, 0] if values.ndim == 2 and values.shape[1] == 1 else values
        assert back[name].shape == flat.shape
        np.testing.assert_array_equal(back[name], flat)


@settings(deadline=None)
@given(tables())
def test_table_is_a_cloud_that_others_can_read(columns):
    msg = as_message(encode_table(columns))
    for name, values in slow_columns(msg).items():
        first = columns[name][:, 0] if columns[name].ndim == 2 else columns[name]
        np.testing.assert_array_equal(values, first)


def test_table_of_a_cloud_with_padded_rows():
    fields = (*XYZ_FIELDS, ('rgb', 12, 2, 2), ('ok', 14, 11, 1))
    points = [(float(k), 0.0, 0.0, (k, 9), k % 2 == 1) for k in range(4)]
    msg = cloud(points, fields, 16, width=2, padding=8)
    msg.data[14] = 2  # true, as any byte but 0
    columns = decode_table(msg)
    assert columns['x'].tolist() == [0.0, 1.0, 2.0, 3.0]
    assert columns['rgb'].tolist() == [[0, 9], [1, 9], [2, 9], [3, 9]]
    assert columns['ok'].view(np.uint8).tolist() == [1, 1, 0, 1]


def test_voxels_come_back_from_their_message():
    centers = tuple(np.array([k, k + 0.5], np.float32) for k in range(3))
    channels = {
        'count': np.array([3, 2**32 - 1], np.uint32),
        'mean_intensity': np.array([0.5, np.nan], np.float32),
    }
    rows = read_voxels(as_message(voxels_table(voxel_frame(channels, centers))))
    assert (rows.stamp_ns, rows.frame_id, len(rows)) == (12_000_000_034, 'lidar', 2)
    assert [axis.tolist() for axis in (rows.x, rows.y, rows.z)] == [[0, 0.5], [1, 1.5], [2, 2.5]]
    assert list(rows.channels) == ['count', 'mean_intensity']
    assert rows.channels['count'].tolist() == [3, 2**32 - 1]
    np.testing.assert_array_equal(rows.channels['mean_intensity'], [0.5, np.nan])


def test_colours_of_voxels_come_back_in_their_bits_and_as_one_channel():
    centers = (np.zeros(3, np.float32),) * 3
    bits = np.array([1, 0x00FF00FF, 0x00808080], np.uint32)
    frame = voxel_frame({'rgb': bits.view(np.float32)}, centers)
    rows = read_voxels(as_message(voxels_table(frame)))
    assert list(rows.channels) == ['rgb']
    assert rows.channels['rgb'].view(np.uint32).tolist() == bits.tolist()


def test_no_voxels_are_a_message_too():
    none = np.empty(0, np.float32)
    channels = {'count': np.empty(0, np.uint32)}
    rows = read_voxels(as_message(voxels_table(voxel_frame(channels, (none, none, none)))))
    assert len(rows) == 0
    assert list(rows.channels) == ['count']


def test_features_lie_as_the_layout_says():
    table = features_table(feature_frame(), SCHEMA)
    assert table.fields == (
        ('dt', 0, 7, 1),
        ('schema_id', 4, 6, 1),
        ('imu_orientation', 8, 7, 4),
        ('lidar_points', 24, 7, 1),
        ('imu_orientation_age', 28, 7, 1),
        ('lidar_points_age', 32, 7, 1),
        ('imu_orientation_valid', 36, 2, 1),
        ('lidar_points_valid', 37, 2, 1),
    )
    assert table.point_step == 40


def test_features_come_back_from_their_message():
    msg = as_message(features_table(feature_frame(), SCHEMA))
    rows = read_features(msg)
    assert (rows.stamp_ns, rows.frame_id) == (12_000_000_034, 'lidar')
    assert rows.schema_id == 0xFEDCBA98
    assert rows.groups == ('imu_orientation', 'lidar_points')
    assert rows.widths == (4, 1)
    assert rows.dt.tolist() == [-0.5, 0.0]
    assert rows.values.tolist() == [[1, 2, 3, 4, 5], [6, 7, 8, 9, 10]]
    assert rows.valid.tolist() == [[1, 0], [0, 1]]
    assert rows.age.tolist() == [[0.25, 3600.0], [0.125, -1.0]]
    assert np.shares_memory(rows.values, np.frombuffer(msg.data, np.uint8))


def test_features_of_no_group_still_carry_time_and_schema():
    frame = feature_frame()
    none = np.empty((2, 0), np.float32)
    frame = FeatureFrame(**{**vars(frame), 'values': none, 'age': none, 'valid': none})
    rows = read_features(as_message(features_table(frame, Message(groups=(), schema_id=7))))
    assert (rows.schema_id, rows.values.shape, rows.groups) == (7, (2, 0), ())


def _swapped(msg):
    fields = list(msg.fields)
    fields[2], fields[3] = fields[3], fields[2]
    return but(msg, fields=fields)


def _retyped(msg, name, **changes):
    return but(msg, fields=[but(f, **changes) if f.name == name else f for f in msg.fields])


@pytest.mark.parametrize(
    'broken',
    [
        lambda msg: but(msg, fields=msg.fields[:-1]),
        lambda msg: but(msg, fields=[]),
        lambda msg: but(msg, fields=msg.fields[1:]),
        lambda msg: but(msg, width=1, height=2, row_step=40),
        lambda msg: but(msg, width=0, row_step=0),
        _swapped,
        lambda msg: _retyped(msg, 'lidar_points', datatype=5),
        lambda msg: _retyped(msg, 'lidar_points_valid', datatype=1),
        lambda msg: _retyped(msg, 'lidar_points', offset=0),
        lambda msg: _retyped(msg, 'imu_orientation', count=3),
        lambda msg: _retyped(msg, 'schema_id', datatype=5),
        lambda msg: _retyped(msg, 'lidar_points_valid', count=2),
        lambda msg: _retyped(msg, 'imu_orientation_age', count=2),
    ],
)
def test_other_clouds_are_not_taken_for_features(broken):
    msg = as_message(features_table(feature_frame(), SCHEMA))
    with pytest.raises(Rejected) as refusal:
        read_features(broken(msg))
    assert refusal.value.reason is Reason.CLOUD_FIELD


def test_unset_stamp_is_refused_by_both_readers():
    unset = header(0, 0)
    features = as_message(features_table(feature_frame(), SCHEMA))
    for read, msg in ((read_features, features), (read_voxels, cloud([(1.0, 2.0, 3.0, 4.0)]))):
        with pytest.raises(Rejected) as refusal:
            read(but(msg, header=unset))
        assert refusal.value.reason is Reason.STAMP_UNSET
