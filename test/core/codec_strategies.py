# Copyright 2026 the robocache_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Hypothesis strategies for tables and clouds, and the message around an encoded table."""

from __future__ import annotations

import array
import struct
from types import SimpleNamespace as Message

import numpy as np
from codec_messages import FORMATS, field, header
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

CODES = ('i1', 'u1', 'i2', 'u2', 'i4', 'u4', 'f4', 'f8', 'i8', 'u8', 'b1')
NAMES = st.text(st.characters(blacklist_categories=('Cs',)), min_size=1, max_size=8)


def as_message(table):
    """Message that a publisher would make of the table."""
    return Message(
        header=header(),
        height=1,
        width=table.n,
        fields=[field(*entry) for entry in table.fields],
        is_bigendian=False,
        point_step=table.point_step,
        row_step=table.n * table.point_step,
        data=array.array('B', table.data.tobytes()),
        is_dense=True,
    )


@st.composite
def tables(draw):
    """Columns [n] or [n, count] of every type a field can hold, in both byte orders."""
    n = draw(st.integers(0, 5))
    columns = {}
    for name in draw(st.lists(NAMES, min_size=1, max_size=5, unique=True)):
        dtype = np.dtype(draw(st.sampled_from('<>')) + draw(st.sampled_from(CODES)))
        shape = draw(st.sampled_from([(n,), (n, 1), (n, 3)]))
        columns[name] = draw(hnp.arrays(dtype, shape))
    return columns


@st.composite
def clouds(draw):
    """Valid clouds: any fields at any offsets, gaps and overlaps, padding, both byte orders."""
    extra = draw(st.lists(NAMES.filter(lambda name: name not in 'xyz'), max_size=3, unique=True))
    fields = []
    for name in draw(st.permutations(['x', 'y', 'z', *extra])):
        axis = name in ('x', 'y', 'z')
        datatype = draw(st.sampled_from((7, 8))) if axis else draw(st.integers(1, 11))
        count = 1 if axis else draw(st.integers(1, 3))
        fields.append((name, draw(st.integers(0, 40)), datatype, count))
    size = max(o + struct.calcsize(f'={FORMATS[d]}') * c for _, o, d, c in fields)
    step = size + draw(st.integers(0, 3))
    width, height = draw(st.integers(0, 4)), draw(st.integers(0, 4))
    row_step = width * step + draw(st.integers(0, 9))
    # Bytes without a pattern: any of them may be NaN, denormal or a bool that is neither 0 nor 1.
    noise = np.random.default_rng(draw(st.integers(0, 2**32))).bytes(row_step * height)
    return Message(
        header=header(),
        height=height,
        width=width,
        fields=[field(*entry) for entry in fields],
        is_bigendian=draw(st.booleans()),
        point_step=step,
        row_step=row_step,
        data=array.array('B', noise),
        is_dense=True,
    )
