# Copyright 2026 the robocache_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The clouds of one call on their way to the device: which bytes go, and where values lie."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.lib.stride_tricks import as_strided

from robocache_ros.backends.cuda.device import Limits, OverLimit
from robocache_ros.backends.cuda.jobs import CLOUD, FIELD, MAX_FIELDS
from robocache_ros.backends.cuda.staging import Parcel
from robocache_ros.backends.numpy_cells import slices
from robocache_ros.codec.cloud import XYZ, Transform
from robocache_ros.codec.layout import DATATYPES
from robocache_ros.grid import Grid
from robocache_ros.interop import DeviceArray
from robocache_ros.samples import AnyArray

if TYPE_CHECKING:
    from robocache_ros.codec.cloud import CloudView

_TYPES = {code: number for number, code in DATATYPES.items()}


class _Field(NamedTuple):
    """A FIELD before it is known where the parcel lies."""

    at: int  # offset in the parcel, or address
    on_device: bool
    point_stride: int
    row_stride: int
    type: int
    swapped: bool


_UNMOVED = Transform(np.eye(3, dtype=np.float32), np.zeros(3, np.float32))  # is not applied
_ABSENT = _Field(0, True, 0, 0, 0, False)


class StagedClouds:
    """
    The first `limit` points of the clouds, end to end, with x, y, z and the `names` of fields.

    Message bytes go as they are; of columns only those that are named.
    """

    def __init__(
        self,
        parcel: Parcel,
        clouds: Sequence[CloudView],
        names: Sequence[str],
        limit: int,
        limits: Limits,
    ) -> None:
        parts = [
            (cloud, part)
            for cloud, part in zip(clouds, slices(clouds, limit), strict=True)
            if part.stop > part.start
        ]
        self.n = parts[-1][1].stop if parts else 0
        check(len(names), MAX_FIELDS, 'point fields in its channels')
        check(self.n, limits.max_points, 'points')
        self._parcel = parcel
        self._names = (*XYZ, *names)
        self._table = np.zeros((len(parts), len(self._names)), FIELD)
        self._clouds = np.array([_described(cloud, part) for cloud, part in parts], CLOUD)
        self._at = (
            parcel.add(self._clouds),
            parcel.add(self._table),
        )
        before = parcel.nbytes
        self._fields = [
            (self._add_columns if cloud.columns else self._add_message)(cloud, part)
            for cloud, part in parts
        ]
        check(parcel.nbytes - before, limits.max_message_bytes, 'bytes of points')

    def points(self, base: int, grid: Grid) -> tuple[object, ...]:
        """Return the POINTS of a job, of a parcel that lies at `base` on the device."""
        for row, fields in enumerate(self._fields):
            self._table[row] = [
                (field.at + (0 if field.on_device else base), *field[2:]) for field in fields
            ]
        addresses = (base + offset for offset in self._at)
        cells = grid.dims, grid.origin32, grid.inv32
        return (*addresses, self.n, *cells, *self._table.shape, *self._plain())

    def _plain(self) -> tuple[object, ...]:
        """Say where x, y and z lie if they are of the kind that is read fast."""
        xyz = self._table[:, :3].reshape(-1)
        plain = (
            len(self._clouds) == 1
            and self._clouds['width'][0] >= self.n
            and not self._clouds['shifted'][0]
            and all(kind == (_TYPES['f4'], 0) for kind in xyz[['type', 'swapped']].tolist())
        )
        return (
            (xyz['address'], xyz['point_stride'], True) if plain else ((0,) * 3, (0,) * 3, False)
        )

    def _add_message(self, cloud: CloudView, part: slice) -> list[_Field]:
        whole_rows, rest = divmod(part.stop - part.start - 1, cloud.width)
        end = whole_rows * cloud.row_step + (rest + 1) * cloud.point_step
        at = self._parcel.add(cloud.data[:end])
        steps = cloud.point_step, cloud.row_step
        return [
            _Field(at + cloud.fields[name].offset, False, *steps, *_type(cloud.fields[name].dtype))
            if cloud.has(name)
            else _ABSENT
            for name in self._names
        ]

    def _add_columns(self, cloud: CloudView, part: slice) -> list[_Field]:
        n = part.stop - part.start
        columns = {name: cloud.columns[name] for name in self._names if cloud.has(name)}
        held = [values[:n] for values in columns.values() if not isinstance(values, DeviceArray)]
        rows = _rows_of(held)
        at = None if rows is None else self._parcel.add(rows) - _address(rows)
        return [
            self._add_column(columns[name], n, at) if name in columns else _ABSENT
            for name in self._names
        ]

    def _add_column(self, values: AnyArray | DeviceArray, n: int, rows_at: int | None) -> _Field:
        if isinstance(values, DeviceArray):  # read where it is
            return _Field(values.address, True, values.strides[0], 0, *_type(values.dtype))
        if rows_at is not None:
            at = rows_at + _address(values)
            return _Field(at, False, values.strides[0], 0, *_type(values.dtype))
        at = self._parcel.add(values[:n])
        return _Field(at, False, values.itemsize, 0, *_type(values.dtype))


def _rows_of(columns: Sequence[AnyArray]) -> AnyArray | None:
    """
    Bytes of the rows that all columns [n] are columns of, if they fill half of them; else None.

    One copy of whole rows is several times faster than one of each column.
    """
    steps = {values.strides[0] for values in columns}
    step, filled = next(iter(steps), 0), sum(values.itemsize for values in columns)
    if len(steps) != 1 or len(columns[0]) < 2 or not filled <= step <= 2 * filled:
        return None
    n = len(columns[0])
    lowest = min(columns, key=_address)
    begin = _address(lowest)
    end = max(_address(values) + (n - 1) * step + values.itemsize for values in columns)
    if end - begin > n * step:  # side by side in other rows, or not at all
        return None
    return as_strided(lowest[:1].view(np.uint8), (end - begin,), (1,), writeable=False)


def _address(values: AnyArray) -> int:
    return int(values.__array_interface__['data'][0])


def check(number: int, limit: int, what: str) -> None:
    """Raise OverLimit where a call has more of something than device memory is sized for."""
    if number > limit:
        raise OverLimit(f'the call has {number} {what}, the device takes {limit}')


def _described(cloud: CloudView, part: slice) -> tuple[object, ...]:
    """Return the CLOUD of a part of the points."""
    n = part.stop - part.start
    one_row = bool(cloud.columns) or cloud.row_step == cloud.width * cloud.point_step
    rotation, translation = cloud.transform or _UNMOVED
    return (
        *(part.start, part.stop, n if one_row else cloud.width, cloud.input_origin),
        *(rotation.reshape(-1), translation),
        *(any(cloud.input_origin), cloud.transform is not None),
    )


def _type(dtype: np.dtype[Any]) -> tuple[int, bool]:
    """Type of a FIELD, and whether its bytes are swapped."""
    return _TYPES[dtype.str[1:]], not dtype.isnative
