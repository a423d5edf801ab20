# Copyright 2026 the robocache_ros authors
# SPDX-License-Identifier: Apache-2.0
"""`/diagnostics` in every state: counts, rates, durations, and a sentence per problem."""

from __future__ import annotations

import time
from collections.abc import Collection, Mapping, Sequence
from typing import NamedTuple

from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus, KeyValue
from rclpy.node import Node

from robocache_ros import __version__
from robocache_ros.backends.status import BackendStatus
from robocache_ros.reasons import Reason
from robocache_ros.ros.events import NO_PUBLISHER_EVENTS
from robocache_ros.ros.facts import Look, Running, troubled
from robocache_ros.ros.input import Input
from robocache_ros.ros.latency import stages
from robocache_ros.ros.output_verdicts import judge_output
from robocache_ros.ros.source_verdicts import SourceFacts, deskew_of, judge_source
from robocache_ros.ros.ticks import Growth, LineBudget, News
from robocache_ros.ros.transform_verdicts import judge_transforms
from robocache_ros.ros.verdicts import Level, Verdict, judge_backend, judge_clock, judge_node
from robocache_ros.ros.worker import OutputStats

HARDWARE_ID = 'robocache_ros'
_INACTIVE = Verdict(
    Level.OK, 'The node is not active, so messages are ignored: see its own status.'
)
_LINES_A_MINUTE = 30
# Longer than the window of the counts: one frame that lacked a source at the start is no line.
_OUTPUT_PATIENCE = 7


class Part(NamedTuple):
    """One status, before it is a message."""

    name: str
    verdicts: Sequence[Verdict]  # the first one is shown
    values: Mapping[str, object]
    well: bool
    told: Collection[str] = ()  # problems that the log has named already
    patience: int = 2  # looks before the log tells a problem

    @property
    def level(self) -> Level:
        """What is shown of it."""
        return self.verdicts[0].level

    @property
    def label(self) -> str:
        """What a line in the log begins with: 'lidar: '."""
        return '' if self.name == 'node' else f'{self.name.split()[-1]}: '


class Diagnostics:
    """Looks at a node, publishes what it sees, and logs what is new."""

    def __init__(self, node: Node) -> None:
        self._node = node
        self._publisher = node.create_publisher(
            DiagnosticArray, '/diagnostics', 10, event_callbacks=NO_PUBLISHER_EVENTS
        )
        self._growth: dict[str, Growth] = {}
        self._news: dict[str, News] = {}
        self._budget = LineBudget(_LINES_A_MINUTE)
        self._active_since_ns: int | None = None
        self._state = ''
        self._shown: dict[str, Part] = {}  # as they were published last
        self._better: set[str] = set()  # parts that have been better since the last tick
        self._clock = (-1, 0)  # what the ROS clock says, and since when, monotonic

    def restart(self) -> None:
        """Forget all counts: the node is being configured anew."""
        self._growth.clear()
        self._news.clear()
        self._shown.clear()

    def publish(self, state: str, problem: str, running: Running | None) -> None:
        """
        Publish the status of the node and, once it is configured, of its sources and outputs.

        Called once a second; the counts that a sentence tells are those of the last calls.

        Args:
            state: lifecycle state.
            problem: why the last transition failed, '' if it did not.
            running: what the node consists of, None while it is not configured.
        """
        parts = self._parts(state, problem, self._look(state, running), tick=True)
        for part in parts:
            self._tell(part)
        self._send(self._steady(parts, tick=True))

    def watch(self, state: str, problem: str, running: Running | None) -> None:
        """Publish out of turn if a level has gone up; called some times a second."""
        glance = self._look(state, running, glance=True)
        if _levels(self._steady(self._parts(state, problem, glance))) != _levels(
            self._shown.values()
        ):
            parts = self._parts(state, problem, self._look(state, running))
            self._send(self._steady(parts))

    def _steady(self, parts: Sequence[Part], tick: bool = False) -> list[Part]:
        """Let a level go down only after it has been down from one tick to the next."""
        return [self._held(part, tick) for part in parts]

    def _held(self, part: Part, tick: bool) -> Part:
        before = self._shown.get(part.name)
        if before is None or part.level >= before.level or (tick and part.name in self._better):
            self._better.discard(part.name)
            return part
        if tick:
            self._better.add(part.name)
        return part._replace(verdicts=before.verdicts)

    def _look(self, state: str, running: Running | None, glance: bool = False) -> Look | None:
        if state != self._state:  # what was wrong before says nothing of now
            self._state = state
            self._shown.clear()
        if state != 'active':
            self._active_since_ns = None
        elif self._active_since_ns is None:
            self._active_since_ns = time.monotonic_ns()
        if running is None:
            return None
        return Look.at(self._node, running, self._active_since_ns, glance)

    def _parts(
        self, state: str, problem: str, look: Look | None, tick: bool = False
    ) -> list[Part]:
        """Judge everything; `tick`: the counts as of now are those that later ones are over."""
        if look is None:
            return [self._node_part(state, problem, None, tick)]
        sources = {
            each.source.name: self._source(look, each, tick) for each in look.running.inputs
        }
        told = {name: list(part.verdicts) for name, part in sources.items()}
        away = troubled(look.status, told)
        return [
            self._node_part(state, problem, look, tick),
            *sources.values(),
            *self._transforms(look, tick),
            *(self._output(look, name, away, told, tick) for name in look.status.outputs),
        ]

    def _send(self, parts: Sequence[Part]) -> None:
        self._shown = {part.name: part for part in parts}
        array = DiagnosticArray()
        array.header.stamp = self._node.get_clock().now().to_msg()
        array.status = [self._status(part) for part in parts]
        self._publisher.publish(array)

    def _node_part(self, state: str, problem: str, look: Look | None, tick: bool) -> Part:
        name = self._node.get_fully_qualified_name()
        values = {'state': state, 'version': __version__}
        failing, summary, trouble = '', '', None
        if look is not None:
            running, worker = look.running, look.running.worker
            growth = self._grow('node', look, {'errors': worker.errors}, tick)
            failing = worker.last_error if growth.recent['errors'] else ''
            backend = running.backend.status()
            summary = f'Active on the {backend.name} backend: {backend.reason}.'
            values |= _about_backend(backend)
            values['epoch'] = str(look.status.epoch)
            values['errors'] = str(worker.errors)
            trouble = judge_backend(backend) or self._judge_clock(look)
        verdict = judge_node(state, name, problem, failing, summary)
        if verdict.level == Level.OK and trouble is not None:
            verdict = trouble
        return Part('node', [verdict], values, well=verdict.level == Level.OK)

    def _judge_clock(self, look: Look) -> Verdict | None:
        reference = look.reference
        delivers = look.status.sources[reference].state == 'ok'
        simulated = bool(self._node.get_parameter('use_sim_time').value)
        clock_ns = int(self._node.get_clock().now().nanoseconds)
        if clock_ns != self._clock[0]:
            self._clock = (clock_ns, look.now_ns)
        arrives = any(source.state == 'ok' for source in look.status.sources.values())
        return judge_clock(
            simulated and clock_ns == 0,
            reference,
            look.behind_sec(reference) if delivers else 0.0,
            (look.now_ns - self._clock[1]) * 1e-9 if simulated and arrives else 0.0,
        )

    def _source(self, look: Look, each: Input, tick: bool) -> Part:
        name = each.source.name
        source = look.status.sources[name]
        counts = {
            'received': source.received,
            'lost_transport': each.lost,
            'errors': each.errors,
            **_by_reason('dropped', source.dropped),
            **_by_reason('note', source.notes),
        }
        facts = look.source(each, self._grow(f'source {name}', look, counts, tick))
        verdicts = [_INACTIVE] if self._active_since_ns is None else judge_source(facts)
        return Part(
            f'source {name}',
            verdicts,
            {} if look.glance else {**_about_source(look, each, facts), **counts},
            well=verdicts[0].level == Level.OK and source.state == 'ok',
            told=each.told,
        )

    def _transforms(self, look: Look, tick: bool) -> list[Part]:
        transforms = look.running.inputs.transforms
        if transforms is None:
            return []
        reader = transforms.reader
        counts = {
            'received': reader.received,
            'errors': transforms.errors,
            **_by_reason('refused', reader.refused),
        }
        growth = self._grow('transforms', look, counts, tick)
        verdicts = judge_transforms(look.transforms(transforms, growth))
        values = {'rate_hz': f'{growth.rate_hz("received"):.2f}', **counts}
        well = verdicts[0].level == Level.OK and reader.received > 0
        told = [reason.key for reason in reader.refused]
        return [Part('transforms', verdicts, values, well, told)]

    def _output(
        self,
        look: Look,
        name: str,
        away: Collection[str],
        told: Mapping[str, list[Verdict]],
        tick: bool,
    ) -> Part:
        output, stats = look.status.outputs[name], look.running.worker.outputs[name]
        counts = {
            'messages': stats.messages,
            'partial': stats.partial,
            **{f'late.{source}': count for source, count in output.late.items()},
            **{f'invalid.{source}': count for source, count in output.invalid.items()},
            **_by_reason('dropped', output.dropped),
            **_by_reason('note', output.notes),
        }
        totals = {
            'points': output.points,
            'points_used': output.points_used,
            'painted': output.painted,
            **{f'unseen.{name}': count for name, count in output.unseen.items()},
        }
        growth = self._grow(f'output {name}', look, counts | totals, tick)
        facts = look.output(name, stats.messages, growth, away, told)
        verdicts = [_INACTIVE] if self._active_since_ns is None else judge_output(facts)
        values = {
            'rate_hz': f'{facts.rate_hz:.2f}',
            **_latency(look, stats),
            **counts,
            **(totals if output.painted else {}),  # of which points are `note.point_unseen`
        }
        well = verdicts[0].level == Level.OK and growth.recent['messages'] > 0
        return Part(f'output {name}', verdicts, values, well, patience=_OUTPUT_PATIENCE)

    def _grow(self, part: str, look: Look, counts: Mapping[str, int], tick: bool) -> Growth:
        growth = self._growth.setdefault(part, Growth(look.running.since_ns))
        (growth.add if tick else growth.see)(look.now_ns, counts)
        return growth

    def _status(self, part: Part) -> DiagnosticStatus:
        verdict = part.verdicts[0]
        return DiagnosticStatus(
            level=bytes([verdict.level]),
            name=f'{self._node.get_fully_qualified_name()}: {part.name}',
            message=verdict.sentence,
            hardware_id=HARDWARE_ID,
            values=[KeyValue(key=key, value=str(value)) for key, value in part.values.items()],
        )

    def _tell(self, part: Part) -> None:
        """Log what is new about one part of the node."""
        news = self._news.setdefault(part.name, News(part.patience))
        problems = {verdict.kind: verdict for verdict in part.verdicts if verdict.kind}
        for kind in news.of(problems, part.told):
            self._log(problems[kind].level, part.label + problems[kind].sentence)
        if news.is_recovery(part.well):
            self._log(Level.OK, f'{part.label}fine now: {part.verdicts[0].sentence}')

    def _log(self, level: Level, sentence: str) -> None:
        if not self._budget.allows(time.monotonic_ns()):
            return
        logger = self._node.get_logger()
        # One call for each level: rclpy refuses a call site that changes its level.
        if level == Level.ERROR:
            logger.error(sentence)
        elif level == Level.WARN:
            logger.warning(sentence)
        else:
            logger.info(sentence)


def _levels(parts: Collection[Part]) -> dict[str, Level]:
    return {part.name: part.level for part in parts}


def _about_source(look: Look, each: Input, facts: SourceFacts) -> dict[str, object]:
    """What a source is, when its messages come, and what becomes of them."""
    source = look.status.sources[facts.name]
    offset_ms = look.clock_offset_ms(facts.name)
    return {
        'topic': each.topic,
        'state': source.state,
        'publishers': each.publishers,
        'qos': each.qos,
        **({'incompatible': each.incompatible} if each.incompatible else {}),
        'rate_hz': f'{facts.rate_hz:.2f}',
        'latency_ms': f'{facts.latency_ms:.1f}',
        **look.beats[facts.name].values(),
        **({} if offset_ms is None else {'clock_offset_ms': f'{offset_ms:.1f}'}),
        'fill': f'{min(1.0, source.span_ns / each.source.history_ns):.0%}',
        'used': source.used,
        'buffered': source.buffered,
        'expired': source.expired,
        **({'point_time': each.point_time} if each.point_time else {}),
        **_agreement(source.agreement),
        **_placement(facts),
        **(facts.camera.values() if facts.camera else {}),
    }


def _latency(look: Look, stats: OutputStats) -> dict[str, str]:
    """How long the frames of an output took, stage by stage."""
    if look.glance:
        return {}
    found = stages(stats.passages(), look.decoding_ns, look.clock_ahead_ns)
    return {
        key: value
        for stage, timing in found.items()
        for key, value in timing.values(stage).items()
    }


def _agreement(found: tuple[float, float] | None) -> dict[str, str]:
    if found is None:
        return {}
    deskewed, unturned = found
    return {'deskew_agreement': f'{deskewed:.0%} ({unturned:.0%} without turning)'}


def _placement(facts: SourceFacts) -> dict[str, str]:
    """Where a source is on the robot and whether its motion is undone, of what can have that."""
    placement = facts.placement
    values = {'extrinsic': placement.extrinsic, 'gyro_bias': placement.gyro_bias}
    if facts.kind == 'pointcloud2':
        values['deskew'] = deskew_of(facts)
    return {key: value for key, value in values.items() if value}


def _by_reason(prefix: str, counts: Mapping[Reason, int]) -> dict[str, int]:
    return {f'{prefix}.{reason.key}': count for reason, count in counts.items() if count}


def _about_backend(backend: BackendStatus) -> dict[str, str]:
    """What computes, from which sizes on CUDA does, and how many calls were computed where."""
    values = {'backend': backend.name, 'backend_reason': backend.reason}
    for op, least in backend.crossover.items():
        values[f'{op}.crossover'] = 'never' if least is None else str(least)
    for op, counts in backend.counts.items():
        values |= {f'{op}.{where}': str(count) for where, count in counts.items()}
    for op, left_sec in backend.retry_sec.items():
        values[f'{op}.retry_sec'] = f'{left_sec:.1f}'
    return values
