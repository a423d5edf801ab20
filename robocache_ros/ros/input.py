# Copyright 2026 the robocache_ros authors
# SPDX-License-Identifier: Apache-2.0
"""One subscription: its messages become samples, its publishers are watched."""

from __future__ import annotations

import importlib
import time
import traceback
from collections.abc import Callable
from functools import partial
from typing import Any

from rcl_interfaces.msg import ParameterDescriptor
from rclpy.node import Node
from rclpy.qos import HistoryPolicy, QoSPolicyKind, QoSProfile, ReliabilityPolicy
from rclpy.qos_overriding_options import QoSOverridingOptions

from robocache_ros.codec.stamp import stamp_ns
from robocache_ros.config import ConfigError, FieldsSource, SourceConfig
from robocache_ros.decoding import Decoder, check_paths, frame_of
from robocache_ros.pipeline import Pipeline
from robocache_ros.reasons import Reason, Rejected
from robocache_ros.ros.events import (
    NO_SUBSCRIPTION_EVENTS,
    SubscriptionEventCallbacks,
    UnsupportedEventTypeError,
)
from robocache_ros.ros.peers import refused_by
from robocache_ros.ros.rhythm import Rhythm

RELIABILITY = {
    'reliable': ReliabilityPolicy.RELIABLE,
    'best_effort': ReliabilityPolicy.BEST_EFFORT,
}
# The rest of the profile may be overridden as anywhere in ROS; reliability is ours, see _policy.
OVERRIDABLE = (QoSPolicyKind.HISTORY, QoSPolicyKind.DEPTH, QoSPolicyKind.DURABILITY)


class Input:
    """
    One source: its subscription, the messages on it, and who publishes them.

    Everything runs in the executor's thread. A message becomes a sample of the pipeline or is
    rejected with a reason; nothing is raised.
    """

    def __init__(
        self,
        node: Node,
        source: SourceConfig,
        pipeline: Pipeline,
        on_sample: Callable[[], None],
    ) -> None:
        """
        Subscribe.

        Args:
            node: owns the subscription.
            source: what to subscribe to.
            pipeline: takes the samples.
            on_sample: called after each sample.

        Raises:
            ConfigError: for an override of the QoS that is none, and where the package of the
                message is not installed.
        """
        self.source = source
        self.active = False
        self.publishers = 0
        self.published_since_ns: int | None = None  # monotonic
        self.other_types: tuple[str, ...] = ()
        self.incompatible = ''
        self.lost = 0
        self.errors = 0
        self.last_error = ''
        self._node = node
        self._pipeline = pipeline
        self._on_sample = on_sample
        self._message_type = message_type(source)
        self.type_name = source.message
        self._decode = Decoder(source, pipeline.config.deskew, self._tell)
        self._point_clock = self._decode.point_clock
        self.told: set[str] = set()  # keys of the reasons that the log has named
        self._rejecting = False
        self.rhythm = Rhythm()
        self.topic = node.resolve_topic_name(source.topic)
        self._policy = _policy(node, source, self.topic)
        self._asked = f'{source.name}.qos'
        if self._policy != source.qos:
            self._asked = _override(self.topic)
        self._subscription: Any = None
        self._reliability: ReliabilityPolicy
        # As suits those that are known already: to change that later costs up to a second.
        self._subscribe(self._suited(self._publishers_of_ours()[0]))

    @property
    def qos(self) -> str:
        """Reliability in effect, and whether it was chosen here."""
        name = self._reliability.name.lower()
        return f'{name} (auto)' if self._policy == 'auto' else name

    @property
    def point_time(self) -> str:
        """How the times of points are read; '' where they are not, or not known yet."""
        return '' if self._point_clock is None else self._point_clock.describe()

    def look(self) -> None:
        """Look up the publishers and subscribe as suits them."""
        ours, others = self._publishers_of_ours()
        self.other_types = tuple(sorted({p.topic_type for p in others}))
        if ours and not self.publishers:
            self.published_since_ns = time.monotonic_ns()
        self.publishers = len(ours)
        if ours:
            self._subscribe(self._suited(ours))
        self.incompatible = refused_by(
            ours, self._subscription.qos_profile, self.topic, self._asked
        )

    def elsewhere(self) -> tuple[str, ...]:
        """Return other topics that somebody else publishes our type of message on."""
        own = self._node.get_fully_qualified_name() + '/'
        return tuple(
            topic
            for topic, types in self._node.get_topic_names_and_types()
            if self.type_name in types and topic != self.topic and not topic.startswith(own)
            if self._node.count_publishers(topic)
        )

    def destroy(self) -> None:
        """Unsubscribe; in the executor's thread."""
        self._node.destroy_subscription(self._subscription)

    def _publishers_of_ours(self) -> tuple[list[Any], list[Any]]:
        """Return who publishes our type on the topic, and who another one."""
        found = self._node.get_publishers_info_by_topic(self.source.topic)
        ours = [p for p in found if p.topic_type == self.type_name]
        return ours, [p for p in found if p not in ours]

    def _suited(self, publishers: list[Any]) -> ReliabilityPolicy:
        """Return what gets through from all of these; best effort matches every publisher."""
        if self._policy != 'auto':
            return RELIABILITY[self._policy]
        offered = {p.qos_profile.reliability for p in publishers}
        return RELIABILITY['reliable' if offered == {RELIABILITY['reliable']} else 'best_effort']

    def _subscribe(self, reliability: ReliabilityPolicy) -> None:
        if self._subscription is not None:
            if reliability == self._reliability:
                return
            self.destroy()
            self._subscription = None  # if subscribing fails, the next look tries again
        self._reliability = reliability
        subscribe = partial(
            self._node.create_subscription,
            self._message_type,
            self.source.topic,
            self._on_message,
            QoSProfile(
                history=HistoryPolicy.KEEP_LAST, depth=self.source.depth, reliability=reliability
            ),
            qos_overriding_options=QoSOverridingOptions(OVERRIDABLE),
        )
        try:
            self._subscription = subscribe(event_callbacks=self._events())
        except UnsupportedEventTypeError:  # not every middleware can tell
            self._subscription = subscribe(event_callbacks=NO_SUBSCRIPTION_EVENTS)

    def _events(self) -> SubscriptionEventCallbacks:
        # No more than needed, see events.py.
        return SubscriptionEventCallbacks(message_lost=self._on_lost, use_default_callbacks=False)

    def _on_message(self, message: Any) -> None:
        if not self.active:
            return
        arrival_ns = time.monotonic_ns()
        try:
            t_ns, sample = self._decode(message, self._stamp_of(message))
            self.rhythm.note(arrival_ns, t_ns, time.monotonic_ns() - arrival_ns)
            self._pipeline.push(arrival_ns, self.source.name, t_ns, sample, frame_of(message))
            self._on_sample()
        except Rejected as rejected:
            self._pipeline.reject(self.source.name, rejected.reason)
            self._complain(rejected)
        # A bug of this package. It must not end the executor, and must not go unnoticed.
        except Exception as error:
            self._failed(error)
        else:
            self._recovered()

    def _stamp_of(self, message: Any) -> int:
        if self.source.stamp == 'header':
            return stamp_ns(message.header)
        now_ns = self._node.get_clock().now().nanoseconds
        if now_ns == 0:
            raise Rejected(Reason.CLOCK_UNSET, 'use_sim_time is set, and /clock is silent')
        return int(now_ns)

    def _tell(self, reason: Reason | None, sentence: str) -> None:
        """Log what was found out about the source, or why something of it can not be used."""
        if reason is None:
            self._node.get_logger().info(sentence)
        else:
            self.told.add(reason.key)
            self._node.get_logger().warning(sentence)

    def _complain(self, rejected: Rejected) -> None:
        """Warn about the first message of each reason; diagnostics count the others."""
        reason = rejected.reason
        if reason.key in self.told:
            return
        self.told.add(reason.key)
        self._rejecting = True
        self._node.get_logger().warning(
            f'{self.source.name}: dropped a message on {self.topic} ({reason.key}: '
            f'{rejected.detail}). {reason.fix} Said once, counted in /diagnostics.'
        )

    def _recovered(self) -> None:
        if self._rejecting:
            self._rejecting = False
            self._node.get_logger().info(
                f'{self.source.name}: messages on {self.topic} are good again.'
            )

    def _failed(self, error: Exception) -> None:
        self.errors += 1
        self.last_error = f'{type(error).__name__}: {error}'
        if self.errors == 1:
            self._node.get_logger().error(
                f'{self.source.name}: a message on {self.topic} could not be handled, which is a '
                f'bug in robocache_ros; please report it. {traceback.format_exc()}'
            )

    def _on_lost(self, event: Any) -> None:
        if self.active:
            self.lost += event.total_count_change


def _policy(node: Node, source: SourceConfig, topic: str) -> str:
    """
    Return `S.qos`, unless ROS's own parameter for overriding the QoS of a topic is given.

    rclpy's QoSOverridingOptions would freeze the reliability of the first subscription, which
    `auto` has to change, so this one policy is read here.
    """
    name = _override(topic)
    if not node.has_parameter(name):
        about = f'Overrides {source.name}.qos: auto, reliable or best_effort.'
        node.declare_parameter(
            name, source.qos, ParameterDescriptor(description=about, read_only=True)
        )
    policy = str(node.get_parameter(name).value)
    if policy != 'auto' and policy not in RELIABILITY:
        raise ConfigError(f'{name} must be auto, reliable or best_effort, not {policy!r}')
    return policy


def _override(topic: str) -> str:
    return f'qos_overrides.{topic}.subscription.reliability'


def message_type(source: SourceConfig) -> type:
    """Return the message of a source, whose package may have to be installed."""
    package, _, name = source.message.split('/')
    try:
        module = importlib.import_module(f'{package}.msg')
    except ImportError as error:
        raise ConfigError(
            f'{source.name}.type {source.type} needs the package {package}, which is not '
            f'installed: `apt install ros-$ROS_DISTRO-{package.replace("_", "-")}`, or source the '
            f'workspace that has it, or take {source.name} out of sources'
        ) from error
    found: type | None = getattr(module, name, None)
    if found is None:
        raise ConfigError(
            f'{source.name}.type {source.type} needs {source.message}, which the package '
            f'{package} that is installed does not have'
        )
    if isinstance(source, FieldsSource):
        check_paths(source, found())  # before the first message comes
    return found
