# Copyright 2026 the robocache_ros authors
# SPDX-License-Identifier: Apache-2.0
"""SIGINT and SIGTERM as a question instead of an exception."""

from __future__ import annotations

import signal
from collections.abc import Callable


def catch_stop_signals() -> Callable[[], bool]:
    """
    Catch both from now on; return the function that tells whether one has come.

    A KeyboardInterrupt in the middle of a ROS call comes out as some other error.
    """
    caught: list[int] = []
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda received, _: caught.append(received))
    return lambda: bool(caught)
