# Copyright 2026 the robocache_ros authors
# SPDX-License-Identifier: Apache-2.0
"""What is wrong with /tf and /tf_static, in one plain sentence with the fix."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from robocache_ros.reasons import Reason, Scope
from robocache_ros.ros.verdicts import Level, Verdict, amount, broken

_PATIENCE_SEC = 3.0
_REFUSALS = tuple(reason for reason in Reason if reason.scope is Scope.TRANSFORM)


@dataclass(frozen=True)
class TransformFacts:
    """What is known about the reader of transforms; counts are of the last seconds."""

    absent: str  # why nothing can be read, '' if it can
    asked: tuple[str, ...]  # what they are needed for
    received: int  # since the node was configured
    waiting_sec: float  # since the node was configured
    rate_hz: float
    window_sec: float
    recent: Mapping[str, int]
    last_error: str


def judge_transforms(facts: TransformFacts) -> list[Verdict]:
    """Return all problems of /tf and /tf_static, most basic first, or that there is none."""
    found = []
    if facts.recent['errors']:
        found.append(broken(facts.recent['errors'], facts.last_error))
    if facts.absent:  # of no kind: the log has it since the start
        found.append(Verdict(Level.WARN, facts.absent))
    elif facts.asked and facts.received == 0 and facts.waiting_sec > _PATIENCE_SEC:
        found.append(_silent(facts))
    for reason in _REFUSALS:
        count = facts.recent[f'refused.{reason.key}']
        if count:
            found.append(
                Verdict(
                    Level.WARN,
                    f'{amount(count, "transform")} of the last {facts.window_sec:.0f} s refused, '
                    f'{reason.key}. {reason.what} {reason.fix}',
                    reason.key,
                )
            )
    return found or [_healthy(facts)]


def _silent(facts: TransformFacts) -> Verdict:
    return Verdict(
        Level.WARN,
        f'Nothing has arrived on /tf or /tf_static, so it is not known '
        f'{" and ".join(facts.asked)}: start what publishes them, such as robot_state_publisher, '
        'or set the `extrinsic` of the sources.',
        'silent',
    )


def _healthy(facts: TransformFacts) -> Verdict:
    if facts.received == 0:
        return Verdict(Level.OK, 'Waiting for the first transform.')
    return Verdict(
        Level.OK, f'{amount(facts.received, "transform")} so far, {facts.rate_hz:.1f} Hz lately.'
    )
