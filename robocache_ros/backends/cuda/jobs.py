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

MOTION = _struct(
    [
        ('time', FIELD),
        ('segments', 'u8'),
        ('scale', 'f8'),
        ('base', 'f8'),
        ('last', 'f8'),
    ]
)

CLOUD = _struct(
    [
        ('begin', 'i8'),
        ('end', 'i8'),
        ('width', 'i8'),
        ('origin', 'f8', 3),
        ('motion', MOTION),
        ('rotation', 'f4', 9),
        ('translation', 'f4', 3),
        ('shifted', 'i4'),
        ('moved', 'i4'),
    ]
)

POINTS = _struct(
    [
        ('clouds', 'u8'),
        ('fields', 'u8'),
        ('paint', 'u8'),
        ('n', 'i8'),
        ('dims', 'i8', 3),
        ('origin', 'f4', 3),
        ('inv', 'f4', 3),
        ('cloud_count', 'i4'),
        ('field_count', 'i4'),
        ('plain_address', 'u8', 3),
        ('plain_stride', 'i8', 3),
        ('plain', 'i4'),
    ]
)

# ---- voxels.cu

MAX_LEVELS = 3
MAX_FIELDS = 13  # besides x, y, z
MAX_COLUMNS = 5 * MAX_FIELDS + 5

VOXEL_LEVEL = _struct(
    [
        ('blocks', 'u8'),
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
        ('elected', 'i4'),
        ('table', 'i4'),
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
        ('over_cap', 'u4'),
        ('ranks', 'u4', MAX_LEVELS),
        ('value_nonfinite', 'u4', MAX_FIELDS),
        ('sum_range', 'u4', MAX_FIELDS),
        ('extreme_range', 'u4', MAX_FIELDS),
        ('unseen', 'u4', MAX_FIELDS),
        ('label_range', 'u4', MAX_FIELDS),
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
        ('hashes', 'u8'),
        ('slots', 'u8'),
        ('records', 'u8'),
        ('ballots', 'u8'),
        ('votes', 'u8'),
        ('counts', 'u8'),
        ('totals', 'u8'),
        ('index', 'u8'),
        ('count', 'u8'),
        ('rows', 'i8'),
        ('slot_rows', 'i8'),
        ('cap', 'i4'),
        ('seed', 'u4'),
        ('table', 'u4'),
        ('ballot_mask', 'u4'),
        ('level_count', 'i4'),
        ('record_words', 'i4'),
        ('count_slot', 'i4'),
        ('centroid', 'i4'),
        ('field_count', 'i4'),
        ('column_count', 'i4'),
        ('colours', 'i4', 3),
        ('fields', VOXEL_FIELD, MAX_FIELDS),
        ('columns', VOXEL_COLUMN, MAX_COLUMNS),
    ]
)

# ---- fusion.cu

STRIP = _struct(
    [
        ('times', 'u8'),
        ('values', 'u8'),
        ('max_gap_ns', 'i8'),
        ('samples', 'i4'),
        ('width', 'i4'),
        ('first', 'i4'),
        ('columns', 'i4'),
        ('out_column', 'i4'),
        ('stream', 'i4'),
        ('rule', 'i4'),
        ('format', 'i4'),
        ('quads', 'i4'),
    ]
)

FUSION_JOB = _struct(
    [
        ('targets', 'u8'),
        ('values', 'u8'),
        ('valid', 'u8'),
        ('age', 'u8'),
        ('lower', 'u8'),
        ('upper', 'u8'),
        ('stride', 'i8'),
        ('rows', 'i4'),
        ('targets_each', 'i4'),
        ('strips', 'i4'),
        ('streams', 'i4'),
        ('format', 'i4'),
    ]
)

SOURCE = _struct(
    [
        ('from', 'u8'),
        ('to', 'u8'),
        ('strides', 'i8', 3),
        ('begin', 'i8'),
        ('end', 'i8'),
        ('samples', 'i4'),
        ('width', 'i4'),
        ('rule', 'i4'),
        ('format', 'i4'),
        ('wide', 'i4'),
    ]
)

SAMPLES_JOB = _struct(
    [
        ('sources', 'u8'),
        ('unusable', 'u8'),
        ('told', 'u8'),
        ('samples', 'i8'),
    ]
)

# ---- images.cu

IMAGE_JOB = _struct(
    [
        ('pixels', 'u8'),
        ('tiles', 'u8'),
        ('means', 'u8'),
        ('left_out', 'u8'),
        ('step', 'i8'),
        ('height', 'i4'),
        ('width', 'i4'),
        ('rows', 'i4'),
        ('cols', 'i4'),
        ('tiles_each', 'i4'),
        ('channels', 'i4'),
        ('look', 'i4'),
        ('pixel_bytes', 'i4'),
        ('swapped', 'i4'),
        ('places', 'i4', 4),
    ]
)

TILE_SUMS = _struct([('sums', 'i8', 3), ('left_out', 'i8')])

# ---- paint.cu

VIEW = _struct(
    [
        ('pixels', 'u8'),
        ('nearest', 'u8'),
        ('step', 'i8'),
        ('height', 'i4'),
        ('width', 'i4'),
        ('pixel_bytes', 'i4'),
        ('swapped', 'i4'),
        ('stored', 'i4'),
        ('places', 'i4', 4),
        ('cell', 'i4'),
        ('cells_across', 'i4'),
        ('fields', 'u4'),
        ('taken', 'i4', MAX_FIELDS),
        ('model', 'i4'),
        ('rotation', 'f4', 9),
        ('translation', 'f4', 3),
        ('focal', 'f4', 2),
        ('centre', 'f4', 2),
        ('distortion', 'f4', 8),
        ('limit', 'f4'),
        ('tolerance', 'f4'),
    ]
)

CANVAS = _struct([('first', 'i4'), ('views', 'i4'), ('fields', 'u4')])

PAINT = _struct([('canvases', 'u8'), ('views', 'u8'), ('columns', 'u8'), ('stride', 'i8')])

# ---- dense.cu

MAX_DENSE_COLUMNS = 4 * MAX_FIELDS + 5

DENSE_COLUMN = _struct(
    [
        ('resolution', 'f8'),
        ('kind', 'i4'),
        ('word', 'i4'),
    ]
)

DENSE_VALUE = _struct(
    [
        ('steps', 'f8'),
        ('field', 'i4'),
        ('sum', 'i4'),
        ('least', 'i4'),
        ('greatest', 'i4'),
    ]
)

DENSE_JOB = _struct(
    [
        ('points', POINTS),
        ('size', 'f8', 3),
        ('lower', 'f8', 3),
        ('cells', 'i8'),
        ('grid', 'u8'),
        ('places', 'u8'),
        ('sorted', 'u8'),
        ('counts', 'u8'),
        ('starts', 'u8'),
        ('copy_from', 'u8'),
        ('copy_to', 'u8'),
        ('copy_bytes', 'i8'),
        ('column_count', 'i4'),
        ('value_count', 'i4'),
        ('word_count', 'i4'),
        ('centroid', 'i4'),
        ('share_bits', 'i4'),
        ('chunks_each', 'i4'),
        ('shared_counts', 'i4'),
        ('values', DENSE_VALUE, MAX_FIELDS),
        ('columns', DENSE_COLUMN, MAX_DENSE_COLUMNS),
    ]
)
