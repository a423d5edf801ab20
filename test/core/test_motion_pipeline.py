# Copyright 2026 the robocache_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Frames and motion through the whole pipeline: what waits, what is complete, what is kept."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation
from small_robot import MS, Drive, cloud, frame_bytes, make_pipeline

from robocache_ros.backends.numpy_backend import NumpyBackend
from robocache_ros.backends.numpy_deskew import deskew
from robocache_ros.backends.workspace import Workspace
from robocache_ros.codec.cloud import CloudView
from robocache_ros.codec.point_time import PointTimes
from robocache_ros.config import Config, ConfigError
from robocache_ros.motion.pose import Pose
from robocache_ros.pipeline import Pipeline
from robocache_ros.reasons import Reason
from robocache_ros.samples import FeatureFrame, Vector, VoxelFrame
from robocache_ros.schema import Schema
from robocache_ros.transforms import reads_transforms

HERE = [0, 0, 0, 0, 0, 0]
LIDAR = {'sources': ['lidar'], 'base_frame': 'base_link', 'lidar.extrinsic': HERE}
FIXED = {**LIDAR, 'deskew.fixed_frame': 'odom'}
ODOM = {**LIDAR, 'sources': ['lidar', 'odom'], 'deskew.odometry': 'odom'}
TURNING = {
    **LIDAR,
    'sources': ['lidar', 'imu'],
    'deskew.imu': 'imu',
    'imu.extrinsic': HERE,
    'deskew.estimate_bias': False,
}
REAR = {'rear.type': 'pointcloud2', 'rear.occupancy_shape': [1, 1, 1], 'rear.extrinsic': HERE}
POINT = cloud((0.5, 0.5, 0.5))


def odometry(x, rotation=(0, 0, 0, 1)):
    """Sample of a robot x metres from the origin."""
    values = np.zeros(13, np.float32)
    values[6] = 1
    return Vector(values, np.ones(4, bool), pose=np.array([x, 0, 0, *rotation], float))


def gyro(x=0.0, y=0.0, z=0.0):
    """Sample of an IMU that turns."""
    values = np.array([0, 0, 0, 1, x, y, z, 0, 0, 9.8], np.float32)
    return Vector(values, np.ones(3, bool))


def at(x, y=0.0, z=0.0, yaw=0.0):
    return Pose(np.array([0, 0, math.sin(yaw / 2), math.cos(yaw / 2)]), np.array([x, y, z]))


def sweep(first_ms, last_ms, *points, frame_id='lidar'):
    """Cloud whose points were measured one after the other, evenly."""
    one = cloud(*points, frame_id=frame_id)
    ns = (last_ms - first_ms) * MS / max(len(points) - 1, 1)
    times = PointTimes('intensity', ns, 0.0, *(int(t * MS) for t in (first_ms, first_ms, last_ms)))
    return replace(one, times=times)


def drive_of(**parameters):
    return Drive(make_pipeline(None, **parameters))


def grids(drive):
    return [frame for frame in drive.frames if isinstance(frame, VoxelFrame)]


def tables(drive):
    return [frame for frame in drive.frames if isinstance(frame, FeatureFrame)]


def tell(drive, t_ms, x, parent='odom', child='base_link', at_ms=None):
    arrival_ms = t_ms if at_ms is None else at_ms
    drive.pipeline.tell_transform(int(arrival_ms * MS), parent, child, int(t_ms * MS), at(x))


# -- what waits, and what is complete


def test_a_frame_whose_transform_never_came_is_partial():
    drive = drive_of(**FIXED)
    tell(drive, 90, 0.0)
    drive.push('lidar', 100, POINT)
    assert drive.advance(199) == []
    assert sorted(drive.advance(200)) == [('features', 100), ('voxels', 100)]
    assert [frame.complete for frame in drive.frames] == [False, False]
    assert drive.status().outputs['voxels'].partial == 1
    assert drive.status().sources['lidar'].notes == {Reason.MOTION_LATE: 1}


def test_a_frame_whose_transform_never_came_is_dropped_where_partial_ones_are():
    drive = drive_of(**FIXED, on_timeout='skip')
    tell(drive, 90, 0.0)
    drive.push('lidar', 100, POINT)
    assert drive.advance(200) == []
    for output in drive.status().outputs.values():
        assert output.dropped == {Reason.FRAME_TIMEOUT: 1}
    drive.assert_conserved()


@pytest.mark.parametrize('times', [[101], [-200, 110]], ids=str)
def test_a_frame_with_a_gap_in_its_motion_is_partial(times):
    drive = drive_of(**ODOM)
    for t_ms in times:
        drive.push('odom', t_ms, odometry(0.0), at_ms=100)
    drive.push('lidar', 100, POINT)
    drive.advance(300)
    assert [frame.complete for frame in grids(drive)] == [False]
    assert [frame.complete for frame in tables(drive)] == [False]


def test_a_frame_with_its_motion_is_complete():
    drive = drive_of(**ODOM)
    drive.push('odom', 80, odometry(0.0))
    drive.push('odom', 100, odometry(1.0))
    drive.push('lidar', 100, sweep(90, 100, (0.5, 0.5, 0.5), (4.5, 0.5, 0.5)))
    drive.advance(100)
    assert [frame.complete for frame in drive.frames] == [True, True]


def test_a_stopped_transform_costs_no_time_while_others_go_on():
    drive = drive_of(**FIXED)
    tell(drive, 100, 0.0)
    for t_ms in range(0, 3000, 50):
        tell(drive, t_ms, 0.0, parent='base_link', child='arm')
    drive.push('lidar', 2900, POINT, at_ms=2950)
    assert [name for name, _ in drive.advance(2950)] == ['voxels', 'features']
    assert drive.status().sources['lidar'].notes == {Reason.MOTION_LATE: 1}


def test_another_lidar_has_to_reach_the_frame_but_not_its_last_point():
    two = {**ODOM, **REAR, 'sources': ['lidar', 'rear', 'odom'], 'rear.wait': 'until_t_ref'}
    drive = drive_of(**two, **{'deskew.to': 'start'})
    for t_ms in range(0, 300, 20):
        drive.push('odom', t_ms, odometry(0.0), at_ms=200)
    drive.push('lidar', 100, sweep(100, 199, (0.5, 0.5, 0.5), (4.5, 0.5, 0.5)), at_ms=200)
    drive.push('rear', 110, sweep(110, 209, (0.5, 0.5, 0.5), (4.5, 0.5, 0.5)), at_ms=210)
    assert ('voxels', 100) in drive.advance(210)


def test_features_made_without_the_motion_are_made_again_once_it_is_known():
    drive = drive_of(**ODOM, **{'features.targets': 20})  # 190 ms back
    drive.push('odom', 0, odometry(0.0))
    drive.push('lidar', 100, sweep(0, 100, (4.5, 0.5, 0.5), (0.5, 0.5, 0.5)))
    drive.advance(250)
    for t_ms in range(20, 220, 20):  # 20 m/s
        drive.push('odom', t_ms, odometry(0.02 * t_ms), at_ms=260)
    drive.push('lidar', 200, sweep(190, 200, (0.5, 0.5, 0.5), (0.5, 0.5, 0.5)), at_ms=260)
    drive.advance(260)
    smeared, right = tables(drive)
    assert not smeared.complete
    assert smeared.values[-1, 2] == 2.5
    assert right.complete
    assert right.values[10, 2] == 1.5  # 4.5 m, less 2 m that the robot has driven since
    assert right.used['odom'][0] == 0  # the first point was measured then


def test_a_table_names_the_samples_that_moved_its_clouds():
    drive = drive_of(**ODOM)
    for t_ms in range(0, 120, 20):
        drive.push('odom', t_ms, odometry(0.02 * t_ms))
    drive.push('lidar', 100, sweep(10, 90, (4.5, 0.5, 0.5), (0.5, 0.5, 0.5)))
    drive.advance(120)
    (table,) = tables(drive)
    assert table.used['odom'] == tuple(t * MS for t in (0, 20, 40, 60, 80, 100))


# -- frames


def test_a_sensor_in_the_frame_of_the_robot_does_not_hide_where_the_robot_is():
    drive = drive_of(**FIXED)
    drive.push('lidar', 0, replace(POINT, frame_id='base_link'))
    for t_ms in (80, 90, 110):
        tell(drive, t_ms, 0.0)
    drive.push('lidar', 100, replace(POINT, frame_id='base_link'))
    drive.advance(110)
    assert grids(drive)[-1].complete
    assert drive.status().sources['lidar'].notes == {Reason.MOTION_GAP: 1}  # of the first one


def test_nobody_on_tf_can_move_what_the_configuration_has_placed():
    drive = drive_of(**LIDAR)
    drive.pipeline.tell_transform(0, 'base_link', '(lidar)', None, at(5.0))
    drive.push('lidar', 100, replace(POINT, frame_id='/lidar'))
    drive.pipeline.tell_transform(0, 'base_link', 'lidar', None, at(5.0))
    drive.push('lidar', 200, replace(POINT, frame_id='/lidar'))
    drive.advance(200)
    assert [frame.voxels.index.tolist() for frame in grids(drive)] == [[0], [0]]


def test_coordinates_of_a_map_keep_their_digits_on_the_way_to_the_robot():
    easting, northing = 3_500_000.0, 5_800_000.0
    drive = drive_of(
        sources=['lidar'], base_frame='base_link', lidar__input_origin=[easting, northing, 0.0]
    )
    # The robot stands 2 m east of the origin and looks north.
    there = at(easting + 2.0, northing, yaw=math.pi / 2)
    drive.pipeline.tell_transform(0, 'map', 'base_link', None, there)
    x, y, z = np.array([[easting + 1.75], [northing + 3.25], [0.5]])
    columns = {'x': x, 'y': y, 'z': z, 'intensity': np.zeros(1, np.float32)}
    one = CloudView.from_columns(columns, 'map', (easting, northing, 0.0))
    drive.push('lidar', 100, one)
    drive.advance(100)
    (frame,) = grids(drive)
    assert frame.voxels.index.tolist() == [3]  # 3.25 m ahead and 0.25 m to the left


@pytest.mark.parametrize(
    ('mounted', 'rates'),
    [
        ([0, 0, 0, math.pi / 2, 0, 0], {'y': 10.0}),  # its y is the z of the robot
        ([0, 0, 0, 0, -math.pi / 2, 0], {'x': 10.0}),  # its x looks up
        ([1, 2, 3, math.pi, 0, 0], {'z': -10.0}),  # upside down, and somewhere else
    ],
)
def test_a_gyroscope_turns_about_the_axes_of_the_robot_however_it_is_mounted(mounted, rates):
    drive = drive_of(**{**TURNING, 'imu.extrinsic': mounted})
    for t_ms in range(0, 210, 10):
        drive.push('imu', t_ms, gyro(**rates))
    # A quarter of a turn to the left takes 157 ms; the first point was measured before it.
    quarter = 50 * math.pi
    one = sweep(200 - quarter, 200, (0.5, -3.5, 0.5), (6.5, 0.5, 0.5))
    drive.push('lidar', 200, one)
    drive.advance(200)
    (frame,) = grids(drive)
    # What was 3.5 m to the right is 3.5 m behind now: out of range. Turned the other way round,
    # it would be ahead.
    assert frame.voxels.index.tolist() == [6]
    left = sweep(400 - quarter, 400, (-0.5, 3.5, 0.5), (6.5, 0.5, 0.5))
    for t_ms in range(210, 410, 10):
        drive.push('imu', t_ms, gyro(**rates))
    drive.push('lidar', 400, left)
    drive.advance(400)
    assert grids(drive)[-1].voxels.index.tolist() == [3, 6]  # was to the left, is ahead


def test_a_lidar_off_the_centre_swings_around_it():
    drive = drive_of(**{**TURNING, 'lidar.extrinsic': [2, 0, 0, 0, 0, 0]})
    for t_ms in range(0, 210, 10):
        drive.push('imu', t_ms, gyro(z=10.0))
    quarter = 50 * math.pi
    # (-3.5, 3.5) of the sensor was (-1.5, 3.5) of the robot, which has turned left since.
    drive.push('lidar', 200, sweep(200 - quarter, 200, (-3.5, 3.5, 0.5), (4.5, 0.5, 0.5)))
    drive.advance(200)
    (frame,) = grids(drive)
    assert frame.voxels.index.tolist() == [6, 8 + 3]


@pytest.mark.parametrize('static', [True, False])
def test_odometry_of_another_frame_on_the_robot_moves_the_robot(static):
    drive = drive_of(**ODOM)
    for t_ms in (0, 200) if not static else (0,):
        drive.pipeline.tell_transform(
            0, 'base_link', 'mast', None if static else t_ms * MS, at(0.0, 0.0, yaw=math.pi / 2)
        )
    for t_ms in range(0, 220, 20):  # the x of the mast is the y of the robot
        drive.pipeline.push(t_ms * MS, 'odom', t_ms * MS, odometry(0.02 * t_ms), 'mast')
    drive.push('lidar', 200, sweep(100, 200, (0.5, 4.5, 0.5), (0.5, 0.5, 0.5)))
    drive.advance(200)
    (frame,) = grids(drive)
    assert frame.complete
    # It has moved 2 m to its left within the sweep: what was 4.5 m away there is 2.5 m away.
    assert frame.voxels.index.tolist() == [0, 16]


@pytest.mark.parametrize(
    ('output', 'cells'),
    [
        # In the world the robot came from (2, 0) and is at (4, 0); points 1.5 m ahead of it.
        ('odom', [3, 5]),
        ('base_link', [1]),  # the first one is behind, at -0.5
        ('lidar', [0]),  # another metre less
    ],
)
def test_points_may_go_to_the_world_to_the_robot_and_to_a_sensor(output, cells):
    drive = drive_of(**{**FIXED, 'lidar.extrinsic': [1, 0, 0, 0, 0, 0]}, output_frame=output)
    for t_ms in range(0, 220, 20):
        tell(drive, t_ms, 0.02 * t_ms)
    drive.push('lidar', 200, sweep(100, 200, (0.5, 0.5, 0.5), (0.5, 0.5, 0.5)))
    drive.advance(200)
    (frame,) = grids(drive)
    assert frame.frame_id == output
    assert frame.voxels.index.tolist() == cells


# -- what is forgotten, and what is not


def jump_back(drive, to_ms, at_ms):
    """Let the LiDAR go back, in two clouds."""
    for t_ms in (to_ms, to_ms + 100):
        drive.push('lidar', t_ms, POINT, at_ms=at_ms)


def test_motion_of_another_epoch_moves_nothing():
    drive = drive_of(**ODOM, clock_jump_sec=0.05)
    for t_ms in range(0, 310, 10):
        drive.push('odom', t_ms, odometry(0.0))
    for t_ms in range(200, 310, 10):  # the clock of the odometry has gone back, and only that
        drive.push('odom', t_ms, odometry(1.0), at_ms=t_ms + 110)
    drive.push('lidar', 290, POINT, at_ms=420)
    drive.advance(600)
    (frame,) = grids(drive)
    assert 'odom' not in frame.used
    assert not frame.complete
    assert drive.status().sources['lidar'].notes == {Reason.MOTION_MISSING: 1}


def test_a_learnt_bias_belongs_to_its_epoch():
    parameters = {**TURNING, 'deskew.estimate_bias': True, 'imu.gyro_bias': [0, 0, 0.01]}
    drive = drive_of(**parameters)
    for t_ms in range(5000, 6600, 10):
        drive.push('imu', t_ms, gyro(z=0.03))
    drive.push('lidar', 6500, POINT)
    drive.advance(6600)
    assert drive.pipeline.gyro_bias == pytest.approx((0, 0, 0.03))
    jump_back(drive, 1000, 6700)
    assert drive.pipeline.gyro_bias == (0, 0, 0.01)


def test_the_second_loop_of_a_bag_makes_the_same_frames_as_the_first():
    exact = {'voxels.channels': ['count', 'centroid']}
    drive = drive_of(**{**TURNING, **exact, 'deskew.estimate_bias': True})
    loops = []
    for loop in range(2):
        for t_ms in range(1000, 4000, 10):
            turning = 1.0 if t_ms < 2000 or t_ms > 3600 else 0.02
            drive.push('imu', t_ms, gyro(z=turning), at_ms=t_ms + 3000 * loop)
            if t_ms % 100 == 0:
                one = sweep(t_ms - 90, t_ms, (6.5, 0.5, 0.5), (1.5, 6.5, 0.5))
                drive.push('lidar', t_ms, one, at_ms=t_ms + 3000 * loop)
            drive.advance(t_ms + 3000 * loop)
        loops.append(frame_bytes([f for f in drive.frames if f.epoch == loop]))
    keys = [key for key in loops[1] if key[1] >= 1200 * MS]
    assert len(keys) > 50
    assert [loops[0][key] for key in keys] == [loops[1][key] for key in keys]


def test_the_agreement_of_a_lidar_is_told_also_where_another_one_is_silent():
    two = {**ODOM, **REAR, 'sources': ['rear', 'lidar', 'odom']}
    drive = drive_of(**two)
    for t_ms in range(0, 500, 20):
        drive.push('odom', t_ms, odometry(0.0))
        if t_ms % 100 == 0:
            drive.push('lidar', t_ms, POINT)
        # As the worker of the node does it, one frame at a time.
        while (frame := next(drive.pipeline.advance(t_ms * MS), None)) is not None:
            drive.frames.append(frame)
    assert len(grids(drive)) == 5
    assert drive.status().sources['lidar'].agreement == (1.0, 1.0)


def test_rings_on_the_road_do_not_speak_against_the_motion_of_who_drives_straight():
    drive = drive_of(**ODOM)
    for t_ms in range(0, 500, 20):
        drive.push('odom', t_ms, odometry(0.01 * t_ms))  # 10 m/s
        if t_ms % 100 == 0:
            drive.push('lidar', t_ms, POINT)  # always the same: seen from there, nothing moves
        drive.advance(t_ms)
    assert drive.status().sources['lidar'].agreement == (0.0, 0.0)


def test_clouds_are_given_back_also_where_their_motion_is_never_known():
    drive = drive_of(**ODOM, **{'voxels.sweeps': 2})
    for t_ms in range(0, 1000, 100):
        drive.push('lidar', t_ms, sweep(t_ms - 90, t_ms, (0.5, 0.5, 0.5), (1.5, 0.5, 0.5)))
        drive.advance(t_ms)
    drive.advance(2000)
    assert len(grids(drive)) == 10
    snapshots = drive.pipeline._timeline.tracks['lidar'].ring.column(0)
    assert sum(snapshot.payload is not None for snapshot in snapshots) == 2


def test_an_imu_never_heard_is_missing_and_not_to_blame_for_its_frame():
    drive = drive_of(
        **{k: v for k, v in TURNING.items() if k != 'imu.extrinsic'}, timeout_sec=0.05
    )
    drive.push('lidar', 100, POINT)
    drive.advance(200)
    assert drive.status().sources['lidar'].notes == {Reason.MOTION_MISSING: 1}
    assert drive.status().sources['imu'].notes == {}


# -- configuration


def test_the_schema_names_the_frame_of_the_grid():
    def frame(**given):
        return Schema.from_config(Config.from_mapping(given))._shape()['grid']['frame']

    assert frame() == 'frame_id of the trigger cloud'
    assert frame(base_frame='base_link') == 'base_link'
    assert frame(base_frame='base_link', output_frame='odom') == 'odom'


@pytest.mark.parametrize(
    ('given', 'sentence'),
    [
        ({**FIXED, 'deskew.fixed_frame': 'base_link'}, 'is base_frame itself'),
        ({**TURNING, 'imu.wait': 'newest'}, 'imu.wait must be until_t_ref'),
        ({**ODOM, 'odom.wait': 'newest'}, 'odom.wait must be until_t_ref'),
    ],
)
def test_motion_that_could_not_be_told_is_refused(given, sentence):
    with pytest.raises(ConfigError, match=sentence):
        Config.from_mapping(given)


def test_transforms_are_read_where_odometry_may_be_of_another_frame():
    assert reads_transforms(Config.from_mapping(ODOM))
    assert not reads_transforms(Config.from_mapping(TURNING))


# -- the same samples, the same bytes

BOTH = {
    **ODOM,
    'sources': ['lidar', 'imu', 'odom'],
    'imu.extrinsic': HERE,
    'deskew.imu': 'imu',
    'deskew.estimate_bias': False,
    'voxels.sweeps': 2,
    'voxels.channels': ['count', 'centroid', 'max_time_lag'],
}
streams = st.fixed_dictionaries(
    {
        'lidar': st.sets(st.integers(0, 60), min_size=1, max_size=6),
        'imu': st.sets(st.integers(0, 60), min_size=20, max_size=60),
        'odom': st.sets(st.integers(0, 60), min_size=10, max_size=40),
    }
)


def sample_of(source, t):
    """Some sample that differs from time to time."""
    if source == 'lidar':
        return sweep(10 * t - 25, 10 * t, (t % 8 + 0.5, 0.5, 0.5), (t % 5, t % 3, t % 4))
    return odometry(0.05 * t + 0.01 * (t % 3)) if source == 'odom' else gyro(z=0.1 * (t % 7))


@settings(max_examples=20, deadline=None)
@given(streams, st.randoms(use_true_random=False), st.sampled_from(['end', 'start']))
def test_a_complete_frame_is_a_pure_function_of_the_samples_it_names(times, random, to):
    parameters = {**BOTH, 'deskew.to': to}
    back_ms = 25 if to == 'start' else 0
    # Each source in its order; who comes when is open.
    queues = {source: sorted(times[source], reverse=True) for source in times}
    arrivals = []
    while left := [source for source, queue in queues.items() if queue]:
        source = random.choice(left)
        t = queues[source].pop()
        t_ms = 10 * t - (back_ms if source == 'lidar' else 0)
        arrivals.append((source, t_ms, sample_of(source, t)))
    drive = drive_of(**parameters)
    drive.deliver(arrivals)
    for frame in drive.frames:
        if frame.complete:
            drive_of(**parameters).assert_makes_again(frame, arrivals)


@settings(max_examples=20, deadline=None)
@given(streams, st.randoms(use_true_random=False))
def test_frames_made_when_everything_has_arrived_do_not_depend_on_the_order(times, random):
    arrivals = [(source, 10 * t, sample_of(source, t)) for source in times for t in times[source]]
    in_order, shuffled = drive_of(**BOTH), drive_of(**BOTH)
    in_order.deliver_at_once(sorted(arrivals, key=lambda arrival: arrival[1]))
    random.shuffle(arrivals)
    shuffled.deliver_at_once(arrivals)
    assert frame_bytes(in_order.frames) == frame_bytes(shuffled.frames)
    assert [f.complete for f in in_order.frames] == [f.complete for f in shuffled.frames]


def test_histories_too_short_for_many_sweeps_are_told_and_not_refused():
    given = {**ODOM, 'voxels.sweeps': 20, 'odom.history_sec': 5.0}
    (told,) = Config.from_mapping(given).notices(given)
    assert told.startswith('lidar.history_sec 2 may be too short for voxels.sweeps 20: ')
    assert 'need 4.1 s' in told
    enough = {**given, 'lidar.history_sec': 4.1}
    assert not Config.from_mapping(enough).notices(enough)
    single = {**ODOM, 'lidar.max_gap_sec': 5.0}
    assert not Config.from_mapping(single).notices(single)


def test_transforms_are_remembered_as_long_as_any_cloud():
    drive = drive_of(**FIXED, **{'lidar.history_sec': 20.0, 'voxels.sweeps': 2})
    for t_ms in range(0, 15_000, 100):
        tell(drive, t_ms, 0.0, at_ms=0)
    drive.push('lidar', 100, sweep(90, 100, (0.5, 0.5, 0.5)), at_ms=0)
    drive.push('lidar', 14_000, sweep(13_990, 14_000, (1.5, 0.5, 0.5)), at_ms=14_000)
    drive.advance(14_000)
    assert grids(drive)[-1].voxels.index.tolist() == [0, 1]


@pytest.mark.parametrize('first', ['tf', 'lidar'])
def test_a_robot_that_tf_hangs_under_its_sensor_stays_where_the_configuration_has_it(first):
    """As LiDAR odometry does: odom > lidar > base_link."""
    drive = drive_of(**{**FIXED, 'lidar.extrinsic': [1, 0, 0, 0, 0, 0]})
    for t_ms in range(0, 320, 20):
        if first == 'lidar' and t_ms == 0:
            drive.push('lidar', 0, POINT)
        tell(drive, t_ms, 0.001 * t_ms + 1.0, child='lidar')
        drive.pipeline.tell_transform(t_ms * MS, 'lidar', 'base_link', None, at(-1.0))
    drive.push('lidar', 300, sweep(200, 300, (0.55, 0.5, 0.5), (1.5, 0.5, 0.5)))
    drive.advance(310)
    frame = grids(drive)[-1]
    assert frame.complete
    assert frame.voxels.index.tolist() == [1, 2]  # 1.55 m, less 0.1 m, and 2.5 m


@pytest.mark.parametrize('told_by', ['clock', 'lidar'])
def test_a_transform_that_was_on_its_way_when_a_bag_looped_spoils_nothing(told_by):
    drive = drive_of(**FIXED)
    for t_ms in range(1000, 6000, 20):
        tell(drive, t_ms, 0.0)
        if t_ms % 100 == 0:
            drive.push('lidar', t_ms, POINT)
            drive.advance(t_ms)
    if told_by == 'clock':
        drive.pipeline.clock_jumped(1000 * MS, 6000 * MS)
    else:
        jump_back(drive, 900, 6000)
    tell(drive, 5990, 0.0, at_ms=6001)
    drive.frames.clear()
    for t_ms in range(1000, 2000, 20):
        tell(drive, t_ms - 7, 0.0, at_ms=t_ms + 5001)
        if t_ms % 100 == 0:
            drive.push('lidar', t_ms, POINT, at_ms=t_ms + 5001)
        drive.advance(t_ms + 5001)
    assert [frame.complete for frame in grids(drive)[-9:]] == [True] * 9


# -- against scipy, with everything tilted


def matrix(rng, reach=2.0):
    """Return some pose, 4 x 4."""
    found = np.eye(4)
    found[:3, :3] = Rotation.random(random_state=int(rng.integers(2**31))).as_matrix()
    found[:3, 3] = rng.uniform(-reach, reach, 3)
    return found


def seven(pose):
    """Return the x y z and qx qy qz qw of a 4 x 4 pose."""
    return [*pose[:3, 3].tolist(), *Rotation.from_matrix(pose[:3, :3]).as_quat().tolist()]


@pytest.mark.parametrize('to', ['end', 'start'])
@pytest.mark.parametrize('output', ['base_link', 'lidar', 'wheel', 'map'])
@pytest.mark.parametrize('seed', range(3))
def test_points_are_where_scipy_has_them_however_sensors_are_mounted(seed, output, to):
    rng = np.random.default_rng(seed)
    mounted = {name: matrix(rng) for name in ('lidar', 'imu', 'wheel')}
    start, velocity, rates = matrix(rng, 100.0), rng.uniform(-5, 5, 3), rng.uniform(-2, 2, 3)

    def robot_at(t_ms):
        moved = np.eye(4)
        moved[:3, :3] = Rotation.from_rotvec(rates * t_ms * 1e-3).as_matrix()
        moved = start @ moved
        moved[:3, 3] = start[:3, 3] + velocity * t_ms * 1e-3
        return moved

    spy = Spy()
    config = {
        **BOTH,
        'voxels.sweeps': 1,
        'output_frame': output,
        'lidar.extrinsic': seven(mounted['lidar']),
        'imu.extrinsic': seven(mounted['imu']),
        'deskew.to': to,
    }
    drive = Drive(Pipeline(Config.from_mapping(config), spy, None))
    wheel = seven(mounted['wheel'])
    drive.pipeline.tell_transform(
        0, 'base_link', 'wheel', None, Pose(np.array(wheel[3:]), np.array(wheel[:3]))
    )
    t_ref_ms = 200 if to == 'end' else 100
    there = seven(np.linalg.inv(robot_at(t_ref_ms)))
    drive.pipeline.tell_transform(  # the world, seen from the robot
        0, 'base_link', 'map', t_ref_ms * MS, Pose(np.array(there[3:]), np.array(there[:3]))
    )
    for t_ms in range(0, 300, 5):
        shown = mounted['imu'][:3, :3].T @ rates
        drive.push('imu', t_ms, gyro(*shown))
        values = odometry(0.0)
        pose = np.array(seven(robot_at(t_ms) @ mounted['wheel']))
        drive.pipeline.push(t_ms * MS, 'odom', t_ms * MS, replace(values, pose=pose), 'wheel')
    world = start @ np.append(rng.uniform(-9, 9, (51, 3)), np.ones((51, 1)), axis=1).T
    measured = [
        np.linalg.inv(robot_at(100 + 2 * k) @ mounted['lidar']) @ world[:, k] for k in range(51)
    ]
    drive.push('lidar', t_ref_ms, sweep(100, 200, *(p[:3] for p in measured)), at_ms=300)
    drive.advance(300)
    (frame,) = grids(drive)
    assert frame.complete
    (view,) = spy.clouds
    points = [column.copy() for column in view.xyz()]
    deskew(Workspace(), view, view.motion, points)
    of_output = {'base_link': np.eye(4), **mounted}
    seen = np.linalg.inv(np.eye(4) if output == 'map' else robot_at(t_ref_ms) @ of_output[output])
    true = (seen @ world)[:3]
    assert np.abs(np.stack(points) - true).max() < (0.002 if output != 'map' else 0.005)


class Spy(NumpyBackend):
    """Keeps the clouds of the grid."""

    clouds = ()

    def voxelize(self, clouds, spec):
        self.clouds = self.clouds or clouds
        return super().voxelize(clouds, spec)
