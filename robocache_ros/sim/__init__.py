# Copyright 2026 the robocache_ros authors
# SPDX-License-Identifier: Apache-2.0
"""
A simulated robot: a platform that drives a closed path in a small world of boxes.

`Robot(RobotConfig()).events(duration_sec)` gives its messages in publish order without ROS;
`ros/sim_node.py` publishes them. The path, the world, every sweep, the pose of every sensor and
the points without smear are there as ground truth.
"""

from robocache_ros.sim.config import (
    CameraConfig,
    ImuConfig,
    JointsConfig,
    LidarConfig,
    OdometryConfig,
    RearLidarConfig,
    RobotConfig,
    SensorConfig,
)
from robocache_ros.sim.path import Path
from robocache_ros.sim.rigid import Rigid
from robocache_ros.sim.robot import Event, Robot, Shot
from robocache_ros.sim.world import Box, World

__all__ = [
    'Box',
    'CameraConfig',
    'Event',
    'ImuConfig',
    'JointsConfig',
    'LidarConfig',
    'OdometryConfig',
    'Path',
    'RearLidarConfig',
    'Rigid',
    'Robot',
    'RobotConfig',
    'SensorConfig',
    'Shot',
    'World',
]
