# Copyright 2026 the robocache_ros authors
# SPDX-License-Identifier: Apache-2.0
"""What is wrong, in one plain sentence with the fix: the rules behind `/diagnostics`."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from enum import IntEnum
from typing import NamedTuple

from robocache_ros.reasons import Reason

# A publisher that has not sent anything for this long is suspected of not reaching us.
PATIENCE_SEC = 3.0
# Stamps further from the ROS clock come from a bag that plays without its clock.
_SAME_CLOCK_MS = 60_000.0
_SHOWN_TOPICS = 5
_REASONS = {reason.key: reason for reason in Reason}
_DROPPED = 'dropped.'


class Level(IntEnum):
    """Levels of a diagnostic_msgs/DiagnosticStatus."""

    OK = 0
    WARN = 1
    ERROR = 2


class Verdict(NamedTuple):
    """The level of one status and its sentence; `missing`: the source does not deliver."""

    level: Level
    sentence: str
    missing: bool = False


@dataclass(frozen=True)
class SourceFacts:
    """What is known about one source of an active node; counts are of the last seconds."""

    name: str
    topic: str
    message_type: str
    needed: bool  # no output without it
    publishers: int
    other_types: tuple[str, ...]
    elsewhere: tuple[str, ...]  # topics that do carry this type
    incompatible: str
    qos: str
    state: str  # as in SourceStatus
    received: int  # since the node was configured
    publishing_sec: float  # for how long there has been a publisher and we were active
    silent_sec: float
    reference: str  # source whose clock counts: the trigger
    ahead_sec: float  # of the stamps of the reference at the same moment
    clock_jump_sec: float
    rate_hz: float
    latency_ms: float
    window_sec: float
    recent: Mapping[str, int]
    last_error: str


def judge_source(facts: SourceFacts) -> Verdict:
    """Return the first problem of a source that applies, most basic first."""
    for rule in (_broken, _missing, _on_another_clock, _dropping, _losing):
        verdict = rule(facts)
        if verdict is not None:
            return verdict
    if facts.received == 0:
        return Verdict(Level.OK, f'Waiting for the first message on {facts.topic}.')
    sentence = f'{facts.rate_hz:.1f} Hz'
    if abs(facts.latency_ms) < _SAME_CLOCK_MS:
        sentence += f', received {facts.latency_ms:.0f} ms after the stamp'
    return Verdict(Level.OK, f'{sentence}.')


def _broken(facts: SourceFacts) -> Verdict | None:
    if not facts.recent['errors']:
        return None
    return Verdict(
        Level.ERROR,
        f'{facts.recent["errors"]} messages could not be handled, which is a bug in '
        f'robocache_ros; please report it: {facts.last_error}.',
    )


def _missing(facts: SourceFacts) -> Verdict | None:
    level = Level.ERROR if facts.needed else Level.WARN
    sentence = _why_missing(facts)
    return Verdict(level, sentence, missing=True) if sentence else None


def _why_missing(facts: SourceFacts) -> str:
    if facts.publishers == 0 and facts.state in ('unheard', 'silent'):
        if facts.other_types:
            return (
                f'{facts.topic} carries {", ".join(facts.other_types)}, not '
                f'{facts.message_type}: set {facts.name}.topic or {facts.name}.type.'
            )
        found = ', '.join(facts.elsewhere[:_SHOWN_TOPICS])
        but = f', but on {found}' if found else ''
        return (
            f'No publisher of {facts.message_type} on {facts.topic}{but}: start the driver, or '
            f'set {facts.name}.topic, or take {facts.name} out of sources.'
        )
    if facts.received == 0:
        if facts.incompatible:
            return facts.incompatible
        if facts.publishing_sec > PATIENCE_SEC:
            return (
                f'{facts.publishers} publisher(s) on {facts.topic}, but nothing has arrived '
                f'(QoS {facts.qos}): the driver may be idle, or the messages may be too large for '
                'its transport, for which config/fastdds_large_messages.xml is the cure.'
            )
    # What arrives and is dropped is not silence: the rule for drops names the reason.
    if facts.state == 'silent' and most_dropped(facts.recent)[0] is None:
        return (
            f'Silent for {facts.silent_sec:.1f} s: nothing arrives on {facts.topic}, although it '
            f'has {facts.publishers} publisher(s).'
        )
    return ''


def _on_another_clock(facts: SourceFacts) -> Verdict | None:
    if facts.state == 'other_epoch':
        return Verdict(Level.WARN, f'{Reason.OLD_EPOCH.what} {Reason.OLD_EPOCH.fix}')
    if abs(facts.ahead_sec) <= facts.clock_jump_sec:
        return None
    side = 'ahead of' if facts.ahead_sec > 0 else 'behind'
    return Verdict(
        Level.WARN,
        f'Its stamps are {abs(facts.ahead_sec):.1f} s {side} those of {facts.reference}: '
        f'synchronise the clocks, or set {facts.name}.time_offset_sec, or '
        f'{facts.name}.stamp: receive.',
    )


def _dropping(facts: SourceFacts) -> Verdict | None:
    reason, dropped = most_dropped(facts.recent)
    if reason is None:
        return None
    received = facts.recent['received']
    total = f'All {dropped}' if dropped >= received else f'{dropped} of {received}'
    level = Level.ERROR if dropped >= received and facts.needed else Level.WARN
    return Verdict(
        level,
        f'{total} messages of the last {facts.window_sec:.0f} s were dropped, mostly '
        f'{reason.key}. {reason.what} {reason.fix}',
    )


def _losing(facts: SourceFacts) -> Verdict | None:
    if not facts.recent['lost_transport']:
        return None
    return Verdict(
        Level.WARN,
        f'{facts.recent["lost_transport"]} messages were lost on the way in the last '
        f'{facts.window_sec:.0f} s: raise {facts.name}.depth, or use '
        'config/fastdds_large_messages.xml where they are published.',
    )


@dataclass(frozen=True)
class OutputFacts:
    """What is known about one output of an active node; counts are of the last seconds."""

    starved: str  # why there can be no frames at all, '' if there can
    absent: tuple[str, ...]  # sources that are not delivering
    messages: int  # since the node was configured
    rate_hz: float
    window_sec: float
    recent: Mapping[str, int]


def judge_output(facts: OutputFacts) -> Verdict:
    """Return the first problem of an output that applies, most basic first."""
    recent = facts.recent
    if not recent['messages'] and facts.starved:
        return Verdict(Level.ERROR, f'Nothing to send: {facts.starved}.')
    reason, dropped = most_dropped(recent)
    if reason is not None:
        return Verdict(
            Level.WARN if recent['messages'] else Level.ERROR,
            f'{dropped} frames of the last {facts.window_sec:.0f} s were not sent, mostly '
            f'{reason.key}. {reason.what} {reason.fix}',
        )
    if recent['messages'] and recent['points'] and not recent['points_used']:
        return Verdict(
            Level.WARN,
            f'All voxel grids are empty: none of {recent["points"]} points lies in '
            'voxels.point_cloud_range; check the range, the units and the frame of the cloud.',
        )
    return _judge_partial(facts)


def _judge_partial(facts: OutputFacts) -> Verdict:
    partial = facts.recent['partial']
    if not facts.messages:
        return Verdict(Level.OK, 'Waiting for the first frame.')
    rate = f'{facts.rate_hz:.1f} Hz'
    if not partial:
        return Verdict(Level.OK, f'{rate}.')
    if facts.absent:
        return Verdict(Level.OK, f'{rate}, without {", ".join(facts.absent)}.')
    return Verdict(
        Level.WARN,
        f'{rate}, {partial} of {facts.recent["messages"]} frames partial: a source arrives later '
        'than timeout_sec, or has gaps wider than its max_gap_sec.',
    )


def most_dropped(counts: Mapping[str, int]) -> tuple[Reason | None, int]:
    """Return the most frequent reason among `dropped.<reason>` keys, and all drops together."""
    dropped = Counter(
        {
            key.removeprefix(_DROPPED): count
            for key, count in counts.items()
            if key.startswith(_DROPPED) and count > 0
        }
    )
    if not dropped:
        return None, 0
    return _REASONS[dropped.most_common(1)[0][0]], sum(dropped.values())


def judge_node(state: str, name: str, problem: str, failing: str, summary: str) -> Verdict:
    """
    Return what to say about the node itself.

    Args:
        state: lifecycle state.
        name: full name of the node.
        problem: why the last transition failed; '' if it did not.
        failing: the last error of a computation, if there was one lately.
        summary: what to say when all is well.
    """
    if problem:
        return Verdict(Level.ERROR, problem)
    if state == 'unconfigured':
        return Verdict(
            Level.WARN,
            'Not configured: autostart is false, or it was cleaned up. Run '
            f'`ros2 lifecycle set {name} configure`, then activate.',
        )
    if state == 'inactive':
        return Verdict(
            Level.WARN,
            f'Configured but not active, so messages are ignored. Run `ros2 lifecycle set {name} '
            'activate`.',
        )
    if state == 'finalized':
        return Verdict(Level.WARN, 'Shut down: start the node again.')
    if failing:
        return Verdict(
            Level.ERROR,
            'A frame could not be computed, which is a bug in robocache_ros; please report it: '
            f'{failing}.',
        )
    return Verdict(Level.OK, summary)
