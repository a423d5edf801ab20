# Copyright 2026 the robocache_ros authors
# SPDX-License-Identifier: Apache-2.0
"""What a call computes: some arrays, end to end in one piece of memory on either side."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, NamedTuple, TypeVar

import numpy as np
import numpy.typing as npt

from robocache_ros.backends.cuda.device import Device, HostMemory, Memory
from robocache_ros.backends.cuda.memory import Spans
from robocache_ros.samples import AnyArray

M = TypeVar('M', bound=Memory)
Place = Callable[[int], M]  # memory of so many bytes, where kernels put their results


class Span(NamedTuple):
    """One array within the memory."""

    begin: int  # bytes
    shape: tuple[int, ...]
    dtype: npt.DTypeLike

    @property
    def nbytes(self) -> int:
        """Size of the array."""
        return math.prod(self.shape) * np.dtype(self.dtype).itemsize

    def first(self, n: int) -> Span:
        """Return its first `n` elements, of an array of one axis."""
        return self._replace(shape=(n,))


class Results:
    """Arrays that are laid out before it is known where."""

    def __init__(self) -> None:
        self._spans = Spans()

    @property
    def nbytes(self) -> int:
        """Size of all of them."""
        return self._spans.nbytes

    def add(self, shape: tuple[int, ...], dtype: npt.DTypeLike) -> Span:
        """Append an array."""
        span = Span(0, shape, dtype)
        return span._replace(begin=self._spans.add(span.nbytes))


def copied(memory: HostMemory, span: Span) -> AnyArray:
    """Return a fresh copy of an array in memory of the host."""
    piece = memory.array[span.begin : span.begin + span.nbytes]
    values: AnyArray = piece.view(span.dtype).reshape(span.shape).copy()
    return values


def viewed(device: Device, memory: Memory, span: Span) -> Any:
    """Return an array in memory of the device, which it keeps alive, as one of its library."""
    return device.view(memory, span.dtype, span.shape, span.begin)
