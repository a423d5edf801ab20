# Copyright 2026 the robocache_ros authors
# SPDX-License-Identifier: Apache-2.0
"""All subscriptions of a node, and the timer that watches who publishes to them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack

from rclpy.clock import Clock, ClockType
from rclpy.node import Node

from robocache_ros.config import Config
from robocache_ros.pipeline import Pipeline
from robocache_ros.ros.camera_infos import CameraInfoInput, camera_infos
from robocache_ros.ros.input import Input
from robocache_ros.ros.transforms import Transforms

# How often publishers are looked up. A look costs the executor about 0.5 ms; until it, messages
# of a publisher that is new may be lost, because the reliability does not suit it.
_LOOK_SEC = 0.25


class Inputs:
    """All subscriptions of a node, and the timer that watches their publishers."""

    def __init__(
        self, node: Node, config: Config, pipeline: Pipeline, on_sample: Callable[[], None]
    ) -> None:
        """Subscribe to all that the sources need; `on_sample` is called after each message."""
        clock = Clock(clock_type=ClockType.STEADY_TIME)  # a paused simulation stops no discovery
        self._inputs: dict[str, Input] = {}
        self.cameras: dict[str, CameraInfoInput] = {}
        with ExitStack() as made:
            timer = node.create_timer(_LOOK_SEC, self._look, clock=clock)
            made.callback(node.destroy_timer, timer)
            for source in config.sources:
                one = self._inputs[source.name] = Input(node, source, pipeline, on_sample)
                made.callback(one.destroy)
            for camera in camera_infos(node, config, pipeline):
                self.cameras[camera.source.name] = camera
                made.callback(camera.destroy)
            self.transforms = Transforms.of(node, config, pipeline, on_sample)
            if self.transforms is not None:
                made.callback(self.transforms.destroy)
            self._made = made.pop_all()

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
        self._made.close()

    def _look(self) -> None:
        for each in (*self, *self.cameras.values()):
            each.look()
