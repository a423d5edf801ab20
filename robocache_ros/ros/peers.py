# Copyright 2026 the robocache_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Publishers that a subscription can not hear, because of what they offer."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from rclpy.qos import (
    DurabilityPolicy,
    QoSCompatibility,
    QoSProfile,
    ReliabilityPolicy,
    qos_check_compatible,
)

_UNNAMED = '_NODE_NAME_UNKNOWN_'  # of rmw, while the node is not discovered or if it is none


def refused_by(publishers: Sequence[Any], wanted: QoSProfile, topic: str, asked: str) -> str:
    """
    Say which publisher the middleware does not connect us with, its profile, and the fix.

    Args:
        publishers: what the graph tells of each, as rclpy.topic_endpoint_info has it.
        wanted: profile of the subscription.
        topic: full name.
        asked: parameter that sets the reliability.

    Returns:
        '' where all is well.
    """
    refusing = [
        publisher
        for publisher in publishers
        if qos_check_compatible(publisher.qos_profile, wanted)[0] == QoSCompatibility.ERROR
    ]
    if not refusing:
        return ''
    offered = refusing[0].qos_profile
    profile = f'{_word(offered.reliability)} and {_word(offered.durability)}'
    others = f' (as {len(refusing) - 1} more)' if len(refusing) > 1 else ''
    why = _why(offered, wanted, topic, asked)
    return f'{_name(refusing[0])} publishes {topic} as {profile}{others}, but {why}.'


def _why(offered: QoSProfile, wanted: QoSProfile, topic: str, asked: str) -> str:
    if (offered.reliability, wanted.reliability) == (
        ReliabilityPolicy.BEST_EFFORT,
        ReliabilityPolicy.RELIABLE,
    ):
        return f'`{asked}` asks for reliable: set it to auto'
    if (offered.durability, wanted.durability) == (
        DurabilityPolicy.VOLATILE,
        DurabilityPolicy.TRANSIENT_LOCAL,
    ):
        return (
            f'`qos_overrides.{topic}.subscription.durability` asks for transient_local: set it to '
            'volatile'
        )
    return 'its deadline or liveliness is not what a subscription asks for: make it the default'


def _name(publisher: Any) -> str:
    if publisher.node_name == _UNNAMED:
        return 'A publisher without a node'
    return f'{publisher.node_namespace.rstrip("/")}/{publisher.node_name}'


def _word(policy: Any) -> str:
    return str(policy.name).lower()
