# Copyright 2026 the robocache_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The NumPy backend: runs everywhere, and is the specification of every other one."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from robocache_ros.backends import numpy_images, numpy_occupancy, numpy_resample, numpy_voxels
from robocache_ros.backends.status import BackendStatus
from robocache_ros.backends.workspace import Workspace
from robocache_ros.grid import MAX_POINTS, Grid, SparseVoxels, VoxelSpec
from robocache_ros.interop import DeviceArray
from robocache_ros.resampling import Fused, Resampled, Stream, UnusableSamples
from robocache_ros.samples import AnyArray, FloatArray, IntArray

if TYPE_CHECKING:
    from robocache_ros.codec.cloud import CloudView
    from robocache_ros.codec.image import ImageView


class NumpyBackend:
    """Ties the operations to one workspace; see `Backend` for what they do."""

    def __init__(self, reason: str = 'as configured') -> None:
        """`reason`: why it is this backend, for its status."""
        self._reason = reason
        self._work = Workspace()

    def status(self) -> BackendStatus:
        """What computes now, and why."""
        return BackendStatus('numpy', self._reason)

    def close(self) -> None:
        """Nothing to give back: memory goes with the object."""

    def voxelize(self, clouds: Sequence[CloudView], spec: VoxelSpec) -> SparseVoxels:
        """Occupied voxels of the clouds."""
        return numpy_voxels.voxelize(self._work, clouds, spec)

    def voxelize_dense(
        self, clouds: Sequence[CloudView], spec: VoxelSpec, out: FloatArray | None = None
    ) -> FloatArray:
        """All voxels of the clouds as a dense grid."""
        return numpy_voxels.voxelize_dense(self._work, clouds, spec, out)

    def occupancy(
        self,
        clouds: Sequence[CloudView],
        grid: Grid,
        max_points: int = MAX_POINTS,
        packed: bool = False,
    ) -> AnyArray:
        """Which cells have a point."""
        return numpy_occupancy.occupancy(self._work, clouds, grid, max_points, packed)

    def densify(
        self, voxels: SparseVoxels, dtype: str = 'float32', out: AnyArray | None = None
    ) -> AnyArray:
        """Sparse voxels as a dense grid."""
        return numpy_voxels.densify(voxels, dtype, out)

    def image_grid(
        self, image: ImageView, rows: int, cols: int, channels: str
    ) -> tuple[FloatArray, int]:
        """Area means of an image."""
        return numpy_images.image_grid(image, rows, cols, channels, self._work)

    def resample(
        self, stream: Stream, targets: IntArray, *, out_dtype: str = 'float32'
    ) -> Resampled:
        """One stream at the target times."""
        _check_on_host([stream])
        return numpy_resample.resample(stream, targets, out_dtype=out_dtype, work=self._work)

    def fuse(
        self, streams: Sequence[Stream], targets: IntArray, *, out_dtype: str = 'float32'
    ) -> Fused:
        """Several streams at the target times, side by side."""
        _check_on_host(streams)
        return numpy_resample.fuse(streams, targets, out_dtype=out_dtype, work=self._work)


def _check_on_host(streams: Sequence[Stream]) -> None:
    """What is on a device has not been looked at for samples to be left out."""
    if any(isinstance(stream.values, DeviceArray) for stream in streams):
        raise UnusableSamples
