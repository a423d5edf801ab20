# Copyright 2026 the robocache_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Every operation gives the bits of NumPy whatever the order of threads and of blocks."""

from __future__ import annotations

import operations
import pytest
from cpu_device import ORDERS, CpuDevice

ONE_TURN, MANY_TURNS = 99 * 1024, 2048  # shared memory: little of it leaves blocks several shares


@pytest.mark.parametrize('shared_bytes', [ONE_TURN, MANY_TURNS])
@pytest.mark.parametrize('order', ORDERS)
@pytest.mark.parametrize('name', operations.OPERATIONS)
def test_an_operation_gives_the_bits_of_numpy_in_every_order(name, order, shared_bytes):
    device = CpuDevice(order, 1, multiprocessors=1, shared_bytes=shared_bytes)
    operations.run(device, name)


@pytest.mark.parametrize('seed', range(5))
def test_other_shuffles_give_the_same(seed):
    for name in operations.OPERATIONS:
        operations.run(CpuDevice('shuffled', 1000 * seed, multiprocessors=2), name)
