# Copyright 2026 the robocache_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The subscriptions to /tf and /tf_static, where a configuration depends on them."""

from __future__ import annotations

import time
import traceback
from collections.abc import Callable
from contextlib import ExitStack
from functools import partial
from typing import Any

from rclpy.clock import Clock, ClockType
from rclpy.node import Node
from rclpy.qos import DurabilityPolicy, QoSProfile

from robocache_ros.config import Config
from robocache_ros.pipeline import Pipeline
from robocache_ros.ros.events import NO_SUBSCRIPTION_EVENTS
from robocache_ros.ros.waiting import Door, waiting_on
from robocache_ros.transforms import (
    TF,
    TF_STATIC,
    TransformReader,
    asked_of_transforms,
    reads_transforms,
)

_DEPTH = 100  # as of tf2_ros
# Waking up costs rclpy 0.4 ms: at every message of a /tf of 1 kHz that is half a core. So what
# comes more often than this is taken in bursts.
_BURST_SEC = 0.01


class Transforms:
    """
    Reads /tf and /tf_static, also while the node is inactive: what is fixed is told only once.

    Everything runs in the executor's thread; nothing is raised.
    """

    def __init__(
        self,
        node: Node,
        config: Config,
        pipeline: Pipeline,
        on_transforms: Callable[[], None],
        message: type[Any] | None,
    ) -> None:
        """
        Subscribe, or warn that there is nothing to subscribe with.

        Args:
            node: owns the subscriptions.
            config: what the transforms are needed for.
            pipeline: takes them.
            on_transforms: called after each message.
            message: tf2_msgs/TFMessage; None where it is not installed.
        """
        self.absent = '' if message is not None else _without_messages(config)
        self.errors = 0
        self.last_error = ''
        self._node = node
        self._made = ExitStack()
        self._on_transforms = on_transforms
        self._door = Door()
        self._moved_at = 0.0  # seconds
        self.reader = TransformReader(pipeline, self._tell)
        if message is None:
            node.get_logger().warning(self.absent)
            return
        with ExitStack() as made:
            fixed = node.create_subscription(
                message,
                TF_STATIC,
                partial(self.take, static=True),
                QoSProfile(depth=_DEPTH, durability=DurabilityPolicy.TRANSIENT_LOCAL),
                event_callbacks=NO_SUBSCRIPTION_EVENTS,
            )
            made.callback(node.destroy_subscription, fixed)
            self._moving = node.create_subscription(
                message,
                TF,
                self._on_moving,
                QoSProfile(depth=_DEPTH),
                callback_group=self._door,
                event_callbacks=NO_SUBSCRIPTION_EVENTS,
            )
            made.callback(node.destroy_subscription, self._moving)
            clock = Clock(clock_type=ClockType.STEADY_TIME)  # a paused simulation may send too
            self._timer = node.create_timer(_BURST_SEC, self._look, clock=clock)
            made.callback(node.destroy_timer, self._timer)
            self._timer.cancel()
            self._made = made.pop_all()

    @classmethod
    def of(
        cls, node: Node, config: Config, pipeline: Pipeline, on_transforms: Callable[[], None]
    ) -> Transforms | None:
        """Return the subscriptions; None where nothing depends on transforms."""
        message = _message_type()
        if not (asked_of_transforms(config) or (message and reads_transforms(config))):
            return None
        return cls(node, config, pipeline, on_transforms, message)

    def take(self, message: Any, static: bool) -> None:
        """Take a message of /tf, or of /tf_static."""
        try:
            self.reader.read(time.monotonic_ns(), message, static)
        # A bug of this package. It must not end the executor, and must not go unnoticed.
        except Exception as error:
            self._failed(error)
        self._on_transforms()

    def destroy(self) -> None:
        """Unsubscribe; in the executor's thread."""
        self._made.close()

    def _on_moving(self, message: Any) -> None:
        """Take a message of /tf, and let those that follow on its heels wait for the next look."""
        self.take(message, static=False)
        before, self._moved_at = self._moved_at, time.monotonic()
        if self._moved_at - before < _BURST_SEC:
            self._door.open = False
            self._timer.reset()

    def _look(self) -> None:
        """Take what has come on /tf since the last look; if nothing has, wait for it again."""
        taken = waiting_on(self._moving, _DEPTH)
        for message in taken:
            self.take(message, static=False)
        if not taken:
            self._door.open = True
            self._timer.cancel()

    def _tell(self, sentence: str) -> None:
        self._node.get_logger().warning(f'transforms: {sentence}')

    def _failed(self, error: Exception) -> None:
        self.errors += 1
        self.last_error = f'{type(error).__name__}: {error}'
        if self.errors == 1:
            self._node.get_logger().error(
                'transforms: a message could not be handled, which is a bug in robocache_ros; '
                f'please report it. {traceback.format_exc()}'
            )


def _message_type() -> type[Any] | None:
    try:
        from tf2_msgs.msg import TFMessage
    except ImportError:
        return None
    found: type[Any] = TFMessage
    return found


def _without_messages(config: Config) -> str:
    """Say what can not be known without tf2_msgs."""
    return (
        'tf2_msgs is not installed (it comes with an installation of ROS 2 and is on no package '
        'index), so nothing is read from /tf and /tf_static, and only `extrinsic` tells where '
        f'sensors are. Not known: {", ".join(asked_of_transforms(config))}.'
    )
