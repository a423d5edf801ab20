# Copyright 2026 the robocache_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The cases of points that a camera paints."""

from __future__ import annotations

from functools import partial
from types import SimpleNamespace

import bench_inputs as inputs
import bench_peers as peers
import numpy as np
from bench_case import Case, check_equal

from robocache_ros.backends.numpy_paint import paint
from robocache_ros.backends.workspace import Workspace
from robocache_ros.codec.camera import Camera
from robocache_ros.codec.cloud import COLOURS, CloudView, View
from robocache_ros.codec.image import ImageView

# From x ahead, y left, z up to z ahead, x right, y down; a hand above the sensor.
TURN = np.array([[0.0, -1.0, 0.0], [0.0, 0.0, -1.0], [1.0, 0.0, 0.0]])
SHIFT = np.array([0.0, 0.1, 0.0])
LENSES = {
    'plumb_bob': (-0.1, 0.02, 0.001, -0.0005, 0.0),
    'equidistant': (0.01, -0.002, 0.0, 0.0),
}
OCCLUSION_CELL, TOLERANCE = 8, 0.05  # pixels, 1/m


def painted(name, found, n, height, width, model):
    """Colours of points from one image."""
    points, pixels = inputs.ring_scan(n), inputs.image(height, width)
    lens = _camera(height, width, model)
    cloud = CloudView.from_columns(inputs.columns(points, points[:, :0], ()))
    image = ImageView(pixels.reshape(-1), height, width, 3 * width, 'rgb8', False)
    turn, shift = TURN.astype(np.float32), SHIFT.astype(np.float32)
    work = Workspace()

    def ours(cell):
        view = View(image, lens, turn, shift, ('rgb',), cell, TOLERANCE)
        colours = np.empty((3, n), np.float32)
        fields = dict(zip(COLOURS, colours, strict=True))
        paint(work, [view], cloud.xyz(), fields)
        return colours

    impls = {'numpy': partial(ours, 0), 'numpy_occlusion': partial(ours, OCCLUSION_CELL)}
    k = np.array([[lens.fx, 0, lens.cx], [0, lens.fy, lens.cy], [0, 0, 1]])
    given = points, TURN, SHIFT, k, np.array(LENSES[model]), pixels
    impls['np_floats'] = partial(peers.colours_floats, *given, lens.fisheye)
    if 'cv2' in found:
        impls['cv2'] = partial(peers.colours_cv2, found['cv2'], *given, lens.fisheye)
    for impl, run in impls.items():
        if not impl.startswith('numpy'):
            check_equal(np.nan_to_num(ours(0).T), run(), 0.0)
    seen = np.count_nonzero(~np.isnan(ours(0)[0])) / n
    note = (
        f'{n} points, of which a {model} camera of {width} x {height} pixels sees {seen:.0%}; '
        'numpy_occlusion leaves out those that are hidden, which the others do not know'
    )
    return Case(name, note, impls)


def _camera(height, width, model):
    """90 degrees wide, or of a fisheye 138: the others do not look behind."""
    focal = width / 2 if model == 'plumb_bob' else width / 2.4
    return Camera.from_info(
        SimpleNamespace(
            width=width,
            height=height,
            distortion_model=model,
            d=LENSES[model],
            k=[focal, 0, width / 2 - 0.5, 0, focal, height / 2 - 0.5, 0, 0, 1],
        )
    )
