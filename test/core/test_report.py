# Copyright 2026 the robocache_ros authors
# SPDX-License-Identifier: Apache-2.0
"""A run is summed up in numbers that can be checked by hand, and in plain words."""

from __future__ import annotations

import json

from robocache_ros.demo.report import (
    Arrivals,
    Health,
    Observed,
    build_report,
    problems,
    summary,
    table,
    unaccounted,
)

MS = 1_000_000
WAIT = {'wait_ms_p50': '0.5', 'wait_ms_p95': '1.0', 'wait_ms_p99': '1.5'}


def good_run():
    """Five frames at 10 Hz; the one with stamp 4 took 50 ms, the others 10."""
    stamps = [1, 2, 3, 4, 5]
    sent = {stamp: 100 * MS * stamp for stamp in stamps}
    received = [sent[s] + (50 if s == 4 else 10) * MS for s in stamps]
    seen = Observed(
        voxels=Arrivals(stamps, received, [10, 20, 30, 40, 50]),
        features=Arrivals(stamps, received, [1.0, 1.0, 0.5, 1.0, 1.0]),
        published={'lidar': 5},
        trigger_sent_ns=sent,
        sent_ns=(100 * MS, 600 * MS),
    )
    seen.health = Health(
        node={'backend': 'numpy'},
        sources={
            'lidar': {
                'received': '5',
                'used': '3',
                'buffered': '2',
                'expired': '0',
                'lost_transport': '0',
                'rate_hz': '10.0',
                'note.point_nonfinite': '7',
            }
        },
        outputs={'voxels': {'messages': '5', **WAIT}},
    )
    return seen


def test_rates_and_latencies_are_those_of_the_messages():
    report = build_report(good_run(), {'node': 1.234})
    assert report['backend'] == 'numpy'
    assert report['duration_sec'] == 0.5
    voxels = report['voxels']
    assert voxels['messages'] == 5
    assert voxels['rate_hz'] == 10.0  # four periods of 100 ms
    assert voxels['occupied_mean'] == 30.0
    latency = voxels['latency_ms']
    assert (latency['p50'], latency['max']) == (10.0, 50.0)
    assert latency['p95'] == 42.0  # 0.8 of the way from 10 to 50
    assert report['features']['valid_mean'] == 0.9
    assert report['stages'] == {'voxels': {'wait_ms': {'p50': 0.5, 'p95': 1.0, 'p99': 1.5}}}
    assert report['cpu'] == {'node': 1.23}


def test_the_report_is_json_with_the_promised_keys():
    report = json.loads(json.dumps(build_report(good_run(), {})))
    assert set(report) >= {'backend', 'duration_sec', 'voxels', 'features', 'sources'}
    for output in (report['voxels'], report['features']):
        assert set(output) >= {'messages', 'rate_hz', 'latency_ms'}
        assert list(output['latency_ms']) == ['p50', 'p95', 'p99', 'max']
    assert report['sources']['lidar'] == {
        'published': 5,
        'received': 5,
        'used': 3,
        'buffered': 2,
        'expired': 0,
        'lost_transport': 0,
        'dropped': {},
    }


def test_a_good_run_is_called_ok():
    report = build_report(good_run(), {'sim': 2.0})
    assert problems(report) == []
    assert ' '.join(summary(report)) == (
        'OK: 5 voxel grids and 5 feature tensors from 5 messages, none lost, on the numpy '
        'backend. CPU seconds in 0.5 s: sim 2.0.'
    )


def test_everything_that_is_wrong_is_said():
    seen = good_run()
    seen.features = Arrivals()
    seen.published['lidar'] = 9
    seen.health.sources['lidar'] = {
        'received': '6',
        'used': '3',
        'buffered': '1',
        'expired': '0',
        'lost_transport': '2',
        'dropped.late': '1',
        'dropped.duplicate': '0',
    }
    report = build_report(seen, {})
    assert report['features']['rate_hz'] == 0.0
    assert report['features']['latency_ms'] == dict.fromkeys(['p50', 'p95', 'p99', 'max'])
    assert report['sources']['lidar']['dropped'] == {'late': 1}
    assert unaccounted(report['sources']['lidar']) == 1
    assert problems(report) == [
        'No features came out.',
        'lidar: 9 sent, 6 received.',
        'lidar: 2 lost, the middleware reports.',
        'lidar: 1 dropped (late).',
        'lidar: 1 not accounted for.',
    ]
    lines = summary(report, ['source imu: no publisher'])
    assert lines[0].startswith('Not all is well')
    assert '  - the node says: source imu: no publisher' in lines


def test_a_frame_that_is_missing_is_said():
    seen = good_run()
    seen.trigger_sent_ns[6] = 600 * MS
    assert problems(build_report(seen, {})) == [
        'voxels: 5 sent for 6 of the trigger.',
        'features: 5 sent for 6 of the trigger.',
    ]


def test_a_frame_of_a_trigger_nobody_saw_has_no_latency():
    seen = good_run()
    del seen.trigger_sent_ns[4]
    assert build_report(seen, {})['voxels']['latency_ms']['max'] == 10.0


def test_a_frame_of_the_time_of_the_last_point_has_the_latency_of_its_cloud():
    seen = good_run()
    seen.trigger_sent_ns = {100 * stamp: ns for stamp, ns in seen.trigger_sent_ns.items()}
    for late in (0, 99):
        seen.voxels.stamp_ns = [100 * stamp + late for stamp in range(1, 6)]
        latency = build_report(seen, {})['voxels']['latency_ms']
        assert (latency['p50'], latency['max']) == (10.0, 50.0)
    seen.voxels.stamp_ns = [99] * 5  # before the first that was sent
    assert build_report(seen, {})['voxels']['latency_ms']['max'] is None


def test_what_became_of_the_smear_is_told_for_each_lidar_that_has_any():
    assert build_report(good_run(), {})['deskew'] == {}
    seen = good_run()
    seen.health.sources['lidar'] |= {
        'point_time': '`time` in s',
        'note.motion_late': '2',
        'note.motion_gap': '0',
        'deskew': 'on',
        'deskew_agreement': '56% (25% without turning)',
    }
    seen.health.sources['rear'] = {
        'received': '5',
        'note.point_time_missing': '5',
        'deskew': 'off (point_time_missing)',
    }
    report = json.loads(json.dumps(build_report(seen, {})))
    assert report['deskew'] == {
        'lidar': {
            'now': 'on',
            'agreement': '56% (25% without turning)',
            'point_time': '`time` in s',
            'smeared': {'motion_late': 2},
        },
        'rear': {
            'now': 'off (point_time_missing)',
            'agreement': '',
            'point_time': '',
            'smeared': {'point_time_missing': 5},
        },
    }
    assert table(report)[-2:] == [
        (
            'deskew    lidar on, agreement of sweeps 56% (25% without turning), '
            '2 left smeared (motion_late)'
        ),
        'deskew    rear off (point_time_missing), 5 left smeared (point_time_missing)',
    ]


def test_how_many_points_got_a_colour_is_told_where_cameras_paint():
    assert build_report(good_run(), {})['paint'] is None
    seen = good_run()
    seen.health.outputs['voxels'] |= {
        'painted': '5', 'points': '900', 'points_used': '800', 'note.point_unseen': '600',
    }  # fmt: skip
    report = json.loads(json.dumps(build_report(seen, {})))
    assert report['paint'] == {'points': 800, 'unseen': 600}
    assert table(report)[-1] == 'paint     25% of the points in the grids seen by a camera'
    del seen.health.outputs['voxels']['note.point_unseen']
    assert table(build_report(seen, {}))[-1].startswith('paint     100% of')
    seen.health.outputs['voxels']['points_used'] = '0'
    assert table(build_report(seen, {}))[-1].startswith('paint     100% of')


def test_how_the_encoder_of_a_camera_does_is_told():
    assert build_report(good_run(), {})['encoders'] == {}
    seen = good_run()
    seen.health.sources['camera'] = {
        'received': '9',
        'encoder': 'failing',
        'encoder_device': 'cpu',
        'encoded': '7',
        'encoder_ms_p50': '2.25',
        'encoder_ms_p99': '14.00',
        'note.encoder_busy': '2',
        'note.encoder_failed': '0',
        'note.paint_no_image': '3',
    }
    report = json.loads(json.dumps(build_report(seen, {})))
    assert report['encoders'] == {
        'camera': {
            'state': 'failing',
            'device': 'cpu',
            'encoded': 7,
            'missed': {'encoder_busy': 2},
            'encode_ms': {'p50': 2.25, 'p99': 14.0},
        }
    }
    assert table(report)[-1] == (
        'encoder   camera failing on cpu, 7 encoded, p50 2.2 ms, p99 14.0 ms, '
        '2 without (encoder_busy)'
    )


def test_a_source_nobody_counts_the_messages_of_is_no_problem():
    seen = good_run()
    seen.published.clear()
    report = build_report(seen, {})
    assert report['sources']['lidar']['published'] is None
    assert problems(report) == []


def test_the_table_fits_a_terminal_and_an_empty_run():
    for seen in (good_run(), Observed()):
        lines = table(build_report(seen, {}))
        assert max(map(len, lines)) <= 80
    assert any(
        line.split() == ['lidar', '5', '5', '3', '2', '0', '0', '0']
        for line in table(build_report(good_run(), {}))
    )
