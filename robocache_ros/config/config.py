# Copyright 2026 the robocache_ros authors
# SPDX-License-Identifier: Apache-2.0
"""
The whole configuration: frozen, validated, never repaired; every default is written here once.

`Config.from_mapping` takes what ROS calls parameters (`{'voxels.voxel_size': 0.1, ...}`), so the
live node, a YAML file and a data loader end up with the same object.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, fields
from functools import cached_property
from pathlib import Path
from typing import Any

from robocache_ros.config.consistency import RATE, check_together
from robocache_ros.config.deskew import DeskewConfig
from robocache_ros.config.kinds import (
    DEFAULT_TYPES,
    CloudSource,
    ImageSource,
    source_kind,
    type_parameter,
)
from robocache_ros.config.names import ROS_GROUPS, ROS_NAMES, judge_names
from robocache_ros.config.outputs import EVERY, FeatureConfig, VoxelConfig
from robocache_ros.config.parameters import (
    FRAME_FORM,
    Parameter,
    Problems,
    check_distinct,
    check_given,
    given_in,
    parameter,
    parameters_in,
    settle,
    shown,
    values_in,
)
from robocache_ros.config.params_file import read_params_file
from robocache_ros.config.source import SourceConfig
from robocache_ros.grid import Grid, VoxelSpec

_NAME = re.compile('[a-z][a-z0-9_]*')
_log = logging.getLogger(__name__)

SOURCES = Parameter(
    'sources',
    'texts',
    ('lidar', 'camera', 'imu'),
    'Names of the sources; each has a block of its name.',
    form='a list of distinct names of lower-case letters, digits and _',
)
DEFAULTS = {name: DEFAULT_TYPES[name] for name in SOURCES.default}
TRIGGER = 'lidar'


@dataclass(frozen=True)
class Config:
    """Everything the pipeline needs to know."""

    sources: tuple[SourceConfig, ...]
    trigger: str = parameter(
        TRIGGER,
        'What makes a frame: a sample of this source, or `rate`, a fixed rate in data time.',
        form='the name of a source, or rate',
    )
    trigger_rate_hz: float = parameter(
        10.0,
        'Frames per second when the trigger is `rate`, on whole multiples of the period.',
        unit='Hz',
        low=0.01,
        high=1000.0,
        read_only=False,
    )
    timeout_sec: float = parameter(
        0.1,
        'How long a frame waits for the sources it needs.',
        unit='s',
        low=0.0,
        high=60.0,
        read_only=False,
    )
    on_timeout: str = parameter(
        'partial',
        'What happens to a frame after that: `partial`, it is sent as it is, marked; `skip`, '
        'it is dropped and counted.',
        choices=('partial', 'skip'),
        read_only=False,
    )
    clock_jump_sec: float = parameter(
        1.0,
        'Stamps that go back by more than this mean a new start of the clock, and buffers are '
        'flushed: a looped bag, a reset simulation.',
        unit='s',
        low=0.001,
        high=3600.0,
    )
    base_frame: str = parameter(
        '',
        'Frame of the robot that `S.extrinsic` and `deskew` are about, such as `base_link`.',
        default_text='`""`: no frames but those of the clouds',
        form=FRAME_FORM,
    )
    output_frame: str = parameter(
        '',
        'Frame of the outputs; clouds that no transform leads there are left out.',
        default_text='`""`: `base_frame`, or without one the `frame_id` of the trigger cloud',
        form=FRAME_FORM,
    )
    backend: str = parameter(
        'auto',
        'What computes: `auto` picks, and says why in `~/schema`.',
        choices=('auto', 'numpy', 'cuda'),
    )
    device_id: int = parameter(0, 'Number of the GPU, for `cuda` and `auto`.', low=0, high=255)
    max_message_bytes: int = parameter(
        64 * 2**20,
        'What the memory on the GPU is sized for; larger clouds and images are computed on NumPy.',
        unit='bytes',
        low=1024,
        high=2**31 - 1,
    )
    autostart: bool = parameter(
        True,
        'Configure and activate by itself; with false a lifecycle manager does it.',
    )
    voxels: VoxelConfig = field(default_factory=VoxelConfig)
    features: FeatureConfig = field(default_factory=FeatureConfig)
    deskew: DeskewConfig = field(default_factory=DeskewConfig)

    def __post_init__(self) -> None:
        settle(self)
        object.__setattr__(self, 'sources', tuple(self.sources))
        _check_names(tuple(source.name for source in self.sources))
        check_together(self)

    @classmethod
    def from_mapping(cls, flat: Mapping[str, Any]) -> Config:
        """
        Build from ROS parameter names; what is absent takes its default.

        Names that are nearly ours are refused; `notices` tells of the others.
        """
        problems = Problems()
        types = source_types(flat)
        with problems.collected():
            judge_names(flat, _known_names(types), types)
        sources = []
        for name, kind in types.items():
            with problems.collected():
                required = name == flat.get('trigger', TRIGGER)
                sources.append(source_kind(kind).from_mapping(name, flat, required))
        given = given_in(cls, flat)
        with problems.collected():
            given['voxels'] = VoxelConfig(**given_in(VoxelConfig, flat, 'voxels.'))
        with problems.collected():
            given['features'] = FeatureConfig(**given_in(FeatureConfig, flat, 'features.'))
        with problems.collected():
            given['deskew'] = DeskewConfig(**given_in(DeskewConfig, flat, 'deskew.'))
        with problems.collected():
            check_given(cls, given)
        problems.refuse()
        return cls(tuple(sources), **given)

    @classmethod
    def from_yaml(cls, path: str | Path, node: str = '/preprocessor') -> Config:
        """Build from a ROS parameters file, without ROS, as the node of this full name would."""
        flat = read_params_file(path, node)
        config = cls.from_mapping(flat)
        for notice in config.notices(flat):
            _log.warning('%s: %s', path, notice)
        return config

    def to_mapping(self) -> dict[str, Any]:
        """Return every parameter by its ROS name; `from_mapping` makes an equal Config of it."""
        flat: dict[str, Any] = {'sources': [source.name for source in self.sources]}
        flat |= values_in(self)
        flat |= values_in(self.voxels, 'voxels.')
        flat |= values_in(self.features, 'features.')
        flat |= values_in(self.deskew, 'deskew.')
        for source in self.sources:
            flat |= source.to_mapping()
        return flat

    def source(self, name: str) -> SourceConfig:
        """Return the source `name`; KeyError when there is none."""
        return {source.name: source for source in self.sources}[name]

    def cloud_sources(self) -> tuple[CloudSource, ...]:
        """Return the sources that are clouds."""
        return tuple(source for source in self.sources if isinstance(source, CloudSource))

    def voxel_sources(self) -> tuple[CloudSource, ...]:
        """Return the cloud sources that fill the grid."""
        wanted = self.voxels.sources
        return tuple(s for s in self.cloud_sources() if EVERY in wanted or s.name in wanted)

    def cameras(self) -> tuple[ImageSource, ...]:
        """Return the image sources that paint clouds."""
        return tuple(s for s in self.sources if isinstance(s, ImageSource) and s.paint)

    @cached_property
    def painted(self) -> frozenset[str]:
        """Point fields that cameras paint."""
        return frozenset(name for camera in self.cameras() for name in camera.painted)

    @property
    def timeout_ns(self) -> int:
        """`timeout_sec` in nanoseconds."""
        return round(self.timeout_sec * 1e9)

    @property
    def frame(self) -> str:
        """Frame of the outputs, as configured; '' where it is that of the clouds."""
        return self.output_frame or self.base_frame

    @property
    def grid(self) -> Grid:
        """The voxel grid."""
        return self.voxels.grid

    @cached_property
    def voxel_spec(self) -> VoxelSpec:
        """What a backend needs to know to voxelize."""
        return VoxelSpec(
            grid=self.grid,
            channels=self.voxels.parsed_channels,
            max_points=self.voxels.max_points,
            max_voxels=self.voxels.max_voxels,
            max_points_per_voxel=self.voxels.max_points_per_voxel,
            seed=self.voxels.seed,
            resolutions={
                name: step
                for source in self.voxel_sources()
                for name, step in source.resolutions.items()
            },
        )

    def notices(self, flat: Mapping[str, Any]) -> tuple[str, ...]:
        """Return a sentence for each thing about `flat` that its author may not expect."""
        types = {source.name: source.type for source in self.sources}
        summed = {
            name
            for channel in self.voxels.parsed_channels
            if channel.kind in ('mean', 'sum', 'rgb')
            for name in channel.fields
        }
        resolutions = [
            f'{source.name}.fields.{name}.resolution'
            for source in self.cloud_sources()
            for name in source.resolutions
            if name not in summed or source not in self.voxel_sources()
        ]
        unused = f'no mean or sum channel needs {", ".join(resolutions)}'
        widened = f'voxels.point_cloud_range is widened to whole voxels: up to {self.grid.upper} m'
        return (
            *judge_names(flat, _known_names(types), types),
            *((unused,) if resolutions else ()),
            *_unused_paint(self),
            *_unused_of_images(self, flat),
            *_short_histories(self),
            *((widened,) if any(self.grid.widened) else ()),
        )


def source_types(flat: Mapping[str, Any]) -> dict[str, str]:
    """Return the type of every source by name, in order; ConfigError when one has none."""
    names = SOURCES.parse(flat.get('sources', SOURCES.default))
    _check_names(names)
    problems = Problems()
    types = {}
    for name in names:
        with problems.collected():
            about = type_parameter(name, flat.get(f'{name}.type'))
            given = flat.get(about.name, about.default)
            if given is None:
                problems.check(False, f'{about.name} is missing: set it to {about.allowed}')
            else:
                types[name] = about.parse(given)
    problems.refuse()
    return types


def parameters_of(
    types: Mapping[str, str] | None = None, trigger: str = TRIGGER
) -> tuple[Parameter, ...]:
    """Return the parameters there are with these sources (default: ours), in reading order."""
    types = DEFAULTS if types is None else types
    table = [SOURCES, *parameters_in(Config).values()]
    table += parameters_in(VoxelConfig, 'voxels.').values()
    table += parameters_in(FeatureConfig, 'features.').values()
    table += parameters_in(DeskewConfig, 'deskew.').values()
    for name, kind in types.items():
        table.append(type_parameter(name, kind))
        table += source_kind(kind).parameters(name, required=name == trigger).values()
    return tuple(table)


def _unused_paint(config: Config) -> Iterator[str]:
    """Tell which cameras paint what nobody looks at."""
    asked = config.voxel_spec.fields
    for camera in config.cameras():
        idle = [name for name in camera.painted if name not in asked]
        if not config.voxel_sources():
            yield f'{camera.name}.paint: there is no cloud to paint, see voxels.sources'
        elif idle:
            yield (
                f'{camera.name}.paint: no channel asks for {", ".join(idle)}; see voxels.channels'
            )


def _unused_of_images(config: Config, flat: Mapping[str, Any]) -> Iterator[str]:
    """Tell which parameters of cameras do nothing, as what they are for is not there."""
    for source in config.sources:
        if not isinstance(source, ImageSource):
            continue
        prefix = f'{source.name}.encoder.'
        usual = ImageSource(source.name).to_mapping()
        changed = [k for k, v in source.to_mapping().items() if k in flat and v != usual.get(k)]
        encoder = [key for key in changed if key.startswith(prefix) and not source.encoder.path]
        if encoder:
            yield f'no encoder without {prefix}path: {", ".join(encoder)}'
        if source.calibration and not source.paint:
            yield f'{source.name}.calibration: only a camera with {source.name}.paint needs it'


def _short_histories(config: Config) -> Iterator[str]:
    """Tell which histories may end before the oldest of many sweeps."""
    sweeps, deskew = config.voxels.sweeps, config.deskew
    gaps = [source.max_gap_sec for source in config.voxel_sources()]
    needed = sweeps * max(gaps, default=0.0) + config.timeout_sec
    movers = [source for source in config.sources if source.name in (deskew.imu, deskew.odometry)]
    for source in (*config.voxel_sources(), *movers):
        if sweeps > 1 and source.history_sec < needed:
            yield (
                f'{source.name}.history_sec {source.history_sec:.6g} may be too short for '
                f'voxels.sweeps {sweeps}: clouds up to max_gap_sec apart need {needed:.6g} s, and '
                'where it ends a grid has fewer'
            )


def _known_names(types: Mapping[str, str]) -> list[str]:
    return [about.name for about in parameters_of(types)]


def _check_names(names: tuple[str, ...]) -> None:
    problems = Problems()
    problems.check(len(names) > 0, 'sources must name at least one source, not []')
    for name in names:
        problems.check(
            _NAME.fullmatch(name) is not None and name not in RESERVED,
            f'sources must hold names of lower-case letters, digits and _ that start with a '
            f'letter and are not one of {", ".join(sorted(RESERVED))}, not {shown(name)}',
        )
    check_distinct(problems, 'sources', names)
    problems.refuse()


# A source of such a name would make `trigger: rate` or a parameter name ambiguous.
RESERVED = frozenset(
    {RATE, *ROS_NAMES, *ROS_GROUPS, *(section.name for section in fields(Config))}
)
