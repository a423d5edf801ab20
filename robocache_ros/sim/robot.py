# Copyright 2026 the robocache_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The simulated robot: sensors on a path through the world, and their messages in order."""

from __future__ import annotations

import heapq
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any, NamedTuple

import numpy as np

from robocache_ros.sim import messages
from robocache_ros.sim.camera import Camera
from robocache_ros.sim.config import SOURCES, RobotConfig
from robocache_ros.sim.imu import Imu
from robocache_ros.sim.joints import joints_at
from robocache_ros.sim.lidar import Lidar, Sweep
from robocache_ros.sim.loop import Loop
from robocache_ros.sim.path import Path
from robocache_ros.sim.timing import releases
from robocache_ros.sim.world import World

START_NS = 1_000_000_000_000  # stamp of robot time 0 for those without a clock of their own


class Shot(NamedTuple):
    """A message that is due but not yet made; times in ns since the start of the robot."""

    publish_ns: int
    source: str
    capture_ns: int


class Event(NamedTuple):
    """A message and when it is published, in the clock of its stamp."""

    publish_ns: int
    source: str
    message: Any  # attributes as the sensor_msgs type


class Robot:
    """
    All sensors together. Same configuration and world, same messages to the byte.

    Ground truth: `path` at path time (seconds since the start of the robot), `world`, `sweep`,
    `camera`. Clouds and images show the path time `rendered_sec`, see Loop.
    """

    def __init__(self, config: RobotConfig | None = None, world: World | None = None) -> None:
        self.config = config = RobotConfig() if config is None else config
        self.world = World() if world is None else world
        self.path = Path(config.semi_axes, config.loop_sec, config.turns)
        self.lidar = Lidar(config.lidar)
        self.camera = Camera(config.camera)
        self.imu = Imu(config.imu)
        self._loops = {
            'lidar': Loop(config.lidar, config.loop_sec, self._cloud),
            'camera': Loop(config.camera, config.loop_sec, self._image),
        }
        self._bodies = {
            'lidar': self._loops['lidar'].body,
            'camera': self._loops['camera'].body,
            'imu': self._motion,
            'joints': self._joints,
        }

    def events(
        self, duration_sec: float | None = None, start_ns: int = START_NS
    ) -> Iterator[Event]:
        """Messages in the order of their publication, for ever without a duration."""
        for publish_ns, source, capture_ns in self.shots(duration_sec):
            message = self.message(source, capture_ns, start_ns + capture_ns)
            yield Event(start_ns + publish_ns, source, message)

    def shots(self, duration_sec: float | None = None) -> Iterator[Shot]:
        """When which message is due; those lost and those due after the duration are left out."""
        for publish_ns, number, capture_ns, dropped in heapq.merge(
            *(self._track(number) for number in range(len(SOURCES)))
        ):
            if duration_sec is not None and publish_ns >= duration_sec * 1e9:
                return
            if not dropped:
                yield Shot(publish_ns, SOURCES[number], capture_ns)

    def message(self, source: str, capture_ns: int, stamp_ns: int) -> SimpleNamespace:
        """Make the message of a source measured at robot time `capture_ns`."""
        frame_id = getattr(getattr(self.config, source), 'frame_id', '')
        body = self._bodies[source](capture_ns * 1e-9)
        return SimpleNamespace(header=messages.header(stamp_ns, frame_id), **body)

    def prerender(self) -> Iterator[None]:
        """Render everything that is reused, one piece per step; left out, it happens on demand."""
        for loop in self._loops.values():
            for number in range(len(loop)):
                loop.slot(number)
                yield

    def rendered_sec(self, source: str, capture_ns: int) -> float:
        """Path time that a message shows."""
        t = capture_ns * 1e-9
        return self._loops[source].rendered_sec(t) if source in self._loops else t

    def sweep(self, start_sec: float) -> Sweep:
        """Measure one sweep from scratch, with its truth."""
        return self.lidar.sweep(self.world, self.path, start_sec)

    def _track(self, number: int) -> Iterator[tuple[int, int, int, bool]]:
        config = getattr(self.config, SOURCES[number])
        exposure_ns = round(self.lidar.sweep_sec * 1e9) if SOURCES[number] == 'lidar' else 0
        for release in releases(config, [self.config.seed, number], exposure_ns):
            yield release.publish_ns, number, release.capture_ns, release.dropped

    def _cloud(self, t: float) -> dict[str, Any]:
        return messages.cloud_body(self.sweep(t))

    def _image(self, t: float) -> dict[str, Any]:
        return messages.image_body(self.camera.render(self.world, self.path, t))

    def _motion(self, t: float) -> dict[str, Any]:
        config = self.config.imu
        # Noise is a function of seed and time alone, whatever was measured before.
        random = np.random.default_rng([self.config.seed, len(SOURCES), max(0, round(t * 1e9))])
        motion = self.imu.measure(self.path, t, random)
        return messages.imu_body(motion, config.gyro_noise, config.accel_noise)

    def _joints(self, t: float) -> dict[str, Any]:
        return messages.joints_body(joints_at(self.path, t))
