# Copyright 2026 the robocache_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The samples of one source, sorted by time, in memory that is allocated once."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from robocache_ros.reasons import Reason, Scope
from robocache_ros.samples import AnyArray, IntArray

UNUSED = 0
USED = 1
# A sample that leaves without having been used may carry the reason why it was not.
_REASONS = tuple(reason for reason in Reason if reason.scope is Scope.SAMPLE)
_CODE = {reason: code for code, reason in enumerate(_REASONS, start=2)}


class RingBuffer:
    """
    Up to `capacity` samples, oldest first: those of the last `history_ns`, and one before.

    The live samples are always one contiguous slice [begin, end) of arrays twice as long as the
    capacity: appending moves `end`, leaving moves `begin`, and once every `capacity` appends the
    slice is copied back to the front. So every window is a view, and no code knows of wrapping.

    Not thread-safe; the pipeline holds its lock around every call.
    """

    def __init__(
        self, capacity: int, history_ns: int, columns: Sequence[tuple[object, tuple[int, ...]]]
    ) -> None:
        """Allocate; `columns` are the (dtype, row shape) of what is kept beside the time."""
        self._capacity = capacity
        self._history_ns = history_ns
        self._begin = 0
        self._end = 0
        self._times = np.zeros(2 * capacity, np.int64)
        self._fates = np.zeros(2 * capacity, np.uint8)
        self._columns: list[AnyArray] = [
            np.zeros((2 * capacity, *shape), dtype=dtype)  # type: ignore[call-overload]
            for dtype, shape in columns
        ]
        self._arrays: list[AnyArray] = [self._times, self._fates, *self._columns]
        self.used = 0
        self.expired = 0
        self.dropped: Counter[Reason] = Counter()

    def __len__(self) -> int:
        return self._end - self._begin

    @property
    def times(self) -> IntArray:
        """Sample times in ns, int64 [n], strictly increasing; a view."""
        return self._times[self._begin : self._end]

    @property
    def fates(self) -> npt.NDArray[np.uint8]:
        """UNUSED, USED or the code of a reason, uint8 [n]; a view."""
        return self._fates[self._begin : self._end]

    def column(self, number: int) -> AnyArray:
        """Column `number` as given at construction, [n, ...]; a view."""
        column: AnyArray = self._columns[number][self._begin : self._end]
        return column

    def insert(self, t_ns: int, *row: object) -> Reason | None:
        """Insert a sample where its time belongs; the reason if it can not be taken."""
        if len(self) and t_ns < int(self._times[self._end - 1]) - self._history_ns:
            return Reason.LATE
        at = self._end
        if len(self) and t_ns <= int(self._times[self._end - 1]):
            at = self._begin + int(self.times.searchsorted(t_ns))
            if self._times[at] == t_ns:
                return Reason.DUPLICATE
        if len(self) == self._capacity:
            if at == self._begin:
                return Reason.LATE  # older than everything a full ring keeps
            self._leave(1)
        if self._end == 2 * self._capacity:
            at -= self._begin
            self._move_to_front()
        self._open_slot(at)
        self._times[at] = t_ns
        self._fates[at] = UNUSED
        for column, value in zip(self._columns, row, strict=True):
            column[at] = value
        self._expire()
        return None

    def mark_used(self, times_ns: IntArray) -> None:
        """Note that a frame used the samples at these times, as far as they are still here."""
        found = self._find(times_ns)
        self.fates[found] = USED

    def mark_lost(self, t_ns: int, reason: Reason) -> None:
        """Note why the sample at `t_ns` was not used, if it is here and nothing used it."""
        for at in self._find(np.array([t_ns], np.int64)):
            if self.fates[at] == UNUSED:
                self.fates[at] = _CODE[reason]

    def flush(self, reason: Reason) -> None:
        """Let everything go; what was not used is dropped for `reason`."""
        unused = self.fates == UNUSED
        self.fates[unused] = _CODE[reason]
        self._leave(len(self))

    def _find(self, times_ns: IntArray) -> IntArray:
        at = self.times.searchsorted(times_ns)
        inside = at < len(self)
        at, wanted = at[inside], times_ns[inside]
        found: IntArray = at[self.times[at] == wanted]
        return found

    def _expire(self) -> None:
        # One sample older than the history stays: it is the value held at the history's begin.
        begin_ns = int(self._times[self._end - 1]) - self._history_ns
        older = int(self.times.searchsorted(begin_ns, side='right')) - 1
        if older > 0:
            self._leave(older)

    def _leave(self, n: int) -> None:
        """Count the fates of the oldest `n` samples and let them go."""
        fates = self.fates[:n]
        for code, times in enumerate(np.bincount(fates, minlength=2).tolist()):
            if not times:
                continue
            if code == UNUSED:
                self.expired += times
            elif code == USED:
                self.used += times
            else:
                self.dropped[_REASONS[code - 2]] += times
        for column in self._columns:
            if column.dtype == object:
                column[self._begin : self._begin + n] = None  # give the messages back
        self._begin += n

    def _move_to_front(self) -> None:
        n = len(self)
        for array in self._arrays:
            array[:n] = array[self._begin : self._end].copy()
            if array.dtype == object:
                array[n:] = None
        self._begin, self._end = 0, n

    def _open_slot(self, at: int) -> None:
        """Make room at `at` by moving the newer samples, usually none, one place up."""
        if at < self._end:
            for array in self._arrays:
                array[at + 1 : self._end + 1] = array[at : self._end].copy()
        self._end += 1
