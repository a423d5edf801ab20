# Copyright 2026 the robocache_ros authors
# SPDX-License-Identifier: Apache-2.0
"""What a CameraInfo or a calibration file says becomes a camera, or is refused by name."""

from __future__ import annotations

import math

import numpy as np
import pytest
from codec_messages import INF, NAN, Message
from painted import camera, info

from robocache_ros.codec.camera import Camera
from robocache_ros.reasons import Reason, Rejected

pytestmark = pytest.mark.filterwarnings('error')


def changed(values, place, value):
    """List of numbers with one of them replaced."""
    return [value if number == place else old for number, old in enumerate(values)]


K = [2.0, 0.0, 0.5, 0.0, 3.0, 0.25, 0.0, 0.0, 1.0]
P = [4.0, 0.0, 1.5, 0.0, 0.0, 5.0, 1.25, 0.0, 0.0, 0.0, 1.0, 0.0]
EYE = np.eye(3).reshape(-1).tolist()


def refused(reason, msg, **more):
    with pytest.raises(Rejected) as caught:
        Camera.from_info(msg, **more)
    assert caught.value.reason is reason
    return caught.value.detail


# -- models --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ('model', 'd', 'fisheye', 'distortion'),
    [
        ('plumb_bob', (), False, (0,) * 8),
        ('plumb_bob', (1, 2, 3, 4), False, (1, 2, 3, 4, 0, 0, 0, 0)),
        ('plumb_bob', (1, 2, 3, 4, 5), False, (1, 2, 3, 4, 5, 0, 0, 0)),
        ('rational_polynomial', range(1, 9), False, (1, 2, 3, 4, 5, 6, 7, 8)),
        ('rational_polynomial', [*range(1, 9), 0, 0, 0, 0], False, (1, 2, 3, 4, 5, 6, 7, 8)),
        ('rational_polynomial', [*range(1, 9), *[0] * 6], False, (1, 2, 3, 4, 5, 6, 7, 8)),
        ('equidistant', (), True, (0, 0, 0, 0)),
        ('equidistant', (1, 2, 3, 4), True, (1, 2, 3, 4)),
        ('', (), False, (0,) * 8),
    ],
)
def test_each_model_takes_the_numbers_of_coefficients_it_is_known_with(
    model, d, fisheye, distortion
):
    found = Camera.from_info(info(f=(2.0, 3.0), c=(0.5, 0.25), model=model, d=d))
    assert (found.fisheye, found.distortion) == (fisheye, distortion)
    assert (found.fx, found.fy, found.cx, found.cy) == (2.0, 3.0, 0.5, 0.25)
    assert (found.width, found.height) == (4, 3)
    assert found.distorted == any(distortion)
    assert np.array_equal(found.rectify, np.eye(4))


@pytest.mark.parametrize(
    ('model', 'd'),
    [
        ('plumb_bob', (1.0,)),
        ('plumb_bob', (0.0,) * 8),
        ('rational_polynomial', (0.0,) * 5),
        ('rational_polynomial', (*[0.1] * 8, 0.0, 0.0, 0.0, 1e-9)),  # a thin prism
        ('rational_polynomial', (*[0.1] * 8, *[0.0] * 5, 0.01)),  # a tilted sensor
        ('equidistant', (0.1,) * 5),
        ('', (0.1,) * 4),
        ('fov', (0.9,)),
        ('double_sphere', (0.1, 0.2)),
    ],
)
def test_other_models_and_coefficients_are_refused(model, d):
    assert repr(model) in refused(Reason.CAMERA_INFO_MODEL, info(model=model, d=d))


# -- where a model ends ----------------------------------------------------------------------


@pytest.mark.parametrize(
    ('model', 'd', 'limit'),
    [
        ('plumb_bob', (), INF),
        # r (1 - 0.3 r^2) has the slope 1 - 0.9 r^2
        ('plumb_bob', (-0.3, 0, 0, 0), 1 / 0.9),
        # r (1 + s^2 / 20 - s^3 / 28) with s = r^2: 1 + s^2 / 4 - s^3 / 4
        ('plumb_bob', (0, 0.05, 0, 0, -1 / 28), 2.0),
        # r / (1 - 0.5 r^2) grows until there is nothing below the line
        ('rational_polynomial', (0, 0, 0, 0, 0, -0.5, 0, 0), 2.0),
        # r / (1 + r^2) has a slope of the sign of 1 - r^2
        ('rational_polynomial', (0, 0, 0, 0, 0, 1, 0, 0), 1.0),
        # theta (1 - 0.1 theta^2): 1 - 0.3 theta^2
        ('equidistant', (-0.1, 0, 0, 0), math.sqrt(1 / 0.3)),
        # theta (1 + 0.1 q - 0.02 q^2): 1 + 0.3 q - 0.1 q^2, which is 0 at q = 5
        ('equidistant', (0.1, -0.02, 0, 0), math.sqrt(5)),
        ('equidistant', (), math.radians(170)),
        ('equidistant', (0.1, 0.1, 0.1, 0.1), math.radians(170)),
    ],
)
def test_a_model_ends_where_two_directions_would_share_a_pixel(model, d, limit):
    assert camera(model=model, d=d).limit == pytest.approx(limit, rel=1e-12)


def test_a_lens_that_only_grows_has_no_end_before_89_degrees():
    assert math.sqrt(camera(d=(0.1, 0.1, 0, 0)).limit) > math.tan(math.radians(89))


def test_absurd_coefficients_end_a_model_at_once():
    assert camera(d=(-1e300, 1e300, 0, 0)).limit < 1e-6


def test_cameras_of_the_same_numbers_are_equal():
    said = info(8, 6, model='plumb_bob', d=(0.1, 0.2, 0, 0), p=P)
    assert Camera.from_info(said) == Camera.from_info(said)
    assert Camera.from_info(said).for_size(4, 3) == Camera.from_info(said).for_size(4, 3)
    assert Camera.from_info(said) != Camera.from_info(said, rectified=True)
    other = info(8, 6, p=changed(P, 3, -1.0))
    cameras = {Camera.from_info(each, rectified=True) for each in (said, said, other)}
    assert len(cameras) == 2


# -- refusals --------------------------------------------------------------------------------


@pytest.mark.parametrize('k', [[0.0] * 9, changed(K, 0, 0.0), changed(K, 4, -500.0)])
def test_a_camera_without_a_focal_length_is_uncalibrated(k):
    refused(Reason.CAMERA_INFO_UNCALIBRATED, info(k=k, width=0, height=0))


def test_a_camera_without_a_projection_is_uncalibrated_where_images_are_rectified():
    refused(Reason.CAMERA_INFO_UNCALIBRATED, info(p=[0.0] * 12), rectified=True)
    assert Camera.from_info(info(p=[0.0] * 12)).fx == 1.0


@pytest.mark.parametrize(
    'changes',
    [
        {'k': changed(K, 2, NAN)},
        {'k': changed(K, 0, INF)},
        {'k': K[:8]},
        {'k': changed(K, 1, 0.5)},  # a skew
        {'k': [], 'd': []},
        {'d': [0.1, NAN, 0.0, 0.0]},
        {'width': 0},
        {'height': 0},
        {'binning_x': 5},
        {'roi': Message(x_offset=1, y_offset=0, width=4, height=3)},
    ],
)
def test_numbers_that_can_not_be_meant_are_refused(changes):
    refused(Reason.CAMERA_INFO_BAD, info(**changes))


@pytest.mark.parametrize(
    'changes',
    [
        {'p': P[:11]},
        {'p': changed(P, 3, NAN)},
        {'r': [0.0] * 9},
        {'r': EYE[:6]},
        {'r': changed(EYE, 0, 1.01)},
        {'p': changed(P, 3, 1e9)},
    ],
)
def test_a_rectification_that_is_none_is_refused_where_it_is_used(changes):
    refused(Reason.CAMERA_INFO_BAD, info(**changes), rectified=True)
    Camera.from_info(info(**changes))


# -- rectified images ----------------------------------------------------------------------


def test_a_rectified_image_has_the_projection_and_no_distortion():
    found = Camera.from_info(info(model='fov', d=[0.9], k=K, p=P), rectified=True)
    assert (found.fx, found.fy, found.cx, found.cy) == (4.0, 5.0, 1.5, 1.25)
    assert (found.fisheye, found.distorted) == (False, False)
    assert np.array_equal(found.rectify, np.eye(4))


def test_the_second_camera_of_a_pair_projects_as_its_matrix_p_says():
    quarter = [0.0, -1.0, 0.0, 1.0, 0.0, 0.0, 0.0, 0.0, 1.0]  # x to y, y to -x
    p = [4.0, 0.0, 1.5, -2.0, 0.0, 5.0, 1.25, 0.5, 0.0, 0.0, 1.0, 0.25]
    found = Camera.from_info(info(p=p, r=quarter), rectified=True)
    point = np.array([0.5, -1.0, 4.0])
    turned = np.array([1.0, 0.5, 4.0])
    u, v, w = np.reshape(p, (3, 4)) @ [*turned, 1.0]
    x, y, z, _ = found.rectify @ [*point, 1.0]
    assert (found.fx * x / z + found.cx, found.fy * y / z + found.cy) == pytest.approx(
        (u / w, v / w), rel=1e-12
    )


# -- sizes -----------------------------------------------------------------------------------


def test_a_region_of_interest_moves_the_principal_point():
    roi = Message(x_offset=3, y_offset=2, width=6, height=4)
    found = Camera.from_info(info(10, 8, f=7.0, c=(4.0, 3.0), roi=roi))
    assert (found.width, found.height) == (6, 4)
    assert (found.fx, found.fy, found.cx, found.cy) == (7.0, 7.0, 1.0, 1.0)


def test_binned_pixels_have_their_centres_between_those_they_are_made_of():
    found = Camera.from_info(info(10, 9, f=8.0, c=(0.5, 2.5), binning_x=2, binning_y=4))
    assert (found.width, found.height) == (5, 2)
    # columns 0 and 1 become column 0, so that 0.5 is its centre; rows 0 to 3 become row 0
    assert (found.fx, found.fy, found.cx, found.cy) == (4.0, 2.0, 0.0, 0.25)


def test_a_region_is_cut_before_it_is_binned():
    roi = Message(x_offset=2, y_offset=4, width=4, height=4)
    found = Camera.from_info(info(10, 8, f=8.0, c=(2.5, 4.5), binning_x=2, binning_y=2, roi=roi))
    assert (found.width, found.height, found.cx, found.cy) == (2, 2, 0.0, 0.0)


def test_images_of_the_same_shape_are_seen_by_the_scaled_camera():
    lens = camera(640, 480, f=(500.0, 510.0), c=(319.5, 100.0), d=(0.1, 0.0, 0.0, 0.0))
    half = lens.for_size(320, 240)
    assert (half.width, half.height) == (320, 240)
    assert (half.fx, half.fy, half.cx, half.cy) == (250.0, 255.0, 159.5, 49.75)
    assert (half.distortion, half.limit) == (lens.distortion, lens.limit)
    twice = lens.for_size(1280, 960)
    assert (twice.fx, twice.cx) == (1000.0, 639.5)
    assert lens.for_size(640, 480) is lens


def test_edges_may_be_rounded_to_whole_pixels():
    assert camera(641, 481).for_size(320, 240).height == 240
    assert camera(1280, 721).for_size(640, 361).height == 361


@pytest.mark.parametrize('size', [(640, 360), (480, 640), (320, 238), (1, 480)])
def test_images_of_another_shape_are_refused(size):
    with pytest.raises(Rejected, match=f'640 x 480 pixels, the image has {size[0]} x') as caught:
        camera(640, 480).for_size(*size)
    assert caught.value.reason is Reason.CAMERA_INFO_SIZE


# -- files -----------------------------------------------------------------------------------

FILE = """
image_width: 640
image_height: 480
camera_name: left
camera_matrix:
  rows: 3
  cols: 3
  data: [500.5, 0., 320., 0., 501., 240., 0., 0., 1.]
distortion_model: plumb_bob
distortion_coefficients:
  rows: 1
  cols: 5
  data: [-0.25, 1e-2, 1e-5, 0, 0.0]
rectification_matrix:
  rows: 3
  cols: 3
  data: [1, 0, 0, 0, 1, 0, 0, 0, 1]
projection_matrix:
  rows: 3
  cols: 4
  data: [400., 0, 310., -40., 0, 400., 230., 0, 0, 0, 1, 0]
"""


@pytest.fixture
def write(tmp_path):
    pytest.importorskip('yaml', reason='needs PyYAML, which reads calibration files')

    def run(text):
        path = tmp_path / 'left.yaml'
        path.write_text(text)
        return path

    return run


def test_a_file_of_camera_calibration_is_read(write):
    found = Camera.from_file(write(FILE))
    assert (found.width, found.height, found.fx, found.fy) == (640, 480, 500.5, 501.0)
    assert found.distortion == (-0.25, 0.01, 1e-5, 0.0, 0.0, 0.0, 0.0, 0.0)
    rectified = Camera.from_file(write(FILE), rectified=True)
    assert (rectified.fx, rectified.cx, rectified.rectify[0, 3]) == (400.0, 310.0, -0.1)


@pytest.mark.parametrize(
    ('old', 'new', 'said'),
    [
        ('image_width', 'width', "no 'image_width'"),
        ('camera_matrix', 'k', "no 'camera_matrix'"),
        ('[500.5', '[0.0', 'focal lengths are 0 and 501'),
        ('[500.5', '[fast', 'no camera calibration'),
        ('plumb_bob', 'fov', "'fov' is not one of plumb_bob"),
        ('640', '0', '0 x 480'),
        (FILE, 'just words', 'no camera calibration'),
        (FILE, '', 'no camera calibration'),
        (FILE, '%YAML:1.0\n---\nk: !!opencv-matrix 1', 'not YAML'),
        ('rectification_matrix', 'other', 'r is not 3 x 3'),
    ],
)
def test_a_file_that_is_no_calibration_is_refused_with_a_sentence(write, old, new, said):
    path = write(FILE.replace(old, new))
    with pytest.raises(ValueError, match=said) as caught:
        Camera.from_file(path, rectified='rectification' in old)
    assert str(path) in str(caught.value)


def test_a_file_that_is_not_there_is_named(tmp_path):
    pytest.importorskip('yaml', reason='needs PyYAML, which reads calibration files')
    with pytest.raises(ValueError, match=r'gone.yaml can not be read: No such file'):
        Camera.from_file(tmp_path / 'gone.yaml')
