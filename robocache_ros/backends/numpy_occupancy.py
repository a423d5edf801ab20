# Copyright 2026 the robocache_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Which cells of a grid have a point: a byte or a bit per cell."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from robocache_ros.backends.numpy_cells import keys_in_box, locate
from robocache_ros.backends.workspace import Workspace
from robocache_ros.grid import MAX_POINTS, Grid
from robocache_ros.samples import AnyArray, IntArray

if TYPE_CHECKING:
    from robocache_ros.codec.cloud import CloudView

# Up to this many cells a byte for each, packed at the end, beats setting bits: 16 MiB of scratch.
_PACKED_CELLS = 2**24


def occupancy(
    work: Workspace,
    clouds: Sequence[CloudView],
    grid: Grid,
    max_points: int = MAX_POINTS,
    packed: bool = False,
) -> AnyArray:
    """
    Cells with at least one point: 1 or 0 as uint8 [nz, ny, nx].

    `packed`: uint8 [ceil(cells / 8)], linear index i in bit i % 8 of byte i // 8, lowest bit
    first, as `np.packbits(..., bitorder='little')` has it; the bits past the last cell are 0.
    """
    grid.check_dense()
    keys = keys_in_box(work, locate(work, clouds, grid, max_points).t, (0, 0, 0), grid)
    if not packed:
        return _flagged(np.zeros(grid.cells, np.uint8), keys).reshape(grid.shape)
    if grid.cells <= _PACKED_CELLS:
        flags = work.array('occupied', grid.cells, np.uint8)
        flags.fill(0)
        return np.packbits(_flagged(flags, keys), bitorder='little')
    return _bits_set(np.zeros((grid.cells + 7) // 8, np.uint8), keys)


def _flagged(flags: AnyArray, keys: IntArray) -> AnyArray:
    flags[keys] = 1
    return flags


def _bits_set(packed: AnyArray, keys: IntArray) -> AnyArray:
    places, bits = keys >> 3, (keys & 7).astype(np.uint8)
    for bit in range(8):
        # One bit at a time: keys that share a byte all write the same value to it.
        packed[places[bits == bit]] |= np.uint8(1 << bit)
    return packed
