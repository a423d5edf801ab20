# Copyright 2026 the robocache_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Spherical interpolation against angles known by hand, long double and scipy."""

from __future__ import annotations

import math

import numpy as np
import pytest

from robocache_ros.backends.numpy_slerp import ATAN, SIN, slerp, slerp_columns
from robocache_ros.resampling import Stream

pytestmark = pytest.mark.filterwarnings('error')

IDENTITY = (0, 0, 0, 1)


def about_z(degrees):
    half = math.radians(degrees) / 2
    return (0, 0, math.sin(half), math.cos(half))


def between(first, second, weight):
    rows = [np.array([q], np.float32) for q in (first, second)]
    return slerp(*rows, np.array([weight], np.float32))[0]


def random_pairs(n, seed=0):
    rng = np.random.default_rng(seed)
    q = rng.standard_normal((2, n, 4))
    q /= np.linalg.norm(q, axis=2, keepdims=True)
    return q[0].astype(np.float32), q[1].astype(np.float32), rng.random(n, dtype=np.float32)


@pytest.mark.parametrize('angle', [0, 1e-3, 10, 90, 120, 179])
@pytest.mark.parametrize('weight', [0, 0.25, 0.5, 1])
def test_turns_about_one_axis_at_constant_rate(angle, weight):
    found = between(IDENTITY, about_z(angle), weight)
    np.testing.assert_allclose(found, about_z(angle * weight), rtol=0, atol=6e-8)


def test_goes_the_short_way_round():
    # 270 degrees about z is the same turn as -90: half of it is -45.
    found = between(IDENTITY, about_z(270), 0.5)
    np.testing.assert_allclose(found, about_z(-45), rtol=0, atol=6e-8)


def test_a_quaternion_and_its_negative_are_one_orientation():
    first, second, weight = random_pairs(100)
    plain = slerp(first, second, weight)
    assert slerp(first, -second, weight).tobytes() == plain.tobytes()


def test_equal_quaternions_give_themselves_at_every_weight():
    q = np.array([[0.5, -0.5, 0.5, -0.5]] * 3, np.float32)
    assert slerp(q, q, np.array([0, 0.3, 1], np.float32)).tolist() == q.tolist()
    assert slerp(q, -q, np.array([0, 0.3, 1], np.float32)).tolist() == q.tolist()


def test_a_half_turn_apart_is_defined():
    found = between(IDENTITY, (1, 0, 0, 0), 0.5)  # their product is exactly 0: no negation
    np.testing.assert_allclose(found, [math.sqrt(0.5), 0, 0, math.sqrt(0.5)], rtol=0, atol=6e-8)


def test_the_smallest_difference_does_not_divide_by_zero():
    tiny = np.float32(1e-45)
    assert between(IDENTITY, (tiny, 0, 0, 1), 0.5).tolist() == [0, 0, 0, 1]


def test_results_have_unit_length_though_inputs_have_not():
    first, second, weight = random_pairs(200)
    found = slerp(first * np.float32(1.3), second * np.float32(0.8), weight)
    norm = np.linalg.norm(found.astype(np.float64), axis=1)
    np.testing.assert_allclose(norm, 1, rtol=0, atol=1e-7)


def test_coefficients_are_those_of_the_series():
    assert [round(1 / c) for c in ATAN] == [1, -3, 5, -7, 9, -11, 13, -15, 17, -19, 21]
    signed = [math.factorial(2 * k + 1) * (1 - 2 * (k % 2)) for k in range(11)]
    assert [1 / c for c in signed] == list(SIN)


def test_float64_result_is_within_rounding_of_long_double():
    # Before the cast to float32, which would hide a small mistake in the series.
    long = np.longdouble
    if np.finfo(long).eps > 1e-18:
        pytest.skip('no extended precision on this machine')
    first, second, weight = random_pairs(20_000, seed=3)
    q0, q1, w = first.astype(long), second.astype(long), weight.astype(long)[:, None]
    q1 = np.where((q0 * q1).sum(axis=1, keepdims=True) < 0, -q1, q1)
    length = [np.sqrt(((q1 + sign * q0) ** 2).sum(axis=1, keepdims=True)) for sign in (-1, 1)]
    theta = 2 * np.arctan2(*length)
    exact = np.sin((1 - w) * theta) * q0 + np.sin(w * theta) * q1
    exact /= np.sqrt((exact**2).sum(axis=1, keepdims=True))
    found = slerp_columns(first.T.astype(float), second.T.astype(float), weight).T
    assert np.abs(found - exact).max() < 6e-16


def test_float64_result_has_the_bits_of_the_rule_read_literally():
    first, second, weight = random_pairs(5000, seed=4)
    expected = slerp_literally(first, second, weight)
    found = slerp_columns(first.T.astype(float), second.T.astype(float), weight).T
    assert (found == expected).all()
    assert (slerp(first, second, weight) == expected.astype(np.float32)).all()


def slerp_literally(first, second, weight):
    """The same steps as numerics rule 7, column by column, on Python's own floats."""
    out = []
    for (x0, y0, z0, w0), (x1, y1, z1, w1), w in zip(
        first.tolist(), second.tolist(), weight.tolist(), strict=True
    ):
        if (x0 * x1 + y0 * y1) + (z0 * z1 + w0 * w1) < 0:
            x1, y1, z1, w1 = -x1, -y1, -z1, -w1
        r = norm(x1 - x0, y1 - y0, z1 - z0, w1 - w0) / norm(x1 + x0, y1 + y0, z1 + z0, w1 + w0)
        for _ in range(2):
            r = r / (1 + math.sqrt(1 + r * r))
        theta = 8 * series(r, ATAN)
        s0, s1 = series((1 - w) * theta, SIN), series(w * theta, SIN)
        q = (s0 * x0 + s1 * x1, s0 * y0 + s1 * y1, s0 * z0 + s1 * z1, s0 * w0 + s1 * w1)
        out.append([c / norm(*q) for c in q])
    return np.array(out)


def norm(x, y, z, w):
    return math.sqrt((x * x + y * y) + (z * z + w * w))


def series(x, coefficients):
    total = coefficients[-1]
    for coefficient in coefficients[-2::-1]:
        total = total * (x * x) + coefficient
    return total * x


def test_resampling_agrees_with_scipy_slerp(resample):
    spatial = pytest.importorskip('scipy.spatial.transform')
    rng = np.random.default_rng(5)
    times = np.sort(rng.choice(10**9, 50, replace=False))
    rotations = spatial.Rotation.random(50, random_state=6)
    targets = rng.integers(times[0], times[-1], 400)
    q = rotations.as_quat().astype(np.float32)
    found = resample(Stream(times[None], q[None], 'slerp', 10**9), targets[None])
    expected = spatial.Slerp(times, rotations)(targets)
    apart = (spatial.Rotation.from_quat(found.values[0]) * expected.inv()).magnitude()
    assert apart.max() < 1e-6
    assert found.valid.all()


def test_held_and_hit_orientations_are_the_normalised_sample(resample):
    times = np.array([[0, 100, 200]])
    q = np.array([[about_z(0), about_z(90), about_z(180)]], np.float32)
    targets = np.array([[-5, 100, 140, 160, 205]])
    found = resample(Stream(times, q, 'slerp', 99), targets)
    expected = [about_z(angle) for angle in (0, 90, 90, 180, 180)]
    np.testing.assert_allclose(found.values[0], expected, rtol=0, atol=6e-8)
    assert found.valid.tolist() == [[False, True, False, False, False]]
    assert found.lower.tolist() == found.upper.tolist() == [[0, 1, 1, 2, 2]]
