# Copyright 2026 the robocache_ros authors
# SPDX-License-Identifier: Apache-2.0
"""
The devices that sanitizers look at; they work only in a process started by `sanitizers`.

ThreadsDevice gives every CUDA thread an OS thread, and runs as many blocks beside one another as
the library of kernels is loaded times. AddressesDevice runs fibres, over memory whose ends
AddressSanitizer knows.
"""

from __future__ import annotations

import ctypes
import shutil
import tempfile
from pathlib import Path

from cpu_device import ALIGNMENT, POISON, Call, CpuDevice, build, bytes_of

COPIES = 2
THREADS_FLAGS = ('-O1', '-DROBOCACHE_OS_THREADS', '-pthread', '-fsanitize=thread', '-Wno-tsan')
CHECKS = 'address,bounds,alignment,shift,signed-integer-overflow,float-cast-overflow'
ADDRESSES_FLAGS = ('-O1', f'-fsanitize={CHECKS}', '-fno-sanitize-recover=all')


class ThreadsDevice(CpuDevice):
    """CpuDevice whose threads and blocks run at the same time."""

    def __init__(self, **options):
        super().__init__(extra=THREADS_FLAGS, **options)
        self._folder_of_copies = tempfile.TemporaryDirectory()

    def load(self, files):
        for file in files:
            if file in self._libraries:
                continue
            library = build(self._folder / f'{file}.cu', self._extra)
            copies = []
            for number in range(COPIES):
                path = Path(self._folder_of_copies.name) / f'{file}.{number}.so'
                copies.append(ctypes.CDLL(str(shutil.copy(library, path))))
            self._libraries[file] = copies

    def _run(self, file, entry, call):
        copies = self._libraries[file]
        kernels = (ctypes.c_void_p * COPIES)()
        calls = (Call * COPIES)()
        gate = ctypes.c_uint(0)
        for number, library in enumerate(copies):
            kernels[number] = ctypes.cast(getattr(library, entry), ctypes.c_void_p).value
            calls[number] = call
            calls[number].gate = ctypes.addressof(gate)
            calls[number].first_block, calls[number].block_step = number, COPIES
        return copies[0].shim_together(kernels, calls, ctypes.c_uint(COPIES))


class MallocMemory:
    """Memory whose neighbours are poisoned by AddressSanitizer, and itself once it is free."""

    def __init__(self, nbytes):
        self._libc = ctypes.CDLL(None)
        self._libc.free.argtypes = (ctypes.c_void_p,)
        self.nbytes = -(-nbytes // 8) * 8
        found = ctypes.c_void_p()
        self._libc.posix_memalign(
            ctypes.byref(found), ctypes.c_size_t(ALIGNMENT), ctypes.c_size_t(self.nbytes)
        )
        self.address = found.value
        self.array[:] = POISON

    def __del__(self):
        self._libc.free(self.address)

    @property
    def array(self):
        return bytes_of(self)

    def intact(self):
        return True  # the sanitizer has stopped the process already


class AddressesDevice(CpuDevice):
    """CpuDevice compiled for AddressSanitizer and UndefinedBehaviorSanitizer."""

    def __init__(self, **options):
        super().__init__(extra=ADDRESSES_FLAGS, **options)

    def allocate(self, nbytes):
        memory = MallocMemory(nbytes)
        self._memories.add(memory)
        return memory
