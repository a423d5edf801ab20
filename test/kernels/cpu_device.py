# Copyright 2026 the robocache_ros authors
# SPDX-License-Identifier: Apache-2.0
"""
A device that runs kernels/*.cu on the CPU, from the same programs as a GPU.

    device = CpuDevice(order='shuffled', seed=3)   # or 'forward' (default), 'reverse'
    backend = CudaBackend(device, Limits(...))
    backend.voxelize(...)                          # compiles what is loaded, once for all tests
    device.launches()                              # [Launch(...), ...] of all programs so far
    device.clear()                                 # forget them

Memory is poisoned (0xcd) when allocated, as is shared memory before each block, so what reads
before it writes shows. A deadlock, a divergent barrier or warp operation, a write outside of the
memory that was allocated and a copy or launch that cannot be are KernelFault, which is not a
DeviceError: nothing falls back over it. `order` is the order in which threads and blocks run.
"""

from __future__ import annotations

import ctypes
import functools
import hashlib
import itertools
import os
import shutil
import subprocess
import sys
import tempfile
import threading
import weakref
from pathlib import Path

import numpy as np

from robocache_ros.backends.cuda.device import Clear, DeviceError, Launch

HERE = Path(__file__).resolve().parent
SHIM = HERE / 'shim'
KERNELS = HERE.parent.parent / 'kernels'

ALIGNMENT = 256
REDZONE = 256  # bytes on either side of an allocation that must keep their value
POISON = 0xCD
GUARDS = itertools.cycle(range(0x80, 0xC1))  # one each, or a copied guard would not show
ORDERS = ('forward', 'reverse', 'shuffled')
REPORT_BYTES = 2048
ONE_LAUNCH = threading.Lock()  # a library runs one at a time, whoever loaded it

# Bits as NVRTC makes them with --fmad=false: nothing is contracted, nothing reassociated.
FLAGS = (
    *('-std=c++20', '-O2', '-g1', '-fPIC', '-shared', '-x', 'c++', '-DROBOCACHE_SHIM'),
    *('-ffp-contract=off', '-fno-strict-aliasing', '-fvisibility=hidden'),
    *('-Wall', '-Wextra', '-Wno-unknown-pragmas', '-Wno-unused-function'),
)


class KernelFault(AssertionError):  # noqa: N818 - a fault of a kernel, found
    """A kernel, or the host code that launches it, did what no GPU promises to bear."""


def absent(reason):
    """Skip the test that runs; an error where ROBOCACHE_REQUIRE_KERNELS=1 says it has to run."""
    import pytest  # here, as programs without it use this file as well

    if os.environ.get('ROBOCACHE_REQUIRE_KERNELS') == '1':
        raise RuntimeError(f'{reason}, and ROBOCACHE_REQUIRE_KERNELS=1')
    pytest.skip(reason)


@functools.cache
def compiler():
    """Return the command of a C++20 compiler as a tuple; skips the test if there is none."""
    named = os.environ.get('CXX')
    for command in ([named] if named else []) + ['g++', 'clang++']:
        if shutil.which(command):
            return (command,)
    zig = (sys.executable, '-m', 'ziglang', 'c++')
    if subprocess.run([*zig, '--version'], capture_output=True).returncode == 0:
        return zig
    return absent('no C++ compiler: neither g++, nor clang++, nor the wheel ziglang')


@functools.cache
def build_folder():
    """Return the folder of compiled kernels, kept between runs."""
    base = os.environ.get('XDG_CACHE_HOME') or os.path.expanduser('~/.cache')
    folder = Path(base) / 'robocache_ros' / 'kernels_on_cpu'
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError:  # no home to write to
        folder = Path(tempfile.gettempdir()) / f'robocache_ros_{os.getuid()}' / 'kernels_on_cpu'
        folder.mkdir(parents=True, exist_ok=True)
    return folder


@functools.cache
def compiler_version():
    """Return what the compiler says it is: other bits come from another one."""
    return subprocess.run([*compiler(), '--version'], capture_output=True, check=True).stdout


def build(source, extra=()):
    """Compile one .cu file, unless these bytes were compiled before; return the library's path."""
    command = [*compiler(), *FLAGS, *extra]
    digest = hashlib.sha256(repr(command).encode() + compiler_version())
    for file in [Path(source), *sorted(KERNELS.glob('*.cuh')), *sorted(SHIM.iterdir())]:
        digest.update(file.name.encode() + b'\0' + file.read_bytes())
    library = build_folder() / f'{Path(source).stem}-{digest.hexdigest()[:20]}.so'
    if library.exists():
        return library
    made = library.with_name(f'{library.name}.{os.getpid()}.{threading.get_ident()}')
    command += ['-include', str(SHIM / 'shim.h'), f'-I{KERNELS}', str(source), '-o', str(made)]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode != 0:
        raise KernelFault(f'{source} does not compile on the CPU:\n{done.stderr}')
    if done.stderr:
        print(done.stderr, file=sys.stderr)
    made.replace(library)  # whole or not at all, whoever builds beside us
    return library


class Call(ctypes.Structure):
    """A launch, as the shim takes it (struct Call of shim.h)."""

    _fields_ = (
        ('job', ctypes.c_void_p),
        ('shared_bytes', ctypes.c_ulonglong),
        ('seed', ctypes.c_ulonglong),
        ('report', ctypes.c_void_p),
        ('report_bytes', ctypes.c_ulonglong),
        ('gate', ctypes.c_void_p),
        ('blocks', ctypes.c_uint),
        ('threads', ctypes.c_uint),
        ('order', ctypes.c_int),
        ('first_block', ctypes.c_uint),
        ('block_step', ctypes.c_uint),
    )


class CpuMemory:
    """Memory of the process, 256-byte aligned, a multiple of 8 bytes, poisoned, between guards."""

    def __init__(self, nbytes):
        self.nbytes = -(-nbytes // 8) * 8
        self._block = np.empty(self.nbytes + ALIGNMENT + 2 * REDZONE, np.uint8)
        start = self._block.ctypes.data + REDZONE
        begin = -(-start // ALIGNMENT) * ALIGNMENT - self._block.ctypes.data
        self._guard = next(GUARDS)
        self._block[:] = self._guard
        self._before = self._block[:begin]
        self._after = self._block[begin + self.nbytes :]
        self._bytes = self._block[begin : begin + self.nbytes]
        self._bytes[:] = POISON
        self.address = self._bytes.ctypes.data

    @property
    def array(self):
        """The bytes, as the host sees them."""
        return bytes_of(self)

    def intact(self):
        """Whether nothing was written next to it."""
        return bool((self._before == self._guard).all() and (self._after == self._guard).all())


class _Held:
    """What an array over memory keeps alive, whatever kind of memory that is."""

    def __init__(self, memory):
        self.memory = memory
        self.__array_interface__ = {
            'version': 3, 'shape': (memory.nbytes,), 'typestr': '|u1',
            'data': (memory.address, False),
        }  # fmt: skip


def bytes_of(memory):
    """Return the bytes of memory as an array that keeps it alive."""
    return np.asarray(_Held(memory))


class CpuDevice:
    """
    The Device of the tests; see the top of the file.

    `folder` holds the .cu files (kernels/ by default), `extra` are more options of the compiler.
    """

    def __init__(
        self,
        order='forward',
        seed=0,
        *,
        multiprocessors=4,
        shared_bytes=99 * 1024,
        folder=KERNELS,
        extra=(),
    ):
        self.multiprocessors = multiprocessors
        self.shared_bytes = shared_bytes
        self.programs = []  # all that ran, in order
        self._order = ORDERS.index(order)
        self._seed = seed
        self._folder = Path(folder)
        self._extra = tuple(extra)
        self._libraries = {}
        self._memories = weakref.WeakSet()

    def load(self, files):
        for file in files:
            if file not in self._libraries:
                path = build(self._folder / f'{file}.cu', self._extra)
                self._libraries[file] = ctypes.CDLL(str(path))

    def allocate(self, nbytes):
        memory = CpuMemory(nbytes)
        self._memories.add(memory)
        return memory

    def allocate_host(self, nbytes):
        return self.allocate(nbytes)

    def follow(self, array):
        pass  # nothing is queued here

    def send(self, source, begin, nbytes, address):
        if begin < 0 or nbytes < 0 or begin + nbytes > source.nbytes:
            raise KernelFault(f'bytes {begin}:{begin + nbytes} of {source.nbytes} are sent')
        self._check_span(address, nbytes, 'a copy')
        ctypes.memmove(address, source.address + begin, nbytes)

    def execute(self, program):
        self.programs.append(program)
        self._check_span(program.job, 8, 'a job')
        for step in program.steps:
            if isinstance(step, Clear):
                self._check_span(step.address, step.nbytes, 'a clear')
                ctypes.memset(step.address, 0, step.nbytes)
            else:
                self._launch(step, program.job)

    def wait(self, deadline_sec):
        pass

    def view(self, memory, dtype, shape, begin):
        return np.ndarray(shape, dtype, bytes_of(memory), begin)

    def close(self):
        self.check()

    def launches(self):
        """Return the launches of all programs so far."""
        return [step for p in self.programs for step in p.steps if isinstance(step, Launch)]

    def clear(self):
        """Forget the programs."""
        self.programs.clear()

    def check(self, after='the host'):
        """KernelFault if something was written next to memory."""
        for memory in list(self._memories):
            if not memory.intact():
                raise KernelFault(f'{after} wrote next to an allocation of {memory.nbytes} bytes')

    def _check_span(self, address, nbytes, what):
        for memory in list(self._memories):
            if memory.address <= address and address + nbytes <= memory.address + memory.nbytes:
                return
        raise KernelFault(
            f'{what} of {nbytes} bytes at {address:#x} is in no memory of the device'
        )

    def _launch(self, step, job):
        file, _, kernel = step.kernel.partition('.')
        if file not in self._libraries:
            raise DeviceError(f'{step.kernel} is launched, but {file} was not loaded')
        if step.shared_bytes > self.shared_bytes:
            raise KernelFault(f'{step.kernel} wants {step.shared_bytes} bytes of shared memory')
        report = ctypes.create_string_buffer(REPORT_BYTES)
        self._seed += 1
        call = Call(
            *(job, step.shared_bytes, self._seed, ctypes.addressof(report), REPORT_BYTES),
            *(None, step.blocks, step.threads, self._order, 0, 1),
        )
        if self._run(file, f'shim_{kernel}', call) != 0:
            raise KernelFault(report.value.decode(errors='replace'))
        self.check(step.kernel)

    def _run(self, file, entry, call):
        with ONE_LAUNCH:
            return getattr(self._libraries[file], entry)(ctypes.byref(call))
