# Copyright 2026 the robocache_ros authors
# SPDX-License-Identifier: Apache-2.0
"""What a voxel says of its points: sums, centroids, extremes, missing values (rules 3 and 4)."""

from __future__ import annotations

import numpy as np
import pytest
from voxel_oracle import NO_VALUE_BITS, assert_equal, cloud, expected, unit_grid

from robocache_ros.grid import Grid

F32, F64 = np.float32, np.float64
NAN, INF = float('nan'), float('inf')
STEP = 2.0**-18
VALUES = ['mean_v', 'sum_v', 'min_v', 'max_v']


@pytest.fixture(scope='session')
def one_voxel(voxelize):
    def run(values, channels=VALUES, **limits):
        """Voxelize these values of a field v, all in cell 0; returns (voxels, name -> scalar)."""
        values = np.asarray(values)
        found = voxelize(
            cloud([(0.5, 0.5, 0.5)] * len(values), v=values), unit_grid(), channels, **limits
        )
        return found, {name: column[0] for name, column in found.columns.items()}

    return run


def no_value(column):
    return (column.view(np.uint32) == NO_VALUE_BITS).tolist()


# -- plain values --------------------------------------------------------------------------


def test_channels_of_four_values(one_voxel):
    found, column = one_voxel(
        np.array([1.5, -2.0, 4.0, 0.5], F32), ['count', 'occupancy', *VALUES]
    )
    assert column == {
        'count': 4, 'occupancy': 1.0, 'mean_v': 1.0, 'sum_v': 4.0, 'min_v': -2.0, 'max_v': 4.0,
    }  # fmt: skip
    assert {name: c.dtype for name, c in found.columns.items()} == {
        'count': np.uint32, **dict.fromkeys(['occupancy', *VALUES], np.float32),
    }  # fmt: skip


def test_columns_come_in_channel_order(one_voxel):
    found, _ = one_voxel(np.ones(1, F32), ['max_v', 'centroid', 'count', 'mean_v'])
    assert list(found.columns) == [
        'max_v', 'centroid_x', 'centroid_y', 'centroid_z', 'count', 'mean_v',
    ]  # fmt: skip


def test_coordinates_are_fields_too(voxelize):
    found = voxelize(cloud([(0.25, 0.5, 0.5), (0.75, 0.5, 0.5)]), unit_grid(), ['mean_x', 'max_x'])
    assert [c.tolist() for c in found.columns.values()] == [[0.5], [0.75]]


# -- sums (rule 3) -------------------------------------------------------------------------


def test_float_values_round_to_steps_of_2_to_the_minus_18_half_to_even(one_voxel):
    values = np.array([0.5, 1.5, 2.5, -0.5, -1.5]) * STEP  # -> 0, 2, 2, 0, -2 steps
    for value, steps in zip(values, [0, 2, 2, 0, -2], strict=True):
        assert one_voxel(np.array([value], F64))[1]['sum_v'] == steps * STEP


def test_sum_of_nothing_but_small_negatives_is_positive_zero(one_voxel):
    _, column = one_voxel(np.array([-0.25 * STEP, -0.0], F32))
    assert column['sum_v'].tobytes() == F32(0.0).tobytes()
    assert column['mean_v'].tobytes() == F32(0.0).tobytes()


def test_integer_fields_sum_in_steps_of_one(one_voxel):
    found, column = one_voxel(np.array([2**31 + 1, 2**31 + 3, 1], np.uint32))
    assert column['sum_v'] == F32(2**32 + 5)
    assert column['mean_v'] == F32(float(2**32 + 5) / 3.0)
    assert found.stats.value_range == 0  # 2^31 steps of 2^-18 would be out of range


@pytest.mark.parametrize('dtype', ['int8', 'uint8', 'int16', 'uint16', 'int32', 'uint32', 'bool'])
def test_every_integer_type_of_up_to_32_bits_is_a_value(one_voxel, dtype):
    _, column = one_voxel(np.array([1, 0, 1, 1], dtype))
    assert [float(column[name]) for name in VALUES] == [0.75, 3.0, 0.0, 1.0]


@pytest.mark.parametrize('dtype', ['int64', 'uint64'])
def test_64_bit_integers_are_times_and_count_as_a_missing_field(one_voxel, dtype):
    found, column = one_voxel(np.array([1, 2], dtype))
    assert np.isnan([column[name] for name in VALUES]).all()
    assert found.stats.fields_missing == ('v',)


def test_resolution_is_that_of_integers_only_if_every_cloud_has_integers(voxelize):
    third = np.array([0.4], F32)
    integers = cloud([(0.5, 0.5, 0.5)], v=np.array([2], np.uint16))
    floats = cloud([(0.5, 0.5, 0.5)], v=third)
    assert voxelize([integers, integers], unit_grid(), ['sum_v']).columns['sum_v'] == 4.0
    mixed = voxelize([integers, floats], unit_grid(), ['sum_v']).columns['sum_v']
    assert mixed[0] == F32(2.0 + round(float(third[0]) / STEP) * STEP)


def test_resolution_can_be_set_per_field(one_voxel):
    values = np.array([1.3, 1.3], F64)
    assert one_voxel(values, v=0.25)[1]['sum_v'] == 2.5
    assert one_voxel(values, v=2.0)[1]['mean_v'] == 2.0
    assert one_voxel(np.array([7], np.int32), v=4.0)[1]['sum_v'] == 8.0  # 7 / 4 is 1.75: 2 steps


def test_large_and_small_values_mix_without_losing_the_small_ones(one_voxel):
    values = np.array([1e5, STEP, -1e5, STEP, STEP], F32)
    found, column = one_voxel(values)
    assert column['sum_v'] == 3 * STEP
    assert column['mean_v'] == F32(3.0 / 5.0 * STEP)


@pytest.mark.parametrize('sign', [1, -1])
def test_all_points_in_one_voxel_stay_exact_where_a_float64_sum_is_not(one_voxel, sign):
    large = np.full(2**19, sign * 131071.984375, F32)  # 2^35 - 2^12 steps: together above 2^53
    values = np.concatenate([large, np.full(1001, STEP, F32), -large])
    steps = np.rint(values.astype(F64) / STEP)
    assert np.bincount(np.zeros(len(steps), int), weights=steps)[0] != 1001  # one is not enough
    found, column = one_voxel(values)
    assert column['sum_v'] == 1001 * STEP
    assert column['mean_v'] == F32(1001.0 / len(values) * STEP)
    assert found.count.tolist() == [2 * 2**19 + 1001]


def test_integers_stay_exact_where_a_float64_sum_is_not(one_voxel):
    large = np.full(2**19, 2**31 - 5, np.int32)
    values = np.concatenate([large, np.ones(3, np.int32), -large])
    assert one_voxel(values, v=2.0**-3)[1]['sum_v'] == 3.0  # 2^34 steps each


def test_values_of_2_to_the_35_steps_are_left_out_of_sums_and_counted(one_voxel):
    largest = np.nextafter(F32(131072), F32(0))
    found, column = one_voxel(np.array([131072, -131072, 1e30, 2.0, largest, -largest], F32))
    assert column['sum_v'] == 2.0
    assert column['mean_v'] == F32(2.0 * 2**18 / 3 * STEP)
    assert (found.stats.value_range, found.stats.value_nonfinite) == (3, 0)
    assert found.count.tolist() == [6]


def test_values_too_large_for_a_sum_still_have_a_least_and_a_greatest(one_voxel):
    _, column = one_voxel(np.array([131072, -1e30], F32))
    assert (column['min_v'], column['max_v']) == (F32(-1e30), F32(131072))


def test_a_coarser_resolution_brings_large_values_in(one_voxel):
    found, column = one_voxel(np.array([131072, 1e6], F32), v=1.0)
    assert column['sum_v'] == 1131072.0
    assert found.stats.value_range == 0


def test_float64_values_beyond_float32_are_out_of_range_not_nonfinite(one_voxel):
    found, column = one_voxel(np.array([1e300, -1e308, 5.0], F64))
    assert [float(column[name]) for name in VALUES] == [5.0, 5.0, 5.0, 5.0]
    assert (found.stats.value_range, found.stats.value_nonfinite) == (2, 0)
    found, _ = one_voxel(np.array([1e300, 5.0], F64), ['max_v'])
    assert (found.stats.value_range, found.stats.value_nonfinite) == (1, 0)


# -- centroids -----------------------------------------------------------------------------


def test_centroid_is_the_mean_of_fractions_cut_to_2_to_the_minus_20(voxelize):
    found = voxelize(cloud([(1.25, 2.0, 3.5), (1.5, 2.5, 3.5)]), unit_grid(), ['centroid'])
    assert [c[0] for c in found.columns.values()] == [
        F32(1.375 + 2.0**-21), F32(2.25 + 2.0**-21), F32(3.5 + 2.0**-21),
    ]  # fmt: skip


def test_centroid_of_points_at_the_upper_face_stays_in_the_cell(voxelize):
    face = np.nextafter(F32(2), F32(0))  # rint of its fraction would be the next cell
    found = voxelize(cloud([(face, 0.5, 0.5)] * 3), unit_grid(), ['centroid'])
    assert found.index.tolist() == [1]
    assert 2 - 2.0**-20 < found.columns['centroid_x'][0] < 2


def test_centroid_is_within_a_millionth_of_a_cell_of_the_true_mean(voxelize):
    rng = np.random.default_rng(1)
    points = rng.uniform(10.0, 10.2, (1000, 3)).astype(F32)
    grid = Grid.from_range(0.2, [10, 10, 10, 10.2, 10.2, 10.2])
    found = voxelize(cloud(points), grid, ['centroid', 'count'])
    assert len(found) == 1
    for name, true in zip('xyz', points.astype(F64).mean(axis=0), strict=True):
        assert abs(float(found.columns[f'centroid_{name}'][0]) - true) < 0.2e-6 + 1e-6


# -- values that are not there (rule 4) ----------------------------------------------------


def test_nonfinite_values_leave_their_point_in_count_occupancy_and_centroid(one_voxel):
    found, column = one_voxel(np.array([NAN, 2.0, INF, -INF], F32), ['count', 'centroid', *VALUES])
    assert column['count'] == 4
    assert column['centroid_x'] == F32(0.5 + 2.0**-21)
    assert [float(column[name]) for name in VALUES] == [2.0, 2.0, 2.0, 2.0]
    assert (found.stats.value_nonfinite, found.stats.value_range) == (3, 0)
    assert found.stats.nonfinite == 0


def test_bad_values_raise_no_floating_point_error(one_voxel):
    odd = np.array([0x7FA00001, 0xFF800000, 0x3F800000], np.uint32).view(F32)  # signalling NaN
    with np.errstate(all='raise'):
        for values in (odd, np.array([NAN, 1e308, 1.0], F64)):
            assert [float(v) for v in one_voxel(values)[1].values()] == [1.0] * 4


def test_a_value_left_out_counts_once_however_many_channels_leave_it_out(one_voxel):
    values = np.array([NAN, 1e300, 200000.0, 1.0], F64)
    for channels in (VALUES, VALUES[::-1], ['mean_v'], ['sum_v', 'max_v']):
        stats = one_voxel(values, channels)[0].stats
        assert (stats.value_nonfinite, stats.value_range) == (1, 2)


def test_values_of_dropped_points_do_not_count_as_left_out(voxelize):
    points = [(0.5, 0.5, 0.5), (9.0, 0.5, 0.5), (NAN, 0.5, 0.5)]
    values = np.array([1.0, NAN, INF], F32)
    assert voxelize(cloud(points, v=values), unit_grid()).stats.value_nonfinite == 0


def test_voxel_without_a_value_holds_the_constant_nan_in_value_channels_only(voxelize):
    points = [(0.5, 0.5, 0.5), (1.5, 0.5, 0.5)]
    odd = np.array([0xFFC12345, 0x3F800000], np.uint32).view(F32)  # a NaN of other bits, and 1
    found = voxelize(cloud(points, v=odd), unit_grid())
    for name in VALUES:
        assert no_value(found.columns[name]) == [True, False]
        assert found.columns[name][1] == 1.0
    for name in ('centroid_x', 'occupancy'):
        assert np.isfinite(found.columns[name]).all()


def test_negative_zero_never_leaves_the_grid(one_voxel):
    for values in (np.array([-0.0, -0.0], F32), np.array([-1e-60, -0.0], F64)):
        _, column = one_voxel(values)
        assert {column[name].tobytes() for name in VALUES} == {F32(0.0).tobytes()}


def test_denormal_values_are_kept(one_voxel):
    tiny = F32(1e-45)
    _, column = one_voxel(np.array([tiny, 0.0], F32))
    assert column['max_v'].tobytes() == tiny.tobytes()


def test_field_that_a_cloud_lacks_gives_its_points_no_value(voxelize):
    has = cloud([(0.5, 0.5, 0.5), (1.5, 0.5, 0.5)], v=np.array([4, NAN], F32))
    lacks = cloud([(1.5, 0.5, 0.5), (2.5, 0.5, 0.5), (0.5, 0.5, 0.5)])
    for clouds in ([has, lacks], [lacks, has]):
        found = voxelize(clouds, unit_grid())
        assert found.count.tolist() == [2, 2, 1]
        assert found.columns['mean_v'][0] == 4.0
        for name in VALUES:
            assert no_value(found.columns[name]) == [False, True, True]
        assert found.stats.fields_missing == ('v',)
        assert found.stats.value_nonfinite == 1  # the NaN; what is not there is not counted twice


def test_missing_fields_are_named_in_channel_order_once_each(voxelize):
    bare = cloud([(0.5, 0.5, 0.5)])
    found = voxelize([bare, bare], unit_grid(), ['max_b', 'mean_a', 'min_b'])
    assert found.stats.fields_missing == ('b', 'a')
    assert no_value(found.columns['max_b']) == [True]
    assert found.stats.value_nonfinite == 0


def test_missing_field_beside_dropped_points_is_not_counted_as_nonfinite(voxelize):
    has = cloud([(9.0, 0.5, 0.5), (0.5, 0.5, 0.5)], v=np.array([1, 2], F32))
    lacks = cloud([(0.5, 0.5, 0.5), (NAN, 0.5, 0.5), (9.0, 0.5, 0.5)])
    stats = voxelize([lacks, has], unit_grid()).stats
    assert (stats.used, stats.value_nonfinite, stats.value_range) == (2, 0, 0)


# -- against fractions ---------------------------------------------------------------------


@pytest.mark.parametrize(
    ('dtype', 'resolution', 'scale'),
    [('f4', STEP, 1e5), ('f4', STEP, 1e-4), ('f8', STEP, 1e5), ('i4', 1.0, 2e9), ('u1', 1.0, 255)],
)
def test_columns_equal_those_computed_in_fractions(voxelize, dtype, resolution, scale):
    rng = np.random.default_rng(7)
    points = rng.uniform(-1.2, 1.2, (400, 3)).astype(F32)
    low = 0 if dtype == 'u1' else -scale
    values = rng.uniform(low, scale, len(points)).astype(dtype)
    if dtype[0] == 'f':
        values[::3] = STEP  # mixed with the large ones
    grid = Grid.from_range([0.31, 0.5, 0.7], [-1, -1, -1, 1, 1, 1])
    found = voxelize(cloud(points, v=values), grid)
    assert len(found) > 60
    assert_equal(found, expected(points.tolist(), values.tolist(), grid, resolution))
