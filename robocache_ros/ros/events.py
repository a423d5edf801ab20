# Copyright 2026 the robocache_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Events of the middleware, wherever this rclpy keeps them, and how to do without."""

from __future__ import annotations

try:
    from rclpy.event_handler import (
        PublisherEventCallbacks,
        SubscriptionEventCallbacks,
        UnsupportedEventTypeError,
    )
except ImportError:  # Humble
    from rclpy.qos_event import (
        PublisherEventCallbacks,
        SubscriptionEventCallbacks,
        UnsupportedEventTypeError,
    )

__all__ = [
    'NO_PUBLISHER_EVENTS',
    'NO_SUBSCRIPTION_EVENTS',
    'SubscriptionEventCallbacks',
    'UnsupportedEventTypeError',
]

# rclpy adds one or two handlers to everything it makes, which the executor then walks through at
# every message: with an IMU at 400 Hz and six publishers a quarter of its time.
NO_PUBLISHER_EVENTS = PublisherEventCallbacks(use_default_callbacks=False)
NO_SUBSCRIPTION_EVENTS = SubscriptionEventCallbacks(use_default_callbacks=False)
