# Copyright 2026 the robocache_ros authors
# SPDX-License-Identifier: Apache-2.0
"""
What must never be touched again, not even by its destructor: objects of a device that hangs.

To free them would mean to call the driver, which may not return. So they stay for as long as the
process does, and a process that has some should end by `os._exit`.
"""

from __future__ import annotations

import ctypes

_kept: list[object] = []


def keep_for_ever(*things: object) -> None:
    """Keep objects, and all that they refer to, from ever being destroyed."""
    for thing in things:
        _kept.append(thing)
        # The interpreter empties this module when it winds up; this reference nobody gives back.
        ctypes.pythonapi.Py_IncRef(ctypes.py_object(thing))


def any_kept() -> bool:
    """Whether this process has such objects."""
    return bool(_kept)
