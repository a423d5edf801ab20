# Copyright 2026 the robocache_ros authors
# SPDX-License-Identifier: Apache-2.0
"""
What is seen of a live ROS graph within a few seconds, in a process of its own.

A node listens that says nothing and offers no service. With parameters it has the subscriptions
of the preprocessor, and does with messages what that would do, up to computing.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from typing import Any

import rclpy
from diagnostic_msgs.msg import DiagnosticArray
from rclpy.executors import SingleThreadedExecutor
from rclpy.node import Node
from rclpy.parameter import Parameter
from rclpy.utilities import get_rmw_implementation_identifier

from robocache_ros.backends.numpy_backend import NumpyBackend
from robocache_ros.config import Config, ConfigError
from robocache_ros.pipeline import Pipeline, PipelineStatus
from robocache_ros.ros.graph import preprocessors
from robocache_ros.ros.input import Input
from robocache_ros.ros.inputs import Inputs
from robocache_ros.timeline.track import SourceStatus

_SPIN_SEC = 0.1
_PATIENCE_SEC = 4.0  # on a machine that is busy, nodes take seconds to find one another
_QUIET = ('--ros-args', '--disable-external-lib-logs', '--disable-rosout-logs')  # writes no file
_OF_ROS = ('qos_overrides.', 'use_sim_time')


def look(asked: Mapping[str, Any]) -> dict[str, Any]:
    """
    Look for 'watch_sec' seconds, with the eyes of the node 'node' and its parameters 'flat'.

    For some seconds more where somebody is there but not heard yet: 'watched_sec' says for how
    long. With None for 'flat' it is seen who is there, and no more.
    """
    rclpy.init(args=list(_QUIET))
    try:
        node = _listener(str(asked['node']), asked['flat'] or {})
        try:
            return _look(node, asked)
        finally:
            node.destroy_node()
    finally:
        rclpy.get_default_context().try_shutdown()


def _look(node: Node, asked: Mapping[str, Any]) -> dict[str, Any]:
    said: dict[str, list[Any]] = {}
    node.create_subscription(DiagnosticArray, '/diagnostics', partial(_hear, said), 100)
    found: dict[str, Any] = {'rmw': get_rmw_implementation_identifier()}
    sight = None
    try:
        if asked['flat'] is not None:
            sight = _Sight(node, _config(asked))
    except ConfigError as refused:
        found['refused'] = list(refused.problems)

    def heard_all() -> bool:
        names = {name.partition(': ')[0] for name in said}
        known = names.issuperset(preprocessors(node)) and any(_others(node))
        return known and (sight is None or sight.hears_all())

    found['watched_sec'] = _watch(node, float(asked['watch_sec']), heard_all)
    if sight is not None:
        found |= sight.facts()
    ours = preprocessors(node)
    return {
        **found,
        'nodes': sorted(_others(node)),
        'preprocessors': ours,
        'diagnostics': {name: s for name, s in said.items() if name.partition(': ')[0] in ours},
        'clock': node.count_publishers('/clock'),
    }


class _Sight:
    """The inputs of the preprocessor, and what they make of what comes."""

    def __init__(self, node: Node, config: Config) -> None:
        self._node = node
        self._config = config
        self._pipeline = Pipeline(config, NumpyBackend())
        self._inputs = Inputs(node, config, self._pipeline, lambda: None)
        self._inputs.set_active(True)

    def hears_all(self) -> bool:
        """Whether something came from every source that somebody publishes."""
        sources = self._pipeline.status(time.monotonic_ns()).sources
        return all(
            sources[each.source.name].received or each.incompatible or not each.publishers
            for each in self._inputs
        )

    def facts(self) -> dict[str, Any]:
        """Return what is seen of the sources, and of /tf."""
        status = self._pipeline.status(time.monotonic_ns())
        transforms = self._inputs.transforms
        cameras = self._inputs.cameras.items()
        return {
            'cameras': {name: [one.topic, one.publishers, one.problem] for name, one in cameras},
            'sources': {each.source.name: self._source(each, status) for each in self._inputs},
            'transforms': transforms.absent if transforms else '',
        }

    def _source(self, each: Input, status: PipelineStatus) -> dict[str, Any]:
        each.look()
        name, source = each.source.name, status.sources[each.source.name]
        publishers = self._node.get_publishers_info_by_topic(each.source.topic)
        return {
            'needed': each.source.required or name == self._config.trigger,
            'topic': each.topic,
            'type': each.type_name,
            'publishers': each.publishers,
            'nodes': sorted({p.node_name for p in publishers}),
            'other_types': each.other_types,
            'elsewhere': () if each.publishers else each.elsewhere(),
            'incompatible': each.incompatible,
            'qos': each.qos,
            'received': source.received,
            'dropped': {reason.key: n for reason, n in source.dropped.items() if n},
            'broken': each.last_error,
            'behind_sec': self._behind_sec(each, source),
        }

    def _behind_sec(self, each: Input, source: SourceStatus) -> float | None:
        """By how much the newest stamp was behind the ROS clock when it arrived."""
        arrival_ns = source.last_arrival_ns
        if each.source.stamp != 'header' or source.newest_ns is None or arrival_ns is None:
            return None
        ago_ns = time.monotonic_ns() - arrival_ns
        now_ns = int(self._node.get_clock().now().nanoseconds)
        return (now_ns - ago_ns - source.newest_ns) * 1e-9


def _listener(fqn: str, flat: Mapping[str, Any]) -> Node:
    """Make a node in the namespace of another one, with its parameters that ROS itself reads."""
    given = {name: value for name, value in flat.items() if name.startswith(_OF_ROS)}
    given['start_type_description_service'] = False
    return Node(
        f'robocache_doctor_{os.getpid()}',
        namespace=fqn.rpartition('/')[0] or '/',
        parameter_overrides=[Parameter(name, value=value) for name, value in given.items()],
        use_global_arguments=False,
        enable_rosout=False,
        start_parameter_services=False,
    )


def _config(asked: Mapping[str, Any]) -> Config:
    """Return the configuration with private topics of its node's, and without networks."""
    flat = {name: value for name, value in asked['flat'].items() if '.encoder.' not in name}
    for name, value in flat.items():
        if name.endswith('topic') and str(value).startswith('~/'):
            flat[name] = asked['node'] + value[1:]
    return Config.from_mapping(flat)


def _watch(node: Node, watch_sec: float, heard_all: Callable[[], bool]) -> float:
    """Spin for `watch_sec`, and then until all is heard that is there; return the seconds."""
    executor = SingleThreadedExecutor()
    executor.add_node(node)
    begin_sec = time.monotonic()
    while (sec := time.monotonic() - begin_sec) < watch_sec + _PATIENCE_SEC:
        if sec >= watch_sec and heard_all():
            break
        executor.spin_once(timeout_sec=_SPIN_SEC)
    executor.shutdown()
    return sec


def _hear(said: dict[str, list[Any]], array: DiagnosticArray) -> None:
    for status in array.status:
        said[status.name] = [status.level[0], status.message]


def _others(node: Node) -> Iterator[str]:
    """Yield the full names of the nodes there are; those of tools, which hide, are left out."""
    for name, namespace in node.get_node_names_and_namespaces():
        if name != node.get_name() and not name.startswith('_'):
            yield f'{namespace.rstrip("/")}/{name}'
