# Copyright 2026 the robocache_ros authors
# SPDX-License-Identifier: Apache-2.0
"""
What CupyDevice asks of CUDA, and what it makes of the answers.

CUDA is a fake whose memory and kernels are the CPU's, and which runs what is queued as late as it
may. What CuPy itself does is not tested here, but that it has all that the fake has.
"""

from __future__ import annotations

import contextlib
import gc
import importlib
import sys
import threading
import types

import numpy as np
import operations
import pytest
from cpu_device import CpuDevice
from fake_cupy import FakeCupy

from robocache_ros.backends import BackendUnavailable
from robocache_ros.backends.comparison import same_bits
from robocache_ros.backends.cuda import compiler, cupy_device
from robocache_ros.backends.cuda.cuda_backend import CudaBackend
from robocache_ros.backends.cuda.cupy_device import RECORDED_PROGRAMS, CupyDevice, probe
from robocache_ros.backends.cuda.device import (
    Clear,
    DeviceError,
    DeviceHung,
    DeviceLost,
    Launch,
    Limits,
    OutOfResources,
    Program,
)
from robocache_ros.backends.numpy_backend import NumpyBackend

OUT_OF_MEMORY, ILLEGAL_ADDRESS, OUT_OF_LAUNCH_RESOURCES, CAPTURE_FAILED = 2, 700, 701, 900
N = 100

KERNEL = """
#include "common.cuh"
struct SumJob { u64 values; u64 sums; i64 n; };
// sums[i] += values[i], by way of dynamic shared memory
KERNEL(add, SumJob, 64) {
  DYNAMIC_SHARED(u32, tile);
  for (i64 i = FIRST; i < job->n; i += STRIDE) {
    tile[threadIdx.x] = reinterpret_cast<const u32*>(job->values)[i];
    reinterpret_cast<u32*>(job->sums)[i] += tile[threadIdx.x];
  }
}
"""


@pytest.fixture
def make_fake(monkeypatch, tmp_path):
    (tmp_path / 'sums.cu').write_text(KERNEL)
    monkeypatch.setattr(compiler, 'kernel_dir', lambda: tmp_path)
    monkeypatch.setenv('ROBOCACHE_CACHE_DIR', str(tmp_path / 'cache'))

    def make(**options):
        fake = FakeCupy(CpuDevice(folder=tmp_path), **options)
        fake.install(monkeypatch)
        return fake

    return make


@pytest.fixture
def fake(make_fake):
    fake = make_fake()
    yield fake
    gc.collect()
    assert fake.faults == []


class Sums:
    """Memory and a program that adds `values` to zeros, on a device that has loaded it."""

    def __init__(self, device):
        device.load(['sums'])
        self.device = device
        self.host = device.allocate_host(24 + 4 * N)
        self.memory = device.allocate(24 + 4 * N)
        self.results = device.allocate_host(4 * N)
        self.program = Program(
            self.memory.address,
            (
                Clear(self.results.address, 4 * N),
                Launch('sums.add', 2, 64, 256),
            ),
        )

    def send(self, values):
        head = self.host.array[:24].view(np.int64)
        head[:] = self.memory.address + 24, self.results.address, N
        self.host.array[24:].view(np.uint32)[:] = values
        self.device.send(self.host, 0, 100, self.memory.address)
        self.device.send(self.host, 100, 24 + 4 * N - 100, self.memory.address + 100)

    def run(self, values):
        self.send(values)
        self.device.execute(self.program)
        self.device.wait(1.0)
        return self.results.array.view(np.uint32).copy()


def values_of(call):
    return np.arange(N, dtype=np.uint32) * (call + 1)


# ---- work


def test_kernel_gets_one_pointer_and_its_shape(fake):
    np.testing.assert_array_equal(Sums(CupyDevice()).run(values_of(0)), values_of(0))
    (launch,) = [args for name, args in fake.calls if name == 'Function']
    kernel, grid, block, (job,), shared_bytes = launch
    assert (kernel, grid, block, shared_bytes) == ('sums.add', (2,), (64,), 256)
    assert isinstance(job, int)


def test_program_is_launched_then_recorded_then_replayed(fake):
    sums = Sums(CupyDevice())
    steps = ['runtime.memsetAsync', 'Function']
    recording = ['Stream.begin_capture', *steps, 'Stream.end_capture', 'Graph.launch']
    for call, expected in enumerate([steps, recording, ['Graph.launch'], ['Graph.launch']]):
        before = len(fake.calls)
        np.testing.assert_array_equal(sums.run(values_of(call)), values_of(call))
        made = fake.names()[before:]
        assert [n for n in made if n in {*steps, *recording}] == expected


def test_equal_programs_are_one_program(fake):
    sums = Sums(CupyDevice())
    sums.run(values_of(0))
    sums.program = Program(sums.program.job, tuple(sums.program.steps))
    sums.run(values_of(1))
    assert 'Graph.launch' in fake.names()


def test_empty_clear_is_left_out(fake):
    device = CupyDevice()
    device.execute(Program(0, (Clear(4096, 0),)))
    assert 'runtime.memsetAsync' not in fake.names()


def test_shared_memory_is_asked_for_when_it_grows(fake):
    device = CupyDevice()
    sums = Sums(device)
    for shared_bytes in (256, 70_000, 300, 70_000):
        sums.program = Program(
            sums.memory.address,
            (Clear(sums.results.address, 4 * N), Launch('sums.add', 1, 64, shared_bytes)),
        )
        sums.run(values_of(0))
    asked = [args[2] for name, args in fake.calls if name == 'driver.funcSetAttribute']
    assert asked == [256, 70_000]


def test_forgotten_graph_is_freed_once_nothing_runs(fake):
    sums = Sums(CupyDevice())
    sums.run(values_of(0))
    sums.run(values_of(1))
    graphs = {name for name in fake.alive if name.startswith('graph')}
    assert len(graphs) == 1
    sums.send(values_of(2))
    sums.device.execute(sums.program)  # in flight while it is forgotten
    for nbytes in range(4, 4 + 4 * RECORDED_PROGRAMS, 4):
        sums.device.execute(Program(sums.memory.address, (Clear(sums.results.address, nbytes),)))
    assert graphs <= fake.alive
    sums.device.wait(1.0)
    assert not graphs & fake.alive


def test_program_in_use_is_not_forgotten(fake):
    sums = Sums(CupyDevice())
    for nbytes in range(4, 4 + 8 * RECORDED_PROGRAMS, 4):
        sums.run(values_of(0))
        sums.device.execute(Program(sums.memory.address, (Clear(sums.results.address, nbytes),)))
    sums.device.wait(1.0)
    assert fake.names().count('Stream.begin_capture') == 1


def test_kernels_are_loaded_once(fake):
    device = CupyDevice()
    for _ in range(2):
        device.load(['sums', 'sums'])
    assert fake.names().count('Module.load') == 1


@pytest.mark.parametrize('failing', ['Stream.begin_capture', 'Function', 'Stream.end_capture'])
def test_program_that_cannot_be_recorded_is_launched_for_ever(fake, failing):
    sums = Sums(CupyDevice())
    sums.run(values_of(0))
    sums.send(values_of(1))
    order = ['Stream.begin_capture', 'runtime.memsetAsync', 'Function', 'Stream.end_capture']
    fake.fail_at, fake.status = len(fake.calls) + order.index(failing), CAPTURE_FAILED
    sums.device.execute(sums.program)
    sums.device.wait(1.0)
    np.testing.assert_array_equal(sums.results.array.view(np.uint32), values_of(1))
    before = len(fake.calls)
    np.testing.assert_array_equal(sums.run(values_of(2)), values_of(2))
    assert not {'Graph.launch', 'Stream.begin_capture'} & set(fake.names()[before:])
    assert sums.device.unrecordable == 1


@pytest.mark.parametrize('name', sorted(operations.OPERATIONS))
def test_every_operation_survives_a_device_that_runs_as_late_as_it_may(
    monkeypatch, tmp_path, name
):
    monkeypatch.setenv('ROBOCACHE_CACHE_DIR', str(tmp_path))
    # Arrays of NumPy stand for those on the device, and have no stream to wait for.
    monkeypatch.setattr(CupyDevice, 'follow', lambda self, array: None)
    fake = FakeCupy(CpuDevice())
    fake.install(monkeypatch)
    backend = CudaBackend(CupyDevice(), Limits(max_points=2000, max_voxels=2000))
    expected = operations.OPERATIONS[name](NumpyBackend())
    for _ in range(3):  # launched, recorded, replayed
        assert same_bits(operations.OPERATIONS[name](backend), expected)
    assert 'Graph.launch' in fake.names()
    backend.close()
    del backend
    gc.collect()
    assert fake.faults == []


# ---- memory


def test_memory_is_rounded_up_and_tells_what_was_asked_for(fake):
    device = CupyDevice()
    for memory in (device.allocate(1), device.allocate_host(257), device.allocate(0)):
        assert memory.address % 256 == 0
    assert [device.allocate(3).nbytes, device.allocate_host(300).nbytes] == [3, 300]
    asked = [args[0] for name, args in fake.calls if name in ('MemoryPool.malloc', 'PinnedMemory')]
    assert asked == [256, 512, 256, 256, 512]


def test_pinned_memory_is_mapped_and_of_all_contexts(fake):
    CupyDevice().allocate_host(8)
    assert ('PinnedMemory', (256, 3)) in fake.calls


def test_pinned_memory_is_freed_once_nothing_runs(fake):
    sums = Sums(CupyDevice())
    sums.send(values_of(0))
    sums.device.execute(sums.program)
    pinned = {name for name in fake.alive if name.startswith('pinned')}
    assert len(pinned) == 2
    sums.host = None
    assert pinned <= fake.alive
    sums.device.wait(1.0)
    assert len(pinned & fake.alive) == 1
    np.testing.assert_array_equal(sums.results.array.view(np.uint32), values_of(0))


def test_array_keeps_its_pinned_memory(fake):
    device = CupyDevice()
    array = device.allocate_host(8).array
    gc.collect()
    device.wait(1.0)
    array[:] = 7
    assert [name for name in fake.alive if name.startswith('pinned')]
    del array
    device.wait(1.0)
    assert not [name for name in fake.alive if name.startswith('pinned')]


def test_view_is_an_array_of_the_library_that_keeps_memory(fake):
    device = CupyDevice()
    memory = device.allocate(64)
    seen = device.view(memory, np.uint16, (2, 3), 8)
    assert (seen.dtype, seen.shape, seen.ctypes.data) == (np.uint16, (2, 3), memory.address + 8)
    count = len(gc.get_referrers(memory))
    del seen
    assert len(gc.get_referrers(memory)) < count


def test_stream_follows_that_of_an_array(fake):
    class Array:
        streams = []

        def __dlpack__(self, *, stream):
            self.streams.append(stream)

    CupyDevice().follow(array := Array())
    assert array.streams == [0x57]


# ---- threads and devices


def test_caller_finds_its_own_device_current_again(make_fake):
    fake = make_fake(devices=2)
    fake.contexts.add(0)
    device = CupyDevice(1)
    assert fake.current == 0
    Sums(device).run(values_of(0))
    assert fake.current == 0


def test_no_context_is_made_on_another_device(make_fake):
    fake = make_fake(devices=2)
    Sums(CupyDevice(1)).run(values_of(0))
    assert fake.contexts == {1}


def test_device_works_from_another_thread(fake):
    sums = Sums(CupyDevice())
    results = []
    thread = threading.Thread(target=lambda: results.append(sums.run(values_of(3))))
    thread.start()
    thread.join()
    np.testing.assert_array_equal(results[0], values_of(3))


# ---- failure


def whole_life(device):
    sums = Sums(device)
    for call in range(4):
        np.testing.assert_array_equal(sums.run(values_of(call)), values_of(call))
    device.view(sums.memory, np.uint8, (4,), 0)


def count_of_calls(make_fake):
    fake = make_fake()
    whole_life(CupyDevice())
    return [name for name in fake.names() if name != 'free']


def test_out_of_memory_at_any_call_passes(make_fake):
    calls = count_of_calls(make_fake)
    assert len(calls) > 20
    for number, name in enumerate(calls):
        fake = make_fake()
        fake.fail_at, fake.status = number, OUT_OF_MEMORY
        recording = name.startswith(('Stream.', 'runtime.memsetAsync', 'Function'))
        device = None
        with contextlib.suppress(OutOfResources) if recording else pytest.raises(OutOfResources):
            whole_life(device := CupyDevice())
        device = device or CupyDevice()
        device.wait(1.0)
        whole_life(device)
        assert fake.faults == []


def test_sticky_error_at_any_call_is_the_last_call(make_fake):
    for number in range(len(count_of_calls(make_fake))):
        fake = make_fake()
        fake.fail_at, fake.status = number, ILLEGAL_ADDRESS
        device = None
        with pytest.raises(DeviceLost, match='cudaError700'):
            whole_life(device := CupyDevice())
        made = len(fake.calls)
        if device is not None:
            with pytest.raises(DeviceLost, match='cudaError700'):
                device.wait(1.0)
            device.close()
            del device
        gc.collect()
        assert fake.names()[made:] == []


def test_launch_out_of_resources_passes(fake):
    sums = Sums(CupyDevice())
    sums.send(values_of(0))
    fake.fail_at, fake.status = len(fake.calls) + 1, OUT_OF_LAUNCH_RESOURCES
    with pytest.raises(OutOfResources):
        sums.device.execute(sums.program)
    sums.device.wait(1.0)
    np.testing.assert_array_equal(sums.run(values_of(1)), values_of(1))


def test_hang_is_the_last_call(fake):
    sums = Sums(CupyDevice())
    sums.send(values_of(0))
    sums.device.execute(sums.program)
    fake.hangs = True
    with pytest.raises(DeviceHung, match=r'did not finish within 0 s'):
        sums.device.wait(0.0)
    made = len(fake.calls)
    for method, *args in (
        ('load', ['sums']),
        ('allocate', 8),
        ('allocate_host', 8),
        ('follow', None),
        ('send', sums.host, 0, 8, 0),
        ('execute', sums.program),
        ('wait', 1.0),
        ('view', sums.memory, np.uint8, (1,), 0),
    ):
        with pytest.raises(DeviceHung):
            getattr(sums.device, method)(*args)
    sums.device.close()
    del sums, args
    gc.collect()
    assert fake.names()[made:] == []


def test_what_others_have_queued_is_waited_for_as_long_as_it_takes(fake, monkeypatch):
    class Array:
        def __dlpack__(self, *, stream):
            pass

    sums = Sums(CupyDevice())
    sums.device.follow(Array())
    sums.send(values_of(0))
    fake.hangs = fake.others_busy = True
    now_sec = 0.0

    def monotonic():
        nonlocal now_sec
        now_sec += 0.6
        if now_sec > 60:
            fake.others_busy = False
        return now_sec

    monkeypatch.setattr(cupy_device.time, 'monotonic', monotonic)
    monkeypatch.setattr(cupy_device.time, 'sleep', lambda _: None)
    with pytest.raises(DeviceHung, match='within 2 s'):
        sums.device.wait(2.0)
    assert 60 < now_sec < 65


def test_process_that_was_stopped_looks_once_more(fake, monkeypatch):
    """What is over when the process goes on is no hang, however long it was stopped."""
    sums = Sums(CupyDevice())
    sums.send(values_of(0))
    fake.hangs = True
    clock = iter([0.0])

    def monotonic():
        now_sec = next(clock, 3600.0)
        fake.hangs = now_sec < 3600.0
        return now_sec

    monkeypatch.setattr(cupy_device.time, 'monotonic', monotonic)
    sums.device.wait(1.0)


def test_closing_frees_everything_once(fake):
    device = CupyDevice()
    sums = Sums(device)
    for call in range(3):
        sums.run(values_of(call))
    sums.host = sums.results = sums.memory = None
    device.close()
    gc.collect()
    assert not fake.alive
    made = len(fake.calls)
    device.close()
    with pytest.raises(DeviceLost, match='was closed'):
        device.wait(1.0)
    assert len(fake.calls) == made


def test_closing_waits_for_what_is_queued(fake):
    sums = Sums(CupyDevice())
    sums.send(values_of(0))
    sums.device.execute(sums.program)
    sums.device.close()
    np.testing.assert_array_equal(sums.results.array.view(np.uint32), values_of(0))


def test_closing_while_the_gpu_hangs_frees_nothing(fake, monkeypatch):
    monkeypatch.setattr(cupy_device, 'CLOSE_SEC', 0.0)
    sums = Sums(CupyDevice())
    sums.send(values_of(0))
    fake.hangs = True
    sums.device.close()
    made = len(fake.calls)
    sums.device.close()
    with pytest.raises(DeviceHung):
        sums.device.wait(1.0)
    del sums
    gc.collect()
    assert fake.names()[made:] == []
    assert 'MemoryPool.free_all_blocks' not in fake.names()


# ---- what there is


def test_device_tells_what_it_is(fake):
    device = CupyDevice()
    assert (device.name, device.multiprocessors, device.shared_bytes) == ('Fake GPU', 4, 99 * 1024)


def test_second_start_compiles_nothing(fake):
    whole_life(CupyDevice())
    assert len(fake.compiled) == 1
    whole_life(CupyDevice())
    assert len(fake.compiled) == 1


@pytest.mark.parametrize(
    ('capability', 'architecture'), [(75, 75), (80, 80), (88, 87), (90, 90), (121, 120)]
)
def test_kernels_are_compiled_for_the_newest_architecture_that_runs_there(
    make_fake, capability, architecture
):
    make_fake(archs=(90, 75, 80, 87, 89, 120))
    compiler_here = compiler.Compiler(compiler.load_nvrtc())
    assert compiler_here.architecture_for(capability) == architecture


def test_kernel_that_does_not_compile_is_told_with_the_log(fake, tmp_path):
    (tmp_path / 'sums.cu').write_text('syntax error')
    with pytest.raises(
        DeviceError, match=r'sums.cu does not compile for sm_90 (.|\n)*line 1: tha'
    ):
        CupyDevice().load(['sums'])


def test_probe_makes_no_context(fake):
    probe(0)
    assert fake.calls == []
    assert fake.contexts == set()


@pytest.mark.parametrize(
    ('options', 'device_id', 'sentence'),
    [
        ({'driver': 0}, 0, 'no NVIDIA driver: install one'),
        ({'devices': 0}, 0, 'the driver sees no GPU'),
        ({'devices': 1}, 1, 'no GPU with device_id 1: there is one GPU, device_id 0'),
        ({'devices': 2}, -1, 'no GPU with device_id -1: there are 2 GPUs, from 0 on'),
        ({'capability': (7, 0)}, 0, 'compute capability 7.0, and the kernels need 7.5'),
        ({'capability': (13, 0)}, 0, r'NVRTC 12.9 compiles for .* 7.5, 9.0, and the GPU has 13.0'),
    ],
)
def test_what_keeps_a_gpu_from_use_is_told(make_fake, options, device_id, sentence):
    make_fake(**options)
    for look in (probe, CupyDevice):
        with pytest.raises(BackendUnavailable, match=sentence):
            look(device_id)


def test_cupy_is_not_even_imported_where_there_is_no_driver(monkeypatch):
    monkeypatch.delitem(sys.modules, 'cupy', raising=False)
    monkeypatch.setattr(cupy_device.importlib.util, 'find_spec', lambda name: name)
    monkeypatch.setattr(cupy_device.ctypes, 'CDLL', missing)
    monkeypatch.setattr(cupy_device, '_import_cupy', lambda: pytest.fail('it was imported'))
    with pytest.raises(BackendUnavailable, match='no NVIDIA driver: install one'):
        probe(0)


def missing(name):
    raise OSError(f'{name}: cannot open shared object file')


def test_driver_that_is_too_old_is_told_with_both_versions(make_fake, monkeypatch):
    fake = make_fake(driver=11040)

    def too_old():
        raise fake.cuda.runtime.CUDARuntimeError(35)

    monkeypatch.setattr(fake.cuda.runtime, 'getDeviceCount', too_old)
    with pytest.raises(BackendUnavailable, match=r'driver knows CUDA 11.4 and CuPy needs 12.9'):
        probe(0)


def test_missing_nvrtc_is_told_with_the_fix(fake, monkeypatch):
    fake.nvrtc_missing = True
    monkeypatch.setattr(compiler, '_load_wheel', lambda: None)
    with pytest.raises(BackendUnavailable, match=r'NVRTC, .* missing: install .* libnvrtc.so.12'):
        probe(0)


def test_nvrtc_of_a_wheel_is_found(fake, monkeypatch):
    fake.nvrtc_missing = True
    monkeypatch.setattr(compiler, '_load_wheel', lambda: setattr(fake, 'nvrtc_missing', False))
    probe(0)


@pytest.mark.parametrize('folder', ['cuda_nvrtc', 'cu13'])  # of the wheels of CUDA 12 and 13
def test_wheels_of_both_cudas_have_nvrtc_in_folders_of_their_own(monkeypatch, tmp_path, folder):
    libraries = tmp_path / 'nvidia' / folder / 'lib'
    libraries.mkdir(parents=True)
    for name in ('libnvrtc.so.13', 'libnvrtc-builtins.so.13.0', 'libcudart.so.13'):
        (libraries / name).touch()
    loaded = []
    monkeypatch.setattr(compiler.ctypes, 'CDLL', lambda name, mode: loaded.append(name))
    monkeypatch.setattr(
        compiler.importlib.util,
        'find_spec',
        lambda name: types.SimpleNamespace(submodule_search_locations=[tmp_path / name]),
    )
    compiler._load_wheel()
    assert loaded == [str(libraries / 'libnvrtc.so.13')]


@pytest.mark.parametrize(
    ('error', 'sentence'),
    [
        (ModuleNotFoundError('no', name='cupy'), 'not installed: pip install cupy-cuda12x'),
        (ModuleNotFoundError('no module numpy', name='numpy'), 'CuPy does not import: no module'),
        (ImportError('numpy ABI\nmore'), 'is installed, but does not import: numpy ABI$'),
    ],
)
def test_cupy_that_does_not_import_is_told(monkeypatch, error, sentence):
    class Finder:
        @staticmethod
        def find_spec(name, path=None, target=None):
            if name == 'cupy':
                raise error

    monkeypatch.delitem(sys.modules, 'cupy', raising=False)
    monkeypatch.setattr('sys.meta_path', [Finder])
    monkeypatch.setattr(cupy_device, '_has_no_driver', lambda: False)
    with pytest.raises(BackendUnavailable, match=sentence):
        probe(0)


# ---- the fake


@pytest.fixture
def cupy():
    """Return the real one."""
    reason = 'needs CuPy: scripts/test runs it in .venv-cuda12 and .venv-cuda13'
    return pytest.importorskip('cupy', reason=reason)


def test_cupy_has_all_that_its_stand_in_has(cupy, make_fake):
    nvrtc = importlib.import_module('cupy_backends.cuda.libs.nvrtc')
    fake = FakeCupy(CpuDevice())
    for mine, real in (
        (fake.cuda, cupy.cuda),
        (fake.cuda.runtime, cupy.cuda.runtime),
        (fake.cuda.driver, cupy.cuda.driver),
        (fake._nvrtc(), nvrtc),
    ):
        for name, value in vars(mine).items():
            assert not isinstance(value, int) or getattr(real, name) == value
            assert hasattr(real, name), name
    methods = {
        'Stream': ('begin_capture', 'end_capture', 'record', '__enter__'),
        'Graph': ('launch',),
        'MemoryPool': ('malloc', 'free_all_blocks'),
        'Module': ('load', 'get_function'),
    }
    for owner, names in methods.items():
        assert set(names) <= set(dir(getattr(cupy.cuda, owner)))


def test_calls_have_the_shape_that_cupy_wants(cupy, monkeypatch, make_fake):
    """Without a GPU the right number of arguments gets as far as an error of CUDA."""
    with contextlib.suppress(RuntimeError):
        cupy.cuda.runtime.getDeviceCount()
        pytest.skip('has a GPU: the tests of the device itself say more')
    fake = make_fake()
    whole_life(CupyDevice())
    monkeypatch.undo()
    for name, arguments in fake.calls:
        module, _, function = name.partition('.')
        if module in ('runtime', 'driver'):
            real = getattr(getattr(cupy.cuda, module), function)
            with contextlib.suppress(RuntimeError):  # and not TypeError
                real(*(0 for _ in arguments))
    memory = cupy.cuda.UnownedMemory(4096, 256, fake, 0)
    pointer = cupy.cuda.MemoryPointer(memory, 8)
    seen = cupy.ndarray((2, 3), np.uint16, pointer)
    assert (pointer.ptr, seen.data.ptr, seen.shape, seen.dtype) == (4104, 4104, (2, 3), np.uint16)
    with pytest.raises(RuntimeError):
        cupy.cuda.PinnedMemory(256, 3)
    with pytest.raises(RuntimeError):
        cupy.cuda.Module().load(b'cubin')
