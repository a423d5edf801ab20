# Copyright 2026 the robocache_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Points to cells: which points lie in the grid, in which cell, and which share one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from robocache_ros.backends.numpy_deskew import deskew
from robocache_ros.backends.workspace import Workspace
from robocache_ros.grid import Grid
from robocache_ros.samples import AnyArray, FloatArray, IntArray

if TYPE_CHECKING:
    from robocache_ros.codec.cloud import CloudView, Transform

Column3 = tuple[FloatArray, FloatArray, FloatArray]

# A table over all cells beats two smaller ones up to about this many cells per point.
_CELLS_PER_POINT = 8
_SMALL_TABLE = 2**14
_BLOCK_BITS = 3


@dataclass(frozen=True)
class Located:
    """The points inside the grid, K of the N looked at, in cell units; lives in a workspace."""

    looked_at: int  # N
    nonfinite: int  # of N
    kept: IntArray | None  # int64[K] positions among the N, ascending; None: all of them
    t: Column3  # float32[K] each: cell coordinate along x, y, z, 0 <= t < n
    moved: Column3  # float32[N] each: x, y, z of all that were looked at, in the frame of the grid

    def __len__(self) -> int:
        """Return the number of points inside, K."""
        return len(self.t[0])


@dataclass(frozen=True)
class Cells:
    """The cells that points are in: rank r is the r-th occupied cell, ascending by index."""

    index: IntArray  # int64[M] linear index in the grid
    rank: IntArray  # int64[K] of each point; lives in a workspace
    coords: tuple[IntArray, IntArray, IntArray]  # int64[M] cell coordinates ix, iy, iz


def slices(clouds: Sequence[CloudView], limit: int) -> list[slice]:
    """Where each cloud lies among the points looked at, the first `limit` of all."""
    ends = [0]
    for cloud in clouds:
        ends.append(min(ends[-1] + cloud.n, limit))
    return [slice(*pair) for pair in zip(ends[:-1], ends[1:], strict=True)]


def locate(work: Workspace, clouds: Sequence[CloudView], grid: Grid, limit: int) -> Located:
    """Find the points inside the grid (numerics rule 2) among the first `limit` of all clouds."""
    parts = slices(clouds, limit)
    n = parts[-1].stop if parts else 0
    x, y, z = (work.array(f'p{axis}', n, np.float32) for axis in range(3))
    points = x, y, z
    for cloud, part in zip(clouds, parts, strict=True):
        columns = [column[part] for column in points]
        cloud.xyz(limit=part.stop - part.start, out=columns)
        if cloud.transform is not None:
            _move(work, columns, cloud.transform)
        if cloud.motion is not None:
            deskew(work, cloud, cloud.motion, columns)
    t = [work.array(f't{axis}', n, np.float32) for axis in range(3)]
    with np.errstate(over='ignore', invalid='ignore'):  # huge and non-finite points are dropped
        for axis in range(3):
            np.subtract(points[axis], grid.origin32[axis], out=t[axis])
            np.multiply(t[axis], grid.inv32[axis], out=t[axis])
        if n == 0 or _all_inside(ends := _extremes(t), grid):
            return Located(n, 0, None, (t[0], t[1], t[2]), points)
        kept = np.flatnonzero(_inside(work, t, grid))
        nonfinite = 0 if np.isfinite(ends).all() else n - _count_finite(work, points)
    x, y, z = (
        column.take(kept, out=work.array(f'k{axis}', len(kept), np.float32), mode='clip')
        for axis, column in enumerate(t)
    )
    return Located(n, nonfinite, kept, (x, y, z), points)


def _move(work: Workspace, points: Sequence[FloatArray], transform: Transform) -> None:
    """Move columns x, y, z in place (numerics rule 5): ((r0 x + r1 y) + r2 z) + t, float32."""
    n = len(points[0])
    moved = [work.array(f't{axis}', n, np.float32) for axis in range(3)]
    term = work.array('term', n, np.float32)
    with np.errstate(over='ignore', invalid='ignore'):  # points that are not finite are dropped
        for target, row, shift in zip(moved, *transform, strict=True):
            np.multiply(points[0], row[0], out=target)
            for column, factor in zip(points[1:], row[1:], strict=True):
                target += np.multiply(column, factor, out=term)
            target += shift
    for target, column in zip(moved, points, strict=True):
        np.copyto(column, target)


def _extremes(columns: Sequence[FloatArray]) -> list[tuple[float, float]]:
    """Least and greatest value of each column; both NaN if there is a NaN."""
    return [(float(column.min()), float(column.max())) for column in columns]


def _all_inside(extremes: list[tuple[float, float]], grid: Grid) -> bool:
    return all(
        low >= 0 and high < end for (low, high), end in zip(extremes, grid.dims, strict=True)
    )


def _count_finite(work: Workspace, columns: Sequence[FloatArray]) -> int:
    finite = work.array('inside', len(columns[0]), np.bool_)
    test = work.array('test', len(columns[0]), np.bool_)
    np.isfinite(columns[0], out=finite)
    for column in columns[1:]:
        finite &= np.isfinite(column, out=test)
    return int(np.count_nonzero(finite))


def _inside(work: Workspace, t: Sequence[FloatArray], grid: Grid) -> AnyArray:
    inside = work.array('inside', len(t[0]), np.bool_)
    test = work.array('test', len(t[0]), np.bool_)
    inside.fill(True)
    for column, end in zip(t, grid.dims32, strict=True):
        # As floats, before any cast to an integer: a cast of NaN or 1e30 has no defined result.
        inside &= np.greater_equal(column, 0, out=test)
        inside &= np.less(column, end, out=test)
    return inside


def group(work: Workspace, points: Located, grid: Grid) -> Cells:
    """Find the occupied cells and the rank of the cell of each point."""
    if not len(points):
        none = np.empty(0, np.int64)
        return Cells(none, none, (none, none, none))
    ends = _extremes(points.t)
    low = [int(first) for first, _ in ends]
    dims = [int(last) - int(first) + 1 for first, last in ends]
    # Indexed within the box around the points: tables stay as small as the scene.
    box = Grid((0.0, 0.0, 0.0), (1.0, 1.0, 1.0), (dims[0], dims[1], dims[2]))
    index, rank = rank_keys(work, keys_in_box(work, points.t, low, box), box.cells)
    ix, iy, iz = (coord + first for coord, first in zip(box.unravel(index), low, strict=True))
    return Cells((iz * grid.dims[1] + iy) * grid.dims[0] + ix, rank, (ix, iy, iz))


def keys_in_box(work: Workspace, t: Column3, low: Sequence[int], box: Grid) -> IntArray:
    """Linear index of each point, int64[K], in a box whose first cell is `low`."""
    (nx, ny, nz), (x, y, z) = box.dims, low
    # Half the memory traffic where 32 bits hold the index before the subtraction, too.
    small = ((z + nz) * ny + y + ny) * nx + x + nx < 2**31
    dtype = np.int32 if small else np.int64
    keys, cells = work.array('keys', len(t[0]), dtype), work.array('cells', len(t[0]), dtype)
    np.copyto(keys, t[2], casting='unsafe')  # truncates, which is floor: t >= 0
    for n, column in ((ny, t[1]), (nx, t[0])):
        keys *= n
        np.copyto(cells, column, casting='unsafe')
        keys += cells
    return np.subtract(
        keys, (z * ny + y) * nx + x, out=work.array('box_keys', len(keys), np.int64)
    )


def rank_keys(work: Workspace, keys: IntArray, span: int) -> tuple[IntArray, IntArray]:
    """
    Distinct keys ascending, int64[M], and for each key its position among them, int64[K].

    `keys` is int64[K] in 0 <= key < span. No sort: its speed differs tenfold between machines and
    NumPy versions. A table over `span` where that is small, else blocks of keys first, then the
    keys within the blocks found, which keeps every table within a few cells per point.
    """
    table = max(_SMALL_TABLE, _CELLS_PER_POINT * len(keys))
    shift = 0
    while span >> shift > table:
        shift += _BLOCK_BITS
    local = np.right_shift(keys, shift, out=work.array('local', len(keys), np.int64))
    distinct, rank = _rank_in_table(work, local, ((span - 1) >> shift) + 1)
    while shift:
        # As many bits at once as the table allows: each pass over the keys costs the same.
        bits = min(shift, max(_BLOCK_BITS, (table // len(distinct)).bit_length() - 1))
        mask = (1 << bits) - 1
        shift -= bits
        np.right_shift(keys, shift, out=local)
        local &= mask
        rank <<= bits
        local |= rank
        found, rank = _rank_in_table(work, local, len(distinct) << bits)
        distinct = distinct[found >> bits] << bits | found & mask
    return distinct, rank


def _rank_in_table(work: Workspace, keys: IntArray, span: int) -> tuple[IntArray, IntArray]:
    seen = work.array('seen', span, np.bool_)
    seen.fill(False)
    seen[keys] = True
    distinct = np.flatnonzero(seen)
    ranks = work.array('ranks', span, np.int32)  # there are at most 2^27
    ranks[distinct] = np.arange(len(distinct), dtype=np.int32)
    found = ranks.take(keys, out=work.array('rank32', len(keys), np.int32), mode='clip')
    rank = work.array('rank', len(keys), np.int64)
    np.copyto(rank, found)
    return distinct, rank
