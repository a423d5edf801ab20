# Copyright 2026 the robocache_ros authors
# SPDX-License-Identifier: Apache-2.0
"""
Which field of a cloud tells the time of its points, in which unit, counted from where.

No two drivers agree, and a wrong guess bends every cloud. So values have to look like one sweep
around the stamp of the header; where they do not, nothing is guessed. See docs/point_time.md.
"""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Callable, Iterator
from statistics import median

import numpy as np

from robocache_ros.codec.buffers import shown
from robocache_ros.codec.cloud import XYZ, CloudView
from robocache_ros.codec.point_reading import (
    FARTHEST_NS,
    UNITS_NS,
    Reading,
    Untimed,
    Values,
    in_ms,
    zero_of,
)
from robocache_ros.codec.point_time import PointTimes
from robocache_ros.reasons import Reason
from robocache_ros.samples import AnyArray

# Names that drivers give to the time of a point, in the order in which they are tried.
FIELD_NAMES = (
    'time',
    't',
    'timestamp',
    'offset_time',
    'time_stamp',
    'timestamps',
    'stamps',
    'point_time',
    'time_offset',
    'stamp',
    'relative_time',
)

# A sweep lasts from 2 ms to 1.5 s. That is a factor below 1000: values fit one unit, or none.
_SHORTEST_NS = 2_000_000
_LONGEST_NS = 1_500_000_000
_PERIODS = 2  # that a sweep may last: stamps jitter, and sweeps may overlap
_FIRST_PERIOD_NS = 250_000_000  # until a second cloud tells the period
_PERIODS_KEPT = 32
_MANY = 1000  # points; fewer may be what a filter has left of a sweep, as short as it likes
_STRAYS = 8  # sweeps in a row that lie elsewhere, and all of them there: a clock was set

# Is told a sentence, and the reason that it is about; None where all is well.
Tell = Callable[[Reason | None, str], None]

_log = logging.getLogger(__name__)


class PointClock:
    """
    The times of the points of one source.

    The first cloud that leaves no doubt decides how they are read, for good; later ones have to
    fit.
    """

    def __init__(
        self,
        source: str,
        field: str = 'auto',
        unit: str = 'auto',
        stamp_at: str = 'auto',
        tell: Tell | None = None,
    ) -> None:
        """
        Know nothing yet but what is configured.

        Args:
            source: its name, for what is told.
            field: name of the field, or `auto`.
            unit: `s`, `ms`, `us`, `ns`, or `auto`.
            stamp_at: the point that headers stamp: `start`, `middle`, `end`, or `auto`.
            tell: is told the decision, and the first cloud of each reason to have no times.
        """
        self._source = source
        self._field, self._unit, self._stamp_at = field, unit, stamp_at
        self._tell = tell or _tell_log
        self._told: set[Reason] = set()
        self._stamps: deque[int] = deque(maxlen=_PERIODS_KEPT + 1)
        self._begins: deque[int] = deque(maxlen=_PERIODS_KEPT)  # of sweeps, from their headers
        self._strays: deque[int] = deque(maxlen=_STRAYS)  # the same, of those in doubt since
        self._stray_ns: int | None = None  # of the cloud in hand
        self._reading: Reading | None = None
        self._description = ''

    def describe(self) -> str:
        """Return how times are read, as a clause; '' as long as that is not decided."""
        return self._description

    def read(self, cloud: CloudView, stamp_ns: int) -> PointTimes | None:
        """
        Return the times of the points of a cloud with this header stamp; None without points.

        The first and the last are those of all points, with and without a place, unless that
        leaves a doubt: what was not measured may have any time. Raises Untimed.
        """
        self._stamps.append(stamp_ns)
        self._stray_ns = None
        if cloud.n == 0:
            return None
        try:
            try:
                return self._read(cloud, stamp_ns, None)
            except Untimed as trouble:
                if trouble.reason is not Reason.POINT_TIME_DOUBT:
                    raise
            placed = _placed(cloud)
            return self._read(cloud, stamp_ns, placed) if placed.any() else None
        except Untimed as trouble:
            self._follow_strays()
            self._complain(trouble)
            raise

    def _read(self, cloud: CloudView, stamp_ns: int, placed: AnyArray | None) -> PointTimes:
        """Read the first field that has times; `placed`, bool [n]: which points count, or all."""
        names = list(self._names(cloud))
        if not names:
            raise Untimed(Reason.POINT_TIME_MISSING, self._lacking(cloud))
        troubles = []
        for name in names:
            try:
                return self._times(Values.of(cloud, name, placed), stamp_ns)
            except Untimed as trouble:
                troubles.append(trouble)
        raise next((one for one in troubles if one.reason is Reason.POINT_TIME_DOUBT), troubles[0])

    def _names(self, cloud: CloudView) -> Iterator[str]:
        """Yield the fields that may hold times, as the cloud spells them."""
        named = self._reading.field if self._reading else self._field
        spelled = {name.lower(): name for name in cloud.fields}
        spelled.update((name, name) for name in cloud.fields)
        for name in FIELD_NAMES if named == 'auto' else (named,):
            about = cloud.fields.get(spelled.get(name, ''))
            if about is not None and about.count == 1 and about.dtype.kind in 'iuf':
                yield spelled[name]

    def _lacking(self, cloud: CloudView) -> str:
        wanted = 'that looks like it' if self._field == 'auto' else f'{self._field!r}'
        names = ', '.join(shown(name) for name in list(cloud.fields)[:8])
        return f'no field {wanted} with one number per point among {names}'

    def _times(self, values: Values, stamp_ns: int) -> PointTimes:
        reading = self._reading or self._understand(values, stamp_ns)
        times = reading.times(values, stamp_ns)
        self._check(values, times, stamp_ns)
        self._begins.append(times.first_ns - stamp_ns)
        self._strays.clear()
        if self._reading is None:
            self._reading = reading
            self._description = reading.describe(values, times, stamp_ns)
            self._tell(None, self._decision())
        return times

    def _understand(self, values: Values, stamp_ns: int) -> Reading:
        """Find out how the values of a field are to be read."""
        if values.low == values.high:
            raise Untimed(
                Reason.POINT_TIME_MISSING, f'`{values.field}` is {values.low:.15g} in all points'
            )
        unit = self._unit if self._unit != 'auto' else self._unit_of(values)
        zero = self._stamp_at if self._stamp_at != 'auto' else zero_of(values, unit, stamp_ns)
        return Reading(values.field, unit, zero)

    def _unit_of(self, values: Values) -> str:
        """Return the unit in which the values last as long as a sweep; integers are no seconds."""
        span, longest_ns = values.high - values.low, self._longest_ns()
        for unit, scale in UNITS_NS.items():
            fits = _SHORTEST_NS <= span * scale <= longest_ns
            if fits and (unit != 's' or not values.integer):
                return unit
        raise values.doubt(
            f'which in no unit is a sweep of {in_ms(_SHORTEST_NS)} to {in_ms(longest_ns)}'
        )

    def _check(self, values: Values, times: PointTimes, stamp_ns: int) -> None:
        span_ns, longest_ns = times.last_ns - times.first_ns, self._longest_ns()
        farthest_ns = max(abs(times.first_ns - stamp_ns), abs(times.last_ns - stamp_ns))
        if span_ns > longest_ns:
            raise values.doubt(
                f'which is {in_ms(span_ns)}, and a sweep lasts {in_ms(longest_ns)} at most'
            )
        if span_ns < _SHORTEST_NS and values.points >= _MANY:
            raise values.doubt(
                f'which is {in_ms(span_ns)}, and a sweep lasts {in_ms(_SHORTEST_NS)} at least'
            )
        if farthest_ns > FARTHEST_NS:
            raise values.doubt(f'which is up to {farthest_ns * 1e-9:.1f} s from the header')
        begins_ns = times.first_ns - stamp_ns
        usual_ns = int(median(self._begins)) if self._begins else begins_ns
        if abs(begins_ns - usual_ns) > longest_ns:
            self._stray_ns = begins_ns
            raise values.doubt(
                f'which begins {in_ms(begins_ns)} after the header, and until now '
                f'{in_ms(usual_ns)}'
            )

    def _follow_strays(self) -> None:
        """Believe from the next cloud on that sweeps lie where the last ones in doubt do."""
        if self._stray_ns is None:
            self._strays.clear()
            return
        self._strays.append(self._stray_ns)
        apart_ns = max(self._strays) - min(self._strays)
        if len(self._strays) == _STRAYS and apart_ns <= self._longest_ns():
            self._begins = deque(self._strays, maxlen=_PERIODS_KEPT)

    def _longest_ns(self) -> int:
        """Return how long a sweep may last: a bit more than from one to the next."""
        stamps = list(self._stamps)
        steps = [b - a for a, b in zip(stamps[:-1], stamps[1:], strict=True) if b > a]
        period_ns = int(median(steps)) if steps else _FIRST_PERIOD_NS
        return min(_PERIODS * period_ns, _LONGEST_NS)

    def _decision(self) -> str:
        name = self._source
        return (
            f'{name}: the time of each point is {self._description}. If that is wrong, set '
            f'{name}.point_time, {name}.point_time_unit or {name}.stamp_at.'
        )

    def _complain(self, trouble: Untimed) -> None:
        if trouble.reason in self._told:
            return
        self._told.add(trouble.reason)
        fix = trouble.reason.fix.replace('`S.', f'`{self._source}.')
        self._tell(
            trouble.reason,
            f'{self._source}: a cloud without times of its points ({trouble.reason.key}: '
            f'{trouble.detail}). {fix} Said once, counted in /diagnostics.',
        )


def _placed(cloud: CloudView) -> AnyArray:
    """Tell which points have finite coordinates, bool [n]."""
    x, y, z = (np.isfinite(cloud.column(axis)) for axis in XYZ)
    placed: AnyArray = x & y & z
    return placed


def _tell_log(reason: Reason | None, sentence: str) -> None:
    _log.log(logging.INFO if reason is None else logging.WARNING, '%s', sentence)
