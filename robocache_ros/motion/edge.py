# Copyright 2026 the robocache_ros authors
# SPDX-License-Identifier: Apache-2.0
"""How one frame lies in its parent: for all times, or at those that were told."""

from __future__ import annotations

from bisect import bisect_left
from dataclasses import dataclass, field
from math import isfinite, sqrt

from robocache_ros.codec.buffers import shown
from robocache_ros.motion.pose import Pose
from robocache_ros.motion.quaternion import Four, Three, between, conjugate, product, turn
from robocache_ros.reasons import Reason

# A pose as plain numbers: for one at a time NumPy costs twenty times as much.
Numbers = tuple[Four[float], Three[float]]


@dataclass
class Edge:
    """The poses of one frame in its parent: one that always holds, or samples by time."""

    child: str
    parent: str
    static: bool
    before: str  # the parent that it was said to have until then, '' if none
    times: list[int] = field(default_factory=list)
    poses: list[Numbers] = field(default_factory=list)
    stray: tuple[int, Numbers] | None = None  # the last sample, where it was too old

    def insert(self, t_ns: int, pose: Numbers, history_ns: int) -> None:
        """Take a sample; one older than the history only if the one before was as well."""
        times, poses = self.times, self.poses
        if times and t_ns < times[-1] - history_ns:
            stray, self.stray = self.stray, (t_ns, pose)
            if stray is None or not 0 < t_ns - stray[0] <= history_ns:
                return
            # Two of them in order: what lies later than they was told by a wrong clock.
            times[:], poses[:] = [stray[0]], [stray[1]]
        self.stray = None
        at = bisect_left(times, t_ns)
        if at < len(times) and times[at] == t_ns:
            poses[at] = pose
            return
        times.insert(at, t_ns)
        poses.insert(at, pose)
        expired = bisect_left(times, times[-1] - history_ns)
        del times[:expired], poses[:expired]

    def at(self, t_ns: int, max_gap_ns: int) -> Numbers | Reason:
        """Return the pose at a time, or why it is not known."""
        if self.static:
            return self.poses[0]
        times = self.times
        after = bisect_left(times, t_ns)
        if after == len(times):
            return Reason.TRANSFORM_LATE
        if times[after] == t_ns:
            return self.poses[after]
        if after == 0 or times[after] - times[after - 1] > max_gap_ns:
            return Reason.TRANSFORM_OLD
        weight = (t_ns - times[after - 1]) / (times[after] - times[after - 1])
        (q0, (x0, y0, z0)), (q1, (x1, y1, z1)) = self.poses[after - 1], self.poses[after]
        position = x0 + weight * (x1 - x0), y0 + weight * (y1 - y0), z0 + weight * (z1 - z0)
        return between(q0, q1, weight), position

    def told(self, t_ns: int) -> str:
        """Say what is known around a time at which nothing is."""
        pose, times = f'pose of {shown(self.child)} in {shown(self.parent)}', self.times
        after = bisect_left(times, t_ns)
        if after == len(times):
            text = f'the newest {pose} is from {_span(t_ns - times[-1])} before the time needed'
        elif after == 0:
            text = f'the oldest {pose} is from {_span(times[0] - t_ns)} after the time needed'
        else:
            gap = _span(times[after] - times[after - 1])
            text = f'no {pose} is known in a gap of {gap} around the time needed'
        return text + self.doubt

    @property
    def doubt(self) -> str:
        """What may be wrong with who tells this, to be added to a sentence."""
        if not self.before:
            return ''
        return f'; {shown(self.child)} was in {shown(self.before)} before: two publishers?'


def numbers_of(pose: Pose) -> Numbers:
    """Return a pose as plain numbers, or raise ValueError where they are none of a pose."""
    x, y, z, w = pose.rotation.tolist()
    px, py, pz = pose.position.tolist()
    square = (x * x + y * y) + (z * z + w * w)
    if not (0.5 <= square <= 2.0 and isfinite(px) and isfinite(py) and isfinite(pz)):
        raise ValueError(f'{(px, py, pz)}, {(x, y, z, w)} is no pose')
    norm = sqrt(square)
    return (x / norm, y / norm, z / norm, w / norm), (px, py, pz)


def composed(a: Numbers, b: Numbers) -> Numbers:
    """Return the pose of C in A, of `a`: B in A, and `b`: C in B."""
    (x, y, z), (px, py, pz) = turn(a[0], b[1]), a[1]
    return product(a[0], b[0]), (x + px, y + py, z + pz)


def inverted(a: Numbers) -> Numbers:
    """Return the pose of A in B, of B in A."""
    back = conjugate(a[0])
    x, y, z = turn(back, a[1])
    return back, (-x, -y, -z)


def _span(ns: int) -> str:
    return f'{ns / 1e6:.1f} ms' if ns < 1_000_000_000 else f'{ns / 1e9:.1f} s'
