# Copyright 2026 the robocache_ros authors
# SPDX-License-Identifier: Apache-2.0
"""What docs/data.md says: nothing is stored, and nothing is sent but topics."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import sys
from pathlib import Path

import pytest
from rig import START_NS, cloud
from sensor_msgs.msg import PointCloud2

STEP_NS = 100_000_000
pytestmark = pytest.mark.skipif(not Path('/proc/self/fd').is_dir(), reason='needs /proc')


@pytest.fixture
def folders(tmp_path):
    """Give the folders that a process may think of for its files, all of them empty."""
    names = {'HOME': 'home', 'TMPDIR': 'tmp', 'ROS_LOG_DIR': 'log', 'XDG_CACHE_HOME': 'cache'}
    found = {variable: tmp_path / name for variable, name in names.items()}
    for folder in found.values():
        folder.mkdir()
    return found


@pytest.fixture
def at_work(start_process, folders, rig):
    """Give a node in a process of its own that has sent grids."""
    environment = {variable: str(folder) for variable, folder in folders.items()}
    node = ['-m', 'robocache_ros', 'node', '--ros-args', '-p', 'sources:=[lidar]']
    process = start_process(sys.executable, *node, env=environment)
    grids = rig.collect(PointCloud2, '/preprocessor/voxels')
    lidar = rig.publisher(PointCloud2, '/lidar/points')
    sent = iter(range(1000))

    def has_sent():
        lidar.publish(cloud(START_NS + next(sent) * STEP_NS))
        return len(grids) > 2

    rig.wait(has_sent, 'grids')
    return process


def opened(pid):
    for each in Path(f'/proc/{pid}/fd').iterdir():
        with contextlib.suppress(FileNotFoundError):  # what is open no more
            yield os.readlink(each)


def ports(pid):
    """Return the lines of the kernel about what a process sends and receives over networks."""
    own = {name[len('socket:[') : -1] for name in opened(pid) if name.startswith('socket:')}
    kinds = ('tcp', 'tcp6', 'udp', 'udp6', 'raw', 'raw6')
    tables = [Path(f'/proc/{pid}/net/{kind}') for kind in kinds]
    return [
        line
        for table in tables
        if table.exists()
        for line in table.read_text().splitlines()[1:]
        if own & set(line.split())
    ]


def test_a_port_would_be_seen():
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as port:
        port.bind(('127.0.0.1', 0))
        assert len(ports(os.getpid())) == 1


def test_a_node_at_work_has_no_port_and_leaves_nothing_but_its_log(at_work, folders):
    assert ports(at_work.pid) == []
    at_work.send_signal(signal.SIGTERM)
    assert at_work.wait(timeout=10) == 0
    left = {
        name: [path.name for path in folder.rglob('*') if path.is_file()]
        for name, folder in folders.items()
    }
    logs = left.pop('ROS_LOG_DIR')
    assert all(name.endswith('.log') for name in logs)
    assert left == {'HOME': [], 'TMPDIR': [], 'XDG_CACHE_HOME': []}
