# Copyright 2026 the robocache_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The log of a node has so many lines a minute and no more, and may be JSON."""

from __future__ import annotations

import json
import sys
from datetime import datetime

import pytest
from rclpy.logging import LoggingSeverity

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
    assert logger.warning('still told')


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


def test_every_line_of_a_process_of_ours_is_json_if_asked_for(start_process, wait_until):
    process = start_process(sys.executable, '-m', 'robocache_ros', 'node', env={FORMAT: 'json'})
    wait_until(lambda: 'lidar from' in process.log.read_text(), 30, 'the node to be configured')
    process.terminate()
    assert process.wait(10) == 0
    lines = [json.loads(line) for line in process.log.read_text().splitlines()]
    assert {line['node'] for line in lines} == {'/preprocessor'}


def test_a_process_refuses_a_format_that_nobody_knows(start_process):
    process = start_process(sys.executable, '-m', 'robocache_ros', 'node', env={FORMAT: 'xml'})
    assert process.wait(30) == 1
    assert process.log.read_text() == (
        "Can not start: ROBOCACHE_LOG_FORMAT must be text or json, not 'xml'\n"
    )
