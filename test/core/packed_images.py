# Copyright 2026 the robocache_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Compressed images built by hand, byte by byte: no encoder says what is right."""

from __future__ import annotations

import array
import struct
import zlib

from codec_messages import Message, header

MAGIC = b'\x89PNG\r\n\x1a\n'
VALUES = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}  # PNG colour type -> values of a pixel
# x0, y0, dx, dy of the seven passes of an interlaced PNG
PASSES = ((0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4),
          (0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2))  # fmt: skip


def packed(data, text='jpeg'):
    return Message(header=header(frame_id='camera'), format=text, data=array.array('B', data))


def chunk(name, content=b''):
    tail = struct.pack('>I', zlib.crc32(name + content))
    return struct.pack('>I', len(content)) + name + content + tail


def ihdr(width, height, depth=8, colour=0, interlaced=0, methods=(0, 0)):
    return chunk(
        b'IHDR', struct.pack('>IIBBBBB', width, height, depth, colour, *methods, interlaced)
    )


def png_of(width, height, rows, depth=8, colour=0, *, interlaced=0, before=b'', level=6):
    """PNG whose data unpacks to `rows`, whatever the header says."""
    data = chunk(b'IDAT', zlib.compress(rows, level))
    head = ihdr(width, height, depth, colour, interlaced)
    return MAGIC + head + before + data + chunk(b'IEND')


def png(pixels, depth=8, colour=0, *, filters=(0,), **more):
    """PNG of rows of pixels, each a value or a tuple of them; filters are used in turn."""
    height, width = len(pixels), len(pixels[0])
    bpp = max(1, depth * VALUES[colour] // 8)
    lines = filtered(stored(pixels, depth), bpp, filters)
    return png_of(width, height, lines, depth, colour, **more)


def interlaced_png(pixels, depth=8, colour=0):
    bpp = max(1, depth * VALUES[colour] // 8)
    data = b''
    for left, top, right, down in PASSES:
        rows = [row[left::right] for row in pixels[top::down]]
        if rows and rows[0]:
            data += filtered(stored(rows, depth), bpp, (0, 1, 4))
    return png_of(len(pixels[0]), len(pixels), data, depth, colour, interlaced=1)


def stored(pixels, depth):
    """Rows of pixels as bytes: the first value in the highest bits."""
    rows = []
    for row in pixels:
        values = [v for pixel in row for v in (pixel if isinstance(pixel, tuple) else (pixel,))]
        bits = ''.join(f'{value:0{depth}b}' for value in values)
        bits += '0' * (-len(bits) % 8)
        rows.append(int(bits, 2).to_bytes(len(bits) // 8, 'big'))
    return rows


def filtered(rows, bpp, filters):
    """Rows behind the byte of their filter, by the letter of the PNG specification."""
    out = bytearray()
    above = bytes(len(rows[0]))
    for number, row in enumerate(rows):
        kind = filters[number % len(filters)]
        out.append(kind)
        for i, value in enumerate(row):
            a = row[i - bpp] if i >= bpp else 0
            b = above[i]
            c = above[i - bpp] if i >= bpp else 0
            near = min((abs(b - c), 0, a), (abs(a - c), 1, b), (abs(a + b - 2 * c), 2, c))[2]
            out.append((value - (0, a, b, (a + b) // 2, near)[kind]) % 256)
        above = row
    return bytes(out)


def depth_message(pixels, text, a=0.0, b=0.0, **more):
    """compressedDepth of values of 16 bits."""
    return packed(struct.pack('<iff', 0, a, b) + png(pixels, 16, **more), text)


def segment(marker, content):
    return struct.pack('>BBH', 0xFF, marker, 2 + len(content)) + content


def frame(width, height, components=1, bits=8, marker=0xC0):
    """Frame header of components that are all as large as the image."""
    each = b''.join(bytes((number + 1, 0x11, 0)) for number in range(components))
    return segment(marker, struct.pack('>BHHB', bits, height, width, components) + each)


def flat_jpeg(value=200, width=8, height=8, before=b'', marker=0xC0):
    """
    JPEG of one grey, made of blocks that have nothing but their mean.

    All quantisers are 1, so a block that is `value` has the coefficient 8 * (value - 128): the
    first block says it in ten bits behind the code 0, which is right from 192 on, and the others
    the difference 0 by the code 10. Every block ends with the code 0.
    """
    assert 192 <= value <= 255
    blocks = -(-width // 8) * -(-height // 8)
    bits = '0' + f'{8 * (value - 128):010b}' + '0' + '100' * (blocks - 1)
    bits += '1' * (-len(bits) % 8)
    scan = int(bits, 2).to_bytes(len(bits) // 8, 'big').replace(b'\xff', b'\xff\x00')
    return (
        b'\xff\xd8'
        + before
        + segment(0xDB, bytes([0]) + bytes([1]) * 64)
        + frame(width, height, marker=marker)
        + segment(0xC4, bytes([0x00, 1, 1]) + bytes(14) + bytes([10, 0]))  # means: 0 -> 10 bits
        + segment(0xC4, bytes([0x10, 1]) + bytes(15) + bytes([0]))  # the rest: 0 -> none
        + segment(0xDA, bytes([1, 1, 0x00, 0, 63, 0]))
        + scan
        + b'\xff\xd9'
    )
