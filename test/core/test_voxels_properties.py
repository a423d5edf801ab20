# Copyright 2026 the robocache_ros authors
# SPDX-License-Identifier: Apache-2.0
"""What holds for every cloud: exactness, order, conservation, and tables of any size."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from voxel_oracle import CHANNELS, assert_equal, bits, cloud, expected, spec_of
from voxel_oracle import voxelize as by_numpy

from robocache_ros.backends import numpy_cells
from robocache_ros.backends.numpy_backend import NumpyBackend
from robocache_ros.backends.numpy_cells import rank_keys
from robocache_ros.backends.workspace import Workspace
from robocache_ros.grid import Grid

F32 = np.float32
GRID = Grid.from_range([0.3, 0.5, 0.7], [-1, -1, -1, 1, 1, 1])

coordinates = st.one_of(
    st.floats(-1.25, 1.25, width=32),
    st.sampled_from([0.0, -0.0, -1.0, 1.0, 0.5, -0.5, float(F32(0.2)), 1e30, float('inf')]),
    st.just(float('nan')),
)
finite = st.floats(-131071, 131071, width=32)
values = st.one_of(finite, st.sampled_from([0.0, -0.0, 2.0**-18, 2.0**-19, 131072.0, -1e30]))
any_value = st.one_of(values, st.sampled_from([float('nan'), float('inf'), float('-inf')]))


def clouds_of(value):
    return st.lists(st.tuples(coordinates, coordinates, coordinates, value), max_size=60).map(
        lambda rows: np.array(rows, F32).reshape(-1, 4)
    )


@pytest.fixture(scope='session')
def voxels_of(voxelize):
    def run(rows, **limits):
        return voxelize(cloud(rows[:, :3], v=rows[:, 3]), GRID, **limits)

    return run


@given(clouds_of(finite))
def test_voxels_equal_those_computed_point_by_point_in_fractions(voxels_of, rows):
    wanted = expected(rows[:, :3].tolist(), rows[:, 3].tolist(), GRID, 2.0**-18)
    assert_equal(voxels_of(rows), wanted)


@given(clouds_of(any_value), st.randoms(use_true_random=False))
def test_order_of_the_points_changes_no_bit(voxels_of, rows, random):
    order = list(range(len(rows)))
    random.shuffle(order)
    plain, shuffled = voxels_of(rows), voxels_of(rows[order])
    assert bits(plain) == bits(shuffled)
    assert plain.stats == shuffled.stats


@given(clouds_of(any_value), st.integers(0, 60))
def test_cutting_a_cloud_in_two_changes_no_bit(voxelize, voxels_of, rows, cut):
    parts = [cloud(part[:, :3], v=part[:, 3]) for part in (rows[:cut], rows[cut:])]
    whole, merged = voxels_of(rows), voxelize(parts, GRID)
    assert bits(whole) == bits(merged)
    assert whole.stats == merged.stats


@given(clouds_of(any_value), st.integers(1, 70), st.integers(1, 20))
def test_every_point_is_in_exactly_one_count(voxels_of, rows, max_points, max_voxels):
    found = voxels_of(rows, max_points=max_points, max_voxels=max_voxels)
    stats = found.stats
    assert stats.points == len(rows)
    assert stats.points == stats.used + stats.nonfinite + stats.out_of_range + stats.over_limit
    kept = int(found.count.sum(dtype=np.int64))
    assert kept == stats.used if not stats.voxels_over_limit else kept < stats.used
    assert len(found) <= max_voxels


@given(st.lists(st.integers(0, 2**36 - 1), min_size=1, max_size=300), st.integers(1, 64))
def test_ranks_are_those_of_the_sorted_distinct_keys(keys, table):
    keys = np.array(keys, np.int64)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(numpy_cells, '_SMALL_TABLE', table)
        patch.setattr(numpy_cells, '_CELLS_PER_POINT', 0)
        distinct, rank = rank_keys(Workspace(), keys, 2**36)
    right, inverse = np.unique(keys, return_inverse=True)
    assert distinct.tolist() == right.tolist()
    assert rank.tolist() == inverse.ravel().tolist()


@pytest.mark.parametrize('span', [1, 7, 8, 9, 64, 65, 2**14, 2**14 + 1, 2**20 + 3])
def test_first_and_last_key_of_a_span_are_found(span):
    keys = np.array([span - 1, 0, span - 1], np.int64)
    distinct, rank = rank_keys(Workspace(), keys, span)
    assert distinct.tolist() == sorted({0, span - 1})
    assert distinct[rank].tolist() == keys.tolist()


def scan(points, seed, spread):
    rng = np.random.default_rng(seed)
    return rng.uniform(-spread, spread, (points, 4)).astype(F32)


@pytest.mark.parametrize('table', [1, 100, 10**9])
def test_size_of_the_tables_changes_no_bit(table, monkeypatch):
    rows = scan(5000, 3, 8.0)
    grid = Grid.from_range(0.1, [-8, -8, -8, 8, 8, 8])
    view = cloud(rows[:, :3], v=rows[:, 3])
    wanted = by_numpy(view, grid)
    monkeypatch.setattr(numpy_cells, '_CELLS_PER_POINT', 0)
    monkeypatch.setattr(numpy_cells, '_SMALL_TABLE', min(table, grid.cells))
    assert bits(by_numpy(view, grid)) == bits(wanted)


def test_the_largest_grids_have_right_indices(voxelize):
    grid = Grid.from_range(0.5, [-16384, -16384, -4, 16384, 16384, 4])
    assert grid.cells == 2**36
    corners = [(-16384, -16384, -4), (16383.75, 16383.75, 3.75), (0.25, -0.25, 0.25)]
    assert voxelize(cloud(corners), grid, ['count']).index.tolist() == [
        0, (8 * 2**16 + 2**15 - 1) * 2**16 + 2**15, 2**36 - 1,
    ]  # fmt: skip


@settings(max_examples=20)
@given(st.lists(clouds_of(any_value), min_size=2, max_size=4))
def test_results_do_not_change_when_the_backend_is_used_again(voxelize, new_backend, clouds):
    backend = new_backend()
    spec = spec_of(GRID, CHANNELS)
    views = [cloud(rows[:, :3], v=rows[:, 3]) for rows in clouds]
    found = [backend.voxelize([view], spec) for view in views]
    backend.close()
    assert [bits(f) for f in found] == [bits(voxelize(view, GRID)) for view in views]


def test_no_result_lies_in_the_workspace_or_in_the_cloud():
    backend = NumpyBackend()
    rows = scan(1000, 4, 0.9)
    view = cloud(rows[:, :3], v=rows[:, 3])
    for _ in range(2):  # the second call finds its buffers ready
        found = backend.voxelize([view], spec_of(GRID, CHANNELS))
    ours = [found.index, found.count, *found.columns.values()]
    for other in [*backend._work._buffers.values(), *view.columns.values()]:
        assert not any(np.shares_memory(array, other) for array in ours)
    for number, array in enumerate(ours):
        assert not any(np.shares_memory(array, other) for other in ours[number + 1 :])


def test_the_cloud_is_not_written_to(voxels_of):
    rows = scan(1000, 5, 2.0)
    rows[0] = -0.0
    before = rows.tobytes()
    rows.flags.writeable = False
    voxels_of(rows)
    assert rows.tobytes() == before
