# Copyright 2026 the robocache_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Images, IMU messages, joint states and stamps by name: what is refused, what is read."""

from __future__ import annotations

import array
import struct

import numpy as np
from codec_messages import INF, NAN, but, header, image, imu, joints

from robocache_ros.reasons import Reason

U32 = 2**32 - 1
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
