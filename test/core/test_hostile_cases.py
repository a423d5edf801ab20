# Copyright 2026 the robocache_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Malformed and merely strange messages, each by name: what is refused, what is repaired."""

from __future__ import annotations

import array
import struct
from types import SimpleNamespace as Message

import numpy as np
import pytest
from codec_messages import (
    INF,
    NAN,
    XYZ_FIELDS,
    XYZI_FIELDS,
    but,
    cloud,
    field,
    header,
    image,
    imu,
    joints,
    slow_columns,
)

from robocache_ros.codec.cloud import decode_cloud
from robocache_ros.codec.image import decode_image
from robocache_ros.codec.imu import decode_imu
from robocache_ros.codec.joints import joint_decoder
from robocache_ros.codec.stamp import stamp_ns
from robocache_ros.reasons import Reason, Rejected, Scope

pytestmark = pytest.mark.filterwarnings('error')

U32 = 2**32 - 1
P = [(float(k), k + 0.5, -float(k), 10.0 * k) for k in range(6)]  # six points x y z intensity
CLOUD = cloud(P)
GRID = cloud(P, width=3)  # two rows of three
PADDED = cloud(P, width=3, padding=8)


def fields(*entries, step=None, **changes):
    """CLOUD with other fields; its points are 16 bytes."""
    return but(CLOUD, fields=[field(*entry) for entry in entries], **changes)


def xyz_as(datatype, count=1):
    """Cloud whose x, y and z are of another type, each in its own 8 bytes."""
    entries = [(name, 8 * k, datatype, count) for k, name in enumerate('xyz')]
    return but(CLOUD, fields=[field(*e) for e in entries], point_step=24, width=4, row_step=96)


# Named messages and why they are refused.
REFUSED_CLOUDS = {
    # -- sizes that do not add up
    'point_step is 0': (but(CLOUD, point_step=0), Reason.CLOUD_SIZE),
    'point_step is 0 and so is row_step': (
        but(CLOUD, point_step=0, row_step=0),
        Reason.CLOUD_SIZE,
    ),
    'point_step near 2^32': (but(CLOUD, point_step=U32), Reason.CLOUD_SIZE),
    'one byte short': (but(CLOUD, data=CLOUD.data[:-1]), Reason.CLOUD_SIZE),
    'no data': (but(CLOUD, data=array.array('B')), Reason.CLOUD_SIZE),
    'width is doubled': (but(CLOUD, width=12), Reason.CLOUD_SIZE),
    'height is doubled': (but(CLOUD, height=2), Reason.CLOUD_SIZE),
    'a million points in 96 bytes': (but(CLOUD, width=10**6), Reason.CLOUD_SIZE),
    'rows further apart than the data is long': (
        but(GRID, row_step=200, data=GRID.data + array.array('B', [0])),
        Reason.CLOUD_SIZE,
    ),
    'row_step near 2^32': (
        but(GRID, row_step=U32, data=GRID.data + array.array('B', [0])),
        Reason.CLOUD_SIZE,
    ),
    'padded rows, but row_step is 0': (but(PADDED, row_step=0), Reason.CLOUD_SIZE),
    'padded rows, but row_step is stale': (but(PADDED, row_step=40), Reason.CLOUD_SIZE),
    'padded rows, last row cut': (but(PADDED, data=PADDED.data[:-9]), Reason.CLOUD_SIZE),
    'compressed payload under a plain layout': (
        but(CLOUD, data=CLOUD.data[:40]),
        Reason.CLOUD_SIZE,
    ),
    'data is a list': (but(CLOUD, data=list(CLOUD.data)), Reason.CLOUD_SIZE),
    'data is None': (but(CLOUD, data=None), Reason.CLOUD_SIZE),
    'data is text': (but(CLOUD, data='x' * 96), Reason.CLOUD_SIZE),
    'data is an array of floats': (but(CLOUD, data=np.zeros(96, np.float32)), Reason.CLOUD_SIZE),
    'data is every other byte of an array': (
        but(CLOUD, data=np.zeros(192, np.uint8)[::2]),
        Reason.CLOUD_SIZE,
    ),
    # -- more than any sensor sends
    'width 2^32 - 1': (but(CLOUD, width=U32), Reason.TOO_LARGE),
    '65536 x 65536 points, a product that wraps to 0': (
        but(CLOUD, width=65536, height=65536),
        Reason.TOO_LARGE,
    ),
    'width x height x point_step wraps to the data length': (
        but(CLOUD, width=2**31 + 3, height=2, row_step=48),
        Reason.TOO_LARGE,
    ),
    'one point more than 2^27': (but(CLOUD, width=2**27 + 1), Reason.TOO_LARGE),
    # -- fields
    'field ends one byte past the point': (
        fields(*XYZ_FIELDS, ('intensity', 13, 7, 1)),
        Reason.CLOUD_FIELD,
    ),
    'field begins past the point': (
        fields(*XYZ_FIELDS, ('intensity', 16, 2, 1)),
        Reason.CLOUD_FIELD,
    ),
    'field far past the point': (
        fields(*XYZ_FIELDS, ('intensity', 4096, 7, 1)),
        Reason.CLOUD_FIELD,
    ),
    'offset near 2^32, where offset + size wraps': (
        fields(*XYZ_FIELDS, ('intensity', U32 - 3, 7, 1)),
        Reason.CLOUD_FIELD,
    ),
    'z ends past the point': (fields(*XYZ_FIELDS[:2], ('z', 13, 7, 1)), Reason.CLOUD_FIELD),
    'point_step smaller than its fields': (but(CLOUD, point_step=12, width=8), Reason.CLOUD_FIELD),
    'point_step 0 in a cloud without points': (
        but(CLOUD, point_step=0, width=0, data=array.array('B')),
        Reason.CLOUD_FIELD,
    ),
    'count is 0': (fields(*XYZ_FIELDS, ('intensity', 12, 7, 0)), Reason.CLOUD_FIELD),
    'count is a million': (fields(*XYZ_FIELDS, ('intensity', 12, 2, 10**6)), Reason.CLOUD_FIELD),
    'count x size wraps to 0': (
        fields(*XYZ_FIELDS, ('intensity', 12, 7, 2**30)),
        Reason.CLOUD_FIELD,
    ),
    'datatype is 0': (fields(*XYZ_FIELDS, ('intensity', 12, 0, 1)), Reason.CLOUD_FIELD),
    'datatype is 12': (fields(*XYZ_FIELDS, ('intensity', 12, 12, 1)), Reason.CLOUD_FIELD),
    'datatype is 255': (fields(*XYZ_FIELDS, ('intensity', 12, 255, 1)), Reason.CLOUD_FIELD),
    'two fields of one name': (fields(*XYZI_FIELDS, ('intensity', 12, 7, 1)), Reason.CLOUD_FIELD),
    'two fields named x': (fields(*XYZ_FIELDS, ('x', 12, 7, 1)), Reason.CLOUD_FIELD),
    'field without a name': (fields(*XYZ_FIELDS, ('', 12, 7, 1)), Reason.CLOUD_FIELD),
    # -- coordinates
    'no fields': (fields(), Reason.CLOUD_XYZ),
    'message with nothing set': (
        but(CLOUD, fields=[], width=0, height=0, point_step=0, row_step=0, data=array.array('B')),
        Reason.CLOUD_XYZ,
    ),
    'no z': (fields(*XYZ_FIELDS[:2]), Reason.CLOUD_XYZ),
    'X Y Z in capitals': (
        fields(*((name.upper(), *rest) for name, *rest in XYZ_FIELDS)),
        Reason.CLOUD_XYZ,
    ),
    'x y z in one field of three': (fields(('xyz', 0, 7, 3)), Reason.CLOUD_XYZ),
    'x y z are int16': (xyz_as(3), Reason.CLOUD_XYZ),
    'x y z are int32': (xyz_as(5), Reason.CLOUD_XYZ),
    'x y z are int64': (xyz_as(9), Reason.CLOUD_XYZ),
    'x y z are bool': (xyz_as(11), Reason.CLOUD_XYZ),
    'x y z have count 2': (xyz_as(7, count=2), Reason.CLOUD_XYZ),
}

ROW_STEP = {Reason.CLOUD_ROW_STEP: 1}
EXTRA = {Reason.CLOUD_EXTRA_DATA: 1}


def typed(datatype, *values):
    """Cloud of 24-byte points with one more field of this type."""
    return cloud(
        [(*p, v) for p, v in zip(P, values, strict=False)],
        (*XYZI_FIELDS, ('extra', 16, datatype, 1)),
        24,
    )


# Named messages that are read, and what is noted about them.
READ_CLOUDS = {
    'row_step is 0': (but(GRID, row_step=0), ROW_STEP),
    'row_step is stale and small': (but(GRID, row_step=16), ROW_STEP),
    'row_step is stale and large': (but(GRID, row_step=1000), ROW_STEP),
    'row_step is 2^32 - 1': (but(GRID, row_step=U32), ROW_STEP),
    'row_step of one row is 0': (but(CLOUD, row_step=0), ROW_STEP),
    'row_step of one row is stale and large': (but(CLOUD, row_step=1000), ROW_STEP),
    'row_step of one row is 0, with more data': (
        but(CLOUD, row_step=0, data=CLOUD.data + array.array('B', [9])),
        {**ROW_STEP, **EXTRA},
    ),
    'padded rows': (PADDED, {}),
    'padded rows, none behind the last': (but(PADDED, data=PADDED.data[:-8]), {}),
    'padded rows, more data behind': (
        but(PADDED, data=PADDED.data + array.array('B', [9])),
        EXTRA,
    ),
    'rows of one padded point': (cloud(P, width=1, padding=3), {}),
    'one padded row': (cloud(P, padding=8), {}),
    'more data than points': (but(CLOUD, data=CLOUD.data + array.array('B', [9] * 50)), EXTRA),
    'more data than rows': (but(GRID, data=GRID.data + array.array('B', [9])), EXTRA),
    '513168 bytes for 167 x 64 points of 48': (
        but(
            cloud([(1.0, 2.0, 3.0, 4.0)] * (167 * 64), step=48, width=167),
            data=array.array('B', bytes(513168)),
        ),
        EXTRA,
    ),
    'big-endian': (cloud(P, big_endian=True), {}),
    'float64 coordinates': (
        cloud([p[:3] for p in P], [(n, 8 * k, 8, 1) for k, n in enumerate('xyz')]),
        {},
    ),
    'z is float64, x and y are float32': (
        cloud([p[:3] for p in P], (('x', 0, 7, 1), ('y', 4, 7, 1), ('z', 8, 8, 1))),
        {},
    ),
    'fields listed in reverse': (but(CLOUD, fields=CLOUD.fields[::-1]), {}),
    'no intensity': (cloud([p[:3] for p in P], XYZ_FIELDS), {}),
    'unaligned points of 13 bytes': (cloud([p[:3] for p in P], XYZ_FIELDS, 13), {}),
    'points of a mebibyte': (cloud(P[:2], step=2**20), {}),
    'fields that overlap': (
        fields(*XYZ_FIELDS, ('rgb', 12, 7, 1), ('b', 12, 2, 1), ('g', 13, 2, 1)),
        {},
    ),
    'every field at byte 0': (fields(*((n, 0, 7, 1) for n in 'xyz')), {}),
    'field of several values': (fields(*XYZ_FIELDS, ('rgba', 12, 2, 4)), {}),
    'int8 field': (typed(1, -128, 127), {}),
    'uint8 field': (typed(2, 0, 255), {}),
    'uint16 field': (typed(4, 0, 65535), {}),
    'uint32 time': (typed(6, 0, U32), {}),
    'float64 time': (typed(8, 1.7e9 + 0.125, NAN), {}),
    'int64 time': (typed(9, -(2**63), 2**63 - 1), {}),
    'uint64 time': (typed(10, 0, 2**64 - 1), {}),
    'bool field': (typed(11, True, False), {}),
    'a thousand fields': (
        fields(*XYZ_FIELDS, *((f'f{k}', k % 16, 2, 1) for k in range(1000))),
        {},
    ),
    'field names in any language': (
        fields(*XYZ_FIELDS, ('Stärke ☀', 12, 7, 1), ('x' * 10_000, 12, 7, 1)),
        {},
    ),
    'no points': (but(CLOUD, width=0, row_step=0, data=array.array('B')), {}),
    'no rows': (but(CLOUD, height=0, data=array.array('B')), {}),
    'no rows of 2^32 - 1 points': (but(CLOUD, height=0, width=U32, data=array.array('B')), {}),
    'no points, but data': (but(CLOUD, width=0), EXTRA),
    'no points and a stale row_step': (
        but(CLOUD, width=0, row_step=77, data=array.array('B')),
        {},
    ),
    'one point': (cloud(P[:1]), {}),
    'all NaN': (cloud([(NAN, NAN, NAN, NAN)] * 3), {}),
    'infinite': (cloud([(INF, -INF, 0.0, INF)]), {}),
    'denormal, tiny and huge': (cloud([(1e-45, 1e-38, 1e38, -0.0)]), {}),
    'NaN although is_dense': (but(cloud([(NAN, 1.0, 1.0, 1.0)]), is_dense=True), {}),
    'empty frame_id': (but(CLOUD, header=header(frame_id='')), {}),
}

IMAGE = image('rgb8', row=9)
DEPTH = image('32FC1', row=12)

REFUSED_IMAGES = {
    '0 x 0': (but(IMAGE, width=0, height=0, step=0, data=array.array('B')), Reason.IMAGE_SIZE),
    'width is 0': (but(IMAGE, width=0), Reason.IMAGE_SIZE),
    'height is 0': (but(IMAGE, height=0), Reason.IMAGE_SIZE),
    'step is 0': (but(IMAGE, step=0), Reason.IMAGE_SIZE),
    'step one byte less than a row': (but(IMAGE, step=8), Reason.IMAGE_SIZE),
    'step of a mono image': (but(IMAGE, step=3), Reason.IMAGE_SIZE),
    'step in pixels, not bytes': (but(DEPTH, step=3), Reason.IMAGE_SIZE),
    'step near 2^32': (but(IMAGE, step=U32), Reason.IMAGE_SIZE),
    'one byte short': (but(IMAGE, data=IMAGE.data[:-1]), Reason.IMAGE_SIZE),
    'no data': (but(IMAGE, data=array.array('B')), Reason.IMAGE_SIZE),
    'a JPEG in the data': (
        but(IMAGE, data=array.array('B', b'\xff\xd8\xff\xe0')),
        Reason.IMAGE_SIZE,
    ),
    'data is a list': (but(IMAGE, data=list(IMAGE.data)), Reason.IMAGE_SIZE),
    'data is 16-bit integers': (but(IMAGE, data=np.zeros(18, np.uint16)), Reason.IMAGE_SIZE),
    'width is doubled': (but(IMAGE, width=6), Reason.IMAGE_SIZE),
    'height 2^27 with two rows of data': (but(IMAGE, height=2**25), Reason.IMAGE_SIZE),
    '65536 x 65536 pixels': (but(IMAGE, width=65536, height=65536, step=U32), Reason.TOO_LARGE),
    'width 2^32 - 1': (but(IMAGE, width=U32), Reason.TOO_LARGE),
    'encoding is empty': (but(IMAGE, encoding=''), Reason.IMAGE_ENCODING),
    'encoding in capitals': (but(IMAGE, encoding='RGB8'), Reason.IMAGE_ENCODING),
    'encoding with a space': (but(IMAGE, encoding='rgb8 '), Reason.IMAGE_ENCODING),
    'encoding 8UC3': (but(IMAGE, encoding='8UC3'), Reason.IMAGE_ENCODING),
    'encoding yuv422': (but(IMAGE, encoding='yuv422'), Reason.IMAGE_ENCODING),
    'encoding nv12': (but(IMAGE, encoding='nv12'), Reason.IMAGE_ENCODING),
    'encoding bayer_rggb16': (but(IMAGE, encoding='bayer_rggb16'), Reason.IMAGE_ENCODING),
    'encoding jpeg': (but(IMAGE, encoding='jpeg'), Reason.IMAGE_ENCODING),
    'encoding is a million letters': (but(IMAGE, encoding='x' * 10**6), Reason.IMAGE_ENCODING),
}

READ_IMAGES = {
    'padded rows': image('rgb8', row=9, padding=7),
    'padded rows of 16 bits at odd addresses': image('mono16', row=6, padding=1),
    'more data than rows': but(IMAGE, data=IMAGE.data + array.array('B', [9])),
    'one pixel': image(width=1, height=1),
    'big-endian 16 bit': image('16UC1', row=6, big_endian=1),
    'big-endian flag on bytes': image('rgb8', row=9, big_endian=1),
    'depth of NaN and infinity': image('32FC1', 2, 1, 8, data=struct.pack('<2f', NAN, INF)),
    'one row, step larger than the data': but(image(height=1), step=4000),
}

IMU = imu()
REFUSED_IMUS = {
    'rate is NaN': (imu(rate=(0.0, NAN, 0.0)), Reason.NONFINITE),
    'rate is infinite': (imu(rate=(0.0, 0.0, -INF)), Reason.NONFINITE),
    'acceleration is NaN': (imu(acceleration=(NAN, 0.0, 0.0)), Reason.NONFINITE),
    'acceleration is 2^126': (imu(acceleration=(0.0, 2.0**126, 0.0)), Reason.NONFINITE),
    'acceleration does not fit in float32': (
        imu(acceleration=(0.0, -1e300, 0.0)),
        Reason.NONFINITE,
    ),
}

BAD_Q = {Reason.BAD_QUATERNION: 1}
# Named message, validity of orientation, rate and acceleration, notes.
READ_IMUS = {
    'orientation covariance -1': (
        but(IMU, orientation_covariance=[-1.0] * 9),
        (False, True, True),
        {},
    ),
    'orientation covariance -1 and NaN orientation': (
        but(imu((NAN,) * 4), orientation_covariance=[-1.0] * 9),
        (False, True, True),
        {},
    ),
    'covariances all zero': (IMU, (True, True, True), {}),
    'covariances all NaN': (
        but(
            IMU,
            orientation_covariance=[NAN] * 9,
            angular_velocity_covariance=[NAN] * 9,
            linear_acceleration_covariance=[NAN] * 9,
        ),
        (True, True, True),
        {},
    ),
    'rate covariance -1 and NaN rate': (
        but(imu(rate=(NAN,) * 3), angular_velocity_covariance=[-1.0] * 9),
        (True, False, True),
        {},
    ),
    'acceleration covariance -1': (
        but(IMU, linear_acceleration_covariance=[-1.0] * 9),
        (True, True, False),
        {},
    ),
    'quaternion of zeros': (imu((0.0,) * 4), (False, True, True), BAD_Q),
    'quaternion of NaN': (imu((NAN,) * 4), (False, True, True), BAD_Q),
    'quaternion with an infinity': (imu((INF, 0.0, 0.0, 1.0)), (False, True, True), BAD_Q),
    'quaternion twice as long': (imu((0.0, 0.0, 0.0, 2.0)), (False, True, True), BAD_Q),
    'quaternion in degrees': (imu((0.0, 0.0, 90.0, 1.0)), (False, True, True), BAD_Q),
    'quaternion rounded to float32': (
        imu((0.0, 0.0, 0.70710677, 0.70710677)),
        (True, True, True),
        {},
    ),
    'just below 2^126': (imu(rate=(2.0**125, 0.0, 0.0)), (True, True, True), {}),
    'acceleration in g': (imu(acceleration=(0.0, 0.0, 1.0)), (True, True, True), {}),
}

REFUSED_JOINTS = {
    'no names and no values': (joints([], []), Reason.JOINT_MISSING),
    'a joint is missing': (joints(['a', 'c'], [1.0, 2.0]), Reason.JOINT_MISSING),
    'a joint is there twice': (joints(['a', 'b', 'a'], [1.0] * 3), Reason.JOINT_MISSING),
    'name in capitals': (joints(['A', 'b'], [1.0, 2.0]), Reason.JOINT_MISSING),
    'names without values of the others': (joints(['c', 'd'], [1.0] * 2), Reason.JOINT_MISSING),
    'fewer positions than names': (joints(['a', 'b'], [1.0]), Reason.JOINT_LENGTH),
    'more positions than names': (joints(['a', 'b'], [1.0] * 3), Reason.JOINT_LENGTH),
    'positions without names': (joints([], [1.0, 2.0]), Reason.JOINT_LENGTH),
    'unused effort of another length': (
        joints(['a', 'b'], [1.0, 2.0], [], [1.0]),
        Reason.JOINT_LENGTH,
    ),
    'position is NaN': (joints(['a', 'b'], [1.0, NAN]), Reason.NONFINITE),
    'velocity is infinite': (joints(['a', 'b'], [1.0, 2.0], [INF, 0.0]), Reason.NONFINITE),
    'velocity is 2^126': (joints(['a', 'b'], [1.0, 2.0], [0.0, -(2.0**126)]), Reason.NONFINITE),
}

# Named message, validity of position and velocity.
READ_JOINTS = {
    'names in another order': (joints(['b', 'x', 'a'], [2.0, 9.0, 1.0]), (True, False)),
    'another joint is there twice': (joints(['a', 'x', 'x', 'b'], [1.0] * 4), (True, False)),
    'another joint is NaN': (joints(['a', 'b', 'x'], [1.0, 2.0, NAN]), (True, False)),
    'unused effort is NaN': (joints(['a', 'b'], [1.0] * 2, [1.0] * 2, [NAN] * 2), (True, True)),
    'velocity only': (joints(['a', 'b'], [], [1.0, 2.0]), (False, True)),
    'names without any values': (joints(['a', 'b'], []), (False, False)),
}

REFUSED_STAMPS = {
    'zero': (header(0, 0), Reason.STAMP_UNSET),
    'negative seconds': (header(-1, 0), Reason.STAMP_INVALID),
    'most negative seconds': (header(-(2**31), 999_999_999), Reason.STAMP_INVALID),
    'a second of nanoseconds': (header(1, 10**9), Reason.STAMP_INVALID),
    'nanoseconds 2^32 - 1': (header(0, U32), Reason.STAMP_INVALID),
}
READ_STAMPS = {
    'a nanosecond after the epoch': (header(0, 1), 1),
    'seconds of uptime': (header(17, 5), 17_000_000_005),
    'last second of 2038': (header(2**31 - 1, 999_999_999), 2_147_483_647_999_999_999),
}


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
