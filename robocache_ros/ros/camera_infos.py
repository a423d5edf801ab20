# Copyright 2026 the robocache_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The subscriptions to the CameraInfo of the cameras that paint."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from rclpy.node import Node
from rclpy.qos import DurabilityPolicy, QoSProfile, ReliabilityPolicy
from sensor_msgs.msg import CameraInfo

from robocache_ros.camera_reader import CameraReader, told_cameras
from robocache_ros.config import Config, ImageSource
from robocache_ros.pipeline import Pipeline
from robocache_ros.ros.events import NO_SUBSCRIPTION_EVENTS
from robocache_ros.ros.waiting import Door, waiting_on


class CameraInfoInput:
    """
    The CameraInfo of one camera, also read while the node is inactive.

    It says the same with every image: the newest is taken whenever somebody looks, which wakes
    the executor for none of them.
    """

    def __init__(self, node: Node, source: ImageSource, pipeline: Pipeline) -> None:
        """Subscribe."""
        self.source = source
        self.topic = node.resolve_topic_name(source.camera_info_topic)
        self.publishers = 0
        self._node = node
        self._reader = CameraReader(pipeline, source, node.get_logger().warning)
        self._door = Door()
        self._door.open = False
        self._subscription: Any = None
        self._durability: DurabilityPolicy | None = None
        self._subscribe(DurabilityPolicy.VOLATILE)

    @property
    def problem(self) -> str:
        """Why the newest CameraInfo can not be used; '' if it can."""
        return self._reader.problem

    def look(self) -> None:
        """Take what has come, and subscribe as suits the publishers."""
        for message in waiting_on(self._subscription, 1):
            self._reader.read(message)
        found = self._node.get_publishers_info_by_topic(self.source.camera_info_topic)
        self.publishers = len(found)
        # Of one that tells it only once, and keeps it for those who come later.
        kept = {p.qos_profile.durability for p in found} == {DurabilityPolicy.TRANSIENT_LOCAL}
        self._subscribe(DurabilityPolicy.TRANSIENT_LOCAL if kept else DurabilityPolicy.VOLATILE)

    def destroy(self) -> None:
        """Unsubscribe; in the executor's thread."""
        self._node.destroy_subscription(self._subscription)

    def _subscribe(self, durability: DurabilityPolicy) -> None:
        if durability == self._durability:
            return
        if self._subscription is not None:
            self.destroy()
        self._durability = durability
        kept = durability == DurabilityPolicy.TRANSIENT_LOCAL  # which is of use only if reliable
        reliability = ReliabilityPolicy.RELIABLE if kept else ReliabilityPolicy.BEST_EFFORT
        self._subscription = self._node.create_subscription(
            CameraInfo,
            self.source.camera_info_topic,
            self._reader.read,
            QoSProfile(depth=1, durability=durability, reliability=reliability),
            callback_group=self._door,
            event_callbacks=NO_SUBSCRIPTION_EVENTS,
        )


def camera_infos(node: Node, config: Config, pipeline: Pipeline) -> Iterator[CameraInfoInput]:
    """Subscribe to the CameraInfo of every camera that needs one."""
    for source in told_cameras(config):
        yield CameraInfoInput(node, source, pipeline)
