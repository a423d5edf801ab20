# Copyright 2026 the robocache_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Resampling by the kernel, in any order of threads, gives the bits of the NumPy backend."""

from __future__ import annotations

import functools
import re

import numpy as np
import pytest
from cpu_device import KERNELS, CpuDevice
from devices import EACH_KIND, device, fixtures

from robocache_ros.backends import numpy_resample, numpy_slerp
from robocache_ros.backends.cuda.device import Launch, Limits, OverLimit, Program
from robocache_ros.backends.cuda.fusion import Fusion, FusionResults
from robocache_ros.backends.cuda.results import copied
from robocache_ros.backends.cuda.staging import Parcel, Staging
from robocache_ros.resampling import DTYPES, RULES, Stream

SEC = 1_000_000_000
EPOCH = 1_760_000_000 * SEC
BATCH = 3


@functools.cache
def fusion_on(name):
    return Fusion(Staging(device(name), Limits()))


def fusion_within(max_message_bytes):
    return Fusion(Staging(CpuDevice(), Limits(max_message_bytes=max_message_bytes)))


kernel, one_kernel = fixtures(fusion_on)


def stored(values, dtype):
    """Finite values as one of DTYPES; returns them and the name that a Stream needs."""
    if dtype == 'bfloat16':
        return (np.asarray(values, np.float32).view(np.uint32) >> 16).astype(np.uint16), dtype
    return np.asarray(values, dtype), None


def stream(samples, width, rule='linear', dtype='float32', *, batch=BATCH, seed=1, start=-SEC):
    """Samples of 10 ms on average with gaps up to 80 ms, and values of many sizes."""
    rng = np.random.default_rng([seed, samples, width])
    times = start + np.cumsum(rng.integers(1, 20_000_000, (batch, samples)), axis=1)
    times[:, samples // 2 :] += 70_000_000
    values = rng.standard_normal((batch, samples, width)) * 2.0 ** rng.integers(-20, 9)
    if rule == 'slerp':
        values /= np.sqrt((values**2).sum(axis=2, keepdims=True))
    values, name = stored(values, dtype)
    return Stream(times, values, rule, 60_000_000, name)


def targets_for(streams, count=12):
    """Targets [B, count] in any order: at samples, beside them, in gaps and outside."""
    rng = np.random.default_rng(2)
    rows = []
    for b in range(len(streams[0].times)):
        known = np.concatenate([s.times[b] for s in streams] + [np.array([-SEC])])
        low, high = known.min() - 10**8, known.max() + 10**8
        chosen = rng.choice(known, count // 2) + rng.integers(-1, 2, count // 2)
        rows.append(np.append(chosen, rng.integers(low, high, count - count // 2)))
    return np.array(rows)


def assert_equal(found, expected):
    for name in expected._fields:
        a, b = getattr(found, name), getattr(expected, name)
        if isinstance(b, np.ndarray):
            assert (a.dtype, a.shape) == (b.dtype, b.shape), name
            assert a.tobytes() == b.tobytes(), name
        else:
            assert a == b, name


def check_resample(kernel, one, targets, out_dtype='float32'):
    found = kernel.resample(one, targets, out_dtype)
    assert_equal(found, numpy_resample.resample(one, targets, out_dtype=out_dtype))
    return found


def check_fuse(kernel, streams, targets, out_dtype='float32'):
    found = kernel.fuse(streams, targets, out_dtype)
    assert_equal(found, numpy_resample.fuse(streams, targets, out_dtype=out_dtype))
    return found


# -- rules ----------------------------------------------------------------------------------


@pytest.mark.parametrize('dtype', DTYPES)
@pytest.mark.parametrize('rule', RULES)
def test_every_rule_and_type_of_values(kernel, rule, dtype):
    one = stream(40, 4 if rule == 'slerp' else 7, rule, dtype)
    targets = targets_for([one], 30)
    for out_dtype in DTYPES:
        found = check_resample(kernel, one, targets, out_dtype)
    assert 0.2 < found.valid.mean() < 0.9  # the test is about something


@pytest.mark.parametrize('rule', RULES)
def test_hits_ties_gaps_of_just_max_gap_and_targets_outside(kernel, rule):
    times = np.array([[-1000, -900, -899, 0, 100, 201, 303]], np.int64)
    values = np.arange(28, dtype=np.float32).reshape(1, 7, 4) + 1
    values /= np.sqrt((values**2).sum(axis=2, keepdims=True))
    targets = np.arange(-1100, 420, 7)
    targets = np.append(targets, [50, 150, 151, 252, -950, -450, -449, *times[0]])[None]
    for gap in (0, 1, 50, 100, 101, 102, 10_000):
        check_resample(kernel, Stream(times, values, rule, gap), targets)


@pytest.mark.parametrize('rule', RULES)
@pytest.mark.parametrize('samples', [0, 1, 2])
def test_few_samples_or_none(kernel, samples, rule):
    one = stream(samples, 4, rule)
    check_resample(kernel, one, targets_for([one]))


@pytest.mark.parametrize('count', [0, 1])
def test_few_targets_or_none(kernel, count):
    streams = [stream(5, 3), stream(0, 4, 'slerp'), stream(1, 2, 'hold')]
    check_fuse(kernel, streams, np.full((BATCH, count), -SEC + 25_000_000))
    check_resample(kernel, streams[0], np.full((BATCH, count), -SEC + 25_000_000))


def test_times_of_today_and_as_far_away_as_they_may_be(kernel):
    one = stream(30, 3, start=EPOCH)
    check_resample(kernel, one, targets_for([one]))
    times = np.array([[-(2**62) + 1, -7, 2**62 - 2]])
    values = np.array([[[1.0], [2.0], [4.0]]], np.float32)
    targets = np.array([[-(2**62) + 1, -(2**61), -8, -7, -6, 3, 2**61 + 5, 2**62 - 1]])
    quaternions = np.array([[[0.1, 0.7, 0.1, 0.7], [0.6, 0.8, 0, 0], [0, 0, 1, 0]]], np.float32)
    for rule in RULES:
        for gap in (2**62 - 1, 2**61):
            one = Stream(times, quaternions if rule == 'slerp' else values, rule, gap)
            check_resample(kernel, one, targets)
            check_resample(kernel, one._replace(times=times // 2**61), targets)


# -- search ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    'samples', [31, 32, 33, 63, 64, 65, 255, 256, 257, 289, 511, 513, 8191, 8193, 9000, 300_000]
)
def test_the_sample_before_is_found_among_any_number(one_kernel, samples):
    times = np.arange(samples)[None] * 2 - 9
    values = np.arange(samples, dtype=np.float32).reshape(1, samples, 1)
    middle = np.random.default_rng(samples).integers(-12, 2 * samples, 60)
    targets = np.concatenate([np.arange(-12, 10), 2 * samples - np.arange(25), middle])[None]
    check_resample(one_kernel, Stream(times, values, 'linear'), targets)


# -- columns --------------------------------------------------------------------------------


@pytest.mark.parametrize('dtype', DTYPES)
def test_any_number_of_columns(one_kernel, dtype):
    for width in (1, 3, 4, 5, 31, 33, 127, 128, 129, 132, 512):
        one = stream(6, width, dtype=dtype, batch=2)
        for out_dtype in DTYPES:
            check_resample(one_kernel, one, targets_for([one], 4), out_dtype)


@pytest.mark.parametrize('out_dtype', DTYPES)
@pytest.mark.parametrize('odd', [0, 1])
def test_streams_lie_side_by_side_aligned_or_not(kernel, odd, out_dtype):
    streams = [
        stream(30, 128 + odd, dtype='bfloat16'),
        stream(9, 0, 'nearest'),
        stream(70, 8, 'nearest', 'float16'),
        stream(20, 4, 'slerp', 'float16'),
        stream(0, 4, 'slerp'),
        stream(0, 4),
        stream(1, 12 + odd, 'hold'),
    ]
    check_fuse(kernel, streams, targets_for(streams), out_dtype)


def test_more_strips_than_warps_of_a_block(kernel):
    streams = [stream(5, width, seed=width, batch=1) for width in range(1, 36)]
    check_fuse(kernel, streams, targets_for(streams, 3))


def test_more_rows_than_blocks(kernel):
    streams = [stream(5, 2, batch=2), stream(4, 4, 'slerp', batch=2)]
    check_fuse(kernel, streams, targets_for(streams, 40))


def test_arrays_with_strides(kernel):
    one = stream(40, 8)
    whole = one._replace(
        times=np.repeat(one.times, 2, axis=1)[:, ::2], values=one.values[..., ::2]
    )
    assert not whole.values.flags.c_contiguous
    targets = targets_for([one])
    check_fuse(kernel, [whole, one], np.repeat(targets, 2, axis=1)[:, ::2])


# -- 16-bit floats --------------------------------------------------------------------------


def held(kernel, values, name, out_dtype):
    """One sample with many columns, as it comes out."""
    one = Stream(np.zeros((1, 1), np.int64), values[None, None], 'hold', 1, name)
    return check_resample(kernel, one, np.zeros((1, 1), np.int64), out_dtype).values


def test_every_16_bit_float_is_widened_exactly(one_kernel):
    bits = np.arange(2**16, dtype=np.uint16)
    halves = bits[np.isfinite(bits.view(np.float16))].view(np.float16)
    found = held(one_kernel, halves, None, 'float32')
    assert (found == halves.astype(np.float32)).all()
    held(one_kernel, bits, 'bfloat16', 'float32')


def test_rounding_to_16_bits_from_all_exponents_at_and_beside_ties(one_kernel):
    exponent = np.arange(254, dtype=np.uint32)[:, None] << 23
    places = np.array([0, 1, 2, 0x1FFE, 0x2000, 0x3FFE, 0x7FFE, 0x8000, 0x7FFFFF, 0x3FF000])
    near = [0x0FFF, 0x1000, 0x1001, 0x2FFF, 0x3000, 0x3001, 0x7FFF, 0x17FFF, 0x18000, 0x18001]
    size = (exponent | np.append(places, near).astype(np.uint32)).reshape(-1)
    values = np.append(size, size | np.uint32(0x80000000)).view(np.float32)
    for out_dtype in ('float16', 'bfloat16'):
        found = held(one_kernel, values, None, out_dtype)
    with np.errstate(over='ignore'):  # NumPy's own rounding says the same
        assert (held(one_kernel, values, None, 'float16') == values.astype(np.float16)).all()
    assert found.dtype == np.uint16


# -- slerp ----------------------------------------------------------------------------------

PROBE = r"""
#include "slerp.cuh"

struct Probe {
  u64 first;    // double[n][4], as all of them
  u64 second;
  u64 weights;  // double[n]
  u64 mixed;
  i64 n;        // a multiple of 8
};

KERNEL(probe, Probe, 32) {
  for (i64 i = FIRST; i < 4 * job->n; i += STRIDE) {
    reinterpret_cast<double*>(job->mixed)[i] =
        slerp(reinterpret_cast<const double*>(job->first)[i],
              reinterpret_cast<const double*>(job->second)[i],
              reinterpret_cast<const double*>(job->weights)[i / 4]);
  }
}
"""


def quaternion_pairs(n):
    """float32 pairs [n, 4]: any, near, equal, opposite, nearly opposite, long and short."""
    rng = np.random.default_rng(11)
    first = rng.standard_normal((n, 4))
    first /= np.sqrt((first**2).sum(axis=1, keepdims=True))
    second = rng.standard_normal((n, 4))
    second /= np.sqrt((second**2).sum(axis=1, keepdims=True))
    second[::7] = first[::7] + second[::7] * 1e-4
    second[1::7] = first[1::7]
    second[2::7] = -first[2::7]
    second[3::7] = second[3::7] * 1e-3 - first[3::7]
    first[4::7] *= 1.3
    second[5::7] *= 0.8
    return first.astype(np.float32), second.astype(np.float32)


def test_slerp_agrees_in_float64_where_a_contraction_would_show(tmp_path):
    n = 2000
    (tmp_path / 'probe.cu').write_text(PROBE)
    cpu = CpuDevice(folder=tmp_path)
    cpu.load(['probe'])
    staging = Staging(cpu, Limits())
    first, second = quaternion_pairs(n)
    weight = np.random.default_rng(3).random(n).astype(np.float32)
    weight[:3] = (0, 1, 0.5)
    parcel = Parcel([('a', 'u8'), ('b', 'u8'), ('w', 'u8'), ('mixed', 'u8'), ('n', 'i8')])
    offsets = [parcel.add(array.astype(np.float64)) for array in (first, second, weight)]
    mixed = cpu.allocate(n * 32)
    base = staging.reserve(parcel)
    parcel.job['a'], parcel.job['b'], parcel.job['w'] = (base + offset for offset in offsets)
    parcel.job['mixed'], parcel.job['n'] = mixed.address, n
    staging.send(parcel)
    staging.run(Program(base, (Launch('probe.probe', 4, 32),)))
    expected = numpy_slerp.slerp_columns(
        first.T.astype(np.float64), second.T.astype(np.float64), weight
    )
    assert mixed.array.view(np.float64).reshape(n, 4).tobytes() == expected.T.tobytes()


def test_quaternions_of_all_kinds(kernel):
    first, second = quaternion_pairs(70)
    values = np.stack((first, second), axis=1)  # [70, 2, 4]: a batch of 70
    times = np.tile([0, 1000], (70, 1))
    targets = np.tile([-1, 0, 1, 333, 500, 999, 1000, 1001], (70, 1))
    check_resample(kernel, Stream(times, values, 'slerp', 1000), targets)


@pytest.mark.parametrize('table', ['ATAN', 'SIN'])
def test_the_coefficients_of_the_kernel_are_those_of_numpy(table):
    source = (KERNELS / 'slerp.cuh').read_text()
    text = re.search(rf'const double {table}\[11\] = {{(.*?)}};', source, re.DOTALL)[1]
    numbers = []
    for term in text.replace('\n', ' ').split(','):
        if term.strip():
            over, _, under = term.partition('/')
            numbers.append(float(over) / float(under or 1))
    assert tuple(numbers) == getattr(numpy_slerp, table)


# -- memory, limits, programs ---------------------------------------------------------------


def test_samples_beyond_the_limit_are_for_numpy():
    one = stream(100, 30, batch=1)
    targets = targets_for([one], 10)
    kernel = fusion_within(12_000)
    with pytest.raises(OverLimit, match='bytes of samples and targets, the device takes 12000'):
        kernel.fuse([one], targets, 'float32')
    check_fuse(kernel, [one._replace(values=one.values[..., :5])], targets)


def test_results_beyond_the_limit_are_for_numpy():
    one = stream(2, 30, batch=1)
    kernel = fusion_within(12_000)
    with pytest.raises(OverLimit, match='bytes of results, the device takes 12000'):
        kernel.resample(one, targets_for([one], 150), 'float32')


def test_results_are_not_overwritten_by_later_calls(kernel):
    one, other = stream(20, 6), stream(20, 6, seed=9)
    targets = targets_for([one])
    first = kernel.fuse([one], targets, 'float32')
    resampled = kernel.resample(one, targets, 'float32')
    kernel.fuse([other], targets, 'float32')
    kernel.resample(other, targets, 'float32')
    assert_equal(first, numpy_resample.fuse([one], targets))
    assert_equal(resampled, numpy_resample.resample(one, targets))


@pytest.mark.parametrize('name', EACH_KIND)
def test_results_go_where_the_caller_says(name):
    streams = [stream(20, 6), stream(5, 2)]
    targets = targets_for(streams)
    results = FusionResults(streams, targets, 'float16')
    place = device(name).allocate_host
    memory = fusion_on(name).run(streams, targets, results, place)
    assert memory.nbytes >= results.nbytes
    expected = numpy_resample.fuse(streams, targets, out_dtype='float16')
    assert copied(memory, results.values).tobytes() == expected.values.tobytes()


def test_calls_of_similar_size_are_one_program():
    cpu = CpuDevice()
    kernel = Fusion(Staging(cpu, Limits()))
    for samples, count in ((20, 10), (31, 9), (7, 6)):
        streams = [stream(samples, 6), stream(samples, 130)]
        check_fuse(kernel, streams, targets_for(streams, count))
    assert len(cpu.programs) == 3
    assert len(set(cpu.programs)) == 1


# -- anything -------------------------------------------------------------------------------


def any_stream(rng, batch):
    """A few samples a few ns apart, of any rule and type."""
    rule, dtype = rng.choice(RULES), rng.choice(DTYPES)
    samples, width = rng.integers(0, 7), 4 if rule == 'slerp' else rng.integers(0, 10)
    times = rng.integers(-9, 10, (batch, 1)) + rng.integers(1, 7, (batch, samples)).cumsum(axis=1)
    values = rng.integers(-8, 9, (batch, samples, width)) * 2.0 ** rng.integers(-30, 12)
    if rule == 'slerp':
        values = np.array([0.5, -0.5, 0.5, 0.5]) * rng.choice([-1, 1], (batch, samples, width))
    values, name = stored(values, dtype)
    return Stream(times, values, str(rule), int(rng.integers(0, 8)), name)


def test_anything_small(kernel):
    for seed in range(150):
        rng = np.random.default_rng(seed)
        batch, count, out_dtype = rng.integers(1, 4), rng.integers(0, 6), rng.choice(DTYPES)
        streams = [any_stream(rng, batch) for _ in range(rng.integers(1, 5))]
        targets = rng.integers(-14, 45, (batch, count))
        check_fuse(kernel, streams, targets, str(out_dtype))
        check_resample(kernel, streams[0], targets, str(out_dtype))
