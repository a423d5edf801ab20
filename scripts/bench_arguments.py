# Copyright 2026 the robocache_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The command line of the benchmark; needs nothing installed, so that --help is at once."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from robocache_ros.demo.output_file import output_file  # noqa: E402

ABOUT = """
Times what this package computes on the CPU beside whatever peers are installed.

All implementations of a case take turns in one process, so that they meet the same machine; look
at the ratios, not at the milliseconds: `x` says how many times as long as ours.
"""


def parse_arguments() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(prog='bench', description=ABOUT)
    parser.add_argument('--json', type=output_file, metavar='FILE', help='write the results there')
    parser.add_argument('--only', default='', metavar='TEXT', help='cases with TEXT in the name')
    parser.add_argument(
        '--seconds', type=float, default=3.0, help='about how long to spend on each case (3)'
    )
    return parser.parse_args()


if __name__ == '__main__':
    parse_arguments()
