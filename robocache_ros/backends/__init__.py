# Copyright 2026 the robocache_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Where arrays are computed: one Protocol, one file per backend, the same bits from each."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from importlib import import_module
from typing import TYPE_CHECKING, Protocol

from robocache_ros.grid import MAX_POINTS, Grid, SparseVoxels, VoxelSpec
from robocache_ros.resampling import Fused, Resampled, Stream
from robocache_ros.samples import AnyArray, FloatArray, IntArray

if TYPE_CHECKING:
    from robocache_ros.codec.cloud import CloudView
    from robocache_ros.codec.image import ImageView
    from robocache_ros.resampling import Fused, Resampled, Stream


class BackendUnavailable(RuntimeError):
    """A backend that was asked for by name and can not run here; the text says why."""


class Backend(Protocol):
    """
    The operations of a frame. Owns workspaces: one thread per instance.

    Results are fresh arrays or the caller's `out`; none of them is overwritten by a later call.
    """

    name: str

    def voxelize(self, clouds: Sequence[CloudView], spec: VoxelSpec) -> SparseVoxels:
        """Voxels of the clouds merged in the order given; `max_points` counts over all."""
        ...

    def voxelize_dense(
        self, clouds: Sequence[CloudView], spec: VoxelSpec, out: FloatArray | None = None
    ) -> FloatArray:
        """Return the same as a dense grid float32 [nz, ny, nx, C]; `max_voxels` is not applied."""
        ...

    def occupancy(
        self,
        clouds: Sequence[CloudView],
        grid: Grid,
        max_points: int = MAX_POINTS,
        packed: bool = False,
    ) -> AnyArray:
        """
        Cells with at least one point, uint8 [nz, ny, nx] of 0 and 1.

        `packed`: uint8 [ceil(cells / 8)], the cell of linear index i in bit i % 8 of byte i // 8.
        """
        ...

    def densify(
        self, voxels: SparseVoxels, dtype: str = 'float32', out: AnyArray | None = None
    ) -> AnyArray:
        """
        Dense grid [nz, ny, nx, C] of sparse voxels, float32 or uint8 (rint, clipped).

        Empty cells are 0, and so are occupied ones without a valid value.
        """
        ...

    def image_grid(
        self, image: ImageView, rows: int, cols: int, channels: str
    ) -> tuple[FloatArray, int]:
        """Area means float32[rows * cols * (1 or 3)] of an image, and pixels left out."""
        ...

    def resample(
        self,
        times: IntArray,
        values: AnyArray,
        targets: IntArray,
        rule: str,
        max_gap_ns: int,
        *,
        dtype: str | None = None,
        out_dtype: str = 'float32',
    ) -> Resampled:
        """Values [B, S, D] at `times` [B, S] resampled at `targets` [B, T], all in ns."""
        ...

    def fuse(
        self, streams: Sequence[Stream], targets: IntArray, *, out_dtype: str = 'float32'
    ) -> Fused:
        """Several streams resampled at `targets` [B, T], side by side."""
        ...


# name -> 'module:class'; each class is built with the device id and raises BackendUnavailable.
BACKENDS: dict[str, str] = {'numpy': 'robocache_ros.backends.numpy_backend:NumpyBackend'}
NAMES = ('auto', 'numpy', 'cuda')


def make_backend(name: str = 'auto', device_id: int = 0) -> tuple[Backend, str]:
    """Return the backend called `name`, and a phrase that says why it is this one."""
    if name not in NAMES:
        raise ValueError(f"unknown backend '{name}': use one of {', '.join(NAMES)}")
    if name == 'auto':
        return _build('numpy', device_id), 'no CUDA kernels in this version'
    if name not in BACKENDS:
        raise BackendUnavailable(
            f"backend '{name}' was asked for, but there are no CUDA kernels in this version: "
            'use backend: auto or numpy'
        )
    return _build(name, device_id), 'as configured'


def _build(name: str, device_id: int) -> Backend:
    module, _, attribute = BACKENDS[name].partition(':')
    factory: Callable[[int], Backend] = getattr(import_module(module), attribute)
    return factory(device_id)
