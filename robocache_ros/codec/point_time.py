# Copyright 2026 the robocache_ros authors
# SPDX-License-Identifier: Apache-2.0
"""When each point of a cloud was measured: which field says so, and how its values are read."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from robocache_ros.samples import AnyArray, IntArray


class PointTimes(NamedTuple):
    """How the time of a point is read from a field of its cloud."""

    field: str
    scale: float  # ns per unit of the field
    zero: float  # the value of the field that means ...
    zero_ns: int  # ... this time, on the clock of the sample times
    first_ns: int  # of the earliest point, as `PointClock.read` counts them
    last_ns: int

    def at(self, values: AnyArray) -> IntArray:
        """Return the times, int64 [n] ns, that values [n] of the field stand for."""
        since = (values.astype(np.float64) - self.zero) * self.scale
        times: IntArray = self.zero_ns + np.rint(since).astype(np.int64)
        return times

    def shifted(self, by_ns: int) -> PointTimes:
        """Return the same, all of it so much later."""
        zero_ns, first_ns, last_ns = (
            at_ns + by_ns for at_ns in (self.zero_ns, self.first_ns, self.last_ns)
        )
        return self._replace(zero_ns=zero_ns, first_ns=first_ns, last_ns=last_ns)
