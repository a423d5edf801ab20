# Copyright 2026 the robocache_ros authors
# SPDX-License-Identifier: Apache-2.0
"""One image through a network: its encoding, or the reason why there is none."""

from __future__ import annotations

from typing import NamedTuple, Protocol

import numpy as np

from robocache_ros.batch import MAX_VALUE
from robocache_ros.codec.image import ImageView
from robocache_ros.reasons import Reason, Rejected
from robocache_ros.samples import FloatArray

_SHOWN_CHARS = 120  # of each end of a text
# What is wrong with the network; any other reason is about the image.
MODEL_FAULTS = (Reason.ENCODER_FAILED, Reason.ENCODER_NONFINITE, Reason.ENCODER_WIDTH)


class Picture(Protocol):
    """An image as it came: raw, or still to be decompressed."""

    def unpacked(self, keep: bool = True) -> ImageView:
        """Return the image with its pixels, kept for whoever asks next, or raise Rejected."""
        ...


class Network(Protocol):
    """What turns an image into numbers."""

    @property
    def identity(self) -> str:
        """What computes, and where: other numbers come out of another one."""
        ...

    @property
    def digest(self) -> str:
        """SHA-256 of its file."""
        ...

    @property
    def device(self) -> str:
        """Where it computes."""
        ...

    def encode(self, image: ImageView) -> FloatArray:
        """Return float32 [width], unchecked; raises whatever the network raises."""
        ...


class Attempt(NamedTuple):
    """How it went."""

    result: FloatArray | Reason
    text: str  # what exactly was wrong; '' if nothing

    @property
    def reason(self) -> Reason | None:
        """Why there is no encoding; None if there is one."""
        return self.result if isinstance(self.result, Reason) else None


def attempt(network: Network, picture: Picture, width: int) -> Attempt:
    """Encode a picture; never raises."""
    try:
        values = network.encode(picture.unpacked(keep=False))
        check_encoding(values, width)
    except Rejected as error:
        return Attempt(error.reason, error.detail)
    except Exception as error:
        return Attempt(Reason.ENCODER_FAILED, in_short(error))
    return Attempt(values, '')


def check_encoding(values: FloatArray, width: int) -> None:
    """Raise Rejected unless `values` are `width` numbers that fusion can compute with."""
    if values.shape != (width,):
        raise Rejected(Reason.ENCODER_WIDTH, f'{values.size} values instead of {width}')
    usable = np.abs(values) < MAX_VALUE  # false for NaN as well
    if not usable.all():
        bad = f'{np.count_nonzero(~usable)} of {width} values'
        raise Rejected(Reason.ENCODER_NONFINITE, f'{bad} are NaN, infinite or 2^126 and more')


def in_short(error: Exception) -> str:
    """
    Name and text of an error in one line; those of torch go on for pages.

    Its own begin with what was wrong, and those of TorchScript end with it.
    """
    text = ' '.join(f'{type(error).__name__}: {error}'.split())
    return (
        text
        if len(text) <= 2 * _SHOWN_CHARS
        else f'{text[:_SHOWN_CHARS]} … {text[-_SHOWN_CHARS:]}'
    )
