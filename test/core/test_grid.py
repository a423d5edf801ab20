# Copyright 2026 the robocache_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The grid: dimensions, widened edges, centres, what is refused."""

from __future__ import annotations

from dataclasses import fields

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from robocache_ros.grid import Channel, Grid, PointStats, VoxelSpec
from robocache_ros.reasons import Reason, Scope


def box(low, high):
    return [low, low, low, high, high, high]


def test_range_that_fits_gives_whole_cells_and_keeps_its_edges():
    grid = Grid.from_range(0.2, [-51.2, -51.2, -5.0, 51.2, 51.2, 3.0])
    assert grid.dims == (512, 512, 40)
    assert grid.shape == (40, 512, 512)
    assert grid.cells == 512 * 512 * 40
    assert grid.widened == (False, False, False)
    assert grid.upper == pytest.approx((51.2, 51.2, 3.0), abs=1e-9)


def test_each_axis_has_its_own_cell_size():
    grid = Grid.from_range([0.5, 0.25, 1.0], box(0, 1))
    assert grid.dims == (2, 4, 1)
    assert grid.size == (0.5, 0.25, 1.0)


def test_upper_edge_moves_to_the_next_whole_cell_where_the_range_does_not_fit():
    grid = Grid.from_range([0.3, 0.5, 4.0], box(0, 1))
    assert grid.dims == (4, 2, 1)
    assert grid.widened == (True, False, True)
    assert grid.upper == pytest.approx((1.2, 1.0, 4.0))


@pytest.mark.parametrize(
    ('high', 'cells', 'widened'),
    [
        (10.0 + 0.9e-5, 10, False),  # within a millionth of the cells: rounding of the numbers
        (10.0 - 0.9e-5, 10, False),
        (10.0 + 1.1e-5, 11, True),
        (10.0 - 1.1e-5, 10, True),  # the edge moves, if only by a hair
    ],
)
def test_a_millionth_of_the_cells_is_taken_for_rounding(high, cells, widened):
    grid = Grid.from_range(1.0, [0, 0, 0, high, 1, 1])
    assert (grid.dims[0], grid.widened[0]) == (cells, widened)


def test_constants_of_the_index_rule_are_rounded_once_from_float64():
    grid = Grid.from_range(0.1, box(-0.3, 0.7))
    assert grid.origin32.tolist() == [np.float32(-0.3)] * 3
    assert grid.inv32.tolist() == [np.float32(10.0)] * 3  # 1 / 0.1 in float64 is 10 exactly
    assert grid.dims32.tolist() == [10.0] * 3
    assert {a.dtype for a in (grid.origin32, grid.inv32, grid.dims32)} == {np.dtype(np.float32)}


def test_negative_zero_in_the_range_is_zero():
    assert str(Grid.from_range(1.0, [-0.0, 0, 0, 1, 1, 1]).origin[0]) == '0.0'


def test_linear_index_runs_along_x_first_and_z_last():
    grid = Grid.from_range(1.0, [0, 0, 0, 4, 3, 2])
    index = np.array([0, 1, 4, 12, 23])
    assert [a.tolist() for a in grid.unravel(index)] == [
        [0, 1, 0, 0, 3],
        [0, 0, 1, 0, 2],
        [0, 0, 0, 1, 1],
    ]


def test_centers_are_those_of_the_formula():
    grid = Grid.from_range(0.1, [-1.0, 5.0, 0.0, 0.0, 6.0, 1.0])
    x, y, z = grid.centers(np.array([3 + 10 * 4 + 100 * 5]))
    assert [x[0], y[0], z[0]] == [
        np.float32(-1.0 + 3.5 * 0.1),
        np.float32(5.0 + 4.5 * 0.1),
        np.float32(0.0 + 5.5 * 0.1),
    ]
    assert x.dtype == np.float32


@given(
    size=st.floats(0.01, 10.0),
    low=st.floats(-2000.0, 2000.0),
    cells=st.floats(0.2, 3000.0),
)
def test_center_of_every_cell_maps_back_to_it(size, low, cells):
    grid = Grid.from_range(size, [low, 0, 0, low + cells * size, size, size])
    centers = grid.center_tables[0]
    index = np.floor((centers - grid.origin32[0]) * grid.inv32[0])
    assert index.tolist() == list(range(grid.dims[0]))


@pytest.mark.parametrize(
    ('size', 'bounds', 'words'),
    [
        (0.0, box(0, 1), ['voxel_size must be positive', '0']),
        (-0.1, box(0, 1), ['-0.1']),
        (float('nan'), box(0, 1), ['nan']),
        ([0.1, 0.2], box(0, 1), ['one number or three']),
        (0.1, [0, 0, 0, 1, 1], ['6 numbers']),
        (0.1, [0, 0, 0, 1, 0, 1], ['min < max', 'for y']),
        (0.1, [0, 0, 2, 1, 1, 1], ['min < max', 'for z']),
        (0.1, [0, 0, 0, float('inf'), 1, 1], ['inf', 'for x']),
        (0.1, [-1e308, 0, 0, 1e308, 1, 1], ['2^20', 'along x']),
        (0.0001, [0, 0, 0, 1, 1, 105.0], ['2^20', 'along z']),
        (0.001, box(0, 5), ['2^36']),
        (0.01, [1e6, 0, 0, 1e6 + 10, 1, 1], ['too small for float32', 'x range']),
    ],
)
def test_grid_refuses_with_a_sentence_that_names_the_value(size, bounds, words):
    with pytest.raises(ValueError) as caught:
        Grid.from_range(size, bounds)
    for word in words:
        assert word in str(caught.value)


def test_the_largest_axis_and_the_largest_grid_are_allowed():
    assert Grid.from_range([1.0, 1.0, 1.0], [0, 0, 0, 2**20, 1, 1]).dims[0] == 2**20
    assert Grid.from_range(1.0, [0, 0, 0, 2**16, 2**16, 2**4]).cells == 2**36


def test_channel_names_say_kind_and_field():
    parsed = Channel.parse('mean_return_number')
    assert (parsed.kind, parsed.field) == ('mean', 'return_number')
    assert parsed.columns == ('mean_return_number',)
    assert Channel.parse('count').columns == ('count',)
    assert (Channel.parse('rgb').fields, Channel.parse('rgb').columns) == (
        ('r', 'g', 'b'),
        ('rgb',),
    )
    assert Channel.parse('majority_label').fields == ('label',)
    assert Channel.parse('centroid').columns == ('centroid_x', 'centroid_y', 'centroid_z')


@pytest.mark.parametrize('name', ['', 'counts', 'mean', 'mean_', 'median_intensity', 'Count'])
def test_unknown_channels_are_refused_with_the_allowed_set(name):
    with pytest.raises(ValueError, match=f"'{name}'.*count, occupancy, centroid, mean_F"):
        Channel.parse(name)


def spec(*names, grid=None, **limits):
    grid = grid or Grid.from_range(1.0, box(0, 4))
    return VoxelSpec(grid, tuple(Channel.parse(name) for name in names), **limits)


def test_spec_lists_columns_and_each_field_once():
    asked = spec('count', 'mean_a', 'centroid', 'max_a', 'sum_b')
    assert asked.fields == ('a', 'b')
    assert spec('mean_g', 'rgb', 'majority_a').fields == ('g', 'r', 'b', 'a')
    assert asked.columns == (
        'count', 'mean_a', 'centroid_x', 'centroid_y', 'centroid_z', 'max_a', 'sum_b',
    )  # fmt: skip


@pytest.mark.parametrize(
    ('names', 'limits', 'word'),
    [
        ((), {}, 'at least one'),
        (('count', 'count'), {}, 'none twice'),
        (('count',), {'max_points': 0}, 'max_points'),
        (('count',), {'max_points': 2**27 + 1}, '134217728'),
        (('count',), {'max_voxels': 0}, 'max_voxels'),
        (('sum_a',), {'resolutions': {'a': 0.1}}, "field 'a' must be a power of two"),
        (('sum_a',), {'resolutions': {'a': -0.5}}, '-0.5'),
        (('sum_a',), {'resolutions': {'a': 2.0**-65}}, '2\\^-64'),
    ],
)
def test_spec_refuses_what_can_not_be_computed(names, limits, word):
    with pytest.raises(ValueError, match=word):
        spec(*names, **limits)


def test_dense_grids_need_count_and_a_bounded_number_of_cells():
    spec('count').check_dense()
    spec('mean_a', 'count').check_dense()
    with pytest.raises(ValueError, match='use mean_r, mean_g and mean_b'):
        spec('count', 'rgb').check_dense()
    with pytest.raises(ValueError, match='channel count'):
        spec('mean_a', 'occupancy').check_dense()
    large = Grid.from_range(1.0, [0, 0, 0, 2**16, 2**15, 1])
    with pytest.raises(ValueError, match='2147483648'):
        spec('count', grid=large).check_dense()


def test_everything_that_is_noted_of_points_stands_under_the_grid_in_the_documentation():
    by_field = {'fields_missing': ('a',), 'unseen_of': {'r': 1}}
    names = [field.name for field in fields(PointStats) if field.name not in by_field]
    notes = PointStats(**dict.fromkeys(names, 1), **by_field).notes()
    assert set(notes) == {reason for reason in Reason if reason.scope is Scope.GRID}


def test_notes_of_points_leave_out_zeros():
    stats = PointStats(points=9, used=3, nonfinite=2, over_limit=4, fields_missing=('a', 'b'))
    assert stats.notes() == {
        Reason.POINT_NONFINITE: 2,
        Reason.POINT_OVER_LIMIT: 4,
    }
    assert PointStats().notes() == {}
