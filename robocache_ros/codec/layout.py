# Copyright 2026 the robocache_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Where the values of a PointCloud2 lie in its bytes; everything about it is checked here."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from robocache_ros.codec.buffers import ByteArray, byte_view, shown
from robocache_ros.reasons import Reason, Rejected
from robocache_ros.samples import AnyArray

MAX_POINTS = 2**27  # so many values of up to 2^35 steps never overflow an int64 sum

# PointField.datatype -> NumPy type; 9 to 11 exist in newer common_interfaces only.
DATATYPES: Mapping[int, str] = {
    1: 'i1',
    2: 'u1',
    3: 'i2',
    4: 'u2',
    5: 'i4',
    6: 'u4',
    7: 'f4',
    8: 'f8',
    9: 'i8',
    10: 'u8',
    11: 'b1',
}


@dataclass(frozen=True)
class FieldView:
    """One field of a point: `count` values of `dtype` (with byte order), `offset` bytes in."""

    dtype: np.dtype[Any]
    offset: int
    count: int


@dataclass(frozen=True, eq=False)
class Layout:
    """`height` rows of `width` points, `row_step` bytes from row to row, in `data`."""

    data: ByteArray  # [nbytes], the bytes of the message itself
    width: int
    height: int
    point_step: int
    row_step: int  # as it is, which is not what a stale message says
    fields: Mapping[str, FieldView]
    notes: Mapping[Reason, int]  # what had to be repaired or left aside

    @property
    def n(self) -> int:
        """Number of points."""
        return self.width * self.height

    def strided(self, name: str) -> AnyArray:
        """
        Values of a field where they lie; nothing is copied.

        [n], or [height, width] where rows are padded; with one more axis where count is above 1.
        """
        view = self.fields[name]
        shape: tuple[int, ...] = (self.n,)
        strides: tuple[int, ...] = (self.point_step,)
        if self.row_step != self.width * self.point_step:
            shape, strides = (self.height, self.width), (self.row_step, self.point_step)
        if view.count > 1:
            shape, strides = (*shape, view.count), (*strides, view.dtype.itemsize)
        if self.n == 0:
            return np.empty(shape, view.dtype)  # no bytes: the offset lies past their end
        values: AnyArray = np.ndarray(shape, view.dtype, self.data, view.offset, strides)
        return values


def decode_layout(msg: Any) -> Layout:
    """Layout of a sensor_msgs/PointCloud2; raises Rejected where its numbers do not add up."""
    data = byte_view(msg.data, Reason.CLOUD_SIZE)
    width, height = int(msg.width), int(msg.height)
    point_step = int(msg.point_step)
    row_step, notes = _row_step(width, height, point_step, int(msg.row_step), data.size)
    fields = _fields(msg.fields, point_step, bool(msg.is_bigendian))
    return Layout(data, width, height, point_step, row_step, fields, notes)


def _row_step(
    width: int, height: int, point_step: int, stated: int, nbytes: int
) -> tuple[int, Mapping[Reason, int]]:
    """The row step that holds, and what is wrong with the stated one. Python integers: no wrap."""
    n, row = width * height, width * point_step
    tight = row * height
    said = f'{width} x {height} points of {point_step} bytes, row_step {stated}, {nbytes} bytes'
    if n > MAX_POINTS:
        raise Rejected(Reason.TOO_LARGE, f'{said}; at most {MAX_POINTS} points')
    if n == 0:
        return row, _notes(row_step=False, extra=nbytes > 0)
    if point_step == 0 or nbytes < tight:
        raise Rejected(Reason.CLOUD_SIZE, f'{said}; {tight} needed')
    if stated == row:
        return row, _notes(row_step=False, extra=nbytes > tight)
    # Exactly the bytes of rows without padding: whatever row_step says, it is stale. A step too
    # small to be one is stale as well, and harmless where there is no second row.
    if stated > row and nbytes > tight and nbytes >= (height - 1) * stated + row:
        return stated, _notes(row_step=False, extra=nbytes > height * stated)
    if nbytes == tight or height == 1:
        return row, _notes(row_step=True, extra=nbytes > tight)
    raise Rejected(Reason.CLOUD_SIZE, f'{said}; neither {tight} nor {height} rows of row_step')


def _notes(*, row_step: bool, extra: bool) -> Mapping[Reason, int]:
    said = {Reason.CLOUD_ROW_STEP: row_step, Reason.CLOUD_EXTRA_DATA: extra}
    return {reason: 1 for reason, true in said.items() if true}


def _fields(fields: Any, point_step: int, big_endian: bool) -> Mapping[str, FieldView]:
    order = '>' if big_endian else '<'
    views: dict[str, FieldView] = {}
    for field in fields:
        name, offset, count = str(field.name), int(field.offset), int(field.count)
        code = DATATYPES.get(int(field.datatype))
        if not name:
            raise Rejected(Reason.CLOUD_FIELD, 'a field has no name')
        if name in views:
            raise Rejected(Reason.CLOUD_FIELD, f'two fields are named {shown(name)}')
        if code is None:
            raise Rejected(
                Reason.CLOUD_FIELD,
                f'{shown(name)} has datatype {int(field.datatype)}, not 1 to 11',
            )
        dtype = np.dtype(order + code)
        if count == 0 or offset + count * dtype.itemsize > point_step:
            raise Rejected(
                Reason.CLOUD_FIELD,
                f'{shown(name)} is {count} x {dtype.name} at byte {offset} of {point_step}',
            )
        views[name] = FieldView(dtype, offset, count)
    return views
