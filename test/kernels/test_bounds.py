# Copyright 2026 the robocache_ros authors
# SPDX-License-Identifier: Apache-2.0
"""
Kernels under AddressSanitizer and UndefinedBehaviorSanitizer.

Reads and writes outside of an allocation or an array, freed memory, misaligned words, shifts and
sums that overflow, and floats that are cast to an integer that cannot hold them.
"""

from __future__ import annotations

import planted
import pytest
import sanitizers
from operations import OPERATIONS


def test_right_kernels_stay_in_bounds(tmp_path):
    names = ('reversed', 'copied', 'read', 'shared', 'voted', 'last block', 'dynamic', 'cast')
    done = sanitizers.run('addresses', 'planted', tmp_path, *names)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(
    ('name', 'told'),
    [
        ('copied one too far', 'heap-buffer-overflow'),
        ('read one too far', 'heap-buffer-overflow'),
        ('shared one too far', 'index 64 out of bounds'),
        ('dynamic one too far', 'heap-buffer-overflow'),
        ('cast untested', 'outside the range of representable values'),
    ],
)
def test_what_is_out_of_bounds_is_found_and_told_with_its_line(tmp_path, name, told):
    done = sanitizers.run('addresses', 'planted', tmp_path, name)
    assert done.returncode == sanitizers.FOUND, done.stderr
    assert told in done.stderr
    assert f'planted.cu:{planted.line_of(name, "OUT[")}' in done.stderr


@pytest.mark.parametrize('operation', OPERATIONS)
def test_every_operation_stays_in_bounds(operation):
    done = sanitizers.run('addresses', 'operations', operation)
    assert done.returncode == 0, done.stderr
