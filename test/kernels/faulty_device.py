# Copyright 2026 the robocache_ros authors
# SPDX-License-Identifier: Apache-2.0
"""
A device that fails at a chosen call.

    device = FaultyDevice(CpuDevice())                       # fails never: count the calls
    backend.voxelize(...); len(device.calls)                 # ['load', 'allocate', 'send', ...]
    device = FaultyDevice(CpuDevice(), fail_at=3, error=OutOfResources('full'))
    device.fail_at = len(device.calls)                       # the next call

Calls are counted from 0 over all methods that reach a driver. Out of memory passes: the next call
works. DeviceLost stays, as it does on a GPU: every later call raises it too; `calls_after` names
the calls made nevertheless, of which there must be none once a device hangs.
"""

from __future__ import annotations

from robocache_ros.backends.cuda.device import DeviceLost, OutOfResources

CALLS = ('load', 'allocate', 'allocate_host', 'follow', 'send', 'execute', 'wait', 'view')


class FaultyDevice:
    """Passes everything on to `device`, except for call number `fail_at`, which raises `error`."""

    def __init__(self, device, fail_at=None, error=None):
        self.device = device
        self.fail_at = fail_at
        self.error = error or OutOfResources('out of memory (injected)')
        self.calls = []
        self.calls_after = []
        self._lost = False

    def __getattr__(self, name):
        value = getattr(self.device, name)
        if name not in CALLS:
            return value

        def call(*args, **kwargs):
            self._enter(name)
            return value(*args, **kwargs)

        return call

    def _enter(self, name):
        number = len(self.calls)
        self.calls.append(name)
        if self._lost:
            self.calls_after.append(name)
            raise self.error
        if number == self.fail_at:
            self._lost = isinstance(self.error, DeviceLost)
            raise self.error
