# Copyright 2026 the robocache_ros authors
# SPDX-License-Identifier: Apache-2.0
"""What an encoder says of itself: whether it works, how often it did, and how long it took."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from robocache_ros.encoding.attempt import Attempt
from robocache_ros.reasons import Reason

_REMEMBERED = 512  # durations that percentiles are taken of


@dataclass(frozen=True)
class EncoderStatus:
    """One look at an encoder; every image that was submitted is done, counted or on its way."""

    state: str  # ok; failing: the last image failed; off: images are not even tried
    sentence: str  # what is wrong, without a full stop; '' if nothing
    done: int  # images with an encoding
    counts: Mapping[Reason, int]  # images without one
    p50_ms: float | None  # from image to encoding, of the newest; None before the first
    p99_ms: float | None
    device: str


class Account:
    """Counts what became of images."""

    def __init__(self) -> None:
        self._done = 0
        self._counts: Counter[Reason] = Counter()
        self._durations: deque[float] = deque(maxlen=_REMEMBERED)

    def tried(self, made: Attempt, duration_sec: float) -> None:
        """Count an image that has gone through the network, or was to."""
        if made.reason is None:
            self._durations.append(duration_sec)
            self._done += 1
        else:
            self.refused(made.reason)

    def refused(self, reason: Reason) -> None:
        """Count an image without an encoding."""
        self._counts[reason] += 1

    def status(self, state: str, sentence: str, device: str) -> EncoderStatus:
        """Return the counts so far beside a state."""
        ordered = sorted(self._durations)
        middle, slow = _percentile_ms(ordered, 50), _percentile_ms(ordered, 99)
        return EncoderStatus(state, sentence, self._done, dict(self._counts), middle, slow, device)


def _percentile_ms(ordered: Sequence[float], percent: int) -> float | None:
    """Return the smallest value that at least `percent` % do not exceed."""
    if not ordered:
        return None
    return ordered[-(-len(ordered) * percent // 100) - 1] * 1e3
