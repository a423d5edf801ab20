# Copyright 2026 the robocache_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The tables that rank the occupied cells of a grid, level by level; see kernels/voxels.cu."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

from robocache_ros.backends.cuda.jobs import MAX_LEVELS
from robocache_ros.backends.cuda.memory import Spans

TABLE_BITS = 26  # a table of so many cells, 8 MB, is as fast to clear as a launch
_MOST_BITS = 31  # keys are 32 bits wide, and one of them means outside
_CELLS_PER_POINT_BITS = 5
_TILE_BITS = 16
_BYTES_PER_TILE = 2**_TILE_BITS // 8
_BASES_PER_TILE = 2**8


class Level(NamedTuple):
    """One table; its cells are those of the grid >> shift that lie in occupied ones before."""

    bits: int  # that the level adds to the index
    shift: int  # bits of the index still to come
    cells: int  # most cells of the table
    ranks: int  # most occupied ones

    @property
    def tiles(self) -> int:
        """Most tiles, the pieces in which it is scanned."""
        return ((self.cells - 1) >> _TILE_BITS) + 1


def levels_of(cells: int, points: int, table_bits: int = TABLE_BITS) -> list[Level]:
    """Levels that rank the cells of a grid that at most `points` points are in."""
    points_bits = (points - 1).bit_length()
    table_bits = min(max(table_bits, points_bits + _CELLS_PER_POINT_BITS), _MOST_BITS)
    shift = max(0, (cells - 1).bit_length() - table_bits)
    coarse = ((cells - 1) >> shift) + 1
    levels = [Level(0, shift, coarse, min(coarse, points))]
    while shift:
        before = levels[-1].ranks
        bits = min(shift, table_bits - (before - 1).bit_length())
        shift -= bits
        levels.append(Level(bits, shift, before << bits, min(before << bits, points)))
    if len(levels) > MAX_LEVELS:
        raise ValueError(f'{cells} cells and {points} points need {len(levels)} levels')
    return levels


@dataclass(frozen=True)
class Tables:
    """Where tables lie in the scratch memory; a level overwrites those of the second before."""

    levels: list[Level]
    clear_from: int
    clear_bytes: int
    blocks: tuple[int, int]  # offsets, of even and of odd levels
    bases: tuple[int, int]
    sums: tuple[int, int]
    cells: tuple[int, int]

    @classmethod
    def lay_out(cls, spans: Spans, levels: list[Level], counts_bytes: int) -> Tables:
        """Append the tables; those of the first level, and the counts, can be cleared at once."""
        sides = levels[::2], levels[1::2]
        tiles = [max((level.tiles for level in side), default=0) for side in sides]
        ranks = [max((level.ranks for level in side), default=0) for side in sides]
        start = spans.add(counts_bytes)
        first_sums = spans.add(4 * tiles[0])
        blocks = spans.add(_BYTES_PER_TILE * tiles[0]), spans.add(_BYTES_PER_TILE * tiles[1])
        sums = first_sums, spans.add(4 * tiles[1])
        return cls(
            levels,
            start,
            blocks[0] + _BYTES_PER_TILE * levels[0].tiles - start,
            blocks,
            (spans.add(4 * _BASES_PER_TILE * tiles[0]), spans.add(4 * _BASES_PER_TILE * tiles[1])),
            sums,
            (spans.add(8 * ranks[0]), spans.add(8 * ranks[1])),
        )

    def describe(self, job: Any, base: int) -> None:
        """Write them to a VOXEL_JOB; `base` is the address of the scratch memory."""
        job['counts'] = base + self.clear_from
        job['table'] = self.levels[0].cells
        job['level_count'] = len(self.levels)
        for number, level in enumerate(self.levels):
            target = job['levels'][number]
            target['bits'], target['shift'] = level.bits, level.shift
            for name in ('blocks', 'bases', 'sums', 'cells'):
                target[name] = base + getattr(self, name)[number % 2]
