# Copyright 2026 the robocache_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Area means of images by the kernels, in any order of threads, are NumPy's to the bit."""

from __future__ import annotations

import functools

import numpy as np
import pytest
from cpu_device import CpuDevice
from devices import EACH_KIND, device, fixtures

from robocache_ros.backends.cuda.device import Limits, OverLimit
from robocache_ros.backends.cuda.images import TILE_PIXELS, ImageResults, Images
from robocache_ros.backends.cuda.results import copied
from robocache_ros.backends.cuda.staging import Staging
from robocache_ros.backends.numpy_images import image_grid
from robocache_ros.codec.image import ENCODINGS, ImageView
from robocache_ros.reasons import Reason, Rejected

CHANNELS = ('mono', 'rgb')
BAYER = [name for name, stored in ENCODINGS.items() if stored.bayer]
NAN, INF = float('nan'), float('inf')


@functools.cache
def images_on(name):
    return Images(Staging(device(name), Limits()))


def images_within(max_message_bytes):
    return Images(Staging(CpuDevice(), Limits(max_message_bytes=max_message_bytes)))


kernel, one_kernel = fixtures(images_on)


def pixel_type(encoding, big_endian=False):
    return np.dtype(('>' if big_endian else '<') + ENCODINGS[encoding].code)


def view(encoding, values, *, padding=0, shift=0, big_endian=False):
    """Image of `values` [height, width * channels]; rows padded, and not after the last one."""
    dtype = pixel_type(encoding, big_endian)
    height, count = values.shape
    row, step = count * dtype.itemsize, count * dtype.itemsize + padding
    data = np.full(shift + height * step, 0xFF, np.uint8)
    rows = data[shift:].reshape(height, step)
    rows[:, :row] = np.ascontiguousarray(values, dtype).view(np.uint8).reshape(height, row)
    width = count // len(ENCODINGS[encoding].order)
    end = len(data) - padding
    return ImageView(data[shift:end], height, width, step, encoding, big_endian)


def made(encoding, height, width, seed=1, **how):
    """Image of any values; of floats also large, small and not finite ones."""
    rng = np.random.default_rng([seed, height, width])
    shape = height, width * len(ENCODINGS[encoding].order)
    if ENCODINGS[encoding].code == 'f4':
        values = rng.standard_normal(shape) * 10.0 ** rng.integers(-7, 6, shape)
        bad = rng.choice([NAN, INF, -INF, 131072.0, -131072.0, 131071.99, -0.0, 1e-45], shape)
        values = np.where(rng.random(shape) < 0.1, bad, values)
    else:
        values = rng.integers(0, 256 ** pixel_type(encoding).itemsize, shape)
    return view(encoding, values, **how)


def check(kernel, image, rows, cols, channels='mono'):
    found, left_out = kernel.image_grid(image, rows, cols, channels)
    expected, expected_left_out = image_grid(image, rows, cols, channels)
    assert (found.dtype, found.shape) == (expected.dtype, expected.shape)
    assert found.tobytes() == expected.tobytes()
    assert left_out == expected_left_out
    assert type(left_out) is int
    return found, left_out


@pytest.mark.parametrize('channels', CHANNELS)
@pytest.mark.parametrize('encoding', ENCODINGS)
def test_every_encoding(kernel, encoding, channels):
    check(kernel, made(encoding, 37, 53), 5, 7, channels)
    check(kernel, made(encoding, 24, 64, padding=3), 8, 8, channels)
    check(kernel, made(encoding, 24, 64, padding=1, shift=1, big_endian=True), 3, 1, channels)


@pytest.mark.parametrize('channels', CHANNELS)
@pytest.mark.parametrize('encoding', BAYER)
def test_mosaics_cut_at_odd_and_even_pixels(kernel, encoding, channels):
    check(kernel, made(encoding, 7, 11), 3, 5, channels)
    check(kernel, made(encoding, 2, 2), 1, 1, channels)
    check(kernel, made(encoding, 9, 14), 2, 3, channels)


@pytest.mark.parametrize(
    'pixels', [1, 31, 33, TILE_PIXELS - 1, TILE_PIXELS, TILE_PIXELS + 1, 3000]
)
def test_cells_of_one_pixel_to_many_tiles(one_kernel, pixels):
    for height, width in ((1, pixels), (pixels, 1), (pixels, 3)):
        for encoding in ('mono8', 'bgr8', '32FC1'):
            check(one_kernel, made(encoding, height, width), 1, 1)


def test_every_pixel_a_cell(kernel):
    found, _ = check(kernel, made('rgb8', 20, 13), 20, 13, 'rgb')
    assert len(set(found.tolist())) > 100


def test_more_tiles_of_a_cell_than_lanes(kernel):
    check(kernel, made('mono16', 130, 150), 1, 1)
    check(kernel, made('32FC1', 130, 150), 1, 1)


def test_more_tiles_and_cells_than_warps(kernel):
    check(kernel, made('mono8', 40, 40), 12, 11)


@pytest.mark.parametrize('value', [255, 65535])
def test_the_brightest_image_of_all(one_kernel, value):
    encoding = 'mono8' if value == 255 else '16UC1'
    found, _ = check(one_kernel, view(encoding, np.full((300, 400), value)), 1, 2)
    assert found.tolist() == [value, value]


def test_sums_of_floats_beyond_32_bits(one_kernel):
    found, _ = check(one_kernel, view('32FC1', np.full((70, 70), -131071.5)), 1, 1)
    assert found.tolist() == [-131071.5]


def test_pixels_left_out_are_counted_and_a_cell_of_them_is_0(kernel):
    values = np.array([[1.0, NAN, INF, -INF], [3.0, 131072.0, 1e38, -131072.0]])
    found, left_out = check(kernel, view('32FC1', values), 1, 2)
    assert found.tolist() == [2.0, 0.0]
    assert left_out == 6


def test_the_steps_of_a_float_round_half_to_even(kernel):
    steps = np.array([[0.5, 1.5, 2.5, -0.5, -1.5, 0.49, 0.51]]) * 2.0**-18
    found, _ = check(kernel, view('32FC1', steps), 1, 7)
    assert (found * 2**18).tolist() == [0, 2, 2, 0, -2, 0, 1]


def test_data_may_go_on_after_the_last_row():
    image = made('rgb8', 6, 5, padding=2)
    longer = ImageView(
        np.append(image.data, np.ones(5000, np.uint8)),
        *(image.height, image.width, image.step, image.encoding, image.big_endian),
    )
    kernel = images_within(1000)
    check(kernel, longer, 2, 2, 'rgb')


def test_an_image_smaller_than_the_grid_is_refused_as_by_numpy(kernel):
    for encoding, channels in (('mono8', 'mono'), ('bayer_rggb8', 'rgb')):
        with pytest.raises(Rejected, match='3 x 2 pixels') as caught:
            kernel.image_grid(made(encoding, 2, 3), 3, 3, channels)
        assert caught.value.reason is Reason.IMAGE_TOO_SMALL


def test_images_beyond_the_limit_are_for_numpy():
    kernel = images_within(1000)
    check(kernel, made('mono8', 20, 40), 2, 2)
    with pytest.raises(OverLimit, match='bytes of an image, the device takes 1000'):
        kernel.image_grid(made('mono8', 20, 50), 2, 2, 'mono')
    with pytest.raises(OverLimit, match='bytes of results, the device takes 1000'):
        kernel.image_grid(made('mono8', 10, 10), 10, 10, 'rgb')


def test_results_are_not_overwritten_by_later_calls(kernel):
    image = made('rgb8', 20, 20)
    first, _ = kernel.image_grid(image, 4, 4, 'rgb')
    kernel.image_grid(made('rgb8', 20, 20, seed=2), 4, 4, 'rgb')
    assert first.tobytes() == image_grid(image, 4, 4, 'rgb')[0].tobytes()


@pytest.mark.parametrize('name', EACH_KIND)
def test_results_go_where_the_caller_says(name):
    image = made('32FC1', 20, 20)
    results = ImageResults(4, 4, 'rgb')
    memory = images_on(name).run(image, 4, 4, results, device(name).allocate_host)
    means = copied(memory, results.means)
    assert means.tobytes() == image_grid(image, 4, 4, 'rgb')[0].tobytes()


def test_images_of_one_size_and_grid_are_one_program():
    cpu = CpuDevice()
    kernel = Images(Staging(cpu, Limits()))
    for encoding, width in (('mono8', 60), ('rgb8', 60), ('32FC1', 64)):
        check(kernel, made(encoding, 50, width), 4, 4)
    assert len(cpu.programs) == 3
    assert len(set(cpu.programs)) == 1


def test_anything_small(kernel):
    for seed in range(150):
        rng = np.random.default_rng(seed)
        encoding, channels = str(rng.choice(list(ENCODINGS))), str(rng.choice(CHANNELS))
        height, width = rng.integers(2, 25), rng.integers(2, 41)
        padding, shift = int(rng.integers(0, 6)), int(rng.integers(0, 4))
        how = {'padding': padding, 'shift': shift, 'big_endian': bool(seed % 2)}
        image = made(encoding, int(height), int(width), seed, **how)
        rows, cols = rng.integers(1, height // 2 + 1), rng.integers(1, width // 2 + 1)
        check(kernel, image, int(rows), int(cols), channels)
