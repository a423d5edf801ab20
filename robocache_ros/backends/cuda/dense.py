# Copyright 2026 the robocache_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Dense grids on a device: count, occupancy and all other channels; kernels/dense.cu says how."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from robocache_ros.backends.cuda.clouds import StagedClouds
from robocache_ros.backends.cuda.dense_plan import (
    COPIED_AT_ONCE,
    LEAST_POINTS,
    DensePlan,
    Steps,
    Wanted,
    blank_jobs,
    dense_shape,
    over,
)
from robocache_ros.backends.cuda.device import Clear, Memory, Program, check
from robocache_ros.backends.cuda.jobs import DENSE_JOB, MAX_FIELDS
from robocache_ros.backends.cuda.memory import Grown, bucket, padded
from robocache_ros.backends.cuda.paint import Painter
from robocache_ros.backends.cuda.results import M, Place
from robocache_ros.backends.cuda.staging import Parcel, Staging
from robocache_ros.backends.numpy_fields import resolution_of
from robocache_ros.backends.numpy_voxels import check_out
from robocache_ros.grid import Grid, VoxelSpec
from robocache_ros.samples import AnyArray, FloatArray

if TYPE_CHECKING:
    from robocache_ros.codec.cloud import CloudView

WINDOW_BYTES = 64 * 2**20  # of pinned memory; larger grids come to the host in parts


class DenseGrids:
    """
    Makes whole grids of clouds; owns the scratch memory of that and the way to the host.

    `voxelize` and `occupancy` give arrays of the host; `fill_voxels` and `fill_occupancy` leave
    the same bytes in device memory that `place` gives, and copy them to `out` where given.
    """

    def __init__(self, staging: Staging, window_bytes: int = WINDOW_BYTES) -> None:
        device = staging.device
        device.load(('dense',))
        self._staging = staging
        self._painter = Painter(staging)
        self._scratch = Grown(device.allocate)
        self._grid = Grown(device.allocate)
        self._window = Grown(device.allocate_host)
        self._window_bytes = window_bytes
        self._plan: DensePlan | None = None

    def voxelize(
        self, clouds: Sequence[CloudView], spec: VoxelSpec, out: FloatArray | None = None
    ) -> FloatArray:
        """All voxels of the clouds, float32 [nz, ny, nx, C]; `out` is filled where given."""
        shape = dense_shape(spec)
        if out is None:
            out = np.empty(shape, np.float32)
        else:
            check_out(shape, 'float32', out)
        self.fill_voxels(clouds, spec, self._grid.at_least, out)
        return out

    def occupancy(
        self, clouds: Sequence[CloudView], grid: Grid, max_points: int, packed: bool
    ) -> AnyArray:
        """Which cells have a point, uint8 [nz, ny, nx] or with `packed` [ceil(cells / 8)]."""
        out = np.empty(occupancy_shape(grid, packed), np.uint8)
        self.fill_occupancy(clouds, grid, max_points, packed, self._grid.at_least, out)
        return out

    def fill_voxels(
        self,
        clouds: Sequence[CloudView],
        spec: VoxelSpec,
        place: Place[M],
        out: FloatArray | None = None,
    ) -> M:
        """Write what `voxelize` gives, of `dense_shape`, to memory of the device; return that."""
        plan = self._plan_of(clouds, spec)
        parcel = Parcel(plan.job())
        staged = self._stage(parcel, clouds, spec.fields, spec.max_points)
        base = self._staging.reserve(parcel)
        memory = place(plan.padded_nbytes)
        parcel.job['points'] = staged.points(base, spec.grid)
        parcel.job['grid'] = memory.address
        steps = (*staged.steps, *plan.steps(memory.address))
        self._run(parcel, base, steps, memory, out)
        return memory

    def _stage(
        self, parcel: Parcel, clouds: Sequence[CloudView], names: Sequence[str], limit: int
    ) -> StagedClouds:
        limits = self._staging.limits
        return StagedClouds(parcel, clouds, names, limit, limits, self._painter)

    def _plan_of(self, clouds: Sequence[CloudView], spec: VoxelSpec) -> DensePlan:
        points = min(sum(cloud.n for cloud in clouds), spec.max_points)
        check(points, self._staging.limits.max_points, 'points')
        check(len(spec.fields), MAX_FIELDS, 'point fields in its channels')
        resolutions = tuple(resolution_of(name, clouds, spec) for name in spec.fields)
        wanted = Wanted(spec, resolutions, bucket(points, LEAST_POINTS))
        if self._plan is None or self._plan.wanted != wanted:
            self._plan = None  # it does not hold any more, even if the next one cannot be made
            self._plan = DensePlan(wanted, self._scratch, self._staging.device)
        return self._plan

    def fill_occupancy(
        self,
        clouds: Sequence[CloudView],
        grid: Grid,
        max_points: int,
        packed: bool,
        place: Place[M],
        out: AnyArray | None = None,
    ) -> M:
        """Write what `occupancy` gives, of `occupancy_shape`, to memory of the device."""
        nbytes = padded(math.prod(occupancy_shape(grid, packed)), COPIED_AT_ONCE)
        parcel = Parcel(blank_jobs(grid))
        staged = self._stage(parcel, clouds, (), max_points)
        base = self._staging.reserve(parcel)
        memory = place(nbytes)
        parcel.job['points'] = staged.points(base, grid)
        parcel.job['grid'] = memory.address
        kernel = 'dense.occupy_bits' if packed else 'dense.occupy_bytes'
        steps = (Clear(memory.address, nbytes), over(self._staging.device, staged.n, kernel))
        self._run(parcel, base, steps, memory, out)
        return memory

    def _run(
        self, parcel: Parcel, base: int, steps: Steps, memory: Memory, out: AnyArray | None
    ) -> None:
        """Run the steps; where there is an `out` on the host, bring the grid there as well."""
        if out is None:
            self._staging.send(parcel)
            self._staging.run(Program(base, steps))
            return
        target = out.reshape(-1).view(np.uint8)
        for begin in range(0, len(target), self._window_bytes):
            part = target[begin : begin + self._window_bytes]
            copied = padded(len(part), COPIED_AT_ONCE)
            window = self._window.at_least(copied)
            job = parcel.job
            job['copy_from'], job['copy_to'] = memory.address + begin, window.address
            job['copy_bytes'] = copied
            self._staging.send(parcel)
            copy = over(self._staging.device, copied // COPIED_AT_ONCE, 'dense.copy')
            self._staging.run(Program(base, (*steps, copy)))
            part[:] = window.array[: len(part)]
            parcel, steps = Parcel(DENSE_JOB), ()  # the grid is made: for more of it a job will do
            base = self._staging.reserve(parcel)


def occupancy_shape(grid: Grid, packed: bool) -> tuple[int, ...]:
    """Shape of what `occupancy` gives, uint8; ValueError if the grid is too large."""
    grid.check_dense()
    return ((grid.cells + 7) // 8,) if packed else grid.shape
