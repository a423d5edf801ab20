# Copyright 2026 the robocache_ros authors
# SPDX-License-Identifier: Apache-2.0
"""One source: its ring buffer, its clock, and the account of every sample it sent."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Mapping
from dataclasses import dataclass
from statistics import median

import numpy as np

from robocache_ros.codec.cloud import CloudView
from robocache_ros.codec.compressed import Picture
from robocache_ros.config import CloudSource, ImageSource, OdometrySource, SourceConfig
from robocache_ros.grid import SparseVoxels
from robocache_ros.reasons import Reason
from robocache_ros.samples import FloatArray, Vector
from robocache_ros.schema import FeatureGroup
from robocache_ros.timeline.epochs import Arrival, JumpGate
from robocache_ros.timeline.ring import RingBuffer

# What a ring buffer has room for; sources that are faster keep a shorter history.
_MAX_RATE_HZ = {'pointcloud2': 120, 'laser_scan': 120, 'image': 240, 'compressed_image': 240}
_MAX_RATE_OF_OTHERS_HZ = 2000
_PERIODS_KEPT = 32
_SILENT_PERIODS = 3
# See `is_missed`.
_MISSED_STEPS = 5
_MISSED_LEAST_NS = 1_000_000_000
_MISSED_MOST_NS = 10_000_000_000
_LAG_SECONDS = 6
_SECOND_NS = 1_000_000_000


class Snapshot:
    """A cloud or an image in a ring buffer, and what has been computed from it so far."""

    __slots__ = (
        'damaged', 'encoding', 'encoding_due', 'moved_by', 'painted_by', 'payload', 'settled',
        'vector', 'voxels', 'voxels_at',
    )  # fmt: skip

    def __init__(self, payload: CloudView | Picture) -> None:
        self.payload: CloudView | Picture | None = payload
        self.voxels: SparseVoxels | None = None
        self.voxels_at = b''  # where the cloud was placed then, see assembly.place_of
        self.painted_by: tuple[object, ...] = ()  # and what painted it
        self.forget_features()
        self.encoding: FloatArray | None = None  # of an image, once its encoder has put it out
        self.encoding_due = False  # while the encoder has the image
        self.damaged = False  # whether an image has turned out to be none

    @property
    def has_features(self) -> bool:
        """Whether the features are known or can be computed."""
        known = self.vector is not None or self.encoding is not None
        return known or self.payload is not None

    def forget_features(self) -> None:
        """Have nothing but the payload: what is released has no features then."""
        self.vector: Vector | None = None
        self.settled = False  # whether the vector stays: not where it was not known how it moved
        self.moved_by: Mapping[str, tuple[int, ...]] = {}  # samples that told that for the vector

    def release(self) -> None:
        """Give the bytes back; the features, if they are known, stay."""
        self.payload = None
        self.voxels = None


@dataclass(frozen=True)
class SourceStatus:
    """
    The account of one source.

    `received = buffered + used + expired + sum(dropped.values())`, at every moment.
    """

    received: int
    buffered: int
    used: int
    expired: int
    dropped: Mapping[Reason, int]
    notes: Mapping[Reason, int]  # values left out of samples that were otherwise used
    newest_ns: int | None
    last_arrival_ns: int | None
    period_ns: int | None
    lag_ns: int | None  # from stamp to arrival, usually; on two clocks, so only to compare
    longest_lag_ns: int | None  # the same, at worst in the last seconds
    frame_id: str  # of the newest sample
    fields: tuple[str, ...]  # of the newest cloud, those that a channel can be made of
    # Of deskewed clouds, and of the same ones without their motion; see agreement.py.
    agreement: tuple[float, float] | None
    state: str  # unheard, ok, silent or other_epoch
    span_ns: int = 0  # from the oldest to the newest sample in the ring buffer
    missed: bool = False  # whether it is silent for so long that somebody should know


class Track:
    """The state of one source; the pipeline holds its lock around every call."""

    def __init__(
        self,
        config: SourceConfig,
        groups: tuple[FeatureGroup, ...],
        jump_ns: int,
        patience_ns: int,
    ) -> None:
        self.config = config
        self.groups = groups
        self.is_vector = not isinstance(config, (CloudSource, ImageSource))
        width = sum(group.width for group in groups)
        rate_hz = _MAX_RATE_HZ.get(config.type, _MAX_RATE_OF_OTHERS_HZ)
        capacity = int(np.ceil(config.history_sec * rate_hz)) + 2
        columns: list[tuple[object, tuple[int, ...]]] = [(object, ())]
        if self.is_vector:
            columns = [(np.float32, (width,)), (np.bool_, (len(groups),))]
        if isinstance(config, OdometrySource):
            columns.append((np.float64, (7,)))
        self.ring = RingBuffer(capacity, config.history_ns, columns)
        self.gate = JumpGate(jump_ns)
        self.epoch = 0
        self.frame_id = ''
        self.fields: tuple[str, ...] = ()
        self.agreement: tuple[float, float] | None = None
        self.received = 0
        self.rejected: Counter[Reason] = Counter()
        self.notes: Counter[Reason] = Counter()
        self.last_arrival_ns: int | None = None
        self._patience_ns = patience_ns
        self._arrivals: deque[tuple[int, int]] = deque(maxlen=_PERIODS_KEPT + 1)
        self._period_ns: int | None = None
        self._steps: deque[int] = deque(maxlen=_PERIODS_KEPT)  # between arrivals, outages as well
        # Second of arrival -> longest lag in it: of a fast source, _arrivals hold no second.
        self._lags: deque[tuple[int, int]] = deque(maxlen=_LAG_SECONDS)

    def use(
        self,
        config: SourceConfig,
        groups: tuple[FeatureGroup, ...],
        patience_ns: int,
        features_hold: bool,
    ) -> None:
        """
        Go on with a changed configuration; what is stored stays.

        What was computed of it does not, of features only where they still hold.
        """
        self.config, self.groups, self._patience_ns = config, groups, patience_ns
        for snapshot in () if self.is_vector else self.ring.column(0):
            snapshot.voxels = None
            if not features_hold:
                snapshot.forget_features()

    @property
    def heard(self) -> bool:
        """Whether a sample of this source was ever accepted."""
        return self.gate.newest_ns is not None

    def insert(self, sample: Arrival) -> bool:
        """Put a sample into the ring buffer; False if the ring refused it."""
        if self.period_ns() is not None and self.is_silent(sample.arrival_ns):
            self._forget_rhythm()  # an outage is no period
        reason = self.ring.insert(sample.t_ns, *sample.row)
        if reason is not None:
            self.rejected[reason] += 1
            return False
        if self.last_arrival_ns is not None:
            self._steps.append(sample.arrival_ns - self.last_arrival_ns)
        self.last_arrival_ns = sample.arrival_ns
        self._arrivals.append((sample.arrival_ns, sample.t_ns))
        self._note_lag(sample.arrival_ns // _SECOND_NS, sample.arrival_ns - sample.t_ns)
        self._period_ns = None
        return True

    def _note_lag(self, second: int, lag_ns: int) -> None:
        if self._lags and self._lags[-1][0] == second:
            lag_ns = max(lag_ns, self._lags.pop()[1])
        self._lags.append((second, lag_ns))

    def period_ns(self) -> int | None:
        """
        Typical time between samples, None before the second one.

        The median by stamps, or the mean by arrival where that is longer, as it is for a bag
        that plays slowly or a driver that sends in bursts.
        """
        n = len(self._arrivals)
        if self._period_ns is None and n > 1:
            stamps = sorted(t_ns for _, t_ns in self._arrivals)
            steps = [after - before for before, after in zip(stamps[:-1], stamps[1:], strict=True)]
            mean_ns = (self._arrivals[-1][0] - self._arrivals[0][0]) // (n - 1)
            self._period_ns = max(int(median(steps)), mean_ns)
        return self._period_ns

    def silent_from_ns(self) -> int | None:
        """
        Arrival time from which the source counts as silent, None if it was never heard.

        Three of its periods, but no less than a frame would wait anyway: 8 ms without a sample
        is ordinary transport jitter, even for an IMU at 400 Hz.
        """
        if self.last_arrival_ns is None:
            return None
        rhythm_ns = _SILENT_PERIODS * (self.period_ns() or 0)
        return self.last_arrival_ns + max(rhythm_ns, self._patience_ns)

    def is_silent(self, now_ns: int) -> bool:
        """Whether nothing came for longer than this source's own rhythm explains."""
        silent_from_ns = self.silent_from_ns()
        return silent_from_ns is not None and now_ns >= silent_from_ns

    def is_missed(self, now_ns: int) -> bool:
        """
        Whether the silence is long enough to tell somebody.

        Frames stop waiting for a source sooner, which costs nothing where it sends in bursts; to
        tell it at each pause would cost the reader's attention. After an outage, the longest step
        of late, it takes ten seconds at most.
        """
        if self.last_arrival_ns is None or not self.is_silent(now_ns):
            return False
        rhythm_ns = min(_MISSED_STEPS * max(self._steps, default=0), _MISSED_MOST_NS)
        return now_ns - self.last_arrival_ns >= max(rhythm_ns, _MISSED_LEAST_NS)

    def flush(self, reason: Reason) -> None:
        """Empty the ring buffer and forget the rhythm: a new epoch begins."""
        self.ring.flush(reason)
        self._forget_rhythm()

    def _forget_rhythm(self) -> None:
        self._arrivals.clear()
        self._lags.clear()
        self._period_ns = None

    def status(self, now_ns: int, epoch: int) -> SourceStatus:
        """Return the account as of now; `epoch` is the pipeline's."""
        state = 'ok'
        if not self.heard:
            state = 'unheard'
        elif self.epoch != epoch:
            state = 'other_epoch'
        elif self.is_silent(now_ns):
            state = 'silent'
        return SourceStatus(
            received=self.received,
            buffered=len(self.ring) + self.gate.held,
            used=self.ring.used,
            expired=self.ring.expired,
            dropped=dict(self.rejected + self.ring.dropped),
            notes=dict(self.notes),
            newest_ns=self.gate.newest_ns,
            last_arrival_ns=self.last_arrival_ns,
            period_ns=self.period_ns(),
            lag_ns=int(median(arrival - t for arrival, t in self._arrivals))
            if self._arrivals
            else None,
            longest_lag_ns=max((lag for _, lag in self._lags), default=None),
            frame_id=self.frame_id,
            fields=self.fields,
            agreement=self.agreement,
            state=state,
            span_ns=int(self.ring.times[-1] - self.ring.times[0]) if len(self.ring) else 0,
            missed=self.is_missed(now_ns),
        )
