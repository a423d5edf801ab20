# Copyright 2026 the robocache_ros authors
# SPDX-License-Identifier: Apache-2.0
"""From which size on an operation is faster on CUDA, all copies included: measured, here."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from robocache_ros.backends.cuda.device import OverLimit

if TYPE_CHECKING:
    from robocache_ros.backends import Operations

# The fastest of so many counts: other threads compute meanwhile, and can only slow a run down.
_REPEATS = 3
# Sizes in a row at which CUDA has to be faster; then larger ones are not measured any more.
_ENOUGH = 2


# Operation -> smallest size that is faster on CUDA; None: none is.
Crossover = Mapping[str, 'int | None']


def described(crossover: Crossover) -> str:
    """Return the sizes in words."""
    return ', '.join(
        f'{op} never' if least is None else f'{op} from {least}' for op, least in crossover.items()
    )


class Case(NamedTuple):
    """One call of an operation with synthetic input."""

    size: int  # as `TwinBackend` counts it for this operation
    work: Callable[[Operations], Any]


# The cases of an operation, each made when it is its turn, smallest first.
Cases = Mapping[str, Sequence[Callable[[], Case]]]


def measure(
    numpy: Operations, cuda: Operations, cases: Cases, stopped: Callable[[], bool]
) -> Crossover:
    """
    Return for each operation the smallest size from which CUDA stays faster, None if it never is.

    Raises what the device raises; ends early once `stopped()`.
    """
    return {op: _crossover(numpy, cuda, made, stopped) for op, made in cases.items()}


def _crossover(
    numpy: Operations,
    cuda: Operations,
    made: Sequence[Callable[[], Case]],
    stopped: Callable[[], bool],
) -> int | None:
    faster: list[int] = []  # sizes in a row, the last one measured among them
    for make in made:
        if stopped() or len(faster) == _ENOUGH:
            break
        case = make()
        try:
            on_cuda_sec = _fastest_sec(case, cuda)
        except OverLimit:
            break
        if on_cuda_sec < _fastest_sec(case, numpy):
            faster.append(case.size)
        else:
            faster.clear()
    return faster[0] if faster else None


def _fastest_sec(case: Case, backend: Operations) -> float:
    case.work(backend)  # memory grows, graphs are recorded
    taken_sec = []
    for _ in range(_REPEATS):
        began_sec = time.perf_counter()
        case.work(backend)
        taken_sec.append(time.perf_counter() - began_sec)
    return min(taken_sec)
