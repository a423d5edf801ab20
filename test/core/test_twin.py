# Copyright 2026 the robocache_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Which of the two computes, and what becomes of a call when CUDA fails: never other bytes."""

from __future__ import annotations

import gc
import logging
import threading
import weakref

import numpy as np
import pytest
from fake_cuda import DEADLINE_SEC, Clock, FakeCuda, Opener

from robocache_ros.backends import BackendUnavailable, abandoned, accelerator, twin
from robocache_ros.backends.cuda.device import (
    DeviceHung,
    DeviceLost,
    OutOfResources,
    OverLimit,
)
from robocache_ros.backends.numpy_backend import NumpyBackend
from robocache_ros.backends.twin import OPS, TwinBackend
from robocache_ros.backends.workload import Workload
from robocache_ros.codec.cloud import CloudView
from robocache_ros.grid import Channel, Grid, VoxelSpec
from robocache_ros.resampling import Stream

SPEC = VoxelSpec(
    Grid.from_range(1.0, (0, 0, 0, 4, 4, 4)), (Channel.parse('count'), Channel.parse('mean_f'))
)
COLUMNS = np.float32(
    [[0.5, 1.5, 3.5, 0.6], [0.5, 1.5, 2.5, 0.7], [0.5, 1.5, 2.5, 0.5], [1.0, 2.0, 3.0, 8.0]]
)  # x, y, z, f
CLOUD = CloudView.from_columns(dict(zip('xyzf', COLUMNS, strict=True)))
WANTED = NumpyBackend().voxelize([CLOUD], SPEC)


def voxelize(backend):
    """Voxelize the cloud of four points; whoever does it, the bytes are those of NumPy."""
    found = backend.voxelize([CLOUD], SPEC)
    assert found.index.tobytes() == WANTED.index.tobytes()
    for name, column in WANTED.columns.items():
        assert found.columns[name].tobytes() == column.tobytes()
    assert found.stats == WANTED.stats


def image_like(backend):
    """Do another operation."""
    stream = Stream(np.int64([[0, 10]]), np.float32([[[1.0], [2.0]]]))
    result = backend.resample(stream, np.int64([[5]]))
    assert result.values.tolist() == [[[1.5]]]


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def make(clock, monkeypatch):
    """Make a twin of NumPy and what an opener gives; without cases, so that no call is hidden."""
    made = []
    monkeypatch.setattr(Workload, 'cases', lambda self: {})

    def twin_of(opener, always=True, ready=True):
        backend = TwinBackend(NumpyBackend, opener, Workload.general(), always=always, clock=clock)
        made.append((backend, opener))
        if ready:
            backend._accelerator.wait()
        return backend

    yield twin_of
    for backend, opener in made:
        opener.gate.set()
        backend._accelerator.wait()
        backend.close()


@pytest.fixture(autouse=True)
def _nothing_kept(monkeypatch):
    """What is kept for ever is forgotten with the test, for the tests that ask about it."""
    monkeypatch.setattr(abandoned, '_kept', [])


def counts(backend, op='voxelize'):
    return backend.status().counts.get(op, {})


def test_numpy_computes_until_cuda_is_ready(make):
    opener = Opener()
    opener.gate.clear()
    backend = make(opener, ready=False)
    voxelize(backend)
    status = backend.status()
    assert (status.name, status.reason) == ('numpy', 'CUDA is getting ready')
    assert status.healthy
    opener.gate.set()
    backend.wait_until_ready()
    voxelize(backend)
    assert opener.cuda.calls == ['voxelize']
    assert counts(backend) == {'warming_up': 1, 'cuda': 1}
    assert backend.status().reason == 'as configured'
    assert backend.status().name == 'cuda'


def test_cuda_asked_for_computes_everything_on_cuda(make):
    opener = Opener()
    backend = make(opener)
    voxelize(backend)
    image_like(backend)
    assert opener.cuda.calls == ['voxelize', 'resample']
    assert backend.status().crossover == dict.fromkeys(OPS, 0)


def test_what_is_smaller_than_the_crossover_is_computed_on_numpy(make, monkeypatch):
    opener = Opener()
    monkeypatch.setattr(twin, 'measure', lambda *_: {'voxelize': 4, 'resample': None})
    backend = make(opener, always=False)
    voxelize(backend)
    image_like(backend)
    backend.voxelize([CloudView.from_columns(dict.fromkeys('xyzf', COLUMNS[0][:3]))], SPEC)
    assert opener.cuda.calls == ['voxelize']
    assert counts(backend) == {'cuda': 1, 'below_crossover': 1}
    assert counts(backend, 'resample') == {'below_crossover': 1}
    status = backend.status()
    assert status.crossover == {'voxelize': 4, 'resample': None}
    assert (status.name, status.fix) == ('cuda', '')
    assert status.reason == 'measured to be faster than NumPy for voxelize from 4, resample never'


def test_several_clouds_count_together(make, monkeypatch):
    monkeypatch.setattr(twin, 'measure', lambda *_: {'voxelize': 8})
    backend = make(Opener(), always=False)
    backend.voxelize([CLOUD, CLOUD], SPEC)
    assert counts(backend) == {'cuda': 1}


def test_auto_stays_on_numpy_and_says_so_where_cuda_is_never_faster(make, monkeypatch):
    monkeypatch.setattr(twin, 'measure', lambda *_: {'voxelize': None})
    backend = make(Opener(), always=False)
    voxelize(backend)
    status = backend.status()
    assert (status.name, status.healthy) == ('numpy', True)
    assert status.reason == 'measured to be faster than CUDA at every size'


def test_what_is_too_large_for_the_gpu_is_computed_on_numpy(make):
    opener = Opener(FakeCuda(OverLimit('5 points, 4 at most')))
    backend = make(opener)
    voxelize(backend)
    opener.cuda.error = None
    voxelize(backend)
    assert counts(backend) == {'over_gpu_limit': 1, 'cuda': 1}
    assert backend.status().healthy


def test_out_of_memory_costs_a_pause_that_doubles_up_to_a_minute(make, clock):
    opener = Opener(FakeCuda(OutOfResources('no memory left')))
    backend = make(opener)
    pauses_sec = []
    for tries in range(1, 9):
        voxelize(backend)
        assert len(opener.cuda.calls) == tries
        pauses_sec.append(backend.status().retry_sec['voxelize'])
        clock.now_sec += pauses_sec[-1] - 0.01
        voxelize(backend)
        assert len(opener.cuda.calls) == tries
        clock.now_sec += 0.01
    assert pauses_sec == [1, 2, 4, 8, 16, 32, 60, 60]
    assert counts(backend) == {'gpu_resources': 16}


def test_a_pause_is_visible_and_a_success_ends_it(make, clock, caplog):
    opener = Opener(FakeCuda(OutOfResources('no memory left')))
    backend = make(opener)
    with caplog.at_level(logging.INFO, 'robocache_ros'):
        voxelize(backend)
        status = backend.status()
        assert status.name == 'cuda'
        assert status.reason == (
            'CUDA, but NumPy for voxelize until it works again: no memory left'
        )
        assert 'nvidia-smi' in status.fix
        assert status.retry_sec == {'voxelize': 1.0}
        opener.cuda.error = None
        clock.now_sec += 1.0
        voxelize(backend)
    assert backend.status().choice == ('cuda', 'as configured', '', dict.fromkeys(OPS, 0))
    assert backend.status().retry_sec == {}
    assert counts(backend) == {'gpu_resources': 1, 'cuda': 1}
    assert [record.levelname for record in caplog.records] == ['WARNING', 'INFO']


def test_one_operation_without_memory_stops_no_other(make):
    opener = Opener(FakeCuda(OutOfResources('no memory left')))
    backend = make(opener)
    voxelize(backend)
    opener.cuda.error = None
    image_like(backend)
    voxelize(backend)
    assert opener.cuda.calls == ['voxelize', 'resample']


def test_what_fails_every_other_time_is_not_tried_every_second(make, clock):
    opener = Opener(FakeCuda())
    backend = make(opener)
    pauses_sec = []
    for _ in range(4):
        opener.cuda.error = OutOfResources('no memory left')
        voxelize(backend)
        pauses_sec.append(backend.status().retry_sec['voxelize'])
        clock.now_sec += pauses_sec[-1]
        opener.cuda.error = None
        voxelize(backend)
    assert pauses_sec == [1, 2, 4, 8]
    clock.now_sec += 60.0
    opener.cuda.error = OutOfResources('no memory left')
    voxelize(backend)
    assert backend.status().retry_sec == {'voxelize': 1.0}


@pytest.mark.parametrize('error', [DeviceLost('Xid 79'), DeviceHung('no answer in 1 s')])
def test_a_lost_device_is_not_touched_again_and_the_frame_is_not_lost(make, clock, error, caplog):
    opener = Opener(FakeCuda(error))
    backend = make(opener)
    voxelize(backend)
    clock.now_sec += 3600.0
    voxelize(backend)
    image_like(backend)
    backend.close()
    assert opener.cuda.calls == ['voxelize']
    assert not opener.cuda.closed
    assert opener.times == 1
    assert counts(backend) == {'gpu_lost': 2}
    status = backend.status()
    assert status.name == 'numpy'
    assert status.reason == f'CUDA is off until this process restarts: {error}'
    assert status.fix.startswith('Restart the node')
    assert len(caplog.records) == 1


class Fragile:
    """Something of a device whose destructor would call the driver."""


class HangingCuda(FakeCuda):
    """Hangs in the middle of a call, with something in a local variable and in itself."""

    def __init__(self):
        super().__init__()
        self.held = Fragile()
        self.left = []

    def voxelize(self, clouds, spec):
        local = Fragile()
        self.left += [weakref.ref(local), weakref.ref(self.held)]
        raise DeviceHung('no answer in 1 s')


def test_nothing_of_a_device_that_hangs_is_ever_destroyed(make):
    cuda = HangingCuda()
    left = cuda.left
    backend = make(Opener(cuda))
    voxelize(backend)
    del backend, cuda
    assert abandoned.any_kept()
    gc.collect()
    assert [one() is not None for one in left] == [True, True]


def test_an_error_that_nobody_has_foreseen_switches_cuda_off_and_is_logged_once(make, caplog):
    opener = Opener(FakeCuda(IndexError('5 out of 4')))
    backend = make(opener)
    for _ in range(3):
        voxelize(backend)
    assert opener.cuda.calls == ['voxelize']
    assert counts(backend) == {'gpu_error': 3}
    status = backend.status()
    assert status.reason == 'CUDA is off until this process restarts: IndexError: 5 out of 4'
    assert 'Report it' in status.fix
    assert sum('Traceback' in record.getMessage() for record in caplog.records) == 1


def test_arguments_that_no_backend_takes_are_an_error_of_the_caller_alone(make, caplog):
    opener = Opener()
    backend = make(opener)
    without_count = VoxelSpec(SPEC.grid, (Channel.parse('mean_f'),))
    with pytest.raises(ValueError, match='needs the channel count') as caught:
        backend.voxelize_dense([CLOUD], without_count)
    assert caught.value.__context__ is None
    assert backend.status().reason == 'as configured'
    assert counts(backend, 'voxelize_dense') == {}
    assert caplog.records == []
    voxelize(backend)
    assert counts(backend) == {'cuda': 1}


def test_a_computation_interrupted_by_the_user_is_the_last_one_on_cuda(make):
    opener = Opener(FakeCuda(KeyboardInterrupt()))
    backend = make(opener)
    with pytest.raises(KeyboardInterrupt):
        voxelize(backend)
    voxelize(backend)
    assert opener.cuda.calls == ['voxelize']
    assert 'a computation was interrupted' in backend.status().reason


def test_a_process_that_was_forked_leaves_the_cuda_of_its_parent_alone(make, monkeypatch):
    opener = Opener()
    backend = make(opener)
    monkeypatch.setattr(accelerator.os, 'getpid', lambda: -1)
    voxelize(backend)
    assert opener.cuda.calls == []
    assert counts(backend) == {'gpu_lost': 1}
    assert 'start it with the method spawn' in backend.status().reason


def test_a_gpu_without_memory_at_the_start_is_tried_again(make, clock):
    opener = Opener(error=OutOfResources('no memory left'))
    backend = make(opener)
    status = backend.status()
    assert status.reason == 'CUDA could not start yet: no memory left'
    assert (status.name, status.retry_sec) == ('numpy', {'opening': 1.0})
    assert 'nvidia-smi' in status.fix
    voxelize(backend)
    assert opener.times == 1
    clock.now_sec += 1.0
    opener.error = None
    voxelize(backend)
    backend._accelerator.wait()
    voxelize(backend)
    assert opener.times == 2
    assert counts(backend) == {'gpu_resources': 2, 'cuda': 1}
    assert backend.status().choice == ('cuda', 'as configured', '', dict.fromkeys(OPS, 0))


def test_memory_that_runs_out_while_it_is_measured_is_given_back(make, monkeypatch):
    def exhausted(*_):
        raise OutOfResources('no memory left')

    monkeypatch.setattr(twin, 'measure', exhausted)
    opener = Opener()
    backend = make(opener, always=False)
    assert opener.cuda.closed
    assert backend.status().reason == 'CUDA could not start yet: no memory left'


@pytest.mark.parametrize(
    ('error', 'key', 'words'),
    [
        (DeviceLost('Xid 79'), 'gpu_lost', 'Xid 79'),
        (RuntimeError('no such kernel'), 'gpu_error', 'RuntimeError: no such kernel'),
    ],
)
def test_a_start_that_fails_leaves_numpy_and_says_why(make, clock, error, key, words):
    opener = Opener(error=error)
    backend = make(opener)
    clock.now_sec += 3600.0
    voxelize(backend)
    assert opener.times == 1
    assert counts(backend) == {key: 1}
    assert backend.status().reason == f'CUDA is off until this process restarts: {words}'
    assert backend.status().fix


def test_who_waits_for_cuda_in_vain_is_told_why(make):
    backend = make(Opener(error=DeviceLost('Xid 79')), ready=False)
    with pytest.raises(BackendUnavailable, match='Xid 79'):
        backend.wait_until_ready()


def test_who_waits_without_having_asked_for_cuda_gets_numpy(make):
    backend = make(Opener(error=DeviceLost('Xid 79')), always=False, ready=False)
    backend.wait_until_ready()
    voxelize(backend)


def test_closing_gives_the_device_back(make):
    opener = Opener()
    backend = make(opener)
    backend.close()
    assert opener.cuda.closed
    backend.close()
    voxelize(backend)
    assert opener.cuda.calls == []
    assert opener.times == 1


def test_a_computation_that_begins_while_it_is_closed_is_done_on_numpy(make, monkeypatch):
    backend = make(Opener())
    monkeypatch.setattr(backend._accelerator, 'refuses', lambda op, size: backend.close())
    voxelize(backend)
    assert counts(backend) == {'warming_up': 1}


def test_closing_does_not_wait_for_an_opening_which_then_gives_the_device_back(make):
    opener = Opener()
    opener.gate.clear()
    backend = make(opener, ready=False)
    assert opener.entered.wait(DEADLINE_SEC)
    backend.close()
    assert not opener.cuda.closed
    opener.gate.set()
    backend._accelerator.wait()
    assert opener.cuda.closed


def test_program_that_ends_waits_for_an_opening_which_then_gives_the_device_back(make):
    opener = Opener()
    opener.gate.clear()
    backend = make(opener, ready=False)
    assert opener.entered.wait(DEADLINE_SEC)
    ending = threading.Thread(target=accelerator._close_all)
    ending.start()
    assert backend._accelerator._closed.wait(DEADLINE_SEC)
    assert ending.is_alive()
    opener.gate.set()
    ending.join(DEADLINE_SEC)
    assert not ending.is_alive()
    assert not backend._accelerator._thread.is_alive()
    assert opener.cuda.closed


def test_fork_that_ends_leaves_the_device_to_its_parent(make, monkeypatch):
    opener = Opener()
    backend = make(opener)
    monkeypatch.setattr(accelerator.os, 'getpid', lambda: -1)
    accelerator._close_all()
    assert not opener.cuda.closed
    assert not backend._accelerator._closed.is_set()


def test_closing_during_the_measurement_ends_it(make, monkeypatch):
    seen = []

    def measured(numpy, cuda, cases, stopped):
        seen.append(stopped())
        backend.close()
        seen.append(stopped())
        return {}

    monkeypatch.setattr(twin, 'measure', measured)
    opener = Opener()
    opener.gate.clear()
    backend = make(opener, always=False, ready=False)
    opener.gate.set()
    backend._accelerator.wait()
    assert seen == [False, True]
    assert opener.cuda.closed


def test_closing_does_not_wait_for_a_computation_which_then_gives_the_device_back(make):
    class SlowCuda(FakeCuda):
        entered, gate = threading.Event(), threading.Event()

        def voxelize(self, clouds, spec):
            self.entered.set()
            assert self.gate.wait(DEADLINE_SEC)
            assert not self.closed
            return WANTED

    cuda = SlowCuda()
    backend = make(Opener(cuda))
    worker = threading.Thread(target=voxelize, args=(backend,))
    worker.start()
    assert cuda.entered.wait(DEADLINE_SEC)
    backend.close()
    assert not cuda.closed
    cuda.gate.set()
    worker.join(DEADLINE_SEC)
    assert cuda.closed


def test_a_device_that_fails_when_it_is_closed_is_left_as_it_is(make):
    class Stuck(FakeCuda):
        def close(self):
            raise DeviceHung('no answer in 1 s')

    make(Opener(Stuck())).close()
    assert abandoned.any_kept()
