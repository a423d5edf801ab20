# Copyright 2026 the robocache_ros authors
# SPDX-License-Identifier: Apache-2.0
"""A block of text that is redrawn in place on a terminal, and printed now and then elsewhere."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from typing import TextIO


class Screen:
    """Shows the newest version of some lines."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._in_place = stream.isatty()
        self._height = 0
        # A log is read later: few blocks, not a film.
        self.period_sec = 0.5 if self._in_place else 5.0

    def show(self, lines: Sequence[str]) -> None:
        """Replace what was shown before."""
        if self._in_place:
            self._stream.write(f'\x1b[{self._height}F\x1b[J' if self._height else '')
            # A line that wraps would be two, and the next block would begin in the wrong place.
            width = shutil.get_terminal_size().columns or 80  # a terminal of unknown size
            lines = [line[:width] for line in lines]
        self._stream.writelines(f'{line}\n' for line in lines)
        self._stream.flush()
        self._height = len(lines)
