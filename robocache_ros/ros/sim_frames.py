# Copyright 2026 the robocache_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The frames of the simulated robot on /tf and /tf_static, for RViz and whoever reads them."""

from __future__ import annotations

from typing import Any

from geometry_msgs.msg import Quaternion, Transform, TransformStamped, Vector3
from nav_msgs.msg import Odometry
from rclpy.node import Node
from rclpy.qos import DurabilityPolicy, QoSProfile
from std_msgs.msg import Header

from robocache_ros.sim import Robot
from robocache_ros.sim.config import SOURCES
from robocache_ros.sim.rigid import quaternion_of

NO_TF = (
    'publish_tf needs tf2_msgs, which comes with an installation of ROS 2 and is on no package '
    'index: /tf and /tf_static are not published'
)


class SimFrames:
    """Says once where the sensors are on the platform, and with each odometry where that is."""

    def __init__(self, node: Node, robot: Robot, message: type[Any]) -> None:
        """Publish what is fixed; `message` is tf2_msgs/TFMessage."""
        self._message = message
        latched = QoSProfile(depth=1, durability=DurabilityPolicy.TRANSIENT_LOCAL)
        self._fixed = node.create_publisher(message, '/tf_static', latched)
        self._moving = node.create_publisher(message, '/tf', 100)
        self._fixed.publish(message(transforms=mounted(robot)))

    @classmethod
    def of(cls, node: Node, robot: Robot) -> SimFrames | None:
        """Return those of a robot; None, and a warning, where their message is not installed."""
        try:
            from tf2_msgs.msg import TFMessage
        except ImportError:
            node.get_logger().warning(NO_TF)
            return None
        return cls(node, robot, TFMessage)

    def moved(self, odometry: Odometry) -> None:
        """Publish the pose of an odometry."""
        self._moving.publish(self._message(transforms=[moved(odometry)]))


def mounted(robot: Robot) -> list[TransformStamped]:
    """Return where the sensors that are on are, in the frame of the platform."""
    base = robot.config.odom.child_frame_id
    found = []
    for source in SOURCES:
        config = getattr(robot.config, source)
        if source in ('joints', 'odom') or not config.rate_hz:
            continue
        (x, y, z), rpy = robot.mounting(source)
        qx, qy, qz, qw = quaternion_of(rpy)
        place = Transform(
            translation=Vector3(x=x, y=y, z=z), rotation=Quaternion(x=qx, y=qy, z=qz, w=qw)
        )
        header = Header(frame_id=base)  # what is fixed needs no time
        found.append(
            TransformStamped(header=header, child_frame_id=config.frame_id, transform=place)
        )
    return found


def moved(odometry: Odometry) -> TransformStamped:
    """Return the pose of an odometry as a transform."""
    pose = odometry.pose.pose
    at = pose.position
    place = Transform(translation=Vector3(x=at.x, y=at.y, z=at.z), rotation=pose.orientation)
    return TransformStamped(
        header=odometry.header, child_frame_id=odometry.child_frame_id, transform=place
    )
