# Copyright 2026 the robocache_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Odometry: a turn at constant speed by hand, and noise of the configured deviation."""

from __future__ import annotations

import numpy as np
import pytest

from robocache_ros.sim import OdometryConfig, Path
from robocache_ros.sim.odometry import Odometry

CIRCLE = Path((2.0, 2.0), loop_sec=2.0 * np.pi)  # 1 rad/s, 2 m/s
SPINNING = Path((2.0, 2.0), loop_sec=2.0 * np.pi, turns=3)


def test_on_a_circle_it_drives_ahead_and_turns_to_the_left():
    values = Odometry(OdometryConfig()).measure(CIRCLE, 0.0)
    assert values.position == pytest.approx((2.0, 0.0, 0.0))
    half = np.sqrt(0.5)
    assert values.orientation == pytest.approx((0.0, 0.0, half, half))  # looks along +y
    assert values.linear == pytest.approx((2.0, 0.0, 0.0))
    assert values.angular == pytest.approx((0.0, 0.0, 1.0))


def test_the_twist_is_in_the_frame_of_the_platform():
    # After an eighth of the circle it is at 45 degrees and has turned by 135, from 90.
    t = np.pi / 4
    values = Odometry(OdometryConfig()).measure(SPINNING, t)
    assert values.position == pytest.approx((np.sqrt(2.0), np.sqrt(2.0), 0.0))
    assert values.orientation == pytest.approx((0.0, 0.0, np.sin(t * 2.5), np.cos(t * 2.5)))
    # It drives towards 135 degrees and looks towards 225: to its right.
    assert values.linear == pytest.approx((0.0, -2.0, 0.0), abs=1e-12)
    assert values.angular == pytest.approx((0.0, 0.0, 3.0))


def test_noise_has_the_configured_deviations():
    config = OdometryConfig(position_noise=0.1, yaw_noise=0.02, twist_noise=0.3)
    odometry, random = Odometry(config), np.random.default_rng(5)
    noisy = [odometry.measure(CIRCLE, 0.0, random) for _ in range(3000)]
    position = np.array([values.position for values in noisy]) - [2.0, 0.0, 0.0]
    yaw = [2 * np.arctan2(q.orientation[2], q.orientation[3]) - np.pi / 2 for q in noisy]
    assert position.std(axis=0) == pytest.approx([0.1, 0.1, 0.0], rel=0.1)
    assert np.std(yaw) == pytest.approx(0.02, rel=0.1)
    linear, angular = (np.array([getattr(v, n) for v in noisy]) for n in ('linear', 'angular'))
    assert linear.std(axis=0) == pytest.approx([0.3, 0.3, 0.0], rel=0.1)
    assert angular.std(axis=0) == pytest.approx([0.0, 0.0, 0.3], rel=0.1)
    assert np.abs(position.mean(axis=0)).max() < 0.01
