# Copyright 2026 the robocache_ros authors
# SPDX-License-Identifier: Apache-2.0
"""What the numbers of a frame mean: feature names, units, rules, grid, and one id for it all."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from robocache_ros import __version__
from robocache_ros.backends.status import BackendStatus
from robocache_ros.config import (
    CloudSource,
    CompressedImageSource,
    Config,
    ConfigError,
    FieldsSource,
    ImageSource,
    JointStateSource,
    SourceConfig,
)

# Raised when the same configuration would give other bytes than before.
CONTRACT = 1

# Parameters that decide where data comes from and who computes it, but not what comes out. Of
# files it is what they hold that counts.
_OPERATIONAL = (
    'topic', 'qos', 'depth', 'backend', 'device_id', 'max_message_bytes', 'autostart', 'named',
    'info_topic', 'calibration',
)  # fmt: skip
# Of an encoder, only how images come to it counts.
_OF_ENCODERS = ('input_size', 'mean', 'std')


@dataclass(frozen=True)
class FeatureGroup:
    """Columns of the feature table that share one source, one rule, one validity and one age."""

    name: str
    source: str
    width: int
    rule: str  # linear, slerp, hold or nearest
    unit: str
    names: tuple[str, ...]  # one for each column


@dataclass(frozen=True)
class Schema:
    """The fixed meaning of everything one configuration puts out."""

    config: Config
    groups: tuple[FeatureGroup, ...]
    files: Mapping[str, str] = field(default_factory=dict)  # parameter -> SHA-256 of its file

    @classmethod
    def from_config(cls, config: Config, digests: Mapping[str, str] | None = None) -> Schema:
        """
        Derive the schema; `digests` of files, by parameter, that have been read already.

        ConfigError where two sources would make features of one name, and where a file that is
        named can not be read.
        """
        groups = tuple(group for source in config.sources for group in groups_of(source))
        owner: dict[str, str] = {}
        for group in groups:
            if owner.setdefault(group.name, group.source) != group.source:
                raise ConfigError(
                    f'sources {owner[group.name]} and {group.source} would both make features '
                    f'called {group.name}: rename one of them'
                )
        return cls(config, groups, dict(_digests(config, digests or {})))

    def changed(self, config: Config) -> Schema:
        """Return that of the same sources and files, of which other parameters have changed."""
        groups = tuple(group for source in config.sources for group in groups_of(source))
        return replace(self, config=config, groups=groups)

    @cached_property
    def feature_names(self) -> tuple[str, ...]:
        """Names of the F columns of the feature table, in order."""
        return tuple(name for group in self.groups for name in group.names)

    @cached_property
    def schema_id(self) -> int:
        """Hash (uint32) of everything that shapes the output; equal ids mean equal meaning."""
        canonical = json.dumps(self._shape(), sort_keys=True, separators=(',', ':'))
        return int.from_bytes(hashlib.sha256(canonical.encode()).digest()[:4], 'little')

    def to_json(self, backend: BackendStatus, made_by: Mapping[str, str] | None = None) -> str:
        """
        Return the text of ~/schema: a summary for people first, then the parts for programs.

        `crossover` is the size of each operation from which on CUDA computes; null: never.
        `made_by`: the libraries that decode and encode, whose other builds give other bits.
        """
        document = {
            'summary': self._summary(),
            'schema_id': self.schema_id,
            'version': __version__,
            'backend': {
                'name': backend.name,
                'reason': backend.reason,
                'crossover': dict(backend.crossover),
            },
            'made_by': dict(made_by or {}),
            **self._shape(),
        }
        return json.dumps(document, indent=1)

    def _summary(self) -> str:
        grid = self.config.grid
        cells = ' x '.join(str(n) for n in grid.dims)
        size = ' x '.join(f'{edge:g}' for edge in grid.size)
        features = self.config.features
        sources = ', '.join(f'{source.name} ({source.type})' for source in self.config.sources)
        return (
            f'Sources: {sources}. Trigger: {self.config.trigger}. '
            f'Voxels: {cells} cells (x, y, z) of {size} m, '
            f'channels {", ".join(self.config.voxels.channels)}. '
            f'Features: {features.targets} rows at {features.target_rate_hz:g} Hz up to the '
            f'header stamp, {len(self.feature_names)} columns in {len(self.groups)} groups.'
            + self._about_frames()
        )

    def _about_frames(self) -> str:
        """Say who tells where clouds are, and how they move; '' without frames."""
        config, deskew = self.config, self.config.deskew
        clouds = config.cloud_sources()
        if not config.frame:
            return ''
        placed = (f'{c.name} by {"its extrinsic" if c.extrinsic else "/tf"}' for c in clouds)
        text = f' Frame: {config.frame}, {", ".join(placed)}.'
        if not deskew.active:
            return text
        on_tf = f'/tf in {deskew.fixed_frame}' if deskew.fixed_frame else ''
        told = ' and '.join(filter(None, (deskew.imu, deskew.odometry, on_tf)))
        times = ', '.join(f'{cloud.name} {cloud.point_time}' for cloud in clouds)
        return f'{text} Motion: told by {told}, times of points: {times}.'

    def _shape(self) -> dict[str, Any]:
        grid = self.config.grid
        return {
            'contract': CONTRACT,
            'grid': {
                'origin': list(grid.origin),
                'voxel_size': list(grid.size),
                'dims': list(grid.dims),
                'widened': list(grid.widened),
                'unit': 'm',
                'index': 'z-major, x fastest',
                'frame': self.config.frame or 'frame_id of the trigger cloud',
            },
            'channels': [
                {'name': column, 'kind': channel.kind, 'field': channel.field}
                for channel in self.config.voxel_spec.channels
                for column in channel.columns
            ],
            'features': {
                'targets': self.config.features.targets,
                'target_rate_hz': self.config.features.target_rate_hz,
                'order': 'oldest row first, last row at the header stamp',
                'groups': [
                    {
                        'name': group.name,
                        'source': group.source,
                        'width': group.width,
                        'rule': group.rule,
                        'unit': group.unit,
                        'names': list(group.names),
                    }
                    for group in self.groups
                ],
            },
            'parameters': {
                key: value
                for key, value in self.config.to_mapping().items()
                if key.rsplit('.', 1)[-1] not in _OPERATIONAL and not self._is_of_no_encoder(key)
            },
            **({'files': dict(self.files)} if self.files else {}),
        }

    def _is_of_no_encoder(self, key: str) -> bool:
        """Whether a parameter is about an encoder that is not there, or about how it runs."""
        encoder, _, name = key.rpartition('.')
        if not encoder.endswith('.encoder'):
            return False
        return f'{encoder}.path' not in self.files or name not in _OF_ENCODERS


def _digests(config: Config, known: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    """Yield the files that parameters name, and what they hold."""
    named = {}
    for source in config.sources:
        if isinstance(source, ImageSource):
            named[f'{source.name}.calibration'] = source.calibration if source.paint else ''
            named[f'{source.name}.encoder.path'] = source.encoder.path
    for parameter, path in named.items():
        if path:
            yield parameter, known.get(parameter) or _digest(parameter, path)


def _digest(parameter: str, path: str) -> str:
    try:
        return hashlib.sha256(Path(path).read_bytes()).hexdigest()
    except OSError as error:
        raise ConfigError(
            f'{parameter} {path} can not be read: {error.strerror or error}'
        ) from error


def groups_of(source: SourceConfig) -> tuple[FeatureGroup, ...]:
    """Feature groups of one source, in the order of the columns of its `Vector`."""
    if isinstance(source, FieldsSource):
        return tuple(_fields(source))
    return tuple(_GROUPS[type(source)](source))


def _group(
    source: SourceConfig, part: str, rule: str, unit: str, parts: list[str] | None = None
) -> FeatureGroup:
    name = f'{source.name}_{part}'
    names = (name,) if parts is None else tuple(f'{name}_{suffix}' for suffix in parts)
    return FeatureGroup(name, source.name, len(names), rule, unit, names)


def _fields(source: FieldsSource) -> Iterator[FeatureGroup]:
    for row in source.rows:
        parts = list(row.columns(source.widths)) or None
        yield _group(source, row.name, row.rule, row.unit, parts)


def _joint_state(source: SourceConfig) -> list[FeatureGroup]:
    assert isinstance(source, JointStateSource)
    units = {'position': 'rad or m', 'velocity': 'rad/s or m/s', 'effort': 'Nm or N'}
    return [
        _group(source, interface, 'linear', units[interface], list(source.joints))
        for interface in source.interfaces
    ]


def _image(source: SourceConfig) -> list[FeatureGroup]:
    assert isinstance(source, ImageSource)
    rows, cols = source.grid
    colours = [''] if source.channels == 'mono' else ['_r', '_g', '_b']
    parts = [f'{r}_{c}{colour}' for r in range(rows) for c in range(cols) for colour in colours]
    groups = [_group(source, 'grid', 'hold', 'pixel value', parts)]
    if source.encoder.path:
        numbers = [str(number) for number in range(source.encoder.width)]
        groups.append(_group(source, 'encoding', 'hold', '1', numbers))
    return groups


def _cloud(source: SourceConfig) -> list[FeatureGroup]:
    assert isinstance(source, CloudSource)
    nz, ny, nx = source.occupancy_shape
    cells = [f'{z}_{y}_{x}' for z in range(nz) for y in range(ny) for x in range(nx)]
    return [
        _group(source, 'points', 'hold', 'points'),
        _group(source, 'occupied', 'hold', 'voxels'),
        _group(source, 'centroid', 'hold', 'm', ['x', 'y', 'z']),
        _group(source, 'extent', 'hold', 'm', ['x', 'y', 'z']),
        _group(source, 'occupancy', 'hold', '0 or 1', cells),
    ]


_GROUPS: dict[type[SourceConfig], Callable[[SourceConfig], list[FeatureGroup]]] = {
    CloudSource: _cloud,
    CompressedImageSource: _image,
    ImageSource: _image,
    JointStateSource: _joint_state,
}
