# Copyright 2026 the robocache_ros authors
# SPDX-License-Identifier: Apache-2.0
"""
A compressed image: its header is read when it arrives, its pixels when somebody needs them.

Pillow decodes, by its codecs alone: they write into the array that is used, let other threads run,
and depend on no setting of the process. What it is told about a file is found out here.
"""

from __future__ import annotations

import struct
import threading
import zlib
from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import numpy as np

from robocache_ros.codec import jpeg, png
from robocache_ros.codec.buffers import byte_view, shown
from robocache_ros.codec.image import ENCODINGS, MAX_PIXELS, ImageView, Raster
from robocache_ros.reasons import Reason, Rejected
from robocache_ros.samples import AnyArray

MAX_SIDE = 65500  # of libjpeg

# int32, a, b: before the PNG of a compressedDepth image.
_DEPTH_HEADER = struct.Struct('<iff')

# What Pillow keeps in the array it writes into: by the name of its mode.
_STORED = {'L': 'u1', 'P': 'u1', 'I;16B': '>u2', 'RGBX': '4u1', 'RGBA': '4u1'}


class DecoderMissing(Exception):
    """Compressed images can not be read here; says what to install."""


class PackedImage(Raster):
    """A checked header, and the means to decode what follows it."""

    def __init__(
        self,
        height: int,
        width: int,
        encoding: str,
        frame_id: str,
        decode: Callable[[], AnyArray],
    ) -> None:
        """`decode` returns [height, width] or [height, width, 4] values; raises Rejected."""
        self.height = height
        self.width = width
        self.encoding = encoding  # of the pixels it unpacks to
        self.frame_id = frame_id
        self._decode: Callable[[], AnyArray] | None = decode
        self._result: ImageView | Rejected | None = None
        self._lock = threading.Lock()

    def unpacked(self) -> ImageView:
        """Return the pixels, decoded once, whoever asks; raises Rejected, and DecoderMissing."""
        with self._lock:
            if self._decode is not None:
                self._result = self._unpack(self._decode)
                self._decode = None  # and with it the compressed bytes
        if isinstance(self._result, ImageView):
            return self._result
        assert self._result is not None
        raise Rejected(self._result.reason, self._result.detail)

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


class _File(NamedTuple):
    """A file whose header is good."""

    height: int
    width: int
    encoding: str
    decode: Callable[[], AnyArray]


class _Said(NamedTuple):
    """What `format` says of image_transport: 'rgb8; jpeg compressed bgr8'."""

    raw: str  # encoding of the image that was published, '' where it is not said
    packed: str  # encoding of what was compressed, likewise

    @classmethod
    def parse(cls, text: str) -> _Said:
        raw, semicolon, rest = text[:200].partition(';')
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
    return PackedImage(*file[:3], str(msg.header.frame_id), file.decode)


def decoder_identity() -> str:
    """
    Return what decodes, and its build, as far as bits depend on it; raises DecoderMissing.

    PNG is exact whoever decodes it: the version of zlib does not matter.
    """
    features = _pillow().features
    for codec, name in (('jpg', 'JPEG'), ('zlib', 'PNG')):
        if not features.check(codec):
            raise DecoderMissing(f'this Pillow was built without {name}: install another one')
    turbo = features.version('libjpeg_turbo')
    libjpeg = f'libjpeg-turbo {turbo}' if turbo else f'libjpeg {features.version("jpg")}'
    return f'Pillow {features.version("pil")}, {libjpeg}'


def _open_file(data: memoryview, text: str) -> _File:
    if _starts(data, jpeg.MAGIC):
        return _open_jpeg(data)
    if _starts(data, png.MAGIC):
        return _open_png(data)
    raise Rejected(
        Reason.IMAGE_FORMAT,
        f'format {shown(text)}, {len(data)} bytes that begin with {data[:8].tobytes().hex(" ")}: '
        'neither JPEG nor PNG',
    )


def _starts(data: memoryview, magic: bytes) -> bool:
    return data[: len(magic)].tobytes() == magic


def _as_said(file: _File, text: str) -> _File:
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


# -- JPEG -------------------------------------------------------------------------------------


def _open_jpeg(data: memoryview) -> _File:
    header = jpeg.read_header(data)
    shape = header.height, header.width
    _check_size(shape, 'JPEG', header.width * header.height, jpeg.PIXELS_PER_BYTE * len(data))
    encoding = 'mono8' if header.components == 1 else 'rgba8'
    return _File(*shape, encoding, partial(_decode_jpeg, data, header))


def _decode_jpeg(data: memoryview, header: jpeg.JpegHeader) -> AnyArray:
    packed = data.tobytes()
    jpeg.check_scans(packed, header)
    shape = header.height, header.width
    stored, raw = ('L', 'L') if header.components == 1 else ('RGBX', 'RGB')
    return _decode('jpeg', packed, shape, stored, raw, '')


# -- PNG --------------------------------------------------------------------------------------


def _open_png(data: memoryview) -> _File:
    header = png.read_header(data)
    shape = header.height, header.width
    _check_size(shape, 'PNG', header.rows_size, png.BYTES_PER_BYTE * len(data))
    return _File(*shape, _png_encoding(header), partial(_decode_png, data, header))


def _png_encoding(header: png.PngHeader) -> str:
    if header.depth == 16 and header.colour != png.GREY:
        raise Rejected(
            Reason.IMAGE_FORMAT, 'a PNG of 16 bits in colour or with alpha; only grey is read'
        )
    if header.depth == 16:
        return 'mono16'
    return 'mono8' if header.colour in (png.GREY, png.GREY_ALPHA) else 'rgba8'


def _decode_png(data: memoryview, header: png.PngHeader) -> AnyArray:
    rows, palette = png.read_rows(data, header)
    # Pillow unpacks, too, and is content with less: what is known to be whole is stored for it.
    packed = zlib.compress(rows, 0)
    del rows
    decode = partial(_decode, 'zip', packed, (header.height, header.width))
    if header.colour == png.PALETTE or header.depth < 8:
        indices = decode('P', f'P;{header.depth}' if header.depth < 8 else 'P', header.interlaced)
        return _looked_up(indices, _colours(palette) if header.colour else _greys(header.depth))
    stored, raw = {
        (png.GREY, 8): ('L', 'L'),
        (png.GREY, 16): ('I;16B', 'I;16B'),
        (png.RGB, 8): ('RGBX', 'RGB'),
        (png.GREY_ALPHA, 8): ('RGBA', 'LA'),
        (png.RGBA, 8): ('RGBA', 'RGBA'),
    }[header.colour, header.depth]
    pixels = decode(stored, raw, header.interlaced)
    return pixels[:, :, 0].copy() if header.colour == png.GREY_ALPHA else pixels


def _greys(depth: int) -> AnyArray:
    """Return black to white in 2 ** depth steps, uint8."""
    return np.linspace(0, 255, 2**depth).astype(np.uint8)


def _colours(palette: bytes) -> AnyArray:
    """Return r, g, b, 255 of every entry of a palette, as one uint32."""
    if len(palette) % 3 or not palette:
        raise Rejected(Reason.IMAGE_CORRUPT, f'a PNG has a palette of {len(palette)} bytes')
    colours = np.full((len(palette) // 3, 4), 255, np.uint8)
    colours[:, :3] = np.frombuffer(palette, np.uint8).reshape(-1, 3)
    return colours.view(np.uint32)[:, 0]


def _looked_up(indices: AnyArray, table: AnyArray) -> AnyArray:
    try:
        values = table.take(indices)
    except IndexError:
        raise Rejected(Reason.IMAGE_CORRUPT, 'a PNG has colours beyond its palette') from None
    return values if values.dtype == np.uint8 else values[..., None].view(np.uint8)


# -- compressedDepth --------------------------------------------------------------------------


def _open_depth(data: memoryview, text: str) -> _File:
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


# -- both -------------------------------------------------------------------------------------


def _check_size(shape: tuple[int, int], kind: str, needed: int, most: int) -> None:
    """Raise Rejected for an image that nobody sends, or that so few bytes can not hold."""
    height, width = shape
    said = f'a {kind} of {width} x {height} pixels'
    if height == 0 or width == 0:
        raise Rejected(Reason.IMAGE_SIZE, said)
    if height * width > MAX_PIXELS or max(shape) > MAX_SIDE:
        raise Rejected(
            Reason.TOO_LARGE, f'{said}; at most {MAX_PIXELS} pixels, and {MAX_SIDE} in a row'
        )
    if needed > most:
        raise Rejected(Reason.IMAGE_CORRUPT, f'{said} is cut off: it has too few bytes')


def _decode(
    codec: str, packed: bytes, shape: tuple[int, int], stored: str, raw: str, option: Any
) -> AnyArray:
    """Let Pillow decode into an array [height, width] or [height, width, 4], and return that."""
    pixels = np.empty(shape, _STORED[stored])
    image = _pillow().Image.frombuffer(stored, shape[::-1], pixels, 'raw', stored, 0, 1)
    try:
        image.frombytes(packed, codec, raw, option)
    except ValueError as error:
        raise Rejected(
            Reason.IMAGE_CORRUPT, f'{shape[1]} x {shape[0]} pixels of {codec}: {error}'
        ) from None
    return pixels


def _pillow() -> Any:
    """Return the package with the modules used here."""
    try:
        import PIL.features
        import PIL.Image
    except ImportError as error:
        raise DecoderMissing(
            f'compressed images need Pillow ({error}): pip install pillow, or '
            'apt install python3-pil'
        ) from None
    return PIL
