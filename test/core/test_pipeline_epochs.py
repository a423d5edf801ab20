# Copyright 2026 the robocache_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Looped bags, reset clocks and corrupt stamps: samples of two epochs never meet."""

from __future__ import annotations

import pytest
from small_robot import MS, Drive, cloud, image, imu, make_pipeline

from robocache_ros.reasons import Reason

POINT = cloud((0.5, 0.5, 0.5))


def play(drive: Drive, begin_ms: int, end_ms: int, at_ms: float) -> float:
    """Play lidar at 10 Hz, camera at 20 Hz and IMU at 100 Hz; returns the arrival time reached."""
    for t_ms in range(begin_ms, end_ms, 10):
        drive.push('imu', t_ms, imu(t_ms), at_ms)
        if t_ms % 50 == 0:
            drive.push('camera', t_ms, image(9), at_ms)
        if t_ms % 100 == 0:
            drive.push('lidar', t_ms, POINT, at_ms)
        drive.advance(at_ms)
        at_ms += 10
    return at_ms


def test_a_looped_bag_goes_on_within_two_lidar_periods():
    drive = Drive(make_pipeline())
    at_ms = play(drive, 5000, 6001, 0)
    drive.frames.clear()
    play(drive, 1000, 1501, at_ms)
    voxels = [f.t_ref_ns // MS for f in drive.frames if hasattr(f, 'voxels')]
    assert voxels == [1000, 1100, 1200, 1300, 1400, 1500]
    assert all(frame.epoch == 1 for frame in drive.frames)
    drive.assert_conserved()


def test_after_a_jump_no_frame_uses_samples_from_before():
    drive = Drive(make_pipeline())
    at_ms = play(drive, 5000, 6001, 0)
    play(drive, 1000, 2001, at_ms)
    for frame in drive.frames:
        low, high = (5000, 6000) if frame.epoch == 0 else (1000, 2000)
        for times in frame.used.values():
            assert all(low * MS <= t_ns <= high * MS for t_ns in times)


def test_a_jump_back_flushes_and_counts_what_was_not_used():
    drive = Drive(make_pipeline())
    drive.imu(5000, 5010)
    drive.push('lidar', 5000, POINT)
    drive.advance(5000)
    drive.push('imu', 5020, imu(1))
    drive.push('lidar', 1000, POINT, at_ms=5100)
    drive.push('lidar', 1100, POINT, at_ms=5200)
    status = drive.status()
    assert status.epoch == 1
    # 5000 ms was held and used by the frame; 5010 and 5020 lay after it.
    assert status.sources['imu'].used == 1
    assert status.sources['imu'].dropped == {Reason.EPOCH_FLUSH: 2}
    drive.assert_conserved()


def test_sources_that_have_not_jumped_yet_are_dropped_as_old():
    drive = Drive(make_pipeline())
    at_ms = play(drive, 5000, 6001, 0)
    drive.push('lidar', 1000, POINT, at_ms)
    drive.push('lidar', 1100, POINT, at_ms + 1)
    drive.push('imu', 6010, imu(1), at_ms + 2)
    assert drive.status().sources['imu'].dropped[Reason.OLD_EPOCH] == 1
    assert drive.status().sources['imu'].state == 'other_epoch'
    drive.push('imu', 1110, imu(1), at_ms + 3)
    assert drive.status().sources['imu'].state == 'ok'
    drive.assert_conserved()


def test_a_source_that_jumps_first_waits_for_the_trigger_without_meeting_it():
    drive = Drive(make_pipeline())
    at_ms = play(drive, 5000, 6001, 0)
    drive.push('imu', 1000, imu(1), at_ms)
    drive.push('imu', 1010, imu(1), at_ms)
    assert drive.status().epoch == 0
    drive.push('lidar', 6100, POINT, at_ms)
    drive.advance(at_ms)
    frame = drive.frame('features', 6100)
    assert frame.used['imu'] == ()
    assert 'imu' in frame.missing
    drive.push('lidar', 1005, POINT, at_ms)
    drive.push('lidar', 1010, POINT, at_ms)
    drive.advance(at_ms)
    assert drive.frame('features', 1005).used['imu'] == (1000 * MS, 1010 * MS)


def test_one_corrupt_stamp_changes_nothing():
    drive = Drive(make_pipeline(sources=['lidar']))
    drive.push('lidar', 5000, POINT)
    drive.push('lidar', 1, POINT, at_ms=5100)
    drive.push('lidar', 5200, POINT)
    drive.push('lidar', 9_000_000, POINT, at_ms=5300)
    drive.push('lidar', 5400, POINT)
    drive.advance(5400)
    assert drive.status().epoch == 0
    assert drive.status().sources['lidar'].dropped == {Reason.JUMP_UNCONFIRMED: 2}
    drive.assert_conserved()


def test_a_forward_gap_is_no_epoch():
    drive = Drive(make_pipeline())
    at_ms = play(drive, 1000, 2001, 0)
    drive.frames.clear()
    play(drive, 60_000, 60_501, at_ms)
    assert drive.status().epoch == 0
    voxels = [f.t_ref_ns // MS for f in drive.frames if hasattr(f, 'voxels')]
    assert voxels == [60_000, 60_100, 60_200, 60_300, 60_400, 60_500]


def test_a_jump_of_the_ros_clock_flushes_at_once_and_needs_no_confirmation():
    drive = Drive(make_pipeline())
    at_ms = play(drive, 5000, 6001, 0)
    drive.pipeline.clock_jumped(1000 * MS, int(at_ms * MS))
    assert drive.status().epoch == 1
    assert drive.status().sources['lidar'].buffered == 0
    drive.frames.clear()
    drive.push('lidar', 6100, POINT, at_ms)  # was on its way when the clock jumped
    drive.push('lidar', 1020, POINT, at_ms + 20)
    assert drive.advance(at_ms + 20)[0] == ('voxels', 1020)
    assert drive.status().sources['lidar'].dropped[Reason.OLD_EPOCH] == 1
    drive.assert_conserved()


def test_a_clock_jump_that_the_trigger_has_already_told_is_not_counted_twice():
    drive = Drive(make_pipeline())
    at_ms = play(drive, 5000, 6001, 0)
    drive.push('lidar', 1000, POINT, at_ms)
    drive.push('lidar', 1100, POINT, at_ms)
    drive.pipeline.clock_jumped(1050 * MS, int(at_ms * MS))
    assert drive.status().epoch == 1


def test_the_second_loop_of_a_bag_is_an_epoch_like_the_first():
    drive = Drive(make_pipeline())
    at_ms = play(drive, 1000, 3001, 0)
    drive.pipeline.clock_jumped(1000 * MS, int(at_ms * MS))
    at_ms = play(drive, 1000, 3001, at_ms)
    at_ms = play(drive, 1000, 3001, at_ms)  # this time nobody publishes the clock
    assert drive.status().epoch == 2
    drive.assert_conserved()


def test_a_source_whose_own_clock_is_set_right_comes_back_into_line():
    drive = Drive(make_pipeline(sources=['lidar', 'imu']))
    drive.push('lidar', 5000, POINT)
    drive.push('imu', 9000, imu(1), at_ms=5001)  # four seconds fast
    drive.push('imu', 9010, imu(1), at_ms=5011)
    drive.push('imu', 5020, imu(1), at_ms=5021)
    drive.push('imu', 5030, imu(1), at_ms=5031)
    status = drive.status()
    assert status.epoch == 0
    assert status.sources['imu'].state == 'ok'
    drive.push('lidar', 5025, POINT)
    drive.advance(5031)
    assert drive.frame('features', 5025).used['imu'][-1] == 5030 * MS


def test_a_source_that_falls_back_alone_is_left_out_and_returns_with_its_clock():
    drive = Drive(make_pipeline(sources=['lidar', 'imu']))
    drive.push('lidar', 5000, POINT)
    for t_ms in (5000, 5010, 2000, 2010):
        drive.push('imu', t_ms, imu(1), at_ms=5020)
    assert drive.status().sources['imu'].state == 'other_epoch'
    drive.push('imu', 5040, imu(1), at_ms=5040)
    assert drive.status().sources['imu'].state == 'ok'
    drive.assert_conserved()


@pytest.mark.parametrize('length_ms', [1110, 1150, 1200, 1500])
@pytest.mark.parametrize('clock', [False, True])
def test_a_loop_hardly_longer_than_the_jump_is_found(length_ms, clock):
    drive = Drive(make_pipeline(sources=['lidar']))
    at_ms = 0.0
    for loop in range(5):
        if clock and loop:
            drive.pipeline.clock_jumped(1000 * MS, int(at_ms * MS))
        for t_ms in range(1000, 1000 + length_ms, 100):
            drive.push('lidar', t_ms, POINT, at_ms)
            drive.advance(at_ms)
            at_ms += 100
    assert drive.status().epoch == 4
    per_loop = len(range(0, length_ms, 100))
    assert drive.status().outputs['voxels'].emitted >= 5 * per_loop - 4
    drive.assert_conserved()


@pytest.mark.parametrize('pause_ms', [0, 200, 500, 2000])
def test_a_rate_goes_on_after_a_loop_with_a_pause(pause_ms):
    drive = Drive(make_pipeline(trigger='rate', trigger_rate_hz=10.0))
    at_ms = 0.0
    counts = []
    for _ in range(4):
        at_ms = play(drive, 1000, 3001, at_ms) + pause_ms
        counts.append(sum(hasattr(frame, 'voxels') for frame in drive.frames))
        drive.frames.clear()
    assert min(counts) >= 18
    assert drive.status().epoch == 3


@pytest.mark.parametrize('offset_ms', [-1500, 0, 1500])
@pytest.mark.parametrize('clock_after', [0, 1, 2, 3])
def test_the_clock_and_the_stamps_may_tell_of_a_loop_in_any_order(offset_ms, clock_after):
    drive = Drive(make_pipeline(sources=['lidar']))
    at_ms = 0.0
    for loop in range(4):
        for number, t_ms in enumerate(range(10_000, 12_000, 100)):
            if loop and number == clock_after:
                drive.pipeline.clock_jumped(t_ms * MS, int(at_ms * MS))
            drive.push('lidar', t_ms + offset_ms, POINT, at_ms)
            drive.advance(at_ms)
            at_ms += 100
    assert drive.status().epoch == 3
    assert drive.status().outputs['voxels'].emitted >= 4 * 20 - 3
    drive.assert_conserved()


@pytest.mark.parametrize('loops', [50])
def test_many_loops_lose_no_frame_and_no_count(loops):
    drive = Drive(make_pipeline())
    at_ms = 0.0
    for _ in range(loops):
        at_ms = play(drive, 1000, 3000, at_ms)
    assert drive.status().epoch == loops - 1
    voxels = sum(hasattr(frame, 'voxels') for frame in drive.frames)
    assert voxels == 20 * loops
    drive.assert_conserved()
