# Copyright 2026 the robocache_ros authors
# SPDX-License-Identifier: Apache-2.0
"""What the entry of a type may hold: rows, and the widths of their arrays."""

from __future__ import annotations

import keyword
import re
from typing import Any, NamedTuple

from robocache_ros.codec.fields import Row
from robocache_ros.config.parameters import Problems, check_distinct, shown
from robocache_ros.config.source import SourceConfig
from robocache_ros.resampling import RULES

MAX_WIDTH = 4096  # values of one array; thousands of samples of them are kept
NAME = re.compile('[a-z][a-z0-9_]*')
_PART = re.compile('[A-Za-z][A-Za-z0-9_]*')
_PATH = re.compile(rf'{_PART.pattern}(\.{_PART.pattern})*')
# What a source has anyway, or has by the rows of its type.
_TAKEN = {
    *dir(SourceConfig),
    *SourceConfig.__annotations__,
    'about',
    'extrinsic',
    'rows',
    'widths',
}


class Width(NamedTuple):
    """A parameter of a source: how many elements of an array in the message are features."""

    name: str
    default: int | None  # None: there is none, it has to be given
    description: str


def check_form(problems: Problems, what: str, text: Any, form: re.Pattern[str]) -> bool:
    """Refuse a text that looks otherwise."""
    return problems.check(
        isinstance(text, str) and form.fullmatch(text) is not None,
        f'{what} must look like {form.pattern}, not {shown(text)}',
    )


def check_widths(problems: Problems, widths: Any) -> None:
    """Refuse what is no tuple of widths that can be parameters."""
    if not _are(Width, problems, 'widths', widths):
        return
    for width in widths:
        if not check_form(problems, 'the name of a width', width.name, NAME):
            continue
        problems.check(
            width.name not in _TAKEN and not keyword.iskeyword(width.name),
            f'a width can not be called {width.name}: every source has that already, or it is a '
            'word of Python',
        )
        problems.check(
            width.default is None
            or (type(width.default) is int and 0 <= width.default <= MAX_WIDTH),
            f'the default of {width.name} must be an integer from 0 to {MAX_WIDTH}, or None, not '
            f'{shown(width.default)}',
        )
        _check_text(problems, f'the description of {width.name}', width.description)
    check_distinct(problems, 'widths', tuple(str(width.name) for width in widths))


def check_rows(problems: Problems, rows: Any, widths: Any) -> None:
    """Refuse what is no tuple of rows that can be groups of features, with arrays that wide."""
    if not _are(Row, problems, 'rows', rows):
        return
    problems.check(len(rows) > 0, 'rows must hold at least one row')
    named = widths if isinstance(widths, tuple) else ()
    names = [width.name for width in named if isinstance(width, Width)]
    for row in rows:
        if check_form(problems, 'the name of a row', row.name, NAME):
            _check_row(problems, row, names)
    check_distinct(problems, 'rows', tuple(str(row.name) for row in rows))


def _check_row(problems: Problems, row: Row, widths: list[str]) -> None:
    problems.check(
        not row.name.endswith(('_age', '_valid')),
        'the name of a row must not end in _age or _valid, which are columns of every group, '
        f'as {row.name} does',
    )
    check_form(problems, f'the path of {row.name}', row.path, _PATH)
    problems.check(
        row.rule in RULES,
        f'the rule of {row.name} must be one of {", ".join(RULES)}, not {shown(row.rule)}',
    )
    _check_text(problems, f'the unit of {row.name}', row.unit)
    problems.check(
        isinstance(row.optional, bool),
        f'optional of {row.name} must be True or False, not {shown(row.optional)}',
    )
    _check_parts(problems, row, widths)


def _check_parts(problems: Problems, row: Row, widths: list[str]) -> None:
    parts: Any = row.parts
    what = f'the parts of {row.name}'
    if isinstance(parts, str):
        problems.check(parts in widths, f'{what} are {shown(parts)}, which is none of the widths')
    elif not problems.check(
        isinstance(parts, tuple),
        f'{what} must be a tuple of names, or the name of a width, not {_in_python(parts)}',
    ):
        return
    elif all(check_form(problems, f'one of {what}', part, _PART) for part in parts):
        check_distinct(problems, what, parts)
    problems.check(
        row.rule != 'slerp' or (not isinstance(parts, str) and len(parts) == 4),
        f'{what} must be x, y, z and w of a quaternion, as its rule is slerp',
    )


def _are(kind: type, problems: Problems, what: str, things: Any) -> bool:
    """Refuse what is no tuple of that kind."""
    return problems.check(
        isinstance(things, tuple) and all(isinstance(one, kind) for one in things),
        f'{what} must be a tuple of {kind.__name__}, not {_in_python(things)}',
    )


def _check_text(problems: Problems, what: str, text: Any) -> None:
    problems.check(isinstance(text, str), f'{what} must be a text, not {_in_python(text)}')


def _in_python(value: Any) -> str:
    """Return a value for an error message: a list differs from a tuple there."""
    text = repr(value)
    return text if len(text) <= 200 else f'{text[:200]}...'
