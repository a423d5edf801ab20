# Copyright 2026 the robocache_ros authors
# SPDX-License-Identifier: Apache-2.0
"""One number of a status of `/diagnostics`: its name, its labels and its unit."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import NamedTuple

# What only grows as long as a node stays configured. Every other number is a gauge.
COUNTS = frozenset({
    'received', 'lost_transport', 'errors', 'gaps', 'used', 'expired', 'encoded',
    'messages', 'partial', 'points', 'points_used', 'painted',
    'dropped', 'note', 'refused', 'late', 'invalid', 'computed',
})  # fmt: skip
# Texts of which there are few; any other text is for people.
STATES = ('state', 'version', 'backend', 'encoder')

_LABELS = {
    'dropped': 'reason',
    'note': 'reason',
    'refused': 'reason',
    'late': 'source',
    'invalid': 'source',
}
# What the node says of an operation; any other word is where, or why there, it was computed.
_OF_OPERATION = ('crossover', 'retry_sec')
_UNITS = {'_ms': ('_seconds', 1e-3), '_sec': ('_seconds', 1.0), '_hz': ('_hertz', 1.0)}
_PERCENTILE = re.compile(r'(\w+)_ms_p(\d\d)')
_NUMBER = re.compile(r'(-?\d+(?:\.\d+)?(?:e[+-]?\d+)?)(%(?: \(.*\))?)?')


class Status(NamedTuple):
    """One status of a DiagnosticArray, as far as numbers are concerned."""

    name: str
    level: int
    values: Mapping[str, str]

    @property
    def node(self) -> str:
        """The full name of the node that says it."""
        return self.name.partition(': ')[0]

    @property
    def part(self) -> str:
        """What of the node it is about: 'node', 'source lidar', 'output voxels'."""
        return self.name.partition(': ')[2]


class Measurement(NamedTuple):
    """One number; two of the same name and labels are one thing at two times."""

    name: str  # of a count without the _total that Prometheus wants
    counts: bool
    labels: tuple[tuple[str, str], ...]
    value: float
    about: str


def measure(status: Status) -> Iterator[Measurement]:
    """
    Yield the numbers of a status.

    The key `rate_hz` of the part `source lidar` becomes `robocache_source_rate_hertz`, with the
    labels `node` and `source`: see docs/metrics.md for all the rules.
    """
    kind, _, item = status.part.partition(' ')
    labels = {'node': status.node} | ({kind: item} if item else {})
    whole = (('node', status.node), ('part', status.part))
    about = 'Level of each status: 0 fine, 1 warning, 2 error, 3 stale.'
    yield Measurement('robocache_status_level', False, whole, status.level, about)
    for key, text in status.values.items():
        value = _value(key, text)
        if value is None:
            continue
        name, more = (key, {key: text}) if key in STATES else _named(kind, key)
        unit, scale = _unit(name, text)
        yield Measurement(
            re.sub(r'[^a-zA-Z0-9_]', '_', f'robocache_{kind}_{unit}'),
            name in COUNTS,
            tuple((labels | more).items()),
            value * scale,
            f'{name} of each {kind} in /diagnostics.',
        )


def _value(key: str, text: str) -> float | None:
    """Return the number that a text begins with, None if it is not one."""
    if key in STATES:
        return 1.0
    found = _NUMBER.fullmatch(text)
    return float(found[1]) if found else None


def _named(kind: str, key: str) -> tuple[str, dict[str, str]]:
    """Return what of a key is a name, and what of it are labels."""
    percentile = _PERCENTILE.fullmatch(key)
    if percentile:
        return 'stage_ms', {'stage': percentile[1], 'quantile': str(int(percentile[2]) / 100)}
    first, _, rest = key.partition('.')
    if rest and first in _LABELS:
        return first, {_LABELS[first]: rest}
    if rest and kind == 'node':
        labels = {'operation': first}
        return (rest, labels) if rest in _OF_OPERATION else ('computed', labels | {'where': rest})
    return key, {}


def _unit(name: str, text: str) -> tuple[str, float]:
    """Return the name with the base unit that Prometheus wants, and the factor to it."""
    if '%' in text and name not in STATES:
        return f'{name}_ratio', 1e-2
    for ending, (unit, scale) in _UNITS.items():
        if name.endswith(ending):
            return name.removesuffix(ending) + unit, scale
    return name, 1.0
