# Copyright 2026 the robocache_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Points as a caller has them: an array, columns or a message, brought to a cloud view."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from robocache_ros.codec.cloud import XYZ, CloudView, Motion, Transform, decode_cloud
from robocache_ros.interop import (
    DeviceArray,
    Kind,
    check_place,
    is_bfloat16,
    kind_of,
    on_host,
    view,
)
from robocache_ros.samples import AnyArray

_Column = AnyArray | DeviceArray


def as_cloud(
    points: Any,
    fields: Sequence[str] | None = None,
    transform: Any = None,
    motion: Motion | None = None,
) -> CloudView:
    """
    View of points in any of these forms; ValueError or Rejected for anything else.

    An array [N, 3+] with columns x, y, z and then those named by `fields`; a tuple of such columns
    [N] each; a mapping or structured array of columns by name; a PointCloud2 message; a view.
    Arrays may be of any kind that `interop` knows, and are not copied. `transform`: matrix [4, 4]
    that moves the points; `motion`: moves each by its own time, instead.
    """
    cloud = _as_cloud(points, fields)
    if transform is not None and motion is not None:
        raise ValueError('points move by a transform or by a motion, not by both')
    if transform is not None:
        moved = Transform.from_matrix(on_host(transform))
        return replace(cloud, transform=moved, motion=None)
    if motion is not None:
        return replace(cloud, transform=None, motion=motion)
    return cloud


def kind_of_points(points: Any) -> Kind:
    """Kind of the arrays that points consist of, which is the one of their first column."""
    if isinstance(points, CloudView):
        points = getattr(points.columns.get('x'), 'owner', None)
    elif isinstance(points, Mapping):
        points = next(iter(points.values()), None)
    elif isinstance(points, tuple):
        points = next(iter(points), None)
    return kind_of(points)


def _as_cloud(points: Any, fields: Sequence[str] | None) -> CloudView:
    if isinstance(points, CloudView):
        return points
    if hasattr(points, 'point_step'):
        return decode_cloud(points)
    names = getattr(getattr(points, 'dtype', None), 'names', None)
    if names:
        points = {name: points[name] for name in names}
    if isinstance(points, Mapping):
        if fields is not None:
            raise ValueError('fields names the columns of an array; these points have names')
        return _of_columns(points)
    if isinstance(points, tuple):
        return _of_columns(_named(points, fields))
    rows = _seen(points, 'points of')
    if rows.ndim != 2:
        raise ValueError(f'points need the shape [N, 3] or wider, got {list(rows.shape)}')
    if isinstance(rows, DeviceArray):
        return _of_columns(_named([points[:, k] for k in range(rows.shape[1])], fields))
    return _of_columns(_named(list(rows.T), fields))


def _named(columns: Sequence[Any], fields: Sequence[str] | None) -> Mapping[str, Any]:
    names = (*XYZ, *(fields or ()))
    if len(columns) < 3 or (fields is not None and len(names) != len(columns)):
        raise ValueError(
            f'points have {len(columns)} columns, expected {len(names)}: {", ".join(names)}'
        )
    if len(set(names)) != len(names):
        raise ValueError(f'fields repeats a name: {", ".join(names)}')
    return dict(zip(names, columns, strict=False))


def _of_columns(columns: Mapping[str, Any]) -> CloudView:
    seen = {name: _column(name, values) for name, values in columns.items()}
    check_place(seen.values(), 'columns')
    return CloudView.from_columns(seen)


def _column(name: str, values: Any) -> _Column:
    """Coordinates that are integers or floats of other sizes as float64, which holds them all."""
    column = _seen(values, f'column {name!r} of')
    if name not in XYZ or column.dtype.name in ('float32', 'float64'):
        return column
    if isinstance(column, DeviceArray):
        raise ValueError(f'column {name!r} on a GPU is {column.dtype}, not float32 or float64')
    return column.astype(np.float64)


def _seen(values: Any, what: str) -> _Column:
    if is_bfloat16(values):
        raise ValueError(f'{what} bfloat16, which no point field can hold: use float32')
    return view(values)
