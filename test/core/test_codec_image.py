# Copyright 2026 the robocache_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Images of every encoding come out as the pixels that were packed."""

from __future__ import annotations

import struct

import numpy as np
import pytest
from codec_messages import INF, NAN, but, image

from robocache_ros.codec.image import ENCODINGS, decode_image
from robocache_ros.reasons import Reason, Rejected

pytestmark = pytest.mark.filterwarnings('error')


@pytest.mark.parametrize(
    ('encoding', 'r', 'g', 'b'),
    [('rgb8', 0, 1, 2), ('bgr8', 2, 1, 0), ('rgba8', 0, 1, 2), ('bgra8', 2, 1, 0)],
)
@pytest.mark.parametrize('padding', [0, 5])
def test_planes_of_colour_images(encoding, r, g, b, padding):
    size = 4 if 'a' in encoding else 3
    view = decode_image(image(encoding, width=2, height=2, row=2 * size, padding=padding))
    for colour, first in zip('rgb', (r, g, b), strict=True):
        expected = [[first, first + size], [first + 2 * size, first + 3 * size]]
        assert view.plane(colour).tolist() == expected
    assert view.pixels().shape == (2, 2, size)


@pytest.mark.parametrize('padding', [0, 3])
def test_mono8_and_bayer_have_one_value_per_pixel(padding):
    for encoding in ('mono8', 'bayer_rggb8', 'bayer_bggr8', 'bayer_gbrg8', 'bayer_grbg8'):
        view = decode_image(image(encoding, padding=padding))
        assert view.plane('y').tolist() == [[0, 1, 2], [3, 4, 5]]
        assert view.format.bayer == (encoding[6:10] if 'bayer' in encoding else '')


@pytest.mark.parametrize('big_endian', [0, 1])
@pytest.mark.parametrize('encoding', ['mono16', '16UC1'])
@pytest.mark.parametrize('padding', [0, 1])
def test_16_bit_images_of_both_byte_orders(encoding, big_endian, padding):
    order = '>' if big_endian else '<'
    rows = [[1, 256, 65535], [2, 3, 4]]
    data = b''.join(struct.pack(f'{order}3H', *row) + b'\xaa' * padding for row in rows)
    msg = image(encoding, row=6, padding=padding, big_endian=big_endian, data=data)
    for _ in range(2):  # reading does not swap the bytes of the message
        assert decode_image(msg).plane('y').tolist() == rows


@pytest.mark.parametrize('big_endian', [0, 1])
def test_depth_image_of_both_byte_orders(big_endian):
    values = [0.5, INF, -1e38, NAN]
    data = struct.pack(('>' if big_endian else '<') + '4f', *values)
    msg = image('32FC1', width=2, height=2, row=8, big_endian=big_endian, data=data)
    found = decode_image(msg).plane('y').astype(np.float32)
    assert found.tobytes() == np.array(values, np.float32).tobytes()


def test_byte_order_says_nothing_about_bytes():
    assert decode_image(image('mono8', big_endian=1)).plane('y').tolist() == [[0, 1, 2], [3, 4, 5]]


def test_decoding_copies_nothing():
    msg = image('mono8')
    view = decode_image(msg)
    msg.data[4] = 99
    assert view.plane('y')[1, 1] == 99


def test_last_row_needs_no_padding():
    msg = image('mono8', padding=4)
    view = decode_image(but(msg, data=msg.data[:-4]))
    assert view.plane('y').tolist() == [[0, 1, 2], [3, 4, 5]]


def test_view_carries_what_the_message_says():
    view = decode_image(image('bgr8', row=9, padding=3))
    said = (view.height, view.width, view.step, view.encoding, view.big_endian, view.frame_id)
    assert said == (2, 3, 12, 'bgr8', False, 'camera')


def test_refused_encoding_is_named_with_all_that_are_read():
    with pytest.raises(Rejected) as refusal:
        decode_image(image('yuv422_yuy2', row=6))
    assert refusal.value.reason is Reason.IMAGE_ENCODING
    assert refusal.value.detail == (
        "'yuv422_yuy2' is not one of rgb8, bgr8, rgba8, bgra8, mono8, mono16, 16UC1, 32FC1, "
        'bayer_rggb8, bayer_bggr8, bayer_gbrg8, bayer_grbg8'
    )


def test_encodings_are_those_the_documentation_promises():
    assert set(ENCODINGS) == {
        *('rgb8', 'bgr8', 'rgba8', 'bgra8', 'mono8', 'mono16', '16UC1', '32FC1'),
        *('bayer_rggb8', 'bayer_bggr8', 'bayer_gbrg8', 'bayer_grbg8'),
    }


def test_hostile_text_does_not_fill_the_log():
    with pytest.raises(Rejected) as refusal:
        decode_image(image('x' * 1_000_000))
    assert len(refusal.value.detail) < 300
