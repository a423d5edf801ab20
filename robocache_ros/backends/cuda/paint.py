# Copyright 2026 the robocache_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Fields of clouds that cameras paint, ahead of the kernels that read them: kernels/paint.cu."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from robocache_ros.backends.cuda.dense_plan import LEAST_POINTS, over
from robocache_ros.backends.cuda.device import Clear, Launch, check
from robocache_ros.backends.cuda.images import end_of, pixel_bytes
from robocache_ros.backends.cuda.jobs import CANVAS, PAINT, VIEW
from robocache_ros.backends.cuda.memory import Grown, Spans, bucket
from robocache_ros.backends.cuda.staging import Parcel, Staging
from robocache_ros.codec.cloud import COLOURS, RGB

if TYPE_CHECKING:
    from robocache_ros.codec.cloud import CloudView, View
    from robocache_ros.codec.image import ImageView

_PINHOLE, _DISTORTED, _FISHEYE = range(3)  # Model
_STORED = ('bytes', 'words', 'colours', 'mosaic', 'depths')  # in the kernel's order
_VALUE = len(COLOURS)  # Taken: a colour by its number, or the value of the pixel
_LEAST_CLEAR = 2**16  # bytes: few sizes, few programs


class Painter:
    """Paints the clouds of calls; owns the scratch memory of that."""

    def __init__(self, staging: Staging) -> None:
        """Load the kernels; memory comes with the first call that has something to paint."""
        self._device = staging.device
        self._limits = staging.limits
        self._device.load(('paint',))
        self._scratch = Grown(self._device.allocate)

    def stage(
        self, parcel: Parcel, parts: Sequence[tuple[CloudView, slice]], names: Sequence[str]
    ) -> Painting | None:
        """
        Add to a parcel what is needed to paint the fields `names`; None if no camera does.

        `parts` are the clouds of a call, and which of its points are theirs.
        """
        painted = {name for cloud, _ in parts for name in cloud.painted}
        names = [name for name in names if name in painted]
        if not names:
            return None
        clouds, points = [cloud for cloud, _ in parts], parts[-1][1].stop
        painting = Painting(parcel, clouds, names, points)
        most = self._limits.max_message_bytes
        check(painting.image_bytes, most, 'bytes of images')
        check(painting.nearest_bytes, most, 'bytes for the occlusion test')
        painting.address = self._scratch.at_least(painting.nbytes).address
        return painting

    def steps(self, painting: Painting | None) -> tuple[Clear | Launch, ...]:
        """Return what to run ahead of the kernels that read the fields."""
        if painting is None:
            return ()
        paint = over(self._device, painting.points, 'paint.paint')
        if not painting.nearest_bytes:
            return (paint,)
        clear = Clear(painting.address, painting.nearest_bytes)
        return clear, paint._replace(kernel='paint.splat'), paint


class Painting:
    """
    The fields `names` of one call that cameras paint, of so many points.

    `nbytes` of scratch memory from `address` on hold the cells of the occlusion tests, which are
    cleared at once, and then the values.
    """

    address: int

    def __init__(
        self, parcel: Parcel, clouds: Sequence[CloudView], names: Sequence[str], points: int
    ) -> None:
        self.points = points
        self._names = names
        views = [[v for v in cloud.views if {*v.fields} & {*names}] for cloud in clouds]
        self._views = [view for of_cloud in views for view in of_cloud]
        self._paint, self._table = np.zeros(1, PAINT), np.zeros(len(self._views), VIEW)
        canvases = np.zeros(len(clouds), CANVAS)
        canvases['views'] = [len(of_cloud) for of_cloud in views]
        canvases['first'] = np.cumsum(canvases['views']) - canvases['views']
        canvases['fields'] = [_mask(cloud.painted, names) for cloud in clouds]
        self._at = [parcel.add(array) for array in (self._paint, canvases, self._table)]
        images = {id(view.image): view.image for view in self._views}  # each once
        self._pixels = {
            key: parcel.add(image.data[: end_of(image)]) for key, image in images.items()
        }
        self.image_bytes = sum(map(end_of, images.values()))
        spans = Spans()
        self._nearest = [spans.add(4 * _cells(view)) for view in self._views]
        self.nearest_bytes = bucket(spans.nbytes, _LEAST_CLEAR) if spans.nbytes else 0
        self._stride = bucket(points, LEAST_POINTS)
        self.nbytes = self.nearest_bytes + 4 * self._stride * len(names)

    def columns(self, cloud: CloudView, begin: int) -> dict[str, int]:
        """Addresses of the fields that are painted of a cloud, from point `begin` of the call."""
        first = self.address + self.nearest_bytes
        return {
            name: first + 4 * (number * self._stride + begin)
            for number, name in enumerate(self._names)
            if name in cloud.painted
        }

    def describe(self, base: int) -> int:
        """Write everything for a parcel that lies at `base`; returns the address of the PAINT."""
        paint_at, canvases_at, views_at = (base + offset for offset in self._at)
        columns_at = self.address + self.nearest_bytes
        self._paint[0] = canvases_at, views_at, columns_at, self._stride
        for row, view, nearest in zip(self._table, self._views, self._nearest, strict=True):
            _describe(row, view, self._names)
            row['pixels'] = base + self._pixels[id(view.image)]
            row['nearest'] = self.address + nearest
        return paint_at


def _mask(painted: Sequence[str], names: Sequence[str]) -> int:
    """Bit k of it says that number k of the names is painted."""
    return sum(1 << number for number, name in enumerate(names) if name in painted)


def _cells_across(pixels: int, view: View) -> int:
    return -(-pixels // view.cell)


def _cells(view: View) -> int:
    """Cells of the occlusion test of an image."""
    if not view.cell:
        return 0
    return _cells_across(view.image.height, view) * _cells_across(view.image.width, view)


def _describe(row: Any, view: View, names: Sequence[str]) -> None:
    """Write all of a VIEW but its addresses."""
    image, camera = view.image, view.camera
    row['step'], row['height'], row['width'] = image.step, image.height, image.width
    row['pixel_bytes'], row['swapped'] = pixel_bytes(image), image.big_endian
    stored, places = _stored(image)
    row['stored'] = _STORED.index(stored)
    row['places'][: len(places)] = places
    row['cell'] = view.cell
    row['cells_across'] = _cells_across(image.width, view) if view.cell else 0
    row['fields'] = _mask(view.fields, names)
    row['taken'][: len(names)] = [
        COLOURS.index(name) if RGB in view.paints and name in COLOURS else _VALUE for name in names
    ]
    row['model'] = _FISHEYE if camera.fisheye else _DISTORTED if camera.distorted else _PINHOLE
    row['rotation'], row['translation'] = view.rotation.reshape(-1), view.translation
    row['focal'], row['centre'] = (camera.fx, camera.fy), (camera.cx, camera.cy)
    row['distortion'][: len(camera.distortion)] = camera.distortion
    row['limit'], row['tolerance'] = camera.limit, view.tolerance


def _stored(image: ImageView) -> tuple[str, Sequence[int]]:
    """How a pixel is stored, and where its colours are."""
    stored = image.format
    if stored.bayer:
        green = stored.bayer.index('g')
        places = stored.bayer.index('r'), green, stored.bayer.index('g', green + 1)
        return 'mosaic', (*places, stored.bayer.index('b'))
    if stored.order == 'y':
        return {'u1': 'bytes', 'u2': 'words', 'f4': 'depths'}[stored.code], ()
    return 'colours', [stored.order.index(colour) for colour in COLOURS]
