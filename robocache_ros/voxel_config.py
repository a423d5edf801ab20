# Copyright 2026 the robocache_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The configuration of the voxel grid."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

from robocache_ros.grid import Channel, Grid
from robocache_ros.parameters import ConfigError, Problems, listed, parameter, settle, shown
from robocache_ros.source_config import check_distinct

EVERY = '*'  # in voxels.sources
MAX_SPARSE_CELLS = 2**36
MAX_DENSE_CELLS = 2**31 - 1
MAX_POINTS = 2**27  # sums of more could overflow 64 bits


@dataclass(frozen=True)
class VoxelConfig:
    """The voxel grid and what is computed in it."""

    voxel_size: tuple[float, float, float] = parameter(
        0.2,
        'Edge of a voxel; one number, or three for x, y and z.',
        kind='numbers_or_one',
        size=3,
        unit='m',
        low=0.0001,
        high=10000.0,
    )
    point_cloud_range: tuple[float, float, float, float, float, float] = parameter(
        (-51.2, -51.2, -5.0, 51.2, 51.2, 3.0),
        'Bounds of the grid: x, y, z minimum, then x, y, z maximum; points outside are dropped.',
        unit='m',
        size=6,
        low=-1e6,
        high=1e6,
    )
    channels: tuple[str, ...] = parameter(
        ('count', 'mean_intensity'),
        'Values per voxel: `count`, `occupancy`, `centroid`, and `mean_F`, `min_F`, `max_F`, '
        '`sum_F` for any point field F.',
    )
    sources: tuple[str, ...] = parameter(
        (EVERY,), 'Cloud sources that fill the grid; `"*"`: all of them.'
    )
    max_points: int = parameter(
        1000000,
        'Points of one frame that are used; more are counted and left out.',
        unit='points',
        low=1,
        high=MAX_POINTS,
    )
    max_voxels: int = parameter(
        200000,
        'Voxels of one frame that are sent, lowest indices first; more are counted.',
        unit='voxels',
        low=1,
        high=MAX_POINTS,
    )
    dense: str = parameter(
        'none',
        'Also send the dense grid on `~/voxels/dense`, with values of this type.',
        choices=('none', 'float32', 'uint8'),
    )

    def __post_init__(self) -> None:
        settle(self, 'voxels.')
        problems = Problems()
        with problems.collected():
            self._check_cells(problems)
        with problems.collected():
            self._check_channels(problems)
        check_distinct(problems, 'voxels.sources', self.sources)
        problems.check(
            EVERY not in self.sources or len(self.sources) == 1,
            f'voxels.sources must be ["*"] or names, not {shown(self.sources)}',
        )
        problems.refuse()

    def _check_cells(self, problems: Problems) -> None:
        nx, ny, nz = self.grid.dims
        most, why = MAX_SPARSE_CELLS, 'a grid'
        if self.dense != 'none':
            most, why = MAX_DENSE_CELLS, f'voxels.dense: {self.dense}'
        problems.check(
            nx * ny * nz <= most,
            f'voxels.voxel_size {shown(self.voxel_size)} in voxels.point_cloud_range '
            f'{shown(self.point_cloud_range)} makes {nx} x {ny} x {nz} = {nx * ny * nz} voxels; '
            f'{why} may have at most {most}',
        )

    def _check_channels(self, problems: Problems) -> None:
        check_distinct(problems, 'voxels.channels', self.channels)
        problems.check(
            self.dense == 'none' or 'count' in self.channels,
            f'voxels.dense: {self.dense} needs count among voxels.channels '
            f'(it tells empty voxels from zeros), not only {listed(self.channels)}',
        )
        assert self.parsed_channels  # raises on an unknown one

    @cached_property
    def grid(self) -> Grid:
        """The grid itself."""
        try:
            return Grid.from_range(self.voxel_size, self.point_cloud_range)
        except ValueError as error:
            raise ConfigError(f'voxels.voxel_size, voxels.point_cloud_range: {error}') from error

    @cached_property
    def parsed_channels(self) -> tuple[Channel, ...]:
        """The channels, parsed."""
        try:
            return tuple(Channel.parse(name) for name in self.channels)
        except ValueError as error:
            raise ConfigError(f'voxels.channels: {error}') from error
