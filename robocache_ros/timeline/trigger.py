# Copyright 2026 the robocache_ros authors
# SPDX-License-Identifier: Apache-2.0
"""What starts a frame: a sample of one source, or a multiple of a period in data time."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple, Protocol

from robocache_ros.config import Config
from robocache_ros.timeline.epochs import Arrival
from robocache_ros.timeline.timeline import Timeline


class Pending(NamedTuple):
    """A frame that shall be made: its time, and when (monotonic) it was asked for."""

    t_ref_ns: int
    arrival_ns: int


class Trigger(Protocol):
    """Turns samples that have entered the timeline into frames to be made."""

    def fire(self, source: str, accepted: Sequence[Arrival]) -> list[Pending]:
        """Return the frames that these samples of `source` ask for."""

    def reset(self) -> None:
        """Start anew: an epoch has begun."""

    def use(self, config: Config) -> None:
        """Go on with a changed configuration."""


class SourceTrigger:
    """Every sample of one source is a frame at its stamp."""

    def __init__(self, source: str) -> None:
        self._source = source

    def fire(self, source: str, accepted: Sequence[Arrival]) -> list[Pending]:
        """Return one frame for each sample of the trigger source."""
        if source != self._source:
            return []
        return [Pending(sample.t_ns, sample.arrival_ns) for sample in accepted]

    def reset(self) -> None:
        """Nothing to forget: the samples carry the time."""

    def use(self, config: Config) -> None:
        """Nothing to change: every sample is a frame."""


class RateTrigger:
    """
    Frames at multiples of a period in data time, so that a replay ticks at the same times.

    A gap in the data longer than `clock_jump_sec` is not filled with ticks: there was no data.
    """

    def __init__(self, timeline: Timeline, config: Config) -> None:
        self._timeline = timeline
        self._last_tick: int | None = None
        self._reached_ns = 0  # data time of the last call
        self._set_rate(config)

    def fire(self, source: str, accepted: Sequence[Arrival]) -> list[Pending]:
        """Return the ticks that data time has passed since the last call."""
        if not accepted:
            return []
        arrival_ns = accepted[-1].arrival_ns
        data_time_ns = self._timeline.data_time_ns(arrival_ns)
        if data_time_ns is None:
            return []
        tick, self._reached_ns = self._tick_at(data_time_ns), data_time_ns
        if self._last_tick is None or self._last_tick - tick > self._longest_fill:
            # The first data, or that of another source than before, on another clock.
            self._last_tick = self._tick_at(data_time_ns - 1)
        first = self._last_tick + 1
        if tick - self._last_tick > self._longest_fill:
            first = tick
        self._last_tick = max(tick, self._last_tick)
        return [Pending(self._time_of(k), arrival_ns) for k in range(first, tick + 1)]

    def reset(self) -> None:
        """Forget the last tick: time starts somewhere else."""
        self._last_tick = None

    def use(self, config: Config) -> None:
        """Tick at another rate, from the newest data on: no time comes again."""
        if self._last_tick is None:
            self._set_rate(config)
            return
        done_ns = max(self._time_of(self._last_tick), self._reached_ns)
        self._set_rate(config)
        self._last_tick = self._tick_at(done_ns)

    def _set_rate(self, config: Config) -> None:
        self._rate_hz = config.trigger_rate_hz
        self._longest_fill = max(1, int(config.clock_jump_sec * self._rate_hz))

    def _tick_at(self, t_ns: int) -> int:
        """Return the number of the last tick at or before `t_ns`."""
        tick = int(t_ns * self._rate_hz / 1e9)
        while self._time_of(tick + 1) <= t_ns:
            tick += 1
        while self._time_of(tick) > t_ns:
            tick -= 1
        return tick

    def _time_of(self, tick: int) -> int:
        # In two parts: 1e9 * tick alone has lost its nanoseconds at today's epoch.
        seconds, part = divmod(tick, self._rate_hz)
        return int(seconds) * 1_000_000_000 + round(part * 1e9 / self._rate_hz)


def make_trigger(config: Config, timeline: Timeline) -> Trigger:
    """Return the trigger that the configuration names."""
    if config.trigger == 'rate':
        return RateTrigger(timeline, config)
    return SourceTrigger(config.trigger)
