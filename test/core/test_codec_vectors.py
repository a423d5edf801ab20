# Copyright 2026 the robocache_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Stamps, IMU messages and joint states come out as the numbers that were put in."""

from __future__ import annotations

import array

import numpy as np
import pytest
from codec_messages import NAN, but, header, imu, joints

from robocache_ros.codec.imu import decode_imu
from robocache_ros.codec.joints import joint_decoder
from robocache_ros.codec.stamp import stamp_ns
from robocache_ros.reasons import Reason, Rejected

pytestmark = pytest.mark.filterwarnings('error')


def test_stamp_is_exact_to_the_nanosecond():
    found = stamp_ns(header(1_700_000_000, 123_456_789))
    assert found == 1_700_000_000_123_456_789
    assert type(found) is int


def test_imu_is_orientation_rate_acceleration():
    vector = decode_imu(imu((0.5, 0.5, 0.5, 0.5), (1.0, 2.0, 3.0), (4.0, 5.0, 6.0)))
    assert vector.values.dtype == np.float32
    assert vector.values.tolist() == [0.5, 0.5, 0.5, 0.5, 1.0, 2.0, 3.0, 4.0, 5.0, 6.0]
    assert vector.valid.tolist() == [True, True, True]
    assert not vector.notes


@pytest.mark.parametrize('hold', [list, tuple, np.array, lambda v: array.array('d', v)])
def test_covariance_of_minus_one_means_no_orientation_and_is_no_fault(hold):
    covariance = hold([-1.0] + [0.0] * 8)
    vector = decode_imu(but(imu((NAN, NAN, NAN, NAN)), orientation_covariance=covariance))
    assert vector.values[:4].tolist() == [0.0, 0.0, 0.0, 1.0]
    assert vector.valid.tolist() == [False, True, True]
    assert not vector.notes


@pytest.mark.parametrize(
    ('part', 'columns', 'valid'),
    [
        ('angular_velocity', slice(4, 7), [True, False, True]),
        ('linear_acceleration', slice(7, 10), [True, True, False]),
    ],
)
def test_covariance_of_minus_one_means_no_rate_or_acceleration(part, columns, valid):
    unmeasured = {f'{part}_covariance': [-1.0] * 9}
    vector = decode_imu(
        but(
            imu(rate=(NAN, 1.0, 1.0), acceleration=(NAN, 1.0, 1.0)),
            angular_velocity_covariance=[-1.0] * 9,
            linear_acceleration_covariance=[-1.0] * 9,
        )
    )
    assert vector.valid.tolist() == [True, False, False]
    vector = decode_imu(but(imu(), **unmeasured))
    assert vector.values[columns].tolist() == [0.0, 0.0, 0.0]
    assert vector.valid.tolist() == valid


@pytest.mark.parametrize(
    ('quaternion', 'valid'),
    [
        ((0.0, 0.0, 0.0, 0.75), True),  # squared length 0.5625
        ((0.5, 0.5, 0.0, 0.0), True),  # 0.5
        ((1.0, 1.0, 0.0, 0.0), True),  # 2
        ((0.0, 0.0, 0.0, 0.6875), False),  # 0.47265625
        ((1.0, 1.0, 0.125, 0.0), False),  # 2.015625
        ((0.0, 0.0, 0.0, 0.0), False),
        ((NAN, 0.0, 0.0, 1.0), False),
        ((1e300, 0.0, 0.0, 1.0), False),
    ],
)
def test_orientation_counts_where_its_squared_length_is_between_a_half_and_two(quaternion, valid):
    vector = decode_imu(imu(quaternion))
    assert vector.valid.tolist() == [valid, True, True]
    assert vector.notes == ({} if valid else {Reason.BAD_QUATERNION: 1})
    assert vector.values[:4].tolist() == list(quaternion if valid else (0.0, 0.0, 0.0, 1.0))


def test_vectors_hold_no_negative_zero():
    assert not np.signbit(decode_imu(imu((-0.0, -0.0, -0.0, 1.0), (-0.0,) * 3)).values).any()
    decode = joint_decoder(['a'], ['position'])
    assert not np.signbit(decode(joints(['a'], [-0.0])).values).any()


def test_joints_come_in_the_configured_order_one_group_per_interface():
    decode = joint_decoder(['c', 'a'], ['velocity', 'position'])
    vector = decode(joints(['a', 'b', 'c'], [1.0, 2.0, 3.0], [10.0, 20.0, 30.0]))
    assert vector.values.dtype == np.float32
    assert vector.values.tolist() == [30.0, 10.0, 3.0, 1.0]
    assert vector.valid.tolist() == [True, True]


def test_joints_are_found_again_when_the_names_change():
    decode = joint_decoder(['a'], ['position'])
    assert decode(joints(['a', 'b'], [1.0, 2.0])).values.tolist() == [1.0]
    assert decode(joints(['b', 'a'], [1.0, 2.0])).values.tolist() == [2.0]
    with pytest.raises(Rejected, match="'a' is 0 times among 'b', 'c'"):
        decode(joints(['b', 'c'], [1.0, 2.0]))
    assert decode(joints(['b', 'a'], [1.0, 2.0])).values.tolist() == [2.0]


def test_interface_without_values_is_an_invalid_group():
    decode = joint_decoder(['a', 'b'], ['position', 'velocity', 'effort'])
    vector = decode(joints(['a', 'b'], [1.0, 2.0], [], [3.0, 4.0]))
    assert vector.values.tolist() == [1.0, 2.0, 0.0, 0.0, 3.0, 4.0]
    assert vector.valid.tolist() == [True, False, True]


@pytest.mark.parametrize('hold', [list, np.array])
def test_joint_arrays_may_be_lists_or_ndarrays(hold):
    msg = joints(['a', 'b'], [1.0, 2.0])
    msg = but(msg, position=hold([1.0, 2.0]), velocity=hold([]), effort=hold([]))
    assert joint_decoder(['b'], ['position'])(msg).values.tolist() == [2.0]


def test_refused_joint_value_names_the_joint():
    decode = joint_decoder(['b', 'c'], ['position'])
    with pytest.raises(Rejected, match="position of 'c' is nan"):
        decode(joints(['a', 'b', 'c'], [1.0, 2.0, NAN]))
