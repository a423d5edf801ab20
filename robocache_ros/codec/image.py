# Copyright 2026 the robocache_ros authors
# SPDX-License-Identifier: Apache-2.0
"""An image as an array of pixels that still lies in the bytes of its message."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from robocache_ros.codec.buffers import ByteArray, byte_view, shown
from robocache_ros.reasons import Reason, Rejected
from robocache_ros.samples import AnyArray

MAX_PIXELS = 2**27


class Encoding(NamedTuple):
    """How a pixel is stored: `len(order)` values of type `code`, or one of a bayer mosaic."""

    code: str  # NumPy type without byte order
    order: str  # 'rgb', 'bgr', 'rgba', 'bgra', or 'y' for one value
    bayer: str = ''  # colours at (0,0) (0,1) (1,0) (1,1), for example 'rggb'


ENCODINGS: Mapping[str, Encoding] = {
    'rgb8': Encoding('u1', 'rgb'),
    'bgr8': Encoding('u1', 'bgr'),
    'rgba8': Encoding('u1', 'rgba'),
    'bgra8': Encoding('u1', 'bgra'),
    'mono8': Encoding('u1', 'y'),
    'mono16': Encoding('u2', 'y'),
    '16UC1': Encoding('u2', 'y'),
    '32FC1': Encoding('f4', 'y'),
    'bayer_rggb8': Encoding('u1', 'y', 'rggb'),
    'bayer_bggr8': Encoding('u1', 'y', 'bggr'),
    'bayer_gbrg8': Encoding('u1', 'y', 'gbrg'),
    'bayer_grbg8': Encoding('u1', 'y', 'grbg'),
}


class Raster:
    """What an image says before anybody looks at its pixels."""

    height: int
    width: int
    encoding: str  # a key of ENCODINGS
    frame_id: str

    @property
    def format(self) -> Encoding:
        """How the pixels are stored."""
        return ENCODINGS[self.encoding]

    def check_grid(self, rows: int, cols: int, channels: str) -> None:
        """Raise Rejected unless every cell has a pixel, and of a mosaic one of every colour."""
        needed = 2 if self.format.bayer and channels == 'rgb' else 1
        if self.height < needed * rows or self.width < needed * cols:
            raise Rejected(
                Reason.IMAGE_TOO_SMALL,
                f'{self.width} x {self.height} pixels of {self.encoding} for a grid of {rows} '
                f'rows and {cols} columns of {channels}',
            )


@dataclass(frozen=True, eq=False)
class ImageView(Raster):
    """A checked image: `height` rows of `width` pixels, `step` bytes from row to row."""

    data: ByteArray  # [nbytes]
    height: int
    width: int
    step: int
    encoding: str
    big_endian: bool
    frame_id: str = ''

    def unpacked(self, keep: bool = True) -> ImageView:
        """Return itself: what the pixels of a compressed image are asked for."""
        return self

    @property
    def dtype(self) -> np.dtype[Any]:
        """Type of one value, with its byte order."""
        return np.dtype(('>' if self.big_endian else '<') + self.format.code)

    def pixels(self) -> AnyArray:
        """Values where they lie, [height, width, channels in memory]; nothing is copied."""
        channels = len(self.format.order)
        size = self.dtype.itemsize
        strides = (self.step, channels * size, size)
        shape = (self.height, self.width, channels)
        values: AnyArray = np.ndarray(shape, self.dtype, self.data, 0, strides)
        return values

    def plane(self, colour: str) -> AnyArray:
        """Values of one channel ('r', 'g', 'b', 'a' or 'y'), strided [height, width], no copy."""
        return self.pixels()[:, :, self.format.order.index(colour)]


def decode_image(msg: Any) -> ImageView:
    """View of a sensor_msgs/Image; copies nothing, raises Rejected."""
    data = byte_view(msg.data, Reason.IMAGE_SIZE)
    height, width, step = int(msg.height), int(msg.width), int(msg.step)
    said = f'{width} x {height} pixels, step {step}, {data.size} bytes'
    if height == 0 or width == 0:
        raise Rejected(Reason.IMAGE_SIZE, f'{said}: no pixels')
    if height * width > MAX_PIXELS:
        raise Rejected(Reason.TOO_LARGE, f'{said}; at most {MAX_PIXELS} pixels')
    stored = ENCODINGS.get(str(msg.encoding))
    if stored is None:
        allowed = ', '.join(ENCODINGS)
        raise Rejected(
            Reason.IMAGE_ENCODING, f'{shown(str(msg.encoding))} is not one of {allowed}'
        )
    row = width * len(stored.order) * np.dtype(stored.code).itemsize
    needed = (height - 1) * step + row
    if step < row or data.size < needed:
        raise Rejected(Reason.IMAGE_SIZE, f'{said}; a row of {msg.encoding} has {row} bytes')
    encoding, frame_id = str(msg.encoding), str(msg.header.frame_id)
    return ImageView(data, height, width, step, encoding, bool(msg.is_bigendian), frame_id)
