# Copyright 2026 the robocache_ros authors
# SPDX-License-Identifier: Apache-2.0
"""
The same work by others: libraries where they are installed, and baselines in torch and NumPy.

Every function takes its input in the form that suits it best, made before the clock starts.
"""

from __future__ import annotations

from importlib import import_module
from io import BytesIO

import numpy as np

HOW_TO_GET = {
    'open3d': 'pip install open3d (and the system libraries libusb-1.0 and libgl1)',
    'small_gicp': 'pip install small_gicp',
    'kiss_icp': 'pip install kiss-icp',
    'scipy': 'pip install scipy',
    'torch': 'pip install torch --index-url https://download.pytorch.org/whl/cpu',
    'cv2': 'pip install opencv-python-headless',
    'PIL': 'pip install pillow',
    'sensor_msgs_py': 'comes with ROS 2: source it',
}


def find_peers():
    """Peers that import, {name: module}, and for each of the others why it does not."""
    found, absent = {}, {}
    for name in HOW_TO_GET:
        try:
            found[name] = import_module(name)
        except (ImportError, OSError) as error:  # a library of the system may be missing
            absent[name] = str(error).splitlines()[0]
    return found, absent


# -- voxels ---------------------------------------------------------------------------------


def voxels_np_unique(points, values, size):
    """Group rows with np.unique: the code one writes first."""
    cells = np.floor(points / np.float32(size)).astype(np.int64)
    unique, inverse, counts = np.unique(cells, axis=0, return_inverse=True, return_counts=True)
    inverse = inverse.reshape(-1)
    sums = [
        np.bincount(inverse, weights=column, minlength=len(unique))
        for column in (*points.T, *values.T)
    ]
    return unique, counts, np.stack(sums, axis=1) / counts[:, None]


def voxels_torch(torch, points, values, size):
    """Group linear keys with torch.unique, then add everything up."""
    cells = torch.floor(points / size).long()
    low = cells.min(dim=0).values
    span = cells.max(dim=0).values - low + 1
    cells -= low
    keys = (cells[:, 2] * span[1] + cells[:, 1]) * span[0] + cells[:, 0]
    unique, inverse, counts = torch.unique(keys, return_inverse=True, return_counts=True)
    rows = torch.cat([points, values], dim=1)
    sums = torch.zeros(len(unique), rows.shape[1], device=rows.device)
    sums.index_add_(0, inverse, rows)
    return unique, counts, sums / counts[:, None]


def open3d_cloud(o3d, points):
    """Points as the classic (float64) point cloud of Open3D."""
    return o3d.geometry.PointCloud(o3d.utility.Vector3dVector(points.astype(np.float64)))


def open3d_tensor_cloud(o3d, points, values):
    """Points and intensity as a tensor point cloud of Open3D."""
    cloud = o3d.t.geometry.PointCloud(o3d.core.Tensor(points))
    cloud.point.intensity = o3d.core.Tensor(values)
    return cloud


# -- dense grids: what the predecessor of this package does without a GPU ----------------------


def _linear_cells(torch, points, low, size, dims):
    cells = torch.floor((points - low) / size).long()
    for axis in range(3):
        cells[:, axis].clamp_(0, dims - 1)
    return (cells[:, 0] * dims + cells[:, 1]) * dims + cells[:, 2]


def dense_count_torch(torch, points, low, size, dims):
    """Count points per cell, int32 [dims, dims, dims]."""
    cells = _linear_cells(torch, points, low, size, dims)
    return torch.bincount(cells, minlength=dims**3).reshape(dims, dims, dims).int()


def dense_mean_torch(torch, points, values, low, size, dims):
    """Means of values [N, F] per cell, float32 [dims, dims, dims, F]."""
    cells = _linear_cells(torch, points, low, size, dims)
    sums = torch.zeros(dims**3, values.shape[1], device=values.device)
    sums.index_add_(0, cells, values)
    counts = torch.bincount(cells, minlength=dims**3).float() + 1e-8
    return (sums / counts[:, None]).reshape(dims, dims, dims, -1)


# -- fusion ---------------------------------------------------------------------------------


def fuse_torch(torch, streams, targets):
    """Interpolate row by row: the formula of the predecessor without a GPU."""
    parts = []
    for times, values in streams:
        rows = []
        for b in range(len(times)):
            right = torch.searchsorted(times[b], targets[b]).clamp(1, times.shape[1] - 1)
            left = right - 1
            span = times[b][right] - times[b][left] + 1e-8
            weight = ((targets[b] - times[b][left]) / span).clamp(0, 1)[:, None]
            rows.append(values[b][left] * (1 - weight) + values[b][right] * weight)
        parts.append(torch.stack(rows))
    return torch.cat(parts, dim=-1)


def fuse_torch_batched(torch, streams, targets):
    """Interpolate with every row of the batch in the same few calls."""
    parts = []
    for times, values in streams:
        right = torch.searchsorted(times, targets).clamp(1, times.shape[1] - 1)
        left = right - 1
        start = times.gather(1, left)
        weight = ((targets - start) / (times.gather(1, right) - start)).clamp(0, 1)[..., None]
        shape = (-1, -1, values.shape[2])
        a = values.gather(1, left[..., None].expand(shape))
        b = values.gather(1, right[..., None].expand(shape))
        parts.append(torch.lerp(a, b, weight.to(a.dtype)))
    return torch.cat(parts, dim=-1)


def fuse_np_interp(streams, targets):
    """Interpolate feature by feature with np.interp."""
    return np.concatenate(
        [
            np.stack(
                [
                    np.stack([np.interp(aim, t, column) for column in rows.T], axis=1)
                    for t, rows, aim in zip(times, values, targets, strict=True)
                ]
            )
            for times, values in streams
        ],
        axis=2,
    )


# -- motion -----------------------------------------------------------------------------------


def kiss_preprocessor(kiss_icp):
    """Deskew of KISS-ICP alone, on one core: nothing is too near or too far."""
    import_module(f'{kiss_icp.__name__}.pybind.kiss_icp_pybind')
    return kiss_icp.pybind.kiss_icp_pybind._Preprocessor(1e6, 0.0, True, 1)


def kiss_cloud(kiss_icp, points):
    """Points as KISS-ICP has them: float64."""
    return kiss_icp.pybind.kiss_icp_pybind._Vector3dVector(points.astype(np.float64))


def merge_kiss(kiss_icp, preprocessor, sweeps, size):
    """Deskew clouds (points, times, motion of the sweep, pose at its end), merge, downsample."""
    moved = [
        np.asarray(preprocessor._preprocess(points, times, motion)) @ end[:3, :3].T + end[:3, 3]
        for points, times, motion, end in sweeps
    ]
    kiss = kiss_icp.pybind.kiss_icp_pybind
    return kiss._voxel_down_sample(kiss._Vector3dVector(np.concatenate(moved)), size)


def deskew_scipy(points, times, knots, turns, places):
    """Slerp and linear interpolation at every point: `turns` and `places` [k] at `knots` [k] s."""
    from scipy.spatial.transform import Rotation, Slerp

    moved = Slerp(knots, Rotation.from_quat(turns))(times).apply(points)
    for axis in range(3):
        moved[:, axis] += np.interp(times, knots, places[:, axis])
    return moved


def merge_scipy(sweeps, size):
    """Deskew clouds with scipy, merge them, and find the voxels with np.unique."""
    points = np.concatenate([deskew_scipy(*sweep) for sweep in sweeps]).astype(np.float32)
    return voxels_np_unique(points, points[:, :0], size)


# -- colours of points -------------------------------------------------------------------------


def colours_cv2(cv2, points, turn, shift, k, d, pixels, fisheye):
    """Project the points ahead with OpenCV, then index the image: uint8 [N, 3], 0 where unseen."""
    ahead = np.flatnonzero(points @ turn[2].astype(np.float32) > 0.05 - shift[2])
    vector, _ = cv2.Rodrigues(turn)
    if fisheye:
        given = points[ahead, None].astype(np.float64)
        uv, _ = cv2.fisheye.projectPoints(given, vector, shift, k, d)
    else:
        uv, _ = cv2.projectPoints(points[ahead], vector, shift, k, d)
    return _looked_up(len(points), ahead, *uv.reshape(-1, 2).T, pixels)


def colours_floats(points, turn, shift, k, d, pixels, fisheye):
    """Project all points in float32, a whole array at a time: the code one writes first."""
    place = points @ turn.T.astype(np.float32) + shift.astype(np.float32)
    ahead = np.flatnonzero(place[:, 2] > 0.05)
    x, y, z = place[ahead].T
    x, y, (k1, k2, p1, p2) = x / z, y / z, d[:4].astype(np.float32)
    r2 = x * x + y * y
    if fisheye:
        r = np.sqrt(r2)
        theta = np.arctan(r)
        q = theta * theta
        ratio = theta * (1 + q * (k1 + q * (k2 + q * (p1 + q * p2)))) / r
        x, y = x * ratio, y * ratio
    else:
        radial = 1 + r2 * (k1 + r2 * (k2 + r2 * np.float32(d[4])))
        x, y = (
            x * radial + 2 * p1 * x * y + p2 * (r2 + 2 * x * x),
            y * radial + p1 * (r2 + 2 * y * y) + 2 * p2 * x * y,
        )
    u, v = (
        np.float32(k[0, 0]) * x + np.float32(k[0, 2]),
        np.float32(k[1, 1]) * y + np.float32(k[1, 2]),
    )
    return _looked_up(len(points), ahead, u, v, pixels)


def _looked_up(n, ahead, u, v, pixels):
    height, width = pixels.shape[:2]
    column, row = np.floor(u + 0.5), np.floor(v + 0.5)
    inside = (column >= 0) & (column < width) & (row >= 0) & (row < height)
    colours = np.zeros((n, 3), np.uint8)
    colours[ahead[inside]] = pixels[row[inside].astype(np.int64), column[inside].astype(np.int64)]
    return colours


# -- decoding and images --------------------------------------------------------------------


def decode_fields(message, dtype):
    """x, y, z as [N, 3], and intensity, by field of a structured array."""
    rows = np.frombuffer(message.data, dtype)
    points = np.empty((len(rows), 3), np.float32)
    for axis, name in enumerate('xyz'):
        points[:, axis] = rows[name]
    return points, rows['intensity'].copy()


def image_grid_floats(pixels, rows, cols):
    """Grey in float32, then the mean of equal blocks."""
    grey = pixels.astype(np.float32) @ np.array([0.299, 0.587, 0.114], np.float32)
    height, width = grey.shape
    return grey.reshape(rows, height // rows, cols, width // cols).mean(axis=(1, 3))


def image_grid_cv2(cv2, pixels, rows, cols):
    """Grey and an area resize, which rounds its result to uint8."""
    return cv2.resize(
        cv2.cvtColor(pixels, cv2.COLOR_RGB2GRAY), (cols, rows), interpolation=cv2.INTER_AREA
    )


def decode_pillow(file):
    """Open a file, as every example does."""
    from PIL import Image

    return np.asarray(Image.open(BytesIO(file)))


def decode_cv2(cv2, file):
    """Decode a file on one thread: blue, green, red, or what it stores."""
    cv2.setNumThreads(1)
    return cv2.imdecode(file, cv2.IMREAD_UNCHANGED)
