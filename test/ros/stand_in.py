# Copyright 2026 the robocache_ros authors
# SPDX-License-Identifier: Apache-2.0
"""
Stand-ins for the services of composition_interfaces, which is on no package index.

They have the same fields, and travel over DDS as text in a service that every installation has.
Run as a program, this is the container with them.
"""

from __future__ import annotations

import json
import sys
from types import ModuleType, SimpleNamespace

from diagnostic_msgs.srv import AddDiagnostics
from rclpy.parameter import Parameter

LISTS_OF_PARAMETERS = ('parameters', 'extra_arguments')


def service(request, response):
    return SimpleNamespace(
        Request=lambda **given: SimpleNamespace(**request | given),
        Response=lambda **given: SimpleNamespace(**response | given),
    )


def types():
    """Return what `composition_interfaces.srv` has."""
    return SimpleNamespace(
        LoadNode=service(
            dict.fromkeys(('package_name', 'plugin_name', 'node_name', 'node_namespace'), '')
            | {'log_level': 0, 'remap_rules': [], 'parameters': [], 'extra_arguments': []},
            {'success': False, 'error_message': '', 'full_node_name': '', 'unique_id': 0},
        ),
        UnloadNode=service({'unique_id': 0}, {'success': False, 'error_message': ''}),
        ListNodes=service({}, {'full_node_names': [], 'unique_ids': []}),
    )


def install():
    """Let `from composition_interfaces import srv` find the stand-ins; return their types."""
    package = ModuleType('composition_interfaces')
    package.srv = types()
    sys.modules[package.__name__] = package
    return package.srv


def dump(record):
    """Return a request or a response as text."""
    given = vars(record).copy()
    for key in set(LISTS_OF_PARAMETERS) & set(given):
        read = map(Parameter.from_parameter_msg, given[key])
        given[key] = [[each.name, each.value] for each in read]
    return json.dumps(given, default=list)  # arrays of numbers


def load(text):
    """Return the fields that `dump` made text of."""
    given = json.loads(text)
    for key in set(LISTS_OF_PARAMETERS) & set(given):
        pairs = given[key]
        given[key] = [Parameter(name, value=v).to_parameter_msg() for name, v in pairs]
    return given


def create_service(make, kind, name, answer, **options):
    """Create a service by `make`, rclpy's own, that carries a stand-in where `kind` is one."""

    def carried(request, response):
        answered = answer(kind.Request(**load(request.load_namespace)), kind.Response())
        response.message = dump(answered)
        return response

    if isinstance(kind, SimpleNamespace):
        return make(AddDiagnostics, name, carried, **options)
    return make(kind, name, answer, **options)


def container_type():
    """Return the container with the stand-ins for its services."""
    from robocache_ros.container import ComponentContainer

    class Container(ComponentContainer):
        def create_service(self, kind, name, answer, **options):
            return create_service(super().create_service, kind, name, answer, **options)

    return Container


if __name__ == '__main__':
    from robocache_ros.ros.process import run

    install()
    sys.exit(run(container_type(), sys.argv))
