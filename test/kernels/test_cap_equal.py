# Copyright 2026 the robocache_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The points that a cap keeps of a voxel are NumPy's, whoever of the threads comes first."""

from __future__ import annotations

import dataclasses
import functools

import numpy as np
import pytest
from cpu_device import ORDERS, POISON
from deskew_oracle import some_motion
from devices import EACH_KIND, EVERY, device
from hypothesis import given, settings
from hypothesis import strategies as st
from made_clouds import as_columns, as_message, assert_same, some_points, spec_of

from robocache_ros.backends import numpy_cap
from robocache_ros.backends.cuda.cuda_backend import CudaBackend
from robocache_ros.backends.cuda.device import Limits, OverLimit
from robocache_ros.backends.cuda.memory import padded
from robocache_ros.backends.cuda.staging import Staging
from robocache_ros.backends.cuda.voxels import Voxelizer
from robocache_ros.backends.numpy_backend import NumpyBackend
from robocache_ros.codec.cloud import Transform
from robocache_ros.grid import Grid

GRID = Grid.from_range(2.0, [-8, -6, -2, 8, 6, 2])
FINE = Grid.from_range([0.03, 0.05, 0.03], [-8, -6, -2, 8, 6, 2])
CHANNELS = ('count', 'centroid', 'mean_v', 'sum_v', 'min_v', 'max_v')
NUMPY = NumpyBackend()


@functools.cache
def voxelizer_on(name):
    return voxelizer(name)


def voxelizer(name, *table_bits, **limits):
    return Voxelizer(Staging(device(name), Limits(**limits)), *table_bits)


@pytest.fixture(params=EVERY)
def kernels(request):
    return voxelizer_on(request.param)


@pytest.fixture(params=EACH_KIND)
def made(request):
    """Make kernels of their own, with limits or tables: made(**options)."""
    return functools.partial(voxelizer, request.param)


def capped(most, seed=0, grid=GRID, channels=CHANNELS, **limits):
    return spec_of(grid, channels, max_points_per_voxel=most, seed=seed, **limits)


def check(kernels, clouds, spec):
    """Compare a call with NumPy's; returns its result."""
    found = kernels.voxelize(clouds, spec)
    assert_same(found, NUMPY.voxelize(clouds, spec))
    return found


def scan(n, seed=0):
    """Points of which a few hundred fill one corner of the grid, with a value v."""
    columns = some_points(n, GRID, seed)
    near = np.arange(0, n, 2)
    for name in 'xyz':
        columns[name][near] = np.random.default_rng(seed + 1).uniform(0.1, 1.9, len(near))
    columns['v'] = np.where(np.arange(n) % 31, columns['x'], np.float32(np.nan))
    return columns


@pytest.mark.parametrize('most', range(1, 33))
def test_all_points_in_one_voxel_and_every_cap(kernels, most):
    rng = np.random.default_rng(most)
    columns = dict(zip('xyzv', rng.uniform(0.01, 1.99, (4, 400)).astype('f4'), strict=True))
    found = check(kernels, [as_message(columns)], capped(most, most))
    assert (found.count.tolist(), found.stats.over_cap) == ([most], 400 - most)


@pytest.mark.parametrize('most', [1, 3, 20])
@pytest.mark.parametrize('seed', [0, 1, 2**31, 2**32 - 1])
def test_crowded_voxels_among_others(kernels, most, seed):
    found = check(kernels, [as_message(scan(1200))], capped(most, seed))
    assert found.stats.over_cap > 100
    assert found.stats.nonfinite > 10
    if most > 1:
        assert (found.count < most).any()


def test_a_cap_that_no_voxel_reaches_keeps_all(kernels):
    found = check(kernels, [as_message(some_points(60, FINE))], capped(20, grid=FINE))
    assert found.stats.over_cap == 0


@pytest.mark.parametrize('most', [1, 2, 5, 32])
def test_points_with_the_same_hash_all_stay_or_all_go(kernels, most):
    columns = {name: np.repeat(v, 9) for name, v in scan(80).items()}
    found = check(kernels, [as_message(columns)], capped(most))
    assert found.count.max() > most
    one = {name: np.full(500, 0.5, 'f4') for name in 'xyzv'}
    assert check(kernels, [as_message(one)], capped(most)).count.tolist() == [500]


def test_a_zero_of_either_sign_is_one_place_unless_a_transform_makes_the_sign(kernels):
    columns = {name: np.float32([0.0, -0.0, 0.25, 0.5] * 5) for name in 'xyzv'}
    mirror = Transform.from_matrix(np.diag([-1.0, 1.0, 1.0, 1.0]))
    for seed in range(4):
        for cloud in (as_message(columns), as_columns(columns)):
            for moved in (None, mirror):
                check(kernels, [dataclasses.replace(cloud, transform=moved)], capped(5, seed))


def unmixed(h):
    """Undo a mix of the hash."""
    h ^= h >> 16
    h = h * pow(0x846CA68B, -1, 2**32) % 2**32
    h ^= h >> 15 ^ h >> 30
    h = h * pow(0x7FEB352D, -1, 2**32) % 2**32
    return h ^ h >> 16


def coordinate_of(h, x, y):
    """Return the z that gives a point the hash `h` with seed 0."""
    start = np.array([x, y], 'f4').view('u4').tolist()
    mixed = np.array([0x9E3779B9], 'u4')
    numpy_cap._mix(mixed)
    for bits in start:
        mixed ^= np.uint32(bits)
        numpy_cap._mix(mixed)
    return np.array([unmixed(h) ^ int(mixed[0])], 'u4').view('f4')[0]


@pytest.mark.parametrize('most', [1, 2, 3, 4])
def test_the_greatest_hash_is_one_like_others(kernels, most):
    tall = Grid.from_range([2.0, 2.0, 1e6], [-8, -6, 0, 8, 6, 1e6])
    rng = np.random.default_rng(3)
    for h in (0xFFFFFFFF, 0xFFFFFFFE, 0):
        while True:  # until the coordinate lies in the grid
            x, y = rng.uniform(0.1, 1.9, 2).astype('f4')
            z = coordinate_of(h, x, y)
            if 1e-30 < z < 9e5:
                break
        assert numpy_cap.hashes([np.array([v], 'f4') for v in (x, y, z)], 0).tolist() == [h]
        for others in range(5):
            rest = rng.uniform(0.1, 1.9, (others, 3)).astype('f4')
            points = np.concatenate([rest[:2], [[x, y, z]], rest[2:], [[x, y, z]]]).astype('f4')
            columns = dict(zip('xyz', points.T.copy(), strict=True))
            check(kernels, [as_columns(columns)], capped(most, 0, tall, ('count', 'centroid')))


def test_clouds_that_move_are_sampled_where_they_come_to(kernels):
    by = some_motion(6, scale=1e9)
    columns = {**scan(500), 'time': np.linspace(0, 0.02, 500)}
    turn = Transform.from_matrix([[0, -1, 0, 0.5], [1, 0, 0, 0], [0, 0, 1, -0.25], [0, 0, 0, 1]])
    clouds = [
        dataclasses.replace(as_message(columns), motion=by),
        dataclasses.replace(as_columns(columns), transform=turn),
        as_message(scan(300, 7), (0.5, -0.25, 0.125)),
    ]
    check(kernels, clouds, capped(4, 9))
    check(kernels, clouds, capped(4, 9, max_points=777))


@pytest.mark.parametrize('order', range(5))
def test_the_order_of_points_never_shows(kernels, order):
    columns = scan(600)
    turn = np.random.default_rng(order).permutation(600)
    found = kernels.voxelize([as_message({k: v[turn] for k, v in columns.items()})], capped(3))
    assert_same(found, NUMPY.voxelize([as_message(columns)], capped(3)))


@pytest.mark.parametrize('limit', [1, 20, 50])
def test_voxels_that_are_over_the_limit_are_capped_all_the_same(kernels, limit):
    found = check(kernels, [as_message(scan(900))], capped(2, max_voxels=limit))
    assert found.stats.voxels_over_limit > 0


@pytest.mark.parametrize(('table_bits', 'launches'), [(16, 10), (21, 8), (26, 6)])
def test_tables_of_every_number_of_levels(made, table_bits, launches):
    sizes = {26: GRID, 21: FINE, 16: FINE}[table_bits]
    columns = {name: np.concatenate([v, v[::3], v[::7]]) for name, v in scan(700).items()}
    kernels = made(table_bits)
    for _ in range(2):  # the second call finds the memory of the first
        check(kernels, [as_message(columns)], capped(3, grid=sizes))
    assert len(kernels._staging.device.launches()) == 2 * launches


def test_kernels_of_a_cap_are_launched_with_a_cap_only(made):
    kernels = made()
    for most, extra in ((0, []), (2, ['voxels.compete', 'voxels.drop']), (0, [])):
        check(kernels, [as_message(scan(300))], capped(most))
        names = [launch.kernel for launch in kernels._staging.device.launches()]
        assert names == ['voxels.mark', 'voxels.spread_0', *extra, *names[-2:]]
        kernels._staging.device.clear()


def test_specs_with_another_cap_or_seed_are_told_apart(made):
    kernels = made()
    for most, seed in [(3, 0), (4, 0), (4, 1), (32, 1), (1, 1), (3, 0)]:
        check(kernels, [as_message(scan(500))], capped(most, seed))


def test_more_than_the_device_takes_is_refused_with_a_sentence(made):
    cloud = as_message(scan(900))
    with pytest.raises(OverLimit, match='a cap of 33 points a voxel, the device takes 32'):
        made().voxelize([cloud], capped(33))
    filled = len(NUMPY.voxelize([cloud], capped(3)))
    # All voxels are capped, however few of them are asked for.
    spec = capped(3, max_voxels=5)
    check(made(max_voxels=filled), [cloud], spec)
    with pytest.raises(OverLimit, match=f'{filled} voxels, the device takes'):
        made(max_voxels=filled - 1).voxelize([cloud], spec)


def test_voxels_that_there_is_no_room_for_leave_the_memory_behind_it_alone():
    kernels = voxelizer('shuffled', max_voxels=100)
    with pytest.raises(OverLimit, match='voxels, the device takes 100'):
        kernels.voxelize([as_message(scan(900))], capped(8, grid=FINE))
    scratch, job = kernels._scratch.at_least(1), kernels._plan.job()[0]
    end = int(job['slots']) - scratch.address + padded(4 * 8 * 100)
    assert end < scratch.nbytes
    assert (scratch.array[end:] == POISON).all()


@pytest.mark.parametrize('channels', [('count',), CHANNELS], ids=len)
def test_dense_grids_have_the_points_that_the_cap_keeps(channels):
    backend = CudaBackend(device('shuffled'), Limits())
    clouds, spec = [as_message(scan(900))], capped(3, channels=channels, max_voxels=10)
    right = NUMPY.voxelize_dense(clouds, spec)
    assert backend.voxelize_dense(clouds, spec).tobytes() == right.tobytes()
    out = np.full_like(right, 9)
    assert backend.voxelize_dense(clouds, spec, out) is out
    assert out.tobytes() == right.tobytes()
    with pytest.raises(ValueError, match='channel count'):
        backend.voxelize_dense(clouds, capped(3, channels=('mean_v',)))


coordinates = st.one_of(st.floats(-2.5, 2.5, width=32), st.sampled_from([0.0, -0.0, 0.5, 2.0]))
rows = st.lists(st.tuples(coordinates, coordinates, coordinates), max_size=80)


@settings(deadline=None, max_examples=40)
@given(
    rows,
    st.integers(1, 4),
    st.sampled_from(ORDERS),
    st.integers(1, 32),
    st.integers(0, 2**32 - 1),
)
def test_any_small_cloud(points, repeats, order, most, seed):
    table = np.tile(np.array(points, 'f8').reshape(-1, 3), (repeats, 1)).astype('f4')
    columns = dict(zip('xyz', table.T.copy(), strict=True))
    check(voxelizer_on(order), [as_columns(columns)], capped(most, seed, channels=('count',)))
