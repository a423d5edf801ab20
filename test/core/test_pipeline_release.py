# Copyright 2026 the robocache_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The bytes of a cloud are given back no sooner than no frame can need them."""

from __future__ import annotations

from small_robot import Drive, cloud, image, make_pipeline


def test_features_that_are_ahead_leave_the_voxels_their_clouds(monkeypatch):
    drive = Drive(make_pipeline(sources=['lidar']))
    for t_ms in (100, 200, 300):
        drive.push('lidar', t_ms, cloud((0.5, 0.5, 0.5)))
    with monkeypatch.context() as patch:
        patch.setattr(drive.pipeline._voxels, 'next', lambda _: None)
        assert drive.advance(300) == [('features', 100), ('features', 200), ('features', 300)]
    assert drive.advance(300) == [('voxels', 100), ('voxels', 200), ('voxels', 300)]


def test_images_that_no_row_needed_are_given_back_as_well():
    drive = Drive(make_pipeline(sources=['lidar', 'camera'], features__targets=1))
    for t_ms in range(100, 1100, 10):
        drive.push('camera', t_ms, image(1))
    drive.push('lidar', 1100, cloud((0.5, 0.5, 0.5)))
    drive.advance(1100)
    snapshots = drive.pipeline._timeline.tracks['camera'].ring.column(0)
    assert len(snapshots) == 100
    assert all(snapshot.payload is None for snapshot in snapshots)
