# Copyright 2026 the robocache_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Scratch memory that is kept from call to call, because fresh pages cost more than arithmetic."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from robocache_ros.samples import AnyArray


class Workspace:
    """
    Named scratch arrays that grow to the largest size asked for and stay.

    An array is valid until its name is asked for again; none of them may leave the backend.
    """

    def __init__(self) -> None:
        self._buffers: dict[tuple[str, np.dtype[Any]], AnyArray] = {}
        self._nested: dict[str, Workspace] = {}

    def array(self, name: str, size: int, dtype: npt.DTypeLike) -> AnyArray:
        """Return an uninitialised array [size], the same memory for the same name and type."""
        key = (name, np.dtype(dtype))
        buffer = self._buffers.get(key)
        if buffer is None or len(buffer) < size:
            buffer = self._buffers[key] = np.empty(size, dtype)
        return buffer[:size]

    def nested(self, name: str) -> Workspace:
        """Return a workspace of this name, whose arrays are apart from those of this one."""
        return self._nested.setdefault(name, Workspace())
