# Copyright 2026 the robocache_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Every way to say when a point was measured, by hand."""

from __future__ import annotations

import numpy as np
import pytest

from robocache_ros.codec.stamp import stamp_ns
from robocache_ros.config import Config
from robocache_ros.decoding import Decoder
from robocache_ros.reasons import Reason
from robocache_ros.sim import LidarConfig, Robot, RobotConfig
from robocache_ros.sim.lidar import POINT
from robocache_ros.sim.messages import cloud_body
from robocache_ros.sim.time_field import date, with_time_field

POINTS = np.array([(1, 2, 3, 40, 5, 0.0), (6, 7, 8, 90, 10, 0.0625)], POINT)
START_NS = 1_700_000_000_500_000_000


def test_seconds_count_from_the_header_and_are_negative_before_it():
    assert with_time_field(POINTS, 'time', 0.0) is POINTS
    assert with_time_field(POINTS, 'time', 0.1)['time'] == pytest.approx([-0.1, -0.0375])


@pytest.mark.parametrize('name', ['t', 'offset_time', 'time_stamp'])
@pytest.mark.parametrize('header_sec', [0.0, 0.05, 0.1])
def test_nanoseconds_count_from_the_start_of_the_sweep(name, header_sec):
    points = with_time_field(POINTS, name, header_sec)
    assert points.dtype[name] == np.uint32
    assert points[name].tolist() == [0, 62_500_000]
    assert points.dtype.itemsize == 22
    assert 'time' not in points.dtype.names


def test_a_timestamp_is_absolute_and_dated_when_the_start_is_known():
    body = cloud_body(with_time_field(POINTS, 'timestamp', 0.1))
    dated = date(body, 'timestamp', START_NS)
    points = np.frombuffer(dated['data'], with_time_field(POINTS, 'timestamp', 0.1).dtype)
    assert points['timestamp'].tolist() == [1_700_000_000.5, 1_700_000_000.5625]
    assert points['ring'].tolist() == [5, 10]
    again = date(body, 'timestamp', START_NS)
    assert again['data'] == dated['data']  # the body that is kept was not written to


def test_without_a_time_field_everything_else_is_there():
    points = with_time_field(POINTS, 'none', 0.0)
    assert points.dtype.names == ('x', 'y', 'z', 'intensity', 'ring')
    assert points['z'].tolist() == [3, 8]
    body = cloud_body(points)
    assert (body['point_step'], body['row_step']) == (18, 36)
    assert date(body, 'none', START_NS) is body


def test_the_fields_of_the_message_say_their_types():
    body = cloud_body(with_time_field(POINTS, 'timestamp', 0.0))
    assert [(f.name, f.offset, f.datatype) for f in body['fields']][-2:] == [
        ('ring', 16, 4),
        ('timestamp', 18, 8),
    ]
    body = cloud_body(with_time_field(POINTS, 't', 0.0))
    assert (body['fields'][-1].name, body['fields'][-1].datatype) == ('t', 6)


@pytest.mark.parametrize('stamp_at', ['start', 'middle', 'end'])
@pytest.mark.parametrize('name', ['time', 't', 'offset_time', 'time_stamp', 'timestamp'])
def test_the_node_reads_from_every_layout_when_the_points_were_measured(name, stamp_at):
    lidar = LidarConfig(rings=4, columns=400, time_field=name, stamp_at=stamp_at)
    robot = Robot(RobotConfig(lidar=lidar))
    message = robot.message('lidar', 300_000_000, START_NS)
    source = {'deskew.imu': 'imu', 'base_frame': 'base_link', 'lidar.stamp_at': stamp_at}
    config = Config.from_mapping(source)
    decode = Decoder(config.source('lidar'), config.deskew)
    t_ns, cloud = decode(message, stamp_ns(message.header))
    since = np.rint(robot.sweep(0.3).points['time'].astype(np.float64) * 1e9)
    true = START_NS + since.astype(np.int64)
    # A float32 has steps of 7 ns in a sweep, a float64 of 240 ns since the epoch.
    assert np.abs(cloud.times.at(cloud.column(name)) - true).max() < 250
    assert t_ns == cloud.times.last_ns
    assert abs(t_ns - START_NS - 99_750_000) < 250


def test_the_node_finds_no_times_where_there_are_none():
    robot = Robot(RobotConfig(lidar=LidarConfig(rings=4, columns=400, time_field='none')))
    config = Config.from_mapping({'deskew.imu': 'imu', 'base_frame': 'base_link'})
    decode = Decoder(config.source('lidar'), config.deskew)
    t_ns, cloud = decode(robot.message('lidar', 0, START_NS), START_NS)
    assert (t_ns, cloud.times) == (START_NS, None)
    assert cloud.notes == {Reason.POINT_TIME_MISSING: 1}


@pytest.mark.parametrize(
    ('wrong', 'sentence'),
    [
        ({'time_field': 'zeit'}, 'time_field zeit must be one of time, t, offset_time'),
        ({'stamp_at': 'now'}, 'stamp_at now must be one of start, middle, end'),
    ],
)
def test_what_no_driver_does_is_refused(wrong, sentence):
    with pytest.raises(ValueError, match=sentence):
        LidarConfig(**wrong)
