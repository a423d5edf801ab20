# Copyright 2026 the robocache_ros authors
# SPDX-License-Identifier: Apache-2.0
"""`/diagnostics` once a second, in every state: counts, rates, and a sentence per problem."""

from __future__ import annotations

import time
from collections.abc import Collection, Mapping

from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus, KeyValue
from rclpy.node import Node

from robocache_ros import __version__
from robocache_ros.backends.status import BackendStatus
from robocache_ros.reasons import Reason
from robocache_ros.ros.events import NO_PUBLISHER_EVENTS
from robocache_ros.ros.facts import Look, Running, troubled
from robocache_ros.ros.input import Input
from robocache_ros.ros.output_verdicts import judge_output
from robocache_ros.ros.source_verdicts import SourceFacts, deskew_of, judge_source
from robocache_ros.ros.ticks import Growth, LineBudget, News
from robocache_ros.ros.transform_verdicts import judge_transforms
from robocache_ros.ros.verdicts import Level, Verdict, judge_backend, judge_clock, judge_node

HARDWARE_ID = 'robocache_ros'
_INACTIVE = Verdict(Level.OK, 'The node is not active; messages are ignored.')
_LINES_A_MINUTE = 30
# Longer than the window of the counts: one frame that lacked a source at the start is no line.
_OUTPUT_PATIENCE = 7


class Diagnostics:
    """Looks at a node once a second, publishes what it sees, and logs what is new."""

    def __init__(self, node: Node) -> None:
        self._node = node
        self._publisher = node.create_publisher(
            DiagnosticArray, '/diagnostics', 10, event_callbacks=NO_PUBLISHER_EVENTS
        )
        self._growth: dict[str, Growth] = {}
        self._news: dict[str, News] = {}
        self._budget = LineBudget(_LINES_A_MINUTE)
        self._active_since_ns: int | None = None

    def restart(self) -> None:
        """Forget all counts: the node is being configured anew."""
        self._growth.clear()
        self._news.clear()

    def publish(self, state: str, problem: str, running: Running | None) -> None:
        """
        Publish the status of the node and, once it is configured, of its sources and outputs.

        Args:
            state: lifecycle state.
            problem: why the last transition failed, '' if it did not.
            running: what the node consists of, None while it is not configured.
        """
        now_ns = time.monotonic_ns()
        if state != 'active':
            self._active_since_ns = None
        elif self._active_since_ns is None:
            self._active_since_ns = now_ns
        look = None
        if running is not None:
            status = running.pipeline.status(now_ns)
            look = Look(self._node, running, status, now_ns, self._active_since_ns)
        array = DiagnosticArray()
        array.header.stamp = self._node.get_clock().now().to_msg()
        array.status = [self._node_status(state, problem, look), *self._parts(look)]
        self._publisher.publish(array)

    def _parts(self, look: Look | None) -> list[DiagnosticStatus]:
        if look is None:
            return []
        sources, verdicts = [], {}
        for each in look.running.inputs:
            status, verdicts[each.source.name] = self._source(look, each)
            sources.append(status)
        away = troubled(look.status, verdicts)
        outputs = [self._output(look, name, away) for name in look.status.outputs]
        return [*sources, *self._transforms(look), *outputs]

    def _node_status(self, state: str, problem: str, look: Look | None) -> DiagnosticStatus:
        name = self._node.get_fully_qualified_name()
        values = {'state': state, 'version': __version__}
        failing, summary, trouble = '', '', None
        if look is not None:
            running, worker = look.running, look.running.worker
            growth = self._grow('node', look, {'errors': worker.errors})
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
        self._tell('node', '', [verdict], well=verdict.level == Level.OK)
        return self._status('node', verdict, values)

    def _judge_clock(self, look: Look) -> Verdict | None:
        reference = look.reference
        delivers = look.status.sources[reference].state == 'ok'
        simulated = self._node.get_parameter('use_sim_time').value
        return judge_clock(
            bool(simulated) and self._node.get_clock().now().nanoseconds == 0,
            reference,
            look.behind_sec(reference) if delivers else 0.0,
        )

    def _source(self, look: Look, each: Input) -> tuple[DiagnosticStatus, list[Verdict]]:
        name = each.source.name
        source = look.status.sources[name]
        counts = {
            'received': source.received,
            'lost_transport': each.lost,
            'errors': each.errors,
            **_by_reason('dropped', source.dropped),
            **_by_reason('note', source.notes),
        }
        facts = look.source(each, self._grow(f'source {name}', look, counts))
        verdicts = [_INACTIVE] if self._active_since_ns is None else judge_source(facts)
        well = verdicts[0].level == Level.OK and source.state == 'ok'
        self._tell(f'source {name}', f'{name}: ', verdicts, well, each.told)
        values = {
            'topic': each.topic,
            'state': source.state,
            'publishers': each.publishers,
            'qos': each.qos,
            'rate_hz': f'{facts.rate_hz:.2f}',
            'latency_ms': f'{facts.latency_ms:.1f}',
            'used': source.used,
            'buffered': source.buffered,
            'expired': source.expired,
            **({'point_time': each.point_time} if each.point_time else {}),
            **_agreement(source.agreement),
            **_placement(facts),
            **(facts.camera.values() if facts.camera else {}),
            **counts,
        }
        return self._status(f'source {name}', verdicts[0], values), verdicts

    def _transforms(self, look: Look) -> list[DiagnosticStatus]:
        transforms = look.running.inputs.transforms
        if transforms is None:
            return []
        reader = transforms.reader
        counts = {
            'received': reader.received,
            'errors': transforms.errors,
            **_by_reason('refused', reader.refused),
        }
        growth = self._grow('transforms', look, counts)
        verdicts = judge_transforms(look.transforms(transforms, growth))
        well = verdicts[0].level == Level.OK and reader.received > 0
        told = [reason.key for reason in reader.refused]
        self._tell('transforms', 'transforms: ', verdicts, well, told)
        values = {'rate_hz': f'{growth.rate_hz("received"):.2f}', **counts}
        return [self._status('transforms', verdicts[0], values)]

    def _output(self, look: Look, name: str, away: Collection[str]) -> DiagnosticStatus:
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
        growth = self._grow(f'output {name}', look, counts | totals)
        facts = look.output(stats.messages, growth, away)
        verdicts = [_INACTIVE] if self._active_since_ns is None else judge_output(facts)
        well = verdicts[0].level == Level.OK and growth.recent['messages'] > 0
        self._tell(f'output {name}', f'{name}: ', verdicts, well, patience=_OUTPUT_PATIENCE)
        wait, compute = stats.timings()
        values = {
            'rate_hz': f'{facts.rate_hz:.2f}',
            'wait_ms_p50': f'{wait.p50_ms:.2f}',
            'wait_ms_p99': f'{wait.p99_ms:.2f}',
            'compute_ms_p50': f'{compute.p50_ms:.2f}',
            'compute_ms_p99': f'{compute.p99_ms:.2f}',
            **counts,
            **(totals if output.painted else {}),  # of which points are `note.point_unseen`
        }
        return self._status(f'output {name}', verdicts[0], values)

    def _grow(self, part: str, look: Look, counts: Mapping[str, int]) -> Growth:
        growth = self._growth.setdefault(part, Growth(look.running.since_ns))
        growth.add(look.now_ns, counts)
        return growth

    def _status(
        self, part: str, verdict: Verdict, values: Mapping[str, object]
    ) -> DiagnosticStatus:
        return DiagnosticStatus(
            level=bytes([verdict.level]),
            name=f'{self._node.get_fully_qualified_name()}: {part}',
            message=verdict.sentence,
            hardware_id=HARDWARE_ID,
            values=[KeyValue(key=key, value=str(value)) for key, value in values.items()],
        )

    def _tell(
        self,
        part: str,
        prefix: str,
        verdicts: Collection[Verdict],
        well: bool,
        told: Collection[str] = (),
        patience: int = 2,
    ) -> None:
        """Log what is new about one part of the node; `told`: problems the log has named."""
        news = self._news.setdefault(part, News(patience))
        problems = {verdict.kind: verdict for verdict in verdicts if verdict.kind}
        for kind in news.of(problems, told):
            self._log(problems[kind].level, prefix + problems[kind].sentence)
        if news.is_recovery(well):
            self._log(Level.OK, f'{prefix}fine now: {next(iter(verdicts)).sentence}')

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
