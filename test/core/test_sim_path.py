# Copyright 2026 the robocache_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The path: circle by hand, ellipse by difference quotients."""

from __future__ import annotations

import numpy as np
import pytest

from robocache_ros.sim import Path
from robocache_ros.sim.path import place

CIRCLE = Path((2.0, 2.0), loop_sec=2.0 * np.pi)  # 1 rad/s, 2 m/s
ELLIPSE = Path((2.0, 0.8), loop_sec=3.0, turns=3)
TIMES = np.linspace(-1.0, 7.0, 57)


def slope(function, t, step=1e-5):
    return (function(t + step) - function(t - step)) / (2 * step)


def test_a_circle_of_2_m_at_1_rad_per_s_is_driven_at_2_m_per_s():
    assert CIRCLE.position(0.0).tolist() == [2.0, 0.0, 0.0]
    assert CIRCLE.velocity(0.0) == pytest.approx([0.0, 2.0, 0.0])
    assert CIRCLE.acceleration(0.0) == pytest.approx([-2.0, 0.0, 0.0])
    assert CIRCLE.yaw(TIMES) == pytest.approx(TIMES + np.pi / 2)
    assert CIRCLE.yaw_rate(TIMES) == pytest.approx(np.ones(57))
    assert CIRCLE.distance(TIMES) == pytest.approx(2.0 * TIMES, abs=1e-5)


def test_derivatives_are_those_of_the_position():
    assert ELLIPSE.velocity(TIMES) == pytest.approx(slope(ELLIPSE.position, TIMES), abs=1e-6)
    assert ELLIPSE.acceleration(TIMES) == pytest.approx(slope(ELLIPSE.velocity, TIMES), abs=1e-6)
    assert ELLIPSE.yaw_rate(TIMES) == pytest.approx(slope(ELLIPSE.yaw, TIMES), abs=1e-6)
    speed = np.hypot(*ELLIPSE.velocity(TIMES)[:2])
    assert slope(ELLIPSE.distance, TIMES, 1e-2) == pytest.approx(speed, abs=1e-2)


def test_with_one_turn_the_platform_looks_where_it_goes():
    path = Path((2.0, 0.8), loop_sec=3.0)
    vx, vy, _ = path.velocity(TIMES)
    speed = np.hypot(vx, vy)
    assert speed * np.cos(path.yaw(TIMES)) == pytest.approx(vx, abs=1e-9)
    assert speed * np.sin(path.yaw(TIMES)) == pytest.approx(vy, abs=1e-9)


def test_the_path_is_closed_and_turns_whole_turns():
    assert ELLIPSE.position(TIMES + 3.0) == pytest.approx(ELLIPSE.position(TIMES), abs=1e-12)
    assert ELLIPSE.yaw(TIMES + 3.0) - ELLIPSE.yaw(TIMES) == pytest.approx(6 * np.pi)


def test_more_turns_make_it_spin_faster_on_the_same_path():
    slow, fast = Path((2.0, 2.0), 2 * np.pi, turns=1), Path((2.0, 2.0), 2 * np.pi, turns=10)
    assert fast.yaw_rate(0.3) == pytest.approx(10.0)
    assert fast.position(0.3) == pytest.approx(slow.position(0.3))


def test_without_axes_and_turns_it_stands_still():
    path = Path((0.0, 0.0), loop_sec=3.0, turns=0)
    assert path.velocity(1.0).tolist() == [0.0, 0.0, 0.0]
    assert path.yaw_rate(1.0) == 0.0
    assert path.yaw(1.0) == path.yaw(0.0)
    assert path.distance(5.0) == 0.0


def test_a_mounted_point_turns_with_the_platform():
    there = place(np.array([1.0, 1.0, 0.0]), np.pi / 2, (0.3, 0.1, 1.2))
    assert there == pytest.approx([0.9, 1.3, 1.2])


@pytest.mark.parametrize(
    ('axes', 'loop_sec'),
    [((1.0, 0.0), 3.0), ((0.0, 1.0), 3.0), ((-1.0, -1.0), 3.0), ((1, 1), 0.0)],
)
def test_a_path_that_is_none_is_refused(axes, loop_sec):
    with pytest.raises(ValueError, match='must'):
        Path(axes, loop_sec)
