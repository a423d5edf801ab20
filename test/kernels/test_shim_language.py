# Copyright 2026 the robocache_ros authors
# SPDX-License-Identifier: Apache-2.0
"""What the shim offers of CUDA does what CUDA's manual says, lane by lane."""

from __future__ import annotations

import numpy as np
import pytest
from cpu_device import ORDERS, CpuDevice

from robocache_ros.backends.cuda.device import Clear, Launch, Program

FULL = 0xFFFFFFFF
LANES = np.arange(32)

SOURCE = r"""
#include "common.cuh"

struct LanguageJob {
  u64 output;   // u32[rows][32]
  u64 numbers;  // float[32]
};

#define ROW(i) reinterpret_cast<u32*>(job->output)[32 * (i) + threadIdx.x]
#define NUMBER(i) reinterpret_cast<const float*>(job->numbers)[i]
#define FULL 0xffffffffu

KERNEL(warp, LanguageJob, 32) {
  const u32 t = threadIdx.x;
  ROW(0) = __ballot_sync(FULL, t % 3 == 0);
  ROW(1) = static_cast<u32>(__any_sync(FULL, t == 40) | __any_sync(FULL, t == 4) << 1);
  ROW(2) = static_cast<u32>(__all_sync(FULL, t < 32) | __all_sync(FULL, t != 31) << 1);
  ROW(3) = __match_any_sync(FULL, t / 10);
  ROW(4) = __shfl_sync(FULL, t, static_cast<i32>(t + 5));
  ROW(5) = __shfl_sync(FULL, t, 2, 8);
  ROW(6) = __shfl_up_sync(FULL, t, 3);
  ROW(7) = __shfl_up_sync(FULL, t, 3, 16);
  ROW(8) = __shfl_down_sync(FULL, t, 3);
  ROW(9) = __shfl_down_sync(FULL, t, 3, 16);
  ROW(10) = __shfl_xor_sync(FULL, t, 5);
  ROW(11) = __shfl_xor_sync(FULL, t, 9, 8);
  ROW(12) = static_cast<u32>(__shfl_sync(FULL, (1ull << 40) * t, 3) >> 40);
  ROW(13) = static_cast<u32>(__shfl_sync(FULL, 0.25 * t, 6) * 4);
  ROW(14) = __match_any_sync(FULL, (static_cast<u64>(t % 2) << 32) | 1);
}

KERNEL(bits, LanguageJob, 32) {
  const u32 t = threadIdx.x;
  ROW(0) = __popc((1u << t) - 1);
  ROW(1) = __clz(static_cast<i32>(1u << t));
  ROW(2) = __ffs(static_cast<i32>(1u << t));
  ROW(3) = __popcll((1ull << (2 * t)) - 1);
  ROW(4) = __clzll(static_cast<i64>(1ull << (2 * t)));
  ROW(5) = __ffsll(static_cast<i64>(1ull << (2 * t)));
  ROW(6) = __clz(0) + 100 * __clzll(0) + 10000 * __ffs(0) + 10000 * __ffsll(0);
  ROW(7) = __float_as_uint(__uint_as_float(t + 0x7fc00000u));
  ROW(8) = static_cast<u32>(__double_as_longlong(-0.0) >> 32);
  ROW(9) = __longlong_as_double(0x4008000000000000ll) == 3.0;
  ROW(10) = static_cast<u32>(min(-3, 2) + 10 * max(-3, 2) + 100 * static_cast<i32>(min(7u, 5u)));
  ROW(11) = static_cast<u32>(max(1ll << 40, 3ll) >> 40) + static_cast<u32>(min(1ull << 63, 9ull));
}

KERNEL(numbers, LanguageJob, 32) {
  const u32 t = threadIdx.x;
  const float a = NUMBER(t), b = NUMBER((t + 1) % 32);
  ROW(0) = __float_as_uint(fminf(a, b));
  ROW(1) = __float_as_uint(fmaxf(a, b));
  ROW(2) = __float_as_uint(fminf(b, a));
  ROW(3) = __float_as_uint(fmaxf(b, a));
  ROW(4) = __float_as_uint(rintf(t + 0.5f));
  ROW(5) = __float_as_uint(floorf(t - 16.5f));
  ROW(6) = __float_as_uint(static_cast<float>(rint(t + 0.5) + floor(0.5 - t)));
  ROW(7) = __float_as_uint(sqrtf(static_cast<float>(t)));
  ROW(8) = __float_as_uint(static_cast<float>(sqrt(static_cast<double>(t))));
  ROW(9) = __float_as_uint(fabsf(-0.0f) + static_cast<float>(fabs(-2.0)));
  ROW(10) = __float_as_uint(__ldg(&NUMBER(t)));
  ROW(11) = __float_as_uint(__uint_as_float(2 * t) * 0.5f);  // denormals
}

KERNEL(atomics, LanguageJob, 32) {
  const u32 t = threadIdx.x;
  u32* words = reinterpret_cast<u32*>(job->output) + 32 * 12;
  atomicAdd(&words[0], t);
  atomicAdd(reinterpret_cast<i32*>(&words[1]), -static_cast<i32>(t));
  atomicAdd(reinterpret_cast<u64*>(&words[2]), static_cast<u64>(t) << 32);
  atomicAdd(reinterpret_cast<float*>(&words[4]), 0.5f);
  atomicOr(&words[5], 1u << t);
  if (t == 0) words[6] = 0xffffu;
  __syncthreads();
  atomicAnd(&words[6], ~(1u << (t & 7)));
  atomicMin(reinterpret_cast<i32*>(&words[7]), 4 - static_cast<i32>(t));
  atomicMax(reinterpret_cast<i32*>(&words[8]), 4 - static_cast<i32>(t));
  atomicMin(&words[9], t - 1);
  atomicMax(&words[10], t - 1);
  ROW(0) = atomicCAS(&words[11], 0u, 9u) == 0;
  ROW(1) = atomicCAS(reinterpret_cast<u64*>(&words[12]), 0ull, 1ull << 40) == 0;
  ROW(2) = atomicAdd(&words[14], 1u);
  ROW(3) = atomicExch(&words[15], t + 1);
  __threadfence();
}

KERNEL(dynamic, LanguageJob, 32) {
  DYNAMIC_SHARED(u64, tile);
  const u32 t = threadIdx.x;
  tile[t] = t;
  __syncthreads();
  ROW(0) = static_cast<u32>(tile[31 - t]);
}
"""

NAN = np.array(0x7FC00123, np.uint32).view(np.float32)


def of_floats(values):
    return np.asarray(values, np.float32).view(np.uint32)


def run(tmp_path, kernel, order='forward', numbers=None, shared_bytes=0):
    """Return what a kernel of SOURCE writes, uint32[16, 32]."""
    (tmp_path / 'language.cu').write_text(SOURCE)
    device = CpuDevice(order, 4, folder=tmp_path)
    device.load(['language'])
    output, source, job = (device.allocate(size) for size in (16 * 128, 128, 16))
    if numbers is not None:
        device.view(source, np.uint32, (32,), 0)[:] = of_floats(numbers)
    device.view(job, np.uint64, (2,), 0)[:] = (output.address, source.address)
    launch = Launch(f'language.{kernel}', 1, 32, shared_bytes)
    device.execute(Program(job.address, (Clear(output.address, 16 * 128), launch)))
    return device.view(output, np.uint32, (16, 32), 0).copy()


@pytest.mark.parametrize('order', ORDERS)
def test_warp_operations_move_values_between_lanes(tmp_path, order):
    rows = run(tmp_path, 'warp', order)
    assert set(rows[0]) == {sum(1 << k for k in range(0, 32, 3))}
    assert set(rows[1]) == {2}  # nobody is 40, somebody is 4
    assert set(rows[2]) == {1}  # all are below 32, one is 31
    tens = [0x3FF, 0x3FF << 10, 0x3FF << 20, 3 << 30]
    assert list(rows[3]) == [tens[t // 10] for t in LANES]
    assert list(rows[4]) == [(t + 5) % 32 for t in LANES]
    assert list(rows[5]) == [t // 8 * 8 + 2 for t in LANES]
    assert list(rows[6]) == [t - 3 if t >= 3 else t for t in LANES]
    assert list(rows[7]) == [t - 3 if t % 16 >= 3 else t for t in LANES]
    assert list(rows[8]) == [t + 3 if t + 3 < 32 else t for t in LANES]
    assert list(rows[9]) == [t + 3 if t % 16 + 3 < 16 else t for t in LANES]
    assert list(rows[10]) == [t ^ 5 for t in LANES]
    # 9 = 8 + 1 leads into the neighbouring segment of 8: an earlier one is read, a later one not.
    assert list(rows[11]) == [t ^ 9 if (t ^ 9) < t // 8 * 8 + 8 else t for t in LANES]
    assert set(rows[12]) == {3}
    assert set(rows[13]) == {6}
    assert list(rows[14]) == [0x55555555 << (t % 2) for t in LANES]


def test_bits_are_counted_and_moved(tmp_path):
    rows = run(tmp_path, 'bits')
    assert list(rows[0]) == list(LANES)
    assert list(rows[1]) == list(31 - LANES)
    assert list(rows[2]) == list(LANES + 1)
    assert list(rows[3]) == list(2 * LANES)
    assert list(rows[4]) == list(63 - 2 * LANES)
    assert list(rows[5]) == list(2 * LANES + 1)
    assert set(rows[6]) == {32 + 100 * 64}
    assert list(rows[7]) == list(0x7FC00000 + LANES)
    assert set(rows[8]) == {0x80000000}
    assert set(rows[9]) == {1}
    assert set(rows[10]) == {-3 + 20 + 500}
    assert set(rows[11]) == {1 + 9}


def test_the_lesser_of_two_numbers_is_as_in_ptx(tmp_path):
    numbers = [0.0, -0.0, NAN, 1.0, 2.0, NAN, -NAN, *np.linspace(-5, 5, 25)]
    rows = run(tmp_path, 'numbers', numbers=numbers)
    zero, minus, one, two = of_floats([0.0, -0.0, 1.0, 2.0])
    nan = 0x7FFFFFFF  # whatever the bits of the two
    for least, greatest in ((rows[0], rows[1]), (rows[2], rows[3])):
        assert list(least[:6]) == [minus, minus, one, one, two, nan]
        assert list(greatest[:6]) == [zero, minus, one, two, two, nan]
        pairs = np.array([numbers, [*numbers[1:], numbers[0]]], np.float32)[:, 7:31]
        assert (least[7:31] == of_floats(pairs.min(axis=0))).all()
        assert (greatest[7:31] == of_floats(pairs.max(axis=0))).all()


def test_rounding_and_roots_are_those_of_ieee(tmp_path):
    rows = run(tmp_path, 'numbers', numbers=LANES)
    assert list(rows[4]) == list(of_floats([(t + 1) // 2 * 2 for t in LANES]))  # half to even
    assert list(rows[5]) == list(of_floats(LANES - 17))
    assert list(rows[6]) == list(of_floats([(t + 1) // 2 * 2 - t for t in LANES]))
    assert list(rows[7]) == list(of_floats(np.sqrt(LANES.astype(np.float32))))
    assert list(rows[8]) == list(of_floats(np.sqrt(LANES)))
    assert set(rows[9]) == set(of_floats([2.0]))
    assert list(rows[10]) == list(of_floats(LANES))
    assert list(rows[11]) == list(LANES)


@pytest.mark.parametrize('order', ORDERS)
def test_atomics_give_back_what_was_there(tmp_path, order):
    rows = run(tmp_path, 'atomics', order)
    words = rows[12].view(np.int32)
    assert list(words[:2]) == [496, -496]
    assert list(words[2:4]) == [0, 496]  # a carry into the upper half
    assert words[4:5].view(np.float32) == 16.0
    assert list(rows[12][5:7]) == [FULL, 0xFF00]
    assert list(words[7:9]) == [-27, 4]
    assert list(rows[12][9:11]) == [0, FULL]
    assert rows[12][11] == 9
    assert rows[12][12:14].view(np.uint64) == 1 << 40
    assert sum(rows[0]) == sum(rows[1]) == 1  # one thread found it empty
    assert sorted(rows[2]) == list(LANES)
    assert sorted([*rows[3], rows[12][15]]) == [0, *(LANES + 1)]


@pytest.mark.parametrize('order', ORDERS)
def test_dynamic_shared_memory_is_of_the_block(tmp_path, order):
    assert list(run(tmp_path, 'dynamic', order, shared_bytes=256)[0]) == list(31 - LANES)
