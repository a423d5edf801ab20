# Copyright 2026 the robocache_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The IMU and the joints: a turn at constant speed by hand, the rest by difference quotients."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from robocache_ros.sim import ImuConfig, Path
from robocache_ros.sim.imu import Imu
from robocache_ros.sim.joints import NAMES, TRACK, WHEEL_RADIUS, joints_at

CIRCLE = Path((2.0, 2.0), loop_sec=4.0)
ELLIPSE = Path((2.0, 0.8), loop_sec=3.0, turns=2)
IMU = Imu(ImuConfig())


def test_at_rest_only_gravity_is_felt():
    motion = IMU.measure(Path((0.0, 0.0), loop_sec=4.0, turns=0), 1.0)
    assert motion.angular_velocity == (0.0, 0.0, 0.0)
    assert motion.linear_acceleration == (0.0, 0.0, 9.80665)


@pytest.mark.parametrize('t', [0.0, 0.3, 1.9, 1234.5])
def test_in_a_constant_turn_the_gyro_shows_omega_and_the_accelerometer_v_omega_inwards(t):
    omega = 2 * np.pi / 4.0
    v = 2.0 * omega
    motion = IMU.measure(CIRCLE, t)
    assert motion.angular_velocity == pytest.approx((0.0, 0.0, omega))
    # A turn to the left: inwards is along +y of the platform, and nothing pushes it ahead.
    assert motion.linear_acceleration == pytest.approx((0.0, v * omega, 9.80665), abs=1e-9)


def test_orientation_turns_the_platform_into_the_world():
    x, y, z, w = IMU.measure(ELLIPSE, 0.8).orientation
    assert (x, y) == (0.0, 0.0)
    assert z * z + w * w == pytest.approx(1.0)
    assert 2 * np.arctan2(z, w) % (2 * np.pi) == pytest.approx(ELLIPSE.yaw(0.8) % (2 * np.pi))


def test_acceleration_is_that_of_the_path_turned_into_the_platform():
    t = 0.8
    motion = IMU.measure(ELLIPSE, t)
    ax, ay, _ = (ELLIPSE.velocity(t + 1e-5) - ELLIPSE.velocity(t - 1e-5)) / 2e-5
    yaw = float(ELLIPSE.yaw(t))
    bx, by, bz = motion.linear_acceleration
    assert bz == 9.80665
    assert (np.cos(yaw) * bx - np.sin(yaw) * by) == pytest.approx(ax, abs=1e-6)
    assert (np.sin(yaw) * bx + np.cos(yaw) * by) == pytest.approx(ay, abs=1e-6)


def test_noise_has_the_configured_deviation():
    imu = Imu(ImuConfig(gyro_noise=0.1, accel_noise=0.5))
    random = np.random.default_rng(3)
    noisy = [imu.measure(CIRCLE, 0.5, random) for _ in range(2000)]
    exact = imu.measure(CIRCLE, 0.5)
    gyro = np.subtract([m.angular_velocity for m in noisy], exact.angular_velocity)
    accel = np.subtract([m.linear_acceleration for m in noisy], exact.linear_acceleration)
    assert gyro.std(axis=0) == pytest.approx([0.1] * 3, rel=0.1)
    assert accel.std(axis=0) == pytest.approx([0.5] * 3, rel=0.1)
    assert {m.orientation for m in noisy} == {exact.orientation}


def test_the_bias_is_what_the_gyro_shows_of_a_robot_that_stands():
    imu = Imu(ImuConfig(gyro_bias=(0.01, -0.02, 0.03)))
    still = Path((0.0, 0.0), loop_sec=4.0, turns=0)
    assert imu.measure(still, 1.0).angular_velocity == (0.01, -0.02, 0.03)
    turning = imu.measure(CIRCLE, 1.0).angular_velocity
    assert turning == pytest.approx((0.01, -0.02, 2 * np.pi / 4.0 + 0.03))


def test_an_imu_that_is_turned_measures_the_same_motion_along_its_own_axes():
    rpy = (0.4, -0.3, 2.0)
    exact, seen = IMU.measure(ELLIPSE, 0.8), Imu(ImuConfig(rpy=rpy)).measure(ELLIPSE, 0.8)
    mounted = Rotation.from_euler('xyz', rpy)
    for name in ('angular_velocity', 'linear_acceleration'):
        assert mounted.apply(getattr(seen, name)) == pytest.approx(getattr(exact, name))
    in_world = Rotation.from_quat(exact.orientation) * mounted
    error = in_world.inv() * Rotation.from_quat(seen.orientation)
    assert error.magnitude() == pytest.approx(0.0, abs=1e-12)


def test_wheels_roll_as_far_as_their_side_of_the_platform_drives():
    # Once round a circle of 2 m to the left: the left wheel drives one of 1.7 m.
    start, end = joints_at(CIRCLE, 0.0), joints_at(CIRCLE, 4.0)
    assert NAMES[:2] == ('wheel_left', 'wheel_right')
    for wheel, radius in enumerate((2.0 - TRACK / 2, 2.0 + TRACK / 2)):
        turned = end.position[wheel] - start.position[wheel]
        assert turned == pytest.approx(2 * np.pi * radius / WHEEL_RADIUS, rel=1e-6)


@pytest.mark.parametrize('t', [0.2, 2.9, 7.7])
def test_joint_velocity_is_the_derivative_of_joint_position(t):
    step = 5e-3  # several steps of the table behind the wheels
    before, now, after = (joints_at(ELLIPSE, t + d) for d in (-step, 0.0, step))
    slope = np.subtract(after.position, before.position) / (2 * step)
    assert slope == pytest.approx(now.velocity, abs=0.02)
