# Copyright 2026 the robocache_ros authors
# SPDX-License-Identifier: Apache-2.0
"""
A stand-in for what cupy_device.py and compiler.py use of CuPy: the CPU of the tests as a GPU.

    fake = FakeCupy(CpuDevice())
    fake.install(monkeypatch)        # `import cupy` gives it, and so does cupy_backends' nvrtc
    device = CupyDevice()            # ours, in full
    fake.calls                       # [('runtime.hostAlloc', (256, 3)), ...]: calls of CUDA
    fake.fail_at, fake.status = n, 2 # call number n fails with a cudaError_t
    fake.hangs = True                # what is queued never ends
    fake.others_busy = True          # nor what others have queued, which it follows

What is queued runs as late as a GPU may run it, when the stream is asked whether it is done. So
memory of the host that is written too early, or read too early, shows. A sticky error stays: all
calls fail with it from then on.
"""

from __future__ import annotations

import ctypes
import sys
import types

import numpy as np

from robocache_ros.backends.cuda.device import Launch, Program

PASSING = (2, 35, 100, 701, 801, 900)  # of memory, launches, recording: the context lives on
NOT_READY = 600


class Error(RuntimeError):
    def __init__(self, status):
        super().__init__(f'cudaError{status}: injected')
        self.status = status


class DriverError(Error):
    pass


class NVRTCError(RuntimeError):
    pass


class FakeCupy:
    """The module `cupy`, one or more GPUs of it, and its stream; see the top of the file."""

    def __init__(self, cpu, *, devices=1, capability=(9, 0), driver=12040, archs=(75, 90)):
        self.cpu = cpu
        self.devices, self.capability, self.driver, self.archs = devices, capability, driver, archs
        self.calls = []
        self.fail_at = None
        self.status = None  # of call number fail_at; a sticky one stays
        self.hangs = False
        self.others_busy = False  # what is followed is not done
        self.nvrtc_missing = False
        self.current = 0  # device
        self.contexts = set()
        self.queue = []
        self.recording = None
        self.compiled = []
        self.alive = set()  # names of what has not been freed
        self.faults = []  # of a test that frees what is in use
        self.ndarray = FakeArray
        self.cuda = types.SimpleNamespace(
            runtime=self._runtime(),
            driver=self._driver(),
            Stream=lambda non_blocking: Stream(self, non_blocking),
            MemoryPool=lambda: MemoryPool(self),
            Module=lambda: Module(self),
            PinnedMemory=lambda size, flags: PinnedMemory(self, size, flags),
            UnownedMemory=UnownedMemory,
            MemoryPointer=MemoryPointer,
        )

    def install(self, monkeypatch):
        """Let `import cupy` and `from cupy_backends.cuda.libs import nvrtc` find this."""
        libs = types.SimpleNamespace(nvrtc=self._nvrtc())
        for name, module in {
            'cupy': self,
            'cupy_backends': types.SimpleNamespace(),
            'cupy_backends.cuda': types.SimpleNamespace(),
            'cupy_backends.cuda.libs': libs,
        }.items():
            monkeypatch.setitem(sys.modules, name, module)

    def called(self, name, *args, error=Error):
        """Note a call that reaches CUDA; it fails if it is its turn."""
        number = len(self.calls)
        self.calls.append((name, args))
        self.contexts.add(self.current)
        sticky = self.fail_at is not None and self.status not in PASSING
        if number == self.fail_at or (sticky and number > self.fail_at):
            raise error(self.status)

    def freed(self, what, used=None):
        """Note a destructor that calls CUDA; what may still be used then is noted in `faults`."""
        self.calls.append(('free', (what,)))
        if self.queue if used is None else used:
            self.faults.append(f'{what} is freed while work is queued')
        self.alive.discard(what)

    def names(self):
        """Return the names of the calls so far."""
        return [name for name, _ in self.calls]

    def put(self, work):
        """Queue work, or record it."""
        (self.queue if self.recording is None else self.recording).append(work)

    def drain(self):
        """Run what is queued."""
        while self.queue:
            self.queue.pop(0)()

    def _runtime(self):
        def get(name, result):
            def call(*args):
                self.called(f'runtime.{name}', *args)
                return result(*args)

            return call

        def properties(number):
            major, minor = self.capability
            return {
                'name': b'Fake GPU', 'major': major, 'minor': minor, 'multiProcessorCount': 4,
                'sharedMemPerBlockOptin': 99 * 1024,
            }  # fmt: skip

        def count():
            if self.devices == 0:
                raise Error(100)
            return self.devices

        def memcpy(target, source, nbytes, kind, stream):
            assert kind == 4
            found = [m for m in self.cpu._memories if 0 <= source - m.address < m.nbytes]
            host, begin = found[0], source - found[0].address
            self.put(lambda: self.cpu.send(host, begin, nbytes, target))

        def memset(address, value, nbytes, stream):
            assert nbytes > 0  # no node of a graph may be empty
            self.cpu._check_span(address, nbytes, 'a clear')
            self.put(lambda: ctypes.memset(address, value, nbytes))

        def query(stream):
            if self.recording is not None:
                return 900
            if self.queue and self.hangs:
                return NOT_READY
            self.drain()
            return 0

        def event_query(event):
            assert event in self.alive
            self.called('runtime.eventQuery', event)
            return NOT_READY if self.others_busy else 0

        def stream_query(stream):
            try:
                self.called('runtime.streamQuery', stream)
            except Error as error:  # CuPy returns the status of this one
                return error.status
            return query(stream)

        def set_device(number):
            self.current = number
            self.called('runtime.setDevice', number)

        return types.SimpleNamespace(
            CUDARuntimeError=Error,
            driverGetVersion=lambda: self.driver,
            runtimeGetVersion=lambda: 12090,
            getDeviceCount=count,
            getDevice=lambda: self.current,
            setDevice=set_device,
            getDeviceProperties=properties,
            pointerGetAttributes=get(
                'pointerGetAttributes', lambda at: types.SimpleNamespace(devicePointer=at)
            ),
            memcpyAsync=get('memcpyAsync', memcpy),
            memsetAsync=get('memsetAsync', memset),
            streamQuery=stream_query,
            eventQuery=event_query,
            hostAllocMapped=2,
            hostAllocPortable=1,
            memcpyDefault=4,
        )

    def _driver(self):
        def set_attribute(function, attribute, value):
            self.called('driver.funcSetAttribute', function, attribute, value, error=DriverError)

        return types.SimpleNamespace(
            CUDADriverError=DriverError,
            ctxGetCurrent=lambda: int(self.current in self.contexts),
            funcSetAttribute=set_attribute,
            CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES=8,
        )

    def _nvrtc(self):
        def version():
            if self.nvrtc_missing:
                raise RuntimeError('CuPy failed to load libnvrtc.so.12: OSError: no such file')
            return (12, 9)

        def create(source, name, headers, include_names):
            assert all(isinstance(text, bytes) for text in (*headers, *include_names))
            self.compiled.append((name, source))
            return len(self.compiled)

        def compile_program(program, options):
            if 'syntax error' in self.compiled[program - 1][1]:
                raise NVRTCError('NVRTC_ERROR_COMPILATION (6)')

        return types.SimpleNamespace(
            NVRTCError=NVRTCError,
            getVersion=version,
            getSupportedArchs=lambda: self.archs,
            createProgram=create,
            compileProgram=compile_program,
            getCUBIN=lambda program: b'code of ' + self.compiled[program - 1][0].encode(),
            getPTX=lambda program: b'.version 8.8',
            getProgramLog=lambda program: 'line 1: that is wrong',
            destroyProgram=lambda program: None,
        )


class FakeArray(np.ndarray):
    """cupy.ndarray: of its own type, over memory that it keeps."""

    def __new__(cls, shape, dtype, memptr):
        held = types.SimpleNamespace(
            memptr=memptr,
            __array_interface__={
                'version': 3, 'shape': (memptr.mem.size,), 'typestr': '|u1',
                'data': (memptr.mem.ptr, False),
            },
        )  # fmt: skip
        return super().__new__(cls, shape, dtype, np.asarray(held), memptr.ptr - memptr.mem.ptr)


class Stream:
    ptr = 0x57

    def __init__(self, fake, non_blocking):
        assert non_blocking
        fake.called('Stream', non_blocking)
        self._fake = fake
        fake.alive.add('stream')

    def __del__(self):
        if hasattr(self, '_fake'):
            self._fake.freed('stream')

    def __enter__(self):
        return self

    def __exit__(self, *error):
        pass

    def record(self):
        self._fake.called('Stream.record')
        return Event(self._fake)

    def begin_capture(self):
        self._fake.called('Stream.begin_capture')
        self._fake.recording = []

    def end_capture(self):
        recorded, self._fake.recording = self._fake.recording, None
        self._fake.called('Stream.end_capture')
        return Graph(self._fake, recorded)


class Event:
    def __init__(self, fake):
        self._fake, self.ptr = fake, len(fake.calls)
        fake.alive.add(self.ptr)

    def __del__(self):
        self._fake.freed(self.ptr, used=False)


class Graph:
    def __init__(self, fake, steps):
        self._fake, self._steps = fake, steps
        self._name = f'graph {id(self)}'
        fake.alive.add(self._name)

    def __del__(self):
        self._fake.freed(self._name, any(step in self._fake.queue for step in self._steps))

    def launch(self, stream):
        self._fake.called('Graph.launch')
        assert isinstance(stream, Stream)
        for step in self._steps:
            self._fake.put(step)


class Module:
    def __init__(self, fake):
        self._fake = fake

    def load(self, cubin):
        self._fake.called('Module.load', cubin)
        assert cubin.endswith(b'.cu\0'), 'not the whole file'
        self.file = cubin.decode().removeprefix('code of ').removesuffix('.cu\0')
        self._fake.cpu.load([self.file])

    def get_function(self, name):
        self._fake.called('Module.get_function', name, error=DriverError)
        return Function(self._fake, self.file, name)


class Function:
    ptr = 0xF0

    def __init__(self, fake, file, name):
        self._fake, self._kernel = fake, f'{file}.{name}'

    def __call__(self, grid, block, args, shared_mem, stream):
        self._fake.called(
            'Function', self._kernel, grid, block, args, shared_mem, error=DriverError
        )
        (blocks,), (threads,), (job,) = grid, block, args
        assert isinstance(stream, Stream)
        program = Program(job, (Launch(self._kernel, blocks, threads, shared_mem),))
        self._fake.put(lambda: self._fake.cpu.execute(program))


class MemoryPool:
    """Keeps what it gave, as a pool does."""

    def __init__(self, fake):
        self._fake, self._all = fake, []

    def malloc(self, size):
        assert size % 256 == 0
        self._fake.called('MemoryPool.malloc', size)
        memory = self._fake.cpu.allocate(size)
        self._all.append(memory)
        return MemoryPointer(UnownedMemory(memory.address, size, memory, 0), 0)

    def free_all_blocks(self):
        self._fake.called('MemoryPool.free_all_blocks')
        self._all.clear()


class PinnedMemory:
    def __init__(self, fake, size, flags):
        assert size % 256 == 0
        fake.called('PinnedMemory', size, flags)
        self._fake, self._memory = fake, fake.cpu.allocate(size)
        self.ptr = self._memory.address
        fake.alive.add(f'pinned {self.ptr}')

    def __del__(self):
        if hasattr(self, '_memory'):
            self._fake.freed(f'pinned {self.ptr}')


class UnownedMemory:
    def __init__(self, ptr, size, owner, device_id):
        self.ptr, self.size, self.owner, self.device_id = ptr, size, owner, device_id


class MemoryPointer:
    def __init__(self, mem, offset):
        self.mem, self.ptr = mem, mem.ptr + offset
