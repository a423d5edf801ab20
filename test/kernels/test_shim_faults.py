# Copyright 2026 the robocache_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Bugs planted in small kernels, one of each kind, and what finds them; their right twins pass."""

from __future__ import annotations

from pathlib import Path

import planted
import pytest
from cpu_device import ORDERS, CpuDevice, KernelFault

from robocache_ros.backends.cuda.device import DeviceError, Launch, Program

N = planted.N
X = planted.values()
X_BITS = [int(v) for v in X.view('u4')]


def run(tmp_path, name, order='forward', seed=0, extra=()):
    device = CpuDevice(order, seed, folder=tmp_path, extra=extra)
    return [int(v) for v in planted.run(device, tmp_path, name)]


def but(zeros=N, **places):
    """N zeros, but for the places named like _3=7."""
    result = [0] * zeros
    for place, value in places.items():
        result[int(place[1:])] = value
    return result


# By hand: two blocks of 64 threads, of which the last 28 threads have nothing to do.
REVERSED = X_BITS[63::-1] + [0] * 28 + X_BITS[:91:-1]
RIGHT = {
    'reversed': REVERSED,
    'copied': X_BITS,
    'read': [int(x > 3) for x in X],
    'shared': but(),
    'dynamic': but(),
    'cast': [int(t) if 0 <= t < 2e9 else 0 for t in X * X.dtype.type(1e9)],
    'met': but(),
    'voted': [0xFFFFFFFF] * 96 + [0xF] * 4,
    'counted': but(_0=34, _1=33, _2=33),
    'between blocks': but(_0=1, _1=1),
    'last block': but(_0=2, _1=7, _2=7, _3=14),
    'placed': [bits if x >= 0 else 0 for x, bits in zip(X, X_BITS, strict=True)],
    'summed': but(_0=64, _1=64),
    'rounded': [int(v) for v in (X * X + X.dtype.type(0.1)).view('u4')],
}


@pytest.mark.parametrize('order', ORDERS)
@pytest.mark.parametrize('name', RIGHT)
def test_a_right_kernel_gives_the_numbers_worked_out_by_hand(tmp_path, name, order):
    assert run(tmp_path, name, order) == RIGHT[name]


@pytest.mark.parametrize('order', ORDERS)
def test_a_missing_barrier_shows_in_every_order(tmp_path, order):
    assert run(tmp_path, 'reversed without a barrier', order) != REVERSED


def test_a_write_one_too_far_is_a_fault(tmp_path):
    with pytest.raises(
        KernelFault, match=r'planted\.copied_one_too_far wrote next to .* of 400 bytes'
    ):
        run(tmp_path, 'copied one too far')


@pytest.mark.parametrize('order', ORDERS)
def test_a_barrier_that_some_do_not_reach_is_a_deadlock_and_says_who_waits_where(tmp_path, order):
    line = planted.line_of('met by some', '__syncthreads')
    told = (
        r'kernel met_by_some, block 1 of 2: deadlock; threads 0-35 wait in __syncthreads at '
        rf'.*planted\.cu:{line}; threads 36-63 have ended'
    )
    with pytest.raises(KernelFault, match=told):
        run(tmp_path, 'met by some', order)


def test_two_barriers_at_once_are_a_divergence(tmp_path):
    first = planted.line_of('met at two places', '{ __syncthreads')
    told = rf'divergence: .*planted\.cu:{first + 1}, .*planted\.cu:{first}'
    with pytest.raises(KernelFault, match=told):
        run(tmp_path, 'met at two places')


@pytest.mark.parametrize('order', ORDERS)
def test_a_vote_that_some_lanes_miss_is_a_deadlock(tmp_path, order):
    told = 'deadlock; .*32-35 wait in __ballot_sync'
    with pytest.raises(KernelFault, match=told):
        run(tmp_path, 'voted by some', order)


def test_a_mask_of_some_lanes_is_refused(tmp_path):
    with pytest.raises(KernelFault, match='with mask 0x0000ffff: kernels use full warps'):
        run(tmp_path, 'voted under a mask')


def test_a_device_works_on_after_a_fault(tmp_path):
    for _ in range(3):
        with pytest.raises(KernelFault, match='deadlock'):
            run(tmp_path, 'met by some')
    assert run(tmp_path, 'reversed') == REVERSED


def test_what_depends_on_the_order_of_threads_differs_between_orders(tmp_path):
    found = {tuple(run(tmp_path, 'placed as they come', order)) for order in ORDERS}
    found |= {tuple(run(tmp_path, 'placed as they come', 'shuffled', seed)) for seed in (5, 6)}
    assert len(found) == 5
    assert len({tuple(sorted(one)) for one in found}) == 1


def test_a_shuffled_order_is_repeated_by_its_seed(tmp_path):
    first, second = (run(tmp_path, 'placed as they come', 'shuffled', 7) for _ in range(2))
    assert first == second


@pytest.mark.parametrize('order', ORDERS)
def test_shared_memory_that_nobody_cleared_is_not_zero(tmp_path, order):
    assert run(tmp_path, 'summed from anything', order)[:2] != [64, 64]


def test_memory_that_nobody_wrote_is_not_zero():
    device = CpuDevice()
    memory = device.allocate(13)
    assert memory.nbytes == 16  # kernels read whole words
    assert memory.address % 256 == 0
    assert list(device.view(memory, 'u1', (16,), 0)) == [0xCD] * 16


def test_a_contraction_to_one_rounding_shows_in_the_bits(tmp_path):
    assert run(tmp_path, 'rounded once') != RIGHT['rounded']


def test_nothing_is_contracted_where_the_processor_could(tmp_path):
    if 'fma' not in Path('/proc/cpuinfo').read_text().split():
        pytest.skip('this processor has no fused multiply-add of x86')
    assert run(tmp_path, 'rounded', extra=('-mfma',)) == RIGHT['rounded']


@pytest.mark.parametrize(
    ('launch', 'reason'),
    [
        (Launch('planted.met', 0, 64), 'a launch of no blocks'),
        (Launch('planted.met', 1, 48), 'a block is of whole warps'),
        (Launch('planted.met', 1, 128), "more threads than the kernel's launch bounds"),
        (Launch('planted.met', 1, 64, 999_999), 'wants 999999 bytes of shared memory'),
    ],
)
def test_launches_that_no_gpu_takes_are_faults(tmp_path, launch, reason):
    device = CpuDevice(folder=tmp_path)
    planted.run(device, tmp_path, 'met')
    job = device.allocate(24)
    with pytest.raises(KernelFault, match=reason):
        device.execute(Program(job.address, (launch,)))


def test_a_kernel_of_a_file_that_was_not_loaded_is_an_error_as_on_a_gpu():
    device = CpuDevice()
    job = device.allocate(8)
    with pytest.raises(DeviceError, match='voxels was not loaded'):
        device.execute(Program(job.address, (Launch('voxels.mark', 1, 32),)))


def test_copies_beyond_memory_are_faults():
    device = CpuDevice()
    source, target = device.allocate_host(64), device.allocate(32)
    device.send(source, 32, 32, target.address)
    with pytest.raises(KernelFault, match='bytes 40:72 of 64'):
        device.send(source, 40, 32, target.address)
    with pytest.raises(KernelFault, match='a copy of 40 bytes .* is in no memory'):
        device.send(source, 0, 40, target.address)
    freed = target.address
    del target
    with pytest.raises(KernelFault, match='is in no memory'):
        device.send(source, 0, 32, freed)


def test_a_view_keeps_its_memory():
    device = CpuDevice()
    view = device.view(device.allocate(32), 'u4', (2, 3), 8)
    view[:] = 5
    assert view.shape == (2, 3)
    device.check()
    assert device._memories  # still there, for the view


def test_what_ran_can_be_looked_at(tmp_path):
    device = CpuDevice(folder=tmp_path)
    planted.run(device, tmp_path, 'met')
    assert device.launches() == [Launch('planted.met', 2, 64, 256)]
    device.clear()
    assert device.launches() == []
