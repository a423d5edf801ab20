# Copyright 2026 the robocache_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Pixels as a network wants them: one channel or three, of every encoding."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from robocache_ros.backends.paint_rule import GREY, GREY_HALF, GREY_SHIFT
from robocache_ros.codec.image import ImageView
from robocache_ros.reasons import Reason, Rejected
from robocache_ros.samples import AnyArray


class Pixels(NamedTuple):
    """Values where they lie in the message, if they can be used there, and how to use them."""

    values: AnyArray  # [height, width, n], uint8 or float32
    channels: tuple[int, ...]  # which of the n, in the order of the network
    largest: float  # value that stands for 1.0: 255 of bytes; 1 of others, which are no colours


def pixels_of(image: ImageView, channels: int) -> Pixels:
    """
    Return one channel (grey) or three (r, g, b) of an image.

    A grey image is three equal channels. A mosaic becomes an image of half its size, a pixel of
    each 2 x 2: no colour is invented. 16 bit and float values stay what they are, depths in their
    unit; those that are not finite become 0. Raises Rejected for a mosaic below 2 x 2 pixels.
    """
    if image.format.code != 'u1':
        # Also in the byte order of this machine, which torch asks for.
        values = image.pixels().astype(np.float32)
        values[~np.isfinite(values)] = 0.0
        return Pixels(values, (0,) * channels, 1.0)
    values, order = image.pixels(), image.format.order
    if image.format.bayer:
        values, order = _halved(image), 'rgb'
    if order == 'y':
        return Pixels(values, (0,) * channels, 255.0)
    if channels == 3:
        return Pixels(values, tuple(order.index(colour) for colour in 'rgb'), 255.0)
    return Pixels(_grey(values, order), (0,), 255.0)


def _halved(image: ImageView) -> AnyArray:
    """Red, green and blue of each 2 x 2 pixels of a mosaic: uint8 [height // 2, width // 2, 3]."""
    if image.height < 2 or image.width < 2:
        raise Rejected(
            Reason.IMAGE_TOO_SMALL,
            f'{image.width} x {image.height} pixels of {image.encoding}: no 2 x 2 to take colours '
            'from',
        )
    mosaic = image.plane('y')
    rows, cols = image.height // 2 * 2, image.width // 2 * 2
    sums = np.zeros((rows // 2, cols // 2, 3), np.uint16)
    for place, colour in enumerate(image.format.bayer):
        y, x = divmod(place, 2)
        sums[..., 'rgb'.index(colour)] += mosaic[y:rows:2, x:cols:2]
    sums[..., 1] += 1
    sums[..., 1] >>= 1  # green has two places: their mean, half up
    return sums.astype(np.uint8)


def _grey(values: AnyArray, order: str) -> AnyArray:
    """Grey of colours uint8 [height, width, n]: uint8 [height, width, 1]."""
    sums = np.full(values.shape[:2], GREY_HALF, np.uint32)
    for colour, weight in GREY.items():
        sums += values[..., order.index(colour)].astype(np.uint32) * np.uint32(weight)
    return (sums >> np.uint32(GREY_SHIFT)).astype(np.uint8)[..., None]
