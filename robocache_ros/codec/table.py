# Copyright 2026 the robocache_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Columns <-> rows of a PointCloud2: how voxels and features travel in a standard message."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from robocache_ros.codec.buffers import ByteArray, shown
from robocache_ros.codec.cloud import XYZ, decode_cloud
from robocache_ros.codec.layout import DATATYPES, Layout, decode_layout
from robocache_ros.codec.stamp import stamp_ns
from robocache_ros.reasons import Reason, Rejected
from robocache_ros.samples import AnyArray, FeatureFrame, FloatArray, VoxelFrame

# A bool travels as uint8: few tools know the newer PointField type.
_DATATYPE_OF = {**{code: number for number, code in DATATYPES.items()}, 'b1': 2}


@dataclass(frozen=True, eq=False)
class Table:
    """Rows for a PointCloud2 of height 1: `n` points of `point_step` bytes, little-endian."""

    fields: tuple[tuple[str, int, int, int], ...]  # name, offset, PointField datatype, count
    point_step: int
    data: ByteArray  # [n * point_step]
    n: int


@dataclass(frozen=True, eq=False)
class VoxelRows:
    """A ~/voxels message: M occupied voxels. Arrays are views of the message."""

    stamp_ns: int
    frame_id: str
    x: FloatArray  # [M] metres, voxel centres
    y: FloatArray
    z: FloatArray
    channels: Mapping[str, AnyArray]  # [M] each, in message order

    def __len__(self) -> int:
        return len(self.x)


@dataclass(frozen=True, eq=False)
class FeatureRows:
    """A ~/features message: T rows, oldest first. Arrays are views of the message."""

    stamp_ns: int
    frame_id: str
    schema_id: int
    dt: FloatArray  # [T] seconds relative to the stamp
    values: FloatArray  # [T, F]
    valid: AnyArray  # [T, G] uint8
    age: FloatArray  # [T, G] seconds
    groups: tuple[str, ...]  # names of the G groups
    widths: tuple[int, ...]  # columns of each group; their sum is F


def encode_table(columns: Mapping[str, AnyArray]) -> Table:
    """
    Pack columns [n] or [n, count] into rows, in their order; rows are padded to 4 bytes.

    Raises ValueError where a column has another length or a type that no point field can hold.
    """
    n = len(next(iter(columns.values())))
    fields = []
    step = 0
    for name, values in columns.items():
        datatype = _DATATYPE_OF.get(values.dtype.str[1:])
        fits = values.ndim in (1, 2) and len(values) == n and 0 not in values.shape[1:]
        if datatype is None or not fits:
            raise ValueError(f'column {name!r} is {values.dtype} {values.shape}, of {n} rows')
        count = 1 if values.ndim == 1 else values.shape[1]
        fields.append((name, step, datatype, count))
        step += count * values.dtype.itemsize
    point_step = -(-step // 4) * 4
    row = np.dtype(
        {
            'names': [f'f{place}' for place in range(len(fields))],
            'formats': [(f'<{DATATYPES[datatype]}', (count,)) for *_, datatype, count in fields],
            'offsets': [offset for _, offset, _, _ in fields],
            'itemsize': point_step,
        }
    )
    rows = np.zeros(n, row)  # zeros: padding is the same in every run
    for place, values in enumerate(columns.values()):
        rows[f'f{place}'] = values.reshape(n, fields[place][3])
    return Table(tuple(fields), point_step, rows.view(np.uint8), n)


def decode_table(msg: Any) -> dict[str, AnyArray]:
    """
    Columns of a PointCloud2 by field name, [n] or [n, count]; raises Rejected.

    Views of the message, in its byte order; copied only where rows are padded.
    """
    layout = decode_layout(msg)
    return {name: _column(layout, name) for name in layout.fields}


def voxels_table(frame: VoxelFrame) -> Table:
    """Rows of ~/voxels: centre x y z, then the channels, one row per occupied voxel."""
    x, y, z = frame.voxels.centers()
    return encode_table({'x': x, 'y': y, 'z': z, **frame.voxels.columns})


def read_voxels(msg: Any) -> VoxelRows:
    """Arrays of a ~/voxels message; raises Rejected where it is none."""
    cloud = decode_cloud(msg)
    columns = decode_table(msg)
    x, y, z = (columns.pop(axis) for axis in XYZ)
    return VoxelRows(stamp_ns(msg.header), cloud.frame_id, x, y, z, columns)


def features_table(frame: FeatureFrame, schema: Any) -> Table:
    """
    Rows of ~/features, one per target time.

    `dt`, `schema_id`, then the values of all groups of `schema` side by side, so that a reader
    takes them as one [T, F] view, then every `<group>_age`, then every `<group>_valid`.
    """
    names = [group.name for group in schema.groups]
    columns: dict[str, AnyArray] = {
        'dt': frame.dt,
        'schema_id': np.full(len(frame.dt), schema.schema_id, np.uint32),
    }
    begin = 0
    for group in schema.groups:
        columns[group.name] = frame.values[:, begin : begin + group.width]
        begin += group.width
    columns.update({f'{name}_age': frame.age[:, g] for g, name in enumerate(names)})
    columns.update({f'{name}_valid': frame.valid[:, g] for g, name in enumerate(names)})
    return encode_table(columns)


def read_features(msg: Any) -> FeatureRows:
    """Arrays of a ~/features message; raises Rejected where it is none."""
    layout = decode_layout(msg)
    names = list(layout.fields)
    count = (len(names) - 2) // 3
    groups = tuple(names[2 : 2 + count])
    ages, valids = ([f'{group}_{part}' for group in groups] for part in ('age', 'valid'))
    singles = ['dt', 'schema_id', *ages, *valids]
    named = names == [*singles[:2], *groups, *singles[2:]]
    rows = layout.height == 1 and layout.width > 0
    if not (named and rows and all(layout.fields[name].count == 1 for name in singles)):
        some = ', '.join(shown(name) for name in names[:8])
        raise Rejected(
            Reason.CLOUD_FIELD,
            f'{layout.height} x {layout.width} rows of {some or "no fields"}: no features',
        )
    return FeatureRows(
        stamp_ns=stamp_ns(msg.header),
        frame_id=str(msg.header.frame_id),
        schema_id=int(_block(layout, ['schema_id'], 'u4')[0, 0]),
        dt=_block(layout, ['dt'], 'f4')[:, 0],
        values=_block(layout, groups, 'f4'),
        valid=_block(layout, valids, 'u1'),
        age=_block(layout, ages, 'f4'),
        groups=groups,
        widths=tuple(layout.fields[group].count for group in groups),
    )


def _column(layout: Layout, name: str) -> AnyArray:
    values = layout.strided(name)
    if values.dtype.kind == 'b':
        values = values.view(np.uint8) != 0  # any byte but 0 is true
    count = layout.fields[name].count
    return values.reshape((layout.n, count) if count > 1 else (layout.n,))


def _block(layout: Layout, names: Sequence[str], code: str) -> AnyArray:
    """View of fields of one type that lie side by side, [n, sum of their counts]."""
    views = [layout.fields[name] for name in names]
    if not views:
        return np.empty((layout.n, 0), code)
    dtype, begin = views[0].dtype, views[0].offset
    width = 0
    for name, view in zip(names, views, strict=True):
        if view.dtype.str[1:] != code or view.offset != begin + width * dtype.itemsize:
            raise Rejected(Reason.CLOUD_FIELD, f'{shown(name)} is not where features have it')
        width += view.count
    strides = (layout.point_step, dtype.itemsize)
    values: AnyArray = np.ndarray((layout.n, width), dtype, layout.data, begin, strides)
    return values
