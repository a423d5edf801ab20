# Copyright 2026 the robocache_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The record of a voxel: what is accumulated for the channels, and the columns made of that."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import count
from typing import Any

from robocache_ros.backends.cuda.device import OverLimit
from robocache_ros.backends.cuda.jobs import MAX_FIELDS
from robocache_ros.grid import Channel, VoxelSpec

_NONE = -1
_OCCUPANCY, _CENTROID, _MEAN, _SUM, _LEAST, _GREATEST, _MAJORITY, _RGB = range(8)  # ColumnKind
_SOURCES = {  # column and slot of a channel of a field
    'mean': (_MEAN, 'sum'),
    'sum': (_SUM, 'sum'),
    'min': (_LEAST, 'least'),
    'max': (_GREATEST, 'greatest'),
    'majority': (_MAJORITY, 'elected'),
}
_SUMMED = {'mean', 'sum', 'rgb'}
_OF_ALL = {'occupancy': _OCCUPANCY, 'centroid': _CENTROID}  # columns of all points of a voxel
_AXES = 3


def describe_record(job: Any, spec: VoxelSpec, resolutions: Sequence[float]) -> None:
    """
    Write to a VOXEL_JOB the layout of a record and of the columns, all but their addresses.

    `resolutions` are those of sums, of the fields of the spec.
    Slots of 8 bytes come first, those of the centroid ahead of all; slots of 4 bytes follow.
    """
    kinds = _kinds_by_field(spec)
    centroid = any(channel.kind == 'centroid' for channel in spec.channels)
    wide = count(_AXES if centroid else 0)
    sums = {name: next(wide) for name, of_field in kinds.items() if of_field & _SUMMED}
    elected = {name: next(wide) for name, of_field in kinds.items() if 'majority' in of_field}
    small = count(2 * next(wide))
    job['centroid'], job['count_slot'] = centroid, next(small)
    for number, (name, of_field) in enumerate(kinds.items()):
        field = job['fields'][number]
        field['inverse'] = 1.0 / resolutions[number]
        field['sum'] = sums.get(name, _NONE)
        field['without'] = next(small) if name in sums else _NONE
        field['least'] = next(small) if 'min' in of_field else _NONE
        field['greatest'] = next(small) if 'max' in of_field else _NONE
        field['elected'] = elected.get(name, _NONE)
        field['table'] = list(elected).index(name) if name in elected else _NONE
    job['record_words'] = -(-next(small) // 2)
    job['field_count'] = len(kinds)
    _describe_columns(job, spec.channels, list(kinds))


def _kinds_by_field(spec: VoxelSpec) -> dict[str, set[str]]:
    names = spec.fields
    if len(names) > MAX_FIELDS:
        raise OverLimit(f'channels of {len(names)} point fields, the device takes {MAX_FIELDS}')
    return {name: {c.kind for c in spec.channels if name in c.fields} for name in names}


def _describe_columns(job: Any, channels: Sequence[Channel], names: Sequence[str]) -> None:
    sources = [
        (channel, axis)
        for channel in channels
        if channel.kind != 'count'  # has a place of its own
        for axis in range(len(channel.columns))
    ]
    job['column_count'] = len(sources)
    for number, (channel, axis) in enumerate(sources):
        column = job['columns'][number]
        if channel.kind in _OF_ALL:
            column['kind'], column['slot'] = _OF_ALL[channel.kind], axis
            continue
        numbers = [names.index(name) for name in channel.fields]
        if channel.kind == 'rgb':
            column['kind'], job['colours'] = _RGB, numbers
            continue
        field = job['fields'][numbers[0]]
        column['kind'], slot = _SOURCES[channel.kind]
        column['slot'], column['without'] = field[slot], field['without']
        column['resolution'] = 1.0 / field['inverse']
