# Copyright 2026 the robocache_ros authors
# SPDX-License-Identifier: Apache-2.0
"""16-bit floats: every one widens exactly, and every rounding is to nearest even."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from robocache_ros.backends.numpy_half import narrow, widen
from robocache_ros.resampling import Stream

pytestmark = pytest.mark.filterwarnings('error')

ALL_BITS = np.arange(2**16, dtype=np.uint16)


def bfloat16_values():
    """All finite bfloat16 bits and the numbers they stand for, from sign, exponent, fraction."""
    bits = ALL_BITS[(ALL_BITS & 0x7F80) != 0x7F80]
    sign = np.where(bits >> 15, -1.0, 1.0)
    exponent = ((bits >> 7) & 0xFF).astype(np.int64)
    fraction = (bits & 0x7F).astype(np.float64)
    normal = np.ldexp(1 + fraction / 128, exponent - 127)
    return bits, sign * np.where(exponent == 0, np.ldexp(fraction / 128, -126), normal)


def finite_float16():
    values = ALL_BITS.view(np.float16)
    return values[np.isfinite(values)]


def test_every_bfloat16_widens_to_the_number_it_stands_for():
    bits, numbers = bfloat16_values()
    assert (widen(bits, 'bfloat16') == numbers).all()


def test_every_float16_widens_to_the_number_it_stands_for():
    values = finite_float16()
    assert (widen(values, 'float16') == values.astype(np.float64)).all()


def test_every_16_bit_float_survives_there_and_back():
    bits, _ = bfloat16_values()
    assert (narrow(widen(bits, 'bfloat16'), 'bfloat16') == bits).all()
    values = finite_float16()
    assert narrow(widen(values, 'float16'), 'float16').tobytes() == values.tobytes()


@pytest.mark.parametrize('number', [2.0**-24, 2.0**-14, 1.0, 1.0 + 2**-10, 2.0**15])
def test_float16_between_two_neighbours(number):
    low = np.float16(number)
    high = np.nextafter(low, np.float16(np.inf))
    middle = (np.float32(low) + np.float32(high)) / np.float32(2)
    even = low if low.view(np.uint16) % 2 == 0 else high
    assert narrow(np.array([middle]), 'float16')[0] == even
    assert narrow(np.nextafter(middle[None], np.float32(0)), 'float16')[0] == low
    assert narrow(np.nextafter(middle[None], np.float32(np.inf)), 'float16')[0] == high


@pytest.mark.parametrize(
    ('value', 'bits'),
    [
        (1.0, 0x3F80),
        (-2.0, 0xC000),
        (1.0 + 2**-8, 0x3F80),  # half way, down to even
        (1.0 + 3 * 2**-8, 0x3F82),  # half way, up to even
        (1.0 + 2**-8 + 2**-23, 0x3F81),
        (2.0 - 2**-23, 0x4000),  # the carry reaches the exponent
    ],
)
def test_bfloat16_roundings_by_hand(value, bits):
    assert narrow(np.array([value], np.float32), 'bfloat16').tolist() == [bits]


@pytest.mark.parametrize(
    ('value', 'expected'),
    [(65504, 65504), (65519.996, 65504), (65520, np.inf), (-1e38, -np.inf), (2.0**-25, 0)],
)
def test_float16_at_the_ends_of_its_range(value, expected):
    assert narrow(np.array([value], np.float32), 'float16')[0] == np.float16(expected)


@settings(max_examples=100, deadline=None)
@given(st.integers(0, 2**32))
def test_float16_rounds_as_numpy_does(seed):
    bits = np.random.default_rng(seed).integers(0, 2**32, 2000, dtype=np.uint32)
    bits = bits[(bits & 0x7F800000) != 0x7F800000]
    values = bits.view(np.float32)
    # Mix the whole range of float32 with one where float16 has digits.
    values = np.concatenate(
        (values, np.ldexp(np.frexp(values)[0], bits.astype(np.int32) % 42 - 26))
    )
    values = values.astype(np.float32)
    with np.errstate(over='ignore', under='ignore'):
        expected = values.astype(np.float16)
    assert narrow(values, 'float16').tobytes() == expected.tobytes()


def test_bfloat16_rounds_as_torch_does():
    torch = pytest.importorskip('torch')
    values = np.random.default_rng(0).integers(0, 2**32, 100_000, dtype=np.uint32).view(np.float32)
    values = values[np.isfinite(values)]
    expected = torch.from_numpy(values).bfloat16().view(torch.int16).numpy().view(np.uint16)
    assert narrow(values, 'bfloat16').tobytes() == expected.tobytes()
    wide = torch.from_numpy(expected.view(np.int16)).view(torch.bfloat16).float().numpy()
    assert widen(expected, 'bfloat16').tobytes() == wide.tobytes()


@pytest.mark.parametrize('dtype', ['float16', 'bfloat16'])
@pytest.mark.parametrize('rule', ['linear', 'hold', 'nearest'])
@pytest.mark.parametrize('samples', [3, 40])  # fewer samples than targets, and more
def test_16_bit_samples_resample_like_the_same_numbers_in_float32(resample, dtype, rule, samples):
    rng = np.random.default_rng(samples)
    times = np.arange(0, 10 * samples, 10, dtype=np.int64)[None]
    stored = narrow(rng.standard_normal((1, samples, 5)).astype(np.float32), dtype)
    targets = rng.integers(-5, 10 * samples, (1, 9))
    plain = resample(Stream(times, widen(stored, dtype), rule, 100), targets)
    found = resample(Stream(times, stored, rule, 100, dtype), targets)
    assert found.values.tobytes() == plain.values.tobytes()


@pytest.mark.parametrize(('dtype', 'held'), [('float16', np.float16), ('bfloat16', np.uint16)])
def test_a_16_bit_result_is_the_float32_result_rounded(resample, fuse, dtype, held):
    rng = np.random.default_rng(1)
    times = np.array([[0, 10, 30], [5, 6, 9]])
    stream = Stream(times, rng.standard_normal((2, 3, 4)).astype(np.float32), 'linear', 100)
    targets = np.array([[3, 14, 29], [5, 7, 8]])
    wide = fuse([stream, stream], targets)
    half = fuse([stream, stream], targets, out_dtype=dtype)
    assert half.values.dtype == held
    assert half.values.tobytes() == narrow(wide.values, dtype).tobytes()
    single = resample(stream, targets, out_dtype=dtype)
    assert single.values.tobytes() == narrow(wide.values[..., :4], dtype).tobytes()
