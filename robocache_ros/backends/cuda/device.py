# Copyright 2026 the robocache_ros authors
# SPDX-License-Identifier: Apache-2.0
"""
What the CUDA backend asks of a device, and all the ways in which a device can fail.

Everything above this file is plain Python: it runs the same on a GPU (`cupy_device`) and on the
tests' device, which runs the same kernels on the CPU.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol

import numpy as np
import numpy.typing as npt

ByteArray = npt.NDArray[np.uint8]


class DeviceError(RuntimeError):
    """A device could not do what it was asked; the text is a sentence for the operator."""


class OutOfResources(DeviceError):
    """Out of memory or of launch resources: the device is sound, a later try may succeed."""


class DeviceLost(DeviceError):
    """A sticky error: nothing of this context works any more, until the process restarts."""


class DeviceHung(DeviceLost):
    """Work did not end by its deadline: no call to the device may be made again, not even free."""


class Memory(Protocol):
    """A piece of device memory, freed when the object is; at least 256-byte aligned."""

    address: int
    nbytes: int


class HostMemory(Memory, Protocol):
    """Pinned host memory that the device can read and write: `address` is the device's view."""

    array: ByteArray  # [nbytes], the host's view


class Launch(NamedTuple):
    """One kernel; its only argument is the address of the job of its program."""

    kernel: str  # 'file.name': kernel `name` of kernels/file.cu
    blocks: int
    threads: int
    shared_bytes: int = 0  # dynamic shared memory


class Clear(NamedTuple):
    """Device memory set to zero."""

    address: int
    nbytes: int


@dataclass(frozen=True)
class Program:
    """
    Steps that run one after the other; the unit that a device may record once and replay.

    All that changes from call to call (sizes, layouts, addresses of inputs) is read by the kernels
    from the job, a struct in device memory at `job`. So two equal programs are the same work.
    """

    job: int  # device address of the struct that every kernel gets
    steps: tuple[Launch | Clear, ...]


class Device(Protocol):
    """
    One GPU with a stream of its own. Not safe for threads: one thread at a time.

    `send` and `execute` only queue; `wait` is the one synchronisation. Any of them may raise
    OutOfResources or DeviceLost; `wait` also DeviceHung.
    """

    multiprocessors: int
    shared_bytes: int  # most dynamic shared memory that a block may have

    def load(self, files: Sequence[str]) -> None:
        """Compile or read from the cache the kernels of `kernels/<file>.cu`, and load them."""
        ...

    def allocate(self, nbytes: int) -> Memory:
        """Return uninitialised device memory."""
        ...

    def allocate_host(self, nbytes: int) -> HostMemory:
        """Return pinned host memory that the device sees as well."""
        ...

    def follow(self, array: Any) -> None:
        """
        Let what is queued from now on run after what the library of an array has queued.

        The array is one of another library on this device; it speaks DLPack.
        """
        ...

    def send(self, source: HostMemory, begin: int, nbytes: int, address: int) -> None:
        """Queue a copy of bytes `begin : begin + nbytes` of `source` to a device address."""
        ...

    def execute(self, program: Program) -> None:
        """Queue the steps of a program; a program seen before may be replayed as a graph."""
        ...

    def wait(self, deadline_sec: float) -> None:
        """
        Wait until all that was queued is done, by polling; DeviceHung after `deadline_sec`.

        These begin when what is followed is done.
        """
        ...

    def view(self, memory: Memory, dtype: npt.DTypeLike, shape: Sequence[int], begin: int) -> Any:
        """
        Return an array of the device's library over memory from byte `begin` on.

        It speaks DLPack and keeps `memory` alive.
        """
        ...

    def close(self) -> None:
        """Free what can be freed; does nothing after DeviceLost."""
        ...


@dataclass(frozen=True)
class Limits:
    """What device memory is sized for; larger inputs are for the NumPy backend."""

    max_points: int = 1_000_000
    max_voxels: int = 200_000
    max_message_bytes: int = 64 * 2**20
    deadline_sec: float = 1.0  # longer than this is a hang


class OverLimit(Exception):  # noqa: N818 - not an error: the NumPy backend does it
    """An input is larger than what the device's memory is sized for; the text says which."""


def check(number: int, limit: int, what: str) -> None:
    """Raise OverLimit where a call has more of something than device memory is sized for."""
    if number > limit:
        raise OverLimit(f'the call has {number} {what}, the device takes {limit}')
