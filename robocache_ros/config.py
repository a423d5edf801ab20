# Copyright 2026 the robocache_ros authors
# SPDX-License-Identifier: Apache-2.0
"""
The whole configuration: frozen, validated, never repaired; every default is written here once.

`Config.from_mapping` takes what ROS calls parameters (`{'voxels.voxel_size': 0.1, ...}`), so the
live node, a YAML file and a data loader end up with the same object.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from functools import cached_property
from typing import Any

from robocache_ros.grid import Grid, VoxelSpec
from robocache_ros.parameter_names import ROS_GROUPS, ROS_NAMES, judge_names
from robocache_ros.parameters import (
    ConfigError,
    Parameter,
    Problems,
    listed,
    parameter,
    parameters_in,
    settle,
    shown,
)
from robocache_ros.source_config import (
    DEFAULT_TYPES,
    SOURCE_TYPES,
    CloudSource,
    ImageSource,
    ImuSource,
    JointStateSource,
    SourceConfig,
    check_distinct,
    resolution_field,
    type_parameter,
)
from robocache_ros.voxel_config import EVERY, VoxelConfig

__all__ = [
    'CloudSource',
    'Config',
    'ConfigError',
    'FeatureConfig',
    'ImageSource',
    'ImuSource',
    'JointStateSource',
    'SourceConfig',
    'VoxelConfig',
    'parameters_of',
]

RATE = 'rate'  # the trigger that is no source

_NAME = re.compile('[a-z][a-z0-9_]*')
_FRAME = re.compile(r'([^\s/]\S*)?')


@dataclass(frozen=True)
class FeatureConfig:
    """The rows of the feature tensor."""

    targets: int = parameter(
        10,
        'Rows of the feature tensor: times at which every source is resampled, the last of '
        'them the time of the frame.',
        unit='rows',
        low=1,
        high=10000,
    )
    target_rate_hz: float = parameter(
        50.0, 'Rate of these times.', unit='Hz', low=0.01, high=100000.0
    )

    def __post_init__(self) -> None:
        settle(self, 'features.')

    @property
    def window_sec(self) -> float:
        """Time the rows cover."""
        return self.targets / self.target_rate_hz


SOURCES = Parameter(
    'sources',
    'texts',
    ('lidar', 'camera', 'imu'),
    'Names of the sources; each has a block of its name with the parameters below.',
)


@dataclass(frozen=True)
class Config:
    """Everything the pipeline needs to know."""

    sources: tuple[SourceConfig, ...]
    trigger: str = parameter(
        'lidar',
        'What makes a frame: a sample of this source, or `rate`, a fixed rate in data time.',
    )
    trigger_rate_hz: float = parameter(
        10.0,
        'Frames per second with `trigger: rate`, on whole multiples of the period.',
        unit='Hz',
        low=0.01,
        high=1000.0,
    )
    timeout_sec: float = parameter(
        0.1, 'How long a frame waits for the sources it needs.', unit='s', low=0.0, high=60.0
    )
    on_timeout: str = parameter(
        'partial',
        'Then: `partial`, send what is there, marked; `skip`, drop it and count it.',
        choices=('partial', 'skip'),
    )
    clock_jump_sec: float = parameter(
        1.0,
        'Stamps that go back by more than this mean a new start of the clock: a looped bag, a '
        'reset simulation. Buffers are then flushed.',
        unit='s',
        low=0.001,
        high=3600.0,
    )
    output_frame: str = parameter(
        '',
        'Frame of the outputs; clouds in another frame are left out.',
        default_text='`""`: the `frame_id` of the trigger cloud',
    )
    backend: str = parameter(
        'auto',
        'What computes; `auto` picks, says why in `~/schema`.',
        choices=('auto', 'numpy', 'cuda'),
    )
    device_id: int = parameter(0, 'Number of the GPU, for `cuda`.', low=0, high=255)
    autostart: bool = parameter(
        True,
        'Configure and activate by itself; with false a lifecycle manager does it.',
    )
    voxels: VoxelConfig = field(default_factory=VoxelConfig)
    features: FeatureConfig = field(default_factory=FeatureConfig)

    def __post_init__(self) -> None:
        settle(self)
        object.__setattr__(self, 'sources', tuple(self.sources))
        problems = Problems()
        with problems.collected():
            _check_names(tuple(source.name for source in self.sources))
        self._check_references(problems)
        for source in self.sources:
            self._check_source(source, problems)
        self._check_resolutions(problems)
        problems.refuse()

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
        given = _given(parameters_in(cls), flat)
        trigger = given.get('trigger', parameters_in(cls)['trigger'].default)
        sources = []
        for name, kind in types.items():
            with problems.collected():
                sources.append(_source_from(flat, name, kind, name == trigger))
        with problems.collected():
            given['voxels'] = VoxelConfig(**_given(parameters_in(VoxelConfig, 'voxels.'), flat))
        with problems.collected():
            features = _given(parameters_in(FeatureConfig, 'features.'), flat)
            given['features'] = FeatureConfig(**features)
        with problems.collected():
            for name, about in parameters_in(cls).items():
                about.parse(given.get(name, about.default))
        problems.refuse()
        return cls(tuple(sources), **given)

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
            resolutions={
                name: step
                for source in self.voxel_sources()
                for name, step in source.resolutions.items()
            },
        )

    def to_mapping(self) -> dict[str, Any]:
        """Return every parameter by its ROS name; `from_mapping` makes an equal Config of it."""
        flat: dict[str, Any] = {'sources': [source.name for source in self.sources]}
        flat.update(_values(self))
        flat.update(_values(self.voxels, 'voxels.'))
        flat.update(_values(self.features, 'features.'))
        for source in self.sources:
            flat[f'{source.name}.type'] = source.type
            flat.update(_values(source, f'{source.name}.'))
            for name, step in getattr(source, 'resolutions', {}).items():
                flat[f'{source.name}.fields.{name}.resolution'] = step
        return flat

    def notices(self, flat: Mapping[str, Any]) -> tuple[str, ...]:
        """Return a sentence for each kind of name in `flat` that changes nothing."""
        types = {source.name: source.type for source in self.sources}
        summed = {c.field for c in self.voxels.parsed_channels if c.kind in ('mean', 'sum')}
        resolutions = [
            f'{source.name}.fields.{name}.resolution'
            for source in self.cloud_sources()
            for name in source.resolutions
            if name not in summed or source not in self.voxel_sources()
        ]
        unused = f'no mean or sum channel needs {", ".join(resolutions)}'
        return (
            *judge_names(flat, _known_names(types), types),
            *((unused,) if resolutions else ()),
        )

    def _check_references(self, problems: Problems) -> None:
        names = [source.name for source in self.sources]
        clouds = [source.name for source in self.cloud_sources()]
        problems.check(
            self.trigger in (*names, RATE),
            f'trigger must be one of {", ".join((*names, RATE))}, not {shown(self.trigger)}',
        )
        strange = [name for name in self.voxels.sources if name not in (*clouds, EVERY)]
        problems.check(
            not strange,
            f'voxels.sources must be ["*"] or among the cloud sources {listed(clouds)}, '
            f'not {listed(strange)}',
        )
        problems.check(
            _FRAME.fullmatch(self.output_frame) is not None,
            f'output_frame must be a frame name without blanks and leading /, or "", '
            f'not {shown(self.output_frame)}',
        )

    def _check_source(self, source: SourceConfig, problems: Problems) -> None:
        needed = self.features.window_sec + self.timeout_sec
        problems.check(
            source.history_sec >= needed,
            f'{source.name}.history_sec must be at least {needed:.6g} s, that is features.targets '
            f'{self.features.targets} / features.target_rate_hz '
            f'{self.features.target_rate_hz:.6g} + timeout_sec {self.timeout_sec:.6g}, '
            f'not {source.history_sec:.6g}',
        )
        if isinstance(source, CloudSource):
            dims = self.grid.dims[::-1]
            problems.check(
                all(part <= n for part, n in zip(source.occupancy_shape, dims, strict=True)),
                f'{source.name}.occupancy_shape must have at most as many cells as the voxel '
                f'grid, {shown(dims)} in z, y, x, not {shown(source.occupancy_shape)}',
            )

    def _check_resolutions(self, problems: Problems) -> None:
        """One field has one resolution: its sums over all clouds of a frame are one number."""
        seen: dict[str, tuple[str, float]] = {}
        for source in self.voxel_sources():
            for name, step in source.resolutions.items():
                other, its_step = seen.setdefault(name, (source.name, step))
                problems.check(
                    its_step == step,
                    f'{source.name}.fields.{name}.resolution must be {its_step!r} like that of '
                    f'{other}, which fills the same grid, not {step!r}',
                )


def source_types(flat: Mapping[str, Any]) -> dict[str, str]:
    """Return the type of every source by name, in order; ConfigError when one has none."""
    names = SOURCES.parse(flat.get('sources', SOURCES.default))
    _check_names(names)
    problems = Problems()
    types = {}
    for name in names:
        with problems.collected():
            about = type_parameter(name)
            types[name] = about.parse(flat.get(about.name, about.default))
    problems.refuse()
    return types


def parameters_of(
    types: Mapping[str, str] | None = None, trigger: str = 'lidar'
) -> tuple[Parameter, ...]:
    """Return the parameters there are with these sources (default: ours), in reading order."""
    types = {name: DEFAULT_TYPES[name] for name in SOURCES.default} if types is None else types
    table = [SOURCES, *parameters_in(Config).values()]
    table += parameters_in(VoxelConfig, 'voxels.').values()
    table += parameters_in(FeatureConfig, 'features.').values()
    for name, kind in types.items():
        table.append(type_parameter(name))
        table += SOURCE_TYPES[kind].parameters(name, required=name == trigger).values()
    return tuple(table)


def _known_names(types: Mapping[str, str]) -> list[str]:
    return [about.name for about in parameters_of(types)]


def _check_names(names: tuple[str, ...]) -> None:
    problems = Problems()
    for name in names:
        problems.check(
            _NAME.fullmatch(name) is not None and name not in RESERVED,
            f'sources must hold names of lower-case letters, digits and _ that start with a '
            f'letter and are not one of {", ".join(sorted(RESERVED))}, not {shown(name)}',
        )
    check_distinct(problems, 'sources', names)
    problems.refuse()


def _given(table: Mapping[str, Parameter], flat: Mapping[str, Any]) -> dict[str, Any]:
    """Return the values of a section that `flat` holds, by field name."""
    return {name: flat[about.name] for name, about in table.items() if about.name in flat}


def _source_from(flat: Mapping[str, Any], name: str, kind: str, required: bool) -> SourceConfig:
    about = SOURCE_TYPES[kind]
    given = {'required': required, **_given(about.parameters(name), flat)}
    if issubclass(about, CloudSource):
        given['resolutions'] = {
            field_name: value
            for key, value in flat.items()
            if key.startswith(f'{name}.')
            and (field_name := resolution_field(key.removeprefix(f'{name}.')))
        }
    return about(name, **given)


def _values(section: Any, prefix: str = '') -> dict[str, Any]:
    """Return the parameters of a section by ROS name, arrays as lists."""
    values = {p.name: getattr(section, f) for f, p in parameters_in(type(section), prefix).items()}
    return {name: list(v) if isinstance(v, tuple) else v for name, v in values.items()}


# A source of such a name would make `trigger: rate` or a parameter name ambiguous.
RESERVED = frozenset(
    {RATE, *ROS_NAMES, *ROS_GROUPS, *(section.name for section in fields(Config))}
)
