# Copyright 2026 the robocache_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Features of a cloud, derived from its voxels alone: whatever made the voxels, the same bits."""

from __future__ import annotations

import numpy as np

from robocache_ros.grid import SparseVoxels
from robocache_ros.samples import FloatArray, IntArray, Vector


def cloud_features(voxels: SparseVoxels, occupancy_shape: tuple[int, int, int]) -> Vector:
    """
    Feature groups points(1) occupied(1) centroid(3) extent(3) occupancy(z * y * x) of a cloud.

    Points in range, occupied voxels, mean of the voxel centres weighted by points (m), edges of
    the box around the occupied voxels (m), and 0 or 1 for each cell of a coarse grid of
    `occupancy_shape` (z, y, x) over the same box, x fastest. Without points, centroid and extent
    are 0 and not valid.
    """
    count = voxels.count.astype(np.int64)
    points = int(count.sum(dtype=np.int64))
    coords = voxels.grid.unravel(voxels.index)  # ix, iy, iz
    centroid, extent = _box(voxels, coords, count, points)
    values = [np.array([points, len(voxels)], np.float32), centroid, extent]
    values.append(_occupancy(voxels, coords, occupancy_shape))
    found = points > 0
    return Vector(np.concatenate(values), np.array([True, True, found, found, True]))


def _box(
    voxels: SparseVoxels, coords: tuple[IntArray, IntArray, IntArray], count: IntArray, points: int
) -> tuple[FloatArray, FloatArray]:
    centroid, extent = np.zeros(3, np.float32), np.zeros(3, np.float32)
    if points:
        for axis, (coord, low, size) in enumerate(
            zip(coords, voxels.grid.origin, voxels.grid.size, strict=True)
        ):
            total = int((coord * count).sum(dtype=np.int64))  # below 2^20 * 2^27
            centroid[axis] = low + (total / points + 0.5) * size
            extent[axis] = (int(coord.max()) - int(coord.min()) + 1) * size
    return centroid, extent


def _occupancy(
    voxels: SparseVoxels, coords: tuple[IntArray, IntArray, IntArray], shape: tuple[int, int, int]
) -> FloatArray:
    """Coarse cell of cell i out of n is i * R // n, along each axis."""
    (rz, ry, rx), (nx, ny, nz) = shape, voxels.grid.dims
    ix, iy, iz = coords
    coarse = ((iz * rz // nz) * ry + iy * ry // ny) * rx + ix * rx // nx
    occupancy = np.zeros(rz * ry * rx, np.float32)
    occupancy[coarse] = 1.0
    return occupancy
