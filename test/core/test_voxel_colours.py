# Copyright 2026 the robocache_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Channels of colours and labels: `rgb` in the bits of a float, `majority_F` by votes."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
from codec_messages import INF, NAN
from painted import F32, packed
from voxel_oracle import NO_VALUE_BITS, cloud, unit_grid

pytestmark = pytest.mark.filterwarnings('error')

U8 = np.uint8


@pytest.fixture(scope='session')
def in_one_voxel(voxelize):
    def run(channel, **fields):
        n = len(next(iter(fields.values())))
        return voxelize(cloud([(0.5, 0.5, 0.5)] * n, **fields), unit_grid(), [channel])

    return run


def colour(found):
    assert found.columns['rgb'].dtype == np.float32
    return found.columns['rgb'].view(np.uint32).tolist()


# -- rgb -------------------------------------------------------------------------------------


def test_a_colour_stands_in_the_bits_of_a_float_as_viewers_read_it(in_one_voxel):
    found = in_one_voxel('rgb', r=np.array([0x12], U8), g=np.array([0x34], U8),
                         b=np.array([0x56], U8))  # fmt: skip
    assert colour(found) == [0x123456]
    assert found.columns['rgb'].tobytes() == bytes([0x56, 0x34, 0x12, 0])


def test_a_mean_colour_is_rounded_half_up(in_one_voxel):
    found = in_one_voxel('rgb', r=np.array([0, 1], U8), g=np.array([254, 255], U8),
                         b=np.array([2, 3], U8))  # fmt: skip
    assert colour(found) == [packed(1, 255, 3)]
    thirds = in_one_voxel('rgb', r=np.array([0, 0, 1], U8), g=np.array([1, 1, 0], U8),
                          b=np.array([255] * 3, U8))  # fmt: skip
    assert colour(thirds) == [packed(0, 1, 255)]


def test_colours_of_floats_are_clipped_to_what_a_byte_holds(in_one_voxel):
    found = in_one_voxel('rgb', r=np.array([-7.0], F32), g=np.array([1e5], F32),
                         b=np.array([254.5], F32))  # fmt: skip
    assert colour(found) == [packed(0, 255, 255)]


def test_each_colour_is_the_mean_of_its_own_valid_values_and_128_without_any(in_one_voxel):
    found = in_one_voxel('rgb', r=np.array([NAN, 7.0], F32), g=np.array([10.0, 20.0], F32),
                         b=np.array([NAN, INF], F32))  # fmt: skip
    assert colour(found) == [packed(7, 15, 0x80)]
    assert found.stats.value_nonfinite == 3


def test_a_voxel_without_any_colour_is_grey(voxelize):
    found = voxelize(cloud([(0.5, 0.5, 0.5)]), unit_grid(), ['rgb'])
    assert colour(found) == [0x808080]
    assert found.stats.fields_missing == ('r', 'g', 'b')


def test_colours_share_their_sums_with_other_channels(voxelize):
    random = np.random.default_rng(0)
    points = random.uniform(0, 4, (500, 3)).astype(F32)
    fields = {name: random.integers(0, 256, 500, U8) for name in 'rgb'}
    names = ['mean_r', 'rgb', 'mean_g', 'mean_b', 'count']
    found = voxelize(cloud(points, **fields), unit_grid(), names)
    means = [np.floor(found.columns[f'mean_{name}'].astype(np.float64) + 0.5) for name in 'rgb']
    near = np.array([packed(*pixel) for pixel in np.array(means, int).T.tolist()], np.uint32)
    assert np.array_equal(found.columns['rgb'].view(np.uint32), near)


# -- majority ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ('labels', 'winner'),
    [
        ([3], 3),
        ([3, 5, 5], 5),
        ([5, 3], 3),
        ([9, 5, 3, 9, 5, 3], 3),
        ([0, 0, 7, 7], 0),
        ([65535, 65535, 1], 65535),
    ],
)
@pytest.mark.parametrize('dtype', [np.uint16, np.int32, np.float32, np.float64])
def test_most_votes_win_and_the_lowest_label_where_there_are_as_many(
    in_one_voxel, labels, winner, dtype
):
    column = in_one_voxel('majority_v', v=np.array(labels, dtype)).columns['majority_v']
    assert (column.dtype, column.tolist()) == (np.float32, [winner])


def test_a_label_is_the_nearest_whole_number_the_even_one_of_two(in_one_voxel):
    for value, label in ((2.5, 2), (3.5, 4), (1.2, 1), (-0.4, 0), (65535.4, 65535)):
        found = in_one_voxel('majority_v', v=np.array([value], F32))
        assert found.columns['majority_v'].view(np.uint32).tolist() == [F32(label).view(np.uint32)]


def test_what_is_no_label_has_no_vote_and_is_counted(in_one_voxel):
    values = [-0.6, -1.0, 65535.5, 1e30, NAN, INF, -INF, 4.0]
    found = in_one_voxel('majority_v', v=np.array(values, F32))
    assert found.columns['majority_v'].tolist() == [4.0]
    assert (found.stats.value_range, found.stats.value_nonfinite) == (4, 3)
    none = in_one_voxel('majority_v', v=np.array(values[:7], F32))
    assert none.columns['majority_v'].view(np.uint32).tolist() == [NO_VALUE_BITS]
    assert (none.stats.value_range, none.stats.value_nonfinite) == (4, 3)


def test_a_double_beyond_float32_is_no_label(in_one_voxel):
    found = in_one_voxel('majority_v', v=np.array([1e300, 2.0, 2.0]))
    assert found.columns['majority_v'].tolist() == [2.0]
    assert (found.stats.value_range, found.stats.value_nonfinite) == (1, 0)


def test_values_that_several_channels_leave_out_count_once(voxelize):
    values = np.array([NAN, 2.0**17, 1.0], F32)
    found = voxelize(cloud([(0.5, 0.5, 0.5)] * 3, v=values), unit_grid(),
                     ['mean_v', 'majority_v', 'min_v'])  # fmt: skip
    assert (found.stats.value_range, found.stats.value_nonfinite) == (1, 1)


@pytest.mark.parametrize(('labels', 'cells'), [(3, 4), (65536, 4), (300, 1), (12, 64)])
def test_each_voxel_has_the_label_that_counting_finds(voxelize, labels, cells):
    random = np.random.default_rng(labels)
    points = random.uniform(0, cells, (3000, 3)).astype(F32)
    votes = random.integers(0, labels, 3000)
    names = ['majority_v', 'max_v']
    found = voxelize(cloud(points, v=votes.astype(F32)), unit_grid(cells), names)
    index = np.floor(points).astype(int) @ [1, cells, cells * cells]
    for cell, winner, greatest in zip(found.index, *found.columns.values(), strict=True):
        counts = Counter(votes[index == cell].tolist())
        assert greatest == max(counts)
        assert winner == min(label for label, n in counts.items() if n == max(counts.values()))
