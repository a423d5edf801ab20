# Copyright 2026 the robocache_ros authors
# SPDX-License-Identifier: Apache-2.0
"""What a backend will have to do: how large it may get, and typical input to measure with."""

from __future__ import annotations

from collections.abc import Callable, Sequence, Set
from dataclasses import dataclass, replace
from functools import partial

import numpy as np

from robocache_ros.backends.crossover import Case, Cases
from robocache_ros.backends.cuda.device import Limits
from robocache_ros.codec.camera import Camera
from robocache_ros.codec.cloud import COLOURS, RGB, XYZ, CloudView, View
from robocache_ros.codec.image import ImageView
from robocache_ros.codec.layout import FieldView
from robocache_ros.config import Config, ImageSource
from robocache_ros.grid import Channel, Grid, VoxelSpec
from robocache_ros.resampling import Stream
from robocache_ros.samples import IntArray

_POINTS = (1_000, 3_000, 10_000, 30_000, 100_000, 300_000, 1_000_000)
_HEIGHTS = (60, 120, 240, 480, 960, 1440)  # of images, 4 : 3
_PAINTING_HEIGHTS = 4  # of them, for those that paint points
_MAX_THETA = 2.9  # rad off the axis
_WIDTHS = (8, 32, 128, 512, 2048)  # values of a stream
_BATCHES = (1, 4, 16, 64)
_SAMPLES = 50
_STEP_NS = 10_000_000
_FLOAT = np.dtype('<f4')
# Memory grows with what is asked for: these only keep a GPU that others use as well from filling.
_GENERAL_LIMITS = Limits(max_points=2**24, max_voxels=2**24, max_message_bytes=2**28)


@dataclass(frozen=True)
class Workload:
    """The operations that will be called, and with what."""

    limits: Limits
    spec: VoxelSpec
    voxelize: Sequence[str] = ()  # which of voxelize, voxelize_dense and occupancy
    image_grid: tuple[int, int, str] | None = None  # rows, cols, channels
    targets: int = 10  # rows of a feature table
    fuse: bool = False
    painted: frozenset[str] = frozenset()  # point fields that cameras paint

    @classmethod
    def of(cls, config: Config) -> Workload:
        """Return what a node of this configuration asks for."""
        images = [source for source in config.sources if isinstance(source, ImageSource)]
        grids = [(*source.grid, source.channels) for source in images]
        return cls(
            Limits(config.voxels.max_points, config.voxels.max_voxels, config.max_message_bytes),
            config.voxel_spec,
            voxelize=('voxelize',) if config.cloud_sources() else (),
            image_grid=grids[0] if grids else None,
            targets=config.features.targets,
            painted=config.painted,
        )

    @classmethod
    def general(cls) -> Workload:
        """Return what the functions of the package may be called with, as far as one can tell."""
        channels = tuple(Channel.parse(name) for name in ('count', 'mean_intensity'))
        return cls(
            _GENERAL_LIMITS,
            VoxelSpec(Grid.from_range(0.4, (-25.6, -25.6, -25.6, 25.6, 25.6, 25.6)), channels),
            voxelize=('voxelize', 'voxelize_dense', 'occupancy'),
            image_grid=(8, 8, 'mono'),
            fuse=True,
        )

    def cases(self) -> Cases:
        """Return the cases of every operation that will be called, smallest first."""
        found: dict[str, list[Callable[[], Case]]] = {
            op: [partial(self._cloud_case, op, n) for n in self._points()] for op in self.voxelize
        }
        if self.image_grid is not None:
            found['image_grid'] = [partial(self._image_case, height) for height in self._heights()]
        found['resample'] = [partial(self._resample_case, width) for width in _WIDTHS]
        if self.fuse:
            found['fuse'] = [partial(self._fuse_case, batch) for batch in _BATCHES]
        return found

    def _points(self) -> list[int]:
        """Sizes of clouds up to the limits, or the limit alone where that is smaller."""
        step = _FLOAT.itemsize * (len(XYZ) + len(self.spec.fields))
        limits = (self.limits.max_points, self.spec.max_points)
        most = min(*limits, self.limits.max_message_bytes // step)
        return [n for n in _POINTS if n <= most] or [max(most, 1)]

    def _heights(self) -> list[int]:
        """Heights of images that hold the grid and are within the limits, at least one."""
        assert self.image_grid is not None
        rows, cols, _ = self.image_grid
        least = max(rows, cols)
        most = self.limits.max_message_bytes
        return [h for h in _HEIGHTS if h >= least and h * h * 4 <= most] or [least]

    def _cloud_case(self, op: str, n: int) -> Case:
        cloud = _cloud(n, self.spec)
        painted = self.painted & {*self.spec.fields}
        clouds = [replace(cloud, views=(self._view(painted),)) if painted else cloud]
        if op == 'occupancy':
            return Case(n, lambda backend: backend.occupancy(clouds, self.spec.grid))
        return Case(n, lambda backend: getattr(backend, op)(clouds, self.spec))

    def _view(self, painted: Set[str]) -> View:
        """All of the grid as a fisheye in the middle of it sees it: most arithmetic a point."""
        most = self.limits.max_message_bytes
        height = max([h for h in _HEIGHTS[:_PAINTING_HEIGHTS] if h * h * 4 <= most], default=8)
        image = _image(height)
        lens = (height / 6.0, height / 6.0, image.width / 2, height / 2)
        camera = Camera(image.width, height, *lens, True, (0.01, 0.001, 0.0, 0.0), _MAX_THETA)
        low, high = np.array(self.spec.grid.origin), np.array(self.spec.grid.upper)
        place = (-0.5 * (low + high)).astype(np.float32)
        paints = (*sorted(painted - {*COLOURS}), *([RGB] if painted & {*COLOURS} else []))
        return View(image, camera, np.eye(3, dtype=np.float32), place, paints, 4, 0.01)

    def _image_case(self, height: int) -> Case:
        assert self.image_grid is not None
        rows, cols, channels = self.image_grid
        image = _image(height)
        size = image.height * image.width
        return Case(size, lambda backend: backend.image_grid(image, rows, cols, channels))

    def _resample_case(self, width: int) -> Case:
        stream, targets = _stream(1, width), _targets(1, self.targets)
        return Case(targets.size * width, lambda backend: backend.resample(stream, targets))

    def _fuse_case(self, batch: int) -> Case:
        widths = (128, 64, 8)
        streams, targets = [_stream(batch, w) for w in widths], _targets(batch, _SAMPLES)
        return Case(targets.size * sum(widths), lambda backend: backend.fuse(streams, targets))


def _cloud(n: int, spec: VoxelSpec) -> CloudView:
    """Points spread over the grid, packed in a message as drivers do it."""
    random = np.random.default_rng(0)
    names = (*XYZ, *(name for name in spec.fields if name not in XYZ))
    points = random.random((n, len(names)), np.float32)
    low, high = np.array(spec.grid.origin, np.float32), np.array(spec.grid.upper, np.float32)
    points[:, :3] = low + points[:, :3] * (high - low)
    step = _FLOAT.itemsize * len(names)
    fields = {name: FieldView(_FLOAT, _FLOAT.itemsize * k, 1) for k, name in enumerate(names)}
    data = points.reshape(-1).view(np.uint8)
    return CloudView(data, n, 1, step, step * n, fields, {})


def _image(height: int) -> ImageView:
    """An rgb8 image, 4 : 3."""
    width = height * 4 // 3
    data = np.random.default_rng(0).integers(0, 256, height * width * 3, np.uint8)
    return ImageView(data, height, width, width * 3, 'rgb8', False)


def _stream(batch: int, width: int) -> Stream:
    times = np.tile(np.arange(_SAMPLES, dtype=np.int64) * _STEP_NS, (batch, 1))
    values = np.random.default_rng(0).random((batch, _SAMPLES, width), np.float32)
    return Stream(times, values)


def _targets(batch: int, rows: int) -> IntArray:
    """Times between the samples, up to the last one."""
    last_ns = (_SAMPLES - 1) * _STEP_NS
    return np.tile(np.linspace(0, last_ns, rows).astype(np.int64), (batch, 1))
