# Copyright 2026 the robocache_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The `sim` node: publishes the simulated robot, each message when it is due."""

from __future__ import annotations

import heapq
import itertools
import signal
import sys
import time
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import rclpy
from builtin_interfaces.msg import Time
from nav_msgs.msg import Odometry
from rcl_interfaces.msg import ParameterDescriptor
from rclpy.clock import Clock, ClockType
from rclpy.duration import Duration
from rclpy.executors import SingleThreadedExecutor
from rclpy.node import Node
from rclpy.qos import QoSProfile, ReliabilityPolicy
from rclpy.signals import SignalHandlerOptions
from rclpy.task import Future
from rclpy.utilities import get_default_context
from rosgraph_msgs.msg import Clock as ClockMessage
from sensor_msgs.msg import (
    CameraInfo,
    CompressedImage,
    Image,
    Imu,
    JointState,
    PointCloud2,
    PointField,
    TimeReference,
)

from robocache_ros.ros.arguments import check_only_ros
from robocache_ros.ros.log import BoundedLog
from robocache_ros.ros.sim_frames import SimFrames
from robocache_ros.sim import Robot, RobotConfig, Shot
from robocache_ros.sim.config import SOURCES, Setting, like, settings
from robocache_ros.sim.robot import CAMERA_INFO, COMPRESSED, LABELS

SECOND_NS = 1_000_000_000
TOPICS = {  # source -> type, topic, queue depth
    'lidar': (PointCloud2, 'lidar/points', 5),
    'camera': (Image, 'camera/image', 5),
    CAMERA_INFO: (CameraInfo, 'camera/camera_info', 5),
    LABELS: (Image, 'camera/labels', 5),
    COMPRESSED: (CompressedImage, 'camera/image/compressed', 5),
    'imu': (Imu, 'imu/data', 200),
    'joints': (JointState, 'joint_states', 200),
    'odom': (Odometry, 'odom', 200),
    'lidar_rear': (PointCloud2, 'lidar_rear/points', 5),
}
RELIABILITY = {
    'reliable': ReliabilityPolicy.RELIABLE,
    'best_effort': ReliabilityPolicy.BEST_EFFORT,
}
NODE_SETTINGS = (
    Setting('start_delay_sec', 0.0, 'From the end of the prerendering to robot time 0'),
    Setting('duration_sec', 0.0, 'Robot time after which it stops; 0: never'),
    # Not best effort, as many drivers are: Fast DDS without a profile of its own loses every best
    # effort message above 512 KiB between processes, and the first impression would be no clouds.
    Setting('reliability', 'reliable', 'QoS of the sensor topics: reliable or best_effort'),
    Setting('publish_tf', False, 'Publish /tf and /tf_static, where tf2_msgs is installed'),
    Setting('publish_clock', False, 'Publish /clock and stamp in simulated time'),
    Setting('clock_loop_sec', 0.0, 'Simulated time jumps back to its start this often; 0: never'),
)
CLOCK_PERIOD_NS = SECOND_NS // 100
CLOCK_START_NS = 1000 * SECOND_NS  # simulated time 0 would read as an unset stamp
RESYNC_NS = 10 * SECOND_NS  # the ROS clock drifts against the steady one
BEHIND_NS = SECOND_NS  # a sensor does not send seconds of old data in one burst


class SimNode(BoundedLog, Node):
    """
    Publishes lidar/points, camera/image and camera/camera_info, imu/data, joint_states and odom;
    lidar_rear/points, camera/labels, camera/image/compressed and /tf if they are asked for; and
    sim/sent for each message that a sensor is due to send.

    One timer, always set to what is due next; before all else it renders what is reused.
    `finished` is done when `duration_sec` is over.
    """

    def __init__(self, **options: Any) -> None:
        super().__init__('sim', **options)
        values = {setting.name: self._declare(setting) for setting in settings()}
        own = {setting.name: self._declare(setting) for setting in NODE_SETTINGS}
        self._settings = SimpleNamespace(**own)
        self._check_settings()
        self.robot = Robot(RobotConfig.from_mapping(values))
        self.finished = Future()

        offered = RELIABILITY[own['reliability']]
        self._outputs = {}
        self._messages = {}
        for source in (source for source in SOURCES if values[f'{source}.rate_hz']):
            for name in (source, *self.robot.companions(source)):
                kind, topic, depth = TOPICS[name]
                # Who misses a calibration, small as it is, can do nothing with the image.
                reliability = ReliabilityPolicy.RELIABLE if name == CAMERA_INFO else offered
                qos = QoSProfile(depth=depth, reliability=reliability)
                self._outputs[name] = self.create_publisher(kind, topic, qos)
                self._messages[name] = kind()
        self._sent_output = self.create_publisher(TimeReference, 'sim/sent', 1000)
        self._frames = SimFrames.of(self, self.robot) if own['publish_tf'] else None
        if own['publish_clock']:
            self._clock_output = self.create_publisher(ClockMessage, '/clock', 10)

        self._rendering = self.robot.prerender()
        self._shots = self._schedule()
        self._shot: Shot | None = None  # the next one, once it has started
        self._start_ns = 0  # steady clock at robot time 0
        self._stamp_offset_ns = CLOCK_START_NS  # stamp - robot time
        self._resync_ns = 0  # robot time of the next look at the ROS clock
        self._pacer = self.create_timer(
            0.001, self._on_timer, clock=Clock(clock_type=ClockType.STEADY_TIME)
        )

    def _on_timer(self) -> None:
        wait_ns = self._step()
        if self.finished.done():
            self._pacer.cancel()
            return
        self._pacer.timer_period_ns = max(1000, wait_ns)
        self._pacer.reset()

    def _step(self) -> int:
        """Do what is due now, and return after how many ns something is due again."""
        if next(self._rendering, self) is None:
            return 0
        if self._start_ns == 0:
            self._start()
        now_ns = time.monotonic_ns() - self._start_ns
        while self._shot is not None and self._shot.publish_ns <= now_ns:
            self._release(self._shot, now_ns)
            self._shot = next(self._shots, None)
        if self._shot is None:
            self.finished.set_result(None)
            return 0
        return self._shot.publish_ns + self._start_ns - time.monotonic_ns()

    def _start(self) -> None:
        self._start_ns = time.monotonic_ns() + round(self._settings.start_delay_sec * SECOND_NS)
        self._shot = next(self._shots, None)
        config = self.robot.config
        rates = ', '.join(
            f'{name} {getattr(config, name).rate_hz:g} Hz'
            for name in SOURCES
            if name in self._outputs
        )
        self.get_logger().info(f'simulated robot: {rates or "no sensors"}')

    def _schedule(self) -> Iterator[Shot]:
        """What is due when, in robot time; a looping clock runs the same lap over and over."""
        duration_ns = round(self._settings.duration_sec * SECOND_NS)
        lap_sec = self._settings.clock_loop_sec
        for lap in itertools.count():
            lap_start_ns = round(lap * lap_sec * SECOND_NS)
            for shot in heapq.merge(self.robot.shots(lap_sec or None), self._ticks(lap_sec)):
                due_ns = lap_start_ns + shot.publish_ns
                if duration_ns and due_ns >= duration_ns:
                    return
                yield shot._replace(publish_ns=due_ns)
            if not lap_sec:
                return

    def _ticks(self, lap_sec: float) -> Iterator[Shot]:
        """When /clock is due."""
        if self._settings.publish_clock:
            for ns in itertools.count(0, CLOCK_PERIOD_NS):
                if lap_sec and ns >= lap_sec * SECOND_NS:
                    return
                yield Shot(ns, 'clock', ns)

    def _release(self, shot: Shot, now_ns: int) -> None:
        """Publish one message, and what was published when."""
        if now_ns - shot.publish_ns > BEHIND_NS:
            self.get_logger().warning(
                'too slow for its rates: what was due over a second ago is left out', once=True
            )
            return
        stamp_ns = shot.capture_ns + self._stamp_offset(now_ns)
        if shot.source == 'clock':
            self._clock_output.publish(ClockMessage(clock=_time(stamp_ns)))
            return
        for companion in self.robot.companions(shot.source):
            self._outputs[companion].publish(self._made(companion, shot, stamp_ns))
        message = self._made(shot.source, shot, stamp_ns)
        sent_ns = time.monotonic_ns()
        self._outputs[shot.source].publish(message)
        if shot.source == 'odom' and self._frames is not None:
            self._frames.moved(message)
        sent = TimeReference(source=shot.source, time_ref=_time(sent_ns))
        sent.header.stamp = message.header.stamp
        sent.header.frame_id = shot.source
        self._sent_output.publish(sent)

    def _made(self, name: str, shot: Shot, stamp_ns: int) -> Any:
        """Return the message of a source or a companion, which is filled anew every time."""
        return _fill(self._messages[name], self.robot.message(name, shot.capture_ns, stamp_ns))

    def _stamp_offset(self, now_ns: int) -> int:
        if not self._settings.publish_clock and now_ns >= self._resync_ns:
            # A pause between the two readings makes the difference too small: take the largest.
            ros = self.get_clock()
            self._stamp_offset_ns = self._start_ns + max(
                ros.now().nanoseconds - time.monotonic_ns() for _ in range(3)
            )
            self._resync_ns = now_ns + RESYNC_NS
        return self._stamp_offset_ns

    def wait_for_readers(self) -> None:
        """Give reliable readers up to a second to get the last messages."""
        deadline_ns = time.monotonic_ns() + SECOND_NS
        for output in (*self._outputs.values(), self._sent_output):
            left_ns = max(0, deadline_ns - time.monotonic_ns())
            output.wait_for_all_acked(Duration(nanoseconds=left_ns))

    def _declare(self, setting: Setting) -> Any:
        default = list(setting.default) if isinstance(setting.default, tuple) else setting.default
        # Dynamic, so that integers are accepted as floats; the configuration checks the kind.
        about = ParameterDescriptor(
            description=setting.meaning, read_only=True, dynamic_typing=True
        )
        value = self.declare_parameter(setting.name, default, about).value
        return like(setting.default, value, setting.name)

    def _check_settings(self) -> None:
        own = self._settings
        if own.reliability not in RELIABILITY:
            raise ValueError(f'reliability {own.reliability!r} is not one of {list(RELIABILITY)}')
        for name in ('start_delay_sec', 'duration_sec', 'clock_loop_sec'):
            if getattr(own, name) < 0:
                raise ValueError(f'{name} {getattr(own, name)} must not be negative')
        if own.clock_loop_sec and not own.publish_clock:
            raise ValueError('clock_loop_sec needs publish_clock: only its own clock can loop')
        if self.get_parameter('use_sim_time').value and not own.publish_clock:
            raise ValueError(
                'use_sim_time needs publish_clock: the simulated robot makes the simulated time, '
                'it does not follow one'
            )
        # One `/**:` block may feed many nodes, so a foreign name is no error.
        foreign = [name for name in self._parameter_overrides if not self.has_parameter(name)]
        if foreign:
            self.get_logger().warning(f'no settings of the simulated robot: {", ".join(foreign)}')


def _fill(message: Any, like: SimpleNamespace) -> Any:
    """Copy the attributes of a message-like object into a message; data is not copied."""
    for name, value in vars(like).items():
        if isinstance(value, SimpleNamespace):
            _fill(getattr(message, name), value)
        elif name == 'fields':
            message.fields = [_fill(PointField(), field) for field in value]
        else:
            setattr(message, name, value)
    return message


def _time(ns: int) -> Time:
    sec, nanosec = divmod(ns, SECOND_NS)
    return Time(sec=sec, nanosec=nanosec)


def main(argv: list[str] | None = None) -> int:
    """Run the node until its duration is over or it is told to stop."""
    check_only_ros('sim', 'A simulated robot: LiDAR, camera, IMU and joints.', argv)
    # With handlers of our own the context stays valid until the last publish has returned; with
    # those of rclpy a signal in the middle of one ends in a traceback.
    signals: list[int] = []
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda caught, _: signals.append(caught))
    try:
        rclpy.init(args=argv, signal_handler_options=SignalHandlerOptions.NO)
        node = SimNode()
    except (RuntimeError, ValueError) as error:
        print(f'sim: {error}', file=sys.stderr)
        get_default_context().try_shutdown()
        return 1
    executor = SingleThreadedExecutor()
    executor.add_node(node)
    while not signals and not node.finished.done():
        executor.spin_once(timeout_sec=0.1)
    if not signals:
        node.wait_for_readers()
    executor.shutdown()
    node.destroy_node()
    get_default_context().try_shutdown()
    # While it winds up the interpreter goes back to the default, which is to die of a signal.
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)
    return 0


if __name__ == '__main__':
    sys.exit(main())
