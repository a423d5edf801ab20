# Copyright 2026 the robocache_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The gyro: turns that add up exactly, and a bias only where nothing turns."""

from __future__ import annotations

import numpy as np
import pytest
from motion_truth import apart, body_at
from scipy.integrate import solve_ivp
from scipy.spatial.transform import Rotation

from robocache_ros.motion.gyro import integrate, standstill_bias
from robocache_ros.reasons import Reason
from robocache_ros.sim import Path

pytestmark = pytest.mark.filterwarnings('error')

SECOND = 1_000_000_000


def every(period_ns, seconds):
    return np.arange(0, round(seconds * SECOND) + 1, period_ns)


def test_constant_rates_are_exact_however_the_samples_lie():
    rate = np.array([0.3, -1.2, 2.1])
    rng = np.random.default_rng(1)
    times = np.cumsum(rng.integers(1, 5_000_000, 800)) + 1_700_000_000 * SECOND
    found = integrate(times, np.tile(rate, (800, 1)), SECOND)
    exact = Rotation.from_rotvec(rate * ((times - times[0]) * 1e-9)[:, None]).as_quat()
    assert apart(found.pose.rotation, exact).max() < 1e-12
    assert np.abs((found.pose.rotation**2).sum(axis=1) - 1).max() < 1e-15
    assert not found.pose.position.any()
    assert found.times.tolist() == times.tolist()


def test_a_quarter_turn_to_the_left_in_two_uneven_steps():
    # 1 s at 60 degrees/s, then 0.5 s.
    rates = np.radians([[0, 0, 60.0]] * 3)
    found = integrate(np.array([0, SECOND, 3 * SECOND // 2]), rates, SECOND)
    angles = Rotation.from_quat(found.pose.rotation).as_euler('xyz', degrees=True)[:, 2]
    assert angles.tolist() == pytest.approx([0, 60, 90])


def test_rates_between_samples_are_linear():
    # From 0 to 2 rad/s in 1 s is 1 rad; the first sample alone would say 0, the last 2.
    found = integrate(np.array([0, SECOND]), np.array([[0, 0, 0], [0, 0, 2.0]]), SECOND)
    assert Rotation.from_quat(found.pose.rotation[1]).as_rotvec().tolist() == pytest.approx(
        [0, 0, 1]
    )


def test_rates_are_about_the_axes_of_the_body():
    # Half a turn of roll, then a quarter of yaw: seen from outside, upside down, to the right.
    times = np.array([0, SECOND, SECOND + 1, 2 * SECOND + 1])
    rates = np.array([[np.pi, 0, 0], [np.pi, 0, 0], [0, 0, np.pi / 2], [0, 0, np.pi / 2]])
    last = Rotation.from_quat(integrate(times, rates, SECOND).pose.rotation[-1])
    np.testing.assert_allclose(last.apply([1, 0, 0]), [0, -1, 0], rtol=0, atol=1e-8)


def test_an_axis_that_turns_itself_is_followed_to_fourth_order():
    # 50 Hz, while the robot tumbles; the midpoint rule alone is off by 1e-4 here.
    times = every(20_000_000, 0.4)
    t = times * 1e-9
    rates = np.stack([5 * np.cos(9 * t), 5 * np.sin(9 * t), 2 + 3 * t], axis=1)

    def slope(now, q):
        x, y, z = (np.interp(now, t, rates[:, axis]) for axis in range(3))
        turn = np.array([[0, z, -y, x], [-z, 0, x, y], [y, -x, 0, z], [-x, -y, -z, 0]])
        return 0.5 * turn @ q

    exact, q = [], np.array([0, 0, 0, 1.0])
    for begin, end in zip(t[:-1], t[1:], strict=True):  # solvers dislike corners
        q = solve_ivp(slope, (begin, end), q, method='DOP853', rtol=1e-12, atol=1e-13).y[:, -1]
        exact.append(q)
    found = integrate(times, rates, SECOND).pose.rotation
    assert apart(found[1:], exact).max() < 2e-6


def test_the_turn_of_the_simulated_robot_is_found_from_its_rates():
    path = Path((2.0, 1.0), loop_sec=3.0, turns=2)
    times = every(2_500_000, 3.0)
    yaw_rate = path.yaw_rate(times * 1e-9)
    rates = np.stack([0 * yaw_rate, 0 * yaw_rate, yaw_rate], axis=1)
    found = integrate(times, rates, SECOND)
    exact = Rotation.from_quat(body_at(path, times).rotation)
    assert apart(found.pose.rotation, (exact[0].inv() * exact).as_quat()).max() < 1e-5


def test_one_sample_is_no_turn_and_none_are_no_trajectory():
    one = integrate(np.array([7]), np.array([[1.0, 2.0, 3.0]]), SECOND)
    assert one.pose.rotation.tolist() == [[0, 0, 0, 1]]
    none = integrate(np.zeros(0, np.int64), np.zeros((0, 3)), SECOND)
    assert none.trouble(0, 0) is Reason.MOTION_MISSING


def test_a_gap_is_told():
    found = integrate(np.array([0, 10, 500]), np.ones((3, 3)), max_gap_ns=100)
    assert found.trouble(0, 10) is None
    assert found.trouble(0, 11) is not None


def test_float32_rates_are_taken_as_they_are():
    rates = np.array([[0.1, 0.2, 0.3]] * 2, np.float32)
    found = integrate(np.array([0, SECOND]), rates, SECOND)
    exact = Rotation.from_rotvec(rates[0].astype(float)).as_quat()
    assert apart(found.pose.rotation[1], exact) < 1e-14


@pytest.mark.parametrize('wrong', [101.0, -1e30, np.inf, -np.inf, np.nan])
@pytest.mark.parametrize('axis', [0, 1, 2])
def test_a_rate_that_no_gyro_can_measure_is_left_out(wrong, axis):
    times, rates = every(10_000_000, 0.1), np.full((11, 3), 0.5)
    rates[4, axis] = wrong
    found = integrate(times, rates, max_gap_ns=10_000_000)
    assert found.times.tolist() == np.delete(times, 4).tolist()
    exact = Rotation.from_rotvec([0.05, 0.05, 0.05]).as_quat()
    assert apart(found.pose.rotation[-1], exact) < 1e-14
    assert found.trouble(0, 30_000_000) is None
    assert found.trouble(0, 40_000_000) is Reason.MOTION_GAP


def test_many_turns_within_one_step_are_still_a_rotation():
    found = integrate(every(10 * SECOND, 30), np.full((4, 3), 99.0), SECOND).pose.rotation
    assert np.abs((found**2).sum(axis=1) - 1).max() < 1e-15
    exact = Rotation.from_rotvec([990.0, 990.0, 990.0]).as_quat()
    assert apart(found[1], exact) < 1e-12


def quiet(seconds=1.5, bias=(0.01, -0.02, 0.005), noise=0.003, period_ns=2_500_000):
    times = every(period_ns, seconds)
    rng = np.random.default_rng(3)
    return times, bias + noise * rng.standard_normal((len(times), 3))


def test_the_bias_of_a_robot_that_stands_is_the_mean():
    times, rates = quiet()
    found = standstill_bias(times, rates)
    np.testing.assert_allclose(found, rates.mean(axis=0), rtol=0, atol=1e-9)
    np.testing.assert_allclose(found, [0.01, -0.02, 0.005], rtol=0, atol=5e-4)
    assert (standstill_bias(times, rates[::-1]) == found).all()  # to the bit, in any order


def test_it_takes_a_second_without_gaps():
    times, rates = quiet(1.0)
    assert standstill_bias(times, rates) is not None
    assert standstill_bias(times[:-1], rates[:-1]) is None
    late = times.copy()
    late[200:] += 100_000_000
    assert standstill_bias(late, rates) is None
    assert standstill_bias(times[:0], rates[:0]) is None
    assert standstill_bias(times[:1], rates[:1]) is None


@pytest.mark.parametrize(
    'moved',
    [
        lambda t: 0.06 + 0 * t,  # turns evenly
        lambda t: 0.01 * t,  # begins to turn
        lambda t: 0.02 * np.sin(30 * t),  # rolls over something
        lambda t: np.where(t == t[-1], 0.1, 0.0),  # one bad value
        lambda t: np.where(t == t[-1], np.nan, 0.0),
        lambda t: np.where(t == t[-1], np.inf, 0.0),
    ],
)
@pytest.mark.parametrize('axis', [0, 1, 2])
def test_there_is_no_bias_while_it_moves_or_something_is_wrong(moved, axis):
    times, rates = quiet(noise=0.001)
    rates[:, axis] = rates[:, axis] - rates[:, axis].mean() + moved(times * 1e-9)
    assert standstill_bias(times, rates) is None
