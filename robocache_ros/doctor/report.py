# Copyright 2026 the robocache_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Findings as text for people, and as JSON for programs."""

from __future__ import annotations

import json
import shutil
import textwrap
from collections.abc import Iterator, Sequence

from robocache_ros import __version__
from robocache_ros.doctor.finding import Finding, Level

_WORDS = {Level.ERROR: 'ERROR', Level.WARNING: 'WARN', Level.FINE: 'ok'}
_INDENT = ' ' * 7
_NARROWEST, _WIDEST = 60, 99


def exit_code(findings: Sequence[Finding]) -> int:
    """Return 1 where something keeps the node from working, else 0."""
    return int(any(one.level is Level.ERROR for one in findings))


def as_text(findings: Sequence[Finding]) -> str:
    """Return findings with their fixes first, the worst at the top; then what is fine."""
    bad = _bad(findings)
    lines = [f'robocache doctor: {_summary(findings)}', '']
    for one in bad:
        lines += _lines(f'{_WORDS[one.level]:<7}{one.about}: {one.sentence}')
        lines += [*(_lines(f'{_INDENT}Fix: {one.fix}', 5) if one.fix else ()), '']
    for one in findings:
        if one.level is Level.FINE:
            lines.append(f'{_WORDS[one.level]:<7}{one.about}: {one.sentence}')
    return '\n'.join(lines)


def as_json(findings: Sequence[Finding]) -> str:
    """Return the same as one object."""
    return json.dumps(
        {
            'version': __version__,
            'exit_code': exit_code(findings),
            'findings': [_entry(one) for one in _bad(findings)],
            'fine': [_entry(one) for one in findings if one.level is Level.FINE],
        },
        indent=2,
    )


def _bad(findings: Sequence[Finding]) -> list[Finding]:
    bad = dict.fromkeys(one for one in findings if one.level is not Level.FINE)
    return sorted(bad, key=lambda one: -one.level)


def _entry(one: Finding) -> dict[str, str]:
    entry = {'level': one.level.name.lower(), 'about': one.about, 'sentence': one.sentence}
    return {**entry, 'fix': one.fix} if one.level is not Level.FINE else entry


def _summary(findings: Sequence[Finding]) -> str:
    bad = _bad(findings)
    errors = sum(one.level is Level.ERROR for one in bad)
    counts = [_count(errors, 'error'), _count(len(bad) - errors, 'warning')]
    return ', '.join(filter(None, counts)) or 'all is well'


def _count(number: int, noun: str) -> str:
    return f'{number} {noun}{"s" if number > 1 else ""}' if number else ''


def _lines(text: str, hang: int = 0) -> Iterator[str]:
    width = min(max(shutil.get_terminal_size((_WIDEST, 24)).columns, _NARROWEST), _WIDEST)
    # Paths and commands stay whole, to be copied.
    yield from textwrap.wrap(
        text,
        width,
        subsequent_indent=_INDENT + ' ' * hang,
        break_long_words=False,
        break_on_hyphens=False,
    )
