# Copyright 2026 the robocache_ros authors
# SPDX-License-Identifier: Apache-2.0
"""
The way to the device: all that one call sends, in one piece, its job first.

    parcel = Parcel(VOXEL_JOB)
    times = parcel.add(array)          # an offset; arrays are read when they are sent
    base = staging.reserve(parcel)     # device address of the parcel; now addresses are known
    parcel.job['times'] = base + times
    staging.send(parcel)
    staging.run(Program(base, steps))
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from robocache_ros.backends.cuda.device import Device, Limits, Program
from robocache_ros.backends.cuda.memory import Grown, padded
from robocache_ros.samples import AnyArray

# A copy to the device begins while the next chunk is still being filled.
CHUNK_BYTES = 2 * 2**20
_FIRST_BYTES = 2**20
_ALIGNMENT = 16


class Parcel:
    """What one call sends: a job, then the arrays that the job points to."""

    def __init__(self, job: npt.DTypeLike | AnyArray) -> None:
        """`job` is the dtype of an empty job, or a job [1] that is in parts written already."""
        self._job = job if isinstance(job, np.ndarray) else np.zeros(1, job)
        self.nbytes = 0
        self.pieces: list[tuple[int, AnyArray]] = []  # offset and 1-d array, ascending
        self.add(self._job)

    @property
    def job(self) -> Any:
        """The job, to be written member by member until the parcel is sent."""
        return self._job[0]

    def add(self, values: AnyArray) -> int:
        """Append an array; its bytes go as they are, in C order. Returns their offset."""
        flat = values
        if values.flags.c_contiguous:
            flat = values.reshape(-1).view(np.uint8)
        elif values.ndim > 1:
            flat = np.ascontiguousarray(values).reshape(-1).view(np.uint8)
        offset = padded(self.nbytes, _ALIGNMENT)
        self.pieces.append((offset, flat))
        self.nbytes = offset + flat.nbytes
        return offset


class Staging:
    """Pinned and device memory for parcels, one at a time; both grow between calls."""

    def __init__(self, device: Device, limits: Limits) -> None:
        self.device = device
        self.limits = limits
        self._host = Grown(device.allocate_host, _FIRST_BYTES)
        self._memory = Grown(device.allocate, _FIRST_BYTES)
        self._idle = True  # nothing that was queued may still read the memory

    def reserve(self, parcel: Parcel) -> int:
        """Make room for a parcel, and return the address that it will have on the device."""
        if not self._idle:  # the call before this one failed between sending and waiting
            self._wait()
        self._host.at_least(parcel.nbytes)
        return self._memory.at_least(parcel.nbytes).address

    def send(self, parcel: Parcel) -> None:
        """Queue the copy of a parcel that room was reserved for."""
        host = self._host.at_least(parcel.nbytes)
        base = self._memory.at_least(parcel.nbytes).address
        self._idle = False
        sent = 0
        for offset, values in parcel.pieces:
            done = 0
            while done < len(values):
                begin = offset + done * values.itemsize
                room = max(1, (sent + CHUNK_BYTES - begin) // values.itemsize)
                part = values[done : done + room]
                end = begin + part.nbytes
                np.copyto(host.array[begin:end].view(values.dtype), part)
                done += len(part)
                if end - sent >= CHUNK_BYTES:
                    self.device.send(host, sent, end - sent, base + sent)
                    sent = end
        end = padded(parcel.nbytes, _ALIGNMENT)  # kernels read the last bytes as whole words
        if end > sent:
            self.device.send(host, sent, end - sent, base + sent)

    def run(self, program: Program) -> None:
        """Run a program on the parcel that was sent last, and wait for its end."""
        self.device.execute(program)
        self._wait()

    def _wait(self) -> None:
        self.device.wait(self.limits.deadline_sec)
        self._idle = True
