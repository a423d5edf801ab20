# Copyright 2026 the robocache_ros authors
# SPDX-License-Identifier: Apache-2.0
"""
Every error of CUDA at every call of CUDA, through all of the product down to CuPy's runtime.

test_twin_faults.py does the same one layer higher, where it is told in fewer words what happens.
"""

from __future__ import annotations

import functools
import gc

import pytest
from cpu_device import CpuDevice
from fake_cuda import Clock
from fake_cupy import FakeCupy
from operations import image, labelled, scan, spec, streams, targets, watched

from robocache_ros.backends import abandoned
from robocache_ros.backends.comparison import same_bits
from robocache_ros.backends.cuda.device import Limits
from robocache_ros.backends.cuda.opening import open_cuda
from robocache_ros.backends.numpy_backend import NumpyBackend
from robocache_ros.backends.twin import TwinBackend
from robocache_ros.backends.workload import Workload

OUT_OF_MEMORY, ILLEGAL_ADDRESS, OUT_OF_LAUNCH_RESOURCES = 2, 700, 701
LIMITS = Limits(2000, 2000, deadline_sec=0.02)

PAINTED = spec(2.0, channels=('count', 'rgb', 'majority_label', 'max_depth'))

# The same three times, as it is queued, recorded and replayed, then a larger one.
CALLS = {
    'voxelize': (lambda on, n: on.voxelize([watched(labelled(n))], PAINTED), (40, 40, 40, 1200)),
    'voxelize_dense': (lambda on, n: on.voxelize_dense([scan(n)], spec(2.0)), (40, 40, 40, 90)),
    'occupancy': (lambda on, n: on.occupancy([scan(n)], spec().grid), (40, 40, 40, 1200)),
    'image_grid': (lambda on, h: on.image_grid(image('rgb8', h), 3, 4, 'rgb'), (8, 8, 8, 24)),
    'fuse': (lambda on, t: on.fuse(streams(), targets(t)), (2, 2, 2, 9)),
}


@functools.cache
def wanted(op):
    """Return what NumPy makes of the calls of an operation."""
    call, sizes = CALLS[op]
    return [call(NumpyBackend(), size) for size in sizes]


@pytest.fixture
def make(monkeypatch, tmp_path):
    """Make a twin on a stand-in for CuPy: make(op, fail_at, status) -> Rig."""
    monkeypatch.setenv('ROBOCACHE_CACHE_DIR', str(tmp_path))
    monkeypatch.setattr(Workload, 'cases', lambda self: {})
    monkeypatch.setattr(abandoned, '_kept', [])

    def rig(op, fail_at=None, status=None):
        fake = FakeCupy(CpuDevice(multiprocessors=1))
        fake.fail_at, fake.status = fail_at, status
        fake.install(monkeypatch)
        return Rig(fake, op)

    return rig


class Rig:
    """A twin, its GPU, and one operation to do."""

    def __init__(self, fake, op):
        self.fake, self.op = fake, op
        self.clock = Clock()
        self.twin = TwinBackend(
            NumpyBackend, open_cuda(0, LIMITS), Workload.general(), always=True, clock=self.clock
        )
        self.twin._accelerator.wait()

    def compute(self):
        call, sizes = CALLS[self.op]
        for size, want in zip(sizes, wanted(self.op), strict=True):
            assert same_bits(call(self.twin, size), want)

    def counts(self):
        return self.twin.status().counts.get(self.op, {})


def sites(make, op):
    """Return the numbers of the calls of CUDA from the first computation on."""
    rig = make(op)
    opening = len(rig.fake.calls)
    rig.compute()
    assert rig.counts() == {'cuda': 4}
    calls = rig.fake.names()
    assert {'runtime.memcpyAsync', 'Graph.launch', 'runtime.streamQuery'} <= set(calls[opening:])
    rig.twin.close()
    assert rig.fake.alive == set()
    return [k for k in range(opening, len(calls)) if calls[k] != 'free']


@pytest.mark.parametrize('op', CALLS)
@pytest.mark.parametrize('status', [OUT_OF_MEMORY, OUT_OF_LAUNCH_RESOURCES])
def test_out_of_resources_costs_a_pause_and_no_bit(make, op, status):
    fakes = []
    for k in sites(make, op):
        rig = make(op, k, status)
        fakes.append(rig.fake)
        rig.compute()
        assert set(rig.counts()) <= {'cuda', 'gpu_resources'}, k
        assert sum(rig.counts().values()) == 4
        rig.clock.now_sec += 1.0
        before = rig.counts().get('cuda', 0)
        rig.compute()
        assert rig.twin.status().healthy
        assert rig.counts()['cuda'] == before + 4
        rig.twin.close()
    gc.collect()
    assert [fake.faults for fake in fakes if fake.faults] == []
    assert [fake.alive for fake in fakes if fake.alive] == []


@pytest.mark.parametrize('op', CALLS)
def test_after_an_illegal_address_no_call_of_cuda_is_made(make, op):
    fakes = []
    for k in sites(make, op):
        rig = make(op, k, ILLEGAL_ADDRESS)
        rig.compute()
        assert rig.counts()['gpu_lost'] >= 1, k
        fakes.append((rig.fake, len(rig.fake.calls)))
        rig.clock.now_sec += 3600.0
        rig.compute()
        assert sum(rig.counts().values()) == 8
        rig.twin.close()
    del rig
    gc.collect()
    assert [fake.names()[touched:] for fake, touched in fakes if len(fake.calls) > touched] == []


@pytest.mark.parametrize('op', CALLS)
def test_after_a_hang_no_call_of_cuda_is_made(make, op):
    rig = make(op)
    rig.compute()
    rig.fake.hangs = True
    rig.compute()
    assert rig.counts() == {'cuda': 4, 'gpu_lost': 4}
    assert 'did not finish within' in rig.twin.status().reason
    fake, touched = rig.fake, len(rig.fake.calls)
    rig.clock.now_sec += 3600.0
    rig.compute()
    rig.twin.close()
    del rig
    gc.collect()
    assert fake.names()[touched:] == []
    assert fake.faults == []
