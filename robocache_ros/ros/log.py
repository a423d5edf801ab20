# Copyright 2026 the robocache_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The log of a node: so many lines a minute and no more, as text or as JSON."""

from __future__ import annotations

import json
import os
import threading
import time
from collections.abc import Callable, MutableMapping
from datetime import datetime, timezone
from typing import Any

from rclpy.impl import rcutils_logger
from rclpy.impl.rcutils_logger import RcutilsLogger
from rclpy.logging import LoggingSeverity

from robocache_ros.ros.ticks import LineBudget
from robocache_ros.ros.verdicts import amount

# Whatever arrives. Errors have a share of their own, which no flood of warnings takes away.
LINES_A_MINUTE = 48
ERRORS_A_MINUTE = 12
FORMAT = 'ROBOCACHE_LOG_FORMAT'
_FORMATS = ('text', 'json')
_CONSOLE = 'RCUTILS_CONSOLE_OUTPUT_FORMAT'

# A line is of the file that says it, not of this one: rclpy knows each call by its place, and
# wants its level and its throttling to stay as they are.
rcutils_logger._internal_callers.append(os.path.realpath(__file__))


class NodeLogger(RcutilsLogger):
    """The logger of a node, which counts what it leaves out; from any thread."""

    def __init__(self, name: str, now_ns: Callable[[], int] = time.monotonic_ns) -> None:
        """
        Log under the name of a node, as ROS writes it there: 'robot_1.preprocessor'.

        Raises:
            ValueError: where ROBOCACHE_LOG_FORMAT is set to what is no format.
        """
        super().__init__(name)
        self._now_ns = now_ns
        self._json = asks_for_json(os.environ)
        # Of a thread: what is destroyed while a line is written may have something to say too.
        self._lock = threading.RLock()
        # Of what is an error, and of what is not.
        self._budgets = {True: LineBudget(ERRORS_A_MINUTE), False: LineBudget(LINES_A_MINUTE)}
        self._left_out = {True: 0, False: 0}

    def log(self, message: str, severity: Any, name: str | None = None, **filters: Any) -> bool:
        """As in rclpy, but False as well where there have been too many lines."""
        if severity <= LoggingSeverity.DEBUG:  # who asks for these wants them all
            return bool(super().log(message, severity, name, **filters))
        if not self.is_enabled_for(severity):
            return False
        is_error = severity >= LoggingSeverity.ERROR
        budget = self._budgets[is_error]
        with self._lock:
            now_ns = self._now_ns()
            if budget.is_spent(now_ns):
                self._left_out[is_error] += 1
                return False
            line = self._line(str(message), LoggingSeverity(severity), self._left_out[is_error])
            told = bool(super().log(line, severity, name, **filters))
            if told:
                budget.spend(now_ns)
                self._left_out[is_error] = 0
            return told

    def _line(self, message: str, severity: Any, left_out: int) -> str:
        if not self._json:
            more = f' ({amount(left_out, "line")} left out before this one.)' if left_out else ''
            return message + more
        about = {
            'time': datetime.now(timezone.utc).isoformat(timespec='microseconds'),
            'level': severity.name,
            'node': '/' + self.name.replace('.', '/'),
            'message': message,
        }
        return json.dumps(about | ({'left_out': left_out} if left_out else {}), ensure_ascii=False)


class BoundedLog:
    """A node whose logger is such a one; before the class of rclpy among the bases."""

    _node_logger: NodeLogger | None = None

    def get_logger(self) -> NodeLogger:
        """As in rclpy, which calls it before its constructor has come to an end."""
        if self._node_logger is None:
            node: Any = super()
            self._node_logger = NodeLogger(node.get_logger().name)
        return self._node_logger


def asks_for_json(environment: MutableMapping[str, str]) -> bool:
    """Whether ROBOCACHE_LOG_FORMAT is json; ValueError where it is what nobody knows."""
    wanted = environment.get(FORMAT) or 'text'
    if wanted not in _FORMATS:
        raise ValueError(f'{FORMAT} must be {" or ".join(_FORMATS)}, not {wanted!r}')
    return wanted == 'json'


def prepare_console(environment: MutableMapping[str, str]) -> None:
    """
    Let lines of JSON be all that is on them, unless the user has a format of his own.

    Before anything of ROS that might log, such as the parser of its arguments.
    """
    if asks_for_json(environment):
        environment.setdefault(_CONSOLE, '{message}')
