# Copyright 2026 the robocache_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Malformed and merely strange messages, each by name: what is refused, what is repaired."""

from __future__ import annotations

import struct
from types import SimpleNamespace as Message

import numpy as np
import pytest
from codec_messages import but, slow_columns
from hostile_clouds import CLOUD, READ_CLOUDS, REFUSED_CLOUDS, U32
from hostile_messages import (
    BAD_Q,
    READ_IMAGES,
    READ_IMUS,
    READ_JOINTS,
    READ_STAMPS,
    REFUSED_IMAGES,
    REFUSED_IMUS,
    REFUSED_JOINTS,
    REFUSED_STAMPS,
)

from robocache_ros.codec.cloud import decode_cloud
from robocache_ros.codec.image import decode_image
from robocache_ros.codec.imu import decode_imu
from robocache_ros.codec.joints import joint_decoder
from robocache_ros.codec.stamp import stamp_ns
from robocache_ros.reasons import Reason, Rejected, Scope

pytestmark = pytest.mark.filterwarnings('error')


def refused_as(decode, msg):
    with pytest.raises(Rejected) as refusal:
        decode(msg)
    assert 10 < len(refusal.value.detail) < 400
    return refusal.value.reason


@pytest.mark.parametrize('name', REFUSED_CLOUDS)
def test_refused_cloud(name):
    msg, reason = REFUSED_CLOUDS[name]
    assert refused_as(decode_cloud, msg) is reason


@pytest.mark.parametrize('name', READ_CLOUDS)
def test_read_cloud(name):
    msg, notes = READ_CLOUDS[name]
    view = decode_cloud(msg)
    assert dict(view.notes) == notes
    for field_name, expected in slow_columns(msg).items():
        column = view.column(field_name)
        np.testing.assert_array_equal(column, np.array(expected, column.dtype))
        assert column.shape == (view.n,)


@pytest.mark.parametrize('name', REFUSED_IMAGES)
def test_refused_image(name):
    msg, reason = REFUSED_IMAGES[name]
    assert refused_as(decode_image, msg) is reason


@pytest.mark.parametrize('name', READ_IMAGES)
def test_read_image(name):
    msg = READ_IMAGES[name]
    pixels = decode_image(msg).pixels()
    data, size = bytes(msg.data), pixels.dtype.itemsize
    letter = {'u1': 'B', 'u2': 'H', 'f4': 'f'}[pixels.dtype.str[1:]]
    order = '>' if msg.is_bigendian else '<'
    for (row, column, channel), value in np.ndenumerate(pixels):
        at = row * msg.step + (column * pixels.shape[2] + channel) * size
        np.testing.assert_equal(value, struct.unpack_from(order + letter, data, at)[0])


@pytest.mark.parametrize('name', REFUSED_IMUS)
def test_refused_imu(name):
    msg, reason = REFUSED_IMUS[name]
    assert refused_as(decode_imu, msg) is reason


@pytest.mark.parametrize('name', READ_IMUS)
def test_read_imu(name):
    msg, valid, notes = READ_IMUS[name]
    vector = decode_imu(msg)
    assert tuple(vector.valid) == valid
    assert dict(vector.notes) == notes
    assert np.isfinite(vector.values).all()


@pytest.mark.parametrize('name', REFUSED_JOINTS)
def test_refused_joints(name):
    msg, reason = REFUSED_JOINTS[name]
    assert refused_as(joint_decoder(['a', 'b'], ['position', 'velocity']), msg) is reason


@pytest.mark.parametrize('name', READ_JOINTS)
def test_read_joints(name):
    msg, valid = READ_JOINTS[name]
    vector = joint_decoder(['a', 'b'], ['position', 'velocity'])(msg)
    assert tuple(vector.valid) == valid
    assert np.isfinite(vector.values).all()


@pytest.mark.parametrize('name', REFUSED_STAMPS)
def test_refused_stamp(name):
    stamp, reason = REFUSED_STAMPS[name]
    with pytest.raises(Rejected) as refusal:
        stamp_ns(stamp)
    assert refusal.value.reason is reason


@pytest.mark.parametrize('name', READ_STAMPS)
def test_read_stamp(name):
    stamp, expected = READ_STAMPS[name]
    assert stamp_ns(stamp) == expected


def test_every_reason_of_the_codec_is_among_the_cases_and_refuses_samples():
    refused = (REFUSED_CLOUDS, REFUSED_IMAGES, REFUSED_IMUS, REFUSED_JOINTS, REFUSED_STAMPS)
    met = {reason for cases in refused for _, reason in cases.values()}
    assert met == {
        *(Reason.STAMP_UNSET, Reason.STAMP_INVALID, Reason.CLOUD_SIZE, Reason.CLOUD_FIELD),
        *(Reason.CLOUD_XYZ, Reason.TOO_LARGE, Reason.IMAGE_ENCODING, Reason.IMAGE_SIZE),
        *(Reason.NONFINITE, Reason.JOINT_MISSING, Reason.JOINT_LENGTH),
    }
    assert {reason.scope for reason in met} == {Scope.SAMPLE}
    noted = {reason for _, notes in READ_CLOUDS.values() for reason in notes} | set(BAD_Q)
    assert noted == {Reason.CLOUD_ROW_STEP, Reason.CLOUD_EXTRA_DATA, Reason.BAD_QUATERNION}
    assert {reason.scope for reason in noted} == {Scope.VALUE}


def test_absurd_sizes_are_refused_before_anything_is_looked_at():
    class Untouchable:
        def __iter__(self):
            raise AssertionError('the fields were read')

    msg = but(CLOUD, width=U32, height=U32, fields=Untouchable())
    assert refused_as(decode_cloud, msg) is Reason.TOO_LARGE


def test_a_message_type_without_our_fields_is_a_bug_and_says_so():
    with pytest.raises(AttributeError):
        decode_cloud(Message(data=b''))
