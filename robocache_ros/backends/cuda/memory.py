# Copyright 2026 the robocache_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Memory of a device that is kept from call to call and grows between them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Generic, TypeVar

from robocache_ros.backends.cuda.device import Memory

_ALIGNMENT = 256
M = TypeVar('M', bound=Memory)


def padded(nbytes: int, alignment: int = _ALIGNMENT) -> int:
    """Round `nbytes` up to a multiple of `alignment`."""
    return -(-nbytes // alignment) * alignment


def bucket(size: int, least: int = 1) -> int:
    """Return the power of two at or above `size`, at least `least`: few sizes, few programs."""
    return max(least, 1 << max(size - 1, 0).bit_length())


class Spans:
    """Arrays that share a piece of memory, end to end: where each begins."""

    def __init__(self) -> None:
        self.nbytes = 0

    def add(self, nbytes: int) -> int:
        """Append an array; returns its offset."""
        offset = self.nbytes
        self.nbytes = padded(offset + nbytes)
        return offset


class Grown(Generic[M]):
    """One piece of memory, replaced by a larger one where a call needs that."""

    def __init__(self, allocate: Callable[[int], M], least: int = 2**16) -> None:
        self._allocate = allocate
        self._least = least
        self._memory: M | None = None

    def at_least(self, nbytes: int) -> M:
        """Return memory of `nbytes` or more; what was in it is lost when it grows."""
        if self._memory is None or self._memory.nbytes < nbytes:
            self._memory = None  # freed first: both sizes may not fit together
            self._memory = self._allocate(bucket(nbytes, self._least))
        return self._memory
