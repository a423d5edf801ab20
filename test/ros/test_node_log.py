# Copyright 2026 the robocache_ros authors
# SPDX-License-Identifier: Apache-2.0
"""What is wrong is said in the log as well: where it is wrong, once, and not without end."""

from __future__ import annotations

import math
import time

import pytest
from rig import SECOND, START_NS, cloud, image, imu, level
from sensor_msgs.msg import Image, Imu, PointCloud2

PERIOD_NS = SECOND // 10


def looks(rig, node, count, before=lambda: None):
    """Look at the node so many times, and do something before each; return the last look."""
    statuses = {}
    for _ in range(count):
        before()
        statuses = rig.diagnose(node)
    return statuses


class Sender:
    """Sends one message of a source after the other, a tenth of a second apart."""

    def __init__(self, rig, node, source, publisher, make=cloud):
        self._rig, self._node, self._source, self._publisher = rig, node, source, publisher
        self._make = make
        self._n = 0

    def __call__(self):
        message = self._make(START_NS + self._n * PERIOD_NS)
        self._rig.send(self._node, self._source, self._publisher, message)
        self._n += 1

    def frame(self):
        """Send a message of the trigger and wait for its frame."""
        self()
        self._rig.wait(lambda: emitted(self._node) == self._n, f'frame {self._n}')


def emitted(node):
    return node._running.pipeline.status(time.monotonic_ns()).outputs['features'].emitted


def test_a_cloud_in_another_frame_is_said_of_its_source_and_of_no_other(rig, capfd):
    node = rig.active(
        sources=['lidar', 'rear'], rear__type='pointcloud2', rear__topic='rear/points'
    )
    lidar = rig.publisher(PointCloud2, 'lidar/points')
    rear = rig.publisher(PointCloud2, 'rear/points')
    rig.settle(node, lidar, rear)
    strange = Sender(rig, node, 'rear', rear, lambda t_ns: cloud(t_ns, frame_id='rear'))
    trigger = Sender(rig, node, 'lidar', lidar)
    statuses = looks(rig, node, 10, before=lambda: (strange(), trigger.frame()))
    assert "Its frame_id is 'rear', the output frame is 'lidar'" in statuses['source rear'].message
    assert level(statuses['source rear']) == 1
    assert level(statuses['source lidar']) == 0
    assert level(statuses['output voxels']) == 0
    assert statuses['output voxels'].message.endswith('Hz, without rear.')
    assert level(statuses['output features']) == 0
    log = capfd.readouterr().err
    assert log.count("rear: Its frame_id is 'rear'") == 1
    assert 'partial' not in log


def test_a_missing_field_of_the_default_channels_is_said_once_with_its_source(rig, capfd):
    node = rig.active(sources=['lidar'])
    lidar = rig.publisher(PointCloud2, 'lidar/points')
    rig.settle(node, lidar)

    def plain(t_ns):
        message = cloud(t_ns)
        message.fields = message.fields[:3]
        return message

    looks(rig, node, 6, before=Sender(rig, node, 'lidar', lidar, plain).frame)
    log = capfd.readouterr().err
    sentence = 'lidar: Its clouds have no field intensity (only x, y, z), so it adds nothing to '
    assert log.count(sentence + 'mean_intensity') == 1


@pytest.mark.parametrize(
    ('point', 'words'),
    [
        ((99.0, 0.0, 0.0, 1.0), 'lies in voxels.point_cloud_range'),
        ((math.nan, 0.0, 0.0, 1.0), 'is NaN or infinite'),
    ],
)
def test_grids_that_stay_empty_are_said_once_with_the_cause(rig, capfd, point, words):
    node = rig.active(sources=['lidar'])
    lidar = rig.publisher(PointCloud2, 'lidar/points')
    rig.settle(node, lidar)
    send = Sender(rig, node, 'lidar', lidar, lambda t_ns: cloud(t_ns, [point] * 5))
    looks(rig, node, 12, before=send.frame)
    log = capfd.readouterr().err
    assert log.count('voxels: All voxel grids are empty: ') == log.count(words) == 1


def test_repeated_stamps_are_said_once_per_source_and_again_after_they_were_gone(rig, capfd):
    node = rig.active(sources=['lidar'])
    lidar = rig.publisher(PointCloud2, 'lidar/points')
    rig.settle(node, lidar)
    send = Sender(rig, node, 'lidar', lidar)
    again = Sender(rig, node, 'lidar', lidar, lambda t_ns: cloud(START_NS))
    send()
    looks(rig, node, 4, before=again)
    looks(rig, node, 8, before=send)
    log = capfd.readouterr().err
    assert log.count('dropped, duplicate. ') == 1
    assert log.count('lidar: fine now: ') == 1
    looks(rig, node, 4, before=again)
    assert capfd.readouterr().err.count('dropped, duplicate. ') == 1


def test_a_node_that_waits_to_be_configured_says_so_once(rig, capfd):
    node = rig.node(autostart=False)
    looks(rig, node, 4)
    log = capfd.readouterr().err
    assert log.count('Not configured: autostart is false') == 1
    assert node.trigger_configure() is not None
    looks(rig, node, 4)
    assert capfd.readouterr().err.count('Configured but not active') == 1


def test_a_clock_that_is_silent_and_stamps_of_yesterday_are_said_once(rig, capfd):
    node = rig.active(sources=['lidar'], use_sim_time=True)
    looks(rig, node, 4)
    assert capfd.readouterr().err.count('nothing arrives on /clock') == 1
    other = rig.active('other', sources=['lidar'])
    lidar = rig.publisher(PointCloud2, 'lidar/points')
    rig.settle(other, lidar)
    statuses = looks(rig, other, 4, before=Sender(rig, other, 'lidar', lidar))
    assert 'The stamps of lidar are ' in statuses['node'].message
    assert capfd.readouterr().err.count('behind the ROS clock') == 1


def test_a_minute_of_nothing_but_bad_input_is_at_most_sixty_lines(rig, capfd):
    node = rig.active()
    publishers = {
        'lidar': rig.publisher(PointCloud2, 'lidar/points'),
        'camera': rig.publisher(Image, 'camera/image'),
        'imu': rig.publisher(Imu, 'imu/data'),
    }
    rig.settle(node, *publishers.values())

    def all_bad():
        for n in range(3):
            for source, message in broken(n):
                rig.send(node, source, publishers[source], message)

    looks(rig, node, 60, before=all_bad)
    log = capfd.readouterr().err
    assert 5 <= len(log.splitlines()) <= 60


def broken(n):
    """Yield messages that are wrong in a way that changes with `n`."""
    unset, twice, short = cloud(0), cloud(START_NS), cloud(START_NS + n)
    short.width = 1000
    yield 'lidar', (unset, twice, short)[n]
    small, unknown, late = image(START_NS, size=1), image(START_NS), image(0)
    unknown.encoding = 'yuv422_yuy2'
    yield 'camera', (small, unknown, late)[n]
    wild = imu(START_NS)
    wild.angular_velocity.x = math.inf
    yield 'imu', (wild, imu(0), imu(START_NS))[n]
