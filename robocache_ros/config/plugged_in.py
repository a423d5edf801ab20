# Copyright 2026 the robocache_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Types of messages that installed packages bring, found by their entry points."""

from __future__ import annotations

from functools import cache

from robocache_ros.config.message_types import MessageType
from robocache_ros.config.parameters import ConfigError, shown

GROUP = 'robocache_ros.message_types'


@cache
def plugged_in(name: str) -> MessageType | None:
    """
    Return the type that an installed package brings under this name; None where none does.

    :raises ConfigError: where its entry point gives none, or several packages bring it.
    """
    # Here: it takes 20 ms, and hardly any node has a type that it does not know itself.
    from importlib.metadata import entry_points

    found = list(entry_points(group=GROUP, name=name))
    if not found:
        return None
    origins = sorted({f'{entry.dist.name} {entry.dist.version}' for entry in found if entry.dist})
    entry = found[0]
    place = f'the entry point {name} = {entry.value} of {", ".join(origins)}'
    if len({each.value for each in found}) > 1:
        raise ConfigError(f'type {name} is brought by several packages, {", ".join(origins)}')
    try:
        about = entry.load()
    except Exception as error:  # whatever a module of somebody else raises
        said = '; '.join([type(error).__name__, *str(error).splitlines()])
        raise ConfigError(f'type {name} can not be used: {place} raises {said}') from error
    if not isinstance(about, MessageType) or about.type != name:
        raise ConfigError(
            f'type {name} can not be used: {place} is no MessageType of that type, but '
            f'{shown(about)}'
        )
    return about
