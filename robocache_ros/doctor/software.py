# Copyright 2026 the robocache_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Python and the packages beside ROS that the node computes with."""

from __future__ import annotations

import importlib.metadata
import os
import sys
from collections.abc import Iterator

from robocache_ros import __version__
from robocache_ros.doctor.finding import Finding, error, fine, warning
from robocache_ros.resources import share_dir

OLDEST_PYTHON = (3, 10)
OLDEST_NUMPY = (1, 21)
_BUSY = 2.0  # processes that want to run, for each core


def check_python(version: tuple[int, ...] = sys.version_info[:3]) -> Iterator[Finding]:
    """Look at the interpreter."""
    name = f'Python {".".join(map(str, version))}, {sys.executable}'
    if version < OLDEST_PYTHON:
        yield error('python', f'{name} is too old.', 'Use Python 3.10 or newer.')
    else:
        yield fine('python', f'{name}.')


def check_package() -> Iterator[Finding]:
    """Look at our own files."""
    try:
        yield fine('package', f'robocache_ros {__version__}, its files in {share_dir()}.')
    except FileNotFoundError as missing:
        sentence, _, fix = str(missing).partition('; ')
        yield error('package', f'robocache_ros {__version__}: {sentence}.', f'{fix}.')


def check_numpy() -> Iterator[Finding]:
    """Look at NumPy, without which nothing can be computed."""
    try:
        import numpy
    except Exception as broken:  # one of another Python raises whatever it likes
        first = str(broken).strip().partition('\n')[0]
        yield error('numpy', f'NumPy can not be imported: {first}.', 'Run `pip install numpy`.')
        return
    version = numpy.__version__
    if tuple(int(part) for part in version.split('.')[:2]) < OLDEST_NUMPY:
        yield error('numpy', f'NumPy {version} is too old.', 'Install NumPy 1.21 or newer.')
    else:
        yield fine('numpy', f'NumPy {version}.')


def check_load(load: float | None = None) -> Iterator[Finding]:
    """Look whether the processors have time for a node."""
    cores = len(os.sched_getaffinity(0))
    load = os.getloadavg()[0] if load is None else load
    sentence = f'Load {load:.1f} on {cores} core{"s" if cores > 1 else ""}'
    if load > _BUSY * cores:
        yield warning(
            'load', f'{sentence}: all messages are late.', 'Look at `top` for what is at work.'
        )
    else:
        yield fine('load', f'{sentence}.')


def check_cupy_packages() -> Iterator[Finding]:
    """Look for several packages that are all CuPy: they overwrite one another's files."""
    names = {dist.metadata['Name'] for dist in importlib.metadata.distributions()}
    found = sorted(name for name in names if name and name.split('-')[0] == 'cupy')
    if len(found) > 1:
        yield warning(
            'cuda',
            f'CuPy is installed {len(found)} times ({", ".join(found)}), and only one can work.',
            f'Run `pip uninstall {" ".join(found)}`, then install the one for your CUDA.',
        )
