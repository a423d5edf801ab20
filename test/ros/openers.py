# Copyright 2026 the robocache_ros authors
# SPDX-License-Identifier: Apache-2.0
"""
What a node finds in the place of a GPU.

A test names one of these functions in ACCELERATORS; each takes the number of a GPU and limits, and
returns what opens it. As a program this is the node: `openers.py FUNCTION ARGUMENTS OF THE NODE`.
"""

from __future__ import annotations

import atexit
import os
import sys
import threading
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / 'core'))
sys.path.insert(0, str(Path(__file__).resolve().parent.parent / 'kernels'))

from cpu_device import CpuDevice
from fake_cuda import FakeCuda, Opener

from robocache_ros.backends import ACCELERATORS
from robocache_ros.backends.cuda.cuda_backend import CudaBackend
from robocache_ros.backends.cuda.device import DeviceHung, Limits

fake = Opener()  # what the tests of this process turn the knobs of


def open_fake(device_id, limits):
    """Open what computes on NumPy and fails when it is told to."""
    return fake


def open_cpu(device_id, limits):
    """Open the CUDA backend on the device of the tests, which runs its kernels on the CPU."""
    return lambda: CudaBackend(CpuDevice(multiprocessors=2), limits)


def open_hanging(device_id, limits):
    """Open a device that hangs at the first frame, and whose driver never ends after that."""
    atexit.register(threading.Event().wait)
    return lambda: HangingCuda()


class HangingCuda(FakeCuda):
    """Works until there is a real cloud, of one point; then it is waited for in vain."""

    def voxelize(self, clouds, spec):
        if clouds[0].n == 1:
            print('it hangs', flush=True)
            threading.Event().wait(Limits().deadline_sec)
            raise DeviceHung('no answer in 1 s')
        return self._numpy.voxelize(clouds, spec)


def open_slowly(device_id, limits):
    """Open for ever; a process that winds up while it does is aborted."""
    atexit.register(os.abort)
    return threading.Event().wait


if __name__ == '__main__':
    from robocache_ros import node

    ACCELERATORS['cuda'] = f'openers:{sys.argv[1]}'
    sys.exit(node.main(sys.argv[2:]))
