# Copyright 2026 the robocache_ros authors
# SPDX-License-Identifier: Apache-2.0
"""What travels through the pipeline: samples in, frames out. Plain data, no behaviour."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from robocache_ros.reasons import Reason

FloatArray = npt.NDArray[np.float32]
IntArray = npt.NDArray[np.int64]
AnyArray = npt.NDArray[Any]

NEVER_SEEN_AGE_SEC = 3600.0


@dataclass
class Vector:
    """Feature values of one message, with one validity flag per feature group."""

    values: FloatArray  # [D], finite
    valid: npt.NDArray[np.bool_]  # [G]
    notes: Mapping[Reason, int] = field(default_factory=dict)
    # Of odometry: x, y, z and x, y, z, w of a unit quaternion, float64 [7], as it was sent.
    pose: npt.NDArray[np.float64] | None = None


@dataclass(frozen=True)
class VoxelFrame:
    """The voxel half of a frame: the grid of the newest clouds at or before `t_ref_ns`."""

    t_ref_ns: int
    epoch: int
    frame_id: str
    voxels: Any  # SparseVoxels
    dense: AnyArray | None  # [nz, ny, nx, C], None unless configured
    used: Mapping[str, tuple[int, ...]]  # source -> stamps of the samples used
    missing: tuple[str, ...]  # sources that had nothing usable
    complete: bool
    arrival_ns: int  # of the trigger, in the clock given to push
    ready_ns: int  # when it was selected, in the clock given to advance


@dataclass(frozen=True)
class FeatureFrame:
    """The feature half of a frame: T rows ending at `t_ref_ns`, oldest first."""

    t_ref_ns: int
    epoch: int
    frame_id: str
    dt: FloatArray  # [T] seconds relative to t_ref, last is 0
    values: FloatArray  # [T, F]
    valid: npt.NDArray[np.uint8]  # [T, G]
    age: FloatArray  # [T, G] seconds
    used: Mapping[str, tuple[int, ...]]
    missing: tuple[str, ...]
    complete: bool
    arrival_ns: int
    ready_ns: int


Frame = VoxelFrame | FeatureFrame
