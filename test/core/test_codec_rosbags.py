# Copyright 2026 the robocache_ros authors
# SPDX-License-Identifier: Apache-2.0
"""What rosbags reads from a bag decodes like what was put in: through real CDR, without ROS."""

from __future__ import annotations

import array

import numpy as np
import pytest
from codec_messages import XYZI_FIELDS, Message, cloud, image, imu, joints, odometry, transform

from robocache_ros.codec.cloud import decode_cloud
from robocache_ros.codec.image import decode_image
from robocache_ros.codec.imu import decode_imu
from robocache_ros.codec.joints import joint_decoder
from robocache_ros.codec.odometry import decode_odometry
from robocache_ros.codec.stamp import stamp_ns
from robocache_ros.decoding import frame_of
from robocache_ros.motion.pose import Pose
from robocache_ros.transforms import TransformReader

typesys = pytest.importorskip('rosbags.typesys', reason='rosbags is not installed')


# Attributes that are messages themselves; all others rosbags takes as they are, or as ndarrays.
NESTED = {
    'header': 'std_msgs/msg/Header',
    'stamp': 'builtin_interfaces/msg/Time',
    'fields': 'sensor_msgs/msg/PointField',
    'orientation': 'geometry_msgs/msg/Quaternion',
    'angular_velocity': 'geometry_msgs/msg/Vector3',
    'linear_acceleration': 'geometry_msgs/msg/Vector3',
    'position': 'geometry_msgs/msg/Point',
    'linear': 'geometry_msgs/msg/Vector3',
    'angular': 'geometry_msgs/msg/Vector3',
    'transforms': 'geometry_msgs/msg/TransformStamped',
    'transform': 'geometry_msgs/msg/Transform',
    'translation': 'geometry_msgs/msg/Vector3',
    'rotation': 'geometry_msgs/msg/Quaternion',
}
WITH_COVARIANCE = {  # parts of an odometry, which are called like what they hold
    'pose': 'geometry_msgs/msg/PoseWithCovariance',
    'twist': 'geometry_msgs/msg/TwistWithCovariance',
}
INNER = {'pose': 'geometry_msgs/msg/Pose', 'twist': 'geometry_msgs/msg/Twist'}


@pytest.fixture(scope='module')
def through_cdr():
    store = typesys.get_typestore(typesys.Stores.ROS2_HUMBLE)

    def build(name, msg):
        parts = {}
        for attribute, value in vars(msg).items():
            inner = {**NESTED, **(INNER if 'WithCov' in name else WITH_COVARIANCE)}.get(attribute)
            if isinstance(value, Message):
                value = build(inner, value)
            elif inner is not None and isinstance(value, list):
                value = [build(inner, part) for part in value]
            elif isinstance(value, array.array) or attribute.endswith('covariance'):
                value = np.array(value)
            parts[attribute] = value
        return store.types[name](**parts)

    def through(name, msg):
        return store.deserialize_cdr(store.serialize_cdr(build(name, msg), name), name)

    return through


def test_cloud_of_a_bag(through_cdr):
    fields = (*XYZI_FIELDS, ('ring', 16, 4, 1))
    points = [(float(k), -1.0, 0.5, 7.0, k) for k in range(6)]
    msg = cloud(points, fields, 22, width=3, padding=5, big_endian=True)
    read = through_cdr('sensor_msgs/msg/PointCloud2', msg)
    assert isinstance(read.data, np.ndarray)
    view = decode_cloud(read)
    assert (view.width, view.height, view.frame_id) == (3, 2, 'lidar')
    assert view.column('ring').tolist() == list(range(6))
    assert view.xyz()[0].tolist() == [0.0, 1.0, 2.0, 3.0, 4.0, 5.0]
    assert stamp_ns(read.header) == 12_000_000_034


def test_image_of_a_bag(through_cdr):
    read = through_cdr('sensor_msgs/msg/Image', image('mono16', row=6, padding=2))
    assert decode_image(read).plane('y').tolist() == [[256, 770, 1284], [1798, 2312, 2826]]


def test_imu_of_a_bag(through_cdr):
    msg = imu((0.0, 0.0, 0.6, 0.8), (1.0, 2.0, 3.0), (4.0, 5.0, 6.0))
    vector = decode_imu(through_cdr('sensor_msgs/msg/Imu', msg))
    expected = np.array([0.0, 0.0, 0.6, 0.8, 1.0, 2.0, 3.0, 4.0, 5.0, 6.0], np.float32)
    assert vector.values.tolist() == expected.tolist()
    msg.orientation_covariance[0] = -1.0
    assert not decode_imu(through_cdr('sensor_msgs/msg/Imu', msg)).valid[0]


def test_joint_states_of_a_bag(through_cdr):
    read = through_cdr('sensor_msgs/msg/JointState', joints(['a', 'b'], [1.0, 2.0], [3.0, 4.0]))
    vector = joint_decoder(['b'], ['position', 'velocity', 'effort'])(read)
    assert vector.values.tolist() == [2.0, 4.0, 0.0]
    assert vector.valid.tolist() == [True, True, False]


def test_odometry_of_a_bag(through_cdr):
    msg = odometry(position=(4_500_000.001, 2.0, 3.0), orientation=(0.0, 0.0, 0.6, 0.8))
    read = through_cdr('nav_msgs/msg/Odometry', msg)
    vector = decode_odometry(read)
    assert vector.pose.tolist() == [4_500_000.001, 2.0, 3.0, 0.0, 0.0, 0.6, 0.8]
    assert vector.values[7:].tolist() == [4.0, 5.0, 6.0, 7.0, 8.0, 9.0]
    assert frame_of(read) == 'base_link'


@pytest.mark.parametrize(('static', 't_ns'), [(True, None), (False, 7_000_000_005)])
def test_transforms_of_a_bag(through_cdr, static, t_ns):
    moved = transform('odom', 'base', 7_000_000_005, (1.0, 2.0, 3.0), (0.0, 0.0, 0.6, 0.8))
    read = through_cdr('tf2_msgs/msg/TFMessage', Message(transforms=[moved]))
    told = []
    pipeline = Message(tell_transform=lambda *transform: told.append(transform))
    TransformReader(pipeline).read(99, read, static)
    ((*where, pose),) = told
    assert where == [99, 'odom', 'base', t_ns]
    assert isinstance(pose, Pose)
    assert pose.position.tolist() == [1.0, 2.0, 3.0]
    assert pose.rotation.tolist() == [0.0, 0.0, 0.6, 0.8]
