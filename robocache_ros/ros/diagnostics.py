# Copyright 2026 the robocache_ros authors
# SPDX-License-Identifier: Apache-2.0
"""`/diagnostics` once a second, in every state: counts, rates, and a sentence per problem."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass

from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus, KeyValue
from rclpy.node import Node

from robocache_ros import __version__
from robocache_ros.config import Config
from robocache_ros.pipeline import Pipeline, PipelineStatus
from robocache_ros.reasons import Reason
from robocache_ros.ros.events import NO_PUBLISHER_EVENTS
from robocache_ros.ros.input import Input
from robocache_ros.ros.inputs import Inputs
from robocache_ros.ros.ticks import Growth, Missing
from robocache_ros.ros.verdicts import (
    Level,
    OutputFacts,
    SourceFacts,
    Verdict,
    judge_node,
    judge_output,
    judge_source,
)
from robocache_ros.ros.worker import Worker
from robocache_ros.timeline.track import SourceStatus

HARDWARE_ID = 'robocache_ros'
_INACTIVE = Verdict(Level.OK, 'The node is not active; messages are ignored.')


@dataclass(frozen=True)
class Running:
    """What a configured node consists of, for diagnostics to look at."""

    config: Config
    backend: str
    backend_reason: str
    pipeline: Pipeline
    worker: Worker
    inputs: Inputs
    since_ns: int  # monotonic


class Diagnostics:
    """Looks at a node once a second, publishes what it sees, and logs what goes missing."""

    def __init__(self, node: Node) -> None:
        self._node = node
        self._publisher = node.create_publisher(
            DiagnosticArray, '/diagnostics', 10, event_callbacks=NO_PUBLISHER_EVENTS
        )
        self._growth: dict[str, Growth] = {}
        self._missing: dict[str, Missing] = {}
        self._active_since_ns: int | None = None

    def restart(self) -> None:
        """Forget all counts: the node is being configured anew."""
        self._growth.clear()
        self._missing.clear()

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
        array = DiagnosticArray()
        array.header.stamp = self._node.get_clock().now().to_msg()
        if running is None:
            array.status.append(self._node_status(state, problem, None, 0, now_ns))
        else:
            status = running.pipeline.status(now_ns)
            node = self._node_status(state, problem, running, status.epoch, now_ns)
            sources = [self._source(running, each, status, now_ns) for each in running.inputs]
            outputs = [self._output(running, name, status, now_ns) for name in status.outputs]
            array.status = [node, *sources, *outputs]
        self._publisher.publish(array)

    def _node_status(
        self, state: str, problem: str, running: Running | None, epoch: int, now_ns: int
    ) -> DiagnosticStatus:
        name = self._node.get_fully_qualified_name()
        values = {'state': state, 'version': __version__}
        failing, summary = '', ''
        if running is not None:
            worker = running.worker
            growth = self._grow('node', running, now_ns, {'errors': worker.errors})
            failing = worker.last_error if growth.recent['errors'] else ''
            summary = f'Active on the {running.backend} backend: {running.backend_reason}.'
            values['backend'] = running.backend
            values['backend_reason'] = running.backend_reason
            values['epoch'] = str(epoch)
            values['errors'] = str(worker.errors)
        return self._status('node', judge_node(state, name, problem, failing, summary), values)

    def _source(
        self, running: Running, each: Input, status: PipelineStatus, now_ns: int
    ) -> DiagnosticStatus:
        source = status.sources[each.source.name]
        counts = {
            'received': source.received,
            'lost_transport': each.lost,
            'errors': each.errors,
            **_by_reason('dropped', source.dropped),
        }
        growth = self._grow(f'source {each.source.name}', running, now_ns, counts)
        facts = self._source_facts(running, each, status, growth, now_ns)
        verdict = _INACTIVE if self._active_since_ns is None else judge_source(facts)
        self._tell(each, verdict, source.state)
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
            **counts,
            **_by_reason('note', source.notes),
        }
        return self._status(f'source {each.source.name}', verdict, values)

    def _source_facts(
        self,
        running: Running,
        each: Input,
        status: PipelineStatus,
        growth: Growth,
        now_ns: int,
    ) -> SourceFacts:
        config, name = running.config, each.source.name
        source = status.sources[name]
        reference = _reference(config, status)
        since_ns = max(each.published_since_ns or now_ns, self._active_since_ns or now_ns)
        silent_ns = now_ns - (source.last_arrival_ns or now_ns)
        return SourceFacts(
            name=name,
            topic=each.topic,
            message_type=each.type_name,
            needed=each.source.required or name == config.trigger,
            publishers=each.publishers,
            other_types=each.other_types,
            elsewhere=() if each.publishers else each.elsewhere(),
            incompatible=each.incompatible,
            qos=each.qos,
            state=source.state,
            received=source.received,
            publishing_sec=(now_ns - since_ns) * 1e-9,
            silent_sec=silent_ns * 1e-9,
            reference=reference,
            ahead_sec=_ahead_sec(source, status.sources[reference]),
            clock_jump_sec=config.clock_jump_sec,
            rate_hz=growth.rate_hz('received'),
            latency_ms=self._latency_ms(source, silent_ns),
            window_sec=growth.window_sec,
            recent=growth.recent,
            last_error=each.last_error,
        )

    def _latency_ms(self, source: SourceStatus, silent_ns: int) -> float:
        """From the stamp of the newest sample to its arrival, by the ROS clock."""
        if source.newest_ns is None:
            return 0.0
        now_ns = self._node.get_clock().now().nanoseconds
        return float(now_ns - silent_ns - source.newest_ns) * 1e-6

    def _output(
        self, running: Running, name: str, status: PipelineStatus, now_ns: int
    ) -> DiagnosticStatus:
        output, stats = status.outputs[name], running.worker.outputs[name]
        counts = {
            'messages': stats.messages,
            'partial': stats.partial,
            **_by_reason('dropped', output.dropped),
        }
        points = {'points': output.points, 'points_used': output.points_used}
        growth = self._grow(f'output {name}', running, now_ns, counts | points)
        away = tuple(key for key, source in status.sources.items() if source.state != 'ok')
        facts = OutputFacts(
            starved=_starved(running.config.trigger, away, len(status.sources)),
            absent=away,
            messages=stats.messages,
            rate_hz=growth.rate_hz('messages'),
            window_sec=growth.window_sec,
            recent=growth.recent,
        )
        wait, compute = stats.timings()
        values = {
            **counts,
            'rate_hz': f'{facts.rate_hz:.2f}',
            'wait_ms_p50': f'{wait.p50_ms:.2f}',
            'wait_ms_p99': f'{wait.p99_ms:.2f}',
            'compute_ms_p50': f'{compute.p50_ms:.2f}',
            'compute_ms_p99': f'{compute.p99_ms:.2f}',
            **_by_reason('note', output.notes),
        }
        verdict = _INACTIVE if self._active_since_ns is None else judge_output(facts)
        return self._status(f'output {name}', verdict, values)

    def _grow(self, name: str, running: Running, now_ns: int, counts: Mapping[str, int]) -> Growth:
        growth = self._growth.setdefault(name, Growth(running.since_ns))
        growth.add(now_ns, counts)
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

    def _tell(self, each: Input, verdict: Verdict, state: str) -> None:
        name = each.source.name
        missing = self._missing.setdefault(name, Missing())
        if missing.is_news(verdict.missing, state == 'ok'):
            logger = self._node.get_logger()
            if verdict.missing:
                logger.warning(f'{name}: {verdict.sentence}')
            else:
                logger.info(f'{name}: delivers again on {each.topic}.')


def _reference(config: Config, status: PipelineStatus) -> str:
    """Return the source whose clock the others are compared to: the trigger, or a live one."""
    if config.trigger in status.sources:
        return config.trigger
    alive = (name for name, source in status.sources.items() if source.state == 'ok')
    return next(alive, config.sources[0].name)


def _starved(trigger: str, away: tuple[str, ...], sources: int) -> str:
    """Say why there can be no frames, if so."""
    if trigger in away:
        return f'{trigger} is the trigger and does not deliver'
    return 'no source delivers' if len(away) == sources else ''


def _ahead_sec(source: SourceStatus, reference: SourceStatus) -> float:
    """How far the stamps of one source are ahead of another's at the same moment."""
    ahead_sec = 0.0
    for one, sign in ((source, 1), (reference, -1)):
        if one.state != 'ok' or one.newest_ns is None or one.last_arrival_ns is None:
            return 0.0
        ahead_sec += sign * (one.newest_ns - one.last_arrival_ns) * 1e-9
    return ahead_sec


def _by_reason(prefix: str, counts: Mapping[Reason, int]) -> dict[str, int]:
    return {f'{prefix}.{reason.key}': count for reason, count in counts.items() if count}
