# Copyright 2026 the robocache_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Settings of the simulated robot. Every default lives here; the node's parameters are these."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import Field, dataclass, field, fields
from typing import Any, NamedTuple

from robocache_ros.sim.lens import MODELS, WIDEST_DEG
from robocache_ros.sim.time_field import STAMPS_AT, TIME_FIELDS

# In this order: jitter and losses of a source are drawn by its number.
SOURCES = ('lidar', 'camera', 'imu', 'joints', 'odom', 'lidar_rear')
_OF_ANY_LENGTH = ('intervals_sec', 'distortion')  # of the lists; all others are as their defaults


def _setting(default: Any, meaning: str) -> Any:
    return field(default=default, metadata={'meaning': meaning})


def _check(good: bool, name: str, value: object, must: str) -> None:
    if not good:
        raise ValueError(f'{name} {value} {must}')


@dataclass(frozen=True)
class SensorConfig:
    """When a sensor measures, when its message comes out, and which messages are lost."""

    rate_hz: float = _setting(10.0, 'Measurements per second; 0 turns the sensor off')
    phase_sec: float = _setting(0.0, 'Time of the first measurement')
    jitter_sec: float = _setting(0.0, 'A measurement is up to this much early or late')
    latency_sec: float = _setting(0.0, 'From the end of a measurement to its publication')
    latency_jitter_sec: float = _setting(0.0, 'Up to this much more latency, evenly spread')
    drop_probability: float = _setting(0.0, 'Share of messages lost, 0 to 1')
    drop_intervals_sec: tuple[float, ...] = _setting(
        (0.0, 0.0), 'Measurements in these intervals are lost: start, end, start, end, ...'
    )

    def __post_init__(self) -> None:
        for name in ('rate_hz', 'phase_sec', 'jitter_sec', 'latency_sec', 'latency_jitter_sec'):
            _check(getattr(self, name) >= 0, name, getattr(self, name), 'must not be negative')
        _check(
            2 * self.jitter_sec * self.rate_hz < 1,
            'jitter_sec',
            self.jitter_sec,
            f'must be under half a period at rate_hz {self.rate_hz}, or stamps would go back',
        )
        p, intervals = self.drop_probability, self.drop_intervals_sec
        _check(0 <= p <= 1, 'drop_probability', p, 'must lie in 0 to 1')
        ordered = len(intervals) % 2 == 0 and all(
            a <= b for a, b in zip(intervals[::2], intervals[1::2], strict=True)
        )
        _check(ordered, 'drop_intervals_sec', intervals, 'must be pairs of start <= end')


@dataclass(frozen=True)
class LidarConfig(SensorConfig):
    """A spinning LiDAR: all rings fire at once, one azimuth after the other."""

    latency_sec: float = _setting(0.002, 'From the end of a sweep to its publication')
    rings: int = _setting(64, 'Beams above each other')
    columns: int = _setting(1600, 'Azimuth steps of a sweep')
    lowest_deg: float = _setting(-25.0, 'Elevation of ring 0')
    highest_deg: float = _setting(15.0, 'Elevation of the last ring')
    max_range: float = _setting(60.0, 'Metres; returns from further away are lost')
    position: tuple[float, float, float] = _setting((0.0, 0.0, 1.6), 'On the platform, metres')
    rpy: tuple[float, float, float] = _setting(
        (0.0, 0.0, 0.0), 'Roll, pitch and yaw on the platform as in URDF, radians'
    )
    frame_id: str = _setting('lidar', 'frame_id of the clouds')
    time_field: str = _setting(
        'time',
        'Time of each point: time, float32 seconds from the header; t, offset_time or time_stamp, '
        'uint32 ns from the start of the sweep; timestamp, float64 seconds since the epoch; none',
    )
    stamp_at: str = _setting(
        'start', 'What the header stamps: the start, middle or end of the points'
    )
    prerender: int = _setting(30, 'At most this many sweeps round the loop; 0: each on the spot')

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in ('rings', 'columns', 'max_range'):
            _check(getattr(self, name) > 0, name, getattr(self, name), 'must be positive')
        _check(self.prerender >= 0, 'prerender', self.prerender, 'must not be negative')
        for name, known in (('time_field', TIME_FIELDS), ('stamp_at', STAMPS_AT)):
            value = getattr(self, name)
            _check(value in known, name, value, f'must be one of {", ".join(known)}')
        _check(
            -90 < self.lowest_deg <= self.highest_deg < 90,
            'lowest_deg',
            self.lowest_deg,
            f'and highest_deg {self.highest_deg} must be in order, inside -90 to 90',
        )


@dataclass(frozen=True)
class RearLidarConfig(LidarConfig):
    """A second LiDAR low at the rear, which looks back and a little down; off by default."""

    rate_hz: float = _setting(0.0, 'Measurements per second; 0 turns the sensor off')
    phase_sec: float = _setting(0.037, 'Time of the first measurement')
    rings: int = _setting(16, 'Beams above each other')
    columns: int = _setting(800, 'Azimuth steps of a sweep')
    position: tuple[float, float, float] = _setting((-0.4, 0.1, 0.7), 'On the platform, metres')
    rpy: tuple[float, float, float] = _setting(
        (0.05, 0.15, 2.8), 'Roll, pitch and yaw on the platform as in URDF, radians'
    )
    frame_id: str = _setting('lidar_rear', 'frame_id of the clouds')


@dataclass(frozen=True)
class CameraConfig(SensorConfig):
    """A calibrated camera that looks ahead; its calibration comes with every image."""

    rate_hz: float = _setting(30.0, 'Images per second; 0 turns the camera off')
    phase_sec: float = _setting(0.004, 'Time of the first image')
    latency_sec: float = _setting(0.012, 'From the exposure to its publication')
    width: int = _setting(640, 'Pixels')
    height: int = _setting(480, 'Pixels')
    view_deg: float = _setting(90.0, 'From the left edge to the right, were it not distorted')
    distortion_model: str = _setting('plumb_bob', f'One of {", ".join(MODELS)}')
    distortion: tuple[float, ...] = _setting(
        (0.0, 0.0, 0.0, 0.0, 0.0),
        'Its coefficients in the order of OpenCV: '
        + ', '.join(f'{count} of {model}' for model, count in MODELS.items()),
    )
    position: tuple[float, float, float] = _setting((0.3, 0.0, 1.2), 'On the platform, metres')
    frame_id: str = _setting('camera_optical', 'frame_id of the images')
    labels: bool = _setting(False, 'Also send images of what is seen: sky, floor, wall or box')
    jpeg_quality: int = _setting(
        0, 'Also send the images as JPEG, of this quality up to 100; needs Pillow. 0: do not'
    )
    prerender: int = _setting(90, 'At most this many images round the loop; 0: each on the spot')

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in ('width', 'height'):
            _check(getattr(self, name) > 0, name, getattr(self, name), 'must be positive')
        _check(self.prerender >= 0, 'prerender', self.prerender, 'must not be negative')
        _check(
            0 <= self.jpeg_quality <= 100,
            'jpeg_quality',
            self.jpeg_quality,
            'must lie in 0 to 100',
        )
        model = self.distortion_model
        _check(model in MODELS, 'distortion_model', model, f'must be one of {", ".join(MODELS)}')
        _check(
            len(self.distortion) == MODELS[model],
            'distortion',
            self.distortion,
            f'must be {MODELS[model]} numbers for {model}',
        )
        widest_deg = WIDEST_DEG[model]
        _check(
            0 < self.view_deg <= widest_deg,
            'view_deg',
            self.view_deg,
            f'must be positive and at most {widest_deg:g} for {model}',
        )


@dataclass(frozen=True)
class ImuConfig(SensorConfig):
    """An IMU in the origin of the platform."""

    rate_hz: float = _setting(400.0, 'Measurements per second; 0 turns the IMU off')
    jitter_sec: float = _setting(0.0001, 'A measurement is up to this much early or late')
    latency_sec: float = _setting(0.001, 'From a measurement to its publication')
    rpy: tuple[float, float, float] = _setting(
        (0.0, 0.0, 0.0), 'Roll, pitch and yaw on the platform as in URDF, radians'
    )
    gyro_bias: tuple[float, float, float] = _setting(
        (0.0, 0.0, 0.0), 'What it shows when nothing turns, rad/s'
    )
    gyro_noise: float = _setting(0.002, 'Standard deviation, rad/s')
    accel_noise: float = _setting(0.02, 'Standard deviation, m/s^2')
    frame_id: str = _setting('imu', 'frame_id of the measurements')


@dataclass(frozen=True)
class JointsConfig(SensorConfig):
    """Joint states: two wheels that follow the path, two arm joints that swing."""

    rate_hz: float = _setting(100.0, 'Messages per second; 0 turns the joints off')
    latency_sec: float = _setting(0.001, 'From a measurement to its publication')


@dataclass(frozen=True)
class OdometryConfig(SensorConfig):
    """Where the platform is in the world, and how fast it moves there; exact by default."""

    rate_hz: float = _setting(50.0, 'Messages per second; 0 turns the odometry off')
    latency_sec: float = _setting(0.001, 'From a measurement to its publication')
    position_noise: float = _setting(0.0, 'Standard deviation in x and y, metres')
    yaw_noise: float = _setting(0.0, 'Standard deviation, radians')
    twist_noise: float = _setting(0.0, 'Standard deviation, m/s and rad/s')
    frame_id: str = _setting('odom', 'Frame that does not move: the world')
    child_frame_id: str = _setting('base_link', 'Frame of the platform')


@dataclass(frozen=True)
class RobotConfig:
    """The whole robot. Same configuration, same bytes."""

    seed: int = _setting(0, 'Of jitter, losses and noise')
    semi_axes: tuple[float, float] = _setting((1.2, 0.9), 'Of the ellipse it drives, metres')
    loop_sec: float = _setting(3.0, 'Time once round the path')
    turns: int = _setting(1, 'Turns of yaw per loop: 1 looks ahead, more spin')
    lidar: LidarConfig = LidarConfig()
    camera: CameraConfig = CameraConfig()
    imu: ImuConfig = ImuConfig()
    joints: JointsConfig = JointsConfig()
    odom: OdometryConfig = OdometryConfig()
    lidar_rear: RearLidarConfig = RearLidarConfig()

    @classmethod
    def from_mapping(cls, flat: Mapping[str, Any]) -> RobotConfig:
        """Build from parameter names ('seed', 'lidar.rate_hz'); what is absent has its default."""
        known = {setting.name: setting for setting in settings()}
        groups: dict[str, dict[str, Any]] = {name: {} for name in ('', *SOURCES)}
        for name, value in flat.items():
            if name not in known:
                raise ValueError(
                    f'{name} is no setting of the simulated robot: {", ".join(known)}'
                )
            group, _, key = name.rpartition('.')
            groups[group][key] = like(known[name].default, value, name)
        own = groups.pop('')
        return cls(**own, **{name: _sensor(name, values) for name, values in groups.items()})


class Setting(NamedTuple):
    """One setting of the robot, under its name as a parameter."""

    name: str
    default: Any
    meaning: str


def settings() -> list[Setting]:
    """All settings of the robot in order, sensors as prefix: 'seed', 'lidar.rate_hz'."""
    found = [_found('', own) for own in fields(RobotConfig) if own.name not in SOURCES]
    for name in SOURCES:
        found += [_found(f'{name}.', own) for own in fields(getattr(RobotConfig, name))]
    return found


def _found(prefix: str, own: Field[Any]) -> Setting:
    return Setting(prefix + own.name, own.default, own.metadata['meaning'])


def _sensor(name: str, values: Mapping[str, Any]) -> Any:
    try:
        return type(getattr(RobotConfig, name))(**values)
    except ValueError as error:
        raise ValueError(f'{name}.{error}') from None


def like(default: Any, value: Any, name: str) -> Any:
    """Bring a parameter's value to the type of the default: integers are accepted as floats."""
    try:
        if isinstance(default, tuple):
            items = tuple(float(item) for item in value)
            if name.endswith(_OF_ANY_LENGTH) or len(items) == len(default):
                return items
        elif isinstance(default, float):
            return float(value)
        elif type(value) is type(default):
            return value
    except (TypeError, ValueError):
        pass
    raise ValueError(f'{name}: {value!r} is not of the same kind as its default {default!r}')
