# Copyright 2026 the robocache_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Messages of a node -> arrays, in one call each; live, or from a bag on a machine without ROS."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import numpy as np

from robocache_ros.codec.table import FeatureRows, VoxelRows, read_features, read_voxels
from robocache_ros.grid import Grid
from robocache_ros.samples import AnyArray

__all__ = [
    'FeatureRows',
    'VoxelRows',
    'has_voxels',
    'read_dense',
    'read_features',
    'read_schema',
    'read_voxels',
    'to_dense',
    'to_torch',
]


def read_schema(message: Any) -> dict[str, Any]:
    """Parse a ~/schema message; ValueError where it is none."""
    try:
        schema = json.loads(message.data)
    except json.JSONDecodeError as error:
        raise ValueError(f'not a schema: {error}') from error
    if not isinstance(schema, dict) or 'schema_id' not in schema:
        raise ValueError('not a schema: no schema_id')
    return schema


def has_voxels(schema: dict[str, Any]) -> bool:
    """Whether the node sends voxels at all: not where none of its sources is a cloud."""
    parameters = schema['parameters'].items()
    return any(key.endswith('.type') and kind == 'pointcloud2' for key, kind in parameters)


def read_dense(message: Any) -> AnyArray:
    """Arrange a ~/voxels/dense message as [z, y, x, channel] float32 or uint8, a view of it."""
    shape = [dim.size for dim in message.layout.dim]
    return np.asarray(message.data).reshape(shape)


def to_dense(voxels: VoxelRows, schema: dict[str, Any]) -> Any:
    """
    Scatter sparse voxels into [C, z, y, x] float32, channels in schema order.

    Empty cells, and occupied ones without a valid value, are 0. The channel `rgb` is left out: its
    numbers are bits to look at. Gives what it is given: a NumPy array, or a torch tensor.
    """
    about = schema['grid']
    grid = Grid(tuple(about['origin']), tuple(about['voxel_size']), tuple(about['dims']))
    nx, ny, _ = grid.dims
    cells = [
        np.floor((np.asarray(center) - origin) * inverse).astype(np.int64)
        for center, origin, inverse in zip(
            (voxels.x, voxels.y, voxels.z), grid.origin32, grid.inv32, strict=True
        )
    ]
    index = (cells[2] * ny + cells[1]) * nx + cells[0]
    names = [channel['name'] for channel in schema['channels'] if channel['kind'] != 'rgb']
    flat = np.zeros((len(names), grid.cells), np.float32)
    for row, name in zip(flat, names, strict=True):
        values = np.asarray(voxels.channels[name])
        row[index] = np.where(np.isnan(values), 0, values)
    dense = flat.reshape(len(names), *grid.shape)
    return dense if isinstance(voxels.x, np.ndarray) else to_torch()(dense)


def to_torch() -> Callable[[AnyArray], Any]:
    """Return the function array -> tensor that shares its memory; uint32 becomes int32."""
    try:
        import torch
    except ImportError as error:
        raise ImportError(
            "tensor='torch' needs PyTorch, which this Python does not have: pip install torch"
        ) from error

    def convert(values: AnyArray) -> Any:
        return torch.from_numpy(values.view(np.int32) if values.dtype == np.uint32 else values)

    return convert
