# Copyright 2026 the robocache_ros authors
# SPDX-License-Identifier: Apache-2.0
"""
The NumPy backend is a specification: only operations whose bits are the same everywhere.

Numerics rule 1: + - * / sqrt floor rint, compare, min and max, casts, take, sort, and sums of
integers. Everything else depends on a library, on its version, or on the order it adds in.
"""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[2] / 'robocache_ros'
FILES = sorted(
    path
    for pattern in (
        'backends/numpy_*.py',
        'motion/*.py',
        'grid.py',
        'cloud_features.py',
        'batch.py',
    )
    for path in PACKAGE.glob(pattern)
)

BANNED = {
    'products by BLAS or in an order of its own': (
        'dot vdot inner outer matmul einsum einsum_path tensordot linalg norm kron cross convolve '
        'correlate trace polyfit polyval vecdot matvec vecmat'
    ),
    'a float reduction, added in an order of its own': (
        'mean nanmean average std nanstd var nanvar nansum nanprod nancumsum median nanmedian '
        'quantile percentile nanquantile nanpercentile trapz trapezoid fsum sumprod cov corrcoef '
        'gradient'
    ),
    'a rule of its own': 'interp unwrap logspace geomspace histogram histogram2d histogramdd fft',
    'a math library': (
        'power float_power exp exp2 expm1 log log2 log10 log1p logaddexp logaddexp2 sin cos tan '
        'arcsin arccos arctan arctan2 asin acos atan atan2 sinh cosh tanh arcsinh arccosh '
        'arctanh asinh acosh atanh hypot cbrt sinc erf erfc gamma lgamma i0 dist comb fma pow'
    ),
}
REASONS = {name: reason for reason, names in BANNED.items() for name in names.split()}
# Sums are exact in integers only, so the type they are made in has to be written down.
SUMS = ('sum', 'cumsum', 'prod', 'cumprod', 'reduceat')
INTEGERS = ('int64', 'uint64', 'int32', 'uint32', 'uint16', 'intp')


def complaints(source):
    """What `source` does that a specification may not, as 'line: what: why'."""
    found = []
    for node in ast.walk(ast.parse(source)):
        for name, why in violations(node):
            found.append(f'{node.lineno}: {name}: {why}')
    return found


def violations(node):
    if isinstance(node, ast.Attribute) and node.attr in REASONS:
        yield node.attr, REASONS[node.attr]
    elif isinstance(node, (ast.Import, ast.ImportFrom)):
        for alias in node.names:
            for part in alias.name.split('.'):
                if part in REASONS:
                    yield part, REASONS[part]
    elif isinstance(node, (ast.BinOp, ast.AugAssign)):
        if isinstance(node.op, ast.MatMult):
            yield '@', REASONS['matmul']
        elif isinstance(node.op, ast.Pow) and not is_power_of_two(node):
            yield '**', REASONS['power']
    elif isinstance(node, ast.Call):
        yield from call_violations(node)


def call_violations(call):
    name = ast.unparse(call.func)
    if name == 'pow':
        yield name, REASONS['power']
    last = name.rpartition('.')[2]
    is_sum = last in SUMS or name.endswith(('add.reduce', 'add.accumulate', 'add.at'))
    if isinstance(call.func, ast.Attribute) and is_sum and not has_integer_dtype(call):
        yield name, f'write dtype=np. {" or ".join(INTEGERS)}: sums are exact in integers only'


def is_power_of_two(node):
    """Tell whether this is a number as in 2.0**-18, which is exact and computed once."""
    if not isinstance(node, ast.BinOp):
        return False
    try:
        base, exponent = ast.literal_eval(node.left), ast.literal_eval(node.right)
    except ValueError:
        return False
    return base == 2 and isinstance(exponent, int)


def has_integer_dtype(call):
    return any(
        keyword.arg == 'dtype'
        and isinstance(keyword.value, ast.Attribute)
        and keyword.value.attr in INTEGERS
        for keyword in call.keywords
    )


@pytest.mark.parametrize('path', FILES, ids=lambda path: path.name)
def test_the_specification_uses_only_operations_with_the_same_bits_everywhere(path):
    assert complaints(path.read_text()) == []


def test_all_parts_of_the_specification_are_looked_at():
    names = {path.name for path in FILES}
    assert {'numpy_resample.py', 'numpy_slerp.py', 'numpy_images.py', 'grid.py'} <= names


@pytest.mark.parametrize(
    'planted',
    [
        'np.dot(a, b)',
        'a.dot(b)',
        'a @ b',
        'a @= b',
        'np.einsum("ij,j", a, b)',
        'np.linalg.norm(a)',
        'from numpy.linalg import norm',
        'from math import atan2',
        'import numpy.fft',
        'a.mean(axis=0)',
        'np.mean(a)',
        'np.average(a)',
        'a.sum()',
        'np.sum(a, axis=0)',
        'a.sum(dtype=np.float64)',
        'np.cumsum(a)',
        'np.add.reduce(a)',
        'np.add.reduceat(a, edges)',
        'np.add.at(a, index, 1.0)',
        'np.interp(t, times, values)',
        'np.power(a, 2)',
        'a ** 2',
        'a **= 2',
        '2.0 ** a',
        '10 ** -3',
        'pow(a, 2)',
        'np.sin(a)',
        'math.exp(x)',
        'np.arctan2(y, x)',
        'sine = np.sin',
    ],
)
def test_a_planted_offence_is_found(planted):
    assert len(complaints(f'x = 1\n{planted}\n')) >= 1


@pytest.mark.parametrize(
    'allowed',
    [
        'a * b + c / d - e',
        'np.sqrt(a); np.floor(a); np.rint(a); np.abs(a)',
        'np.add.reduce(a, axis=0, dtype=np.int64)',
        'a.sum(dtype=np.int64)',
        'np.add.reduceat(a, edges, dtype=np.int64)',
        'np.bincount(rank, weights=steps)',
        'a.max(); np.minimum.reduce(a); np.minimum.at(a, index, b)',
        'STEP = 2.0**-18',
        'a.take(index); np.sort(a); a.astype(np.float32)',
        'mean = total / count',
    ],
)
def test_what_is_exact_everywhere_may_be_used(allowed):
    assert complaints(allowed) == []
