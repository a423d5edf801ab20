# Copyright 2026 the robocache_ros authors
# SPDX-License-Identifier: Apache-2.0
"""A file that is named on a command line, to be written at the end of a run."""

from __future__ import annotations

import argparse
from pathlib import Path


def output_file(text: str) -> Path:
    """Return the path; refused at once where it can not be written, not after the run."""
    path = Path(text)
    existed = path.exists()
    try:
        with path.open('a'):
            pass
    except OSError as error:
        raise argparse.ArgumentTypeError(f'{text} can not be written: {error.strerror}') from error
    if not existed:
        path.unlink()
    return path
