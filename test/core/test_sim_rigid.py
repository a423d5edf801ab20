# Copyright 2026 the robocache_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Frames of the simulator: quarter turns by hand, the rest against SciPy."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from robocache_ros.sim import Rigid
from robocache_ros.sim.rigid import product, quaternion_of, rotation_of, turned

ANGLES = [(0.0, 0.0, 0.0), (0.3, -0.8, 2.9), (-np.pi / 2, 0.0, -np.pi / 2), (3.0, 1.5, -1.0)]
QUARTER = Rigid(turned(np.pi / 2), np.array([1.0, 0.0, 0.0]))


@pytest.mark.parametrize('rpy', ANGLES)
def test_roll_pitch_and_yaw_turn_about_fixed_axes(rpy):
    expected = Rotation.from_euler('xyz', rpy)  # lower case: fixed axes
    assert rotation_of(rpy) == pytest.approx(expected.as_matrix(), abs=1e-12)
    sign = np.sign(expected.as_quat() @ quaternion_of(rpy))
    assert sign * expected.as_quat() == pytest.approx(quaternion_of(rpy), abs=1e-12)


def test_a_product_of_quaternions_is_one_turn_after_the_other():
    a, b = (quaternion_of(rpy) for rpy in ANGLES[1:3])
    expected = Rotation.from_quat(a) * Rotation.from_quat(b)
    difference = expected.inv() * Rotation.from_quat(product(a, b))
    assert difference.magnitude() == pytest.approx(0.0, abs=1e-12)


def test_a_point_is_turned_and_then_shifted():
    assert QUARTER.of(np.array([2.0, 0.0, 5.0])) == pytest.approx([1.0, 2.0, 5.0])
    assert QUARTER.inverse().of(np.array([1.0, 2.0, 5.0])) == pytest.approx([2.0, 0.0, 5.0])


def test_a_frame_in_a_frame_is_where_its_points_go():
    inner = Rigid(rotation_of((0.1, 0.2, 0.3)), np.array([0.0, 4.0, 1.0]))
    point = np.array([1.0, 2.0, 3.0])
    assert QUARTER.then(inner).of(point) == pytest.approx(QUARTER.of(inner.of(point)))


def test_n_frames_move_n_points_each_its_own():
    yaw = np.array([0.0, np.pi / 2, np.pi])
    frames = Rigid(turned(yaw), np.arange(9.0).reshape(3, 3))
    points = np.tile([1.0, 0.0, 0.0], (3, 1))
    expected = [[1.0, 1.0, 2.0], [3.0, 5.0, 5.0], [5.0, 7.0, 8.0]]
    assert frames.of(points) == pytest.approx(np.array(expected))
    assert frames.inverse().of(frames.of(points)) == pytest.approx(points)
