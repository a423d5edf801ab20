# Copyright 2026 the robocache_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Clouds of many layouts, built byte by byte, come out as the columns that were put in."""

from __future__ import annotations

import struct

import numpy as np
import pytest
from codec_messages import INF, NAN, XYZI_FIELDS, Message, but, cloud, slow_columns
from codec_strategies import clouds
from hypothesis import given, settings
from voxel_oracle import unit_grid, voxelize

from robocache_ros.codec.cloud import CloudView, decode_cloud
from robocache_ros.reasons import Reason, Rejected

pytestmark = pytest.mark.filterwarnings('error')

# Layouts as drivers send them: fields, point step, one point's values.
LAYOUTS = {
    '16 bytes: x y z intensity': (XYZI_FIELDS, 16, (1.5, -2.0, 0.25, 7.0)),
    '22 bytes, unaligned: ring and time': (
        (*XYZI_FIELDS, ('ring', 16, 4, 1), ('time', 18, 7, 1)),
        22,
        (1.5, -2.0, 0.25, 7.0, 63, 0.05),
    ),
    '26 bytes, unaligned: float64 time, tag and line': (
        (*XYZI_FIELDS, ('tag', 16, 2, 1), ('line', 17, 2, 1), ('timestamp', 18, 8, 1)),
        26,
        (1.5, -2.0, 0.25, 7.0, 16, 9, 1.7e18),
    ),
    '32 bytes: gap after z': (
        (('x', 0, 7, 1), ('y', 4, 7, 1), ('z', 8, 7, 1), ('intensity', 16, 7, 1)),
        32,
        (1.5, -2.0, 0.25, 7.0),
    ),
    '48 bytes: integers of every width': (
        (
            ('x', 0, 7, 1),
            ('y', 4, 7, 1),
            ('z', 8, 7, 1),
            ('intensity', 16, 7, 1),
            ('t', 20, 6, 1),
            ('reflectivity', 24, 4, 1),
            ('ring', 26, 2, 1),
            ('ambient', 28, 4, 1),
            ('range', 32, 6, 1),
        ),
        48,
        (1.5, -2.0, 0.25, 7.0, 4_000_000_000, 65535, 127, 500, 12_000),
    ),
    'float64 x y z': (
        (('x', 0, 8, 1), ('y', 8, 8, 1), ('z', 16, 8, 1)),
        24,
        (1.5, -2.0, 0.25),
    ),
    'x and z of different types, in reverse order': (
        (('z', 0, 8, 1), ('y', 8, 7, 1), ('x', 12, 7, 1), ('signed', 16, 1, 1)),
        17,
        (0.25, -2.0, 1.5, -7),
    ),
    '64-bit time and a flag': (
        (*XYZI_FIELDS, ('t', 16, 9, 1), ('u', 24, 10, 1), ('valid', 32, 11, 1)),
        33,
        (1.5, -2.0, 0.25, 7.0, -(2**62), 2**63 + 1, True),
    ),
}


@pytest.mark.parametrize('big_endian', [False, True])
@pytest.mark.parametrize('shape', ['unorganised', 'organised', 'rows padded'])
@pytest.mark.parametrize('layout', LAYOUTS)
def test_every_layout_gives_the_values_that_were_packed(layout, shape, big_endian):
    fields, step, point = LAYOUTS[layout]
    # The point itself and, to see that points do not mix, five others.
    scaled = [tuple(_scaled(value, k) for value in point) for k in range(6)]
    width, padding = {'unorganised': (6, 0), 'organised': (3, 0), 'rows padded': (3, 5)}[shape]
    msg = cloud(scaled, fields, step, width=width, padding=padding, big_endian=big_endian)
    view = decode_cloud(msg)
    assert view.n == 6
    assert not view.notes
    for place, entry in enumerate(fields):
        column = view.column(entry[0])
        assert column.flags.c_contiguous
        assert column.dtype.isnative
        expected = [struct_value(values[place], entry[2]) for values in scaled]
        assert column.tolist() == expected
        assert slow_columns(msg)[entry[0]] == expected


@settings(deadline=None)
@given(clouds())
def test_any_valid_cloud_reads_like_the_slow_decoder(msg):
    view = decode_cloud(msg)
    for name, expected in slow_columns(msg).items():
        column = view.column(name)
        np.testing.assert_array_equal(column, np.array(expected, column.dtype))
        assert not (column.dtype.kind == 'f' and np.signbit(column[column == 0]).any())


def _scaled(value, k):
    if isinstance(value, bool):
        return k % 2 == 0
    return value + k if isinstance(value, float) else value - k


def struct_value(value, datatype):
    """Value as the field can hold it: float32 rounds."""
    return struct.unpack('<f', struct.pack('<f', value))[0] if datatype == 7 else value


def test_big_endian_cloud_read_twice_is_the_same_and_its_bytes_stay():
    msg = cloud([(1.0, 2.0, 3.0, 4.0), (5.0, 6.0, 7.0, 8.0)], big_endian=True)
    before = bytes(msg.data)
    first = [column.tolist() for column in decode_cloud(msg).xyz()]
    second = [column.tolist() for column in decode_cloud(msg).xyz()]
    assert first == second == [[1.0, 5.0], [2.0, 6.0], [3.0, 7.0]]
    assert bytes(msg.data) == before


def test_decoding_copies_nothing():
    msg = cloud([(1.0, 2.0, 3.0, 4.0)])
    view = decode_cloud(msg)
    struct.pack_into('<f', msg.data, 12, 9.0)
    assert view.column('intensity').tolist() == [9.0]


@pytest.mark.parametrize('hold', [bytes, bytearray, memoryview, lambda b: np.frombuffer(b, 'u1')])
def test_data_may_be_any_buffer_of_bytes(hold):
    msg = cloud([(1.0, 2.0, 3.0, 4.0)])
    view = decode_cloud(but(msg, data=hold(bytes(msg.data))))
    assert view.column('intensity').tolist() == [4.0]


def test_negative_zero_becomes_zero_and_other_values_keep_their_bits():
    values = [-0.0, 1e-45, 1e38, NAN, INF, -INF]
    view = decode_cloud(cloud([(value, value, value, 0.0) for value in values]))
    expected = np.array([0.0, *values[1:]], np.float32)
    for column in (*view.xyz(), view.column('x')):
        assert column.view(np.uint32).tolist() == expected.view(np.uint32).tolist()


def test_signalling_nan_is_a_nan_and_no_warning():
    msg = cloud([(1.0, 2.0, 3.0, 4.0)])
    struct.pack_into('<I', msg.data, 0, 0x7FA00000)
    assert np.isnan(decode_cloud(msg).xyz()[0]).all()


def test_float64_beyond_float32_becomes_infinite_without_a_warning():
    fields = (('x', 0, 8, 1), ('y', 8, 8, 1), ('z', 16, 8, 1))
    x, y, z = decode_cloud(cloud([(1e300, -1e300, 1.0)], fields)).xyz()
    assert (x.tolist(), y.tolist(), z.tolist()) == ([INF], [-INF], [1.0])


def test_origin_is_subtracted_before_the_cast_so_that_map_coordinates_keep_their_digits():
    fields = (('x', 0, 8, 1), ('y', 8, 8, 1), ('z', 16, 8, 1))
    msg = cloud([(4_500_000.125, 500_000.25, 30.5)], fields)
    origin = (4_500_000.0, 500_000.0, 30.0)
    expected = [[0.125], [0.25], [0.5]]
    assert [c.tolist() for c in decode_cloud(msg, input_origin=origin).xyz()] == expected
    assert [c.tolist() for c in decode_cloud(msg).xyz(origin)] == expected


def test_origin_moves_float32_coordinates_too():
    view = decode_cloud(cloud([(1.5, 2.5, 3.5, 0.0)]), input_origin=(1.0, 2.0, 0.0))
    assert [c.tolist() for c in view.xyz()] == [[0.5], [0.5], [3.5]]


def test_difference_beyond_float64_is_infinite_without_a_warning():
    fields = (('x', 0, 8, 1), ('y', 8, 8, 1), ('z', 16, 8, 1))
    x, _, _ = decode_cloud(cloud([(1.7e308, 0.0, 0.0)], fields)).xyz((-1.7e308, 0.0, 0.0))
    assert x.tolist() == [INF]


def test_difference_that_rounds_to_negative_zero_is_zero():
    fields = (('x', 0, 8, 1), ('y', 8, 8, 1), ('z', 16, 8, 1))
    (x, _, _) = decode_cloud(cloud([(-1e-60, 0.0, 0.0)], fields)).xyz((1e-60, 0.0, 0.0))
    assert x.view(np.uint32).tolist() == [0]


def test_any_byte_but_zero_is_true_in_a_bool_field():
    fields = (*XYZI_FIELDS, ('valid', 16, 11, 1))
    msg = cloud([(1.0, 2.0, 3.0, 4.0, False)] * 3, fields)
    msg.data[17 + 16], msg.data[34 + 16] = 1, 2
    column = decode_cloud(msg).column('valid')
    assert column.view(np.uint8).tolist() == [0, 1, 1]
    assert decode_cloud(msg).column('valid', np.empty(3, np.float32)).tolist() == [0.0, 1.0, 1.0]


def test_64_bit_integers_are_times_and_no_channel():
    fields = (*XYZI_FIELDS, ('t', 16, 10, 1), ('dt', 24, 6, 1))
    view = decode_cloud(cloud([(1.0, 2.0, 3.0, 4.0, 2**63, 5)], fields))
    assert [view.has(name) for name in ('intensity', 't', 'dt', 'ring')] == [1, 0, 1, 0]
    assert view.column('t').tolist() == [2**63]


def test_first_value_of_a_field_with_several():
    fields = (*XYZI_FIELDS, ('rgb', 16, 2, 3))
    msg = cloud([(1.0, 2.0, 3.0, 4.0, (10, 20, 30)), (1.0, 2.0, 3.0, 4.0, (40, 50, 60))], fields)
    assert decode_cloud(msg).column('rgb').tolist() == [10, 40]
    assert decode_cloud(msg).fields['rgb'].count == 3


@pytest.mark.parametrize(('limit', 'expected'), [(0, 0), (1, 1), (3, 3), (4, 4), (6, 6), (9, 6)])
@pytest.mark.parametrize('padding', [0, 4])
def test_limit_keeps_the_first_points(limit, expected, padding):
    points = [(float(k), 0.0, 0.0, 0.0) for k in range(6)]
    view = decode_cloud(cloud(points, width=3, padding=padding))
    assert view.column('x', limit=limit).tolist() == [float(k) for k in range(expected)]
    assert view.xyz(limit=limit)[0].tolist() == [float(k) for k in range(expected)]
    assert view.xyz((1.0, 0.0, 0.0), limit)[0].tolist() == [k - 1.0 for k in range(expected)]


def test_out_is_written_and_decides_the_type():
    view = decode_cloud(cloud([(1.0, 2.0, 3.0, 4.0), (5.0, 6.0, 7.0, 8.0)]))
    out = np.full(5, -1.0, np.float64)
    column = view.column('intensity', out)
    assert column.base is out
    assert out.tolist() == [4.0, 8.0, -1.0, -1.0, -1.0]
    work = [np.full(3, -1.0, np.float32) for _ in range(3)]
    view.xyz(out=work)
    assert [w.tolist() for w in work] == [[1.0, 5.0, -1.0], [2.0, 6.0, -1.0], [3.0, 7.0, -1.0]]


def test_cloud_without_points_keeps_its_fields():
    view = decode_cloud(cloud([], width=0))
    assert view.n == 0
    assert view.has('intensity')
    assert [column.size for column in view.xyz()] == [0, 0, 0]
    assert view.column('intensity').dtype == np.float32


def test_columns_behave_like_a_message():
    msg = cloud([(-0.0, 2.0, 3.0, 4.0), (5.0, NAN, 7.0, 8.0)])
    columns = np.array([[-0.0, 2.0, 3.0, 4.0], [5.0, NAN, 7.0, 8.0]], '>f8').T
    made = CloudView.from_columns(dict(zip(('x', 'y', 'z', 'intensity'), columns, strict=True)))
    view = decode_cloud(msg)
    assert (made.n, made.width, made.height) == (2, 2, 1)
    assert list(made.fields) == list(view.fields)
    for ours, theirs in zip(made.xyz(), view.xyz(), strict=True):
        assert ours.tobytes() == theirs.tobytes()
    assert made.column('intensity', limit=1).tolist() == [4.0]
    assert made.column('intensity').dtype.isnative
    assert made.xyz((0.0, 0.0, 1.0))[2].tolist() == [2.0, 6.0]


def test_columns_are_not_written_to():
    columns = {name: np.array([-0.0, 1.0], np.float32) for name in 'xyz'}
    CloudView.from_columns(columns).xyz((1.0, 1.0, 1.0))
    assert np.signbit(columns['x'][0])


@pytest.mark.parametrize(
    ('columns', 'message'),
    [
        ({'x': [1.0], 'y': [1.0]}, "no column 'z' among x, y"),
        ({}, "no column 'x' among none"),
        ({'x': [1], 'y': [1.0], 'z': [1.0]}, "'x' is int64, not float32 or float64"),
        ({'x': [1.0], 'y': [1.0, 2.0], 'z': [1.0]}, "'y' has shape (2,), x (1,)"),
        ({'x': [[1.0]], 'y': [[1.0]], 'z': [[1.0]]}, "'x' has shape (1, 1)"),
        ({'x': [1.0], 'y': [1.0], 'z': [1.0], 'c': [1j]}, "'c' is complex128"),
        ({'x': np.ones(1, 'f2'), 'y': [1.0], 'z': [1.0]}, "'x' is float16"),
    ],
)
def test_columns_that_are_no_cloud_are_refused(columns, message):
    with pytest.raises(ValueError) as refusal:
        CloudView.from_columns(columns)
    assert message in str(refusal.value)


def test_detail_names_the_numbers_that_do_not_add_up():
    msg = cloud([(1.0, 2.0, 3.0, 4.0)] * 2)
    with pytest.raises(Rejected) as refusal:
        decode_cloud(but(msg, width=3))
    assert refusal.value.reason is Reason.CLOUD_SIZE
    assert refusal.value.detail == ('3 x 1 points of 16 bytes, row_step 32, 32 bytes; 48 needed')


# -- packed colours ---------------------------------------------------------------------------

RGB_BITS = 0x7F123456  # alpha, or whatever stands there, and then r, g and b


@pytest.mark.parametrize('big_endian', [False, True])
@pytest.mark.parametrize('name', ['rgb', 'rgba'])
@pytest.mark.parametrize('datatype', [6, 7])
def test_packed_colours_are_fields_of_their_own(name, datatype, big_endian):
    order = '>' if big_endian else '<'
    (value,) = struct.unpack(f'{order}{"If"[datatype == 7]}', struct.pack(f'{order}I', RGB_BITS))
    fields = (('x', 0, 7, 1), ('y', 4, 7, 1), ('z', 8, 7, 1), (name, 17, datatype, 1))
    view = decode_cloud(cloud([(1.0, 2.0, 3.0, value)] * 2, fields, 21, big_endian=big_endian))
    assert [view.column(colour).tolist() for colour in 'rgb'] == [
        [0x12] * 2,
        [0x34] * 2,
        [0x56] * 2,
    ]
    assert {view.dtype_of(colour) for colour in 'rgb'} == {np.dtype(np.uint8)}
    assert view.has('r')
    assert np.array_equal(view.column(name), np.array([value] * 2, view.dtype_of(name)))


@pytest.mark.parametrize(
    'field',
    [('rgb', 12, 5, 1), ('rgb', 12, 7, 2), ('rgba', 12, 8, 1), ('colour', 12, 7, 1)],
)
def test_other_fields_hold_no_packed_colours(field):
    fields = (('x', 0, 7, 1), ('y', 4, 7, 1), ('z', 8, 7, 1), field)
    view = decode_cloud(but(cloud([(1.0, 2.0, 3.0)], fields[:3], 20), fields=[
        Message(name=n, offset=o, datatype=d, count=c) for n, o, d, c in fields
    ]))  # fmt: skip
    assert not any(view.has(colour) for colour in 'rgb')


def test_fields_that_are_called_r_g_or_b_stay_as_they_are():
    fields = (*XYZI_FIELDS[:3], ('rgb', 12, 6, 1), ('g', 16, 7, 1))
    view = decode_cloud(cloud([(1.0, 2.0, 3.0, RGB_BITS, 0.5)], fields))
    assert view.column('g').tolist() == [0.5]
    assert not view.has('r')


def test_packed_colours_become_the_colours_of_voxels():
    fields = (*XYZI_FIELDS[:3], ('rgb', 12, 6, 1))
    points = [(0.5, 0.5, 0.5, 0x00FF8000), (0.5, 0.5, 0.5, 0x00018003)]
    found = voxelize(decode_cloud(cloud(points, fields)), unit_grid(), ['rgb'])
    assert found.columns['rgb'].view(np.uint32).tolist() == [0x808002]
