# Copyright 2026 the robocache_ros authors
# SPDX-License-Identifier: Apache-2.0
"""
Images as a grid of area means: the specification (numerics rules 3, 4 and 10).

Every image is first summed down its rows, cell row by cell row, in exact integers; only those few
column sums are then cut into cells. Rows go through the cache in chunks.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial

import numpy as np
import numpy.typing as npt

from robocache_ros.backends.paint_rule import GREY, GREY_HALF, GREY_SHIFT
from robocache_ros.backends.workspace import Workspace
from robocache_ros.codec.image import ImageView
from robocache_ros.samples import AnyArray, FloatArray, IntArray

_STEPS = np.float32(2.0**18)  # of a 32FC1 value: its resolution is 2^-18
_LIMIT = np.float32(2.0**17)  # from where on the steps of a value need more than 2^35
_CHUNK_PIXELS = 65536  # 256 KiB of uint32: half of a common second-level cache
_CHUNK_ROWS = 256  # this many bytes of 255 still fit into uint16


def image_grid(
    image: ImageView, rows: int, cols: int, channels: str, work: Workspace | None = None
) -> tuple[FloatArray, int]:
    """
    Means of the cells of an image, float32 [rows * cols * C], and the number of pixels left out.

    Cells go row by row; C is 1 for channels 'mono', else 3: r, g, b. Colour becomes grey pixel by
    pixel, a single channel is repeated, a bayer mosaic gives the plain mean of its pixels or the
    mean of each colour. Of 32FC1, pixels that are not finite or 131072 and more are left out; a
    cell without any other pixel is 0. Raises Rejected for an image smaller than the grid.
    """
    image.check_grid(rows, cols, channels)
    work = work or Workspace()
    left_out = 0
    if image.format.code == 'f4':
        means, left_out = _float_means(work, image.plane('y'), rows, cols)
    elif channels == 'rgb' and image.format.bayer:
        means = _bayer_means(work, image.plane('y'), image.format.bayer, rows, cols)
    else:
        means = _integer_means(work, image, rows, cols, channels)
    if channels == 'rgb' and means.shape[2] == 1:
        means = means.repeat(3, axis=2)
    return means.reshape(-1), left_out


def _integer_means(
    work: Workspace, image: ImageView, rows: int, cols: int, channels: str
) -> FloatArray:
    """[rows, cols, 1 or 3], one channel unless a colour image is to stay one."""
    order, pixels = image.format.order, image.pixels()
    y_edges, x_edges = _edges(image.height, rows), _edges(image.width, cols)
    if channels == 'mono' and order != 'y':
        weights = [(order.index(colour), weight) for colour, weight in GREY.items()]
        sums = _sum_rows(pixels, y_edges, partial(_grey_column_sums, work, weights))[..., None]
    else:
        sums = _sum_rows(pixels, y_edges, partial(_column_sums, work))
    means = _divide(_sum_columns(sums, x_edges), _areas(y_edges, x_edges)[..., None])
    return means if order == 'y' or channels == 'mono' else means[..., _positions(order)]


def _positions(order: str) -> list[int]:
    return [order.index(colour) for colour in 'rgb']


def _bayer_means(
    work: Workspace, mosaic: AnyArray, pattern: str, rows: int, cols: int
) -> FloatArray:
    """[rows, cols, 3] raw means per colour of a mosaic [height, width]; green has two places."""
    height, width = mosaic.shape
    y_edges, x_edges = _edges(height, rows), _edges(width, cols)
    sums = np.zeros((rows, cols, 3), np.int64)
    counts = np.zeros((rows, cols, 3), np.int64)
    for place, colour in enumerate(pattern):
        y, x = divmod(place, 2)
        # Among the pixels of one place, a cell begins at the first one inside it.
        y_cut, x_cut = (y_edges + 1 - y) // 2, (x_edges + 1 - x) // 2
        column_sums = _sum_rows(mosaic[y::2, x::2], y_cut, partial(_column_sums, work))
        channel = 'rgb'.index(colour)
        sums[..., channel] += _sum_columns(column_sums, x_cut)
        counts[..., channel] += _areas(y_cut, x_cut)
    return _divide(sums, counts)


def _float_means(work: Workspace, plane: AnyArray, rows: int, cols: int) -> tuple[FloatArray, int]:
    """[rows, cols, 1] of a float32 plane [height, width], and the number of pixels left out."""
    y_edges, x_edges = _edges(plane.shape[0], rows), _edges(plane.shape[1], cols)
    bad = np.zeros((rows, plane.shape[1]), np.int64)
    sums = np.zeros_like(bad)
    for r, chunk in _chunks(plane, y_edges):
        values = _scratch(work, 'values', chunk, np.float32)
        size = np.abs(values, out=_scratch(work, 'size', values, np.float32))
        usable = size < _LIMIT  # false for NaN as well
        if not usable.all():
            values[~usable] = 0.0
            bad[r] += np.add.reduce(~usable, axis=0, dtype=np.int64)
        # Scaling by a power of two is exact, so float32 gives the same steps as float64.
        np.multiply(values, _STEPS, out=values)
        steps = _scratch(work, 'steps', np.rint(values, out=values), np.int64)
        sums[r] += np.add.reduce(steps, axis=0, dtype=np.int64)
    used = _areas(y_edges, x_edges) - _sum_columns(bad, x_edges)
    means = _sum_columns(sums, x_edges) / np.maximum(used, 1).astype(np.float64)
    means /= float(_STEPS)
    return means.astype(np.float32)[..., None], int(np.add.reduce(bad, axis=None, dtype=np.int64))


def _edges(length: int, cells: int) -> IntArray:
    """Where cells begin, and the end: [cells + 1]."""
    return np.arange(cells + 1, dtype=np.int64) * length // cells


def _areas(y_edges: IntArray, x_edges: IntArray) -> IntArray:
    areas: IntArray = np.diff(y_edges)[:, None] * np.diff(x_edges)
    return areas


def _chunks(pixels: AnyArray, y_edges: IntArray) -> Iterator[tuple[int, AnyArray]]:
    """Cell row and some of its pixel rows, [n, width] or [n, width, channels], until the end."""
    step = min(max(_CHUNK_PIXELS // pixels.shape[1], 1), _CHUNK_ROWS)
    for r, (top, bottom) in enumerate(zip(y_edges[:-1], y_edges[1:], strict=True)):
        for y in range(top, bottom, step):
            yield r, pixels[y : min(y + step, bottom)]


def _sum_rows(
    pixels: AnyArray, y_edges: IntArray, column_sums: Callable[[AnyArray], AnyArray]
) -> IntArray:
    """Sums down the rows of each cell row: int64 [rows, width] or [rows, width, channels]."""
    sums: IntArray | None = None
    for r, chunk in _chunks(pixels, y_edges):
        part = column_sums(chunk)
        if sums is None:
            sums = np.zeros((len(y_edges) - 1, *part.shape), np.int64)
        sums[r] += part
    assert sums is not None
    return sums


def _sum_columns(sums: IntArray, x_edges: IntArray) -> IntArray:
    """Sums over the columns of each cell: int64 [rows, cols] or [rows, cols, channels]."""
    cells: IntArray = np.add.reduceat(sums, x_edges[:-1], axis=1, dtype=np.int64)
    return cells


def _column_sums(work: Workspace, chunk: AnyArray) -> AnyArray:
    """Sums down up to 256 rows of uint8 or of uint16 in any byte order."""
    sums: AnyArray
    if chunk.dtype.itemsize == 1:
        wide = _scratch(work, 'bytes', chunk, np.uint16)
        sums = np.add.reduce(wide, axis=0, dtype=np.uint16)
    else:
        wide = _scratch(work, 'words', chunk, np.uint32)
        sums = np.add.reduce(wide, axis=0, dtype=np.uint32)
    return sums


def _grey_column_sums(
    work: Workspace, weights: list[tuple[int, int]], chunk: AnyArray
) -> AnyArray:
    """Sums down up to 256 rows of the grey of pixels uint8 [n, width, channels]: [width]."""
    grey = work.array('grey', chunk[..., 0].size, np.uint32).reshape(chunk.shape[:2])
    grey.fill(GREY_HALF)
    for position, weight in weights:
        part = _scratch(work, 'part', chunk[..., position], np.uint32)
        part *= np.uint32(weight)
        grey += part
    grey >>= np.uint32(GREY_SHIFT)
    sums: AnyArray = np.add.reduce(grey, axis=0, dtype=np.uint32)
    return sums


def _scratch(work: Workspace, name: str, values: AnyArray, dtype: npt.DTypeLike) -> AnyArray:
    """Copy `values` to scratch memory as another type."""
    buffer = work.array(name, values.size, dtype).reshape(values.shape)
    np.copyto(buffer, values, casting='unsafe')
    return buffer


def _divide(sums: IntArray, counts: IntArray) -> FloatArray:
    means: FloatArray = (sums.astype(np.float64) / counts.astype(np.float64)).astype(np.float32)
    return means
