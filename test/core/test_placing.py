# Copyright 2026 the robocache_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Clouds lie where their points were at the time of the frame: against a robot that turns fast."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
from small_robot import MS, Drive, cloud, frame_bytes, imu, make_pipeline

from robocache_ros.backends.numpy_backend import NumpyBackend
from robocache_ros.backends.numpy_deskew import deskew
from robocache_ros.backends.workspace import Workspace
from robocache_ros.codec.point_time import PointTimes
from robocache_ros.config import Config
from robocache_ros.motion.pose import Pose
from robocache_ros.pipeline import Pipeline
from robocache_ros.reasons import Reason
from robocache_ros.replay import replay
from robocache_ros.samples import FeatureFrame, Vector, VoxelFrame
from robocache_ros.sim import (
    CameraConfig,
    ImuConfig,
    JointsConfig,
    LidarConfig,
    RearLidarConfig,
    Robot,
    RobotConfig,
)
from robocache_ros.sim.robot import START_NS

TOPICS = {
    'lidar': '/lidar/points',
    'lidar_rear': '/lidar_rear/points',
    'imu': '/imu/data',
    'odom': '/odom',
}
SMALL = {'rings': 8, 'columns': 300, 'prerender': 0}
# 2 rad/s on a circle of 2.5 m: 5 m/s.
FAST = {'semi_axes': (2.5, 2.5), 'loop_sec': math.pi}
FRAMES = {
    'sources': ['lidar', 'imu', 'odom'],
    'base_frame': 'base_link',
    'lidar.extrinsic': [0, 0, 1.6, 0, 0, 0],
    'imu.extrinsic': [0, 0, 0, 0, 0, 0],
}
BOTH = {**FRAMES, 'deskew.imu': 'imu', 'deskew.odometry': 'odom'}


class Spy(NumpyBackend):
    """Keeps what it was asked to voxelize."""

    def voxelize(self, clouds, spec):
        self.clouds = clouds
        return super().voxelize(clouds, spec)


def robot(**config):
    config = {'lidar': LidarConfig(**SMALL), **FAST, **config}
    return Robot(
        RobotConfig(camera=CameraConfig(rate_hz=0), joints=JointsConfig(rate_hz=0), **config)
    )


def frames_of(machine, parameters, backend, seconds=0.55):
    """Yield the frames of a drive."""
    pipeline = Pipeline(Config.from_mapping(parameters), backend, None)
    messages = ((e.publish_ns, TOPICS[e.source], e.message) for e in machine.events(seconds))
    yield from replay(pipeline, messages)


def grids(machine, parameters):
    """Yield (frame, its clouds) of a drive."""
    spy = Spy()
    for frame in frames_of(machine, parameters, spy):
        if isinstance(frame, VoxelFrame):
            yield frame, spy.clouds


def moved(view):
    """Points [N, 3] of a cloud where it was placed."""
    points = [column.copy() for column in view.xyz()]
    if view.motion is not None:
        deskew(Workspace(), view, view.motion, points)
    elif view.transform is not None:
        rotation, translation = view.transform
        points = rotation @ np.stack(points) + translation[:, None]
    return np.stack(list(points), axis=-1)


def errors(machine, frame, view, sweep, source='lidar'):
    """Metres between the points of a cloud and where they truly were."""
    true = machine.true_points(source, sweep * 100 * MS, frame.t_ref_ns - START_NS)
    return np.linalg.norm(moved(view) - true, axis=1)


@pytest.mark.parametrize('to', ['end', 'start', 'header'])
@pytest.mark.parametrize(
    ('sources', 'worst'), [({'deskew.odometry': 'odom'}, 0.001), (BOTH, 0.003)], ids=str
)
def test_points_are_where_they_were_at_2_rad_and_5_m_per_second(to, sources, worst):
    machine = robot()
    (*_, (frame, (view,))) = grids(machine, {**FRAMES, **sources, 'deskew.to': to})
    assert frame.complete
    assert frame.frame_id == 'base_link'
    sweep = 4 if to == 'end' else (frame.t_ref_ns - START_NS) // (100 * MS)
    last_point = 100 * MS * 299 / 300
    wanted = sweep * 100 * MS + (last_point if to == 'end' else 0)
    assert frame.t_ref_ns - START_NS == pytest.approx(wanted, abs=1000)  # float32 times
    assert errors(machine, frame, view, sweep).max() < worst


def test_without_deskew_they_are_metres_away():
    machine = robot()
    *_, (frame, (view,)) = grids(machine, FRAMES)
    sweep = (frame.t_ref_ns - START_NS) // (100 * MS)
    assert errors(machine, frame, view, sweep).max() > 1.0


def test_a_gyroscope_alone_undoes_the_turning_and_leaves_the_way():
    machine = robot()
    *_, (frame, (view,)) = grids(machine, {**FRAMES, 'deskew.imu': 'imu'})
    assert 0.4 < errors(machine, frame, view, 4).max() < 0.51  # 5 m/s for 0.1 s


def test_older_sweeps_go_where_they_are_seen_from_the_newest():
    machine = robot()
    *_, (frame, views) = grids(machine, {**BOTH, 'voxels.sweeps': 3})
    assert len(views) == 3
    for view, sweep in zip(views, (4, 3, 2), strict=True):
        assert errors(machine, frame, view, sweep).max() < 0.005
    assert len(frame.used['lidar']) == 3


def test_clouds_of_two_lidars_meet_at_one_time_in_one_frame():
    rear = RearLidarConfig(
        rate_hz=10, phase_sec=0.03, position=(-0.5, 0.1, 1.0), rpy=(0.1, -0.2, 3.0), **SMALL
    )
    machine = robot(lidar_rear=rear)
    parameters = {
        **BOTH,
        'sources': ['lidar', 'lidar_rear', 'imu', 'odom'],
        'lidar_rear.type': 'pointcloud2',
        'lidar_rear.extrinsic': [-0.5, 0.1, 1.0, 0.1, -0.2, 3.0],
    }
    *_, (frame, (front, back)) = grids(machine, parameters)
    assert errors(machine, frame, front, 4).max() < 0.003
    # The newest of the rear one began at 0.33 s: its sweep number 3, 30 ms late.
    true = machine.true_points('lidar_rear', 330 * MS, frame.t_ref_ns - START_NS)
    assert np.linalg.norm(moved(back) - true, axis=1).max() < 0.005


def test_the_bias_of_a_gyroscope_is_subtracted():
    machine = robot(imu=ImuConfig(gyro_bias=(0.0, 0.0, 0.4), gyro_noise=0.0))
    wrong, right = {}, {'imu.gyro_bias': [0, 0, 0.4]}
    far, near = (
        errors(machine, frame, view, 4).max()
        for *_, (frame, (view,)) in (grids(machine, {**BOTH, **more}) for more in (wrong, right))
    )
    assert near < 0.002
    assert far > 0.1


def test_a_bias_is_learnt_while_the_robot_stands_still():
    machine = robot(semi_axes=(0.0, 0.0), turns=0, imu=ImuConfig(gyro_bias=(0.01, -0.02, 0.03)))
    pipeline = Pipeline(Config.from_mapping(BOTH), Spy(), None)
    messages = ((e.publish_ns, TOPICS[e.source], e.message) for e in machine.events(1.5))
    list(replay(pipeline, messages))
    assert pipeline.gyro_bias == pytest.approx((0.01, -0.02, 0.03), abs=0.001)


def test_a_cloud_waits_until_its_motion_is_known():
    drive = Drive(make_pipeline(**moving_parameters()))
    drive.push('lidar', 100, cloud((0.5, 0.5, 0.5)))
    drive.push('odom', 90, odometry(9.0))
    assert drive.advance(101) == []
    drive.push('odom', 100, odometry(10.0), at_ms=102)
    assert drive.advance(102) == [('voxels', 100), ('features', 100)]


@pytest.mark.parametrize(
    ('times', 'reason'),
    [
        ([], Reason.MOTION_MISSING),
        ([90], Reason.MOTION_LATE),
        ([101], Reason.MOTION_GAP),
        ([-200, 110], Reason.MOTION_GAP),
    ],
    ids=str,
)
def test_where_the_motion_is_not_known_a_cloud_stays_as_it_came_and_says_why(times, reason):
    drive = Drive(make_pipeline(**moving_parameters()))
    for t_ms in times:
        drive.push('odom', t_ms, odometry(t_ms / 10), at_ms=100)
    drive.push('lidar', 100, cloud((0.5, 0.5, 0.5)))
    drive.advance(100)
    drive.advance(300)
    frame = drive.frames[0]
    assert isinstance(frame, VoxelFrame)
    assert frame.voxels.index.tolist() == [0]
    assert drive.status().sources['lidar'].notes == {reason: 1}


def test_an_older_sweep_is_left_out_where_nothing_tells_the_way():
    drive = Drive(make_pipeline(**moving_parameters(), voxels__sweeps=2))
    drive.push('lidar', 0, cloud((3.5, 3.5, 0.5)))
    drive.push('lidar', 100, cloud((0.5, 0.5, 0.5)))
    drive.push('odom', 95, odometry(0.0), at_ms=100)
    drive.push('odom', 105, odometry(0.0), at_ms=101)
    drive.advance(400)
    newest = [frame for frame in drive.frames if isinstance(frame, VoxelFrame)][-1]
    assert newest.voxels.index.tolist() == [0]
    assert drive.status().sources['lidar'].notes[Reason.MOTION_GAP] >= 1


def test_channels_may_ask_how_long_ago_a_point_was_seen():
    channels = ['count', 'max_time_lag', 'sum_recency']
    more = {'voxels.sweeps': 2, 'voxels.channels': channels, 'voxels.decay_sec': 0.1}
    drive = Drive(make_pipeline(**moving_parameters(), **more))
    for t_ms in (0, 50, 100):
        drive.push('odom', t_ms, odometry(0.0))
    drive.push('lidar', 0, cloud((3.5, 0.5, 0.5)))
    drive.push('lidar', 100, cloud((0.5, 0.5, 0.5)))
    drive.advance(400)
    newest = [frame for frame in drive.frames if isinstance(frame, VoxelFrame)][-1]
    columns = newest.voxels.columns
    assert newest.voxels.index.tolist() == [0, 3]
    assert columns['max_time_lag'].tolist() == [0.0, np.float32(0.1)]
    assert columns['sum_recency'].tolist() == [1.0, 0.5]


def test_frames_of_tf_lead_clouds_and_their_features_to_the_output():
    drive = Drive(make_pipeline(sources=['lidar'], base_frame='base_link'))
    drive.pipeline.tell_transform(0, 'base_link', 'mast', None, at(1.0, 0.0))
    drive.pipeline.tell_transform(0, 'mast', 'lidar', None, at(0.0, 2.0))
    drive.push('lidar', 100, cloud((0.5, 0.5, 0.5)))
    drive.advance(100)
    grid, features = drive.frames
    assert grid.voxels.index.tolist() == [1 + 2 * 8]
    assert isinstance(features, FeatureFrame)
    centroid = features.values[-1, 2:5]
    assert centroid.tolist() == [1.5, 2.5, 0.5]


def test_a_transform_that_is_late_is_waited_for_as_long_as_tf_is_alive():
    drive = Drive(make_pipeline(sources=['lidar'], base_frame='base_link'))
    drive.pipeline.tell_transform(90 * MS, 'base_link', 'lidar', 90 * MS, at(1.0, 0.0))
    drive.push('lidar', 100, cloud((0.5, 0.5, 0.5)))
    assert ('voxels', 100) not in drive.advance(101)
    drive.pipeline.tell_transform(110 * MS, 'base_link', 'lidar', 110 * MS, at(2.0, 0.0))
    assert ('voxels', 100) in drive.advance(111)
    (grid,) = [frame for frame in drive.frames if isinstance(frame, VoxelFrame)]
    assert grid.voxels.index.tolist() == [2]  # 0.5 + 1.5: half way


def test_the_features_of_a_cloud_wait_for_its_transform_as_the_grid_does():
    drive = Drive(make_pipeline(sources=['lidar'], base_frame='base_link'))
    drive.pipeline.tell_transform(90 * MS, 'base_link', 'lidar', 90 * MS, at(1.0, 0.0))
    drive.push('lidar', 100, cloud((0.5, 0.5, 0.5)))
    assert drive.advance(101) == []
    drive.pipeline.tell_transform(110 * MS, 'base_link', 'lidar', 110 * MS, at(2.0, 0.0))
    assert drive.advance(111) == [('voxels', 100), ('features', 100)]
    assert drive.frames[-1].values[-1, 2:5].tolist() == [2.5, 0.5, 0.5]  # of the cell at 2.0


def test_features_of_a_cloud_of_the_time_of_its_first_point_wait_for_the_motion_to_its_last():
    drive = Drive(make_pipeline(**moving_parameters()))
    drive.push('odom', 90, odometry(0.0))
    drive.push('odom', 110, odometry(0.2))
    points = cloud((0.5, 0.5, 0.5), (4.5, 0.5, 0.5))  # intensities 0 and 1
    times = PointTimes('intensity', 80.0 * MS, 0.0, 100 * MS, 100 * MS, 180 * MS)
    drive.push('lidar', 100, replace(points, times=times))
    assert drive.advance(111) == []
    drive.push('odom', 190, odometry(1.0))
    assert sorted(drive.advance(191)) == [('features', 100), ('voxels', 100)]
    features = next(frame for frame in drive.frames if isinstance(frame, FeatureFrame))
    # 10 m/s: the last point was 0.8 m further ahead, at 5.3 m; as a feature in the cell at 5.5 m.
    assert features.values[-1, 2] == (0.5 + 5.5) / 2


def test_what_is_known_of_frames_is_explained_from_source_to_output_or_to_the_robot():
    pipeline = make_pipeline(
        sources=['lidar', 'imu'],
        base_frame='base_link',
        output_frame='map',
        lidar__extrinsic=[1, 0, 0, 0, 0, 0],
        deskew__imu='imu',
        deskew__fixed_frame='odom',
    )
    drive = Drive(pipeline)
    drive.push('lidar', 100, cloud((0.5, 0.5, 0.5)))
    drive.pipeline.push(100 * MS, 'imu', 100 * MS, imu(0.0), 'imu_link')
    pipeline.tell_transform(0, 'base_link', 'imu_link', None, at(0.0, 1.0))
    pipeline.tell_transform(0, 'odom', 'base_link', 60 * MS, at(0.0, 1.0))
    assert pipeline.explain_transform('imu') == "'imu_link' > 'base_link': all is known"
    assert pipeline.explain_transform('lidar').startswith("nothing is known of the frame 'map'; ")
    assert pipeline.explain_motion('lidar') == (
        "'base_link' > 'odom': the newest pose of 'base_link' in 'odom' is from 40.0 ms before "
        'the time needed'
    )


def test_a_transform_that_never_comes_costs_the_timeout_and_says_late():
    drive = Drive(make_pipeline(sources=['lidar'], base_frame='base_link'))
    drive.pipeline.tell_transform(90 * MS, 'base_link', 'lidar', 90 * MS, at(1.0, 0.0))
    drive.push('lidar', 100, cloud((0.5, 0.5, 0.5)))
    drive.advance(199)
    assert drive.status().outputs['voxels'].dropped == {}
    drive.advance(201)
    assert drive.status().outputs['voxels'].dropped == {Reason.FRAME_NO_CLOUD: 1}
    assert drive.status().sources['lidar'].notes == {Reason.TRANSFORM_LATE: 1}


def test_what_the_configuration_tells_wins_over_tf():
    pipeline = make_pipeline(
        sources=['lidar'], base_frame='base_link', lidar__extrinsic=[1, 0, 0, 0, 0, 0]
    )
    drive = Drive(pipeline)
    drive.pipeline.tell_transform(0, 'base_link', 'lidar', None, at(5.0, 0.0))
    drive.push('lidar', 100, cloud((0.5, 0.5, 0.5)))
    drive.advance(100)
    assert drive.frames[0].voxels.index.tolist() == [1]


def test_the_frame_of_a_sensor_may_be_the_output():
    more = {'lidar.extrinsic': [1, 0, 0, 0, 0, 0], 'rear.extrinsic': [3, 0, 0, 0, 0, 0]}
    rear = {'rear.type': 'pointcloud2', 'rear.occupancy_shape': [1, 1, 1]}
    pipeline = make_pipeline(
        sources=['lidar', 'rear'], base_frame='base_link', output_frame='lidar', **more, **rear
    )
    drive = Drive(pipeline)
    drive.push('rear', 99, cloud((0.5, 0.5, 0.5), frame_id='rear'))
    drive.push('lidar', 100, cloud((0.5, 0.5, 0.5)))
    drive.advance(100)
    assert drive.frames[0].frame_id == 'lidar'
    assert drive.frames[0].voxels.index.tolist() == [0, 2]


def moving_parameters():
    return {
        'sources': ['lidar', 'odom'],
        'base_frame': 'base_link',
        'lidar__extrinsic': [0, 0, 0, 0, 0, 0],
        'deskew__odometry': 'odom',
    }


def odometry(x):
    """Sample of a robot that looks along x, x metres from the origin."""
    pose = np.array([x, 0, 0, 0, 0, 0, 1], float)
    values = np.zeros(13, np.float32)
    values[6] = 1
    return Vector(values, np.ones(4, bool), pose=pose)


def at(x, y):
    return Pose(np.array([0.0, 0.0, 0.0, 1.0]), np.array([x, y, 0.0]))


@pytest.mark.parametrize('mounted', [0.0, math.pi], ids=['right', 'upside down'])
def test_the_agreement_of_sweeps_tells_whether_deskew_is_right(mounted):
    imu_upside_down = {'imu.extrinsic': [0, 0, 0, mounted, 0, 0]}
    pipeline = Pipeline(Config.from_mapping({**BOTH, **imu_upside_down}), NumpyBackend(), None)
    messages = ((e.publish_ns, TOPICS[e.source], e.message) for e in robot().events(0.5))
    list(replay(pipeline, messages))
    deskewed, unturned = pipeline.status(0).sources['lidar'].agreement
    assert 0 < min(deskewed, unturned) < max(deskewed, unturned) < 1
    assert (deskewed > unturned) == (mounted == 0.0)
    assert (deskewed < 0.8 * unturned) == (mounted != 0.0)


def test_the_whole_chain_gives_the_same_bytes_on_every_backend(backend):
    rear = RearLidarConfig(rate_hz=10, phase_sec=0.03, rpy=(0.1, -0.2, 3.0), **SMALL)
    parameters = {
        **BOTH,
        'sources': ['lidar', 'lidar_rear', 'imu', 'odom'],
        'lidar_rear.type': 'pointcloud2',
        'lidar_rear.extrinsic': [-0.5, 0.1, 1.0, 0.1, -0.2, 3.0],
        'voxels.sweeps': 2,
        'voxels.max_points_per_voxel': 3,
        'voxels.channels': ['count', 'centroid', 'mean_intensity', 'max_time_lag', 'sum_recency'],
    }
    machine = robot(lidar_rear=rear)
    found = [list(frames_of(machine, parameters, one)) for one in (NumpyBackend(), backend)]
    assert len(found[0]) > 5
    assert frame_bytes(found[0]) == frame_bytes(found[1])
    stats = [frame.voxels.stats for frame in found[1] if isinstance(frame, VoxelFrame)]
    assert stats[-1].over_cap > 0
