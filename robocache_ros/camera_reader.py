# Copyright 2026 the robocache_ros authors
# SPDX-License-Identifier: Apache-2.0
"""What CameraInfo messages tell about a camera that paints: taken, or refused with a reason."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from typing import Any

from robocache_ros.codec.camera import Camera
from robocache_ros.config import Config, ImageSource
from robocache_ros.pipeline import Pipeline
from robocache_ros.reasons import Reason, Rejected

_log = logging.getLogger(__name__)


def told_cameras(config: Config) -> Iterator[ImageSource]:
    """Yield the cameras whose calibration comes as a CameraInfo, and not from a file."""
    return (camera for camera in config.cameras() if not camera.calibration)


class CameraReader:
    """
    Hands the CameraInfo messages of one camera, whichever library has read them, to a pipeline.

    They come with every image and say the same: what repeats is not looked at again.
    """

    def __init__(
        self,
        pipeline: Pipeline,
        source: ImageSource,
        tell: Callable[[str], None] = _log.warning,
    ) -> None:
        """`tell` takes a sentence about the first message that is refused for each reason."""
        self.problem = ''  # why the newest message can not be used; '' if it can
        self._pipeline = pipeline
        self._source = source
        self._tell = tell
        self._newest: tuple[Any, ...] = ()
        self._refused: set[Reason] = set()

    def read(self, message: Any) -> None:
        """Take a sensor_msgs/CameraInfo."""
        content = _content(message)
        if content == self._newest:
            return
        self._newest = content
        name = self._source.name
        try:
            camera = Camera.from_info(message, self._source.rectified)
        except Rejected as rejected:
            self.problem = f'{rejected.reason.key}: {rejected.detail}.'
            self._pipeline.tell_camera(name, rejected.reason)
            self._refuse(rejected)
        else:
            self.problem = ''
            self._pipeline.tell_camera(name, camera)

    def _refuse(self, rejected: Rejected) -> None:
        reason = rejected.reason
        if reason not in self._refused:
            self._refused.add(reason)
            fix = reason.fix.replace('`S.', f'`{self._source.name}.')
            self._tell(
                f'{self._source.name}: a CameraInfo can not be used ({reason.key}: '
                f'{rejected.detail}). {fix} Said once, counted in /diagnostics.'
            )


def _content(message: Any) -> tuple[Any, ...]:
    """Return all that a CameraInfo says but its header, to compare."""
    roi = message.roi
    window = (roi.x_offset, roi.y_offset, roi.width, roi.height)
    arrays = (tuple(map(float, values)) for values in (message.d, message.k, message.r, message.p))
    size = (message.width, message.height, message.binning_x, message.binning_y)
    # As text: a NaN is not equal to itself, and such a message repeats as well.
    return (repr((size, window, *arrays)), message.distortion_model)
