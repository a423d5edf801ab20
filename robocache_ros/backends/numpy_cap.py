# Copyright 2026 the robocache_ros authors
# SPDX-License-Identifier: Apache-2.0
"""A cap on the points of a voxel: which stay depends on where they are, not on their order."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import numpy.typing as npt

from robocache_ros.backends.numpy_cells import Cells, Located
from robocache_ros.backends.workspace import Workspace
from robocache_ros.grid import VoxelSpec
from robocache_ros.samples import FloatArray, IntArray

# h ^= h >> 16; h *= 0x7FEB352D; h ^= h >> 15; h *= 0x846CA68B; h ^= h >> 16: a permutation of the
# uint32 in which every bit that goes in flips each of those that come out about half of the time.
_MIX = ((16, 0x7FEB352D), (15, 0x846CA68B), (16, 1))
_START = 0x9E3779B9  # with the seed; mixed like a coordinate, so that seed 0 is a seed


def cap(
    work: Workspace, points: Located, cells: Cells, spec: VoxelSpec
) -> tuple[Located, Cells, int]:
    """
    Leave out points of crowded voxels; return those that stay, their cells, and how many go.

    Of a voxel with more than `max_points_per_voxel` = k points, those stay whose hash is not
    above the k-th smallest one of the voxel, so at least k. No voxel is left without points.
    """
    k = spec.max_points_per_voxel
    if not k:
        return points, cells, 0
    count = np.bincount(cells.rank, minlength=len(cells.index))
    crowded = count > k
    stays = work.array('stays', len(points), np.bool_)
    np.logical_not(crowded.take(cells.rank, out=stays, mode='clip'), out=stays)
    among = np.flatnonzero(~stays)
    rank = cells.rank[among]
    where = among if points.kept is None else points.kept[among]
    keys = rank << 32 | hashes([column[where] for column in points.moved], spec.seed)
    # The keys of a voxel are side by side when sorted, by their hash.
    ends = np.cumsum(count[crowded], dtype=np.int64)
    last = np.zeros(len(count), np.int64)
    last[crowded] = np.sort(keys)[ends - count[crowded] + k - 1]
    stays[among] = keys <= last[rank]
    left = np.flatnonzero(stays)
    rank = cells.rank.take(left, out=work.array('left_rank', len(left), np.int64), mode='clip')
    return _only(work, points, left), replace(cells, rank=rank), len(points) - len(left)


def _only(work: Workspace, points: Located, left: IntArray) -> Located:
    x, y, z = (
        column.take(left, out=work.array(f'left{axis}', len(left), np.float32), mode='clip')
        for axis, column in enumerate(points.t)
    )
    return replace(points, kept=left if points.kept is None else points.kept[left], t=(x, y, z))


def hashes(points: Sequence[FloatArray], seed: int) -> IntArray:
    """Hash of each point: 32 bits of `seed` and of its float32 coordinates x, y, z, as int64."""
    h = np.full(len(points[0]), (seed + _START) % 2**32, np.uint32)
    _mix(h)
    for column in points:
        h ^= column.view(np.uint32)
        _mix(h)
    return h.astype(np.int64)


def _mix(h: npt.NDArray[np.uint32]) -> None:
    for shift, factor in _MIX:
        h ^= h >> np.uint32(shift)
        h *= np.uint32(factor)
