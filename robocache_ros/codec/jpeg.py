# Copyright 2026 the robocache_ros authors
# SPDX-License-Identifier: Apache-2.0
"""What the header of a JPEG file says, and what can be seen of its damage without decoding it."""

from __future__ import annotations

import struct
from typing import NamedTuple

from robocache_ros.reasons import Reason, Rejected

MAGIC = b'\xff\xd8\xff'
MAX_SEGMENTS = 1024  # before the size of the image; a colour profile has 255 at most
MAX_SCANS = 100  # a progressive file has ten; every one goes over the whole image
PIXELS_PER_BYTE = 512  # at most: a block of 64 pixels has at least one bit

_SEGMENT = struct.Struct('>BBH')  # 255, marker, length of the segment without the marker
_FRAME = struct.Struct('>BHHB')  # bits of a value, height, width, components
_SCAN, _END = b'\xff\xda', b'\xff\xd9'
# Markers that begin a frame, by how it is packed; the other three of this range begin tables.
_HUFFMAN = (0xC0, 0xC1, 0xC2)
_FRAMES = set(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
_BARE = {0x00, 0x01, *range(0xD0, 0xDB)}  # no segment, or one that has no place before the frame


class JpegHeader(NamedTuple):
    """Size of the image, and how many values a pixel has."""

    width: int
    height: int
    components: int
    end: int  # where the tables and scans begin that follow the header


def read_header(data: memoryview) -> JpegHeader:
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
        if marker == 0xFF:  # filler
            at += 1
            continue
        if prefix != 0xFF or marker in _BARE or length < 2:
            raise _corrupt('its header is damaged')
        if marker in _FRAMES:
            return _read_frame(data, at + _SEGMENT.size, marker)
        at += 2 + length
    raise _corrupt(f'has more than {MAX_SEGMENTS} segments before its size')


def _read_frame(data: memoryview, at: int, marker: int) -> JpegHeader:
    if marker not in _HUFFMAN:
        raise Rejected(
            Reason.IMAGE_FORMAT,
            f'a JPEG that is lossless or arithmetically coded (SOF{marker - 0xC0})',
        )
    if at + _FRAME.size > len(data):
        raise _corrupt('ends within its header')
    bits, height, width, components = _FRAME.unpack_from(data, at)
    if bits != 8 or components not in (1, 3):
        raise Rejected(
            Reason.IMAGE_FORMAT,
            f'a JPEG of {components} components of {bits} bits; only grey or colour of 8 bits is '
            'read, not CMYK',
        )
    return JpegHeader(width, height, components, at + _FRAME.size)


def check_scans(data: bytes, header: JpegHeader) -> None:
    """Raise Rejected for a file without an end, or with more scans than anybody writes."""
    if data.rfind(_END, header.end) < 0:
        raise _corrupt('ends early')
    if data.count(_SCAN, header.end) > MAX_SCANS:
        raise _corrupt(f'has more than {MAX_SCANS} scans')


def _corrupt(what: str) -> Rejected:
    return Rejected(Reason.IMAGE_CORRUPT, f'a JPEG {what}')
