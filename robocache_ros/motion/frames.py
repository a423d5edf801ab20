# Copyright 2026 the robocache_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The tree of frames, as it was told: how each frame lies in its parent, and since when."""

from __future__ import annotations

from bisect import bisect_left
from dataclasses import dataclass, field
from math import isfinite
from typing import NamedTuple

import numpy as np

from robocache_ros.codec.buffers import shown
from robocache_ros.motion.pose import Pose
from robocache_ros.motion.quaternion import Four, Three, between, conjugate, product, turn
from robocache_ros.reasons import Reason
from robocache_ros.samples import IntArray

# Pure numbers: for one pose at a time NumPy costs twenty times as much.
_Numbers = tuple[Four[float], Three[float]]
_NOWHERE: _Numbers = ((0.0, 0.0, 0.0, 1.0), (0.0, 0.0, 0.0))
_SHOWN_NAMES = 8


@dataclass
class _Edge:
    """The poses of one frame in its parent: one that always holds, or samples by time."""

    child: str
    parent: str
    static: bool
    before: str  # the parent that it was said to have until then, '' if none
    times: list[int] = field(default_factory=list)
    poses: list[_Numbers] = field(default_factory=list)
    stray: tuple[int, _Numbers] | None = None  # the last sample, where it was too old

    def insert(self, t_ns: int, pose: _Numbers, history_ns: int) -> None:
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

    def at(self, t_ns: int, max_gap_ns: int) -> _Numbers | Reason:
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
            text = f'the newest {pose} is from {_seconds(t_ns - times[-1])} before the time needed'
        elif after == 0:
            text = f'the oldest {pose} is from {_seconds(times[0] - t_ns)} after the time needed'
        else:
            gap = _seconds(times[after] - times[after - 1])
            text = f'no {pose} is known in a gap of {gap} around the time needed'
        if self.before:
            text += f'; it was in {shown(self.before)} before: are there two publishers?'
        return text


class _Chain(NamedTuple):
    """The way from one frame to another over the first ancestor that both have."""

    source: list[_Edge]  # from the source up
    target: list[_Edge]  # from the target up
    names: list[str]  # from the source to the target

    def troubles(self, t_ns: int, max_gap_ns: int) -> list[tuple[Reason, _Edge]]:
        """What is not known at `t_ns`, what waiting does not mend first."""
        edges = self.source + self.target
        found = [(edge.at(t_ns, max_gap_ns), edge) for edge in edges]
        troubles = [(what, edge) for what, edge in found if isinstance(what, Reason)]
        return sorted(troubles, key=lambda one: one[0] is Reason.TRANSFORM_LATE)


class Frames:
    """
    Frames, each with its parent and its poses there: fixed, or samples of the last seconds.

    Knows no clock and no lock: the caller holds one around every call. A frame that is told
    another parent moves there. A slash in front of a name counts for nothing.
    """

    def __init__(self, history_sec: float = 10.0, max_gap_sec: float = 0.5) -> None:
        self._history_ns = round(history_sec * 1e9)
        self._max_gap_ns = round(max_gap_sec * 1e9)
        self._edges: dict[str, _Edge] = {}  # by child
        self._chains: dict[tuple[str, str], _Chain] = {}  # found already, of these edges

    def add_static(self, parent: str, child: str, pose: Pose) -> None:
        """Tell the pose of `child` in `parent`, for all times; ValueError if there is none."""
        numbers = _numbers(pose)
        self._edge(parent, child, static=True).poses[:] = [numbers]

    def add_dynamic(self, parent: str, child: str, t_ns: int, pose: Pose) -> None:
        """
        Tell the pose of `child` in `parent` at one time; ValueError if there is none.

        Times may come in any order; equal ones replace each other. One that is older than the
        history is left out, but two in order mean that the clock was wrong before.
        """
        numbers = _numbers(pose)
        self._edge(parent, child, static=False).insert(int(t_ns), numbers, self._history_ns)

    def clear(self) -> None:
        """Forget what moves, for when a clock jumped; what is fixed is told only once."""
        self._edges = {child: edge for child, edge in self._edges.items() if edge.static}
        self._chains.clear()

    def lookup(self, target: str, source: str, t_ns: int) -> Pose | Reason:
        """Return the pose of `source` in `target` at a time, or why it is not known."""
        chain = self._chain(target, source)
        if isinstance(chain, Reason):
            return chain
        found = self._along(chain, int(t_ns))
        if isinstance(found, Reason):
            return found
        return Pose(np.array(found[0]), np.array(found[1]))

    def at(self, target: str, source: str, times_ns: IntArray) -> Pose | Reason:
        """Return the poses [k] of `source` in `target` at times int64 [k], or why not."""
        chain = self._chain(target, source)
        if isinstance(chain, Reason):
            return chain
        rotation, position = np.empty((len(times_ns), 4)), np.empty((len(times_ns), 3))
        for k, t_ns in enumerate(times_ns.tolist()):
            found = self._along(chain, t_ns)
            if isinstance(found, Reason):
                return found
            rotation[k], position[k] = found
        return Pose(rotation, position)

    def explain(self, target: str, source: str, t_ns: int) -> str:
        """Say in one sentence how two frames are connected, and what is not known at a time."""
        chain = self._chain(target, source)
        if isinstance(chain, Reason):
            return self._unconnected(_plain(target), _plain(source))
        trail = ' > '.join(shown(name) for name in chain.names)
        troubles = chain.troubles(int(t_ns), self._max_gap_ns)
        return f'{trail}: ' + (troubles[0][1].told(int(t_ns)) if troubles else 'all is known')

    def _edge(self, parent: str, child: str, static: bool) -> _Edge:
        """Return the edge to write to: the one there is, or a new one in its place."""
        parent, child = _plain(parent), _plain(child)
        if not parent or not child or parent == child:
            raise ValueError(f'{shown(child)} can not be a frame in {shown(parent)}')
        edge = self._edges.get(child)
        if edge is None or edge.parent != parent or edge.static != static:
            before = '' if edge is None or edge.parent == parent else edge.parent
            edge = self._edges[child] = _Edge(child, parent, static, before)
            self._chains.clear()
        return edge

    def _chain(self, target: str, source: str) -> _Chain | Reason:
        known = self._chains.get((target, source))
        if known is not None:
            return known
        found = self._find_chain(target, source)
        if isinstance(found, _Chain):
            self._chains[target, source] = found
        return found

    def _find_chain(self, target: str, source: str) -> _Chain | Reason:
        up, loop = self._ancestry(_plain(source))
        down, other_loop = self._ancestry(_plain(target))
        common = set(up).intersection(down)
        if not common:
            return Reason.TRANSFORM_LOOP if loop or other_loop else Reason.TRANSFORM_UNKNOWN
        up = up[: next(k for k, name in enumerate(up) if name in common) + 1]
        down = down[: down.index(up[-1])]
        if any(name in loop for name in up[:-1] + down):
            return Reason.TRANSFORM_LOOP
        rising, falling = ([self._edges[name] for name in way] for way in (up[:-1], down))
        return _Chain(rising, falling, up + down[::-1])

    def _ancestry(self, frame: str) -> tuple[list[str], list[str]]:
        """Return a frame and its ancestors, and those of them that are their own ancestors."""
        frames = {frame: 0}
        edge = self._edges.get(frame)
        while edge is not None:
            if edge.parent in frames:
                return list(frames), list(frames)[frames[edge.parent] :]
            frames[edge.parent] = len(frames)
            edge = self._edges.get(edge.parent)
        return list(frames), []

    def _along(self, chain: _Chain, t_ns: int) -> _Numbers | Reason:
        source, target = self._climb(chain.source, t_ns), self._climb(chain.target, t_ns)
        if source is None or target is None:
            return chain.troubles(t_ns, self._max_gap_ns)[0][0]
        return _composed(_inverse(target), source) if chain.target else source

    def _climb(self, edges: list[_Edge], t_ns: int) -> _Numbers | None:
        """Pose of the lowest frame of some edges in the highest one; None if not known."""
        pose = _NOWHERE
        for edge in edges:
            step = edge.at(t_ns, self._max_gap_ns)
            if isinstance(step, Reason):
                return None
            pose = _composed(step, pose)
        return pose

    def _unconnected(self, target: str, source: str) -> str:
        """Say why there is no chain."""
        for frame in (source, target):
            _, loop = self._ancestry(frame)
            if loop:
                names = ' > '.join(shown(name) for name in (*loop, loop[0]))
                return f'{names}: a frame can not be its own ancestor'
        known = sorted({*self._edges, *(edge.parent for edge in self._edges.values())})
        names = ', '.join(shown(name) for name in known[:_SHOWN_NAMES]) or 'none'
        names += ', ...' if len(known) > _SHOWN_NAMES else ''
        for frame in (source, target):
            if frame not in known:
                return f'nothing is known of the frame {shown(frame)}; frames known: {names}'
        roots = [shown(self._ancestry(frame)[0][-1]) for frame in (source, target)]
        return (
            f'nothing connects {roots[0]}, which {shown(source)} is in, with {roots[1]}, which '
            f'{shown(target)} is in'
        )


def _plain(name: str) -> str:
    return name[1:] if name.startswith('/') else name


def _seconds(ns: int) -> str:
    return f'{ns / 1e9:.3f} s'


def _numbers(pose: Pose) -> _Numbers:
    """Return a pose as plain numbers, or raise ValueError where they are none of a pose."""
    x, y, z, w = pose.rotation.tolist()
    px, py, pz = pose.position.tolist()
    if not (0.5 <= (x * x + y * y) + (z * z + w * w) <= 2.0 and isfinite(px + py + pz)):
        raise ValueError(f'{(px, py, pz)}, {(x, y, z, w)} is no pose')
    return (x, y, z, w), (px, py, pz)


def _composed(a: _Numbers, b: _Numbers) -> _Numbers:
    (x, y, z), (px, py, pz) = turn(a[0], b[1]), a[1]
    return product(a[0], b[0]), (x + px, y + py, z + pz)


def _inverse(a: _Numbers) -> _Numbers:
    back = conjugate(a[0])
    x, y, z = turn(back, a[1])
    return back, (-x, -y, -z)
