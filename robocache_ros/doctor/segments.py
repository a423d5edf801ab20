# Copyright 2026 the robocache_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The shared memory of Fast DDS: which segments there are, and whose."""

from __future__ import annotations

import fcntl
import os
import re
import time
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

FOLDER = Path('/dev/shm')
_LOCKS = Path('/proc/locks')
_SEGMENT = re.compile(r'fast(dds|rtps)_[0-9a-f]{16}')
_LOCK = re.compile(r'FLOCK +ADVISORY +WRITE +(\d+) +\S+:(\d+) ')
_NODE = '__node:='
_SHOWN_WORDS = 4
_YOUNG_SEC = 10.0  # its process may be about to take the lock


class Segment(NamedTuple):
    """The messages of one participant, in memory that others read."""

    path: Path
    nbytes: int
    user: int
    stale: bool  # its process has ended and left it
    owner: str  # 'name (pid)'; '' where that can not be seen


def segments(folder: Path = FOLDER, locks: Path = _LOCKS) -> list[Segment]:
    """Return all that can be seen."""
    owners = _lock_owners(locks)
    found = [_segment(path, owners) for path in folder.iterdir() if _SEGMENT.fullmatch(path.name)]
    return sorted(one for one in found if one is not None)


def _segment(path: Path, owners: Mapping[int, int]) -> Segment | None:
    lock = path.with_name(f'{path.name}_el')
    try:
        about, held = path.stat(), lock.stat()
        pid = owners.get(held.st_ino)
        stale = pid is None and time.time() - held.st_mtime > _YOUNG_SEC and _is_free(lock)
    except OSError:  # gone in the meantime, or not ours to look at
        return None
    owner = '' if pid is None else f'{_name_of(pid)} ({pid})'
    return Segment(path, about.st_size, about.st_uid, stale, owner)


def _is_free(lock: Path) -> bool:
    """Whether nobody holds the lock, which a participant does as long as it lives."""
    handle = os.open(lock, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        fcntl.flock(handle, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    finally:
        os.close(handle)
    return True


def _lock_owners(locks: Path) -> dict[int, int]:
    """Return the process that holds a lock, by inode; without those of other containers."""
    try:
        return {int(inode): int(pid) for pid, inode in _LOCK.findall(locks.read_text())}
    except OSError:
        return {}


def _name_of(pid: int) -> str:
    """Return the name of a node that was given one, or of the program."""
    try:
        program = Path(f'/proc/{pid}/comm').read_text().strip()
        words = Path(f'/proc/{pid}/cmdline').read_text(errors='replace').split('\0')
    except OSError:
        return 'process'
    nodes = [word.removeprefix(_NODE) for word in words if word.startswith(_NODE)]
    if nodes:
        return nodes[-1]
    if program.startswith('python') and words[1:2] != ['-c']:
        program = ' '.join(Path(word).name for word in words[1:_SHOWN_WORDS] if word)
    return program
