# Copyright 2026 the robocache_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Every function on arrays as a call without arguments, its arrays of any kind."""

from __future__ import annotations

from dataclasses import fields

import numpy as np

from robocache_ros import Stream, fuse, occupancy, resample, voxelize
from robocache_ros.grid import SparseVoxels
from robocache_ros.interop import on_host

GRID = {'voxel_size': 0.5, 'point_cloud_range': [-2, -2, -2, 2, 2, 2]}
ASKED = {**GRID, 'channels': ['count', 'centroid', 'mean_i'], 'fields': ['i']}


def arrays(result):
    """Return all arrays of a result, by name."""
    if isinstance(result, SparseVoxels):
        named = {'index': result.index, 'count': result.count, **result.columns}
        assert {field.name for field in fields(result)} == {
            'grid', 'index', 'count', 'columns', 'stats',
        }  # fmt: skip
        return named
    if hasattr(result, '_asdict'):
        return {k: v for k, v in result._asdict().items() if hasattr(v, 'dtype')}
    return {'grid': result}


def bits(array):
    return on_host(array).tobytes()


def calls(change=lambda array: array):
    """Return every function as a call, its arrays changed."""
    rng = np.random.default_rng(3)
    points = change(rng.uniform(-2.2, 2.2, (300, 4)).astype(np.float32))
    times = np.cumsum(rng.integers(1, 50, (2, 8)), axis=1)
    values = [rng.standard_normal((2, 8, d)).astype(np.float32) for d in (3, 5, 4)]
    values[2][0, 2, 1] = np.inf
    targets = change(rng.integers(0, 400, (2, 6)))
    streams = [Stream(change(times), change(v)) for v in values]
    return {
        'voxelize': lambda **more: voxelize(points, **ASKED, **more),
        'dense': lambda **more: voxelize(points, **ASKED, dense=True, **more),
        'occupancy': lambda **more: occupancy(points, **GRID, **more),
        'packed': lambda **more: occupancy(points, **GRID, packed=True, **more),
        'resample': lambda **more: resample(*streams[0][:2], targets, **more),
        'with a bad sample': lambda **more: resample(*streams[2][:2], targets, **more),
        'fuse': lambda **more: fuse(streams[:2], targets, **more),
    }


NAMES = list(calls())
