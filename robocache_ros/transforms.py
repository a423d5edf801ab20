# Copyright 2026 the robocache_ros authors
# SPDX-License-Identifier: Apache-2.0
"""What is asked of /tf and /tf_static, and what they tell: taken, or refused with a reason."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from robocache_ros.codec.buffers import shown
from robocache_ros.codec.stamp import stamp_ns
from robocache_ros.config import Config
from robocache_ros.motion.pose import Pose
from robocache_ros.pipeline import Pipeline
from robocache_ros.reasons import Reason, Rejected
from robocache_ros.robot_frames import SILENT_NS

TF, TF_STATIC = '/tf', '/tf_static'
_FARTHEST = 1e9  # metres
_MANY_FRAMES = 4096  # of more, those that are told no more are forgotten

_log = logging.getLogger(__name__)


class _Told(NamedTuple):
    """Where a frame was said to be."""

    parent: str
    static: bool
    arrival_ns: int


class TransformReader:
    """
    Hands the transforms of tf2_msgs/TFMessage, whichever library has read it, to a pipeline.

    A frame keeps the parent that it was told first: as long as a publisher on /tf goes on telling
    it, and for good where it is on /tf_static.
    """

    def __init__(self, pipeline: Pipeline, tell: Callable[[str], None] = _log.warning) -> None:
        """`tell` takes a sentence about the first transform that is refused for each reason."""
        self.received = 0
        self.refused: Counter[Reason] = Counter()
        self._pipeline = pipeline
        self._tell = tell
        self._told: dict[str, _Told] = {}  # by child

    def read(self, arrival_ns: int, message: Any, static: bool) -> None:
        """Take the transforms of a message, of /tf_static where they are for ever."""
        for transform in message.transforms:
            self.received += 1
            try:
                self._take(arrival_ns, transform, static)
            except Rejected as rejected:
                self._refuse(rejected, transform, static)

    def _take(self, arrival_ns: int, transform: Any, static: bool) -> None:
        parent, child = (
            name.removeprefix('/')
            for name in (transform.header.frame_id, transform.child_frame_id)
        )
        self._check_frames(arrival_ns, parent, child)
        t_ns = None if static else _time_of(transform.header)
        pose = _pose_of(transform.transform)
        try:
            self._pipeline.tell_transform(arrival_ns, parent, child, t_ns, pose)
        except ValueError as error:
            raise Rejected(Reason.TF_POSE, str(error)) from None
        if len(self._told) > _MANY_FRAMES and child not in self._told:
            self._forget_silent(arrival_ns)
        self._told[child] = _Told(parent, static, arrival_ns)

    def _check_frames(self, arrival_ns: int, parent: str, child: str) -> None:
        if not parent or not child or parent == child:
            raise Rejected(Reason.TF_FRAMES, 'no frame can be there')
        told = self._told.get(child)
        if told is None or told.parent == parent:
            return
        if told.static or arrival_ns - told.arrival_ns < SILENT_NS:
            topic = TF_STATIC if told.static else TF
            where = f'{shown(child)} is in {shown(told.parent)} by {topic}'
            raise Rejected(Reason.TF_PARENT, where)

    def _forget_silent(self, arrival_ns: int) -> None:
        """Make room where things that come and go have frames of their own, each a new name."""
        begin_ns = arrival_ns - SILENT_NS
        self._told = {
            child: told
            for child, told in self._told.items()
            if told.static or told.arrival_ns >= begin_ns
        }

    def _refuse(self, rejected: Rejected, transform: Any, static: bool) -> None:
        """Count, and tell the first of each reason."""
        reason = rejected.reason
        self.refused[reason] += 1
        if self.refused[reason] == 1:
            child, parent = shown(transform.child_frame_id), shown(transform.header.frame_id)
            self._tell(
                f'refused the frame {child} in {parent} on {TF_STATIC if static else TF} '
                f'({reason.key}: {rejected.detail}). {reason.fix} '
                'Said once, counted in /diagnostics.'
            )


def asked_of_transforms(config: Config) -> tuple[str, ...]:
    """Return what a configuration depends on /tf for, in words; () if on nothing."""
    if not config.frame:
        return ()
    base, output = config.base_frame or config.output_frame, config.output_frame
    gyroscopes = (s for s in config.sources if s.name == config.deskew.imu)
    placed = [*config.cloud_sources(), *config.cameras(), *gyroscopes]
    asked = [
        f'where {source.name} is, unless in the frame {base}'
        for source in placed
        if getattr(source, 'extrinsic', None) is None
    ]
    if output and output != base:
        asked.append(f'where {base} is in {output}')
    if config.deskew.fixed_frame:
        asked.append(f'how {base} moves in {config.deskew.fixed_frame}')
    return tuple(asked)


def reads_transforms(config: Config) -> bool:
    """Whether /tf is read: also where odometry may turn out to be that of another frame."""
    return bool(asked_of_transforms(config) or config.deskew.odometry)


def _time_of(header: Any) -> int:
    try:
        return stamp_ns(header)
    except Rejected as rejected:
        raise Rejected(Reason.TF_STAMP, rejected.detail) from None


def _pose_of(transform: Any) -> Pose:
    at, turn = transform.translation, transform.rotation
    position = (at.x, at.y, at.z)
    if not all(abs(value) <= _FARTHEST for value in position):  # a NaN neither
        raise Rejected(Reason.TF_POSE, f'the translation is {position}')
    return Pose(np.array((turn.x, turn.y, turn.z, turn.w)), np.array(position))
