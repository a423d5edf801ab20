# Copyright 2026 the robocache_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Memory of results that stay on the device: lent to their arrays for as long as one is there."""

from __future__ import annotations

from collections import deque

from robocache_ros.backends.cuda.device import Device, Memory
from robocache_ros.backends.cuda.memory import bucket

SLOTS = 4
_LEAST_BYTES = 2**16


class Lease:
    """Memory that goes back to its slot when nothing refers to the lease any more."""

    def __init__(self, memory: Memory, back: deque[Memory] | None) -> None:
        self.memory = memory
        self.address = memory.address
        self.nbytes = memory.nbytes
        self._back = back

    def __del__(self) -> None:
        if self._back is not None:
            self._back.append(self.memory)  # one operation: arrays go in any thread


class Leases:
    """
    A few slots of memory that are lent again and again.

    Their addresses repeat, so programs do, and what was recorded of them is replayed. When all
    are lent, memory is allocated for the one result: what somebody still has is never overwritten,
    and nobody waits.

    A slot is free once its arrays are gone from Python. Work that was queued on them is ordered
    before the next result if it is on the stream of the arrays that this is made from.
    """

    def __init__(self, device: Device, slots: int = SLOTS) -> None:
        self._device = device
        self._unmade = slots  # have no memory yet
        self._free: deque[Memory] = deque()

    def take(self, nbytes: int) -> Lease:
        """Return memory of `nbytes` or more, to be lent to arrays by `Device.view`."""
        free = [self._free.popleft() for _ in range(len(self._free))]
        free.sort(key=lambda memory: memory.nbytes)
        least = next((memory for memory in free if memory.nbytes >= nbytes), None)
        if least is not None:
            free.remove(least)
        elif free and self._unmade == 0:
            del free[0]  # freed before what replaces it: both may not fit together
            self._unmade = 1
        self._free.extend(free)
        if least is not None:
            return Lease(least, self._free)
        if self._unmade == 0:
            return Lease(self._device.allocate(nbytes), None)
        memory = self._device.allocate(bucket(nbytes, _LEAST_BYTES))
        self._unmade -= 1
        return Lease(memory, self._free)
