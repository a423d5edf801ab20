# Copyright 2026 the robocache_ros authors
# SPDX-License-Identifier: Apache-2.0
"""How the values of a field are read as times: in which unit, and counted from where."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from robocache_ros.codec.cloud import CloudView
from robocache_ros.codec.point_time import PointTimes
from robocache_ros.reasons import Reason
from robocache_ros.samples import AnyArray

UNITS_NS = {'s': 1_000_000_000, 'ms': 1_000_000, 'us': 1_000, 'ns': 1}
FARTHEST_NS = 1_500_000_000  # of a point from the stamp of its header
_NEAR = 0.1  # of a sweep
_LARGEST = 2.0**64  # in any unit


class Untimed(Exception):
    """The points of a cloud have no times that could be trusted: why, and in numbers."""

    def __init__(self, reason: Reason, detail: str) -> None:
        super().__init__(f'{reason.key}: {detail}')
        self.reason = reason
        self.detail = detail


class Values(NamedTuple):
    """The values of a field in one cloud, in its own unit."""

    field: str
    dtype: np.dtype[np.generic]
    points: int
    low: float
    high: float

    @classmethod
    def of(cls, cloud: CloudView, field: str, placed: AnyArray | None) -> Values:
        """Read a field of all points, or of those that are `placed`, bool [n]."""
        column = cloud.column(field)
        if placed is not None:
            column = column[placed]
        with np.errstate(invalid='ignore'):
            low, high = float(column.min()), float(column.max())
        values = cls(field, column.dtype, len(column), low, high)
        if not (abs(low) <= _LARGEST and abs(high) <= _LARGEST):  # a NaN neither
            raise values.doubt('which is no time')
        return values

    @property
    def integer(self) -> bool:
        """Whether they are no floats."""
        return self.dtype.kind != 'f'

    def doubt(self, why: str) -> Untimed:
        """Return what to raise; `why` they are no times: a clause that begins with which."""
        said = f'`{self.field}` goes from {self.low:.15g} to {self.high:.15g}, {why}'
        return Untimed(Reason.POINT_TIME_DOUBT, said)


class Reading(NamedTuple):
    """How the values of a field are read."""

    field: str
    unit: str
    zero: str  # header, epoch; or the point that headers stamp: start, middle, end

    def times(self, values: Values, stamp_ns: int) -> PointTimes:
        """Return the times that the values stand for, in a cloud with this header stamp."""
        low, high, scale = values.low, values.high, UNITS_NS[self.unit]
        zero = {
            'header': 0.0,
            'epoch': low,
            'start': low,
            'middle': low + (high - low) / 2,
            'end': high,
        }[self.zero]
        zero_ns = _exact_ns(zero, scale) if self.zero == 'epoch' else stamp_ns
        first_ns, last_ns = (zero_ns + round((end - zero) * scale) for end in (low, high))
        return PointTimes(self.field, float(scale), zero, zero_ns, first_ns, last_ns)

    def describe(self, values: Values, times: PointTimes, stamp_ns: int) -> str:
        """Say it as a clause, with the times that it gives in one cloud."""
        since = {'header': 'from the header', 'epoch': 'from the zero of the header'}
        counted = since.get(self.zero, f'so that the header stamps the {self.zero}')
        return (
            f'`{self.field}` ({values.dtype.name}, {self.unit}, counted {counted}): a sweep of '
            f'{in_ms(times.last_ns - times.first_ns)}, with the stamp of the header '
            f'{_place(times, stamp_ns)}'
        )


def zero_of(values: Values, unit: str, stamp_ns: int) -> str:
    """Tell what the values count from, so that the header lies in the sweep or close to it."""
    scale = UNITS_NS[unit]
    low_ns, high_ns = values.low * scale, values.high * scale
    off_ns = {
        zero: max(low_ns - zero_ns, zero_ns - high_ns, 0.0)
        for zero, zero_ns in (('header', 0), ('epoch', stamp_ns))
    }
    if max(off_ns.values()) <= high_ns - low_ns:
        raise values.doubt('which may count from the header, or like it from a zero just passed')
    if min(off_ns.values()) > FARTHEST_NS:
        raise values.doubt(
            f'which in {unit} is on another clock, {off_ns["epoch"] * 1e-9:.1f} s from the header',
        )
    return min(off_ns, key=lambda zero: off_ns[zero])


def _exact_ns(value: float, scale: int) -> int:
    """Return value x scale without losing the nanoseconds of a time since the epoch."""
    whole = math.floor(value)
    return whole * scale + round((value - whole) * scale)


def _place(times: PointTimes, stamp_ns: int) -> str:
    """Say where in a sweep the header lies."""
    after_ns, span_ns = stamp_ns - times.first_ns, times.last_ns - times.first_ns
    for place, share in (('start', 0.0), ('middle', 0.5), ('end', 1.0)):
        if abs(after_ns - share * span_ns) <= _NEAR * span_ns:
            return f'at its {place}'
    return f'{in_ms(abs(after_ns))} {"after" if after_ns > 0 else "before"} its start'


def in_ms(ns: int) -> str:
    """Return '99.84 ms'."""
    return f'{ns * 1e-6:.6g} ms'
