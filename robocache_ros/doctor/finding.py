# Copyright 2026 the robocache_ros authors
# SPDX-License-Identifier: Apache-2.0
"""One thing that was looked at: how it is, in a sentence, and what to do about it."""

from __future__ import annotations

import re
from enum import IntEnum
from typing import NamedTuple

# Up to the first colon that stands neither in brackets nor in code.
_COLON = re.compile(r'(?:[^:(`]|\([^)]*\)|`[^`]*`|:(?! ))*: ')


class Level(IntEnum):
    """How bad it is."""

    FINE = 0
    WARNING = 1  # odd, or worth a thought
    ERROR = 2  # keeps the node from working


class Finding(NamedTuple):
    """What was found about one thing; what is fine needs no fix."""

    level: Level
    about: str
    sentence: str
    fix: str = ''


def fine(about: str, sentence: str) -> Finding:
    """Return that all is well."""
    return Finding(Level.FINE, about, sentence)


def warning(about: str, sentence: str, fix: str) -> Finding:
    """Return what is odd, or worth a thought."""
    return Finding(Level.WARNING, about, sentence, fix)


def error(about: str, sentence: str, fix: str) -> Finding:
    """Return what keeps the node from working."""
    return Finding(Level.ERROR, about, sentence, fix)


def told(level: Level, about: str, text: str) -> Finding:
    """Return the finding of a text that has its fix behind a colon, as those of the node have."""
    colon = _COLON.match(text)
    sentence, fix = (text[: colon.end() - 2], text[colon.end() :]) if colon else (text, '')
    return Finding(level, about, *(_sentence(part) for part in (sentence, fix)))


def _sentence(text: str) -> str:
    text = text.strip().rstrip('.')
    return f'{text[:1].upper()}{text[1:]}.' if text else ''


def mebibytes(nbytes: int) -> str:
    """Return '64 MiB', '0.5 MiB' or '78.3 GiB'."""
    if nbytes >= 2**30:
        return f'{nbytes / 2**30:.1f} GiB'
    return f'{nbytes / 2**20:.0f} MiB' if nbytes >= 2**20 else f'{nbytes / 2**20:.1f} MiB'
