# Copyright 2026 the robocache_ros authors
# SPDX-License-Identifier: Apache-2.0
"""What is known about a node at one look, as the rules of the verdicts want it."""

from __future__ import annotations

import time
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace

from rclpy.node import Node

from robocache_ros.backends import Backend
from robocache_ros.config import Config
from robocache_ros.pipeline import Pipeline, PipelineStatus
from robocache_ros.ros.camera_verdicts import CameraFacts
from robocache_ros.ros.input import Input
from robocache_ros.ros.inputs import Inputs
from robocache_ros.ros.output_verdicts import OutputFacts, Short
from robocache_ros.ros.placement import Placement
from robocache_ros.ros.rhythm import Beat
from robocache_ros.ros.source_verdicts import USED_ANYWAY, SourceFacts
from robocache_ros.ros.ticks import Growth
from robocache_ros.ros.transform_verdicts import TransformFacts
from robocache_ros.ros.transforms import Transforms
from robocache_ros.ros.verdicts import Level, Verdict
from robocache_ros.ros.worker import Worker
from robocache_ros.timeline.track import SourceStatus
from robocache_ros.transforms import asked_of_transforms


@dataclass(frozen=True)
class Running:
    """What a configured node consists of, for diagnostics to look at."""

    backend: Backend
    pipeline: Pipeline
    worker: Worker
    inputs: Inputs
    since_ns: int  # monotonic

    @property
    def config(self) -> Config:
        """What frames are computed with now."""
        return self.pipeline.config


@dataclass(frozen=True)
class Look:
    """A configured node at one moment."""

    node: Node
    running: Running
    status: PipelineStatus
    now_ns: int  # monotonic
    active_since_ns: int | None  # monotonic
    clock_ahead_ns: int  # of the monotonic clock is the ROS clock
    # Of a glance no more is asked than the level of each status, so that it costs next to nothing.
    glance: bool = False
    beats: Mapping[str, Beat] = field(default_factory=dict)  # by source; none at a glance
    decoding_ns: Mapping[int, int] = field(default_factory=dict)  # see stages; none at a glance

    @classmethod
    def at(cls, node: Node, running: Running, active_since_ns: int | None, glance: bool) -> Look:
        """Look at a node now."""
        now_ns = time.monotonic_ns()
        status = _patient(running.pipeline.status(now_ns))
        clock_ahead_ns = int(node.get_clock().now().nanoseconds) - now_ns
        look = cls(node, running, status, now_ns, active_since_ns, clock_ahead_ns, glance)
        if glance:
            return look
        inputs = list(running.inputs)
        decoding_ns: dict[int, int] = {}
        for each in inputs:
            if running.config.trigger in (each.source.name, 'rate'):
                decoding_ns |= each.rhythm.decoding_ns()
        beats = {each.source.name: each.rhythm.look(now_ns) for each in inputs}
        return replace(look, beats=beats, decoding_ns=decoding_ns)

    @property
    def reference(self) -> str:
        """The source whose clock the others are compared to: the trigger, or a live one."""
        if self.running.config.trigger in self.status.sources:
            return self.running.config.trigger
        alive = (name for name, source in self.status.sources.items() if source.state == 'ok')
        return next(alive, self.running.config.sources[0].name)

    def behind_sec(self, name: str) -> float:
        """By how much the newest stamp of a source was behind the ROS clock when it arrived."""
        source = self.status.sources[name]
        if source.newest_ns is None:
            return 0.0
        arrival_ns = source.last_arrival_ns or self.now_ns
        return float(self.clock_ahead_ns + arrival_ns - source.newest_ns) * 1e-9

    def latency_ms(self, name: str) -> float:
        """How long after its stamp a message of a source arrives, usually, by the ROS clock."""
        beat = self.beats.get(name)
        if beat is None or beat.lag is None:
            return self.behind_sec(name) * 1e3
        return beat.lag.p50_ms + self.clock_ahead_ns * 1e-6

    def clock_offset_ms(self, name: str) -> float | None:
        """
        How far the clock of a source's stamps is ahead of that of the reference.

        By the message of each that took the least time to get here; None where nobody can tell.
        """
        beats = [self.beats.get(one) for one in (self.reference, name)]
        lags = [None if beat is None else beat.least_lag_ns for beat in beats]
        if lags[0] is None or lags[1] is None:
            return None
        return (lags[0] - lags[1]) * 1e-6

    def source(self, each: Input, growth: Growth) -> SourceFacts:
        """Return what is known about one source."""
        config, name = self.running.config, each.source.name
        source = self.status.sources[name]
        since_ns = max(each.published_since_ns or self.now_ns, self.active_since_ns or self.now_ns)
        grid = self.status.outputs.get('voxels')
        sole = [one.name for one in config.voxel_sources()] == [name]
        alone = sole or [one.name for one in config.sources] == [name]
        return SourceFacts(
            name=name,
            topic=each.topic,
            message_type=each.type_name,
            needed=config.source(name).required or name == config.trigger or alone,
            publishers=each.publishers,
            other_types=each.other_types,
            elsewhere=() if each.publishers or self.glance else each.elsewhere(),
            incompatible=each.incompatible,
            qos=each.qos,
            state=source.state,
            received=source.received,
            publishing_sec=(self.now_ns - since_ns) * 1e-9,
            silent_sec=(self.now_ns - (source.last_arrival_ns or self.now_ns)) * 1e-9,
            reference=self.reference,
            ahead_sec=ahead_sec(source, self.status.sources[self.reference]),
            clock_jump_sec=config.clock_jump_sec,
            rate_hz=growth.rate_hz('received'),
            latency_ms=self.latency_ms(name),
            window_sec=growth.window_sec,
            recent=growth.recent,
            last_error=each.last_error,
            frame_id=source.frame_id,
            output_frame=grid.frame_id if grid else '',
            fields=source.fields,
            lacking=_lacking(config, source.fields),
            agreement=source.agreement,
            kind=each.source.type,
            deskews=config.deskew.active,
            placement=Placement.of(self.running.pipeline, name, self.status),
            camera=CameraFacts.of(each.source, self.running.inputs.cameras.get(name), self.status),
            sole=sole,
        )

    def transforms(self, transforms: Transforms, growth: Growth) -> TransformFacts:
        """Return what is known about /tf and /tf_static."""
        return TransformFacts(
            absent=transforms.absent,
            asked=asked_of_transforms(self.running.config),
            received=transforms.reader.received,
            waiting_sec=(self.now_ns - self.running.since_ns) * 1e-9,
            rate_hz=growth.rate_hz('received'),
            window_sec=growth.window_sec,
            recent=growth.recent,
            last_error=transforms.last_error,
        )

    def output(
        self,
        name: str,
        messages: int,
        growth: Growth,
        troubled: Collection[str],
        told: Mapping[str, list[Verdict]],
    ) -> OutputFacts:
        """
        Return what is known about one output.

        Args:
            name: of it.
            messages: sent since the node was configured.
            growth: of its counts.
            troubled: sources that have a problem of their own.
            told: what is said of the sources.
        """
        recent, sources = growth.recent, self.status.sources
        lacked = [s for s in sources if recent[f'late.{s}'] or recent[f'invalid.{s}']]
        # Of a source that has just appeared it is not known yet whether it delivers.
        away = tuple(s for s in sources if sources[s].state != 'ok' and told[s][0].level)
        config = self.running.config
        problems = {s: told[s][0].sentence for s in sources if told[s][0].level}
        cause = problems.get(config.trigger, '')
        if not cause and away:
            cause = f'{away[0]}: {problems[away[0]]}'
        return OutputFacts(
            starved=starved(config.trigger, away, len(sources)),
            cause=cause,
            absent=tuple(source for source in lacked if source in troubled),
            short=[self._short(s, recent) for s in lacked if s not in troubled],
            reference=self.reference,
            timeout_sec=config.timeout_sec,
            messages=messages,
            rate_hz=growth.rate_hz('messages'),
            window_sec=growth.window_sec,
            recent=recent,
            painting=_painting(config),
            told=problems,
            clouds=tuple(s.name for s in config.voxel_sources()) if name == 'voxels' else (),
        )

    def _short(self, name: str, recent: Mapping[str, int]) -> Short:
        source, reference = self.status.sources[name], self.status.sources[self.reference]
        config, offset_ms = self.running.config, self.clock_offset_ms(name)
        return Short(
            source=name,
            late=recent[f'late.{name}'],
            invalid=recent[f'invalid.{name}'],
            period_sec=(source.period_ns or 0) * 1e-9,
            delay_sec=max(0, (source.longest_lag_ns or 0) - (reference.lag_ns or 0)) * 1e-9,
            max_gap_sec=config.source(name).max_gap_sec,
            moves=name in (config.deskew.imu, config.deskew.odometry),
            behind_sec=0.0 if offset_ms is None else -offset_ms * 1e-3,
        )


def _patient(status: PipelineStatus) -> PipelineStatus:
    """Call no source silent that only pauses, as it does between two bursts."""
    sources = {
        name: replace(source, state='ok')
        if source.state == 'silent' and not source.missed
        else source
        for name, source in status.sources.items()
    }
    return replace(status, sources=sources)


def troubled(status: PipelineStatus, verdicts: Mapping[str, list[Verdict]]) -> list[str]:
    """Return the sources whose own status explains why frames lack them."""
    return [
        name
        for name, found in verdicts.items()
        if status.sources[name].state != 'ok'
        or any(v.level != Level.OK and v.kind not in USED_ANYWAY for v in found)
    ]


def starved(trigger: str, away: tuple[str, ...], sources: int) -> str:
    """Say why there can be no frames, if so."""
    if trigger in away:
        return f'{trigger} is the trigger and does not deliver'
    return 'no source delivers' if len(away) == sources else ''


def ahead_sec(source: SourceStatus, reference: SourceStatus) -> float:
    """How far the stamps of one source are ahead of another's at the same moment."""
    total = 0.0
    for one, sign in ((source, 1), (reference, -1)):
        if one.state != 'ok' or one.newest_ns is None or one.last_arrival_ns is None:
            return 0.0
        total += sign * (one.newest_ns - one.last_arrival_ns) * 1e-9
    return total


def _painting(config: Config) -> dict[str, tuple[str, ...]]:
    """Return the cameras that paint what channels ask for, and what that is."""
    asked = config.voxel_spec.fields
    found = {c.name: tuple(f for f in c.painted if f in asked) for c in config.cameras()}
    return {camera: fields for camera, fields in found.items() if fields}


def _lacking(config: Config, fields: tuple[str, ...]) -> dict[str, tuple[str, ...]]:
    """Return fields that clouds should have and do not, and the channels that are for them."""
    absent = [f for f in config.voxel_spec.fields if f not in fields and f not in config.painted]
    channels = config.voxel_spec.channels
    return {name: tuple(c.name for c in channels if name in c.fields) for name in absent}
