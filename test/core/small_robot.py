# Copyright 2026 the robocache_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Small samples for the pipeline tests: what a robot of a few points and numbers sends."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np

from robocache_ros.backends import make_backend
from robocache_ros.codec.cloud import CloudView
from robocache_ros.codec.image import ImageView
from robocache_ros.config import Config
from robocache_ros.pipeline import Pipeline
from robocache_ros.samples import FeatureFrame, Vector, VoxelFrame

MS = 1_000_000
Arrival = tuple[str, int, object]  # source, ms of the stamp, payload
SMALL = {
    'voxels.voxel_size': 1.0,
    'voxels.point_cloud_range': [0.0, 0.0, 0.0, 8.0, 8.0, 4.0],
    'lidar.occupancy_shape': [1, 2, 2],
    'features.targets': 3,
    'features.target_rate_hz': 100.0,
}


def make_pipeline(max_backlog: int | None = 3, **parameters: object) -> Pipeline:
    """Pipeline on a grid of 8 x 8 x 4 cells; `lidar__wait='newest'` sets lidar.wait."""
    named = {key.replace('__', '.'): value for key, value in parameters.items()}
    blocks = set(named.get('sources', ['lidar', 'camera', 'imu']))
    small = {k: v for k, v in SMALL.items() if k.split('.')[0] in blocks | {'voxels', 'features'}}
    config = Config.from_mapping({**small, **named})
    return Pipeline(config, make_backend('numpy'), max_backlog)


def cloud(*points: tuple[float, float, float], frame_id: str = 'lidar') -> CloudView:
    """Cloud of the given points, with their number as intensity."""
    xyz = np.array(points, np.float32).reshape(-1, 3)
    intensity = np.arange(len(xyz), dtype=np.float32)
    columns = {'x': xyz[:, 0], 'y': xyz[:, 1], 'z': xyz[:, 2], 'intensity': intensity}
    return CloudView.from_columns(columns, frame_id=frame_id)


def imu(rate: float, oriented: bool = True) -> Vector:
    """IMU sample with `rate` as every angular velocity."""
    values = np.array([0, 0, 0, 1, rate, rate, rate, 0, 0, 9.8], np.float32)
    return Vector(values, np.array([oriented, True, True]))


def image(grey: int, rows: int = 16, cols: int = 16) -> ImageView:
    """Image of one grey."""
    data = np.full(rows * cols, grey, np.uint8)
    return ImageView(data, rows, cols, cols, 'mono8', False, 'camera')


class Drive:
    """Feeds a pipeline in milliseconds, arrival = stamp unless said, and collects its frames."""

    def __init__(self, pipeline: Pipeline) -> None:
        self.pipeline = pipeline
        self.frames: list[VoxelFrame | FeatureFrame] = []

    def push(self, source: str, t_ms: float, payload: object, at_ms: float | None = None) -> None:
        arrival_ms = t_ms if at_ms is None else at_ms
        frame_id = getattr(payload, 'frame_id', '')
        self.pipeline.push(int(arrival_ms * MS), source, int(t_ms * MS), payload, frame_id)

    def imu(self, *times_ms: float) -> None:
        """IMU samples whose rate is their time in ms."""
        for t_ms in times_ms:
            self.push('imu', t_ms, imu(t_ms))

    def advance(self, now_ms: float) -> list[tuple[str, float]]:
        """Outputs that became ready, as (name, t_ref in ms)."""
        new = list(self.pipeline.advance(int(now_ms * MS)))
        self.frames += new
        return [(name_of(frame), frame.t_ref_ns / MS) for frame in new]

    def status(self, now_ms: float = 0.0):
        return self.pipeline.status(int(now_ms * MS))

    def frame(self, name: str, t_ms: float):
        """The one frame of this output and time."""
        found = [f for f in self.frames if name_of(f) == name and f.t_ref_ns == int(t_ms * MS)]
        assert len(found) == 1, f'{len(found)} frames {name} at {t_ms} ms'
        return found[0]

    def assert_conserved(self) -> None:
        """Every sample is in exactly one state."""
        for name, account in self.status().sources.items():
            parts = account.buffered + account.used + account.expired
            assert account.received == parts + sum(account.dropped.values()), name

    def deliver(self, arrivals: Sequence[Arrival]) -> None:
        """One sample a millisecond, each followed by a look at what is ready."""
        for number, (source, t_ms, payload) in enumerate(arrivals):
            self.push(source, t_ms, payload, at_ms=number)
            self.advance(number)
        self.advance(10_000)
        self.assert_conserved()

    def assert_makes_again(self, frame: VoxelFrame | FeatureFrame, arrivals: Sequence[Arrival]):
        """Nothing but the samples that a frame names makes it, to the bit."""
        by_key = {(source, t_ms * MS): payload for source, t_ms, payload in arrivals}
        named = {(source, t_ns) for source, used in frame.used.items() for t_ns in used}
        for source, t_ns in sorted({*named, ('lidar', frame.t_ref_ns)}, key=lambda one: one[1]):
            self.push(source, t_ns / MS, by_key[source, t_ns])
        self.advance(10_000)
        assert frame_bytes([frame]).items() <= frame_bytes(self.frames).items()

    def deliver_at_once(self, arrivals: Iterable[Arrival]) -> None:
        """All samples before the first look at what is ready."""
        for source, t_ms, payload in arrivals:
            self.push(source, t_ms, payload, at_ms=0)
        self.advance(10_000)


def name_of(frame: VoxelFrame | FeatureFrame) -> str:
    return 'voxels' if isinstance(frame, VoxelFrame) else 'features'


def frame_bytes(frames: Iterable[VoxelFrame | FeatureFrame]) -> dict[tuple[str, int], bytes]:
    """Content of frames by output and time, for equality to the bit."""
    content = {}
    for frame in frames:
        if isinstance(frame, VoxelFrame):
            arrays = [frame.voxels.index, frame.voxels.count, *frame.voxels.columns.values()]
        else:
            arrays = [frame.dt, frame.values, frame.valid, frame.age]
        joined = b''.join(array.tobytes() for array in arrays)
        content[name_of(frame), frame.t_ref_ns] = joined + frame.frame_id.encode()
    return content
