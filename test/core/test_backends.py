# Copyright 2026 the robocache_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Which backend is chosen, and what is said when it can not be."""

from __future__ import annotations

import pytest

from robocache_ros.backends import BACKENDS, BackendUnavailable, make_backend
from robocache_ros.backends.numpy_backend import NumpyBackend


def test_auto_takes_numpy_and_says_why():
    backend, reason = make_backend('auto')
    assert backend.name == 'numpy'
    assert reason == 'no CUDA kernels in this version'


def test_numpy_asked_for_is_numpy():
    backend, reason = make_backend('numpy', device_id=3)
    assert isinstance(backend, NumpyBackend)
    assert reason == 'as configured'


def test_cuda_asked_for_is_refused_with_the_cause():
    with pytest.raises(BackendUnavailable, match='no CUDA kernels in this version.*auto or numpy'):
        make_backend('cuda')


def test_unknown_names_are_refused_with_the_allowed_set():
    with pytest.raises(ValueError, match="'gpu'.*auto, numpy, cuda"):
        make_backend('gpu')


def test_each_call_makes_a_backend_of_its_own():
    assert make_backend('numpy')[0] is not make_backend('numpy')[0]


def test_a_new_backend_is_one_entry(monkeypatch):
    monkeypatch.setitem(BACKENDS, 'cuda', 'robocache_ros.backends.numpy_backend:NumpyBackend')
    assert isinstance(make_backend('cuda', 1)[0], NumpyBackend)
