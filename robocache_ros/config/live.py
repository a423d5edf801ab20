# Copyright 2026 the robocache_ros authors
# SPDX-License-Identifier: Apache-2.0
"""What may change while a pipeline runs: every parameter that is not read-only."""

from __future__ import annotations

from robocache_ros.config.config import Config, parameters_of
from robocache_ros.config.parameters import ConfigError


def check_change(before: Config, after: Config) -> None:
    """Raise ConfigError, a sentence for each, where parameters differ that are read only once."""
    if fixed := sorted(_differing(before, after) - _live(before)):
        raise ConfigError(*map(why_fixed, fixed))


def why_fixed(name: str) -> str:
    """Say why a parameter can not change at run time, and what does change it."""
    return (
        f'{name} is read once: subscriptions, buffers and memory on the device are made of it '
        'when the node is configured. Start the node anew with another value'
    )


def _differing(before: Config, after: Config) -> set[str]:
    old, new = before.to_mapping(), after.to_mapping()
    return {name for name in {*old, *new} if old.get(name) != new.get(name)}


def _live(config: Config) -> set[str]:
    types = {source.name: source.type for source in config.sources}
    return {about.name for about in parameters_of(types, config.trigger) if not about.read_only}
