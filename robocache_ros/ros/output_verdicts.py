# Copyright 2026 the robocache_ros authors
# SPDX-License-Identifier: Apache-2.0
"""What is wrong with an output, in one plain sentence with the fix."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from robocache_ros.reasons import Reason
from robocache_ros.ros.verdicts import Level, Verdict, amount, drops, seconds

_NONFINITE = f'note.{Reason.POINT_NONFINITE.key}'
_OUT_OF_RANGE = f'note.{Reason.POINT_OUT_OF_RANGE.key}'
# Drops for which a source is to blame, so that the sentence has to name it.
_FOR_A_SOURCE = (Reason.FRAME_TIMEOUT, Reason.FRAME_REQUIRED)


class Short(NamedTuple):
    """A source that delivers, and yet frames lacked it in the last seconds."""

    source: str
    late: int  # frames that stopped waiting for it
    invalid: int  # frames in which nothing of it was valid
    period_sec: float
    delay_sec: float  # by how much it arrives later than data of the reference of the same time
    max_gap_sec: float
    moves: bool = False  # whether `deskew` needs it
    behind_sec: float = 0.0  # its clock, by the quickest message of each, or its transport


@dataclass(frozen=True)
class OutputFacts:
    """What is known about one output of an active node; counts are of the last seconds."""

    starved: str  # why there can be no frames at all, '' if there can
    cause: str  # what is wrong with the source that is to blame for that, a sentence
    absent: tuple[str, ...]  # sources that have a problem of their own
    short: Sequence[Short]  # of the others, those that frames lacked
    reference: str  # what `delay_sec` counts from
    timeout_sec: float
    messages: int  # since the node was configured
    rate_hz: float
    window_sec: float
    recent: Mapping[str, int]
    painting: Mapping[str, tuple[str, ...]] = field(default_factory=dict)  # camera -> its fields
    told: Mapping[str, str] = field(default_factory=dict)  # source -> its problem, a sentence
    clouds: tuple[str, ...] = ()  # sources of a grid, none of other outputs


def judge_output(facts: OutputFacts) -> list[Verdict]:
    """Return all problems of an output, most basic first, or that there is none."""
    recent = facts.recent
    if not recent['messages'] and facts.starved:
        cause = facts.cause or 'See the status of each source.'
        return [Verdict(Level.ERROR, f'Nothing to send: {facts.starved}. {cause}')]
    found = _dropping(facts)
    if recent['messages'] and recent['points'] and not recent['points_used']:
        found.append(_judge_empty(recent))
    if recent['messages'] and facts.clouds and not recent['points']:
        found.append(_judge_pointless(facts))
    found += _unpainted(facts)
    return found or [_judge_partial(facts)]


def _dropping(facts: OutputFacts) -> list[Verdict]:
    level = Level.WARN if facts.recent['messages'] else Level.ERROR
    return [
        Verdict(
            level,
            f'{amount(count, "frame")} of the last {facts.window_sec:.0f} s not sent '
            f'({reason.key}): {_because(reason, facts)}',
            reason.key,
        )
        for reason, count in drops(facts.recent)
    ]


def _because(reason: Reason, facts: OutputFacts) -> str:
    if reason in _FOR_A_SOURCE and facts.short:
        by_clock = all(_is_behind(short, facts) for short in facts.short)
        return _blame(facts) if by_clock else f'{_blame(facts)} {reason.fix}'
    absent = facts.absent
    if reason is Reason.FRAME_NO_CLOUD:  # sources are not counted one by one
        absent = tuple(source for source in facts.clouds if source in facts.told)
    if not absent:
        return f'{reason.what} {reason.fix}'
    return f'{reason.what} Away: {", ".join(absent)}. {_first(absent, facts)}{reason.fix}'


def _first(sources: Sequence[str], facts: OutputFacts) -> str:
    """Repeat what is wrong with the first of these sources that has a problem."""
    found = (f'{source}: {facts.told[source]} ' for source in sources if source in facts.told)
    return next(found, '')


def _judge_pointless(facts: OutputFacts) -> Verdict:
    """Say whose clouds have no points at all."""
    reason = Reason.CLOUD_EMPTY
    why = _first(facts.clouds, facts).rstrip() or reason.fix
    sentence = f'All voxel grids are empty: no cloud in them has a point. {why}'
    return Verdict(Level.WARN, sentence, reason.key)


def _judge_empty(recent: Mapping[str, int]) -> Verdict:
    """Say why no point of clouds that do have points got into the grid."""
    points, nonfinite, outside = recent['points'], recent[_NONFINITE], recent[_OUT_OF_RANGE]
    if nonfinite >= points:
        return Verdict(
            Level.WARN,
            f'All voxel grids are empty: every coordinate of {amount(points, "point")} is NaN or '
            'infinite; look at what the sensor publishes.',
            Reason.POINT_NONFINITE.key,
        )
    rest = f' ({nonfinite} more are NaN or infinite)' if nonfinite else ''
    return Verdict(
        Level.WARN,
        f'All voxel grids are empty: none of {amount(outside or points, "point")} lies in '
        f'voxels.point_cloud_range{rest}; check the range, the units and the frame of the cloud.',
        Reason.POINT_OUT_OF_RANGE.key,
    )


def _unpainted(facts: OutputFacts) -> Iterator[Verdict]:
    """Say which cameras paint no point of any cloud although they have images of them."""
    recent, used = facts.recent, facts.recent['points_used']
    for camera, fields in facts.painting.items():
        if recent['painted'] and used and all(recent[f'unseen.{f}'] >= used for f in fields):
            yield Verdict(
                Level.WARN,
                f'{camera} gives no point its {", ".join(fields)}: none of '
                f'{amount(used, "point")} falls into its image, or none has a value there. Check '
                f'{camera}.extrinsic: it is of the optical frame, z ahead, x to the right, y '
                'down.',
                Reason.POINT_UNSEEN.key,
            )


def _judge_partial(facts: OutputFacts) -> Verdict:
    partial = facts.recent['partial']
    if not facts.messages:
        return Verdict(Level.OK, 'Waiting for the first frame.')
    rate = f'{facts.rate_hz:.1f} Hz'
    if not partial:
        return Verdict(Level.OK, f'{rate}.')
    without = f', without {", ".join(facts.absent)}' if facts.absent else ''
    if not facts.short:
        return Verdict(Level.OK, f'{rate}{without}.')
    return Verdict(
        Level.WARN,
        f'{rate}{without}, {partial} of {amount(facts.recent["messages"], "frame")} partial: '
        f'{_blame(facts)}',
        'partial ' + ' '.join(sorted(short.source for short in facts.short)),
    )


def _blame(facts: OutputFacts) -> str:
    return ' '.join(_why_short(short, facts) for short in facts.short)


def _is_behind(short: Short, facts: OutputFacts) -> bool:
    """Whether even the quickest messages of a source come too late."""
    return short.behind_sec > (facts.timeout_sec if short.late else short.max_gap_sec)


def _why_short(short: Short, facts: OutputFacts) -> str:
    name = short.source
    if _is_behind(short, facts):
        limit = f'timeout_sec is {facts.timeout_sec:g}'
        if not short.late:
            limit = f'its max_gap_sec is {short.max_gap_sec:g}'
        return (
            f'every message of {name} comes over {seconds(short.behind_sec)} later than those of '
            f'{facts.reference} of the same time, and {limit}: its clock may be behind. '
            f'Synchronise the clocks, or set {name}.time_offset_sec.'
        )
    if short.late:
        needed = seconds(short.delay_sec + short.period_sec)
        late = (
            f'{name} reaches the time of a frame up to {needed} after {facts.reference}, and '
            f'timeout_sec is {facts.timeout_sec:g}: raise it, '
        )
        if short.moves:
            return f'{late}or find out what delays {name}, which deskew needs.'
        return f'{late}find out what delays {name}, or set {name}.wait: newest.'
    return (
        f'{name} was more than its max_gap_sec of {short.max_gap_sec:g} away in {short.invalid} '
        f'(it comes every {seconds(short.period_sec)}, up to {seconds(short.delay_sec)} after '
        f'{facts.reference}): raise {name}.max_gap_sec.'
    )
