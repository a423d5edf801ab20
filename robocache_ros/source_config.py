# Copyright 2026 the robocache_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The configuration of one source: what every source has, and what its kind adds."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar

from robocache_ros.parameters import Parameter, Problems, parameter, parameters_in, settle, shown

# What a source of this name is unless its block says otherwise.
DEFAULT_TYPES = {
    'lidar': 'pointcloud2',
    'camera': 'image',
    'imu': 'imu',
    'joints': 'joint_state',
}
MAX_CELLS_PER_SOURCE = 65536  # feature values of one image grid or one coarse occupancy

_TOKEN = r'(?:[A-Za-z_]|\{[a-z]+\})(?:[A-Za-z0-9_]|\{[a-z]+\})*'
_RESOLUTION = re.compile(r'fields\.(.+)\.resolution')
_TOPIC = re.compile(rf'(?:~/|/)?{_TOKEN}(?:/{_TOKEN})*')


def _depth(default: int) -> Any:
    return parameter(
        default,
        'Messages the subscription queues; enough for the time the node may be busy.',
        unit='messages',
        low=1,
        high=10000,
        default_text='5 for clouds and images, 200 for IMU and joints',
    )


def _wait(default: str) -> Any:
    return parameter(
        default,
        'What a frame waits for: `until_t_ref`, a sample at or after the time of the frame; '
        '`newest`, nothing, the newest sample at or before it is used.',
        choices=('until_t_ref', 'newest'),
        default_text='`newest` for clouds and images, `until_t_ref` for IMU and joints',
    )


@dataclass(frozen=True)
class SourceConfig:
    """What every source has. Use one of the subclasses: the class is the type of the source."""

    type: ClassVar[str]
    topic_suffix: ClassVar[str]

    name: str
    topic: str = parameter(
        None,
        'Topic, relative to the namespace of the node.',
        kind='text',
        default_text='`lidar/points`, `camera/image`, `imu/data`, `joint_states` for the sources '
        'of these names, else `S/points`, `S/image`, `S/data`, `S/joint_states` by type',
    )
    qos: str = parameter(
        'auto',
        'Reliability of the subscription; `auto`: reliable when every publisher offers it, '
        'else best effort.',
        choices=('auto', 'reliable', 'best_effort'),
    )
    depth: int = _depth(5)
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
    )
    time_offset_sec: float = parameter(
        0.0,
        'Added to every stamp, for a source whose clock or trigger is off by a constant.',
        unit='s',
        low=-3600.0,
        high=3600.0,
    )
    stamp: str = parameter(
        'header',
        'Time of a sample: `header`, the stamp of the message; `receive`, its arrival, for '
        'drivers that leave the stamp unset.',
        choices=('header', 'receive'),
    )
    required: bool = parameter(
        False,
        'Whether a frame without anything valid of this source is dropped and counted.',
        default_text='true for the trigger, else false',
    )
    wait: str = _wait('newest')

    def __post_init__(self) -> None:
        if self.topic is None:
            object.__setattr__(self, 'topic', self.default_topic(self.name))
        settle(self, f'{self.name}.')
        problems = Problems()
        problems.check(
            _TOPIC.fullmatch(self.topic) is not None,
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
        return 'joint_states' if name == 'joints' else f'{name}/{cls.topic_suffix}'

    @classmethod
    def parameters(cls, name: str, required: bool = False) -> dict[str, Parameter]:
        """Return the parameters of the block `name` by field name, with resolved defaults."""
        found = parameters_in(cls, f'{name}.')
        found['topic'] = replace(found['topic'], default=cls.default_topic(name))
        found['required'] = replace(found['required'], default=required)
        return found

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


@dataclass(frozen=True)
class CloudSource(SourceConfig):
    """A sensor_msgs/PointCloud2 topic."""

    type: ClassVar[str] = 'pointcloud2'
    topic_suffix: ClassVar[str] = 'points'

    occupancy_shape: tuple[int, int, int] = parameter(
        (4, 8, 8),
        'Cells of the coarse occupancy among the features, in z, y and x; the voxel grid is '
        'divided into them.',
        unit='cells',
        size=3,
        low=1,
        high=1024,
    )
    input_origin: tuple[float, float, float] = parameter(
        (0.0, 0.0, 0.0),
        'Subtracted from float64 coordinates before they become float32, for clouds in map '
        'coordinates.',
        unit='m',
        size=3,
        low=-1e9,
        high=1e9,
    )
    # From `S.fields.F.resolution`: the step that sums of the field F are rounded to.
    resolutions: Mapping[str, float] = field(default_factory=dict, hash=False)

    def _check(self, problems: Problems) -> None:
        _check_cells(problems, f'{self.name}.occupancy_shape', self.occupancy_shape)
        object.__setattr__(self, 'resolutions', dict(self.resolutions))
        for name, step in self.resolutions.items():
            with problems.collected():
                step = resolution_parameter(self.name, name).parse(step)
                self.resolutions[name] = step  # type: ignore[index]
                problems.check(
                    math.frexp(step)[0] == 0.5,
                    f'{self.name}.fields.{name}.resolution must be a power of two such as 1, '
                    f'0.5 or 0.00390625, not {step!r}; the nearest is '
                    f'{2.0 ** round(math.log2(step))!r}',
                )


@dataclass(frozen=True)
class ImageSource(SourceConfig):
    """A sensor_msgs/Image topic."""

    type: ClassVar[str] = 'image'
    topic_suffix: ClassVar[str] = 'image'

    grid: tuple[int, int] = parameter(
        (8, 8),
        'Rows and columns of the grid of area means that an image becomes.',
        unit='cells',
        size=2,
        low=1,
        high=1024,
    )
    channels: str = parameter(
        'mono',
        'Values per grid cell: `mono`, one; `rgb`, three, whatever the encoding of the image.',
        choices=('mono', 'rgb'),
    )

    def _check(self, problems: Problems) -> None:
        _check_cells(problems, f'{self.name}.grid', self.grid)


@dataclass(frozen=True)
class ImuSource(SourceConfig):
    """A sensor_msgs/Imu topic."""

    type: ClassVar[str] = 'imu'
    topic_suffix: ClassVar[str] = 'data'

    depth: int = _depth(200)
    wait: str = _wait('until_t_ref')


@dataclass(frozen=True)
class JointStateSource(SourceConfig):
    """A sensor_msgs/JointState topic."""

    type: ClassVar[str] = 'joint_state'
    topic_suffix: ClassVar[str] = 'joint_states'

    depth: int = _depth(200)
    wait: str = _wait('until_t_ref')
    joints: tuple[str, ...] = parameter(
        None,
        'Names of the joints, in the order of their features.',
        kind='texts',
        default_text='none: has to be given',
    )
    interfaces: tuple[str, ...] = parameter(
        ('position',),
        'Which of their values are fused.',
        choices=('position', 'velocity', 'effort'),
    )

    def __post_init__(self) -> None:
        problems = Problems()
        problems.check(
            self.joints is not None,
            f'{self.name}.joints is missing: list the joints of this source in the order of '
            'their features, for example [shoulder, elbow]',
        )
        problems.refuse()
        super().__post_init__()

    def _check(self, problems: Problems) -> None:
        check_distinct(problems, f'{self.name}.joints', self.joints)
        check_distinct(problems, f'{self.name}.interfaces', self.interfaces)
        problems.check('' not in self.joints, f'{self.name}.joints must not hold an empty name')


SOURCE_TYPES: Mapping[str, type[SourceConfig]] = {
    kind.type: kind for kind in (CloudSource, ImageSource, ImuSource, JointStateSource)
}


def type_parameter(name: str) -> Parameter:
    """Return the parameter `S.type` of the source `name`."""
    return Parameter(
        f'{name}.type',
        'text',
        DEFAULT_TYPES.get(name),
        'Kind of the message on the topic.',
        choices=tuple(SOURCE_TYPES),
        default_text='by name: '
        + ', '.join(f'`{kind}` for `{name}`' for name, kind in DEFAULT_TYPES.items())
        + '; other names have to give it',
    )


def resolution_parameter(source: str, field_name: str) -> Parameter:
    """Return the parameter `S.fields.F.resolution`."""
    return Parameter(
        f'{source}.fields.{field_name}.resolution',
        'number',
        None,
        'Power of two that values of the point field F are rounded to before they are summed '
        'for a mean or sum channel; values up to 2^35 times as large fit.',
        unit='unit of the field',
        low=2.0**-60,
        high=2.0**60,
        default_text='1 for integer fields, 2^-18 for float fields',
    )


def resolution_field(key: str) -> str:
    """Return F of the key `fields.F.resolution`, '' of any other key."""
    match = _RESOLUTION.fullmatch(key)
    return match[1] if match else ''


def check_distinct(problems: Problems, name: str, values: tuple[str, ...]) -> None:
    """Refuse a list that names something twice."""
    twice = sorted({value for value in values if values.count(value) > 1})
    problems.check(not twice, f'{name} must name everything once, not {shown(twice)} twice')


def _check_cells(problems: Problems, name: str, shape: tuple[int, ...]) -> None:
    cells = math.prod(shape)
    problems.check(
        cells <= MAX_CELLS_PER_SOURCE,
        f'{name} must have at most {MAX_CELLS_PER_SOURCE} cells, not {cells} '
        f'({" x ".join(map(str, shape))})',
    )
