# Copyright 2026 the robocache_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Clouds of many points, as messages of any layout and as columns, and the voxels compared."""

from __future__ import annotations

from types import SimpleNamespace as Message

import numpy as np

from robocache_ros.codec.cloud import CloudView, decode_cloud
from robocache_ros.codec.layout import DATATYPES
from robocache_ros.grid import Channel, VoxelSpec

NUMBERS = {code: number for number, code in DATATYPES.items()}


def message(columns, step=0, *, first=0, width=None, padding=0, big_endian=False):
    """
    PointCloud2 of columns [n]: name -> values of any type of a field.

    Fields lie end to end from byte `first` of a point on, points `step` bytes apart, rows of
    `width` points with `padding` bytes behind them. Bytes of no field are 0xAA.
    """
    n = len(columns['x'])
    width = n if width is None else width
    height = n // width if width else 1
    order = '>' if big_endian else '<'
    types = {name: np.dtype(values.dtype).newbyteorder(order) for name, values in columns.items()}
    offsets = first + np.cumsum([0, *(dtype.itemsize for dtype in types.values())])
    point = np.dtype(
        {
            'names': list(columns),
            'formats': list(types.values()),
            'offsets': offsets[:-1].tolist(),
            'itemsize': max(step, int(offsets[-1])),
        }
    )
    data = np.full((height, width * point.itemsize + padding), 0xAA, np.uint8)
    points = np.full(height * width * point.itemsize, 0xAA, np.uint8).view(point)
    for name, values in columns.items():
        points[name] = values
    data[:, : width * point.itemsize] = points.view(np.uint8).reshape(height, -1)
    return Message(
        header=Message(stamp=Message(sec=1, nanosec=0), frame_id='lidar'),
        height=height,
        width=width,
        fields=[
            Message(name=name, offset=int(at), datatype=NUMBERS[types[name].str[1:]], count=1)
            for name, at in zip(columns, offsets[:-1], strict=True)
        ],
        is_bigendian=big_endian,
        point_step=point.itemsize,
        row_step=data.shape[1],
        data=data.tobytes(),
        is_dense=False,
    )


def as_message(columns, input_origin=(0.0, 0.0, 0.0), **layout):
    return decode_cloud(message(columns, **layout), input_origin)


def as_columns(columns, input_origin=(0.0, 0.0, 0.0)):
    return CloudView.from_columns(columns, input_origin=input_origin)


def some_points(n, grid, seed=0, *, dtype='f4', bad=0.05):
    """Columns x, y, z [n] in and around a grid; a share of `bad` is not finite or far away."""
    rng = np.random.default_rng(seed)
    low, high = np.array(grid.origin), np.array(grid.upper)
    points = rng.uniform(low - 0.1 * (high - low), high + 0.1 * (high - low), (n, 3))
    lost = rng.random((n, 3)) < bad / 3
    points[lost] = rng.choice([np.nan, np.inf, -np.inf, 1e30, -1e30], np.count_nonzero(lost))
    with np.errstate(over='ignore'):
        return dict(zip('xyz', points.astype(dtype).T.copy(), strict=True))


def spec_of(grid, channels, **limits):
    return VoxelSpec(grid, tuple(Channel.parse(name) for name in channels), **limits)


def bits(values):
    """An array as integers, so that NaN and -0 compare by their bits."""
    return values.view(f'u{values.dtype.itemsize}')


def assert_same(found, wanted):
    """Every bit, and every count, of two SparseVoxels."""
    assert found.stats == wanted.stats
    assert list(found.columns) == list(wanted.columns)
    np.testing.assert_array_equal(found.index, wanted.index)
    for name in ('index', 'count'):
        one, other = getattr(found, name), getattr(wanted, name)
        assert one.dtype == other.dtype
        np.testing.assert_array_equal(one, other, err_msg=name)
    for name, values in wanted.columns.items():
        assert found.columns[name].dtype == values.dtype, name
        np.testing.assert_array_equal(bits(found.columns[name]), bits(values), err_msg=name)
