# Copyright 2026 the robocache_ros authors
# SPDX-License-Identifier: Apache-2.0
"""A moving robot whose transforms, clocks and point times lie: frames go on, and say why."""

from __future__ import annotations

import math
import random
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from small_robot import MS, make_pipeline

from robocache_ros.backends.numpy_backend import NumpyBackend
from robocache_ros.codec.cloud import decode_cloud
from robocache_ros.codec.stamp import stamp_ns
from robocache_ros.config import Config, ConfigError
from robocache_ros.motion.pose import Pose
from robocache_ros.pipeline import Pipeline
from robocache_ros.reasons import Reason
from robocache_ros.replay import replay
from robocache_ros.samples import FeatureFrame, VoxelFrame
from robocache_ros.sim import (
    CameraConfig,
    ImuConfig,
    JointsConfig,
    LidarConfig,
    OdometryConfig,
    Robot,
    RobotConfig,
)
from robocache_ros.sim.robot import START_NS

pytestmark = pytest.mark.filterwarnings('error')

TOPICS = {'lidar': '/lidar/points', 'imu': '/imu/data', 'odom': '/odom'}
NAN, INF = float('nan'), float('inf')
SECOND = 1_000_000_000
FRAMES = {
    'sources': ['lidar', 'imu', 'odom'],
    'base_frame': 'base_link',
    'lidar.extrinsic': [0, 0, 1.6, 0, 0, 0],
    'imu.extrinsic': [0, 0, 0, 0, 0, 0],
    'deskew.imu': 'imu',
    'deskew.odometry': 'odom',
    'voxels.voxel_size': 0.5,
    'voxels.sweeps': 2,
}
BY_TF = {
    **{k: v for k, v in FRAMES.items() if k not in ('deskew.odometry', 'lidar.extrinsic')},
    'sources': ['lidar', 'imu'],
    'deskew.fixed_frame': 'odom',
}
ROBOT = RobotConfig(
    semi_axes=(2.5, 2.5),
    loop_sec=math.pi,
    camera=CameraConfig(rate_hz=0),
    joints=JointsConfig(rate_hz=0),
    lidar=LidarConfig(rings=4, columns=100, prerender=0),
    imu=ImuConfig(rate_hz=200),
    odom=OdometryConfig(rate_hz=50),
)


def recording(seconds):
    """Messages of the robot, as (time of reception, source, message)."""
    return [(e.publish_ns, e.source, e.message) for e in Robot(ROBOT).events(seconds)]


@pytest.fixture(scope='module')
def drive():
    """Two seconds of it, which tests must not write to."""
    return recording(2.05)


def shifted(header, by_ns):
    """Return a header with another stamp."""
    sec, nanosec = divmod(stamp_ns(SimpleNamespace(stamp=header.stamp)) + by_ns, SECOND)
    stamp = SimpleNamespace(sec=sec, nanosec=nanosec)
    return SimpleNamespace(stamp=stamp, frame_id=header.frame_id)


def but(message, **fields):
    return SimpleNamespace(**{**vars(message), **fields})


def with_times(message, change):
    """Return a cloud whose field `time` is what `change` makes of it."""
    (field,) = [field for field in message.fields if field.name == 'time']
    rows = np.frombuffer(bytes(message.data), np.uint8).reshape(-1, message.point_step).copy()
    times = rows[:, field.offset : field.offset + 4].copy().view('<f4')[:, 0]
    with np.errstate(all='ignore'):
        rows[:, field.offset : field.offset + 4] = np.asarray(change(times), '<f4')[:, None].view(
            np.uint8
        )
    return but(message, data=rows.tobytes())


def run(parameters, messages):
    """Replay messages; return the frames and the accounts, which add up."""
    pipeline = Pipeline(Config.from_mapping(parameters), NumpyBackend(), None)
    named = [(t_ns, TOPICS.get(source, source), message) for t_ns, source, message in messages]
    frames = list(replay(pipeline, named))
    status = pipeline.status(named[-1][0])
    for name, account in status.sources.items():
        left = account.buffered + account.used + account.expired + sum(account.dropped.values())
        assert account.received == left, name
    for frame in frames:
        if isinstance(frame, FeatureFrame):
            assert np.isfinite(frame.values).all()
    return frames, status


def grids(frames):
    return [frame for frame in frames if isinstance(frame, VoxelFrame)]


def test_the_robot_itself_is_no_trouble(drive):
    frames, status = run(FRAMES, drive)
    assert len(grids(frames)) == 20
    assert [frame.complete for frame in grids(frames)[2:]] == [True] * 18
    assert status.sources['lidar'].notes.keys() <= {Reason.MOTION_GAP}


# -- extrinsics and transforms


@pytest.mark.parametrize('value', [NAN, INF, -INF, 1e300])
@pytest.mark.parametrize('source', ['lidar', 'imu'])
@pytest.mark.parametrize('at', range(7))
def test_an_extrinsic_that_is_no_pose_is_refused(value, source, at):
    pose = [0, 0, 0, 0, 0, 0, 1]
    pose[at] = value
    with pytest.raises(ConfigError, match=f'{source}.extrinsic'):
        Config.from_mapping({**FRAMES, f'{source}.extrinsic': pose})


def transform(parent, child, t_ns, x=0.0, turned=0.0):
    sec, nanosec = divmod(t_ns, SECOND)
    return SimpleNamespace(
        header=SimpleNamespace(stamp=SimpleNamespace(sec=sec, nanosec=nanosec), frame_id=parent),
        child_frame_id=child,
        transform=SimpleNamespace(
            translation=SimpleNamespace(x=x, y=0.0, z=0.0),
            rotation=SimpleNamespace(x=0.0, y=0.0, z=math.sin(turned / 2), w=math.cos(turned / 2)),
        ),
    )


def with_transforms(messages, lies=(), every_ms=20):
    """Put /tf and /tf_static among messages; `lies(t_ms)` are told after those of a time."""
    begin_ns = messages[0][0]
    fixed = [transform('base_link', 'lidar', 0)]
    told = [(begin_ns, '/tf_static', SimpleNamespace(transforms=fixed))]
    for t_ns in range(begin_ns, messages[-1][0], every_ms * MS):
        t_ms = (t_ns - begin_ns) // MS
        right = transform('odom', 'base_link', t_ns, 0.001 * t_ms, 0.002 * t_ms)
        wrong = lies(t_ns, t_ms) if lies else []
        told.append((t_ns, '/tf', SimpleNamespace(transforms=[right, *wrong])))
    return sorted([*messages, *told], key=lambda one: one[0])


def test_transforms_alone_tell_the_way(drive):
    frames, status = run(BY_TF, with_transforms(drive))
    assert sum(frame.complete for frame in grids(frames)) >= 17
    assert status.sources['lidar'].notes.keys() <= {Reason.MOTION_GAP, Reason.MOTION_LATE}


@pytest.mark.parametrize(
    'lie',
    [
        {'x': NAN},
        {'x': INF},
        {'x': 1e30},
        {'turned': NAN},
        {'parent': ''},
        {'child': ''},
        {'parent': 'base_link'},
        {'parent': 'lidar'},  # the robot on its own sensor: a loop
        {'parent': 'arm'},
    ],
    ids=str,
)
def test_transforms_that_lie_cost_no_frame(drive, lie):
    def lies(t_ns, t_ms):
        return [transform(**{'parent': 'odom', 'child': 'base_link', 't_ns': t_ns, **lie})]

    frames, _ = run(BY_TF, with_transforms(drive, lies))
    honest, _ = run(BY_TF, with_transforms(drive))
    assert [f.complete for f in grids(frames)] == [f.complete for f in grids(honest)]


def test_a_loop_that_closes_and_opens_while_running_costs_the_frames_of_its_time():
    pipeline = make_pipeline(
        None, sources=['lidar'], base_frame='base_link', deskew__fixed_frame='odom'
    )
    there = Pose(np.array([0.0, 0.0, 0.0, 1.0]), np.zeros(3))
    messages = [m for _, source, m in recording(1.55) if source == 'lidar']
    dropped = []
    for number, message in enumerate(messages[:12]):
        t_ns = stamp_ns(message.header)
        pipeline.tell_transform(t_ns, 'base_link', 'lidar', None, there)
        for late_ms in (0, 50, 100, 150):
            at_ns = t_ns + late_ms * MS
            pipeline.tell_transform(at_ns, 'odom', 'base_link', at_ns, there)
        if 4 <= number < 8:  # under the lidar, which is under the robot
            pipeline.tell_transform(at_ns, 'lidar', 'base_link', at_ns, there)
        pipeline.push(at_ns, 'lidar', at_ns, decode_cloud(message), 'lidar')
        frames = grids(pipeline.advance(at_ns))
        dropped.append(not frames)
    assert dropped == [False] * 4 + [True] * 4 + [False] * 4
    assert pipeline.status(0).sources['lidar'].notes[Reason.TRANSFORM_LOOP] == 4


@pytest.mark.parametrize('gap_ms', [300, 800])
def test_a_hole_in_the_transforms_costs_the_motion_of_its_time_and_nothing_else(drive, gap_ms):
    told = [
        (t_ns, source, message)
        for t_ns, source, message in with_transforms(drive)
        if source != '/tf' or not 600 * MS <= t_ns - START_NS < (600 + gap_ms) * MS
    ]
    frames, status = run(BY_TF, told)
    assert len(grids(frames)) == 20
    times_ms = [(f.t_ref_ns - START_NS) // MS for f in grids(frames) if not f.complete]
    # Half a second is bridged, if it has ended when the frame stops waiting.
    assert all(t < 300 or 500 <= t < 600 + gap_ms + 210 for t in times_ms)
    assert [t for t in times_ms if t >= 500]
    assert status.outputs['voxels'].dropped == {}


# -- odometry and gyroscopes


@pytest.mark.parametrize('far', [50.0, 1e6, 1e30, 8e37, -8e37])
def test_odometry_that_leaps_moves_no_point_that_far(drive, far):
    def lying(t_ns, source, message):
        if source != 'odom' or not 700 * MS < t_ns - START_NS < 1200 * MS:
            return message
        pose, at = message.pose.pose, message.pose.pose.position
        moved = SimpleNamespace(x=at.x + far, y=at.y, z=at.z)
        return but(message, pose=SimpleNamespace(pose=but(pose, position=moved)))

    frames, status = run(FRAMES, [(t, s, lying(t, s, m)) for t, s, m in drive])
    assert len(grids(frames)) == 20
    wrong = {(f.t_ref_ns - START_NS) // MS for f in grids(frames)[2:] if not f.complete}
    # It leaps before 700 ms, and back before 1200 ms: in one of two sweeps of these.
    assert wrong == {698, 798, 1198, 1298}
    honest, _ = run(FRAMES, drive)
    for frame, usual in zip(grids(frames), grids(honest), strict=True):
        # One of two sweeps may be left out, and the other one stays near the robot.
        assert frame.voxels.stats.used > 0.45 * usual.voxels.stats.used
    assert status.sources['lidar'].notes[Reason.MOTION_GAP] >= 4


@pytest.mark.parametrize('value', [NAN, INF, 1e30, 1e4])
def test_a_gyroscope_that_lies_costs_no_frame(drive, value):
    def lying(t_ns, source, message):
        if source != 'imu' or not 30 <= (t_ns // MS) % 100 < 40:
            return message
        rate = SimpleNamespace(x=value, y=0.0, z=0.0)
        return but(message, angular_velocity=rate)

    frames, status = run(FRAMES, [(t, s, lying(t, s, m)) for t, s, m in drive])
    assert len(grids(frames)) == 20
    assert [f.complete for f in grids(frames)[2:]] == [True] * 18


@pytest.mark.parametrize('source', ['imu', 'odom'])
@pytest.mark.parametrize(('begin_ms', 'end_ms'), [(0, 900), (900, 3000), (600, 1100)])
def test_motion_that_begins_late_stops_or_pauses_is_missed_for_that_time(
    drive, source, begin_ms, end_ms
):
    quiet = [
        one
        for one in drive
        if one[1] != source or not begin_ms <= (one[0] - START_NS) // MS < end_ms
    ]
    frames, status = run(FRAMES, quiet)
    assert len(grids(frames)) == 20
    for frame in grids(frames)[2:]:
        t_ms = (frame.t_ref_ns - START_NS) // MS
        whole = t_ms < begin_ms - 10 or t_ms - 210 > end_ms
        touched = begin_ms + 10 < t_ms < end_ms - 10
        assert frame.complete or not whole, t_ms
        assert not frame.complete or not touched, t_ms
    reasons = {Reason.MOTION_MISSING, Reason.MOTION_LATE, Reason.MOTION_GAP}
    assert set(status.sources['lidar'].notes) <= reasons


# -- times


def test_a_clock_that_jumps_in_mid_sweep_begins_a_new_epoch_with_its_own_motion(drive):
    """Half of a sweep is measured, then all clocks of the robot go back by eleven minutes."""
    jump_ns = 1050 * MS
    back_ns = 660 * SECOND

    def jumped(t_ns, message):
        if stamp_ns(message.header) - START_NS < jump_ns:
            return message
        return but(message, header=shifted(message.header, -back_ns))

    frames, status = run(FRAMES, [(t, s, jumped(t, m)) for t, s, m in drive])
    assert status.epoch == 1
    for frame in frames:
        low_ns = START_NS - 10 * MS if frame.epoch == 0 else START_NS - back_ns
        times = [t_ns for used in frame.used.values() for t_ns in used]
        assert all(low_ns <= t_ns <= low_ns + 3 * SECOND for t_ns in times)
    after = [f for f in grids(frames) if f.epoch == 1]
    assert len(after) >= 8
    assert all(f.complete for f in after[2:])


def test_a_sweep_across_a_jump_of_its_own_clock_is_moved_as_a_whole(drive):
    """The second half of its points is stamped by a clock that has been set."""
    lying = []
    for t_ns, source, message in drive:
        if source == 'lidar' and 1000 <= (t_ns - START_NS) // MS < 1100:
            message = with_times(message, lambda t: np.where(t > 0.05, t - 660.0, t))
        lying.append((t_ns, source, message))
    frames, status = run(FRAMES, lying)
    assert len(grids(frames)) == 20
    assert status.sources['lidar'].notes[Reason.POINT_TIME_DOUBT] == 1


@pytest.mark.parametrize(
    'lie',
    [
        lambda t: t * 1000,
        lambda t: t * 1e-3,
        lambda t: t + 0.9,
        lambda t: t - 0.9,
        lambda t: t * NAN,
        lambda t: t * INF,
        lambda t: -t * 1e30,
        lambda t: t + 1e9,
    ],
    ids=['ms', 'tiny', 'ahead', 'behind', 'nan', 'inf', 'absurd', 'epoch'],
)
def test_times_of_points_that_lie_in_mid_stream_cost_their_cloud_its_motion_only(drive, lie):
    lying = []
    for t_ns, source, message in drive:
        if source == 'lidar' and 1000 <= (t_ns - START_NS) // MS < 1100:
            message = with_times(message, lie)
        lying.append((t_ns, source, message))
    frames, status = run(FRAMES, lying)
    assert len(grids(frames)) == 20
    assert status.outputs['voxels'].dropped == {}


@settings(max_examples=15, deadline=None)
@given(st.integers(0, 2**32))
def test_whatever_is_lost_late_or_doubled_frames_go_on(seed):
    rng = random.Random(seed)
    messages = []
    for t_ns, source, message in SHORT:
        for _ in range(rng.choice((0, 1, 1, 1, 1, 1, 2))):
            messages.append((t_ns + rng.choice((0, 0, 0, 30, 250)) * MS, source, message))
    messages.sort(key=lambda one: one[0])
    _, status = run(FRAMES, messages)
    assert status.outputs['voxels'].emitted > 0 or status.sources['lidar'].received < 3


SHORT = recording(0.85)
