# Copyright 2026 the robocache_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Where the core puts the points of clouds, for a picture: as if at once, and each by its time."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np

from robocache_ros.backends.numpy_backend import NumpyBackend
from robocache_ros.backends.numpy_cells import locate
from robocache_ros.backends.workspace import Workspace
from robocache_ros.codec.cloud import CloudView, Transform
from robocache_ros.codec.stamp import stamp_ns
from robocache_ros.config import Config
from robocache_ros.config.consistency import RATE
from robocache_ros.decoding import Decoder, frame_of
from robocache_ros.grid import Grid, SparseVoxels, VoxelSpec
from robocache_ros.pipeline import Pipeline
from robocache_ros.samples import FloatArray, VoxelFrame

_PATIENCE_SEC = 2.0
_GRID = Grid((0.0, 0.0, 0.0), (1.0, 1.0, 1.0), (1, 1, 1))  # any: points outside are kept


class Placed(NamedTuple):
    """The points of one grid, finite ones only, in its frame."""

    stamp_ns: int
    smeared: FloatArray  # [N, 3] each cloud moved as a whole
    deskewed: FloatArray  # [N, 3] each point moved by its own time


class PlacedClouds:
    """
    The clouds of each grid of a node, placed by a pipeline like its own on the same messages.

    So a picture shows what the node computes. It waits longer for the motion than the node does:
    a viewer that falls behind is to show what a punctual node had.
    """

    def __init__(self, config: Config) -> None:
        config = _patient(_without_looks(config))
        self.sources = config.sources
        self._backend = _Onlooker()
        self._pipeline = Pipeline(config, self._backend)
        self._decoders = {source.name: Decoder(source, config.deskew) for source in self.sources}

    def push(self, source: str, message: Any) -> Iterator[Placed]:
        """Take a message, and yield what is known by now; raises Rejected."""
        now_ns = time.monotonic_ns()
        t_ns, sample = self._decoders[source](message, stamp_ns(message.header))
        self._pipeline.push(now_ns, source, t_ns, sample, frame_of(message))
        for frame in self._pipeline.advance(now_ns):
            if isinstance(frame, VoxelFrame):
                clouds = self._backend.seen
                smeared = points_of([taken_at_once(cloud) for cloud in clouds])
                yield Placed(frame.t_ref_ns, smeared, points_of(clouds))


def _without_looks(config: Config) -> Config:
    """Leave only what tells where points are: no camera, which may also be what triggers."""
    heard = {
        *(source.name for source in config.voxel_sources()),
        config.deskew.imu,
        config.deskew.odometry,
    }
    known = config.trigger in (*heard, RATE)
    return replace(
        config,
        sources=tuple(source for source in config.sources if source.name in heard),
        trigger=config.trigger if known else config.voxel_sources()[0].name,
        voxels=replace(config.voxels, channels=('count',), dense='none'),
    )


def _patient(config: Config) -> Config:
    longer = max(0.0, _PATIENCE_SEC - config.timeout_sec)
    sources = [replace(s, history_sec=s.history_sec + longer) for s in config.sources]
    return replace(config, sources=tuple(sources), timeout_sec=config.timeout_sec + longer)


class _Onlooker(NumpyBackend):
    """Remembers which clouds it was given last."""

    seen: Sequence[CloudView] = ()

    def voxelize(self, clouds: Sequence[CloudView], spec: VoxelSpec) -> SparseVoxels:
        self.seen = clouds
        return super().voxelize(clouds, spec)


def taken_at_once(cloud: CloudView) -> CloudView:
    """Return a cloud as if all of it had been measured at the end of its last segment."""
    if cloud.motion is None:
        return cloud
    last = cloud.motion.segments[-1]
    rotation = (last[:9] + last[9:18] + last[18:27]).reshape(3, 3)
    return replace(cloud, motion=None, transform=Transform(rotation, last[27:30] + last[30:]))


def points_of(clouds: Sequence[CloudView]) -> FloatArray:
    """All finite points [N, 3] of clouds where their transform or motion puts them."""
    located = locate(Workspace(), clouds, _GRID, sum(cloud.n for cloud in clouds))
    points = np.stack(located.moved, axis=1)
    return points[np.isfinite(points).all(axis=1)]
