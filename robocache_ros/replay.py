# Copyright 2026 the robocache_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Recorded messages in, frames out: those that the node would have made. Without ROS."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from robocache_ros.camera_reader import CameraReader, told_cameras
from robocache_ros.codec.stamp import stamp_ns
from robocache_ros.config import SourceConfig
from robocache_ros.decoding import Decoder, frame_of
from robocache_ros.pipeline import Pipeline
from robocache_ros.reasons import Rejected
from robocache_ros.samples import Frame
from robocache_ros.transforms import TF, TF_STATIC, TransformReader, reads_transforms


def replay(
    pipeline: Pipeline, messages: Iterable[tuple[int, str, Any]], namespace: str = '/'
) -> Iterator[Frame]:
    """
    Yield every frame of a recording, in the order in which the node would have sent them.

    What became of every message is in `pipeline.status`, as in the diagnostics of the node.

    Args:
        pipeline: with `max_backlog=None`, so that no frame is skipped for being late.
        messages: (time of reception in ns, topic, message) in the order of that time; a message
            has the attributes of the ROS message, whichever library has read it. Topics that no
            source has are left out, but for /tf and /tf_static where frames are configured, and
            the CameraInfo of cameras that paint.
        namespace: of the node, for the relative topics of its sources.
    """
    sources = {
        _full(source.topic, namespace): (source, Decoder(source, pipeline.config.deskew))
        for source in pipeline.config.sources
    }
    told = (TF, TF_STATIC) if reads_transforms(pipeline.config) else ()
    transforms = TransformReader(pipeline)
    cameras = [
        (_full(camera.camera_info_topic, namespace), CameraReader(pipeline, camera))
        for camera in told_cameras(pipeline.config)
    ]
    now_ns = None
    for received_ns, topic, message in messages:
        known = [camera for info_topic, camera in cameras if topic == info_topic]
        if topic not in sources and topic not in told and not known:
            continue
        if now_ns is not None:
            yield from _until(pipeline, now_ns, received_ns)
        now_ns = received_ns
        for camera in known:  # a camera and its labels may share a topic
            camera.read(message)
        if topic in sources:
            _push(pipeline, now_ns, message, *sources[topic])
        elif topic in told:
            transforms.read(now_ns, message, static=topic == TF_STATIC)
        yield from pipeline.advance(now_ns)
    if now_ns is not None:  # what still waits gets as long as it would have got
        yield from _until(pipeline, now_ns, now_ns + round(pipeline.config.timeout_sec * 1e9) + 1)


def _push(
    pipeline: Pipeline,
    received_ns: int,
    message: Any,
    source: SourceConfig,
    decode: Decoder,
) -> None:
    try:
        header_ns = stamp_ns(message.header) if source.stamp == 'header' else received_ns
        t_ns, sample = decode(message, header_ns)
        pipeline.push(received_ns, source.name, t_ns, sample, frame_of(message))
    except Rejected as rejected:
        pipeline.reject(source.name, rejected.reason)


def _until(pipeline: Pipeline, now_ns: int, end_ns: int) -> Iterator[Frame]:
    """Let pass the time between two messages: waiting for a source ends in it."""
    while True:
        deadline_ns = pipeline.next_deadline_ns()
        if deadline_ns is None or not now_ns < deadline_ns < end_ns:
            return
        now_ns = deadline_ns
        yield from pipeline.advance(now_ns)


def _full(topic: str, namespace: str) -> str:
    return topic if topic.startswith('/') else f'{namespace.rstrip("/")}/{topic}'
