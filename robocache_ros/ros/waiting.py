# Copyright 2026 the robocache_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Messages that wait on a subscription, taken without waking the executor for each of them."""

from __future__ import annotations

from typing import Any

from rclpy.callback_groups import CallbackGroup


def waiting_on(subscription: Any, most: int) -> list[Any]:
    """Return up to `most` messages, the oldest first; in the executor's thread."""
    messages: list[Any] = []
    while len(messages) < most:
        with subscription.handle:
            taken = subscription.handle.take_message(subscription.msg_type, False)
        if taken is None:
            break
        messages.append(taken[0])
    return messages


class Door(CallbackGroup):
    """Of a subscription that the executor waits for only while it is open."""

    open = True

    def can_execute(self, entity: Any) -> bool:
        """Whether a callback may be called now."""
        return self.open

    def beginning_execution(self, entity: Any) -> bool:
        """Whether it may still be, now that a message is there."""
        return self.open

    def ending_execution(self, entity: Any) -> None:
        """Nothing to be done after it."""
