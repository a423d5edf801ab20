# Copyright 2026 the robocache_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Pixels of compressed images: those that were packed, and of JPEG those that OpenCV sees."""

from __future__ import annotations

import io
import struct

import numpy as np
import pytest
from packed_images import chunk, depth_message, flat_jpeg, interlaced_png, packed, png, segment

from robocache_ros.codec.compressed import (
    DecoderMissing,
    PackedImage,
    decode_compressed,
    decoder_identity,
)
from robocache_ros.codec.image import ImageView, decode_image
from robocache_ros.codec.packed_file import PackedFile
from robocache_ros.reasons import Reason, Rejected

pillow = pytest.importorskip('PIL.Image', reason='needs Pillow, which decodes')
pytestmark = pytest.mark.filterwarnings('error')

HEIGHT, WIDTH = 37, 53  # no multiple of a block
RAMP = [[(17 * x + 5 * y) % 256 for x in range(WIDTH)] for y in range(HEIGHT)]


@pytest.fixture(scope='module')
def cv2():
    return pytest.importorskip('cv2', reason='needs OpenCV, to compare with')


def unpacked(data, text='jpeg'):
    return decode_compressed(packed(data, text)).unpacked()


def smooth(channels):
    """Colours that JPEG keeps well, uint8 [HEIGHT, WIDTH, channels]."""
    y, x = np.mgrid[:HEIGHT, :WIDTH]
    planes = (3 * x + y, 255 - 2 * x - 3 * y, 80 + x)
    return np.stack(planes[:channels], axis=2).astype(np.uint8)


def written(image, kind='JPEG', **options):
    out = io.BytesIO()
    pillow.fromarray(image if image.shape[2] > 1 else image[:, :, 0]).save(out, kind, **options)
    return out.getvalue()


# -- JPEG -------------------------------------------------------------------------------------


def test_jpeg_made_by_hand_has_the_grey_that_it_says():
    view = unpacked(flat_jpeg(213, WIDTH, HEIGHT))
    assert (view.height, view.width, view.step, view.encoding) == (HEIGHT, WIDTH, WIDTH, 'mono8')
    assert (view.frame_id, view.big_endian) == ('camera', False)
    assert (view.plane('y') == 213).all()


@pytest.mark.parametrize('options', [{}, {'progressive': True}, {'subsampling': 0},
                                     {'subsampling': 2, 'quality': 40}])  # fmt: skip
def test_colours_of_a_jpeg_are_those_of_opencv(cv2, options):
    data = written(smooth(3), **{'quality': 90, **options})
    view = unpacked(data)
    assert (view.encoding, view.step) == ('rgba8', 4 * WIDTH)
    expected = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)
    for number, colour in enumerate('bgr'):
        # Another build of libjpeg may round otherwise.
        found = view.plane(colour).astype(int) - expected[:, :, number]
        assert np.abs(found).max() <= 2
    assert np.abs(view.plane('r').astype(int) - smooth(3)[:, :, 0]).mean() < 8


@pytest.mark.parametrize('progressive', [False, True])
def test_greys_of_a_jpeg_are_those_of_opencv(cv2, progressive):
    data = written(smooth(1), quality=90, progressive=progressive)
    expected = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)
    found = unpacked(data).plane('y').astype(int)
    assert np.abs(found - expected).max() <= 1


def test_jpeg_that_says_it_is_rotated_stays_as_the_sensor_saw_it():
    exif = b'Exif\0\0II*\0\x08\0\0\0' + struct.pack('<HHHIHHI', 1, 0x112, 3, 1, 6, 0, 0)
    view = unpacked(flat_jpeg(200, 24, 8, segment(0xE1, exif)))
    assert (view.width, view.height) == (24, 8)


def test_red_and_blue_change_places_where_they_were_taken_for_each_other():
    data = written(smooth(3))
    usual = unpacked(data, 'rgb8; jpeg compressed bgr8')
    other = unpacked(data, 'rgb8; jpeg compressed rgb8')
    assert (usual.plane('r') == other.plane('b')).all()
    assert (usual.plane('b') == other.plane('r')).all()


def test_mosaic_in_a_jpeg_keeps_its_colours():
    view = unpacked(flat_jpeg(), 'bayer_gbrg8; jpeg compressed ')
    assert view.format.bayer == 'gbrg'
    assert (view.plane('y') == 200).all()


def test_what_follows_the_end_of_an_image_is_not_read():
    assert (unpacked(flat_jpeg() + bytes(1000)).plane('y') == 200).all()
    assert unpacked(png(RAMP) + bytes(1000)).plane('y').tolist() == RAMP


# -- PNG --------------------------------------------------------------------------------------


@pytest.mark.parametrize('filters', [(0,), (1,), (2,), (3,), (4,), (4, 2, 0, 3, 1)])
def test_rows_of_every_filter(filters):
    assert unpacked(png(RAMP, filters=filters)).plane('y').tolist() == RAMP


@pytest.mark.parametrize('colour', [2, 6])
@pytest.mark.parametrize('filters', [(0,), (3, 4)])
def test_colours_of_a_png(colour, filters):
    pixels = [[(v, 255 - v, v // 2, 7)[: 3 + colour // 6] for v in row] for row in RAMP]
    view = unpacked(png(pixels, colour=colour, filters=filters), 'png')
    assert view.encoding == 'rgba8'
    for number, name in enumerate('rgb'):
        assert view.plane(name).tolist() == [[p[number] for p in row] for row in pixels]


@pytest.mark.parametrize('filters', [(0,), (2, 4)])
def test_greys_of_16_bits_of_a_png(filters):
    pixels = [[257 * v - 1 if v else 65535 for v in row] for row in RAMP]
    view = unpacked(png(pixels, 16, filters=filters), '16UC1; png compressed ')
    assert view.encoding == '16UC1'
    assert view.plane('y').tolist() == pixels


@pytest.mark.parametrize('depth', [1, 2, 4])
def test_greys_of_few_bits_reach_from_black_to_white(depth):
    top = 2**depth - 1
    pixels = [[v % (top + 1) for v in row] for row in RAMP]
    view = unpacked(png(pixels, depth))
    assert view.plane('y').tolist() == [[255 * v // top for v in row] for row in pixels]


@pytest.mark.parametrize('depth', [1, 2, 4, 8])
def test_palette_gives_its_colours(depth):
    size = 2**depth
    palette = [(k, 255 - k, 3 * k % 256) for k in range(size)]
    pixels = [[v % size for v in row] for row in RAMP]
    colours = chunk(b'PLTE', bytes(value for colour in palette for value in colour))
    view = unpacked(png(pixels, depth, 3, before=colours))
    assert view.encoding == 'rgba8'
    for number, name in enumerate('rgb'):
        expected = [[palette[v][number] for v in row] for row in pixels]
        assert view.plane(name).tolist() == expected


def test_alpha_of_a_grey_png_is_dropped():
    view = unpacked(png([[(v, 255 - v) for v in row] for row in RAMP], colour=4))
    assert (view.encoding, view.step) == ('mono8', WIDTH)
    assert view.plane('y').tolist() == RAMP


def test_transparent_colours_stay_what_they_are():
    transparent = chunk(b'tRNS', struct.pack('>H', RAMP[0][0]))
    assert unpacked(png(RAMP, before=transparent)).plane('y').tolist() == RAMP


@pytest.mark.parametrize('size', [(1, 1), (2, 3), (5, 1), (13, 11)])
@pytest.mark.parametrize('depth', [1, 8, 16])
def test_interlaced_png_is_put_together(size, depth):
    width, height = size
    pixels = [[(7 * x + 3 * y) % 2**depth for x in range(width)] for y in range(height)]
    expected = [[255 * v for v in row] for row in pixels] if depth == 1 else pixels
    assert unpacked(interlaced_png(pixels, depth)).plane('y').tolist() == expected


def test_png_of_opencv_is_read_back(cv2):
    for image in (smooth(3), smooth(1), 257 * smooth(1).astype(np.uint16)):
        view = unpacked(cv2.imencode('.png', image)[1].tobytes(), 'png')
        colours = 'bgr' if image.shape[2] == 3 else 'y'
        assert all((view.plane(c) == image[:, :, n]).all() for n, c in enumerate(colours))


# -- compressedDepth --------------------------------------------------------------------------


def test_depth_of_16_bits_is_what_was_packed():
    pixels = [[0, 1, 1000], [65535, 2, 3]]
    view = decode_compressed(depth_message(pixels, '16UC1; compressedDepth png')).unpacked()
    assert view.encoding == '16UC1'
    assert view.plane('y').tolist() == pixels


def test_depth_in_metres_is_a_over_stored_less_b():
    # As image_transport packs 10 m at most with 100: a = 100 * 101, b = 1 - a / 10.
    message = depth_message([[0, 1, 1011], [9091, 65535, 0]], '32FC1; compressedDepth png',
                            10100.0, -1009.0)  # fmt: skip
    view = decode_compressed(message).unpacked()
    assert (view.encoding, view.dtype) == ('32FC1', np.dtype('<f4'))
    nan, last = np.float32(np.nan), np.float32(10100) / np.float32(66544)
    expected = np.array([[nan, 10.0, 5.0], [1.0, last, nan]], np.float32)
    assert view.plane('y').tobytes() == expected.tobytes()
    assert expected.view(np.uint32)[0, 0] == 0x7FC00000


def test_depth_that_is_stored_as_b_is_infinite_and_warns_nobody():
    message = depth_message([[5, 6]], '32FC1; compressedDepth', 2.0, 5.0)
    assert decode_compressed(message).unpacked().plane('y').tolist() == [[np.inf, 2.0]]


# -- what a picture is ------------------------------------------------------------------------


def test_raw_image_is_its_own_pixels():
    view = ImageView(np.zeros(6, np.uint8), 2, 3, 3, 'mono8', False)
    assert view.unpacked() is view


def test_grid_is_checked_before_anything_is_decoded():
    def never():
        raise AssertionError('decoded')

    image = PackedImage(PackedFile(2, 4, 'bayer_rggb8', never))
    image.check_grid(1, 2, 'rgb')
    image.check_grid(2, 4, 'mono')
    for grid in ((1, 3, 'rgb'), (3, 1, 'mono')):
        with pytest.raises(Rejected) as refused:
            image.check_grid(*grid)
        assert refused.value.reason is Reason.IMAGE_TOO_SMALL


def test_pixels_are_those_of_a_raw_image_of_that_encoding():
    view = unpacked(png(RAMP))
    raw = decode_image(
        type('Image', (), {**vars(packed(bytes(view.data))), 'height': HEIGHT, 'width': WIDTH,
                           'step': view.step, 'encoding': view.encoding, 'is_bigendian': 0})
    )  # fmt: skip
    assert (raw.pixels() == view.pixels()).all()


def test_identity_names_the_build_that_bits_depend_on():
    name, libjpeg = decoder_identity().split(', ')
    assert name == f'Pillow {pillow.__version__}'
    assert libjpeg.startswith('libjpeg')
    assert libjpeg.split()[1][0].isdigit()


@pytest.mark.parametrize(('codec', 'name'), [('jpg', 'JPEG'), ('zlib', 'PNG')])
def test_pillow_that_was_built_without_a_codec_is_named(codec, name, monkeypatch):
    features = pytest.importorskip('PIL.features')
    monkeypatch.setattr(features, 'check', lambda asked: asked != codec)
    with pytest.raises(DecoderMissing, match=f'built without {name}'):
        decoder_identity()
