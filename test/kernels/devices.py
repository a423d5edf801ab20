# Copyright 2026 the robocache_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Devices that a test of kernels runs on: the CPU, on three schedules of threads, and a GPU."""

from __future__ import annotations

import functools
import os

import pytest
from cpu_device import ORDERS, CpuDevice

from robocache_ros.backends import BackendUnavailable
from robocache_ros.backends.cuda.cupy_device import CupyDevice, probe
from robocache_ros.backends.cuda.device import Launch

# Longer than the 1 s of a robot: compute-sanitizer makes kernels a thousand times slower.
DEADLINE_SEC = 300.0


@functools.cache
def marks_of_a_gpu():
    """Marks of a test on a GPU: skipped where there is none; an error where it has to run."""
    try:
        probe(0)
    except BackendUnavailable as missing:
        if os.environ.get('ROBOCACHE_REQUIRE_GPU') == '1':
            raise
        return [pytest.mark.skip(reason=f'no GPU: {missing}')]
    return []


# Parameters, for device(): all of them, and one of each kind.
EVERY = [*ORDERS, pytest.param('cuda', marks=marks_of_a_gpu())]
EACH_KIND = ['shuffled', EVERY[-1]]


class Gpu(CupyDevice):
    """A GPU that remembers what it ran, as the CPU of the tests does, and has time."""

    def __init__(self):
        super().__init__()
        self.programs = []

    def execute(self, program):
        self.programs.append(program)
        super().execute(program)

    def wait(self, deadline_sec):
        super().wait(max(deadline_sec, DEADLINE_SEC))

    def launches(self):
        """Return the launches of all programs so far."""
        return [step for p in self.programs for step in p.steps if isinstance(step, Launch)]

    def clear(self):
        """Forget the programs."""
        self.programs.clear()


def device(name):
    """Return a new device of this name."""
    return Gpu() if name == 'cuda' else CpuDevice(name, seed=5, multiprocessors=1)


def fixtures(made_on):
    """
    Return two fixtures: what made_on(name) gives on every device, and on one of each kind.

    The second is for what is about values more than about threads.
    """

    @pytest.fixture(params=EVERY)
    def on_every(request):
        return made_on(request.param)

    @pytest.fixture(params=EACH_KIND)
    def on_each_kind(request):
        return made_on(request.param)

    return on_every, on_each_kind
