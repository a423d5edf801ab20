# Copyright 2026 the robocache_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The body between two times, from what tells its rotation and what tells its translation."""

from __future__ import annotations

import math

import numpy as np
import pytest
from motion_truth import about_z, apart, body_at, matrix, pose, random_poses

from robocache_ros.motion.ego import EgoMotion
from robocache_ros.motion.pose import Pose, compose
from robocache_ros.motion.trajectory import Trajectory
from robocache_ros.reasons import Reason
from robocache_ros.sim import Path

pytestmark = pytest.mark.filterwarnings('error')

TIMES = np.array([0, 100, 200, 300])


def trajectory(poses, times=TIMES, max_gap_ns=100):
    return Trajectory(times, poses, max_gap_ns)


def left_turn():
    """Odometry: looks along x, drives 2 m, turns left, drives 3 m along y."""
    rotation = np.array([about_z(angle) for angle in (0, 0, math.pi / 2, math.pi / 2)])
    position = np.array([[0, 0, 0], [2, 0, 0], [2, 0, 0], [2, 3, 0]], float)
    return trajectory(Pose(rotation, position))


def test_odometry_alone_tells_both():
    # At the end it looks along y: the begin was 3 m behind and 2 m to the left of it.
    found = EgoMotion(None, left_turn()).relative(300, TIMES)
    expected = [[-3, 2, 0], [-3, 0, 0], [-3, 0, 0], [0, 0, 0]]
    np.testing.assert_allclose(found.position, expected, rtol=0, atol=1e-15)
    angles = [-math.pi / 2, -math.pi / 2, 0, 0]
    assert apart(found.rotation, [about_z(angle) for angle in angles]).max() < 1e-15


def test_a_gyro_alone_tells_the_rotation_only():
    found = EgoMotion(trajectory(random_poses(4, 1)), None).relative(0, TIMES)
    assert found.rotation[0].tolist() == pytest.approx([0, 0, 0, 1])
    # Positions of what tells the rotation would count: that of a gyro is zero.
    still = Pose(left_turn().pose.rotation, np.zeros((4, 3)))
    assert not EgoMotion(trajectory(still), None).relative(150, TIMES).position.any()


def test_the_gyro_turns_and_odometry_moves_each_in_a_world_of_its_own():
    # The gyro began 1 rad ago and says 0.1 rad per step; odometry says the same drive as above.
    rotation = np.array([about_z(1 + 0.1 * k) for k in range(4)])
    gyro = trajectory(Pose(rotation, np.zeros((4, 3))))
    found = EgoMotion(gyro, left_turn()).relative(200, TIMES)
    angles = [-0.2, -0.1, 0, 0.1]
    assert apart(found.rotation, [about_z(angle) for angle in angles]).max() < 1e-15
    # By the odometry it looks along y at 200, so its own x is y and its own y is -x.
    expected = [[0, 2, 0], [0, 0, 0], [0, 0, 0], [3, 0, 0]]
    np.testing.assert_allclose(found.position, expected, rtol=0, atol=1e-15)


def test_poses_are_relative_as_matrices_say():
    poses = random_poses(4, 2)
    found = EgoMotion(None, trajectory(poses)).relative(100, TIMES)
    start = matrix(Pose(poses.rotation[1], poses.position[1]))
    for k in range(4):
        got = matrix(Pose(found.rotation[k], found.position[k]))
        exact = np.linalg.inv(start) @ matrix(Pose(poses.rotation[k], poses.position[k]))
        np.testing.assert_allclose(got, exact, rtol=0, atol=1e-13)


def test_the_begin_of_the_world_does_not_matter():
    # Odometry in map coordinates, and turned: the same drive, to a tenth of a micrometre.
    there = pose([4e6, -5e6, 300], about_z(2.0))
    far = trajectory(compose(there, left_turn().pose))
    times = np.arange(0, 301, 10)
    near = EgoMotion(None, left_turn()).relative(170, times)
    found = EgoMotion(None, far).relative(170, times)
    np.testing.assert_allclose(found.position, near.position, rtol=0, atol=1e-8)
    assert apart(found.rotation, near.rotation).max() < 1e-14


def test_samples_of_the_simulated_robot_give_its_motion_between_them():
    path = Path((2.5, 2.5), loop_sec=math.pi)  # 5 m/s, 2 rad/s
    at_400_hz, at_50_hz = (np.arange(0, 10**9, step) for step in (2_500_000, 20_000_000))
    gyro = Pose(body_at(path, at_400_hz).rotation, np.zeros((len(at_400_hz), 3)))
    ego = EgoMotion(
        Trajectory(at_400_hz, gyro, 10**8), Trajectory(at_50_hz, body_at(path, at_50_hz), 10**8)
    )
    times = np.arange(400_000_000, 500_000_001, 1_234_567)
    found = ego.relative(500_000_000, times)
    exact = EgoMotion(None, Trajectory(times, body_at(path, times), 1)).relative(times[-1], times)
    start = EgoMotion(None, Trajectory(times, body_at(path, times), 1))
    end = start.relative(500_000_000, times)
    assert apart(found.rotation, end.rotation).max() < 1e-3
    assert np.abs(found.position - exact.position).max() < 6e-3


def test_trouble_of_either_is_told():
    short = trajectory(random_poses(2, 3), times=np.array([100, 200]))
    full = trajectory(random_poses(4, 4))
    empty = trajectory(Pose(np.zeros((0, 4)), np.zeros((0, 3))), times=TIMES[:0])
    assert EgoMotion(full, full).trouble(0, 300) is None
    assert EgoMotion(full, None).trouble(0, 300) is None
    for ego in (EgoMotion(short, full), EgoMotion(full, short), EgoMotion(None, short)):
        assert ego.trouble(100, 201) is Reason.MOTION_LATE
        assert ego.trouble(99, 200) is Reason.MOTION_GAP
    assert EgoMotion(full, empty).trouble(0, 300) is Reason.MOTION_MISSING


def test_nothing_tells_no_motion():
    with pytest.raises(ValueError, match='needs a rotation'):
        EgoMotion(None, None)
