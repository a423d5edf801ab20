# Copyright 2026 the robocache_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The command line of the demo; needs no ROS, so that --help works before it is installed."""

from __future__ import annotations

import argparse
import random
import re
from collections.abc import Sequence
from pathlib import Path

from robocache_ros.demo.output_file import output_file

DOMAINS = range(1, 102)  # 0 is everybody's; above 101 ports can collide with those of programs
PARAMETERS = 'camera.yaml'  # of the node, a file in config/; the robot's defaults fit to it
# With --fast: the same, and the robot that they describe.
FAST_PARAMETERS = 'deskew.yaml'
FAST_ROBOT = (  # as that file describes it
    'turns:=2',
    'lidar.position:=[0.2, 0.0, 1.6]',
    'lidar.rpy:=[0.0, 0.05, 0.4]',
    'lidar_rear.rate_hz:=10.0',
    'imu.rate_hz:=200.0',
    'imu.rpy:=[0.0, 0.0, 1.5]',
    'imu.gyro_bias:=[0.01, -0.02, 0.03]',
)

_PORT = re.compile(r'fast(?:dds|rtps)_port(\d+)$')


def parse(argv: Sequence[str] | None) -> argparse.Namespace:
    """Parse the command line."""
    parser = argparse.ArgumentParser(
        prog='demo', description='Simulated robot -> node -> monitor, in three processes.'
    )
    add = parser.add_argument
    add('--seconds', type=float, default=15.0, help='how long the robot drives (default 15)')
    add('--report', type=output_file, metavar='FILE', help='write what was measured as JSON')
    shown = parser.add_mutually_exclusive_group()
    shown.add_argument('--view', action='store_true', help='open the Rerun viewer')
    shown.add_argument(
        '--save', type=output_file, metavar='FILE.rrd', help='record the same without a window'
    )
    add(
        '--fast',
        action='store_true',
        help='turn at 4 rad/s, no colours: see the deskew with --view',
    )
    add('--rate', type=float, default=10.0, help='clouds per second (default 10)')
    add('--backend', default='auto', help='auto, numpy or cuda (default auto)')
    add('--domain', type=int, metavar='N', help='ROS_DOMAIN_ID (default: one that is free)')
    for who in ('node', 'sim'):
        add(
            f'--{who}-param', action='append', default=[], metavar='NAME:=VALUE',
            help=f'a parameter of the {who}, repeatable',
        )  # fmt: skip
    options = parser.parse_args(argv)
    if options.seconds <= 0 or options.rate < 0:
        parser.error('--seconds must be positive and --rate must not be negative')
    if options.domain is None:
        options.domain = free_domain()
    return options


def free_domain() -> int:
    """Return a domain that nobody on this machine uses, as far as shared memory shows."""
    # Fast DDS has a file for each port in use; domain d has the ports from 7400 + 250 d on.
    ports = (_PORT.match(file.name) for file in Path('/dev/shm').glob('fast*_port*'))
    taken = {(int(port[1]) - 7400) // 250 for port in ports if port}
    free = [domain for domain in DOMAINS if domain not in taken]
    return random.SystemRandom().choice(free or DOMAINS)


if __name__ == '__main__':
    parse(None)
