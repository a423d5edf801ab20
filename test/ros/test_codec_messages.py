# Copyright 2026 the robocache_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The codec on the message classes of ROS, and against its own Python reader of clouds."""

from __future__ import annotations

import array
import struct

import numpy as np
import pytest
from rclpy.serialization import deserialize_message, serialize_message
from sensor_msgs.msg import Image, Imu, JointState, PointCloud2, PointField
from std_msgs.msg import Header

from robocache_ros.codec.cloud import decode_cloud
from robocache_ros.codec.image import decode_image
from robocache_ros.codec.imu import decode_imu
from robocache_ros.codec.joints import joint_decoder
from robocache_ros.codec.stamp import stamp_ns

FORMATS = dict(zip(range(1, 9), 'bBhHiIfd', strict=True))
# (name, offset, datatype), point step
LAYOUTS = {
    '16 bytes': ([('x', 0, 7), ('y', 4, 7), ('z', 8, 7), ('intensity', 12, 7)], 16),
    '22 bytes, unaligned': (
        [('x', 0, 7), ('y', 4, 7), ('z', 8, 7), ('ring', 16, 4), ('time', 18, 7)],
        22,
    ),
    '48 bytes': (
        [('x', 0, 7), ('y', 4, 7), ('z', 8, 7), ('t', 20, 6), ('a', 24, 1), ('b', 26, 3)],
        48,
    ),
    'float64': ([('x', 0, 8), ('y', 8, 8), ('z', 16, 8), ('n', 24, 5), ('m', 28, 2)], 29),
}


def through_cdr(message):
    return deserialize_message(serialize_message(message), type(message))


def header(frame_id='lidar'):
    found = Header(frame_id=frame_id)
    found.stamp.sec, found.stamp.nanosec = 12, 34
    return found


def cloud(layout, points=50, height=1):
    """Cloud of small integers, which every type holds."""
    fields, step = LAYOUTS[layout]
    rng = np.random.default_rng(1)
    values = rng.integers(0, 100, (points, len(fields))).tolist()
    data = bytearray(points * step)
    for number, row in enumerate(values):
        for value, (_, offset, datatype) in zip(row, fields, strict=True):
            struct.pack_into('<' + FORMATS[datatype], data, number * step + offset, value)
    return PointCloud2(
        header=header(),
        height=height,
        width=points // height,
        fields=[PointField(name=n, offset=o, datatype=d, count=1) for n, o, d in fields],
        point_step=step,
        row_step=step * (points // height),
        data=array.array('B', bytes(data)),
    ), dict(
        zip([name for name, _, _ in fields], map(list, zip(*values, strict=True)), strict=True)
    )


@pytest.mark.parametrize('layout', LAYOUTS)
def test_cloud_that_went_through_the_middleware_format(layout):
    message, expected = cloud(layout)
    message = through_cdr(message)
    view = decode_cloud(message)
    assert {name: view.column(name).tolist() for name in view.fields} == expected
    assert view.frame_id == 'lidar'
    assert stamp_ns(message.header) == 12_000_000_034
    assert np.shares_memory(view.data, np.frombuffer(message.data, np.uint8))


@pytest.mark.parametrize('layout', LAYOUTS)
@pytest.mark.parametrize('height', [1, 5])
def test_cloud_reads_like_sensor_msgs_py(layout, height):
    point_cloud2 = pytest.importorskip(
        'sensor_msgs_py.point_cloud2', reason='sensor_msgs_py comes with ROS installations only'
    )
    message, _ = cloud(layout, height=height)
    view = decode_cloud(message)
    theirs = point_cloud2.read_points(message)
    for name in view.fields:
        np.testing.assert_array_equal(view.column(name), theirs[name].reshape(-1))


def test_image_that_went_through_the_middleware_format():
    message = Image(header=header('camera'), height=2, width=2, encoding='bgr8', step=8)
    message.data = array.array('B', range(16))
    view = decode_image(through_cdr(message))
    assert view.plane('r').tolist() == [[2, 5], [10, 13]]


def test_imu_that_went_through_the_middleware_format():
    message = Imu(header=header('imu'))
    message.orientation_covariance[0] = -1.0
    message.angular_velocity.z = 0.5
    message.linear_acceleration.x = -2.0
    vector = decode_imu(through_cdr(message))
    assert vector.values.tolist() == [0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.5, -2.0, 0.0, 0.0]
    assert vector.valid.tolist() == [False, True, True]


def test_joint_states_that_went_through_the_middleware_format():
    message = JointState(header=header(), name=['a', 'b'], position=[1.0, 2.0], effort=[3.0, 4.0])
    vector = joint_decoder(['b', 'a'], ['position', 'velocity'])(through_cdr(message))
    assert vector.values.tolist() == [2.0, 1.0, 0.0, 0.0]
    assert vector.valid.tolist() == [True, False]
