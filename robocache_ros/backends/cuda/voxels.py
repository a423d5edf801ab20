# Copyright 2026 the robocache_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Sparse voxels on a device; kernels/voxels.cu says how."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from robocache_ros.backends.cuda.clouds import StagedClouds
from robocache_ros.backends.cuda.device import Memory, OverLimit, Program
from robocache_ros.backends.cuda.jobs import VOXEL_TOTALS
from robocache_ros.backends.cuda.memory import Grown, bucket
from robocache_ros.backends.cuda.paint import Painter
from robocache_ros.backends.cuda.results import M, Place, Results, Span, copied, viewed
from robocache_ros.backends.cuda.staging import Parcel, Staging
from robocache_ros.backends.cuda.voxel_plan import VoxelPlan, Wanted
from robocache_ros.backends.cuda.voxel_tables import TABLE_BITS
from robocache_ros.backends.numpy_fields import missing_fields, resolution_of
from robocache_ros.grid import PointStats, SparseVoxels, VoxelSpec
from robocache_ros.samples import AnyArray

if TYPE_CHECKING:
    from robocache_ros.codec.cloud import CloudView

_LEAST_POINTS = 1024  # of a bucket


class VoxelResults(Results):
    """What a call gives: index, count and columns of so many voxels at most."""

    def __init__(self, spec: VoxelSpec, capacity: int) -> None:
        """Lay out the results of a spec."""
        super().__init__()
        self.capacity = capacity
        self.index = self.add((capacity,), np.int64)
        self.count = self.add((capacity,), np.uint32)
        self.columns = {
            name: self.count if name == 'count' else self.add((capacity,), np.float32)
            for name in spec.columns
        }

    def describe(self, job: Any, address: int) -> None:
        """Tell the job about memory for the results that begins at `address`."""
        job['index'], job['count'] = address + self.index.begin, address + self.count.begin
        columns = [span for name, span in self.columns.items() if name != 'count']
        job['columns']['address'][: len(columns)] = [address + span.begin for span in columns]


class Voxelizer:
    """Finds the voxels of clouds; owns the scratch memory of that and the way to the host."""

    def __init__(self, staging: Staging, table_bits: int = TABLE_BITS) -> None:
        device = staging.device
        device.load(('voxels',))
        self._staging = staging
        self._painter = Painter(staging)
        self._table_bits = table_bits
        self._scratch = Grown(device.allocate)
        self._totals = Grown(device.allocate_host)
        self._host = Grown(device.allocate_host)
        self._plan: VoxelPlan | None = None

    def voxelize(self, clouds: Sequence[CloudView], spec: VoxelSpec) -> SparseVoxels:
        """Occupied voxels of the clouds, merged in the order given, on the host."""
        return self._voxelize(clouds, spec, self._host.at_least, copied)

    def voxelize_on_device(
        self, clouds: Sequence[CloudView], spec: VoxelSpec, place: Place[Memory]
    ) -> SparseVoxels:
        """Return the same as arrays of the device, in the memory that `place` gives."""
        return self._voxelize(clouds, spec, place, partial(viewed, self._staging.device))

    def _voxelize(
        self,
        clouds: Sequence[CloudView],
        spec: VoxelSpec,
        place: Place[M],
        array: Callable[[M, Span], AnyArray],
    ) -> SparseVoxels:
        results = VoxelResults(spec, self.capacity(clouds, spec))
        memory, m, stats = self.run(clouds, spec, results, place)
        index, count = (array(memory, span.first(m)) for span in (results.index, results.count))
        columns = {name: array(memory, span.first(m)) for name, span in results.columns.items()}
        return SparseVoxels(spec.grid, index, count, columns, stats)

    def capacity(self, clouds: Sequence[CloudView], spec: VoxelSpec) -> int:
        """How many voxels a call may give, in a few sizes only."""
        points = min(sum(cloud.n for cloud in clouds), spec.max_points)
        most = self._staging.limits.max_voxels
        return min(bucket(points, _LEAST_POINTS), spec.max_voxels, spec.grid.cells, most)

    def run(
        self,
        clouds: Sequence[CloudView],
        spec: VoxelSpec,
        results: VoxelResults,
        place: Place[M],
    ) -> tuple[M, int, PointStats]:
        """
        Compute the results into the memory that `place` gives.

        Returns that memory, how many voxels there are, and where the points went. OverLimit where
        there are more than the results have room for and the spec asks for.
        """
        points = min(sum(cloud.n for cloud in clouds), spec.max_points)
        plan = self._plan_of(clouds, spec, bucket(points, _LEAST_POINTS), results.capacity)
        parcel = Parcel(plan.job())
        limits = self._staging.limits
        staged = StagedClouds(parcel, clouds, spec.fields, spec.max_points, limits, self._painter)
        totals = self._totals.at_least(VOXEL_TOTALS.itemsize)
        base, job = self._staging.reserve(parcel), parcel.job
        memory = place(results.nbytes)
        job['points'], job['totals'] = staged.points(base, spec.grid), totals.address
        results.describe(job, memory.address)
        self._staging.send(parcel)
        self._staging.run(Program(base, (*staged.steps, *plan.steps)))
        found = np.frombuffer(totals.array, VOXEL_TOTALS, 1)[0]
        voxels = int(found['ranks'][plan.last_level])
        _check(voxels, spec, results.capacity, plan.wanted.voxels)
        m = min(voxels, results.capacity)
        return memory, m, _stats_of(found, clouds, spec, staged.n, voxels - m)

    def _plan_of(
        self, clouds: Sequence[CloudView], spec: VoxelSpec, points: int, rows: int
    ) -> VoxelPlan:
        resolutions = tuple(resolution_of(name, clouds, spec) for name in spec.fields)
        voxels = min(points, spec.grid.cells, self._staging.limits.max_voxels)
        wanted = Wanted(spec, resolutions, points, rows, voxels)
        if self._plan is None or self._plan.wanted != wanted:
            self._plan = None  # it does not hold any more, even if the next one cannot be made
            self._plan = VoxelPlan(
                wanted, self._scratch, self._staging.device.multiprocessors, self._table_bits
            )
        return self._plan


def _check(voxels: int, spec: VoxelSpec, rows: int, capped: int) -> None:
    """Raise OverLimit if there was no room for the voxels asked for, or to cap all of them."""
    room = min(rows, capped) if spec.max_points_per_voxel else rows
    if rows < min(voxels, spec.max_voxels) or (spec.max_points_per_voxel and capped < voxels):
        raise OverLimit(f'the clouds fill {voxels} voxels, the device takes {room}')


def _by_field(spec: VoxelSpec, counts: Any) -> dict[str, int]:
    found = zip(spec.fields, counts[: len(spec.fields)].tolist(), strict=True)
    return {name: count for name, count in found if count}


def _stats_of(
    found: Any, clouds: Sequence[CloudView], spec: VoxelSpec, looked_at: int, voxels_left: int
) -> PointStats:
    total = sum(cloud.n for cloud in clouds)
    inside, nonfinite, over_cap = (
        int(found[name]) for name in ('inside', 'nonfinite', 'over_cap')
    )
    # Two channels may leave out the same value: it counts once.
    ranges = (found[name].tolist() for name in ('sum_range', 'extreme_range', 'label_range'))
    return PointStats(
        points=total,
        used=inside - over_cap,
        nonfinite=nonfinite,
        out_of_range=looked_at - inside - nonfinite,
        over_limit=total - looked_at,
        over_cap=over_cap,
        voxels_over_limit=voxels_left,
        value_nonfinite=sum(found['value_nonfinite'].tolist()),
        value_range=sum(map(max, *ranges)),
        fields_missing=missing_fields(clouds, spec),
        unseen_of=_by_field(spec, found['unseen']),
    )
