# Copyright 2026 the robocache_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Clouds by name: malformed ones and why they are refused, strange ones and what is noted."""

from __future__ import annotations

import array

import numpy as np
from codec_messages import INF, NAN, XYZ_FIELDS, XYZI_FIELDS, but, cloud, field, header

from robocache_ros.reasons import Reason

U32 = 2**32 - 1
P = [(float(k), k + 0.5, -float(k), 10.0 * k) for k in range(6)]  # six points x y z intensity
CLOUD = cloud(P)
GRID = cloud(P, width=3)  # two rows of three
PADDED = cloud(P, width=3, padding=8)


def fields(*entries):
    """CLOUD with other fields; its points are 16 bytes."""
    return but(CLOUD, fields=[field(*entry) for entry in entries])


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
