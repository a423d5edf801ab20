# Copyright 2026 the robocache_ros authors
# SPDX-License-Identifier: Apache-2.0
"""
Parameters of a node: declared from the table in config.py, read back as a Config.

A wrong value does not stop the declaration: the node has to be alive to say what is wrong, so it
is declared as it was given and refused, in our own words, by `read_config`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rcl_interfaces.msg import FloatingPointRange, IntegerRange, ParameterDescriptor
from rclpy.node import Node

from robocache_ros.config import TRIGGER, Config, ConfigError, parameters_of, source_types
from robocache_ros.config.kinds import resolution_field, resolution_parameter
from robocache_ros.config.parameters import Parameter


def declare_parameters(node: Node) -> None:
    """
    Declare every parameter there is with the sources the node was started with, all read-only.

    Integers become floats where a float is meant. What is declared already (a node that
    declares its overrides automatically) stays as it is.
    """
    given = _overrides(node)
    for about in _table(given):
        value = given.get(about.name, about.default)
        if value is None or node.has_parameter(about.name):
            continue
        try:
            value, descriptor = about.to_ros(value), _descriptor(about)
        except ConfigError:
            descriptor = ParameterDescriptor(
                description=about.description, read_only=True, dynamic_typing=True
            )
        node.declare_parameter(about.name, value, descriptor, ignore_override=True)


def read_config(node: Node) -> tuple[Config, tuple[str, ...]]:
    """
    Return the configuration and one sentence per kind of parameter that changes nothing.

    :raises ConfigError: one sentence per problem; nothing of the node has changed.
    """
    flat = _overrides(node)
    ours = {about.name for about in _table(flat)}
    for name in {*flat, *ours}:
        if node.has_parameter(name):
            # Declared, but not by us: somebody has a use for it, so it is not to be judged.
            flat.pop(name, None)
            if name in ours:
                flat[name] = node.get_parameter(name).value
    config = Config.from_mapping(flat)
    return config, config.notices(flat)


def _overrides(node: Node) -> dict[str, Any]:
    """Return what the node was given from outside, declared or not."""
    # The one private name of rclpy in use, the same from Humble to Lyrical: no public call tells
    # which names were given without declaring all of them.
    return {name: given.value for name, given in node._parameter_overrides.items()}


def _table(given: Mapping[str, Any]) -> list[Parameter]:
    """Return the parameters there are; only the common ones where `sources` is not usable."""
    try:
        types = source_types(given)
    except ConfigError:
        types = {}
    resolutions = [
        resolution_parameter(source, field)
        for source, _, key in (name.partition('.') for name in given)
        if types.get(source) == 'pointcloud2' and (field := resolution_field(key))
    ]
    return [*parameters_of(types, given.get('trigger', TRIGGER)), *resolutions]


def _descriptor(about: Parameter) -> ParameterDescriptor:
    unit = f' [{about.unit}]' if about.unit else ''
    descriptor = ParameterDescriptor(
        description=about.description + unit,
        additional_constraints=f'must be {about.allowed}',
        read_only=True,
    )
    if about.low is not None and about.high is not None:
        if about.kind.startswith('integer'):
            span = IntegerRange(from_value=int(about.low), to_value=int(about.high), step=1)
            descriptor.integer_range = [span]
        else:
            floats = FloatingPointRange(from_value=float(about.low), to_value=float(about.high))
            descriptor.floating_point_range = [floats]
    return descriptor
