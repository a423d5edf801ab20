# Copyright 2026 the robocache_ros authors
# SPDX-License-Identifier: Apache-2.0
"""A PNG file taken apart: what its header says, its palette, and its rows before the filters."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator
from typing import NamedTuple

from robocache_ros.reasons import Reason, Rejected

MAGIC = b'\x89PNG\r\n\x1a\n'
MAX_CHUNKS = 2**16  # 512 MB in the chunks that libpng writes
BYTES_PER_BYTE = 1032  # that deflate can pack into one, at most

GREY, RGB, PALETTE, GREY_ALPHA, RGBA = 0, 2, 3, 4, 6  # colour types
_VALUES = {GREY: 1, RGB: 3, PALETTE: 1, GREY_ALPHA: 2, RGBA: 4}  # per pixel
_DEPTHS = {
    GREY: (1, 2, 4, 8, 16),
    RGB: (8, 16),
    PALETTE: (1, 2, 4, 8),
    GREY_ALPHA: (8, 16),
    RGBA: (8, 16),
}
# First column and row of a pass over an image, and the steps: of a plain image, of an interlaced.
_PLAIN = ((0, 0, 1, 1),)
_INTERLACED = (
    *((0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4)),
    *((0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2)),
)

_HEADER = struct.Struct('>8sI4sIIBBBBBI')  # magic, then the whole chunk IHDR
_CHUNK = struct.Struct('>I4s')
_CRC = struct.Struct('>I')


class PngHeader(NamedTuple):
    """What the first chunk says."""

    width: int
    height: int
    depth: int  # bits of one value
    colour: int  # GREY, RGB, PALETTE, GREY_ALPHA or RGBA
    interlaced: bool

    @property
    def rows_size(self) -> int:
        """Bytes of all rows, each with the byte that names its filter."""
        bits = self.depth * _VALUES[self.colour]
        size = 0
        for left, top, right, down in _INTERLACED if self.interlaced else _PLAIN:
            columns = len(range(left, self.width, right))
            rows = len(range(top, self.height, down)) if columns else 0
            size += rows * (1 + (columns * bits + 7) // 8)
        return size


def read_header(data: memoryview) -> PngHeader:
    """Read the first 33 bytes; raises Rejected."""
    if len(data) < _HEADER.size:
        raise _corrupt('ends within its header')
    _, length, name, width, height, depth, colour, *methods, crc = _HEADER.unpack_from(data)
    if (length, name) != (13, b'IHDR') or zlib.crc32(data[12:29]) != crc:
        raise _corrupt('its header is damaged')
    packing, filtering, interlaced = methods
    if depth not in _DEPTHS.get(colour, ()) or packing or filtering or interlaced > 1:
        raise _corrupt(f'of colour type {colour}, {depth} bits and methods {methods} is none')
    return PngHeader(width, height, depth, colour, bool(interlaced))


def read_rows(data: memoryview, header: PngHeader) -> tuple[bytes, bytes]:
    """
    Return the unpacked rows, `header.rows_size` bytes, and the palette, three bytes an entry.

    Checksums are checked, and nothing else is read: no text, no profile, no animation. Raises
    Rejected, having unpacked at most one byte too much.
    """
    packed, palette = [], b''
    for name, content in _chunks(data):
        if name == b'IDAT':
            packed.append(content)
        elif name == b'PLTE':
            palette = bytes(content)
    unpacker = zlib.decompressobj()
    try:
        rows = unpacker.decompress(b''.join(packed), header.rows_size + 1)
    except zlib.error as error:
        raise _corrupt(f'its data can not be unpacked ({error})') from None
    if len(rows) > header.rows_size:
        raise _corrupt('its data unpacks to more than its header says')
    if len(rows) < header.rows_size or not unpacker.eof:
        raise _corrupt('its data ends early')
    return rows, palette


def _chunks(data: memoryview) -> Iterator[tuple[bytes, memoryview]]:
    """Yield name and content of the chunks between the header and the end."""
    at = _HEADER.size
    for _ in range(MAX_CHUNKS):
        end = at + _CHUNK.size  # of the content, as far as is known
        if end <= len(data):
            length, name = _CHUNK.unpack_from(data, at)
            end += length
        if end + _CRC.size > len(data):
            raise _corrupt('ends before its last chunk')
        if name in (b'PLTE', b'IDAT', b'IEND') and (
            zlib.crc32(data[at + 4 : end]) != _CRC.unpack_from(data, end)[0]
        ):
            raise _corrupt(f'the checksum of a chunk {name.decode()} is wrong')
        if name == b'IEND':
            return
        yield name, data[at + _CHUNK.size : end]
        at = end + _CRC.size
    raise _corrupt(f'has more than {MAX_CHUNKS} chunks')


def _corrupt(what: str) -> Rejected:
    return Rejected(Reason.IMAGE_CORRUPT, f'a PNG {what}')
