# Copyright 2026 the robocache_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The simulated robot: sensors on a path through the world, and their messages in order."""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterator
from functools import partial
from types import SimpleNamespace
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from robocache_ros.sim import messages
from robocache_ros.sim.camera import Camera
from robocache_ros.sim.config import SOURCES, RobotConfig
from robocache_ros.sim.imu import Imu
from robocache_ros.sim.joints import joints_at
from robocache_ros.sim.lidar import Lidar, Sweep
from robocache_ros.sim.loop import Loop
from robocache_ros.sim.odometry import Odometry
from robocache_ros.sim.path import Path
from robocache_ros.sim.rigid import Angles, Rigid, Triple, rotation_of, turned
from robocache_ros.sim.time_field import STAMPS_AT, date, with_time_field
from robocache_ros.sim.timing import releases
from robocache_ros.sim.world import World

LIDARS = ('lidar', 'lidar_rear')
CAMERA_INFO, LABELS, COMPRESSED = 'camera_info', 'camera_labels', 'camera_compressed'
BASE = 'base'  # the frame of the platform, among those of the sensors
_IMU_NOISE, _ODOMETRY_NOISE = 4, 5  # numbers of their random streams
_ZERO = (0.0, 0.0, 0.0)
_OPTICAL = (-np.pi / 2, 0.0, -np.pi / 2)  # z ahead, x right, y down
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
    message: Any  # attributes as the ROS type


class Robot:
    """
    All sensors together. Same configuration and world, same messages to the byte.

    Ground truth: `path` at path time (seconds since the start of the robot), `world`, `sweep`,
    `camera`, `pose`, `true_points`, `true_colors`. Clouds and images show the path time
    `rendered_sec`, see Loop.
    """

    def __init__(self, config: RobotConfig | None = None, world: World | None = None) -> None:
        self.config = config = RobotConfig() if config is None else config
        self.world = World() if world is None else world
        self.path = Path(config.semi_axes, config.loop_sec, config.turns)
        self.lidars = {name: Lidar(getattr(config, name)) for name in LIDARS}
        self.lidar = self.lidars['lidar']
        self.camera = Camera(config.camera)
        self.imu = Imu(config.imu)
        self.odometry = Odometry(config.odom)
        self._loops = {
            'lidar': Loop(config.lidar, config.loop_sec, partial(self._cloud, 'lidar')),
            'camera': Loop(config.camera, config.loop_sec, self._images),
            'lidar_rear': Loop(
                config.lidar_rear, config.loop_sec, partial(self._cloud, 'lidar_rear')
            ),
        }
        images = self._loops['camera'].body
        self._bodies: dict[str, Callable[[float], dict[str, Any]]] = {
            **{name: self._loops[name].body for name in LIDARS},
            **{name: partial(_part, images, name) for name in ('camera', LABELS, COMPRESSED)},
            CAMERA_INFO: self._calibration,
            'imu': self._motion,
            'joints': self._joints,
            'odom': self._odometry,
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

    def message(self, source: str, capture_ns: int, start_ns: int) -> SimpleNamespace:
        """
        Make the message of a source, or of one of its companions, measured at `capture_ns`.

        `start_ns`: the same time on the clock of the stamps. The header of a cloud is later by
        what its `stamp_at` says.
        """
        sensor = 'camera' if source in (CAMERA_INFO, LABELS, COMPRESSED) else source
        frame_id = getattr(getattr(self.config, sensor), 'frame_id', '')
        body = self._bodies[source](capture_ns * 1e-9)
        stamp_ns = start_ns
        if source in self.lidars:
            body = date(body, self.lidars[source].config.time_field, start_ns)
            stamp_ns += round(self._header_sec(source) * 1e9)
        return SimpleNamespace(header=messages.header(stamp_ns, frame_id), **body)

    def companions(self, source: str) -> tuple[str, ...]:
        """What else `message` makes of the same moment: the calibration of a camera, and so on."""
        if source != 'camera':
            return ()
        wanted = {
            CAMERA_INFO: True,
            LABELS: self.config.camera.labels,
            COMPRESSED: self.config.camera.jpeg_quality,
        }
        return tuple(name for name, on in wanted.items() if on)

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

    def sweep(self, start_sec: float, source: str = 'lidar') -> Sweep:
        """Measure one sweep from scratch, with its truth."""
        return self.lidars[source].sweep(self.world, self.path, start_sec)

    def mounting(self, source: str) -> tuple[Triple, Angles]:
        """Where a sensor is on the platform: metres, and roll, pitch, yaw; the base is at 0."""
        config = getattr(self.config, source, None)
        rpy = _OPTICAL if source == 'camera' else getattr(config, 'rpy', _ZERO)
        return getattr(config, 'position', _ZERO), rpy

    def mounted(self, source: str) -> Rigid:
        """Where the frame of a sensor is in that of the platform."""
        position, rpy = self.mounting(source)
        return Rigid(rotation_of(rpy), np.array(position))

    def pose(self, frame: str, t: float | npt.NDArray[np.float64]) -> Rigid:
        """Where `base`, or the frame of a sensor, is in the world at path times [] or [N]."""
        base = Rigid(turned(self.path.yaw(t)), np.moveaxis(self.path.position(t), 0, -1))
        return base.then(self.mounted(frame))

    def true_points(
        self, source: str, capture_ns: int, t_ref_ns: int, frame: str = BASE
    ) -> npt.NDArray[np.float64]:
        """
        Points [N, 3] of the cloud measured at robot time `capture_ns`, without smear.

        Each goes from where the sensor was when the point was measured into `frame` where that
        is at robot time `t_ref_ns`; the order is that of the message.
        """
        start_sec = self.rendered_sec(source, capture_ns)
        points = self.sweep(start_sec, source).points
        local = np.stack([points[axis] for axis in 'xyz'], axis=-1).astype(np.float64)
        world = self.pose(source, start_sec + points['time'].astype(np.float64)).of(local)
        t_ref_sec = start_sec + (t_ref_ns - capture_ns) * 1e-9
        return self.pose(frame, t_ref_sec).inverse().of(world)

    def true_colors(self, source: str, capture_ns: int) -> npt.NDArray[np.uint8]:
        """Colours [N, 3] of the surfaces that the points of a cloud lie on, in its order."""
        sweep = self.sweep(self.rendered_sec(source, capture_ns), source)
        return np.take(self.world.colors, sweep.surface, axis=0)

    def _track(self, number: int) -> Iterator[tuple[int, int, int, bool]]:
        source = SOURCES[number]
        lidar = self.lidars.get(source)
        exposure_ns = round(lidar.sweep_sec * 1e9) if lidar else 0
        for release in releases(
            getattr(self.config, source), [self.config.seed, number], exposure_ns
        ):
            yield release.publish_ns, number, release.capture_ns, release.dropped

    def _header_sec(self, source: str) -> float:
        lidar = self.lidars[source]
        return float(STAMPS_AT[lidar.config.stamp_at] * lidar.time[-1])

    def _cloud(self, source: str, t: float) -> dict[str, Any]:
        field = self.lidars[source].config.time_field
        points = self.sweep(t, source).points
        return messages.cloud_body(with_time_field(points, field, self._header_sec(source)))

    def _images(self, t: float) -> dict[str, Any]:
        """Everything that is made of one look of the camera, by its name."""
        surfaces = self.camera.surfaces(self.world, self.path, t)
        image = self.camera.colored(self.world, surfaces)
        made = {'camera': messages.image_body(image)}
        if self.config.camera.labels:
            made[LABELS] = messages.image_body(self.camera.labelled(self.world, surfaces))
        if self.config.camera.jpeg_quality:
            made[COMPRESSED] = messages.compressed_body(self.camera.jpeg(image))
        return made

    def _calibration(self, _: float) -> dict[str, Any]:
        return messages.camera_info_body(self.camera)

    def _motion(self, t: float) -> dict[str, Any]:
        config = self.config.imu
        motion = self.imu.measure(self.path, t, self._noise(_IMU_NOISE, t))
        return messages.imu_body(motion, config.gyro_noise, config.accel_noise)

    def _odometry(self, t: float) -> dict[str, Any]:
        values = self.odometry.measure(self.path, t, self._noise(_ODOMETRY_NOISE, t))
        return messages.odometry_body(values, self.config.odom)

    def _joints(self, t: float) -> dict[str, Any]:
        return messages.joints_body(joints_at(self.path, t))

    def _noise(self, stream: int, t: float) -> np.random.Generator:
        """Noise is a function of seed and time alone, whatever was measured before."""
        return np.random.default_rng([self.config.seed, stream, max(0, round(t * 1e9))])


def _part(make: Callable[[float], dict[str, Any]], name: str, t: float) -> dict[str, Any]:
    part: dict[str, Any] = make(t)[name]
    return part
