# Copyright 2026 the robocache_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Memory lent to results: used again when it is given back, never while somebody has it."""

from __future__ import annotations

import gc
import queue
import random
import threading
import weakref

import numpy as np
import pytest
from cpu_device import CpuDevice

from robocache_ros.backends.cuda.device import OutOfResources
from robocache_ros.backends.cuda.leases import Leases


class Device(CpuDevice):
    """Counts what is allocated and what of it is still there."""

    def __init__(self):
        super().__init__()
        self.allocated = []
        self.refuses = False

    def allocate(self, nbytes):
        if self.refuses:
            raise OutOfResources('no memory left')
        memory = super().allocate(nbytes)
        self.allocated.append(weakref.ref(memory))
        return memory

    @property
    def held(self):
        return sum(memory() is not None for memory in self.allocated)


@pytest.fixture
def device():
    return Device()


def lent(device, leases, nbytes, value):
    """Return an array over lent memory, filled."""
    array = device.view(leases.take(nbytes), np.uint8, (nbytes,), 0)
    array[:] = value
    return array


def address(array):
    return array.__array_interface__['data'][0]


def test_memory_that_was_given_back_is_lent_again(device):
    leases = Leases(device)
    first = lent(device, leases, 1000, 1)
    place = address(first)
    del first
    assert address(lent(device, leases, 900, 2)) == place
    assert len(device.allocated) == 1


def test_a_part_of_an_array_keeps_the_memory(device):
    leases = Leases(device, slots=1)
    whole = lent(device, leases, 1000, 1)
    part = whole[10:20].reshape(2, 5).T
    del whole
    other = lent(device, leases, 1000, 2)
    assert part.tolist() == [[1, 1]] * 5
    assert not np.shares_memory(part, other)


def test_two_arrays_of_one_lease_keep_it_together(device):
    leases = Leases(device, slots=1)
    lease = leases.take(1000)
    first, second = (device.view(lease, np.uint8, (10,), begin) for begin in (0, 256))
    place = lease.address
    del lease, first
    assert leases.take(1000).address != place
    del second
    assert leases.take(1000).address == place


def test_when_all_slots_are_lent_a_result_gets_memory_of_its_own(device):
    leases = Leases(device, slots=2)
    held = [lent(device, leases, 1000, k) for k in range(5)]
    assert [array.tolist() for array in held] == [[k] * 1000 for k in range(5)]
    assert len({address(array) for array in held}) == 5
    del held
    gc.collect()
    assert device.held == 2  # the slots; the memory of the others is freed
    lent(device, leases, 1000, 9)
    assert len(device.allocated) == 5


def test_a_slot_grows_with_what_is_asked_of_it(device):
    leases = Leases(device, slots=1)
    lent(device, leases, 1000, 1)
    assert len(lent(device, leases, 2**20 + 1, 2)) == 2**20 + 1
    assert device.held == 1
    lent(device, leases, 2**20 + 1, 3)
    assert len(device.allocated) == 2


def test_the_smallest_slot_that_fits_is_taken(device):
    leases = Leases(device, slots=2)
    large, small = leases.take(2**20), leases.take(1000)
    places = large.address, small.address
    del large, small
    again = leases.take(10)
    assert again.address == places[1]
    assert leases.take(2**20).address == places[0]


def test_a_slot_is_not_lost_when_there_was_no_memory_for_it(device):
    leases = Leases(device, slots=1)
    device.refuses = True
    for _ in range(3):
        with pytest.raises(OutOfResources):
            leases.take(1000)
    device.refuses = False
    place = leases.take(1000).address
    device.refuses = True
    with pytest.raises(OutOfResources):
        leases.take(2**20)  # its slot is emptied first
    device.refuses = False
    lease = leases.take(2**20)
    assert place is not None
    del lease
    assert device.held == 1


def test_an_array_may_outlive_the_leases(device):
    array = lent(device, Leases(device), 1000, 7)
    gc.collect()
    assert array.tolist() == [7] * 1000


@pytest.mark.parametrize('seed', range(20))
def test_what_is_held_keeps_its_bytes_whatever_else_is_lent(device, seed):
    draw = random.Random(seed)
    leases = Leases(device, slots=3)
    held = []
    for step in range(200):
        if held and draw.random() < 0.5:
            held.pop(draw.randrange(len(held)))
        if draw.random() < 0.6:
            nbytes = draw.choice([10, 1000, 70_000, 200_000])
            value = step % 256
            held.append((lent(device, leases, nbytes, value), value))
        assert all((array == value).all() for array, value in held)
    held.clear()
    gc.collect()
    assert device.held <= 3
    device.check()


def test_arrays_may_go_in_other_threads(device):
    leases = Leases(device, slots=2)
    passed, wrong = queue.Queue(), []

    def drop():
        while True:
            array, value = passed.get()
            if value is None:
                return
            if (array != value).any():
                wrong.append(value)

    threads = [threading.Thread(target=drop) for _ in range(2)]
    for thread in threads:
        thread.start()
    for value in range(200):
        passed.put((lent(device, leases, 1000, value), value))
    for _ in threads:
        passed.put((None, None))
    for thread in threads:
        thread.join(10)
    assert not wrong
    gc.collect()
    assert device.held <= 2
