# Copyright 2026 the robocache_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The kinds of sources there are, and what each adds to what every source has."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar

from robocache_ros.codec.cloud import fields_of
from robocache_ros.config.encoder import EncoderConfig
from robocache_ros.config.fields_source import FieldsSource, source_class
from robocache_ros.config.message_types import IMU, MESSAGE_TYPES, ODOMETRY, MessageType
from robocache_ros.config.parameters import (
    ConfigError,
    Parameter,
    Problems,
    check_distinct,
    given_in,
    parameter,
    parameters_in,
    shown,
    values_in,
)
from robocache_ros.config.plugged_in import plugged_in
from robocache_ros.config.source import (
    SourceConfig,
    check_rotation,
    depth_parameter,
    extrinsic_parameter,
    is_topic,
    wait_parameter,
)

# What a source of this name is unless its block says otherwise.
DEFAULT_TYPES = {
    'lidar': 'pointcloud2',
    'camera': 'image',
    'imu': 'imu',
    'joints': 'joint_state',
    'odom': 'odometry',
}
MAX_CELLS_PER_SOURCE = 65536  # feature values of one image grid or one coarse occupancy
# Of a field that a camera may paint: no coordinate, no part of a colour, no constant of a cloud.
_FIELD = re.compile('(?!([xyzrgb]|time_lag|recency)$)[A-Za-z_][A-Za-z0-9_]*')
_RESOLUTION = re.compile(r'fields\.(.+)\.resolution')


@dataclass(frozen=True)
class CloudSource(SourceConfig):
    """A sensor_msgs/PointCloud2 topic."""

    type: ClassVar[str] = 'pointcloud2'
    topic_suffix: ClassVar[str] = 'points'
    message: ClassVar[str] = 'sensor_msgs/msg/PointCloud2'

    extrinsic: tuple[float, ...] | None = extrinsic_parameter()
    point_time: str = parameter(
        'auto',
        'Field with the time of each point: its name; `auto`, the one that looks like it; '
        '`none`, the cloud was taken at once.',
    )
    point_time_unit: str = parameter(
        'auto',
        'Unit of that field; `auto`: the one in which a sweep lasts as long as sweeps do.',
        choices=('auto', 's', 'ms', 'us', 'ns'),
    )
    stamp_at: str = parameter(
        'auto',
        'Which point the header stamps: the first, the one in the middle or the last; `auto`: '
        'the times of points tell it, counted from the header or from the same zero as it.',
        choices=('auto', 'start', 'middle', 'end'),
    )
    occupancy_shape: tuple[int, int, int] = parameter(
        (4, 8, 8),
        'Cells of the coarse occupancy among the features, in z, y and x; the voxel grid is '
        f'divided into them. At most {MAX_CELLS_PER_SOURCE} in all.',
        unit='cells',
        size=3,
        low=1,
        high=1024,
        read_only=False,
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

    @classmethod
    def from_mapping(cls, name: str, flat: Mapping[str, Any], required: bool) -> CloudSource:
        """Build the source `name` from ROS parameter names; `required` is only a default."""
        keys = {key.removeprefix(f'{name}.'): key for key in flat if key.startswith(f'{name}.')}
        steps = {resolution_field(key): flat[full] for key, full in keys.items()}
        steps.pop('', None)
        given = given_in(cls, flat, f'{name}.')
        return cls(name, **{'required': required, **given}, resolutions=steps)

    def to_mapping(self) -> dict[str, Any]:
        """Return every parameter of the block by its ROS name."""
        steps = {resolution_parameter(self.name, f).name: s for f, s in self.resolutions.items()}
        return {**super().to_mapping(), **steps}

    def _check(self, problems: Problems) -> None:
        check_rotation(problems, f'{self.name}.extrinsic', self.extrinsic)
        _check_cells(problems, f'{self.name}.occupancy_shape', self.occupancy_shape)
        steps = {}
        for name, step in self.resolutions.items():
            with problems.collected():
                steps[name] = _power_of_two(resolution_parameter(self.name, name), step)
        object.__setattr__(self, 'resolutions', steps)


@dataclass(frozen=True)
class ImageSource(SourceConfig):
    """A sensor_msgs/Image topic."""

    type: ClassVar[str] = 'image'
    topic_suffix: ClassVar[str] = 'image'
    message: ClassVar[str] = 'sensor_msgs/msg/Image'

    grid: tuple[int, int] = parameter(
        (8, 8),
        'Rows and columns of the grid of area means that an image becomes. At most '
        f'{MAX_CELLS_PER_SOURCE} cells in all.',
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
    extrinsic: tuple[float, ...] | None = extrinsic_parameter()
    paint: tuple[str, ...] | None = parameter(
        None,
        'Point fields that the camera gives to the clouds it sees: `rgb`, colours; any other '
        'name, the value of the pixel, such as a depth or a label. Channels then ask for them: '
        '`rgb`, `mean_r`, `max_depth`, `majority_label`.',
        kind='texts',
        optional=True,
        default_text='none',
        form='a list such as [rgb] or [label]',
    )
    info_topic: str = parameter(
        '',
        'Topic of the CameraInfo of a camera that paints.',
        default_text='`""`: `camera_info` beside the images',
        form='a ROS topic name, or ""',
    )
    calibration: str = parameter(
        '',
        'File of the calibration, as camera_calibration writes it, instead of that topic.',
        default_text='`""`: none',
    )
    rectified: bool = parameter(
        False, 'Whether the images are rectified: then P and R of the calibration count.'
    )
    occlusion_deg: float = parameter(
        0.7,
        'Spacing of points, seen from the camera, that still hide what is behind them; 0: '
        'nothing hides anything.',
        unit='degrees',
        low=0.0,
        high=20.0,
        read_only=False,
    )
    occlusion_clearance: float = parameter(
        0.5,
        'Surfaces that pass the camera at this distance or more never hide themselves.',
        unit='m',
        low=0.01,
        high=100.0,
        read_only=False,
    )
    encoder: EncoderConfig = field(default_factory=EncoderConfig)

    @classmethod
    def parameters(cls, name: str, required: bool = False) -> dict[str, Parameter]:
        """Return the parameters of the block `name` by field name, with resolved defaults."""
        encoder = parameters_in(EncoderConfig, f'{name}.encoder.')
        return {
            **super().parameters(name, required),
            **{f'encoder.{key}': about for key, about in encoder.items()},
        }

    @classmethod
    def from_mapping(cls, name: str, flat: Mapping[str, Any], required: bool) -> ImageSource:
        """Build the source `name` from ROS parameter names; `required` is only a default."""
        encoder = EncoderConfig(**given_in(EncoderConfig, flat, f'{name}.encoder.'))
        given = given_in(cls, flat, f'{name}.')
        return cls(name, **{'required': required, **given}, encoder=encoder)

    def to_mapping(self) -> dict[str, Any]:
        """Return every parameter of the block by its ROS name."""
        return {**super().to_mapping(), **values_in(self.encoder, f'{self.name}.encoder.')}

    def _check(self, problems: Problems) -> None:
        check_rotation(problems, f'{self.name}.extrinsic', self.extrinsic)
        _check_cells(problems, f'{self.name}.grid', self.grid)
        check_distinct(problems, f'{self.name}.paint', self.paint or ())
        self.encoder.check(problems, f'{self.name}.encoder.')
        strange = [name for name in self.paint or () if not _FIELD.fullmatch(name)]
        problems.check(
            not strange,
            f'{self.name}.paint must hold rgb or names for point fields, of letters, digits and '
            f'_, other than x, y, z, r, g, b, time_lag and recency, not {shown(strange)}',
        )
        problems.check(
            self.info_topic == '' or is_topic(self.info_topic),
            f'{self.name}.info_topic must be a ROS topic name, or "", not '
            f'{shown(self.info_topic)}',
        )

    @property
    def painted(self) -> tuple[str, ...]:
        """Names of the point fields that the camera paints: `rgb` are three."""
        return fields_of(self.paint or ())

    @property
    def camera_info_topic(self) -> str:
        """Topic of the CameraInfo: beside the images, unless another is named."""
        if self.info_topic:
            return self.info_topic
        folder, _, name = self.topic.rpartition('/')
        if name in ('compressed', 'compressedDepth'):  # of image_transport: beside the raw topic
            folder, _, _ = folder.rpartition('/')
            beside = folder or ('' if not self.topic.startswith('/') else '/')
        else:
            beside = folder or ('/' if self.topic.startswith('/') else '')
        return f'{beside}/camera_info' if beside not in ('', '/') else f'{beside}camera_info'


@dataclass(frozen=True)
class CompressedImageSource(ImageSource):
    """A sensor_msgs/CompressedImage topic: JPEG, PNG or compressedDepth."""

    type: ClassVar[str] = 'compressed_image'
    topic_suffix: ClassVar[str] = 'image/compressed'
    message: ClassVar[str] = 'sensor_msgs/msg/CompressedImage'


@dataclass(frozen=True)
class ImuSource(FieldsSource):
    """A sensor_msgs/Imu topic."""

    about: ClassVar[MessageType] = IMU

    extrinsic: tuple[float, ...] | None = extrinsic_parameter()
    gyro_bias: tuple[float, float, float] = parameter(
        (0.0, 0.0, 0.0),
        'What the gyroscope shows when nothing turns; subtracted for `deskew`.',
        unit='rad/s',
        size=3,
        low=-1.0,
        high=1.0,
    )

    def _check(self, problems: Problems) -> None:
        check_rotation(problems, f'{self.name}.extrinsic', self.extrinsic)


@dataclass(frozen=True)
class JointStateSource(SourceConfig):
    """A sensor_msgs/JointState topic."""

    type: ClassVar[str] = 'joint_state'
    topic_suffix: ClassVar[str] = 'joint_states'
    message: ClassVar[str] = 'sensor_msgs/msg/JointState'

    depth: int = depth_parameter(200)
    wait: str = wait_parameter('until_t_ref')
    joints: tuple[str, ...] = parameter(
        None,
        'Names of the joints, in the order of their features.',
        kind='texts',
        default_text='none: has to be given',
        form='a list of distinct names',
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


@dataclass(frozen=True)
class OdometrySource(FieldsSource):
    """A nav_msgs/Odometry topic: the pose of `base_frame` in a frame that does not move."""

    about: ClassVar[MessageType] = ODOMETRY


_KINDS: tuple[type[SourceConfig], ...] = (
    CloudSource,
    ImageSource,
    CompressedImageSource,
    ImuSource,
    JointStateSource,
    OdometrySource,
    *(source_class(about) for about in MESSAGE_TYPES if about not in (IMU, ODOMETRY)),
)
SOURCE_TYPES: Mapping[str, type[SourceConfig]] = {kind.type: kind for kind in _KINDS}


def source_kind(type_name: str) -> type[SourceConfig]:
    """Return the configuration of a type, ours or of an installed package; KeyError for others."""
    about = None if type_name in SOURCE_TYPES else plugged_in(type_name)
    return SOURCE_TYPES[type_name] if about is None else source_class(about)


def type_parameter(name: str, wanted: Any = None) -> Parameter:
    """
    Return the parameter `S.type` of the source `name`.

    `wanted`: a type that may be ours or of an installed package; ConfigError where that is broken.
    """
    theirs = isinstance(wanted, str) and wanted not in SOURCE_TYPES and plugged_in(wanted)
    return Parameter(
        f'{name}.type',
        'text',
        DEFAULT_TYPES.get(name),
        'Kind of the message on the topic; other names than '
        + ', '.join(f'`{name}` ({kind})' for name, kind in DEFAULT_TYPES.items())
        + ' have to give it.',
        choices=(*SOURCE_TYPES, wanted) if theirs else tuple(SOURCE_TYPES),
        default_text='by name',
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
        form='a power of two from 2^-60 to 2^60, such as 1, 0.5 or 0.00390625',
        default_text='1 for integer fields, 2^-18 for float fields',
    )


def resolution_field(key: str) -> str:
    """Return F of the key `fields.F.resolution`, '' of any other key."""
    match = _RESOLUTION.fullmatch(key)
    return match[1] if match else ''


def _power_of_two(about: Parameter, value: Any) -> float:
    number: float = about.parse(value)
    if math.frexp(number)[0] != 0.5:
        near = 2.0 ** round(math.log2(number))
        raise ConfigError(f'{about.name} must be {about.allowed}, not {number!r}: try {near!r}')
    return number


def _check_cells(problems: Problems, name: str, shape: tuple[int, ...]) -> None:
    cells = math.prod(shape)
    problems.check(
        cells <= MAX_CELLS_PER_SOURCE,
        f'{name} must have at most {MAX_CELLS_PER_SOURCE} cells, not {cells} '
        f'({" x ".join(map(str, shape))})',
    )
