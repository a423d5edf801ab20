# Copyright 2026 the robocache_ros authors
# SPDX-License-Identifier: Apache-2.0
"""From a message of a source to a sample: the same decoders live and in a replay."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from operator import attrgetter
from typing import Any

from robocache_ros.codec.cloud import CloudView, decode_cloud
from robocache_ros.codec.compressed import decode_compressed
from robocache_ros.codec.fields import check_vector, fields_decoder
from robocache_ros.codec.image import decode_image
from robocache_ros.codec.joints import joint_decoder
from robocache_ros.codec.point_clock import PointClock, Tell
from robocache_ros.codec.point_reading import Untimed
from robocache_ros.config import (
    CloudSource,
    ConfigError,
    DeskewConfig,
    FieldsSource,
    JointStateSource,
    SourceConfig,
)
from robocache_ros.config.message_types import MESSAGE_TYPES

# Source type -> decoder, where it does not depend on the parameters of the source.
_PLAIN: dict[str, Callable[[Any], Any]] = {
    'image': decode_image,
    'compressed_image': decode_compressed,
}


class Decoder:
    """Makes samples of the messages of one source: when they were taken, and what they hold."""

    def __init__(
        self, source: SourceConfig, deskew: DeskewConfig, tell: Tell | None = None
    ) -> None:
        """`tell` is told how the times of points are read; see `PointClock`."""
        self.point_clock = _point_clock(source, deskew, tell)
        self._decode = decoder_of(source)
        self._offset_ns = source.time_offset_ns
        self._deskew_to = deskew.to

    def __call__(self, message: Any, stamp_ns: int) -> tuple[int, Any]:
        """
        Return the time of the sample in ns, and the payload of `Pipeline.push`.

        `stamp_ns`: of the header, or whatever else the source is stamped by. A cloud whose points
        have times is of the time that `deskew.to` names. Raises Rejected.
        """
        payload = self._decode(message)
        t_ns = stamp_ns + self._offset_ns
        if self.point_clock is None:
            return t_ns, payload
        cloud = self._timed(self.point_clock, payload, stamp_ns)
        if cloud.times is not None:
            ends_ns = {'start': cloud.times.first_ns, 'end': cloud.times.last_ns}
            t_ns = ends_ns.get(self._deskew_to, t_ns)
        return t_ns, cloud

    def _timed(self, clock: PointClock, cloud: CloudView, stamp_ns: int) -> CloudView:
        """Return the cloud with the times of its points, or with a note why it has none."""
        try:
            times = clock.read(cloud, stamp_ns)
        except Untimed as untimed:
            return replace(cloud, notes={**cloud.notes, untimed.reason: 1})
        return replace(cloud, times=times and times.shifted(self._offset_ns))


def frame_of(message: Any) -> str:
    """Return the frame that a message is about: of odometry, what moves; '' without a header."""
    if hasattr(message, 'child_frame_id'):
        return str(message.child_frame_id)
    return str(message.header.frame_id) if hasattr(message, 'header') else ''


def decoder_of(source: SourceConfig) -> Callable[[Any], Any]:
    """Return the function message -> payload of `Pipeline.push`; it raises Rejected."""
    if isinstance(source, CloudSource):
        return partial(decode_cloud, input_origin=source.input_origin)
    if isinstance(source, JointStateSource):
        return joint_decoder(source.joints, source.interfaces)
    if isinstance(source, FieldsSource):
        return _decoder_of_fields(source)
    return _PLAIN[source.type]


def check_paths(source: FieldsSource, message: Any) -> None:
    """Refuse a type whose rows are not about its message: ConfigError."""
    for path in (path for row in source.rows for path in row.paths):
        try:
            attrgetter(path)(message)
        except AttributeError:
            raise ConfigError(
                f'{source.name}.type {source.type} has a row for {path}, which {source.message} '
                'does not have'
            ) from None


def _decoder_of_fields(source: FieldsSource) -> Callable[[Any], Any]:
    about, widths = source.about, source.widths
    if about.decode is not None:
        decode = partial(about.decode, **widths)
        return decode if about in MESSAGE_TYPES else partial(_checked, source, decode)
    return partial(_by_rows, source, fields_decoder(source.rows, widths))


def _checked(source: FieldsSource, decode: Callable[[Any], Any], message: Any) -> Any:
    """Decode by a function of somebody else, which may return anything."""
    vector = decode(message)
    check_vector(vector, source.rows, source.widths)
    return vector


def _by_rows(source: FieldsSource, decode: Callable[[Any], Any], message: Any) -> Any:
    """Decode by rows; a recording shows no earlier that they are about another message."""
    try:
        return decode(message)
    except AttributeError:
        check_paths(source, message)
        raise


def _point_clock(
    source: SourceConfig, deskew: DeskewConfig, tell: Tell | None
) -> PointClock | None:
    """Return what tells the times of points; None where nobody wants them, for that costs."""
    if not isinstance(source, CloudSource) or source.point_time == 'none':
        return None
    if source.point_time == 'auto' and not deskew.active:
        return None
    stamp_at = source.stamp_at
    if stamp_at == 'auto' and source.stamp == 'receive':
        stamp_at = 'end'  # of a sweep that was over when it arrived
    return PointClock(source.name, source.point_time, source.point_time_unit, stamp_at, tell)
