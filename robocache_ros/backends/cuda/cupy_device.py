# Copyright 2026 the robocache_ros authors
# SPDX-License-Identifier: Apache-2.0
"""
A GPU, through CuPy's thin layer over the CUDA runtime; the only file that imports cupy.

Nothing here computes with CuPy's arrays: kernels come as cubins of our own compiler, memory comes
from a pool of our own, work goes to a stream of our own. CuPy's arrays are only what `view` gives.
"""

from __future__ import annotations

import contextlib
import ctypes
import functools
import importlib.util
import sys
import time
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar, cast

import numpy as np
import numpy.typing as npt

from robocache_ros.backends import BackendUnavailable
from robocache_ros.backends.abandoned import keep_for_ever
from robocache_ros.backends.cuda.compiler import OLDEST, Compiler, dotted, load_nvrtc
from robocache_ros.backends.cuda.cubins import cache_folder, cubin_of
from robocache_ros.backends.cuda.device import (
    ByteArray,
    DeviceHung,
    DeviceLost,
    HostMemory,
    Launch,
    Memory,
    OutOfResources,
    Program,
)

ALIGNMENT = 256
RECORDED_PROGRAMS = 64  # more different ones at a time are not expected; each is some 10 kB
SPIN_SEC = 50e-6  # what is done this soon is worth a busy core
POLL_SEC = 20e-6
CLOSE_SEC = 1.0

# cudaError_t; those of the driver have the same numbers. All others mean that the context is gone.
SUCCESS, NOT_READY = 0, 600
MEMORY_ALLOCATION, LAUNCH_OUT_OF_RESOURCES = 2, 701
INSUFFICIENT_DRIVER, NO_DEVICE = 35, 100

_NO_DRIVER = 'there is no NVIDIA driver: install one (in a container: start it with --gpus all)'
_Method = TypeVar('_Method', bound=Callable[..., Any])
_UNRECORDABLE = object()


def probe(device_id: int) -> None:
    """Look whether this process can use GPU `device_id`; BackendUnavailable says why not."""
    if _has_no_driver():
        raise BackendUnavailable(_NO_DRIVER)
    cupy = _import_cupy()
    count = _device_count(cupy)
    if count == 0:
        raise BackendUnavailable('the driver sees no GPU (in a container: --gpus all)')
    if not 0 <= device_id < count:
        known = 'is one GPU, device_id 0' if count == 1 else f'are {count} GPUs, from 0 on'
        raise BackendUnavailable(f'there is no GPU with device_id {device_id}: there {known}')
    capability = _capability(cupy.cuda.runtime.getDeviceProperties(device_id))
    if capability < OLDEST:
        raise BackendUnavailable(
            f'the GPU has compute capability {dotted(capability)}, and the kernels need '
            f'{dotted(OLDEST)} (Turing) or newer'
        )
    Compiler(load_nvrtc()).architecture_for(capability)


def _has_no_driver() -> bool:
    """Whether that is known without CuPy, whose import would be a third of the start of a node."""
    try:
        if 'cupy' in sys.modules or importlib.util.find_spec('cupy') is None:
            return False
        ctypes.CDLL('libcuda.so.1')
    except ImportError:  # as some finders say that there is none
        return False
    except OSError:
        return True
    return False


def versions() -> dict[str, str]:
    """Return the versions of CuPy and of its CUDA; BackendUnavailable where it does not import."""
    cupy = _import_cupy()
    runtime = _version(cupy.cuda.runtime.runtimeGetVersion())
    return {'cupy': str(cupy.__version__), 'runtime': runtime}


def _import_cupy() -> Any:
    try:
        import cupy
    except ModuleNotFoundError as error:
        if error.name == 'cupy':
            raise BackendUnavailable(
                'CuPy is not installed: pip install cupy-cuda12x nvidia-cuda-nvrtc-cu12 (for '
                'drivers of CUDA 13: cupy-cuda13x nvidia-cuda-nvrtc)'
            ) from error
        raise BackendUnavailable(f'CuPy does not import: {error}') from error
    except (ImportError, RuntimeError) as error:  # built for another NumPy, libraries missing
        first = str(error).strip().partition('\n')[0]
        raise BackendUnavailable(f'CuPy is installed, but does not import: {first}') from error
    return cupy


def _device_count(cupy: Any) -> int:
    runtime = cupy.cuda.runtime
    knows = runtime.driverGetVersion()
    if knows == 0:
        raise BackendUnavailable(_NO_DRIVER)
    try:
        return int(runtime.getDeviceCount())
    except runtime.CUDARuntimeError as error:
        if error.status == NO_DEVICE:
            return 0
        if error.status == INSUFFICIENT_DRIVER:
            raise BackendUnavailable(
                f'the NVIDIA driver knows CUDA {_version(knows)} and CuPy needs '
                f'{_version(runtime.runtimeGetVersion())}: update the driver, or install the '
                'CuPy of an older CUDA, as robocache_ros[cuda12]'
            ) from error
        raise BackendUnavailable(f'CUDA does not start: {error}') from error


def _version(number: int) -> str:
    return f'{number // 1000}.{number % 1000 // 10}'


def _capability(properties: Mapping[str, Any]) -> int:
    return int(properties['major']) * 10 + int(properties['minor'])


def _on_device(method: _Method) -> _Method:
    """Call with our GPU current on this thread; errors of CUDA become ours."""

    @functools.wraps(method)
    def call(self: CupyDevice, *args: Any) -> Any:
        if self._lost is not None:
            raise type(self._lost)(str(self._lost))
        runtime, entered = self._runtime, None
        try:
            before = runtime.getDevice()
            if before != self._device_id:
                # A thread without a context has none to come back to, and coming back makes one:
                # half a gigabyte on a GPU that nobody asked for.
                entered = before if self._driver.ctxGetCurrent() else None
                runtime.setDevice(self._device_id)
            return method(self, *args)
        except self._cuda_errors as error:
            raise self._ours(error) from error
        finally:
            if entered is not None and self._lost is None:
                runtime.setDevice(entered)

    return cast(_Method, call)


class CupyDevice:
    """A GPU; see Device. After DeviceLost it calls CUDA never again, not even to free."""

    def __init__(self, device_id: int = 0) -> None:
        """Raise BackendUnavailable where `probe` does, OutOfResources where no memory is left."""
        probe(device_id)
        self._cupy = _import_cupy()
        self._runtime, self._driver = self._cupy.cuda.runtime, self._cupy.cuda.driver
        self._cuda_errors = (
            self._runtime.CUDARuntimeError,
            self._driver.CUDADriverError,
            MemoryError,
        )
        self._device_id = device_id
        self._lost: DeviceLost | None = None
        self._compiler = Compiler(load_nvrtc())
        self._modules: dict[str, Any] = {}
        self._functions: dict[str, Any] = {}
        self._shared_bytes: dict[str, int] = {}  # that a kernel was told to expect
        self._recorded: OrderedDict[Program, Any] = OrderedDict()  # graph; None: seen once
        self._unused: list[Any] = []  # freed when nothing is queued that may still use it
        self._others: Any = None  # event at the end of what others have queued, that we follow
        self.unrecordable = 0  # programs that CUDA refused to record; they run all the same
        self._open()

    @_on_device
    def _open(self) -> None:
        properties = self._runtime.getDeviceProperties(self._device_id)
        self.name = properties['name'].decode()
        self.multiprocessors = int(properties['multiProcessorCount'])
        self.shared_bytes = int(properties['sharedMemPerBlockOptin'])
        self._architecture = self._compiler.architecture_for(_capability(properties))
        self.stream = self._cupy.cuda.Stream(non_blocking=True)
        self._pool = self._cupy.cuda.MemoryPool()

    @_on_device
    def load(self, files: Sequence[str]) -> None:
        """Compile or read from the cache the kernels of `kernels/<file>.cu`, and load them."""
        for file in files:
            if file not in self._modules:
                module = self._cupy.cuda.Module()
                module.load(cubin_of(self._compiler, file, self._architecture, cache_folder()))
                self._modules[file] = module

    @_on_device
    def allocate(self, nbytes: int) -> Memory:
        """Return uninitialised device memory."""
        with self.stream:  # the pool keeps the memory of each stream apart
            return _PooledMemory(self._pool.malloc(_rounded(nbytes)), nbytes)

    @_on_device
    def allocate_host(self, nbytes: int) -> HostMemory:
        """Return pinned host memory that the device sees as well."""
        flags = self._runtime.hostAllocMapped | self._runtime.hostAllocPortable
        pinned = self._cupy.cuda.PinnedMemory(_rounded(nbytes), flags)
        seen = self._runtime.pointerGetAttributes(pinned.ptr)
        return _PinnedMemory(_PinnedBlock(pinned, nbytes, self._unused), seen.devicePointer)

    @_on_device
    def follow(self, array: Any) -> None:
        """Let what is queued from now on run after what the library of an array has queued."""
        array.__dlpack__(stream=self.stream.ptr)  # for this effect of it
        self._others = self.stream.record()

    @_on_device
    def send(self, source: HostMemory, begin: int, nbytes: int, address: int) -> None:
        """Queue a copy of bytes `begin : begin + nbytes` of `source` to a device address."""
        self._runtime.memcpyAsync(
            address, source.address + begin, nbytes, self._runtime.memcpyDefault, self.stream.ptr
        )

    @_on_device
    def execute(self, program: Program) -> None:
        """Queue the steps of a program; it is recorded the second time, replayed from then on."""
        if program not in self._recorded:
            self.queue(program)  # loads the kernels, which is not done while recording
            self._recorded[program] = None
            if len(self._recorded) > RECORDED_PROGRAMS:
                self._unused.append(self._recorded.popitem(last=False))
            return
        self._recorded.move_to_end(program)
        graph = self._recorded[program]
        if graph is None:
            graph = self._recorded[program] = self._record(program)
        if graph is _UNRECORDABLE:
            self.queue(program)
        else:
            graph.launch(self.stream)

    @_on_device
    def wait(self, deadline_sec: float) -> None:
        """Wait until all that was queued is done, by polling; DeviceHung after `deadline_sec`."""
        begin_sec = ours_sec = now_sec = time.monotonic()
        while (status := self._runtime.streamQuery(self.stream.ptr)) == NOT_READY:
            # Looked at once more, as it may be done even now, had this process been stopped.
            if now_sec - ours_sec > deadline_sec:
                hung = DeviceHung(f'the GPU did not finish within {deadline_sec:g} s')
                self._abandon(hung)
                raise hung
            if now_sec - begin_sec > SPIN_SEC:
                time.sleep(POLL_SEC)
            now_sec = time.monotonic()
            if self._behind_others():
                ours_sec = now_sec
        if status != SUCCESS:
            raise self._runtime.CUDARuntimeError(status)
        self._others = None
        self._unused.clear()

    def _behind_others(self) -> bool:
        """Whether what is followed goes on: it may take as long as it likes, as it is not ours."""
        if self._others is None:
            return False
        if self._runtime.eventQuery(self._others.ptr) != NOT_READY:
            self._others = None
        return self._others is not None

    @_on_device
    def view(self, memory: Memory, dtype: npt.DTypeLike, shape: Sequence[int], begin: int) -> Any:
        """Return a cupy.ndarray over memory from byte `begin` on; it keeps `memory` alive."""
        cuda = self._cupy.cuda
        owned = cuda.UnownedMemory(memory.address, memory.nbytes, memory, self._device_id)
        return self._cupy.ndarray(tuple(shape), dtype, cuda.MemoryPointer(owned, begin))

    def close(self) -> None:
        """Free what can be freed; does nothing after DeviceLost."""
        if self._lost is None:
            with contextlib.suppress(DeviceLost):  # then nothing may be freed
                self.wait(CLOSE_SEC)  # to free what is in use would wait without end
                self._free()
                self._lost = DeviceLost('the device was closed')

    @_on_device
    def _free(self) -> None:
        for held in (self._recorded, self._functions, self._modules, self._unused):
            held.clear()
        self._pool.free_all_blocks()
        del self.stream

    def queue(self, program: Program) -> None:
        """Queue the steps of a program one by one, as if it were new."""
        stream = self.stream
        for step in program.steps:
            if isinstance(step, Launch):
                # A Python int is passed as 64 bits, as the kernel's one pointer is.
                self._function_of(step)(
                    (step.blocks,), (step.threads,), (program.job,), step.shared_bytes, stream
                )
            elif step.nbytes:
                self._runtime.memsetAsync(step.address, 0, step.nbytes, stream.ptr)

    def _function_of(self, launch: Launch) -> Any:
        name = launch.kernel
        function = self._functions.get(name)
        if function is None:
            file, _, kernel = name.partition('.')
            function = self._functions[name] = self._modules[file].get_function(kernel)
        if launch.shared_bytes > self._shared_bytes.get(name, 0):
            self._driver.funcSetAttribute(
                function.ptr,
                self._driver.CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES,
                launch.shared_bytes,
            )
            self._shared_bytes[name] = launch.shared_bytes
        return function

    def _record(self, program: Program) -> Any:
        """Return the graph of a program; after an error it is not tried again."""
        try:
            self.stream.begin_capture()
            try:
                self.queue(program)
            finally:  # or the stream goes on recording
                graph = self.stream.end_capture()
        except self._cuda_errors:
            # If this was a sticky error, the launches that now follow meet it again.
            self.unrecordable += 1
            return _UNRECORDABLE
        return graph

    def _ours(self, error: BaseException) -> OutOfResources | DeviceLost:
        status = getattr(error, 'status', MEMORY_ALLOCATION)  # a MemoryError has none
        if status in (MEMORY_ALLOCATION, LAUNCH_OUT_OF_RESOURCES):
            return OutOfResources(f'the GPU is out of resources: {error}')
        lost = DeviceLost(f'the GPU failed: {error}')
        self._abandon(lost)
        return lost

    def _abandon(self, error: DeviceLost) -> None:
        self._lost = type(error)(str(error))  # the one that is raised refers to frames
        keep_for_ever(self)


def _rounded(nbytes: int) -> int:
    return max(1, -(-nbytes // ALIGNMENT)) * ALIGNMENT


class _PooledMemory:
    """Device memory; the pool takes it back without a call of CUDA."""

    def __init__(self, pointer: Any, nbytes: int) -> None:
        self.address: int = pointer.ptr
        self.nbytes = nbytes
        self._pointer = pointer


class _PinnedBlock:
    """What an array over pinned memory keeps alive."""

    def __init__(self, pinned: Any, nbytes: int, unused: list[Any]) -> None:
        self.__array_interface__ = {
            'version': 3, 'shape': (nbytes,), 'typestr': '|u1', 'data': (pinned.ptr, False),
        }  # fmt: skip
        self._pinned = pinned
        self._unused = unused

    def __del__(self) -> None:
        # To free pinned memory waits for the whole GPU, and a copy may still read it: later.
        self._unused.append(self._pinned)


class _PinnedMemory:
    """Pinned host memory; `address` is the device's view."""

    def __init__(self, block: _PinnedBlock, address: int) -> None:
        self.array: ByteArray = np.asarray(block)
        self.address = address
        self.nbytes = self.array.nbytes
