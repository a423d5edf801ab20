# Copyright 2026 the robocache_ros authors
# SPDX-License-Identifier: Apache-2.0
"""A file of pixels whose header has been read, and what such a header may claim."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from robocache_ros.codec.image import MAX_PIXELS
from robocache_ros.reasons import Reason, Rejected
from robocache_ros.samples import AnyArray

MAX_SIDE = 65500  # of libjpeg


class PackedFile(NamedTuple):
    """What the header says, and the means to decode what follows it."""

    height: int
    width: int
    encoding: str  # of the pixels, a key of ENCODINGS
    # Returns [height, width] or [height, width, 4] values; raises Rejected and DecoderMissing.
    decode: Callable[[], AnyArray]


def check_size(kind: str, height: int, width: int, needed: int, most: int) -> None:
    """Raise Rejected for an image that nobody sends, or that needs more than its bytes hold."""
    said = f'{kind} of {width} x {height} pixels'
    if height == 0 or width == 0:
        raise Rejected(Reason.IMAGE_SIZE, said)
    if height * width > MAX_PIXELS or max(height, width) > MAX_SIDE:
        raise Rejected(
            Reason.TOO_LARGE, f'{said}; at most {MAX_PIXELS} pixels, and {MAX_SIDE} in a row'
        )
    if needed > most:
        raise Rejected(Reason.IMAGE_CORRUPT, f'{said}, which its few bytes can not hold')
