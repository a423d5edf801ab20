# Copyright 2026 the robocache_ros authors
# SPDX-License-Identifier: Apache-2.0
"""
Lenses: where a direction falls on the image, and which direction a pixel sees.

Written from the formulas of the models in float64, with none of the code it judges.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]

PLUMB_BOB, RATIONAL, EQUIDISTANT = 'plumb_bob', 'rational_polynomial', 'equidistant'
MODELS = {PLUMB_BOB: 5, RATIONAL: 8, EQUIDISTANT: 4}  # distortion_model of CameraInfo -> its D
WIDEST_DEG = {PLUMB_BOB: 160.0, RATIONAL: 160.0, EQUIDISTANT: 200.0}
_STEEPEST = np.radians(89.0)  # from the axis: what a plane in front of a pinhole can show
_WIDEST = np.radians(170.0)  # what a fisheye can
_HALVINGS = 36  # of a step of the table: to 1e-13
_STEPS = 8  # of Newton's method, which starts close to the end
_SMALL = 1e-6  # of the focal length, as is what follows
_SMALL_STEPS = (np.array([[_SMALL], [0.0]]), np.array([[0.0], [_SMALL]]))
_CLOSE = 1e-10


@dataclass(frozen=True)
class Lens:
    """A distortion model for points one focal length ahead: the camera matrix left out."""

    model: str
    coefficients: tuple[float, ...]

    def distort(self, points: Array) -> Array:
        """Where points [3, N] in the optical frame, ahead of a pinhole, appear: [2, N]."""
        x, y, z = points
        if self.model == EQUIDISTANT:
            off = np.hypot(x, y)
            angle = np.arctan2(off, z)
            return np.asarray(points[:2] * (self._bent(angle) / np.where(off > 0, off, 1.0)))
        return self._pinhole(points[:2] / z)

    def undistort(self, seen: Array) -> Array:
        """
        Invert `distort`: directions [3, N] in the optical frame, of unit length, for [2, N].

        NaN where the image shows nothing: beyond the place up to which the model is one to one.
        """
        return self._fisheye_rays(seen) if self.model == EQUIDISTANT else self._pinhole_rays(seen)

    def _bent(self, angle: Array) -> Array:
        """The distance from the centre at which a fisheye shows an angle from the axis."""
        k1, k2, k3, k4 = self.coefficients
        q = angle * angle
        return np.asarray(angle * (1 + q * (k1 + q * (k2 + q * (k3 + q * k4)))))

    def _fisheye_rays(self, seen: Array) -> Array:
        off = np.hypot(*seen)
        angle = _inverted(self._bent, off, _WIDEST)
        across = np.sin(angle) / np.where(off > 0, off, 1.0)
        return np.stack([seen[0] * across, seen[1] * across, np.cos(angle)])

    def _radial(self, r: Array) -> Array:
        """The distance from the centre, without the tangential part; -1 past a pole."""
        k1, k2, _, _, k3, k4, k5, k6 = (*self.coefficients, 0.0, 0.0, 0.0)[:8]
        q = r * r
        over = 1 + q * (k4 + q * (k5 + q * k6))
        bent = r * (1 + q * (k1 + q * (k2 + q * k3)))
        return np.divide(bent, over, out=np.full_like(r, -1.0), where=over > 0)

    def _pinhole(self, straight: Array) -> Array:
        x, y = straight
        p1, p2 = self.coefficients[2:4]
        r = np.hypot(x, y)
        scale = np.divide(self._radial(r), r, out=np.ones_like(r), where=r > 0)
        across = 2 * x * y
        return np.stack(
            [
                x * scale + p1 * across + p2 * (r * r + 2 * x * x),
                y * scale + p1 * (r * r + 2 * y * y) + p2 * across,
            ]
        )

    def _pinhole_rays(self, seen: Array) -> Array:
        straight = self._straightened(seen) if any(self.coefficients) else seen
        rays = np.stack([*straight, np.ones_like(straight[0])])
        return np.asarray(rays / np.sqrt((rays**2).sum(axis=0)))

    def _straightened(self, seen: Array) -> Array:
        off = np.hypot(*seen)
        start = _inverted(self._radial, off, np.tan(_STEEPEST))
        straight = seen * np.divide(start, off, out=np.ones_like(off), where=off > 0)
        return self._refined(straight, seen) if any(self.coefficients[2:4]) else straight

    def _refined(self, straight: Array, seen: Array) -> Array:
        """Solve `_pinhole(straight) = seen` by Newton's method; NaN where that leads nowhere."""
        for _ in range(_STEPS):
            here = self._pinhole(straight)
            missing = seen - here
            in_x, in_y = (self._pinhole(straight + step) - here for step in _SMALL_STEPS)
            across = in_x[0] * in_y[1] - in_x[1] * in_y[0]
            dx = (in_y[1] * missing[0] - in_y[0] * missing[1]) / across
            dy = (in_x[0] * missing[1] - in_x[1] * missing[0]) / across
            straight = straight + _SMALL * np.stack([dx, dy])
        off = np.abs(self._pinhole(straight) - seen).max(axis=0)
        return np.where(off < _CLOSE, straight, np.nan)


def _inverted(grow: Callable[[Array], Array], wanted: Array, end: float) -> Array:
    """Solve `grow(r) = wanted` by halving, up to where it stops growing; NaN beyond, or `end`."""
    places = np.linspace(0.0, end, 20_001, dtype=np.float64)
    values = grow(places)
    rising = np.flatnonzero(~(np.diff(values) > 0))
    last = int(rising[0]) if len(rising) else len(places) - 1
    after = np.searchsorted(values[: last + 1], wanted).clip(1, last)
    low, high = places[after - 1], places[after]
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        below = grow(middle) < wanted
        low, high = np.where(below, middle, low), np.where(below, high, middle)
    return np.where(wanted <= values[last], (low + high) / 2, np.nan)
