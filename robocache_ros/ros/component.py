# Copyright 2026 the robocache_ros authors
# SPDX-License-Identifier: Apache-2.0
"""From a request to load a component to a node: its class, its arguments, what may go wrong."""

from __future__ import annotations

import gc
import traceback
from importlib.metadata import entry_points
from typing import Any

from rclpy.logging import LoggingSeverity
from rclpy.node import Node
from rclpy.parameter import Parameter

# Where Python packages register their components, as robocache_ros does in its setup.py.
GROUP = 'rclpy_components'
INTRA_PROCESS = 'use_intra_process_comms'
# What a C++ container knows as well -> the argument of rclpy's Node that it stands for.
_EXTRA = {
    'forward_global_arguments': 'use_global_arguments',
    'enable_rosout': 'enable_rosout',
    'start_parameter_services': 'start_parameter_services',
    'enable_logger_service': 'enable_logger_service',
    INTRA_PROCESS: None,
}


class CanNotLoad(RuntimeError):
    """A component can not be loaded; the text says why."""


def make_component(request: Any, context: Any) -> Node:
    """Make the node that a LoadNode request asks for; CanNotLoad if that is not possible."""
    component = _class_of(request.package_name, request.plugin_name)
    options = _options(request)
    level = _level(request.log_level)
    try:
        node = component(context=context, **options)
    except (Exception, SystemExit) as error:
        problem = f'Component constructor threw an exception: {error}'
        trace = traceback.format_exc()
    else:
        if not isinstance(node, Node):
            raise CanNotLoad(f'{request.plugin_name} made {node!r}, which is no node of rclpy')
        if level is not None:
            node.get_logger().set_level(level)
        return node
    gc.collect()  # half a node would still be seen, and answer, until somebody collects it
    raise CanNotLoad(problem, trace)


def _class_of(package: str, plugin: str) -> Any:
    """Return what is registered as `package::Class`."""
    found = {each.name: each for each in entry_points(group=GROUP)}
    if plugin not in found or plugin.partition('::')[0] != package:
        there = ', '.join(sorted(found)) or 'none'
        raise CanNotLoad(
            'Failed to find class with the requested plugin name. Packages of Python register '
            f'theirs as package::Class in the entry point group {GROUP}; there are: {there}. '
            f'Asked for: {plugin} of package {package}'
        )
    try:
        return found[plugin].load()
    except Exception as error:
        raise CanNotLoad(
            f'Failed to import {found[plugin].value}: {error}', traceback.format_exc()
        ) from error


def _options(request: Any) -> dict[str, Any]:
    """Return the arguments of rclpy's Node; names as remap rules, so that they win."""
    rules = list(request.remap_rules)
    if request.node_name:
        rules.append(f'__node:={request.node_name}')
    if request.node_namespace:
        rules.append(f'__ns:={request.node_namespace}')
    return {
        'cli_args': ['--ros-args', *(word for rule in rules for word in ('-r', rule))],
        'use_global_arguments': False,
        'parameter_overrides': [Parameter.from_parameter_msg(each) for each in request.parameters],
        **_extra_options(request.extra_arguments),
    }


def _extra_options(arguments: Any) -> dict[str, bool]:
    options = {}
    for argument in map(Parameter.from_parameter_msg, arguments):
        if argument.name not in _EXTRA:
            raise CanNotLoad(
                f"Extra component argument '{argument.name}' is not supported; "
                f'there are: {", ".join(_EXTRA)}'
            )
        if not isinstance(argument.value, bool):
            raise CanNotLoad(f"Extra component argument '{argument.name}' must be a boolean")
        option = _EXTRA[argument.name]
        if option is not None:
            options[option] = argument.value
    return options


def _level(number: int) -> LoggingSeverity | None:
    """Return a level of rcl_interfaces/Log; None for 0, which is not to set any."""
    try:
        return LoggingSeverity(number) if number else None
    except ValueError:
        raise CanNotLoad(
            f'log_level {number} is none of 10 (debug), 20, 30, 40 and 50 (fatal)'
        ) from None
