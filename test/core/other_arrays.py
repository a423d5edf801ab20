# Copyright 2026 the robocache_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Arrays as other libraries have them, for machines without these libraries or without a GPU."""

from __future__ import annotations

import contextlib
import types

import numpy as np


class GpuArray(np.ndarray):
    """What `interop` knows of an array of CuPy; its memory is that of the host."""

    device = types.SimpleNamespace(id=0)

    @property
    def data(self):
        return types.SimpleNamespace(ptr=self.__array_interface__['data'][0])

    def get(self):
        return np.array(self, copy=True)


def gpu(values):
    """Return an array "on GPU 0" with the memory of `values`."""
    return np.asarray(values).view(GpuArray)


# In the place of the module cupy.
CUPY = types.SimpleNamespace(
    ndarray=GpuArray,
    asarray=gpu,
    cuda=types.SimpleNamespace(Device=lambda number: contextlib.nullcontext()),
)


class Library:
    """A library of arrays that follows the array API, and nothing else."""

    def __init__(self, values):
        self.values = values

    def __dlpack__(self, **options):
        # NumPy before 2.1 takes arrays over read-only, and hands such arrays to nobody.
        writeable = self.values.flags.writeable
        return (self.values if writeable else self.values.copy()).__dlpack__(**options)

    def __dlpack_device__(self):
        return self.values.__dlpack_device__()

    def __array_namespace__(self):
        return types.SimpleNamespace(from_dlpack=lambda array: Library(np.from_dlpack(array)))
