# Copyright 2026 the robocache_ros authors
# SPDX-License-Identifier: Apache-2.0
"""
The preprocessor, with its parameters from a file, from these arguments, or from neither.

`ros2 launch robocache_ros preprocessor.launch.py sources:=lidar cloud_topic:=/velodyne_points`
"""

import atexit
import os
import shutil
import tempfile
from pathlib import Path

from ament_index_python.packages import PackageNotFoundError, get_package_prefix
from launch import LaunchDescription
from launch.actions import DeclareLaunchArgument, LogInfo, OpaqueFunction, Shutdown
from launch.substitutions import LaunchConfiguration
from launch_ros.actions import Node

from robocache_ros.config import Config, ConfigError
from robocache_ros.config.params_file import read_params_file
from robocache_ros.environment import for_large_messages
from robocache_ros.launch_overrides import (
    ARGUMENTS,
    first_source,
    full_name,
    misspelt,
    overrides,
    switch,
    write_overrides,
)
from robocache_ros.resources import config_file


def generate_launch_description():
    """Declare the arguments, all empty by default, and start what they ask for."""
    declared = [
        DeclareLaunchArgument(name, default_value='', description=description)
        for name, description in ARGUMENTS.items()
    ]
    return LaunchDescription([*declared, OpaqueFunction(function=_start)])


def _start(context):
    arguments = {name: LaunchConfiguration(name).perform(context) for name in ARGUMENTS}
    name = arguments['name'] or 'preprocessor'
    outer = context.launch_configurations.get('ros_namespace', '')
    fqn = full_name(outer, arguments['namespace'], name)

    files, parameters = [], {}
    if arguments['params_file']:
        files = [Path(arguments['params_file']).expanduser().absolute()]
        parameters = read_params_file(files[0], fqn)
    values = overrides(arguments, parameters)
    with_rviz = switch('rviz', arguments['rviz'])
    if with_rviz:
        _check_rviz()  # before anything is started: launch would leave it behind
    if values:
        files.append(_temporary_file(name))
        write_overrides(files[-1], name, values)

    shm_bytes = shutil.disk_usage('/dev/shm').free
    environment, complaint = for_large_messages(os.environ, shm_bytes)
    complaints = [*misspelt(context.launch_configurations), *([complaint] if complaint else [])]
    actions = [LogInfo(msg=f'robocache_ros: {sentence}') for sentence in complaints]
    actions.append(_node(arguments, name, fqn, files, environment))
    if with_rviz:
        actions.append(_rviz(arguments, fqn, {**parameters, **values}))
    return actions


def _node(arguments, name, fqn, files, environment):
    level = arguments['log_level']
    logger = fqn.strip('/').replace('/', '.')

    def ended(context):
        code = context.locals.event.returncode
        if code and not context.is_shutdown:  # makes that of `ros2 launch` 1, and stops the rest
            raise RuntimeError(f'{fqn} ended with exit code {code}')
        return [Shutdown(reason=f'{fqn} ended')]

    return Node(
        package='robocache_ros',
        executable='preprocessor',
        name=name,
        namespace=arguments['namespace'] or None,
        parameters=[str(path) for path in files],
        ros_arguments=['--log-level', f'{logger}:={level}'] if level else [],
        additional_env=environment,
        output='screen',
        emulate_tty=True,
        on_exit=[OpaqueFunction(function=ended)],
    )


def _check_rviz():
    try:
        get_package_prefix('rviz2')
    except PackageNotFoundError as error:
        distro = os.environ.get('ROS_DISTRO', '<distro>')
        raise ConfigError(
            'rviz:=true, but rviz2 is not installed: `sudo apt install '
            f'ros-{distro}-rviz2`, or leave rviz out and look with another tool'
        ) from error


def _rviz(arguments, fqn, parameters):
    source = first_source('pointcloud2', parameters)
    config = Config.from_mapping(parameters)
    topic = config.source(source).topic if source else 'lidar/points'
    namespace = fqn.rpartition('/')[0]
    frame = arguments['fixed_frame'] or config.frame
    sim_time = switch('use_sim_time', arguments['use_sim_time'])
    return Node(
        package='rviz2',
        executable='rviz2',
        arguments=['-d', str(config_file('preprocessor.rviz')), *(['-f', frame] if frame else [])],
        parameters=[{'use_sim_time': sim_time}],
        remappings=[
            ('/preprocessor/voxels', f'{fqn}/voxels'),
            ('/lidar/points', topic if topic.startswith('/') else f'{namespace}/{topic}'),
        ],
    )


def _temporary_file(name):
    handle, path = tempfile.mkstemp(prefix=f'{name}_', suffix='.yaml')
    os.close(handle)
    atexit.register(Path(path).unlink, missing_ok=True)
    return Path(path)
