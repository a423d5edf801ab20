# Copyright 2026 the robocache_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Which points are in the grid, and in which cell (numerics rule 2)."""

from __future__ import annotations

import numpy as np
import pytest
from voxel_oracle import cloud, unit_grid

from robocache_ros.codec.cloud import CloudView
from robocache_ros.grid import Grid

F32 = np.float32
NAN, INF = float('nan'), float('inf')


@pytest.fixture(scope='session')
def cells(voxelize):
    def run(points, grid):
        """Occupied cells as (ix, iy, iz)."""
        found = voxelize(cloud(points), grid, ['count'])
        return list(zip(*(axis.tolist() for axis in grid.unravel(found.index)), strict=True))

    return run


def test_voxels_come_sorted_by_linear_index_z_major_x_fastest(voxelize):
    points = [(3.5, 3.5, 3.5), (0.5, 0.5, 1.5), (0.5, 1.5, 0.5), (1.5, 0.5, 0.5), (0.5, 1.5, 0.5)]
    found = voxelize(cloud(points), unit_grid(4), ['count'])
    assert found.index.tolist() == [1, 4, 16, 63]
    assert found.count.tolist() == [1, 2, 1, 1]
    assert (found.index.dtype, found.count.dtype) == (np.int64, np.uint32)
    assert len(found) == 4


def test_lower_edge_of_a_cell_belongs_to_it_and_the_upper_one_to_the_next(cells):
    below, above = np.nextafter(F32(2), F32(0)), np.nextafter(F32(2), F32(3))
    points = [(below, 0, 0), (2.0, 1.0, 0), (above, 2.0, 0)]
    assert cells(points, unit_grid()) == [(1, 0, 0), (2, 1, 0), (2, 2, 0)]


def test_upper_edge_of_the_grid_is_outside_and_the_lower_one_inside(voxelize):
    below = np.nextafter(F32(4), F32(0))
    found = voxelize(
        cloud([(0, 0, 0), (below,) * 3, (4, 1, 1), (1, 4, 1), (1, 1, 4)]), unit_grid()
    )
    assert found.index.tolist() == [0, 63]
    assert found.stats.out_of_range == 3


def test_least_negative_number_is_outside_and_negative_zero_inside(voxelize):
    tiny = F32(-1e-45)
    assert tiny != 0
    found = voxelize(cloud([(tiny, 0, 0), (0, tiny, 0), (-0.0, -0.0, -0.0)]), unit_grid())
    assert found.index.tolist() == [0]
    assert found.stats.out_of_range == 2


def test_range_is_tested_on_t_as_float32_and_not_on_metres(cells):
    # 0.08 has no exact inverse: t of this point rounds up to 3 although it is below 0.24 m ...
    point = F32(0.24)
    assert float(point) < 0.24
    assert cells([(point, 0, 0)], Grid.from_range(0.08, [0, 0, 0, 0.24, 1, 1])) == []
    # ... and here t of the edge itself rounds down below 100.
    assert cells([(97.0, 0, 0)], Grid.from_range(0.97, [0, 0, 0, 97, 1, 1])) == [(99, 0, 0)]


def test_index_is_a_float32_product_and_not_a_division(cells):
    # float32(1 / 0.05) * 1.15 rounds up to 23, 1.15 / 0.05 in float64 is 22.999999.
    point = F32(1.15)
    assert point * F32(1 / 0.05) == 23
    assert float(point) / 0.05 < 23
    assert cells([(point, 0, 0)], Grid.from_range(0.05, [0, 0, 0, 2, 1, 1])) == [(23, 0, 0)]


def test_widened_upper_edge_takes_points_beyond_the_range_asked_for(cells):
    grid = Grid.from_range(0.3, [0, 0, 0, 1, 1, 1])
    assert cells([(1.15, 0.1, 0.1), (1.25, 0.1, 0.1)], grid) == [(3, 0, 0)]


@pytest.mark.parametrize('axis', [0, 1, 2])
@pytest.mark.parametrize('bad', [NAN, INF, -INF])
def test_point_with_one_bad_coordinate_is_nonfinite_whichever_it_is(voxelize, axis, bad):
    point = [0.5, 0.5, 0.5]
    point[axis] = bad
    found = voxelize(cloud([(0.5, 0.5, 0.5), point]), unit_grid())
    assert (found.stats.used, found.stats.nonfinite, found.stats.out_of_range) == (1, 1, 0)


def test_bad_coordinate_counts_once_and_before_out_of_range(voxelize):
    found = voxelize(cloud([(NAN, INF, 99.0), (99.0, 99.0, 99.0)]), unit_grid())
    assert (found.stats.nonfinite, found.stats.out_of_range) == (1, 1)


@pytest.mark.parametrize('huge', [3e38, -3e38, 1e30, 2.0**31, -(2.0**31), 2.0**63, 1e10])
def test_huge_coordinates_are_out_of_range_and_warn_of_nothing(voxelize, huge):
    grid = Grid.from_range(0.01, [-5, -5, -5, 5, 5, 5])  # t overflows float32
    with np.errstate(all='raise'):
        found = voxelize(cloud([(huge, 0, 0), (0, huge, 0), (0.005, 0.005, 0.005)]), grid)
    assert (found.stats.used, found.stats.nonfinite, found.stats.out_of_range) == (1, 0, 2)
    assert found.index.tolist() == [(500 * 1000 + 500) * 1000 + 500]


def test_signs_of_t_survive_an_origin_far_below_the_points(cells):
    grid = Grid.from_range(0.5, [-1000, -1000, -1000, -998, -998, -998])
    assert cells([(-999.25, -998.25, -999.75), (-1000.25, -999, -999)], grid) == [(1, 3, 0)]


def test_float64_clouds_subtract_the_configured_origin_before_the_cast(voxelize):
    # As float32 these map coordinates would be 500000 and 500000.03125.
    points = np.array([(500000.01, 0.01, 0.01), (500000.03, 0.01, 0.01)])
    columns = dict(zip('xyz', points.T, strict=True))
    view = CloudView.from_columns(columns, input_origin=(500000.0, 0.0, 0.0))
    grid = Grid.from_range(0.02, [0, 0, 0, 0.1, 0.1, 0.1])
    assert voxelize(view, grid).index.tolist() == [0, 1]


def test_conservation_with_every_way_to_lose_a_point(voxelize):
    points = [(0.5, 0.5, 0.5)] * 3 + [(NAN, 0, 0)] * 2 + [(9, 0, 0)] * 4 + [(0.5, 0.5, 0.5)] * 5
    stats = voxelize(cloud(points), unit_grid(), max_points=10).stats
    assert (stats.points, stats.used, stats.nonfinite, stats.out_of_range, stats.over_limit) == (
        14, 4, 2, 4, 4,
    )  # fmt: skip


def test_max_points_keeps_the_first_ones_of_all_clouds_together(voxelize):
    first = cloud([(0.5, 0.5, 0.5), (1.5, 0.5, 0.5)])
    second = cloud([(2.5, 0.5, 0.5), (3.5, 0.5, 0.5)])
    found = voxelize([first, second], unit_grid(), max_points=3)
    assert found.index.tolist() == [0, 1, 2]
    assert (found.stats.points, found.stats.over_limit) == (4, 1)
    assert voxelize([second, first], unit_grid(), max_points=1).index.tolist() == [2]


def test_max_points_counts_points_that_are_then_dropped(voxelize):
    found = voxelize(cloud([(9, 0, 0), (0.5, 0.5, 0.5)]), unit_grid(), max_points=1)
    assert (len(found), found.stats.out_of_range, found.stats.over_limit) == (0, 1, 1)


def test_over_max_voxels_the_lowest_indices_stay_and_the_rest_is_counted(voxelize):
    points = [(3.5, 3.5, 3.5), (0.5, 0.5, 0.5), (0.5, 0.5, 0.5), (2.5, 0.5, 0.5), (1.5, 1.5, 1.5)]
    whole = voxelize(cloud(points, v=np.arange(5, dtype=F32)), unit_grid())
    found = voxelize(cloud(points, v=np.arange(5, dtype=F32)), unit_grid(), max_voxels=2)
    assert found.index.tolist() == [0, 2]
    assert found.stats.voxels_over_limit == 2
    assert found.stats.used == 5
    for name, column in found.columns.items():
        assert column.tobytes() == whole.columns[name][:2].tobytes()
    assert whole.stats.voxels_over_limit == 0


def test_several_clouds_make_one_grid_as_if_they_were_one_cloud(voxelize):
    a = [(0.5, 0.5, 0.5), (1.25, 0.5, 0.5)]
    b = [(1.75, 0.5, 0.5), (9.0, 0, 0)]
    values = np.array([1, 2, 3, 4], F32)
    one = voxelize(cloud(a + b, v=values), unit_grid())
    two = voxelize([cloud(a, v=values[:2]), cloud(b, v=values[2:])], unit_grid())
    assert two.count.tolist() == [1, 2]
    assert two.columns['mean_v'].tolist() == [1.0, 2.5]
    assert {k: v.tobytes() for k, v in one.columns.items()} == {
        k: v.tobytes() for k, v in two.columns.items()
    }
    assert one.stats == two.stats


@pytest.mark.parametrize('clouds', [[], [cloud([])], [cloud([(9, 9, 9), (NAN, 0, 0)])]])
def test_nothing_inside_gives_no_voxels_with_every_column(voxelize, clouds):
    clouds = [CloudView.from_columns({**c.columns, 'v': c.columns['x']}) for c in clouds]
    found = voxelize(clouds, unit_grid())
    assert len(found) == 0
    assert [c.shape for c in found.columns.values()] == [(0,)] * 9
    assert [c.shape for c in found.centers()] == [(0,)] * 3
    assert found.stats.used == 0
    assert found.stats.points == sum(c.n for c in clouds)


def test_one_point_is_its_own_voxel(voxelize):
    found = voxelize(cloud([(1.5, 2.25, 3.75)], v=np.array([7], F32)), unit_grid())
    assert found.index.tolist() == [3 * 16 + 2 * 4 + 1]
    assert [axis.tolist() for axis in found.centers()] == [[1.5], [2.5], [3.5]]
    assert found.columns['mean_v'].tolist() == [7.0]
