# Copyright 2026 the robocache_ros authors
# SPDX-License-Identifier: Apache-2.0
"""What a costly sensor sees once round the path, rendered beforehand so that running is cheap."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from robocache_ros.sim.config import CameraConfig, LidarConfig


class Loop:
    """
    Renderings at evenly spaced path times (slots), made when first asked for.

    The slots start at the sensor's phase, so without jitter and with as many slots as measurements
    each measurement shows exactly its own time. With `prerender` 0 nothing is kept.
    """

    def __init__(
        self,
        config: LidarConfig | CameraConfig,
        loop_sec: float,
        render: Callable[[float], dict[str, Any]],
    ) -> None:
        self._render = render
        self._phase_sec = config.phase_sec
        count = min(config.prerender, max(1, round(loop_sec * config.rate_hz)))
        self._slots: list[dict[str, Any] | None] = [None] * (count if config.rate_hz else 0)
        self._slot_sec = loop_sec / max(1, count)

    def __len__(self) -> int:
        return len(self._slots)

    def rendered_sec(self, t: float) -> float:
        """Path time that a measurement at `t` shows: the nearest slot's, or `t` itself."""
        return self._phase_sec + self._nearest(t) * self._slot_sec if self._slots else t

    def body(self, t: float) -> dict[str, Any]:
        """Message body for a measurement at path time `t`."""
        return self.slot(self._nearest(t) % len(self)) if self._slots else self._render(t)

    def slot(self, number: int) -> dict[str, Any]:
        """Message body of one slot, rendered if it is not yet there."""
        body = self._slots[number]
        if body is None:
            body = self._render(self._phase_sec + number * self._slot_sec)
            self._slots[number] = body
        return body

    def _nearest(self, t: float) -> int:
        return round((t - self._phase_sec) / self._slot_sec)
