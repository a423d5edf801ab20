# Copyright 2026 the robocache_ros authors
# SPDX-License-Identifier: Apache-2.0
"""From chosen samples to a frame: a pure function of configuration, samples and time."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from robocache_ros.agreement import Agreement, Sweeps
from robocache_ros.backends import Backend
from robocache_ros.cloud_features import cloud_features
from robocache_ros.codec.cloud import CloudView
from robocache_ros.codec.compressed import Picture
from robocache_ros.config import CloudSource, Config, ImageSource, SourceConfig
from robocache_ros.grid import Channel, PointStats, SparseVoxels, VoxelSpec
from robocache_ros.motion_sources import Moment
from robocache_ros.painting import Sight, Trouble
from robocache_ros.reasons import Reason
from robocache_ros.resampling import Stream
from robocache_ros.samples import (
    NEVER_SEEN_AGE_SEC,
    FeatureFrame,
    FloatArray,
    IntArray,
    Vector,
    VoxelFrame,
)
from robocache_ros.schema import Schema
from robocache_ros.timeline.aligner import Ready
from robocache_ros.timeline.track import Snapshot


@dataclass(frozen=True)
class CloudPick:
    """A cloud that goes into a grid, or would, if it were known where it is."""

    source: str
    t_ns: int
    snapshot: Snapshot
    cloud: CloudView | None  # as it goes into the grid
    notes: Counter[Reason] = field(default_factory=Counter)  # why it does not, or not as it should
    moved_by: Mapping[str, tuple[int, ...]] = field(default_factory=dict)  # source -> samples
    sights: Sequence[Sight] = ()  # images that paint it
    trouble: Trouble = field(default_factory=dict)  # what keeps others from it


def place_of(cloud: CloudView) -> bytes:
    """Return what distinguishes the same cloud at one place from itself at another."""
    parts = [*(cloud.transform or ()), *(cloud.motion or ()), *cloud.constants.values()]
    return b'|'.join(np.asarray(part).tobytes() for part in parts)


@dataclass(frozen=True)
class Window:
    """The samples of one source that a feature table may draw from, oldest first."""

    source: SourceConfig
    times: IntArray  # [n]
    samples: Sequence[Snapshot] | Vector  # Vector holds [n, D] values and [n, G] valid
    picks: Sequence[CloudPick | None] = ()  # [n] of clouds: how they lie, None where not asked
    # Of clouds, also those left out: why it is not known where they are, or how they moved.
    trouble: Counter[Reason] = field(default_factory=Counter)
    encodings: Sequence[FloatArray | None] = ()  # [n] of images, None where there is none yet


class Selection(NamedTuple):
    """Everything that a frame is a function of, beside the configuration."""

    ready: Ready
    now_ns: int
    epoch: int
    frame_id: str
    picks: Sequence[CloudPick]  # newest first, of each source
    windows: Sequence[Window]  # for the feature table only
    moment: Moment

    def images(self) -> Iterator[tuple[str, Snapshot]]:
        """Yield the images whose pixels the frame needs, and their sources."""
        for pick in self.picks:
            yield from ((sight.source, sight.snapshot) for sight in pick.sights)
        for window in self.windows:
            if isinstance(window.source, ImageSource) and not isinstance(window.samples, Vector):
                fresh = (image for image in window.samples if image.vector is None)
                yield from ((window.source.name, image) for image in fresh)


# What was left out, counted for a source by its name, or for the output itself.
Notes = dict[str, Counter[Reason]]


def stale_features(before: Config, after: Config) -> set[str]:
    """Return the clouds whose features, computed with one configuration, are not of another."""
    return {
        old.name
        for old, new in zip(before.cloud_sources(), after.cloud_sources(), strict=True)
        if _shapes(before, old) != _shapes(after, new)
    }


def _shapes(config: Config, cloud: CloudSource) -> tuple[object, ...]:
    """Return what the features of a cloud are made by."""
    deskew = config.deskew
    gaps = [s.max_gap_ns for s in config.sources if s.name in (deskew.imu, deskew.odometry)]
    return _count_spec(config), cloud.occupancy_shape, gaps


def _count_spec(config: Config) -> VoxelSpec:
    """Features need the occupied cells and their counts, whatever channels are published."""
    return replace(config.voxel_spec, channels=(Channel.parse('count'),))


class Assembler:
    """Computes both halves of a frame on one backend."""

    def __init__(self, config: Config, schema: Schema, backend: Backend) -> None:
        self.config = config
        self.schema = schema
        self._places = _places(schema)
        self._backend = backend
        self._spec = config.voxel_spec
        self._measured = [name for name in self._spec.fields if name not in config.painted]
        self._count_spec = _count_spec(config)
        features = config.features
        back = range(features.targets - 1, -1, -1)
        self._offsets_ns = np.array(
            [-round(k * 1e9 / features.target_rate_hz) for k in back], np.int64
        )
        self._dt = (self._offsets_ns.astype(np.float64) / 1e9).astype(np.float32)

    def targets_ns(self, t_ref_ns: int) -> IntArray:
        """Target times of the T rows, int64 [T], the last one `t_ref_ns`."""
        return self._offsets_ns + t_ref_ns

    def with_constants(self, cloud: CloudView, lag_ns: int) -> CloudView:
        """Give a cloud, measured `lag_ns` before a frame, what channels may ask about that."""
        lag = lag_ns / 1e9
        known = {'time_lag': lag, 'recency': 2.0 ** (-lag / self.config.voxels.decay_sec)}
        asked = {name: value for name, value in known.items() if name in self._spec.fields}
        return replace(cloud, constants=asked) if asked else cloud

    def agreement(self, sweeps: Sweeps) -> Agreement:
        """Return how well two sweeps agree in the voxels of the grid."""
        return sweeps.agreement(self._backend, self._count_spec)

    def voxel_frame(self, selection: Selection) -> tuple[VoxelFrame | None, Notes]:
        """
        Voxelize those of the picked clouds that have a place in the output frame; none, no frame.

        An empty grid would say that there is nothing around the robot, which nobody has seen.
        """
        ready = selection.ready
        usable = [pick for pick in selection.picks if pick.cloud is not None]
        notes = self._notes_on(selection)
        if not usable:
            return None, notes
        voxels = self._voxels_of(usable)
        dtype = self.config.voxels.dense
        used: dict[str, tuple[int, ...]] = dict(selection.moment.used)
        for pick in reversed(usable):
            used[pick.source] = (*used.get(pick.source, ()), pick.t_ns)
        for sight in (sight for pick in usable for sight in pick.sights):
            used[sight.source] = tuple(sorted({*used.get(sight.source, ()), sight.t_ns}))
        sources = [source.name for source in self.config.voxel_sources()]
        missing = tuple(name for name in sources if name not in used)
        troubled = any(pick.notes or any(pick.trouble.values()) for pick in selection.picks)
        frame = VoxelFrame(
            t_ref_ns=ready.t_ref_ns,
            epoch=selection.epoch,
            frame_id=selection.frame_id,
            voxels=voxels,
            dense=None if dtype == 'none' else self._backend.densify(voxels, dtype),
            used=used,
            missing=missing,
            complete=ready.complete and not missing and not troubled,
            arrival_ns=ready.arrival_ns,
            ready_ns=max(selection.now_ns, ready.arrival_ns),
        )
        return frame, {**notes, 'voxels': Counter(voxels.stats.notes())}

    def feature_frame(self, selection: Selection) -> tuple[FeatureFrame, Notes]:
        """Resample every source at the target times, into one table."""
        ready, windows = selection.ready, selection.windows
        targets = self.targets_ns(ready.t_ref_ns)
        table = _Table(len(targets), self.schema)
        notes = {window.source.name: self._prepare(window) for window in windows}
        used = {window.source.name: self._fill(table, window, targets) for window in windows}
        _add_moved_by(used, windows)
        troubled = any(window.trouble for window in windows)
        missing = tuple(
            name
            for name, places in self._places.items()
            if not any(table.valid[-1, place.number] for place in places)
        )
        frame = FeatureFrame(
            t_ref_ns=ready.t_ref_ns,
            epoch=selection.epoch,
            frame_id=selection.frame_id,
            dt=self._dt,
            values=table.values,
            valid=table.valid,
            age=table.age,
            used=used,
            missing=missing,
            complete=ready.complete and not missing and not troubled,
            arrival_ns=ready.arrival_ns,
            ready_ns=max(selection.now_ns, ready.arrival_ns),
        )
        return frame, notes

    def _notes_on(self, selection: Selection) -> Notes:
        """What keeps clouds, or their channels, out of the grid, and what their motion lacks."""
        notes = {name: Counter(found) for name, found in selection.moment.notes.items()}
        for pick in selection.picks:
            found = notes.setdefault(pick.source, Counter())
            found.update(pick.notes)
            if pick.cloud is not None and not all(map(pick.cloud.has, self._measured)):
                found[Reason.FIELD_MISSING] += 1
            for camera, why in pick.trouble.items():
                notes.setdefault(camera, Counter()).update(why)
        return notes

    def _voxels_of(self, picks: Sequence[CloudPick]) -> SparseVoxels:
        clouds = [_painted(pick) for pick in picks]
        if len(clouds) > 1:
            return self._backend.voxelize(clouds, self._spec)
        snapshot = picks[0].snapshot  # a trigger faster than the LiDAR asks again for the same
        place, painted_by = place_of(clouds[0]), tuple(sight.key for sight in picks[0].sights)
        if (
            snapshot.voxels is None
            or snapshot.voxels_at != place
            or snapshot.painted_by != painted_by
        ):
            snapshot.voxels = self._backend.voxelize(clouds, self._spec)
            snapshot.voxels_at, snapshot.painted_by = place, painted_by
        return snapshot.voxels

    def _prepare(self, window: Window) -> Counter[Reason]:
        """Compute the features of clouds and images that have none yet; returns the notes."""
        fills = window.source in self.config.voxel_sources()
        notes = Counter(window.trouble)
        if fills:  # then how it lies is noted with the grid
            notes = +Counter({Reason.GRID_CHANGED: notes[Reason.GRID_CHANGED]})
        if isinstance(window.samples, Vector):
            return notes
        for number, snapshot in enumerate(window.samples):
            pick = window.picks[number] if window.picks else None
            if pick is not None or snapshot.vector is None:
                snapshot.vector = self._features_of(window.source, snapshot, pick)
                snapshot.moved_by = {} if pick is None else pick.moved_by
                snapshot.settled = pick is None or not pick.notes
                notes.update(snapshot.vector.notes)
        return notes

    def _features_of(
        self, source: SourceConfig, snapshot: Snapshot, pick: CloudPick | None
    ) -> Vector:
        if isinstance(source, CloudSource):
            assert pick is not None
            assert pick.cloud is not None
            voxels = snapshot.voxels
            if voxels is None or snapshot.voxels_at != place_of(pick.cloud):
                voxels = self._backend.voxelize([pick.cloud], self._count_spec)
            vector = cloud_features(voxels, source.occupancy_shape)
            return replace(vector, notes={**vector.notes, **_bareness(voxels.stats)})
        assert isinstance(source, ImageSource)
        assert not isinstance(snapshot.payload, CloudView)
        return self._image_features(source, snapshot.payload)

    def _image_features(self, source: ImageSource, picture: Picture | None) -> Vector:
        """Area means of an image; not valid if only its encoding is left."""
        if picture is None:
            width = self._places[source.name][0].source_columns.stop
            return Vector(np.zeros(width, np.float32), np.zeros(1, np.bool_))
        image = picture.unpacked()
        grid, left_out = self._backend.image_grid(image, *source.grid, source.channels)
        notes = {Reason.VALUE_NONFINITE: left_out} if left_out else {}
        return Vector(grid, np.ones(1, np.bool_), notes)

    def _fill(self, table: _Table, window: Window, targets: IntArray) -> tuple[int, ...]:
        """Resample one source into its columns; returns the times of the samples used."""
        values, valid = _stacked(window)
        used: set[int] = set()
        for place in self._places[window.source.name]:
            times, columns = window.times, values[:, place.source_columns]
            has_value = valid[:, place.source_group]
            if not has_value.all():
                times, columns = times[has_value], columns[has_value]
            stream = Stream(times[None], columns[None], place.rule, window.source.max_gap_ns)
            resampled = self._backend.resample(stream, targets[None])
            table.values[:, place.columns] = resampled.values[0]
            table.valid[:, place.number] = resampled.valid[0]
            table.age[:, place.number] = resampled.age[0]
            if len(times):
                aged_by = np.maximum(times.searchsorted(targets, side='right') - 1, 0)
                for chosen in (aged_by, resampled.lower[0], resampled.upper[0]):
                    used.update(times[chosen].tolist())
        return tuple(sorted(used))


def _bareness(stats: PointStats) -> dict[Reason, int]:
    """Return why a cloud fills no voxel, of what is worth knowing by source."""
    if not stats.points:
        return {Reason.CLOUD_EMPTY: 1}
    if not stats.used and stats.out_of_range:
        return {Reason.CLOUD_OUT_OF_RANGE: 1}
    return {}


def _painted(pick: CloudPick) -> CloudView:
    """Give a cloud the images that paint it."""
    assert pick.cloud is not None
    views = tuple(sight.view() for sight in pick.sights)
    return replace(pick.cloud, views=views) if views else pick.cloud


def _add_moved_by(used: dict[str, tuple[int, ...]], windows: Sequence[Window]) -> None:
    """Name the samples that moved the clouds in a table among those it used."""
    for window in windows:
        if not isinstance(window.source, CloudSource) or isinstance(window.samples, Vector):
            continue
        taken = set(used[window.source.name])
        for t_ns, snapshot in zip(window.times.tolist(), window.samples, strict=True):
            for name, times in snapshot.moved_by.items() if t_ns in taken else ():
                used[name] = tuple(sorted({*used[name], *times}))


class _Place(NamedTuple):
    """Where one feature group comes from and where it goes."""

    number: int  # among all groups
    columns: slice  # of the table
    source_group: int  # among the groups of its source
    source_columns: slice  # of the source's vector
    rule: str


class _Table:
    """The arrays of a feature frame; nothing seen yet: zeros, invalid, very old."""

    def __init__(self, rows: int, schema: Schema) -> None:
        self.values = np.zeros((rows, len(schema.feature_names)), np.float32)
        self.valid = np.zeros((rows, len(schema.groups)), np.uint8)
        self.age = np.full((rows, len(schema.groups)), NEVER_SEEN_AGE_SEC, np.float32)


def _places(schema: Schema) -> dict[str, list[_Place]]:
    places: dict[str, list[_Place]] = {}
    column = 0
    for number, group in enumerate(schema.groups):
        ours = places.setdefault(group.source, [])
        begin = ours[-1].source_columns.stop if ours else 0
        columns = slice(column, column + group.width)
        source_columns = slice(begin, begin + group.width)
        ours.append(_Place(number, columns, len(ours), source_columns, group.rule))
        column += group.width
    return places


def _stacked(window: Window) -> tuple[FloatArray, npt.NDArray[np.bool_]]:
    """Values [n, D] and validity [n, G] of the samples of a window."""
    if isinstance(window.samples, Vector):
        return window.samples.values, window.samples.valid
    vectors = [snapshot.vector for snapshot in window.samples if snapshot.vector is not None]
    values, valid = np.stack([v.values for v in vectors]), np.stack([v.valid for v in vectors])
    if not (isinstance(window.source, ImageSource) and window.source.encoder.path):
        return values, valid
    nothing = np.zeros(window.source.encoder.width, np.float32)
    encoded = np.stack([nothing if one is None else one for one in window.encodings])
    has_one = np.array([one is not None for one in window.encodings])
    return np.hstack([values, encoded]), np.hstack([valid, has_one[:, None]])
