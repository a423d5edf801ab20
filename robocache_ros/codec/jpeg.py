# Copyright 2026 the robocache_ros authors
# SPDX-License-Identifier: Apache-2.0
"""A JPEG file: grey or colour of 8 bits, of one scan or progressive."""

from __future__ import annotations

import struct
from functools import partial
from typing import NamedTuple

from robocache_ros.codec.decoder import Undecodable, decode
from robocache_ros.codec.packed_file import PackedFile, check_size
from robocache_ros.reasons import Reason, Rejected
from robocache_ros.samples import AnyArray

MAGIC = b'\xff\xd8\xff'
MAX_SEGMENTS = 1024  # before the size of the image; a colour profile has 255 at most
MAX_SCANS = 32  # libjpeg writes ten; every one goes over the whole image
PIXELS_PER_BYTE = 512  # at most: a block of 64 pixels has at least one bit

_SEGMENT = struct.Struct('>BBH')  # 255, marker, length of the segment without the marker
_FRAME = struct.Struct('>BHHB')  # bits of a value, height, width, components
_SCAN, _END = b'\xff\xda', b'\xff\xd9'
# Markers that begin a frame, by how it is packed; the other three of this range begin tables.
_HUFFMAN = (0xC0, 0xC1, 0xC2)
_FRAMES = set(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
_BARE = {0x00, 0x01, *range(0xD0, 0xDB)}  # no segment, or one that has no place before the frame


class _Header(NamedTuple):
    height: int
    width: int
    components: int  # values of a pixel
    end: int  # where the tables and scans begin that follow


def open_jpeg(data: memoryview) -> PackedFile:
    """Read the header; raises Rejected."""
    header = _read_header(data)
    size = header.height, header.width
    check_size('JPEG', *size, header.height * header.width, PIXELS_PER_BYTE * len(data))
    encoding = 'mono8' if header.components == 1 else 'rgba8'
    return PackedFile(*size, encoding, partial(_decode, data, header))


def _read_header(data: memoryview) -> _Header:
    """
    Walk over the segments up to the first that begins a frame; raises Rejected.

    The decoder trusts the size that is found here, so this is as strict as libjpeg about where
    that segment is: nothing may lie between segments.
    """
    at = 2
    for _ in range(MAX_SEGMENTS):
        if at + _SEGMENT.size > len(data):
            raise _corrupt('ends within its header')
        prefix, marker, length = _SEGMENT.unpack_from(data, at)
        if prefix == marker == 0xFF:  # filler
            at += 1
            continue
        if prefix != 0xFF or marker in _BARE:
            raise _corrupt('its header is damaged')
        if marker in _FRAMES:
            return _read_frame(data, at + _SEGMENT.size, marker)
        at += 2 + length
    raise _corrupt(f'more than {MAX_SEGMENTS} segments before its size')


def _read_frame(data: memoryview, at: int, marker: int) -> _Header:
    if marker not in _HUFFMAN:
        raise Rejected(
            Reason.IMAGE_FORMAT,
            f'JPEG: lossless or arithmetically coded (SOF{marker - 0xC0})',
        )
    if at + _FRAME.size > len(data):
        raise _corrupt('ends within its header')
    bits, height, width, components = _FRAME.unpack_from(data, at)
    if bits != 8 or components not in (1, 3):
        raise Rejected(
            Reason.IMAGE_FORMAT,
            f'JPEG: {components} components of {bits} bits; only grey or colour of 8 bits is '
            'read, not CMYK',
        )
    return _Header(height, width, components, at + _FRAME.size)


def _decode(data: memoryview, header: _Header) -> AnyArray:
    packed = data.tobytes()
    if packed.rfind(_END, header.end) < 0:
        raise _corrupt('ends early')
    if packed.count(_SCAN, header.end) > MAX_SCANS:
        raise _corrupt(f'more than {MAX_SCANS} scans')
    mode, raw = ('L', 'L') if header.components == 1 else ('RGBX', 'RGB')
    try:
        return decode('jpeg', packed, header.height, header.width, mode, raw, '')
    except Undecodable as error:
        raise _corrupt(str(error)) from None


def _corrupt(what: str) -> Rejected:
    return Rejected(Reason.IMAGE_CORRUPT, f'JPEG: {what}')
