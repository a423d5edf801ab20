# Copyright 2026 the robocache_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Images of every encoding become the one or three channels that a network is fed with."""

from __future__ import annotations

import struct

import numpy as np
import pytest
from codec_messages import INF, NAN, image

from robocache_ros.codec.image import decode_image
from robocache_ros.encoding.pixels import pixels_of
from robocache_ros.reasons import Reason, Rejected


def channels_of(message, channels):
    """Values [channels, height, width] as the network gets them, before they are resized."""
    pixels = pixels_of(decode_image(message), channels)
    assert pixels.values.dtype in (np.uint8, np.float32)
    chosen = pixels.values.transpose(2, 0, 1)[list(pixels.channels)]
    return (chosen / pixels.largest).tolist()


@pytest.mark.parametrize(
    ('encoding', 'data'),
    [
        ('rgb8', [51, 102, 255, 0, 153, 204]),
        ('bgr8', [255, 102, 51, 204, 153, 0]),
        ('rgba8', [51, 102, 255, 9, 0, 153, 204, 9]),
        ('bgra8', [255, 102, 51, 9, 204, 153, 0, 9]),
    ],
)
def test_colours_are_red_green_and_blue_of_0_to_1(encoding, data):
    message = image(encoding, 2, 1, len(data), data=bytes(data))
    assert channels_of(message, 3) == [[[0.2, 0.0]], [[0.4, 0.6]], [[1.0, 0.8]]]


def test_padding_of_rows_is_skipped():
    message = image('mono8', 2, 2, padding=3, data=bytes([0, 51, 9, 9, 9, 102, 255, 9, 9, 9]))
    assert channels_of(message, 1) == [[[0.0, 0.2], [0.4, 1.0]]]


def test_a_grey_image_is_three_equal_channels():
    message = image('mono8', 2, 1, data=bytes([51, 255]))
    assert channels_of(message, 3) == [[[0.2, 1.0]]] * 3


def test_colours_become_grey_as_in_the_grid_of_means():
    # (4899 r + 9617 g + 1868 b + 8192) >> 14: 200, 101, 50 make 124.79, rounded.
    message = image('bgr8', 2, 1, 6, data=bytes([50, 101, 200, 255, 255, 255]))
    assert channels_of(message, 1) == [[[125 / 255, 1.0]]]


@pytest.mark.parametrize(
    ('encoding', 'data'),
    [
        ('bayer_rggb8', [51, 10, 21, 102]),
        ('bayer_bggr8', [102, 10, 21, 51]),
        ('bayer_gbrg8', [10, 102, 51, 21]),
        ('bayer_grbg8', [10, 51, 102, 21]),
    ],
)
def test_two_by_two_pixels_of_a_mosaic_are_one_pixel_of_colour(encoding, data):
    message = image(encoding, 2, 2, data=bytes(data))
    assert channels_of(message, 3) == [[[0.2]], [[16 / 255]], [[0.4]]]  # green: 15.5, half up
    # (4899 * 51 + 9617 * 16 + 1868 * 102 + 8192) >> 14
    assert channels_of(message, 1) == [[[36 / 255]]]


def test_the_last_row_and_column_of_an_odd_mosaic_are_left_out():
    data = bytes([1, 2, 99, 4, 3, 99, 99, 99, 99])
    assert channels_of(image('bayer_rggb8', 3, 3, data=data), 3) == [
        [[1 / 255]], [[3 / 255]], [[3 / 255]],
    ]  # fmt: skip


def test_two_greens_of_255_do_not_overflow():
    message = image('bayer_rggb8', 2, 2, data=bytes([255] * 4))
    assert channels_of(message, 3) == [[[1.0]]] * 3


@pytest.mark.parametrize(('width', 'height'), [(1, 5), (5, 1)])
def test_a_mosaic_below_two_by_two_pixels_is_rejected(width, height):
    view = decode_image(image('bayer_rggb8', width, height))
    with pytest.raises(Rejected, match='no 2 x 2') as caught:
        pixels_of(view, 3)
    assert caught.value.reason is Reason.IMAGE_TOO_SMALL


@pytest.mark.parametrize('encoding', ['mono16', '16UC1'])
@pytest.mark.parametrize('big_endian', [0, 1])
def test_values_of_16_bits_stay_what_they_are(encoding, big_endian):
    data = struct.pack('>2H' if big_endian else '<2H', 1, 65535)
    message = image(encoding, 2, 1, 4, data=data, big_endian=big_endian)
    assert channels_of(message, 1) == [[[1.0, 65535.0]]]
    assert channels_of(message, 3) == [[[1.0, 65535.0]]] * 3


@pytest.mark.parametrize('big_endian', [0, 1])
def test_depths_stay_metres_and_those_that_are_not_finite_become_0(big_endian):
    data = struct.pack('>5f' if big_endian else '<5f', 2.5, NAN, INF, -INF, -1.0)
    message = image('32FC1', 5, 1, 20, data=data, big_endian=big_endian)
    assert channels_of(message, 1) == [[[2.5, 0.0, 0.0, 0.0, -1.0]]]


def test_bytes_of_a_message_are_not_copied():
    for encoding in ('rgb8', 'bgra8', 'mono8'):
        view = decode_image(image(encoding, 4, 2, 16))
        assert np.shares_memory(pixels_of(view, 3).values, view.data)
