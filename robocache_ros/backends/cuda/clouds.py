# Copyright 2026 the robocache_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The clouds of one call on their way to the device: which bytes go, and where values lie."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.lib.stride_tricks import as_strided

from robocache_ros.backends.cuda.device import Clear, Launch, Limits, check
from robocache_ros.backends.cuda.jobs import CLOUD, FIELD, MAX_FIELDS, MOTION
from robocache_ros.backends.cuda.paint import Painter
from robocache_ros.backends.cuda.staging import Parcel
from robocache_ros.backends.numpy_cells import slices
from robocache_ros.codec.cloud import SEGMENT_BITS, XYZ, Motion, Transform
from robocache_ros.codec.layout import DATATYPES
from robocache_ros.grid import Grid
from robocache_ros.interop import DeviceArray
from robocache_ros.samples import AnyArray

if TYPE_CHECKING:
    from robocache_ros.codec.cloud import CloudView

_TYPES = {code: number for number, code in DATATYPES.items()}
_PAINTED = max(_TYPES.values()) + 1


class _Field(NamedTuple):
    """A FIELD before it is known where the parcel lies."""

    at: int  # offset in the parcel, or address
    on_device: bool
    point_stride: int
    row_stride: int
    type: int
    swapped: bool


_UNMOVED = Transform(np.eye(3, dtype=np.float32), np.zeros(3, np.float32))  # is not applied
_NOT_MOVED, _BY_TRANSFORM, _BY_MOTION = range(3)  # Moved
_NO_MOTION = np.zeros((), MOTION).item()
_ABSENT = _Field(0, True, 0, 0, 0, False)


class _Motion(NamedTuple):
    """A MOTION before it is known where the parcel lies."""

    time: _Field
    segments_at: int  # offset in the parcel
    motion: Motion

    def described(self, base: int) -> tuple[object, ...]:
        """Return the MOTION, of a parcel that lies at `base`."""
        last = float((len(self.motion.segments) << SEGMENT_BITS) - 1)
        at = base + self.segments_at
        return _described_field(self.time, base), at, self.motion.scale, self.motion.base, last


class StagedClouds:
    """
    The first `limit` points of the clouds, end to end, with x, y, z and the `names` of fields.

    Message bytes go as they are; of columns only those that are named, and the time of a motion.
    What cameras paint is made by `steps`, which run ahead of all that reads it.
    """

    def __init__(
        self,
        parcel: Parcel,
        clouds: Sequence[CloudView],
        names: Sequence[str],
        limit: int,
        limits: Limits,
        painter: Painter,
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
        self._painting = painter.stage(parcel, parts, names)
        self.steps: tuple[Clear | Launch, ...] = painter.steps(self._painting)
        before = parcel.nbytes
        self._fields: list[list[_Field]] = []
        self._motions: list[_Motion | None] = []
        for cloud, part in parts:
            self._add(cloud, part)
        check(parcel.nbytes - before, limits.max_message_bytes, 'bytes of points')

    def points(self, base: int, grid: Grid) -> tuple[object, ...]:
        """Return the POINTS of a job, of a parcel that lies at `base` on the device."""
        for row, (fields, motion) in enumerate(zip(self._fields, self._motions, strict=True)):
            self._table[row] = [_described_field(field, base) for field in fields]
            if motion is not None:
                self._clouds['motion'][row] = motion.described(base)
        addresses = (base + offset for offset in self._at)
        paint = 0 if self._painting is None else self._painting.describe(base)
        cells = grid.dims, grid.origin32, grid.inv32
        return (*addresses, paint, self.n, *cells, *self._table.shape, *self._plain())

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

    def _add(self, cloud: CloudView, part: slice) -> None:
        painted = self._painted(cloud, part.start)
        stored = [name for name in self._names if name not in painted and cloud.has(name)]
        wanted = dict.fromkeys([*stored, *([] if cloud.motion is None else [cloud.motion.field])])
        places = {
            name: self._add_constant(cloud.constants[name])
            for name in wanted
            if name in cloud.constants
        }
        rest = [name for name in wanted if name not in places]
        add = self._add_columns if cloud.columns else self._add_message
        places.update(add(cloud, part.stop - part.start, rest))
        fields = {**{name: places[name] for name in stored}, **painted}
        self._fields.append([fields.get(name, _ABSENT) for name in self._names])
        self._motions.append(
            None if cloud.motion is None else self._add_motion(cloud.motion, places)
        )

    def _painted(self, cloud: CloudView, begin: int) -> dict[str, _Field]:
        """Fields of a cloud, from point `begin` of the call, that cameras paint."""
        if self._painting is None:
            return {}
        return {
            name: _Field(at, True, 4, 4 * cloud.width, _PAINTED, False)
            for name, at in self._painting.columns(cloud, begin).items()
        }

    def _add_constant(self, value: float) -> _Field:
        with np.errstate(over='ignore'):
            at = self._parcel.add(np.array([value]).astype(np.float32))
        return _Field(at, False, 0, 0, *_type(np.dtype(np.float32)))

    def _add_motion(self, motion: Motion, places: Mapping[str, _Field]) -> _Motion:
        matrices = motion.segments[:, :27].reshape(-1, 3, 3, 3)  # segment, matrix, row, column
        rows = np.zeros((len(matrices), 3, 3, 4), np.float32)  # segment, row, matrix
        rows[..., :3] = matrices.swapaxes(1, 2)
        rows[:, :, :2, 3] = motion.segments[:, 27:].reshape(-1, 2, 3).swapaxes(1, 2)  # T0, dT
        return _Motion(places[motion.field], self._parcel.add(rows), motion)

    def _add_message(self, cloud: CloudView, n: int, names: Sequence[str]) -> dict[str, _Field]:
        whole_rows, rest = divmod(n - 1, cloud.width)
        end = whole_rows * cloud.row_step + (rest + 1) * cloud.point_step
        at = self._parcel.add(cloud.data[:end])
        steps = cloud.point_step, cloud.row_step
        fields = {name: cloud.fields[name] for name in names}
        return {
            name: _Field(at + field.offset, False, *steps, *_type(field.dtype))
            for name, field in fields.items()
        }

    def _add_columns(self, cloud: CloudView, n: int, names: Sequence[str]) -> dict[str, _Field]:
        columns = {name: cloud.columns[name] for name in names}
        held = [values[:n] for values in columns.values() if not isinstance(values, DeviceArray)]
        rows = _rows_of(held)
        at = None if rows is None else self._parcel.add(rows) - _address(rows)
        return {name: self._add_column(values, n, at) for name, values in columns.items()}

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


def _described(cloud: CloudView, part: slice) -> tuple[object, ...]:
    """Return the CLOUD of a part of the points."""
    n = part.stop - part.start
    one_row = bool(cloud.columns) or cloud.row_step == cloud.width * cloud.point_step
    rotation, translation = cloud.transform or _UNMOVED
    moved = _BY_MOTION if cloud.motion else _BY_TRANSFORM if cloud.transform else _NOT_MOVED
    return (
        *(part.start, part.stop, n if one_row else cloud.width, cloud.input_origin),
        *(_NO_MOTION, rotation.reshape(-1), translation),
        *(any(cloud.input_origin), moved),
    )


def _described_field(field: _Field, base: int) -> tuple[object, ...]:
    """Return the FIELD, of a parcel that lies at `base`."""
    return field.at + (0 if field.on_device else base), *field[2:]


def _type(dtype: np.dtype[Any]) -> tuple[int, bool]:
    """Type of a FIELD, and whether its bytes are swapped."""
    return _TYPES[dtype.str[1:]], not dtype.isnative
