# Copyright 2026 the robocache_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Devices that a test of kernels runs on: the CPU, on three schedules of threads, and a GPU."""

from __future__ import annotations

import pytest
from cpu_device import ORDERS, CpuDevice

from robocache_ros.backends import BackendUnavailable
from robocache_ros.backends.cuda.cupy_device import CupyDevice, probe


def _cuda():
    try:
        probe(0)
    except BackendUnavailable as missing:
        return pytest.param('cuda', marks=pytest.mark.skip(reason=f'no GPU: {missing}'))
    return 'cuda'


# Parameters, for device(): all of them, and one of each kind.
EVERY = [*ORDERS, _cuda()]
EACH_KIND = ['shuffled', EVERY[-1]]


def device(name):
    """Return a new device of this name."""
    return CupyDevice() if name == 'cuda' else CpuDevice(name, seed=5, multiprocessors=1)
