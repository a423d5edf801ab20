# Copyright 2026 the robocache_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Listens to one node from outside, as a user of it would: `python -m robocache_ros monitor`."""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections.abc import Callable, Sequence
from typing import Any

import rclpy
from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus
from rclpy.executors import SingleThreadedExecutor
from rclpy.node import Node
from rclpy.qos import QoSProfile
from rclpy.subscription import Subscription
from sensor_msgs.msg import PointCloud2, TimeReference

from robocache_ros.demo.report import Arrivals, Health, Observed, build_report, table
from robocache_ros.demo.screen import Screen
from robocache_ros.demo.stop_signals import catch_stop_signals
from robocache_ros.ros.arguments import parse
from robocache_ros.ros.graph import preprocessors

DRAIN_PERIOD_SEC = 0.1
PATIENCE_SEC = 5.0  # diagnostics come every second


class Monitor:
    """
    Counts and times the outputs of one node, and reads what it says in `/diagnostics`.

    It shares two cores with what it measures, so it decodes next to nothing: a header, a width.
    """

    def __init__(
        self,
        name: str,
        trigger: str,
        domain_id: int | None = None,
        ros_arguments: Sequence[str] = (),
    ) -> None:
        """
        Join the ROS graph and subscribe.

        Args:
            name: full name of the node, `/preprocessor`.
            trigger: the source whose publication starts the latency of a frame.
            domain_id: of the graph; None takes the environment's.
            ros_arguments: as after --ros-args.
        """
        self._context = context = rclpy.Context()
        rclpy.init(context=context, domain_id=domain_id, args=list(ros_arguments))
        self.seen = Observed()
        self.last_diagnostics_ns = 0
        self._received_before: dict[str, int] = {}
        self._name = name
        self._trigger = trigger
        self._node = Node('monitor', context=context)
        self._listen(PointCloud2, f'{name}/voxels', self._on_voxels, 10)
        self._listen(PointCloud2, f'{name}/features', self._on_features, 10)
        self._listen(DiagnosticArray, '/diagnostics', self._on_diagnostics, 10)
        self._executor = SingleThreadedExecutor(context=context)
        self._executor.add_node(self._node)
        # The simulator sends hundreds of these a second. Through an executor each costs 0.3 ms of
        # CPU; taken in bursts, 0.05. Hence a node of its own that no executor knows.
        self._quiet_node = Node('monitor_sent', context=context)
        self._sent = self._quiet_node.create_subscription(
            TimeReference, 'sim/sent', self._on_sent, QoSProfile(depth=1000)
        )
        self._next_drain = 0.0

    def _listen(self, kind: type, topic: str, callback: Callable[[Any], None], depth: int) -> None:
        self._node.create_subscription(kind, topic, callback, QoSProfile(depth=depth))

    def spin_once(self, timeout_sec: float) -> None:
        """Take in what has come, waiting at most `timeout_sec` for it."""
        self._executor.spin_once(timeout_sec=timeout_sec)
        if time.monotonic() >= self._next_drain:
            self._next_drain = time.monotonic() + DRAIN_PERIOD_SEC
            _drain(self._sent, self._on_sent)

    def spin_until(self, done: Callable[[], bool], timeout_sec: float) -> bool:
        """Spin until `done()`; False when `timeout_sec` passes first."""
        deadline = time.monotonic() + timeout_sec
        while not done():
            if time.monotonic() > deadline:
                return False
            self.spin_once(0.05)
        return True

    def heard_sec_ago(self) -> float | None:
        """Return the time since the last diagnostics of the node, None before the first."""
        last_ns = self.last_diagnostics_ns
        return (time.monotonic_ns() - last_ns) * 1e-9 if last_ns else None

    def listeners(self) -> int:
        """Return how many subscriptions to the voxels there are, our own included."""
        return int(self._node.count_subscribers(f'{self._name}/voxels'))

    def others(self) -> list[str]:
        """Return the nodes like the watched one that there are, or else all nodes."""
        own = (self._node.get_name(), self._quiet_node.get_name())
        found = self._node.get_node_names_and_namespaces()
        nodes = (f'{space.rstrip("/")}/{name}' for name, space in found if name not in own)
        return preprocessors(self._node) or sorted(nodes)

    def close(self) -> None:
        """Leave the graph."""
        self._executor.shutdown()
        self._node.destroy_node()
        self._quiet_node.destroy_node()
        self._context.try_shutdown()

    def _on_voxels(self, message: PointCloud2) -> None:
        _arrived(self.seen.voxels, message, message.width)

    def _on_features(self, message: PointCloud2) -> None:
        _arrived(self.seen.features, message, _valid_fraction(message))

    def _on_sent(self, message: TimeReference) -> None:
        seen, source, sent_ns = self.seen, message.source, _nanoseconds(message.time_ref)
        before = self._received_before.get(source, 0)
        seen.published[source] = seen.published.get(source, before) + 1
        seen.sent_ns = (seen.sent_ns[0] or sent_ns, sent_ns)
        if sent_ns >= self.last_diagnostics_ns:  # else the node may have noticed the end already
            seen.complaints_then = seen.health.complaints
        if source == self._trigger:
            seen.trigger_sent_ns[_nanoseconds(message.header.stamp)] = sent_ns

    def _on_diagnostics(self, message: DiagnosticArray) -> None:
        prefix = f'{self._name}: '
        ours = [status for status in message.status if status.name.startswith(prefix)]
        if ours:
            self.seen.health = health_of(ours, prefix)
            if not self.last_diagnostics_ns:
                self._count_from_here()
            self.last_diagnostics_ns = time.monotonic_ns()

    def _count_from_here(self) -> None:
        """Let `published` begin where the count of the node is: it may have run for hours."""
        sources = self.seen.health.sources.items()
        self._received_before = {name: int(values['received']) for name, values in sources}
        self.seen.published.clear()


def _arrived(arrivals: Arrivals, message: PointCloud2, size: float) -> None:
    arrivals.received_ns.append(time.monotonic_ns())
    arrivals.stamp_ns.append(_nanoseconds(message.header.stamp))
    arrivals.size.append(size)


def _valid_fraction(message: PointCloud2) -> float:
    """Return the fraction of feature groups that are valid in the newest row."""
    newest = memoryview(message.data)[-message.point_step :]
    flags = [newest[f.offset] for f in message.fields if f.name.endswith('_valid')]
    return sum(flags) / len(flags) if flags else 0.0


def _nanoseconds(stamp: Any) -> int:
    return int(stamp.sec) * 1_000_000_000 + int(stamp.nanosec)


def _drain(subscription: Subscription[Any], take: Callable[[Any], None]) -> None:
    """Take everything a subscription holds, past any executor, in one go."""
    while True:
        with subscription.handle:
            taken = subscription.handle.take_message(subscription.msg_type, subscription.raw)
        if taken is None:
            return
        take(taken[0])


def health_of(statuses: Sequence[DiagnosticStatus], prefix: str) -> Health:
    """Return what statuses whose names begin with `prefix` say."""
    health = Health()
    for status in statuses:
        values = {pair.key: pair.value for pair in status.values}
        kind, _, name = status.name.removeprefix(prefix).partition(' ')
        if kind == 'source':
            health.sources[name] = values
        elif kind == 'output':
            health.outputs[name] = values
        elif kind == 'node':
            health.node = values
        if status.level != DiagnosticStatus.OK:
            health.complaints.append(f'{kind} {name}: {status.message}'.replace(' :', ':'))
    return health


def silence(name: str, heard_sec_ago: float | None, others: Sequence[str], domain: str) -> str:
    """
    Say why there is nothing to show; '' where there is.

    `heard_sec_ago`: since the last diagnostics of the node, None before the first.
    """
    if heard_sec_ago is not None and heard_sec_ago < PATIENCE_SEC:
        return ''
    if heard_sec_ago is None:
        what = f'waiting for {name}: no diagnostics from it yet'
    else:
        what = f'{name} has sent no diagnostics for {heard_sec_ago:.0f} s'
    there = ', '.join(others) or 'no other node'
    return f'{what}; ROS_DOMAIN_ID={domain} has {there}'


def main(argv: Sequence[str] | None = None) -> int:
    """Show a live table of a running node until interrupted."""
    parser = argparse.ArgumentParser(prog='robocache monitor', description=main.__doc__)
    parser.add_argument('--node', default='/preprocessor', help='full name (default %(default)s)')
    parser.add_argument('--trigger', default='lidar', help='its trigger (default %(default)s)')
    arguments = parse(parser, argv)
    name = '/' + arguments.node.strip('/')
    stopped = catch_stop_signals()
    monitor = Monitor(name, arguments.trigger, ros_arguments=argv or ())
    screen = Screen(sys.stdout)
    domain = os.environ.get('ROS_DOMAIN_ID', '0')
    while not monitor.spin_until(stopped, screen.period_sec):
        quiet = silence(name, monitor.heard_sec_ago(), monitor.others(), domain)
        lines = [quiet] if quiet else monitor.seen.health.complaints
        screen.show([*table(build_report(monitor.seen, {})), *lines])
    monitor.close()
    return 0
