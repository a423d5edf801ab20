# Copyright 2026 the robocache_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The bytes of a message, whatever holds them."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from robocache_ros.reasons import Reason, Rejected

ByteArray = npt.NDArray[np.uint8]


def byte_view(data: Any, reason: Reason) -> ByteArray:
    """
    Bytes of `data` as uint8 [nbytes], without a copy.

    rclpy holds them in an `array.array('B')`, rosbags in an ndarray. What is no contiguous buffer
    of bytes is rejected with `reason`.
    """
    try:
        buffer = memoryview(data)
    except TypeError:
        raise Rejected(reason, f'data is a {type(data).__name__}, not bytes') from None
    if buffer.itemsize != 1 or not buffer.c_contiguous:
        raise Rejected(reason, f'data holds {buffer.format!r} items, not contiguous bytes')
    return np.frombuffer(buffer, np.uint8)


def shown(text: str, limit: int = 40) -> str:
    """Text of a message, quoted for a log line: hostile senders do not choose its length."""
    return repr(text if len(text) <= limit else text[: limit - 1] + '…')
