# Copyright 2026 the robocache_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Of a crowded voxel a fair sample is used: of where the points are, not of how they came."""

from __future__ import annotations

import struct
from dataclasses import replace

import numpy as np
import pytest
from voxel_oracle import CHANNELS, bits, cell_of, cloud, spec_of, unit_grid

from robocache_ros import occupancy, voxelize
from robocache_ros.backends.numpy_backend import NumpyBackend
from robocache_ros.codec.cloud import Transform
from robocache_ros.grid import Channel, Grid, VoxelSpec
from robocache_ros.reasons import Reason

F32 = np.float32
BOX = {'voxel_size': 1.0, 'point_cloud_range': [0, 0, 0, 4, 4, 4]}
M32 = 0xFFFFFFFF


def mixed(h):
    for shift, factor in ((16, 0x7FEB352D), (15, 0x846CA68B), (16, 1)):
        h ^= h >> shift
        h = h * factor & M32
    return h


def hash_of(point, seed):
    h = mixed((seed + 0x9E3779B9) & M32)
    for value in point:
        h = mixed(h ^ struct.unpack('<I', struct.pack('<f', value))[0])
    return h


def sampled(points, grid, most, seed):
    """Positions of the points that stay, one voxel after the other, written as the rule says."""
    members = {}
    for position, point in enumerate(points):
        found = cell_of(point, grid)
        if found is not None:
            members.setdefault(found[0], []).append((hash_of(point, seed), position))
    stay = []
    for voxel in members.values():
        last = sorted(voxel)[min(most, len(voxel)) - 1][0]
        stay += [position for h, position in voxel if h <= last]
    return sorted(stay)


def some_points(n, seed=0):
    """Points in a few crowded voxels and in many that are not, some outside or not finite."""
    rng = np.random.default_rng(seed)
    points = np.concatenate([rng.uniform(-0.5, 4.5, (n // 2, 3)), rng.normal(2, 0.3, (n // 2, 3))])
    points[::50, 1] = np.nan
    return rng.permutation(points).astype(F32)


def capped(most, seed=0, channels=CHANNELS, grid=None, **limits):
    spec = spec_of(grid or unit_grid(), channels, **limits)
    return replace(spec, max_points_per_voxel=most, seed=seed)


# -- the rule -----------------------------------------------------------------------------------


def test_hashes_are_those_of_the_rule_worked_out_by_another_program(backend):
    # Two points of one voxel each time: the one with the smaller hash stays.
    first, second = (0.25, 0.5, 0.75), (0.75, 0.25, 0.5)
    assert {hash_of(first, seed) < hash_of(second, seed) for seed in range(8)} == {True, False}
    for seed in (*range(8), M32):
        found = backend.voxelize([cloud([first, second])], capped(1, seed, ['max_x']))
        stays = min(first, second, key=lambda point: hash_of(point, seed))
        assert found.columns['max_x'].tolist() == [stays[0]]


@pytest.mark.parametrize('most', [1, 2, 7, 32])
@pytest.mark.parametrize('seed', [0, 1, 2**31, M32])
def test_channels_see_only_the_points_with_the_smallest_hashes(backend, most, seed):
    check_sample(backend, most, seed)


@pytest.mark.parametrize('most', [33, 100, 1000])
def test_caps_that_are_too_large_for_a_device_are_no_different(most):
    check_sample(NumpyBackend(), most, 3)


def check_sample(backend, most, seed):
    points, values = some_points(2000), np.arange(2000, dtype=F32)
    stay = sampled(points, unit_grid(), most, seed)
    found = backend.voxelize([cloud(points, v=values)], capped(most, seed))
    wanted = backend.voxelize([cloud(points[stay], v=values[stay])], capped(0))
    assert bits(found) == bits(wanted)
    inside = sum(cell_of(point, unit_grid()) is not None for point in points)
    assert (found.stats.used, found.stats.over_cap) == (len(stay), inside - len(stay))


def test_every_point_is_accounted_for_and_the_reason_is_noted(backend):
    spec = capped(3, max_points=1800)
    stats = backend.voxelize([cloud(some_points(2000), v=np.zeros(2000, F32))], spec).stats
    others = stats.nonfinite, stats.out_of_range, stats.over_limit, stats.over_cap
    assert all(others)
    assert stats.points == 2000 == stats.used + sum(others)
    assert stats.notes()[Reason.POINT_OVER_CAP] == stats.over_cap


def test_a_cap_that_no_voxel_reaches_changes_nothing(backend):
    points = cloud(some_points(200), v=np.arange(200, dtype=F32))
    found, wanted = (backend.voxelize([points], capped(most)) for most in (32, 0))
    assert bits(found) == bits(wanted)
    assert found.stats == wanted.stats
    assert not found.stats.over_cap


def test_a_voxel_with_just_as_many_points_keeps_them_all(backend):
    points = cloud(some_points(200))
    found = backend.voxelize([points], capped(0, channels=['count']))
    most = int(found.count.max())
    for cap, lost in ((most, 0), (most - 1, 1)):
        stats = backend.voxelize([points], capped(cap, channels=['count'])).stats
        assert stats.over_cap == lost


def test_no_points_are_no_trouble(backend):
    found = backend.voxelize([cloud([])], capped(2, channels=['count']))
    assert (len(found), found.stats.over_cap) == (0, 0)


# -- fair -----------------------------------------------------------------------------------------


def test_the_order_of_the_points_and_of_their_clouds_changes_nothing(backend):
    points, values = some_points(2000), np.arange(2000, dtype=F32)
    wanted = bits(backend.voxelize([cloud(points, v=values)], capped(5)))
    for turn in (np.arange(2000)[::-1], np.random.default_rng(1).permutation(2000)):
        parts = [cloud(points[part], v=values[part]) for part in np.array_split(turn, 3)]
        assert bits(backend.voxelize(parts, capped(5))) == wanted


def test_points_that_share_a_place_stay_or_go_together(backend):
    first, second = (0.25, 0.5, 0.75), (0.75, 0.25, 0.5)
    low, high = sorted((first, second), key=lambda point: hash_of(point, 0))
    for points, stay in (
        ([low] * 5 + [high] * 5, 5),  # the third smallest of the voxel is one of five equal ones
        ([low] * 2 + [high] * 5, 7),
        ([low] * 3 + [high] * 5, 3),
    ):
        found = backend.voxelize([cloud(points)], capped(3, channels=['count']))
        assert found.count.tolist() == [stay]


def test_an_old_sweep_keeps_its_share_beside_a_new_one():
    backend = NumpyBackend()
    rng = np.random.default_rng(2)
    sweeps = [
        cloud(rng.uniform(0, 1, (n, 3)).astype(F32), lag=np.full(n, lag, F32))
        for n, lag in ((6000, 0.0), (3000, 1.0))
    ]
    shares = [
        float(backend.voxelize(sweeps, capped(900, seed, ['mean_lag'])).columns['mean_lag'][0])
        for seed in range(4)
    ]
    # A third, and a standard deviation of 1.5 % for a sample of 900.
    assert all(abs(share - 1 / 3) < 0.06 for share in shares)
    assert len(set(shares)) == 4


def test_points_on_a_grid_of_millimetres_are_sampled_evenly():
    backend = NumpyBackend()
    # Coordinates as many drivers make them: few bits that differ, the same in x, y and z.
    steps = np.arange(24) / 1000
    points = np.stack(np.meshgrid(steps, steps, steps), axis=-1).reshape(-1, 3).astype(F32)
    half = {axis: (points[:, k] >= 0.012).astype(F32) for k, axis in enumerate('abc')}
    for seed in range(4):
        found = backend.voxelize(
            [cloud(points, **half)], capped(1000, seed, ['count', 'mean_a', 'mean_b', 'mean_c'])
        )
        assert found.count.tolist() == [1000]
        assert all(abs(float(found.columns[f'mean_{axis}'][0]) - 0.5) < 0.08 for axis in half)


# -- with everything else -------------------------------------------------------------------------


def test_what_is_hashed_is_where_the_points_are_in_the_grid(backend):
    points = np.random.default_rng(3).integers(0, 2**10, (500, 3)).astype(F32) / 2**10
    double = Transform.from_matrix(np.diag([2.0, 2.0, 2.0, 1.0]))
    seen = cloud(points, v=np.arange(500, dtype=F32))
    there = cloud(points * 2, v=np.arange(500, dtype=F32))
    found = backend.voxelize([replace(seen, transform=double)], capped(6))
    assert bits(found) == bits(backend.voxelize([there], capped(6)))
    assert found.stats.over_cap > 400
    far = points.astype('f8') + (1e6, 0.0, 0.0)
    mapped = replace(cloud(far, v=np.arange(500, dtype=F32)), input_origin=(1e6, 0.0, 0.0))
    assert bits(backend.voxelize([mapped], capped(6))) == bits(backend.voxelize([seen], capped(6)))


def test_only_the_points_that_are_looked_at_take_part(backend):
    points = some_points(2000)
    found = backend.voxelize([cloud(points)], capped(4, channels=['count'], max_points=700))
    first = backend.voxelize([cloud(points[:700])], capped(4, channels=['count']))
    assert bits(found) == bits(first)
    assert found.stats.over_cap == first.stats.over_cap


def test_voxels_over_their_limit_count_what_they_left_out_as_well(backend):
    points = cloud(some_points(2000))
    some, every = (
        backend.voxelize([points], capped(4, channels=['count'], max_voxels=m)) for m in (5, 10**6)
    )
    assert len(some) == 5
    assert some.stats == replace(every.stats, voxels_over_limit=len(every) - 5)


@pytest.mark.parametrize('channels', [['count'], ['count', 'mean_v', 'centroid']])
def test_a_dense_grid_is_that_of_the_sparse_voxels(backend, channels):
    points, spec = cloud(some_points(2000), v=np.arange(2000, dtype=F32)), capped(3, 9, channels)
    grid = backend.voxelize_dense([points], spec)
    sparse = backend.densify(backend.voxelize([points], spec))
    assert grid.tobytes() == sparse.tobytes()
    assert grid[..., 0].max() == 3


@pytest.mark.usefixtures('package')
def test_the_functions_of_the_package_take_a_cap_and_a_seed():
    points = np.random.default_rng(4).uniform(0, 4, (3000, 3)).astype(F32)
    found = voxelize(points, **BOX, max_points_per_voxel=8, seed=5, channels=['count', 'centroid'])
    stay = sampled(points, unit_grid(), 8, 5)
    assert bits(found) == bits(voxelize(points[stay], **BOX, channels=['count', 'centroid']))
    other = voxelize(points, **BOX, max_points_per_voxel=8, seed=6, channels=['count', 'centroid'])
    assert bits(other) != bits(found)
    assert (other.count == 8).all()
    dense = voxelize(points, **BOX, max_points_per_voxel=8, dense=True)
    assert dense.max() == 8
    cells = occupancy(points, **BOX)
    assert np.array_equal(cells != 0, dense[..., 0] != 0)


@pytest.mark.parametrize(
    ('values', 'said'),
    [
        ({'max_points_per_voxel': -1}, r'max_points_per_voxel must be in 0\.\.134217728, got -1'),
        ({'max_points_per_voxel': 2**27 + 1}, 'got 134217729'),
        ({'seed': -1}, r'seed must be in 0\.\.4294967295, got -1'),
        ({'seed': 2**32}, 'got 4294967296'),
    ],
)
def test_a_cap_or_a_seed_out_of_range_is_refused(values, said):
    with pytest.raises(ValueError, match=said):
        VoxelSpec(Grid.from_range(1.0, [0, 0, 0, 4, 4, 4]), (Channel.parse('count'),), **values)
