# Copyright 2026 the robocache_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The rules behind /diagnostics, one situation at a time; the node's own are in test_node_*."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

import pytest

from robocache_ros.reasons import Reason
from robocache_ros.ros import output_verdicts, source_verdicts
from robocache_ros.ros.facts import ahead_sec, starved
from robocache_ros.ros.output_verdicts import OutputFacts, Short
from robocache_ros.ros.placement import Placement
from robocache_ros.ros.source_verdicts import SourceFacts, deskew_of
from robocache_ros.ros.ticks import Growth, LineBudget, News
from robocache_ros.ros.transform_verdicts import TransformFacts, judge_transforms
from robocache_ros.ros.verdicts import Level, drops, judge_clock, judge_node
from robocache_ros.timeline.track import SourceStatus

HEALTHY = SourceFacts(
    name='lidar',
    topic='/lidar/points',
    message_type='sensor_msgs/msg/PointCloud2',
    needed=False,
    publishers=1,
    other_types=(),
    elsewhere=(),
    incompatible='',
    qos='reliable (auto)',
    state='ok',
    received=100,
    publishing_sec=60.0,
    silent_sec=0.05,
    reference='lidar',
    ahead_sec=0.0,
    clock_jump_sec=1.0,
    rate_hz=10.0,
    latency_ms=4.2,
    window_sec=5.0,
    recent=Counter(received=50),
    last_error='',
    frame_id='lidar',
    output_frame='lidar',
    fields=('x', 'y', 'z', 'intensity'),
    lacking={},
    agreement=None,
    kind='pointcloud2',
    deskews=False,
    placement=Placement(),
)
UNHEARD = replace(HEALTHY, state='unheard', received=0, recent=Counter())


def judge_source(facts):
    return source_verdicts.judge_source(facts)[0]


def judge_output(facts):
    return output_verdicts.judge_output(facts)[0]


def judged(facts, **changes):
    return judge_source(replace(facts, **changes))


def test_a_healthy_source_tells_its_rate_and_latency():
    verdict = judge_source(HEALTHY)
    assert verdict == (Level.OK, '10.0 Hz, received 4 ms after the stamp.', '')


def test_a_latency_by_another_clock_is_not_told():
    assert judged(HEALTHY, latency_ms=9e10).sentence == '10.0 Hz.'


def test_no_publisher_is_a_warning_that_names_topic_and_type():
    verdict = judged(UNHEARD, publishers=0)
    assert verdict.level == Level.WARN
    assert verdict.kind == 'missing'
    assert verdict.sentence.startswith(
        'No publisher of sensor_msgs/msg/PointCloud2 on /lidar/points: start the driver'
    )


def test_topics_that_carry_the_type_are_suggested():
    verdict = judged(UNHEARD, publishers=0, elsewhere=('/velodyne_points', '/ouster/points'))
    assert 'on /lidar/points, but on /velodyne_points, /ouster/points: ' in verdict.sentence


def test_no_publisher_of_a_needed_source_is_an_error():
    assert judged(UNHEARD, publishers=0, needed=True).level == Level.ERROR


def test_a_publisher_of_another_type_is_named():
    verdict = judged(UNHEARD, publishers=0, other_types=('sensor_msgs/msg/LaserScan',))
    assert verdict.sentence == (
        '/lidar/points carries sensor_msgs/msg/LaserScan, not sensor_msgs/msg/PointCloud2: '
        'set lidar.topic or lidar.type.'
    )


def test_a_publisher_gets_some_seconds_before_its_silence_is_a_problem():
    verdict = judged(UNHEARD, publishing_sec=2.9)
    assert verdict == (Level.OK, 'Waiting for the first message on /lidar/points.', '')
    verdict = judged(UNHEARD, publishing_sec=3.1)
    assert verdict.level == Level.WARN
    assert 'fastdds_large_messages.xml' in verdict.sentence
    assert 'QoS reliable (auto)' in verdict.sentence


def test_incompatible_qos_is_told_at_once_and_in_its_own_words():
    sentence = 'A publisher on /lidar/points does not offer what is asked for.'
    verdict = judged(UNHEARD, publishing_sec=0.0, incompatible=sentence)
    assert verdict[:2] == (Level.WARN, sentence)


def test_a_publisher_that_is_refused_beside_one_that_delivers_is_told_after_all_else():
    refused = '/rear publishes it as best_effort, but ...'
    verdict = judged(HEALTHY, publishers=2, incompatible=refused)
    assert verdict == (
        Level.WARN,
        f'Only some of its 2 publishers are heard: {refused}',
        'incompatible',
    )
    assert verdict.kind in source_verdicts.USED_ANYWAY
    lost = Counter(received=50, lost_transport=1)
    assert judged(HEALTHY, publishers=2, incompatible=refused, recent=lost).kind != verdict.kind
    assert judged(HEALTHY, publishers=1, incompatible=refused).level == Level.OK  # it has gone


def test_a_source_that_fell_silent_tells_for_how_long():
    verdict = judged(HEALTHY, state='silent', silent_sec=3.21)
    assert verdict.kind == 'missing'
    assert verdict.sentence == (
        'Silent for 3.2 s: nothing arrives on /lidar/points, although it has 1 publisher. Look '
        'at the driver and at what it is connected to.'
    )


def test_messages_that_are_all_dropped_are_not_called_silence():
    recent = Counter({'received': 50, 'dropped.duplicate': 50})
    verdict = judged(HEALTHY, state='silent', silent_sec=5.0, recent=recent)
    assert 'nothing arrives' not in verdict.sentence
    assert 'All 50 messages of the last 5 s were dropped, duplicate' in verdict.sentence


def test_a_silent_source_without_publisher_is_a_missing_driver():
    verdict = judged(HEALTHY, state='silent', publishers=0)
    assert 'No publisher' in verdict.sentence


def test_a_source_that_still_delivers_is_not_missed_for_lack_of_discovery():
    assert judged(HEALTHY, publishers=0).level == Level.OK


def test_another_clock_is_told_with_its_offset_and_direction():
    behind = judged(HEALTHY, ahead_sec=-52.04)
    assert behind.sentence.startswith('Its stamps are 52.0 s behind those of lidar: synchronise')
    assert 'ahead of' in judged(HEALTHY, ahead_sec=1.1).sentence
    assert judged(HEALTHY, ahead_sec=0.9).level == Level.OK


def test_a_source_left_in_the_old_epoch_is_told():
    verdict = judged(HEALTHY, state='other_epoch')
    assert Reason.OLD_EPOCH.fix in verdict.sentence


def test_all_messages_dropped_names_the_most_frequent_reason_and_its_fix():
    recent = Counter({'received': 50, 'dropped.stamp_unset': 49, 'dropped.cloud_size': 1})
    verdict = judged(HEALTHY, recent=recent)
    assert verdict.level == Level.WARN
    assert verdict.sentence.startswith('All 50 messages of the last 5 s were dropped, mostly ')
    assert Reason.STAMP_UNSET.fix in verdict.sentence
    assert judged(HEALTHY, recent=recent, needed=True).level == Level.ERROR


def test_some_messages_dropped_is_a_warning_even_for_a_needed_source():
    recent = Counter({'received': 50, 'dropped.late': 3})
    verdict = judged(HEALTHY, recent=recent, needed=True)
    assert verdict.level == Level.WARN
    assert verdict.sentence.startswith('3 of 50 messages')


def test_losses_in_transport_are_told():
    verdict = judged(HEALTHY, recent=Counter(received=50, lost_transport=7))
    assert verdict.level == Level.WARN
    assert verdict.sentence.startswith('7 messages lost on the way')


def test_a_source_in_another_frame_is_told_both_frames():
    recent = Counter({'received': 50, 'note.frame_mismatch': 50})
    verdict = judged(HEALTHY, recent=recent, name='rear', frame_id='rear')
    assert verdict.level == Level.WARN
    assert verdict.sentence.startswith(
        "Its frame_id is 'rear', the output frame is 'lidar': its clouds are left out of the grid."
    )
    assert 'take rear out of voxels.sources' in verdict.sentence
    assert judged(HEALTHY, recent=recent).level == Level.OK  # it has changed meanwhile


def test_a_source_that_lacks_a_field_is_told_field_channels_and_what_there_is():
    recent = Counter({'received': 50, 'note.field_missing': 50})
    lacking = {'intensity': ('mean_intensity', 'max_intensity')}
    facts = replace(HEALTHY, recent=recent, lacking=lacking, fields=('x', 'y', 'z', 'ring'))
    verdict = judge_source(facts)
    assert verdict.level == Level.WARN
    assert verdict.sentence == (
        'Its clouds have no field intensity (only x, y, z, ring), so it adds nothing to '
        'mean_intensity, max_intensity: publish the field, or take the channel out of '
        'voxels.channels.'
    )


def test_clouds_in_the_grid_as_they_were_measured_are_told_with_the_cause():
    recent = Counter({'received': 50, 'note.point_time_doubt': 1, 'note.motion_late': 49})
    told = Placement(motion='imu (ok) and odom (silent)')
    doubt, late = source_verdicts.judge_source(replace(HEALTHY, recent=recent, placement=told))
    assert (doubt.level, doubt.kind) == (Level.WARN, 'point_time_doubt')
    assert doubt.sentence == (
        'Clouds moved as a whole: the times of their points can not be those of one sweep. '
        'Set `lidar.point_time`, `lidar.point_time_unit` and `lidar.stamp_at` as the driver has '
        'them. '
        'So it was with 1 cloud of the last 5 s.'
    )
    assert late.kind == 'motion_late'
    assert late.sentence == (
        'Clouds not corrected for motion: it was not known up to their last point in time. It is '
        'told by imu (ok) and odom (silent). Raise `timeout_sec`, or find out what delays the '
        'source that `deskew` names. So it was with 49 clouds of the last 5 s.'
    )
    assert {doubt.kind, late.kind} <= source_verdicts.USED_ANYWAY


@pytest.mark.parametrize(
    ('received', 'count', 'told'), [(30, 5, False), (30, 6, True), (500, 1, True)], ids=str
)
def test_clouds_that_began_before_the_motion_was_heard_are_no_problem(received, count, told):
    recent = Counter({'received': 30, 'note.motion_gap': count})
    kind = judged(HEALTHY, received=received, recent=recent).kind
    assert (kind == 'motion_gap') == told


@pytest.mark.parametrize(
    ('reason', 'sentence'),
    [
        (Reason.CLOUD_EMPTY, 'Its clouds have no points, in 40 clouds of the last 5 s. '),
        (
            Reason.CLOUD_OUT_OF_RANGE,
            'No point of rear lies in voxels.point_cloud_range, in 40 clouds of the last 5 s. ',
        ),
    ],
    ids=['empty', 'out_of_range'],
)
def test_clouds_that_fill_no_voxel_are_told_at_their_source(reason, sentence):
    recent = Counter({'received': 50, f'note.{reason.key}': 40})
    verdict = judged(HEALTHY, name='rear', recent=recent)
    assert verdict == (Level.WARN, sentence + reason.fix, reason.key)
    assert verdict.kind in source_verdicts.USED_ANYWAY
    some = Counter({'received': 50, f'note.{reason.key}': 20})
    alone = judged(HEALTHY, sole=True, recent=recent)  # the output tells of the range then
    assert (alone.level == Level.OK) == (reason is Reason.CLOUD_OUT_OF_RANGE)
    assert judged(HEALTHY, recent=some).level == Level.OK


def test_the_only_cloud_of_the_grid_that_has_no_place_in_it_is_an_error():
    elsewhere = Counter({'received': 50, 'note.frame_mismatch': 50})
    verdict = judged(HEALTHY, sole=True, recent=elsewhere, output_frame='map')
    assert verdict.level == Level.ERROR
    recent = Counter({'received': 50, 'note.transform_unknown': 50})
    assert judged(HEALTHY, sole=True, recent=recent).level == Level.ERROR
    begun = Counter({'received': 50, 'note.transform_unknown': 5})
    assert judged(HEALTHY, sole=True, recent=begun).level == Level.WARN
    late = Counter({'received': 50, 'note.transform_late': 50})
    assert judged(HEALTHY, sole=True, recent=late).level == Level.WARN


CHAIN = "nothing is known of the frame 'velodyne'; frames known: 'base_link', 'odom'"


def test_a_cloud_that_no_transform_places_is_told_with_the_edge_and_the_fix():
    recent = Counter({'received': 50, 'note.transform_unknown': 50})
    verdict = judged(HEALTHY, recent=recent, placement=Placement(chain=CHAIN))
    assert (verdict.level, verdict.kind) == (Level.WARN, 'transform_unknown')
    assert verdict.sentence == (
        f'50 clouds of the last 5 s left out of the grid (transform_unknown). As of now: {CHAIN}. '
        'Set `lidar.extrinsic`, or publish the frame on /tf_static or /tf.'
    )
    assert verdict.kind not in source_verdicts.USED_ANYWAY


def test_a_cloud_with_an_extrinsic_that_no_transform_places_is_told_of_the_other_end():
    recent = Counter({'received': 50, 'note.transform_unknown': 50})
    at = Placement(extrinsic='lidar.extrinsic', chain=CHAIN)
    verdict = judged(HEALTHY, recent=recent, placement=at, output_frame='map')
    assert verdict.sentence.endswith(
        "Publish on /tf how 'map' and base_frame are connected, or leave output_frame empty."
    )


def test_that_no_transform_places_a_cloud_comes_before_what_follows_from_it():
    recent = {'received': 50, 'note.transform_late': 50, 'dropped.required_missing': 50}
    found = source_verdicts.judge_source(replace(HEALTHY, recent=Counter(recent)))
    assert [verdict.kind for verdict in found] == ['transform_late', 'required_missing']


def test_an_imu_that_no_transform_places_tells_what_that_costs():
    recent = Counter({'received': 50, 'note.transform_unknown': 50})
    at = Placement(chain=CHAIN)
    verdict = judged(HEALTHY, name='imu', kind='imu', recent=recent, placement=at)
    assert verdict.sentence == (
        'Clouds are not corrected for motion: nothing tells where imu is on the robot '
        f'(transform_unknown). As of now: {CHAIN}. Set `imu.extrinsic`, or publish the frame on '
        '/tf_static or /tf.'
    )
    assert verdict.kind in source_verdicts.USED_ANYWAY  # in the features it is as before


def test_odometry_of_another_frame_tells_that_it_has_to_be_the_same():
    recent = Counter({'received': 50, 'note.transform_unknown': 50})
    verdict = judged(HEALTHY, name='odom', kind='odometry', recent=recent)
    assert verdict.sentence.endswith(
        'Let base_frame and the child_frame_id of its messages be the same, or tell on '
        '/tf_static how they are connected.'
    )


@pytest.mark.parametrize(
    ('deskews', 'recent', 'said'),
    [
        (False, {'received': 50}, 'off (not configured)'),
        (True, {'received': 50}, 'on'),
        (True, {}, 'off (no clouds)'),
        (True, {'received': 50, 'note.motion_gap': 50}, 'off (motion_gap)'),
        (
            True,
            {'received': 50, 'note.point_time_doubt': 2, 'note.transform_late': 1},
            'on, but for 3 of 50 (point_time_doubt, transform_late)',
        ),
        (True, {'received': 50, 'note.field_missing': 50}, 'on'),
    ],
)
def test_whether_deskew_works_is_said_with_the_reason(deskews, recent, said):
    assert deskew_of(replace(HEALTHY, deskews=deskews, recent=Counter(recent))) == said


TOLD = TransformFacts(
    absent='',
    asked=('where lidar is', 'where base_link is in map'),
    received=40,
    waiting_sec=60.0,
    rate_hz=7.96,
    window_sec=5.0,
    recent=Counter(received=40),
    last_error='',
)


def test_transforms_that_arrive_are_well():
    assert judge_transforms(TOLD) == [(Level.OK, '40 transforms so far, 8.0 Hz lately.', '')]


def test_a_silent_tf_is_told_after_some_seconds_with_what_is_not_known():
    silent = replace(TOLD, received=0, recent=Counter(), waiting_sec=2.9)
    assert judge_transforms(silent) == [(Level.OK, 'Waiting for the first transform.', '')]
    (verdict,) = judge_transforms(replace(silent, waiting_sec=3.1))
    assert (verdict.level, verdict.kind) == (Level.WARN, 'silent')
    assert verdict.sentence.startswith(
        'Nothing has arrived on /tf or /tf_static, so it is not known where lidar is and where '
        'base_link is in map: start what publishes them'
    )


def test_transforms_that_are_refused_are_told_by_reason():
    recent = Counter({'received': 40, 'refused.tf_parent': 20, 'refused.tf_pose': 1})
    pose, parent = judge_transforms(replace(TOLD, recent=recent))
    assert pose.sentence.startswith('1 transform of the last 5 s refused, tf_pose. A transform ')
    assert parent.sentence.startswith('20 transforms of the last 5 s refused, tf_parent. ')
    assert parent.sentence.endswith(Reason.TF_PARENT.fix)
    assert (pose.level, parent.level) == (Level.WARN, Level.WARN)


def test_without_the_messages_of_tf_the_verdict_is_that():
    absent = replace(TOLD, absent='tf2_msgs is not installed.', received=0, recent=Counter())
    assert judge_transforms(absent) == [(Level.WARN, 'tf2_msgs is not installed.', '')]


def test_a_bug_in_the_reader_of_transforms_is_an_error():
    broken = replace(TOLD, recent=Counter(errors=2), last_error="KeyError: 'x'")
    (verdict,) = judge_transforms(broken)
    assert verdict.level == Level.ERROR
    assert verdict.sentence.endswith("please report it: KeyError: 'x'.")


def test_every_reason_for_drops_is_a_problem_of_its_own():
    recent = Counter({'received': 50, 'dropped.duplicate': 9, 'dropped.late': 1})
    found = source_verdicts.judge_source(replace(HEALTHY, recent=recent))
    assert [verdict.kind for verdict in found] == ['duplicate', 'late']
    assert found[0].sentence.startswith('10 of 50 messages of the last 5 s were dropped, mostly ')
    assert found[1].sentence.startswith('1 of 50 messages of the last 5 s were dropped, late. ')


def test_a_bug_comes_before_everything_else():
    recent = Counter({'received': 50, 'errors': 2, 'dropped.late': 3})
    verdict = judged(HEALTHY, recent=recent, last_error="KeyError: 'x'")
    assert verdict.level == Level.ERROR
    assert "KeyError: 'x'" in verdict.sentence


FLOWING = OutputFacts(
    starved='',
    cause='',
    absent=(),
    short=(),
    reference='lidar',
    timeout_sec=0.1,
    messages=100,
    rate_hz=10.0,
    window_sec=5.0,
    recent=Counter(messages=50),
)


def test_a_healthy_output_tells_its_rate():
    assert judge_output(FLOWING) == (Level.OK, '10.0 Hz.', '')


def test_an_output_without_anything_to_send_is_an_error():
    facts = replace(FLOWING, starved='no source delivers', recent=Counter())
    assert judge_output(facts) == (
        Level.ERROR,
        'Nothing to send: no source delivers. See the status of each source.',
        '',
    )
    told = judge_output(replace(facts, cause='No publisher of it.')).sentence
    assert told == 'Nothing to send: no source delivers. No publisher of it.'


def test_frames_need_their_trigger_or_with_a_rate_at_least_one_source():
    assert starved('lidar', ('lidar',), 3) == 'lidar is the trigger and does not deliver'
    assert starved('lidar', ('camera', 'imu'), 3) == ''
    assert starved('rate', ('camera', 'imu'), 3) == ''
    assert starved('rate', ('lidar', 'camera', 'imu'), 3) == 'no source delivers'


def test_frames_not_sent_name_the_reason_and_are_an_error_if_none_was():
    recent = Counter({'dropped.frame_timeout': 12})
    assert judge_output(replace(FLOWING, recent=recent)).level == Level.ERROR
    verdict = judge_output(replace(FLOWING, recent=recent + Counter(messages=38)))
    assert verdict.level == Level.WARN
    assert verdict.sentence.startswith('12 frames of the last 5 s not sent (frame_timeout): ')
    assert Reason.FRAME_TIMEOUT.fix in verdict.sentence


def test_grids_without_any_point_in_range_are_told():
    recent = Counter({'messages': 50, 'points': 500, 'note.point_out_of_range': 500})
    verdict = judge_output(replace(FLOWING, recent=recent))
    assert verdict.level == Level.WARN
    assert 'none of 500 points lies in voxels.point_cloud_range; check' in verdict.sentence
    assert judge_output(replace(FLOWING, recent=recent + Counter(points_used=1))).level == 0


def test_grids_of_clouds_without_points_name_the_source_and_the_fix():
    facts = replace(FLOWING, clouds=('front', 'rear'))
    verdict = judge_output(facts)
    assert (verdict.level, verdict.kind) == (Level.WARN, 'cloud_empty')
    assert verdict.sentence == (
        'All voxel grids are empty: no cloud in them has a point. ' + Reason.CLOUD_EMPTY.fix
    )
    told = {'imu': 'Silent.', 'rear': 'Its clouds have no points.'}
    assert judge_output(replace(facts, told=told)).sentence.endswith(
        ' a point. rear: Its clouds have no points.'
    )
    recent = Counter(messages=50, points=1, points_used=1)
    assert judge_output(replace(facts, recent=recent)).level == Level.OK


def test_clouds_of_nothing_but_nan_are_not_called_out_of_range():
    recent = Counter({'messages': 50, 'points': 500, 'note.point_nonfinite': 500})
    verdict = judge_output(replace(FLOWING, recent=recent))
    assert verdict.kind == 'point_nonfinite'
    assert 'every coordinate of 500 points is NaN or infinite' in verdict.sentence
    assert 'range' not in verdict.sentence


def test_of_clouds_that_are_partly_nan_and_partly_out_of_range_both_are_told():
    notes = {'note.point_nonfinite': 400, 'note.point_out_of_range': 100}
    recent = Counter({'messages': 50, 'points': 500, **notes})
    verdict = judge_output(replace(FLOWING, recent=recent))
    assert 'none of 100 points lies in voxels.point_cloud_range (400 more are NaN' in (
        verdict.sentence
    )


def test_partial_frames_for_lack_of_a_source_are_no_second_warning():
    facts = replace(FLOWING, absent=('camera', 'imu'), recent=Counter(messages=50, partial=50))
    assert judge_output(facts) == (Level.OK, '10.0 Hz, without camera, imu.', '')


LATE = Short('imu', late=48, invalid=48, period_sec=0.01, delay_sec=0.25, max_gap_sec=0.2)


def test_partial_frames_name_the_source_that_is_late_and_by_how_much():
    recent = Counter(messages=50, partial=48)
    verdict = judge_output(replace(FLOWING, recent=recent, short=[LATE]))
    assert (verdict.level, verdict.kind) == (Level.WARN, 'partial imu')
    assert verdict.sentence == (
        '10.0 Hz, 48 of 50 frames partial: imu reaches the time of a frame up to 260 ms after '
        'lidar, and timeout_sec is 0.1: raise it, find out what delays imu, or set imu.wait: '
        'newest.'
    )


def test_a_late_source_that_tells_the_motion_has_to_be_waited_for():
    recent = Counter(messages=50, partial=48)
    late = LATE._replace(moves=True)
    verdict = judge_output(replace(FLOWING, recent=recent, short=[late]))
    assert verdict.sentence.endswith('or find out what delays imu, which deskew needs.')


def test_partial_frames_name_the_source_that_comes_too_seldom():
    seldom = Short('camera', 0, 30, period_sec=1.5, delay_sec=0.02, max_gap_sec=0.2)
    recent = Counter(messages=50, partial=30)
    verdict = judge_output(replace(FLOWING, recent=recent, short=[seldom], absent=('imu',)))
    assert verdict.sentence == (
        '10.0 Hz, without imu, 30 of 50 frames partial: camera was more than its max_gap_sec of '
        '0.2 away in 30 (it comes every 1.5 s, up to 20 ms after lidar): raise camera.max_gap_sec.'
    )


def test_frames_that_timed_out_name_the_source_they_waited_for():
    recent = Counter({'messages': 2, 'dropped.frame_timeout': 48})
    verdict = judge_output(replace(FLOWING, recent=recent, short=[LATE]))
    assert verdict.sentence.startswith(
        '48 frames of the last 5 s not sent (frame_timeout): imu reaches the time of a frame up '
        'to 260 ms after lidar'
    )
    verdict = judge_output(replace(FLOWING, recent=recent, absent=('imu',)))
    assert f'{Reason.FRAME_TIMEOUT.what} Away: imu. ' in verdict.sentence


def test_frames_not_sent_repeat_what_is_wrong_with_the_first_source_that_is_away():
    facts = replace(FLOWING, told={'imu': 'No publisher of it.', 'rear': 'Its frame is lost.'})
    reason = Reason.FRAME_REQUIRED
    recent = Counter({'dropped.frame_required': 50})
    verdict = judge_output(replace(facts, recent=recent, absent=('imu',)))
    assert verdict.sentence == (
        f'50 frames of the last 5 s not sent (frame_required): {reason.what} Away: imu. '
        f'imu: No publisher of it. {reason.fix}'
    )
    recent = Counter({'dropped.frame_no_cloud': 50})
    verdict = judge_output(replace(facts, recent=recent, clouds=('front', 'rear')))
    assert ' Away: rear. rear: Its frame is lost. ' in verdict.sentence


def test_a_source_that_is_late_by_its_clock_alone_is_told_to_set_it():
    recent = Counter(messages=50, partial=48)
    late = LATE._replace(behind_sec=0.5)
    verdict = judge_output(replace(FLOWING, recent=recent, short=[late]))
    assert verdict.sentence == (
        '10.0 Hz, 48 of 50 frames partial: every message of imu comes over 500 ms later than '
        'those of lidar of the same time, and timeout_sec is 0.1: its clock may be behind. '
        'Synchronise the clocks, or set imu.time_offset_sec.'
    )
    image = LATE._replace(late=0, behind_sec=0.5)
    verdict = judge_output(replace(FLOWING, recent=recent, short=[image]))
    assert ' and its max_gap_sec is 0.2: its clock may be behind. ' in verdict.sentence
    skipped = Counter({'dropped.frame_timeout': 48})
    verdict = judge_output(replace(FLOWING, recent=skipped, short=[late]))
    assert verdict.sentence.endswith('or set imu.time_offset_sec.')  # not to wait for longer
    within = LATE._replace(behind_sec=0.05)
    verdict = judge_output(replace(FLOWING, recent=recent, short=[within]))
    assert 'find out what delays imu' in verdict.sentence


def test_an_output_waits_for_its_first_frame_in_peace():
    verdict = judge_output(replace(FLOWING, messages=0, recent=Counter()))
    assert verdict == (Level.OK, 'Waiting for the first frame.', '')


@pytest.mark.parametrize(
    ('state', 'level', 'words'),
    [
        ('unconfigured', Level.WARN, 'ros2 lifecycle set /ns/node configure'),
        ('inactive', Level.WARN, 'ros2 lifecycle set /ns/node activate'),
        ('finalized', Level.WARN, 'start the node again'),
        ('active', Level.OK, 'Active on numpy.'),
    ],
)
def test_every_state_of_the_node_has_its_sentence(state, level, words):
    verdict = judge_node(state, '/ns/node', '', '', 'Active on numpy.')
    assert verdict.level == level
    assert words in verdict.sentence


def test_a_failed_transition_or_computation_is_an_error_with_its_text():
    verdict = judge_node('unconfigured', '/node', 'trigger must be ...', '', '')
    assert verdict == (Level.ERROR, 'trigger must be ...', '')
    verdict = judge_node('active', '/node', '', 'ValueError: no such cell', '')
    assert verdict.level == Level.ERROR
    assert 'ValueError: no such cell' in verdict.sentence


def test_a_clock_that_nobody_publishes_is_told():
    verdict = judge_clock(no_clock=True, reference='lidar', behind_sec=0.0)
    assert verdict.level == Level.WARN
    assert 'nothing arrives on /clock' in verdict.sentence
    assert 'use_sim_time: false' in verdict.sentence


def test_stamps_of_another_time_than_the_clocks_are_told_with_offset_and_direction():
    behind = judge_clock(False, 'lidar', behind_sec=3600.0)
    assert behind.sentence.startswith('The stamps of lidar are 3600 s behind the ROS clock')
    assert '--clock' in behind.sentence
    assert ' 7.5 s ahead of the ROS clock' in judge_clock(False, 'lidar', -7.5).sentence
    assert judge_clock(False, 'lidar', 0.3) is None


def test_a_clock_that_stands_still_while_sources_deliver_is_told_for_how_long():
    verdict = judge_clock(False, 'lidar', behind_sec=-6.5, still_sec=6.5)
    assert (verdict.level, verdict.kind) == (Level.WARN, 'clock stands')
    assert verdict.sentence.startswith('/clock has stood still for 6.5 s, and messages of ')
    assert judge_clock(False, 'lidar', behind_sec=-1.9, still_sec=1.9) is None


def test_every_reason_has_a_key_that_the_rules_understand():
    for reason in Reason:
        assert drops({f'dropped.{reason.key}': 1}) == [(reason, 1)]


def test_growth_is_over_the_last_five_ticks_and_starts_from_nothing():
    growth = Growth(0)
    for tick in range(1, 9):
        growth.add(tick * 1_000_000_000, {'received': 10 * tick * tick})
        if tick == 2:
            assert growth.recent == {'received': 40}
            assert growth.rate_hz('received') == 20.0
    assert growth.window_sec == 5.0  # from tick 3 to tick 8
    assert growth.recent['received'] == 10 * (64 - 9)
    assert growth.rate_hz('received') == 110.0


def test_a_reason_that_was_never_seen_before_counts_from_zero():
    growth = Growth(0)
    growth.add(1_000_000_000, {})
    growth.add(2_000_000_000, {'dropped.late': 3})
    assert growth.recent['dropped.late'] == 3


def test_a_problem_is_news_once_from_the_second_look_on_and_again_after_it_was_gone():
    news = News()
    looks = [['a'], ['a'], ['a', 'b'], ['a', 'b'], [], ['a'], ['a']]
    assert [news.of(kinds) for kinds in looks] == [[], ['a'], [], ['b'], [], [], ['a']]


def test_a_problem_that_comes_and_goes_for_ever_is_told_three_times():
    news = News()
    told = [news.of(kinds) for _ in range(20) for kinds in (['a'], ['a'], [])]
    assert sum(map(len, told)) == 3


def test_what_was_told_elsewhere_is_news_only_when_it_comes_back():
    news = News()
    looks = [news.of(kinds, told=['a']) for kinds in (['a'], ['a'], [], ['a'], ['a'])]
    assert looks == [[], [], [], [], ['a']]


def test_that_all_is_well_is_told_once_after_a_problem_was_told():
    news = News()
    assert not news.is_recovery(True)
    news.of(['a'])
    assert not news.is_recovery(True)  # a single look that nobody was told of
    for _ in range(2):
        news.of(['a'])
    assert [news.is_recovery(well) for well in (False, True, True)] == [False, True, False]


def test_no_minute_has_more_lines_than_the_budget():
    budget = LineBudget(2)
    second = 1_000_000_000
    allowed = [budget.allows(t * second) for t in (0, 30, 59, 60, 61, 90)]
    assert allowed == [True, True, False, True, False, True]


def test_ahead_compares_stamps_at_the_same_moment():
    def status(newest_ns, last_arrival_ns, state='ok'):
        return SourceStatus(
            1, 1, 0, 0, {}, {}, newest_ns, last_arrival_ns, None, None, None, '', (), None, state
        )

    lidar = status(newest_ns=100_000_000_000, last_arrival_ns=7_000_000_000)
    imu = status(newest_ns=98_500_000_000, last_arrival_ns=7_500_000_000)
    assert ahead_sec(imu, lidar) == pytest.approx(-2.0)
    assert ahead_sec(lidar, imu) == pytest.approx(2.0)
    assert ahead_sec(status(0, 0, 'silent'), lidar) == 0.0


@pytest.mark.parametrize(
    ('agreement', 'wrong'), [(None, False), ((0.5, 0.5), False), ((0.3, 0.5), True)], ids=str
)
def test_motion_that_makes_sweeps_agree_less_looks_wrong(agreement, wrong):
    found = source_verdicts.judge_source(replace(HEALTHY, agreement=agreement))
    assert ('deskew_wrong' in [verdict.kind for verdict in found]) == wrong
    if wrong:
        assert '30% of the voxels' in found[0].sentence
        assert 'but 50% as if nothing had turned' in found[0].sentence
