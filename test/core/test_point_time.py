# Copyright 2026 the robocache_ros authors
# SPDX-License-Identifier: Apache-2.0
"""What is taken for the times of points, and what is not: the rules, and values that lie."""

from __future__ import annotations

import contextlib
import logging
import re
from pathlib import Path

import numpy as np
import pytest
from codec_messages import INF, NAN, XYZ_FIELDS, but, cloud, header

from robocache_ros.codec.cloud import CloudView, decode_cloud
from robocache_ros.codec.point_clock import FIELD_NAMES, PointClock
from robocache_ros.codec.point_reading import Untimed
from robocache_ros.codec.point_time import PointTimes
from robocache_ros.config import CloudSource, DeskewConfig, ImuSource
from robocache_ros.decoding import Decoder
from robocache_ros.reasons import Reason

MS = 1_000_000
SECOND = 1_000_000_000
STAMP_NS = 1_700_000_000 * SECOND
MISSING, DOUBT = Reason.POINT_TIME_MISSING, Reason.POINT_TIME_DOUBT


class Source:
    """A clock, and the clouds that it is shown every 100 ms."""

    def __init__(self, *args, stamp_ns=STAMP_NS, period_ns=100 * MS, **kwargs):
        self.told = []
        self.clock = PointClock('top', *args, tell=lambda *news: self.told.append(news), **kwargs)
        self.stamp_ns = stamp_ns - period_ns
        self.period_ns = period_ns

    def shows(self, *, x=None, **fields):
        """Show one more cloud with these fields; return its times, or why it has none."""
        self.stamp_ns += self.period_ns
        n = len(next(iter(fields.values())))
        zeros = np.zeros(n, np.float32)
        columns = {'x': zeros if x is None else np.float32(x), 'y': zeros, 'z': zeros, **fields}
        try:
            return self.clock.read(CloudView.from_columns(columns), self.stamp_ns)
        except Untimed as untimed:
            return untimed.reason

    def ends_of(self, **fields):
        """Show a cloud; return the first and last time of its points, in ns from the header."""
        times = self.shows(**fields)
        return times.first_ns - self.stamp_ns, times.last_ns - self.stamp_ns


def until(last, dtype=np.float64, n=5):
    """Values that rise evenly from 0."""
    return np.linspace(0, last, n).astype(dtype)


# -- which field --------------------------------------------------------------------------------


@pytest.mark.parametrize('name', FIELD_NAMES)
def test_fields_are_known_by_name_however_that_is_written(name):
    for spelled in (name, name.upper(), name.title()):
        times = Source().shows(**{spelled: until(0.09375)})
        assert (times.field, times.last_ns) == (spelled, STAMP_NS + 93_750_000)


def test_of_several_fields_the_first_in_order_that_has_times_is_taken():
    fields = {'timestamp': until(90 * MS), 't': until(0.08), 'time': np.full(5, 7.0)}
    assert Source().shows(**fields).field == 't'
    fields['t'] = until(300.0, n=5) ** 4  # whatever it is, it lasts no sweep
    assert Source().shows(**fields).field == 'timestamp'
    del fields['timestamp']
    assert Source().shows(**fields) is DOUBT  # which says more than that `time` is constant
    fields = {'timestamp': until(90 * MS), 't': until(0.08), 'time': until(0.09)}
    assert Source().shows(**fields).field == 'time'


def test_fields_that_are_no_single_number_are_not_taken():
    fields = (*XYZ_FIELDS, ('time', 12, 7, 2), ('t', 20, 11, 1))
    view = decode_cloud(cloud([(0.0, 0.0, 0.0, (0.0, 0.05), False)] * 3, fields))
    with pytest.raises(Untimed, match="among 'x', 'y', 'z', 'time', 't'$"):
        PointClock('top').read(view, STAMP_NS)


@pytest.mark.parametrize('n', [1, 2, 5000])
def test_a_constant_is_no_time(n):
    source = Source()
    assert source.shows(time=np.zeros(n)) is MISSING
    assert source.told[0][1].startswith(
        'top: a cloud without times of its points (point_time_missing: `time` is 0 in all '
        'points). '
    )


def test_the_configured_field_is_taken_and_no_other():
    assert Source('hour').shows(time=until(0.09), hour=until(0.03125)).field == 'hour'
    assert Source('hour').shows(time=until(0.09)) is MISSING


def test_a_cloud_without_points_is_no_trouble_and_decides_nothing():
    source = Source()
    assert source.shows(time=np.zeros(0)) is None
    assert source.told == []
    assert source.ends_of(time=until(0.09375)) == (0, 93_750_000)


def test_the_documentation_lists_the_names_in_their_order():
    docs = Path(__file__).resolve().parents[2] / 'docs' / 'point_time.md'
    listed = docs.read_text(encoding='utf-8').split('1. **Field**')[1].split('in capitals')[0]
    assert tuple(re.findall('`([a-z_]+)`', listed)) == FIELD_NAMES


# -- which unit ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ('values', 'unit', 'last_ns'),
    [
        (until(0.09375, np.float32), 's', 93_750_000),
        (until(93.75, np.float32), 'ms', 93_750_000),
        (until(93750, np.float32), 'us', 93_750_000),
        (until(93_750_000, np.float32), 'ns', 93_750_000),
        (until(93, np.uint8), 'ms', 93 * MS),
        (until(60_000, np.uint16), 'us', 60 * MS),
        (until(93_750_000, np.int32), 'ns', 93_750_000),
        (until(93_750_000, np.uint64), 'ns', 93_750_000),
    ],
)
def test_the_unit_is_that_in_which_values_last_a_sweep(values, unit, last_ns):
    source = Source()
    assert source.ends_of(t=values) == (0, last_ns)
    assert f'({values.dtype.name}, {unit}, ' in source.clock.describe()


@pytest.mark.parametrize(('dtype', 'unit'), [(np.float32, 'auto'), (np.uint32, 's')])
def test_seconds_are_floats_or_configured(dtype, unit):
    source, integers = (Source(unit=one, period_ns=SECOND) for one in (unit, 'auto'))
    for _ in range(2):  # the first cloud is too long for a sensor whose period is not known
        times, doubt = source.shows(t=dtype([0, 1, 1])), integers.shows(t=np.uint32([0, 1, 1]))
    assert (times.scale, times.last_ns - times.first_ns) == (1e9, SECOND)
    assert doubt is DOUBT


@pytest.mark.parametrize('exponent', np.arange(-4, 11, 0.125))
def test_no_values_fit_two_units(exponent):
    last = 10.0**exponent
    fitting = [
        unit
        for unit, ns in (('s', 1e9), ('ms', 1e6), ('us', 1e3), ('ns', 1.0))
        if 2e6 <= last * ns <= 1.5e9
    ]
    assert len(fitting) <= 1
    source = Source(period_ns=2 * SECOND)
    source.shows(t=until(last))
    found = source.shows(t=until(last))
    assert (found is DOUBT) == (not fitting)
    assert all(f'(float64, {unit}, ' in source.clock.describe() for unit in fitting)


def test_milliseconds_and_microseconds_are_told_apart_by_the_period():
    # 1200 us of a sensor at 500 Hz, or 1200 ms of one at 1 Hz.
    slow, fast = Source(period_ns=SECOND), Source(period_ns=2 * MS)
    for _ in range(2):
        found = slow.shows(t=until(1200.0)), fast.shows(t=until(2200.0))
    assert [times.scale for times in found] == [1e6, 1e3]


def test_the_configured_unit_is_taken_as_long_as_that_makes_a_sweep():
    assert Source(unit='us').ends_of(t=until(9000, np.uint32)) == (0, 9 * MS)
    assert Source(unit='ms').shows(t=until(9000, np.uint32)) is DOUBT
    assert Source('t', 's').shows(t=np.uint32([0, 1])) is DOUBT  # no period known, so 0.5 s
    assert Source(unit='ns').shows(t=until(9000, np.uint32, n=1000)) is DOUBT


# -- counted from where -------------------------------------------------------------------------


@pytest.mark.parametrize(
    ('first', 'place'),
    [
        (0.0, 'at its start'),
        (-0.09375, 'at its end'),
        (-0.046875, 'at its middle'),
        (-0.0234375, '23.4375 ms after its start'),
        (0.5, '500 ms before its start'),
        (-0.25, '250 ms after its start'),
    ],
)
def test_small_values_count_from_the_header(first, place):
    source = Source()
    first_ns = round(first * SECOND)
    assert source.ends_of(time=first + until(0.09375)) == (first_ns, first_ns + 93_750_000)
    assert ', counted from the header): ' in source.clock.describe()
    assert source.clock.describe().endswith(f'with the stamp of the header {place}')


@pytest.mark.parametrize('dtype', [np.int64, np.uint64, np.float64])
def test_values_close_to_the_stamp_count_from_the_zero_of_its_clock(dtype):
    stamp_ns = STAMP_NS - STAMP_NS % 256  # what float64 holds exactly
    source = Source(stamp_ns=stamp_ns, period_ns=100 * MS)
    values = (stamp_ns - 25_600_000 + np.array([0, 512, 51_200_000])).astype(dtype)
    times = source.shows(stamp=values)
    assert (times.at(values) - stamp_ns).tolist() == [-25_600_000, -25_599_488, 25_600_000]
    assert ', counted from the zero of the header): ' in source.clock.describe()


def test_times_since_the_epoch_keep_the_digits_that_their_float_has():
    values = 1_700_000_000 + np.array([0.1, 0.2])  # as multiples of 2^-22 s, exactly:
    assert [value * 2**22 % 2**22 for value in values.tolist()] == [419430, 838861]
    ends_ns = Source().ends_of(timestamp=values)
    assert ends_ns == (round(419430 * 1e9 / 2**22), round(838861 * 1e9 / 2**22))


@pytest.mark.parametrize('ahead_sec', [37.0, -18.0, -1_699_995_000.0])
def test_values_of_another_clock_are_in_doubt_unless_it_is_known_what_the_header_stamps(ahead_sec):
    values = 1_700_000_000 + ahead_sec + until(0.09375)
    source = Source()
    assert source.shows(timestamp=values) is DOUBT
    assert source.clock.describe() == ''
    assert f'on another clock, {abs(ahead_sec) - (ahead_sec < 0) * 0.1:.1f} s' in source.told[0][1]
    for stamp_at, first_ns in (('start', 0), ('middle', -46_875_000), ('end', -93_750_000)):
        source = Source(stamp_at=stamp_at)
        assert source.ends_of(timestamp=values) == (first_ns, first_ns + 93_750_000)
        assert f', counted so that the header stamps the {stamp_at}): ' in source.clock.describe()


def test_where_it_is_configured_what_the_header_stamps_the_zero_of_small_values_is_of_no_account():
    for values in (until(0.09375), 0.25 - until(0.09375)):
        source = Source(stamp_at='end')
        for _ in range(2):  # each cloud has its own last point
            assert source.ends_of(time=values) == (-93_750_000, 0)


def test_while_a_simulated_clock_has_just_begun_both_zeros_are_possible():
    source = Source(stamp_ns=50 * MS)
    assert source.shows(time=until(0.09375)) is DOUBT  # from the header, or from 0 to 94 ms?
    source.stamp_ns = 500 * MS
    assert source.ends_of(time=until(0.09375)) == (0, 93_750_000)
    source = Source(stamp_ns=500 * MS)
    assert source.ends_of(time=0.5 + until(0.09375)) == (0, 93_750_000)
    assert 'counted from the zero of the header' in source.clock.describe()


# -- what can not be a sweep --------------------------------------------------------------------


def test_a_sweep_longer_than_two_periods_is_in_doubt():
    source = Source()
    assert source.ends_of(t=until(95 * MS, np.uint32)) == (0, 95 * MS)
    assert source.ends_of(t=until(199 * MS, np.uint32)) == (0, 199 * MS)
    assert source.shows(t=until(201 * MS, np.uint32)) is DOUBT
    assert source.told[-1][1].startswith(
        'top: a cloud without times of its points (point_time_doubt: `t` goes from 0 to '
        '201000000, which is 201 ms, and a sweep lasts 200 ms at most). Set `top.point_time`, '
    )


def test_a_share_of_the_sweep_is_no_time():
    source = Source()
    for _ in range(5):
        assert source.shows(time=until(1.0)) is DOUBT


def test_gaps_repeats_and_steps_back_of_stamps_do_not_change_the_period():
    source = Source()
    for late_ns in (0, 0, 900 * MS, -100 * MS, 0, -95 * MS, -5 * SECOND, 0, 0, 0, 0, 0):
        source.stamp_ns += late_ns
        source.shows(t=until(95 * MS, np.uint32))
    assert source.shows(t=until(201 * MS, np.uint32)) is DOUBT
    assert source.shows(t=until(199 * MS, np.uint32)).last_ns > 0


def test_a_slow_sensor_is_believed_as_soon_as_its_period_is_known():
    source = Source(period_ns=SECOND)
    assert source.shows(t=until(980 * MS, np.uint32)) is DOUBT
    assert source.ends_of(t=until(980 * MS, np.uint32)) == (0, 980 * MS)


def test_points_far_from_their_header_are_in_doubt():
    far = 1.4375 + until(0.0625)
    assert Source().ends_of(time=far) == (1_437_500_000, 1_500_000_000)
    assert Source().shows(time=1.5 + until(0.0625)) is DOUBT
    assert Source().shows(time=-1.5625 + until(0.0625)) is DOUBT


def test_a_sweep_that_lies_elsewhere_than_those_before_is_in_doubt_until_it_is_usual():
    source = Source()
    for _ in range(3):
        assert source.ends_of(time=until(0.0625)) == (0, 62_500_000)
    assert source.shows(time=0.9375 + until(0.0625)) is DOUBT
    assert source.ends_of(time=until(0.0625)) == (0, 62_500_000)
    for _ in range(8):
        assert source.shows(time=0.9375 + until(0.0625)) is DOUBT
    assert source.ends_of(time=0.9375 + until(0.0625)) == (937_500_000, 1_000_000_000)
    assert source.shows(time=until(0.0625)) is DOUBT


def test_times_that_run_away_from_the_header_are_in_doubt_for_good():
    source = Source()
    # Since the sensor was switched on, which is when the node started.
    begins = [0.09375 * k for k in range(15)]
    found = [source.shows(time=begin + until(0.0625)) for begin in begins]
    assert [times is DOUBT for times in found] == [False] * 4 + [True] * 11


def test_what_a_filter_leaves_of_a_sweep_may_begin_anywhere_in_it():
    source = Source()
    for first in (0.0, 0.0, 0.09375, 0.03125, 0.0):
        begin_ns, _ = source.ends_of(time=first + until(0.0078125))
        assert begin_ns == first * SECOND


@pytest.mark.parametrize('factor', [1000, 0.001, 1e6])
def test_a_unit_that_changes_in_mid_stream_is_in_doubt_and_forgiven_afterwards(factor):
    source = Source()
    sweep = until(95000, n=1000)
    assert source.ends_of(t=sweep) == (0, 95 * MS)
    assert source.shows(t=sweep * factor) is DOUBT
    assert source.shows(t=sweep * factor) is DOUBT
    assert source.ends_of(t=sweep) == (0, 95 * MS)
    assert [reason for reason, _ in source.told] == [None, DOUBT]
    assert ' us, ' in source.clock.describe()


def test_a_zero_that_changes_in_mid_stream_is_in_doubt():
    source = Source()
    assert source.ends_of(timestamp=1.7e9 + until(0.09375)) == (0, 93_750_000)
    assert source.shows(timestamp=until(0.09375)) is DOUBT


def test_the_few_points_that_a_filter_left_may_be_of_one_moment():
    source = Source()
    source.shows(t=until(95 * MS, np.uint32))
    assert source.ends_of(t=np.uint32([40 * MS, 40 * MS + 7])) == (40 * MS, 40 * MS + 7)
    assert source.ends_of(t=np.uint32([40 * MS])) == (40 * MS, 40 * MS)
    assert source.shows(t=until(1 * MS, np.uint32, n=1000)) is DOUBT
    assert source.shows(t=np.zeros(1000, np.uint32)) is DOUBT


def test_a_field_that_is_gone_is_missing():
    source = Source()
    source.shows(t=until(95 * MS, np.uint32), time=np.zeros(5))
    assert source.shows(time=until(0.095)) is MISSING
    assert [reason for reason, _ in source.told] == [None, MISSING]


def test_times_may_fall_and_repeat():
    source = Source()
    assert source.ends_of(time=np.array([0.0625, 0.03125, 0.03125, 0.0])) == (0, 62_500_000)


def test_one_counter_that_wraps_costs_one_cloud():
    source = Source(stamp_at='end')
    before = np.uint32(2**32 - 95 * MS - 8) + until(95 * MS, np.uint32)
    wrapped = np.array([2**32 - 8, 2**32 - 1, 0, 95 * MS], np.uint64).astype(np.uint32)
    assert source.ends_of(t=before) == (-95 * MS, 0)
    assert source.shows(t=wrapped) is DOUBT
    assert source.ends_of(t=until(95 * MS, np.uint32)) == (-95 * MS, 0)


def test_a_point_just_before_the_header_that_wraps_an_unsigned_counter_is_no_sweep():
    source = Source()
    source.shows(t=until(95 * MS, np.uint32))
    assert source.shows(t=np.uint32([2**32 - 400, 0, 95 * MS])) is DOUBT


@pytest.mark.parametrize('value', [NAN, INF, -INF, 1e300, -1e300, 1e25])
def test_values_that_are_no_numbers_or_absurd_are_in_doubt(value):
    sweep = np.array([0.0, 0.05, value])
    assert Source().shows(time=sweep) is DOUBT
    assert Source(unit='s', stamp_at='end').shows(time=sweep) is DOUBT
    source = Source()
    source.shows(time=until(0.09))
    assert source.shows(time=sweep) is DOUBT


@pytest.mark.parametrize('lie', [NAN, INF, 0.0, 1e300, -7.0])
def test_points_without_a_place_may_have_any_time(lie):
    source = Source()
    values = 1_700_000_000 + np.array([0.0, 0.0, 0.0625, 0.0])
    values[[0, 3]] = lie
    x = [NAN, 1.0, 2.0, INF]
    for _ in range(2):
        ends_ns = source.ends_of(
            timestamp=values + (source.stamp_ns + 100 * MS) % SECOND / SECOND, x=x
        )
        assert ends_ns == pytest.approx((0, 62_500_000), abs=240)


def test_a_cloud_of_which_no_point_has_a_place_is_no_trouble():
    source = Source()
    assert source.shows(time=[NAN, NAN], x=[NAN, NAN]) is None
    assert source.told == []


def test_big_endian_rows_with_padding_are_read_like_any_others():
    fields = (*XYZ_FIELDS, ('t', 12, 6, 1))
    points = [(0.0, 0.0, 0.0, k * 20 * MS) for k in range(6)]
    view = decode_cloud(cloud(points, fields, 19, width=3, padding=5, big_endian=True))
    times = PointClock('top').read(view, STAMP_NS)
    assert (times.first_ns, times.last_ns) == (STAMP_NS, STAMP_NS + 100 * MS)


# -- what is told -------------------------------------------------------------------------------


def test_each_trouble_is_told_once_and_the_decision_once(caplog):
    caplog.set_level(logging.INFO)
    clock = PointClock('top')
    columns = dict.fromkeys('xyz', np.zeros(3))
    for last in (0.0, 0.0, 1.0, 1.5, 0.0625, 0.0625, 1.0, 0.0):
        with contextlib.suppress(Untimed):
            clock.read(CloudView.from_columns({**columns, 'time': until(last, n=3)}), STAMP_NS)
    told = [(record.levelname, record.message.split('(')[1][:16]) for record in caplog.records]
    assert told == [
        ('WARNING', 'point_time_missi'),
        ('WARNING', 'point_time_doubt'),
        ('INFO', 'float64, s, coun'),
    ]


# -- the numbers --------------------------------------------------------------------------------


def test_the_time_of_a_value_is_rounded_to_even_nanoseconds():
    times = PointTimes('time', 1e9, 0.0, 1000, 1000, 1000)
    values = np.array([0.5e-9, 1.5e-9, 2.5e-9, -0.5e-9], np.float64)
    assert times.at(values).tolist() == [1000, 1002, 1002, 1000]
    assert times.at(values).dtype == np.int64
    assert times.shifted(-7) == PointTimes('time', 1e9, 0.0, 993, 993, 993)


# -- the decoder --------------------------------------------------------------------------------

TIMED_FIELDS = (*XYZ_FIELDS, ('time', 12, 7, 1))
GYRO = DeskewConfig(imu='imu')


def message(*times):
    points = [(1.0, 2.0, 3.0, time) for time in times]
    return but(cloud(points, TIMED_FIELDS), header=header(1_700_000_000, 0))


@pytest.mark.parametrize(
    ('to', 'ns'), [('end', 62_500_000), ('start', -31_250_000), ('header', 0)]
)
def test_a_cloud_is_of_the_time_that_deskew_asks_for(to, ns):
    decode = Decoder(CloudSource('top', time_offset_sec=0.5), DeskewConfig(imu='imu', to=to))
    t_ns, view = decode(message(-0.03125, 0.0625), STAMP_NS)
    assert t_ns == STAMP_NS + 500 * MS + ns
    assert view.times == PointTimes(
        'time',
        1e9,
        0.0,
        STAMP_NS + 500 * MS,
        STAMP_NS + 500 * MS - 31_250_000,
        STAMP_NS + 500 * MS + 62_500_000,
    )
    assert not view.notes


def test_a_cloud_without_times_is_of_the_time_of_its_header_and_says_why():
    decode = Decoder(CloudSource('top', time_offset_sec=0.5), GYRO)
    stale = but(message(0.0, 1.0), row_step=3)
    t_ns, view = decode(stale, STAMP_NS)
    assert (t_ns, view.times) == (STAMP_NS + 500 * MS, None)
    assert view.notes == {Reason.CLOUD_ROW_STEP: 1, DOUBT: 1}
    assert decode(message(0.0, 0.0), STAMP_NS)[1].notes == {MISSING: 1}


def test_an_empty_cloud_is_of_the_time_of_its_header_and_lacks_nothing():
    t_ns, view = Decoder(CloudSource('top'), GYRO)(message(), STAMP_NS)
    assert (t_ns, view.times, view.notes) == (STAMP_NS, None, {})


@pytest.mark.parametrize(
    ('deskew', 'point_time', 'looks'),
    [
        (DeskewConfig(), 'auto', False),
        (DeskewConfig(), 'none', False),
        (DeskewConfig(), 'time', True),
        (GYRO, 'auto', True),
        (GYRO, 'none', False),
        (DeskewConfig(odometry='odom'), 'auto', True),
        (DeskewConfig(fixed_frame='odom'), 'auto', True),
    ],
)
def test_nobody_looks_for_times_that_nobody_wants(deskew, point_time, looks):
    decode = Decoder(CloudSource('top', point_time=point_time), deskew)
    t_ns, view = decode(message(0.0, 0.0625), STAMP_NS)
    assert (decode.point_clock is not None) == looks
    assert (view.times is not None) == looks
    assert t_ns == STAMP_NS + looks * 62_500_000
    assert not view.notes


def test_only_clouds_have_points():
    assert Decoder(ImuSource('imu'), GYRO).point_clock is None


def test_the_parameters_of_the_source_decide():
    source = CloudSource('top', point_time='time', point_time_unit='ms', stamp_at='end')
    t_ns, view = Decoder(source, DeskewConfig())(message(2.0, 5.0), STAMP_NS)
    assert (t_ns, view.times.first_ns) == (STAMP_NS, STAMP_NS - 3 * MS)


def test_a_sweep_stamped_by_its_arrival_was_over_then_unless_it_is_configured_otherwise():
    source = CloudSource('top', stamp='receive', point_time='time')
    assert Decoder(source, GYRO)(message(0.0, 0.0625), STAMP_NS)[0] == STAMP_NS
    source = CloudSource('top', stamp='receive', point_time='time', stamp_at='start')
    assert Decoder(source, GYRO)(message(0.0, 0.0625), STAMP_NS)[0] == STAMP_NS + 62_500_000
