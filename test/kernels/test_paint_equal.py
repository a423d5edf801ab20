# Copyright 2026 the robocache_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Points that cameras paint take the same pixels by the kernels and by NumPy, bit for bit."""

from __future__ import annotations

import functools
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from devices import device, fixtures
from made_clouds import as_columns, as_message, assert_same, some_points, spec_of

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / 'core'))

from deskew_oracle import some_motion
from painted import camera, image_of, numbered, view

from robocache_ros.backends.cuda.cuda_backend import CudaBackend
from robocache_ros.backends.cuda.device import Clear, Limits, OverLimit
from robocache_ros.backends.numpy_backend import NumpyBackend
from robocache_ros.backends.numpy_paint import paint
from robocache_ros.backends.workspace import Workspace
from robocache_ros.codec.cloud import Transform
from robocache_ros.codec.image import ENCODINGS
from robocache_ros.grid import Grid
from robocache_ros.interop import DeviceArray

GRID = Grid.from_range([0.5, 0.4, 0.8], [-8, -6, -2, 8, 6, 2])
CHANNELS = ('count', 'sum_pixel', 'min_pixel', 'max_pixel')
COLOURS = ('count', 'rgb', 'mean_r', 'max_b', 'majority_g')
LENSES = {
    'pinhole': camera(60, 40, (31.0, 29.0), (28.4, 21.3)),
    'plumb_bob': camera(60, 40, 33.0, (30.0, 20.0), 'plumb_bob', (-0.3, 0.1, 0.04, -0.05, 0.02)),
    'rational': camera(
        *(60, 40, 30.0, (29.0, 19.0), 'rational_polynomial'),
        (0.4, -0.3, 1e-3, 2e-3, 0.01, 0.6, -0.2, 0.03),
    ),
    'fisheye': camera(60, 40, 14.0, (30.2, 19.7), 'equidistant', (0.02, -0.01, 0.003, -0.001)),
    'fisheye all around': camera(60, 40, 9.5, (30.0, 20.0), 'equidistant'),
}
# Where the camera is among the points: turned about all axes, so that no product is exact.
POSE = np.array(
    [[0.36, 0.48, -0.8, 0.31], [-0.8, 0.6, 0.0, -0.17], [0.48, 0.64, 0.6, 2.9], [0, 0, 0, 1]]
)
AWAY = np.diag([1, -1, -1, 1]) @ POSE  # most points are behind it
NUMPY = NumpyBackend()
NAN, INF = float('nan'), float('inf')
NO_VALUE_BITS = 0x7FC00000


@functools.cache
def backend_on(name):
    return CudaBackend(device(name), Limits())


cuda, one_cuda = fixtures(backend_on)


def check(cuda, clouds, channels=CHANNELS, **limits):
    """Compare sparse and dense voxels with NumPy's; returns the sparse ones."""
    spec = spec_of(GRID, channels, **limits)
    found = cuda.voxelize(clouds, spec)
    assert_same(found, NUMPY.voxelize(clouds, spec))
    spec = spec_of(GRID, [name for name in channels if name != 'rgb'], **limits)
    dense, right = (on.voxelize_dense(clouds, spec) for on in (cuda, NUMPY))
    assert dense.tobytes() == right.tobytes()
    return found


def painted(cloud, *views):
    return replace(cloud, views=views)


def points(n=600, seed=0, **of):
    return some_points(n, GRID, seed, **of)


def colourful(encoding='rgb8', height=40, width=60, seed=0, **layout):
    """Image of random pixels; of a 32FC1 one in seven is not finite."""
    stored = ENCODINGS[encoding]
    rng = np.random.default_rng(seed)
    shape = (height, width, len(stored.order))
    if stored.code != 'f4':
        return image_of(rng.integers(0, 1 << 8 * int(stored.code[1]), shape), encoding, **layout)
    values = rng.normal(size=shape).astype('f4')
    values.reshape(-1)[::7] = np.resize([NAN, INF, -INF, -0.0], len(values.reshape(-1)[::7]))
    return image_of(values, encoding, **layout)


# -- which pixel -----------------------------------------------------------------------------


def pixels_of(seen, where):
    """Number of the pixel that each of the points [n, 3] falls on, NaN if none, as bits."""
    fields = {'pixel': np.empty(len(where), 'f4')}
    paint(Workspace(), [seen], where.T.copy(), fields)
    return fields['pixel'].view('u4')


def at_borders(seen, n=400):
    """Points [k, 3] on either side of borders of pixels, as near as float32 has numbers."""
    rng = np.random.default_rng(1)
    low, high = rng.uniform(GRID.origin, GRID.upper, (2, n, 3)).astype('f4')
    first = pixels_of(seen, low)
    differ = first != pixels_of(seen, high)
    low, high, first = low[differ], high[differ], first[differ]
    for _ in range(30):
        middle = low + (high - low) * np.float32(0.5)
        same = pixels_of(seen, middle) == first
        low[same], high[~same] = middle[same], middle[~same]
    return np.concatenate([low, high])


@pytest.mark.parametrize('lens', LENSES)
def test_every_operation_is_rounded_as_numpy_rounds_it(cuda, lens):
    for pose in (POSE, AWAY) if LENSES[lens].fisheye else (POSE,):
        seen = view(numbered(40, 60), LENSES[lens], ['pixel'], pose)
        where = at_borders(seen)
        assert len(where) > 300
        columns = dict(zip('xyz', where.T.copy(), strict=True))
        found = check(cuda, [painted(as_columns(columns), seen)])
        assert found.stats.unseen < found.stats.used


@pytest.mark.parametrize('lens', LENSES)
def test_points_anywhere_and_nowhere(cuda, lens):
    odd = [0.0, -0.0, 0.05, 0.04, 1e-30, -1e-30, 1e20, -1e20, 3e38, NAN, INF, -INF]
    crossed = np.meshgrid(*3 * [np.array(odd, 'f4')])
    rest = points(300)
    columns = {
        name: np.concatenate([column.reshape(-1), rest[name]])
        for name, column in zip('xyz', crossed, strict=True)
    }
    for pose in (np.eye(4), POSE):
        seen = view(numbered(40, 60), LENSES[lens], ['pixel'], pose, 1, 0.01)
        check(cuda, [painted(as_columns(columns), seen)])


# -- what points take --------------------------------------------------------------------------


LAYOUTS = [{}, {'padding': 3}, {'padding': 1, 'big_endian': True}]


@pytest.mark.parametrize('layout', LAYOUTS, ids=str)
@pytest.mark.parametrize('encoding', ENCODINGS)
def test_pixels_of_every_kind(one_cuda, encoding, layout):
    paints = ['pixel'] if encoding == '32FC1' else ['rgb', 'pixel']
    channels = CHANNELS if encoding == '32FC1' else (*COLOURS, *CHANNELS[1:])
    for height, width in ((40, 60), (7, 5), (2, 2), (3, 2), (2, 9)):
        lens = camera(width, height, 0.6 * height, (width / 2 - 0.3, height / 2 - 0.6))
        seen = view(colourful(encoding, height, width, **layout), lens, paints, POSE)
        found = check(one_cuda, [painted(as_columns(points(200)), seen)], channels)
        assert found.stats.unseen < found.stats.used


def test_images_of_one_row_or_column(one_cuda):
    for height, width in ((1, 1), (1, 9), (9, 1)):
        lens = camera(width, height, 3.0, (width / 2, height / 2))
        seen = view(colourful('bgr8', height, width), lens, ['rgb', 'pixel'], POSE, 2, 0.1)
        check(one_cuda, [painted(as_columns(points(200)), seen)], (*COLOURS, *CHANNELS[1:]))


def test_data_that_end_with_the_last_pixel_are_not_read_beyond(one_cuda):
    whole = colourful('rgb8', padding=5)
    image = replace(whole, data=whole.data[:-5])
    check(one_cuda, [painted(as_columns(points()), view(image, LENSES['pinhole']))], COLOURS)


def test_greys_are_rounded_half_up(one_cuda):
    colours = np.indices((256, 256, 4)).reshape(3, -1).T
    halves = colours[colours @ (4899, 9617, 1868) % 2**14 == 2**13]
    assert len(halves) > 10
    image = image_of(np.resize(halves, (40, 60, 3)), 'rgb8')
    seen = view(image, LENSES['pinhole'], ['pixel'], POSE)
    check(one_cuda, [painted(as_columns(points(200)), seen)])


def test_the_first_view_with_a_value_gives_it(cuda):
    turned = POSE.copy()
    turned[:3, 3] = 0.5, 0.5, 2.0
    views = [
        view(colourful('32FC1'), LENSES['fisheye'], ['pixel', 'depth'], POSE, 2, 0.05),
        view(colourful('rgb8', seed=1), LENSES['pinhole'], ['rgb'], POSE),
        view(colourful('mono16', seed=2), LENSES['plumb_bob'], ['label', 'pixel'], turned, 3),
        view(colourful('bgra8', seed=3), LENSES['rational'], ['pixel', 'rgb'], np.eye(4)),
    ]
    channels = (*COLOURS, *CHANNELS[1:], 'majority_label', 'mean_depth')
    columns = points()
    for order in ((0, 1, 2, 3), (3, 2, 1, 0), (2, 0, 3, 1)):
        check(cuda, [painted(as_columns(columns), *(views[k] for k in order))], channels)
    check(cuda, [painted(as_columns(columns), *views)])  # the rest paints nothing that is asked
    check(cuda, [painted(as_columns(columns), *views)], ('count', 'majority_label'))
    assert cuda.voxelize([painted(as_columns(columns), *views)], spec_of(GRID, ['count']))


def test_clouds_of_every_kind_side_by_side(cuda):
    seen = view(colourful('rgb8'), LENSES['fisheye'], ['rgb', 'pixel'], POSE, 2, 0.02)
    depth = view(colourful('32FC1'), LENSES['pinhole'], ['pixel'], POSE, 4, 0.01)
    own = {name: np.arange(150, dtype='u1') for name in 'rgb'}
    late = {**points(150, 4), 'pixel': np.linspace(-1, 1, 150), 'r': np.full(150, NAN, 'f4')}
    clouds = [
        painted(as_message(points(200, 1), step=19, first=3, width=50, padding=2), seen, depth),
        as_columns({**points(150, 2), **own}),  # has colours of its own, and no pixel
        painted(as_message(points(100, 3), big_endian=True, width=25, padding=5), depth),
        painted(as_columns({**points(150, 4), **own}), seen),  # paints over its own
        painted(as_columns(points(0)), seen),
        as_message(late, step=40),
        replace(painted(as_columns(points(90, 6)), seen), constants={'pixel': 7.5, 'age': 0.5}),
    ]
    channels = (*COLOURS, *CHANNELS[1:], 'max_age')
    found = check(cuda, clouds, channels)
    assert found.stats.value_nonfinite > 0
    assert found.stats.unseen > 0
    assert set(found.stats.fields_missing) == {'r', 'g', 'b', 'pixel', 'age'}
    for most in (1, 199, 200, 201, 457, 10_000):
        check(cuda, clouds, channels, max_points=most)
    check(cuda, clouds[::-1], channels, max_points=500)
    check(cuda, clouds, channels, max_points_per_voxel=1, seed=3)
    check(cuda, clouds, channels, max_voxels=40)


def test_points_that_move_are_painted_where_they_come_to(cuda):
    by = some_motion(6, scale=1e9)
    columns = {**points(500), 'time': np.linspace(0, 0.02, 500), 'v': points(500, 3)['x']}
    turn = Transform.from_matrix([[0, -1, 0, 0.5], [1, 0, 0, 0], [0, 0, 1, -0.25], [0, 0, 0, 1]])
    seen = view(numbered(40, 60), LENSES['plumb_bob'], ['pixel', 'time'], POSE, 2, 0.05)
    clouds = [
        replace(painted(as_message(columns), seen), motion=by),  # by the time of the message
        replace(painted(as_columns(columns), seen), transform=turn),
        painted(as_message(points(200, 7), (0.5, -0.25, 0.125)), seen),
    ]
    found = check(cuda, clouds, (*CHANNELS, 'mean_time', 'mean_v'))
    assert found.stats.unseen > 0


def test_columns_on_the_device_are_painted(one_cuda):
    if one_cuda is not backend_on('shuffled'):
        pytest.skip('the columns of this test lie in memory of the host')
    held = points(300)
    seen = view(colourful(), LENSES['fisheye'], ['rgb'], POSE, 2, 0.02)
    there = {
        name: DeviceArray(v.ctypes.data, v.shape, v.strides, v.dtype, 0, v, v.copy)
        for name, v in held.items()
    }
    spec = spec_of(GRID, COLOURS)
    found = one_cuda.voxelize([painted(as_columns(there), seen)], spec)
    assert_same(found, NUMPY.voxelize([painted(as_columns(held), seen)], spec))


# -- what hides what ---------------------------------------------------------------------------


@pytest.mark.parametrize('cell', [1, 2, 7, 40, 1000])
@pytest.mark.parametrize('tolerance', [0.0, 0.003, 0.1, INF])
def test_what_lies_behind_others_is_hidden(one_cuda, cell, tolerance):
    columns = points(900, 2)
    for lens in ('pinhole', 'fisheye'):
        seen = view(numbered(40, 60), LENSES[lens], ['pixel'], POSE, cell, tolerance)
        check(one_cuda, [painted(as_columns(columns), seen)])


def test_nearness_is_compared_to_the_last_bit(one_cuda):
    seen = view(numbered(40, 60), LENSES['fisheye'], ['pixel'])
    columns = points(200, bad=0)
    x, y, z = (columns[name] for name in 'xyz')
    nearness = np.float32(1) / np.sqrt((x * x + y * y) + z * z)
    inside = pixels_of(seen, np.stack([x, y, z], axis=1)) != NO_VALUE_BITS
    behind = np.sort(nearness[inside].max() - nearness[inside])
    assert len(behind) > 40
    for tolerance in behind[::4]:  # of a point that is the last one that is not hidden
        hiding = seen._replace(cell=1000, tolerance=float(tolerance))
        check(one_cuda, [painted(as_columns(columns), hiding)])


def test_points_outside_the_grid_and_over_the_limit_hide_others_or_do_not(cuda):
    seen = view(numbered(40, 60), LENSES['pinhole'], ['pixel'], POSE, 20, 0.0)
    columns = points(300)
    near = np.linalg.inv(POSE)[:3] @ [0, 0, 0.06, 1]  # in front of the camera, above the grid
    for k, name in enumerate('xyz'):
        columns[name][250] = near[k]
    cloud = painted(as_columns(columns), seen)
    counts = [check(cuda, [cloud], max_points=most).stats.unseen for most in (250, 251)]
    assert counts[0] < counts[1]


def test_clouds_and_images_do_not_hide_points_of_others(cuda):
    seen = [
        view(colourful('mono8', seed=k), LENSES['pinhole'], [name], POSE, 8, 0.001)
        for k, name in enumerate(('pixel', 'other'))
    ]
    clouds = [painted(as_columns(points(300, k)), *seen) for k in range(3)]
    check(cuda, clouds, (*CHANNELS, 'mean_other'))


# -- calls ---------------------------------------------------------------------------------------


def names_of(steps):
    return ['clear' if isinstance(step, Clear) else step.kernel for step in steps]


def test_painting_is_part_of_the_one_program_of_a_call():
    own = device('forward')
    backend = CudaBackend(own, Limits())
    image = colourful()
    plain = as_columns(points())
    hidden = painted(plain, view(image, LENSES['pinhole'], matrix=POSE, cell=2, tolerance=0.1))
    flat = painted(plain, view(image, LENSES['pinhole'], matrix=POSE))
    ahead = {
        hidden: ['clear', 'paint.splat', 'paint.paint'],
        flat: ['paint.paint'],
        plain: [],
    }
    for cloud, steps in ahead.items():
        for spec, rest in (
            (spec_of(GRID, ('count', 'mean_r')), ['clear', 'voxels.mark']),
            (spec_of(GRID, ('count',)), ['clear', 'voxels.mark']),
        ):
            own.clear()
            backend.voxelize([cloud], spec)
            (program,) = own.programs
            wanted = steps if spec.fields else []
            assert names_of(program.steps)[: len(wanted) + 2] == [*wanted, *rest]
        own.clear()
        backend.voxelize_dense([cloud], spec_of(GRID, ('count', 'mean_r')))
        (program,) = own.programs
        assert names_of(program.steps)[: len(steps) + 1] == [*steps, 'clear']
        own.clear()
        backend.occupancy([cloud], GRID)
        assert not any(name.startswith('paint') for name in names_of(own.programs[0].steps))


def test_the_next_image_of_the_same_camera_replays_the_program():
    own = device('forward')
    backend = CudaBackend(own, Limits())
    for seed, n in ((0, 600), (1, 700), (2, 900)):
        image = colourful(seed=seed)
        seen = view(image, LENSES['pinhole'], matrix=POSE, cell=2 + seed, tolerance=0.1)
        check(backend, [painted(as_columns(points(n, seed)), seen)], COLOURS)
    sparse = own.programs[::2]
    assert sparse[0] == sparse[1] == sparse[2]


def test_nothing_of_a_call_stays_for_the_next(cuda):
    lens = LENSES['fisheye']
    views = [view(colourful(seed=k), lens, ['rgb', 'pixel'], POSE, 2, 0.01) for k in range(2)]
    channels = (*COLOURS, *CHANNELS[1:])
    cloud = as_columns(points())
    for some in ([views[0]], [], [views[1]], views, [views[0]._replace(cell=0)], [views[0]]):
        check(cuda, [painted(cloud, *some)], channels)
        check(cuda, [painted(as_columns(points(100, 3)), *some)], channels)


def test_an_image_that_several_clouds_and_views_use_is_sent_once():
    own = device('forward')
    backend = CudaBackend(own, Limits(max_message_bytes=3 * 40 * 60))
    seen = view(colourful(), LENSES['pinhole'], ['rgb'], POSE)
    clouds = [painted(as_columns(points(100, k)), seen, seen) for k in range(3)]
    check(backend, clouds, COLOURS)


def test_more_than_the_device_takes_is_refused_with_a_sentence():
    backend = CudaBackend(device('forward'), Limits(max_message_bytes=8000))
    cloud = as_columns(points(100))
    lens = LENSES['pinhole']
    large = view(colourful('rgba8'), lens, ['rgb'], POSE)
    with pytest.raises(OverLimit, match='9600 bytes of images, the device takes 8000'):
        backend.voxelize([painted(cloud, large)], spec_of(GRID, COLOURS))
    check(backend, [painted(cloud, large)], ('count',))  # for which it is not painted
    fine = view(colourful('mono8'), lens, ['rgb'], POSE, 1, 0.1)
    backend = CudaBackend(device('forward'), Limits(max_message_bytes=2**16))
    many = [fine._replace(paints=(f'f{k}',)) for k in range(8)]
    channels = [f'mean_f{k}' for k in range(8)]
    with pytest.raises(OverLimit, match='bytes for the occlusion test, the device takes'):
        backend.voxelize([painted(cloud, *many)], spec_of(GRID, channels))
    check(backend, [painted(cloud, *many[:4])], ('count', *channels[:4]))


def test_more_fields_than_the_device_takes_are_refused_painted_or_not():
    backend = CudaBackend(device('forward'), Limits())
    seen = view(colourful(), LENSES['pinhole'], [f'f{k}' for k in range(14)], POSE)
    cloud = painted(as_columns(points(100)), seen)
    check(backend, [cloud], ('count', *(f'mean_f{k}' for k in range(13))))
    with pytest.raises(OverLimit, match='14 point fields'):
        backend.voxelize([cloud], spec_of(GRID, [f'mean_f{k}' for k in range(14)]))
