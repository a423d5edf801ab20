# Copyright 2026 the robocache_ros authors
# SPDX-License-Identifier: Apache-2.0
"""
Points painted by cameras: the pixel that a point falls on, and what that gives it.

All in float32, each operation rounded once and in the order written here. Points go through the
cache in blocks, and those that a camera can not see leave early.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

import numpy as np

from robocache_ros.backends.paint_rule import (
    ATAN,
    GREY,
    GREY_HALF,
    GREY_SHIFT,
    HALVINGS,
    Z_MIN,
)
from robocache_ros.backends.workspace import Workspace
from robocache_ros.codec.camera import Camera
from robocache_ros.codec.cloud import COLOURS, View
from robocache_ros.codec.image import ImageView
from robocache_ros.samples import AnyArray, FloatArray, IntArray

_BLOCK = 2**16  # points whose intermediate results stay near the core


class _Seen(NamedTuple):
    """Points inside an image, P of them, and their pixels."""

    where: IntArray  # int64[P] position among the points
    row: IntArray  # int64[P]
    column: IntArray  # int64[P]


def paint(
    work: Workspace,
    views: Sequence[View],
    points: Sequence[FloatArray],
    fields: Mapping[str, FloatArray],
) -> None:
    """
    Write the painted fields of the points of a cloud, float32[n] each; NaN: no view gives a value.

    `points`: x, y and z, float32[n] each, in the frame of the grid.
    """
    for values in fields.values():
        values.fill(np.nan)
    # The first view that sees a point gives it its value: it writes last.
    for view in reversed(views):
        names = [name for name in view.fields if name in fields]
        if not names:
            continue
        seen = _look(work, view, points)
        for name, values in _sampled(view.image, seen, names):
            where = seen.where
            if values.dtype.kind == 'f':
                finite = np.flatnonzero(np.isfinite(values))
                where, values = where.take(finite), values.take(finite) + np.float32(0)
            fields[name][where] = values


def _look(work: Workspace, view: View, points: Sequence[FloatArray]) -> _Seen:
    """Find the points that a camera sees."""
    n = len(points[0])
    where, row, column = (work.array(f'seen{k}', n, np.int64) for k in range(3))
    nearness = work.array('nearness', n, np.float32)
    found = 0
    with np.errstate(all='ignore'):  # what is not finite falls on no pixel
        for low in range(0, n, _BLOCK):
            block = [values[low : low + _BLOCK] for values in points]
            number, u, v, w = _pixels(work, view, block)
            part = slice(found, found + len(number))
            np.add(number, low, out=where[part])
            np.copyto(column[part], u, casting='unsafe')
            np.copyto(row[part], v, casting='unsafe')
            nearness[part] = w
            found = part.stop
    seen = _Seen(where[:found], row[:found], column[:found])
    return _unhidden(work, view, seen, nearness[:found]) if view.cell else seen


def _pixels(
    work: Workspace, view: View, points: Sequence[FloatArray]
) -> tuple[IntArray, FloatArray, FloatArray, FloatArray]:
    """Of those points that fall inside the image: number, column and row (whole), 1 / distance."""
    camera = view.camera
    if camera.fisheye:
        number, place = None, [_moved(work, view, axis, points) for axis in range(3)]
        visible, u, v = _fisheye(work, camera, place)
    else:
        z = _moved(work, view, 2, points)
        number = np.flatnonzero(z > Z_MIN)
        points = _taken(work, 'ahead', points, number)
        place = [_moved(work, view, axis, points) for axis in range(2)]
        place += _taken(work, 'depth', [z], number)
        visible, u, v = _pinhole(work, camera, place)
    for values, end in ((u, camera.width), (v, camera.height)):
        values += np.float32(0.5)
        np.floor(values, out=values)
        # As floats, before any cast to an integer: a cast of NaN or 1e30 has no defined result.
        visible &= values >= 0
        visible &= values < np.float32(end)
    inside = np.flatnonzero(visible)
    u, v, *place = _taken(work, 'inside', (u, v, *place), inside)
    return inside if number is None else number.take(inside), u, v, _nearness(*place)


def _nearness(x: FloatArray, y: FloatArray, z: FloatArray) -> FloatArray:
    """1 / distance from the camera; x, y and z are overwritten."""
    for values in (x, y, z):
        values *= values
    x += y
    x += z
    np.sqrt(x, out=x)
    np.divide(np.float32(1), x, out=x)
    return x


def _moved(work: Workspace, view: View, axis: int, points: Sequence[FloatArray]) -> FloatArray:
    """One coordinate of points in the frame of the camera (numerics rule 5)."""
    x, y, z = points
    row = view.rotation[axis]
    moved: FloatArray = work.array(f'seen_from{axis}', len(x), np.float32)
    np.multiply(x, row[0], out=moved)
    term = work.array('seen_term', len(x), np.float32)
    moved += np.multiply(y, row[1], out=term)
    moved += np.multiply(z, row[2], out=term)
    moved += view.translation[axis]
    return moved


def _taken(
    work: Workspace, name: str, columns: Sequence[FloatArray], where: IntArray
) -> list[FloatArray]:
    return [
        values.take(where, out=work.array(f'{name}{k}', len(where), np.float32), mode='clip')
        for k, values in enumerate(columns)
    ]


def _pinhole(
    work: Workspace, camera: Camera, place: Sequence[FloatArray]
) -> tuple[AnyArray, FloatArray, FloatArray]:
    """Which points the model holds for, and their u and v in pixels."""
    x, y, z = place
    focal, centre = _intrinsics(camera)
    u, v = (work.array(name, len(x), np.float32) for name in 'uv')
    if not camera.distorted:
        for values, side, f, c in zip((u, v), (x, y), focal, centre, strict=True):
            np.multiply(side, f, out=values)
            values /= z
            values += c
        return np.ones(len(x), np.bool_), u, v
    np.divide(x, z, out=u)
    np.divide(y, z, out=v)
    visible = _distort(work, camera, u, v)
    for values, f, c in zip((u, v), focal, centre, strict=True):
        values *= f
        values += c
    return visible, u, v


def _distort(work: Workspace, camera: Camera, x: FloatArray, y: FloatArray) -> AnyArray:
    """Move x / z and y / z in place to where the lens puts them; tell where it is one to one."""
    k1, k2, p1, p2, k3, k4, k5, k6 = camera.distortion
    r2, radial, under, a = (work.array(f'lens{k}', len(x), np.float32) for k in range(4))
    twice, term = (work.array(f'lens{k}', len(x), np.float32) for k in (4, 5))
    np.multiply(x, x, out=r2)
    r2 += np.multiply(y, y, out=term)
    _horner(r2, (1.0, k1, k2, k3), radial)
    radial /= _horner(r2, (1.0, k4, k5, k6), under)
    np.add(x, x, out=twice)
    np.multiply(twice, y, out=a)
    moved_x = under  # p1 a + p2 (r2 + 2 x x)
    twice *= x
    twice += r2
    np.multiply(a, np.float32(p1), out=moved_x)
    moved_x += np.multiply(twice, np.float32(p2), out=term)
    np.add(y, y, out=twice)  # p1 (r2 + 2 y y) + p2 a
    twice *= y
    twice += r2
    twice *= np.float32(p1)
    a *= np.float32(p2)
    twice += a
    x *= radial
    x += moved_x
    y *= radial
    y += twice
    return r2 <= np.float32(camera.limit)


def _fisheye(
    work: Workspace, camera: Camera, place: Sequence[FloatArray]
) -> tuple[AnyArray, FloatArray, FloatArray]:
    """Which points the model holds for, and their u and v in pixels."""
    x, y, z = place
    r, d, h, s, theta, term = (work.array(f'lens{k}', len(x), np.float32) for k in range(6))
    np.multiply(x, x, out=r)
    r += np.multiply(y, y, out=term)
    np.multiply(z, z, out=d)
    d += r
    np.sqrt(d, out=d)
    np.sqrt(r, out=r)
    visible: AnyArray = d > Z_MIN
    np.add(d, z, out=h)
    np.divide(r, h, out=h)  # tangent of half the angle, then of a quarter, then of an eighth
    for _ in range(HALVINGS):
        np.multiply(h, h, out=term)
        term += np.float32(1)
        np.sqrt(term, out=term)
        term += np.float32(1)
        h /= term
    np.multiply(h, h, out=s)
    np.multiply(h, _horner(s, ATAN, term), out=theta)
    theta *= np.float32(2 << HALVINGS)
    visible &= theta <= np.float32(camera.limit)
    np.multiply(theta, theta, out=s)
    ratio = _horner(s, (1.0, *camera.distortion), term)
    ratio *= theta
    ratio /= r
    ratio[r == 0] = 0.0
    u, v = (work.array(name, len(x), np.float32) for name in 'uv')
    for values, side, f, c in zip((u, v), (x, y), *_intrinsics(camera), strict=True):
        np.multiply(ratio, side, out=values)
        values *= f
        values += c
    return visible, u, v


def _intrinsics(camera: Camera) -> tuple[FloatArray, FloatArray]:
    focal = np.array((camera.fx, camera.fy), np.float32)
    return focal, np.array((camera.cx, camera.cy), np.float32)


def _horner(x: FloatArray, coefficients: Sequence[float], out: FloatArray) -> FloatArray:
    """Polynomial of x, its coefficients from the constant up."""
    numbers = np.array(coefficients, np.float32)
    np.multiply(x, numbers[-1], out=out)
    for number in numbers[-2:0:-1]:
        out += number
        out *= x
    out += numbers[0]
    return out


def _unhidden(work: Workspace, view: View, seen: _Seen, nearness: FloatArray) -> _Seen:
    """Leave out points that lie behind the nearest one of their cell of the image."""
    across = -(-view.camera.width // view.cell)
    down = -(-view.camera.height // view.cell)
    cells = seen.row // view.cell * across + seen.column // view.cell
    nearest = work.array('nearest', across * down, np.float32)
    nearest.fill(0.0)
    np.maximum.at(nearest, cells, nearness)
    behind = nearest.take(cells)
    behind -= nearness
    near = np.flatnonzero(behind <= np.float32(view.tolerance))
    if len(near) == len(nearness):
        return seen
    return _Seen(*(values.take(near) for values in seen))


def _sampled(
    image: ImageView, seen: _Seen, names: Sequence[str]
) -> Iterator[tuple[str, AnyArray]]:
    """Name and values [P] of each painted field at the pixels seen."""
    pixel = _address(image, seen.row, seen.column)
    for name in names:
        if name in COLOURS:
            yield name, _colour(image, seen, pixel, name)
        elif image.format.order == 'y':
            yield name, _read(image, pixel)
        else:
            yield name, _grey(image, pixel)


def _colour(image: ImageView, seen: _Seen, pixel: IntArray, colour: str) -> AnyArray:
    """One of r, g and b, 0 to 255; of a mosaic that of the four pixels around."""
    order, bayer = image.format.order, image.format.bayer
    if order != 'y':
        return _read(image, pixel, order.index(colour))
    if not bayer:
        values = _read(image, pixel)
        return values >> 8 if values.itemsize == 2 else values
    top, left = (
        np.minimum(place & ~1, (length - 2) & ~1)
        for place, length in ((seen.row, image.height), (seen.column, image.width))
    )
    first, *second = (
        _read(image, _address(image, top + place // 2, left + place % 2))
        for place, other in enumerate(bayer)
        if other == colour
    )
    return (first.astype(np.uint16) + second[0] + 1) >> 1 if second else first


def _grey(image: ImageView, pixel: IntArray) -> AnyArray:
    grey = np.full(len(pixel), GREY_HALF, np.uint32)
    for colour, weight in GREY.items():
        values = _read(image, pixel, image.format.order.index(colour)).astype(np.uint32)
        grey += values * np.uint32(weight)
    return grey >> np.uint32(GREY_SHIFT)


def _address(image: ImageView, row: IntArray, column: IntArray) -> IntArray:
    """Where pixels begin in the bytes of the image."""
    address = row * image.step
    address += column * (len(image.format.order) * image.dtype.itemsize)
    return address


def _read(image: ImageView, pixel: IntArray, channel: int = 0) -> AnyArray:
    """Values of one channel, [P], of pixels that begin at these bytes; they need no alignment."""
    size = image.dtype.itemsize
    if size == 1:
        return image.data.take(pixel + channel, mode='clip')
    octets = np.empty((len(pixel), size), np.uint8)
    for k in range(size):
        octets[:, k] = image.data.take(pixel + (channel * size + k), mode='clip')
    values: AnyArray = octets.view(image.dtype)[:, 0]
    return values
