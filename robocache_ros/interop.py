# Copyright 2026 the robocache_ros authors
# SPDX-License-Identifier: Apache-2.0
"""
Arrays of other libraries, without a copy: NumPy, torch, CuPy and what speaks DLPack.

Nothing is imported here: where an object of a library is at hand, the library is loaded.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from typing import Any, Protocol

import numpy as np

from robocache_ros.samples import AnyArray

_HOST_MEMORY = (1, 3)  # DLPack devices that the CPU reads: its own memory, and pinned memory


@dataclass(frozen=True, eq=False)
class DeviceArray:
    """Where an array lies in the memory of a GPU, for kernels to read it there."""

    address: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]  # bytes
    dtype: np.dtype[Any]  # bfloat16 as uint16
    device_id: int
    # The array as its library has it, which keeps the memory alive; showing it would copy it.
    owner: Any = field(repr=False)
    download: Callable[[], AnyArray] = field(repr=False)  # a copy of it on the host

    @property
    def ndim(self) -> int:
        """Number of axes."""
        return len(self.shape)

    def __len__(self) -> int:
        return self.shape[0]

    def as_batch(self) -> DeviceArray:
        """Return the same with one more axis, of length 1, before the others."""
        return replace(
            self,
            shape=(1, *self.shape),
            strides=(0, *self.strides),
            download=lambda: self.download()[None],
        )


class Kind(Protocol):
    """A library of arrays, on the host or on one GPU."""

    device_id: int | None  # number of the GPU, None on the host

    def view(self, array: Any) -> AnyArray | DeviceArray:
        """Return an array of this kind as one of ours that has the same memory."""
        ...

    def give(self, array: Any) -> Any:
        """
        Return an array of a backend, NumPy's or its device's, as one of this kind.

        It has the same memory, or is a copy where that is on the other side of the bus.
        """
        ...


def kind_of(array: Any) -> Kind:
    """Kind of an array; NumPy for all that only NumPy makes an array of, such as lists."""
    torch, cupy = sys.modules.get('torch'), sys.modules.get('cupy')
    if torch is not None and isinstance(array, torch.Tensor):
        return TorchKind(torch, array.device)
    if cupy is not None and isinstance(array, cupy.ndarray):
        return CupyKind(cupy, int(array.device.id))
    if hasattr(array, '__dlpack__') and not isinstance(array, np.ndarray):
        return DlpackKind(array)
    return NUMPY


def view(array: Any) -> AnyArray | DeviceArray:
    """Return the array as one of ours that has the same memory; bfloat16 as uint16."""
    return array if isinstance(array, DeviceArray) else kind_of(array).view(array)


def on_host(array: Any) -> AnyArray:
    """Return the array as one of NumPy; of one on a GPU a copy."""
    seen = view(array)
    return seen.download() if isinstance(seen, DeviceArray) else seen


def check_place(arrays: Iterable[AnyArray | DeviceArray], what: str) -> None:
    """Raise ValueError where arrays are in the memory of more than one device."""
    places = {getattr(array, 'device_id', None) for array in arrays}
    if len(places) > 1:
        named = sorted('the CPU' if place is None else f'GPU {place}' for place in places)
        raise ValueError(f'{what} on {" and ".join(named)}: all have to be on one of them')


def is_bfloat16(array: Any) -> bool:
    """Whether an array of any library is of bfloat16, which NumPy has no name for."""
    return str(getattr(array, 'dtype', '')).endswith('bfloat16')


class NumpyKind:
    """NumPy's own arrays."""

    device_id: int | None = None

    def view(self, array: Any) -> AnyArray:
        """Return the array; of anything else that NumPy understands, such as lists, a copy."""
        values: AnyArray = np.asarray(array)
        return values.view(np.uint16) if is_bfloat16(values) else values

    def give(self, array: Any) -> Any:
        """Return the array as it is."""
        return array


NUMPY = NumpyKind()


class TorchKind:
    """Tensors; uint32 comes back as int32, which torch can compute with, uint16 as bfloat16."""

    def __init__(self, torch: Any, device: Any) -> None:
        if device.type not in ('cpu', 'cuda'):
            raise ValueError(f'a tensor on the device {device}: bring it to the CPU or to CUDA')
        self.device_id: int | None = None if device.type == 'cpu' else int(device.index)
        self._torch = torch
        self._device = device

    def view(self, array: Any) -> AnyArray | DeviceArray:
        """Return a tensor that needs no gradient as a view."""
        if array.requires_grad:
            raise ValueError(
                'a tensor that requires a gradient: none can flow through here, '
                'pass tensor.detach()'
            )
        bits = array.view(self._torch.int16) if is_bfloat16(array) else array
        dtype = np.dtype(np.uint16) if bits is not array else _numpy_dtype(array)

        def on_cpu() -> AnyArray:
            values: AnyArray = bits.cpu().numpy()  # a copy of what is on a GPU only
            return values.view(dtype)

        if self.device_id is None:
            return on_cpu()
        strides = tuple(step * dtype.itemsize for step in bits.stride())
        shape = tuple(bits.shape)
        return DeviceArray(bits.data_ptr(), shape, strides, dtype, self.device_id, bits, on_cpu)

    def give(self, array: Any) -> Any:
        """Return a tensor of the array on the device of the kind."""
        torch, name = self._torch, array.dtype.name
        # Under names that every version of torch and of DLPack knows, and back.
        plain = {'uint32': np.int32, 'uint16': np.int16, 'bool': np.uint8}.get(name)
        array = array if plain is None else array.view(plain)
        known = isinstance(array, np.ndarray)
        tensor = torch.from_numpy(array) if known else torch.from_dlpack(array)
        final = {'uint16': torch.bfloat16, 'bool': torch.bool}.get(name)
        return (tensor if final is None else tensor.view(final)).to(self._device)


class CupyKind:
    """Arrays of CuPy; bfloat16 comes back as uint16, as from NumPy."""

    def __init__(self, cupy: Any, device_id: int) -> None:
        self.device_id: int | None = device_id
        self._cupy = cupy

    def view(self, array: Any) -> DeviceArray:
        """Return where the array lies."""
        bits = array.view(np.uint16) if is_bfloat16(array) else array
        device_id = int(bits.device.id)
        place = int(bits.data.ptr), tuple(bits.shape), tuple(bits.strides)
        return DeviceArray(*place, np.dtype(bits.dtype), device_id, bits, bits.get)

    def give(self, array: Any) -> Any:
        """Return an array of the device as it is, one of the host in memory of the device."""
        with self._cupy.cuda.Device(self.device_id):
            return self._cupy.asarray(array)


class DlpackKind:
    """Arrays of any other library that NumPy can read; back by its array API namespace."""

    device_id: int | None = None

    def __init__(self, array: Any) -> None:
        device = int(array.__dlpack_device__()[0])
        if device not in _HOST_MEMORY:
            raise ValueError(
                f'{type(array).__module__} array on a device (DLPack type {device}): bring it to '
                'the CPU, or to torch or CuPy by from_dlpack'
            )
        named = getattr(array, '__array_namespace__', None)
        self._library = None if named is None else named()

    def view(self, array: Any) -> AnyArray:
        """Return a NumPy view of the array."""
        if is_bfloat16(array) or not hasattr(np, 'from_dlpack'):  # which is in NumPy >= 1.22
            return NUMPY.view(array)
        values: AnyArray = np.from_dlpack(array)
        return values

    def give(self, array: Any) -> Any:
        """Return an array of the library; of NumPy where it does not say how to make one."""
        return array if self._library is None else self._library.from_dlpack(array)


def _numpy_dtype(tensor: Any) -> np.dtype[Any]:
    name = str(tensor.dtype).rpartition('.')[2]
    try:
        return np.dtype(name)
    except TypeError:
        raise ValueError(f'a tensor of {tensor.dtype}, which NumPy does not have') from None
