# Copyright 2026 the robocache_ros authors
# SPDX-License-Identifier: Apache-2.0
"""A real node in this process, and what a test needs around it: publishers and ears."""

from __future__ import annotations

import time

import numpy as np
import pytest
import rclpy
from builtin_interfaces.msg import Time
from diagnostic_msgs.msg import DiagnosticArray
from rclpy.node import Node
from rclpy.parameter import Parameter
from rclpy.qos import QoSProfile, ReliabilityPolicy
from sensor_msgs.msg import Image, Imu, PointCloud2, PointField
from std_msgs.msg import Header

from robocache_ros.node import PreprocessorNode

RELIABLE = ReliabilityPolicy.RELIABLE
BEST_EFFORT = ReliabilityPolicy.BEST_EFFORT
DEADLINE_SEC = 10
SECOND = 1_000_000_000
START_NS = 1_700_000_000 * SECOND

# A grid and an image small enough that computing takes no time.
SMALL = {
    'voxels.voxel_size': 1.0,
    'voxels.point_cloud_range': [-8.0, -8.0, -2.0, 8.0, 8.0, 2.0],
    'lidar.occupancy_shape': [1, 2, 2],
    'camera.grid': [2, 2],
}


class Rig:
    """Nodes under test and a node of the test's own, on one executor."""

    def __init__(self, context, executor):
        self._context = context
        self._executor = executor
        self.own = self._add(Node('rig', context=context))
        self._nodes = []
        self._strangers = []
        self.arrays = []
        self.own.create_subscription(DiagnosticArray, '/diagnostics', self.arrays.append, 100)

    def _add(self, node):
        self._executor.add_node(node)
        return node

    def node(self, name='preprocessor', namespace='', cli_args=None, **parameters):
        """Make a node with the small grid; `sources__x` in a keyword stands for `sources.x`."""
        given = {key.replace('__', '.'): value for key, value in parameters.items()}
        blocks = {*given.get('sources', ['lidar', 'camera', 'imu']), 'voxels'}
        given = {k: v for k, v in SMALL.items() if k.split('.')[0] in blocks} | given
        node = PreprocessorNode(
            name,
            context=self._context,
            namespace=namespace,
            cli_args=cli_args,
            parameter_overrides=[Parameter(key, value=value) for key, value in given.items()],
        )
        self._nodes.append(node)
        return self._add(node)

    def active(self, *args, **parameters):
        """Make a node and wait until it has started itself."""
        node = self.node(*args, **parameters)
        self.wait(
            lambda: node.lifecycle_state == 'active' or node.autostart_failed, 'the node to start'
        )
        assert node.problem == ''
        return node

    def stranger(self):
        """Make a node in a context of its own, so that it is another process to the middleware."""
        context = rclpy.Context()
        rclpy.init(context=context, domain_id=self._context.get_domain_id())
        node = Node('stranger', context=context)
        self._strangers.append((context, node))
        return node

    def publisher(self, kind, topic, reliability=RELIABLE, depth=100):
        return self.own.create_publisher(
            kind, topic, QoSProfile(depth=depth, reliability=reliability)
        )

    def collect(self, kind, topic, reliability=RELIABLE):
        """Subscribe; what arrives is in the list returned."""
        heard = []
        qos = QoSProfile(depth=100, reliability=reliability)
        self.own.create_subscription(kind, topic, heard.append, qos)
        return heard

    def wait(self, predicate, what, deadline_sec=DEADLINE_SEC):
        """Spin until the predicate holds; returns its value."""
        deadline = time.monotonic() + deadline_sec
        while True:
            value = predicate()
            if value:
                return value
            if time.monotonic() > deadline:
                pytest.fail(f'waited {deadline_sec} s in vain for {what}')
            self._executor.spin_once(timeout_sec=0.02)

    def settle(self, node, *publishers):
        """Wait until each publisher reaches the subscription that the node will stay with."""
        inputs = {each.topic: each for each in node._running.inputs}

        def settled(publisher):
            topic = publisher.topic_name
            inputs[topic].look()
            known = self.own.get_subscriptions_info_by_topic(topic)
            return (
                inputs[topic].publishers == self.own.count_publishers(topic) > 0
                and publisher.get_subscription_count() == len(known)
                and [
                    info.qos_profile.reliability
                    for info in known
                    if info.node_name == node.get_name()
                ]
                == [inputs[topic]._reliability]
            )

        self.wait(lambda: all(settled(each) for each in publishers), 'the subscriptions to settle')

    def diagnose(self, node):
        """Make the node look at itself now; return its statuses by the part after its name."""
        seen = len(self.arrays)
        prefix = f'{node.get_fully_qualified_name()}: '

        def ours():
            for array in self.arrays[seen:]:
                if array.status[0].name.startswith(prefix):
                    return {s.name.removeprefix(prefix): s for s in array.status}
            return None

        self.wait(self.own.get_publishers_info_by_topic('/diagnostics').__len__, '/diagnostics')
        node._diagnostics._shown.clear()  # so that a level that goes down is shown at once
        node._diagnose()
        return self.wait(ours, 'the diagnostics')

    def received(self, node, source):
        return node._running.pipeline.status(time.monotonic_ns()).sources[source].received

    def send(self, node, source, publisher, *messages):
        """Publish one message after the other, each once the one before was received."""
        for message in messages:
            before = self.received(node, source)
            publisher.publish(message)
            self.wait(lambda n=before: self.received(node, source) == n + 1, f'the {source}')

    def close(self):
        for node in [*self._nodes, self.own]:
            self._executor.remove_node(node)
            node.destroy_node()
        for context, node in self._strangers:
            node.destroy_node()
            context.try_shutdown()


def values(status):
    """Return the values of a DiagnosticStatus as a dict."""
    return {pair.key: pair.value for pair in status.values}


def level(status):
    """Return the level of a DiagnosticStatus as an int."""
    return status.level[0]


def header(stamp_ns, frame_id=''):
    sec, nanosec = divmod(stamp_ns, SECOND)
    return Header(stamp=Time(sec=sec, nanosec=nanosec), frame_id=frame_id)


def cloud(stamp_ns, points=((0.5, 0.5, 0.5, 10.0),), frame_id='lidar'):
    """Return a PointCloud2 with x, y, z, intensity of each point."""
    packed = np.array(points, np.float32).reshape(-1, 4)
    message = PointCloud2(
        header=header(stamp_ns, frame_id),
        height=1,
        width=len(packed),
        fields=[
            PointField(name=name, offset=4 * i, datatype=PointField.FLOAT32, count=1)
            for i, name in enumerate(('x', 'y', 'z', 'intensity'))
        ],
        point_step=16,
        row_step=16 * len(packed),
    )
    message.data.frombytes(packed.tobytes())
    return message


def image(stamp_ns, grey=7, size=8):
    """Return a mono8 image of one grey."""
    message = Image(header=header(stamp_ns, 'camera'), height=size, width=size, encoding='mono8')
    message.step = size
    message.data.frombytes(bytes([grey]) * (size * size))
    return message


def imu(stamp_ns, rate=0.0):
    """Return an Imu at rest, turning about z at `rate`."""
    message = Imu(header=header(stamp_ns, 'imu'))
    message.orientation.w = 1.0
    message.angular_velocity.z = float(rate)
    message.linear_acceleration.z = 9.81
    return message


def stamp(message):
    """Return the stamp of a message in nanoseconds."""
    return message.header.stamp.sec * SECOND + message.header.stamp.nanosec


def is_conserved(status):
    """Whether every message of a source status is accounted for."""
    found = values(status)
    dropped = sum(int(n) for key, n in found.items() if key.startswith('dropped.'))
    kept = sum(int(found[key]) for key in ('used', 'buffered', 'expired'))
    return int(found['received']) == kept + dropped
