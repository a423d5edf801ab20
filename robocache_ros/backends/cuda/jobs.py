# Copyright 2026 the robocache_ros authors
# SPDX-License-Identifier: Apache-2.0
"""
The structs that kernels read, as NumPy dtypes: each is named like its twin in `kernels/`.

`u8` members called like a thing hold its device address. A test compares sizes and offsets with
what the C++ compiler makes of the twins.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np


def _struct(members: Sequence[tuple[Any, ...]]) -> np.dtype[Any]:
    return np.dtype(list(members), align=True)


# ---- common.cuh

FIELD = _struct(
    [
        ('address', 'u8'),
        ('point_stride', 'i8'),
        ('row_stride', 'i8'),
        ('type', 'i4'),
        ('swapped', 'i4'),
    ]
)

CLOUD = _struct(
    [
        ('begin', 'i8'),
        ('end', 'i8'),
        ('width', 'i8'),
        ('origin', 'f8', 3),
        ('rotation', 'f4', 9),
        ('translation', 'f4', 3),
        ('shifted', 'i4'),
        ('transformed', 'i4'),
    ]
)

POINTS = _struct(
    [
        ('clouds', 'u8'),
        ('fields', 'u8'),
        ('n', 'i8'),
        ('dims', 'i8', 3),
        ('origin', 'f4', 3),
        ('inv', 'f4', 3),
        ('cloud_count', 'i4'),
        ('field_count', 'i4'),
    ]
)
