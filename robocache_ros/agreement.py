# Copyright 2026 the robocache_ros authors
# SPDX-License-Identifier: Apache-2.0
"""
How well two sweeps of a LiDAR agree, as deskewed and as if the robot had never turned.

A wall that was measured twice fills the same voxels twice, if its points are where they were. With
an axis of the gyroscope swapped it does so less than if nothing were known of the turning. The way
is kept in both: rings on the road look alike from everywhere, and would speak against any motion.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import NamedTuple

import numpy as np

from robocache_ros.backends import Operations
from robocache_ros.codec.cloud import CloudView
from robocache_ros.grid import SparseVoxels, VoxelSpec

_POINTS = 20000  # of each sweep: a sample tells it as well


class Agreement(NamedTuple):
    """Share of the voxels of a sweep, 0 to 1, that the sweep before it fills as well."""

    deskewed: float
    unturned: float  # the same, as if the robot had moved without turning


class Sweeps(NamedTuple):
    """Two sweeps of one source, put into one frame at one time."""

    source: str
    deskewed: Sequence[CloudView]
    unturned: Sequence[CloudView]

    def agreement(self, backend: Operations, spec: VoxelSpec) -> Agreement:
        """Voxelize a sample of both sweeps, both ways."""
        shares = []
        for pair in (self.deskewed, self.unturned):
            shares.append(_shared(*(backend.voxelize([_thinned(one)], spec) for one in pair)))
        return Agreement(*shares)


def _shared(one: SparseVoxels, other: SparseVoxels) -> float:
    both = np.intersect1d(one.index, other.index, assume_unique=True)
    return len(both) / max(min(len(one), len(other)), 1)


def _thinned(cloud: CloudView) -> CloudView:
    """Every k-th point of a cloud, where they lie."""
    k = -(-cloud.n // _POINTS)
    padded = cloud.height > 1 and cloud.row_step != cloud.width * cloud.point_step
    if k <= 1 or padded or cloud.columns:
        return cloud
    n, step = cloud.n // k, cloud.point_step * k
    return replace(cloud, width=n, height=1, point_step=step, row_step=n * step)
