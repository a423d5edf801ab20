# Copyright 2026 the robocache_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The voxel grid: where cells lie, what is asked of them (a spec) and what comes back (voxels)."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np

from robocache_ros.interop import kind_of
from robocache_ros.reasons import Reason
from robocache_ros.samples import AnyArray, FloatArray, IntArray

MAX_CELLS_PER_AXIS = 2**20
MAX_CELLS = 2**36
MAX_DENSE_CELLS = 2**31 - 1
# Sums are int64: 2^27 points of less than 2^35 resolution steps each can never overflow one.
MAX_POINTS = 2**27
MAX_STEPS = 2**35
MAX_CAP = 32  # highest cap on the points of a voxel that every backend takes; NumPy takes any
MAX_SEED = 2**32 - 1
FLOAT_RESOLUTION = 2.0**-18
INTEGER_RESOLUTION = 1.0
_RESOLUTION_LIMITS = (2.0**-64, 2.0**64)
_AXES = 'xyz'
_FIELD_KINDS = ('mean', 'min', 'max', 'sum', 'majority')
_PLAIN_KINDS = {'count': (), 'occupancy': (), 'centroid': (), 'rgb': ('r', 'g', 'b')}


@dataclass(frozen=True)
class Grid:
    """
    A box of equal cells; linear index = (iz * ny + iy) * nx + ix.

    A point is in cell floor(t) with t = (p - float32(origin)) * float32(1 / size), all float32,
    if 0 <= t < n. Build it with `from_range`, which validates.
    """

    origin: tuple[float, float, float]  # lower corner, metres
    size: tuple[float, float, float]  # edges of a cell, metres
    dims: tuple[int, int, int]  # nx, ny, nz
    widened: tuple[bool, bool, bool] = (False, False, False)  # upper edge moved to a whole cell

    @classmethod
    def from_range(
        cls, voxel_size: float | Sequence[float], point_cloud_range: Sequence[float]
    ) -> Grid:
        """Build the grid of `point_cloud_range` [x y z min, x y z max]; ValueError if refused."""
        sizes = _three(voxel_size)
        if len(point_cloud_range) != 6:
            raise ValueError(
                'point_cloud_range needs 6 numbers, x y z of the lower corner and of the upper '
                f'one, got {list(point_cloud_range)}'
            )
        bounds = [float(v) + 0.0 for v in point_cloud_range]
        axes = [_axis(*axis) for axis in zip(_AXES, bounds[:3], bounds[3:], sizes, strict=True)]
        (nx, wx), (ny, wy), (nz, wz) = axes
        if nx * ny * nz > MAX_CELLS:
            raise ValueError(
                f'the grid has {nx} x {ny} x {nz} cells, more than 2^36: '
                'use a larger voxel_size or a smaller point_cloud_range'
            )
        grid = cls((bounds[0], bounds[1], bounds[2]), sizes, (nx, ny, nz), (wx, wy, wz))
        grid._check_centers()
        return grid

    def _check_centers(self) -> None:
        # Far from zero float32 can no longer tell small cells apart: refuse instead of aliasing.
        for axis, table in enumerate(self.center_tables):
            with np.errstate(over='ignore', invalid='ignore'):
                t = (table - self.origin32[axis]) * self.inv32[axis]
                if not np.array_equal(np.floor(t), np.arange(self.dims[axis])):
                    raise ValueError(
                        f'voxel_size {self.size[axis]:g} is too small for float32 coordinates in '
                        f'the {_AXES[axis]} range from {self.origin[axis]:g} to '
                        f'{self.upper[axis]:g}'
                    )

    @property
    def cells(self) -> int:
        """Number of cells."""
        return self.dims[0] * self.dims[1] * self.dims[2]

    @property
    def shape(self) -> tuple[int, int, int]:
        """Shape (nz, ny, nx) of a dense grid."""
        return self.dims[2], self.dims[1], self.dims[0]

    def check_dense(self) -> None:
        """ValueError if the grid has too many cells to be written out whole."""
        if self.cells > MAX_DENSE_CELLS:
            raise ValueError(
                f'a dense grid of {self.cells} cells is more than 2^31 - 1: '
                'use a larger voxel_size or a smaller point_cloud_range'
            )

    @property
    def upper(self) -> tuple[float, float, float]:
        """Upper corner in metres, after widening."""
        x, y, z = (o + n * v for o, n, v in zip(self.origin, self.dims, self.size, strict=True))
        return x, y, z

    @cached_property
    def origin32(self) -> FloatArray:
        """Lower corner as the index rule uses it: float32[3]."""
        return np.array(self.origin, np.float64).astype(np.float32)

    @cached_property
    def inv32(self) -> FloatArray:
        """Cells per metre as the index rule uses it: float32[3]."""
        with np.errstate(over='ignore'):
            return (1.0 / np.array(self.size, np.float64)).astype(np.float32)

    @cached_property
    def dims32(self) -> FloatArray:
        """Cells per axis: float32[3], exact."""
        return np.array(self.dims, np.float32)

    @cached_property
    def center_tables(self) -> tuple[FloatArray, FloatArray, FloatArray]:
        """Centres along x, y and z: float32(origin + (i + 0.5) * size), metres."""
        x, y, z = (
            (o + (np.arange(n) + 0.5) * v).astype(np.float32)
            for o, n, v in zip(self.origin, self.dims, self.size, strict=True)
        )
        return x, y, z

    def unravel(self, index: IntArray) -> tuple[IntArray, IntArray, IntArray]:
        """Cell coordinates ix, iy, iz (int64[M]) of linear indices int64[M]."""
        rows = index // self.dims[0]
        iz = rows // self.dims[1]
        return index - rows * self.dims[0], rows - iz * self.dims[1], iz

    def centers(self, index: IntArray) -> tuple[FloatArray, FloatArray, FloatArray]:
        """Centres x, y, z (float32[M], metres) of linear indices int64[M], of their kind."""
        give = kind_of(index).give
        (ix, iy, iz), (tx, ty, tz) = self.unravel(index), self.center_tables
        return give(tx).take(ix), give(ty).take(iy), give(tz).take(iz)


def _three(value: float | Sequence[float]) -> tuple[float, float, float]:
    values = np.atleast_1d(np.asarray(value, np.float64)).tolist()
    values = values * 3 if len(values) == 1 else values
    if len(values) != 3:
        raise ValueError(f'voxel_size needs one number or three, got {values}')
    return values[0], values[1], values[2]


def _axis(axis: str, low: float, high: float, size: float) -> tuple[int, bool]:
    """Return the number of cells of one axis, and whether its upper edge had to be widened."""
    if not (math.isfinite(size) and size > 0):
        raise ValueError(f'voxel_size must be positive, got {size:g} for {axis}')
    if not (math.isfinite(low) and math.isfinite(high) and low < high):
        raise ValueError(f'point_cloud_range needs min < max, got {low:g} and {high:g} for {axis}')
    ratio = (high - low) / size
    if ratio > MAX_CELLS_PER_AXIS:
        raise ValueError(
            f'voxel_size {size:g} gives more than 2^20 cells along {axis} '
            f'({low:g} to {high:g}): use a larger voxel_size or a smaller point_cloud_range'
        )
    whole = round(ratio)  # to even, as rint
    widened = abs(ratio - whole) > 1e-6 * whole
    return (math.ceil(ratio), True) if widened else (whole, False)


@dataclass(frozen=True)
class Channel:
    """
    One thing computed per voxel: `count`, `occupancy`, `centroid`, `rgb`, `mean_F` and the like.

    `rgb` is the mean colour of the fields r, g and b in one float32 whose bits are 0x00RRGGBB, as
    viewers read it; 0x80 for a colour without a valid value. `majority_F` is the label that most
    points have, the lowest of several: rint of the field, 0 to 65535.
    """

    name: str
    kind: str
    fields: tuple[str, ...] = ()  # of the points, which it is made of

    @classmethod
    def parse(cls, name: str) -> Channel:
        """Read a channel name; ValueError if it is none."""
        if name in _PLAIN_KINDS:
            return cls(name, name, _PLAIN_KINDS[name])
        kind, _, source = name.partition('_')
        if kind not in _FIELD_KINDS or not source:
            raise ValueError(
                f"unknown channel '{name}': use count, occupancy, centroid, mean_F, min_F, max_F, "
                'sum_F or majority_F with F a point field such as intensity, or rgb'
            )
        return cls(name, kind, (source,))

    @property
    def field(self) -> str | None:
        """The field of a channel that has one."""
        return self.fields[0] if len(self.fields) == 1 else None

    @property
    def columns(self) -> tuple[str, ...]:
        """Names of the columns it fills."""
        if self.kind == 'centroid':
            return 'centroid_x', 'centroid_y', 'centroid_z'
        return (self.name,)


@dataclass(frozen=True)
class VoxelSpec:
    """
    What to compute: grid, channels, limits, and the resolution of sums where it is not default.

    Sums are exact multiples of the resolution of their field: 1 for integer fields, 2^-18 for
    floats; values of 2^35 resolution steps or more are left out of the sum and counted.

    Of a voxel with more than `max_points_per_voxel` points, all channels see only those whose
    hash of `seed` and their coordinates is not above that of the last one in line: a fair sample
    that depends on where points are, not on when they came. Points with the same hash all stay.
    """

    grid: Grid
    channels: tuple[Channel, ...]
    max_points: int = MAX_POINTS
    max_voxels: int = MAX_POINTS
    resolutions: Mapping[str, float] = field(default_factory=dict)  # field -> power of two
    max_points_per_voxel: int = 0  # 0: no limit
    seed: int = 0  # uint32

    def __post_init__(self) -> None:
        """Refuse what can not be computed, with a sentence."""
        names = [channel.name for channel in self.channels]
        if not names or len(set(names)) != len(names):
            raise ValueError(f'channels need at least one name and none twice, got {names}')
        if not 1 <= self.max_points <= MAX_POINTS:
            raise ValueError(f'max_points must be in 1..{MAX_POINTS}, got {self.max_points}')
        if self.max_voxels < 1:
            raise ValueError(f'max_voxels must be at least 1, got {self.max_voxels}')
        if not 0 <= self.max_points_per_voxel <= MAX_POINTS:
            raise ValueError(
                f'max_points_per_voxel must be in 0..{MAX_POINTS}, got {self.max_points_per_voxel}'
            )
        if not 0 <= self.seed <= MAX_SEED:
            raise ValueError(f'seed must be in 0..{MAX_SEED}, got {self.seed}')
        low, high = _RESOLUTION_LIMITS
        for name, value in self.resolutions.items():
            if not (low <= value <= high and math.frexp(value)[0] == 0.5):
                raise ValueError(
                    f"resolution of field '{name}' must be a power of two between 2^-64 and "
                    f'2^64, got {value!r}'
                )

    @property
    def columns(self) -> tuple[str, ...]:
        """Names of all columns, in channel order."""
        return tuple(name for channel in self.channels for name in channel.columns)

    @property
    def fields(self) -> tuple[str, ...]:
        """Point fields the channels read, each once, in channel order."""
        return tuple(dict.fromkeys(name for c in self.channels for name in c.fields))

    def check_dense(self) -> None:
        """
        ValueError if no dense grid can be made: too many cells, no `count`, or `rgb`.

        Empty cells of a dense grid are 0, so only `count` tells a value of 0 from no value.
        """
        self.grid.check_dense()
        names = [channel.name for channel in self.channels]
        if 'rgb' in names:
            raise ValueError(
                'the bits of rgb are no number for a dense grid: use mean_r, mean_g and mean_b'
            )
        if 'count' not in names:
            raise ValueError(
                'a dense grid needs the channel count, which tells empty cells from zeros: '
                f'got {names}'
            )


@dataclass(frozen=True)
class PointStats:
    """Where the points went: points = used + nonfinite + out_of_range + over_limit + over_cap."""

    points: int = 0
    used: int = 0  # inside the grid and its channels, those of voxels over the limit too
    nonfinite: int = 0  # x, y or z is NaN or infinite
    out_of_range: int = 0
    over_limit: int = 0  # beyond max_points, not looked at
    over_cap: int = 0  # inside the grid, in voxels with more than max_points_per_voxel
    voxels_over_limit: int = 0
    value_nonfinite: int = 0  # values of used points; once per field, however many channels
    value_range: int = 0
    fields_missing: tuple[str, ...] = ()  # fields that at least one cloud lacks
    # Of painted fields, how many used points have no value; without zeros.
    unseen_of: Mapping[str, int] = field(default_factory=dict)

    @property
    def unseen(self) -> int:
        """Used points without a value of a painted field: the most of any field."""
        return max(self.unseen_of.values(), default=0)

    def notes(self) -> dict[Reason, int]:
        """Counts by reason, without zeros; which cloud lacks a field is not known here."""
        counts = {
            Reason.POINT_NONFINITE: self.nonfinite,
            Reason.POINT_OUT_OF_RANGE: self.out_of_range,
            Reason.POINT_OVER_LIMIT: self.over_limit,
            Reason.POINT_OVER_CAP: self.over_cap,
            Reason.VOXEL_OVER_LIMIT: self.voxels_over_limit,
            Reason.VALUE_NONFINITE: self.value_nonfinite,
            Reason.VALUE_RANGE: self.value_range,
            Reason.POINT_UNSEEN: self.unseen,
        }
        return {reason: n for reason, n in counts.items() if n}


@dataclass(frozen=True, eq=False)
class SparseVoxels:
    """
    The occupied voxels of a grid, ascending by linear index (z-major, x fastest).

    From the functions of the package, arrays are of the kind of the points: see `voxelize`.
    """

    grid: Grid
    index: IntArray  # int64[M]
    count: np.ndarray[Any, np.dtype[np.uint32]]  # [M] points per voxel
    columns: Mapping[str, AnyArray]  # name -> [M], channel order; count uint32, else float32
    stats: PointStats

    def __len__(self) -> int:
        """Return the number of occupied voxels, M."""
        return len(self.index)

    def centers(self) -> tuple[FloatArray, FloatArray, FloatArray]:
        """Voxel centres x, y, z: float32[M], metres."""
        return self.grid.centers(self.index)
