# Copyright 2026 the robocache_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Compiled kernels, kept between runs: from the second start on, nothing is compiled."""

from __future__ import annotations

import contextlib
import functools
import hashlib
import logging
import os
import stat
import tempfile
import threading
from collections.abc import Mapping
from pathlib import Path

from robocache_ros.backends.cuda.compiler import OPTIONS, Compiler

_log = logging.getLogger(__name__)
DIGEST_BYTES = 32


def cubin_of(compiler: Compiler, file: str, architecture: int, folder: Path | None) -> bytes:
    """Return the machine code of kernels/<file>.cu from `folder`, or compile and keep it."""
    key = _key(compiler, file, architecture)
    path = folder / f'{file}-sm_{architecture}-{key[:32]}.cubin' if folder else None
    cubin = _read(path) if path else None
    if cubin is None:
        cubin = compiler.compile(file, architecture).cubin
        if path:
            _write(path, cubin)
    return cubin


def cache_folder(environment: Mapping[str, str] | None = None) -> Path | None:
    """
    Return the folder for compiled kernels, made if need be.

    ROBOCACHE_CACHE_DIR, or robocache_ros in XDG_CACHE_HOME or ~/.cache; where that can not be
    written, a folder of this user in the system's temporary one; None where that neither works.
    """
    wanted = _wanted(os.environ if environment is None else environment)
    if wanted is not None and _usable(wanted):
        return wanted
    spare = Path(tempfile.gettempdir()) / f'robocache_ros-{os.getuid()}'
    # The temporary folder is everybody's: what is not ours could hold another one's code.
    folder = spare if _usable(spare) and _private(spare) else None
    _say_once(str(wanted or '~/.cache'), str(folder or ''))
    return folder


def _wanted(environment: Mapping[str, str]) -> Path | None:
    named = environment.get('ROBOCACHE_CACHE_DIR')
    if named:
        return Path(named)
    caches = environment.get('XDG_CACHE_HOME', '')
    if os.path.isabs(caches):  # as the XDG specification wants it
        return Path(caches) / 'robocache_ros'
    try:
        return Path.home() / '.cache' / 'robocache_ros'
    except RuntimeError:  # a user id without a home, as in many containers
        return None


def _usable(folder: Path) -> bool:
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError:
        return False
    return os.access(folder, os.W_OK | os.X_OK)


def _private(folder: Path) -> bool:
    found = folder.lstat()
    return (
        stat.S_ISDIR(found.st_mode) and found.st_uid == os.getuid() and not found.st_mode & 0o022
    )


@functools.cache
def _say_once(wanted: str, folder: str) -> None:
    instead = f'they are kept in {folder}' if folder else 'they are compiled at every start'
    _log.warning(
        'compiled CUDA kernels can not be kept in %s: %s. ROBOCACHE_CACHE_DIR names another '
        'folder',
        wanted,
        instead,
    )


def _key(compiler: Compiler, file: str, architecture: int) -> str:
    """Name all that decides which bytes come out."""
    digest = hashlib.sha256(repr((compiler.version, architecture, OPTIONS)).encode())
    for name, source in compiler.sources(file).items():
        digest.update(f'{name} {len(source)} '.encode() + source)
    return digest.hexdigest()


def _read(path: Path) -> bytes | None:
    """Return the cubin of a file, None if there is none or it is not whole."""
    try:
        kept = path.read_bytes()
    except OSError:
        return None
    digest, cubin = kept[:DIGEST_BYTES], kept[DIGEST_BYTES:]
    return cubin if hashlib.sha256(cubin).digest() == digest else None


def _write(path: Path, cubin: bytes) -> None:
    """Write a file that is whole or not there, whoever writes it at the same time."""
    part = path.with_name(f'{path.name}.{os.getpid()}.{threading.get_ident()}')
    try:
        part.write_bytes(hashlib.sha256(cubin).digest() + cubin)
        part.replace(path)
    except OSError as error:  # a full disk must not stop a robot
        _log.warning('a compiled CUDA kernel could not be kept: %s', error)
        with contextlib.suppress(OSError):
            part.unlink()
