# Copyright 2026 the robocache_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The bits of a result depend neither on the order of the points nor on the run."""

from __future__ import annotations

import numpy as np
import pytest
from voxel_oracle import CHANNELS, bits, cloud, spec_of

from robocache_ros.codec.image import ImageView
from robocache_ros.grid import Grid
from robocache_ros.resampling import Stream

REPEATS, PERMUTATIONS = 100, 20
F32 = np.float32
GRID = Grid.from_range(0.5, [-2, -2, -2, 2, 2, 2])  # 512 cells: many points in each
RNG = np.random.default_rng(6)
ROWS = RNG.normal(scale=1.2, size=(1500, 4)).astype(F32)
ROWS[:, 3] *= F32(1e4)  # sums in float32 depend on their order
ROWS[::50] = np.nan
TIMES = np.sort(RNG.choice(10**9, (2, 40), replace=False), axis=1)
STREAMS = [
    Stream(TIMES, RNG.normal(size=(2, 40, 5)).astype(F32)),
    Stream(TIMES, np.full((2, 40, 4), 0.5, F32), rule='slerp'),
]
TARGETS = np.linspace(0, 10**9, 9).astype(np.int64)[None]
IMAGE = ImageView(RNG.integers(0, 256, 48 * 64 * 3, np.uint8), 48, 64, 192, 'rgb8', False)


def view(rows):
    return cloud(rows[:, :3], v=rows[:, 3])


def of_points(operation):
    """Return a call with rows of points, which gives bytes."""
    spec = spec_of(GRID, CHANNELS)
    return {
        'voxelize': lambda on, rows: bits(on.voxelize([view(rows)], spec)),
        'voxelize_dense': lambda on, rows: on.voxelize_dense([view(rows)], spec).tobytes(),
        'occupancy': lambda on, rows: on.occupancy([view(rows)], GRID, packed=True).tobytes(),
    }[operation]


POINTS = ('voxelize', 'voxelize_dense', 'occupancy')
OTHERS = {
    'image_grid': lambda on: on.image_grid(IMAGE, 4, 4, 'rgb')[0].tobytes(),
    'fuse': lambda on: [part.tobytes() for part in on.fuse(STREAMS, TARGETS)[:3]],
}


@pytest.mark.parametrize('operation', POINTS)
def test_the_order_of_the_points_changes_no_bit(backend, operation):
    call = of_points(operation)
    first = call(backend, ROWS)
    for seed in range(PERMUTATIONS):
        assert call(backend, np.random.default_rng(seed).permutation(ROWS)) == first


@pytest.mark.parametrize('operation', [*POINTS, *OTHERS])
def test_no_run_of_many_gives_other_bits(backend, operation):
    call = OTHERS.get(operation) or (lambda on: of_points(operation)(on, ROWS))
    first = call(backend)
    assert all(call(backend) == first for _ in range(REPEATS))
