# Copyright 2026 the robocache_ros authors
# SPDX-License-Identifier: Apache-2.0
"""
The types of messages that are vectors, one row for each group of features.

A type more is one entry more in `MESSAGE_TYPES`, or a `MessageType` in a package of your own; see
docs/sources.md, whose table is made from this one.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass

from robocache_ros.codec.fields import Row
from robocache_ros.codec.imu import decode_imu
from robocache_ros.codec.odometry import decode_odometry
from robocache_ros.codec.ranges import decode_range, decode_scan
from robocache_ros.config.parameters import Problems, shown
from robocache_ros.config.rows import NAME, Width, check_form, check_rows, check_widths
from robocache_ros.samples import Vector

__all__ = ['IMU', 'MESSAGE_TYPES', 'ODOMETRY', 'MessageType', 'Row', 'Width']

_SUFFIX = re.compile('[A-Za-z][A-Za-z0-9_]*(/[A-Za-z][A-Za-z0-9_]*)*')
_MESSAGE = re.compile('[a-z][a-z0-9_]*/msg/[A-Z][A-Za-z0-9]*')


@dataclass(frozen=True)
class MessageType:
    """A type of message, and which of its numbers are features."""

    type: str  # what `S.type` is
    message: str  # as ROS names it, 'geometry_msgs/msg/Twist'
    topic_suffix: str  # the default of `S.topic` is `S/` and this
    rows: tuple[Row, ...]
    widths: tuple[Width, ...] = ()
    stamped: bool = True  # whether the message has a header
    wait: str = 'until_t_ref'  # default of `S.wait`; newest: for what is slow
    # Makes the vector where rows can not tell how: called with the message, and with the widths
    # by name; its groups are those of the rows all the same.
    decode: Callable[..., Vector] | None = None

    def __post_init__(self) -> None:
        problems = Problems()
        check_form(problems, 'type', self.type, NAME)
        check_form(problems, 'message', self.message, _MESSAGE)
        check_form(problems, 'topic_suffix', self.topic_suffix, _SUFFIX)
        check_widths(problems, self.widths)
        check_rows(problems, self.rows, self.widths)
        problems.check(
            isinstance(self.stamped, bool),
            f'stamped must be True or False, not {shown(self.stamped)}',
        )
        problems.check(
            self.wait in ('until_t_ref', 'newest'),
            f'wait must be until_t_ref or newest, not {shown(self.wait)}',
        )
        problems.check(
            self.decode is None or callable(self.decode),
            f'decode must be a function, or None, not {shown(self.decode)}',
        )
        problems.refuse()


_XYZ = ('x', 'y', 'z')
_XYZW = ('x', 'y', 'z', 'w')
_OF_ARRAY = Width('width', None, 'Values of `data` that are features; the message may have more.')

IMU = MessageType(
    'imu', 'sensor_msgs/msg/Imu', 'data',
    (
        Row('orientation', 'orientation', _XYZW, 'slerp', '1'),
        Row('angular_velocity', 'angular_velocity', _XYZ, 'linear', 'rad/s'),
        Row('linear_acceleration', 'linear_acceleration', _XYZ, 'linear', 'm/s^2'),
    ),
    decode=decode_imu,
)  # fmt: skip

ODOMETRY = MessageType(
    'odometry', 'nav_msgs/msg/Odometry', 'odometry',
    (
        Row('pose.pose.position', 'position', _XYZ, 'linear', 'm'),
        Row('pose.pose.orientation', 'orientation', _XYZW, 'slerp', '1'),
        Row('twist.twist.linear', 'linear_velocity', _XYZ, 'linear', 'm/s'),
        Row('twist.twist.angular', 'angular_velocity', _XYZ, 'linear', 'rad/s'),
    ),
    decode=decode_odometry,
)  # fmt: skip

MESSAGE_TYPES = (
    IMU,
    ODOMETRY,
    # A scan leaps from one thing to the next: nothing lies between two of its ranges.
    MessageType(
        'laser_scan', 'sensor_msgs/msg/LaserScan', 'scan',
        (Row('ranges', 'ranges', 'beams', 'hold', 'm'),),
        (Width('beams', 64, 'Equal sectors of the scan; of each, the nearest range is taken.'),),
        wait='newest',
        decode=decode_scan,
    ),
    MessageType(
        'range', 'sensor_msgs/msg/Range', 'range',
        (Row('range', 'range', (), 'hold', 'm'),),
        wait='newest',
        decode=decode_range,
    ),
    MessageType(
        'wrench_stamped', 'geometry_msgs/msg/WrenchStamped', 'wrench',
        (
            Row('wrench.force', 'force', _XYZ, 'linear', 'N'),
            Row('wrench.torque', 'torque', _XYZ, 'linear', 'Nm'),
        ),
    ),
    MessageType(
        'twist_stamped', 'geometry_msgs/msg/TwistStamped', 'twist',
        (
            Row('twist.linear', 'linear_velocity', _XYZ, 'linear', 'm/s'),
            Row('twist.angular', 'angular_velocity', _XYZ, 'linear', 'rad/s'),
        ),
    ),
    MessageType(
        'twist', 'geometry_msgs/msg/Twist', 'twist',
        (
            Row('linear', 'linear_velocity', _XYZ, 'linear', 'm/s'),
            Row('angular', 'angular_velocity', _XYZ, 'linear', 'rad/s'),
        ),
        stamped=False,
    ),
    MessageType(
        'pose_stamped', 'geometry_msgs/msg/PoseStamped', 'pose',
        (
            Row('pose.position', 'position', _XYZ, 'linear', 'm'),
            Row('pose.orientation', 'orientation', _XYZW, 'slerp', '1'),
        ),
    ),
    MessageType(
        'accel_stamped', 'geometry_msgs/msg/AccelStamped', 'accel',
        (
            Row('accel.linear', 'linear_acceleration', _XYZ, 'linear', 'm/s^2'),
            Row('accel.angular', 'angular_acceleration', _XYZ, 'linear', 'rad/s^2'),
        ),
    ),
    MessageType(
        'vector3_stamped', 'geometry_msgs/msg/Vector3Stamped', 'vector',
        (Row('vector', 'vector', _XYZ, 'linear', 'unknown'),),
    ),
    MessageType(
        'point_stamped', 'geometry_msgs/msg/PointStamped', 'point',
        (Row('point', 'point', _XYZ, 'linear', 'm'),),
    ),
    MessageType(
        'magnetic_field', 'sensor_msgs/msg/MagneticField', 'magnetic_field',
        (Row('magnetic_field', 'magnetic_field', _XYZ, 'linear', 'T'),),
    ),
    MessageType(
        'fluid_pressure', 'sensor_msgs/msg/FluidPressure', 'pressure',
        (Row('fluid_pressure', 'pressure', (), 'linear', 'Pa'),),
    ),
    # What comes once a second is held: frames can not wait for the next one.
    MessageType(
        'temperature', 'sensor_msgs/msg/Temperature', 'temperature',
        (Row('temperature', 'temperature', (), 'hold', 'degC'),),
        wait='newest',
    ),
    MessageType(
        'battery_state', 'sensor_msgs/msg/BatteryState', 'battery_state',
        (
            Row('voltage', 'voltage', (), 'hold', 'V'),
            Row('current', 'current', (), 'hold', 'A', optional=True),
            Row('charge', 'charge', (), 'hold', 'Ah', optional=True),
            Row('percentage', 'percentage', (), 'hold', '0 to 1', optional=True),
            Row('temperature', 'temperature', (), 'hold', 'degC', optional=True),
            Row('power_supply_status', 'status', (), 'hold', 'label'),
        ),
        wait='newest',
    ),
    # A stick may be sent only when it moves: until then it is where it was.
    MessageType(
        'joy', 'sensor_msgs/msg/Joy', 'joy',
        (
            Row('axes', 'axes', 'axes', 'hold', '-1 to 1'),
            Row('buttons', 'buttons', 'buttons', 'hold', '0 or 1'),
        ),
        (
            Width('axes', 6, 'Axes that are features; the message may have more.'),
            Width('buttons', 11, 'Buttons that are features; the message may have more.'),
        ),
        wait='newest',
    ),
    MessageType(
        'float64', 'std_msgs/msg/Float64', 'value',
        (Row('data', 'value', (), 'linear', 'unknown'),),
        stamped=False,
    ),
    MessageType(
        'float32_multi_array', 'std_msgs/msg/Float32MultiArray', 'values',
        (Row('data', 'values', 'width', 'linear', 'unknown'),),
        (_OF_ARRAY,),
        stamped=False,
    ),
    MessageType(
        'float64_multi_array', 'std_msgs/msg/Float64MultiArray', 'values',
        (Row('data', 'values', 'width', 'linear', 'unknown'),),
        (_OF_ARRAY,),
        stamped=False,
    ),
)  # fmt: skip
