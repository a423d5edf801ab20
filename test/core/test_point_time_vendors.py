# Copyright 2026 the robocache_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Clouds as drivers send them, byte for byte: out come the times of points, or that none are."""

from __future__ import annotations

from typing import NamedTuple

import pytest
from codec_messages import NAN, XYZ_FIELDS, XYZI_FIELDS, cloud

from robocache_ros.codec.cloud import decode_cloud
from robocache_ros.codec.point_clock import PointClock
from robocache_ros.codec.point_reading import Untimed
from robocache_ros.reasons import Reason

SECOND = 1_000_000_000
EPOCH_SEC = 1_700_000_000
STAMP_NS = EPOCH_SEC * SECOND + 250_000_000  # 0.25 s, which binary fractions hold


class Driver(NamedTuple):
    """What a driver publishes, and what that means."""

    fields: tuple  # (name, offset, datatype, count); 2 uint8, 4 uint16, 6 uint32, 7 f32, 8 f64
    point_step: int
    points: list  # of values, in the order of the fields
    since_header_ns: tuple[int, ...]  # of each point; () if the points have no times
    said: str = ''
    width: int | None = None


XYZIRT = (*XYZI_FIELDS, ('ring', 16, 4, 1), ('timestamp', 18, 8, 1))
LIVOX = (*XYZI_FIELDS, ('tag', 16, 2, 1), ('line', 17, 2, 1))

DRIVERS = {
    # velodyne_pointcloud: seconds from the stamp, which is that of the last packet; the points of
    # that packet come after it. 2^-11 s are 488281.25 ns.
    'velodyne': Driver(
        (*XYZI_FIELDS, ('ring', 16, 4, 1), ('time', 18, 7, 1)),
        22,
        [
            (1.0, 2.0, 3.0, 9.0, 0, -0.09375),
            (1.5, 2.0, 3.0, 8.0, 15, -0.03125),
            (2.0, 2.0, 3.0, 7.0, 7, 2.0**-11),
        ],
        (-93_750_000, -31_250_000, 488_281),
        '`time` (float32, s, counted from the header): a sweep of 94.2383 ms, with the stamp of '
        'the header at its end',
    ),
    # ouster_ros::Point, 48 bytes with the padding of PCL: nanoseconds from the first column.
    'ouster': Driver(
        (
            *XYZ_FIELDS,
            ('intensity', 16, 7, 1),
            ('t', 20, 6, 1),
            ('reflectivity', 24, 4, 1),
            ('ring', 26, 4, 1),
            ('ambient', 28, 4, 1),
            ('range', 32, 6, 1),
        ),
        48,
        [
            (1.0, 2.0, 3.0, 9.0, 0, 60, 0, 5, 3742),
            (1.5, 2.0, 3.0, 9.0, 99_804_687, 60, 0, 5, 3905),
            (1.0, 2.0, 3.0, 9.0, 0, 60, 1, 5, 3742),
            (NAN, NAN, NAN, 0.0, 49_416_704, 0, 1, 0, 0),  # its packet was lost
        ],
        (0, 99_804_687, 0, 49_416_704),
        '`t` (uint32, ns, counted from the header): a sweep of 99.8047 ms, with the stamp of the '
        'header at its start',
        width=2,
    ),
    # HesaiLidar_ROS_2.0: seconds since the epoch; the stamp is the start of the frame.
    'hesai': Driver(
        XYZIRT,
        26,
        [
            (1.0, 2.0, 3.0, 9.0, 0, EPOCH_SEC + 0.25),
            (1.5, 2.0, 3.0, 8.0, 31, EPOCH_SEC + 0.296875),
            (2.0, 2.0, 3.0, 7.0, 4, EPOCH_SEC + 0.34375),
        ],
        (0, 46_875_000, 93_750_000),
        '`timestamp` (float64, s, counted from the zero of the header): a sweep of 93.75 ms, with '
        'the stamp of the header at its start',
    ),
    # rslidar_sdk with XYZIRT and ts_first_point false: the same fields, the stamp of the last
    # point, NaN where nothing came back.
    'robosense': Driver(
        XYZIRT,
        26,
        [
            (1.0, 2.0, 3.0, 9.0, 0, EPOCH_SEC + 0.15625),
            (NAN, NAN, NAN, 0.0, 1, EPOCH_SEC + 0.1875),
            (1.5, 2.0, 3.0, 8.0, 0, EPOCH_SEC + 0.21875),
            (2.0, 2.0, 3.0, 7.0, 1, EPOCH_SEC + 0.25),
        ],
        (-93_750_000, -62_500_000, -31_250_000, 0),
        '`timestamp` (float64, s, counted from the zero of the header): a sweep of 93.75 ms, with '
        'the stamp of the header at its end',
        width=2,
    ),
    # livox_ros_driver, PointCloud2: no time at all.
    'livox 1': Driver(LIVOX, 18, [(1.0, 2.0, 3.0, 9.0, 16, 0), (1.5, 2.0, 3.0, 9.0, 16, 1)], ()),
    # The CustomMsg of the same driver through livox_to_pointcloud2: offset_time as t.
    'livox 1 custom': Driver(
        (
            *XYZ_FIELDS,
            ('t', 12, 6, 1),
            ('intensity', 16, 7, 1),
            ('tag', 20, 2, 1),
            ('line', 21, 2, 1),
        ),
        22,
        [(1.0, 2.0, 3.0, 0, 9.0, 16, 0), (1.5, 2.0, 3.0, 99_990_000, 8.0, 16, 5)],
        (0, 99_990_000),
        '`t` (uint32, ns, counted from the header): a sweep of 99.99 ms, with the stamp of the '
        'header at its start',
    ),
    # livox_ros_driver2: nanoseconds since the epoch as float64, which are multiples of 256 there:
    # 1700000000250000000 = 6640625000976562.5 x 256 becomes the even neighbour, 128 ns less.
    'livox 2': Driver(
        (*LIVOX, ('timestamp', 18, 8, 1)),
        26,
        [
            (1.0, 2.0, 3.0, 9.0, 16, 0, float(STAMP_NS)),
            (1.5, 2.0, 3.0, 8.0, 16, 3, float(STAMP_NS + 99_840_128)),  # 390000.5 x 256
        ],
        (-128, 99_840_128),
        '`timestamp` (float64, ns, counted from the zero of the header): a sweep of 99.8403 ms, '
        'with the stamp of the header at its start',
    ),
    # Autoware and nebula, PointXYZIRCAEDT: nanoseconds from the stamp.
    'autoware': Driver(
        (
            *XYZ_FIELDS,
            ('intensity', 12, 2, 1),
            ('return_type', 13, 2, 1),
            ('channel', 14, 4, 1),
            ('azimuth', 16, 7, 1),
            ('elevation', 20, 7, 1),
            ('distance', 24, 7, 1),
            ('time_stamp', 28, 6, 1),
        ),
        32,
        [
            (1.0, 2.0, 3.0, 9, 1, 0, 0.5, 0.25, 3.75, 5_120),
            (1.5, 2.0, 3.0, 8, 1, 31, 0.75, 0.25, 3.75, 99_999_488),
        ],
        (5_120, 99_999_488),
        '`time_stamp` (uint32, ns, counted from the header): a sweep of 99.9944 ms, with the '
        'stamp of the header at its start',
    ),
    # The older PointXYZIRADT: seconds since the epoch, and padding before them.
    'autoware before 2024': Driver(
        (
            *XYZ_FIELDS,
            ('intensity', 16, 7, 1),
            ('ring', 20, 4, 1),
            ('azimuth', 24, 7, 1),
            ('distance', 28, 7, 1),
            ('return_type', 32, 2, 1),
            ('time_stamp', 40, 8, 1),
        ),
        48,
        [
            (1.0, 2.0, 3.0, 9.0, 0, 0.5, 3.75, 1, EPOCH_SEC + 0.203125),
            (1.5, 2.0, 3.0, 8.0, 31, 0.75, 3.75, 1, EPOCH_SEC + 0.296875),
        ],
        (-46_875_000, 46_875_000),
        '`time_stamp` (float64, s, counted from the zero of the header): a sweep of 93.75 ms, '
        'with the stamp of the header at its middle',
    ),
    # LIDAR_TOP as nuscenes2mcap packs it: the ring is a float, and there is no time.
    'nuscenes': Driver(
        (*XYZI_FIELDS, ('ring', 16, 7, 1)),
        20,
        [(1.0, 2.0, 3.0, 9.0, 0.0), (1.5, 2.0, 3.0, 8.0, 31.0)],
        (),
    ),
    # kitti2bag: the intensity is called i, and there is no time.
    'kitti': Driver(
        (*XYZ_FIELDS, ('i', 12, 7, 1)), 16, [(1.0, 2.0, 3.0, 0.5), (1.5, 2.0, 3.0, 0.25)], ()
    ),
}
TIMED = [name for name, driver in DRIVERS.items() if driver.since_header_ns]


def view_of(driver, big_endian=False):
    message = cloud(
        driver.points, driver.fields, driver.point_step, width=driver.width, big_endian=big_endian
    )
    return decode_cloud(message)


@pytest.mark.parametrize('big_endian', [False, True])
@pytest.mark.parametrize('name', TIMED)
def test_times_of_each_driver_are_those_that_it_published(name, big_endian):
    driver, told = DRIVERS[name], []
    clock = PointClock('top', tell=lambda *news: told.append(news))
    view = view_of(driver, big_endian)
    times = clock.read(view, STAMP_NS)
    since_ns = times.at(view.column(times.field)) - STAMP_NS
    assert tuple(since_ns) == driver.since_header_ns
    assert times.first_ns - STAMP_NS == min(driver.since_header_ns)
    assert times.last_ns - STAMP_NS == max(driver.since_header_ns)
    assert clock.describe() == driver.said
    sentence = (
        f'top: the time of each point is {driver.said}. If that is wrong, set top.point_time, '
        'top.point_time_unit or top.stamp_at.'
    )
    assert told == [(None, sentence)]


@pytest.mark.parametrize('name', [name for name in DRIVERS if name not in TIMED])
def test_drivers_without_times_are_said_to_have_none(name):
    driver, told = DRIVERS[name], []
    clock = PointClock('top', tell=lambda *news: told.append(news))
    with pytest.raises(Untimed) as untimed:
        clock.read(view_of(driver), STAMP_NS)
    assert untimed.value.reason is Reason.POINT_TIME_MISSING
    names = ', '.join(repr(field[0]) for field in driver.fields)
    assert untimed.value.detail == (
        f'no field that looks like it with one number per point among {names}'
    )
    assert [reason for reason, _ in told] == [Reason.POINT_TIME_MISSING]
    assert clock.describe() == ''
