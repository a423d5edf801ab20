# Copyright 2026 the robocache_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The cases of the GPU benchmark: what is computed, how many bytes that moves, and the peers."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from types import SimpleNamespace
from typing import Any, NamedTuple

import bench_gpu_peers as gpu_peers
import bench_inputs as inputs
import bench_motion as motion
import bench_peers as peers
import numpy as np

import robocache_ros
from robocache_ros.backends.cuda.dense import DenseGrids
from robocache_ros.backends.cuda.fusion import Fusion, FusionResults
from robocache_ros.backends.cuda.images import ImageResults, Images
from robocache_ros.backends.cuda.memory import Grown
from robocache_ros.backends.cuda.staging import Staging
from robocache_ros.backends.cuda.voxels import Voxelizer, VoxelResults
from robocache_ros.codec.cloud import decode_cloud
from robocache_ros.codec.image import ImageView
from robocache_ros.codec.table import voxels_table
from robocache_ros.grid import Channel, Grid, VoxelSpec
from robocache_ros.points import as_cloud
from robocache_ros.resampling import Stream

LOW, SIZE, DIMS = -25.6, 0.4, 128
SPARSE_SIZE = 0.1
SPARSE_RANGE = (-52.0, -52.0, -13.0, 52.0, 52.0, 13.0)
FEATURES = 'abcd'
CAP = 8  # points of a voxel


class Case(NamedTuple):
    """One piece of work."""

    name: str
    note: str
    nbytes: int  # inputs read once and results written once, which no kernel can go below
    target_us: float | None  # of GPU time, on a GPU of the H200's class
    # Given a staging, a call that computes on the device, inputs and results there.
    resident: Callable[[Staging], Callable[[], Any]]
    # The same as a user calls it, on arrays of CuPy; None where there is no such function.
    call: Callable[[Any], Callable[[], Any]] | None
    # From the bytes of messages to bytes of messages, given a backend; None where not a message.
    message: Callable[[Any], Callable[[], Any]] | None
    # Given cupy, its compiled plain kernels and torch or None: {name: call}.
    peers: Callable[[Any, Any, Any], dict[str, Callable[[], Any]]]


def all_cases(n: int = 500_000, only: str = '') -> Iterator[Case]:
    """Yield every case with `only` in its name; `n` points."""
    for shape in ('uniform', 'ring'):
        yield from _wanted(only, f'count_{shape}', dense, n, shape, 'count')
        yield from _wanted(only, f'occupancy_{shape}', dense, n, shape, 'occupancy')
        yield from _wanted(only, f'occupancy_bits_{shape}', dense, n, shape, 'bits')
        yield from _wanted(only, f'mean4_{shape}', dense, n, shape, 'mean')
        yield from _wanted(only, f'sparse_{shape}', sparse, n, shape)
        yield from _wanted(only, f'sparse_cap_{shape}', sparse, n, shape, CAP)
    yield from _wanted(only, 'deskew_count', deskewed, n)
    yield from _wanted(only, 'fusion_b4_bfloat16', fusion, 'bfloat16')
    yield from _wanted(only, 'fusion_b4_float32', fusion, 'float32')
    yield from _wanted(only, 'image_480p', image, 480, 640)
    yield from _wanted(only, 'image_1080p', image, 1080, 1920)


def _wanted(only: str, name: str, make: Callable[..., Case], *arguments: Any) -> Iterator[Case]:
    if only in name:
        yield make(name, *arguments)


def dense(name: str, n: int, shape: str, what: str) -> Case:
    """Points into 128^3 cells: count, occupancy as bytes or bits, or the means of 4 features."""
    points = inputs.ring_scan(n, 25.0, 20.0) if shape == 'ring' else inputs.uniform(n, 25.6)
    values = inputs.features(n, len(FEATURES) if what == 'mean' else 0)
    columns = inputs.columns(points, values, FEATURES[: values.shape[1]])
    channels = ['count', *(f'mean_{f}' for f in FEATURES)] if what == 'mean' else ['count']
    high = LOW + DIMS * SIZE
    extent = (LOW, LOW, LOW, high, high, high)
    grid = Grid.from_range(SIZE, extent)
    spec = VoxelSpec(grid, tuple(Channel.parse(channel) for channel in channels))
    cloud = as_cloud(columns)
    per_cell = {'count': 4.0, 'occupancy': 1.0, 'bits': 1 / 8, 'mean': 4.0 * len(channels)}[what]
    common = {'voxel_size': SIZE, 'point_cloud_range': extent, 'backend': 'cuda'}

    def resident(staging: Staging) -> Callable[[], Any]:
        grids, held = DenseGrids(staging), Grown(staging.device.allocate)
        if what in ('occupancy', 'bits'):
            limits = (staging.limits.max_points, what == 'bits')
            return partial(grids.fill_occupancy, [cloud], grid, *limits, held.at_least)
        return partial(grids.fill_voxels, [cloud], spec, held.at_least)

    def call(cupy: Any) -> Callable[[], Any]:
        there = {key: cupy.asarray(column) for key, column in columns.items()}
        if what in ('occupancy', 'bits'):
            return partial(robocache_ros.occupancy, there, packed=what == 'bits', **common)
        return partial(robocache_ros.voxelize, there, dense=True, channels=channels, **common)

    def others(cupy: Any, plain: Any, torch: Any) -> dict[str, Callable[[], Any]]:
        p, v = cupy.asarray(points), cupy.asarray(values)
        box = (LOW, SIZE, DIMS)
        found: dict[str, Callable[[], Any]] = {}
        if what == 'mean':
            found['plain'] = partial(gpu_peers.plain_mean, cupy, plain, p, v, *box)
            found['cupy'] = partial(gpu_peers.cupy_mean, cupy, p, v, *box)
        elif what == 'count':
            found['plain'] = partial(gpu_peers.plain_grid, cupy, plain, 'count', p, *box)
            found['cupy'] = partial(gpu_peers.cupy_count, cupy, p, *box)
        else:
            found['plain'] = partial(gpu_peers.plain_grid, cupy, plain, 'occupancy', p, *box)
        if torch is not None and what in ('mean', 'count'):
            tensors = torch.from_numpy(points).cuda(), torch.from_numpy(values).cuda()
            if what == 'mean':
                found['torch'] = partial(peers.dense_mean_torch, torch, *tensors, *box)
            else:
                found['torch'] = partial(peers.dense_count_torch, torch, tensors[0], *box)
        return found

    targets = {'count': 7.0, 'occupancy': 6.0, 'bits': None, 'mean': 18.0}
    nbytes = int((12 + 4 * values.shape[1]) * n + per_cell * grid.cells)
    note = f'{n} points, {shape}, into {DIMS}^3 cells, clearing included'
    return Case(name, note, nbytes, targets[what], resident, call, None, others)


def deskewed(name: str, n: int) -> Case:
    """A sweep of a robot that turns and drives, from the bytes of a message: count."""
    sweep = motion.Sweep(*motion.scan(n, 25.0, 20.0))
    high = LOW + DIMS * SIZE
    grid = Grid.from_range(SIZE, (LOW, LOW, LOW, high, high, high))
    spec = VoxelSpec(grid, (Channel.parse('count'),))
    cloud = sweep.ours()

    def resident(staging: Staging) -> Callable[[], Any]:
        grids, held = DenseGrids(staging), Grown(staging.device.allocate)
        return partial(grids.fill_voxels, [cloud], spec, held.at_least)

    def through(backend: Any) -> Callable[[], Any]:
        return lambda: backend.voxelize_dense([sweep.ours()], spec)

    note = (
        f'{n} points of {cloud.point_step} bytes, ring, each moved by its own time, into '
        f'{DIMS}^3 cells, clearing included. message: poses to a grid on the host'
    )
    nbytes = cloud.point_step * n + 4 * grid.cells
    return Case(name, note, nbytes, 9.0, resident, None, through, lambda *_: {})


def sparse(name: str, n: int, shape: str, cap: int = 0) -> Case:
    """Occupied voxels of 0.1 m with count and centroid, in canonical order; `cap` points each."""
    points = inputs.ring_scan(n) if shape == 'ring' else inputs.uniform(n, 12.8)
    values = inputs.features(n, 1)
    columns = inputs.columns(points, values)
    names = ('count', 'centroid')
    grid = Grid.from_range(SPARSE_SIZE, SPARSE_RANGE)
    parsed = tuple(Channel.parse(each) for each in names)
    spec = VoxelSpec(grid, parsed, max_voxels=n, max_points_per_voxel=cap)
    cloud = as_cloud(columns)
    message = inputs.cloud_message(points, values)
    voxels = len(np.unique(np.floor(points / np.float32(SPARSE_SIZE)), axis=0))

    def resident(staging: Staging) -> Callable[[], Any]:
        voxelizer, held = Voxelizer(staging), Grown(staging.device.allocate)
        results = VoxelResults(spec, voxelizer.capacity([cloud], spec))
        return partial(voxelizer.run, [cloud], spec, results, held.at_least)

    def call(cupy: Any) -> Callable[[], Any]:
        return partial(
            robocache_ros.voxelize,
            {key: cupy.asarray(column) for key, column in columns.items()},
            voxel_size=SPARSE_SIZE,
            point_cloud_range=SPARSE_RANGE,
            channels=names,
            max_points_per_voxel=cap,
            backend='cuda',
        )

    def through(backend: Any) -> Callable[[], Any]:
        def run() -> bytes:
            voxels = backend.voxelize([decode_cloud(message)], spec)
            return voxels_table(SimpleNamespace(voxels=voxels)).data

        return run

    def others(cupy: Any, plain: Any, torch: Any) -> dict[str, Callable[[], Any]]:
        if cap:
            return {}
        p, v = cupy.asarray(points), cupy.asarray(values)
        found = {'cupy': partial(gpu_peers.cupy_sparse, cupy, p, v, SPARSE_SIZE)}
        if torch is not None:
            tensors = torch.from_numpy(points).cuda(), torch.from_numpy(values).cuda()
            found['torch'] = partial(peers.voxels_torch, torch, *tensors, SPARSE_SIZE)
        return found

    note = (
        f'{n} points, {shape}, 0.1 m: {voxels} voxels with count and centroid, lowest index first'
    )
    note += (
        f', of {cap} points each at most'
        if cap
        else '. cupy and torch: also the mean intensity, sums in any order'
    )
    nbytes = 12 * n + 24 * voxels
    target = None if cap else 25.0
    return Case(name, note, nbytes, target, resident, call, through, others)


def fusion(name: str, dtype: str) -> Case:
    """Three streams, 4 sequences, 50 targets."""
    made, aim = inputs.streams(4, 50)
    streams = [Stream(t, _stored(values, dtype), dtype=dtype) for t, values in made]
    results = FusionResults(streams, aim, dtype)
    nbytes = results.nbytes + aim.nbytes
    nbytes += sum(stream.times.nbytes + stream.values.nbytes for stream in streams)

    def resident(staging: Staging) -> Callable[[], Any]:
        held = Grown(staging.device.allocate)
        return partial(Fusion(staging).run, streams, aim, results, held.at_least)

    def others(cupy: Any, plain: Any, torch: Any) -> dict[str, Callable[[], Any]]:
        if torch is None:
            return {}
        when = torch.from_numpy((aim / 1e9).astype(np.float32)).cuda()
        kind = getattr(torch, dtype)
        rows = [
            (torch.from_numpy((t / 1e9).astype(np.float32)).cuda(), torch.from_numpy(v).cuda())
            for t, v in made
        ]
        typed = [(t, v.to(kind)) for t, v in rows]
        return {'torch': partial(peers.fuse_torch_batched, torch, typed, when)}

    note = f'streams of 30 x 512, 100 x 64 and 200 x 12 at 4 x 50 times, {dtype} in and out'
    target = 3.0 if dtype == 'bfloat16' else None
    return Case(name, note, nbytes, target, resident, None, None, others)


def _stored(values: Any, dtype: str) -> Any:
    if dtype == 'float32':
        return values
    return (values.view(np.uint32) >> 16).astype(np.uint16)  # cut off: any bfloat16 will do


def image(name: str, height: int, width: int) -> Case:
    """Grey means of 8 x 8 areas."""
    pixels = inputs.image(height, width)
    view = ImageView(pixels.reshape(-1), height, width, 3 * width, 'rgb8', False)

    def resident(staging: Staging) -> Callable[[], Any]:
        results, held = ImageResults(8, 8, 'mono'), Grown(staging.device.allocate)
        return partial(Images(staging).run, view, 8, 8, results, held.at_least)

    def through(backend: Any) -> Callable[[], Any]:
        return partial(backend.image_grid, view, 8, 8, 'mono')

    note = f'{width} x {height} rgb8 to 8 x 8 grey means'
    nbytes = pixels.nbytes + 4 * 64
    return Case(name, note, nbytes, None, resident, None, through, lambda *_: {})
