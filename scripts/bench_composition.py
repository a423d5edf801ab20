# Copyright 2026 the robocache_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Times frames by reference beside frames by topic: python scripts/bench_composition.py."""

from __future__ import annotations

import argparse
import json
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))

import numpy as np  # noqa: E402
from bench_inputs import ring_scan  # noqa: E402

from robocache_ros.environment import MALLOC, fastdds_profile  # noqa: E402

RATE_HZ = 10.0
SETTLE_SEC = 2.0  # until everybody has found everybody
WAYS = {
    'by reference': (),
    'by topic, in the same process': ('--reader',),
    'by topic, in another process': ('--apart',),
}


def main() -> None:
    """Run each way for some seconds and print its latency and what it costs."""
    arguments = parse_arguments()
    if arguments.role:
        return globals()[f'run_{arguments.role}'](arguments)
    print(f'{arguments.points} points at {RATE_HZ:g} Hz, {arguments.seconds:g} s each way')
    print(
        f'{"":32}{"frames":>8}{"p50 ms":>9}{"p99 ms":>9}{"node":>9}{"consumer":>10}  CPU ms/frame'
    )
    for way, options in WAYS.items():
        print_way(way, *measure(arguments, options))
    print('Latency: from the arrival of a cloud to both halves of its frame being at hand.')
    return None


def measure(arguments: argparse.Namespace, options: tuple[str, ...]) -> tuple[Any, Any]:
    """Run the processes of one way; return what the node and the consumer have seen."""
    source = start(arguments, 'source')
    node = start(arguments, 'node', *options)
    consumer = start(arguments, 'consumer') if '--apart' in options else None
    seen = [json.loads(each.communicate()[0]) for each in (node, consumer) if each is not None]
    source.terminate()
    source.wait()
    return seen[0], seen[-1]


def print_way(way: str, node: Any, consumer: Any) -> None:
    """Print a row: frames that came to hand, their latency, and the CPU of both processes."""
    arrivals = dict(node['arrivals'])
    came = [(t, at) for t, at in consumer['at_hand'] if t in arrivals]
    taken_ms = [(at - arrivals[t]) * 1e-6 for t, at in came if at > consumer['since_ns']]
    p50, p99 = np.percentile(taken_ms, (50, 99))
    computed = sum(at > node['since_ns'] for at in arrivals.values())
    apart = 0.0 if consumer is node else 1e3 * consumer['cpu_sec'] / len(taken_ms)
    cost = f'{1e3 * node["cpu_sec"] / computed:9.2f}{apart:10.2f}'
    print(f'{way:32}{len(taken_ms):8}{p50:9.2f}{p99:9.2f}{cost}')


def start(arguments: argparse.Namespace, role: str, *options: str) -> subprocess.Popen[str]:
    """Start one of the processes of a way."""
    words = ['--points', str(arguments.points), '--seconds', str(arguments.seconds)]
    # Shared memory only, so that nothing but these processes is heard.
    env = {**os.environ, **MALLOC, **fastdds_profile('fastdds_isolated.xml', os.environ)}
    env['ROS_AUTOMATIC_DISCOVERY_RANGE'] = 'SYSTEM_DEFAULT'
    argv = [sys.executable, __file__, '--role', role, *words, *options]
    return subprocess.Popen(argv, env=env, stdout=subprocess.PIPE, text=True)


def run_source(arguments: argparse.Namespace) -> None:
    """Publish the same cloud again and again, under new stamps."""
    import rclpy
    from rclpy.qos import QoSProfile
    from rclpy.signals import SignalHandlerOptions
    from sensor_msgs.msg import PointCloud2, PointField

    rclpy.init(signal_handler_options=SignalHandlerOptions.NO)
    node = rclpy.create_node('source')
    publisher = node.create_publisher(PointCloud2, '/lidar/points', QoSProfile(depth=5))
    points = np.zeros((arguments.points, 4), np.float32)
    points[:, :3] = ring_scan(arguments.points)
    names = ('x', 'y', 'z', 'intensity')
    message = PointCloud2(height=1, width=len(points), point_step=16, row_step=16 * len(points))
    message.fields = [
        PointField(name=name, offset=4 * i, datatype=PointField.FLOAT32, count=1)
        for i, name in enumerate(names)
    ]
    message.data.frombytes(points.tobytes())
    ended = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: ended.set())
    while not ended.wait(1.0 / RATE_HZ):
        message.header.stamp = node.get_clock().now().to_msg()
        publisher.publish(message)
    rclpy.shutdown()


def run_node(arguments: argparse.Namespace) -> None:
    """Run the node, and in its process a consumer by reference or by topic, if not apart."""
    import rclpy
    from rclpy.parameter import Parameter

    from robocache_ros.node import PreprocessorNode

    rclpy.init()
    node = PreprocessorNode(parameter_overrides=[Parameter('sources', value=['lidar'])])
    arrivals: dict[int, int] = {}
    halves: dict[int, list[int]] = {}

    def on_frame(frame: Any, _: Any) -> None:
        arrivals[frame.t_ref_ns] = frame.arrival_ns
        halves.setdefault(frame.t_ref_ns, []).append(time.monotonic_ns())

    node.subscribe_frames(on_frame)
    read: dict[int, int] = {}
    nodes = [node]
    if arguments.reader:
        nodes.append(make_reader(read))
    spent = spin(arguments, nodes)
    by_reference = {t: max(times) for t, times in halves.items() if len(times) == 2}
    at_hand = read if arguments.reader else by_reference
    report = {'arrivals': list(arrivals.items()), 'at_hand': list(at_hand.items())}
    finish(nodes, {**report, **spent})


def run_consumer(arguments: argparse.Namespace) -> None:
    """Run a consumer by topic in a process of its own."""
    import rclpy

    rclpy.init()
    read: dict[int, int] = {}
    nodes = [make_reader(read)]
    spent = spin(arguments, nodes)
    finish(nodes, {'at_hand': list(read.items()), **spent})


def make_reader(read: dict[int, int]) -> Any:
    """Make a node that notes when each frame has come by topic."""
    import rclpy

    from robocache_ros.reader import FrameReader

    def on_frame(frame: Any) -> None:
        read[frame.stamp_ns] = time.monotonic_ns()

    node = rclpy.create_node('consumer')
    node.reader = FrameReader(node, callback=on_frame)
    return node


def spin(arguments: argparse.Namespace, nodes: list[Any]) -> dict[str, float]:
    """Spin until all have settled, and on for the time asked for; return what that cost."""
    from rclpy.executors import SingleThreadedExecutor

    executor = SingleThreadedExecutor()
    for node in nodes:
        executor.add_node(node)
    thread = threading.Thread(target=executor.spin)
    thread.start()
    time.sleep(SETTLE_SEC)
    since_ns, before_sec = time.monotonic_ns(), time.process_time()
    time.sleep(arguments.seconds)
    cpu_sec = time.process_time() - before_sec
    executor.shutdown()
    thread.join()
    return {'since_ns': since_ns, 'cpu_sec': cpu_sec}


def finish(nodes: list[Any], report: dict[str, Any]) -> None:
    """Print what was seen, and end."""
    import rclpy

    for node in nodes:
        node.destroy_node()
    rclpy.shutdown()
    print(json.dumps(report))


def parse_arguments() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('--points', type=int, default=100_000, help='of a cloud')
    parser.add_argument('--seconds', type=float, default=10.0, help='for each way')
    for word in ('--role', '--reader', '--apart'):
        kept = {} if word == '--role' else {'action': 'store_true'}
        parser.add_argument(word, help=argparse.SUPPRESS, **kept)
    return parser.parse_args()


if __name__ == '__main__':
    main()
