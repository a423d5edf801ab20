# Copyright 2026 the robocache_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Dense grids on a device: count, occupancy and all other channels; kernels/dense.cu says how."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from robocache_ros.backends.cuda.clouds import StagedClouds
from robocache_ros.backends.cuda.dense_words import Shares, Words
from robocache_ros.backends.cuda.device import Clear, Launch, Memory, Program
from robocache_ros.backends.cuda.jobs import DENSE_JOB
from robocache_ros.backends.cuda.memory import Grown, Spans, bucket, padded
from robocache_ros.backends.cuda.results import M, Place
from robocache_ros.backends.cuda.staging import Parcel, Staging
from robocache_ros.backends.numpy_voxels import check_out
from robocache_ros.grid import Grid, VoxelSpec
from robocache_ros.samples import AnyArray, FloatArray

if TYPE_CHECKING:
    from robocache_ros.codec.cloud import CloudView

Steps = tuple[Launch | Clear, ...]

WINDOW_BYTES = 64 * 2**20  # of pinned memory; larger grids come to the host in parts
_EXACT_FLOATS = 2**24  # a float32 counts so far one by one
_COPIED_AT_ONCE = 16  # bytes
_THREADS = 256
_SORT_THREADS = 512
_SORT_BLOCKS_PER_MULTIPROCESSOR = 3
_MOST_SHARED_COUNTS = 2**13  # 32 KiB
_REDUCE_THREADS = 512
_BLOCKS_PER_MULTIPROCESSOR = 8
_REDUCE_BLOCKS_PER_MULTIPROCESSOR = 64  # more shares than that take turns
_LEAST_POINTS = 1024  # of a bucket


class DenseGrids:
    """
    Makes whole grids of clouds; owns the scratch memory of that and the way to the host.

    `voxelize` and `occupancy` give arrays of the host; `fill_voxels` and `fill_occupancy` leave
    the same bytes in device memory that `place` gives.
    """

    def __init__(self, staging: Staging, window_bytes: int = WINDOW_BYTES) -> None:
        device = staging.device
        device.load(('dense',))
        self._staging = staging
        self._scratch = Grown(device.allocate)
        self._grid = Grown(device.allocate)
        self._window = Grown(device.allocate_host)
        self._window_bytes = window_bytes

    def voxelize(
        self, clouds: Sequence[CloudView], spec: VoxelSpec, out: FloatArray | None = None
    ) -> FloatArray:
        """All voxels of the clouds, float32 [nz, ny, nx, C]; `out` is filled where given."""
        spec.check_dense()
        shape = dense_shape(spec)
        if out is None:
            out = np.empty(shape, np.float32)
        else:
            check_out(shape, 'float32', out)
        self._fill_voxels(clouds, spec, self._grid.at_least, out)
        return out

    def occupancy(
        self, clouds: Sequence[CloudView], grid: Grid, max_points: int, packed: bool
    ) -> AnyArray:
        """Which cells have a point, uint8 [nz, ny, nx] or with `packed` [ceil(cells / 8)]."""
        grid.check_dense()
        out = np.empty(occupancy_shape(grid, packed), np.uint8)
        self._fill_occupancy(clouds, grid, max_points, packed, self._grid.at_least, out)
        return out

    def fill_voxels(self, clouds: Sequence[CloudView], spec: VoxelSpec, place: Place[M]) -> M:
        """Write what `voxelize` gives, of `dense_shape`, to memory of the device; return that."""
        spec.check_dense()
        return self._fill_voxels(clouds, spec, place)

    def fill_occupancy(
        self,
        clouds: Sequence[CloudView],
        grid: Grid,
        max_points: int,
        packed: bool,
        place: Place[M],
    ) -> M:
        """Write what `occupancy` gives, of `occupancy_shape`, to memory of the device."""
        grid.check_dense()
        return self._fill_occupancy(clouds, grid, max_points, packed, place)

    def _fill_voxels(
        self,
        clouds: Sequence[CloudView],
        spec: VoxelSpec,
        place: Place[M],
        out: AnyArray | None = None,
    ) -> M:
        parcel = Parcel(DENSE_JOB)
        staged = self._stage(parcel, clouds, spec.fields, spec.max_points)
        words = Words.of(spec, clouds)
        at = parcel.add(words.columns), parcel.add(words.values)
        base = self._staging.reserve(parcel)
        nbytes = 4 * math.prod(dense_shape(spec))
        memory = place(padded(nbytes, _COPIED_AT_ONCE))
        _describe(parcel.job, staged.points(base, spec.grid), spec.grid, memory)
        if spec.columns == ('count',):
            steps = self._count(staged.n, memory, nbytes)
        else:
            job = parcel.job
            job['columns'], job['values'] = base + at[0], base + at[1]
            job['column_count'], job['value_count'] = len(words.columns), len(words.values)
            job['word_count'], job['centroid'] = words.each, words.centroid
            steps = self._reduce(job, staged.n, spec.grid.cells)
        self._run(parcel, base, steps, memory, out)
        return memory

    def _fill_occupancy(
        self,
        clouds: Sequence[CloudView],
        grid: Grid,
        max_points: int,
        packed: bool,
        place: Place[M],
        out: AnyArray | None = None,
    ) -> M:
        parcel = Parcel(DENSE_JOB)
        staged = self._stage(parcel, clouds, (), max_points)
        base = self._staging.reserve(parcel)
        nbytes = padded(math.prod(occupancy_shape(grid, packed)), _COPIED_AT_ONCE)
        memory = place(nbytes)
        _describe(parcel.job, staged.points(base, grid), grid, memory)
        kernel = 'dense.occupy_bits' if packed else 'dense.occupy_bytes'
        steps = (Clear(memory.address, nbytes), self._over(staged.n, kernel))
        self._run(parcel, base, steps, memory, out)
        return memory

    def _stage(
        self, parcel: Parcel, clouds: Sequence[CloudView], names: Sequence[str], limit: int
    ) -> StagedClouds:
        return StagedClouds(parcel, clouds, names, limit, self._staging.limits)

    def _count(self, n: int, memory: Memory, nbytes: int) -> Steps:
        clear = Clear(memory.address, nbytes)
        if n <= _EXACT_FLOATS:
            return clear, self._over(n, 'dense.count')
        floats = self._over(nbytes // 4, 'dense.integers_to_floats')
        return clear, self._over(n, 'dense.count_integers'), floats

    def _reduce(self, job: Any, n: int, cells: int) -> Steps:
        multiprocessors = self._staging.device.multiprocessors
        shares = Shares.of(cells, int(job['word_count']), self._staging.device)
        spans, points = Spans(), bucket(n, _LEAST_POINTS)
        offsets = {
            'counts': spans.add(4 * (shares.number + 1)),
            'starts': spans.add(4 * shares.number),
            'places': spans.add(8 * points),
            'sorted': spans.add(8 * points),
        }
        base = self._scratch.at_least(spans.nbytes).address
        for name, offset in offsets.items():
            job[name] = base + offset
        job['share_bits'], job['chunks_each'] = shares.bits, shares.chunks_each
        job['shared_counts'] = counted = shares.number <= _MOST_SHARED_COUNTS
        pieces = min(points // _SORT_THREADS, _SORT_BLOCKS_PER_MULTIPROCESSOR * multiprocessors)
        blocks = min(shares.number, _REDUCE_BLOCKS_PER_MULTIPROCESSOR * multiprocessors)
        return (
            Clear(base + offsets['counts'], 4 * (shares.number + 1)),
            Launch('dense.sort_count', pieces, _SORT_THREADS, 4 * shares.number * counted),
            self._over(shares.number, 'dense.sort_place'),
            self._over(n, 'dense.sort_move'),
            Launch('dense.reduce', blocks, _REDUCE_THREADS, shares.shared_bytes),
        )

    def _over(self, elements: int, kernel: str) -> Launch:
        """Return the launch of a kernel that takes turns over so many elements."""
        blocks = bucket(elements, _LEAST_POINTS) // _THREADS
        most = _BLOCKS_PER_MULTIPROCESSOR * self._staging.device.multiprocessors
        return Launch(kernel, min(blocks, most), _THREADS)

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
            copied = padded(len(part), _COPIED_AT_ONCE)
            window = self._window.at_least(copied)
            job = parcel.job
            job['copy_from'], job['copy_to'] = memory.address + begin, window.address
            job['copy_bytes'] = copied
            self._staging.send(parcel)
            copy = self._over(copied // _COPIED_AT_ONCE, 'dense.copy')
            self._staging.run(Program(base, (*steps, copy)))
            part[:] = window.array[: len(part)]
            parcel, steps = Parcel(DENSE_JOB), ()  # the grid is made: for more of it a job will do
            base = self._staging.reserve(parcel)


def dense_shape(spec: VoxelSpec) -> tuple[int, ...]:
    """Shape of what `voxelize` gives, float32."""
    return (*spec.grid.shape, len(spec.columns))


def occupancy_shape(grid: Grid, packed: bool) -> tuple[int, ...]:
    """Shape of what `occupancy` gives, uint8."""
    return ((grid.cells + 7) // 8,) if packed else grid.shape


def _describe(job: Any, points: Any, grid: Grid, memory: Memory) -> None:
    job['points'] = points
    job['size'], job['lower'], job['cells'] = grid.size, grid.origin, grid.cells
    job['grid'] = memory.address
