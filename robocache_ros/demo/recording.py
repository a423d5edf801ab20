# Copyright 2026 the robocache_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Arrays -> the Rerun viewer or its file; knows nothing of ROS."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from robocache_ros.samples import AnyArray, FloatArray

# A viewer is for looking: more is not seen, but has to be stored and drawn.
MAX_POINTS = 20_000
MAX_CURVES = 8  # of one feature group; a camera grid has 64 columns, which no plot can show
JPEG_QUALITY = 80

# Perceptually even, dark to bright; values in between are interpolated.
_COLOURS = np.array(
    [(68, 1, 84), (59, 82, 139), (33, 145, 140), (94, 201, 98), (253, 231, 37)], np.float64
)
_NO_VALUE = (128, 128, 128)

NO_RERUN = (
    'this needs the Rerun viewer, which this Python does not have: pip install "rerun-sdk>=0.23"'
)


class RerunMissing(Exception):
    """The viewer is not installed; the text says how to get it."""


class Recording:
    """What is shown, on one timeline: the stamps of the messages."""

    def __init__(self, save: str | Path | None) -> None:
        """Record to the file `save`, or open a window where it is None."""
        try:
            import rerun
            import rerun.blueprint
        except ImportError as error:
            raise RerunMissing(NO_RERUN) from error
        self._rerun = rerun
        self._stream = rerun.RecordingStream('robocache_ros')
        if save is None:
            self._stream.spawn()
        else:
            self._stream.save(save)

    def arrange(self, curves: Sequence[str], compare: bool = False) -> None:
        """
        Lay the window out: scene and image, below them a plot for each path of `curves`.

        `compare`: show smeared and deskewed clouds beside each other, voxels apart from them.
        """
        views = self._rerun.blueprint
        image = views.Spatial2DView(origin='camera', name='camera')
        if compare:
            smeared, cloud, voxels = (
                views.Spatial3DView(origin='world', contents=[f'world/{path}'], name=name)
                for path, name in (
                    ('smeared', 'as measured'), ('cloud', 'deskewed'), ('voxels', 'voxels'),
                )
            )  # fmt: skip
            top = views.Horizontal(smeared, cloud, views.Vertical(voxels, image))
        else:
            scene = views.Spatial3DView(origin='world', name='cloud and voxels')
            top = views.Horizontal(scene, image, column_shares=[2, 1])
        plots = [views.TimeSeriesView(origin=f'features/{path}', name=path) for path in curves]
        rows = views.Vertical(
            top,
            views.Grid(*plots, grid_columns=4),
            row_shares=[3, 2],
        )
        self._stream.send_blueprint(views.Blueprint(rows, collapse_panels=True))

    def cloud(self, stamp_ns: int, points: FloatArray) -> None:
        """Show points [N, 3], thinned out evenly if there are too many."""
        self._points(stamp_ns, 'world/cloud', points, [200, 200, 200])

    def smeared(self, stamp_ns: int, points: FloatArray) -> None:
        """Show the same points without deskew."""
        self._points(stamp_ns, 'world/smeared', points, [255, 160, 90])

    def voxels(
        self, stamp_ns: int, centers: FloatArray, size: Sequence[float], values: AnyArray
    ) -> None:
        """
        Show voxels [M, 3] of a `size` (x, y, z), thinned out too.

        `values`: [M], which become colours from dark to bright; or colours, uint8 [M, 3].
        """
        shown = _thinned(len(centers))
        boxes = self._rerun.Boxes3D(
            centers=centers[shown],
            # Not quite full size, so that neighbours can be told apart.
            half_sizes=np.tile(np.asarray(size) * 0.48, (len(centers[shown]), 1)),
            colors=values[shown] if values.ndim == 2 else colours(values[shown]),
            fill_mode='solid',
        )
        self._log(stamp_ns, 'world/voxels', boxes)

    def image(self, stamp_ns: int, pixels: npt.NDArray[np.uint8]) -> None:
        """Show an image [H, W] or [H, W, 3]."""
        image = self._rerun.Image(pixels).compress(jpeg_quality=JPEG_QUALITY)
        self._log(stamp_ns, 'camera', image)

    def name_curves(self, path: str, names: Sequence[str]) -> None:
        """Name the curves of `features/<path>` once."""
        lines = self._rerun.SeriesLines(names=list(names))
        self._stream.log(f'features/{path}', lines, static=True)

    def curves(self, stamp_ns: int, path: str, values: FloatArray) -> None:
        """Add one point to each curve of `features/<path>`."""
        self._log(stamp_ns, f'features/{path}', self._rerun.Scalars(values))

    def close(self) -> None:
        """Write out everything."""
        self._stream.disconnect()

    def _points(self, stamp_ns: int, path: str, points: FloatArray, colour: list[int]) -> None:
        shown = points[_thinned(len(points))]
        self._log(stamp_ns, path, self._rerun.Points3D(shown, radii=0.02, colors=colour))

    def _log(self, stamp_ns: int, path: str, what: Any) -> None:
        self._stream.set_time('stamp', timestamp=np.datetime64(stamp_ns, 'ns'))
        self._stream.log(path, what)


def _thinned(n: int) -> slice:
    """Choose at most MAX_POINTS of n things, evenly."""
    return slice(None, None, -(-n // MAX_POINTS) or 1)


def colours(values: AnyArray) -> npt.NDArray[np.uint8]:
    """Map values [M] to colours [M, 3]: lowest dark, 98th percentile and above bright."""
    values = np.asarray(values, np.float64)
    finite = np.isfinite(values)
    result = np.full((len(values), 3), _NO_VALUE, np.uint8)
    if not finite.any():
        return result
    low, high = np.percentile(values[finite], [0, 98])
    place = (values[finite] - low) / (high - low if high > low else 1.0) * (len(_COLOURS) - 1)
    steps = np.arange(len(_COLOURS))
    result[finite] = np.stack([np.interp(place, steps, c) for c in _COLOURS.T], axis=1).round()
    return result


def unpacked(rgb: FloatArray) -> npt.NDArray[np.uint8]:
    """Colours [M, 3] of a channel `rgb` float32 [M], whose bits are 0x00RRGGBB."""
    bits = np.ascontiguousarray(rgb).view(np.uint32)
    return np.stack([bits >> shift & 255 for shift in (16, 8, 0)], axis=1).astype(np.uint8)
