# Copyright 2026 the robocache_ros authors
# SPDX-License-Identifier: Apache-2.0
"""What calls with the same spec and about as many points have in common, made once for them."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from robocache_ros.backends.cuda.dense_words import Shares, Words
from robocache_ros.backends.cuda.device import Clear, Device, Launch, Memory
from robocache_ros.backends.cuda.jobs import DENSE_JOB
from robocache_ros.backends.cuda.memory import Grown, Spans, bucket, padded
from robocache_ros.grid import Grid, VoxelSpec
from robocache_ros.samples import AnyArray

Steps = tuple[Launch | Clear, ...]

LEAST_POINTS = 1024  # of a bucket
COPIED_AT_ONCE = 16  # bytes of a grid
_EXACT_FLOATS = 2**24  # a float32 counts so far one by one
_THREADS = 256
_BLOCKS_PER_MULTIPROCESSOR = 8
_SORT_THREADS = 512
_SORT_BLOCKS_PER_MULTIPROCESSOR = 3
_MOST_SHARED_COUNTS = 2**13  # 32 KiB
_REDUCE_THREADS = 512
_REDUCE_BLOCKS_PER_MULTIPROCESSOR = 64  # more shares than that take turns


class Wanted(NamedTuple):
    """What decides about a plan."""

    spec: VoxelSpec
    resolutions: tuple[float, ...]  # of the fields of the spec
    points: int  # at most


class DensePlan:
    """
    A DENSE_JOB but for its points and the grid, and the steps; addresses are those of `scratch`.

    Holds until somebody else uses the scratch memory.
    """

    def __init__(self, wanted: Wanted, scratch: Grown[Memory], device: Device) -> None:
        self.wanted = wanted
        self.nbytes = 4 * math.prod(dense_shape(wanted.spec))
        self.padded_nbytes = padded(self.nbytes, COPIED_AT_ONCE)
        self._device = device
        self._jobs = blank_jobs(wanted.spec.grid)
        self._reduced = wanted.spec.columns != ('count',)
        self._reduction = self._reduce(scratch) if self._reduced else ()

    def job(self) -> AnyArray:
        """Return a fresh DENSE_JOB [1]."""
        return self._jobs.copy()

    def steps(self, grid: int) -> Steps:
        """Return the steps that fill the grid at an address, and clear what rounds up its size."""
        if self._reduced:
            rest = self.padded_nbytes - self.nbytes
            return (*((Clear(grid + self.nbytes, rest),) if rest else ()), *self._reduction)
        points = self.wanted.points
        clear = Clear(grid, self.padded_nbytes)
        if points <= _EXACT_FLOATS:
            return clear, over(self._device, points, 'dense.count')
        count = over(self._device, points, 'dense.count_integers')
        return clear, count, over(self._device, self.nbytes // 4, 'dense.integers_to_floats')

    def _reduce(self, scratch: Grown[Memory]) -> Steps:
        points, multiprocessors = self.wanted.points, self._device.multiprocessors
        words = Words.of(self.wanted.spec, self.wanted.resolutions)
        shares = Shares.of(self.wanted.spec.grid.cells, words.each, self._device)
        counted = shares.number <= _MOST_SHARED_COUNTS
        job = self._jobs[0]
        words.describe(job)
        job['share_bits'], job['chunks_each'] = shares.bits, shares.chunks_each
        job['shared_counts'] = counted
        spans = Spans()
        offsets = {
            'counts': spans.add(4 * (shares.number + 1)),
            'starts': spans.add(4 * shares.number),
            'places': spans.add(8 * points),
            'sorted': spans.add(8 * points),
        }
        base = scratch.at_least(spans.nbytes).address
        for name, offset in offsets.items():
            job[name] = base + offset
        pieces = min(points // _SORT_THREADS, _SORT_BLOCKS_PER_MULTIPROCESSOR * multiprocessors)
        blocks = min(shares.number, _REDUCE_BLOCKS_PER_MULTIPROCESSOR * multiprocessors)
        return (
            Clear(base + offsets['counts'], 4 * (shares.number + 1)),
            Launch('dense.sort_count', pieces, _SORT_THREADS, 4 * shares.number * counted),
            over(self._device, shares.number, 'dense.sort_place'),
            over(self._device, points, 'dense.sort_move'),
            Launch('dense.reduce', blocks, _REDUCE_THREADS, shares.shared_bytes),
        )


def dense_shape(spec: VoxelSpec) -> tuple[int, ...]:
    """Shape of the dense grid of a spec, float32; ValueError if none can be made."""
    spec.check_dense()
    return (*spec.grid.shape, len(spec.columns))


def blank_jobs(grid: Grid) -> AnyArray:
    """Return a DENSE_JOB [1] that says what cells there are."""
    jobs = np.zeros(1, DENSE_JOB)
    job = jobs[0]
    job['size'], job['lower'], job['cells'] = grid.size, grid.origin, grid.cells
    return jobs


def over(device: Device, elements: int, kernel: str) -> Launch:
    """Return the launch of a kernel whose threads take turns over so many elements."""
    blocks = bucket(elements, LEAST_POINTS) // _THREADS
    return Launch(
        kernel, min(blocks, _BLOCKS_PER_MULTIPROCESSOR * device.multiprocessors), _THREADS
    )
