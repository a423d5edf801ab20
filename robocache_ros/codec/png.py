# Copyright 2026 the robocache_ros authors
# SPDX-License-Identifier: Apache-2.0
"""A PNG file: grey, colour or palette, of 8 bits or less, and grey of 16 bits."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator
from functools import partial
from typing import NamedTuple

import numpy as np

from robocache_ros.codec.decoder import Undecodable, decode
from robocache_ros.codec.packed_file import PackedFile, check_size
from robocache_ros.reasons import Reason, Rejected
from robocache_ros.samples import AnyArray

MAGIC = b'\x89PNG\r\n\x1a\n'
MAX_CHUNKS = 2**16  # 512 MB in the chunks that libpng writes
BYTES_PER_BYTE = 1032  # that deflate can pack into one, at most
_PIECE, _BLOCK = 2**16, 2**18  # bytes that are unpacked at a time, before and after

_GREY, _RGB, _PALETTE, _GREY_ALPHA, _RGBA = 0, 2, 3, 4, 6  # colour types
_VALUES = {_GREY: 1, _RGB: 3, _PALETTE: 1, _GREY_ALPHA: 2, _RGBA: 4}  # per pixel
_DEPTHS = {
    _GREY: (1, 2, 4, 8, 16),
    _RGB: (8, 16),
    _PALETTE: (1, 2, 4, 8),
    _GREY_ALPHA: (8, 16),
    _RGBA: (8, 16),
}
# Encoding of the pixels, and Pillow's names for what it writes and what it reads. 16 bits of
# another type would come out as 8.
_READ = {
    (_GREY, 8): ('mono8', 'L', 'L'),
    (_GREY, 16): ('mono16', 'I;16B', 'I;16B'),
    (_RGB, 8): ('rgba8', 'RGBX', 'RGB'),
    (_GREY_ALPHA, 8): ('mono8', 'RGBA', 'LA'),
    (_RGBA, 8): ('rgba8', 'RGBA', 'RGBA'),
    (_PALETTE, 8): ('rgba8', 'P', 'P'),
    **{(_PALETTE, depth): ('rgba8', 'P', f'P;{depth}') for depth in (1, 2, 4)},
    **{(_GREY, depth): ('mono8', 'P', f'P;{depth}') for depth in (1, 2, 4)},
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


class _Header(NamedTuple):
    height: int
    width: int
    colour: int  # type
    depth: int  # bits of one value
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


def open_png(data: memoryview) -> PackedFile:
    """Read the header; raises Rejected."""
    header = _read_header(data)
    size = header.height, header.width
    check_size('PNG', *size, header.rows_size, BYTES_PER_BYTE * len(data))
    read = _READ.get((header.colour, header.depth))
    if read is None:
        raise Rejected(
            Reason.IMAGE_FORMAT, 'PNG: 16 bits in colour or with alpha are not read, only in grey'
        )
    return PackedFile(*size, read[0], partial(_decode, data, header))


def _read_header(data: memoryview) -> _Header:
    """Read the first 33 bytes; raises Rejected."""
    if len(data) < _HEADER.size:
        raise _corrupt('ends within its header')
    _, length, name, width, height, depth, colour, *methods, crc = _HEADER.unpack_from(data)
    if (length, name) != (13, b'IHDR') or zlib.crc32(data[12:29]) != crc:
        raise _corrupt('its header is damaged')
    packing, filtering, interlaced = methods
    if depth not in _DEPTHS.get(colour, ()) or packing or filtering or interlaced > 1:
        raise _corrupt(
            f'there is no colour type {colour} of {depth} bits with the methods {methods}'
        )
    return _Header(height, width, colour, depth, bool(interlaced))


def _read_chunks(data: memoryview) -> tuple[list[memoryview], bytes]:
    """Return the packed rows in pieces, and the palette; nothing else in the file is read."""
    packed, palette = [], b''
    for name, content in _chunks(data):
        if name == b'IDAT':
            packed += [content[at : at + _PIECE] for at in range(0, len(content), _PIECE)]
        elif name == b'PLTE':
            palette = bytes(content)
    return packed, palette


def _stored(packed: list[memoryview], size: int) -> bytes:
    """
    Return rows of `size` bytes packed without compression.

    Pillow unpacks, too, but does not mind if there is less or more than there should be. So that
    is done here, and Pillow gets what is known to be whole. At most one byte too much is unpacked.
    """
    unpacker, packer = zlib.decompressobj(), zlib.compressobj(0)
    stored, left = [], size + 1
    for piece in packed:
        rest = bytes(piece)
        while rest:
            rows = unpacker.decompress(rest, min(left, _BLOCK))
            rest = unpacker.unconsumed_tail
            stored.append(packer.compress(rows))
            left -= len(rows)
            if left == 0:
                raise _corrupt('its data unpacks to more than its header says')
        if unpacker.eof:
            break
    if left > 1 or not unpacker.eof:
        raise _corrupt('its data ends early')
    return b''.join((*stored, packer.flush()))


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
    raise _corrupt(f'more than {MAX_CHUNKS} chunks')


def _decode(data: memoryview, header: _Header) -> AnyArray:
    packed, palette = _read_chunks(data)
    try:
        stored = _stored(packed, header.rows_size)
    except zlib.error as error:
        raise _corrupt(f'its data can not be unpacked ({error})') from None
    _, mode, raw = _READ[header.colour, header.depth]
    try:
        pixels = decode('zip', stored, header.height, header.width, mode, raw, header.interlaced)
    except Undecodable as error:
        raise _corrupt(str(error)) from None
    if header.colour == _GREY_ALPHA:
        return pixels[:, :, 0].copy()
    if header.colour == _PALETTE:
        return _coloured(pixels, palette)
    return pixels if header.depth >= 8 else pixels * np.uint8(255 // (2**header.depth - 1))


def _coloured(indices: AnyArray, palette: bytes) -> AnyArray:
    """Return r, g, b, 255 of every pixel, uint8 [height, width, 4]."""
    if len(palette) % 3 or not palette:
        raise _corrupt(f'a palette of {len(palette)} bytes')
    colours = np.full((len(palette) // 3, 4), 255, np.uint8)
    colours[:, :3] = np.frombuffer(palette, np.uint8).reshape(-1, 3)
    try:
        values = colours.view(np.uint32).take(indices)  # a pixel in one piece: four times as fast
    except IndexError:
        raise _corrupt('a pixel beyond the palette') from None
    pixels: AnyArray = values.view(np.uint8).reshape(*indices.shape, 4)
    return pixels


def _corrupt(what: str) -> Rejected:
    return Rejected(Reason.IMAGE_CORRUPT, f'PNG: {what}')
