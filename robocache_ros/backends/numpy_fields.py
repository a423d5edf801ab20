# Copyright 2026 the robocache_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The point fields of the clouds of one call, as columns of the points inside the grid."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from robocache_ros.backends.numpy_cells import Located, slices
from robocache_ros.backends.workspace import Workspace
from robocache_ros.grid import FLOAT_RESOLUTION, INTEGER_RESOLUTION, VoxelSpec
from robocache_ros.samples import AnyArray

if TYPE_CHECKING:
    from robocache_ros.codec.cloud import CloudView


def resolution_of(name: str, clouds: Sequence[CloudView], spec: VoxelSpec) -> float:
    """Resolution of sums of a field, a power of two; 1 if every cloud has it as integers."""
    if name in spec.resolutions:
        return spec.resolutions[name]
    kinds = {cloud.dtype_of(name).kind for cloud in clouds if cloud.has(name)}
    return FLOAT_RESOLUTION if 'f' in kinds else INTEGER_RESOLUTION


def missing_fields(clouds: Sequence[CloudView], spec: VoxelSpec) -> tuple[str, ...]:
    """Fields of the channels that at least one cloud lacks."""
    return tuple(name for name in spec.fields if not all(cloud.has(name) for cloud in clouds))


class Fields:
    """
    Columns of the points inside the grid, and the count of values that were left out of them.

    A cloud without a field counts its points as having no value: NaN, reported as missing and
    not as non-finite.
    """

    def __init__(
        self, work: Workspace, clouds: Sequence[CloudView], spec: VoxelSpec, points: Located
    ) -> None:
        self._work = work
        self._clouds = list(zip(clouds, slices(clouds, spec.max_points), strict=True))
        self._spec = spec
        self._points = points
        self._nonfinite: dict[str, int] = {}
        self._out_of_range: dict[str, int] = {}

    def column(self, name: str, dtype: npt.DTypeLike) -> AnyArray:
        """Values of a field, [K]; lives in the workspace until the next call with this dtype."""
        values = self._work.array('values', self._points.looked_at, dtype)
        for cloud, part in self._clouds:
            if cloud.has(name):
                cloud.column(name, out=values[part], limit=part.stop - part.start)
            else:
                values[part] = np.nan
        kept = self._points.kept
        if kept is None:
            return values
        return values.take(
            kept, out=self._work.array('kept_values', len(kept), dtype), mode='clip'
        )

    def resolution(self, name: str) -> float:
        """Resolution of sums of a field, a power of two."""
        return resolution_of(name, [cloud for cloud, _ in self._clouds], self._spec)

    def leave_out(self, name: str, bad: npt.NDArray[np.bool_]) -> None:
        """Count the values of a field that a channel leaves out, by reason."""
        nonfinite = np.count_nonzero(~np.isfinite(self.column(name, np.float64)))
        # Two channels may leave out the same values: each value counts once.
        self._nonfinite[name] = nonfinite - self._absent(name)
        left_out = np.count_nonzero(bad) - nonfinite
        self._out_of_range[name] = max(self._out_of_range.get(name, 0), left_out)

    @property
    def nonfinite(self) -> int:
        """How many values were NaN or infinite."""
        return sum(self._nonfinite.values())

    @property
    def out_of_range(self) -> int:
        """How many values were too large for a channel."""
        return sum(self._out_of_range.values())

    @property
    def missing(self) -> tuple[str, ...]:
        """Fields that at least one cloud lacks."""
        return missing_fields([cloud for cloud, _ in self._clouds], self._spec)

    def _absent(self, name: str) -> int:
        """How many points inside the grid come from clouds without the field."""
        parts = [part for cloud, part in self._clouds if not cloud.has(name)]
        kept = self._points.kept
        if kept is None:
            return sum(part.stop - part.start for part in parts)
        return sum(
            int(kept.searchsorted(part.stop) - kept.searchsorted(part.start)) for part in parts
        )
