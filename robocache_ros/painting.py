# Copyright 2026 the robocache_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Which images paint a cloud, and from where they saw it."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from typing import NamedTuple

import numpy as np

from robocache_ros.codec.camera import Camera, DoubleArray
from robocache_ros.codec.cloud import RGB, Origin, View, fields_of
from robocache_ros.codec.compressed import Picture
from robocache_ros.config import Config, ConfigError, ImageSource
from robocache_ros.motion.pose import Pose, inverse, matrices
from robocache_ros.motion_sources import Moment
from robocache_ros.placing import Placed, Placer
from robocache_ros.reasons import Reason, Rejected
from robocache_ros.robot_frames import RobotFrames
from robocache_ros.samples import FloatArray
from robocache_ros.timeline.found import Found
from robocache_ros.timeline.timeline import Timeline
from robocache_ros.timeline.track import Snapshot, Track

_DIAGONAL = 1.5  # of a cell of edge 1, with something to spare for the distortion


class Shot(NamedTuple):
    """An image in a ring buffer that is near enough in time to paint a cloud."""

    track: Track
    t_ns: int
    snapshot: Snapshot

    def place(self, frames: RobotFrames) -> tuple[str, int]:
        """Frame of its camera, and its time."""
        assert isinstance(self.snapshot.payload, Picture)
        frame = frames.of(self.track.config.name, self.snapshot.payload.frame_id)
        return frame, self.t_ns


class Sight(NamedTuple):
    """How an image sees the points of a frame; its pixels may still be compressed."""

    source: str
    t_ns: int
    snapshot: Snapshot
    picture: Picture
    camera: Camera
    rotation: FloatArray  # float32 [3, 3], from the frame of the grid into that of the camera
    translation: FloatArray  # float32 [3]
    paints: tuple[str, ...]
    cell: int  # pixels
    tolerance: float  # 1/m

    @property
    def key(self) -> tuple[object, ...]:
        """What distinguishes it from other sights of the same cloud."""
        turned, moved = self.rotation.tobytes(), self.translation.tobytes()
        return self.source, self.t_ns, self.camera, turned, moved

    def view(self) -> View:
        """Return it with its pixels; raises Rejected where the image is damaged."""
        return View(self.picture.unpacked(), *self[4:])


# What keeps images from painting, by camera.
Trouble = dict[str, Counter[Reason]]


class Painter:
    """
    Chooses the images that paint clouds, those nearest in time, and where their cameras were.

    The pipeline holds its lock around every call.
    """

    def __init__(self, config: Config, timeline: Timeline, placer: Placer) -> None:
        """ConfigError where the file of a calibration can not be used."""
        self._timeline = timeline
        self._placer = placer
        self.tracks = [timeline.tracks[camera.name] for camera in config.cameras()]
        self.use(config)
        self._told: dict[str, Camera] = {}
        for source in config.cameras():
            if source.calibration:
                try:
                    self._told[source.name] = Camera.from_file(
                        source.calibration, source.rectified
                    )
                except (OSError, ValueError) as error:
                    raise ConfigError(f'{source.name}.calibration: {error}') from error

    def use(self, config: Config) -> None:
        """Paint what the channels of a changed configuration ask for."""
        self._asked = set(config.voxel_spec.fields)

    def tell(self, source: str, camera: Camera) -> None:
        """Take the calibration of a camera, for all frames from now on."""
        self._told[source] = camera

    def shots(self, found: Found) -> Iterator[Shot]:
        """Yield, of every camera, the image nearest in time to the middle of a cloud."""
        for track in self._painting():
            shot = self._nearest(track, found.middle_ns)
            if shot is not None:
                yield shot

    def sights(
        self, moment: Moment, shots: Iterable[Shot], placed: Placed
    ) -> tuple[Sequence[Sight], Trouble]:
        """Return how images, its shots, see a placed cloud, and what keeps others from it."""
        sights = []
        trouble: Trouble = {track.config.name: Counter() for track in self._painting()}
        by_camera = {shot.track.config.name: shot for shot in shots}
        for name, notes in trouble.items():
            try:
                if name not in by_camera:
                    raise Rejected(Reason.PAINT_NO_IMAGE, '')
                sight = self._sight(moment, by_camera[name], placed.counts_from, notes)
            except Rejected as rejected:
                notes[rejected.reason] += 1
            else:
                sights.append(sight)
        return sights, trouble

    def _painting(self) -> list[Track]:
        """Return the cameras that paint something that somebody asks for."""
        return [track for track in self.tracks if self._paints(track)]

    def _nearest(self, track: Track, t_ns: int) -> Shot | None:
        """Return the image nearest to a time, of two that are as near the earlier one."""
        if not self._timeline.in_epoch(track):
            return None
        times, snapshots = track.ring.times, track.ring.column(0)
        after = int(times.searchsorted(t_ns))
        near = []
        for rows in (range(after - 1, -1, -1), range(after, len(times))):
            whole = (at for at in rows if snapshots[at].payload is not None)
            near += [(abs(int(times[at]) - t_ns), at) for at in islice(whole, 1)]
        away_ns, at = min(near, default=(track.config.max_gap_ns + 1, 0))
        if away_ns > track.config.max_gap_ns:
            return None
        return Shot(track, int(times[at]), snapshots[at])

    def _sight(
        self, moment: Moment, shot: Shot, counts_from: Origin, notes: Counter[Reason]
    ) -> Sight:
        """Return how an image sees a cloud; raises Rejected with the reason why it does not."""
        source, picture = shot.track.config, shot.snapshot.payload
        assert isinstance(source, ImageSource)
        assert isinstance(picture, Picture)
        if source.name not in self._told:
            raise Rejected(Reason.CAMERA_INFO_MISSING, '')
        camera = self._told[source.name].for_size(picture.width, picture.height)
        paints = self._paints(shot.track)
        _check_colours(picture, paints)
        pose, lacks = self._placer.seen_at(moment, source.name, picture.frame_id, shot.t_ns)
        notes.update(lacks)
        if isinstance(pose, Reason):
            raise Rejected(pose, '')
        rotation, translation = _into_camera(pose, camera, counts_from)
        cell, tolerance = _occlusion(source, camera)
        seen = (picture, camera, rotation, translation, paints, cell, tolerance)
        return Sight(source.name, shot.t_ns, shot.snapshot, *seen)

    def _paints(self, track: Track) -> tuple[str, ...]:
        """Which of its fields, of those that somebody asks for, a camera paints."""
        source = track.config
        assert isinstance(source, ImageSource)
        paints = source.paint or ()
        return tuple(name for name in paints if self._asked.intersection(fields_of([name])))


def _check_colours(picture: Picture, paints: tuple[str, ...]) -> None:
    """Raise Rejected unless an image has what it is to paint."""
    small = picture.format.bayer and min(picture.width, picture.height) < 2
    if small or (RGB in paints and picture.format.code == 'f4'):
        raise Rejected(Reason.PAINT_ENCODING, '')


def _into_camera(pose: Pose, camera: Camera, counts_from: Origin) -> tuple[FloatArray, FloatArray]:
    """Rotation and translation from the frame of the grid into that of the pixels, float32."""
    matrix = np.eye(4)
    into = inverse(pose)
    matrix[:3, :3], matrix[:3, 3] = matrices(into.rotation), into.position
    shift = np.eye(4)
    shift[:3, 3] = counts_from
    matrix = _product(_product(camera.rectify, matrix), shift)
    exact = matrix.astype(np.float32) + np.float32(0)
    return exact[:3, :3], exact[:3, 3]


def _product(a: DoubleArray, b: DoubleArray) -> DoubleArray:
    """Product of two float64 [4, 4], in a fixed order: BLAS has the bits of its machine."""
    total: DoubleArray = a[:, 0, None] * b[0]
    for k in range(1, 4):
        total = total + a[:, k, None] * b[k]
    return total


def _occlusion(source: ImageSource, camera: Camera) -> tuple[int, float]:
    """
    Edge of a cell of the occlusion test in pixels, and how much nearer a point hides, in 1/m.

    Seen from the camera, two points of a surface that passes it at the distance h differ in 1 /
    distance by no more than the angle between them divided by h; and two points of a cell are at
    most its diagonal apart.
    """
    focal = min(camera.fx, camera.fy)
    cell = math.floor(focal * source.occlusion_deg * math.pi / 180.0 + 0.5)
    if source.occlusion_deg == 0.0:
        return 0, 0.0
    cell = max(cell, 1)
    return cell, _DIAGONAL * cell / (focal * source.occlusion_clearance)
