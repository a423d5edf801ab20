# Copyright 2026 the robocache_ros authors
# SPDX-License-Identifier: Apache-2.0
"""
The world: a walled yard with boxes in it, and what a ray sent into it meets.

Every flat piece of it is a numbered surface: 0 is the sky, 1 and 2 the two tones of the floor, 3-6
the walls, then six faces per box. Colour, reflectivity and normal are looked up by that number, so
a LiDAR point and the pixel that sees the same place agree exactly.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

FloatArray = npt.NDArray[np.float32]
IntArray = npt.NDArray[np.int16]

SKY, FLOOR, WALLS, BOXES = 0, 1, 3, 7  # the first surface of each kind
LABELS = ('sky', 'floor', 'wall', 'box')  # the class of a surface is its place in this list
FLOOR_TILE = 2.0  # metres
SKY_COLOR = (150, 190, 235)
# How bright a face looks: low and high x, low and high y, low and high z.
FACE_LIGHT = (0.75, 0.85, 0.60, 0.70, 0.40, 1.00)
CHUNK = 1 << 16  # rays
_PARALLEL = np.float32(1e-12)  # instead of a zero direction, whose inverse would make NaN


@dataclass(frozen=True)
class Box:
    """An axis-aligned box: two corners in metres, colour 0-255, reflectivity 0-1."""

    low: tuple[float, float, float]
    high: tuple[float, float, float]
    color: tuple[int, int, int]
    reflectivity: float

    @property
    def corners(self) -> tuple[FloatArray, FloatArray]:
        """Low and high corner, float32 [3] each."""
        return np.array(self.low, np.float32), np.array(self.high, np.float32)


@dataclass(frozen=True)
class Hits:
    """What N rays met: distance in metres (infinite for the sky) and the surface's number."""

    distance: FloatArray  # [N]
    surface: IntArray  # [N]


YARD = Box((-14.0, -11.0, 0.0), (14.0, 11.0, 6.0), (190, 190, 180), 0.45)  # seen from inside
WALL_COLORS = ((178, 84, 64), (96, 120, 150), (196, 176, 120), (90, 130, 90))
FLOOR_TONES = ((118, 116, 112), (84, 84, 86))
THINGS = (
    Box((5.0, -1.2, 0.0), (6.6, 1.2, 1.4), (220, 60, 50), 0.80),  # crates
    Box((5.4, -0.4, 1.4), (6.2, 0.4, 2.2), (245, 200, 60), 0.90),
    Box((4.2, 4.0, 0.0), (5.2, 5.0, 3.2), (70, 110, 220), 0.35),  # pillars
    Box((-5.4, 4.6, 0.0), (-4.4, 5.6, 3.2), (70, 110, 220), 0.35),
    Box((-5.4, -5.6, 0.0), (-4.4, -4.6, 3.2), (70, 110, 220), 0.35),
    Box((4.2, -5.6, 0.0), (5.2, -4.6, 3.2), (70, 110, 220), 0.35),
    Box((-1.6, 7.0, 0.0), (1.8, 8.2, 2.0), (60, 170, 90), 0.60),  # a container
    Box((-9.0, -1.8, 0.0), (-7.6, 2.2, 2.6), (160, 80, 180), 0.55),  # a cabinet
    Box((-2.6, -8.6, 0.0), (-1.8, -7.8, 3.0), (235, 235, 235), 0.95),  # a gate: posts and beam
    Box((1.8, -8.6, 0.0), (2.6, -7.8, 3.0), (235, 235, 235), 0.95),
    Box((-2.6, -8.6, 3.0), (2.6, -7.8, 3.5), (240, 120, 30), 0.95),
    Box((9.5, 5.5, 0.0), (12.5, 8.5, 0.6), (70, 190, 200), 0.50),  # a low platform
    Box((8.6, -7.8, 0.0), (9.4, -7.0, 0.8), (215, 90, 140), 0.70),  # small things
    Box((-10.4, 6.6, 0.0), (-9.8, 7.2, 1.1), (130, 90, 60), 0.30),
    Box((-3.9, 0.6, 0.0), (-3.5, 1.0, 0.5), (250, 150, 170), 0.85),
)


class World:
    """A yard seen from inside, open to the sky above its walls, and boxes that stand in it."""

    def __init__(self, boxes: Sequence[Box] = THINGS, yard: Box = YARD) -> None:
        self.boxes = tuple(boxes)
        self.yard = yard
        self.colors, self.reflectivity, self.normal_axis = self._surfaces()
        first = np.array([SKY, FLOOR, WALLS, BOXES])
        numbers = np.arange(len(self.colors))
        self.labels = (first.searchsorted(numbers, 'right') - 1).astype(np.uint8)  # by surface

    def cast(self, origin: FloatArray, direction: FloatArray) -> Hits:
        """
        Follow rays to the first surface.

        origin float32 [3, N] or [3, 1], inside the yard and outside every box;
        direction float32 [3, N], unit length.
        """
        count = direction.shape[1]
        distance, surface = np.empty(count, np.float32), np.empty(count, np.int16)
        for start in range(0, count, CHUNK):  # so that what is in work stays in the cache
            part = slice(start, start + CHUNK)
            own = origin if origin.shape[1] == 1 else origin[:, part]
            distance[part], surface[part] = self._cast_chunk(own, direction[:, part])
        return Hits(distance, surface)

    def _cast_chunk(
        self, origin: FloatArray, direction: FloatArray
    ) -> tuple[FloatArray, IntArray]:
        safe = np.where(np.abs(direction) < _PARALLEL, _PARALLEL, direction)
        inverse = np.divide(np.float32(1.0), safe)
        distance, surface = self._yard_hits(origin, direction, inverse)
        for number, box in enumerate(self.boxes):
            rays = _rays_towards(box, origin, direction)
            entries, near = _slab(box, _of(origin, rays), inverse[:, rays])
            closer = np.flatnonzero(near < distance[rays])
            rays, axis = rays[closer], entries[:, closer].argmax(axis=0)
            distance[rays] = near[closer]
            surface[rays] = BOXES + 6 * number + 2 * axis + (direction[axis, rays] < 0.0)
        return distance, surface

    def _yard_hits(
        self, origin: FloatArray, direction: FloatArray, inverse: FloatArray
    ) -> tuple[FloatArray, IntArray]:
        low, high = self.yard.corners
        forward = inverse > 0.0
        to_x, to_y = (
            (np.where(forward[i], high[i], low[i]) - origin[i]) * inverse[i] for i in (0, 1)
        )
        to_floor = np.where(forward[2], np.float32(np.inf), (low[2] - origin[2]) * inverse[2])
        to_wall = np.minimum(to_x, to_y)
        wall = np.where(to_x <= to_y, WALLS + forward[0], WALLS + 2 + forward[1])
        surface = wall.astype(np.int16)
        over = origin[2] + to_wall * direction[2] > high[2]
        distance = np.where(over, np.float32(np.inf), to_wall)
        surface[over] = SKY
        floor = np.flatnonzero(to_floor < distance)
        distance[floor] = to_floor[floor]
        surface[floor] = FLOOR + self._tile(origin, direction, distance, floor)
        return distance, surface

    def _tile(
        self,
        origin: FloatArray,
        direction: FloatArray,
        distance: FloatArray,
        rays: npt.NDArray[np.int64],
    ) -> npt.NDArray[np.int64]:
        """0 or 1 in a chess board pattern."""
        place = _of(origin, rays)[:2] + distance[rays] * direction[:2, rays]
        cell = np.floor(place / np.float32(FLOOR_TILE)).astype(np.int64)
        return np.asarray((cell[0] + cell[1]) & 1)

    def _surfaces(
        self,
    ) -> tuple[npt.NDArray[np.uint8], FloatArray, npt.NDArray[np.int64]]:
        """Tables by surface number: colour uint8 [S, 3], reflectivity [S], normal axis [S]."""
        rows: list[tuple[Sequence[float], float, int]] = [(SKY_COLOR, 0.0, 2)]
        rows += [(tone, 0.25 - 0.1 * i, 2) for i, tone in enumerate(FLOOR_TONES)]
        rows += [(c, self.yard.reflectivity, i // 2) for i, c in enumerate(WALL_COLORS)]
        for box in self.boxes:
            for face, light in enumerate(FACE_LIGHT):
                shaded = [light * c for c in box.color]
                rows.append((shaded, box.reflectivity, face // 2))
        colors, reflectivity, axes = zip(*rows, strict=True)
        return (
            np.array(colors).astype(np.uint8),
            np.array(reflectivity, np.float32),
            np.array(axes, np.int64),
        )


def _rays_towards(box: Box, origin: FloatArray, direction: FloatArray) -> npt.NDArray[np.int64]:
    """Rays inside the cone around the box's bounding sphere: the only ones that can meet it."""
    low, high = box.corners
    middle = origin.mean(axis=1)
    spread = np.sqrt(((origin - middle[:, None]) ** 2).sum(axis=0).max())
    radius = np.sqrt(((high - low) ** 2).sum()) / 2 + spread
    aim = (low + high) / 2 - middle
    away = np.sqrt((aim**2).sum())
    if away <= radius:
        return np.arange(direction.shape[1])
    cosine = (aim / away) @ direction
    edge = np.sqrt(1.0 - (radius / away) ** 2)
    return np.flatnonzero(cosine >= edge - 1e-5)


def _slab(box: Box, origin: FloatArray, inverse: FloatArray) -> tuple[FloatArray, FloatArray]:
    """
    Where each ray enters the box: distance per axis [3, N], and to the box [N], inf if it misses.

    A ray is inside the box while it is inside the three slabs between opposite faces; the last
    slab it enters is the face it meets.
    """
    low, high = box.corners
    to_low = (low[:, None] - origin) * inverse
    to_high = (high[:, None] - origin) * inverse
    entries, exits = np.minimum(to_low, to_high), np.maximum(to_low, to_high)
    enter = np.maximum(np.maximum(entries[0], entries[1]), entries[2])
    leave = np.minimum(np.minimum(exits[0], exits[1]), exits[2])
    return entries, np.where((enter > leave) | (enter <= 0.0), np.float32(np.inf), enter)


def _of(origin: FloatArray, rays: npt.NDArray[np.int64]) -> FloatArray:
    return origin if origin.shape[1] == 1 else origin[:, rays]
