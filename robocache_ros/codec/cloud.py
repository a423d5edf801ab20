# Copyright 2026 the robocache_ros authors
# SPDX-License-Identifier: Apache-2.0
"""A point cloud as columns: one contiguous array per field, copied out only when asked for."""

from __future__ import annotations

from collections.abc import Container, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from robocache_ros.codec.buffers import shown
from robocache_ros.codec.camera import Camera
from robocache_ros.codec.image import ImageView
from robocache_ros.codec.layout import DATATYPES, FieldView, Layout, decode_layout
from robocache_ros.codec.point_time import PointTimes
from robocache_ros.interop import DeviceArray, on_host, view
from robocache_ros.reasons import Reason, Rejected
from robocache_ros.samples import AnyArray, FloatArray

Origin = tuple[float, float, float]
ORIGIN_ZERO: Origin = (0.0, 0.0, 0.0)
XYZ = ('x', 'y', 'z')
TIME_CODES = ('i8', 'u8')
SEGMENT_BITS = 22  # a segment of a motion lasts 2^22 ns = 4.19 ms
SEGMENT_NUMBERS = 33  # M0, M1, M2 (3 x 3 each, row by row), T0, dT
RGB = 'rgb'
COLOURS = ('r', 'g', 'b')
_PACKED = ('rgb', 'rgba')  # fields of 4 bytes a point: in a little-endian message b, g, r, a

_NO_BYTES = np.empty(0, np.uint8)


def fields_of(paints: Iterable[str]) -> tuple[str, ...]:
    """Names of the fields that are painted: `rgb` stands for three."""
    names = (COLOURS if paint == RGB else (paint,) for paint in paints)
    return tuple(name for some in names for name in some)


class Transform(NamedTuple):
    """How the points of a cloud move: p' = rotation p + translation, all float32, in metres."""

    rotation: FloatArray  # [3, 3]
    translation: FloatArray  # [3]

    @classmethod
    def from_matrix(cls, matrix: npt.ArrayLike) -> Transform | None:
        """Round a float64 [4, 4] matrix, the last row 0 0 0 1; None if nothing moves."""
        exact = np.asarray(matrix, np.float64)
        if exact.shape != (4, 4) or not np.array_equal(exact[3], (0.0, 0.0, 0.0, 1.0)):
            raise ValueError(
                f'a transform is a [4, 4] matrix with the last row 0 0 0 1, got {exact.tolist()}'
            )
        with np.errstate(over='ignore'):
            rounded = exact.astype(np.float32)
        if not np.isfinite(rounded).all():
            raise ValueError(f'a transform must be finite as float32, got {exact.tolist()}')
        if np.array_equal(rounded, np.eye(4)):
            return None
        return cls(rounded[:3, :3] + np.float32(0), rounded[:3, 3] + np.float32(0))


class Motion(NamedTuple):
    """
    How each point of a cloud moves, by its own time: p' = M(w) p + T0 + w dT, in metres.

    A point whose field `field` is v has the time u = (v - base) * scale ns after the begin of the
    first segment, clamped to the segments; a NaN counts as 0. It is in segment u >> 22 at
    w = (u mod 2^22) / 2^22, where M(w) = M0 + w M1 + w^2 M2.
    """

    field: str
    scale: float  # ns per unit of the field
    base: float  # value of the field at the begin of the first segment
    segments: FloatArray  # float32 [S, 33] of M0, M1, M2, T0, dT

    def check(self, names: Container[str]) -> None:
        """ValueError if points with fields of these `names` can not be moved by it."""
        shape, dtype = np.shape(self.segments), getattr(self.segments, 'dtype', None)
        if len(shape) != 2 or shape[0] < 1 or shape[1] != SEGMENT_NUMBERS or dtype != np.float32:
            raise ValueError(
                f'segments of a motion are float32 [S, {SEGMENT_NUMBERS}], got {dtype} of shape '
                f'{list(shape)}'
            )
        if not (np.isfinite([self.scale, self.base]).all() and np.isfinite(self.segments).all()):
            raise ValueError('scale, base and segments of a motion must be finite')
        if self.field not in names:
            raise ValueError(f'the motion reads the time in {self.field!r}, which is no field')


class View(NamedTuple):
    """
    One image, and how it sees the points of a cloud.

    A point that moves to p' in the frame of the grid is at rotation p' + translation, in metres,
    in the frame of the camera: z ahead, x to the right, y down.
    """

    image: ImageView
    camera: Camera  # of the size of the image
    rotation: FloatArray  # float32 [3, 3], with `camera.rectify` in it
    translation: FloatArray  # float32 [3], metres
    paints: tuple[str, ...]  # 'rgb' for the fields r, g and b, or fields with the value of a pixel
    cell: int = 0  # edge of a cell of the occlusion test, in pixels; 0: no test
    tolerance: float = 0.0  # of it, 1 / m

    def check(self) -> None:
        """ValueError if no point can be painted with it."""
        size = self.camera.width, self.camera.height
        if (self.image.width, self.image.height) != size:
            raise ValueError(
                f'the camera is for images of {size[0]} x {size[1]} pixels, the image has '
                f'{self.image.width} x {self.image.height}'
            )
        if {*XYZ, *COLOURS} & {*self.paints}:
            raise ValueError(f'a view paints rgb or fields of other names, not {self.paints}')
        if self.image.format.bayer and min(size) < 2:
            raise ValueError(f'a mosaic of {size[0]} x {size[1]} pixels has no colours')
        if RGB in self.paints and self.image.format.code == 'f4':
            raise ValueError(f'an image of {self.image.encoding} has no colours')
        for moved, shape in ((self.rotation, (3, 3)), (self.translation, (3,))):
            if moved.shape != shape or moved.dtype != np.float32 or not np.isfinite(moved).all():
                raise ValueError(f'a view needs finite float32 {list(shape)}, got {moved!r}')
        if self.cell < 0 or not self.tolerance >= 0:
            raise ValueError(
                f'cell {self.cell} and tolerance {self.tolerance} can not be negative'
            )

    @property
    def fields(self) -> tuple[str, ...]:
        """Names of the fields that it paints."""
        return fields_of(self.paints)


@dataclass(frozen=True, eq=False)
class CloudView(Layout):
    """
    A cloud that still lies in the bytes of its message, or in the columns it was made from.

    Made by `decode_cloud` and `CloudView.from_columns`; `column` and `xyz` behave the same on
    both. Nothing is written to the message.
    """

    frame_id: str = ''
    input_origin: Origin = ORIGIN_ZERO
    transform: Transform | None = None  # into the frame of the grid; see `Transform.from_matrix`
    times: PointTimes | None = None  # where they were asked for, and recognised
    motion: Motion | None = None  # into the frame of the grid as well; never beside a transform
    columns: Mapping[str, AnyArray | DeviceArray] = field(default_factory=dict)  # of from_columns
    # Fields that all points have one float32 value of, in place of what the message has.
    constants: Mapping[str, float] = field(default_factory=dict)
    # Cameras that paint fields, in place of those of the message; the first that sees a point
    # gives it its value. `column` does not paint: that takes moved points.
    views: tuple[View, ...] = ()

    def __post_init__(self) -> None:
        """Refuse a motion or a view that can not be applied, with a sentence."""
        for seen in self.views:
            seen.check()
        if self.motion is not None:
            if self.transform is not None:
                raise ValueError('points move by a transform or by a motion, not by both')
            self.motion.check(self.fields)

    def has(self, name: str) -> bool:
        """
        Tell whether the cloud has a field of this name that a channel can be made of.

        64-bit integers are times: neither float32 nor the sums of a channel could hold them.
        """
        if name in self.constants or name in self.painted:
            return True
        view = self.fields.get(name)
        return view is not None and view.dtype.str[1:] not in TIME_CODES

    @property
    def painted(self) -> tuple[str, ...]:
        """Names of the fields that the views paint, each once, in their order."""
        return tuple(dict.fromkeys(name for seen in self.views for name in seen.fields))

    def dtype_of(self, name: str) -> np.dtype[Any]:
        """Type that a field has its values in; colours that are painted are uint8."""
        if name in self.painted:
            return np.dtype(np.uint8 if name in COLOURS else np.float32)
        return self.stored_dtype(name)

    def stored_dtype(self, name: str) -> np.dtype[Any]:
        """Type of the values that `column` reads, painted or not."""
        return np.dtype(np.float32) if name in self.constants else self.fields[name].dtype

    def column(self, name: str, out: AnyArray | None = None, limit: int | None = None) -> AnyArray:
        """
        Values of a field as a contiguous array [n] in native byte order.

        Of a field with several values per point the first; of more than `limit` points the first
        `limit`. Floats come canonical (no -0), booleans as 0 or 1. `out` has at least that many
        elements; its dtype decides the one of the result.
        """
        source = self._values(name)
        points = self.n if limit is None else min(self.n, limit)
        if out is None:
            out = np.empty(points, source.dtype.newbyteorder('='))
        target = out[:points]
        _copy_points(source, target, points)
        return _canonical(target)

    def xyz(
        self,
        origin: Origin | None = None,
        limit: int | None = None,
        out: Sequence[FloatArray] | None = None,
    ) -> tuple[FloatArray, FloatArray, FloatArray]:
        """
        Coordinates relative to `origin` (default: `input_origin`) as three float32 columns.

        The origin is subtracted in float64 before the cast, so that float64 map coordinates keep
        their digits. `out`: three float32 arrays to write to.
        """
        x, y, z = (
            self._coordinate(name, shift, limit, None if out is None else out[axis])
            for axis, (name, shift) in enumerate(
                zip(XYZ, origin or self.input_origin, strict=True)
            )
        )
        return x, y, z

    def _coordinate(
        self, name: str, shift: float, limit: int | None, out: FloatArray | None
    ) -> FloatArray:
        points = self.n if limit is None else min(self.n, limit)
        target: FloatArray = np.empty(points, np.float32) if out is None else out
        if shift == 0.0:
            return self.column(name, target, limit)
        exact = self.column(name, np.empty(points, np.float64), limit)
        with np.errstate(all='ignore'):
            exact -= shift
        _copy(exact, target[:points])
        return _canonical(target[:points])

    def _values(self, name: str) -> AnyArray:
        """First value of every point where it lies, [n] or [height, width]."""
        if name in self.constants:
            with np.errstate(over='ignore'):
                return np.broadcast_to(np.float32(self.constants[name]), self.n)
        held = self.columns.get(name)
        if held is not None:
            return on_host(held)
        source = self.strided(name)
        return source[..., 0] if self.fields[name].count > 1 else source

    @classmethod
    def from_columns(
        cls,
        columns: Mapping[str, npt.ArrayLike | DeviceArray],
        frame_id: str = '',
        input_origin: Origin = ORIGIN_ZERO,
    ) -> CloudView:
        """
        View of columns that are in memory already: x, y, z and any others, each [n].

        They are held, not copied: do not write to them while the view is in use. Those on a GPU
        are read there by its kernels, and copied to the host by `column` and `xyz`. Raises
        ValueError where they could not be the fields of a message.
        """
        held = {name: view(values) for name, values in columns.items()}
        _check_columns(held)
        fields = {name: FieldView(values.dtype, 0, 1) for name, values in held.items()}
        n = len(held['x'])
        return cls(_NO_BYTES, n, 1, 0, 0, fields, {}, frame_id, input_origin, columns=held)


def decode_cloud(msg: Any, input_origin: Origin = ORIGIN_ZERO) -> CloudView:
    """View of a sensor_msgs/PointCloud2; copies nothing, raises Rejected."""
    layout = decode_layout(msg)
    for name in XYZ:
        found = layout.fields.get(name)
        if found is None:
            names = ', '.join(shown(other) for other in list(layout.fields)[:8])
            raise Rejected(Reason.CLOUD_XYZ, f'no field {name!r} among {names or "no fields"}')
        if found.dtype.kind != 'f' or found.count != 1:
            raise Rejected(
                Reason.CLOUD_XYZ,
                f'{name!r} is {found.count} x {found.dtype.name}, not one float32 or float64',
            )
    frame_id = str(msg.header.frame_id)
    layout = replace(layout, fields={**layout.fields, **_packed_colours(layout.fields)})
    return CloudView(**vars(layout), frame_id=frame_id, input_origin=input_origin)


def _packed_colours(fields: Mapping[str, FieldView]) -> Mapping[str, FieldView]:
    """Fields r, g and b, bytes of a field rgb or rgba with 0xAARRGGBB, where there are none."""
    if any(name in fields for name in COLOURS):
        return {}
    for name in _PACKED:
        found = fields.get(name)
        if found is not None and found.count == 1 and found.dtype.str[1:] in ('f4', 'u4'):
            places = (1, 2, 3) if found.dtype.str[0] == '>' else (2, 1, 0)
            return {
                colour: FieldView(np.dtype('u1'), found.offset + place, 1)
                for colour, place in zip(COLOURS, places, strict=True)
            }
    return {}


def _canonical(values: AnyArray) -> AnyArray:
    """Floats without -0, in place."""
    if values.dtype.kind == 'f':
        with np.errstate(all='ignore'):  # a signalling NaN is data, no error of ours
            np.add(values, 0.0, out=values)
    return values


def _copy_points(source: AnyArray, target: AnyArray, points: int) -> None:
    """Copy the first points of [n] or [height, width] into target [points]."""
    if source.ndim == 1:
        _copy(source[:points], target)
        return
    width = source.shape[1]
    rows, rest = divmod(points, width)
    _copy(source[:rows], target[: rows * width].reshape(rows, width))
    if rest:
        _copy(source[rows, :rest], target[rows * width :])


def _copy(source: AnyArray, target: AnyArray) -> None:
    if source.dtype.kind == 'b':
        # Any byte but 0 is true; NumPy takes a bool that is neither 0 nor 1 at its byte.
        np.not_equal(source.view(np.uint8), 0, out=target)
        return
    with np.errstate(all='ignore'):  # float64 to float32: what does not fit becomes infinite
        np.copyto(target, source, casting='same_kind')


def _check_columns(columns: Mapping[str, AnyArray | DeviceArray]) -> None:
    for name in XYZ:
        if name not in columns:
            raise ValueError(f'no column {name!r} among {", ".join(columns) or "none"}')
        if columns[name].dtype.kind != 'f':
            raise ValueError(f'column {name!r} is {columns[name].dtype}, not float32 or float64')
    for name, values in columns.items():
        if values.shape != columns['x'].shape or values.ndim != 1:
            raise ValueError(f'column {name!r} has shape {values.shape}, x {columns["x"].shape}')
        if values.dtype.str[1:] not in DATATYPES.values():
            raise ValueError(f'column {name!r} is {values.dtype}, which no point field can hold')
