# Copyright 2026 the robocache_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Launch arguments -> a parameters file that wins over every other. Imports no launch."""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

from robocache_ros.config import ConfigError, source_types
from robocache_ros.config.names import nearest

ARGUMENTS = {
    'params_file': 'parameters file of the node',
    'namespace': 'namespace of the node and of the topics it reads',
    'name': 'name of the node; preprocessor if empty',
    'sources': 'sensors to use, such as lidar or lidar,imu',
    'trigger': 'the source whose samples make frames, or rate; needed where lidar is not used',
    'cloud_topic': 'topic of the first cloud source',
    'image_topic': 'topic of the first camera',
    'imu_topic': 'topic of the first IMU',
    'odom_topic': 'topic of the first odometry',
    'base_frame': 'frame of the robot, which the outputs are in; /tf tells where the sensors are',
    'backend': 'auto, numpy or cuda',
    'autostart': 'false: wait for a lifecycle manager',
    'use_sim_time': 'true: take the time from /clock',
    'rviz': 'true: show the voxels and the first cloud in RViz',
    'fixed_frame': 'frame that RViz shows; of the clouds, or one that /tf connects to it',
    'log_level': 'of the node: debug, info, warn, error or fatal',
}
TOPICS = {
    'cloud_topic': 'pointcloud2',
    'image_topic': 'image',
    'imu_topic': 'imu',
    'odom_topic': 'odometry',
}
AS_THEY_ARE = ('trigger', 'backend', 'base_frame')
SWITCHES = {'true': True, 'false': False}


def overrides(arguments: Mapping[str, str], parameters: Mapping[str, Any]) -> dict[str, Any]:
    """
    Return the parameters that launch arguments set; an empty argument sets none.

    :param arguments: launch arguments by name, as text.
    :param parameters: what the node has from its own parameters file, by dotted name.
    :raises ConfigError: naming the argument, its value and what it may be.
    """
    given = {name: text.strip() for name, text in arguments.items() if text.strip()}
    values: dict[str, Any] = {}
    if 'sources' in given:
        values['sources'] = re.findall(r'[^\s,\[\]"\']+', given['sources'])
    values.update({name: given[name] for name in AS_THEY_ARE if name in given})
    for name in ('autostart', 'use_sim_time'):
        if name in given:
            values[name] = switch(name, given[name])
    for name, kind in TOPICS.items():
        if name in given:
            source = first_source(kind, {**parameters, **values})
            if not source:
                raise ConfigError(
                    f'{name}:={given[name]}, but no source of type {kind} is in use; '
                    f'sources are {", ".join(source_types({**parameters, **values}))}'
                )
            values[f'{source}.topic'] = given[name]
    return values


def misspelt(given: Collection[str]) -> list[str]:
    """
    Return one sentence for each name in `given` that is nearly a launch argument.

    Others may be arguments of a launch file that includes ours: launch shows both alike.
    """
    return [
        f'launch argument {name} is not known and has no effect: did you mean {meant}?'
        for name in given
        if name not in ARGUMENTS and (meant := nearest(name, ARGUMENTS, limit=2))
    ]


def first_source(kind: str, parameters: Mapping[str, Any]) -> str:
    """Return the name of the first source of a type, '' when there is none."""
    return next((s for s, its in source_types(parameters).items() if its == kind), '')


def switch(name: str, text: str) -> bool:
    """Return the truth of the launch argument `name`; an empty one is false."""
    if text.strip().lower() not in ('', *SWITCHES):
        raise ConfigError(f'{name}:={text}, but it must be true or false')
    return SWITCHES.get(text.strip().lower(), False)


def full_name(outer: str, namespace: str, name: str) -> str:
    """Return the full name of a node in `namespace`, relative to `outer` unless absolute."""
    parts = [namespace, name] if namespace.startswith('/') else [outer, namespace, name]
    return '/' + '/'.join(p.strip('/') for p in parts if p.strip('/'))


def write_overrides(path: Path, name: str, values: Mapping[str, Any]) -> None:
    """
    Write the parameters file that goes last.

    rcl merges the files by key, and then applies keys in the order in which they first appeared:
    to win over `/**`, `name` and `/ns/name` alike, wherever they stand, the key has to be one
    that nobody else writes. JSON is YAML in which no topic is taken for a number.
    """
    key = f'/**/**/{name}'
    path.write_text(json.dumps({key: {'ros__parameters': dict(values)}}), encoding='utf-8')
