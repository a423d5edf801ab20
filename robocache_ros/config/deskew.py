# Copyright 2026 the robocache_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The configuration of deskew: who tells how the robot moves, and to which time points go."""

from __future__ import annotations

from dataclasses import dataclass

from robocache_ros.config.parameters import FRAME_FORM, parameter, settle


@dataclass(frozen=True)
class DeskewConfig:
    """Which sources tell the motion of the robot; none, and clouds stay as they came."""

    imu: str = parameter(
        '',
        'Source whose gyroscope tells how `base_frame` turns; `""`: none.',
        form='the name of a source of type imu, or ""',
    )
    odometry: str = parameter(
        '',
        'Source that tells how `base_frame` moves, and without `deskew.imu` also how it turns.',
        form='the name of a source of type odometry, or ""',
    )
    fixed_frame: str = parameter(
        '',
        'Instead of odometry: the frame, such as `odom`, that `base_frame` moves in on /tf.',
        form=FRAME_FORM,
    )
    to: str = parameter(
        'end',
        'Time of a cloud, and of the frame that it triggers: that of its last point, of its '
        'first, or of its header.',
        choices=('end', 'start', 'header'),
    )
    estimate_bias: bool = parameter(
        True,
        'Take what the gyroscope shows for its bias whenever the robot stands still for a second.',
    )

    def __post_init__(self) -> None:
        settle(self, 'deskew.')

    @property
    def active(self) -> bool:
        """Whether anything tells how the robot moves."""
        return bool(self.imu or self.translates)

    @property
    def translates(self) -> bool:
        """Whether it is known how the robot moves, not only how it turns."""
        return bool(self.odometry or self.fixed_frame)
