# Copyright 2026 the robocache_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Points that move each by its own time come to the same place by the kernels and by NumPy."""

from __future__ import annotations

import dataclasses
import functools

import numpy as np
import pytest
from deskew_oracle import SEGMENT_NS, motion, segment, some_motion
from devices import device, fixtures
from made_clouds import as_columns, as_message, assert_same, message, some_points, spec_of

from robocache_ros.backends.cuda.cuda_backend import CudaBackend
from robocache_ros.backends.cuda.device import Limits, OverLimit
from robocache_ros.backends.numpy_backend import NumpyBackend
from robocache_ros.codec.cloud import Transform, decode_cloud
from robocache_ros.grid import Grid

GRID = Grid.from_range([0.5, 0.4, 0.8], [-8, -6, -2, 8, 6, 2])
# A metre of drive within a segment: a time that is wrong by little is another cell.
FAST = [segment(t0=(k - 1, 0.25 * k, 0), dt=(1, 0.25, 0.1)) for k in range(4)]
CHANNELS = ('count', 'centroid', 'mean_v', 'max_v')
NUMPY = NumpyBackend()
NAN, INF = float('nan'), float('inf')


@functools.cache
def backend_on(name):
    return CudaBackend(device(name), Limits())


cuda, one_cuda = fixtures(backend_on)


def check(cuda, clouds, **limits):
    """Compare all operations on clouds with NumPy's; returns the sparse voxels."""
    spec = spec_of(GRID, CHANNELS, **limits)
    found = cuda.voxelize(clouds, spec)
    assert_same(found, NUMPY.voxelize(clouds, spec))
    for channels in (('count',), CHANNELS):
        spec = spec_of(GRID, channels, **limits)
        dense, right = (on.voxelize_dense(clouds, spec) for on in (cuda, NUMPY))
        assert dense.tobytes() == right.tobytes()
    for packed in (False, True):
        cells, right = (
            on.occupancy(clouds, GRID, spec.max_points, packed) for on in (cuda, NUMPY)
        )
        assert cells.tobytes() == right.tobytes()
    return found


def sweep(n, by, seed=0, dtype='f8', shuffled=False):
    """Columns of points with a value v and times [n] from a little before to after a motion."""
    end = len(by.segments) * SEGMENT_NS
    rng = np.random.default_rng(seed)
    u = np.linspace(-0.1 * end, 1.1 * end, n)
    times = by.base + (rng.permutation(u) if shuffled else u) / by.scale
    if np.dtype(dtype).kind in 'iu':
        times = np.clip(times, np.iinfo(dtype).min, np.iinfo(dtype).max)
    columns = some_points(n, GRID, seed)
    return {**columns, 'v': columns['x'].copy(), by.field: times.astype(dtype)}


def moving(cloud, by):
    return dataclasses.replace(cloud, motion=by)


@pytest.mark.parametrize('count', [1, 2, 24])
@pytest.mark.parametrize('shuffled', [False, True])
def test_every_product_and_sum_is_rounded_as_numpy_rounds_it(cuda, count, shuffled):
    by = some_motion(count, scale=1e9)
    columns = sweep(700, by, shuffled=shuffled)
    found = check(cuda, [moving(as_message(columns, step=38), by)])
    still = NUMPY.voxelize([as_message(columns, step=38)], spec_of(GRID, CHANNELS))
    assert found.stats != still.stats  # the motion is not for nothing
    check(cuda, [moving(as_columns(columns), by)])


TIMES = [
    ('i1', 1e5, -20), ('u1', 1e5, 0), ('i2', 400.0, -7), ('u2', 300.0, 5), ('i4', 1.0, -100),
    ('u4', 1.0, 0), ('f4', 1e9, -0.005), ('f8', 1e9, 1.7e9), ('i8', 1.0, 1.7e18),
    ('u8', 1.0, 1.7e18), ('u8', 1.0, 2.0**63), ('i8', -1.0, -3e9),
]  # fmt: skip


@pytest.mark.parametrize(('dtype', 'scale', 'base'), TIMES)
@pytest.mark.parametrize('big_endian', [False, True])
def test_times_of_every_type_at_every_alignment(one_cuda, dtype, scale, base, big_endian):
    by = motion(*FAST, scale=scale, base=base)
    columns = sweep(150, by, dtype=dtype)
    for first in range(4):
        layout = {'first': first, 'step': 31, 'big_endian': big_endian}
        check(one_cuda, [moving(as_message(columns, **layout), by)])
    order = '>' if big_endian else '<'
    swapped = {name: v.astype(v.dtype.newbyteorder(order)) for name, v in columns.items()}
    check(one_cuda, [moving(as_columns(swapped), by)])


def test_a_time_of_64_bits_moves_points_and_is_no_value(cuda):
    by = motion(*FAST, field='v', base=1e18)
    columns = sweep(200, by, dtype='i8')
    found = check(cuda, [moving(as_message(columns), by)])
    assert found.stats.fields_missing == ('v',)


def test_a_time_that_is_a_value_as_well(cuda):
    by = motion(*FAST, field='v', scale=1e9)
    check(cuda, [moving(as_message(sweep(200, by)), by)])
    check(cuda, [moving(as_columns(sweep(200, by, dtype='f4')), by)])


def test_times_that_are_none_and_times_beyond_the_ends(cuda):
    by = motion(*FAST)
    columns = sweep(300, by)
    end = len(FAST) * SEGMENT_NS
    odd = [NAN, INF, -INF, 1e300, -1e300, -0.0, -0.5, 0.5, 1.5, end - 0.5, end, SEGMENT_NS - 0.5]
    columns['time'][:] = np.resize(odd, 300)
    check(cuda, [moving(as_message(columns), by)])
    columns['time'].view(np.uint64)[::7] = 0x7FF0000000000001  # a signalling NaN
    check(cuda, [moving(as_message(columns), by)])
    for scale, base in ((1e300, -1e300), (-1e300, 1e300), (0.0, 0.0), (1e-300, 0.0)):
        check(cuda, [moving(as_message(columns), by._replace(scale=scale, base=base))])


def test_more_segments_than_nanoseconds_in_32_bits(cuda):
    numbers = np.resize(np.array(FAST, 'f4'), (1100, 33))
    by = motion(numbers, scale=1e9)
    check(cuda, [moving(as_message(sweep(300, by, shuffled=True)), by)])


def test_points_that_come_to_be_infinite_are_counted(cuda):
    by = motion(segment(np.diag([1e38, 1, 1]), np.diag([1e38, 0, 0])), segment(-np.ones((3, 3))))
    found = check(cuda, [moving(as_message(sweep(300, by)), by)])
    assert found.stats.nonfinite > 50


def test_an_origin_is_subtracted_before_the_motion(cuda):
    by, origin = some_motion(3), (4.5e5, -5.1e6, 0.25)
    columns = sweep(300, by)
    for name, shift in zip('xyz', origin, strict=True):
        columns[name] = columns[name].astype('f8') + shift
    check(cuda, [moving(as_message(columns, origin), by)])


@pytest.mark.parametrize('limit', [1, 63, 65, 200, 1000])
def test_organised_rows_with_padding_and_a_limit(cuda, limit):
    by = some_motion(5)
    cloud = as_message(sweep(640, by), step=30, width=64, padding=13)
    check(cuda, [moving(cloud, by)], max_points=limit)


def test_clouds_that_move_beside_some_that_turn_and_some_that_lie_still(cuda):
    turn = Transform.from_matrix([[0, -1, 0, 0.5], [1, 0, 0, 0], [0, 0, 1, -0.25], [0, 0, 0, 1]])
    one, other = some_motion(3), some_motion(9, seed=2, field='t', scale=1e3, base=-8.0)
    clouds = [
        moving(as_message(sweep(150, one, 1)), one),
        dataclasses.replace(as_message(sweep(90, one, 2)), transform=turn),
        moving(as_columns(sweep(200, other, 3, 'f4')), other),
        as_message(some_points(40, GRID, 4)),
        moving(as_message(sweep(0, one)), one),
        moving(as_message(sweep(96, other, 5), width=12, padding=3), other),
    ]
    for limit in (151, 500, 10_000):
        check(cuda, clouds, max_points=limit)
        check(cuda, clouds[::-1], max_points=limit)


def test_no_points_and_a_motion(cuda):
    by = some_motion(2)
    check(cuda, [moving(as_message(sweep(0, by)), by)])


def test_segments_count_as_bytes_that_the_device_is_sized_for():
    by = some_motion(24)
    small = CudaBackend(device('forward'), Limits(max_message_bytes=3000))
    cloud = as_message(sweep(10, by))
    small.voxelize([cloud], spec_of(GRID, CHANNELS))
    with pytest.raises(OverLimit, match='bytes of points, the device takes 3000'):
        small.voxelize([moving(cloud, by)], spec_of(GRID, CHANNELS))


# ---- fields that all points have one value of


def with_constants(cloud, **constants):
    return dataclasses.replace(cloud, constants=constants)


@pytest.mark.parametrize(
    'value', [0.0, -0.0, 0.3, -1e5, 1e30, 3.4e38, 1e39, -1e-60, NAN, INF, -INF]
)
def test_a_field_of_one_value_is_that_of_every_point(one_cuda, value):
    columns = some_points(300, GRID)
    for cloud in (as_message(columns, width=20, padding=3), as_columns(columns)):
        check(one_cuda, [with_constants(cloud, v=value)])


def test_a_constant_stands_in_for_what_the_message_has(cuda):
    columns = {**some_points(300, GRID), 'v': np.arange(300, dtype='u2')}
    for make in (as_message, as_columns):
        check(cuda, [with_constants(make(columns), v=7.25)])
        check(cuda, [with_constants(make(columns), x=0.5, v=-3.0), make(columns)])


def test_constants_of_several_clouds_of_which_some_move(cuda):
    by = some_motion(4)
    clouds = [
        with_constants(moving(as_message(sweep(150, by, seed)), by), v=2.0**-seed)
        for seed in range(3)
    ]
    clouds.append(as_columns(some_points(60, GRID, 5)))  # without v
    check(cuda, clouds)


def test_a_time_that_is_constant(cuda):
    by = motion(*FAST)
    cloud = with_constants(as_message(sweep(200, by)), time=1.5 * SEGMENT_NS)
    check(cuda, [moving(cloud, by)])


def test_a_transform_and_a_motion_of_one_message_are_told_apart(cuda):
    # The same bytes again and again: nothing of a call stays for the next.
    by = motion(*FAST)
    plain = decode_cloud(message(sweep(200, by)))
    turn = Transform.from_matrix(np.diag([-1.0, 1.0, 1.0, 1.0]))
    for cloud in (moving(plain, by), plain, dataclasses.replace(plain, transform=turn), plain):
        check(cuda, [cloud])
