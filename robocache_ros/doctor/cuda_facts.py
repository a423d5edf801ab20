# Copyright 2026 the robocache_ros authors
# SPDX-License-Identifier: Apache-2.0
"""
What there is of CUDA; in a process of its own, as a driver may hang, and CuPy and torch crash.

Nothing is allocated on a GPU: its memory is that of a robot which runs.
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable, Mapping
from typing import Any

_NAME_BYTES = 256
_MAJOR, _MINOR = 75, 76  # CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR and _MINOR


class _MemoryInfo(ctypes.Structure):
    """As nvmlMemory_t."""

    _fields_ = (
        ('total', ctypes.c_ulonglong),
        ('free', ctypes.c_ulonglong),
        ('used', ctypes.c_ulonglong),
    )


def driver(asked: Mapping[str, Any], load: Callable[[str], Any] = ctypes.CDLL) -> dict[str, Any]:
    """
    Return what the driver says of itself and of its GPUs; {} where there is none.

    'cuda': the newest CUDA that it knows, '12.8'. 'version': its own, '570.86'. 'devices':
    of each GPU 'name', 'capability', 'total' and 'free' bytes. 'problem': a status that is none.
    """
    try:
        cuda = load('libcuda.so.1')
    except OSError:
        return {}
    status = cuda.cuInit(0)
    if status:
        return {'problem': f'cuInit returns {status}', 'devices': []}
    version, count = ctypes.c_int(), ctypes.c_int()
    cuda.cuDriverGetVersion(ctypes.byref(version))
    cuda.cuDeviceGetCount(ctypes.byref(count))
    monitor = _Monitor(load)
    return {
        'cuda': f'{version.value // 1000}.{version.value % 1000 // 10}',
        'version': monitor.version,
        'devices': [_device(cuda, number, monitor) for number in range(count.value)],
    }


def cupy(asked: Mapping[str, Any]) -> dict[str, Any]:
    """Return versions, and why CuPy can not use the GPU 'device_id', if so, as 'problem'."""
    from robocache_ros.backends import BackendUnavailable
    from robocache_ros.backends.cuda import cupy_device

    found: dict[str, Any] = {}
    try:
        found |= cupy_device.versions()
        found['nvrtc'] = nvrtc_version()
        cupy_device.probe(int(asked['device_id']))
    except BackendUnavailable as unavailable:
        found['problem'] = str(unavailable)
    return found


def nvrtc_version() -> str:
    """Return the version of the compiler of kernels; BackendUnavailable where it is missing."""
    from robocache_ros.backends.cuda.compiler import Compiler, load_nvrtc

    return Compiler(load_nvrtc()).version


def torch(asked: Mapping[str, Any]) -> dict[str, Any]:
    """Return the version of torch, the CUDA it is built for, and whether it finds a GPU."""
    import torch

    return {
        'version': str(torch.__version__),
        'cuda': torch.version.cuda,
        'finds_gpu': bool(torch.cuda.is_available()),
    }


def _device(cuda: Any, number: int, monitor: _Monitor) -> dict[str, Any]:
    handle, major, minor = ctypes.c_int(), ctypes.c_int(), ctypes.c_int()
    name, bus = (ctypes.create_string_buffer(_NAME_BYTES) for _ in range(2))
    total = ctypes.c_size_t()
    cuda.cuDeviceGet(ctypes.byref(handle), number)
    cuda.cuDeviceGetName(name, _NAME_BYTES, handle)
    cuda.cuDeviceGetPCIBusId(bus, _NAME_BYTES, handle)
    cuda.cuDeviceGetAttribute(ctypes.byref(major), _MAJOR, handle)
    cuda.cuDeviceGetAttribute(ctypes.byref(minor), _MINOR, handle)
    cuda.cuDeviceTotalMem_v2(ctypes.byref(total), handle)
    return {
        'name': name.value.decode(errors='replace'),
        'capability': f'{major.value}.{minor.value}',
        'total': total.value,
        'free': monitor.free_bytes(bus),
    }


class _Monitor:
    """NVML, which tells what is free without using any of it; not there on every machine."""

    def __init__(self, load: Callable[[str], Any]) -> None:
        self.version = ''
        self._nvml: Any = None
        try:
            nvml = load('libnvidia-ml.so.1')
        except OSError:
            return
        if nvml.nvmlInit_v2() == 0:
            self._nvml = nvml
            version = ctypes.create_string_buffer(_NAME_BYTES)
            nvml.nvmlSystemGetDriverVersion(version, _NAME_BYTES)
            self.version = version.value.decode(errors='replace')

    def free_bytes(self, bus: Any) -> int | None:
        """Return how much memory of the GPU at this place is free; None where it is not told."""
        if self._nvml is None:
            return None
        handle, memory = ctypes.c_void_p(), _MemoryInfo()
        if self._nvml.nvmlDeviceGetHandleByPciBusId_v2(bus, ctypes.byref(handle)):
            return None
        if self._nvml.nvmlDeviceGetMemoryInfo(handle, ctypes.byref(memory)):
            return None
        return int(memory.free)
