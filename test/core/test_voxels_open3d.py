# Copyright 2026 the robocache_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Open3D counts the same points in the same voxels, where it is installed."""

from __future__ import annotations

import numpy as np
import pytest
from voxel_oracle import cloud

from robocache_ros.grid import Grid

try:
    import open3d as o3d
except ImportError as error:  # also where it is installed and a system library is missing
    pytest.skip(f'no Open3D: {error}', allow_module_level=True)

F32 = np.float32


def away_from_faces(points, grid):
    """Points at least a thousandth of a voxel from faces: Open3D divides in float64 there."""
    t = (points.astype(np.float64) - grid.origin) / grid.size
    return points[(np.abs(t - np.rint(t)) > 1e-3).all(axis=1)]


@pytest.mark.parametrize('size', [0.25, 0.1])
def test_open3d_counts_the_same_points_in_the_same_voxels(voxelize, size):
    low, high = np.full((3, 1), -5.0), np.full((3, 1), 5.0)
    grid = Grid.from_range(size, [*low.ravel(), *high.ravel()])
    points = np.random.default_rng(11).normal(0.0, 1.0, (20000, 3)).astype(F32)
    points = away_from_faces(points[(np.abs(points) < 5).all(axis=1)], grid)

    found = voxelize(cloud(points), grid, ['count', 'centroid'])

    pcd = o3d.geometry.PointCloud(o3d.utility.Vector3dVector(points.astype(np.float64)))
    _, _, members = pcd.voxel_down_sample_and_trace(size, low, high)
    theirs = {}
    for indices in members:
        ids = np.asarray(indices)
        ix, iy, iz = np.floor((points[ids[0]].astype(np.float64) + 5.0) / size).astype(int)
        mean = points[ids].astype(np.float64).mean(axis=0)
        theirs[(iz * grid.dims[1] + iy) * grid.dims[0] + ix] = len(ids), mean
    assert found.index.tolist() == sorted(theirs)
    assert found.count.tolist() == [theirs[index][0] for index in sorted(theirs)]
    means = np.array([theirs[index][1] for index in sorted(theirs)])
    ours = np.stack([found.columns[f'centroid_{axis}'] for axis in 'xyz'], axis=1)
    assert np.abs(ours - means).max() < 2e-6
