# Copyright 2026 the robocache_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The log of a node has so many lines a minute and no more, and may be JSON."""

from __future__ import annotations

import itertools
import json
import math
import sys
from datetime import datetime

import pytest
from nav_msgs.msg import Odometry
from rclpy.logging import LoggingSeverity
from rig import START_NS, cloud, header, image, imu, level, values
from sensor_msgs.msg import CompressedImage, Image, Imu, JointState, PointCloud2

from robocache_ros.ros.log import (
    ERRORS_A_MINUTE,
    FORMAT,
    LINES_A_MINUTE,
    NodeLogger,
    prepare_console,
)

MINUTE_NS = 60_000_000_000
MOST_LINES = 60


class Clock:
    now_ns = 1

    def __call__(self):
        return self.now_ns


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def said(capfd):
    """Give a function that returns the lines that have come on the console since it was called."""
    return lambda: capfd.readouterr().err.splitlines()


def test_a_minute_has_sixty_lines_and_the_first_one_after_it_tells_how_many_were_left_out(
    clock, said
):
    logger = NodeLogger('robot.filter', clock)
    for second in range(120):
        clock.now_ns = 1 + second * MINUTE_NS // 120
        logger.warning(f'warning {second}')
        logger.error(f'error {second}')
    lines = said()
    assert len(lines) == LINES_A_MINUTE + ERRORS_A_MINUTE == MOST_LINES
    assert 'left out' not in ''.join(lines)
    clock.now_ns = 2 * MINUTE_NS
    assert logger.info('later')
    assert logger.info('still later')
    first, second = said()
    left_out = 120 - LINES_A_MINUTE
    assert first.endswith(f'later ({left_out} lines left out before this one.)')
    assert second.endswith('still later')


def test_a_flood_of_warnings_takes_no_line_from_the_errors(clock, said):
    logger = NodeLogger('filter', clock)
    for n in range(100):
        logger.warning(f'warning {n}')
    assert not logger.info('one more')
    assert logger.error('an error')
    assert said()[-1].startswith('[ERROR]')


def test_what_is_below_the_level_or_throttled_takes_no_line_from_others(clock, said):
    logger = NodeLogger('quiet_filter', clock)
    logger.set_level(LoggingSeverity.WARN)
    for _ in range(100):
        logger.info('below')
        logger.warning('throttled', throttle_duration_sec=1e6)
    assert len(said()) == 1
    assert all(logger.warning(f'told {n}') for n in range(LINES_A_MINUTE - 1))
    assert not logger.warning('too many')
    assert not logger.info('below')
    clock.now_ns += MINUTE_NS
    logger.warning('later')
    assert said()[-1].endswith('later (1 line left out before this one.)')


def test_who_asks_for_debug_gets_all_of_it(clock, said):
    logger = NodeLogger('loud_filter', clock)
    logger.set_level(LoggingSeverity.DEBUG)
    for n in range(100):
        assert logger.debug(f'detail {n}')
    assert len(said()) == 100
    assert logger.info('an information')


def test_a_line_is_of_the_place_that_says_it(rig):
    from rcl_interfaces.msg import Log

    node = rig.node(autostart=False)
    heard = rig.collect(Log, '/rosout')
    rig.wait(lambda: rig.own.count_subscribers('/rosout'), 'the log')
    rig.wait(lambda: node.get_logger().info('here') and heard, 'a line')
    assert heard[-1].file == __file__
    assert heard[-1].function == '<lambda>'


def test_json_is_one_line_even_of_a_traceback(clock, said, monkeypatch):
    monkeypatch.setenv(FORMAT, 'json')
    logger = NodeLogger('robot_1.filter', clock)
    for _ in range(LINES_A_MINUTE):
        logger.warning('lidar: "quoted"\nTraceback')
    assert not logger.warning('too many')
    clock.now_ns += 2 * MINUTE_NS
    logger.info('µ')
    lines = said()
    assert len(lines) == LINES_A_MINUTE + 1
    first, last = (json.loads(line[line.index('{') :]) for line in (lines[0], lines[-1]))
    assert datetime.fromisoformat(first.pop('time')).utcoffset().total_seconds() == 0
    assert first == {
        'level': 'WARN',
        'node': '/robot_1/filter',
        'message': 'lidar: "quoted"\nTraceback',
    }
    assert last.pop('time')
    assert last == {'level': 'INFO', 'node': '/robot_1/filter', 'message': 'µ', 'left_out': 1}


def test_a_format_that_nobody_knows_is_refused(monkeypatch):
    monkeypatch.setenv(FORMAT, 'xml')
    with pytest.raises(ValueError, match="ROBOCACHE_LOG_FORMAT must be text or json, not 'xml'"):
        NodeLogger('filter')


def test_the_console_shows_nothing_beside_json_unless_the_user_has_a_format():
    environment = {}
    prepare_console(environment)
    assert environment == {}
    environment = {FORMAT: 'json'}
    prepare_console(environment)
    assert environment['RCUTILS_CONSOLE_OUTPUT_FORMAT'] == '{message}'
    environment = {FORMAT: 'json', 'RCUTILS_CONSOLE_OUTPUT_FORMAT': '[{name}] {message}'}
    prepare_console(environment)
    assert environment['RCUTILS_CONSOLE_OUTPUT_FORMAT'] == '[{name}] {message}'


@pytest.mark.parametrize(('command', 'told'), [('node', 'No publisher'), ('prometheus', 'http')])
def test_every_line_of_a_process_of_ours_is_json_if_asked_for(
    command, told, start_process, wait_until
):
    argv = ['--port=0'] if command == 'prometheus' else []
    ros_argv = ['--ros-args', '-p', 'sources:=[lidar]'] if command == 'node' else []
    argv = [sys.executable, '-m', 'robocache_ros', command, *argv, *ros_argv]
    process = start_process(*argv, env={FORMAT: 'json'})
    # Of a node long after its transitions: rcl has lines of its own about a signal in one.
    wait_until(lambda: told in process.log.read_text(), 30, 'a line')
    process.terminate()
    assert process.wait(10) == 0
    lines = [json.loads(line) for line in process.log.read_text().splitlines()]
    assert len({line['node'] for line in lines}) == 1
    assert told in lines[-1]['message']


def test_a_process_refuses_a_format_that_nobody_knows(start_process):
    process = start_process(sys.executable, '-m', 'robocache_ros', 'node', env={FORMAT: 'xml'})
    assert process.wait(30) == 2
    last = process.log.read_text().splitlines()[-1]
    assert last.endswith("error: ROBOCACHE_LOG_FORMAT must be text or json, not 'xml'")


def changed(message, **attributes):
    """Return a message with other attributes; header__stamp__sec is one of its header."""
    for path, value in attributes.items():
        *parents, name = path.split('__')
        owner = message
        for parent in parents:
            owner = getattr(owner, parent)
        setattr(owner, name, value)
    return message


def bad(make):
    """Yield messages that nothing can be made of: what all types have in common."""
    yield changed(make(), header__stamp__sec=0, header__stamp__nanosec=0)
    yield changed(make(), header__stamp__sec=-1)
    yield changed(make(), header__stamp__nanosec=2**31)


def bad_clouds():
    def cloud_now():
        return cloud(START_NS)

    yield from bad(cloud_now)
    yield changed(cloud_now(), width=2**31)
    yield changed(cloud_now(), width=3)
    yield changed(cloud_now(), fields=cloud_now().fields[1:])
    yield changed(cloud_now(), fields=[changed(cloud_now().fields[0], offset=99)])


def bad_images(make, **attributes):
    yield from bad(make)
    for name, value in attributes.items():
        yield changed(make(), **{name: value})


def bad_vectors(make, *fields):
    yield from bad(make)
    for field in fields:
        yield changed(make(), **{field: math.nan})


LIDARS = ['rear', 'left', 'right']
BAD = {
    **{name: (PointCloud2, f'{name}/points', bad_clouds) for name in ('lidar', *LIDARS)},
    'camera': (
        Image,
        'camera/image',
        lambda: bad_images(lambda: image(START_NS), encoding='secret', step=1, width=1),
    ),
    'jpeg': (
        CompressedImage,
        'jpeg/image',
        lambda: bad_images(
            lambda: CompressedImage(header=header(START_NS), format='jpeg'), format='gif'
        ),
    ),
    'imu': (
        Imu,
        'imu/data',
        lambda: bad_vectors(lambda: imu(START_NS), 'angular_velocity__z'),
    ),
    'odom': (
        Odometry,
        'odom',
        lambda: bad_vectors(lambda: Odometry(header=header(START_NS)), 'pose__pose__position__x'),
    ),
    'joints': (
        JointState,
        'joint_states',
        lambda: bad(lambda: JointState(header=header(START_NS), name=['elbow'])),
    ),
}
LOOKS = 60  # a minute of them


def test_a_minute_of_nothing_but_bad_messages_on_every_source_is_sixty_lines(rig, said):
    node = rig.active(
        sources=list(BAD),
        **{f'{name}__type': 'pointcloud2' for name in LIDARS},
        **{f'{name}__topic': f'{name}/points' for name in LIDARS},
        jpeg__type='compressed_image',
        jpeg__topic='jpeg/image',
        joints__joints=['elbow'],
    )
    publishers = {name: rig.publisher(kind, topic) for name, (kind, topic, _) in BAD.items()}
    rig.settle(node, *publishers.values())
    begun = len(said())
    messages = {name: itertools.cycle(list(make())) for name, (_, _, make) in BAD.items()}
    for _ in range(LOOKS):
        for name, publisher in publishers.items():
            rig.send(node, name, publisher, next(messages[name]))
        statuses = rig.diagnose(node)
    lines = said()
    assert begun + len(lines) <= MOST_LINES
    told = {name: status for name, status in statuses.items() if name.startswith('source')}
    for name, status in told.items():
        found = values(status)
        dropped = sum(int(n) for key, n in found.items() if key.startswith('dropped.'))
        assert dropped == int(found['received']) == LOOKS, name
        assert level(status) > 0
        assert any(f'{name.removeprefix("source ")}: ' in line for line in lines), name
