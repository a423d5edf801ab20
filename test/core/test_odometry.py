# Copyright 2026 the robocache_ros authors
# SPDX-License-Identifier: Apache-2.0
"""An odometry message becomes thirteen values in four groups, and a pose with all its digits."""

from __future__ import annotations

import numpy as np
import pytest
from codec_messages import INF, NAN, but, header, imu, odometry

from robocache_ros.codec.odometry import decode_odometry
from robocache_ros.config import Config
from robocache_ros.decoding import Decoder, frame_of
from robocache_ros.reasons import Reason, Rejected
from robocache_ros.schema import Schema


def test_values_are_position_orientation_linear_and_angular_velocity_in_the_order_of_the_schema():
    vector = decode_odometry(odometry(orientation=(0.5, -0.5, 0.5, 0.5)))
    assert vector.values.dtype == np.float32
    assert vector.values.tolist() == [1, 2, 3, 0.5, -0.5, 0.5, 0.5, 4, 5, 6, 7, 8, 9]
    assert vector.valid.tolist() == [True] * 4
    config = Config.from_mapping({'sources': ['lidar', 'odom']})
    groups = [group for group in Schema.from_config(config).groups if group.source == 'odom']
    assert [(group.name, group.width, group.rule) for group in groups] == [
        ('odom_position', 3, 'linear'),
        ('odom_orientation', 4, 'slerp'),
        ('odom_linear_velocity', 3, 'linear'),
        ('odom_angular_velocity', 3, 'linear'),
    ]


def test_the_pose_keeps_the_millimetres_of_a_map_that_is_far_away():
    easting = 4_500_000.001  # float32 knows halves of a metre there
    vector = decode_odometry(odometry(position=(easting, 0.0, -1e-9)))
    assert vector.pose.dtype == np.float64
    assert vector.pose.tolist() == [easting, 0.0, -1e-9, 0.0, 0.0, 0.0, 1.0]
    assert vector.values[0] == 4_500_000.0


@pytest.mark.parametrize('factor', [0.75, 1.0, 1.25])
def test_the_quaternion_of_the_pose_is_made_one_of_unit_length(factor):
    unit = np.array([0.5, -0.5, 0.5, -0.5])
    vector = decode_odometry(odometry(orientation=tuple(factor * unit)))
    np.testing.assert_allclose(vector.pose[3:], unit, rtol=1e-15)


def test_negative_zero_is_zero():
    vector = decode_odometry(odometry(position=(-0.0, 0.0, 0.0)))
    assert not np.signbit(vector.values).any()


@pytest.mark.parametrize(
    'orientation', [(0.0, 0.0, 0.0, 0.0), (0.0, 0.0, 0.0, 0.7), (1.0, 1.0, 0.5, 0.0)]
)
def test_an_orientation_that_is_no_rotation_takes_the_whole_message(orientation):
    with pytest.raises(Rejected) as caught:
        decode_odometry(odometry(orientation=orientation))
    assert caught.value.reason is Reason.BAD_POSE
    assert str(orientation) in caught.value.detail


@pytest.mark.parametrize('bad', [NAN, INF, -INF, 2.0**126, 1e300], ids=str)
@pytest.mark.parametrize('part', ['position', 'orientation', 'linear', 'angular'])
def test_a_value_that_is_none_takes_the_whole_message(part, bad):
    values = [0.0, 0.0, 0.0] + [1.0] * (part == 'orientation')
    values[1] = bad
    with pytest.raises(Rejected) as caught:
        decode_odometry(odometry(**{part: tuple(values)}))
    assert caught.value.reason is Reason.NONFINITE


def test_numbers_of_numpy_do_as_well():
    exact = tuple(np.float64(v) for v in (1.5, 2.5, 3.5))
    assert decode_odometry(odometry(position=exact)).pose[:3].tolist() == [1.5, 2.5, 3.5]


def test_odometry_is_about_its_child_and_all_else_about_the_frame_of_the_header():
    assert frame_of(odometry()) == 'base_link'
    assert frame_of(but(odometry(), child_frame_id='')) == ''
    assert frame_of(but(imu(), header=header(frame_id='imu_link'))) == 'imu_link'


def test_the_decoder_of_an_odometry_source_shifts_its_time():
    config = Config.from_mapping({'sources': ['lidar', 'odom'], 'odom.time_offset_sec': -0.01})
    t_ns, vector = Decoder(config.source('odom'), config.deskew)(odometry(), 50_000_000)
    assert t_ns == 40_000_000
    assert vector.pose[:3].tolist() == [1.0, 2.0, 3.0]
