# Copyright 2026 the robocache_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Lenses: by hand, against OpenCV, and there and back again."""

from __future__ import annotations

import numpy as np
import pytest

from robocache_ros.sim.lens import EQUIDISTANT, PLUMB_BOB, RATIONAL, Lens

COEFFICIENTS = {
    PLUMB_BOB: (-0.28, 0.07, 1.2e-3, -8e-4, 1e-3),
    RATIONAL: (0.4, 0.05, 4e-4, -7e-4, 1e-3, 0.7, 0.11, 4e-3),
    EQUIDISTANT: (0.02, -4e-3, 1e-3, -1e-4),
}
PINHOLES = [PLUMB_BOB, RATIONAL]


def test_without_distortion_a_pinhole_shows_x_and_y_divided_by_z():
    lens = Lens(PLUMB_BOB, (0.0,) * 5)
    assert lens.distort(np.array([[1.0], [-2.0], [4.0]])).T.tolist() == [[0.25, -0.5]]
    ray = lens.undistort(np.array([[0.75], [0.0]]))[:, 0]
    assert ray == pytest.approx([0.6, 0.0, 0.8])


def test_the_radial_and_the_tangential_part_by_hand():
    # x = 1/2, y = 0: r2 = 1/4; 1 + 0.4/4 = 1.1; 2 x y = 0, r2 + 2 x x = 3/4, r2 + 2 y y = 1/4.
    lens = Lens(PLUMB_BOB, (0.4, 0.0, 0.04, 0.02, 0.0))
    assert lens.distort(np.array([[1.0], [0.0], [2.0]]))[:, 0] == pytest.approx(
        [0.55 + 0.02 * 0.75, 0.04 * 0.25]
    )


def test_a_fisheye_shows_angles_as_distances_even_behind_it():
    lens = Lens(EQUIDISTANT, (0.0,) * 4)
    seen = lens.distort(np.array([[0.0, 3.0, 0.0], [0.0, 4.0, 2.0], [5.0, 0.0, -2.0]]))
    assert seen[:, 0].tolist() == [0.0, 0.0]
    assert seen[:, 1] == pytest.approx(np.pi / 2 * np.array([0.6, 0.8]))
    assert seen[:, 2] == pytest.approx([0.0, 3 * np.pi / 4])
    back = lens.undistort(np.array([[0.0], [np.radians(100.0)]]))[:, 0]
    assert back == pytest.approx([0.0, np.sin(np.radians(100)), np.cos(np.radians(100))])


@pytest.mark.parametrize('model', PINHOLES)
def test_a_pinhole_shows_points_where_opencv_says(model):
    cv2 = pytest.importorskip('cv2', reason='needs OpenCV, the oracle')
    points = np.random.default_rng(3).uniform([-2, -2, 2], [2, 2, 6], (500, 3))
    coefficients = np.array(COEFFICIENTS[model])
    seen, _ = cv2.projectPoints(points, np.zeros(3), np.zeros(3), np.eye(3), coefficients)
    assert Lens(model, COEFFICIENTS[model]).distort(points.T) == pytest.approx(
        seen[:, 0].T, abs=1e-12
    )


def test_a_fisheye_shows_points_where_opencv_says():
    cv2 = pytest.importorskip('cv2', reason='needs OpenCV, the oracle')
    points = np.random.default_rng(3).uniform([-6, -6, 0.5], [6, 6, 6], (500, 3))
    coefficients = np.array(COEFFICIENTS[EQUIDISTANT])
    seen, _ = cv2.fisheye.projectPoints(
        points[:, None], np.zeros(3), np.zeros(3), np.eye(3), coefficients
    )
    lens = Lens(EQUIDISTANT, COEFFICIENTS[EQUIDISTANT])
    assert lens.distort(points.T) == pytest.approx(seen[:, 0].T, abs=1e-12)


@pytest.mark.parametrize(
    ('model', 'reach'), [(PLUMB_BOB, 0.6), (RATIONAL, 0.9), (EQUIDISTANT, 2.4)]
)
def test_a_direction_is_shown_where_it_was_looked_for(model, reach):
    lens = Lens(model, COEFFICIENTS[model])
    places = np.linspace(-reach, reach, 61) * 0.7
    seen = np.stack(np.meshgrid(places, places)).reshape(2, -1)
    rays = lens.undistort(seen)
    assert np.sqrt((rays**2).sum(axis=0)) == pytest.approx(1.0)
    assert lens.distort(rays) == pytest.approx(seen, abs=1e-9)


def test_beyond_the_fold_of_a_lens_nothing_is_seen():
    # r - r^3 / 3 grows to 2/3, at r = 1; and turns the angle 1 back on itself likewise.
    for model, rest in ((PLUMB_BOB, 4), (EQUIDISTANT, 3)):
        lens = Lens(model, (-1 / 3, *[0.0] * rest))
        rays = lens.undistort(np.array([[0.0, 0.66, 0.67], [0.0, 0.0, 0.0]]))
        assert rays[:, 0].tolist() == pytest.approx([0.0, 0.0, 1.0])
        assert np.isfinite(rays[:, 1]).all()
        assert np.isnan(rays[:, 2]).all()


def test_a_denominator_that_turns_negative_ends_the_image():
    # 1 / (1 - r^2 / 4): at r = 2 it would jump from plus to minus infinity.
    lens = Lens(RATIONAL, (0.0, 0.0, 0.0, 0.0, 0.0, -0.25, 0.0, 0.0))
    ray = lens.undistort(np.array([[100.0], [0.0]]))[:, 0]
    assert 1.9 < ray[0] / ray[2] < 2.0
