# Copyright 2026 the robocache_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The clouds of one call on their way to the device: which bytes go, and where values lie."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from robocache_ros.backends.cuda.device import Limits, OverLimit
from robocache_ros.backends.cuda.jobs import CLOUD, FIELD, MAX_FIELDS, POINTS
from robocache_ros.backends.cuda.staging import Parcel
from robocache_ros.backends.numpy_cells import slices
from robocache_ros.codec.cloud import XYZ
from robocache_ros.codec.layout import DATATYPES
from robocache_ros.grid import Grid
from robocache_ros.interop import DeviceArray

if TYPE_CHECKING:
    from robocache_ros.codec.cloud import CloudView

_TYPES = {code: number for number, code in DATATYPES.items()}


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
        self._clouds = np.zeros(len(parts), CLOUD)
        self._fields = np.zeros((len(parts), len(self._names)), FIELD)
        # Where the values lie: in the parcel, or at an address of the device.
        self._offsets = np.zeros(self._fields.shape, np.uint64)
        self._addresses = np.zeros(self._fields.shape, np.uint64)
        self._at = parcel.add(self._clouds), parcel.add(self._fields)
        before = parcel.nbytes
        for row, (cloud, part) in enumerate(parts):
            _describe(self._clouds[row], cloud, part)
            if cloud.columns:
                self._add_columns(row, cloud, part.stop - part.start)
            else:
                self._add_message(row, cloud, part.stop - part.start)
        check(parcel.nbytes - before, limits.max_message_bytes, 'bytes of points')

    def points(self, base: int, grid: Grid) -> Any:
        """Return the POINTS of a job, of a parcel that lies at `base` on the device."""
        in_parcel = self._addresses == 0
        self._fields['address'] = np.where(
            in_parcel, self._offsets + np.uint64(base), self._addresses
        )
        points = np.zeros((), POINTS)
        points['clouds'], points['fields'] = (base + offset for offset in self._at)
        points['n'] = self.n
        points['dims'], points['origin'], points['inv'] = grid.dims, grid.origin32, grid.inv32
        points['cloud_count'], points['field_count'] = self._fields.shape
        return points

    def _add_message(self, row: int, cloud: CloudView, n: int) -> None:
        whole_rows, rest = divmod(n - 1, cloud.width)
        end = whole_rows * cloud.row_step + (rest + 1) * cloud.point_step
        at = self._parcel.add(cloud.data[:end])
        for column, name in enumerate(self._names):
            if cloud.has(name):
                view, field = cloud.fields[name], self._fields[row, column]
                self._offsets[row, column] = at + view.offset
                field['point_stride'], field['row_stride'] = cloud.point_step, cloud.row_step
                _type(field, view.dtype)

    def _add_columns(self, row: int, cloud: CloudView, n: int) -> None:
        for column, name in enumerate(self._names):
            if cloud.has(name):
                values, field = cloud.columns[name], self._fields[row, column]
                _type(field, values.dtype)
                if isinstance(values, DeviceArray):  # read where it is
                    self._addresses[row, column] = values.address
                    field['point_stride'] = values.strides[0]
                else:
                    self._offsets[row, column] = self._parcel.add(values[:n])
                    field['point_stride'] = values.itemsize


def check(number: int, limit: int, what: str) -> None:
    """Raise OverLimit where a call has more of something than device memory is sized for."""
    if number > limit:
        raise OverLimit(f'the call has {number} {what}, the device takes {limit}')


def _describe(target: Any, cloud: CloudView, part: slice) -> None:
    n = part.stop - part.start
    one_row = bool(cloud.columns) or cloud.row_step == cloud.width * cloud.point_step
    target['begin'], target['end'] = part.start, part.stop
    target['width'] = n if one_row else cloud.width
    target['origin'] = cloud.input_origin
    target['shifted'] = any(cloud.input_origin)
    if cloud.transform is not None:
        target['rotation'] = cloud.transform.rotation.reshape(-1)
        target['translation'] = cloud.transform.translation
        target['transformed'] = True


def _type(field: Any, dtype: np.dtype[Any]) -> None:
    field['type'] = _TYPES[dtype.str[1:]]
    field['swapped'] = dtype.newbyteorder('=') != dtype
