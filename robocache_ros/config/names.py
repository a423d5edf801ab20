# Copyright 2026 the robocache_ros authors
# SPDX-License-Identifier: Apache-2.0
"""
Names of parameters: which are typing errors, which belong to somebody else.

On a real robot one `/**:` block often feeds many nodes, so a foreign name is no error. A name
that is nearly ours is one: a misspelt parameter that is ignored is found by nobody.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from robocache_ros.config.kinds import DEFAULT_TYPES, SOURCE_TYPES, resolution_field
from robocache_ros.config.parameters import Problems, listed

GROUPS = ('voxels', 'features', 'deskew')
ROS_NAMES = ('use_sim_time', 'start_type_description_service')  # declared by rclpy itself
ROS_GROUPS = ('qos_overrides',)
_SHOWN_NAMES = 8


def judge_names(
    flat: Mapping[str, Any], known: Collection[str], types: Mapping[str, str]
) -> tuple[str, ...]:
    """
    Judge every name of `flat`: ours, somebody else's, or a typing error of ours.

    :param known: the names there are, given the sources.
    :param types: the type of every source in use.
    :return: one sentence about sources that are described but not in use and one about names of
        somebody else, where there are any.
    :raises ConfigError: with one sentence per name that is nearly ours.
    """
    names = _Names(flat, known, types)
    problems = Problems()
    idle: dict[str, None] = {}
    foreign: list[str] = []
    for name in flat:
        block, _, key = name.partition('.')
        if names.has(name, block, key):
            continue
        if key and names.is_idle(block):
            idle[block] = None
            continue
        error = names.meant_in_block(block, key) if key else names.meant_alone(name)
        if error:
            problems.check(False, f'unknown parameter {name}: {error}')
        else:
            foreign.append(name)
    problems.refuse()
    return (*_idle_notice(list(idle), types), *_foreign_notice(foreign))


def why_unknown(
    name: str, flat: Mapping[str, Any], known: Collection[str], types: Mapping[str, str]
) -> str:
    """
    Say why a running node has no parameter `name`, and which one is meant, if one is near.

    :param flat: what the node was given.
    :param known: the names there are, given the sources.
    :param types: the type of every source in use.
    """
    names = _Names(flat, known, types)
    block, _, key = name.partition('.')
    if names.has(name, block, key):
        return f'{name} was not given at the start, and can not be added: start the node anew'
    if key and names.is_idle(block):
        return f'{name} is not in use, because {block} is not among sources {listed(list(types))}'
    error = names.meant_in_block(block, key) if key else names.meant_alone(name)
    return f'unknown parameter {name}' + (f': {error}' if error else ', and none is near')


@dataclass(frozen=True)
class _Names:
    flat: Mapping[str, Any]
    known: Collection[str]
    types: Mapping[str, str]

    def has(self, name: str, block: str, key: str) -> bool:
        """Tell whether a name is one of ours or of rclpy."""
        if name in self.known or block in (ROS_GROUPS if key else ROS_NAMES):
            return True
        return self.types.get(block) == 'pointcloud2' and resolution_field(key) != ''

    def is_idle(self, block: str) -> bool:
        """Tell whether a block describes a source whole, so that it only is not in use."""
        kind = self.flat.get(f'{block}.type', DEFAULT_TYPES.get(block))
        return block not in self.types and isinstance(kind, str) and kind in SOURCE_TYPES

    def meant_alone(self, name: str) -> str:
        """Say which parameter outside the blocks was meant, if one is near."""
        meant = nearest(name, [*(k for k in self.known if '.' not in k), *GROUPS], limit=2)
        return f'did you mean {meant}?' if meant else ''

    def meant_in_block(self, block: str, key: str) -> str:
        """Say what was meant by the unknown `block.key`; nothing when it is somebody else's."""
        if block in self.types or block in GROUPS:
            return self._key_meant(block, key)
        meant = nearest(block, [*GROUPS, *self.types], limit=2)
        if meant in GROUPS:
            return f'did you mean {meant}.{key}?'
        # With a type (none of ours, or it were idle) it is a block of somebody else.
        like_ours = key in _SOURCE_KEYS or resolution_field(key) != ''
        if meant or (like_ours and f'{block}.type' not in self.flat):
            return (
                f'{block} is not among sources {listed(list(self.types))}; '
                f'did you mean {meant or nearest(block, self.types)}.{key}? '
                f'(a source {block} would also need {block}.type)'
            )
        return self.meant_alone(block)

    def _key_meant(self, block: str, key: str) -> str:
        keys = [name.partition('.')[2] for name in self.known if name.startswith(f'{block}.')]
        if self.types.get(block) == 'pointcloud2':
            keys.append('fields.F.resolution')
        what = f'a source of type {self.types[block]}' if block in self.types else block
        return f'did you mean {block}.{nearest(key, keys)}? {what} has {listed(keys)}'


def _idle_notice(blocks: list[str], types: Mapping[str, str]) -> list[str]:
    if not blocks:
        return []
    return [f'not in use, because not among sources {listed(list(types))}: {", ".join(blocks)}']


def _foreign_notice(names: list[str]) -> list[str]:
    if not names:
        return []
    more = f' and {len(names) - _SHOWN_NAMES} more' if len(names) > _SHOWN_NAMES else ''
    return [f'parameters that are not ours are ignored: {", ".join(names[:_SHOWN_NAMES])}{more}']


def nearest(name: str, known: Iterable[str], limit: int | None = None) -> str:
    """
    Return the known name with the least edit distance, '' when all are beyond `limit`.

    A name of less than five letters is only near at distance 1: `sim` is not meant to be `imu`.
    """
    best, least = '', len(name) + 100
    for other in known:
        distance = edit_distance(name, other)
        allowed = distance if limit is None else (limit if len(other) > 4 else 1)
        if distance < least and distance <= allowed:
            best, least = other, distance
    return best


def edit_distance(a: str, b: str) -> int:
    """Return how many letters to insert, delete or replace to get from `a` to `b`."""
    row = list(range(len(b) + 1))
    for i, letter in enumerate(a, 1):
        above_left, row[0] = row[0], i
        for j, other in enumerate(b, 1):
            above_left, row[j] = (
                row[j],
                min(row[j] + 1, row[j - 1] + 1, above_left + (letter != other)),
            )
    return row[-1]


_SOURCE_KEYS = frozenset(
    about.name.removeprefix('S.')
    for kind in DEFAULT_TYPES.values()  # those that a block may have without naming it
    for about in SOURCE_TYPES[kind].parameters('S').values()
)
