# Copyright 2026 the robocache_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The configuration of one source: what every source has."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, ClassVar

from robocache_ros.config.parameters import (
    Parameter,
    Problems,
    given_in,
    parameter,
    parameters_in,
    settle,
    shown,
    values_in,
)

_TOKEN = r'(?:[A-Za-z_]|\{[a-z]+\})(?:[A-Za-z0-9_]|\{[a-z]+\})*'
_SHORT_TOPICS = {'joints': 'joint_states', 'odom': 'odom'}  # as everybody has them
_TOPIC = re.compile(rf'(?:~/|/)?{_TOKEN}(?:/{_TOKEN})*')


def depth_parameter(default: int) -> Any:
    """Return the field `depth`, whose default every kind has of its own."""
    return parameter(
        default,
        'Messages the subscription queues; enough for the time the node may be busy.',
        unit='messages',
        low=1,
        high=10000,
        default_text='5 for clouds and images, else 200',
    )


def wait_parameter(default: str) -> Any:
    """Return the field `wait`, whose default every kind has of its own."""
    return parameter(
        default,
        'What a frame waits for: `until_t_ref`, a sample at or after the time of the frame; '
        '`newest`, nothing, the newest sample at or before it is used.',
        choices=('until_t_ref', 'newest'),
        default_text='`newest` for clouds, images and what is slow, else `until_t_ref`',
        read_only=False,
    )


def stamp_parameter(default: str = 'header', headless: str = '') -> Any:
    """Return the field `stamp`; `headless` names a message that has no header to stamp it."""
    return parameter(
        default,
        'Time of a sample: `header`, the stamp of the message; `receive`, its arrival, for '
        'drivers that leave the stamp unset and for messages without a header.',
        choices=('receive',) if headless else ('header', 'receive'),
        form=f'receive, as {headless} has no header' if headless else '',
        default_text='`header`, or `receive` for messages without a header',
    )


def extrinsic_parameter() -> Any:
    """Return the field `extrinsic`, of the kinds that have a place on the robot."""
    return parameter(
        None,
        'Where the source is in `base_frame`: x, y, z in metres, then roll, pitch, yaw in '
        'radians as in URDF, or a quaternion x, y, z, w.',
        kind='pose',
        default_text='none: /tf tells it',
        low=-1e6,
        high=1e6,
        optional=True,
    )


def is_topic(name: str) -> bool:
    """Whether ROS takes a name for a topic."""
    return _TOPIC.fullmatch(name) is not None


def check_rotation(problems: Problems, name: str, pose: tuple[float, ...] | None) -> None:
    """Refuse angles that are meant as degrees, and a quaternion that is not near unit length."""
    turns = (0.0,) if pose is None else pose[3:]
    if len(turns) == 4:
        problems.check(
            0.5 <= sum(v * v for v in turns) <= 2.0,
            f'{name} must end in a quaternion x, y, z, w of unit length, not {shown(pose)}',
        )
    else:
        problems.check(
            max(map(abs, turns)) <= 2.0 * math.pi,
            f'{name} must end in roll, pitch, yaw in radians, one turn each at most, not '
            f'{shown(pose)}: are these degrees?',
        )


@dataclass(frozen=True)
class SourceConfig:
    """What every source has. The kinds are in kinds.py."""

    type: ClassVar[str]
    topic_suffix: ClassVar[str]
    message: ClassVar[str]  # as ROS names it, such as sensor_msgs/msg/Image

    name: str
    topic: str = parameter(
        None,
        'Topic, relative to the namespace of the node; by default `S/points`, `S/image`, '
        '`S/data`, `S/joint_states`, `S/odometry` or what docs/sources.md says; `joint_states` '
        'for `joints`, `odom` for `odom`.',
        kind='text',
        default_text='by name and type',
        form='a ROS topic name',
    )
    qos: str = parameter(
        'auto',
        'Reliability of the subscription; `auto`: reliable when every publisher offers it, '
        'else best effort.',
        choices=('auto', 'reliable', 'best_effort'),
    )
    depth: int = depth_parameter(5)
    history_sec: float = parameter(
        2.0,
        'How long samples are kept; has to cover the feature window and `timeout_sec`.',
        unit='s',
        low=0.01,
        high=600.0,
    )
    max_gap_sec: float = parameter(
        0.2,
        'A sample further away than this, or a wider gap between two samples, is not valid.',
        unit='s',
        low=0.0001,
        high=600.0,
        read_only=False,
    )
    time_offset_sec: float = parameter(
        0.0,
        'Added to every stamp, for a source whose clock or trigger is off by a constant.',
        unit='s',
        low=-3600.0,
        high=3600.0,
    )
    stamp: str = stamp_parameter()
    required: bool = parameter(
        False,
        'Whether a frame without anything valid of this source is dropped and counted.',
        default_text='true for the trigger, else false',
        read_only=False,
    )
    wait: str = wait_parameter('newest')

    def __post_init__(self) -> None:
        if self.topic is None:
            object.__setattr__(self, 'topic', self.default_topic(self.name))
        settle(self, f'{self.name}.')
        problems = Problems()
        problems.check(
            is_topic(self.topic),
            f'{self.name}.topic must be a ROS topic name (letters, digits and _, parts '
            f'separated by /, no part starting with a digit), not {shown(self.topic)}',
        )
        self._check(problems)
        problems.refuse()

    def _check(self, problems: Problems) -> None:
        """Check what only this kind of source has."""

    @classmethod
    def default_topic(cls, name: str) -> str:
        """Return the topic of a source that names none."""
        return _SHORT_TOPICS.get(name) or f'{name}/{cls.topic_suffix}'

    @classmethod
    def parameters(cls, name: str, required: bool = False) -> dict[str, Parameter]:
        """Return the parameters of the block `name` by field name, with resolved defaults."""
        found = parameters_in(cls, f'{name}.')
        found['topic'] = replace(found['topic'], default=cls.default_topic(name))
        found['required'] = replace(found['required'], default=required)
        return found

    @classmethod
    def from_mapping(cls, name: str, flat: Mapping[str, Any], required: bool) -> SourceConfig:
        """Build the source `name` from ROS parameter names; `required` is only a default."""
        return cls(name, **{'required': required, **given_in(cls, flat, f'{name}.')})

    def to_mapping(self) -> dict[str, Any]:
        """Return every parameter of the block by its ROS name."""
        return {f'{self.name}.type': self.type, **values_in(self, f'{self.name}.')}

    @property
    def history_ns(self) -> int:
        """`history_sec` in nanoseconds."""
        return round(self.history_sec * 1e9)

    @property
    def max_gap_ns(self) -> int:
        """`max_gap_sec` in nanoseconds."""
        return round(self.max_gap_sec * 1e9)

    @property
    def time_offset_ns(self) -> int:
        """`time_offset_sec` in nanoseconds."""
        return round(self.time_offset_sec * 1e9)
