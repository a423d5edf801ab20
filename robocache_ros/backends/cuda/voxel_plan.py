# Copyright 2026 the robocache_ros authors
# SPDX-License-Identifier: Apache-2.0
"""What calls with the same spec and about as many points have in common, made once for them."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from robocache_ros.backends.cuda.device import Clear, Launch, Memory, OverLimit
from robocache_ros.backends.cuda.jobs import VOXEL_JOB, VOXEL_TOTALS
from robocache_ros.backends.cuda.memory import Grown, Spans
from robocache_ros.backends.cuda.voxel_record import describe_record
from robocache_ros.backends.cuda.voxel_tables import Tables, levels_of
from robocache_ros.grid import MAX_CAP, VoxelSpec
from robocache_ros.samples import AnyArray

_THREADS = 256
_BLOCKS_PER_MULTIPROCESSOR = 8
_BALLOTS_PER_POINT = 2  # a table of a majority is never more than half full


class Wanted(NamedTuple):
    """What decides about a plan."""

    spec: VoxelSpec
    resolutions: tuple[float, ...]  # of the fields of the spec
    points: int  # at most
    rows: int  # at most
    voxels: int  # that a cap is for, at most: of all that are found, not of the rows only


class VoxelPlan:
    """
    A VOXEL_JOB but for its points and results, and the steps; addresses are those of `scratch`.

    Holds until somebody else uses the scratch memory.
    """

    def __init__(
        self, wanted: Wanted, scratch: Grown[Memory], multiprocessors: int, table_bits: int
    ) -> None:
        self.wanted = wanted
        self._most_blocks = _BLOCKS_PER_MULTIPROCESSOR * multiprocessors
        self._jobs = np.zeros(1, VOXEL_JOB)
        job, spec, grid = self._jobs[0], wanted.spec, wanted.spec.grid
        job['corner'], job['size'], job['rows'] = grid.origin, grid.size, wanted.rows
        self._cap = spec.max_points_per_voxel
        if self._cap > MAX_CAP:
            raise OverLimit(f'a cap of {self._cap} points a voxel, the device takes {MAX_CAP}')
        job['cap'], job['seed'], job['slot_rows'] = self._cap, spec.seed, wanted.voxels
        describe_record(job, spec, wanted.resolutions)
        job['ballot_mask'] = _BALLOTS_PER_POINT * wanted.points - 1
        majorities = sum(channel.kind == 'majority' for channel in spec.channels)
        ballots = _BALLOTS_PER_POINT * wanted.points * majorities
        spans = Spans()
        levels = levels_of(grid.cells, wanted.points, table_bits)
        tables = Tables.lay_out(spans, levels, VOXEL_TOTALS.itemsize)
        offsets = {
            'records': spans.add(8 * int(job['record_words']) * wanted.rows),
            'keys': spans.add(4 * wanted.points),
            'lows': spans.add(4 * wanted.points if len(levels) > 1 else 0),
            'steps': spans.add(8 * wanted.points if job['centroid'] else 0),
            'hashes': spans.add(4 * wanted.points if self._cap else 0),
            'slots': spans.add(4 * self._cap * wanted.voxels),
            'ballots': spans.add(8 * ballots),
            'votes': spans.add(4 * ballots),
        }
        base = scratch.at_least(spans.nbytes).address
        tables.describe(job, base)
        for name, offset in offsets.items():
            job[name] = base + offset
        self.last_level = len(levels) - 1
        ballot_bytes = spans.nbytes - offsets['ballots']
        self.steps = self._steps(tables, base, Clear(int(job['ballots']), ballot_bytes))

    def job(self) -> AnyArray:
        """Return a fresh VOXEL_JOB [1]."""
        return self._jobs.copy()

    def _steps(self, tables: Tables, base: int, ballots: Clear) -> tuple[Launch | Clear, ...]:
        over_points = self._blocks(self.wanted.points)
        steps: list[Launch | Clear] = [
            Clear(base + tables.clear_from, tables.clear_bytes),
            Launch('voxels.mark', over_points, _THREADS),
        ]
        for number, level in enumerate(tables.levels):
            if number > 0:
                steps.append(Launch(f'voxels.refine_{number}', over_points, _THREADS))
            blocks = min(level.tiles, self._most_blocks)
            if level is tables.levels[-1]:  # clears the slots as well, a row for each voxel
                blocks = max(blocks, self._blocks(self._cap * self.wanted.voxels))
            steps.append(Launch(f'voxels.spread_{number}', blocks, _THREADS))
        if self._cap:
            steps.append(Launch('voxels.compete', over_points, _THREADS))
            steps.append(Launch('voxels.drop', over_points, _THREADS))
        steps.append(Launch('voxels.accumulate', over_points, _THREADS))
        if ballots.nbytes:
            steps += ballots, Launch('voxels.vote', over_points, _THREADS)
        steps.append(Launch('voxels.finish', self._blocks(self.wanted.rows), _THREADS))
        return tuple(steps)

    def _blocks(self, elements: int) -> int:
        return min(-(-elements // _THREADS), self._most_blocks)
