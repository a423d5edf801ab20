# Copyright 2026 the robocache_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The shipped Fast DDS profiles do between processes what they promise."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest
from rclpy.utilities import get_rmw_implementation_identifier

from robocache_ros.resources import config_file

CLOUD_BYTES = 100_000 * 16  # 1.6 MB, three times the default shared memory segment
SENT, ENOUGH = 20, 18  # best effort may lose one at the start; a small segment loses nearly all

needs_fastdds = pytest.mark.skipif(
    not get_rmw_implementation_identifier().startswith('rmw_fastrtps'),
    reason='the profiles are for Fast DDS',
)

PROGRAM = """
import sys, rclpy
from array import array
from rclpy.node import Node
from rclpy.qos import QoSProfile, ReliabilityPolicy
from sensor_msgs.msg import PointCloud2
rclpy.init()
node = Node(sys.argv[1])
qos = QoSProfile(depth=5, reliability=ReliabilityPolicy.BEST_EFFORT)
if sys.argv[1] == 'driver':
    message = PointCloud2(data=array('B', bytes(int(sys.argv[2]))))
    publisher = node.create_publisher(PointCloud2, 'cloud', qos)
    left = int(sys.argv[3])
    def send():
        global left
        if left and publisher.get_subscription_count():
            publisher.publish(message)
            left -= 1
    node.create_timer(0.1, send)
else:
    received = lambda message: print('received', len(message.data))
    node.create_subscription(PointCloud2, 'cloud', received, qos)
try:
    rclpy.spin(node)
except (KeyboardInterrupt, rclpy.executors.ExternalShutdownException):
    pass
node.destroy_node()
rclpy.get_default_context().try_shutdown()
"""


def sockets_of(process):
    """Count the internet sockets a process has open: its descriptors found in /proc/net."""
    folder = f'/proc/{process.pid}'
    own = {os.readlink(f'{folder}/fd/{name}') for name in os.listdir(f'{folder}/fd')}
    every = set()
    for table in ('udp', 'udp6', 'tcp', 'tcp6'):
        lines = Path(f'{folder}/net/{table}').read_text().splitlines()[1:]
        every.update(f'socket:[{line.split()[9]}]' for line in lines)
    return len(own & every)


@needs_fastdds
@pytest.mark.parametrize(
    ('profile', 'opens_sockets'),
    [('fastdds_isolated.xml', False), ('fastdds_large_messages.xml', True)],
)
def test_large_best_effort_cloud_crosses_processes(
    profile, opens_sockets, node_env, wait_until, start_process
):
    path = str(config_file(profile))
    env = {name: path for name in node_env if name.endswith('_DEFAULT_PROFILES_FILE')}
    listener = start_process(sys.executable, '-c', PROGRAM, 'listener', env=env)
    driver = start_process(sys.executable, '-c', PROGRAM, 'driver', CLOUD_BYTES, SENT, env=env)
    line = f'received {CLOUD_BYTES}'
    wait_until(
        lambda: listener.log.read_text().count(line) >= ENOUGH,
        20,
        f'{ENOUGH} of {SENT} clouds with {profile}',
    )
    assert [sockets_of(p) > 0 for p in (listener, driver)] == [opens_sockets] * 2
