# Copyright 2026 the robocache_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The configuration of the two outputs: the voxel grid and the rows of features."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

from robocache_ros.config.parameters import (
    ConfigError,
    Problems,
    check_distinct,
    parameter,
    settle,
    shown,
)
from robocache_ros.grid import MAX_CAP, MAX_POINTS, MAX_SEED, Channel, Grid, VoxelSpec

EVERY = '*'  # in voxels.sources


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
        read_only=False,
    )
    point_cloud_range: tuple[float, float, float, float, float, float] = parameter(
        (-51.2, -51.2, -5.0, 51.2, 51.2, 3.0),
        'Bounds of the grid: x, y, z minimum, then x, y, z maximum; points outside are dropped.',
        unit='m',
        size=6,
        low=-1e6,
        high=1e6,
        read_only=False,
    )
    channels: tuple[str, ...] = parameter(
        ('count', 'mean_intensity'),
        'Values per voxel: `count`, `occupancy`, `centroid`, `rgb` (the mean colour, as viewers '
        'read it), and `mean_F`, `min_F`, `max_F`, `sum_F`, `majority_F` (a label) for any point '
        'field F.',
        form='a list out of count, occupancy, centroid, rgb, mean_F, min_F, max_F, sum_F, '
        'majority_F',
        read_only=False,
    )
    sources: tuple[str, ...] = parameter(
        (EVERY,),
        'Cloud sources that fill the grid; `"*"`: all of them.',
        form='["*"] or a list of cloud sources',
    )
    max_points: int = parameter(
        1000000,
        'Points of one frame that are used; more are counted and left out.',
        unit='points',
        low=1,
        high=MAX_POINTS,
        read_only=False,
    )
    max_voxels: int = parameter(
        200000,
        'Voxels of one frame that are sent, lowest indices first; more are counted.',
        unit='voxels',
        low=1,
        high=MAX_POINTS,
        read_only=False,
    )
    max_points_per_voxel: int = parameter(
        0,
        'Points of one voxel that are used, a fair sample: which ones depends on where they are '
        'and on `voxels.seed`, not on when they came; 0: all.',
        unit='points',
        low=0,
        high=MAX_CAP,
        read_only=False,
    )
    seed: int = parameter(
        0,
        'Decides which points `voxels.max_points_per_voxel` keeps.',
        low=0,
        high=MAX_SEED,
        read_only=False,
    )
    sweeps: int = parameter(
        1,
        'Newest clouds of each source that go into a grid, moved by `deskew.odometry` or '
        '`deskew.fixed_frame` to where they are at the time of the frame.',
        unit='clouds',
        low=1,
        high=64,
        read_only=False,
    )
    decay_sec: float = parameter(
        1.0,
        'Time in which `recency` halves. A channel may use `recency`, 1 for the newest cloud, '
        'and `time_lag`, seconds before the frame, like a field: `sum_recency`, `max_time_lag`.',
        unit='s',
        low=0.001,
        high=3600.0,
        read_only=False,
    )
    dense: str = parameter(
        'none',
        'Also send the dense grid on `~/voxels/dense`, with values of this type.',
        choices=('none', 'float32', 'uint8'),
        read_only=False,
    )

    def __post_init__(self) -> None:
        settle(self, 'voxels.')
        problems = Problems()
        check_distinct(problems, 'voxels.channels', self.channels)
        check_distinct(problems, 'voxels.sources', self.sources)
        problems.check(
            EVERY not in self.sources or len(self.sources) == 1,
            f'voxels.sources must be ["*"] or names, not {shown(self.sources)}',
        )
        for what in ('grid', 'parsed_channels'):
            with problems.collected():
                getattr(self, what)
        problems.refuse()
        self._check_dense()

    def _check_dense(self) -> None:
        if self.dense == 'none':
            return
        try:
            VoxelSpec(self.grid, self.parsed_channels).check_dense()
        except ValueError as error:
            raise ConfigError(f'voxels.dense: {self.dense} is not possible: {error}') from error

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


@dataclass(frozen=True)
class FeatureConfig:
    """The rows of the feature tensor."""

    targets: int = parameter(
        10,
        'Rows of the feature tensor: times at which every source is resampled, the last of '
        'them the time of the frame.',
        unit='rows',
        low=1,
        high=10000,
        read_only=False,
    )
    target_rate_hz: float = parameter(
        50.0, 'Rate of these times.', unit='Hz', low=0.01, high=100000.0, read_only=False
    )
    named: bool = parameter(
        False,
        'Also send the newest row with its names, as a JointState, on `~/features/named`.',
        read_only=False,
    )

    def __post_init__(self) -> None:
        settle(self, 'features.')
