# Copyright 2026 the robocache_ros authors
# SPDX-License-Identifier: Apache-2.0
"""What the benchmark works on: points, messages, images and streams, the same on every run."""

from __future__ import annotations

import array
from types import SimpleNamespace

import numpy as np

SENSOR_HEIGHT = 1.7
BEAMS = 64


def ring_scan(n, half_x=40.3, half_y=20.2):
    """Points float32 [n, 3] of a spinning LiDAR in a walled yard, in the order of its beams."""
    rng = np.random.default_rng(0)
    azimuth = np.repeat(np.linspace(-np.pi, np.pi, -(-n // BEAMS), endpoint=False), BEAMS)[:n]
    elevation = np.radians(np.tile(np.linspace(-25, 8, BEAMS), -(-n // BEAMS))[:n])
    level = np.stack([np.cos(azimuth), np.sin(azimuth)]) + 1e-12
    wall = np.min(np.array([[half_x], [half_y]]) / np.abs(level), axis=0)
    ground = np.full(n, np.inf)
    down = elevation < 0
    ground[down] = SENSOR_HEIGHT / np.tan(-elevation[down])
    distance = np.minimum(wall, ground) + rng.normal(0, 0.02, n)
    points = np.stack([level[0] * distance, level[1] * distance, np.tan(elevation) * distance])
    return np.ascontiguousarray(points.T, np.float32)


def uniform(n, half):
    """Points float32 [n, 3] anywhere in a cube."""
    rng = np.random.default_rng(1)
    return rng.uniform(-0.999 * half, 0.999 * half, (n, 3)).astype(np.float32)


def features(n, width):
    """Values float32 [n, width] in 0..255."""
    return np.random.default_rng(2).uniform(0, 255, (n, width)).astype(np.float32)


def columns(points, values, names=('intensity',)):
    """Contiguous columns, which is what the decoder makes of a message."""
    everything = zip(('x', 'y', 'z', *names), (*points.T, *values.T), strict=True)
    return {name: np.ascontiguousarray(column) for name, column in everything}


# A common driver layout: 22 bytes, so that nothing is aligned.
CLOUD_FIELDS = (
    ('x', 0, 7, '<f4'),
    ('y', 4, 7, '<f4'),
    ('z', 8, 7, '<f4'),
    ('intensity', 12, 7, '<f4'),
    ('ring', 16, 4, '<u2'),
    ('time', 18, 7, '<f4'),
)


def cloud_dtype():
    """Describe the layout as a structured NumPy type."""
    names, offsets, _, formats = zip(*CLOUD_FIELDS, strict=True)
    return np.dtype({'names': names, 'formats': formats, 'offsets': offsets, 'itemsize': 22})


def cloud_message(points, values, times=0.0):
    """PointCloud2 with the layout above, as rclpy delivers it; times in seconds."""
    n = len(points)
    rows = np.zeros(n, cloud_dtype())
    for name, column in columns(points, values).items():
        rows[name] = column
    rows['time'] = times
    fields = [
        SimpleNamespace(name=name, offset=offset, datatype=datatype, count=1)
        for name, offset, datatype, _ in CLOUD_FIELDS
    ]
    header = SimpleNamespace(frame_id='lidar', stamp=SimpleNamespace(sec=1, nanosec=0))
    return SimpleNamespace(
        header=header,
        height=1,
        width=n,
        fields=fields,
        is_bigendian=False,
        point_step=22,
        row_step=22 * n,
        data=array.array('B', rows.tobytes()),
        is_dense=True,
    )


def image(height, width):
    """Colours uint8 [height, width, 3]."""
    return np.random.default_rng(3).integers(0, 256, (height, width, 3), np.uint8)


def scene(height, width):
    """Colours uint8 [height, width, 3] that compress about as well as those of a camera."""
    y, x = np.mgrid[:height, :width]
    planes = (128 + 90 * np.sin(x / 97) + 30 * np.sin(y / 13), 128 + 80 * np.cos(x / 41 + y / 77))
    clean = np.stack([*planes, (x + y) % 256], axis=2)
    noise = np.random.default_rng(5).normal(0, 6, clean.shape)
    return np.clip(clean + noise, 0, 255).astype(np.uint8)


DEPTH_PARAMETERS = 10100.0, -1009.0  # as image_transport makes them of 10 m at most


def depth(height, width):
    """Depth uint16 [height, width] as compressedDepth stores it: a slope with the noise of one."""
    y, x = np.mgrid[:height, :width]
    noise = np.random.default_rng(6).normal(0, 8, (height, width))
    return (2000 + 3 * x + 2 * y + noise).astype(np.uint16)


def streams(batch, targets):
    """Streams over a second, [(times int64 [B, S] ns, values float32 [B, S, D])], and targets."""
    rng = np.random.default_rng(4)
    made = []
    for samples, width in ((30, 512), (100, 64), (200, 12)):
        steps = rng.uniform(0.5, 1.5, (batch, samples))
        times = np.cumsum(steps, axis=1) / np.sum(steps, axis=1, keepdims=True)
        values = rng.standard_normal((batch, samples, width)).astype(np.float32)
        made.append(((times * 1e9).astype(np.int64), values))
    aim = np.linspace(0.1e9, 0.95e9, targets).astype(np.int64)
    return made, np.tile(aim, (batch, 1))
