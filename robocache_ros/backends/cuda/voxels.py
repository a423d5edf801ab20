# Copyright 2026 the robocache_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Sparse voxels on a device; kernels/voxels.cu says how."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from robocache_ros.backends.cuda.clouds import StagedClouds
from robocache_ros.backends.cuda.device import HostMemory, Memory, OverLimit, Program
from robocache_ros.backends.cuda.jobs import VOXEL_TOTALS
from robocache_ros.backends.cuda.memory import Grown, Spans, bucket
from robocache_ros.backends.cuda.results import M, Place
from robocache_ros.backends.cuda.staging import Parcel, Staging
from robocache_ros.backends.cuda.voxel_plan import VoxelPlan, Wanted
from robocache_ros.backends.cuda.voxel_tables import TABLE_BITS
from robocache_ros.backends.numpy_fields import missing_fields, resolution_of
from robocache_ros.grid import PointStats, SparseVoxels, VoxelSpec
from robocache_ros.samples import AnyArray

if TYPE_CHECKING:
    from robocache_ros.codec.cloud import CloudView

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
        self._plan: VoxelPlan | None = None

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
        points = min(sum(cloud.n for cloud in clouds), spec.max_points)
        plan = self._plan_of(clouds, spec, bucket(points, _LEAST_POINTS), rows.capacity)
        parcel = Parcel(plan.job())
        staged = StagedClouds(parcel, clouds, spec.fields, spec.max_points, self._staging.limits)
        totals = self._totals.at_least(VOXEL_TOTALS.itemsize)
        base, job = self._staging.reserve(parcel), parcel.job
        job['points'], job['totals'] = staged.points(base, spec.grid), totals.address
        job['index'], job['count'] = rows.index, rows.count
        job['columns']['address'][: len(rows.columns)] = rows.columns
        self._staging.send(parcel)
        self._staging.run(Program(base, plan.steps))
        found = np.frombuffer(totals.array, VOXEL_TOTALS, 1)[0]
        voxels = int(found['ranks'][plan.last_level])
        if rows.capacity < min(voxels, spec.max_voxels):
            raise OverLimit(f'the clouds fill {voxels} voxels, the device takes {rows.capacity}')
        m = min(voxels, rows.capacity)
        return m, _stats_of(found, clouds, spec, staged.n, voxels - m)

    def _plan_of(
        self, clouds: Sequence[CloudView], spec: VoxelSpec, points: int, rows: int
    ) -> VoxelPlan:
        resolutions = tuple(resolution_of(name, clouds, spec) for name in spec.fields)
        wanted = Wanted(spec, resolutions, points, rows)
        if self._plan is None or self._plan.wanted != wanted:
            self._plan = None  # it does not hold any more, even if the next one cannot be made
            self._plan = VoxelPlan(
                wanted, self._scratch, self._staging.device.multiprocessors, self._table_bits
            )
        return self._plan


def _stats_of(
    found: Any, clouds: Sequence[CloudView], spec: VoxelSpec, looked_at: int, voxels_left: int
) -> PointStats:
    total = sum(cloud.n for cloud in clouds)
    used, nonfinite = int(found['inside']), int(found['nonfinite'])
    # Two channels may leave out the same value: it counts once.
    out_of_range = map(max, found['sum_range'].tolist(), found['extreme_range'].tolist())
    return PointStats(
        points=total,
        used=used,
        nonfinite=nonfinite,
        out_of_range=looked_at - used - nonfinite,
        over_limit=total - looked_at,
        voxels_over_limit=voxels_left,
        value_nonfinite=sum(found['value_nonfinite'].tolist()),
        value_range=sum(out_of_range),
        fields_missing=missing_fields(clouds, spec),
    )
