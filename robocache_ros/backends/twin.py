# Copyright 2026 the robocache_ros authors
# SPDX-License-Identifier: Apache-2.0
"""NumPy and CUDA as one backend: the same bits, whichever computes; nobody sees more than time."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, TypeVar

from robocache_ros.backends.accelerator import Accelerator, Refused
from robocache_ros.backends.comparison import compare
from robocache_ros.backends.crossover import Crossover, described, measure
from robocache_ros.backends.cuda.device import DeviceLost
from robocache_ros.backends.status import BackendStatus
from robocache_ros.grid import MAX_POINTS, Grid, SparseVoxels, VoxelSpec
from robocache_ros.interop import DeviceArray
from robocache_ros.reasons import Reason, Scope
from robocache_ros.resampling import Fused, Resampled, Stream
from robocache_ros.samples import AnyArray, FloatArray, IntArray

if TYPE_CHECKING:
    from robocache_ros.backends import Opener, Operations
    from robocache_ros.backends.workload import Workload
    from robocache_ros.codec.cloud import CloudView
    from robocache_ros.codec.image import ImageView

OPS = ('voxelize', 'voxelize_dense', 'occupancy', 'image_grid', 'resample', 'fuse')
_CUDA = 'cuda'
_COUNTED = (_CUDA, *(reason.key for reason in Reason if reason.scope is Scope.CALL))
_Result = TypeVar('_Result')


class TwinBackend:
    """
    Each call goes to CUDA if that is worth it and CUDA is sound, else to NumPy.

    A call that fails on CUDA is done again on NumPy, at once: its input is in host memory, or is
    copied there from arrays on the device. See `Accelerator` for what happens to CUDA then.
    """

    def __init__(
        self,
        make_numpy: Callable[[], Operations],
        opener: Opener,
        workload: Workload,
        *,
        always: bool,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """
        Be ready to compute on NumPy, and begin to open CUDA in the background.

        Args:
            make_numpy: makes a NumPy backend; called in two threads.
            opener: opens the operations on a device.
            workload: what will be computed.
            always: CUDA was asked for, so every size is worth it; else that is measured.
            clock: gives seconds and never goes back.
        """
        self._make_numpy = make_numpy
        self._numpy = make_numpy()
        self._workload = workload
        self._always = always
        self._counts = {op: dict.fromkeys(_COUNTED, 0) for op in OPS}
        self._accelerator = Accelerator(opener, self._tune, OPS, clock)

    def wait_until_ready(self) -> None:
        """Wait until CUDA is open; raise BackendUnavailable if it was asked for in vain."""
        from robocache_ros.backends import BackendUnavailable

        self._accelerator.wait()
        status = self.status()
        if self._always and not status.healthy:
            self.close()
            raise BackendUnavailable(f'{status.reason}. {status.fix}')

    def voxelize(self, clouds: Sequence[CloudView], spec: VoxelSpec) -> SparseVoxels:
        """Occupied voxels of the clouds."""
        return self._compute('voxelize', _size(clouds), lambda on: on.voxelize(clouds, spec))

    def voxelize_dense(
        self, clouds: Sequence[CloudView], spec: VoxelSpec, out: FloatArray | None = None
    ) -> FloatArray:
        """All voxels of the clouds as a dense grid."""
        return self._compute(
            'voxelize_dense', _size(clouds), lambda on: on.voxelize_dense(clouds, spec, out)
        )

    def occupancy(
        self,
        clouds: Sequence[CloudView],
        grid: Grid,
        max_points: int = MAX_POINTS,
        packed: bool = False,
    ) -> AnyArray:
        """Which cells have a point."""
        return self._compute(
            'occupancy',
            _size(clouds),
            lambda on: on.occupancy(clouds, grid, max_points, packed),
        )

    def densify(
        self, voxels: SparseVoxels, dtype: str = 'float32', out: AnyArray | None = None
    ) -> AnyArray:
        """Sparse voxels as a dense grid: from memory of the host to memory of the host."""
        return self._numpy.densify(voxels, dtype, out)

    def image_grid(
        self, image: ImageView, rows: int, cols: int, channels: str
    ) -> tuple[FloatArray, int]:
        """Area means of an image."""
        size = image.height * image.width
        return self._compute(
            'image_grid', size, lambda on: on.image_grid(image, rows, cols, channels)
        )

    def resample(
        self, stream: Stream, targets: IntArray, *, out_dtype: str = 'float32'
    ) -> Resampled:
        """One stream at the target times."""
        size = _width(targets, [stream])
        return self._compute(
            'resample', size, lambda on: on.resample(stream, targets, out_dtype=out_dtype)
        )

    def fuse(
        self, streams: Sequence[Stream], targets: IntArray, *, out_dtype: str = 'float32'
    ) -> Fused:
        """Several streams at the target times, side by side."""
        size = _width(targets, streams)
        return self._compute(
            'fuse', size, lambda on: on.fuse(streams, targets, out_dtype=out_dtype)
        )

    def status(self) -> BackendStatus:
        """What computes now, and why; from any thread."""
        name, reason, fix = self._choice()
        pauses = {'opening': self._accelerator.opening, **self._accelerator.breakers}
        return BackendStatus(
            name,
            reason,
            fix,
            dict(self._accelerator.crossover),
            {
                op: {where: n for where, n in counts.items() if n}
                for op, counts in self._counts.items()
                if any(counts.values())
            },
            {op: breaker.wait_sec for op, breaker in pauses.items() if breaker.cause},
        )

    def close(self) -> None:
        """Give the device back, at once or when what is under way on it is done."""
        self._accelerator.close()
        self._numpy.close()

    def _compute(
        self, op: str, size: int | None, work: Callable[[Operations], _Result]
    ) -> _Result:
        """
        Do the work on CUDA, or on NumPy where that is better or has to be.

        Without a size, because its input is on the device: DeviceLost if that is lost.
        """
        reason, unexpected = self._accelerator.refuses(op, size), None
        if reason is None:
            try:
                result = self._accelerator.run(op, work)
            except Refused as refused:
                reason = refused.reason
            except Exception as error:
                reason, unexpected = Reason.GPU_ERROR, error
            else:
                self._counts[op][_CUDA] += 1
                return result
        off = self._accelerator.off
        if size is None and off is not None and off.reason is Reason.GPU_LOST:
            raise DeviceLost(f'the input is on a GPU that failed, restart: {off.sentence}')
        result = work(self._numpy)  # raises as well where it is the arguments that are wrong
        self._counts[op][reason.key] += 1
        if unexpected is not None:
            self._accelerator.give_up_after_bug(unexpected)
        return result

    def _tune(self, cuda: Operations, stopped: Callable[[], bool]) -> Crossover:
        """Find the sizes from which on CUDA is used, in the thread that has opened it."""
        numpy, cases = self._make_numpy(), self._workload.cases()
        compare(numpy, cuda, cases, stopped)
        return dict.fromkeys(OPS, 0) if self._always else measure(numpy, cuda, cases, stopped)

    def _choice(self) -> tuple[str, str, str]:
        """Name, reason and fix."""
        accelerator = self._accelerator
        if accelerator.off is not None:
            why, sentence = accelerator.off
            return 'numpy', f'CUDA is off until this process restarts: {sentence}', why.fix
        if accelerator.opening.cause:
            cause = f'CUDA could not start yet: {accelerator.opening.cause}'
            return 'numpy', cause, Reason.GPU_RESOURCES.fix
        if not accelerator.ready:
            return 'numpy', 'CUDA is getting ready', ''
        for op, breaker in accelerator.breakers.items():
            if breaker.cause:
                cause = f'CUDA, but NumPy for {op} until it works again: {breaker.cause}'
                return _CUDA, cause, Reason.GPU_RESOURCES.fix
        if self._always:
            return _CUDA, 'as configured', ''
        return _as_measured(accelerator.crossover)


def _as_measured(crossover: Crossover) -> tuple[str, str, str]:
    if all(least is None for least in crossover.values()):
        return 'numpy', 'measured to be faster than CUDA at every size', ''
    return _CUDA, f'measured to be faster than NumPy for {described(crossover)}', ''


def _size(clouds: Sequence[CloudView]) -> int | None:
    """Points of all clouds; None where they are on the device, so that it does not matter."""
    columns = (column for cloud in clouds for column in cloud.columns.values())
    if any(isinstance(column, DeviceArray) for column in columns):
        return None
    return sum(cloud.n for cloud in clouds)


def _width(targets: IntArray, streams: Sequence[Stream]) -> int | None:
    """Targets times values of all streams; None where they are on the device."""
    if any(isinstance(stream.values, DeviceArray) for stream in streams):
        return None
    return int(targets.size) * sum(stream.values.shape[-1] for stream in streams)
