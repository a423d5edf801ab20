# Copyright 2026 the robocache_ros authors
# SPDX-License-Identifier: Apache-2.0
"""From the number of a GPU to a backend that runs on it, in two steps: look, then open."""

from __future__ import annotations

from typing import TYPE_CHECKING

from robocache_ros.backends.cuda.device import Limits

if TYPE_CHECKING:
    from robocache_ros.backends import Opener, Operations


def open_cuda(device_id: int, limits: Limits) -> Opener:
    """
    Look whether there is such a GPU and return what opens it.

    Looking is quick and raises BackendUnavailable. Opening compiles or reads all kernels and takes
    seconds: it is for a thread in the background, and raises what a device raises.
    """
    from robocache_ros.backends.cuda.cupy_device import CupyDevice, probe

    probe(device_id)

    def opened() -> Operations:
        from robocache_ros.backends.cuda.cuda_backend import CudaBackend

        return CudaBackend(CupyDevice(device_id), limits)

    return opened
