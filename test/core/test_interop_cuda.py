# Copyright 2026 the robocache_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Arrays that are on a GPU in and out of the functions: read there, left there, the same bits."""

from __future__ import annotations

import threading
from dataclasses import replace

import numpy as np
import pytest
from devices import DEADLINE_SEC, marks_of_a_gpu
from function_calls import NAMES, arrays, bits, calls

from robocache_ros import Stream, api, fuse, occupancy, resample, voxelize
from robocache_ros.backends import workload

BOX = {'voxel_size': 0.5, 'point_cloud_range': [0, 0, 0, 8, 8, 8]}


class Cupy:
    """CuPy, as the tests use it."""

    def __init__(self):
        import cupy

        self.kind = cupy.ndarray
        self.to_gpu = cupy.asarray
        self._cupy = cupy

    def delayed(self, values):
        """Return points that become `values` on a stream of their own, and not at once."""
        cupy = self._cupy
        source, points = cupy.asarray(values), cupy.zeros(values.shape, values.dtype)
        busy = cupy.ones(2**26, np.float32)
        cupy.cuda.Device().synchronize()
        stream = cupy.cuda.Stream(non_blocking=True)
        with stream:
            for _ in range(100):  # milliseconds
                busy *= 1.5
            points[...] = source
        return stream, points


class Torch:
    """torch, as the tests use it."""

    def __init__(self):
        torch = pytest.importorskip('torch', reason='needs torch')
        if not torch.cuda.is_available():
            pytest.skip('this torch is without CUDA')
        self.kind = torch.Tensor
        self._torch = torch

    def to_gpu(self, values):
        return self._torch.from_numpy(np.ascontiguousarray(values)).cuda()

    def delayed(self, values):
        torch = self._torch
        source, points = self.to_gpu(values), self.to_gpu(np.zeros_like(values))
        busy = torch.ones(2**26, device='cuda')
        torch.cuda.synchronize()
        stream = torch.cuda.Stream()
        with torch.cuda.stream(stream):
            for _ in range(100):  # milliseconds
                busy *= 1.5
            points.copy_(source)
        return torch.cuda.stream(stream), points


pytestmark = marks_of_a_gpu()


@pytest.fixture(scope='module', params=[Cupy, Torch], ids=['cupy', 'torch'])
def library(request):
    return request.param()


@pytest.fixture(autouse=True, scope='module')
def _patience():
    with pytest.MonkeyPatch.context() as patch:
        limits = replace(workload._GENERAL_LIMITS, deadline_sec=DEADLINE_SEC)
        patch.setattr(workload, '_GENERAL_LIMITS', limits)
        patch.setattr(api, '_local', threading.local())
        yield


def computed_on_cuda(op):
    return api._backend('cuda', 0).status().counts.get(op, {}).get('cuda', 0)


@pytest.mark.parametrize('name', NAMES)
def test_arrays_on_the_gpu_give_the_bits_of_numpy_there(library, name):
    wanted = calls()[name](backend='numpy')
    found = calls(library.to_gpu)[name](backend='cuda')
    assert arrays(found).keys() == arrays(wanted).keys()
    for key, array in arrays(wanted).items():
        mine = arrays(found)[key]
        assert isinstance(mine, library.kind), key
        assert 'cuda' in str(mine.device).lower()
        assert tuple(mine.shape) == array.shape, key
        assert bits(mine) == array.tobytes(), key


def test_they_are_not_computed_elsewhere(library):
    points = np.random.default_rng(1).uniform(0, 8, (1000, 3)).astype(np.float32)
    before = [computed_on_cuda(op) for op in ('voxelize', 'occupancy', 'fuse')]
    voxelize(library.to_gpu(points), **BOX, backend='cuda')
    occupancy(library.to_gpu(points), **BOX, backend='cuda')
    times = np.arange(10) * 10
    fuse([Stream(times, library.to_gpu(points[:10]))], times[1:-1] + 3, backend='cuda')
    after = [computed_on_cuda(op) for op in ('voxelize', 'occupancy', 'fuse')]
    assert [b - a for a, b in zip(before, after, strict=True)] == [1, 1, 1]


def test_points_are_read_after_what_makes_them(library):
    values = np.random.default_rng(1).uniform(0, 8, (100_000, 3)).astype(np.float32)
    wanted = voxelize(values, **BOX, backend='numpy')
    voxelize(library.to_gpu(values), **BOX, backend='cuda')  # what a first call costs
    stream, points = library.delayed(values)
    with stream:
        found = voxelize(points, **BOX, backend='cuda')
    assert bits(found.count) == wanted.count.tobytes()
    assert found.stats == wanted.stats


def test_results_that_are_held_are_never_overwritten(library):
    made = [
        np.random.default_rng(seed).uniform(0, 8, (5000, 3)).astype(np.float32) for seed in (1, 2)
    ]
    wanted = [voxelize(points, **BOX, dense=True, backend='numpy') for points in made]
    on_gpu = [library.to_gpu(points) for points in made]
    held = []
    for step in range(20):
        held.append((voxelize(on_gpu[step % 2], **BOX, dense=True, backend='cuda'), step % 2))
        if step % 3 == 1:
            held.pop(step // 3)
        for found, number in held:
            assert bits(found) == wanted[number].tobytes()


def test_bfloat16_stays_on_the_gpu(library):
    times = np.arange(10) * 10
    exact = np.random.default_rng(1).integers(-99, 99, (10, 4)).astype(np.float32)
    stored = (exact.view(np.uint32) >> 16).astype(np.uint16)
    options = {'dtype': 'bfloat16', 'out_dtype': 'bfloat16', 'rule': 'hold', 'max_gap_ns': 10}
    wanted = resample(times, stored, times, **options, backend='numpy')
    if library.kind.__module__.startswith('torch'):
        values = library.to_gpu(exact).bfloat16()
    else:
        values = library.to_gpu(stored)
    found = resample(times, values, times, **options, backend='cuda')
    assert found.values.dtype == values.dtype
    assert bits(found.values) == wanted.values.tobytes()
