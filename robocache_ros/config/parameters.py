# Copyright 2026 the robocache_ros authors
# SPDX-License-Identifier: Apache-2.0
"""
One parameter: its default, unit, range and meaning, and the check of a value against them.

The dataclasses of config.py are written in terms of `parameter(...)`. Whatever else needs to
know a parameter (the ROS declaration, the check of the YAML file, the documentation) asks
`parameters_in` and finds nothing that is not there.
"""

from __future__ import annotations

import array
import dataclasses
import math
import numbers
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np

_KEY = 'parameter'
_SHOWN_CHARS = 200
FRAME_FORM = 'a frame name without blanks and without a leading /, or ""'


class ConfigError(ValueError):
    """A configuration that is refused: one sentence per problem, with value and allowed set."""

    def __init__(self, *problems: str) -> None:
        super().__init__('\n'.join(problems))
        self.problems = problems

    def __reduce__(self) -> tuple[type[ConfigError], tuple[str, ...]]:
        return type(self), self.problems


class Problems:
    """Collects what is wrong, so that one start of the node tells all of it."""

    def __init__(self) -> None:
        self.sentences: list[str] = []

    @contextmanager
    def collected(self) -> Iterator[None]:
        """Note a ConfigError of the block and go on after it."""
        try:
            yield
        except ConfigError as error:
            self.sentences += error.problems

    def check(self, right: bool, sentence: str) -> bool:
        """Note `sentence` unless `right`."""
        if not right:
            self.sentences.append(sentence)
        return right

    def refuse(self) -> None:
        """Raise what was collected, if anything."""
        if self.sentences:
            raise ConfigError(*dict.fromkeys(self.sentences))


@dataclass(frozen=True)
class Parameter:
    """One parameter, named as ROS names it."""

    name: str
    kind: str  # bool integer number text, integers numbers texts, numbers_or_one, pose
    default: Any  # None: there is none, a value must be given
    description: str
    unit: str = ''
    low: float | None = None  # both ends included; of every element of an array
    high: float | None = None
    choices: tuple[str, ...] = ()
    size: int | None = None  # of an array; None: one or more
    default_text: str = ''  # where the default depends on name or kind of the source
    form: str = ''  # the allowed set in words, where range and choices do not tell it
    read_only: bool = True
    optional: bool = False  # None, nothing given, is a value as well

    def parse(self, value: Any) -> Any:
        """Return `value` as the type the core uses (tuples for arrays), or raise ConfigError."""
        if value is None and self.optional:
            return None
        parsed = _PARSERS[self.kind](self, value)
        if parsed is None:
            raise ConfigError(f'{self.name} must be {self.allowed}, not {shown(value)}')
        return parsed

    @property
    def allowed(self) -> str:
        """The allowed set in words."""
        if self.form:
            return self.form
        what = _WORDS[self.kind].format(size='' if self.size is None else f'{self.size} ')
        if self.choices:
            among = ', '.join(self.choices)
            return f'one of {among}' if self.kind == 'text' else f'{what} out of {among}'
        if self.low is None or self.high is None:
            return what
        unit = f' {self.unit}' if self.unit else ''
        return f'{what} from {self.low:.12g} to {self.high:.12g}{unit}'

    def to_ros(self, value: Any) -> Any:
        """Return a valid value as ROS types it: lists for arrays, a float for every number."""
        parsed = self.parse(value)
        if self.kind == 'numbers_or_one' and isinstance(value, numbers.Real):
            return float(value)
        return list(parsed) if isinstance(parsed, tuple) else parsed

    def _integer(self, value: Any) -> int | None:
        if isinstance(value, bool | np.bool_) or not isinstance(value, numbers.Integral):
            return None
        return int(value) if self._inside(int(value)) else None

    def _number(self, value: Any) -> float | None:
        if isinstance(value, bool | np.bool_) or not isinstance(value, numbers.Real):
            return None
        # The range first: an integer may be too large for a float.
        return float(value) if self._inside(value) and math.isfinite(value) else None

    def _text(self, value: Any) -> str | None:
        return value if isinstance(value, str) and value in (self.choices or (value,)) else None

    def _inside(self, value: Any) -> bool:
        return (self.low is None or value >= self.low) and (
            self.high is None or value <= self.high
        )

    def _array(self, value: Any, element: Callable[[Any], Any]) -> tuple[Any, ...] | None:
        if not isinstance(value, list | tuple | array.array | np.ndarray):
            return None
        parsed = tuple(element(one) for one in value)
        right_size = len(parsed) == self.size if self.size else len(parsed) > 0
        return parsed if right_size and None not in parsed else None

    def _texts(self, value: Any) -> tuple[Any, ...] | None:
        # `-p sources:=lidar` on a command line is a string, and means a list of one.
        return self._array([value] if isinstance(value, str) else value, self._text)

    def _pose(self, value: Any) -> tuple[Any, ...] | None:
        numbers = self._array(value, self._number)
        return numbers if numbers is None or len(numbers) in (6, 7) else None

    def _numbers_or_one(self, value: Any) -> tuple[Any, ...] | None:
        one = self._number(value)
        if one is not None:
            return (one,) * (self.size or 1)
        return self._array(value, self._number)


_PARSERS: Mapping[str, Callable[[Parameter, Any], Any]] = {
    'bool': lambda p, v: bool(v) if isinstance(v, bool | np.bool_) else None,
    'integer': Parameter._integer,
    'number': Parameter._number,
    'text': Parameter._text,
    'integers': lambda p, v: p._array(v, p._integer),
    'numbers': lambda p, v: p._array(v, p._number),
    'texts': Parameter._texts,
    'numbers_or_one': Parameter._numbers_or_one,
    'pose': Parameter._pose,
}

_WORDS: Mapping[str, str] = {
    'bool': 'true or false',
    'integer': 'an integer',
    'number': 'a number',
    'text': 'a string',
    'integers': '{size}integers',
    'numbers': '{size}numbers',
    'texts': 'a list of at least one string',
    'numbers_or_one': 'one number or {size}of them',
    'pose': '6 numbers x, y, z, roll, pitch, yaw or 7 numbers x, y, z, qx, qy, qz, qw',
}


def parameter(default: Any, description: str, *, kind: str = '', **about: Any) -> Any:
    """Return a dataclass field that is a parameter; `about` as in Parameter."""
    about.update(kind=kind or _kind_of(default), default=default, description=description)
    if about['default'] is None:
        return dataclasses.field(default=None, metadata={_KEY: about})
    return dataclasses.field(default=default, metadata={_KEY: about})


def _kind_of(default: Any) -> str:
    if isinstance(default, tuple):
        return _kind_of(default[0]) + 's'
    kinds = {bool: 'bool', int: 'integer', float: 'number', str: 'text'}
    return kinds[type(default)]


def parameters_in(section: type, prefix: str = '') -> dict[str, Parameter]:
    """Return the parameters of a dataclass by field name, in order, named with `prefix`."""
    return dict(_parameters_in(section, prefix))


@lru_cache(maxsize=256)  # asked for again with every value that is set
def _parameters_in(section: type, prefix: str) -> tuple[tuple[str, Parameter], ...]:
    return tuple(
        (field.name, Parameter(prefix + field.name, **field.metadata[_KEY]))
        for field in dataclasses.fields(section)
        if _KEY in field.metadata
    )


def given_in(section: type, flat: Mapping[str, Any], prefix: str = '') -> dict[str, Any]:
    """Return by field name those parameters of a dataclass that `flat` holds by ROS name."""
    table = parameters_in(section, prefix)
    return {field: flat[about.name] for field, about in table.items() if about.name in flat}


def values_in(section: Any, prefix: str = '') -> dict[str, Any]:
    """Return what is given of a dataclass instance by ROS name, with lists for arrays."""
    table = parameters_in(type(section), prefix)
    values = {about.name: getattr(section, field) for field, about in table.items()}
    return {
        name: list(v) if isinstance(v, tuple) else v for name, v in values.items() if v is not None
    }


def check_given(section: type, given: Mapping[str, Any]) -> None:
    """Check the given parameters of a dataclass, by field name."""
    problems = Problems()
    for field, about in parameters_in(section).items():
        if field in given:
            with problems.collected():
                about.parse(given[field])
    problems.refuse()


def settle(section: Any, prefix: str = '') -> None:
    """Check every parameter of a frozen dataclass instance and set it to its parsed value."""
    problems = Problems()
    for field, about in parameters_in(type(section), prefix).items():
        with problems.collected():
            object.__setattr__(section, field, about.parse(getattr(section, field)))
    problems.refuse()


def check_distinct(problems: Problems, name: str, values: tuple[str, ...]) -> None:
    """Refuse a list that names something twice."""
    twice = sorted({value for value in values if values.count(value) > 1})
    problems.check(not twice, f'{name} must name everything once, not {shown(twice)} twice')


def shown(value: Any) -> str:
    """Return a value for an error message: as YAML would show it, and not too long."""
    if isinstance(value, array.array | np.ndarray | tuple):
        value = list(value)
    text = 'an empty list or nothing' if value is None else repr(value)
    return text if len(text) <= _SHOWN_CHARS else f'{text[:_SHOWN_CHARS]}...'


def listed(names: Sequence[str]) -> str:
    """Return names for an error message."""
    return '[' + ', '.join(names) + ']'
