# Copyright 2026 the robocache_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The component container: loads nodes of Python into one process, as rclcpp's does of C++."""

from __future__ import annotations

import itertools
import sys
import traceback
from collections.abc import Sequence
from typing import Any

from rclpy.node import Node
from rclpy.qos import QoSProfile

from robocache_ros.ros.arguments import check_only_ros
from robocache_ros.ros.component import INTRA_PROCESS, CanNotLoad, make_component
from robocache_ros.ros.log import BoundedLog
from robocache_ros.ros.process import run

_QOS = QoSProfile(depth=200)  # as rclcpp's, so that no request of a large launch file is lost
_NO_INTERFACES = (
    'a component container needs the package composition_interfaces, which is not installed: '
    '`apt install ros-$ROS_DISTRO-composition-interfaces`, or source the workspace that has it. '
    'Without it nodes share a process all the same when a program of yours makes them: see '
    'docs/composition.md'
)


class ComponentContainer(BoundedLog, Node):
    """
    Answers `~/_container/load_node`, `unload_node` and `list_nodes`.

    Loaded nodes are spun by the executor of this one. Nothing that a component does while it is
    made or destroyed ends the container or the other components.
    """

    def __init__(self, node_name: str = 'ComponentManager', **kwargs: Any) -> None:
        """Offer the services; RuntimeError without their types. `kwargs` as for rclpy's Node."""
        services = _services()
        super().__init__(node_name, **kwargs)
        self.autostart_failed = False  # of a component it is no reason to end
        self._ids = itertools.count(1)
        # Full names and nodes: one that has destroyed itself can not tell its name any more.
        self._loaded: dict[int, tuple[str, Any]] = {}
        self._default_names: dict[str, str] = {}  # by plugin, once one was loaded
        answers = (
            (services.LoadNode, 'load_node', self._load),
            (services.UnloadNode, 'unload_node', self._unload),
            (services.ListNodes, 'list_nodes', self._list),
        )
        for kind, name, answer in answers:
            self.create_service(kind, f'~/_container/{name}', answer, qos_profile=_QOS)

    def destroy_node(self) -> None:
        """Destroy the components, then the container."""
        while self._loaded:
            _, loaded = self._loaded.popitem()  # the newest first: it may use older ones
            self._destroy(*loaded)
        super().destroy_node()

    def _load(self, request: Any, response: Any) -> Any:
        try:
            name, node = self._make(request)
        except CanNotLoad as error:
            response.success, response.error_message = False, str(error.args[0])
            self.get_logger().error('\n'.join(map(str, error.args)))
            return response
        response.success = True
        response.unique_id = next(self._ids)
        response.full_node_name = name
        self._loaded[response.unique_id] = name, node
        self.executor.add_node(node)
        self.get_logger().info(f'Loaded {request.plugin_name} as {name} ({response.unique_id}).')
        return response

    def _make(self, request: Any) -> tuple[str, Any]:
        """Return the full name of a new component, and the component."""
        default = self._default_names.get(request.plugin_name, '')
        # Before it is made: one that is destroyed takes the /rosout of all of its name with it.
        self._check_new(f'{request.node_namespace.rstrip("/")}/{request.node_name or default}')
        node = make_component(request, self.context)
        try:
            name = node.get_fully_qualified_name()
        except RuntimeError as error:  # the InvalidHandle of rclpy
            raise CanNotLoad(
                f'{request.plugin_name} destroyed itself while it was made'
            ) from error
        try:
            self._check_new(name)
        except CanNotLoad:
            self._destroy(name, node)
            raise
        if not request.node_name:
            self._default_names[request.plugin_name] = name.rpartition('/')[2]
        if any(argument.name == INTRA_PROCESS for argument in request.extra_arguments):
            self.get_logger().info(
                f'{INTRA_PROCESS} changes nothing for {name}: rclpy has no such transport, '
                'subscribe_frames of the preprocessor gives frames by reference.'
            )
        return name, node

    def _check_new(self, name: str) -> None:
        if name in {self.get_fully_qualified_name(), *self._names()}:
            raise CanNotLoad(
                f'{name} is in this container already: unload that one, or give another '
                'node_name or node_namespace'
            )

    def _names(self) -> list[str]:
        return [name for name, _ in self._loaded.values()]

    def _unload(self, request: Any, response: Any) -> Any:
        if request.unique_id not in self._loaded:
            response.error_message = f'No node found with unique_id: {request.unique_id}'
            self.get_logger().warning(response.error_message)
        else:
            name, node = self._loaded.pop(request.unique_id)
            self.executor.remove_node(node)
            response.error_message = self._destroy(name, node)
            self.get_logger().info(f'Unloaded {name} ({request.unique_id}).')
        response.success = not response.error_message
        return response

    def _list(self, request: Any, response: Any) -> Any:
        response.unique_ids = list(self._loaded)
        response.full_node_names = self._names()
        return response

    def _destroy(self, name: str, node: Any) -> str:
        """Destroy a component; return what it raised, '' if nothing."""
        try:
            node.destroy_node()
        except Exception as error:
            problem = f'Destroying {name} raised {type(error).__name__}: {error}'
            if self.context.ok():  # else it is a shutdown, when ROS reports all kinds of errors
                self.get_logger().error(f'{problem}\n{traceback.format_exc()}')
            return problem
        return ''


def _services() -> Any:
    """Return the module of the three service types."""
    try:
        from composition_interfaces import srv
    except ImportError as error:
        raise RuntimeError(_NO_INTERFACES) from error
    return srv


def main(args: Sequence[str] | None = None) -> int:
    """Run the container until it is told to stop; 1 if it could not start."""
    check_only_ros('container', 'Loads nodes of Python packages into one process.', args)
    return run(ComponentContainer, args)


if __name__ == '__main__':
    sys.exit(main())
