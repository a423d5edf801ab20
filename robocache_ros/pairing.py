# Copyright 2026 the robocache_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Puts the two halves of a frame together again, by their stamp."""

from __future__ import annotations

from typing import Any


class Pairing:
    """
    Two streams, 0 and 1, of halves that belong together when their stamps are equal.

    Either may run ahead, skip or lose a stamp, but each keeps its order: so what waits before
    either half of a pair waits in vain. At most `depth` halves of a stream wait.
    """

    def __init__(self, depth: int) -> None:
        self.unpaired = 0  # halves whose other one never came
        self._depth = depth
        self._waiting: tuple[dict[int, Any], dict[int, Any]] = ({}, {})

    def add(self, stream: int, stamp_ns: int, half: Any) -> tuple[Any, Any] | None:
        """Take a half; return the pair (of stream 0, of stream 1) that it completes, if any."""
        own, other = self._waiting[stream], self._waiting[1 - stream]
        if stamp_ns not in other:
            self._keep(own, stamp_ns, half)
            return None
        self.unpaired += len(own)
        own.clear()
        while True:
            oldest = next(iter(other))
            found = other.pop(oldest)
            if oldest == stamp_ns:
                return (half, found) if stream == 0 else (found, half)
            self.unpaired += 1

    def _keep(self, waiting: dict[int, Any], stamp_ns: int, half: Any) -> None:
        # The same stamp again is another run of a looped clock; re-inserted, it is the newest.
        if waiting.pop(stamp_ns, None) is not None:
            self.unpaired += 1
        waiting[stamp_ns] = half
        if len(waiting) > self._depth:
            del waiting[next(iter(waiting))]
            self.unpaired += 1
