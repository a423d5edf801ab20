# Copyright 2026 the robocache_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Sparse voxels on a device; kernels/voxels.cu says how."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from robocache_ros.backends.cuda.clouds import StagedClouds
from robocache_ros.backends.cuda.device import (
    Clear,
    HostMemory,
    Launch,
    Memory,
    OverLimit,
    Program,
)
from robocache_ros.backends.cuda.jobs import VOXEL_JOB, VOXEL_TOTALS
from robocache_ros.backends.cuda.memory import Grown, Spans, bucket
from robocache_ros.backends.cuda.results import M, Place
from robocache_ros.backends.cuda.staging import Parcel, Staging
from robocache_ros.backends.cuda.voxel_record import describe_record
from robocache_ros.backends.cuda.voxel_tables import TABLE_BITS, Tables, levels_of
from robocache_ros.backends.numpy_fields import missing_fields
from robocache_ros.grid import PointStats, SparseVoxels, VoxelSpec
from robocache_ros.samples import AnyArray

if TYPE_CHECKING:
    from robocache_ros.codec.cloud import CloudView

_THREADS = 256
_BLOCKS_PER_MULTIPROCESSOR = 8
_LEAST_POINTS = 1024  # of a bucket


@dataclass(frozen=True)
class Rows:
    """Where the kernels write voxels: addresses of pinned or of device memory."""

    capacity: int  # rows
    index: int  # int64[capacity]
    count: int  # uint32[capacity]
    columns: tuple[int, ...]  # float32[capacity] each, those of the spec but count

    @classmethod
    def lay_out(cls, spans: Spans, capacity: int, columns: int) -> Rows:
        """Append the rows to what shares a piece of memory: offsets, to be moved to its base."""
        index, counts = spans.add(8 * capacity), spans.add(4 * capacity)
        return cls(capacity, index, counts, tuple(spans.add(4 * capacity) for _ in range(columns)))

    def moved(self, base: int) -> Rows:
        """Return addresses, of rows at offsets from `base`."""
        columns = tuple(base + offset for offset in self.columns)
        return Rows(self.capacity, base + self.index, base + self.count, columns)


class Voxelizer:
    """Finds the voxels of clouds; owns the scratch memory of that and the rows of the host."""

    def __init__(self, staging: Staging, table_bits: int = TABLE_BITS) -> None:
        device = staging.device
        device.load(('voxels',))
        self._staging = staging
        self._table_bits = table_bits
        self._scratch = Grown(device.allocate)
        self._totals = Grown(device.allocate_host)
        self._rows = Grown(device.allocate_host)
        self._most_blocks = _BLOCKS_PER_MULTIPROCESSOR * device.multiprocessors

    def voxelize(self, clouds: Sequence[CloudView], spec: VoxelSpec) -> SparseVoxels:
        """Occupied voxels of the clouds, merged in the order given, on the host."""

        def copied(memory: HostMemory, dtype: str, m: int, offset: int) -> AnyArray:
            return np.frombuffer(memory.array, dtype, m, offset).copy()

        return self._voxelize(clouds, spec, self._rows.at_least, copied)

    def voxelize_on_device(
        self, clouds: Sequence[CloudView], spec: VoxelSpec, place: Place[Memory]
    ) -> SparseVoxels:
        """Return the same as arrays of the device, in the memory that `place` gives."""
        device = self._staging.device

        def viewed(memory: Memory, dtype: str, m: int, offset: int) -> Any:
            return device.view(memory, dtype, (m,), offset)

        return self._voxelize(clouds, spec, place, viewed)

    def _voxelize(
        self,
        clouds: Sequence[CloudView],
        spec: VoxelSpec,
        place: Place[M],
        array: Callable[[M, str, int, int], AnyArray],
    ) -> SparseVoxels:
        names = [name for name in spec.columns if name != 'count']
        spans = Spans()
        at = Rows.lay_out(spans, self.capacity(clouds, spec), len(names))
        memory = place(spans.nbytes)
        m, stats = self.run(clouds, spec, at.moved(memory.address))
        offsets = dict(zip(names, at.columns, strict=True))
        columns = {
            name: array(memory, 'f4', m, offsets[name])
            if name in offsets
            else array(memory, 'u4', m, at.count)
            for name in spec.columns
        }
        index, count = array(memory, 'i8', m, at.index), array(memory, 'u4', m, at.count)
        return SparseVoxels(spec.grid, index, count, columns, stats)

    def capacity(self, clouds: Sequence[CloudView], spec: VoxelSpec) -> int:
        """How many rows a call may need, in a few sizes only."""
        points = min(sum(cloud.n for cloud in clouds), spec.max_points)
        most = self._staging.limits.max_voxels
        return min(bucket(points, _LEAST_POINTS), spec.max_voxels, spec.grid.cells, most)

    def run(
        self, clouds: Sequence[CloudView], spec: VoxelSpec, rows: Rows
    ) -> tuple[int, PointStats]:
        """
        Write the voxels to `rows`; returns how many there are, and where the points went.

        OverLimit where there are more than `rows` holds and the spec asks for.
        """
        parcel = Parcel(VOXEL_JOB)
        job = parcel.job
        describe_record(job, spec, clouds)
        staged = StagedClouds(parcel, clouds, spec.fields, spec.max_points, self._staging.limits)
        points = bucket(staged.n, _LEAST_POINTS)
        tables = self._describe_scratch(job, spec, points, rows)
        totals = self._totals.at_least(VOXEL_TOTALS.itemsize)
        base = self._staging.reserve(parcel)
        job['points'] = staged.points(base, spec.grid)
        job['corner'], job['size'] = spec.grid.origin, spec.grid.size
        job['totals'], job['rows'] = totals.address, rows.capacity
        job['index'], job['count'] = rows.index, rows.count
        job['columns']['address'][: len(rows.columns)] = rows.columns
        self._staging.send(parcel)
        self._staging.run(Program(base, self._steps(job, tables, points, rows.capacity)))
        found = np.frombuffer(totals.array, VOXEL_TOTALS, 1)[0]
        return self._told(found, len(tables.levels), clouds, spec, staged.n, rows.capacity)

    def _describe_scratch(self, job: Any, spec: VoxelSpec, points: int, rows: Rows) -> Tables:
        spans = Spans()
        levels = levels_of(spec.grid.cells, points, self._table_bits)
        tables = Tables.lay_out(spans, levels, VOXEL_TOTALS.itemsize)
        offsets = {
            'records': spans.add(8 * int(job['record_words']) * rows.capacity),
            'keys': spans.add(4 * points),
            'lows': spans.add(4 * points if len(levels) > 1 else 0),
            'steps': spans.add(8 * points if job['centroid'] else 0),
        }
        base = self._scratch.at_least(spans.nbytes).address
        tables.describe(job, base)
        for name, offset in offsets.items():
            job[name] = base + offset
        return tables

    def _steps(
        self, job: Any, tables: Tables, points: int, rows: int
    ) -> tuple[Launch | Clear, ...]:
        over_points = self._blocks(points)
        steps: list[Launch | Clear] = [
            Clear(int(job['counts']), tables.clear_bytes),
            Launch('voxels.mark', over_points, _THREADS),
        ]
        for number, level in enumerate(tables.levels):
            if number > 0:
                steps.append(Launch(f'voxels.refine_{number}', over_points, _THREADS))
            blocks = min(level.tiles, self._most_blocks)
            steps.append(Launch(f'voxels.spread_{number}', blocks, _THREADS))
        steps.append(Launch('voxels.accumulate', over_points, _THREADS))
        steps.append(Launch('voxels.finish', self._blocks(rows), _THREADS))
        return tuple(steps)

    def _blocks(self, elements: int) -> int:
        return min(-(-elements // _THREADS), self._most_blocks)

    def _told(
        self,
        found: Any,
        levels: int,
        clouds: Sequence[CloudView],
        spec: VoxelSpec,
        looked_at: int,
        capacity: int,
    ) -> tuple[int, PointStats]:
        voxels, used = int(found['ranks'][levels - 1]), int(found['inside'])
        m = min(voxels, capacity)
        if m < min(voxels, spec.max_voxels):
            raise OverLimit(f'the clouds fill {voxels} voxels, the device takes {capacity}')
        nonfinite = int(found['nonfinite'])
        total = sum(cloud.n for cloud in clouds)
        out_of_range = np.maximum(found['sum_range'], found['extreme_range'])
        stats = PointStats(
            points=total,
            used=used,
            nonfinite=nonfinite,
            out_of_range=looked_at - used - nonfinite,
            over_limit=total - looked_at,
            voxels_over_limit=voxels - m,
            value_nonfinite=int(found['value_nonfinite'].sum()),
            value_range=int(out_of_range.sum()),
            fields_missing=missing_fields(clouds, spec),
        )
        return m, stats
