# Copyright 2026 the robocache_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The 16-bit floats: exact on the way in, rounded to nearest even by integers on the way out."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from robocache_ros.samples import AnyArray, FloatArray

_U32Array = npt.NDArray[np.uint32]


def widen(values: AnyArray, dtype: str) -> FloatArray:
    """float32 of values stored as `dtype`; exact, and no copy where they are float32 already."""
    if dtype == 'bfloat16':
        bits = values.astype(np.uint32)
        bits <<= np.uint32(16)
        wide: FloatArray = bits.view(np.float32)
        return wide
    return values.astype(np.float32, copy=False)


def narrow(values: FloatArray, dtype: str) -> AnyArray:
    """
    Finite float32 values as `dtype`: float16, or uint16 holding the bits of bfloat16.

    Rounds to nearest even; what is too large for float16 becomes infinite, as IEEE has it.
    """
    if dtype == 'float32':
        return values
    bits = np.ascontiguousarray(values).view(np.uint32)
    if dtype == 'bfloat16':
        return _round_off(bits, np.uint32(16)).astype(np.uint16)
    return _float16_bits(bits).view(np.float16)


def _round_off(bits: _U32Array, shift: np.uint32 | _U32Array) -> _U32Array:
    """`bits` without its low `shift` bits, rounded to nearest even: half an ulp less, or more."""
    one = np.uint32(1)
    half = (one << (shift - one)) - one
    rounded: _U32Array = (bits + half + ((bits >> shift) & one)) >> shift
    return rounded


def _float16_bits(bits: _U32Array) -> npt.NDArray[np.uint16]:
    """Bits of the float16 nearest to the finite float32 of these bits."""
    size = bits & np.uint32(0x7FFFFFFF)
    sign = (bits >> np.uint32(16)) & np.uint32(0x8000)
    # Exponent bias 127 becomes 15; a carry out of the mantissa raises the exponent by itself.
    normal = _round_off(size, np.uint32(13)) - np.uint32((127 - 15) << 10)
    # Below 2^-14 a float16 counts steps of 2^-24: shift the mantissa, with its hidden bit, there.
    exponent = size >> np.uint32(23)
    mantissa = (size & np.uint32(0x7FFFFF)) | np.uint32(0x800000)
    shift = np.minimum(np.uint32(126) - np.minimum(exponent, np.uint32(112)), np.uint32(31))
    small = _round_off(mantissa, shift)
    half = np.where(exponent > np.uint32(112), np.minimum(normal, np.uint32(0x7C00)), small)
    rounded: npt.NDArray[np.uint16] = (half | sign).astype(np.uint16)
    return rounded
