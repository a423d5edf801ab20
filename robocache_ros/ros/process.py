# Copyright 2026 the robocache_ros authors
# SPDX-License-Identifier: Apache-2.0
"""A process that runs one node: its executor, its signals, its exit code."""

from __future__ import annotations

import logging
import os
import signal
import sys
import threading
import traceback
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import rclpy
from rclpy.clock import Clock, ClockType
from rclpy.executors import ExternalShutdownException, SingleThreadedExecutor

from robocache_ros.backends import abandoned

_SIGNALS = (signal.SIGINT, signal.SIGTERM)
_AWAKE_SEC = 0.5
_ERRORS_LOGGED = 5
_ERRORS_IN_A_ROW = 100
_MIXED_NUMBERS = 'Sequence should be of same type'  # as rcl says it
_WRITE_ALIKE = '\nIn a list write all numbers alike: 0.0, not 0, beside 1.5.'


class _Executor(SingleThreadedExecutor):
    """The single-threaded one: the multi-threaded one collapses under the load of a robot."""

    # rclpy's destructor needs it even where a signal came while the executor was being made.
    _sigint_gc = None


def run(make_node: Callable[[], Any], args: Sequence[str] | None = None) -> int:
    """
    Spin a node until SIGINT or SIGTERM (0), or until its autostart has failed (1).

    For a process that then ends: both signals are ignored from there on.

    Args:
        make_node: makes the node, which has an attribute `autostart_failed`.
        args: the command line, by default that of the process.
    """
    stopped = _signals()
    node = None
    try:
        rclpy.init(args=None if args is None else list(args))
        node = make_node()
        _keep_awake(node)
        executor = _Executor()
    except Exception as error:
        if not stopped:  # else: interrupted halfway, when ROS reports all kinds of errors
            if not isinstance(error, (RuntimeError, ValueError)):  # what ROS calls bad arguments
                raise
            mixed = _MIXED_NUMBERS in str(error)
            print(f'Can not start: {error}{_WRITE_ALIKE if mixed else ""}', file=sys.stderr)
    else:
        executor.add_node(node)
        with _core_log(node.get_logger()):
            _spin(executor, node, stopped)
        executor.shutdown()
    failed = node is None or node.autostart_failed
    if node is not None:
        node.destroy_node()
    rclpy.get_default_context().try_shutdown()  # rclpy.try_shutdown is not in Humble
    # While it winds up the interpreter goes back to the default, which is to die of a signal.
    for number in _SIGNALS:
        signal.signal(number, signal.SIG_IGN)
    code = 1 if failed and not stopped else 0
    if abandoned.any_kept() or any(thread.daemon for thread in threading.enumerate()):
        _leave(code)
    return code


def _leave(code: int) -> None:
    """
    End here and now, without winding the interpreter up.

    That would call the driver of a device that hangs, or kill a thread in the midst of a
    compilation, which C++ answers with an abort.
    """
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


def _signals() -> list[int]:
    """
    Collect the signals that ask to end, from now on.

    Without this SIGINT raises KeyboardInterrupt wherever the interpreter is, a second one in the
    middle of the shutdown. rclpy's own handlers call these and shut the context down, which wakes
    the executor.
    """
    stopped: list[int] = []
    for number in _SIGNALS:
        signal.signal(number, lambda received, _: stopped.append(received))
    return stopped


def _keep_awake(node: Any) -> None:
    """
    Let the executor look around twice a second.

    Now and then (1 in 20) a signal does not wake it: without this a node that hears nothing would
    sleep on until something arrives.
    """
    clock = Clock(clock_type=ClockType.STEADY_TIME)
    node.create_timer(_AWAKE_SEC, lambda: None, clock=clock)


def _spin(executor: SingleThreadedExecutor, node: Any, stopped: list[int]) -> None:
    logged: set[str] = set()
    errors = 0
    while executor.context.ok() and not stopped and not node.autostart_failed:
        try:
            executor.spin_once()
            errors = 0
        except ExternalShutdownException:
            return
        # Callbacks handle their own errors, but rclpy has some as well, and none of them should
        # stop a robot.
        except Exception as error:
            errors += 1
            if not executor.context.ok() or stopped:
                return
            if errors >= _ERRORS_IN_A_ROW:
                raise
            if str(error) not in logged and len(logged) < _ERRORS_LOGGED:
                logged.add(str(error))
                node.get_logger().error(f'Went on after an error. {traceback.format_exc()}')


@contextmanager
def _core_log(logger: Any) -> Iterator[None]:
    """Send what the core logs, which knows no ROS, to the log of the node."""
    handler = _Forward(logger)
    core = logging.getLogger('robocache_ros')
    level = core.level
    core.addHandler(handler)
    core.setLevel(logging.INFO)
    try:
        yield
    finally:
        core.setLevel(level)
        core.removeHandler(handler)


class _Forward(logging.Handler):
    def __init__(self, logger: Any) -> None:
        super().__init__()
        self._logger = logger

    def emit(self, record: logging.LogRecord) -> None:
        # One call for each level: rclpy refuses a call site that changes its level.
        if record.levelno >= logging.ERROR:
            self._logger.error(record.getMessage())
        elif record.levelno >= logging.WARNING:
            self._logger.warning(record.getMessage())
        else:
            self._logger.info(record.getMessage())
