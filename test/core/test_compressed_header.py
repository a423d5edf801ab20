# Copyright 2026 the robocache_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The header of a compressed image says what it is before anything is decoded."""

from __future__ import annotations

import array
import re
import struct
import sys
import tracemalloc
from pathlib import Path

import pytest
from codec_messages import but
from packed_images import (
    MAGIC,
    chunk,
    depth_message,
    flat_jpeg,
    frame,
    ihdr,
    packed,
    png,
    png_of,
    segment,
)

from robocache_ros.codec import jpeg
from robocache_ros.codec import png as png_file
from robocache_ros.codec.compressed import DecoderMissing, decode_compressed, decoder_identity
from robocache_ros.codec.image import MAX_PIXELS
from robocache_ros.codec.packed_file import MAX_SIDE
from robocache_ros.config import Config
from robocache_ros.config.params_file import read_params_file
from robocache_ros.reasons import Reason, Rejected

ROOT = Path(__file__).resolve().parents[2]

pytestmark = pytest.mark.filterwarnings('error')

GREY = png([[1, 2, 3], [4, 5, 6]])
DEEP = png([[1, 2, 3], [4, 5, 65535]], 16)
COLOUR = png([[(1, 2, 3), (4, 5, 6)]], colour=2)
COLOUR_JPEG = b'\xff\xd8' + frame(2, 1, 3) + bytes(64)


def refusal(message):
    with pytest.raises(Rejected) as refused:
        decode_compressed(message)
    return refused.value


def said(message):
    found = decode_compressed(message)
    return found.width, found.height, found.encoding, found.frame_id


def test_size_of_a_jpeg_is_that_of_its_frame():
    assert said(packed(flat_jpeg(200, 17, 9))) == (17, 9, 'mono8', 'camera')
    assert said(packed(COLOUR_JPEG)) == (2, 1, 'rgba8', 'camera')


def test_segments_and_fillers_before_the_frame_are_walked_over():
    thumbnail = segment(0xE1, b'Exif\0\0' + flat_jpeg(200, 64, 64))
    before = thumbnail + b'\xff\xff' + segment(0xFE, b'') + segment(0xE2, b'\xff\xc0' * 30000)
    assert said(packed(flat_jpeg(200, 17, 9, before))) == (17, 9, 'mono8', 'camera')


@pytest.mark.parametrize(
    ('depth', 'colour', 'encoding'),
    [
        *((depth, 0, 'mono8') for depth in (1, 2, 4, 8)),
        (16, 0, 'mono16'),
        (8, 2, 'rgba8'),
        *((depth, 3, 'rgba8') for depth in (1, 2, 4, 8)),
        (8, 4, 'mono8'),
        (8, 6, 'rgba8'),
    ],
)
def test_encoding_of_a_png_is_that_of_its_header(depth, colour, encoding):
    rows = bytes(100)
    assert said(packed(png_of(3, 2, rows, depth, colour)))[:3] == (3, 2, encoding)


@pytest.mark.parametrize('colour', [2, 4, 6])
def test_png_of_16_bits_that_would_be_cut_to_8_is_refused(colour):
    found = refusal(packed(png_of(3, 2, bytes(100), 16, colour)))
    assert found.reason is Reason.IMAGE_FORMAT
    assert '16 bits in colour or with alpha' in found.detail


@pytest.mark.parametrize(
    ('text', 'data', 'encoding'),
    [
        ('jpeg', COLOUR_JPEG, 'rgba8'),
        ('', GREY, 'mono8'),
        ('png', COLOUR, 'rgba8'),
        ('jpeg', COLOUR, 'rgba8'),  # the file knows better
        ('rgb8; jpeg compressed bgr8', COLOUR_JPEG, 'rgba8'),
        ('bgr8; png compressed bgr8', COLOUR, 'rgba8'),
        ('bgra8; jpeg compressed', COLOUR_JPEG, 'rgba8'),
        ('rgb8; jpeg compressed rgb8', COLOUR_JPEG, 'bgra8'),
        ('bgr16; png compressed rgb16', COLOUR, 'bgra8'),
        ('mono8; jpeg compressed mono8', flat_jpeg(), 'mono8'),
        ('mono16; jpeg compressed mono8', flat_jpeg(), 'mono8'),
        ('mono16; png compressed ', DEEP, 'mono16'),
        ('16UC1; png compressed ', DEEP, '16UC1'),
        ('16UC1; jpeg compressed mono8', flat_jpeg(), 'mono8'),
        ('bayer_rggb8; jpeg compressed ', flat_jpeg(), 'bayer_rggb8'),
        ('bayer_gbrg8; jpeg compressed', flat_jpeg(), 'bayer_gbrg8'),
        ('bayer_grbg8; png compressed bayer_grbg8', GREY, 'bayer_grbg8'),
        ('bayer_bggr8; jpeg compressed mono8', flat_jpeg(), 'mono8'),  # made grey before
        ('bayer_rggb8; jpeg compressed bgr8', COLOUR_JPEG, 'rgba8'),  # made colour before
        ('bayer_rggb8', GREY, 'mono8'),
    ],
)
def test_format_tells_what_the_file_can_not(text, data, encoding):
    assert decode_compressed(packed(data, text)).encoding == encoding


@pytest.mark.parametrize(
    ('text', 'data', 'what'),
    [
        ('bayer_rggb16; png compressed ', DEEP, "a mosaic of 'bayer_rggb16' in mono16"),
        ('bayer_rggb16; png compressed ', GREY, "a mosaic of 'bayer_rggb16' in mono8"),
        ('bayer_rggb8; png compressed ', DEEP, "a mosaic of 'bayer_rggb8' in mono16"),
    ],
)
def test_mosaic_that_the_file_can_not_hold_is_refused(text, data, what):
    assert (refusal(packed(data, text)).reason, refusal(packed(data, text)).detail) == (
        Reason.IMAGE_FORMAT,
        what,
    )


@pytest.mark.parametrize(
    'begin', [b'RIFF\0\0\0\0WEBP', b'II*\0', b'BM', b'GIF89a', b'\0\0\0\x01g']
)
def test_other_files_are_refused_by_their_format_and_first_bytes(begin):
    found = refusal(packed(begin + bytes(100), 'mono8; other'))
    assert found.reason is Reason.IMAGE_FORMAT
    assert found.detail == (
        f"format 'mono8; other', {len(begin) + 100} bytes that begin with "
        f'{(begin + bytes(100))[:8].hex(" ")}: neither JPEG nor PNG'
    )


def test_hostile_text_does_not_fill_the_log():
    assert len(refusal(packed(b'none', 'x' * 1_000_000)).detail) < 200


@pytest.mark.parametrize(
    ('header', 'what'),
    [
        (frame(8, 8, 4), 'JPEG: 4 components of 8 bits'),
        (frame(8, 8, 2), 'JPEG: 2 components of 8 bits'),
        (frame(8, 8, 1, bits=12, marker=0xC1), 'JPEG: 1 components of 12 bits'),
        (frame(8, 8, marker=0xC3), 'lossless or arithmetically coded (SOF3)'),
        (frame(8, 8, marker=0xC9), 'lossless or arithmetically coded (SOF9)'),
    ],
)
def test_kind_of_jpeg_that_is_not_read_is_named(header, what):
    found = refusal(packed(b'\xff\xd8' + header + bytes(100)))
    assert found.reason is Reason.IMAGE_FORMAT
    assert what in found.detail


@pytest.mark.parametrize(
    'header',
    [
        b'\xff\xd8\xff\xd9' + bytes(20),  # ends at once
        b'\xff\xd8\xff\xd8' + frame(8, 8),  # begins twice
        b'\xff\xd8' + segment(0xDA, b'123456') + frame(8, 8),  # a scan of no frame
        b'\xff\xd8\xff\xe0\x00\x01' + frame(8, 8),  # a segment shorter than its length
        b'\xff\xd8' + segment(0xE0, b'ab') + b'\x00' + frame(8, 8),  # junk, which libjpeg skips
        b'\xff\xd8\xff\x00' + frame(8, 8),
        b'\xff\xd8\xff\xd0' + frame(8, 8),
    ],
)
def test_damaged_jpeg_header_is_corrupt(header):
    found = refusal(packed(header + bytes(100)))
    assert (found.reason, found.detail) == (
        Reason.IMAGE_CORRUPT,
        'JPEG: its header is damaged',
    )


@pytest.mark.parametrize(
    'change',
    [
        lambda d: d[:8] + b'\0\0\0\x0e' + d[12:],  # length of the first chunk
        lambda d: d[:12] + b'IHDS' + d[16:],
        lambda d: d[:19] + b'\x07' + d[20:],  # width, but not its checksum
    ],
)
def test_damaged_png_header_is_corrupt(change):
    found = refusal(packed(change(GREY)))
    assert (found.reason, found.detail) == (Reason.IMAGE_CORRUPT, 'PNG: its header is damaged')


@pytest.mark.parametrize(
    ('depth', 'colour', 'interlaced', 'methods'),
    [(3, 0, 0, (0, 0)), (8, 1, 0, (0, 0)), (16, 3, 0, (0, 0)), (8, 0, 2, (0, 0)),
     (8, 0, 0, (1, 0)), (8, 0, 0, (0, 1))],
)  # fmt: skip
def test_png_of_a_kind_that_does_not_exist_is_corrupt(depth, colour, interlaced, methods):
    data = MAGIC + ihdr(1, 1, depth, colour, interlaced, methods) + chunk(b'IEND')
    assert refusal(packed(data)).reason is Reason.IMAGE_CORRUPT


@pytest.mark.parametrize('data', [flat_jpeg(before=segment(0xE0, b'abc')), GREY])
def test_header_that_is_cut_anywhere_is_corrupt(data):
    needed = 33 if data is GREY else data.index(b'\xff\xc0') + 10
    for size in range(8, needed):
        assert refusal(packed(data[:size])).reason is Reason.IMAGE_CORRUPT
    decode_compressed(packed(data[:needed] + bytes(8)))


@pytest.mark.parametrize('data', [b'', b'\xff', b'\xff\xd8', b'\x89PNG'])
def test_too_few_bytes_to_tell_are_a_corrupt_image(data):
    assert refusal(packed(data)).reason is Reason.IMAGE_CORRUPT


def test_data_that_is_no_buffer_is_refused():
    for data in (None, [1, 2], array.array('H', [1])):
        assert refusal(but(packed(b''), data=data)).reason is Reason.IMAGE_CORRUPT


# -- size -------------------------------------------------------------------------------------


@pytest.mark.parametrize('size', [(0, 5), (5, 0), (0, 0)])
def test_image_without_pixels_is_refused(size):
    for data in (png_of(*size, b''), b'\xff\xd8' + frame(*size)):
        assert refusal(packed(data)).reason is Reason.IMAGE_SIZE


@pytest.mark.parametrize(
    'size', [(2**31 - 1, 1), (46341, 46341), (2**32 - 1, 2**32 - 1), (65501, 1), (1, 65501)]
)
def test_small_png_that_claims_to_be_huge_is_refused(size):
    found = refusal(packed(png_of(*size, bytes(1000))))
    assert found.reason is Reason.TOO_LARGE
    assert found.detail == (
        f'PNG of {size[0]} x {size[1]} pixels; at most 134217728 pixels, and 65500 in a row'
    )


def test_jpeg_of_the_largest_size_is_refused():
    assert refusal(packed(b'\xff\xd8' + frame(65535, 65535))).reason is Reason.TOO_LARGE


def test_image_that_its_bytes_can_not_hold_is_corrupt():
    for data in (png_of(10000, 10000, b''), b'\xff\xd8' + frame(10000, 10000) + bytes(1000)):
        found = refusal(packed(data))
        assert found.reason is Reason.IMAGE_CORRUPT
        assert 'of 10000 x 10000 pixels, which its few bytes can not hold' in found.detail


def test_most_that_bytes_can_hold_is_believed():
    rows = bytes(1001 * 4000)
    data = png_of(1000, 4000, rows, level=9)
    assert len(rows) / len(data) > 950  # near the limit of deflate
    assert said(packed(data))[:2] == (1000, 4000)
    jpeg_data = flat_jpeg(200, 4000, 1000)  # three bits a block
    assert said(packed(jpeg_data))[:2] == (4000, 1000)


# -- compressedDepth --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ('text', 'encoding'),
    [
        ('16UC1; compressedDepth png', '16UC1'),
        ('16UC1; compressedDepth', '16UC1'),
        ('mono16; compressedDepth png', 'mono16'),
        ('32FC1; compressedDepth png', '32FC1'),
        ('32FC1; compressedDepth', '32FC1'),
        ('32FC1', '32FC1'),  # of the first versions; the file is found behind its parameters
    ],
)
def test_depth_is_what_format_says(text, encoding):
    assert said(depth_message([[1, 2, 3]], text, 1.5, 0.5)) == (3, 1, encoding, 'camera')


@pytest.mark.parametrize(
    ('text', 'what'),
    [
        ('16UC1; compressedDepth rvl', 'RVL is not read; publish png'),
        ('8UC1; compressedDepth png', 'a depth image is 16UC1 or 32FC1 in a PNG of 16 bits'),
        ('', 'a depth image is 16UC1 or 32FC1 in a PNG of 16 bits'),
    ],
)
def test_depth_of_another_kind_is_refused_by_its_name(text, what):
    found = refusal(depth_message([[1, 2, 3]], text))
    assert found.reason is Reason.IMAGE_FORMAT
    assert repr(text) in found.detail
    assert what in found.detail


def test_depth_of_8_bits_is_refused():
    found = refusal(packed(bytes(12) + GREY, '16UC1; compressedDepth png'))
    assert found.reason is Reason.IMAGE_FORMAT
    assert 'of mono8: a depth image' in found.detail


def test_depth_without_its_parameters_is_refused():
    found = refusal(packed(DEEP, '16UC1; compressedDepth png'))
    assert found.reason is Reason.IMAGE_FORMAT


@pytest.mark.parametrize(
    ('a', 'b'), [(0.0, 0.0), (-1.0, 0.0), (float('nan'), 0.0), (1.0, float('inf'))]
)
def test_depth_with_parameters_that_mean_nothing_is_corrupt(a, b):
    assert refusal(depth_message([[1]], '32FC1; compressedDepth', a, b)).reason is (
        Reason.IMAGE_CORRUPT
    )
    decode_compressed(depth_message([[1]], '16UC1; compressedDepth', a, b))  # which has none


# -- cost -------------------------------------------------------------------------------------


def calls_of(run):
    """How many functions a call calls, those in C included: the least, as others may end then."""
    counts = []
    for _ in range(5):
        seen = []
        sys.setprofile(lambda *event, seen=seen: seen.append(event))
        try:
            run()
        finally:
            sys.setprofile(None)
        counts.append(len(seen))
    return min(counts)


@pytest.mark.parametrize(
    'data',
    [flat_jpeg(), GREY, struct.pack('<iff', 0, 1, 0) + DEEP],
    ids=['jpeg', 'png', 'depth'],
)
def test_header_is_read_at_the_same_cost_whatever_follows_it(data):
    text = '32FC1; compressedDepth' if data[0] == 0 else ''
    small, large = packed(data, text), packed(data + bytes(2**25), text)
    assert calls_of(lambda: decode_compressed(small)) == calls_of(lambda: decode_compressed(large))
    tracemalloc.start()
    decode_compressed(large)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 50_000


def test_endless_segments_before_the_frame_are_given_up():
    data = b'\xff\xd8' + segment(0xFE, b'') * 1_000_000
    assert refusal(packed(data)).detail == 'JPEG: more than 1024 segments before its size'
    assert refusal(packed(b'\xff\xd8' + b'\xff' * 10_000)).reason is Reason.IMAGE_CORRUPT


# -- the decoder ------------------------------------------------------------------------------


def test_without_pillow_headers_are_read_and_pixels_ask_for_it(monkeypatch):
    monkeypatch.setitem(sys.modules, 'PIL', None)
    image = decode_compressed(packed(GREY))
    assert image.height == 2
    for ask in (image.unpacked, decoder_identity):
        with pytest.raises(DecoderMissing, match='pip install pillow, or apt install python3-pil'):
            ask()


def test_page_on_images_names_every_limit_and_its_example_is_a_configuration(tmp_path):
    page = ROOT / 'docs' / 'images.md'
    if not page.exists():
        pytest.skip('installed without docs/')
    text = page.read_text(encoding='utf-8')
    for limit, what in (
        (MAX_PIXELS.bit_length() - 1, '2^{} pixels'),
        (MAX_SIDE, '{} in a row or column'),
        (jpeg.PIXELS_PER_BYTE, '{} pixels for every byte of a JPEG'),
        (png_file.BYTES_PER_BYTE, '{} bytes of pixels for every byte of a PNG'),
        (jpeg.MAX_SCANS, '{} scans of a progressive JPEG'),
        (jpeg.MAX_SEGMENTS, '{} segments before its size'),
        (png_file.MAX_CHUNKS, '{} chunks of a PNG'),
    ):
        assert what.format(limit) in text
    (example,) = re.findall(r'```yaml\n(.*?)```', text, re.DOTALL)
    (tmp_path / 'images.yaml').write_text(example, encoding='utf-8')
    flat = read_params_file(tmp_path / 'images.yaml')
    config = Config.from_mapping(flat)
    assert config.notices(flat) == ()
    assert config.source('camera').type == 'compressed_image'
