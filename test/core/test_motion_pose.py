# Copyright 2026 the robocache_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Poses: conventions by hand, all else against scipy and 4x4 matrices."""

from __future__ import annotations

import math

import numpy as np
import pytest
from motion_truth import matrix, random_poses
from scipy.spatial.transform import Rotation

from robocache_ros.motion.pose import Pose, compose, identity, inverse, matrices, rotate, turned

pytestmark = pytest.mark.filterwarnings('error')

QUARTER = math.pi / 2
X, Y, Z = np.eye(3)


@pytest.mark.parametrize(
    ('angles', 'taken', 'to'),
    [
        ((QUARTER, 0, 0), Y, Z),  # roll lifts the left side
        ((0, QUARTER, 0), Z, X),  # pitch lowers the nose
        ((0, 0, QUARTER), X, Y),  # yaw turns to the left
        ((0, 0, -QUARTER), X, -Y),
        # First roll, then yaw, both about the axes of the parent.
        ((QUARTER, 0, QUARTER), X, Y),
        ((QUARTER, 0, QUARTER), Y, Z),
        ((QUARTER, 0, QUARTER), Z, X),
        # First pitch, then yaw.
        ((0, QUARTER, QUARTER), Z, Y),
    ],
)
def test_roll_pitch_yaw_turn_about_the_axes_of_the_parent_in_this_order(angles, taken, to):
    found = Pose.of([0, 0, 0, *angles])
    np.testing.assert_allclose(rotate(found.rotation, taken), to, rtol=0, atol=1e-15)


def test_a_point_of_the_sensor_is_turned_and_then_shifted():
    # Mounted 2 m ahead and 1 m up, looking to the left: 3 m ahead of it is 3 m left of the robot.
    found = Pose.of([2, 0, 1, 0, 0, QUARTER])
    point = compose(found, Pose.of([3, 0, 0, 0, 0, 0]))
    np.testing.assert_allclose(point.position, [2, 3, 1], rtol=0, atol=1e-15)


def test_angles_agree_with_scipy_about_fixed_axes():
    rng = np.random.default_rng(1)
    for angles in rng.uniform(-2 * math.pi, 2 * math.pi, (200, 3)):
        expected = Rotation.from_euler('xyz', angles)  # lower case: about fixed axes
        found = Rotation.from_quat(Pose.of([0, 0, 0, *angles]).rotation)
        assert (found * expected.inv()).magnitude() < 1e-14


def test_seven_numbers_are_a_position_and_a_quaternion_with_w_last():
    found = Pose.of((1, 2, 3, 0, 0, 0.6, 0.8))
    assert found.position.tolist() == [1, 2, 3]
    assert found.rotation.tolist() == pytest.approx([0, 0, 0.6, 0.8])
    assert found.rotation.dtype == found.position.dtype == np.float64


def test_a_quaternion_that_is_nearly_of_unit_length_is_made_so():
    found = Pose.of([0, 0, 0, 0, 0, 0.7 * 1.1, 0.7 * 1.1])
    assert found.rotation.tolist() == pytest.approx([0, 0, math.sqrt(0.5), math.sqrt(0.5)])


@pytest.mark.parametrize(
    ('numbers', 'sentence'),
    [
        ([], '6 numbers'),
        ([1, 2, 3], '6 numbers'),
        ([0] * 8, '6 numbers'),
        ([[0] * 6], '6 numbers'),
        ([0, math.nan, 0, 0, 0, 0], 'finite'),
        ([0, 0, 0, 0, 0, math.inf], 'finite'),
        ([0, 0, 0, math.nan, 0, 0, 1], 'finite'),
        ([0, 0, 0, 0, 0, 0, 0], 'unit length'),
        ([0, 0, 0, 0, 0, 0, 2], 'unit length'),
        ([0, 0, 0, 1e200, 0, 0, 0], 'unit length'),
        ([0, 0, 0, 0, 0, 90], 'radians'),
    ],
)
def test_numbers_that_are_no_pose_are_refused_with_a_sentence(numbers, sentence):
    with pytest.raises(ValueError, match=sentence), np.errstate(over='ignore'):
        Pose.of(numbers)


def test_composition_and_inverse_are_those_of_matrices():
    a, b = random_poses(1, 2), random_poses(1, 3)
    one, other = Pose(a.rotation[0], a.position[0]), Pose(b.rotation[0], b.position[0])
    both = matrix(compose(one, other))
    np.testing.assert_allclose(both, matrix(one) @ matrix(other), rtol=0, atol=1e-14)
    back = matrix(inverse(one))
    np.testing.assert_allclose(back, np.linalg.inv(matrix(one)), rtol=0, atol=1e-14)


def test_one_pose_and_an_array_of_them_compose_either_way():
    many, one = random_poses(5, 4), Pose.of([1, 2, 3, 0.1, 0.2, 0.3])
    for found, parts in (
        (compose(many, one), lambda k: (Pose(many.rotation[k], many.position[k]), one)),
        (compose(one, many), lambda k: (one, Pose(many.rotation[k], many.position[k]))),
    ):
        assert found.rotation.shape == (5, 4)
        assert found.position.shape == (5, 3)
        for k in range(5):
            a, b = parts(k)
            got = matrix(Pose(found.rotation[k], found.position[k]))
            np.testing.assert_allclose(got, matrix(a) @ matrix(b), rtol=0, atol=1e-14)


def test_the_identity_changes_nothing():
    one = Pose.of([1, 2, 3, 0.1, 0.2, 0.3])
    for same in (compose(one, identity()), compose(identity(), one)):
        assert same.rotation.tolist() == one.rotation.tolist()
        assert same.position.tolist() == one.position.tolist()


def test_rotation_of_vectors_and_matrices_agree_with_scipy():
    q = random_poses(50, 5).rotation
    v = np.random.default_rng(6).uniform(-100, 100, (50, 3))
    expected = Rotation.from_quat(q)
    np.testing.assert_allclose(rotate(q, v), expected.apply(v), rtol=0, atol=1e-12)
    np.testing.assert_allclose(matrices(q), expected.as_matrix(), rtol=0, atol=1e-15)
    assert matrices(q.reshape(5, 10, 4)).shape == (5, 10, 3, 3)
    assert matrices(q[0]).tolist() == matrices(q)[0].tolist()


@pytest.mark.parametrize(
    'length', [0.0, 5e-324, 1e-300, 1e-160, 1e-8, 0.1, 1.0, 3.0, math.pi, 4.0, 2 * math.pi, 100.0]
)
def test_a_turn_about_a_vector_is_that_of_scipy(length):
    for axis in (X, -Y, Z, np.array([2.0, -1.0, 2.0]) / 3.0):
        found = turned(axis * length)
        assert np.isfinite(found).all()
        assert math.sqrt((found**2).sum()) == pytest.approx(1, abs=1e-15)
        expected = Rotation.from_rotvec(axis * length).as_quat()
        expected *= np.sign((expected * found).sum())
        np.testing.assert_allclose(found, expected, rtol=0, atol=1e-15 + 1e-16 * length)


def test_the_smallest_turn_is_half_of_itself_in_a_quaternion():
    assert turned(np.array([0, 2e-300, -4e-300])).tolist() == [0, 1e-300, -2e-300, 1]


def test_turns_of_many_vectors_are_those_of_each():
    vectors = np.random.default_rng(7).uniform(-3, 3, (4, 3, 3))
    vectors[0, 0] = 0.0
    found = turned(vectors)
    assert found.shape == (4, 3, 4)
    assert found[2, 1].tolist() == turned(vectors[2, 1]).tolist()
    assert found[0, 0].tolist() == [0, 0, 0, 1]
