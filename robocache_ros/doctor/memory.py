# Copyright 2026 the robocache_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Shared memory: is there room, what was left behind, and who is not the same user."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from robocache_ros.doctor.finding import (
    Finding,
    Level,
    error,
    fine,
    mebibytes,
    told,
    warning,
)
from robocache_ros.doctor.segments import FOLDER, Segment, segments
from robocache_ros.doctor.transport import transport_of
from robocache_ros.environment import ROOM_BYTES, for_large_messages

ABOUT = 'shared memory'
_OVERHEAD = 2**20  # of a segment, and of the ports
_SHOWN = 6


def check_shared_memory(env: Mapping[str, str], folder: Path = FOLDER) -> Iterator[Finding]:
    """Look at /dev/shm and at what Fast DDS has in it."""
    if not folder.is_dir():
        yield fine(ABOUT, f'There is no {folder} here.')
        return
    found = segments(folder)
    usage = shutil.disk_usage(folder)
    yield from judge_room(env, usage.total, usage.free)
    yield from judge_stale([one for one in found if one.stale], usage.total, usage.free)
    yield from judge_live([one for one in found if not one.stale], os.getuid())


def judge_room(env: Mapping[str, str], total: int, free: int) -> Iterator[Finding]:
    """Judge whether Fast DDS finds room for the segments of its processes."""
    transport, _ = transport_of(env)
    room = f'{mebibytes(free)} of {mebibytes(total)} are free in /dev/shm'
    more = 'Start the container with --shm-size=1g, or `mount -o remount,size=1g /dev/shm`.'
    _, complaint = for_large_messages(env, free)
    if transport.segment_bytes and free < transport.segment_bytes + _OVERHEAD:
        needs = mebibytes(transport.segment_bytes)
        yield error(ABOUT, f'{room}, and a process needs {needs}: none can start.', more)
    elif complaint:
        yield told(Level.WARNING, ABOUT, complaint)
    else:
        yield fine(ABOUT, f'{room}.')


def judge_stale(stale: Sequence[Segment], total: int, free: int) -> Iterator[Finding]:
    """Judge what processes that were killed have left; it stays until the machine restarts."""
    if not stale:
        yield fine(ABOUT, 'No process has left a segment of Fast DDS behind.')
        return
    nbytes = sum(one.nbytes for one in stale)
    noun = 'segment' if len(stale) == 1 else 'segments'
    sentence = f'{len(stale)} {noun} of Fast DDS ({mebibytes(nbytes)}) left by killed processes'
    fix = 'Run `fastdds shm clean`, or end all of ROS and remove /dev/shm/fast*.'
    if free < ROOM_BYTES or nbytes > total // 10:
        yield warning(ABOUT, f'{sentence}.', fix)
    else:
        yield fine(ABOUT, f'{sentence}; there is room for them.')


def judge_live(live: Sequence[Segment], user: int) -> Iterator[Finding]:
    """Judge the segments of those that run: how large messages may be, and who can use them."""
    others = [one for one in live if one.user != user]
    if others:
        yield warning(
            ABOUT,
            f'{_named(others)} runs ROS as another user than you: messages do not get from one '
            'to the other through shared memory, although topics are seen.',
            'Run both as one user, or set FASTDDS_BUILTIN_TRANSPORTS=UDPv4 for both.',
        )
    if live:
        yield fine(ABOUT, f'Segments of live processes: {_named(live)}.')


def _named(found: Sequence[Segment]) -> str:
    """Return owners and sizes, the smallest first: they lose messages that are larger."""
    shown = sorted(found, key=lambda one: one.nbytes)[:_SHOWN]
    named = [f'{one.owner or "a process"} {mebibytes(one.nbytes)}' for one in shown]
    more = [f'{len(found) - _SHOWN} more'] if len(found) > _SHOWN else []
    return ', '.join([*named, *more])
