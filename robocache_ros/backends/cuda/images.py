# Copyright 2026 the robocache_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Images as a grid of area means on a device: `kernels/images.cu` says how it is computed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from robocache_ros.backends.cuda.device import Launch, Program, check
from robocache_ros.backends.cuda.jobs import IMAGE_JOB, TILE_SUMS
from robocache_ros.backends.cuda.memory import Grown, bucket
from robocache_ros.backends.cuda.results import M, Place, Results, copied
from robocache_ros.backends.cuda.staging import Parcel, Staging
from robocache_ros.samples import FloatArray

if TYPE_CHECKING:
    from robocache_ros.codec.image import ImageView

TILE_PIXELS = 512  # of a warp, as the kernel has it
_WARPS = 8  # of a block
_BLOCKS_EACH = 8  # of a multiprocessor; more tiles take turns
_LOOKS = ('bytes', 'words', 'grey', 'colours', 'mosaic', 'depths')  # as the kernel has them


class ImageResults(Results):
    """What a call gives: means [rows * cols * channels], and pixels left out [rows * cols]."""

    def __init__(self, rows: int, cols: int, channels: str) -> None:
        """Lay out the results of a grid; `channels` is 'mono' or 'rgb'."""
        super().__init__()
        self.channels = channels
        self.means = self.add((rows * cols * (3 if channels == 'rgb' else 1),), np.float32)
        self.left_out = self.add((rows * cols,), np.int64)


class Images:
    """Area means of images in two launches: sums of tiles, then means of cells."""

    def __init__(self, staging: Staging) -> None:
        """Load the kernels; memory comes with the first call."""
        self._staging = staging
        self._host = Grown(staging.device.allocate_host)
        self._tiles = Grown(staging.device.allocate)
        staging.device.load(['images'])

    def image_grid(
        self, image: ImageView, rows: int, cols: int, channels: str
    ) -> tuple[FloatArray, int]:
        """Area means float32 [rows * cols * (1 or 3)] of an image, and pixels left out."""
        results = ImageResults(rows, cols, channels)
        memory = self.run(image, rows, cols, results, self._host.at_least)
        return copied(memory, results.means), int(copied(memory, results.left_out).sum())

    def run(
        self, image: ImageView, rows: int, cols: int, results: ImageResults, place: Place[M]
    ) -> M:
        """Compute the results into the memory that `place` gives, and return that memory."""
        image.check_grid(rows, cols, results.channels)
        limits, device = self._staging.limits, self._staging.device
        cells = rows * cols
        tiles_each = -(-_most_pixels(image, rows, cols) // TILE_PIXELS)
        parcel = Parcel(IMAGE_JOB)
        pixels = parcel.add(image.data[: end_of(image)])
        check(parcel.nbytes, limits.max_message_bytes, 'bytes of an image')
        check(results.nbytes, limits.max_message_bytes, 'bytes of results')
        base = self._staging.reserve(parcel)
        memory = place(results.nbytes)
        tiles = self._tiles.at_least(cells * tiles_each * TILE_SUMS.itemsize)
        job = parcel.job
        _describe(job, image, results.channels)
        job['rows'], job['cols'], job['tiles_each'] = rows, cols, tiles_each
        job['pixels'], job['tiles'] = base + pixels, tiles.address
        job['means'] = memory.address + results.means.begin
        job['left_out'] = memory.address + results.left_out.begin
        self._staging.send(parcel)
        most = device.multiprocessors * _BLOCKS_EACH
        launches = (
            Launch(kernel, min(bucket(-(-warps // _WARPS)), most), 32 * _WARPS)
            for kernel, warps in (
                ('images.sum_tiles', cells * tiles_each),
                ('images.mean_cells', cells),
            )
        )
        self._staging.run(Program(base, tuple(launches)))
        return memory


def pixel_bytes(image: ImageView) -> int:
    """Bytes from one pixel to the next."""
    return len(image.format.order) * image.dtype.itemsize


def end_of(image: ImageView) -> int:
    """Bytes of the data that are read: the last row may lack its padding, or more may follow."""
    return (image.height - 1) * image.step + image.width * pixel_bytes(image)


def _most_pixels(image: ImageView, rows: int, cols: int) -> int:
    """Pixels of the largest cell at most."""
    return -(-image.height // rows) * -(-image.width // cols)


def _describe(job: Any, image: ImageView, channels: str) -> None:
    """Say how pixels lie and what to look at."""
    stored = image.format
    job['step'], job['height'], job['width'] = image.step, image.height, image.width
    job['pixel_bytes'], job['swapped'] = pixel_bytes(image), image.big_endian
    job['channels'] = 3 if channels == 'rgb' else 1
    if stored.bayer and channels == 'rgb':
        look, places = 'mosaic', ['rgb'.index(colour) for colour in stored.bayer]
    elif stored.order == 'y':
        look, places = {'u1': 'bytes', 'u2': 'words', 'f4': 'depths'}[stored.code], [0]
    else:
        look = 'colours' if channels == 'rgb' else 'grey'
        places = [stored.order.index(colour) for colour in 'rgb']
    job['look'] = _LOOKS.index(look)
    job['places'][: len(places)] = places
