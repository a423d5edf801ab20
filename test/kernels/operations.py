# Copyright 2026 the robocache_ros authors
# SPDX-License-Identifier: Apache-2.0
"""
Small calls that go through every kernel, for devices that are slow.

    run(device, NAME)    # on a device of the tests; AssertionError if NumPy gives other bits
"""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / 'core'))

from codec_messages import cloud as cloud_message
from deskew_oracle import SEGMENT_NS, some_motion
from painted import camera, view

from robocache_ros.backends.comparison import same_bits
from robocache_ros.backends.cuda.cuda_backend import CudaBackend
from robocache_ros.backends.cuda.device import Limits
from robocache_ros.backends.numpy_backend import NumpyBackend
from robocache_ros.codec.cloud import CloudView, decode_cloud
from robocache_ros.codec.image import ENCODINGS, ImageView
from robocache_ros.grid import MAX_POINTS, Channel, Grid, VoxelSpec
from robocache_ros.interop import DeviceArray
from robocache_ros.resampling import Stream, stored_dtype

N = 500  # points: two blocks, the last not full
STATISTICS = ('count', 'centroid', 'mean_v', 'min_v', 'max_v', 'sum_v')
SEC = 1_000_000_000


def scan(n=N, seed=1, spread=9.0):
    """Points in and around a grid of 0 .. 8 m, some not finite, with a value v."""
    rng = np.random.default_rng(seed)
    xyz = rng.uniform(-0.5, spread, (n, 3)).astype(np.float32)
    v = (rng.normal(size=n) * 1e3).astype(np.float32)
    xyz[::97, 1], v[::41], v[1::41], v[2::41] = np.nan, np.nan, 3e38, -0.0
    x, y, z = xyz.T
    return CloudView.from_columns({'x': x, 'y': y, 'z': z, 'v': v})


def _message():
    """The same from the bytes of a message whose points begin at odd addresses."""
    points = [(0.37 * k % 8, 0.11 * k % 8, 0.77 * k % 8, 1.0 * k) for k in range(N)]
    return decode_cloud(cloud_message(points, width=N // 2, padding=3))


def _moving(cloud, field):
    """The same, each point by its own time, and all of one age."""
    by = some_motion(3, field=field, scale=SEGMENT_NS / 100)
    return replace(cloud, motion=by, constants={'age': 0.25})


def labelled(n=N, seed=1):
    """The same with few labels, most of them alike, and colours; some of each are none."""
    rng = np.random.default_rng(seed)
    colours = {name: rng.integers(0, 256, n, np.uint8) for name in 'rgb'}
    columns = {**scan(n, seed).columns, **colours, 'label': rng.integers(-1, 3, n, np.int16)}
    return CloudView.from_columns(columns)


def watched(cloud, occlusion=True):
    """The same, seen by a camera of each kind that colours, labels and measures it."""
    pose = np.eye(4)
    pose[:3, 3] = -4, -4, 2
    cell, tolerance = (3, 0.05) if occlusion else (0, 0.0)
    d = (-0.2, 0.05, 1e-3, 2e-3)
    views = (
        view(image('32FC1', 30, 40), camera(40, 30, 30.0, (20, 15)), ['depth', 'label'], pose),
        view(image('bayer_rggb8', 9, 11), camera(11, 9, 8.0, (5, 4), 'plumb_bob', d),
             ['rgb'], pose, cell, tolerance),
        view(image('bgr8', 30, 40), camera(40, 30, 12.0, (20, 15), 'equidistant'),
             ['rgb', 'label'], pose, cell, tolerance),
        view(image('mono16', 8, 8), camera(8, 8, 2.0, (4, 4)), ['rgb', 'depth'], pose),
    )  # fmt: skip
    return replace(cloud, views=views)


def spec(size=1.0, end=8.0, channels=STATISTICS, max_voxels=10_000):
    grid = Grid.from_range(size, [0, 0, 0, end, end, end])
    return VoxelSpec(grid, tuple(map(Channel.parse, channels)), MAX_POINTS, max_voxels, {})


_PAINTED = spec(2.0, channels=('rgb', 'count', 'majority_label', 'mean_depth', 'max_r'))


def _capped(most):
    return replace(spec(4.0), max_points_per_voxel=most, seed=7)


def image(encoding, height=20, width=70):
    stored = ENCODINGS[encoding]
    step = width * len(stored.order) * np.dtype(stored.code).itemsize + 3
    data = np.random.default_rng(2).integers(0, 120, height * step, np.uint8)
    return ImageView(data, height, width, step, encoding, False)


def streams():
    rng = np.random.default_rng(3)
    times = np.sort(rng.choice(SEC, (2, 40), replace=False), axis=1).astype(np.int64)
    quaternions = rng.normal(size=(2, 40, 4)).astype(np.float32)
    quaternions /= np.sqrt((quaternions * quaternions).sum(axis=2, keepdims=True))
    halves = rng.normal(size=(2, 40, 150)).astype(np.float16)
    bfloats = rng.integers(0, 0x7F00, (2, 40, 3)).astype(np.uint16)
    return [
        Stream(times, quaternions, 'slerp'),
        Stream(times[:, :7], halves[:, :7], 'linear'),
        Stream(times[:, :1], bfloats[:, :1], 'hold', dtype='bfloat16'),
        Stream(times, quaternions[:, :, :2].copy(), 'nearest', SEC // 1000),
        Stream(times[:, :0], quaternions[:, :0], 'linear'),
    ]


def _wide():
    """A stream of rows that are no multiple of 16 bytes."""
    rng = np.random.default_rng(5)
    values = rng.normal(size=(2, 20, 5)).astype(np.float32)
    return Stream(streams()[0].times[:, :20], values, 'linear', dtype='float32')


def _on_device(backend, given):
    """Streams whose values a kernel reads where they are; NumPy takes them as they come."""
    if isinstance(backend, NumpyBackend):
        return given
    return [_located(stream) for stream in given]


def _located(stream):
    dtype = stored_dtype(stream.values, stream.dtype)
    # From twice as wide a type where there is one, and in another order.
    stored = stream.values.astype(np.float64) if dtype == 'float32' else stream.values
    stored = np.asfortranarray(stored)
    place = stored.ctypes.data, stored.shape, stored.strides, stored.dtype
    return stream._replace(values=DeviceArray(*place, 0, stored, stored.copy), dtype=dtype)


def targets(count=6):
    return np.sort(np.random.default_rng(4).integers(0, SEC, (2, count)), axis=1)


def _images(backend):
    kinds = (('mono16', 'mono'), ('rgb8', 'rgb'), ('bayer_rggb8', 'mono'), ('32FC1', 'mono'))
    return [backend.image_grid(image(encoding), 3, 4, channels) for encoding, channels in kinds]


OPERATIONS = {
    'sparse voxels': lambda backend: [
        backend.voxelize([scan()], spec()),
        backend.voxelize([_message()], spec(channels=('count', 'occupancy', 'centroid'))),
        backend.voxelize([scan(), scan(200, 2)], spec(max_voxels=50)),
    ],
    'sparse voxels of a vast box': lambda backend: [
        backend.voxelize([scan()], spec(2**-8)),
        backend.voxelize([scan(spread=900.0)], spec(0.25, 1000.0)),
    ],
    'points in one voxel': lambda backend: [
        backend.voxelize([scan(spread=0.0)], spec(16.0, 16.0, ('count', 'mean_v', 'max_v')))
    ],
    'points that move': lambda backend: [
        backend.voxelize(
            [_moving(scan(), 'v'), scan(100, 2)], spec(channels=('count', 'max_age'))
        ),
        backend.voxelize_dense(
            [_moving(_message(), 'intensity')], spec(channels=('count', 'sum_age', 'centroid'))
        ),
        backend.voxelize_dense([_moving(scan(), 'v')], spec(channels=('count',))),
        backend.occupancy([_moving(scan(), 'v')], spec().grid),
    ],
    'sparse voxels with a cap': lambda backend: [
        backend.voxelize([scan(), _moving(scan(200, 2), 'v')], _capped(2)),
        backend.voxelize([scan(spread=0.0)], _capped(32)),
    ],
    'points that cameras paint': lambda backend: [
        backend.voxelize(
            [watched(_moving(scan(300), 'v')), watched(_message(), False), labelled(100)], _PAINTED
        ),
        backend.voxelize_dense([watched(scan(200))], spec(channels=('count', 'mean_r'))),
    ],
    'majorities and colours': lambda backend: [
        backend.voxelize([labelled(), labelled(200, 2)], replace(_PAINTED, max_voxels=60)),
        backend.voxelize_dense([labelled()], spec(4.0, channels=('count', 'majority_label'))),
    ],
    'dense grids': lambda backend: [
        backend.voxelize_dense([scan()], spec(channels=('count',))),
        backend.voxelize_dense([scan(), _message()], spec(0.5)),
        backend.voxelize_dense([scan()], spec(0.5, channels=('count', 'occupancy', 'min_v'))),
    ],
    'occupancy': lambda backend: [
        backend.occupancy([scan()], spec().grid, packed=packed) for packed in (False, True)
    ],
    'fusion': lambda backend: [
        backend.fuse(streams(), targets()),
        backend.fuse(streams()[:2], targets(), out_dtype='bfloat16'),
        *(backend.resample(stream, targets(2)) for stream in streams()),
    ],
    'fusion of values on the device': lambda backend: [
        backend.fuse(_on_device(backend, streams()), targets()),
        backend.fuse(_on_device(backend, [_wide()]), targets()),
    ],
    'images': _images,
}


def run(device, name):
    """Run one of OPERATIONS on a device; AssertionError unless it gives the bits of NumPy."""
    backend = CudaBackend(device, Limits(max_points=2000, max_voxels=2000))
    operation = OPERATIONS[name]
    assert same_bits(operation(backend), operation(NumpyBackend())), name
    backend.close()
