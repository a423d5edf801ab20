# Copyright 2026 the robocache_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Shows what goes into a node and what comes out: `python -m robocache_ros view`."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt
import rclpy
from diagnostic_msgs.msg import DiagnosticArray
from rclpy.executors import SingleThreadedExecutor
from rclpy.node import Node
from rclpy.qos import DurabilityPolicy, QoSProfile, ReliabilityPolicy, qos_profile_sensor_data
from rclpy.subscription import Subscription
from sensor_msgs.msg import Image, PointCloud2
from std_msgs.msg import String

from robocache_ros.codec.cloud import decode_cloud
from robocache_ros.codec.image import ImageView, decode_image
from robocache_ros.codec.stamp import stamp_ns
from robocache_ros.config import Config
from robocache_ros.demo.monitor import health_of
from robocache_ros.demo.placed import PlacedClouds
from robocache_ros.demo.recording import MAX_CURVES, Recording, RerunMissing, unpacked
from robocache_ros.demo.stop_signals import catch_stop_signals
from robocache_ros.reading import read_features, read_schema, read_voxels
from robocache_ros.reasons import Rejected
from robocache_ros.ros.arguments import parse
from robocache_ros.ros.input import message_type
from robocache_ros.ros.waiting import waiting_on

COLOUR = 'rgb'  # the channel that is shown as it is
IMAGE_PERIOD_NS = 90_000_000  # ten images a second are enough to look at
NO_DISPLAY = 'there is no display to open a window on: use --save FILE.rrd'


class Viewer:
    """Takes inputs and outputs of one node from their topics to a recording."""

    def __init__(self, node: Node, options: argparse.Namespace, recording: Recording) -> None:
        """Subscribe; `options` as `parse_options` gives them."""
        self._node = node
        self._recording = recording
        self._channel = options.channel
        self._name = options.node
        self._schema: dict[str, Any] | None = None
        self._image_ns = 0
        self._placed: PlacedClouds | None = None
        self._compares = False  # shows smeared and deskewed clouds beside each other
        self._inputs: dict[str, Subscription[Any]] = {}  # of `_placed`, by source
        latched = QoSProfile(depth=1, durability=DurabilityPolicy.TRANSIENT_LOCAL)
        for kind, topic, callback, qos in (
            (PointCloud2, options.cloud, self._on_cloud, qos_profile_sensor_data),
            (Image, options.image, self._on_image, qos_profile_sensor_data),
            (String, f'{options.node}/schema', self._on_schema, latched),
            (PointCloud2, f'{options.node}/voxels', self._on_voxels, QoSProfile(depth=5)),
            (PointCloud2, f'{options.node}/features', self._on_features, QoSProfile(depth=5)),
            (DiagnosticArray, '/diagnostics', self._on_diagnostics, QoSProfile(depth=5)),
        ):
            node.create_subscription(kind, topic, self._guarded(callback), qos)

    def _guarded(self, callback: Callable[[Any], None]) -> Callable[[Any], None]:
        """Leave out what is malformed: to say why is the business of the node."""

        def guarded(message: Any) -> None:
            try:
                callback(message)
            except Rejected as error:
                self._node.get_logger().warning(str(error), throttle_duration_sec=5.0)

        return guarded

    def _on_schema(self, message: String) -> None:
        self._schema = schema = read_schema(message)
        groups = [g for g in schema['features']['groups'] if g['width'] <= MAX_CURVES]
        config = Config.from_mapping(schema['parameters'])
        self._placed = PlacedClouds(config) if config.frame and config.voxel_sources() else None
        self._compares = config.deskew.active and COLOUR not in config.voxels.channels
        for subscription in self._inputs.values():
            self._node.destroy_subscription(subscription)
        self._inputs.clear()
        self._recording.arrange([_path(group) for group in groups], self._compares)
        for group in groups:
            names = [name.removeprefix(group['name'] + '_') for name in group['names']]
            self._recording.name_curves(_path(group), names)

    def _on_diagnostics(self, message: DiagnosticArray) -> None:
        """Learn the topics that the node listens to, and listen to them as well."""
        prefix = f'{self._name}: '
        ours = [status for status in message.status if status.name.startswith(prefix)]
        known = health_of(ours, prefix).sources
        for source in self._placed.sources if self._placed else ():
            if source.name in known and source.name not in self._inputs:
                self._inputs[source.name] = self._node.create_subscription(
                    message_type(source),
                    known[source.name]['topic'],
                    partial(self._on_inputs, source.name),
                    QoSProfile(depth=source.depth, reliability=ReliabilityPolicy.BEST_EFFORT),
                )

    def _on_inputs(self, source: str, message: Any) -> None:
        """Take a message and all that wait behind it, so that what comes fast is not lost."""
        take = self._guarded(partial(self._on_input, source))
        subscription = self._inputs[source]
        for one in (message, *waiting_on(subscription, subscription.qos_profile.depth)):
            take(one)

    def _on_input(self, source: str, message: Any) -> None:
        if self._placed is None:
            return
        for stamp, smeared, deskewed in self._placed.push(source, message):
            if self._compares:
                self._recording.smeared(stamp, smeared)
            self._recording.cloud(stamp, deskewed)

    def _on_cloud(self, message: PointCloud2) -> None:
        if self._placed is not None:
            return
        points = np.stack(decode_cloud(message).xyz(), axis=1)
        finite = np.isfinite(points).all(axis=1)
        self._recording.cloud(stamp_ns(message.header), points[finite])

    def _on_image(self, message: Image) -> None:
        now_ns = stamp_ns(message.header)
        if abs(now_ns - self._image_ns) >= IMAGE_PERIOD_NS:
            self._image_ns = now_ns
            self._recording.image(now_ns, to_pixels(decode_image(message)))

    def _on_voxels(self, message: PointCloud2) -> None:
        if self._schema is None:
            return
        rows = read_voxels(message)
        name = self._channel or (COLOUR if COLOUR in rows.channels else list(rows.channels)[-1])
        if name not in rows.channels:
            raise ValueError(f'no channel {name!r}; there are: {", ".join(rows.channels)}')
        centers = np.stack([rows.x, rows.y, rows.z], axis=1)
        size = self._schema['grid']['voxel_size']
        values = rows.channels[name]
        shown = unpacked(values) if name == COLOUR else values
        self._recording.voxels(rows.stamp_ns, centers, size, shown)

    def _on_features(self, message: PointCloud2) -> None:
        if self._schema is None:
            return
        rows = read_features(message)
        begin = 0
        for group in self._schema['features']['groups']:
            end = begin + group['width']
            if group['width'] <= MAX_CURVES:
                self._recording.curves(rows.stamp_ns, _path(group), rows.values[-1, begin:end])
            begin = end


def _path(group: dict[str, Any]) -> str:
    """Return where a feature group is shown: 'imu/orientation'."""
    return f'{group["source"]}/{group["name"].removeprefix(group["source"] + "_")}'


def to_pixels(image: ImageView) -> npt.NDArray[np.uint8]:
    """Return [H, W, 3] for colour, else [H, W]; scaled to 8 bits where it has more."""
    if 'r' in image.format.order:
        return np.stack([image.plane(colour) for colour in 'rgb'], axis=2)
    plane = image.plane('y')
    if plane.dtype == np.uint8:
        return np.ascontiguousarray(plane)
    values = np.where(np.isfinite(plane), plane, 0).astype(np.float64)
    top = float(np.percentile(values, 99)) or 1.0
    return (values / top * 255).clip(0, 255).astype(np.uint8)


def parse_options(argv: Sequence[str] | None) -> argparse.Namespace:
    """Parse the command line."""
    parser = argparse.ArgumentParser(
        prog='robocache view', description='Show inputs and outputs of a node in the Rerun viewer.'
    )
    add = parser.add_argument
    add('--node', default='/preprocessor', help='full name (default %(default)s)')
    add('--cloud', default='lidar/points', help='input topic (default %(default)s)')
    add('--image', default='camera/image', help='input topic (default %(default)s)')
    add('--channel', help='voxel channel that gives the colour (default: rgb, or the last one)')
    add('--save', metavar='FILE.rrd', help='record instead of opening a window')
    return parse(parser, argv)


def main(argv: Sequence[str] | None = None) -> int:
    """Show or record until interrupted."""
    options = parse_options(argv)
    if not (options.save or os.environ.get('DISPLAY') or os.environ.get('WAYLAND_DISPLAY')):
        print(f'robocache view: {NO_DISPLAY}', file=sys.stderr)
        return 1
    try:
        recording = Recording(options.save)
    except RerunMissing as error:
        print(f'robocache view: {error}', file=sys.stderr)
        return 1
    stopped = catch_stop_signals()
    context = rclpy.Context()
    rclpy.init(args=argv, context=context)
    node = Node('view', context=context)
    Viewer(node, options, recording)
    executor = SingleThreadedExecutor(context=context)
    executor.add_node(node)
    try:
        while not stopped():
            executor.spin_once(timeout_sec=0.2)
        return 0
    except ValueError as error:
        print(f'robocache view: {error}', file=sys.stderr)
        return 1
    finally:
        recording.close()
        node.destroy_node()
        context.try_shutdown()
