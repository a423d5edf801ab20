# Copyright 2026 the robocache_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Every error at every call of a device: the bytes are NumPy's, and nothing is lost or hidden."""

from __future__ import annotations

import functools
import gc

import pytest
from cpu_device import CpuDevice
from fake_cuda import Clock
from faulty_device import FaultyDevice
from operations import image, scan, spec, streams, targets

from robocache_ros.backends import abandoned
from robocache_ros.backends.comparison import same_bits
from robocache_ros.backends.cuda.cuda_backend import CudaBackend
from robocache_ros.backends.cuda.device import DeviceHung, DeviceLost, Limits, OutOfResources
from robocache_ros.backends.numpy_backend import NumpyBackend
from robocache_ros.backends.twin import TwinBackend
from robocache_ros.backends.workload import Workload

LIMITS = Limits(max_points=2000, max_voxels=2000, max_message_bytes=2**20)
CHANNELS = ('count', 'centroid', 'mean_v', 'min_v')

# Each twice, the second one larger: memory is allocated by both, graphs would be replayed.
CALLS = {
    'voxelize': [
        lambda on, n=n: on.voxelize([scan(n)], spec(channels=CHANNELS)) for n in (40, 1200)
    ],
    'voxelize_dense': [
        lambda on, n=n: on.voxelize_dense([scan(n)], spec(2.0, channels=CHANNELS))
        for n in (40, 1200)
    ],
    'occupancy': [lambda on, n=n: on.occupancy([scan(n)], spec().grid) for n in (40, 1200)],
    'image_grid': [
        lambda on, h=h: on.image_grid(image('rgb8', height=h), 3, 4, 'rgb') for h in (8, 24)
    ],
    'resample': [lambda on, t=t: on.resample(streams()[0], targets(t)) for t in (2, 9)],
    'fuse': [lambda on, t=t: on.fuse(streams(), targets(t)) for t in (2, 9)],
}
# What is computed at the start, when that is not left out.
SMALL = Workload(
    LIMITS, spec(2.0, channels=('count',)), ('voxelize', 'voxelize_dense', 'occupancy'),
    (3, 4, 'rgb'), 3, fuse=True,
)  # fmt: skip
WANTED = {op: [call(NumpyBackend()) for call in calls] for op, calls in CALLS.items()}


class Rig:
    """A twin whose device fails once; `always` as of TwinBackend."""

    def __init__(self, fail_at=None, error=None, always=True):
        self.device = FaultyDevice(CpuDevice(multiprocessors=1), fail_at, error)
        self.clock = Clock()
        self.twin = TwinBackend(
            NumpyBackend,
            lambda: CudaBackend(self.device, LIMITS),
            SMALL,
            always=always,
            clock=self.clock,
        )
        self.twin._accelerator.wait()

    def compute(self, op):
        """Do the calls of one operation; whoever does them, the bits are the same."""
        for call, wanted in zip(CALLS[op], WANTED[op], strict=True):
            assert same_bits(call(self.twin), wanted)

    def counts(self, op):
        return self.twin.status().counts.get(op, {})


@pytest.fixture(autouse=True)
def _no_cases(monkeypatch):
    """Without the calls at the start, those of the test are the first ones."""
    monkeypatch.setattr(Workload, 'cases', lambda self: {})
    monkeypatch.setattr(abandoned, '_kept', [])


@pytest.fixture
def cases(monkeypatch):
    """With them, but each only in its smallest size: the device of the tests is slow."""
    monkeypatch.undo()
    monkeypatch.setattr(abandoned, '_kept', [])
    all_of_it = Workload.cases
    monkeypatch.setattr(
        Workload, 'cases', lambda self: {op: made[:1] for op, made in all_of_it(self).items()}
    )


@functools.cache
def sites(op):
    """Return the device's calls that opening makes, and those of an operation after it."""
    rig = Rig()
    opening = len(rig.device.calls)
    rig.compute(op)
    assert rig.counts(op) == {'cuda': 2}
    calls = list(rig.device.calls)
    rig.twin.close()
    return opening, calls


@pytest.mark.parametrize('op', CALLS)
def test_the_calls_of_every_kind_are_among_those_that_fail_here(op):
    opening, calls = sites(op)
    assert set(calls[:opening]) >= {'load'}
    assert set(calls[opening:]) >= {'allocate', 'allocate_host', 'send', 'execute', 'wait'}


@pytest.mark.parametrize('op', CALLS)
def test_out_of_memory_anywhere_costs_a_pause_and_no_bit(op):
    opening, calls = sites(op)
    for k in range(opening, len(calls)):
        rig = Rig(k, OutOfResources('no memory left'))
        rig.compute(op)  # the second call falls into the pause, where the first one failed
        status = rig.twin.status()
        assert status.retry_sec == {op: 1.0}, (k, calls[k])
        assert sum(rig.counts(op).values()) == 2
        assert rig.counts(op)['gpu_resources'] >= 1
        rig.clock.now_sec += 1.0
        rig.compute(op)
        assert rig.twin.status().healthy
        assert rig.counts(op)['cuda'] >= 2
        rig.twin.close()


@pytest.mark.parametrize('op', CALLS)
@pytest.mark.parametrize(
    ('error', 'key'),
    [
        (DeviceLost('Xid 79'), 'gpu_lost'),
        (DeviceHung('no answer in 1 s'), 'gpu_lost'),
        (IndexError('5 out of 4'), 'gpu_error'),
    ],
    ids=['lost', 'hung', 'bug'],
)
def test_after_any_other_error_the_device_is_not_touched_again(op, error, key):
    opening, calls = sites(op)
    for k in range(opening, len(calls)):
        rig = Rig(k, error)
        rig.compute(op)
        rig.clock.now_sec += 3600.0
        rig.compute(op)
        rig.twin.close()
        assert rig.device.calls == calls[: k + 1]
        assert rig.device.calls_after == []
        assert rig.counts(op)[key] >= 3
        assert sum(rig.counts(op).values()) == 4
        status = rig.twin.status()
        assert (status.name, status.healthy) == ('numpy', False)


@pytest.mark.parametrize('always', [True, False], ids=['cuda', 'auto'])
@pytest.mark.parametrize(
    'error',
    [OutOfResources('no memory left'), DeviceHung('no answer in 1 s'), IndexError('5 out of 4')],
    ids=['memory', 'hung', 'bug'],
)
def test_an_error_anywhere_at_the_start_leaves_all_to_numpy(cases, error, always):
    rig = Rig(always=always)
    calls = list(rig.device.calls)
    rig.twin.close()
    assert set(calls) == {'load', 'allocate', 'allocate_host', 'send', 'execute', 'wait'}
    for k in range(0, len(calls), 1 if always else 5):  # they repeat while they are timed
        rig = Rig(k, error, always)
        assert rig.twin.status().name == 'numpy'
        rig.compute('fuse')
        assert 'cuda' not in rig.counts('fuse')
        assert not rig.twin.status().healthy
        rig.clock.now_sec += 1.0
        rig.compute('fuse')  # which begins the next try, in the background
        rig.twin._accelerator.wait()
        before = rig.counts('fuse').get('cuda', 0)
        rig.compute('fuse')
        recovers = isinstance(error, OutOfResources)
        assert rig.twin.status().healthy == recovers
        if not recovers:
            assert rig.device.calls == calls[: k + 1]
        elif always:
            assert rig.counts('fuse')['cuda'] == before + 2
        rig.twin.close()


def test_what_is_over_a_limit_is_computed_on_numpy_and_counted():
    rig = Rig()
    many, numpy = [scan(LIMITS.max_points + 1)], NumpyBackend()
    spread = spec(2**-4, max_voxels=LIMITS.max_voxels + 1)
    large = image('rgb8', height=700, width=700)
    for call in (
        lambda on: on.voxelize(many, spec()),
        lambda on: on.voxelize([scan(2000), scan(2000, 2)], spread),
        lambda on: on.voxelize_dense(many, spec(2.0)),
        lambda on: on.occupancy(many, spec().grid),
        lambda on: on.image_grid(large, 2, 2, 'mono'),
    ):
        assert same_bits(call(rig.twin), call(numpy))
    assert rig.twin.status().counts == {
        'voxelize': {'over_gpu_limit': 2},
        'voxelize_dense': {'over_gpu_limit': 1},
        'occupancy': {'over_gpu_limit': 1},
        'image_grid': {'over_gpu_limit': 1},
    }
    assert rig.twin.status().healthy


def test_all_memory_of_a_device_that_hangs_stays_allocated():
    opening, calls = sites('voxelize')
    rig = Rig(calls.index('wait'), DeviceHung('no answer in 1 s'))
    rig.compute('voxelize')
    memories = rig.device.device._memories
    before = len(list(memories))
    rig.twin.close()
    del rig
    gc.collect()
    assert len(list(memories)) == before > 0
