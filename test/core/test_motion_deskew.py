# Copyright 2026 the robocache_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Segments and deskew: points of a sweep are where they were, by the truth of the simulator."""

from __future__ import annotations

import math

import numpy as np
import pytest
from motion_truth import body_at, moved, pose, random_poses
from sim_world import off_surface

from robocache_ros.codec.cloud import Motion
from robocache_ros.codec.point_time import PointTimes
from robocache_ros.motion.deskew import motion_of
from robocache_ros.motion.ego import EgoMotion
from robocache_ros.motion.gyro import integrate
from robocache_ros.motion.pose import Pose, compose, inverse, matrices, rotate
from robocache_ros.motion.segments import fit, knots
from robocache_ros.motion.trajectory import Trajectory
from robocache_ros.sim import LidarConfig, Path, World
from robocache_ros.sim.lidar import Lidar

pytestmark = pytest.mark.filterwarnings('error')

HALF = 2**21
FAST = Path((2.5, 2.5), loop_sec=math.pi)  # a circle at 5 m/s and 2 rad/s
BEGIN_NS = 700_000_000
SWEEP_NS = 100_000_000
EPOCH_NS = 1_700_000_000 * 10**9


@pytest.mark.parametrize(
    ('first', 'last', 'segments'),
    [
        (0, 0, 1),
        (0, 1, 1),
        (0, 2**22 - 1, 1),
        (0, 2**22, 2),
        (EPOCH_NS, EPOCH_NS + SWEEP_NS, 24),
        (-5, 2 * 2**22 - 6, 2),
    ],
)
def test_knots_are_begin_middle_and_end_of_segments_from_the_first_to_the_last_point(
    first, last, segments
):
    begin, times = knots(first, last)
    assert begin == first
    assert times.dtype == np.int64
    assert len(times) == 2 * segments + 1
    assert times[:-2].tolist() == [first + k * HALF for k in range(2 * segments - 1)]
    assert times[-1] == last
    assert (last - begin) >> 22 == segments - 1  # the last point is in the last segment
    assert times[-3] <= times[-2] <= last
    assert abs((times[-3] + last) / 2 - times[-2]) <= 0.5


def test_a_sweep_that_ends_before_it_begins_is_refused():
    with pytest.raises(ValueError, match='before the first'):
        knots(10, 9)


@pytest.mark.parametrize('last', [3 * 2**22 - 1, 2 * 2**22 + 1000, 2 * 2**22 + 2])
def test_segments_meet_the_poses_at_begin_middle_and_end(last):
    poses, (_, times) = random_poses(7, 1), knots(0, last)
    found = fit(poses, times).astype(np.float64)
    assert found.shape == (3, 33)
    assert fit(poses, times).dtype == np.float32
    m0, m1, m2 = (found[:, k : k + 9].reshape(3, 3, 3) for k in (0, 9, 18))
    exact = matrices(poses.rotation)
    for knot, at in enumerate(times.tolist()):
        s = min(knot // 2, 2)
        w = (at - s * 2**22) / 2**22
        got = m0[s] + w * m1[s] + w * w * m2[s]
        np.testing.assert_allclose(got, exact[knot], rtol=0, atol=2e-6)
        if knot % 2 == 0:
            position = found[s, 27:30] + w * found[s, 30:33]
            np.testing.assert_allclose(position, poses.position[knot], rtol=0, atol=3e-6)


def test_a_segment_at_rest_is_its_pose():
    # The numbers by hand: a quarter turn to the left, 1 m ahead, 2 m left, 3 m up.
    left = [0, 0, math.sqrt(0.5), math.sqrt(0.5)]
    still = Pose(np.array([left] * 3), np.array([[1, 2, 3.0]] * 3))
    expected = np.zeros((1, 33))
    expected[0, :9] = [0, -1, 0, 1, 0, 0, 0, 0, 1]
    expected[0, 27:30] = [1, 2, 3]
    for last in (0, 1, 1000, 2**22 - 1):
        found = fit(still, knots(0, last)[1])
        np.testing.assert_allclose(found, expected, rtol=0, atol=1e-15)


def test_a_segment_that_moves_evenly_moves_on_evenly():
    # 1 mm until 1/8 of the segment is 8 mm for a whole one.
    poses = Pose(np.array([[0, 0, 0, 1.0]] * 3), np.array([[0, 0, 0], [5e-4, 0, 0], [1e-3, 0, 0]]))
    found = fit(poses, np.array([0, 2**18, 2**19]))
    assert found[0, 27:33].tolist() == pytest.approx([0, 0, 0, 8e-3, 0, 0])


def sphere(n, radius=100.0, seed=2):
    """Points all around in the world, float64 [3, n], and when they are measured, in order."""
    rng = np.random.default_rng(seed)
    way = rng.standard_normal((3, n))
    return radius * way / np.sqrt((way**2).sum(axis=0)), np.sort(rng.integers(0, SWEEP_NS, n))


def seen_from(poses, world):
    """What sensors at `poses` [n] see of points float64 [3, n], as a message holds it."""
    back = inverse(poses)
    return (rotate(back.rotation, world.T) + back.position).T.astype(np.float32)


def farthest(found, exact):
    return np.sqrt(((found.astype(np.float64) - exact) ** 2).sum(axis=0)).max()


def in_frame(path, at_ns, mounted=(0.0, 0.0, 0.0)):
    """Poses of the sensor at times in the body at `at_ns`."""
    start = inverse(body_at(path, at_ns))
    return lambda times: compose(start, body_at(path, times, mounted))


def relative_times(first=0, last=SWEEP_NS - 1, begin=BEGIN_NS):
    return PointTimes('t', 1.0, 0.0, begin, begin + first, begin + last)


def test_fast_motion_is_undone_to_a_tenth_of_a_millimetre_at_a_hundred_metres():
    mounted = (0.5, 0.2, 1.6)
    world, since = sphere(2000)
    points = seen_from(body_at(FAST, BEGIN_NS + since, mounted), world)
    end_ns = BEGIN_NS + SWEEP_NS - 1
    motion = motion_of(relative_times(), in_frame(FAST, end_ns, mounted))
    end = inverse(body_at(FAST, end_ns))
    exact = (rotate(end.rotation, world.T) + end.position).T
    assert farthest(moved(motion, since, points), exact) < 1e-4
    # Taken as a whole, with the pose at the end, the first points are metres off.
    whole = in_frame(FAST, end_ns, mounted)(np.array([end_ns]))
    as_one = (rotate(whole.rotation, points.T.astype(float)) + whole.position).T
    assert farthest(as_one, exact) > 10.0  # 0.1 s at 2 rad/s is 20 m at 100 m


@pytest.mark.parametrize(('rate', 'most'), [(3.0, 5e-5), (10.0, 2e-4)])
def test_segments_are_short_enough_for_fast_turns(rate, most):
    # The fit alone, 3e-6 m and 1e-4 m: float32 adds 1e-5 m at this distance.
    spinning = Path((1e-3, 1e-3), loop_sec=2 * math.pi / rate)
    world, since = sphere(2000)
    points = seen_from(body_at(spinning, BEGIN_NS + since), world)
    motion = motion_of(relative_times(), lambda times: body_at(spinning, times))
    assert farthest(moved(motion, since, points), world) < most


def test_a_simulated_sweep_lies_on_its_world_again():
    config, world = LidarConfig(rings=8, columns=360), World()
    sweep = Lidar(config).sweep(world, FAST, BEGIN_NS * 1e-9)
    xyz = np.stack([sweep.points[name] for name in 'xyz'])
    since = np.rint(sweep.points['time'].astype(np.float64) * 1e9).astype(np.int64)
    times = PointTimes('time', 1e9, 0.0, BEGIN_NS, BEGIN_NS + since.min(), BEGIN_NS + since.max())
    motion = motion_of(times, lambda at: body_at(FAST, at, config.position))
    after = off_surface(world, moved(motion, sweep.points['time'], xyz).astype(float))
    whole = body_at(FAST, np.array([times.last_ns]), config.position)
    before = off_surface(world, (rotate(whole.rotation, xyz.T.astype(float)) + whole.position).T)
    assert after.max() < 1e-3
    assert before.max() > 1.0


def test_what_a_gyro_and_odometry_measured_is_enough():
    # 400 Hz and 50 Hz. Odometry is the lesser one: 20 ms of a circle are no straight line.
    mounted = pose([0.5, 0.2, 1.6])
    gyro_ns, odometry_ns = np.arange(0, 10**9, 2_500_000), np.arange(0, 10**9, 20_000_000)
    rate = FAST.yaw_rate(gyro_ns * 1e-9)
    ego = EgoMotion(
        integrate(gyro_ns, np.stack([0 * rate, 0 * rate, rate], axis=1), 10**8),
        Trajectory(odometry_ns, body_at(FAST, odometry_ns), 10**8),
    )
    times = relative_times()
    assert ego.trouble(times.first_ns, times.last_ns) is None
    motion = motion_of(times, lambda at: compose(ego.relative(times.last_ns, at), mounted))
    world, since = sphere(1000)
    points = seen_from(body_at(FAST, BEGIN_NS + since, tuple(mounted.position)), world)
    end = inverse(body_at(FAST, times.last_ns))
    exact = (rotate(end.rotation, world.T) + end.position).T
    assert farthest(moved(motion, since, points), exact) < 1e-2


@pytest.mark.parametrize(
    ('scale', 'zero', 'zero_ns', 'dtype'),
    [
        (1.0, 0.0, BEGIN_NS, np.uint32),  # ns since the first
        (1e9, 0.0, BEGIN_NS, np.float32),  # s since the first
        (1e9, 0.0, BEGIN_NS + SWEEP_NS - 1, np.float32),  # s before the last
        (1e3, 0.0, BEGIN_NS, np.float64),  # us
        (1e9, 1_700_000_000.0, BEGIN_NS, np.float64),  # epoch s: 0.24 us is all they tell
        (1.0, float(EPOCH_NS), BEGIN_NS, np.float64),  # epoch ns
    ],
)
def test_values_of_every_unit_and_zero_are_read_right(scale, zero, zero_ns, dtype):
    world, since = sphere(500)
    values = (zero + (BEGIN_NS + since - zero_ns) / scale).astype(dtype)
    first, last = BEGIN_NS, BEGIN_NS + SWEEP_NS - 1
    motion = motion_of(
        PointTimes('t', scale, zero, zero_ns, first, last), lambda at: body_at(FAST, at)
    )
    points = seen_from(body_at(FAST, BEGIN_NS + since), world)
    assert farthest(moved(motion, values, points), world) < 3e-4


def test_a_motion_names_the_field_and_begins_with_the_first_point():
    motion = motion_of(
        PointTimes('t', 1000.0, 50.0, 2_000_000, 5_000_000, 6_000_000),
        lambda at: body_at(FAST, at),
    )
    assert isinstance(motion, Motion)
    assert (motion.field, motion.scale, motion.segments.shape) == ('t', 1000.0, (1, 33))
    assert motion.base == 50 + 3000
    motion.check(['t'])


@pytest.mark.parametrize('last', [70_000_000, 2 * 2**22, 2 * 2**22 + 3, 2 * 2**22 - 1, 900_000, 0])
def test_nothing_is_asked_for_before_the_first_or_after_the_last_point(last):
    # A motion that is only known during the sweep: what is held outside of it would bend the
    # first or the last segment, by decimetres at this distance.
    times = relative_times(0, last)
    known = np.unique(np.append(np.arange(BEGIN_NS, times.last_ns, 500_000), times.last_ns))
    ego = EgoMotion(None, Trajectory(known, body_at(FAST, known), 10**8))
    motion = motion_of(times, lambda at: ego.relative(times.last_ns, at))
    world, since = sphere(500)
    since = np.sort(np.append(since * last // SWEEP_NS, [0, last]))
    world = np.append(world, world[:, :2], axis=1)
    points = seen_from(body_at(FAST, BEGIN_NS + since), world)
    end = inverse(body_at(FAST, times.last_ns))
    exact = (rotate(end.rotation, world.T) + end.position).T
    assert farthest(moved(motion, since, points), exact) < 1e-4


def test_a_flash_of_one_time_moves_as_a_whole():
    times = PointTimes('t', 1.0, 0.0, 0, BEGIN_NS, BEGIN_NS)
    motion = motion_of(times, lambda at: body_at(FAST, at))
    world, _ = sphere(100)
    points = seen_from(body_at(FAST, np.full(100, BEGIN_NS)), world)
    assert farthest(moved(motion, [BEGIN_NS] * 100, points), world) < 1e-4
