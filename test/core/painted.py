# Copyright 2026 the robocache_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Cameras, images and the views made of them, for tests of points that are painted."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace as Message

import numpy as np
from voxel_oracle import cloud

from robocache_ros.codec.camera import Camera
from robocache_ros.codec.cloud import View
from robocache_ros.codec.image import ENCODINGS, ImageView

F32 = np.float32
NOWHERE = Message(x_offset=0, y_offset=0, width=0, height=0, do_rectify=False)


def info(width=4, height=3, f=1.0, c=(0.0, 0.0), model='plumb_bob', d=(), **changes):
    """CameraInfo with the focal length `f`, or (fx, fy), and the principal point `c`, pixels."""
    fx, fy = f if isinstance(f, tuple) else (f, f)
    said = {
        'width': width,
        'height': height,
        'distortion_model': model,
        'd': list(d),
        'k': np.array([fx, 0, c[0], 0, fy, c[1], 0, 0, 1], np.float64),
        'r': np.eye(3).reshape(-1),
        'p': np.array([fx, 0, c[0], 0, 0, fy, c[1], 0, 0, 0, 1, 0], np.float64),
        'binning_x': 0,
        'binning_y': 0,
        'roi': NOWHERE,
    }
    return Message(**{**said, **changes})


def camera(width=4, height=3, f=1.0, c=(0.0, 0.0), model='plumb_bob', d=()):
    return Camera.from_info(info(width, height, f, c, model, d))


def image_of(values, encoding='rgb8', padding=0, big_endian=False):
    """View of an image with these values, [height, width] or [height, width, channels]."""
    stored = ENCODINGS[encoding]
    dtype = np.dtype(('>' if big_endian else '<') + stored.code)
    rows = np.asarray(values).astype(dtype).reshape(len(values), -1)
    octets = rows.view(np.uint8).reshape(len(rows), -1)
    padded = np.full((len(rows), octets.shape[1] + padding), 0xAA, np.uint8)
    padded[:, : octets.shape[1]] = octets
    width = rows.shape[1] // len(stored.order)
    step = padded.shape[1]
    return ImageView(padded.reshape(-1), len(rows), width, step, encoding, big_endian)


def numbered(height, width):
    """Depth image in which each pixel holds its own number, row by row."""
    return image_of(np.arange(height * width).reshape(height, width), '32FC1')


def view(image, lens=None, paints=('rgb',), matrix=None, cell=0, tolerance=0.0):
    """View of an image; the camera is at the origin and looks along z unless `matrix` says so."""
    lens = lens or camera(image.width, image.height)
    matrix = np.eye(4) if matrix is None else np.asarray(matrix)
    matrix = matrix.astype(F32)
    return View(image, lens, matrix[:3, :3], matrix[:3, 3], tuple(paints), cell, tolerance)


def painted(points, *views, **fields):
    """Cloud of points [(x, y, z), ...] that the views paint."""
    return replace(cloud(points, **fields), views=views)


def packed(r, g, b):
    """Bits of a colour as the channel rgb holds them."""
    return r << 16 | g << 8 | b
