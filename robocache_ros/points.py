# Copyright 2026 the robocache_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Points as a caller has them: an array, columns or a message, brought to a cloud view."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from robocache_ros.codec.cloud import XYZ, CloudView, decode_cloud
from robocache_ros.samples import AnyArray


def as_cloud(points: Any, fields: Sequence[str] | None = None) -> CloudView:
    """
    View of points in any of these forms; ValueError or Rejected for anything else.

    An array [N, 3+] with columns x, y, z and then those named by `fields`; a tuple of such columns
    [N] each; a mapping or structured array of columns by name; a PointCloud2 message; a view.
    """
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
        return CloudView.from_columns(_with_float_xyz(points))
    if isinstance(points, tuple):
        return CloudView.from_columns(_named([np.asarray(column) for column in points], fields))
    rows = np.asarray(points)
    if rows.ndim != 2:
        raise ValueError(f'points need the shape [N, 3] or wider, got {list(rows.shape)}')
    return CloudView.from_columns(_named(list(rows.T), fields))


def _named(columns: Sequence[AnyArray], fields: Sequence[str] | None) -> Mapping[str, AnyArray]:
    names = (*XYZ, *(fields or ()))
    if len(columns) < 3 or (fields is not None and len(names) != len(columns)):
        raise ValueError(
            f'points have {len(columns)} columns, expected {len(names)}: {", ".join(names)}'
        )
    if len(set(names)) != len(names):
        raise ValueError(f'fields repeats a name: {", ".join(names)}')
    return _with_float_xyz(dict(zip(names, columns, strict=False)))


def _with_float_xyz(columns: Mapping[str, npt.ArrayLike]) -> Mapping[str, AnyArray]:
    """Integers and floats of other sizes as float64, which holds them all as coordinates."""
    arrays = {name: np.asarray(values) for name, values in columns.items()}
    for name in XYZ:
        if name in arrays and arrays[name].dtype.name not in ('float32', 'float64'):
            arrays[name] = arrays[name].astype(np.float64)
    return arrays
