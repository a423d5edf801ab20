# Copyright 2026 the robocache_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Why a camera paints no clouds, and why its images have no encodings, each with the fix."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from robocache_ros.config import SourceConfig
from robocache_ros.config.kinds import ImageSource
from robocache_ros.encoding import EncoderStatus
from robocache_ros.pipeline import PipelineStatus
from robocache_ros.reasons import PAINTLESS, SMEARED, UNPLACED, Reason
from robocache_ros.ros.camera_infos import CameraInfoInput
from robocache_ros.ros.placement import Placement
from robocache_ros.ros.verdicts import Level, Verdict, amount

ENCODER = 'encoder'  # kind of the verdict on it


@dataclass(frozen=True)
class CameraFacts:
    """What is known about an image source beside its messages."""

    paints: bool
    info_topic: str = ''  # of the CameraInfo; '' where a file has the calibration
    info_publishers: int = 0
    info_problem: str = ''  # why the newest CameraInfo can not be used; '' if it can
    encoder: EncoderStatus | None = None

    @classmethod
    def of(
        cls, source: SourceConfig, info: CameraInfoInput | None, status: PipelineStatus
    ) -> CameraFacts | None:
        """Return what is known of a source; None if it has no images."""
        if not isinstance(source, ImageSource):
            return None
        encoder = status.encoders.get(source.name)
        if info is None:
            return cls(bool(source.paint), encoder=encoder)
        return cls(True, info.topic, info.publishers, info.problem, encoder)

    def values(self) -> dict[str, str]:
        """Return what diagnostics show of it."""
        values = {'camera_info': self.info_topic} if self.info_topic else {}
        if self.encoder is not None:
            made = self.encoder
            values |= {'encoder': made.state, 'encoder_device': made.device}
            values['encoded'] = str(made.done)
            for name, duration_ms in (('p50', made.p50_ms), ('p99', made.p99_ms)):
                if duration_ms is not None:
                    values[f'encoder_ms_{name}'] = f'{duration_ms:.2f}'
        return values


def judge_camera(
    name: str, facts: CameraFacts, place: Placement, recent: Mapping[str, int], window_sec: float
) -> Iterator[Verdict]:
    """
    Yield what is wrong with images, keeps a camera from painting, and images from being encoded.

    Args:
        name: of the source.
        facts: what is known about it.
        place: where it is on the robot.
        recent: growth of its counts in the last seconds.
        window_sec: how many these are.
    """
    damaged = recent[f'note.{Reason.IMAGE_CORRUPT.key}']
    if damaged:
        reason = Reason.IMAGE_CORRUPT
        yield Verdict(
            Level.WARN,
            f'{amount(damaged, "image")} of the last {window_sec:.0f} s left out ({reason.key}). '
            f'{reason.what} {reason.fix}',
            reason.key,
        )
    for reason in (*PAINTLESS, *UNPLACED, *SMEARED) if facts.paints else ():
        count = recent[f'note.{reason.key}']
        if count:
            verb = 'painted as if the robot stood still' if reason in SMEARED else 'not painted'
            why, fix = _why(reason, facts, place), _fix(reason, name, place)
            yield Verdict(
                Level.WARN,
                f'{amount(count, "cloud")} of the last {window_sec:.0f} s {verb} by {name} '
                f'({reason.key}). {why} {fix}',
                reason.key,
            )
    if facts.info_problem and not recent[f'note.{Reason.CAMERA_INFO_MISSING.key}']:
        yield Verdict(
            Level.WARN,
            f'The newest CameraInfo on {facts.info_topic} is of no use, and the one before it is '
            f'still used: {facts.info_problem}',
            'camera_info',
        )
    if facts.encoder is not None and facts.encoder.sentence:
        yield Verdict(
            Level.WARN,
            f'{facts.encoder.sentence}: {name}_encoding is not valid, {name}_grid is as before.',
            ENCODER,
        )


def _why(reason: Reason, facts: CameraFacts, place: Placement) -> str:
    if reason is Reason.CAMERA_INFO_MISSING:
        if facts.info_problem:
            return f'The CameraInfo on {facts.info_topic} is of no use: {facts.info_problem}'
        if not facts.info_publishers:
            return f'There is no publisher of sensor_msgs/msg/CameraInfo on {facts.info_topic}.'
    if reason in UNPLACED:
        return f'As of now: {place.chain}.'
    if reason in SMEARED:
        return 'It is not known how the robot moved between its image and the frame.'
    return reason.what


def _fix(reason: Reason, name: str, place: Placement) -> str:
    if reason is Reason.TRANSFORM_UNKNOWN and place.extrinsic == f'{name}.extrinsic':
        return 'Publish on /tf how output_frame and base_frame are connected, or leave the former.'
    return reason.fix.replace('`S.', f'`{name}.')
