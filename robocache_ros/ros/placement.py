# Copyright 2026 the robocache_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Where a source is on the robot and what tells how it moves, for diagnostics to speak of."""

from __future__ import annotations

from dataclasses import dataclass

from robocache_ros.config import CloudSource, Config, ImageSource, ImuSource, SourceConfig
from robocache_ros.pipeline import Pipeline, PipelineStatus


@dataclass(frozen=True)
class Placement:
    """What is known about the place of one source; '' where nothing asks for it."""

    extrinsic: str = ''  # who tells it
    chain: str = ''  # from its frame to that of the output, a sentence without its end
    motion: str = ''  # who tells it, a clause
    gyro_bias: str = ''  # rad/s

    @classmethod
    def of(cls, pipeline: Pipeline, name: str, status: PipelineStatus) -> Placement:
        """Return the place of a source as of now."""
        config = pipeline.config
        source = config.source(name)
        if not config.frame:
            return cls()
        return cls(
            _extrinsic(config, source, status),
            pipeline.explain_transform(name),
            _motion(pipeline, name, status) if isinstance(source, CloudSource) else '',
            _numbers(pipeline.gyro_bias) if name == config.deskew.imu else '',
        )


def _extrinsic(config: Config, source: SourceConfig, status: PipelineStatus) -> str:
    if not isinstance(source, (CloudSource, ImuSource)) and source not in config.cameras():
        return ''
    assert isinstance(source, (CloudSource, ImageSource, ImuSource))
    if source.extrinsic is not None:
        return f'{source.name}.extrinsic'
    is_base = status.sources[source.name].frame_id == config.base_frame
    return 'none, its frame_id is base_frame' if is_base else '/tf'


def _motion(pipeline: Pipeline, name: str, status: PipelineStatus) -> str:
    deskew = pipeline.config.deskew
    told = []
    for mover in (deskew.imu, deskew.odometry):
        if mover:
            state = status.sources[mover].state
            told.append(f'{mover} ({"arriving" if state == "ok" else state})')
    if deskew.fixed_frame:
        told.append(f'/tf ({pipeline.explain_motion(name)})')
    return ' and '.join(told)


def _numbers(values: tuple[float, ...]) -> str:
    return ' '.join(f'{value:.5f}' for value in values)
