# Copyright 2026 the robocache_ros authors
# SPDX-License-Identifier: Apache-2.0
"""When messages are measured, published and lost: exact without chance, bounded with it."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from robocache_ros.sim import ImuConfig, LidarConfig, RobotConfig, SensorConfig
from robocache_ros.sim.config import settings
from robocache_ros.sim.timing import releases

MS = 1_000_000


def first(count, config, seed=0, exposure_ns=0):
    return list(itertools.islice(releases(config, seed, exposure_ns), count))


def test_without_jitter_times_are_multiples_of_the_period_after_the_phase():
    config = SensorConfig(rate_hz=30.0, phase_sec=0.004, latency_sec=0.012)
    found = first(31, config)
    assert [r.capture_ns for r in found[:3]] == [4 * MS, 37_333_333, 70_666_667]
    assert found[30].capture_ns == 1004 * MS
    assert [r.publish_ns - r.capture_ns for r in found] == [12 * MS] * 31
    assert not any(r.dropped for r in found)


def test_a_sweep_comes_out_after_it_is_over():
    assert (
        first(1, SensorConfig(latency_sec=0.002), exposure_ns=100 * MS)[0].publish_ns == 102 * MS
    )


def test_jitter_moves_each_measurement_by_at_most_its_bound():
    found = first(2000, SensorConfig(rate_hz=100.0, jitter_sec=0.002))
    moved = np.array([r.capture_ns - i * 10 * MS for i, r in enumerate(found)])
    assert np.abs(moved).max() <= 2 * MS
    assert np.abs(moved.mean()) < 0.1 * MS
    assert moved.std() == pytest.approx(2 * MS / np.sqrt(3), rel=0.05)


def test_latency_jitter_lets_later_measurements_overtake_but_publishes_in_order():
    config = SensorConfig(rate_hz=100.0, latency_sec=0.001, latency_jitter_sec=0.05)
    found = first(500, config)
    published = [r.publish_ns for r in found]
    captured = [r.capture_ns for r in found]
    assert published == sorted(published)
    assert captured != sorted(captured)
    delays = np.subtract(published, captured)
    assert delays.min() >= 1 * MS
    assert delays.max() <= 51 * MS
    # Nothing is lost by sorting: all that can no longer be overtaken has come out.
    assert set(range(0, 4000 * MS, 10 * MS)) <= set(captured)


def test_losses_have_their_probability():
    found = first(4000, SensorConfig(rate_hz=100.0, drop_probability=0.25))
    assert np.mean([r.dropped for r in found]) == pytest.approx(0.25, abs=0.03)


def test_losses_fill_their_intervals_and_nothing_else():
    config = SensorConfig(rate_hz=10.0, drop_intervals_sec=(0.2, 0.5, 0.8, 0.9))
    lost = [i for i, r in enumerate(first(12, config)) if r.dropped]
    assert lost == [2, 3, 4, 8]


def test_a_sensor_that_falls_silent_for_ever_costs_no_search():
    found = first(3, SensorConfig(drop_intervals_sec=(0.1, 1e12)))
    assert [r.dropped for r in found] == [False, True, True]


def test_a_rate_of_0_is_silence():
    assert first(3, SensorConfig(rate_hz=0.0)) == []


def test_chance_is_a_function_of_the_seed():
    config = SensorConfig(
        rate_hz=50.0, jitter_sec=0.005, latency_jitter_sec=0.03, drop_probability=0.1
    )
    assert first(200, config, seed=7) == first(200, config, seed=7)
    assert first(200, config, seed=7) != first(200, config, seed=8)


@pytest.mark.parametrize(
    ('values', 'sentence'),
    [
        ({'rate_hz': -1.0}, 'rate_hz -1.0 must not be negative'),
        ({'rate_hz': 10.0, 'jitter_sec': 0.05}, 'jitter_sec 0.05 must be under half a period'),
        ({'drop_probability': 1.5}, 'drop_probability 1.5 must lie in 0 to 1'),
        ({'drop_intervals_sec': (1.0, 2.0, 3.0)}, 'must be pairs'),
        ({'drop_intervals_sec': (2.0, 1.0)}, 'must be pairs of start <= end'),
    ],
)
def test_a_sensor_that_can_not_be_is_refused(values, sentence):
    with pytest.raises(ValueError, match=sentence):
        SensorConfig(**values)


@pytest.mark.parametrize(
    ('values', 'sentence'),
    [({'rings': 0}, 'rings 0 must be positive'), ({'lowest_deg': 20.0}, 'must be in order')],
)
def test_a_lidar_that_can_not_be_is_refused(values, sentence):
    with pytest.raises(ValueError, match=sentence):
        LidarConfig(**values)


def test_settings_have_the_names_of_parameters_and_build_the_configuration():
    assert RobotConfig.from_mapping({s.name: s.default for s in settings()}) == RobotConfig()
    config = RobotConfig.from_mapping(
        {'seed': 3, 'imu.rate_hz': 200, 'lidar.drop_intervals_sec': [1, 2, 4, 5]}
    )
    assert config.seed == 3
    assert config.imu == ImuConfig(rate_hz=200.0)
    assert config.lidar.drop_intervals_sec == (1.0, 2.0, 4.0, 5.0)
    assert isinstance(config.imu.rate_hz, float)


@pytest.mark.parametrize(
    ('flat', 'sentence'),
    [
        ({'lidar.rate': 10.0}, 'lidar.rate is no setting'),
        ({'lidar.rate_hz': 'fast'}, 'lidar.rate_hz: .fast. is not of the same kind'),
        ({'lidar.rings': 1.5}, 'lidar.rings: 1.5 is not of the same kind'),
        ({'semi_axes': [1.0]}, 'semi_axes: .1.0. is not of the same kind'),
        ({'camera.width': -1}, 'camera.width -1 must be positive'),
    ],
)
def test_settings_that_can_not_be_are_refused_by_name(flat, sentence):
    with pytest.raises(ValueError, match=sentence):
        RobotConfig.from_mapping(flat)
