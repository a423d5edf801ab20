# Copyright 2026 the robocache_ros authors
# SPDX-License-Identifier: Apache-2.0
"""
Parameters of a node: declared from the table in config.py, read back as a Config.

A wrong value does not stop the declaration: the node has to be alive to say what is wrong, so it
is declared as it was given and refused, in our own words, by `read_config`. What is set later is
checked together with all else before it is taken.
"""

from __future__ import annotations

import array
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from rcl_interfaces.msg import (
    FloatingPointRange,
    IntegerRange,
    ParameterDescriptor,
    SetParametersResult,
)
from rcl_interfaces.srv import SetParameters
from rclpy.node import Node
from rclpy.parameter import Parameter as RosParameter

from robocache_ros.config import (
    TRIGGER,
    Config,
    ConfigError,
    parameters_of,
    source_types,
    why_fixed,
)
from robocache_ros.config.kinds import resolution_field, resolution_parameter
from robocache_ros.config.names import why_unknown
from robocache_ros.config.parameters import Parameter, Problems


def declare_parameters(node: Node) -> None:
    """
    Declare every parameter there is with the sources the node was started with.

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
                description=about.description, read_only=about.read_only, dynamic_typing=True
            )
        node.declare_parameter(about.name, value, descriptor, ignore_override=True)


def read_config(node: Node) -> tuple[Config, tuple[str, ...]]:
    """
    Return the configuration and one sentence per kind of parameter that changes nothing.

    :raises ConfigError: one sentence per problem; nothing of the node has changed.
    """
    flat = _values(node)
    config = Config.from_mapping(flat)
    return config, config.notices(flat)


class LiveParameters:
    """
    Takes what is set at run time, all of it or nothing.

    A set is right if the whole configuration is that comes of it. It is handed on before rclpy
    stores the values: this callback is the first one added, so the last one asked.
    """

    def __init__(self, node: Node, apply: Callable[[Config], None]) -> None:
        """`apply` takes the configuration; where it raises, nothing may have changed."""
        self.notices: tuple[str, ...] = ()  # that were told already
        self._node = node
        self._apply = apply
        node.add_on_set_parameters_callback(self._on_set)

    def problems(self, parameters: Sequence[RosParameter]) -> str:
        """Say all that is wrong with a set; '' if there is nothing that we know of."""
        try:
            self._config_of(parameters)
        except ConfigError as error:
            return '; '.join(error.problems)
        return ''

    def unknown(self, parameters: Sequence[RosParameter]) -> SetParametersResult:
        """Refuse a set with names that there are not, and say what may be meant."""
        names = [one.name for one in parameters if not self._node.has_parameter(one.name)]
        flat = _values(self._node)
        known = [about.name for about in _table(flat)]
        sentences = [why_unknown(name, flat, known, _types(flat)) for name in names]
        return _refusal(*sentences, *filter(None, [self.problems(parameters)]))

    def _on_set(self, parameters: Sequence[RosParameter]) -> SetParametersResult:
        try:
            config = self._config_of(parameters)
            if config is not None:
                self._apply(config)
                self._warn(config.notices(config.to_mapping()))
        except ConfigError as error:
            return _refusal(*error.problems)
        except Exception as error:
            return _refusal(f'nothing was changed, as that failed: {error}')
        return SetParametersResult(successful=True)

    def _config_of(self, parameters: Sequence[RosParameter]) -> Config | None:
        """
        Return the configuration after a set; None if nothing of ours changes.

        None as well while other values are wrong, which keep the node from being configured: they
        are mended one by one.
        """
        given = {one.name: one.value for one in parameters}
        before = _values(self._node)
        ours = [
            about
            for about in _table(before)
            if about.name in given and not _same(given[about.name], before.get(about.name))
        ]
        if not ours:
            return None
        try:
            return Config.from_mapping(before | {about.name: given[about.name] for about in ours})
        except ConfigError:
            if _is_right(before):
                raise
        problems = Problems()
        for about in ours:
            with problems.collected():
                about.parse(given[about.name])
        problems.refuse()
        return None

    def _warn(self, notices: tuple[str, ...]) -> None:
        """Tell what the author of a change may not expect, once, as at the start."""
        for notice in notices:
            if notice not in self.notices:
                self._node.get_logger().warning(notice, throttle_duration_sec=1.0)
        self.notices = notices


def _is_right(flat: Mapping[str, Any]) -> bool:
    try:
        Config.from_mapping(flat)
    except ConfigError:
        return False
    return True


def set_in_any_order(
    set_together: Callable[[list[RosParameter]], SetParametersResult],
    parameters: Sequence[RosParameter],
) -> list[SetParametersResult]:
    """
    Set one by one, and what was refused again after the others, until nothing more is taken.

    A file is in the order of the alphabet, and what is wrong beside the old values may be right
    beside the new ones. Of those that set one name, only the last is tried again.
    """
    results = [set_together([one]) for one in parameters]
    last = {one.name: at for at, one in enumerate(parameters)}
    refused = [at for at in last.values() if not results[at].successful]
    before = len(parameters)
    while 0 < len(refused) < before:
        before = len(refused)
        for at in refused:
            results[at] = set_together([parameters[at]])
        refused = [at for at in refused if not results[at].successful]
    return results


def answer_in_any_order(node: Node) -> None:
    """Let the service set_parameters do what the method does; rclpy's sets one by one itself."""

    def answer(request: Any, response: Any) -> Any:
        parameters = [RosParameter.from_parameter_msg(each) for each in request.parameters]
        response.results = node.set_parameters(parameters)
        return response

    for service in node.services:  # there is none without `start_parameter_services`
        if service.srv_type is SetParameters:
            service.callback = answer


def sort_out_fixed(
    node: Node, parameters: Sequence[RosParameter]
) -> tuple[list[RosParameter], SetParametersResult | None]:
    """
    Return what of a set would change, and the refusal if that is read-only.

    A file that holds all parameters of a node can be loaded for the sake of those that differ.
    """
    fixed = [one for one in parameters if _is_fixed(node, one.name)]
    differing = [
        one.name for one in fixed if not _same(one.value, node.get_parameter(one.name).value)
    ]
    refusal = _refusal(*map(why_fixed, differing)) if differing else None
    return [one for one in parameters if one not in fixed], refusal


def _is_fixed(node: Node, name: str) -> bool:
    return node.has_parameter(name) and bool(node.describe_parameter(name).read_only)


def _same(value: Any, other: Any) -> bool:
    """Whether two values mean the same: 2 is 2.0, but 1 is not true."""
    if isinstance(value, bool) or isinstance(other, bool):
        return value is other
    if value is None or isinstance(value, int | float | str):
        return bool(value == other)
    return isinstance(other, list | tuple | array.array) and list(value) == list(other)


def _refusal(*sentences: str) -> SetParametersResult:
    return SetParametersResult(successful=False, reason='; '.join(sentences))


def _values(node: Node) -> dict[str, Any]:
    """Return what the node was given from outside, with the values that parameters have now."""
    flat = _overrides(node)
    ours = {about.name for about in _table(flat)}
    for name in {*flat, *ours}:
        if node.has_parameter(name):
            # Declared, but not by us: somebody has a use for it, so it is not to be judged.
            flat.pop(name, None)
            if name in ours:
                flat[name] = node.get_parameter(name).value
    return flat


def _overrides(node: Node) -> dict[str, Any]:
    """Return what the node was given from outside, declared or not."""
    # One of the two private names of rclpy in use, the same from Humble to Lyrical: no public call
    # tells which names were given without declaring all of them.
    return {name: given.value for name, given in node._parameter_overrides.items()}


def _types(given: Mapping[str, Any]) -> dict[str, str]:
    """Return the type of every source by name; none where `sources` is not usable."""
    try:
        return source_types(given)
    except ConfigError:
        return {}


def _table(given: Mapping[str, Any]) -> list[Parameter]:
    """Return the parameters there are; only the common ones where `sources` is not usable."""
    types = _types(given)
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
        read_only=about.read_only,
        # Whole numbers for floats, and one number for three: we judge the types ourselves.
        dynamic_typing=not about.read_only,
    )
    if about.low is not None and about.high is not None:
        if about.kind.startswith('integer'):
            span = IntegerRange(from_value=int(about.low), to_value=int(about.high), step=1)
            descriptor.integer_range = [span]
        else:
            floats = FloatingPointRange(from_value=float(about.low), to_value=float(about.high))
            descriptor.floating_point_range = [floats]
    return descriptor
