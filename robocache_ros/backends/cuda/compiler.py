# Copyright 2026 the robocache_ros authors
# SPDX-License-Identifier: Apache-2.0
"""
From kernels/*.cu to machine code, by a call of NVRTC of our own.

CuPy's own call of NVRTC adds -ftz=true to whatever it compiles. This one needs no driver and no
GPU, so the tests compile every kernel for every architecture with the code that runs on a robot.
"""

from __future__ import annotations

import ctypes
import importlib.util
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from robocache_ros.backends import BackendUnavailable
from robocache_ros.backends.cuda.device import DeviceError
from robocache_ros.resources import kernel_dir

# What makes float32 of the GPU that of NumPy, whatever the compiler's defaults are.
OPTIONS = ('-std=c++17', '--fmad=false', '-ftz=false', '-prec-div=true', '-prec-sqrt=true')

OLDEST = 75  # compute capability 7.5, the oldest that CUDA 13 compiles for


class Compiled(NamedTuple):
    """One .cu file for one architecture."""

    cubin: bytes
    ptx: str
    log: str


def load_nvrtc() -> Any:
    """Return CuPy's module of NVRTC calls; BackendUnavailable where there is no NVRTC."""
    try:
        from cupy_backends.cuda.libs import nvrtc
    except ImportError as error:
        raise BackendUnavailable(f'CuPy does not import: {error}') from error
    try:
        nvrtc.getVersion()
    except RuntimeError:
        # CuPy 13 does not look into the wheels of NVIDIA; what is loaded already it does find.
        _load_wheel()
        try:
            nvrtc.getVersion()
        except RuntimeError as error:
            raise BackendUnavailable(
                'NVRTC, the compiler of the kernels, is missing: install a CUDA toolkit, or with '
                'pip nvidia-cuda-nvrtc-cu12, or nvidia-cuda-nvrtc for CUDA 13. CuPy says: '
                f'{_first_line(error)}'
            ) from error
    return nvrtc


def _load_wheel() -> None:
    """Load the libnvrtc of installed wheels into this process, if there is one."""
    spec = importlib.util.find_spec('nvidia')
    for folder in (spec.submodule_search_locations or []) if spec is not None else []:
        # nvidia/cuda_nvrtc of CUDA 12, nvidia/cu13 of CUDA 13
        for library in sorted(Path(folder).glob('*/lib/libnvrtc.so.*')):
            ctypes.CDLL(str(library), mode=ctypes.RTLD_GLOBAL)


def _first_line(error: BaseException) -> str:
    return str(error).partition('\n')[0]


class Compiler:
    """NVRTC with our options; `nvrtc` is CuPy's module, `kernels` the folder of the sources."""

    def __init__(self, nvrtc: Any, kernels: Path | None = None) -> None:
        """Say which NVRTC it is."""
        self._nvrtc = nvrtc
        self._kernels = kernels or kernel_dir()
        self.version = '.'.join(map(str, nvrtc.getVersion()))

    def architecture_for(self, capability: int) -> int:
        """
        Return what to compile for, as 87, to run on a GPU of a compute capability, as 87 for 8.7.

        Code for an architecture runs on all later ones with the same first digit.
        """
        supported = sorted(self._nvrtc.getSupportedArchs())
        fit = [a for a in supported if a // 10 == capability // 10 and a <= capability]
        if not fit:
            raise BackendUnavailable(
                f'NVRTC {self.version} compiles for compute capability '
                f'{", ".join(map(dotted, supported))}, and the GPU has {dotted(capability)}: '
                'install another CUDA toolkit or another nvidia-cuda-nvrtc'
            )
        return int(fit[-1])

    def sources(self, file: str) -> dict[str, bytes]:
        """Return name and bytes of kernels/<file>.cu, and after it those of all headers."""
        paths = [self._kernels / f'{file}.cu', *sorted(self._kernels.glob('*.cuh'))]
        return {path.name: path.read_bytes() for path in paths}

    def compile(self, file: str, architecture: int, more_options: Sequence[str] = ()) -> Compiled:
        """Compile kernels/<file>.cu; DeviceError with the compiler's log if that fails."""
        nvrtc = self._nvrtc
        (name, source), *headers = self.sources(file).items()
        program = nvrtc.createProgram(
            source.decode(),
            name,
            [text for _, text in headers],
            [header.encode() for header, _ in headers],
        )
        try:
            try:
                nvrtc.compileProgram(
                    program, (*OPTIONS, f'-arch=sm_{architecture}', *more_options)
                )
            except nvrtc.NVRTCError as error:
                raise DeviceError(
                    f'{name} does not compile for sm_{architecture} with NVRTC {self.version}: '
                    f'{error}\n{nvrtc.getProgramLog(program)}'
                ) from error
            # CuPy takes the cubin's last byte, which is 0, for the end of a string and drops it.
            cubin = nvrtc.getCUBIN(program) + b'\0'
            return Compiled(cubin, nvrtc.getPTX(program).decode(), nvrtc.getProgramLog(program))
        finally:
            nvrtc.destroyProgram(program)


def dotted(capability: int) -> str:
    """Return 8.7 for 87."""
    return f'{capability // 10}.{capability % 10}'
