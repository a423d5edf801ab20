# Copyright 2026 the robocache_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Frames -> messages -> publishers: everything the node sends but its diagnostics."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from typing import Any

import numpy as np
from builtin_interfaces.msg import Time
from rclpy.lifecycle import LifecycleNode
from rclpy.qos import DurabilityPolicy, HistoryPolicy, QoSProfile, ReliabilityPolicy
from rclpy.qos_overriding_options import QoSOverridingOptions
from sensor_msgs.msg import JointState, PointCloud2, PointField
from std_msgs.msg import (
    Float32MultiArray,
    Header,
    MultiArrayDimension,
    MultiArrayLayout,
    String,
    UInt8MultiArray,
)

from robocache_ros.backends.status import BackendStatus
from robocache_ros.codec.table import Table, features_table, voxels_table
from robocache_ros.config import Config
from robocache_ros.ros.events import NO_PUBLISHER_EVENTS
from robocache_ros.samples import AnyArray, FeatureFrame, Frame, VoxelFrame
from robocache_ros.schema import Schema

DENSE_TYPES = {'float32': Float32MultiArray, 'uint8': UInt8MultiArray}
DENSE, NAMED = 'voxels/dense', 'features/named'


class Outputs:
    """
    The publishers of one node, all under `~/`; frames go out only while the node is active.

    Made when the node is configured, `destroy`ed when it is cleaned up. `publish` belongs to one
    thread, the worker's. What nobody subscribes to is not encoded. When parameters change, that
    thread calls `use`; publishers are made and destroyed in the executor's.
    """

    def __init__(
        self,
        node: LifecycleNode,
        schema: Schema,
        config: Config,
        backend: BackendStatus,
        made_by: Mapping[str, str] | None = None,
    ) -> None:
        """
        Create the publishers the configuration asks for and publish the schema.

        Args:
            node: the managed node that owns the publishers.
            schema: names the columns of the outputs.
            config: says which optional outputs exist (`voxels.dense`, `features.named`).
            backend: what `~/schema` says of it.
            made_by: libraries that decode and encode, for `~/schema` as well.
        """
        self._node = node
        self._schema = schema
        self._made_by = made_by
        self._backend = backend
        self._coming = config  # of frames to come; that of the schema until it has taken effect
        self._lock = threading.Lock()  # while a frame is sent, nothing of this changes
        self._optional: dict[str, Any] = {}
        with ExitStack() as made:
            self._voxels = self._lasting(made, PointCloud2, 'voxels')
            self._features = self._lasting(made, PointCloud2, 'features')
            self._latest = self._lasting(made, Float32MultiArray, 'features/latest')
            made.callback(self._destroy_optional)
            self._make(config)
            # A plain one: what the outputs will look like is known before the first activation.
            self._about = node.create_publisher(
                String, '~/schema', schema_qos(), event_callbacks=NO_PUBLISHER_EVENTS
            )
            made.callback(node.destroy_publisher, self._about)
            self._tell_schema()
            self._changed = node.create_guard_condition(self._on_changed)
            made.callback(node.destroy_guard_condition, self._changed)
            self._made = made.pop_all()

    def _lasting(self, made: ExitStack, message_type: type, name: str) -> Any:
        publisher = self._publisher(message_type, name)
        made.callback(self._node.destroy_lifecycle_publisher, publisher)
        return publisher

    def _destroy_optional(self) -> None:
        for publisher in self._optional.values():
            self._node.destroy_lifecycle_publisher(publisher)

    def _publisher(self, message_type: type, name: str) -> Any:
        return self._node.create_lifecycle_publisher(
            message_type,
            f'~/{name}',
            output_qos(),
            event_callbacks=NO_PUBLISHER_EVENTS,
            qos_overriding_options=QoSOverridingOptions.with_default_policies(),
        )

    def tell_backend(self, backend: BackendStatus) -> None:
        """Publish the schema, unless that has been done with all that it says of the backend."""
        if backend.choice != self._backend.choice:
            with self._lock:
                self._backend = backend
                self._tell_schema()

    @contextmanager
    def prepared(self, config: Config) -> Iterator[None]:
        """
        Make the publishers that are not there yet and that a configuration will ask for.

        Where rclpy raises, or whoever then says that the configuration comes, they go again.
        """
        before, self._coming = self._coming, config
        try:
            self._make(config)
            yield
        except Exception:
            self._coming = before
            self.adapt()
            raise

    def _make(self, config: Config) -> None:
        for name, message_type in optional_types(config).items():
            if name not in self._optional:
                made = self._publisher(message_type, name)
                if self._voxels.is_activated:
                    made.on_activate(None)
                with self._lock:
                    self._optional[name] = made

    def use(self, schema: Schema) -> None:
        """Tell what the frames mean from now on; in the thread that publishes them."""
        with self._lock:
            self._schema = schema
            self._tell_schema()
        self._changed.trigger()

    def adapt(self) -> None:
        """
        Destroy the publishers that are of no use any more, and make those that are missing.

        Frames of now may need them, or frames to come: a change of now may be followed by another
        that waits to take effect.
        """
        configs = self._schema.config, self._coming
        useful = {item for config in configs for item in optional_types(config).items()}
        with self._lock:
            idle = [n for n, one in self._optional.items() if (n, one.msg_type) not in useful]
            gone = [self._optional.pop(name) for name in idle]
        for publisher in gone:
            self._node.destroy_lifecycle_publisher(publisher)
        for config in configs:
            self._make(config)

    def _on_changed(self) -> None:
        try:
            self.adapt()
        except Exception as error:  # it must not end the executor
            self._node.get_logger().error(f'An output can not be sent: {error}')

    def _tell_schema(self) -> None:
        self._about.publish(String(data=self._schema.to_json(self._backend, self._made_by)))

    def publish(self, frame: Frame) -> int:
        """
        Encode all messages of a frame, then send them, so that no half frame leaves.

        Returns the time (monotonic, ns) between the two.
        """
        with self._lock:
            if isinstance(frame, VoxelFrame):
                encoded = self._encode_voxels(frame)
            else:
                encoded = self._encode_features(frame)
            encoded_ns = time.monotonic_ns()
            for publisher, message in encoded:
                publisher.publish(message)
        return encoded_ns

    def _encode_voxels(self, frame: VoxelFrame) -> list[tuple[Any, Any]]:
        encoded = []
        if _wanted(self._voxels):
            encoded.append((self._voxels, to_cloud(voxels_table(frame), frame)))
        if frame.dense is not None:
            publisher = self._optional.get(DENSE)
            # For a moment it may be one of another type, until `adapt` has replaced it.
            fits = getattr(publisher, 'msg_type', None) is DENSE_TYPES[frame.dense.dtype.name]
            if fits and _wanted(publisher):
                dense = to_multi_array(frame.dense, ('z', 'y', 'x', 'channel'))
                encoded.append((publisher, dense))
        return encoded

    def _encode_features(self, frame: FeatureFrame) -> list[tuple[Any, Any]]:
        encoded = []
        if _wanted(self._features):
            table = features_table(frame, self._schema)
            encoded.append((self._features, to_cloud(table, frame)))
        if _wanted(self._latest):
            encoded.append((self._latest, to_multi_array(frame.values[-1], ('feature',))))
        if _wanted(publisher := self._optional.get(NAMED)):
            encoded.append((publisher, to_named(frame, self._schema.feature_names)))
        return encoded

    def destroy(self) -> None:
        """Take the publishers down; the worker must have stopped."""
        self._made.close()


def optional_types(config: Config) -> dict[str, type]:
    """Return the outputs that a configuration asks for beside the usual ones."""
    found: dict[str, type] = {}
    if config.voxels.dense != 'none':
        found[DENSE] = DENSE_TYPES[config.voxels.dense]
    if config.features.named:
        found[NAMED] = JointState
    return found


def output_qos() -> QoSProfile:
    """RViz wants reliable; five frames let a subscriber stall for half a second at 10 Hz."""
    return QoSProfile(
        history=HistoryPolicy.KEEP_LAST, depth=5, reliability=ReliabilityPolicy.RELIABLE
    )


def schema_qos() -> QoSProfile:
    """Transient local: who comes late still learns what the columns mean."""
    return QoSProfile(
        history=HistoryPolicy.KEEP_LAST,
        depth=1,
        reliability=ReliabilityPolicy.RELIABLE,
        durability=DurabilityPolicy.TRANSIENT_LOCAL,
    )


def to_cloud(table: Table, frame: Frame) -> PointCloud2:
    """Wrap an encoded table: one point per row, the frame's time and frame_id in the header."""
    message = PointCloud2(
        header=_header(frame),
        height=1,
        width=table.n,
        fields=[
            PointField(name=name, offset=offset, datatype=datatype, count=count)
            for name, offset, datatype, count in table.fields
        ],
        is_bigendian=False,
        point_step=table.point_step,
        row_step=table.point_step * table.n,
        is_dense=True,
    )
    # Into the array the message already has: one copy, whatever the setter of this distribution
    # checks or converts.
    message.data.frombytes(table.data)
    return message


def to_multi_array(values: AnyArray, labels: tuple[str, ...]) -> Any:
    """Wrap float32 or uint8 values, outermost axis first; strides as MultiArrayLayout has them."""
    message = DENSE_TYPES[values.dtype.name](layout=_layout(values.shape, labels))
    message.data.frombytes(np.ascontiguousarray(values).reshape(-1).view(np.uint8))
    return message


def to_named(frame: FeatureFrame, names: tuple[str, ...]) -> JointState:
    """Wrap the newest row as a JointState, the one standard message of named numbers."""
    message = JointState(header=_header(frame), name=list(names))
    message.position.frombytes(frame.values[-1].astype(np.float64).view(np.uint8))
    return message


def _layout(shape: tuple[int, ...], labels: tuple[str, ...]) -> MultiArrayLayout:
    layout = MultiArrayLayout()
    for axis, (label, size) in enumerate(zip(labels, shape, strict=True)):
        stride = int(np.prod(shape[axis:], dtype=np.int64))
        layout.dim.append(MultiArrayDimension(label=label, size=size, stride=stride))
    return layout


def _header(frame: Frame) -> Header:
    sec, nanosec = divmod(frame.t_ref_ns, 1_000_000_000)
    return Header(stamp=Time(sec=sec, nanosec=nanosec), frame_id=frame.frame_id)


def _wanted(publisher: Any) -> bool:
    return (
        publisher is not None and publisher.is_activated and publisher.get_subscription_count() > 0
    )
