# Copyright 2026 the robocache_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Scratch memory that is kept from call to call, because fresh pages cost more than arithmetic."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from robocache_ros.samples import AnyArray


class Workspace:
    """
    Named scratch arrays that grow to the largest size asked for and stay.

    A name is valid until it is asked for again; nothing that leaves the backend may be one.
    """

    def __init__(self) -> None:
        self._buffers: dict[str, AnyArray] = {}

    def array(self, name: str, size: int, dtype: npt.DTypeLike) -> AnyArray:
        """Return an uninitialised array [size], the same memory for the same name."""
        buffer = self._buffers.get(name)
        if buffer is None or len(buffer) < size or buffer.dtype != dtype:
            buffer = self._buffers[name] = np.empty(size, dtype)
        return buffer[:size]
