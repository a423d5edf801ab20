# Copyright 2026 the robocache_ros authors
# SPDX-License-Identifier: Apache-2.0
"""When frames go out: what they wait for, how long, and what happens then."""

from __future__ import annotations

import pytest
from small_robot import MS, Drive, cloud, image, imu, make_pipeline

from robocache_ros.reasons import Reason

POINT = cloud((0.5, 0.5, 0.5))


def test_with_only_a_lidar_both_outputs_go_out_at_once():
    drive = Drive(make_pipeline())
    drive.push('lidar', 100, POINT)
    assert drive.advance(100) == [('voxels', 100), ('features', 100)]
    assert drive.frame('voxels', 100).complete
    assert drive.frame('features', 100).missing == ('camera', 'imu')
    assert not drive.frame('features', 100).complete


def test_voxels_do_not_wait_for_the_imu_but_features_do():
    drive = Drive(make_pipeline())
    drive.imu(80, 85, 90)
    drive.push('lidar', 100, POINT)
    assert drive.advance(100) == [('voxels', 100)]
    drive.imu(99)
    assert drive.advance(101) == []
    drive.imu(101)
    assert drive.advance(102) == [('features', 100)]
    assert drive.frame('features', 100).missing == ('camera',)


def test_an_imu_sample_exactly_at_the_frame_time_is_enough():
    drive = Drive(make_pipeline(sources=['lidar', 'imu']))
    drive.imu(80, 90, 100)
    drive.push('lidar', 100, POINT)
    assert drive.advance(100) == [('voxels', 100), ('features', 100)]
    assert drive.frame('features', 100).complete


def test_after_the_timeout_the_frame_goes_out_partial():
    drive = Drive(make_pipeline(sources=['lidar', 'imu'], timeout_sec=0.05))
    drive.imu(95, 96, 97)
    drive.push('lidar', 100, POINT)
    drive.advance(100)
    assert drive.advance(146) == []
    assert drive.pipeline.next_deadline_ns() == 147 * 1_000_000  # the IMU counts as silent then
    assert drive.advance(150) == [('features', 100)]
    frame = drive.frame('features', 100)
    assert not frame.complete
    assert frame.valid[-1].tolist()[-3:] == [0, 0, 0]
    assert drive.status().outputs['features'].partial == 1


def test_on_timeout_skip_drops_and_counts():
    drive = Drive(make_pipeline(sources=['lidar', 'imu'], on_timeout='skip', timeout_sec=0.05))
    drive.push('imu', 97, imu(1), at_ms=120)
    drive.push('lidar', 100, POINT)
    assert drive.advance(149) == [('voxels', 100)]
    assert drive.advance(150) == []
    status = drive.status()
    assert status.outputs['features'].dropped == {Reason.FRAME_TIMEOUT: 1}
    assert status.outputs['features'].late == {'imu': 1}
    assert status.sources['imu'].lag_ns == 23 * MS
    assert status.sources['lidar'].lag_ns == 0


def test_the_longest_delay_of_a_fast_source_is_remembered_for_seconds():
    drive = Drive(make_pipeline(sources=['lidar', 'imu']))
    for t_ms in range(0, 2000, 5):
        drive.push('imu', t_ms, imu(1), at_ms=t_ms + (80 if t_ms == 1000 else 2))
    account = drive.status().sources['imu']
    assert (account.lag_ns, account.longest_lag_ns) == (2 * MS, 80 * MS)
    for t_ms in range(2000, 9000, 5):
        drive.push('imu', t_ms, imu(1), at_ms=t_ms + 2)
    assert drive.status().sources['imu'].longest_lag_ns == 2 * MS


def test_the_source_that_makes_a_frame_partial_is_known_by_name():
    drive = Drive(make_pipeline(sources=['lidar', 'camera', 'imu'], camera__max_gap_sec=0.05))
    drive.push('camera', 0, image(1))
    for t_ms in (90, 100, 200):
        drive.push('imu', t_ms, imu(1))
    drive.push('lidar', 100, POINT)
    drive.advance(100)
    status = drive.status().outputs
    assert status['features'].invalid == {'camera': 1}
    assert status['features'].late == status['voxels'].late == status['voxels'].invalid == {}


def test_skip_does_not_drop_frames_for_a_source_that_was_never_heard():
    drive = Drive(make_pipeline(on_timeout='skip'))
    drive.push('lidar', 100, POINT)
    assert drive.advance(900) == [('voxels', 100), ('features', 100)]


def test_a_silent_source_gates_nothing_until_it_returns():
    drive = Drive(make_pipeline(sources=['lidar', 'imu']))
    drive.imu(*range(0, 100, 10))
    drive.push('lidar', 95, POINT, at_ms=95)
    assert drive.advance(95) == [('voxels', 95)]
    assert drive.advance(190) == [('features', 95)]  # silent since 90 + max(3 x 10, 100)
    drive.push('lidar', 195, POINT, at_ms=195)
    assert drive.advance(195) == [('voxels', 195), ('features', 195)]
    assert drive.status(195).sources['imu'].state == 'silent'
    drive.imu(200, 210)
    drive.push('lidar', 220, POINT)
    assert drive.advance(220) == [('voxels', 220)]
    drive.imu(220)
    assert drive.advance(221) == [('features', 220)]


def test_silence_is_three_periods_of_a_slow_source():
    drive = Drive(make_pipeline(sources=['lidar', 'imu'], imu__history_sec=10.0, clock_jump_sec=9))
    drive.imu(0, 1000, 2000)
    assert drive.status(4999).sources['imu'].state == 'ok'
    assert drive.status(5000).sources['imu'].state == 'silent'


def test_a_pause_between_bursts_is_no_silence_that_somebody_should_know_of():
    drive = Drive(make_pipeline(sources=['lidar', 'imu']))
    drive.imu(0, 10, 20, 400, 410, 420, 800)
    source = drive.status(1799).sources['imu']
    assert (source.state, source.missed) == ('silent', False)  # a second at least
    assert not drive.status(2699).sources['imu'].missed
    assert drive.status(2700).sources['imu'].missed  # since 800 + 5 x 380


def test_after_an_outage_of_any_length_a_silence_is_known_within_ten_seconds():
    drive = Drive(make_pipeline(sources=['lidar', 'imu']))
    drive.imu(0, 10, 20, 600_000, 600_010)
    assert not drive.status(610_009).sources['imu'].missed
    assert drive.status(610_010).sources['imu'].missed


def test_a_required_source_is_waited_for_and_its_absence_drops_the_frame():
    drive = Drive(make_pipeline(sources=['lidar', 'camera'], camera__required=True))
    drive.push('lidar', 100, POINT)
    assert drive.advance(100) == [('voxels', 100)]
    assert drive.advance(199) == []
    assert drive.advance(200) == []
    assert drive.status().outputs['features'].dropped == {Reason.FRAME_REQUIRED: 1}
    drive.push('camera', 290, image(7))
    drive.push('lidar', 300, POINT)
    assert drive.advance(300) == [('voxels', 300), ('features', 300)]


def test_a_required_source_is_not_satisfied_by_a_sample_beyond_its_gap():
    drive = Drive(make_pipeline(sources=['lidar', 'camera'], camera__required=True))
    drive.push('camera', 99, image(7))
    drive.push('lidar', 300, POINT)
    assert drive.advance(300) == [('voxels', 300)]


def test_a_cloud_source_set_to_wait_is_waited_for_by_the_voxels():
    blocks = {'rear.type': 'pointcloud2', 'rear.wait': 'until_t_ref', 'rear.topic': 'rear/points'}
    blocks['rear.occupancy_shape'] = [1, 1, 1]
    drive = Drive(make_pipeline(sources=['lidar', 'rear'], **blocks))
    drive.push('rear', 90, POINT)
    drive.push('lidar', 100, POINT)
    assert drive.advance(100) == []
    drive.push('rear', 101, cloud((1.5, 1.5, 1.5)))
    assert drive.advance(101) == [('voxels', 100), ('features', 100)]
    assert drive.frame('voxels', 100).used == {'lidar': (100_000_000,), 'rear': (90_000_000,)}


def test_under_overload_the_newest_frame_wins_and_the_rest_is_counted():
    drive = Drive(make_pipeline(sources=['lidar']))
    computing = drive.pipeline.advance(10_000 * MS)
    sent = []
    for t_ms in range(100, 3100, 100):  # three clouds come while one output is computed
        drive.push('lidar', t_ms, POINT)
        if t_ms % 300 == 0:
            sent.append(next(computing))
    times = [frame.t_ref_ns // MS for frame in sent if hasattr(frame, 'voxels')]
    assert times == sorted(times)
    assert times[-1] >= 2500  # and not 500, which is where a queue would be
    assert drive.status().outputs['voxels'].dropped[Reason.FRAME_OVERLOAD] > 5
    rest = [frame.t_ref_ns // MS for frame in computing]
    assert rest[-1] == 3000
    assert len(rest) <= 8  # the load has gone, and so has the delay
    drive.assert_conserved()


def test_a_burst_of_what_frames_waited_for_is_no_overload():
    drive = Drive(make_pipeline(sources=['camera', 'imu'], trigger='camera'))
    sent = 0
    for burst_ms in range(0, 2000, 200):  # the IMU delivers every 200 ms, all at once
        for t_ms in range(burst_ms, burst_ms + 200, 20):
            drive.push('camera', t_ms, image(7))
        for t_ms in range(burst_ms, burst_ms + 200, 5):
            drive.push('imu', t_ms, imu(1), at_ms=burst_ms + 200)
        sent += len(drive.advance(burst_ms + 200))
    assert sent == 100
    assert drive.status().outputs['features'].dropped == {}


def test_a_backlog_within_bounds_is_worked_off_in_order():
    drive = Drive(make_pipeline(sources=['lidar']))
    for t_ms in (100, 200, 300):
        drive.push('lidar', t_ms, POINT)
    outputs = drive.advance(300)
    assert [t for name, t in outputs if name == 'voxels'] == [100, 200, 300]
    assert [t for name, t in outputs if name == 'features'] == [100, 200, 300]


def test_a_replay_without_a_backlog_limit_drops_nothing():
    drive = Drive(make_pipeline(None, sources=['lidar']))
    for t_ms in range(100, 1100, 100):
        drive.push('lidar', t_ms, POINT)
    assert len(drive.advance(1100)) == 20


def test_a_trigger_sample_that_comes_too_late_makes_no_frame():
    drive = Drive(make_pipeline(sources=['lidar']))
    drive.push('lidar', 200, POINT)
    drive.advance(200)
    drive.push('lidar', 100, POINT)
    assert drive.advance(210) == []
    assert drive.status().outputs['voxels'].dropped == {Reason.FRAME_OUT_OF_ORDER: 1}


def test_trigger_samples_out_of_order_make_frames_in_order():
    drive = Drive(make_pipeline(sources=['lidar', 'imu']))
    drive.imu(50)
    drive.push('lidar', 200, POINT, at_ms=51)
    drive.push('lidar', 100, POINT, at_ms=52)
    drive.push('imu', 300, imu(1), at_ms=53)
    assert [t for name, t in drive.advance(54) if name == 'features'] == [100, 200]


@pytest.mark.parametrize('first_ms', [0, 3, 99])
def test_a_rate_ticks_on_multiples_of_its_period_in_data_time(first_ms):
    drive = Drive(make_pipeline(trigger='rate', trigger_rate_hz=10.0, sources=['lidar']))
    t_ms = first_ms
    ticks = []
    while t_ms < 500:
        drive.push('lidar', t_ms, POINT)
        ticks += [t for name, t in drive.advance(t_ms) if name == 'voxels']
        t_ms += 20
    expected = [t for t in (0, 100, 200, 300, 400) if t >= first_ms]
    assert ticks == expected


def test_a_rate_does_not_fill_a_gap_with_ticks():
    drive = Drive(make_pipeline(None, trigger='rate', trigger_rate_hz=10.0, sources=['lidar']))
    drive.push('lidar', 100, POINT)
    drive.push('lidar', 5_170, POINT)
    drive.push('lidar', 5_270, POINT)
    voxels = [t for name, t in drive.advance(5_270) if name == 'voxels']
    assert voxels == [100, 5_200]  # no cloud lies within its gap before the tick at 5100


def test_without_a_cloud_there_is_no_grid_rather_than_an_empty_one():
    drive = Drive(make_pipeline(trigger='imu', sources=['lidar', 'imu']))
    drive.imu(100)
    assert drive.advance(100) == [('features', 100)]
    assert drive.status().outputs['voxels'].dropped == {Reason.FRAME_NO_CLOUD: 1}


def test_sources_without_clouds_have_no_voxel_output():
    drive = Drive(make_pipeline(trigger='imu', sources=['imu']))
    drive.imu(100)
    assert drive.advance(100) == [('features', 100)]
    assert list(drive.status().outputs) == ['features']


def test_a_rate_is_not_driven_by_a_source_whose_clock_is_ahead():
    drive = Drive(make_pipeline(trigger='rate', trigger_rate_hz=10.0))
    for t_ms in range(0, 4000, 10):
        drive.push('imu', t_ms, imu(1))
        if t_ms % 30 == 0:
            drive.push('camera', t_ms + 500, image(7), at_ms=t_ms)
        if t_ms % 100 == 0:
            drive.push('lidar', t_ms, POINT)
        drive.advance(t_ms)
    assert drive.status().outputs['voxels'].emitted >= 36  # all but those of the first moment
    assert drive.frames[-1].t_ref_ns == 3900 * MS


def test_a_rate_follows_the_clock_of_the_first_source_once_it_is_there():
    drive = Drive(make_pipeline(trigger='rate', trigger_rate_hz=10.0, sources=['lidar', 'imu']))
    for t_ms in range(0, 500, 10):
        drive.push('imu', 3_600_000 + t_ms, imu(1), at_ms=t_ms)  # an hour ahead, and first
        drive.advance(t_ms)
    drive.frames.clear()
    for t_ms in range(500, 2000, 10):
        drive.push('imu', 3_600_000 + t_ms, imu(1), at_ms=t_ms)
        if t_ms % 100 == 0:
            drive.push('lidar', t_ms, POINT)
        drive.advance(t_ms)
    voxels = [f.t_ref_ns // MS for f in drive.frames if hasattr(f, 'voxels')]
    assert voxels == list(range(500, 2000, 100))


def test_an_outage_does_not_count_as_the_rhythm_of_a_source():
    drive = Drive(make_pipeline(sources=['lidar', 'imu']))
    drive.imu(*range(0, 100, 10))
    drive.imu(*range(600_000, 600_300, 10))
    assert drive.status(600_400).sources['imu'].state == 'silent'


def test_a_required_source_without_anything_valid_drops_the_frame():
    drive = Drive(make_pipeline(sources=['lidar', 'imu'], imu__required=True))
    drive.imu(70, 80, 90)  # the last sample is before the frame: all of its row is invalid
    drive.push('lidar', 100, POINT)
    assert drive.advance(100) == [('voxels', 100)]
    assert drive.advance(200) == []
    assert drive.status().outputs['features'].dropped == {Reason.FRAME_REQUIRED: 1}


def test_a_frame_is_never_ready_before_its_trigger_arrived():
    drive = Drive(make_pipeline(sources=['lidar']))
    computing = drive.pipeline.advance(100 * MS)
    for t_ms in (100, 200):
        drive.push('lidar', t_ms, POINT)
    waits = [frame.ready_ns - frame.arrival_ns for frame in computing]
    assert waits == [0, 0, 0, 0]
