# Copyright 2026 the robocache_ros authors
# SPDX-License-Identifier: Apache-2.0
"""From which size on CUDA is faster, with times that the test invents, and the inputs for it."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest

from robocache_ros.backends import crossover
from robocache_ros.backends.crossover import Case, measure
from robocache_ros.backends.cuda.device import Limits, OverLimit
from robocache_ros.backends.numpy_backend import NumpyBackend
from robocache_ros.backends.twin import OPS, TwinBackend
from robocache_ros.backends.workload import Workload
from robocache_ros.config import Config
from robocache_ros.grid import Channel, Grid, VoxelSpec

SIZES = (10, 20, 40, 80, 160)


class Timed:
    """A backend that takes as long as its table says, by a clock of its own."""

    def __init__(self, clock, seconds):
        self.clock = clock
        self.seconds = seconds
        self.sizes = []

    def run(self, size):
        self.sizes.append(size)
        taken = self.seconds[size]
        if isinstance(taken, Exception):
            raise taken
        self.clock.now += taken


@pytest.fixture
def clock(monkeypatch):
    clock = SimpleNamespace(now=0.0)
    monkeypatch.setattr(crossover.time, 'perf_counter', lambda: clock.now)
    return clock


def cases(sizes=SIZES):
    return {'run': [lambda n=n: Case(n, lambda backend: backend.run(n)) for n in sizes]}


def measured(clock, on_cuda, stopped=lambda: False):
    """Measure a CUDA that takes `on_cuda` against a NumPy that takes a second per unit of size."""
    numpy = Timed(clock, {n: float(n) for n in SIZES})
    cuda = Timed(clock, dict(zip(SIZES, on_cuda, strict=True)))
    found = measure(numpy, cuda, cases(), stopped)
    return found['run'], cuda


def test_it_is_the_smallest_size_from_which_cuda_stays_faster(clock):
    found, cuda = measured(clock, [30.0, 30.0, 30.0, 30.0, 30.0])
    assert found == 40
    assert max(cuda.sizes) == 80, 'twice in a row is enough'


def test_a_size_at_which_cuda_is_faster_by_chance_does_not_count(clock):
    assert measured(clock, [9.0, 30.0, 30.0, 30.0, 30.0])[0] == 40


def test_never_faster_is_none(clock):
    found, cuda = measured(clock, [11.0, 21.0, 41.0, 81.0, 161.0])
    assert found is None
    assert max(cuda.sizes) == 160


def test_faster_at_the_last_size_alone_counts(clock):
    assert measured(clock, [11.0, 21.0, 41.0, 81.0, 159.0])[0] == 160


def test_equally_fast_is_not_faster(clock):
    assert measured(clock, [float(n) for n in SIZES])[0] is None


def test_sizes_over_the_limit_of_the_device_are_not_measured(clock):
    over = OverLimit('too large')
    assert measured(clock, [30.0, 30.0, 30.0, over, over])[0] == 40
    assert measured(clock, [30.0, 30.0, over, over, over])[0] is None


def test_it_ends_as_soon_as_it_is_told_to(clock):
    found, cuda = measured(clock, [30.0] * 5, stopped=lambda: True)
    assert found is None
    assert cuda.sizes == []


class Counted(NumpyBackend):
    """NumPy behind the eyes of a twin, so that the size of a call is known."""

    def __init__(self):
        super().__init__()
        self.asked = []
        self.counter = TwinBackend.__new__(TwinBackend)
        self.counter._compute = lambda op, size, work: self.asked.append((op, size))


@pytest.mark.parametrize('op', OPS)
def test_every_case_has_the_size_that_a_frame_of_it_would_have(op):
    seen = Counted()
    for make in Workload.general().cases()[op]:
        case = make()
        case.work(seen.counter)
        assert seen.asked.pop() == (op, case.size)


def test_a_node_measures_what_its_configuration_needs():
    assert set(Workload.of(Config.from_mapping({})).cases()) == {
        'voxelize', 'image_grid', 'resample',
    }  # fmt: skip
    only_imu = {'sources': ['imu'], 'trigger': 'imu'}
    assert set(Workload.of(Config.from_mapping(only_imu)).cases()) == {'resample'}


def test_the_limits_are_those_of_the_configuration():
    flat = {'voxels.max_points': 5, 'voxels.max_voxels': 4, 'max_message_bytes': 2048}
    workload = Workload.of(Config.from_mapping(flat))
    assert workload.limits == Limits(5, 4, 2048)
    sizes = [make().size for make in workload.cases()['voxelize']]
    assert sizes == [5]


def test_points_are_painted_as_the_configuration_wants_it():
    flat = {
        'base_frame': 'base',
        'sources': ['lidar', 'camera'],
        'camera.paint': ['rgb', 'label'],
        'voxels.channels': ['rgb', 'majority_label', 'mean_intensity'],
        'max_message_bytes': 100_000,
    }
    case = Workload.of(Config.from_mapping(flat)).cases()['voxelize'][0]()
    found = case.work(NumpyBackend())
    assert found.stats.fields_missing == ()
    assert 0 < found.stats.unseen < found.stats.used, 'some points hide others'
    assert len(np.unique(found.columns['rgb'].view(np.uint32))) > 100
    assert np.isfinite(found.columns['majority_label']).any()


@pytest.mark.parametrize('op', OPS)
def test_every_case_can_be_computed(op):
    spec = VoxelSpec(
        Grid.from_range(1.0, (0, 0, 0, 8, 8, 8)),
        tuple(Channel.parse(name) for name in ('count', 'centroid', 'mean_x', 'min_ring')),
    )
    workload = Workload(
        Limits(), spec, ('voxelize', 'voxelize_dense', 'occupancy'), (2, 70, 'rgb'), 3,
        fuse=True,
    )  # fmt: skip
    case = workload.cases()[op][0]()
    result = case.work(NumpyBackend())
    if op == 'voxelize':
        assert result.stats.used == 1000, 'the points lie in the grid'
        assert np.isfinite(result.columns['min_ring']).all()
