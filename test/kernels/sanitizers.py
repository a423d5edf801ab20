# Copyright 2026 the robocache_ros authors
# SPDX-License-Identifier: Apache-2.0
"""
Runs kernels in a process of their own under a sanitizer of the C++ compiler.

    run('threads', 'planted', FOLDER, NAME...)    # what is in planted.py
    run('addresses', 'operations', NAME...)       # what is in operations.py; both: ended process

A finding ends the process with code FOUND; what was found is in its `stderr`.
"""

from __future__ import annotations

import functools
import os
import shutil
import subprocess
import sys
from pathlib import Path

from cpu_device import absent

HERE = Path(__file__).resolve().parent
FOUND = 66
LIBRARIES = {'threads': 'libtsan.so', 'addresses': 'libasan.so'}
OPTIONS = {
    'TSAN_OPTIONS': f'exitcode={FOUND}:history_size=0',  # a short memory: kernels are
    'ASAN_OPTIONS': f'exitcode={FOUND}:detect_leaks=0',
    'UBSAN_OPTIONS': f'exitcode={FOUND}:print_stacktrace=1',
}


@functools.cache
def _library(sanitizer):
    """Return where g++ has the runtime of the sanitizer; None if it has none."""
    if shutil.which('g++') is None:
        return None
    name = LIBRARIES[sanitizer]
    asked = ['g++', f'-print-file-name={name}']
    path = subprocess.run(asked, capture_output=True, text=True, check=True).stdout.strip()
    return path if os.path.isabs(path) else None  # the bare name: not found


def _start(sanitizer, argv):
    environment = dict(os.environ, **OPTIONS, LD_PRELOAD=_library(sanitizer), CXX='g++')
    # Memory of the sanitizer lies at fixed addresses, which a random layout may have taken.
    fixed = ['setarch', '-R'] if shutil.which('setarch') else []
    environment.update(OPENBLAS_NUM_THREADS='1', PYTHONPATH=str(HERE.parent.parent))
    return subprocess.run(
        [*fixed, sys.executable, *argv], env=environment, capture_output=True, text=True
    )


@functools.cache
def missing(sanitizer):
    """Return why a sanitizer cannot be used here; None if it can."""
    if _library(sanitizer) is None:
        return f'no g++ with {LIBRARIES[sanitizer]}'
    done = _start(sanitizer, ['-c', 'import numpy'])
    if done.returncode != 0:
        return f'Python does not start under {LIBRARIES[sanitizer]}: {done.stderr.strip()[:300]}'
    return None


def run(sanitizer, *what):
    """Run this file as a program under a sanitizer, or skip; returns the ended process."""
    reason = missing(sanitizer)
    if reason is not None:
        absent(reason)
    return _start(sanitizer, [__file__, sanitizer, *map(str, what)])


def _main(sanitizer, kind, *names):
    from sanitizer_devices import AddressesDevice, ThreadsDevice

    maker = ThreadsDevice if sanitizer == 'threads' else AddressesDevice
    if kind == 'planted':
        import planted

        folder = Path(names[0])
        for name in names[1:]:
            planted.run(maker(folder=folder), folder, name)
    else:
        import operations

        for name in names:
            operations.run(maker(multiprocessors=1), name)


if __name__ == '__main__':
    _main(*sys.argv[1:])
