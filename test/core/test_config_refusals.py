# Copyright 2026 the robocache_ros authors
# SPDX-License-Identifier: Apache-2.0
"""What a configuration refuses: the sentence names parameter, value and what is allowed."""

from __future__ import annotations

import pytest

from robocache_ros.config import Config, ConfigError

NAN, INF = float('nan'), float('inf')
REAR = {'sources': ['lidar', 'rear'], 'rear.type': 'pointcloud2'}
JOINTS = {'sources': ['lidar', 'joints'], 'joints.joints': ['a']}
ODOM = {'sources': ['lidar', 'imu', 'odom'], 'base_frame': 'base_link'}
COARSE = {'voxels.point_cloud_range': [0, 0, 0, 8, 8, 4], 'voxels.voxel_size': 1.0}

# (what is given, every text the sentence has to hold)
REFUSED = {
    # -- types
    'a bool is no number': ({'timeout_sec': True}, ['timeout_sec must be a number', 'not True']),
    'a bool is no integer': ({'imu.depth': True}, ['imu.depth must be an integer', 'not True']),
    'a string is no number': ({'timeout_sec': '0.1'}, ['timeout_sec', "not '0.1'"]),
    'a float is no integer': (
        {'features.targets': 10.0},
        ['features.targets must be an integer from 1 to 10000', 'not 10.0'],
    ),
    'a string is no bool': ({'autostart': 'yes'}, ['autostart must be true or false', "'yes'"]),
    'a number is no string': ({'output_frame': 3}, ['output_frame must be a frame name', 'not 3']),
    'a list is no number': ({'timeout_sec': [0.1]}, ['timeout_sec', 'not [0.1]']),
    'a number is no list': ({'lidar.occupancy_shape': 4}, ['must be 3 integers', 'not 4']),
    'nothing is no value': ({'trigger': None}, ['trigger must be', 'nothing']),
    # -- numbers
    'NaN': ({'timeout_sec': NAN}, ['timeout_sec must be a number from 0 to 60 s', 'not nan']),
    'infinite': ({'lidar.history_sec': INF}, ['lidar.history_sec', '600 s', 'not inf']),
    'too large for a float': ({'timeout_sec': 10**400}, ['timeout_sec', 'not 1000']),
    'NaN in a list': (
        {'voxels.point_cloud_range': [0, 0, 0, NAN, 1, 1]},
        ['voxels.point_cloud_range must be 6 numbers', 'nan'],
    ),
    'infinite voxels': ({'voxels.voxel_size': INF}, ['voxels.voxel_size must be', 'inf']),
    'timeout below zero': ({'timeout_sec': -0.1}, ['from 0 to 60 s', 'not -0.1']),
    'timeout too long': ({'timeout_sec': 61.0}, ['from 0 to 60 s', 'not 61.0']),
    'rate of zero': ({'trigger_rate_hz': 0.0}, ['from 0.01 to 1000 Hz', 'not 0.0']),
    'rate too high': ({'trigger_rate_hz': 1e4}, ['from 0.01 to 1000 Hz', 'not 10000.0']),
    'no clock jump': ({'clock_jump_sec': 0}, ['clock_jump_sec', '0.001', 'not 0']),
    'device below zero': ({'device_id': -1}, ['device_id must be an integer from 0', 'not -1']),
    'no rows': ({'features.targets': 0}, ['features.targets', 'from 1 to 10000', 'not 0']),
    'no row rate': ({'features.target_rate_hz': 0}, ['features.target_rate_hz', 'not 0']),
    'no history': ({'imu.history_sec': 0}, ['imu.history_sec must be', '0.01', 'not 0']),
    'no gap': ({'imu.max_gap_sec': 0.0}, ['imu.max_gap_sec', '0.0001', 'not 0.0']),
    'offset of a day': ({'imu.time_offset_sec': 86400}, ['imu.time_offset_sec', '-3600 to 3600']),
    'no depth': ({'imu.depth': 0}, ['imu.depth', 'from 1 to 10000', 'not 0']),
    'no points': ({'voxels.max_points': 0}, ['voxels.max_points', '134217728', 'not 0']),
    'sums that overflow': ({'voxels.max_points': 2**27 + 1}, ['134217728', 'not 134217729']),
    'no voxels': ({'voxels.max_voxels': 0}, ['voxels.max_voxels', 'from 1', 'not 0']),
    # -- choices
    'on_timeout': ({'on_timeout': 'drop'}, ['on_timeout', 'one of partial, skip', "'drop'"]),
    'backend': ({'backend': 'gpu'}, ['backend', 'auto, numpy, cuda', "not 'gpu'"]),
    'dense': ({'voxels.dense': 'int8'}, ['voxels.dense', 'none, float32, uint8', "'int8'"]),
    'qos': ({'lidar.qos': 'best'}, ['lidar.qos', 'auto, reliable, best_effort', "'best'"]),
    'stamp': ({'lidar.stamp': 'now'}, ['lidar.stamp', 'header, receive', "'now'"]),
    'wait': ({'imu.wait': 'never'}, ['imu.wait', 'until_t_ref, newest', "'never'"]),
    'channels': ({'camera.channels': 'bgr'}, ['camera.channels', 'mono, rgb', "'bgr'"]),
    'type': (
        {'lidar.type': 'laser'},
        ['lidar.type', 'pointcloud2, image, compressed_image', "'laser'"],
    ),
    'trigger': ({'trigger': 'gps'}, ['trigger must be one of lidar, camera, imu, rate', "'gps'"]),
    'trigger that is switched off': (
        {'sources': ['camera']},
        ['trigger must be one of camera, rate', "not 'lidar'"],
    ),
    # -- sources
    'no source': ({'sources': []}, ['sources must be a list', 'not []']),
    'capital letter': ({'sources': ['Lidar']}, ['lower-case', "not 'Lidar'"]),
    'digit first': ({'sources': ['2d']}, ['lower-case', "not '2d'"]),
    'a comma list is one name': ({'sources': 'lidar,imu'}, ['lower-case', "'lidar,imu'"]),
    'name of a group': ({'sources': ['voxels']}, ['not one of', 'features', "not 'voxels'"]),
    'name of a parameter': ({'sources': ['trigger']}, ['not one of', "not 'trigger'"]),
    'name of the rate trigger': ({'sources': ['rate']}, ['not one of', "not 'rate'"]),
    'name of a ROS group': ({'sources': ['qos_overrides']}, ["not 'qos_overrides'"]),
    'the same source twice': ({'sources': ['lidar', 'lidar']}, ['sources', "['lidar'] twice"]),
    'no type': (
        {'sources': ['lidar', 'rear']},
        ['rear.type is missing: set it to one of pointcloud2, image, compressed_image, imu, '],
    ),
    'voxels of a camera': (
        {'voxels.sources': ['camera']},
        ['voxels.sources', 'among the cloud sources [lidar]', 'not [camera]'],
    ),
    'voxels of nobody': ({'voxels.sources': ['rear']}, ['voxels.sources', '[lidar]', '[rear]']),
    'voxels of all and one': (
        {'voxels.sources': ['*', 'lidar']},
        ['voxels.sources must be ["*"] or names', "['*', 'lidar']"],
    ),
    'voxels of one twice': ({'voxels.sources': ['lidar', 'lidar']}, ["['lidar'] twice"]),
    # -- texts
    'empty topic': ({'lidar.topic': ''}, ['lidar.topic must be a ROS topic name', "not ''"]),
    'topic with blank': ({'lidar.topic': 'a b'}, ['lidar.topic', "not 'a b'"]),
    'topic with //': ({'lidar.topic': 'a//b'}, ['lidar.topic', "not 'a//b'"]),
    'topic ending in /': ({'lidar.topic': '/a/'}, ['lidar.topic', "not '/a/'"]),
    'topic with digit first': ({'lidar.topic': 'a/2b'}, ['lidar.topic', "not 'a/2b'"]),
    'topic with dash': ({'lidar.topic': 'a-b'}, ['lidar.topic', "not 'a-b'"]),
    'frame with slash': ({'output_frame': '/base'}, ['output_frame', "not '/base'"]),
    'frame with blank': ({'output_frame': 'base link'}, ['output_frame', "not 'base link'"]),
    # -- frames and motion
    'base frame with slash': ({'base_frame': '/base'}, ['base_frame must be a frame', "'/base'"]),
    'base frame is a number': ({'base_frame': 3}, ['base_frame must be a frame name', 'not 3']),
    'fixed frame with blank': (
        {**ODOM, 'deskew.fixed_frame': 'o dom'},
        ['deskew.fixed_frame must be a frame name', "not 'o dom'"],
    ),
    'extrinsic in nothing': (
        {'lidar.extrinsic': [0, 0, 1, 0, 0, 0]},
        ['base_frame is missing: lidar.extrinsic need', 'base_link'],
    ),
    'motion of nothing': (
        {'deskew.imu': 'imu', 'deskew.fixed_frame': 'odom'},
        ['base_frame is missing: deskew.imu, deskew.fixed_frame need'],
    ),
    'extrinsic of five numbers': (
        {**ODOM, 'lidar.extrinsic': [0.0] * 5},
        ['lidar.extrinsic must be 6 numbers', 'or 7 numbers', 'not [0.0, 0.0, 0.0, 0.0, 0.0]'],
    ),
    'extrinsic of eight numbers': (
        {**ODOM, 'lidar.extrinsic': [0.0] * 8},
        ['6 numbers x', '7 numbers x'],
    ),
    'NaN extrinsic': (
        {**ODOM, 'imu.extrinsic': [0, 0, NAN, 0, 0, 0]},
        ['imu.extrinsic must be', 'nan'],
    ),
    'extrinsic beyond the earth': ({**ODOM, 'lidar.extrinsic': [1e7] + [0] * 5}, ['1000000']),
    'extrinsic is a text': ({**ODOM, 'lidar.extrinsic': '0 0 1'}, ['lidar.extrinsic', "'0 0 1'"]),
    'zero quaternion': (
        {**ODOM, 'lidar.extrinsic': [1, 2, 3, 0, 0, 0, 0]},
        ['lidar.extrinsic must end in a quaternion x, y, z, w of unit length', 'not [1'],
    ),
    'long quaternion': ({**ODOM, 'imu.extrinsic': [0] * 3 + [1, 1, 1, 0]}, ['unit length']),
    'degrees': (
        {**ODOM, 'lidar.extrinsic': [0, 0, 1, 0, 0, 90]},
        ['lidar.extrinsic must end in roll, pitch, yaw in radians', '90', 'degrees?'],
    ),
    'extrinsic of joints': (
        {'sources': ['joints'], 'trigger': 'joints', 'joints.extrinsic': [0.0] * 6},
        ['unknown parameter joints.extrinsic', 'a source of type joint_state has'],
    ),
    'one topic of two types': (
        {'camera.topic': 'lidar/points'},
        ['lidar.topic and camera.topic', 'lidar/points', 'PointCloud2 and sensor_msgs/msg/Image'],
    ),
    'painting without frames': (
        {'camera.paint': ['rgb']},
        ['base_frame is missing', 'camera.paint', 'for example base_link'],
    ),
    'painting coordinates': (
        {'base_frame': 'base_link', 'camera.paint': ['label', 'z']},
        ['camera.paint', 'other than x, y, z, r, g, b, time_lag and recency', "not ['z']"],
    ),
    'painting twice': (
        {'base_frame': 'base_link', 'camera.paint': ['rgb', 'rgb']},
        ['camera.paint', 'once'],
    ),
    'topic of a CameraInfo': (
        {'camera.info_topic': 'a b'},
        ['camera.info_topic must be a ROS topic name', "'a b'"],
    ),
    'encoder without width': (
        {'camera.encoder.path': 'net.pt'},
        ['camera.encoder.width is missing', 'net.pt'],
    ),
    'encoder with two means': (
        {'camera.encoder.path': 'n.pt', 'camera.encoder.width': 2, 'camera.encoder.mean': [0, 1]},
        ['camera.encoder.mean', 'camera.encoder.std', '3 numbers, or both 1', '[0.0, 1.0]'],
    ),
    'encoder with a wrong digest': (
        {'camera.encoder.path': 'n.pt', 'camera.encoder.width': 2, 'camera.encoder.sha256': 'ab'},
        ['camera.encoder.sha256', '64 hexadecimal digits', "'ab'"],
    ),
    'misspelt key of an encoder': (
        {'camera.encoder.witdh': 2},
        ['unknown parameter camera.encoder.witdh', 'did you mean camera.encoder.width?'],
    ),
    'deskew by a lidar': (
        {**ODOM, 'deskew.imu': 'lidar'},
        ['deskew.imu must be "" or among the sources of type imu [imu]', "not 'lidar'"],
    ),
    'deskew by a source that is switched off': (
        {'sources': ['lidar'], 'base_frame': 'b', 'deskew.imu': 'imu'},
        ['deskew.imu must be "" or among the sources of type imu []', "not 'imu'"],
    ),
    'deskew by an imu that shall be odometry': (
        {**ODOM, 'deskew.odometry': 'imu'},
        ['deskew.odometry must be', 'of type odometry [odom]', "not 'imu'"],
    ),
    'two that tell the way': (
        {**ODOM, 'deskew.odometry': 'odom', 'deskew.fixed_frame': 'odom'},
        ['deskew.odometry and deskew.fixed_frame both tell how the robot moves'],
    ),
    'deskew to the middle': ({'deskew.to': 'middle'}, ['deskew.to', 'end, start, header']),
    'sweeps without a way': (
        {**ODOM, 'deskew.imu': 'imu', 'voxels.sweeps': 3},
        ['voxels.sweeps 3 needs deskew.odometry or deskew.fixed_frame'],
    ),
    'no sweep': ({'voxels.sweeps': 0}, ['voxels.sweeps must be', 'from 1 to 64', 'not 0']),
    'no half-life': ({'voxels.decay_sec': 0}, ['voxels.decay_sec', 'from 0.001', 'not 0']),
    'a cap below zero': ({'voxels.max_points_per_voxel': -1}, ['from 0 to 32', 'not -1']),
    'a seed too long': ({'voxels.seed': 2**32}, ['voxels.seed', '4294967295', '4294967296']),
    'unit of point times': (
        {'lidar.point_time_unit': 'sec'},
        ['lidar.point_time_unit', 'auto, s, ms, us, ns', "not 'sec'"],
    ),
    'stamp of which point': ({'lidar.stamp_at': 'first'}, ['lidar.stamp_at', "not 'first'"]),
    'bias of a fast turn': (
        {'imu.gyro_bias': [0, 0, 1.1]},
        ['imu.gyro_bias', 'from -1 to 1 rad/s', '1.1'],
    ),
    'NaN bias': ({'imu.gyro_bias': [0, 0, NAN]}, ['imu.gyro_bias', 'nan']),
    # -- the grid
    'no voxel size': ({'voxels.voxel_size': 0}, ['voxels.voxel_size', '0.0001', 'not 0']),
    'negative voxel size': ({'voxels.voxel_size': -0.1}, ['voxels.voxel_size', 'not -0.1']),
    'two voxel sizes': ({'voxels.voxel_size': [1, 2]}, ['one number or 3', 'not [1, 2]']),
    'five bounds': ({'voxels.point_cloud_range': [0.0] * 5}, ['must be 6 numbers']),
    'bounds the wrong way': (
        {'voxels.point_cloud_range': [1, 0, 0, 0, 1, 1]},
        ['voxels.point_cloud_range', 'min < max', 'got 1 and 0 for x'],
    ),
    'more than 2^20 cells along an axis': (
        {'voxels.point_cloud_range': [0, 0, 0, 2000, 1, 1], 'voxels.voxel_size': [0.001, 1, 1]},
        ['2^20', 'along x'],
    ),
    'more than 2^36 cells': (
        {'voxels.point_cloud_range': [0, 0, 0, 1e4, 1e4, 1e4], 'voxels.voxel_size': 2.0},
        ['5000 x 5000 x 5000', '2^36'],
    ),
    'more than 2^31 - 1 dense cells': (
        {
            'voxels.point_cloud_range': [0, 0, 0, 1e4, 1e4, 200],
            'voxels.voxel_size': 2.0,
            'voxels.dense': 'uint8',
        },
        ['voxels.dense: uint8', '2500000000', '2^31 - 1'],
    ),
    'dense occupancy without count': (
        {'voxels.dense': 'uint8', 'voxels.channels': ['occupancy']},
        ['voxels.dense: uint8', 'count', 'occupancy'],
    ),
    'dense values without count': (
        {'voxels.dense': 'float32', 'voxels.channels': ['mean_intensity']},
        ['voxels.dense: float32', 'count', 'mean_intensity'],
    ),
    'no channels': ({'voxels.channels': []}, ['voxels.channels must be', 'count', 'not []']),
    'unknown channel': ({'voxels.channels': ['median_x']}, ["'median_x'", 'centroid', 'max_F']),
    'channel of no field': ({'voxels.channels': ['mean_']}, ["'mean_'", 'mean_F']),
    'channel twice': (
        {'voxels.channels': ['count', 'count']},
        ['voxels.channels', "['count'] twice"],
    ),
    # -- features
    'more occupancy cells than voxels': (
        {**COARSE, 'lidar.occupancy_shape': [5, 8, 8]},
        ['lidar.occupancy_shape', '[4, 8, 8] in z, y, x', 'not [5, 8, 8]'],
    ),
    'occupancy without cells': ({'lidar.occupancy_shape': [0, 1, 1]}, ['from 1', '[0, 1, 1]']),
    'occupancy of a million features': (
        {'lidar.occupancy_shape': [40, 200, 200]},
        ['lidar.occupancy_shape', 'at most 65536', 'not 1600000'],
    ),
    'image grid without rows': ({'camera.grid': [0, 8]}, ['camera.grid', 'from 1', '[0, 8]']),
    'image grid of a million features': (
        {'camera.grid': [1000, 1000]},
        ['camera.grid', 'at most 65536', 'not 1000000'],
    ),
    'history shorter than window and timeout': (
        {'features.targets': 100, 'lidar.history_sec': 3, 'camera.history_sec': 3},
        ['imu.history_sec must be at least 2.1 s', '100', '50', '0.1', 'not 2'],
    ),
    'timeout longer than history': (
        {'timeout_sec': 1.9},
        ['lidar.history_sec must be at least 2.1 s', 'timeout_sec 1.9', 'not 2'],
    ),
    # -- resolutions
    'no power of two': (
        {'lidar.fields.ring.resolution': 0.3},
        ['lidar.fields.ring.resolution must be a power of two', 'not 0.3', 'try 0.25'],
    ),
    'resolution of zero': ({'lidar.fields.ring.resolution': 0}, ['a power of two', 'not 0']),
    'negative resolution': ({'lidar.fields.ring.resolution': -0.5}, ['a power', 'not -0.5']),
    'two resolutions of one field': (
        {**REAR, 'lidar.fields.ring.resolution': 0.5, 'rear.fields.ring.resolution': 1},
        ['rear.fields.ring.resolution must be 0.5 like that of lidar', 'not 1.0'],
    ),
    # -- joints
    'joints without names': (
        {'sources': ['lidar', 'joints']},
        ['joints.joints is missing', 'list the joints'],
    ),
    'a joint twice': ({**JOINTS, 'joints.joints': ['a', 'a']}, ['joints.joints', "['a'] twice"]),
    'a joint without name': ({**JOINTS, 'joints.joints': ['a', '']}, ['joints.joints', 'empty']),
    'an unknown interface': (
        {**JOINTS, 'joints.interfaces': ['torque']},
        ['joints.interfaces', 'position, velocity, effort', "not ['torque']"],
    ),
    'an interface twice': (
        {**JOINTS, 'joints.interfaces': ['effort', 'effort']},
        ['joints.interfaces', "['effort'] twice"],
    ),
}


@pytest.mark.parametrize(('given', 'texts'), REFUSED.values(), ids=list(REFUSED))
def test_refused_with_value_and_allowed_set(given, texts):
    with pytest.raises(ConfigError) as caught:
        Config.from_mapping(given)
    first = caught.value.problems[0]
    assert [text for text in texts if text not in first] == []


def test_a_long_value_is_cut_in_the_sentence():
    with pytest.raises(ConfigError) as caught:
        Config.from_mapping({'voxels.voxel_size': list(range(10000))})
    assert len(str(caught.value)) < 400


@pytest.mark.parametrize(
    'given',
    [
        {'timeout_sec': 0.0},
        {'timeout_sec': 1.8},  # 10 / 50 + 1.8 is just the history
        {'lidar.topic': '~/points'},
        {'lidar.topic': '/a/b_2/{node}/c'},
        {'output_frame': 'base_link/lidar-1'},
        {**ODOM, 'deskew.imu': 'imu', 'deskew.odometry': 'odom', 'voxels.sweeps': 64},
        {**ODOM, 'deskew.imu': 'imu', 'deskew.fixed_frame': 'odom', 'output_frame': 'odom'},
        {**ODOM, 'lidar.extrinsic': [1, 2, 3, 0.6, 0.6, 0.6, 0.6]},
        {'voxels.max_points_per_voxel': 32, 'voxels.seed': 2**32 - 1},
        {'lidar.fields.ring.resolution': 2.0**-60},
        {**COARSE, 'lidar.occupancy_shape': [4, 8, 8]},
        {'voxels.dense': 'uint8', 'voxels.channels': ['occupancy', 'count']},
        {**REAR, 'lidar.fields.ring.resolution': 0.5, 'rear.fields.ring.resolution': 0.5},
        {'camera.grid': [256, 256]},
    ],
    ids=str,
)
def test_what_lies_just_inside_is_accepted(given):
    Config.from_mapping(given)
