# Copyright 2026 the robocache_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Whether the device at hand gives the bits of NumPy, tried before it is used."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import fields, is_dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from robocache_ros.backends.crossover import Cases
from robocache_ros.backends.cuda.device import DeviceLost, OverLimit

if TYPE_CHECKING:
    from robocache_ros.backends import Operations


def compare(
    numpy: Operations, cuda: Operations, cases: Cases, stopped: Callable[[], bool]
) -> None:
    """
    Do the smallest case of each operation on both, so that a frame is not the first one.

    Raises what the device raises, and DeviceLost where the bits differ; ends early once
    `stopped()`.
    """
    for op, made in cases.items():
        if stopped():
            return
        case = made[0]()
        try:
            found = case.work(cuda)
        except OverLimit:  # as for any frame: NumPy does it
            continue
        if not same_bits(found, case.work(numpy)):
            raise DeviceLost(
                f'{op} gives other bits than on NumPy, so the GPU is broken or its driver, or '
                'this is a bug of the package; please report it'
            )


def same_bits(one: Any, other: Any) -> bool:
    """Whether two results of an operation have the same types, shapes and bits throughout."""
    if isinstance(one, np.ndarray):
        same = one.dtype == other.dtype and one.shape == other.shape
        return bool(same and one.tobytes() == other.tobytes())
    if isinstance(one, Mapping):
        return list(one) == list(other) and all(same_bits(one[k], other[k]) for k in one)
    if isinstance(one, (list, tuple)):
        return len(one) == len(other) and all(map(same_bits, one, other))
    if is_dataclass(one):
        names = [field.name for field in fields(one)]  # and not what it has cached
        return all(same_bits(getattr(one, name), getattr(other, name)) for name in names)
    return bool(one == other)
