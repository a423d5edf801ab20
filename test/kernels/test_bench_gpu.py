# Copyright 2026 the robocache_ros authors
# SPDX-License-Identifier: Apache-2.0
"""
The GPU benchmark runs, and times what it says: here on a fake GPU, whose times are made up.

On the fake only what needs no arrays of CuPy is timed; the peers on it are NumPy.
"""

from __future__ import annotations

import json
import sys
import types
from pathlib import Path

import numpy as np
import pytest
from cpu_device import CpuDevice
from fake_cupy import FakeCupy

from robocache_ros.backends.cuda.cuda_backend import CudaBackend
from robocache_ros.backends.cuda.device import Limits
from robocache_ros.backends.cuda.staging import Staging
from robocache_ros.backends.numpy_backend import NumpyBackend

SCRIPTS = Path(__file__).parents[2] / 'scripts'
N = 300
MS = 0.5  # between two events of the fake

pytestmark = pytest.mark.skipif(not SCRIPTS.exists(), reason='installed without scripts/')


@pytest.fixture
def modules(monkeypatch):
    monkeypatch.syspath_prepend(str(SCRIPTS))
    import bench_gpu
    import bench_gpu_cases
    import bench_gpu_peers
    import bench_inputs

    return types.SimpleNamespace(
        bench=bench_gpu, cases=bench_gpu_cases, peers=bench_gpu_peers, inputs=bench_inputs
    )


class TimedCupy(FakeCupy):
    """With events; each lies MS after the one before."""

    __version__ = '0.0'
    float32 = np.float32

    def __init__(self, cpu):
        super().__init__(cpu)
        self.events = 0
        self.cuda.Device = lambda number: types.SimpleNamespace(use=lambda: used.append(number))
        self.used = used = []
        self.cuda.Event = lambda: Event(self)
        self.cuda.get_elapsed_time = lambda begin, end: MS * (end.number - begin.number)
        self.cuda.get_current_stream = lambda: None
        self.cuda.runtime.deviceSynchronize = self.drain
        known = self.cuda.runtime.getDeviceProperties
        self.cuda.runtime.getDeviceProperties = lambda n: {**known(n), 'l2CacheSize': 2**16}
        self.ones, self.empty_like, self.copyto = np.ones, np.empty_like, np.copyto
        self.RawModule = lambda code, options: None


class Event:
    def __init__(self, fake):
        self._fake = fake

    def record(self, stream):
        self._fake.drain()
        self._fake.events += 1
        self.number = self._fake.events

    def synchronize(self):
        assert self.number


@pytest.fixture
def fake(monkeypatch, tmp_path):
    made = TimedCupy(CpuDevice())
    made.install(monkeypatch)
    monkeypatch.setenv('ROBOCACHE_CACHE_DIR', str(tmp_path / 'cache'))
    return made


def only_messages(cases):
    """Leave out what needs arrays of CuPy."""
    return [case._replace(call=None, peers=lambda *_: {}) for case in cases]


def test_results_are_written_as_json_and_as_a_table(modules, fake, monkeypatch, tmp_path, capsys):
    cases = only_messages(modules.cases.all_cases(N, 'count_'))
    monkeypatch.setattr(modules.bench.bench_gpu_cases, 'all_cases', lambda *_: iter(cases))
    monkeypatch.setattr(modules.bench, 'COPY_BYTES', 2**20)
    monkeypatch.setattr(
        sys, 'argv', ['bench_gpu.py', '--rounds', '3', '--folder', str(tmp_path / 'new')]
    )
    modules.bench.main()
    assert fake.used == [0]
    report = json.loads((tmp_path / 'new' / 'gpu-fake-gpu.json').read_text())
    assert {'device', 'date', 'commit', 'cupy', 'l2_bytes'} <= set(report['machine'])
    assert [row['case'] for row in report['results']] == ['count_uniform', 'count_ring']
    row = report['results'][0]
    assert row['bytes'] == 12 * N + 4 * 128**3
    # A copy of 2^20 bytes took 500 us.
    assert row['floor_us'] == pytest.approx(row['bytes'] / 2**20 * 500, rel=1e-3)
    assert row['replay_warm_us'] == {'p50': 500, 'p99': 500}
    assert row['kernels_warm_us'] == {'p50': 25, 'p99': 25}  # of 20 in a row
    table = (tmp_path / 'new' / 'gpu-fake-gpu.md').read_text()
    assert '# Fake GPU' in table
    assert f'| count_uniform | {row["floor_us"]:g} | 7 | 25 / 25 |' in table
    assert 'count_ring' in capsys.readouterr().out


def test_a_peer_that_does_not_run_costs_no_others(modules, fake, capsys):
    def broken():
        raise RuntimeError('cannot open source file "vector_types.h"')

    (case,) = modules.cases.all_cases(N, 'count_uniform')
    peers = {'cupy': broken, 'plain': lambda: None}
    case = case._replace(call=None, peers=lambda *_: peers)
    watch = modules.bench.Stopwatch(fake, 3)
    device = modules.bench.Recorder(modules.bench.CupyDevice())
    about = {'l2_bytes': 2**16, 'copy_bytes_per_us': 1.0}
    row = modules.bench.measure(case, watch, device, fake, None, None, about)
    assert list(row['peers_us']) == ['plain']
    assert 'count_uniform: cupy does not run: cannot open source file' in capsys.readouterr().err


def test_no_table_is_written_of_some_of_the_cases(modules, fake, monkeypatch, tmp_path):
    cases = only_messages(modules.cases.all_cases(N, 'image_480p'))
    monkeypatch.setattr(modules.bench.bench_gpu_cases, 'all_cases', lambda *_: iter(cases))
    monkeypatch.setattr(modules.bench, 'COPY_BYTES', 2**20)
    folder = tmp_path / 'new'
    arguments = ['--only', 'image', '--rounds', '1', '--folder', str(folder)]
    monkeypatch.setattr(sys, 'argv', ['bench_gpu.py', *arguments])
    modules.bench.main()
    assert not folder.exists()


def test_every_case_computes_on_the_device(modules):
    device = CpuDevice()
    for case in modules.cases.all_cases(N):
        if case.name == 'image_1080p':  # the same as the smaller one
            continue
        before = len(device.programs)
        run = case.resident(Staging(device, Limits()))
        run()
        assert len(device.programs) == before + 1, case.name
        run()
        assert device.programs[-1] == device.programs[-2], f'{case.name} can not be replayed'


def test_both_backends_make_the_same_bytes_of_a_message(modules):
    names = {'sparse_uniform', 'sparse_cap_ring', 'deskew_count', 'image_480p'}
    cases = [case for case in modules.cases.all_cases(N) if case.name in names]
    assert {case.name for case in cases} == names
    for case in cases:
        ours = case.message(CudaBackend(CpuDevice(), Limits()))()
        theirs = case.message(NumpyBackend())()
        if isinstance(ours, tuple):
            ours, theirs = ours[0].tobytes(), theirs[0].tobytes()
        assert bytes(ours) == bytes(theirs), case.name


def test_peers_count_what_we_count(modules):
    box = (modules.cases.LOW, modules.cases.SIZE, 16)  # smaller than the points
    points, values = modules.inputs.uniform(N, 25.6), modules.inputs.features(N, 2)
    cells = np.floor((points - np.float32(box[0])) / np.float32(box[1])).astype(int)
    kept = (cells < 16).all(axis=1)
    count = np.zeros((16, 16, 16), int)
    np.add.at(count, tuple(cells[kept, axis] for axis in (2, 1, 0)), 1)
    assert np.array_equal(modules.peers.cupy_count(np, points, *box), count)
    means = modules.peers.cupy_mean(np, points, values, *box)
    z, y, x = (int(c) for c in np.argwhere(count == 1)[0])
    alone = np.flatnonzero((cells == (x, y, z)).all(axis=1))
    assert np.array_equal(means[z, y, x], values[alone[0]])
