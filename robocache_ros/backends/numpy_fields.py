# Copyright 2026 the robocache_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The point fields of the clouds of one call, as columns of the points inside the grid."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from robocache_ros.backends.numpy_cells import Located, slices
from robocache_ros.backends.numpy_paint import paint
from robocache_ros.backends.workspace import Workspace
from robocache_ros.codec.cloud import COLOURS, RGB
from robocache_ros.grid import FLOAT_RESOLUTION, INTEGER_RESOLUTION, VoxelSpec
from robocache_ros.samples import AnyArray, FloatArray, IntArray

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
    not as non-finite. Points that no camera sees are not among those of a painted field.
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
        self._painted = self._paint()  # [N], of all points that were looked at
        sights = {self.sight(name): name for name in self._painted}
        self._seen = {sight: self._find_seen(name) for sight, name in sights.items()}

    def column(self, name: str, dtype: npt.DTypeLike) -> AnyArray:
        """Values of the points of a field; kept in the workspace until the next call like this."""
        values = self._everywhere(name, dtype)
        kept, seen = self._points.kept, self.seen(name)
        if seen is not None:
            kept = seen if kept is None else kept.take(seen)
        if kept is None:
            return values
        own = self._work.array('kept_values', len(kept), dtype)
        if values.dtype != own.dtype:
            own[:] = values.take(kept)
            return own
        return values.take(kept, out=own, mode='clip')

    def seen(self, name: str) -> IntArray | None:
        """Which of the points inside the grid, ascending, a field has; None: all of them."""
        return self._seen.get(self.sight(name))

    def sight(self, name: str) -> str:
        """Return a name that fields have in common which the same points have."""
        return RGB if name in self._painted and name in COLOURS else name

    def resolution(self, name: str) -> float:
        """Resolution of sums of a field, a power of two."""
        return resolution_of(name, [cloud for cloud, _ in self._clouds], self._spec)

    def leave_out(self, name: str, left_out: int) -> None:
        """Count by reason that a channel leaves out so many values of a field."""
        if name not in self._nonfinite:
            values = self.column(name, np.float64)
            finite = np.count_nonzero(np.isfinite(values))
            self._nonfinite[name] = len(values) - finite - self._absent(name)
        # Two channels may leave out the same values: each value counts once.
        out_of_range = left_out - self._nonfinite[name] - self._absent(name)
        self._out_of_range[name] = max(self._out_of_range.get(name, 0), out_of_range)

    @property
    def nonfinite(self) -> int:
        """How many values were NaN or infinite."""
        return sum(self._nonfinite.values())

    @property
    def out_of_range(self) -> int:
        """How many values were too large for a channel."""
        return sum(self._out_of_range.values())

    @property
    def unseen_of(self) -> dict[str, int]:
        """How many points inside the grid have no value of a painted field, without zeros."""
        counts = {name: len(self._points) - self._count_seen(name) for name in self._painted}
        return {name: count for name, count in counts.items() if count}

    def _count_seen(self, name: str) -> int:
        seen = self.seen(name)
        return len(self._points) if seen is None else len(seen)

    @property
    def missing(self) -> tuple[str, ...]:
        """Fields that at least one cloud lacks."""
        return missing_fields([cloud for cloud, _ in self._clouds], self._spec)

    def _everywhere(self, name: str, dtype: npt.DTypeLike) -> AnyArray:
        """Values of a field of all points that were looked at, [N]."""
        if name in self._painted and all(name in cloud.painted for cloud, _ in self._clouds):
            return self._painted[name]
        values = self._work.array('values', self._points.looked_at, dtype)
        for cloud, part in self._clouds:
            if name in cloud.painted:
                values[part] = self._painted[name][part]
            elif cloud.has(name):
                cloud.column(name, out=values[part], limit=part.stop - part.start)
            else:
                values[part] = np.nan
        return values

    def _paint(self) -> dict[str, FloatArray]:
        """Paint the fields asked for that a camera paints; 0 where the cloud is not painted."""
        painted: dict[str, FloatArray] = {}
        n = self._points.looked_at
        for name in self._spec.fields:
            if any(name in cloud.painted for cloud, _ in self._clouds):
                painted[name] = self._work.array(f'painted_{name}', n, np.float32)
                painted[name].fill(0.0)
        for cloud, part in self._clouds:
            fields = {name: painted[name][part] for name in painted if name in cloud.painted}
            if fields:
                paint(self._work, cloud.views, [axis[part] for axis in self._points.moved], fields)
        return painted

    def _find_seen(self, name: str) -> IntArray:
        """Which of the points inside the grid have a value of a painted field."""
        values, kept = self._painted[name], self._points.kept
        return np.flatnonzero(~np.isnan(values if kept is None else values.take(kept)))

    def _absent(self, name: str) -> int:
        """How many points inside the grid come from clouds without the field."""
        parts = [part for cloud, part in self._clouds if not cloud.has(name)]
        kept = self._points.kept
        if kept is None:
            return sum(part.stop - part.start for part in parts)
        return sum(
            int(kept.searchsorted(part.stop) - kept.searchsorted(part.start)) for part in parts
        )
