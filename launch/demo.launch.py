# Copyright 2026 the robocache_ros authors
# SPDX-License-Identifier: Apache-2.0
"""
The simulated robot and the preprocessor, which colours its clouds, and RViz if asked for.

`ros2 launch robocache_ros demo.launch.py rviz:=true`
"""

import os
import shutil

from launch import LaunchDescription
from launch.actions import DeclareLaunchArgument, IncludeLaunchDescription, OpaqueFunction
from launch.launch_description_sources import PythonLaunchDescriptionSource
from launch.substitutions import LaunchConfiguration
from launch_ros.actions import Node

from robocache_ros.demo.options import PARAMETERS
from robocache_ros.environment import for_large_messages
from robocache_ros.launch_overrides import ARGUMENTS
from robocache_ros.resources import config_file, share_dir

PASSED = ('namespace', 'backend', 'rviz', 'fixed_frame', 'log_level')


def generate_launch_description():
    """Declare the arguments and start both."""
    declared = [
        DeclareLaunchArgument(name, default_value='', description=ARGUMENTS[name])
        for name in PASSED
    ]
    passed = [(name, LaunchConfiguration(name)) for name in PASSED]
    preprocessor = IncludeLaunchDescription(
        PythonLaunchDescriptionSource(str(share_dir() / 'launch' / 'preprocessor.launch.py')),
        launch_arguments=[*passed, ('params_file', str(config_file(PARAMETERS)))],
    )
    # The one that may be refused comes first: what runs by then would be left behind.
    return LaunchDescription([*declared, preprocessor, OpaqueFunction(function=_start_sim)])


def _start_sim(context):
    environment, _ = for_large_messages(os.environ, shutil.disk_usage('/dev/shm').free)
    sim = Node(
        package='robocache_ros',
        executable='sim',
        parameters=[{'publish_tf': True}],  # RViz shows the input cloud in the frame of the robot
        namespace=LaunchConfiguration('namespace').perform(context) or None,
        additional_env=environment,
        output='screen',
        emulate_tty=True,
    )
    return [sim]
