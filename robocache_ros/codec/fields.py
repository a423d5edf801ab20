# Copyright 2026 the robocache_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Any message as one vector, by a table: which of its numbers are features, and of what kind."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from operator import attrgetter
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from robocache_ros.codec.imu import LIMIT, NO_ORIENTATION, is_rotation
from robocache_ros.reasons import Reason, Rejected
from robocache_ros.samples import Vector


class Row(NamedTuple):
    """One group of features: where it is in a message, and how it is resampled."""

    path: str  # attributes from the message on, such as 'wrench.force'
    name: str  # of the group, after that of the source
    # Names of numbers below the path; (): the number at the path; a text: the parameter that
    # tells how many elements of the array there are taken.
    parts: tuple[str, ...] | str
    rule: str  # linear, slerp, hold or nearest
    unit: str
    optional: bool = False  # NaN stands for 'not measured': only this group is invalid then

    def columns(self, widths: Mapping[str, int]) -> tuple[str, ...]:
        """Return what tells the columns apart; () for one number, which needs nothing."""
        if isinstance(self.parts, str):
            return tuple(map(str, range(widths[self.parts])))
        return self.parts

    def width(self, widths: Mapping[str, int]) -> int:
        """Return the number of columns."""
        return 1 if self.parts == () else len(self.columns(widths))

    @property
    def paths(self) -> tuple[str, ...]:
        """Paths of all numbers, or that of the array."""
        if isinstance(self.parts, str) or not self.parts:
            return (self.path,)
        return tuple(f'{self.path}.{part}' for part in self.parts)


def check_vector(vector: Any, rows: Sequence[Row], widths: Mapping[str, int]) -> None:
    """Raise Rejected unless this is a vector of finite float32 values that these rows describe."""
    wanted = f'float32 [{sum(row.width(widths) for row in rows)}] and bool [{len(rows)}]'
    if not isinstance(vector, Vector):
        raise Rejected(
            Reason.VECTOR_FORM, f'decode returned a {type(vector).__name__} instead of a Vector'
        )
    found = f'{_form(vector.values)} and {_form(vector.valid)}'
    if found != wanted:
        raise Rejected(
            Reason.VECTOR_FORM,
            f'decode returned values and valid of {found}, and its rows are {wanted}',
        )
    if not _are_finite(vector.values):
        raise Rejected(Reason.NONFINITE, f'decode returned {vector.values.tolist()}')


def _form(array: Any) -> str:
    if not isinstance(array, np.ndarray):
        return type(array).__name__
    return f'{array.dtype} {list(array.shape)}'


class _Group(NamedTuple):
    row: Row
    columns: slice  # of the vector
    read: Callable[[Any], Any]  # message -> a number, or as many as there are columns


def fields_decoder(rows: Sequence[Row], widths: Mapping[str, int]) -> Callable[[Any], Vector]:
    """
    Decoder of messages with these rows, one group of the vector for each.

    `widths`: elements taken of arrays, by parameter; an array may be longer. A quaternion (rule
    slerp) that is no rotation is an invalid group with neutral values, and noted; so is an
    optional group with a NaN, without a note. The decoder raises Rejected where any other value
    is not finite, or an array is too short.
    """
    return _FieldsDecoder(rows, widths)


class _FieldsDecoder:
    def __init__(self, rows: Sequence[Row], widths: Mapping[str, int]) -> None:
        self._groups: list[_Group] = []
        self._width = 0
        for row in rows:
            end = self._width + row.width(widths)
            self._groups.append(_Group(row, slice(self._width, end), _reader(row, widths)))
            self._width = end
        self._turns = [(n, g.columns) for n, g in enumerate(self._groups) if g.row.rule == 'slerp']

    def __call__(self, msg: Any) -> Vector:
        values = np.empty(self._width)
        for group in self._groups:
            values[group.columns] = group.read(msg)
        valid = np.ones(len(self._groups), np.bool_)
        bad = [(n, at) for n, at in self._turns if not is_rotation(*values[at].tolist())]
        for number, columns in bad:
            valid[number], values[columns] = False, NO_ORIENTATION
        if not _are_finite(values):  # all groups at once, as they hardly ever are not
            for number, columns in self._unmeasured(values):
                valid[number], values[columns] = False, 0.0
        notes = {Reason.BAD_QUATERNION: len(bad)} if bad else {}
        return Vector(values.astype(np.float32) + np.float32(0), valid, notes)  # no -0

    def _unmeasured(self, values: npt.NDArray[np.float64]) -> Iterator[tuple[int, slice]]:
        """Find the groups that are not measured; a value that is not finite else is rejected."""
        for number, (row, columns, _) in enumerate(self._groups):
            if not _are_finite(values[columns]):
                if not row.optional or not np.isnan(values[columns]).any():
                    raise Rejected(Reason.NONFINITE, _worst(row, values[columns]))
                yield number, columns


def _reader(row: Row, widths: Mapping[str, int]) -> Callable[[Any], Any]:
    read = attrgetter(*row.paths)
    if not isinstance(row.parts, str):
        return read
    width = widths[row.parts]

    def first(msg: Any) -> Any:
        array = read(msg)
        if len(array) < width:
            raise Rejected(
                Reason.ARRAY_SHORT, f'{row.path} has {len(array)} values, {row.parts} is {width}'
            )
        return array[:width]

    return first


def _are_finite(values: npt.NDArray[np.floating[Any]]) -> bool:
    return float(np.abs(values).max()) < LIMIT  # false for NaN


def _worst(row: Row, values: npt.NDArray[np.float64]) -> str:
    """Name the first value that is not finite."""
    at = next(k for k in range(len(values)) if not _are_finite(values[k : k + 1]))
    path = f'{row.path}[{at}]' if isinstance(row.parts, str) else row.paths[at]
    return f'{path} is {values[at]}'
