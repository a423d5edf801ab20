# Copyright 2026 the robocache_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The time of a message."""

from __future__ import annotations

from typing import Any

from robocache_ros.reasons import Reason, Rejected

NS_PER_SEC = 1_000_000_000


def stamp_ns(header: Any) -> int:
    """
    Nanoseconds since the epoch of a std_msgs/Header, as a Python integer.

    Raises Rejected where the stamp is unset (zero), negative, or not normalised.
    """
    sec, nanosec = int(header.stamp.sec), int(header.stamp.nanosec)
    if sec == 0 and nanosec == 0:
        raise Rejected(Reason.STAMP_UNSET, 'the header stamp is zero')
    if sec < 0 or not 0 <= nanosec < NS_PER_SEC:
        raise Rejected(Reason.STAMP_INVALID, f'sec {sec}, nanosec {nanosec}')
    return sec * NS_PER_SEC + nanosec
