# Copyright 2026 the robocache_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Time-aligned voxel grids and fused features from robot sensors."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from robocache_ros.api import deskew, fuse, occupancy, resample, voxelize
    from robocache_ros.codec.cloud import Motion
    from robocache_ros.resampling import Fused, Resampled, Stream

__version__ = '0.1.0'
__all__ = [
    'Fused',
    'Motion',
    'Resampled',
    'Stream',
    'deskew',
    'fuse',
    'occupancy',
    'resample',
    'voxelize',
]


def __getattr__(name: str) -> Any:
    """Load the functions when they are first used, so that importing the package costs nothing."""
    if name not in __all__:
        raise AttributeError(f'module {__name__!r} has no attribute {name!r}')
    from robocache_ros import api

    return getattr(api, name)


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
