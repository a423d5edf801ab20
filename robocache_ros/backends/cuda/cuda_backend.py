# Copyright 2026 the robocache_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The CUDA backend: the same operations as NumPy's, the same bits, on one device."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from robocache_ros.backends import numpy_voxels
from robocache_ros.backends.cuda.device import Device, Limits
from robocache_ros.backends.cuda.staging import Staging
from robocache_ros.backends.cuda.voxels import Voxelizer
from robocache_ros.grid import SparseVoxels, VoxelSpec
from robocache_ros.samples import AnyArray

if TYPE_CHECKING:
    from robocache_ros.codec.cloud import CloudView


class CudaBackend:
    """
    Ties the operations to one device; see `Operations` for what they do.

    Raises OverLimit for what the NumPy backend has to do, DeviceError for trouble, and never
    computes in another way by itself.
    """

    name = 'cuda'

    def __init__(self, device: Device, limits: Limits) -> None:
        self._device = device
        staging = Staging(device, limits)
        self._voxels = Voxelizer(staging)

    def voxelize(self, clouds: Sequence[CloudView], spec: VoxelSpec) -> SparseVoxels:
        """Occupied voxels of the clouds."""
        return self._voxels.voxelize(clouds, spec)

    def densify(
        self, voxels: SparseVoxels, dtype: str = 'float32', out: AnyArray | None = None
    ) -> AnyArray:
        """Sparse voxels as a dense grid: they are on the host, and so is the work."""
        return numpy_voxels.densify(voxels, dtype, out)

    def close(self) -> None:
        """Give the device back."""
        self._device.close()
