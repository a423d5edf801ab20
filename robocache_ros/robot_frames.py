# Copyright 2026 the robocache_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The frames of a robot: what the configuration tells of them wins over what /tf does."""

from __future__ import annotations

from robocache_ros.config import Config
from robocache_ros.motion.frames import Frames
from robocache_ros.motion.pose import Pose, identity

SILENT_NS = 1_000_000_000  # who has told no transform for so long tells it no more
_TOLD_SEC = 10.0  # at least so long /tf is remembered, as tf2 does
_MANY_FRAMES = 1000  # that sources name themselves


class RobotFrames:
    """
    The tree of frames, and which of them each source is in.

    A source with an extrinsic has a frame of its own: another may use the same frame_id. The
    pipeline holds its lock around every call.
    """

    def __init__(self, config: Config) -> None:
        self.tree = Frames(_memory_sec(config))
        self._base = config.base_frame
        self._own: dict[str, str] = {}  # by source
        for source in config.sources:
            extrinsic = getattr(source, 'extrinsic', None)
            if extrinsic is not None:
                own = self._own[source.name] = f'({source.name})'
                self.tree.add_static(config.base_frame, own, Pose.of(extrinsic))
        self._given = set(self._own.values())  # frames whose place the configuration tells

    def use(self, config: Config) -> None:
        """Remember /tf for as long as a changed configuration needs it."""
        self.tree.remember(_memory_sec(config))

    def of(self, source: str, frame_id: str) -> str:
        """Return the frame that a source is in, which says it is in `frame_id`."""
        return self._own.get(source, frame_id)

    def learn(self, source: str, frame_id: str) -> None:
        """Note the frame_id of a source, which other frames may hang on, such as the output's."""
        own, frame_id = self._own.get(source), frame_id.removeprefix('/')
        if own is None or frame_id in ('', self._base) or frame_id in self._given:
            return
        if len(self._given) < _MANY_FRAMES and not self.tree.is_below(self._base, frame_id):
            self._given.add(frame_id)
            self.tree.add_static(own, frame_id, identity())

    def tell(self, parent: str, child: str, t_ns: int | None, pose: Pose) -> None:
        """
        Take a transform of /tf, or of /tf_static without a time.

        What the configuration tells about a frame wins. ValueError for what is no transform.
        """
        if child.removeprefix('/') in self._given:
            return
        if self.tree.is_below(parent, child):
            self._leave_to_transforms(parent)
        if t_ns is None:
            self.tree.add_static(parent, child, pose)
        else:
            self.tree.add_dynamic(parent, child, t_ns, pose)

    def _leave_to_transforms(self, parent: str) -> None:
        """
        Take back what was noted of a frame, and those above it, that /tf has above the robot.

        LiDAR odometry does that. A source with an extrinsic still is where that says.
        """
        for frame in self._given.difference(self._own.values()):
            if frame == parent.removeprefix('/') or self.tree.is_below(parent, frame):
                self.tree.forget(frame)
                self._given.discard(frame)


def _memory_sec(config: Config) -> float:
    longest_sec = max(source.history_sec for source in config.sources)
    return max(_TOLD_SEC, longest_sec + config.timeout_sec)
