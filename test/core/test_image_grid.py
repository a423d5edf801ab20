# Copyright 2026 the robocache_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Area means of images, worked out by hand and pixel by pixel."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from robocache_ros.backends import numpy_images
from robocache_ros.codec.image import ENCODINGS, ImageView
from robocache_ros.reasons import Reason, Rejected

pytestmark = pytest.mark.filterwarnings('error')

BAYER = ('bayer_rggb8', 'bayer_bggr8', 'bayer_gbrg8', 'bayer_grbg8')


def view(encoding, pixels, padding=0, big_endian=False):
    """Image of `pixels` [height, width] or [height, width, channels], rows padded with 0xFF."""
    stored = ENCODINGS[encoding]
    dtype = np.dtype(('>' if big_endian else '<') + stored.code)
    pixels = np.asarray(pixels).astype(dtype)
    height, width = pixels.shape[:2]
    rows = pixels.reshape(height, -1).view(np.uint8)
    data = np.full((height, rows.shape[1] + padding), 0xFF, np.uint8)
    data[:, : rows.shape[1]] = rows
    return ImageView(data.reshape(-1), height, width, data.shape[1], encoding, big_endian)


@pytest.fixture(scope='session')
def grid(image_grid):
    def run(encoding, pixels, rows=1, cols=1, channels='mono', **more):
        values, left_out = image_grid(view(encoding, pixels, **more), rows, cols, channels)
        assert values.dtype == np.float32
        assert left_out == 0
        return values.tolist()

    return run


# -- cells ----------------------------------------------------------------------------------


def test_cells_of_an_even_split_go_row_by_row(grid):
    pixels = [[0, 2, 10, 20], [4, 6, 30, 40]]
    assert grid('mono8', pixels, 1, 2) == [3, 25]
    assert grid('mono8', pixels, 2, 2) == [1, 15, 5, 35]


def test_cells_of_an_uneven_split_begin_at_r_times_h_over_rows(grid):
    # 5 rows in 2 cells: rows 0-1 and 2-4. 7 columns in 3 cells: 0-1, 2-3, 4-6.
    pixels = np.arange(35).reshape(5, 7)
    expected = [
        pixels[y0:y1, x0:x1].mean()
        for y0, y1 in ((0, 2), (2, 5))
        for x0, x1 in ((0, 2), (2, 4), (4, 7))
    ]
    assert grid('mono8', pixels, 2, 3) == np.float32(expected).tolist()


def test_a_cell_may_be_a_single_pixel(grid):
    assert grid('mono8', [[1, 2], [3, 255]], 2, 2) == [1, 2, 3, 255]


def test_a_mean_is_divided_in_float64_and_rounded_once(grid):
    assert grid('mono8', [[1, 0, 0]]) == [float(np.float32(1 / 3))]
    total = 300 * 65535 + 3  # odd and above 2^24: no float32
    expected = np.float32(total / 301)
    assert expected != np.float32(total) / np.float32(301)
    assert grid('mono16', [[65535] * 300 + [3]]) == [float(expected)]


@pytest.mark.parametrize('encoding', ['mono8', 'rgb8', '32FC1'])
def test_an_image_smaller_than_the_grid_is_refused(image_grid, encoding):
    channels = len(ENCODINGS[encoding].order)
    image = view(encoding, np.zeros((2, 3, channels)))
    image_grid(image, 2, 3, 'mono')
    for rows, cols in ((3, 3), (2, 4)):
        with pytest.raises(Rejected, match='3 x 2 pixels') as caught:
            image_grid(image, rows, cols, 'mono')
        assert caught.value.reason is Reason.IMAGE_TOO_SMALL


# -- colour ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ('encoding', 'pixel'),
    [
        ('rgb8', (10, 20, 30)),
        ('bgr8', (30, 20, 10)),
        ('rgba8', (10, 20, 30, 99)),
        ('bgra8', (30, 20, 10, 99)),
    ],
)
@pytest.mark.parametrize('padding', [0, 3])
def test_colour_comes_out_as_r_g_b_and_alpha_plays_no_part(grid, encoding, pixel, padding):
    pixels = [[pixel, pixel], [pixel, pixel]]
    assert grid(encoding, pixels, 1, 2, 'rgb', padding=padding) == [10, 20, 30] * 2
    grey = (4899 * 10 + 9617 * 20 + 1868 * 30 + 8192) >> 14
    assert grid(encoding, pixels, 1, 2, 'mono', padding=padding) == [grey] * 2


@pytest.mark.parametrize(
    ('rgb', 'grey'),
    [((0, 0, 0), 0), ((255, 255, 255), 255), ((255, 0, 0), 76), ((0, 255, 0), 150),
     ((0, 0, 255), 29), ((1, 0, 0), 0), ((2, 0, 0), 1), ((0, 56, 102), 45)],  # the last: 44.5
)  # fmt: skip
def test_grey_levels(grid, rgb, grey):
    assert grid('rgb8', [[rgb]]) == [grey]


def test_grey_is_rounded_for_every_pixel_before_the_mean(grid):
    # (1, 0, 0) and (2, 0, 0) are 0 and 1: their mean is 0.5, that of their colours is 0.45.
    assert grid('rgb8', [[(1, 0, 0), (2, 0, 0)]]) == [0.5]


def test_one_channel_is_repeated_for_rgb(grid):
    assert grid('mono8', [[1, 2], [3, 4]], 2, 1, 'rgb') == [1.5] * 3 + [3.5] * 3


# -- bayer ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ('encoding', 'rgb'),
    [
        ('bayer_rggb8', (10, 25, 40)),
        ('bayer_bggr8', (40, 25, 10)),
        ('bayer_gbrg8', (30, 25, 20)),
        ('bayer_grbg8', (20, 25, 30)),
    ],
)
def test_bayer_means_per_colour_and_plain_mean(grid, encoding, rgb):
    tile = [[10, 20], [30, 40]]
    assert grid(encoding, tile, channels='rgb') == list(rgb)
    assert grid(encoding, np.tile(tile, (3, 2)), 3, 2, 'rgb') == list(rgb) * 6
    assert grid(encoding, tile, channels='mono') == [25]


def test_bayer_cells_that_begin_inside_a_tile(grid):
    # 5 columns in 2 cells, 0-1 and 2-4; 6 rows in 2 cells, 0-2 and 3-5: odd starts of both kinds.
    pixels = np.arange(30).reshape(6, 5)
    found = np.array(grid('bayer_rggb8', pixels, 2, 2, 'rgb')).reshape(2, 2, 3)
    colour = np.array([['r', 'g'], ['g', 'b']])
    for r, rows in enumerate((range(3), range(3, 6))):
        for c, cols in enumerate((range(2), range(2, 5))):
            for k, name in enumerate('rgb'):
                own = [pixels[y, x] for y in rows for x in cols if colour[y % 2, x % 2] == name]
                assert found[r, c, k] == np.float32(sum(own) / len(own))


def test_bayer_rgb_needs_two_rows_and_columns_for_each_cell(image_grid):
    image = view('bayer_rggb8', np.ones((4, 6)))
    assert len(image_grid(image, 2, 3, 'rgb')[0]) == 18
    assert len(image_grid(image, 4, 6, 'mono')[0]) == 24
    for rows, cols in ((3, 3), (2, 4)):
        with pytest.raises(Rejected, match='bayer_rggb8'):
            image_grid(image, rows, cols, 'rgb')


# -- 16 bits and floats ---------------------------------------------------------------------


@pytest.mark.parametrize('encoding', ['mono16', '16UC1'])
@pytest.mark.parametrize('big_endian', [False, True])
def test_16_bit_images(grid, encoding, big_endian):
    pixels = [[1, 256], [65535, 0]]
    assert grid(encoding, pixels, 2, 1, big_endian=big_endian) == [128.5, 32767.5]


def test_sums_of_bright_images_do_not_wrap(grid):
    for width in (3, 300):  # rows are summed in chunks, by their number or by their size
        assert grid('mono16', np.full((600, width), 65535)) == [65535]
        assert grid('mono8', np.full((600, width), 255)) == [255]
        assert grid('rgb8', np.full((600, width, 3), 255), channels='rgb') == [255] * 3


@pytest.mark.parametrize('big_endian', [False, True])
def test_depth_is_rounded_to_its_resolution(grid, big_endian):
    step = 2.0**-18
    pixels = [[1.0, 2.5], [1.5 * step, 2.5 * step]]  # both ties go to 2 steps, the even one
    assert grid('32FC1', pixels, 2, 1, big_endian=big_endian) == [1.75, 2 * step]


def test_depth_sums_are_exact_where_float32_is_not(grid):
    pixels = np.full((500, 400), 100_000.0, np.float32)
    pixels[0, 0] = 2.0**-18
    expected = (100_000 * 2**18 * (pixels.size - 1) + 1) / pixels.size * 2.0**-18
    assert grid('32FC1', pixels) == [float(np.float32(expected))]


def test_pixels_that_are_not_finite_or_too_large_are_left_out_and_counted(image_grid):
    pixels = [[1.0, math.nan, 3.0], [math.inf, -math.inf, 131072.0], [-131072.0, 131071.0, 5e37]]
    values, left_out = image_grid(view('32FC1', pixels), 3, 1, 'mono')
    assert values.tolist() == [2, 0, 131071]
    assert left_out == 6


def test_left_out_pixels_belong_to_their_own_cell(image_grid):
    pixels = np.ones((6, 6))
    pixels[0, 0] = pixels[3:, 3:] = math.nan
    values, left_out = image_grid(view('32FC1', pixels), 2, 2, 'rgb')
    assert values.tolist() == [1] * 9 + [0] * 3
    assert left_out == 10


# -- any image ------------------------------------------------------------------------------


@settings(max_examples=120, deadline=None)
@given(
    st.sampled_from(sorted(ENCODINGS)),
    st.sampled_from(['mono', 'rgb']),
    st.integers(1, 5),
    st.integers(1, 5),
    st.integers(0, 9),
    st.integers(0, 9),
    st.integers(0, 5),
    st.booleans(),
    st.sampled_from([1, 7, 65536]),
)
def test_means_follow_the_definition_read_literally(
    image_grid, encoding, channels, rows, cols, more_rows, more_cols, padding, big_endian, chunk
):
    """However rows are cut into chunks: pixel by pixel in Python integers."""
    height, width = 2 * rows + more_rows, 2 * cols + more_cols
    depth = len(ENCODINGS[encoding].order)
    rng = np.random.default_rng(height * 1000 + width)
    top = {'u1': 256, 'u2': 65536, 'f4': 100}[ENCODINGS[encoding].code]
    pixels = rng.integers(0, top, (height, width, depth))
    if encoding == '32FC1':
        pixels = pixels + rng.random(pixels.shape, dtype=np.float32) - 50
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(numpy_images, '_CHUNK_PIXELS', chunk)
        image = view(encoding, pixels, padding, big_endian)
        found, left_out = image_grid(image, rows, cols, channels)
    expected = [
        mean
        for r in range(rows)
        for c in range(cols)
        for mean in literal_cell(
            encoding,
            channels,
            {
                (y, x): pixels[y, x].tolist()
                for y in range(r * height // rows, (r + 1) * height // rows)
                for x in range(c * width // cols, (c + 1) * width // cols)
            },
        )
    ]
    assert found.tolist() == np.float32(expected).tolist()
    assert left_out == 0


def literal_cell(encoding, channels, pixels):
    """Means of one cell, {(y, x): values}."""
    order = ENCODINGS[encoding].order
    if encoding == '32FC1':
        total = sum(round(float(np.float32(v)) * 2**18) for (v,) in pixels.values())
        return [total / len(pixels) * 2.0**-18] * (3 if channels == 'rgb' else 1)
    if encoding in BAYER and channels == 'rgb':
        colours = [
            [v for (y, x), (v,) in pixels.items() if encoding[6 + 2 * (y % 2) + x % 2] == name]
            for name in 'rgb'
        ]
    elif order == 'y':
        colours = [[v for (v,) in pixels.values()]] * (3 if channels == 'rgb' else 1)
    elif channels == 'rgb':
        colours = [[p[order.index(name)] for p in pixels.values()] for name in 'rgb']
    else:
        r, g, b = ([p[order.index(name)] for p in pixels.values()] for name in 'rgb')
        grey = zip(r, g, b, strict=True)
        colours = [[(4899 * r + 9617 * g + 1868 * b + 8192) >> 14 for r, g, b in grey]]
    return [sum(values) / len(values) for values in colours]
