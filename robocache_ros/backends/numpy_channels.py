# Copyright 2026 the robocache_ros authors
# SPDX-License-Identifier: Apache-2.0
"""
Values of voxels from values of points: exact sums, centroids, extremes, colours and labels.

Sums are sums of integers (numerics rule 3), so the order of the points never shows in a result.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from robocache_ros.backends.numpy_cells import Cells, Located, rank_keys
from robocache_ros.backends.numpy_fields import Fields
from robocache_ros.backends.paint_rule import LABELS, NO_COLOUR
from robocache_ros.backends.workspace import Workspace
from robocache_ros.grid import MAX_STEPS, Channel, Grid
from robocache_ros.samples import AnyArray, FloatArray, IntArray

DoubleArray = npt.NDArray[np.float64]

# What a voxel without a valid value holds. A constant, because the bits of a NaN that comes out
# of arithmetic differ between machines.
NO_VALUE = np.array(0x7FC00000, np.uint32).view(np.float32)

_STEPS_PER_CELL = 2.0**20  # resolution of a point within its cell, for centroids
_EXACT = 2**53  # integers below this are exact in float64
_LIMB = 2.0**26


class _Sums(NamedTuple):
    steps: DoubleArray  # [M] sum in steps of the resolution
    valid: IntArray  # [M] how many values it is made of
    resolution: float


class Channels:
    """Computes the channels of the occupied cells; M cells, K points."""

    def __init__(
        self, work: Workspace, grid: Grid, points: Located, cells: Cells, fields: Fields
    ) -> None:
        self._work = work
        self._grid = grid
        self._points = points
        self._cells = cells
        self._fields = fields
        self._sums: dict[str, _Sums] = {}
        self._seen: dict[str, tuple[IntArray, IntArray]] = {}
        self.count: IntArray = np.bincount(cells.rank, minlength=len(cells.index))

    def compute(self, channel: Channel) -> tuple[AnyArray, ...]:
        """Columns of a channel, [M] each: count is uint32, the others float32."""
        if channel.kind == 'count':
            return (self.count.astype(np.uint32),)
        if channel.kind == 'occupancy':
            return (np.ones(len(self.count), np.float32),)
        if channel.kind == 'centroid':
            return self._centroid()
        if channel.kind == 'rgb':
            return (self._packed(channel.fields),)
        (name,) = channel.fields
        if channel.kind == 'majority':
            return (self._majority(name),)
        if channel.kind == 'min':
            return (self._extreme(name, np.minimum, np.inf),)
        if channel.kind == 'max':
            return (self._extreme(name, np.maximum, -np.inf),)
        sums = self._sums_of(name)
        total = sums.steps
        if channel.kind == 'mean':
            total = total / np.maximum(sums.valid, 1)
        values = (total * sums.resolution).astype(np.float32)
        values[sums.valid == 0] = NO_VALUE
        return (values,)

    def _centroid(self) -> tuple[FloatArray, ...]:
        columns = []
        for axis, coord in enumerate(self._cells.coords):
            t = self._points.t[axis]
            steps = np.floor(t, out=self._work.array('fraction', len(t), np.float32))
            np.subtract(t, steps, out=steps)
            # floor, not rint, which could reach the next cell
            np.floor(np.multiply(steps, np.float32(_STEPS_PER_CELL), out=steps), out=steps)
            center = self._sum_integers(steps, _STEPS_PER_CELL, self._cells.rank)
            center /= self.count
            center += 0.5
            center /= _STEPS_PER_CELL
            center += coord
            center *= self._grid.size[axis]
            center += self._grid.origin[axis]
            columns.append(center.astype(np.float32))
        return tuple(columns)

    def _packed(self, colours: Sequence[str]) -> FloatArray:
        """Mean r, g and b of each cell, rounded, as the bits 0x00RRGGBB of a float32[M]."""
        packed = np.zeros(len(self.count), np.uint32)
        for colour in colours:
            sums = self._sums_of(colour)
            some = np.flatnonzero(sums.valid)  # of a painted colour often the fewest
            mean = sums.steps.take(some) / sums.valid.take(some)
            mean *= sums.resolution
            mean += 0.5
            np.floor(mean, out=mean)
            np.minimum(np.maximum(mean, 0.0, out=mean), 255.0, out=mean)
            byte = np.full(len(packed), NO_COLOUR, np.uint32)
            byte[some] = mean
            packed <<= np.uint32(8)
            packed |= byte
        return packed.view(np.float32)

    def _majority(self, name: str) -> FloatArray:
        """Label that most points of each cell have, the lowest of several, float32[M]."""
        labels, (rank, _) = self._fields.column(name, np.float32), self._ranks(name)
        labels = np.rint(labels, out=self._work.array('labels', len(labels), np.float32))
        with np.errstate(invalid='ignore'):
            usable = (labels >= 0) & (labels < LABELS)
        if not usable.all():
            self._fields.leave_out(name, len(usable) - np.count_nonzero(usable))
            labels, rank = labels[usable], rank[usable]
        found = np.full(len(self.count), NO_VALUE, np.float32)
        if len(labels):
            span = int(labels.max()) + 1
            keys = rank * span
            keys += labels.astype(np.int64)
            distinct, turn = rank_keys(self._work.nested('majority'), keys, len(found) * span)
            votes = np.bincount(turn, minlength=len(distinct))
            cell, label = distinct // span, distinct % span
            # The labels of a cell are side by side, and each beats those with fewer votes, and of
            # as many those above it.
            first = np.flatnonzero(np.diff(cell, prepend=-1))
            votes = votes * LABELS + (LABELS - 1 - label)
            best = np.maximum.reduceat(votes, first, dtype=np.int64)
            found[cell[first]] = LABELS - 1 - best % LABELS
        return found

    def _extreme(self, name: str, choose: np.ufunc, start: float) -> FloatArray:
        """Least or greatest value of each cell, float32[M]."""
        values, (rank, _) = self._fields.column(name, np.float32), self._ranks(name)
        finite = np.isfinite(values)
        if not finite.all():
            self._fields.leave_out(name, len(finite) - np.count_nonzero(finite))
            values, rank = values[finite], rank[finite]
        found = np.full(len(self.count), start, np.float32)
        # 1 ms for 500k points since NumPy 1.25, 26 ms before.
        choose.at(found, rank, values)
        found[np.isinf(found)] = NO_VALUE
        return found

    def _ranks(self, name: str) -> tuple[IntArray, IntArray]:
        """Ranks of the cells of the points of a field, and how many points each cell has, [M]."""
        seen = self._fields.seen(name)
        if seen is None:
            return self._cells.rank, self.count
        sight = self._fields.sight(name)
        if sight not in self._seen:
            rank = self._cells.rank.take(seen)
            self._seen[sight] = rank, np.bincount(rank, minlength=len(self.count))
        return self._seen[sight]

    def _sums_of(self, name: str) -> _Sums:
        """Sum of a field in each cell; values of 2^35 steps or more do not take part."""
        if name not in self._sums:
            resolution = self._fields.resolution(name)
            rank, valid = self._ranks(name)
            values = self._fields.column(name, np.float64)
            steps = self._work.array('steps', len(values), np.float64)
            with np.errstate(over='ignore', invalid='ignore'):
                np.multiply(values, 1.0 / resolution, out=steps)  # exact: a power of two
                np.rint(steps, out=steps)
                peak = _peak(steps)
                if not peak < MAX_STEPS:
                    good = np.flatnonzero(np.abs(steps) < MAX_STEPS)  # not NaN either
                    self._fields.leave_out(name, len(steps) - len(good))
                    steps, rank = steps.take(good), rank.take(good)
                    valid = np.bincount(rank, minlength=len(valid))
                    peak = _peak(steps)
            total = self._sum_integers(steps, peak, rank)
            self._sums[name] = _Sums(total, valid, resolution)
        return self._sums[name]

    def _sum_integers(self, values: AnyArray, peak: float, rank: IntArray) -> DoubleArray:
        """Sum integers of at most `peak` in each cell: exact, rounded once to float64[M]."""
        m = len(self.count)
        if len(values) * peak < _EXACT:
            return np.bincount(rank, weights=values, minlength=m).astype(np.float64, copy=False)
        high = np.floor(values * (1.0 / _LIMB))
        low = values - high * _LIMB  # 0 <= low < 2^26: 2^27 of them stay exact
        total = np.bincount(rank, weights=high, minlength=m).astype(np.int64) * int(_LIMB)
        total += np.bincount(rank, weights=low, minlength=m).astype(np.int64)
        return total.astype(np.float64)


def _peak(values: AnyArray) -> float:
    """Greatest absolute value; NaN if there is one."""
    return max(-float(values.min()), float(values.max())) if len(values) else 0.0
