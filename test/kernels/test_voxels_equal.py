# Copyright 2026 the robocache_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Sparse voxels of the kernels are those of NumPy, bit for bit, on every schedule and a GPU."""

from __future__ import annotations

import dataclasses
import functools

import numpy as np
import pytest
from cpu_device import ORDERS
from devices import EACH_KIND, EVERY, device, fixtures
from hypothesis import given, settings
from hypothesis import strategies as st
from made_clouds import as_columns, as_message, assert_same, some_points, spec_of

from robocache_ros.backends.cuda.device import Limits, OverLimit
from robocache_ros.backends.cuda.staging import Staging
from robocache_ros.backends.cuda.voxel_tables import TABLE_BITS
from robocache_ros.backends.cuda.voxels import Voxelizer
from robocache_ros.backends.numpy_backend import NumpyBackend
from robocache_ros.codec.cloud import Transform
from robocache_ros.grid import Grid

GRID = Grid.from_range([0.5, 0.4, 0.8], [-8, -6, -2, 8, 6, 2])
FIELD_CHANNELS = ('mean_v', 'min_v', 'max_v', 'sum_v')
CHANNELS = ('count', 'centroid', 'occupancy', *FIELD_CHANNELS)
NUMPY = NumpyBackend()


def voxelizer(name='forward', table_bits=TABLE_BITS, **limits):
    return Voxelizer(Staging(device(name), Limits(**limits)), table_bits)


@functools.cache
def voxelizer_on(name):
    """Compiled and warm, for tests that are about numbers rather than memory or limits."""
    return voxelizer(name)


kernels, one_kernels = fixtures(voxelizer_on)


@pytest.fixture(params=EACH_KIND)
def made(request):
    """Make kernels of their own, with limits or tables: made(**options)."""
    return functools.partial(voxelizer, request.param)


def check(kernels, clouds, spec):
    """Compare a call with NumPy's; returns its result."""
    found = kernels.voxelize(clouds, spec)
    assert_same(found, NUMPY.voxelize(clouds, spec))
    return found


def with_values(columns, seed=1, dtype='f4', **more):
    """Add a field v of any type, with zeros of both signs and both ends of what a sum takes."""
    n = len(columns['x'])
    rng = np.random.default_rng(seed)
    if dtype == '?':
        values = rng.random(n) < 0.5
    elif np.dtype(dtype).kind in 'iu':
        info = np.iinfo(dtype)
        values = rng.integers(info.min, info.max, n, dtype, endpoint=True)
    else:
        values = rng.choice([1e5, -1e5, 2.0**-18, 0.3 * 2.0**-18, -0.0, 77.7, -3.25], n)
    return {**columns, 'v': np.asarray(values, dtype), **more}


def test_random_points_among_bad_ones(kernels):
    columns = with_values(some_points(3000, GRID))
    found = check(kernels, [as_columns(columns)], spec_of(GRID, CHANNELS))
    assert len(found) > 1000  # the test is about something
    assert found.stats.nonfinite > 50
    assert found.stats.out_of_range > 100
    check(kernels, [as_message(columns, step=22)], spec_of(GRID, CHANNELS))


@pytest.mark.parametrize('channels', [('count',), ('centroid',), ('min_v',), ('sum_v', 'count')])
def test_few_channels(kernels, channels):
    columns = with_values(some_points(700, GRID, seed=2))
    check(kernels, [as_message(columns, step=22)], spec_of(GRID, channels))


@pytest.mark.parametrize('n', [0, 1, 2, 31, 33, 255, 256, 257, 1023, 1025, 4100])
def test_any_number_of_points(one_kernels, n):
    columns = with_values(some_points(n, GRID, seed=n))
    for cloud in (as_columns(columns), as_message(columns, step=16)):
        check(one_kernels, [cloud], spec_of(GRID, CHANNELS))


def test_no_cloud_at_all(kernels):
    check(kernels, [], spec_of(GRID, CHANNELS))


@pytest.mark.parametrize('dtype', ['i1', 'u1', 'i2', 'u2', 'i4', 'u4', 'f4', 'f8', '?'])
@pytest.mark.parametrize('big_endian', [False, True])
def test_values_of_every_type_at_every_alignment(one_kernels, dtype, big_endian):
    columns = with_values(some_points(400, GRID), dtype=dtype)
    spec = spec_of(GRID, CHANNELS)
    for first in range(4):
        layout = {'first': first, 'step': 27, 'big_endian': big_endian}
        check(one_kernels, [as_message(columns, **layout)], spec)
    order = '>' if big_endian else '<'
    swapped = {name: v.astype(v.dtype.newbyteorder(order)) for name, v in columns.items()}
    check(one_kernels, [as_columns(swapped)], spec)


def test_bytes_of_a_boolean_that_are_neither_0_nor_1(kernels):
    columns = with_values(some_points(400, GRID), dtype='u1')
    cloud = as_message(columns)
    fields = {**cloud.fields, 'v': dataclasses.replace(cloud.fields['v'], dtype=np.dtype('?'))}
    check(kernels, [dataclasses.replace(cloud, fields=fields)], spec_of(GRID, CHANNELS))


@pytest.mark.parametrize('dtype', ['f4', 'f8'])
@pytest.mark.parametrize('big_endian', [False, True])
def test_map_coordinates_lose_their_origin_before_they_lose_digits(kernels, dtype, big_endian):
    origin = (4.5e5, -5.1e6, 0.0)
    columns = with_values(some_points(500, GRID, dtype='f8'))
    for name, shift in zip('xyz', origin, strict=True):
        columns[name] = (columns[name] + shift).astype(dtype)
    spec = spec_of(GRID, CHANNELS)
    check(kernels, [as_message(columns, origin, step=37, big_endian=big_endian)], spec)
    check(kernels, [as_columns(columns, origin)], spec)


def test_float64_coordinates_beyond_float32(kernels):
    columns = some_points(200, GRID, dtype='f8')
    columns['x'][::7] = 1e300
    columns['y'][::9] = -1e-320
    check(kernels, [as_message(columns)], spec_of(GRID, ('count', 'centroid')))


@pytest.mark.parametrize('limit', [1, 63, 64, 65, 200, 640, 1000])
def test_rows_with_padding_and_a_limit_that_cuts_one(kernels, limit):
    columns = with_values(some_points(640, GRID))
    cloud = as_message(columns, step=22, width=64, padding=13)
    check(kernels, [cloud], spec_of(GRID, CHANNELS, max_points=limit))


def test_columns_that_are_strided_views(kernels):
    columns = some_points(900, GRID)
    table = np.stack([columns['x'], columns['y'], columns['z'], columns['x']], axis=1)
    cloud = as_columns(dict(zip('xyzv', table.T, strict=True)))
    check(kernels, [cloud], spec_of(GRID, CHANNELS))
    backwards = as_columns({name: values[::-2] for name, values in columns.items()})
    check(kernels, [backwards], spec_of(GRID, ('count', 'centroid')))


def test_several_clouds_of_different_layouts_some_without_the_field(kernels):
    padded = as_message(with_values(some_points(96, GRID, 1)), width=12, padding=3)
    organised = as_message(with_values(some_points(60, GRID, 2), dtype='i2'), width=6)
    clouds = [
        as_message(with_values(some_points(0, GRID))),
        padded,
        as_columns(some_points(150, GRID, 3)),  # without v
        as_columns(with_values(some_points(33, GRID, 4), dtype='f8')),
        as_message({**some_points(50, GRID, 5), 'v': np.arange(50)}),  # int64: a time, no value
        organised,
    ]
    for limit in (97, 300, 1000):
        found = check(kernels, clouds, spec_of(GRID, CHANNELS, max_points=limit))
        assert found.stats.fields_missing == ('v',)


def test_integers_in_every_cloud_have_the_resolution_of_integers(kernels):
    clouds = [
        as_message(with_values(some_points(300, GRID, seed), dtype=dtype))
        for seed, dtype in enumerate(['u1', 'i4', 'u2'])
    ]
    check(kernels, clouds, spec_of(GRID, CHANNELS))


@pytest.mark.parametrize('n', [32, 2000])
def test_all_points_in_one_voxel(kernels, n):
    rng = np.random.default_rng(n)
    columns = dict(zip('xyz', rng.uniform(0.01, 0.39, (3, n)).astype('f4'), strict=True))
    found = check(kernels, [as_message(with_values(columns))], spec_of(GRID, CHANNELS))
    assert found.count.tolist() == [n]


def test_runs_of_points_in_one_voxel_and_values_that_some_lack(kernels):
    # Warps that share a voxel, and warps that hold the end of one run and the start of the next.
    columns = {name: np.repeat(v, 45) for name, v in some_points(40, GRID, bad=0.3).items()}
    columns = with_values(columns)
    columns['v'][::11] = np.nan
    clouds = [as_message(columns), as_columns({name: columns[name] for name in 'xyz'})]
    check(kernels, clouds, spec_of(GRID, CHANNELS))


@pytest.mark.parametrize('longest', [2, 3, 4, 5, 8, 9, 17])
def test_short_runs_of_points_in_one_voxel(kernels, longest):
    lengths = np.random.default_rng(longest).integers(1, longest, 200, endpoint=True)
    columns = {name: np.repeat(v, lengths) for name, v in some_points(200, GRID).items()}
    check(kernels, [as_message(with_values(columns))], spec_of(GRID, CHANNELS))


def test_all_points_outside(kernels):
    columns = {name: np.full(300, 50, 'f4') for name in 'xyz'}
    found = check(kernels, [as_message(with_values(columns))], spec_of(GRID, CHANNELS))
    assert found.stats.out_of_range == 300


def test_points_on_and_next_to_the_faces_of_cells(kernels):
    faces = np.linspace(-8, 8, 33, dtype='f4')
    near = np.concatenate(
        [faces, np.nextafter(faces, np.float32(9)), np.nextafter(faces, np.float32(-9))]
    )
    near = np.concatenate([near, np.float32([-0.0, 0.0, 1e-45, -1e-45])])
    columns = {name: np.roll(near, shift) for shift, name in enumerate('xyz')}
    check(kernels, [as_message(columns)], spec_of(GRID, ('count', 'centroid')))


LEFT_OUT = [
    *(np.nan, np.inf, -np.inf, 131072.0, -131072.0, 131071.9, 1e30, -1e39, 1e300, -1e-60, 1e-320),
    *(3.4028235677973366e38, 3.4028235e38, -0.0, 2.0**-19, 3 * 2.0**-19, 5.0),
]


@pytest.mark.parametrize('resolution', [None, 2.0**-64, 2.0**-3, 1.0, 2.0**64])
@pytest.mark.parametrize('channels', [FIELD_CHANNELS, ('mean_v',), ('max_v',), ('min_v', 'sum_v')])
def test_values_that_are_left_out_are_counted_once_for_a_field(kernels, resolution, channels):
    rng = np.random.default_rng(5)
    limits = {} if resolution is None else {'resolutions': {'v': resolution}}
    spec = spec_of(GRID, ('count', *channels), **limits)
    for dtype in ('f8', 'f4'):
        columns = some_points(300, GRID)
        with np.errstate(over='ignore'):
            columns['v'] = rng.choice(LEFT_OUT, 300).astype(dtype)
        check(kernels, [as_message(columns)], spec)


def test_several_fields_each_with_its_own_accounts(kernels):
    columns = some_points(500, GRID)
    rng = np.random.default_rng(9)
    with np.errstate(over='ignore'):
        for name, dtype in zip('abcdefghijklm', ('f4', 'f8', 'u1') * 5, strict=False):
            bad = LEFT_OUT if dtype != 'u1' else [1.0, 255.0]
            columns[name] = rng.choice(bad, 500).astype(dtype)
    kinds = ('mean', 'max', 'min', 'sum')
    channels = ['count', *(f'{kind}_{name}' for name in 'abcdefghijklm' for kind in kinds)]
    check(kernels, [as_message(columns)], spec_of(GRID, [*channels, 'centroid', 'occupancy']))


@pytest.mark.parametrize('limit', [1, 100, 101, 10**6])
def test_more_voxels_than_asked_for_keep_the_lowest(kernels, limit):
    columns = with_values(some_points(600, GRID))
    columns['v'][::3] = np.inf  # counted wherever their voxel is
    found = check(kernels, [as_message(columns)], spec_of(GRID, CHANNELS, max_voxels=limit))
    assert len(found) == min(limit, len(found) + found.stats.voxels_over_limit)


def test_transforms_of_each_cloud(kernels):
    angle = 0.3
    turn = np.eye(4)
    turn[:3, :3] = [
        [np.cos(angle), -np.sin(angle), 0.01],
        [np.sin(angle), np.cos(angle), -0.02],
        [0.0, 0.02, 1.0],
    ]
    turn[:3, 3] = 0.7, -0.1, 3e-3
    grown = np.diag([1e30, 1.0, 1.0, 1.0])  # finite points become infinite
    clouds = [
        dataclasses.replace(make(with_values(some_points(400, GRID, seed))), transform=moved)
        for seed, (make, moved) in enumerate(
            [
                (as_message, Transform.from_matrix(turn)),
                (as_columns, None),
                (as_columns, Transform.from_matrix(np.linalg.inv(turn))),
                (as_message, Transform.from_matrix(grown)),
            ]
        )
    ]
    check(kernels, clouds, spec_of(GRID, CHANNELS))


# ---- tables of several levels

WIDE = Grid.from_range(0.1, [-102.4, -102.4, -25.6, 102.4, 102.4, 25.6])
HUGE = Grid.from_range(0.1, [-409.6, -409.6, -51.2, 409.6, 409.6, 51.2])


def test_grids_of_2_to_the_31_and_36_cells_take_two_and_three_tables(made):
    assert (WIDE.cells, HUGE.cells) == (2**31, 2**36)
    kernels = made()
    for grid in (WIDE, HUGE):
        check(kernels, [as_message(with_values(some_points(2500, grid)))], spec_of(grid, CHANNELS))
    device = kernels._staging.device
    assert [len(program.steps) for program in device.programs] == [7, 7]


@pytest.mark.parametrize('name', EVERY)
def test_tables_of_more_tiles_than_a_block_counts_by_itself(name):
    clouds = [as_message(with_values(some_points(2500, WIDE)))]
    check(voxelizer(name, 27), clouds, spec_of(WIDE, CHANNELS))


def test_the_corners_of_the_largest_grid(made):
    ends = np.array([[-409.6, -409.6, -51.2], [409.5, 409.5, 51.1]], 'f4')
    corners = np.array(np.meshgrid(*ends.T)).reshape(3, -1)
    columns = dict(zip('xyz', corners, strict=True))
    found = check(made(), [as_columns(columns)], spec_of(HUGE, ('count', 'centroid')))
    assert found.index[[0, -1]].tolist() == [0, 2**36 - 1]


@pytest.mark.parametrize('name', EVERY)
@pytest.mark.parametrize(
    ('table_bits', 'sizes', 'steps'),
    [
        (16, [0.5, 0.5, 0.5], 5),
        (16, [0.1, 0.15, 0.1], 7),
        (16, [0.03, 0.05, 0.03], 9),
        (21, [0.03, 0.05, 0.03], 7),
    ],
)
def test_every_number_of_tables_on_every_schedule(name, table_bits, sizes, steps):
    grid = Grid.from_range(sizes, [-8, -6, -2, 8, 6, 2])
    columns = with_values(some_points(1000, grid, bad=0.02))
    # Pairs and runs in one cell, and cells next to each other.
    columns = {name: np.concatenate([v, v[:500], v[:300]]) for name, v in columns.items()}
    columns['x'][1500:] += np.float32(sizes[0])
    kernels = voxelizer(name, table_bits)
    for _ in range(4):  # the second call finds the memory of the first
        check(kernels, [as_message(columns)], spec_of(grid, CHANNELS))
    assert {len(program.steps) for program in kernels._staging.device.programs} == {steps}


# ---- anything

anywhere = st.one_of(
    st.floats(-9, 9, width=32),
    st.sampled_from([0.0, -0.0, 0.4, -2.0, 2.0, 6.0, 8.0, 1e30, float('nan'), float('inf')]),
)
numbers = st.one_of(st.floats(width=32), st.sampled_from(LEFT_OUT))
rows = st.lists(st.tuples(anywhere, anywhere, anywhere, numbers), max_size=70)


@settings(deadline=None, max_examples=40)
@given(
    st.lists(rows, min_size=1, max_size=3),
    st.sampled_from(ORDERS),
    st.integers(1, 150),
    st.integers(1, 60),
    st.integers(16, 40),
)
def test_any_small_clouds(parts, order, max_points, max_voxels, step):
    spec = spec_of(GRID, CHANNELS, max_points=max_points, max_voxels=max_voxels)
    clouds = []
    for part in parts:
        with np.errstate(over='ignore'):
            table = np.array(part, 'f8').reshape(-1, 4).astype('f4')
        clouds.append(as_message(dict(zip('xyzv', table.T, strict=True)), step=step))
    check(voxelizer_on(order), clouds, spec)


# ---- memory, limits and programs


def test_calls_of_all_sizes_share_the_memory_that_grows_between_them(made):
    kernels = made()
    fine = Grid.from_range(0.1, [-8, -6, -2, 8, 6, 2])
    for n, grid, channels in [
        (10, GRID, ('count',)),
        (3000, fine, CHANNELS),
        (5, GRID, CHANNELS),
        (20000, GRID, ('centroid', 'sum_v')),
        (500, fine, ('count', 'max_v')),
    ]:
        check(kernels, [as_message(with_values(some_points(n, grid)))], spec_of(grid, channels))


def test_results_of_a_call_outlive_the_next_one(made):
    kernels = made()
    spec = spec_of(GRID, CHANNELS)
    cloud, other = (as_message(with_values(some_points(400, GRID, seed))) for seed in (1, 2))
    first = kernels.voxelize([cloud], spec)
    kernels.voxelize([other], spec)
    assert_same(first, NUMPY.voxelize([cloud], spec))


def test_messages_of_about_the_same_size_run_the_same_program(made):
    kernels = made()
    spec = spec_of(GRID, CHANNELS)
    for n, step in [(1100, 16), (2048, 22), (1500, 48)]:
        check(kernels, [as_message(with_values(some_points(n, GRID)), step=step)], spec)
    check(kernels, [as_columns(with_values(some_points(1700, GRID)))], spec)
    assert len(set(kernels._staging.device.programs)) == 1


def test_one_table_takes_four_launches_and_one_clear(made):
    kernels = made()
    kernels.voxelize([as_message(some_points(100, GRID))], spec_of(GRID, ('count',)))
    names = [launch.kernel for launch in kernels._staging.device.launches()]
    assert names == ['voxels.mark', 'voxels.spread_0', 'voxels.accumulate', 'voxels.finish']
    assert len(kernels._staging.device.programs[0].steps) == 5


def test_more_than_the_device_takes_is_refused_with_a_sentence(made):
    cloud = as_message(with_values(some_points(500, GRID)))
    spec = spec_of(GRID, CHANNELS)
    with pytest.raises(OverLimit, match='500 points, the device takes 499'):
        made(max_points=499).voxelize([cloud], spec)
    with pytest.raises(OverLimit, match='8000 bytes of points, the device takes 7999'):
        made(max_message_bytes=7999).voxelize([cloud], spec)
    with pytest.raises(OverLimit, match='voxels, the device takes 99'):
        made(max_voxels=99).voxelize([cloud], spec)
    many = [f'min_{name}' for name in 'abcdefghijklmn']
    with pytest.raises(OverLimit, match='14 point fields, the device takes 13'):
        made().voxelize([cloud], spec_of(GRID, many))


def test_limits_that_just_hold(made):
    cloud = as_message(with_values(some_points(500, GRID)))
    voxels = len(NUMPY.voxelize([cloud], spec_of(GRID, CHANNELS)))
    tight = made(max_points=500, max_message_bytes=8000, max_voxels=voxels)
    check(tight, [cloud], spec_of(GRID, CHANNELS))
    tight = made(max_points=100, max_voxels=7)
    check(tight, [cloud], spec_of(GRID, CHANNELS, max_points=100, max_voxels=7))


def test_a_call_that_was_refused_leaves_nothing_behind(made):
    kernels = made(max_voxels=99)
    with pytest.raises(OverLimit):
        kernels.voxelize([as_message(some_points(500, GRID))], spec_of(GRID, ('count',)))
    check(kernels, [as_message(some_points(60, GRID))], spec_of(GRID, ('count',)))
