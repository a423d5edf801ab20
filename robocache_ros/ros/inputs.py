# Copyright 2026 the robocache_ros authors
# SPDX-License-Identifier: Apache-2.0
"""All subscriptions of a node, and the timer that watches who publishes to them."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from rclpy.clock import Clock, ClockType
from rclpy.node import Node

from robocache_ros.config import Config
from robocache_ros.pipeline import Pipeline
from robocache_ros.ros.input import Input

# How often publishers are looked up: each look costs the executor about 0.5 ms, and with the
# wrong reliability large messages are lost, so often while things change and rarely after.
_QUICK_SEC = 0.1
_SLOW_SEC = 1.0
_QUICK_LOOKS = 50


class Inputs:
    """All subscriptions of a node, and the timer that watches their publishers."""

    def __init__(
        self, node: Node, config: Config, pipeline: Pipeline, on_sample: Callable[[], None]
    ) -> None:
        """Subscribe to every source; `on_sample` is called after each message."""
        self._node = node
        self._quiet_looks = 0
        clock = Clock(clock_type=ClockType.STEADY_TIME)  # a paused simulation stops no discovery
        self._timer = node.create_timer(_QUICK_SEC, self._look, clock=clock)
        self._inputs: dict[str, Input] = {}
        try:
            for source in config.sources:
                one = Input(node, source, pipeline, on_sample, self._look_soon)
                self._inputs[source.name] = one
        except Exception:
            self.destroy()  # nobody else could
            raise

    def __iter__(self) -> Iterator[Input]:
        return iter(self._inputs.values())

    def __getitem__(self, source: str) -> Input:
        return self._inputs[source]

    def set_active(self, active: bool) -> None:
        """Let messages through to the pipeline, or ignore them."""
        for each in self:
            each.active = active

    def destroy(self) -> None:
        """Unsubscribe from everything; in the executor's thread."""
        self._node.destroy_timer(self._timer)
        for each in self:
            each.destroy()

    def _look(self) -> None:
        changed = [each.look() for each in self]
        self._quiet_looks = 0 if any(changed) else self._quiet_looks + 1
        if self._quiet_looks == _QUICK_LOOKS:
            self._timer.timer_period_ns = round(_SLOW_SEC * 1e9)

    def _look_soon(self) -> None:
        self._quiet_looks = 0
        self._timer.timer_period_ns = round(_QUICK_SEC * 1e9)
        self._timer.reset()
