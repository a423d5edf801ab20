# Copyright 2026 the robocache_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Command lines of programs that take arguments of ROS as well."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence

from rclpy.utilities import remove_ros_args

from robocache_ros.ros.log import prepare_console

_ROS_ARGUMENTS = """
arguments of ROS, as for any node:
  --ros-args -p NAME:=VALUE         set a parameter
  --ros-args --params-file FILE     set those in a file
  --ros-args -r FROM:=TO            rename a topic, or __node or __ns"""


def parse(parser: argparse.ArgumentParser, argv: Sequence[str] | None) -> argparse.Namespace:
    """Parse what is not for ROS; help, or anything unknown, ends the process with a sentence."""
    words = sys.argv[1:] if argv is None else list(argv)
    try:
        prepare_console(os.environ)
    except ValueError as error:
        parser.error(str(error))
    try:
        words = remove_ros_args(words)
    except RuntimeError:  # something is wrong with those for ROS: rclpy.init says what
        return parser.parse_args([])
    namespace, others = parser.parse_known_args(words)
    if others:
        parser.error(f'unknown: {" ".join(others)}. What is for ROS follows --ros-args.')
    return namespace


def check_only_ros(command: str, about: str, argv: Sequence[str] | None) -> None:
    """Print the help of a command that takes arguments of ROS alone, or refuse any other."""
    prog = None if argv is None else f'robocache {command}'  # None: the name of the program
    parser = argparse.ArgumentParser(
        prog=prog,
        usage='%(prog)s [--help] [--ros-args ...]',
        description=about,
        epilog=_ROS_ARGUMENTS,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parse(parser, argv)
