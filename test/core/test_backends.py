# Copyright 2026 the robocache_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Which backend is chosen, and what is said when it can not be."""

from __future__ import annotations

import pytest

from robocache_ros.backends import ACCELERATORS, BackendUnavailable, make_backend
from robocache_ros.backends.numpy_backend import NumpyBackend
from robocache_ros.backends.twin import TwinBackend


def no_gpu(device_id, limits):
    raise BackendUnavailable('no NVIDIA driver is installed: install one')


def a_gpu(device_id, limits):
    return NumpyBackend


@pytest.fixture
def accelerator(monkeypatch):
    """Put a function of this file in the place of the one that opens CUDA."""

    def put(function):
        monkeypatch.setitem(ACCELERATORS, 'cuda', f'{__name__}:{function.__name__}')

    return put


def test_auto_without_a_gpu_is_numpy_and_says_what_is_missing(accelerator):
    accelerator(no_gpu)
    backend = make_backend('auto')
    assert isinstance(backend, NumpyBackend)
    assert backend.status().reason == 'no NVIDIA driver is installed: install one'
    assert backend.status().healthy


def test_numpy_asked_for_is_numpy_and_looks_for_no_gpu(monkeypatch):
    monkeypatch.delitem(ACCELERATORS, 'cuda')
    backend = make_backend('numpy', device_id=3)
    assert isinstance(backend, NumpyBackend)
    assert backend.status().reason == 'as configured'


def test_cuda_asked_for_without_a_gpu_is_refused_with_cause_and_cure(accelerator):
    accelerator(no_gpu)
    sentence = 'cuda was asked for, but no NVIDIA driver .*: install one. .* auto or numpy'
    with pytest.raises(BackendUnavailable, match=sentence):
        make_backend('cuda')


@pytest.mark.parametrize('name', ['auto', 'cuda'])
def test_with_a_gpu_it_is_both(accelerator, name):
    accelerator(a_gpu)
    backend = make_backend(name, 1, wait=True)
    assert isinstance(backend, TwinBackend)
    backend.close()


def test_unknown_names_are_refused_with_the_allowed_set():
    with pytest.raises(ValueError, match="'gpu'.*auto, numpy, cuda"):
        make_backend('gpu')


def test_each_call_makes_a_backend_of_its_own():
    assert make_backend('numpy') is not make_backend('numpy')
