# Copyright 2026 the robocache_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The cases: for each, ours and every peer that is installed, checked to do the same work."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import Any

import bench_images as images
import bench_inputs as inputs
import bench_motion as motion
import bench_paint as painting
import bench_peers as peers
import numpy as np
from bench_case import Case, check_equal

from robocache_ros import Fused, Stream, fuse, voxelize
from robocache_ros.backends import make_backend
from robocache_ros.codec.cloud import decode_cloud
from robocache_ros.codec.image import ImageView


def all_cases(found: dict[str, Any], only: str = '') -> Iterator[Case]:
    """Yield every case with `only` in its name; inputs live only as long as their case."""
    for name, make, *arguments in TABLE:
        case = make(name, found, *arguments) if only in name else None
        if case is not None:
            yield case


def sparse(name, found, n, shape, size):
    """Occupied voxels with count, centroid and mean intensity."""
    points = inputs.ring_scan(n) if shape == 'ring' else inputs.uniform(n, 12.8)
    values = inputs.features(len(points), 1)
    cloud = inputs.columns(points, values)
    ours = partial(
        voxelize,
        cloud,
        voxel_size=size,
        point_cloud_range=[-52.0, -52.0, -13.0, 52.0, 52.0, 13.0],  # multiples of every size
        channels=['count', 'centroid', 'mean_intensity'],
    )
    impls = {'numpy': ours, 'np_unique': partial(peers.voxels_np_unique, points, values, size)}
    if 'torch' in found:
        torch = found['torch']
        tensors = torch.from_numpy(points), torch.from_numpy(values)
        impls['torch'] = partial(peers.voxels_torch, torch, *tensors, size)
    if 'open3d' in found:
        classic = peers.open3d_cloud(found['open3d'], points)
        tensor = peers.open3d_tensor_cloud(found['open3d'], points, values)
        impls['open3d'] = partial(classic.voxel_down_sample, size)
        impls['open3d_tensor'] = partial(tensor.voxel_down_sample, size)
    if 'small_gicp' in found:
        sample = found['small_gicp'].voxelgrid_sampling
        wide = points.astype(np.float64)
        impls['small_gicp'] = partial(sample, wide, size)
        impls['small_gicp_2_threads'] = partial(sample, wide, size, num_threads=2)
    voxels = _check_voxels(impls, points, size)
    note = (
        f'{voxels} voxels; count, centroid and mean intensity (open3d and small_gicp: centroid '
        'only). Ours takes columns, as its decoder makes them; the others arrays or clouds of '
        'their own'
    )
    return Case(name, note, impls)


def _check_voxels(impls, points, size):
    """Refuse to compare what is not comparable: each result has the voxels its rule says."""
    wide = points.astype(np.float64)
    aligned = _occupied(np.floor(wide / size))
    # Open3D puts the lowest point half a voxel above the lower corner of its grid.
    shifted = _occupied(np.floor((wide - (wide.min(axis=0) - size / 2)) / size))
    counts = {
        'numpy': (aligned, lambda r: len(r)),
        'np_unique': (aligned, lambda r: len(r[0])),
        'torch': (aligned, lambda r: len(r[0])),
        'small_gicp': (aligned, lambda r: r.size()),
        'open3d': (shifted, lambda r: len(r.points)),
        'open3d_tensor': (aligned, lambda r: r.point.positions.shape[0]),
    }
    for impl, run in impls.items():
        if impl not in counts:
            continue  # small_gicp with threads may leave voxels apart
        expected, count = counts[impl]
        found = count(run())
        if abs(found - expected) > 0.001 * expected:
            raise SystemExit(f'{impl} gives {found} voxels where its rule says {expected}')
    return aligned


def _occupied(cells):
    low = cells.min(axis=0)
    x, y, z = (cells - low).astype(np.int64).T
    return len(np.unique((z * (y.max() + 1) + y) * (x.max() + 1) + x))


def dense_count(name, found, n, shape):
    """Points per cell of 128^3."""
    points = dense_points(n, shape)
    ours = partial(_dense, inputs.columns(points, points[:, :0], ()), ['count'])
    impls = {'numpy': ours}
    if 'torch' in found:
        torch = found['torch']
        run = partial(peers.dense_count_torch, torch, torch.from_numpy(points), -25.6, 0.4, 128)
        check_equal(ours()[..., 0], run().permute(2, 1, 0).numpy(), 0.02)
        impls['torch'] = run
    return Case(name, '128^3 cells of 0.4 m. Ours takes columns, torch [N, 3]', impls)


def dense_mean(name, found, n, shape):
    """Means of four features per cell of 128^3."""
    points = dense_points(n, shape)
    values = inputs.features(len(points), 4)
    cloud = inputs.columns(points, values, 'abcd')
    ours = partial(_dense, cloud, ['count', 'mean_a', 'mean_b', 'mean_c', 'mean_d'])
    impls = {'numpy': ours}
    if 'torch' in found:
        torch = found['torch']
        tensors = torch.from_numpy(points), torch.from_numpy(values)
        run = partial(peers.dense_mean_torch, torch, *tensors, -25.6, 0.4, 128)
        check_equal(ours()[..., 1:], run().permute(2, 1, 0, 3).numpy(), 0.02)
        impls['torch'] = run
    note = '128^3 cells of 0.4 m, 4 means (ours: and the count, sums exact)'
    return Case(name, note, impls)


def dense_points(n, shape):
    """Points that lie inside 128^3 cells of 0.4 m."""
    return inputs.ring_scan(n, 25.0, 20.0) if shape == 'ring' else inputs.uniform(n, 25.6)


def _dense(cloud, channels):
    return voxelize(
        cloud,
        voxel_size=0.4,
        point_cloud_range=[-25.6, -25.6, -25.6, 25.6, 25.6, 25.6],
        channels=channels,
        dense=True,
    )


def fusion(name, found, batch, targets):
    """Three streams of 30 x 512, 100 x 64 and 200 x 12 at the target times."""
    streams, aim = inputs.streams(batch, targets)
    given = [Stream(*stream) for stream in streams]
    backend = make_backend('numpy')
    impls = {
        'numpy': partial(fuse, given, aim),
        'numpy_unchecked': partial(backend.fuse, given, aim),
        'np_interp': partial(peers.fuse_np_interp, streams, aim),
    }
    if 'torch' in found:
        torch = found['torch']
        when = torch.from_numpy((aim / 1e9).astype(np.float32))
        wide = [
            (torch.from_numpy((t / 1e9).astype(np.float32)), torch.from_numpy(v))
            for t, v in streams
        ]
        half = [(t, v.bfloat16()) for t, v in wide]
        impls['torch'] = partial(peers.fuse_torch, torch, wide, when)
        impls['torch_bf16'] = partial(peers.fuse_torch, torch, half, when)
        impls['torch_batched'] = partial(peers.fuse_torch_batched, torch, wide, when)
    for run in impls.values():
        check_equal(_values(impls['numpy']()), _values(run()), 0.03)
    return Case(name, f'B = {batch}, T = {targets}; ours with validity and age', impls)


def _values(result):
    if isinstance(result, Fused):
        return result.values
    return result if isinstance(result, np.ndarray) else result.float().numpy()


def decode(name, found):
    """x, y, z and intensity of 500k points of 22 bytes."""
    message = inputs.cloud_message(inputs.ring_scan(500_000), inputs.features(500_000, 1))
    dtype = inputs.cloud_dtype()

    def ours():
        cloud = decode_cloud(message)
        return (*cloud.xyz(), cloud.column('intensity'))

    impls = {'numpy': ours, 'np_fields': partial(peers.decode_fields, message, dtype)}
    check_equal(ours()[1], impls['np_fields']()[0][:, 1], 0.0)
    if 'sensor_msgs_py' in found:
        from sensor_msgs_py.point_cloud2 import read_points

        names = ['x', 'y', 'z', 'intensity']
        impls['sensor_msgs_py'] = lambda: read_points(message, names).copy()
    note = '500k points of 22 bytes to four columns; np_fields to [N, 3] and a column'
    return Case(name, note, impls)


def image_grid(name, found, height, width):
    """Grey means of 8 x 8 areas of an rgb8 image."""
    pixels = inputs.image(height, width)
    view = ImageView(pixels.reshape(-1), height, width, 3 * width, 'rgb8', False)
    backend = make_backend('numpy')

    def ours():
        return backend.image_grid(view, 8, 8, 'mono')[0]

    impls = {'numpy': ours, 'np_floats': partial(peers.image_grid_floats, pixels, 8, 8)}
    if 'cv2' in found:
        impls['cv2'] = partial(peers.image_grid_cv2, found['cv2'], pixels, 8, 8)
    for run in impls.values():
        check_equal(ours(), run().reshape(-1), 1.0)
    return Case(name, f'{width} x {height} rgb8 to 8 x 8 grey means; cv2 rounds to uint8', impls)


TABLE = (
    ('sparse_500k_0.1m_ring', sparse, 500_000, 'ring', 0.1),
    ('sparse_100k_0.1m_ring', sparse, 100_000, 'ring', 0.1),
    ('sparse_500k_0.5m_ring', sparse, 500_000, 'ring', 0.5),
    ('sparse_500k_0.5m_uniform', sparse, 500_000, 'uniform', 0.5),
    ('dense_count_500k_uniform', dense_count, 500_000, 'uniform'),
    ('dense_count_500k_ring', dense_count, 500_000, 'ring'),
    ('dense_count_100k_ring', dense_count, 100_000, 'ring'),
    ('dense_mean4_500k_ring', dense_mean, 500_000, 'ring'),
    ('dense_mean4_100k_ring', dense_mean, 100_000, 'ring'),
    ('fusion_b4', fusion, 4, 50),
    ('fusion_b1_t50', fusion, 1, 50),
    ('fusion_b1_t10', fusion, 1, 10),
    ('decode_500k', decode),
    ('deskew_500k', motion.deskewed, 500_000, 'time'),
    ('deskew_500k_organised', motion.deskewed, 499_968, 'rings'),
    ('deskew_3_clouds_of_200k', motion.merged_clouds, 3, 200_000),
    ('deskew_5_sweeps_of_100k', motion.merged_sweeps, 5, 100_000),
    ('paint_500k_480p', painting.painted, 500_000, 480, 640, 'plumb_bob'),
    ('paint_500k_1080p', painting.painted, 500_000, 1080, 1920, 'plumb_bob'),
    ('paint_500k_fisheye', painting.painted, 500_000, 1080, 1920, 'equidistant'),
    ('image_grid_480p', image_grid, 480, 640),
    ('image_grid_1080p', image_grid, 1080, 1920),
    ('jpeg_1080p', images.unpacking, 'jpeg', 1080, 1920),
    ('progressive_1080p', images.unpacking, 'progressive', 1080, 1920),
    ('png_1080p', images.unpacking, 'png', 1080, 1920),
    ('depth_480p', images.unpacking, 'depth', 480, 640),
)
