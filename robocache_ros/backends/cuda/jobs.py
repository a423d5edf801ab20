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

# ---- voxels.cu

MAX_LEVELS = 3
MAX_FIELDS = 13  # besides x, y, z
MAX_COLUMNS = 4 * MAX_FIELDS + 5

VOXEL_LEVEL = _struct(
    [
        ('words', 'u8'),
        ('bases', 'u8'),
        ('sums', 'u8'),
        ('cells', 'u8'),
        ('bits', 'i4'),
        ('shift', 'i4'),
    ]
)

VOXEL_FIELD = _struct(
    [
        ('inverse', 'f8'),
        ('sum', 'i4'),
        ('without', 'i4'),
        ('least', 'i4'),
        ('greatest', 'i4'),
    ]
)

VOXEL_COLUMN = _struct(
    [
        ('address', 'u8'),
        ('resolution', 'f8'),
        ('kind', 'i4'),
        ('slot', 'i4'),
        ('without', 'i4'),
    ]
)

VOXEL_TOTALS = _struct(
    [
        ('inside', 'u4'),
        ('nonfinite', 'u4'),
        ('ranks', 'u4', MAX_LEVELS),
        ('value_nonfinite', 'u4', MAX_FIELDS),
        ('sum_range', 'u4', MAX_FIELDS),
        ('extreme_range', 'u4', MAX_FIELDS),
    ]
)

VOXEL_JOB = _struct(
    [
        ('points', POINTS),
        ('corner', 'f8', 3),
        ('size', 'f8', 3),
        ('levels', VOXEL_LEVEL, MAX_LEVELS),
        ('keys', 'u8'),
        ('lows', 'u8'),
        ('steps', 'u8'),
        ('records', 'u8'),
        ('counts', 'u8'),
        ('totals', 'u8'),
        ('index', 'u8'),
        ('count', 'u8'),
        ('table', 'i8'),
        ('rows', 'i8'),
        ('level_count', 'i4'),
        ('record_words', 'i4'),
        ('count_slot', 'i4'),
        ('centroid', 'i4'),
        ('field_count', 'i4'),
        ('column_count', 'i4'),
        ('fields', VOXEL_FIELD, MAX_FIELDS),
        ('columns', VOXEL_COLUMN, MAX_COLUMNS),
    ]
)
