# Copyright 2026 the robocache_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The tree of frames, as it was told: how each frame lies in its parent, and since when."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from robocache_ros.codec.buffers import shown
from robocache_ros.motion.edge import Edge, Numbers, composed, inverted, numbers_of
from robocache_ros.motion.pose import Pose
from robocache_ros.reasons import Reason
from robocache_ros.samples import IntArray

_NOWHERE: Numbers = ((0.0, 0.0, 0.0, 1.0), (0.0, 0.0, 0.0))
_SHOWN_NAMES = 8
_MANY_FRAMES = 2048  # of more, those that are told no more are forgotten


class _Chain(NamedTuple):
    """The way from one frame to another over the first ancestor that both have."""

    source: list[Edge]  # from the source up
    target: list[Edge]  # from the target up
    names: list[str]  # from the source to the target

    def troubles(self, t_ns: int, max_gap_ns: int) -> list[tuple[Reason, Edge]]:
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
        self._edges: dict[str, Edge] = {}  # by child
        self._chains: dict[tuple[str, str], _Chain] = {}  # found already, of these edges

    def add_static(self, parent: str, child: str, pose: Pose) -> None:
        """Tell the pose of `child` in `parent`, for all times; ValueError if there is none."""
        numbers = numbers_of(pose)
        self._edge(parent, child, static=True).poses[:] = [numbers]

    def add_dynamic(self, parent: str, child: str, t_ns: int, pose: Pose) -> None:
        """
        Tell the pose of `child` in `parent` at one time; ValueError if there is none.

        Times may come in any order; equal ones replace each other. One that is older than the
        history is left out, but two in order mean that the clock was wrong before.
        """
        numbers = numbers_of(pose)
        if len(self._edges) > _MANY_FRAMES and _plain(child) not in self._edges:
            self._forget_silent(int(t_ns))
        self._edge(parent, child, static=False).insert(int(t_ns), numbers, self._history_ns)

    def remember(self, history_sec: float) -> None:
        """Keep what moves for another time from now on."""
        self._history_ns = round(history_sec * 1e9)

    def clear(self) -> None:
        """Forget what moves, for when a clock jumped; what is fixed is told only once."""
        self._keep([edge for edge in self._edges.values() if edge.static])

    def forget(self, child: str) -> None:
        """Forget where one frame is."""
        self._keep([edge for edge in self._edges.values() if edge.child != _plain(child)])

    def is_below(self, frame: str, other: str) -> bool:
        """Whether a frame lies in another one, or in one that does, and so on."""
        return _plain(other) in self._ancestry(_plain(frame))[0][1:]

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

    def _edge(self, parent: str, child: str, static: bool) -> Edge:
        """Return the edge to write to: the one there is, or a new one in its place."""
        parent, child = _plain(parent), _plain(child)
        if not parent or not child or parent == child:
            raise ValueError(f'{shown(child)} can not be a frame in {shown(parent)}')
        edge = self._edges.get(child)
        if edge is None or edge.parent != parent or edge.static != static:
            before = '' if edge is None or edge.parent == parent else edge.parent
            edge = self._edges[child] = Edge(child, parent, static, before)
            self._chains.clear()
        return edge

    def _forget_silent(self, t_ns: int) -> None:
        """Make room where things that come and go have frames of their own, each a new name."""
        begin_ns = t_ns - self._history_ns
        edges = self._edges.values()
        self._keep([edge for edge in edges if edge.static or edge.times[-1] >= begin_ns])

    def _keep(self, edges: list[Edge]) -> None:
        self._edges = {edge.child: edge for edge in edges}
        self._chains.clear()

    def _chain(self, target: str, source: str) -> _Chain | Reason:
        known = self._chains.get((target, source))
        if known is not None:
            return known
        found = self._find_chain(target, source)
        if isinstance(found, _Chain) and len(found.names) > 1:
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

    def _along(self, chain: _Chain, t_ns: int) -> Numbers | Reason:
        source, target = self._climb(chain.source, t_ns), self._climb(chain.target, t_ns)
        if source is None or target is None:
            return chain.troubles(t_ns, self._max_gap_ns)[0][0]
        return composed(inverted(target), source) if chain.target else source

    def _climb(self, edges: list[Edge], t_ns: int) -> Numbers | None:
        """Pose of the lowest frame of some edges in the highest one; None if not known."""
        pose = _NOWHERE
        for edge in edges:
            step = edge.at(t_ns, self._max_gap_ns)
            if isinstance(step, Reason):
                return None
            pose = composed(step, pose)
        return pose

    def _unconnected(self, target: str, source: str) -> str:
        """Say why there is no chain."""
        (up, loop), (down, other_loop) = self._ancestry(source), self._ancestry(target)
        loop = loop or other_loop
        missing = [ways[0] for ways in (up, down) if not self._knows(ways[0])]
        if loop:
            names = ' > '.join(shown(name) for name in (*loop, loop[0]))
            text = f'{names}: a frame can not be its own ancestor'
        elif missing:
            text = f'nothing is known of the frame {shown(missing[0])}; {self._known()}'
        else:
            text = f'nothing connects {_below(up)} with {_below(down)}'
        edges = (self._edges.get(name) for name in up + down)
        return text + next((edge.doubt for edge in edges if edge and edge.doubt), '')

    def _knows(self, frame: str) -> bool:
        return frame in self._edges or any(e.parent == frame for e in self._edges.values())

    def _known(self) -> str:
        known = sorted({*self._edges, *(edge.parent for edge in self._edges.values())})
        names = ', '.join(shown(name) for name in known[:_SHOWN_NAMES]) or 'none'
        return f'frames known: {names}' + (', ...' if len(known) > _SHOWN_NAMES else '')


def _below(ancestry: list[str]) -> str:
    frame, root = shown(ancestry[0]), shown(ancestry[-1])
    return frame if len(ancestry) == 1 else f'{frame} (in {root})'


def _plain(name: str) -> str:
    return name.removeprefix('/')
