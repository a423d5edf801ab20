# Copyright 2026 the robocache_ros authors
# SPDX-License-Identifier: Apache-2.0
"""A planar scan becomes the nearest thing in each sector, a range sensor one distance."""

from __future__ import annotations

import array
import math

import numpy as np
import pytest
from codec_messages import INF, NAN, Message

from robocache_ros.codec.ranges import decode_range, decode_scan
from robocache_ros.reasons import Reason, Rejected

pytestmark = pytest.mark.filterwarnings('error')


def scan(ranges, least=0.5, greatest=10.0, hold=lambda v: array.array('f', v)):
    return Message(ranges=hold(ranges), range_min=least, range_max=greatest, intensities=[])


def slow_scan(ranges, least, greatest, beams):
    """The letter of the rule, one range at a time."""
    n, found = len(ranges), []
    for k in range(beams):
        sector = ranges[k * n // beams : (k + 1) * n // beams]
        found.append(min([r for r in sector if least <= r <= greatest], default=greatest))
    return found


def test_each_sector_has_its_nearest_range():
    vector = decode_scan(scan([3.0, 2.0, 5.0, 4.0, 9.0, 8.0]), beams=3)
    assert vector.values.dtype == np.float32
    assert vector.values.tolist() == [2, 4, 8]
    assert vector.valid.tolist() == [True]
    assert vector.notes == {}


def test_sectors_are_as_equal_as_whole_ranges_allow():
    # 7 ranges in 3 sectors: [0, 2), [2, 4), [4, 7)
    vector = decode_scan(scan([1.0, 2.0, 4.0, 3.0, 7.0, 6.0, 5.0]), beams=3)
    assert vector.values.tolist() == [1, 3, 5]


def test_a_sector_without_an_obstacle_is_the_greatest_range():
    vector = decode_scan(scan([NAN, INF, -INF, 0.25, 10.5, 4.0]), beams=3)
    assert vector.values.tolist() == [10, 10, 4]
    assert vector.valid.tolist() == [True]


def test_both_limits_are_measured_themselves():
    vector = decode_scan(scan([0.5, 0.4375, 10.0, 10.0625]), beams=4)
    assert vector.values.tolist() == [0.5, 10, 10, 10]
    beyond = np.nextafter(np.float32(0.1), np.float32(0))  # as float32 has it, so has range_min
    assert decode_scan(scan([0.1, beyond], least=0.1), beams=2).values[0] == np.float32(0.1)


def test_zero_is_a_range_only_where_the_least_is_zero_and_never_negative():
    assert decode_scan(scan([0.0, 3.0], least=0.25), beams=1).values.tolist() == [3]
    found = decode_scan(scan([-0.0, 3.0], least=0.0), beams=1).values
    assert found.tolist() == [0]
    assert not np.signbit(found).any()


@pytest.mark.parametrize('hold', [list, np.array, lambda v: np.array(v, np.float32)])
def test_ranges_may_be_lists_or_ndarrays(hold):
    assert decode_scan(scan([3.0, 2.0], hold=hold), beams=2).values.tolist() == [3, 2]


@pytest.mark.parametrize(('n', 'beams'), [(1, 1), (5, 5), (64, 64), (101, 64), (1440, 37)])
def test_a_scan_is_what_the_letter_of_the_rule_makes_of_it(n, beams):
    random = np.random.default_rng(n * beams)
    ranges = random.uniform(0.0, 12.0, n).astype(np.float32)
    ranges[random.random(n) < 0.3] = random.choice([NAN, INF, -INF, 0.0])
    found = decode_scan(scan(ranges.tolist()), beams)
    assert found.values.tolist() == slow_scan(ranges.tolist(), 0.5, 10.0, beams)


@pytest.mark.parametrize('n', [0, 1, 7])
def test_a_scan_with_fewer_ranges_than_sectors_is_refused(n):
    with pytest.raises(Rejected) as caught:
        decode_scan(scan([1.0] * n), beams=8)
    assert caught.value.reason is Reason.ARRAY_SHORT
    assert caught.value.detail == f'ranges has {n} values, beams is 8'


LIMITS = [(NAN, 1.0), (0.0, NAN), (0.0, INF), (2.0, 1.0), (-1.0, 1.0), (0.0, 0.0), (0.0, 2.0**126)]


@pytest.mark.parametrize(('least', 'greatest'), LIMITS)
def test_limits_that_are_no_finite_interval_take_the_whole_message(least, greatest):
    reading = Message(range=1.0, min_range=least, max_range=greatest)
    for decode in (lambda: decode_scan(scan([1.0], least, greatest), 1),
                   lambda: decode_range(reading)):  # fmt: skip
        with pytest.raises(Rejected) as caught:
            decode()
        assert caught.value.reason is Reason.RANGE_LIMITS
        assert caught.value.detail == f'from {least} to {greatest}'


@pytest.mark.parametrize(
    ('measured', 'value'),
    [(1.5, 1.5), (0.125, 0.125), (4.0, 4.0), (4.5, 4.0), (INF, 4.0), (-INF, 0.0), (-0.0, 0.0)],
)
def test_a_range_is_at_most_the_greatest_and_what_is_too_near_is_zero(measured, value):
    vector = decode_range(Message(range=measured, min_range=0.25, max_range=4.0))
    assert vector.values.dtype == np.float32
    assert vector.values.tolist() == [value]
    assert math.copysign(1.0, vector.values[0]) == 1.0
    assert vector.valid.tolist() == [True]


def test_a_sensor_of_one_fixed_distance_tells_whether_something_is_there():
    found = [decode_range(Message(range=r, min_range=0.3, max_range=0.3)) for r in (INF, -INF)]
    assert [vector.values[0] for vector in found] == [np.float32(0.3), 0]


def test_a_range_that_is_none_is_refused():
    with pytest.raises(Rejected) as caught:
        decode_range(Message(range=NAN, min_range=0.25, max_range=4.0))
    assert caught.value.reason is Reason.NONFINITE
