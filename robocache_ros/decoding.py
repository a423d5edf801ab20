# Copyright 2026 the robocache_ros authors
# SPDX-License-Identifier: Apache-2.0
"""From a message of a source to a sample: the same decoders live and in a replay."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

from robocache_ros.codec.cloud import decode_cloud
from robocache_ros.codec.image import decode_image
from robocache_ros.codec.imu import decode_imu
from robocache_ros.codec.joints import joint_decoder
from robocache_ros.config import CloudSource, JointStateSource, SourceConfig

# Source type -> decoder, where it does not depend on the parameters of the source.
_PLAIN: dict[str, Callable[[Any], Any]] = {'image': decode_image, 'imu': decode_imu}


def decoder_of(source: SourceConfig) -> Callable[[Any], Any]:
    """Return the function message -> payload of `Pipeline.push`; it raises Rejected."""
    if isinstance(source, CloudSource):
        return partial(decode_cloud, input_origin=source.input_origin)
    if isinstance(source, JointStateSource):
        return joint_decoder(source.joints, source.interfaces)
    return _PLAIN[source.type]
