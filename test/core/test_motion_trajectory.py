# Copyright 2026 the robocache_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Poses over time: between samples, outside of them, and what is missing for a motion."""

from __future__ import annotations

import math

import numpy as np
import pytest
from motion_truth import about_z, apart, random_poses
from scipy.spatial.transform import Rotation, Slerp

from robocache_ros.motion.pose import Pose
from robocache_ros.motion.trajectory import Trajectory, needed_samples
from robocache_ros.reasons import Reason

pytestmark = pytest.mark.filterwarnings('error')

NONE, MISSING = None, Reason.MOTION_MISSING
LATE, GAP = Reason.MOTION_LATE, Reason.MOTION_GAP


def trajectory(*times, max_gap_ns=100):
    poses = random_poses(len(times), 1) if times else Pose(np.zeros((0, 4)), np.zeros((0, 3)))
    return Trajectory(np.array(times, np.int64), poses, max_gap_ns)


def turning():
    """0 to 90 degrees in 100 ns while it drives 10 m ahead, then back in 200 ns."""
    rotation = np.array([about_z(0), about_z(math.pi / 2), about_z(0)])
    position = np.array([[0, 0, 0], [10, 0, 4], [0, 0, 0]], float)
    return Trajectory(np.array([0, 100, 300]), Pose(rotation, position), 1000)


def test_between_samples_it_turns_and_moves_evenly():
    found = turning().at(np.array([0, 50, 75, 100, 200]))
    angles = [0, math.pi / 4, 3 * math.pi / 8, math.pi / 2, math.pi / 4]
    expected = [about_z(angle) for angle in angles]
    np.testing.assert_allclose(found.rotation, expected, rtol=0, atol=1e-15)
    assert found.position.tolist() == [[0, 0, 0], [5, 0, 2], [7.5, 0, 3], [10, 0, 4], [5, 0, 2]]


def test_before_the_first_and_after_the_last_sample_the_end_is_held():
    ends = trajectory(0, 100, 200)
    found = ends.at(np.array([-(10**18), -1, 201, 10**18]))
    first, last = ends.pose.position[[0, -1]].tolist()
    assert found.position.tolist() == [first, first, last, last]
    first, last = ends.pose.rotation[[0, -1]]
    np.testing.assert_allclose(found.rotation, [first, first, last, last], rtol=0, atol=1e-15)


def test_a_single_sample_holds_for_ever():
    one = trajectory(50)
    found = one.at(np.array([0, 50, 100]))
    assert found.position.tolist() == one.pose.position.tolist() * 3
    np.testing.assert_allclose(found.rotation, one.pose.rotation.repeat(3, 0), rtol=0, atol=1e-15)


def test_rotations_agree_with_scipy_slerp():
    rng = np.random.default_rng(2)
    times = np.sort(rng.choice(10**9, 40, replace=False))
    poses = random_poses(40, 3)
    wanted = rng.integers(times[0], times[-1], 500)
    found = Trajectory(times, poses, 10**9).at(wanted).rotation
    expected = Slerp(times, Rotation.from_quat(poses.rotation))(wanted)
    assert apart(found, expected.as_quat()).max() < 1e-14
    x = np.interp(wanted, times, poses.position[:, 0])
    np.testing.assert_allclose(
        Trajectory(times, poses, 1).at(wanted).position[:, 0], x, rtol=0, atol=1e-12
    )


def test_epoch_times_lose_no_nanosecond():
    begin = 1_700_000_000_000_000_000
    times = begin + np.array([0, 1000])
    moving = Trajectory(
        times, Pose(np.array([[0, 0, 0, 1.0]] * 2), np.array([[0.0] * 3, [1.0] * 3])), 1
    )
    assert moving.at(begin + np.array([1, 999])).position[:, 0].tolist() == [0.001, 0.999]


def test_no_times_asked_for_are_no_poses():
    found = turning().at(np.zeros(0, np.int64))
    assert found.rotation.shape == (0, 4)
    assert found.position.shape == (0, 3)


def test_without_samples_there_are_no_poses_to_hold():
    with pytest.raises(ValueError, match='without samples'):
        trajectory().at(np.array([0]))


@pytest.mark.parametrize('times', [(0, 10, 10), (0, 10, 5)])
def test_times_that_stand_or_go_back_are_refused(times):
    with pytest.raises(ValueError, match='must increase'):
        trajectory(*times)


@pytest.mark.parametrize(
    ('times', 'begin', 'end', 'expected'),
    [
        ((), 0, 10, MISSING),
        ((0, 100), 0, 100, NONE),
        ((0, 100), 10, 10, NONE),
        ((0, 100), 0, 101, LATE),
        ((0,), 0, 0, NONE),
        ((0,), 0, 1, LATE),
        ((5,), 0, 5, GAP),  # begins too late
        ((5, 50), 0, 60, LATE),  # both: it can still change
        ((0, 100, 201), 0, 201, GAP),
        ((0, 100, 201), 0, 100, NONE),  # the gap is later
        ((0, 100, 201), 0, 101, GAP),
        ((-300, 0, 100), 0, 100, NONE),  # the gap is earlier
        ((-300, 0, 100), -1, 100, GAP),
        ((0, 100, 201), 150, 160, GAP),  # in the middle of the gap
    ],
)
def test_trouble_tells_what_is_missing(times, begin, end, expected):
    assert trajectory(*times).trouble(begin, end) is expected


@pytest.mark.parametrize(
    ('begin', 'end', 'expected'),
    [
        (20, 40, [20, 30, 40]),
        (21, 39, [20, 30, 40]),
        (20, 41, [20, 30, 40, 50]),
        (25, 25, [20, 30]),
        (0, 100, [10, 20, 30, 40, 50]),
        (60, 70, [50]),
        (-5, 0, [10]),
    ],
)
def test_needed_samples_are_those_inside_and_one_beyond_each_end(begin, end, expected):
    times = np.array([10, 20, 30, 40, 50])
    assert times[needed_samples(times, begin, end)].tolist() == expected


def test_a_motion_of_the_needed_samples_alone_has_the_same_bits():
    whole = trajectory(*range(0, 1000, 10))
    part = needed_samples(whole.times, 333, 444)
    few = Trajectory(whole.times[part], Pose(*(column[part] for column in whole.pose)), 100)
    times = np.arange(333, 445)
    for a, b in zip(whole.at(times), few.at(times), strict=True):
        assert a.tobytes() == b.tobytes()
    assert few.trouble(333, 444) is whole.trouble(333, 444) is None
