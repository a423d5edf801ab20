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
    ('name', 'code'),
    [
        ('reversed without a barrier', 'tile[63 - t]'),
        ('counted without atomics', 'OUT[bin]'),
        ('between blocks without atomics', 'OUT[0] += 1'),
        ('last block without a fence', 'OUT[3] ='),
    ],
)
def test_a_race_is_found_and_told_with_its_line(tmp_path, name, code):
    done = sanitizers.run('threads', 'planted', tmp_path, name)
    assert done.returncode == sanitizers.FOUND, done.stderr
    assert 'data race' in done.stderr
    assert f'planted.cu:{planted.line_of(name, code)}' in done.stderr


@pytest.mark.parametrize('operation', OPERATIONS)
def test_no_operation_has_a_race(operation):
    done = sanitizers.run('threads', 'operations', operation)
    assert done.returncode == 0, done.stderr
