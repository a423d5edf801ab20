# Copyright 2026 the robocache_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The CUDA backend: the same operations as NumPy's, the same bits, on one device."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from robocache_ros.backends import numpy_voxels
from robocache_ros.backends.cuda.dense import DenseGrids, occupancy_shape
from robocache_ros.backends.cuda.dense_plan import dense_shape
from robocache_ros.backends.cuda.device import Device, Limits
from robocache_ros.backends.cuda.fusion import Fusion
from robocache_ros.backends.cuda.images import Images
from robocache_ros.backends.cuda.leases import Leases
from robocache_ros.backends.cuda.staging import Staging
from robocache_ros.backends.cuda.voxels import Voxelizer
from robocache_ros.grid import MAX_POINTS, Grid, SparseVoxels, VoxelSpec
from robocache_ros.interop import DeviceArray
from robocache_ros.resampling import Fused, Resampled, Stream
from robocache_ros.samples import AnyArray, FloatArray, IntArray

if TYPE_CHECKING:
    from robocache_ros.codec.cloud import CloudView
    from robocache_ros.codec.image import ImageView


class CudaBackend:
    """
    Ties the operations to one device; see `Operations` for what they do.

    Results are where the input is: of arrays on the device they are arrays of its library.
    Raises OverLimit for what the NumPy backend has to do, DeviceError for trouble, and never
    computes in another way by itself.
    """

    def __init__(self, device: Device, limits: Limits) -> None:
        self._device = device
        self._leases = Leases(device)
        staging = Staging(device, limits)
        self._voxels = Voxelizer(staging)
        self._dense = DenseGrids(staging)
        self._images = Images(staging)
        self._fusion = Fusion(staging)

    def voxelize(self, clouds: Sequence[CloudView], spec: VoxelSpec) -> SparseVoxels:
        """Occupied voxels of the clouds."""
        if self._follows(_columns(clouds)):
            return self._voxels.voxelize_on_device(clouds, spec, self._leases.take)
        return self._voxels.voxelize(clouds, spec)

    def voxelize_dense(
        self, clouds: Sequence[CloudView], spec: VoxelSpec, out: FloatArray | None = None
    ) -> FloatArray:
        """All voxels of the clouds as a dense grid; with a cap or a majority, one of the host."""
        if spec.max_points_per_voxel or any(c.kind == 'majority' for c in spec.channels):
            return self._densify_sparse(clouds, spec, out)
        if self._follows(_columns(clouds)) and out is None:
            memory = self._dense.fill_voxels(clouds, spec, self._leases.take)
            grid: FloatArray = self._device.view(memory, np.float32, dense_shape(spec), 0)
            return grid
        return self._dense.voxelize(clouds, spec, out)

    def _densify_sparse(
        self, clouds: Sequence[CloudView], spec: VoxelSpec, out: FloatArray | None
    ) -> FloatArray:
        """
        From sparse voxels.

        Which points a cap keeps is known only after all were looked at, and the labels of a cell
        do not fit in the shared memory of its block.
        """
        spec.check_dense()
        self._follows(_columns(clouds))
        voxels = self._voxels.voxelize(clouds, replace(spec, max_voxels=MAX_POINTS))
        return numpy_voxels.densify(voxels, 'float32', out)

    def occupancy(
        self,
        clouds: Sequence[CloudView],
        grid: Grid,
        max_points: int = MAX_POINTS,
        packed: bool = False,
    ) -> AnyArray:
        """Which cells have a point."""
        if self._follows(_columns(clouds)):
            memory = self._dense.fill_occupancy(
                clouds, grid, max_points, packed, self._leases.take
            )
            cells: AnyArray = self._device.view(memory, np.uint8, occupancy_shape(grid, packed), 0)
            return cells
        return self._dense.occupancy(clouds, grid, max_points, packed)

    def densify(
        self, voxels: SparseVoxels, dtype: str = 'float32', out: AnyArray | None = None
    ) -> AnyArray:
        """Sparse voxels as a dense grid: they are on the host, and so is the work."""
        return numpy_voxels.densify(voxels, dtype, out)

    def image_grid(
        self, image: ImageView, rows: int, cols: int, channels: str
    ) -> tuple[FloatArray, int]:
        """Area means of an image."""
        return self._images.image_grid(image, rows, cols, channels)

    def resample(
        self, stream: Stream, targets: IntArray, *, out_dtype: str = 'float32'
    ) -> Resampled:
        """One stream at the target times."""
        if self._follows([stream.values]):
            return self._fusion.resample_on_device(stream, targets, out_dtype, self._leases.take)
        return self._fusion.resample(stream, targets, out_dtype)

    def fuse(
        self, streams: Sequence[Stream], targets: IntArray, *, out_dtype: str = 'float32'
    ) -> Fused:
        """Several streams at the target times, side by side."""
        if self._follows([stream.values for stream in streams]):
            return self._fusion.fuse_on_device(streams, targets, out_dtype, self._leases.take)
        return self._fusion.fuse(streams, targets, out_dtype)

    def _follows(self, arrays: Sequence[AnyArray | DeviceArray]) -> bool:
        """Whether there are arrays on the device; what makes them is then waited for, there."""
        owners = [array.owner for array in arrays if isinstance(array, DeviceArray)]
        for owner in {type(owner): owner for owner in owners}.values():  # one of each library
            self._device.follow(owner)
        return bool(owners)

    def close(self) -> None:
        """Give the device back."""
        self._device.close()


def _columns(clouds: Sequence[CloudView]) -> list[AnyArray | DeviceArray]:
    return [column for cloud in clouds for column in cloud.columns.values()]
