# Copyright 2026 the robocache_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The whole configuration: every parameter, its default and its meaning, written once."""

from robocache_ros.config.config import (
    DEFAULTS,
    SOURCES,
    TRIGGER,
    Config,
    parameters_of,
    source_types,
)
from robocache_ros.config.deskew import DeskewConfig
from robocache_ros.config.encoder import EncoderConfig
from robocache_ros.config.fields_source import FieldsSource
from robocache_ros.config.kinds import (
    CloudSource,
    CompressedImageSource,
    ImageSource,
    ImuSource,
    JointStateSource,
    OdometrySource,
)
from robocache_ros.config.live import check_change, why_fixed
from robocache_ros.config.outputs import FeatureConfig, VoxelConfig
from robocache_ros.config.parameters import ConfigError
from robocache_ros.config.source import SourceConfig

__all__ = [
    'DEFAULTS',
    'SOURCES',
    'TRIGGER',
    'CloudSource',
    'CompressedImageSource',
    'Config',
    'ConfigError',
    'DeskewConfig',
    'EncoderConfig',
    'FeatureConfig',
    'FieldsSource',
    'ImageSource',
    'ImuSource',
    'JointStateSource',
    'OdometrySource',
    'SourceConfig',
    'VoxelConfig',
    'check_change',
    'parameters_of',
    'source_types',
    'why_fixed',
]
