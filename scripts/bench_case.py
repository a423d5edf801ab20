# Copyright 2026 the robocache_ros authors
# SPDX-License-Identifier: Apache-2.0
"""What a case of the benchmark is, and how results are held against each other."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np


class Case(NamedTuple):
    """Implementations of one piece of work, ours first, and what a reader has to know."""

    name: str
    note: str
    impls: dict[str, Callable[[], Any]]


def check_equal(ours, theirs, tolerance):
    """Refuse to compare what is not comparable: the same numbers, up to the peer's rounding."""
    far = np.abs(np.asarray(ours, np.float64) - np.asarray(theirs, np.float64)) > tolerance
    if np.count_nonzero(far) > 0.001 * far.size:
        raise SystemExit(f'results differ by more than {tolerance} in {far.mean():.1%} of values')
