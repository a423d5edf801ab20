# Copyright 2026 the robocache_ros authors
# SPDX-License-Identifier: Apache-2.0
"""A compressed image: its header is read when it arrives, its pixels when somebody needs them."""

from __future__ import annotations

import struct
import threading
import weakref
from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import numpy as np

from robocache_ros.codec import jpeg, png
from robocache_ros.codec.buffers import byte_view, shown
from robocache_ros.codec.decoder import DecoderMissing, decoder_identity
from robocache_ros.codec.image import ENCODINGS, ImageView, Raster
from robocache_ros.codec.packed_file import PackedFile
from robocache_ros.reasons import Reason, Rejected
from robocache_ros.samples import AnyArray

__all__ = ['DecoderMissing', 'PackedImage', 'Picture', 'decode_compressed', 'decoder_identity']

# int32, a, b: before the PNG of a compressedDepth image.
_DEPTH_HEADER = struct.Struct('<iff')


class PackedImage(Raster):
    """A checked header, and the means to decode what follows it."""

    def __init__(self, file: PackedFile, frame_id: str = '') -> None:
        self.height = file.height
        self.width = file.width
        self.encoding = file.encoding  # of the pixels it unpacks to
        self.frame_id = frame_id
        self._decode: Callable[[], AnyArray] | None = file.decode  # None: not any more
        self._kept: ImageView | Rejected | None = None
        self._shared: Callable[[], ImageView | None] = lambda: None  # what somebody still uses
        self._lock = threading.Lock()

    def unpacked(self, keep: bool = True) -> ImageView:
        """
        Return the pixels; raises Rejected, and DecoderMissing.

        They are decoded once for all who use them at the same time. `keep`: and stay, instead of
        the compressed bytes, for whoever asks later; without it they go with their last user.
        """
        with self._lock:
            result = self._kept or self._shared()
            if result is None:
                assert self._decode is not None
                result = self._unpack(self._decode)
            if keep or isinstance(result, Rejected):
                self._kept, self._decode = result, None
            else:
                self._shared = weakref.ref(result)
        if isinstance(result, Rejected):
            raise Rejected(result.reason, result.detail)
        return result

    def _unpack(self, decode: Callable[[], AnyArray]) -> ImageView | Rejected:
        try:
            pixels = decode()
        except Rejected as rejected:
            return Rejected(rejected.reason, rejected.detail)  # without the arrays of its frames
        return ImageView(
            data=pixels.reshape(-1).view(np.uint8),
            height=self.height,
            width=self.width,
            step=pixels.strides[0],
            encoding=self.encoding,
            big_endian=pixels.dtype.byteorder == '>',
            frame_id=self.frame_id,
        )


Picture = ImageView | PackedImage


class _Said(NamedTuple):
    """What `format` says of image_transport: 'rgb8; jpeg compressed bgr8'."""

    raw: str  # encoding of the image that was published, '' where it is not said
    packed: str  # encoding of what was compressed, likewise

    @classmethod
    def parse(cls, text: str) -> _Said:
        raw, semicolon, rest = text.partition(';')
        return cls(raw.strip() if semicolon else '', rest.partition('compressed')[2].strip())


def decode_compressed(msg: Any) -> PackedImage:
    """
    Read the header of a sensor_msgs/CompressedImage; raises Rejected.

    Looks at some bytes at the begin, copies and decodes nothing.
    """
    data = byte_view(msg.data, Reason.IMAGE_CORRUPT).data
    text = str(msg.format)
    if 'compressedDepth' in text or _starts(data[_DEPTH_HEADER.size :], png.MAGIC):
        file = _open_depth(data, text)
    else:
        file = _as_said(_open_file(data, text), text)
    return PackedImage(file, str(msg.header.frame_id))


def _open_file(data: memoryview, text: str) -> PackedFile:
    if _starts(data, jpeg.MAGIC):
        return jpeg.open_jpeg(data)
    if _starts(data, png.MAGIC):
        return png.open_png(data)
    raise Rejected(
        Reason.IMAGE_FORMAT if len(data) >= len(png.MAGIC) else Reason.IMAGE_CORRUPT,
        f'format {shown(text)}, {len(data)} bytes that begin with {data[:8].tobytes().hex(" ")}: '
        'neither JPEG nor PNG',
    )


def _starts(data: memoryview, magic: bytes) -> bool:
    return data[: len(magic)].tobytes() == magic


def _as_said(file: PackedFile, text: str) -> PackedFile:
    """Return the file with the encoding that only `format` knows."""
    said = _Said.parse(text)
    grey = file.encoding in ('mono8', 'mono16')
    if grey and said.raw.startswith('bayer_') and said.packed in ('', said.raw):
        mosaic = ENCODINGS.get(said.raw)  # as it came from the sensor; else it is made grey
        if mosaic is None or mosaic.code != ENCODINGS[file.encoding].code:
            raise Rejected(
                Reason.IMAGE_FORMAT, f'a mosaic of {shown(said.raw)} in {file.encoding}'
            )
        return file._replace(encoding=said.raw)
    if file.encoding == 'mono16' and said.raw == '16UC1':
        return file._replace(encoding=said.raw)
    if file.encoding == 'rgba8' and said.packed.startswith('rgb'):
        return file._replace(encoding='bgra8')  # red and blue were taken for each other
    return file


def _open_depth(data: memoryview, text: str) -> PackedFile:
    if 'rvl' in text.lower():
        raise Rejected(Reason.IMAGE_FORMAT, f'format {shown(text)}: RVL is not read; publish png')
    file = _open_file(data[_DEPTH_HEADER.size :], text)
    encoding = text.partition(';')[0].strip()
    if file.encoding != 'mono16' or encoding not in ('16UC1', 'mono16', '32FC1'):
        raise Rejected(
            Reason.IMAGE_FORMAT,
            f'format {shown(text)} of {file.encoding}: a depth image is 16UC1 or 32FC1 in a PNG '
            'of 16 bits',
        )
    if encoding != '32FC1':
        return file._replace(encoding=encoding)
    _, a, b = _DEPTH_HEADER.unpack_from(data)
    if not (a > 0 and np.isfinite([a, b]).all()):
        raise Rejected(Reason.IMAGE_CORRUPT, f'compressedDepth with the parameters {a} and {b}')
    return file._replace(encoding=encoding, decode=partial(_decode_depth, file.decode, a, b))


def _decode_depth(decode: Callable[[], AnyArray], a: float, b: float) -> AnyArray:
    """Metres float32 of what image_transport stores: a / depth + b, 0 where there is none."""
    stored = decode()
    with np.errstate(divide='ignore', over='ignore', under='ignore'):
        depth: AnyArray = np.float32(a) / (stored.astype('<f4') - np.float32(b))
    depth[stored == 0] = np.nan
    return depth
