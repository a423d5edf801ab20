# Copyright 2026 the robocache_ros authors
# SPDX-License-Identifier: Apache-2.0
"""What is wrong with a source, in one plain sentence with the fix."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from robocache_ros.reasons import PAINTLESS, SMEARED, UNPLACED, Reason
from robocache_ros.ros.camera_verdicts import ENCODER, CameraFacts, judge_camera
from robocache_ros.ros.placement import Placement
from robocache_ros.ros.verdicts import Level, Verdict, amount, broken, drops

# A publisher that has not sent anything for this long is suspected of not reaching us.
PATIENCE_SEC = 3.0
# Stamps further from the ROS clock come from a bag that plays without its clock.
_SAME_CLOCK_MS = 60_000.0
_SHOWN_NAMES = 5
_WORSE = 0.8  # where nothing turns, both agreements are alike but for noise
_FRAME_MISMATCH = f'note.{Reason.FRAME_MISMATCH.key}'
_FIELD_MISSING = f'note.{Reason.FIELD_MISSING.key}'
_OF_POINT_TIMES = (Reason.POINT_TIME_MISSING, Reason.POINT_TIME_DOUBT)
_MOTION_UNPLACED = 'motion_unplaced'
_INCOMPATIBLE = 'incompatible'
# Why no cloud of a source ever gets into the grid, once it is so with most of them.
_NOWHERE = (Reason.TRANSFORM_UNKNOWN, Reason.TRANSFORM_LOOP, Reason.FRAME_MISMATCH)
_BARE = (Reason.CLOUD_EMPTY, Reason.CLOUD_OUT_OF_RANGE)
_BEGINNING = 5  # clouds that may have begun before what tells the motion was heard
# Kinds of problems of a source whose samples are used all the same.
USED_ANYWAY = {
    'deskew_wrong',
    _MOTION_UNPLACED,
    _INCOMPATIBLE,
    ENCODER,
    'camera_info',
    *(reason.key for reason in (Reason.FIELD_MISSING, *_BARE, *SMEARED, *PAINTLESS)),
}


@dataclass(frozen=True)
class SourceFacts:
    """What is known about one source of an active node; counts are of the last seconds."""

    name: str
    topic: str
    message_type: str
    needed: bool  # some output has nothing without it
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
    frame_id: str
    output_frame: str
    fields: tuple[str, ...]  # of its clouds
    lacking: Mapping[str, tuple[str, ...]]  # field that is not among them -> channels it is for
    agreement: tuple[float, float] | None  # as in SourceStatus
    kind: str  # type of source
    deskews: bool  # whether clouds are to be corrected for motion
    placement: Placement
    camera: CameraFacts | None = None  # of images
    sole: bool = False  # no grid without it: no other source is in it


def judge_source(facts: SourceFacts) -> list[Verdict]:
    """Return all problems of a source, most basic first, or that there is none."""
    found = [
        verdict
        for rule in (
            _broken,
            _missing,
            _on_another_clock,
            _unplaced,  # a cause of drops
            _dropping,
            _unused,
            _smeared,
            _disagreeing,
            _unpainted,
            _bare,
            _losing,
            _refusing,
        )
        for verdict in rule(facts)
    ]
    return found or [_healthy(facts)]


def _healthy(facts: SourceFacts) -> Verdict:
    if facts.received == 0:
        return Verdict(Level.OK, f'Waiting for the first message on {facts.topic}.')
    sentence = f'{facts.rate_hz:.1f} Hz'
    if abs(facts.latency_ms) < _SAME_CLOCK_MS:
        sentence += f', received {facts.latency_ms:.0f} ms after the stamp'
    return Verdict(Level.OK, f'{sentence}.')


def _broken(facts: SourceFacts) -> Iterator[Verdict]:
    if facts.recent['errors']:
        yield broken(facts.recent['errors'], facts.last_error)


def _missing(facts: SourceFacts) -> Iterator[Verdict]:
    sentence = _why_missing(facts)
    if sentence:
        yield Verdict(Level.ERROR if facts.needed else Level.WARN, sentence, 'missing')


def _why_missing(facts: SourceFacts) -> str:
    if facts.publishers == 0 and facts.state in ('unheard', 'silent'):
        if facts.other_types:
            return (
                f'{facts.topic} carries {", ".join(facts.other_types)}, not '
                f'{facts.message_type}: set {facts.name}.topic or {facts.name}.type.'
            )
        found = ', '.join(facts.elsewhere[:_SHOWN_NAMES])
        but = f', but on {found}' if found else ''
        return (
            f'No publisher of {facts.message_type} on {facts.topic}{but}: start the driver, or '
            f'set {facts.name}.topic, or take {facts.name} out of sources.'
        )
    publishers = amount(facts.publishers, 'publisher')
    if facts.incompatible and (facts.received == 0 or facts.state == 'silent'):
        return facts.incompatible
    if facts.received == 0 and facts.publishing_sec > PATIENCE_SEC:
        return (
            f'{publishers} on {facts.topic}, but nothing has arrived '
            f'(QoS {facts.qos}): the driver may be idle, or its messages too large for its '
            'transport. Set FASTDDS_DEFAULT_PROFILES_FILE to '
            'config/fastdds_large_messages.xml where they are published.'
        )
    # What arrives and is dropped, or is lost on the way, is not silence: other rules tell of it.
    arrives = drops(facts.recent) or facts.recent['lost_transport']
    if facts.state == 'silent' and not arrives:
        return (
            f'Silent for {facts.silent_sec:.1f} s: nothing arrives on {facts.topic}, although it '
            f'has {publishers}. Look at the driver and at what it is connected to.'
        )
    return ''


def _on_another_clock(facts: SourceFacts) -> Iterator[Verdict]:
    if facts.state == 'other_epoch':
        sentence = f'{Reason.OLD_EPOCH.what} {Reason.OLD_EPOCH.fix}'
        yield Verdict(Level.WARN, sentence, Reason.OLD_EPOCH.key)
    elif abs(facts.ahead_sec) > facts.clock_jump_sec:
        side = 'ahead of' if facts.ahead_sec > 0 else 'behind'
        yield Verdict(
            Level.WARN,
            f'Its stamps are {abs(facts.ahead_sec):.1f} s {side} those of {facts.reference}: '
            f'synchronise the clocks, or set {facts.name}.time_offset_sec, or '
            f'{facts.name}.stamp: receive.',
            'clock',
        )


def _dropping(facts: SourceFacts) -> Iterator[Verdict]:
    """One verdict for each reason; the first one tells how many messages were dropped in all."""
    found = drops(facts.recent)
    received, total = facts.recent['received'], sum(count for _, count in found)
    level = Level.ERROR if total >= received and facts.needed else Level.WARN
    for reason, count in found:
        if (reason, count) == found[0]:
            share = f'All {total}' if total >= received else f'{total} of {received}'
            mostly = 'mostly ' if len(found) > 1 else ''
        else:
            share, mostly = f'{count} of {received}', ''
        yield Verdict(
            level,
            f'{share} messages of the last {facts.window_sec:.0f} s were dropped, {mostly}'
            f'{reason.key}. {reason.what} {reason.fix}',
            reason.key,
        )


def _mostly(reason: Reason, facts: SourceFacts) -> bool:
    """Whether most messages have it: not only those before something was known."""
    return 2 * facts.recent[f'note.{reason.key}'] > facts.recent['received']


def _severity(reason: Reason, facts: SourceFacts) -> Level:
    """How bad it is that clouds are left out of the grid."""
    ends_all = facts.sole and reason in _NOWHERE and _mostly(reason, facts)
    return Level.ERROR if ends_all else Level.WARN


def _unused(facts: SourceFacts) -> Iterator[Verdict]:
    """Say why clouds that arrive well are left out of the grid, or out of a channel of it."""
    if facts.recent[_FRAME_MISMATCH] and facts.frame_id != facts.output_frame:
        yield Verdict(
            _severity(Reason.FRAME_MISMATCH, facts),
            f"Its frame_id is '{facts.frame_id}', the output frame is '{facts.output_frame}': its "
            'clouds are left out of the grid. Publish them in that frame, or set output_frame, '
            f'or take {facts.name} out of voxels.sources.',
            Reason.FRAME_MISMATCH.key,
        )
    if facts.recent[_FIELD_MISSING] and facts.lacking:
        fields = ' and '.join(facts.lacking)
        channels = ', '.join(name for names in facts.lacking.values() for name in names)
        present = ', '.join(facts.fields[:_SHOWN_NAMES])
        yield Verdict(
            Level.WARN,
            f'Its clouds have no field {fields} (only {present}), so it adds nothing to '
            f'{channels}: publish the field, or take the channel out of voxels.channels.',
            Reason.FIELD_MISSING.key,
        )


def _unplaced(facts: SourceFacts) -> Iterator[Verdict]:
    """Say which frame is not connected, or not at the right time."""
    for reason, count in _notes(facts, UNPLACED) if facts.camera is None else ():
        chain, fix = facts.placement.chain, _fix(reason, facts)
        if facts.kind == 'pointcloud2':
            known = facts.placement.extrinsic == f'{facts.name}.extrinsic'
            if known and reason is Reason.TRANSFORM_UNKNOWN:  # so it is the other end
                fix = (
                    f"Publish on /tf how '{facts.output_frame}' and base_frame are connected, or "
                    'leave output_frame empty.'
                )
            yield Verdict(
                _severity(reason, facts),
                f'{amount(count, "cloud")} of the last {facts.window_sec:.0f} s left out of the '
                f'grid ({reason.key}). As of now: {chain}. {fix}',
                reason.key,
            )
            continue
        if facts.kind == 'odometry':
            fix = (
                'Let base_frame and the child_frame_id of its messages be the same, or tell on '
                '/tf_static how they are connected.'
            )
        yield Verdict(
            Level.WARN,
            f'Clouds are not corrected for motion: nothing tells where {facts.name} is on the '
            f'robot ({reason.key}). As of now: {chain}. {fix}',
            _MOTION_UNPLACED,
        )


def _smeared(facts: SourceFacts) -> Iterator[Verdict]:
    for reason, count in _notes(facts, SMEARED) if facts.camera is None else ():
        just_begun = facts.received <= facts.recent['received']
        if reason is Reason.MOTION_GAP and just_begun and count <= _BEGINNING:
            continue
        of_points = reason in _OF_POINT_TIMES
        told = '' if of_points else f'It is told by {facts.placement.motion}. '
        yield Verdict(
            Level.WARN,
            f'{reason.what} {told}{_fix(reason, facts)} So it was with '
            f'{amount(count, "cloud")} of the last {facts.window_sec:.0f} s.',
            reason.key,
        )


def deskew_of(facts: SourceFacts) -> str:
    """Whether the points of a cloud are moved to where they were at the time of a frame."""
    if not facts.deskews:
        return 'off (not configured)'
    received, found = facts.recent['received'], _notes(facts, (*SMEARED, *UNPLACED))
    if not found:
        return 'on' if received else 'off (no clouds)'
    why, count = ', '.join(r.key for r, _ in found), sum(count for _, count in found)
    return f'off ({why})' if count >= received else f'on, but for {count} of {received} ({why})'


def _notes(facts: SourceFacts, reasons: Sequence[Reason]) -> list[tuple[Reason, int]]:
    counts = [(reason, facts.recent[f'note.{reason.key}']) for reason in reasons]
    return [(reason, count) for reason, count in counts if count]


def _fix(reason: Reason, facts: SourceFacts) -> str:
    return reason.fix.replace('`S.', f'`{facts.name}.')


def _disagreeing(facts: SourceFacts) -> Iterator[Verdict]:
    if facts.agreement is None:
        return
    deskewed, unturned = facts.agreement
    if deskewed < _WORSE * unturned:
        yield Verdict(
            Level.WARN,
            f'Deskew looks wrong: {deskewed:.0%} of the voxels of a sweep are filled by the one '
            f'before it as well, but {unturned:.0%} as if nothing had turned. Check the signs '
            'and axes of the extrinsics, which way the gyroscope counts, its `gyro_bias`, and the '
            f'clocks (`{facts.name}.time_offset_sec`).',
            'deskew_wrong',
        )


def _unpainted(facts: SourceFacts) -> Iterator[Verdict]:
    """Say what a camera lacks to paint clouds, and an encoder to encode images."""
    if facts.camera is not None:
        about, place = facts.camera, facts.placement
        yield from judge_camera(facts.name, about, place, facts.recent, facts.window_sec)


def _bare(facts: SourceFacts) -> Iterator[Verdict]:
    """Say why clouds add nothing to the grid, also where those of another source do."""
    for reason, what in zip(
        _BARE,
        (
            'Its clouds have no points',
            f'No point of {facts.name} lies in voxels.point_cloud_range',
        ),
        strict=True,
    ):
        said_by_output = facts.sole and reason is Reason.CLOUD_OUT_OF_RANGE
        if _mostly(reason, facts) and not said_by_output:
            count = facts.recent[f'note.{reason.key}']
            yield Verdict(
                Level.WARN,
                f'{what}, in {amount(count, "cloud")} of the last {facts.window_sec:.0f} s. '
                f'{reason.fix}',
                reason.key,
            )


def _refusing(facts: SourceFacts) -> Iterator[Verdict]:
    """Name a publisher that is not heard while another one is."""
    delivers = facts.received and facts.state != 'silent'
    if facts.incompatible and facts.publishers > 1 and delivers:
        sentence = (
            f'Only some of its {facts.publishers} publishers are heard: {facts.incompatible}'
        )
        yield Verdict(Level.WARN, sentence, _INCOMPATIBLE)


def _losing(facts: SourceFacts) -> Iterator[Verdict]:
    lost = facts.recent['lost_transport']
    if lost:
        yield Verdict(
            Level.ERROR if facts.needed and facts.state == 'silent' else Level.WARN,
            f'{amount(lost, "message")} lost on the way in the last '
            f'{facts.window_sec:.0f} s: raise {facts.name}.depth, or set '
            'FASTDDS_DEFAULT_PROFILES_FILE to config/fastdds_large_messages.xml where they are '
            'published.',
            'lost_transport',
        )
