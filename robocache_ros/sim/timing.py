# Copyright 2026 the robocache_ros authors
# SPDX-License-Identifier: Apache-2.0
"""When a sensor measures and when its message comes out: jitter, latency and losses by seed."""

from __future__ import annotations

import heapq
import itertools
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np

from robocache_ros.sim.config import SensorConfig


class Release(NamedTuple):
    """One message of one sensor; times in ns since the start of the robot."""

    publish_ns: int
    capture_ns: int  # its stamp
    dropped: bool


def releases(
    config: SensorConfig, seed: int | Sequence[int], exposure_ns: int = 0
) -> Iterator[Release]:
    """
    All messages of a sensor for ever, in the order of their publication.

    A message comes out `exposure_ns` plus the latency after its measurement began. Messages lost
    are included, marked dropped, so that a long silence costs a consumer no search.
    """
    if config.rate_hz == 0:
        return
    random = np.random.default_rng(seed)
    delay_ns = exposure_ns + _ns(config.latency_sec)
    waiting: list[Release] = []  # heap: with latency jitter a later one can come out first
    for count in itertools.count():
        nominal_ns = _ns(config.phase_sec + count / config.rate_hz)
        early, late, luck = random.random(3)
        soonest_ns = nominal_ns - _ns(config.jitter_sec) + delay_ns  # of this one and all after
        while waiting and waiting[0].publish_ns <= soonest_ns:
            yield heapq.heappop(waiting)
        capture_ns = nominal_ns + _ns((2.0 * early - 1.0) * config.jitter_sec)
        publish_ns = capture_ns + delay_ns + _ns(late * config.latency_jitter_sec)
        dropped = luck < config.drop_probability or _inside(config, capture_ns)
        heapq.heappush(waiting, Release(publish_ns, capture_ns, bool(dropped)))


def _inside(config: SensorConfig, capture_ns: int) -> bool:
    t, edges = capture_ns * 1e-9, config.drop_intervals_sec
    return any(a <= t < b for a, b in zip(edges[::2], edges[1::2], strict=True))


def _ns(sec: float) -> int:
    return round(sec * 1e9)
