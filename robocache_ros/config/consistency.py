# Copyright 2026 the robocache_ros authors
# SPDX-License-Identifier: Apache-2.0
"""What must fit together in a configuration and no part of it can check alone."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from robocache_ros.config.kinds import CloudSource, ImuSource, OdometrySource
from robocache_ros.config.outputs import EVERY
from robocache_ros.config.parameters import FRAME_FORM, Problems, listed, shown
from robocache_ros.config.source import SourceConfig

if TYPE_CHECKING:
    from robocache_ros.config import Config

RATE = 'rate'  # the trigger that is no source
_FRAME = re.compile(r'([^\s/]\S*)?')


def check_together(config: Config) -> None:
    """Raise ConfigError with one sentence for everything that does not fit together."""
    problems = Problems()
    _check_trigger(config, problems)
    _check_voxel_sources(config, problems)
    for source in config.sources:
        _check_history(config, source, problems)
    for cloud in config.cloud_sources():
        _check_occupancy(config, cloud, problems)
    _check_resolutions(config, problems)
    _check_frame_names(config, problems)
    _check_movers(config, problems)
    _check_motion(config, problems)
    _check_cameras(config, problems)
    _check_topics(config, problems)
    problems.refuse()


def _check_trigger(config: Config, problems: Problems) -> None:
    allowed = (*(source.name for source in config.sources), RATE)
    problems.check(
        config.trigger in allowed,
        f'trigger must be one of {", ".join(allowed)}, not {shown(config.trigger)}',
    )


def _check_voxel_sources(config: Config, problems: Problems) -> None:
    clouds = [source.name for source in config.cloud_sources()]
    strange = [name for name in config.voxels.sources if name not in (*clouds, EVERY)]
    problems.check(
        not strange,
        f'voxels.sources must be ["*"] or among the cloud sources {listed(clouds)}, '
        f'not {listed(strange)}',
    )


def _check_frame_names(config: Config, problems: Problems) -> None:
    for name, frame in (
        ('base_frame', config.base_frame),
        ('output_frame', config.output_frame),
        ('deskew.fixed_frame', config.deskew.fixed_frame),
    ):
        problems.check(
            _FRAME.fullmatch(frame) is not None,
            f'{name} must be {FRAME_FORM}, not {shown(frame)}',
        )


def _check_movers(config: Config, problems: Problems) -> None:
    """Motion is told by a source of the right type, which frames wait for."""
    deskew = config.deskew
    for key, kind in (('imu', ImuSource), ('odometry', OdometrySource)):
        name = getattr(deskew, key)
        fitting = [source.name for source in config.sources if isinstance(source, kind)]
        problems.check(
            name in ('', *fitting),
            f'deskew.{key} must be "" or among the sources of type {kind.type} {listed(fitting)}, '
            f'not {shown(name)}',
        )
        waits = config.source(name).wait if name in fitting else 'until_t_ref'
        problems.check(
            waits == 'until_t_ref',
            f'{name}.wait must be until_t_ref, as deskew.{key} has to be known up to the last '
            f'point of a cloud, not {shown(waits)}',
        )


def _check_motion(config: Config, problems: Problems) -> None:
    """One thing tells how the robot moves, and it is a frame with a name that does."""
    deskew = config.deskew
    problems.check(
        not (deskew.odometry and deskew.fixed_frame),
        'deskew.odometry and deskew.fixed_frame both tell how the robot moves: leave one out',
    )
    problems.check(
        not deskew.fixed_frame or deskew.fixed_frame != config.base_frame,
        f'deskew.fixed_frame {shown(deskew.fixed_frame)} is base_frame itself: name the frame '
        'that it moves in, for example odom',
    )
    placed = [s.name for s in config.sources if getattr(s, 'extrinsic', None) is not None]
    needed_by = [
        *(f'{name}.extrinsic' for name in placed),
        *(f'deskew.{key}' for key in ('imu', 'odometry', 'fixed_frame') if getattr(deskew, key)),
    ]
    problems.check(
        config.base_frame != '' or not needed_by,
        f'base_frame is missing: {", ".join(needed_by)} need one, for example base_link',
    )
    problems.check(
        config.voxels.sweeps == 1 or deskew.translates,
        f'voxels.sweeps {config.voxels.sweeps} needs deskew.odometry or deskew.fixed_frame: older '
        'clouds would smear over the newest where nothing tells how the robot moved',
    )


def _check_cameras(config: Config, problems: Problems) -> None:
    """Who paints clouds has to know where they are."""
    painting = [camera.name for camera in config.cameras()]
    problems.check(
        config.frame != '' or not painting,
        f'base_frame is missing: {", ".join(f"{name}.paint" for name in painting)} need one, for '
        'example base_link',
    )


def _check_topics(config: Config, problems: Problems) -> None:
    """A topic has one type: middlewares do not survive being asked for two."""
    read: dict[str, SourceConfig] = {}
    for source in config.sources:
        other = read.setdefault(source.topic, source)
        problems.check(
            other.message == source.message,
            f'{other.name}.topic and {source.name}.topic are both {source.topic}, which can not '
            f'carry {other.message} and {source.message}',
        )


def _check_history(config: Config, source: SourceConfig, problems: Problems) -> None:
    """A frame may wait for `timeout_sec`; its oldest row still needs samples then."""
    rows, rate = config.features.targets, config.features.target_rate_hz
    needed = rows / rate + config.timeout_sec
    problems.check(
        source.history_sec >= needed,
        f'{source.name}.history_sec must be at least {needed:.6g} s, that is features.targets '
        f'{rows} / features.target_rate_hz {rate:.6g} + timeout_sec {config.timeout_sec:.6g}, '
        f'not {source.history_sec:.6g}',
    )


def _check_occupancy(config: Config, cloud: CloudSource, problems: Problems) -> None:
    shape = config.grid.shape
    problems.check(
        all(part <= n for part, n in zip(cloud.occupancy_shape, shape, strict=True)),
        f'{cloud.name}.occupancy_shape must have at most as many cells as the voxel grid, '
        f'{shown(shape)} in z, y, x, not {shown(cloud.occupancy_shape)}',
    )


def _check_resolutions(config: Config, problems: Problems) -> None:
    """One field has one resolution: its sums over all clouds of a frame are one number."""
    seen: dict[str, tuple[str, float]] = {}
    for source in config.voxel_sources():
        for name, step in source.resolutions.items():
            other, its_step = seen.setdefault(name, (source.name, step))
            problems.check(
                its_step == step,
                f'{source.name}.fields.{name}.resolution must be {its_step!r} like that of '
                f'{other}, which fills the same grid, not {step!r}',
            )
