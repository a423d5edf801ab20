# Copyright 2026 the robocache_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Where arrays are computed: one Protocol, one file per backend, the same bits from each."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from importlib import import_module
from typing import TYPE_CHECKING, Protocol

from robocache_ros.backends.status import BackendStatus
from robocache_ros.grid import MAX_POINTS, Grid, SparseVoxels, VoxelSpec
from robocache_ros.resampling import Fused, Resampled, Stream
from robocache_ros.samples import AnyArray, FloatArray, IntArray

if TYPE_CHECKING:
    from robocache_ros.backends.cuda.device import Limits
    from robocache_ros.backends.workload import Workload
    from robocache_ros.codec.cloud import CloudView
    from robocache_ros.codec.image import ImageView


class BackendUnavailable(RuntimeError):
    """A backend can not run here; the text says why, as a phrase, and what to do."""


class Operations(Protocol):
    """
    The operations of a frame. Owns workspaces: one thread per instance.

    Results are fresh arrays or the caller's `out`; none of them is overwritten by a later call.
    """

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
        self, stream: Stream, targets: IntArray, *, out_dtype: str = 'float32'
    ) -> Resampled:
        """One stream resampled at `targets` [B, T]."""
        ...

    def fuse(
        self, streams: Sequence[Stream], targets: IntArray, *, out_dtype: str = 'float32'
    ) -> Fused:
        """Several streams resampled at `targets` [B, T], side by side."""
        ...

    def close(self) -> None:
        """Give back what it holds; nothing is computed afterwards."""
        ...


class Backend(Operations, Protocol):
    """What computes frames, and tells how it does that."""

    def status(self) -> BackendStatus:
        """What computes now, and why; from any thread."""
        ...


Opener = Callable[[], Operations]

# What may stand beside NumPy: name -> 'module:function'; see `open_cuda` for what that does.
ACCELERATORS = {'cuda': 'robocache_ros.backends.cuda.opening:open_cuda'}
NAMES = ('auto', 'numpy', *ACCELERATORS)


def make_backend(
    name: str = 'auto',
    device_id: int = 0,
    workload: Workload | None = None,
    *,
    wait: bool = False,
) -> Backend:
    """
    Return the backend called `name`; its status says why it is this one now.

    `auto` is CUDA where there is a GPU and it is faster, else NumPy. CUDA takes seconds to get
    ready: until then NumPy computes, the same bits; `wait` waits for it. `workload`: what the
    memory of the device is sized for, and what decides what is faster; by default whatever the
    functions of the package may be called with.
    Raises ValueError for an unknown name, BackendUnavailable where `cuda` can not run.
    """
    from robocache_ros.backends.numpy_backend import NumpyBackend
    from robocache_ros.backends.twin import TwinBackend
    from robocache_ros.backends.workload import Workload

    if name not in NAMES:
        raise ValueError(f"unknown backend '{name}': use one of {', '.join(NAMES)}")
    if name == 'numpy':
        return NumpyBackend()
    workload = workload or Workload.general()
    try:
        opener = _accelerator('cuda')(device_id, workload.limits)
        twin = TwinBackend(NumpyBackend, opener, workload, always=name == 'cuda')
        if wait:
            twin.wait_until_ready()
        return twin
    except BackendUnavailable as missing:
        if name == 'auto':
            return NumpyBackend(str(missing))
        raise BackendUnavailable(
            f'backend: {name} was asked for, but {missing}. Or use backend: auto or numpy'
        ) from missing


def _accelerator(name: str) -> Callable[[int, Limits], Opener]:
    module, _, attribute = ACCELERATORS[name].partition(':')
    function: Callable[[int, Limits], Opener] = getattr(import_module(module), attribute)
    return function
