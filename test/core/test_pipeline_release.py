# Copyright 2026 the robocache_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The bytes of a cloud are given back no sooner than no frame can need them."""

from __future__ import annotations

import pytest
from small_robot import Drive, cloud, make_pipeline


def test_features_that_are_ahead_leave_the_voxels_their_clouds(monkeypatch):
    drive = Drive(make_pipeline(max_backlog=3, sources=['lidar']))
    drive.push('lidar', 100, cloud((0.5, 0.5, 0.5)))
    with monkeypatch.context() as patch:
        patch.setattr(drive.pipeline._assembler._backend, 'voxelize', lambda *_: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            drive.advance(100)  # the voxels of 100 are lost; its features still wait
    for t_ms in (200, 300, 400):
        drive.push('lidar', t_ms, cloud((0.5, 0.5, 0.5)))
    # Four features wait, which is one too many, and three voxels: the features overtake.
    assert drive.advance(400) == [
        ('features', 400),
        ('voxels', 200),
        ('voxels', 300),
        ('voxels', 400),
    ]
