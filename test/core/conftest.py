# Copyright 2026 the robocache_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Backends to test: a test that takes one of these fixtures runs once on each of them.

    numpy      the specification
    kernels    the kernels of CUDA, compiled for the CPU: what they compute, without a GPU
    cuda       the same kernels on a GPU, skipped where there is none (kernels/devices.py)

Fixtures:
    new_backend    new_backend() -> a backend with workspaces of its own
    backend        one backend for all tests, so that workspaces are used again, as in a node
    voxelize       voxelize(clouds, grid, channels, **limits) on it, for one cloud or several
    image_grid     the operations of it
    resample
    fuse
    package        nothing, but the functions of the package compute on a backend made so
"""

from __future__ import annotations

import threading

import pytest
from devices import DEADLINE_SEC, marks_of_a_gpu
from voxel_oracle import CHANNELS, spec_of

from robocache_ros import api
from robocache_ros.backends import make_backend
from robocache_ros.backends.cuda.cuda_backend import CudaBackend
from robocache_ros.backends.cuda.device import Limits
from robocache_ros.backends.cuda.opening import open_cuda
from robocache_ros.backends.numpy_backend import NumpyBackend
from robocache_ros.codec.cloud import CloudView

LIMITS = Limits(max_points=2**21, deadline_sec=DEADLINE_SEC)


def numpy():
    return NumpyBackend


def kernels():
    from cpu_device import CpuDevice, compiler

    compiler()  # or the reason why there is none
    return lambda: CudaBackend(CpuDevice('shuffled'), LIMITS)


def cuda():
    return open_cuda(0, LIMITS)


def pytest_generate_tests(metafunc):
    if 'new_backend' in metafunc.fixturenames:
        made = [numpy, kernels, pytest.param(cuda, marks=marks_of_a_gpu())]
        names = ['numpy', 'kernels', 'cuda']
        metafunc.parametrize('new_backend', made, indirect=True, ids=names, scope='session')


@pytest.fixture(scope='session')
def new_backend(request):
    return request.param()


@pytest.fixture(scope='session')
def backend(new_backend):
    made = new_backend()
    yield made
    made.close()


@pytest.fixture(scope='session')
def voxelize(backend):
    def run(clouds, grid, channels=CHANNELS, **limits):
        clouds = [clouds] if isinstance(clouds, CloudView) else clouds
        return backend.voxelize(clouds, spec_of(grid, channels, **limits))

    return run


@pytest.fixture(scope='session')
def image_grid(backend):
    return backend.image_grid


@pytest.fixture(scope='session')
def resample(backend):
    return backend.resample


@pytest.fixture(scope='session')
def fuse(backend):
    return backend.fuse


@pytest.fixture
def package(new_backend, monkeypatch):
    made = []

    def make(name='auto', *rest, **more):
        if name != 'auto':
            return make_backend(name, *rest, **more)
        made.append(new_backend())
        return made[-1]

    monkeypatch.setattr(api, 'make_backend', make)
    monkeypatch.setattr(api, '_local', threading.local())
    yield
    for one in made:
        one.close()
