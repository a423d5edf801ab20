# Copyright 2026 the robocache_ros authors
# SPDX-License-Identifier: Apache-2.0
"""
Pillow, which decodes: only its codecs, which depend on no setting of the process.

They write into the array that is used, and let other threads run. The size of a file and where its
data are have been found out before, and Pillow trusts what it is told.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from robocache_ros.samples import AnyArray

# How values lie in an array that Pillow writes into, by the name of its mode.
_STORED = {'L': 'u1', 'P': 'u1', 'I;16B': '>u2', 'RGBX': '4u1', 'RGBA': '4u1'}


class DecoderMissing(Exception):
    """Compressed images can not be read here; says what to install."""


class Undecodable(Exception):
    """The data are damaged; says how."""


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


def decode(
    codec: str, packed: bytes, height: int, width: int, mode: str, raw: str, option: Any
) -> AnyArray:
    """
    Return `packed` as an array [height, width], or [height, width, 4] of a mode with colours.

    `codec`, `mode` (of the array), `raw` (of the data) and `option` are Pillow's. Raises
    Undecodable and DecoderMissing.
    """
    pixels = np.empty((height, width), _STORED[mode])
    image = _pillow().Image.frombuffer(mode, (width, height), pixels, 'raw', mode, 0, 1)
    try:
        image.frombytes(packed, codec, raw, option)
    except ValueError as error:
        raise Undecodable(str(error)) from None
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
