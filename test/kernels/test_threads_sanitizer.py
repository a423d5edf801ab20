# Copyright 2026 the robocache_ros authors
# SPDX-License-Identifier: Apache-2.0
"""
Kernels with an OS thread for every CUDA thread, under ThreadSanitizer.

Two threads that touch one word, of which one writes, with neither a barrier nor an atomic on both
sides between them: on a GPU that is a result that differs from run to run.
"""

from __future__ import annotations

import planted
import pytest
import sanitizers
from operations import OPERATIONS

# Those with a deadlock on purpose would wait for ever.
RIGHT = [
    *('reversed', 'copied', 'read', 'shared', 'met', 'voted', 'counted', 'between blocks'),
    *('last block', 'placed', 'summed', 'rounded'),
]


def test_right_kernels_have_no_races(tmp_path):
    done = sanitizers.run('threads', 'planted', tmp_path, *RIGHT)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(
    'name',
    [
        'reversed without a barrier',
        'counted without atomics',
        'between blocks without atomics',
        'last block without a fence',
    ],
)
def test_a_race_is_found_and_told_with_its_line(tmp_path, name):
    done = sanitizers.run('threads', 'planted', tmp_path, name)
    assert done.returncode == sanitizers.FOUND, done.stderr
    assert 'data race' in done.stderr
    assert f'planted.cu:{line_of_race(name)}' in done.stderr


def line_of_race(name):
    """Number of the first line that reads or writes what another thread writes."""
    text = (planted.HEAD + planted.SOURCES[name]).splitlines()
    marks = ('tile[63 - t]', 'OUT[bin]', 'OUT[0] += 1', 'OUT[3] =')
    return next(n for n, line in enumerate(text, 1) if any(mark in line for mark in marks))


@pytest.mark.parametrize('operation', OPERATIONS)
def test_no_operation_has_a_race(operation):
    done = sanitizers.run('threads', 'operations', operation)
    assert done.returncode == 0, done.stderr
