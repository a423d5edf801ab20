# Copyright 2026 the robocache_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Both halves of a frame in one object, as NumPy arrays or torch tensors; see the README."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields, is_dataclass, replace
from typing import Any

import numpy as np

from robocache_ros.codec.stamp import stamp_ns
from robocache_ros.pairing import Pairing
from robocache_ros.reading import (
    FeatureRows,
    VoxelRows,
    has_voxels,
    read_dense,
    read_features,
    read_schema,
    read_voxels,
    to_dense,
    to_torch,
)
from robocache_ros.reasons import Rejected
from robocache_ros.ros.graph import preprocessors

__all__ = [
    'FeatureRows',
    'FrameReader',
    'PairedFrame',
    'VoxelRows',
    'read_dense',
    'read_features',
    'read_schema',
    'read_voxels',
    'to_dense',
]

# Frames that may pass without a schema before a reader complains: it is on its way at the start.
_PATIENCE_FRAMES = 5
# Schemas that are remembered: frames of the one before may still be under way after a change.
_SCHEMAS_KEPT = 8
# After so long without a frame it says why.
_PATIENCE_SEC = 5.0


@dataclass(frozen=True, eq=False)
class PairedFrame:
    """Both halves of one frame; arrays are views of the messages, or torch tensors of the same."""

    stamp_ns: int
    frame_id: str
    voxels: VoxelRows | None  # None where no source of the node is a cloud
    features: FeatureRows
    schema: dict[str, Any]  # as read_schema gives it


class FrameReader:
    """Subscribes to a node's voxels, features and schema, and pairs them by their exact stamp."""

    def __init__(
        self,
        node: Any,
        name: str = '/preprocessor',
        *,
        callback: Callable[[PairedFrame], None] | None = None,
        tensor: str = 'numpy',
        depth: int = 5,
    ) -> None:
        """
        Subscribe on `node`, which the caller spins (or nobody: see `wait`).

        Args:
            node: any rclpy node, in this process of the preprocessor or another.
            name: of the preprocessor; without a leading slash in the node's own namespace.
            callback: gets every frame, in the executor's thread.
            tensor: 'numpy', or 'torch' for tensors that share the memory of the messages
                (uint32 columns as int32, which torch can compute with).
            depth: messages queued per topic, and halves kept that wait for their other one.
        """
        if tensor not in ('numpy', 'torch'):
            raise ValueError(f"tensor must be one of 'numpy', 'torch', not {tensor!r}")
        self.paired = 0  # frames handed out
        self.refused = 0  # pairs whose schema has not come, or that can not be read
        self._pairing = Pairing(depth)
        self._convert = to_torch() if tensor == 'torch' else None
        self._node = node
        self._name = name
        self._callback = callback
        self._depth = depth
        self._schemas: dict[int, dict[str, Any]] = {}  # by schema_id, oldest first
        self._early: deque[tuple[int, Any, Any]] = deque(maxlen=depth)  # frames before theirs
        self._said: set[str] = set()
        self._fresh = threading.Condition()
        self._newest: PairedFrame | None = None
        self._waited_for: PairedFrame | None = None
        self._executor: Any = None
        self._subscriptions = self._subscribe()
        self._watch = self._start_watch()

    def _subscribe(self) -> list[Any]:
        from rclpy.qos import DurabilityPolicy, QoSProfile
        from sensor_msgs.msg import PointCloud2
        from std_msgs.msg import String

        latched = QoSProfile(depth=_SCHEMAS_KEPT, durability=DurabilityPolicy.TRANSIENT_LOCAL)
        queued = QoSProfile(depth=self._depth)
        subscribe = self._node.create_subscription
        return [
            subscribe(String, f'{self._name}/schema', self._on_schema, latched),
            subscribe(PointCloud2, f'{self._name}/voxels', self._on_voxels, queued),
            subscribe(PointCloud2, f'{self._name}/features', self._on_features, queued),
        ]

    def _start_watch(self) -> Any:
        from rclpy.clock import Clock, ClockType

        clock = Clock(clock_type=ClockType.STEADY_TIME)  # that of a simulation may stand still
        return self._node.create_timer(_PATIENCE_SEC, self._explain_silence, clock=clock)

    @property
    def unpaired(self) -> int:
        """Messages whose other half never came."""
        return self._pairing.unpaired

    @property
    def _schema(self) -> dict[str, Any] | None:
        """The newest schema."""
        return next(reversed(self._schemas.values()), None)

    def latest(self) -> PairedFrame | None:
        """Return the newest frame; the same one again until there is a newer, None before any."""
        return self._newest

    def wait(self, timeout_sec: float | None = None) -> PairedFrame | None:
        """
        Return the newest frame that `wait` has not returned yet, or None after the timeout.

        A node that is in no executor is spun here. Otherwise its executor must be spinning in
        another thread: a callback of the node itself would wait in vain.
        """
        deadline = None if timeout_sec is None else time.monotonic() + timeout_sec
        executor = self._node.executor
        if executor is None or self._node not in executor.get_nodes():
            self._spin(deadline)
        else:
            self._sleep(deadline)
        with self._fresh:
            if not self._has_fresh():
                return None
            self._waited_for = self._newest
            return self._newest

    def close(self) -> None:
        """Unsubscribe."""
        self._node.destroy_timer(self._watch)
        for subscription in self._subscriptions:
            self._node.destroy_subscription(subscription)
        if self._executor is not None:
            self._executor.shutdown()

    def _has_fresh(self) -> bool:
        return self._newest is not self._waited_for

    def _spin(self, deadline: float | None) -> None:
        from rclpy.executors import SingleThreadedExecutor

        if self._executor is None:
            self._executor = SingleThreadedExecutor(context=self._node.context)
        self._executor.add_node(self._node)
        try:
            while not self._has_fresh() and self._has_time(deadline):
                self._executor.spin_once(timeout_sec=_slice(deadline))
        finally:
            self._executor.remove_node(self._node)

    def _sleep(self, deadline: float | None) -> None:
        with self._fresh:
            while not self._has_fresh() and self._has_time(deadline):
                self._fresh.wait(_slice(deadline))

    def _has_time(self, deadline: float | None) -> bool:
        in_time = deadline is None or time.monotonic() < deadline
        return in_time and bool(self._node.context.ok())

    def _on_schema(self, message: Any) -> None:
        try:
            schema = read_schema(message)
        except ValueError as error:
            self._warn('schema', f'{self._name}/schema: {error}')
            return
        self._schemas.pop(schema['schema_id'], None)  # now it is the newest
        self._schemas[schema['schema_id']] = schema
        if len(self._schemas) > _SCHEMAS_KEPT:
            del self._schemas[next(iter(self._schemas))]
        for _ in range(len(self._early)):  # the first frame may have overtaken it
            self.refused -= 1
            self._take(*self._early.popleft())

    def _on_voxels(self, message: Any) -> None:
        self._on_half(0, message)

    def _on_features(self, message: Any) -> None:
        self._on_half(1, message)

    def _on_half(self, stream: int, message: Any) -> None:
        try:
            stamp = stamp_ns(message.header)
        except Rejected as error:
            self._reject(error)
            return
        pair = self._pair(stream, stamp, message)
        if pair is not None:
            self._take(stamp, *pair)

    def _pair(self, stream: int, stamp: int, message: Any) -> tuple[Any, Any] | None:
        if self._schema is not None and not has_voxels(self._schema):
            return None, message
        with self._fresh:
            return self._pairing.add(stream, stamp, message)

    def _take(self, stamp: int, voxels: Any, features: Any) -> None:
        """Hand a pair over, keep it until its schema comes, or refuse it."""
        try:
            frame = self._frame(stamp, voxels, features)
        except Rejected as error:
            self._reject(error)
            return
        if frame is not None:
            self._hand_over(frame)

    def _reject(self, error: Rejected) -> None:
        self.refused += 1
        self._warn(error.reason.key, f'{self._name}: {error}')

    def _frame(self, stamp: int, voxels: Any, features: Any) -> PairedFrame | None:
        rows = read_features(features)
        schema = self._schemas.get(rows.schema_id)
        if schema is None:
            self._early.append((stamp, voxels, features))
            self._refuse(rows.schema_id, self._schema)
            return None
        grid = None if voxels is None else read_voxels(voxels)
        if self._convert is not None:
            grid, rows = _converted(grid, self._convert), _converted(rows, self._convert)
        return PairedFrame(stamp, rows.frame_id, grid, rows, schema)

    def _hand_over(self, frame: PairedFrame) -> None:
        with self._fresh:
            self.paired += 1
            self._newest = frame
            self._fresh.notify_all()
        if self._callback is not None:
            self._callback(frame)

    def _refuse(self, schema_id: int, schema: dict[str, Any] | None) -> None:
        self.refused += 1
        if schema is not None and len(self._early) > 1:  # one may overtake its schema
            self._warn(
                f'{schema_id} {schema["schema_id"]}',
                f'frames of {self._name} have schema {schema_id:#010x}, but {self._name}/schema '
                f'says {schema["schema_id"]:#010x}: refused. Two nodes on one name, or a bag '
                'recorded with another configuration?',
            )
        elif schema is None and self.refused == _PATIENCE_FRAMES:
            self._warn(
                'no schema',
                f'frames of {self._name} arrive, but nothing on {self._name}/schema: refused. '
                'Is the topic remapped, or missing from the bag?',
            )

    def _explain_silence(self) -> None:
        """Say, once, why there has not been a frame."""
        self._node.destroy_timer(self._watch)
        if self.paired or self.refused:  # then something else has been said
            return
        topics = [subscription.topic_name for subscription in self._subscriptions]
        missing = [topic for topic in topics if not self._node.count_publishers(topic)]
        if not missing:
            why = 'although all its topics have a publisher. /diagnostics says what it lacks'
        else:
            where = 'there is no other preprocessor: is it running, with our ROS_DOMAIN_ID?'
            if others := ', '.join(preprocessors(self._node)):
                where = f'there is {others}: is that its name?'
            why = f'because nobody publishes {", ".join(missing)}; {where}'
        self._warn('silence', f'no frame from {self._name} for {_PATIENCE_SEC:g} s, {why}')

    def _warn(self, about: str, sentence: str) -> None:
        """Warn once about each thing."""
        if about not in self._said:
            self._said.add(about)
            self._node.get_logger().warning(sentence)


def _slice(deadline: float | None) -> float:
    """Return how long to sleep in one go: a shutdown elsewhere must not go unnoticed for long."""
    return 0.1 if deadline is None else min(0.1, max(0.0, deadline - time.monotonic()))


def _converted(value: Any, convert: Callable[[Any], Any]) -> Any:
    """Return a copy with every array in it converted, in dataclasses and mappings too."""
    if isinstance(value, np.ndarray):
        return convert(value)
    if isinstance(value, Mapping):
        return {key: _converted(part, convert) for key, part in value.items()}
    if is_dataclass(value) and not isinstance(value, type):
        parts = {field.name: getattr(value, field.name) for field in fields(value)}
        return replace(value, **_converted(parts, convert))
    return value
