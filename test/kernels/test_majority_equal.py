# Copyright 2026 the robocache_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Majorities and colours of voxels by the kernels and by NumPy are the same, bit for bit."""

from __future__ import annotations

import functools

import numpy as np
import pytest
from cpu_device import ORDERS
from devices import device, fixtures
from hypothesis import given, settings
from hypothesis import strategies as st
from made_clouds import as_columns, as_message, assert_same, some_points, spec_of

from robocache_ros.backends.cuda.cuda_backend import CudaBackend
from robocache_ros.backends.cuda.device import Limits
from robocache_ros.backends.cuda.staging import Staging
from robocache_ros.backends.cuda.voxels import Voxelizer
from robocache_ros.backends.numpy_backend import NumpyBackend
from robocache_ros.grid import Grid

GRID = Grid.from_range(2.0, [-8, -6, -2, 8, 6, 2])
FINE = Grid.from_range(0.05, [-8, -6, -2, 8, 6, 2])  # refined in two or three tables
ONE = Grid.from_range(100.0, [-50, -50, -50, 50, 50, 50])
LABELS = ('count', 'majority_label')
NUMPY = NumpyBackend()
NAN, INF = float('nan'), float('inf')
NO_VALUE_BITS = 0x7FC00000


@functools.cache
def backend_on(name):
    return CudaBackend(device(name), Limits())


cuda, one_cuda = fixtures(backend_on)


def check(cuda, clouds, channels=LABELS, grid=GRID, **limits):
    """Compare with NumPy's; returns the voxels."""
    spec = spec_of(grid, channels, **limits)
    found = cuda.voxelize(clouds, spec)
    assert_same(found, NUMPY.voxelize(clouds, spec))
    return found


def labelled(labels, seed=0, grid=GRID):
    labels = np.asarray(labels)
    return {**some_points(len(labels), grid, seed, bad=0), 'label': labels}


def in_one_voxel(labels):
    n = len(labels)
    return as_columns({**dict.fromkeys('xyz', np.zeros(n, 'f4')), 'label': np.array(labels)})


# -- majorities ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ('labels', 'most'),
    [
        ([7.0], 7),
        ([0.0, 3.0, 3.0], 3),
        ([9.0, 2.0, 9.0, 2.0], 2),
        ([65535.0, 65535.0, 0.0], 65535),
        ([1.4, 0.6, 5.0], 1),
        ([0.5, 1.5, 2.5], 2),  # to even: 0, 2, 2
        ([-0.4, -0.0, 8.0], 0),
        ([-1.0, -1.0, 65536.0, 65535.5, 1e30, NAN, INF, 4.0], 4),
        ([1e300, 1e300, -1e300, 6.0], 6),
    ],
)
def test_the_label_that_most_points_have(cuda, labels, most):
    found = check(cuda, [in_one_voxel(labels)], grid=ONE)
    assert found.columns['majority_label'].tolist() == [most]


def test_voxels_without_a_label_and_what_is_left_out(cuda):
    labels = [NAN, INF, -1.0, 65536.0, 1e300]
    found = check(cuda, [in_one_voxel(labels)], grid=ONE)
    assert found.columns['majority_label'].view('u4').tolist() == [NO_VALUE_BITS]
    assert (found.stats.value_nonfinite, found.stats.value_range) == (2, 3)
    # A value that several channels leave out counts once, in whichever range it is.
    every = ('count', 'mean_label', 'max_label', 'majority_label', 'sum_label')
    assert check(cuda, [in_one_voxel(labels)], every, ONE).stats.value_range == 3


@pytest.mark.parametrize('dtype', ['u1', 'i1', 'u2', 'i2', 'u4', 'i4', 'f4', 'f8'])
@pytest.mark.parametrize('big_endian', [False, True])
def test_labels_of_every_type(one_cuda, dtype, big_endian):
    rng = np.random.default_rng(2)
    labels = rng.integers(-100 if dtype[0] != 'u' else 0, 127, 700) // 30
    if np.dtype(dtype).itemsize > 1:
        labels[::50] = 32_000
    if np.dtype(dtype).itemsize > 2:
        labels[::49] = 65_535 + (np.arange(len(labels[::49])) % 3)
    columns = labelled(labels.astype(dtype))
    for cloud in (as_message(columns, step=27, first=1, big_endian=big_endian),
                  as_columns(columns)):  # fmt: skip
        check(one_cuda, [cloud])


@pytest.mark.parametrize('order', range(5))
def test_the_order_of_points_never_shows(cuda, order):
    columns = labelled(np.random.default_rng(1).integers(0, 5, 800).astype('f4'))
    turn = np.random.default_rng(order).permutation(800)
    found = cuda.voxelize([as_columns({k: v[turn] for k, v in columns.items()})],
                          spec_of(GRID, LABELS))  # fmt: skip
    assert_same(found, NUMPY.voxelize([as_columns(columns)], spec_of(GRID, LABELS)))


def test_runs_of_neighbours_with_one_label_and_without(cuda):
    runs = [np.repeat(np.arange(9.0), length)[:400] for length in (1, 2, 31, 32, 33, 64)]
    rng = np.random.default_rng(5)
    mixed = np.where(rng.random(900) < 0.3, NAN, rng.integers(0, 3, 900))
    for labels in (*runs, mixed):
        check(cuda, [in_one_voxel(labels)], grid=ONE)
        check(cuda, [as_columns(labelled(labels))])


@pytest.mark.parametrize('n', [1, 31, 1023, 1024, 1025, 4096])
def test_tables_are_as_full_as_they_can_be(one_cuda, n):
    # Every point has a label of its own, which one more point of another cloud has as well.
    labels = np.random.default_rng(0).permutation(65536)[:n].astype('f4')
    check(one_cuda, [in_one_voxel(labels)], grid=ONE)
    found = check(one_cuda, [in_one_voxel(labels), in_one_voxel(labels[n // 2 :][:1])], grid=ONE)
    assert found.columns['majority_label'].tolist() == [labels[n // 2]]


def test_several_majorities_beside_all_other_channels(cuda):
    rng = np.random.default_rng(3)
    columns = some_points(900, GRID, 3)
    for k in range(4):
        columns[f'f{k}'] = rng.integers(0, 4, 900).astype(('f4', 'u1', 'f8', 'i2')[k])
    columns['f0'][::9], columns['f2'][::7] = NAN, -5.0
    lacking = some_points(100, GRID, 4)
    channels = [f'{kind}_f{k}' for k in (2, 0, 1, 3) for kind in ('majority', 'mean', 'min')]
    clouds = [as_message(columns), as_columns({**lacking, 'f1': np.full(100, 2, 'u1')})]
    found = check(cuda, clouds, ['occupancy', *channels, 'centroid', 'count'])
    assert found.stats.fields_missing == ('f2', 'f0', 'f3')
    check(cuda, clouds, [f'majority_f{k}' for k in range(4)])  # not even a count


def test_thirteen_majorities(one_cuda):
    rng = np.random.default_rng(4)
    names = [f'f{k}' for k in range(13)]
    columns = {
        **some_points(300, GRID),
        **{n: rng.integers(0, 4, 300).astype('u2') for n in names},
    }
    kinds = ('majority', 'mean', 'sum', 'min', 'max')
    every = [f'{kind}_{name}' for name in names for kind in kinds]
    check(one_cuda, [as_columns(columns)], ['count', 'occupancy', 'centroid', *every])


@pytest.mark.parametrize('limit', [1, 7, 60])
def test_of_voxels_over_the_limit_no_label_counts_and_every_value_does(cuda, limit):
    labels = np.resize([1.0, 1.0, 2.0, NAN, -3.0], 700)
    found = check(cuda, [as_columns(labelled(labels))], max_voxels=limit)
    assert found.stats.voxels_over_limit > 0


def test_only_the_points_that_a_cap_keeps_vote(cuda):
    cloud = as_columns(labelled(np.resize([1.0, 1.0, 2.0, 5.0, NAN, -3.0], 900)))
    for most in (1, 2, 5, 32):
        found = check(cuda, [cloud], max_points_per_voxel=most, seed=9)
        assert found.stats.over_cap > 0 or most == 32


@pytest.mark.parametrize('table_bits', [16, 21, 26])
def test_tables_of_every_number_of_levels(table_bits):
    kernels = Voxelizer(Staging(device('shuffled'), Limits()), table_bits)
    base = labelled(np.resize([3.0, 4.0, 4.0], 500), grid=FINE)
    columns = {name: np.concatenate([v, v[::2], v[::2]]) for name, v in base.items()}
    for _ in range(2):  # the second call finds the memory of the first
        check(kernels, [as_columns(columns)], grid=FINE)


def test_votes_are_cast_with_a_majority_only():
    kernels = Voxelizer(Staging(device('forward'), Limits()))
    for channels, extra in ((('mean_label',), 0), (LABELS, 1), (('max_label',), 0)):
        check(kernels, [as_columns(labelled(np.arange(300.0)))], channels)
        names = [launch.kernel for launch in kernels._staging.device.launches()]
        assert names.count('voxels.vote') == extra
        assert len(names) == 4 + extra
        kernels._staging.device.clear()


@pytest.mark.parametrize('channels', [('count', 'majority_label'),
                                      ('majority_label', 'mean_label', 'count')])  # fmt: skip
def test_dense_grids_are_made_of_sparse_voxels(one_cuda, channels):
    labels = np.resize([1.0, 7.0, 7.0, NAN], 900)
    spec = spec_of(GRID, channels, max_voxels=5)
    right = NUMPY.voxelize_dense([as_columns(labelled(labels))], spec)
    out = np.full_like(right, 9)
    for target in (None, out):
        dense = one_cuda.voxelize_dense([as_columns(labelled(labels))], spec, target)
        assert dense.tobytes() == right.tobytes()
    assert dense is out


rows = st.lists(
    st.tuples(
        st.sampled_from([-1.0, 0.5, 1.5]),
        st.sampled_from([0.0, 1.0, 2.0, 2.5, 65535.0, -1.0, 65536.0, NAN, INF]),
    ),
    max_size=120,
)


@settings(deadline=None, max_examples=60)
@given(rows, st.sampled_from(ORDERS))
def test_any_small_cloud(points, order):
    table = np.array(points, 'f4').reshape(-1, 2)
    x, label = table.T.copy()
    zeros = np.zeros(len(x), 'f4')
    check(backend_on(order), [as_columns({'x': x, 'y': zeros, 'z': zeros, 'label': label})])


# -- colours -------------------------------------------------------------------------------------


def coloured(n=600, dtype='u1', seed=0, **changes):
    rng = np.random.default_rng(seed)
    colours = {name: rng.integers(0, 256, n).astype(dtype) for name in 'rgb'}
    return {**some_points(n, GRID, seed), **colours, **changes}


@pytest.mark.parametrize('dtype', ['u1', 'i2', 'f4', 'f8'])
def test_mean_colours(cuda, dtype):
    columns = coloured(dtype=dtype)
    if dtype != 'u1':
        columns['r'][::3] -= 300  # below 0 and above 255
        columns['g'][::2] += 200
    if dtype[0] == 'f':
        columns['b'][::5], columns['b'][1::5], columns['g'][::11] = NAN, 1e30, 0.5
    check(cuda, [as_message(columns, step=50)], ('rgb',))
    check(cuda, [as_columns(columns)], ('mean_b', 'max_r', 'count', 'rgb', 'sum_g', 'majority_r'))
    check(cuda, [as_columns(columns)], ('rgb', 'centroid'), resolutions={'r': 4.0, 'g': 2.0**-20})


@pytest.mark.parametrize(
    ('r', 'g', 'b', 'bits'),
    [
        ([0.0, 1.0], [254.0, 255.0], [127.0, 128.0], 0x01FF80),  # halves go up
        ([-3.0, -0.6], [255.4, 255.6], [256.0, 1e6], 0x00FFFF),
        ([0.49, 0.49], [NAN, 7.0], [NAN, INF], 0x000780),
    ],
)
def test_colours_are_rounded_and_clipped(one_cuda, r, g, b, bits):
    zeros = np.zeros(2, 'f4')
    columns = {**dict.fromkeys('xyz', zeros), 'r': r, 'g': g, 'b': b}
    columns = {name: np.array(values, 'f4') for name, values in columns.items()}
    found = check(one_cuda, [as_columns(columns)], ('rgb',), ONE)
    assert found.columns['rgb'].view('u4').tolist() == [bits]


def test_dense_grids_refuse_packed_colours(one_cuda):
    for channels in (('count', 'rgb'), ('count', 'rgb', 'majority_r')):
        with pytest.raises(ValueError, match='use mean_r, mean_g and mean_b'):
            one_cuda.voxelize_dense([as_columns(coloured(50))], spec_of(GRID, channels))


def test_clouds_that_lack_a_colour(cuda):
    whole, grey = coloured(200), some_points(200, GRID, 5)
    half = {name: v for name, v in coloured(200, seed=6).items() if name != 'g'}
    for clouds in ([half], [grey], [whole, half, grey]):
        found = check(cuda, [as_columns(columns) for columns in clouds], ('rgb', 'count'))
        assert 'g' in found.stats.fields_missing


def test_packed_colours_of_a_message(one_cuda):
    bits = np.random.default_rng(0).integers(0, 2**32, 300, np.uint32)
    for name, values in (('rgb', bits.view('f4')), ('rgba', bits)):
        for big_endian in (False, True):
            columns = {**some_points(300, GRID), name: values}
            cloud = as_message(columns, step=22, first=3, big_endian=big_endian)
            found = check(one_cuda, [cloud], ('rgb', 'mean_r', 'count'))
            assert found.stats.fields_missing == ()
