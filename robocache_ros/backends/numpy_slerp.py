# Copyright 2026 the robocache_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Spherical interpolation of quaternions without a math library, so that bits agree anywhere."""

from __future__ import annotations

from typing import TypeVar

import numpy as np
import numpy.typing as npt

from robocache_ros.samples import FloatArray

_Float64Array = npt.NDArray[np.float64]
_Number = TypeVar('_Number', float, _Float64Array)

# atan(x) = x * (A0 + A1 x^2 + A2 x^4 ...) to x^21, for x <= tan(pi / 16)
ATAN = (
    1.0,
    -1.0 / 3.0,
    1.0 / 5.0,
    -1.0 / 7.0,
    1.0 / 9.0,
    -1.0 / 11.0,
    1.0 / 13.0,
    -1.0 / 15.0,
    1.0 / 17.0,
    -1.0 / 19.0,
    1.0 / 21.0,
)
# sin(x) = x * (S0 + S1 x^2 + S2 x^4 ...) to x^21, for x <= pi / 2; the divisors are 3! .. 21!
SIN = (
    1.0,
    -1.0 / 6.0,
    1.0 / 120.0,
    -1.0 / 5040.0,
    1.0 / 362880.0,
    -1.0 / 39916800.0,
    1.0 / 6227020800.0,
    -1.0 / 1307674368000.0,
    1.0 / 355687428096000.0,
    -1.0 / 121645100408832000.0,
    1.0 / 51090942171709440000.0,
)


def slerp(first: FloatArray, second: FloatArray, weight: FloatArray) -> FloatArray:
    """
    Unit quaternions [n, 4] between `first` and `second` [n, 4] at `weight` [n] in 0..1.

    The order of x y z w only has to be the same everywhere. Goes the short way round. Squared
    norms are taken to lie in 0.5..2: at weight 0 the result is `first` divided by its norm.
    """
    mixed = slerp_columns(first.T.astype(np.float64), second.T.astype(np.float64), weight)
    return np.ascontiguousarray(mixed.T, np.float32)


def slerp_columns(
    q0: _Float64Array, q1: _Float64Array, weight: FloatArray | _Float64Array
) -> _Float64Array:
    """Interpolate whole columns [4, n] in float64; `slerp` rounds this to float32."""
    w = weight.astype(np.float64)
    q1 = q1 * np.where(_pairwise(q0 * q1) < 0.0, -1.0, 1.0)
    theta = 2.0 * _atan(_norm(q1 - q0) / _norm(q1 + q0))
    # sin(0) / sin(0) has no value; its limit is the weights themselves.
    parts = np.stack((1.0 - w, w))  # [2, n]
    parts = np.where(theta == 0.0, parts, odd_series(parts * theta, SIN))
    mixed: _Float64Array = parts[0] * q0 + parts[1] * q1
    mixed /= _norm(mixed)
    return mixed


def squared_norm(q: _Float64Array) -> _Float64Array:
    """Squared norm [...] of float64 quaternions [..., 4], summed in the order all of us use."""
    return _pairwise(np.moveaxis(q * q, -1, 0))


def _pairwise(columns: _Float64Array) -> _Float64Array:
    """(c0 + c1) + (c2 + c3) of [4, ...]; the order is part of the result."""
    total: _Float64Array = (columns[0] + columns[1]) + (columns[2] + columns[3])
    return total


def _norm(q: _Float64Array) -> _Float64Array:
    norm: _Float64Array = np.sqrt(_pairwise(q * q))
    return norm


def _atan(ratio: _Float64Array) -> _Float64Array:
    """Arc tangent for 0..1: two halvings of the angle, then the series."""
    for _ in range(2):
        ratio = ratio / (1.0 + np.sqrt(1.0 + ratio * ratio))
    return 4.0 * odd_series(ratio, ATAN)


def odd_series(x: _Number, coefficients: tuple[float, ...]) -> _Number:
    """Sum x * (c0 + c1 x^2 + c2 x^4 ...) by Horner, a rounding after every operation."""
    square = x * x
    total = square * coefficients[-1]
    for coefficient in coefficients[-2:0:-1]:
        total += coefficient
        total *= square
    total += coefficients[0]
    total *= x
    return total
