# Copyright 2026 the robocache_ros authors
# SPDX-License-Identifier: Apache-2.0
"""What is wrong, in one plain sentence with the fix: what a verdict is, and those on the node."""

from __future__ import annotations

from collections.abc import Mapping
from enum import IntEnum
from typing import NamedTuple

from robocache_ros.backends.status import BackendStatus
from robocache_ros.reasons import Reason

_REASONS = {reason.key: reason for reason in Reason}
_DROPPED = 'dropped.'
# Stamps and ROS clock of a live robot differ by milliseconds; those of a bag by days.
_SAME_CLOCK_SEC = 5.0
_STILL_SEC = 2.0  # a simulation that is paused has sources that pause, too


class Level(IntEnum):
    """Levels of a diagnostic_msgs/DiagnosticStatus."""

    OK = 0
    WARN = 1
    ERROR = 2


class Verdict(NamedTuple):
    """The level of one status and its sentence."""

    level: Level
    sentence: str
    kind: str = ''  # the log says each kind of problem once; '' is said elsewhere, or no problem


def drops(counts: Mapping[str, int]) -> list[tuple[Reason, int]]:
    """Return the reasons among `dropped.<reason>` keys and their counts, most frequent first."""
    found = [
        (_REASONS[key.removeprefix(_DROPPED)], count)
        for key, count in counts.items()
        if key.startswith(_DROPPED) and count > 0
    ]
    return sorted(found, key=lambda one: -one[1])


def amount(number: int, noun: str) -> str:
    """Return '1 message' or '2 messages'."""
    return f'{number} {noun}' if number == 1 else f'{number} {noun}s'


def broken(errors: int, last_error: str) -> Verdict:
    """Return what to say about messages that raised what nothing should raise."""
    return Verdict(
        Level.ERROR,
        f'{amount(errors, "message")} could not be handled, which is a bug in robocache_ros; '
        f'please report it: {last_error}.',
    )


def seconds(duration_sec: float) -> str:
    """Return '30 ms', '2.5 s' or '3600 s'."""
    if duration_sec < 1:
        return f'{duration_sec * 1e3:.0f} ms'
    return f'{duration_sec:.1f} s' if duration_sec < 100 else f'{duration_sec:.0f} s'


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
            state,
        )
    if state == 'inactive':
        return Verdict(
            Level.WARN,
            f'Configured but not active, so messages are ignored. Run `ros2 lifecycle set {name} '
            'activate`.',
            state,
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


def judge_backend(backend: BackendStatus) -> Verdict | None:
    """Return what keeps CUDA from computing although it should, if something does."""
    if backend.healthy:
        return None
    sentence = f'Active on the {backend.name} backend: {backend.reason}. {backend.fix}'
    return Verdict(Level.WARN, sentence)  # of no kind: the backend has logged it by itself


def judge_clock(
    no_clock: bool, reference: str, behind_sec: float, still_sec: float = 0.0
) -> Verdict | None:
    """
    Return what is wrong with the ROS clock of an active node, if something is.

    Args:
        no_clock: the node takes its time from /clock, and /clock has not said anything.
        reference: the source whose stamps become those of the outputs.
        behind_sec: by how much they are behind the ROS clock when they arrive.
        still_sec: for how long /clock has said the same while sources deliver.
    """
    if no_clock:
        return Verdict(
            Level.WARN,
            'use_sim_time is true, but nothing arrives on /clock: start the simulator, or '
            '`ros2 bag play --clock`, or set use_sim_time: false.',
            'no clock',
        )
    if still_sec > _STILL_SEC:
        return Verdict(
            Level.WARN,
            f'/clock has stood still for {seconds(still_sec)}, and messages of sources still '
            'arrive: see what publishes /clock (a bag needs --clock, and has to play as they do), '
            'or set use_sim_time: false for a robot that is not simulated.',
            'clock stands',
        )
    if abs(behind_sec) <= _SAME_CLOCK_SEC:
        return None
    side = 'behind' if behind_sec > 0 else 'ahead of'
    return Verdict(
        Level.WARN,
        f'The stamps of {reference} are {seconds(abs(behind_sec))} {side} the ROS clock, and so '
        'are those of the outputs. A bag: play it with --clock, and set use_sim_time: true. A '
        f'sensor: set its clock, or {reference}.stamp: receive.',
        'other clock',
    )
