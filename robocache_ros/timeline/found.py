# Copyright 2026 the robocache_ros authors
# SPDX-License-Identifier: Apache-2.0
"""A cloud in a ring buffer, found for a frame."""

from __future__ import annotations

from typing import NamedTuple

from robocache_ros.codec.cloud import CloudView
from robocache_ros.timeline.track import Snapshot, Track


class Found(NamedTuple):
    """A cloud in a ring buffer."""

    track: Track
    t_ns: int
    snapshot: Snapshot
    older: bool = False  # a newer one of the source goes into the same grid

    @property
    def source(self) -> str:
        """Name of its source."""
        return self.track.config.name

    @property
    def cloud(self) -> CloudView:
        """The cloud as it came; it is not released while a frame may still need it."""
        assert isinstance(self.snapshot.payload, CloudView)
        return self.snapshot.payload

    @property
    def first_ns(self) -> int:
        """Time of its first point."""
        return self.t_ns if self.cloud.times is None else self.cloud.times.first_ns

    @property
    def last_ns(self) -> int:
        """Time of its last point."""
        return self.t_ns if self.cloud.times is None else self.cloud.times.last_ns

    @property
    def middle_ns(self) -> int:
        """Time halfway between its first and its last point."""
        return (self.first_ns + self.last_ns) // 2
