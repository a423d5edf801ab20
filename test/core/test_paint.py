# Copyright 2026 the robocache_ros authors
# SPDX-License-Identifier: Apache-2.0
"""What points take from the images that see them, and what becomes of those that none sees."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from codec_messages import INF, NAN
from painted import F32, camera, image_of, numbered, packed, painted, view
from voxel_oracle import NO_VALUE_BITS, cloud, spec_of

from robocache_ros.codec.cloud import Motion, Transform
from robocache_ros.grid import Grid
from robocache_ros.reasons import Reason

pytestmark = pytest.mark.filterwarnings('error')

# Cells of 1 m from -8 to 8: points a metre apart have voxels of their own.
GRID = Grid.from_range(1.0, [-8, -8, -8, 8, 8, 8])
NO_VALUE = float.fromhex('0x1p-200')  # stands for NO_VALUE_BITS in lists


@pytest.fixture(scope='session')
def values_of(voxelize):
    def run(clouds, name='pixel', channel='max', **limits):
        """Values of a field of points in voxels of their own, in the order of the voxels."""
        column = voxelize(clouds, GRID, [f'{channel}_{name}'], **limits).columns
        bits = column[f'{channel}_{name}'].view(np.uint32)
        values = column[f'{channel}_{name}'].tolist()
        return [NO_VALUE if b == NO_VALUE_BITS else v for v, b in zip(values, bits, strict=True)]

    return run


def at(u, v, z=1.0):
    """Point that a camera with focal length 1 and the principal point 0 sees at u and v."""
    return (u * z, v * z, z)


# -- which pixel -----------------------------------------------------------------------------


def test_a_point_takes_the_colour_of_the_pixel_it_falls_on(voxelize):
    colours = np.arange(36).reshape(3, 4, 3) * 7
    found = voxelize(painted([at(2, 1)], view(image_of(colours))), GRID, ['rgb', 'mean_g'])
    # pixel (row 1, column 2) is the seventh: 18, 19 and 20 times 7
    assert found.columns['rgb'].view(np.uint32).tolist() == [packed(126, 133, 140)]
    assert found.columns['mean_g'].tolist() == [133.0]
    assert found.stats.unseen == 0


@pytest.mark.parametrize(
    ('u', 'v', 'pixel'),
    [
        (-0.5, 0.0, 0),
        (-0.5000001, 0.0, None),
        (0.49999, 0.49999, 0),
        (0.5, 0.5, 5),
        (3.49999, 2.49999, 11),
        (3.5, 2.0, None),
        (3.0, 2.5, None),
        (0.0, -0.6, None),
        (1e20, 0.0, None),
    ],
)
def test_a_pixel_reaches_half_a_pixel_around_its_centre(values_of, u, v, pixel):
    matrix = np.eye(4)
    matrix[:2, 3] = u, v
    seen = view(numbered(3, 4), paints=['pixel'], matrix=matrix)
    assert values_of(painted([(0, 0, 1)], seen)) == [NO_VALUE if pixel is None else pixel]


def test_points_behind_the_camera_or_within_5_centimetres_of_it_are_not_seen(values_of):
    seen = view(numbered(3, 4), paints=['pixel'], matrix=np.diag([0, 0, 1, 1]))
    z = [-3.5, -0.0, np.nextafter(F32(0.05), F32(0)), F32(0.05), np.nextafter(F32(0.05), F32(1))]
    for depth, expected in zip(z, [NO_VALUE] * 4 + [0.0], strict=True):
        assert values_of(painted([(0, 0, depth)], seen)) == [expected]


def test_a_fisheye_sees_sideways_but_not_within_5_centimetres(values_of):
    lens = camera(5, 5, f=1.0, c=(2.0, 2.0), model='equidistant')
    seen = view(numbered(5, 5), lens, ['pixel'])
    points = [(0, -3, 0), (3, 0, 0), (0, 3, -0.001), (0.03, 0.03, 0.0), (0, 0, 2)]
    found = [values_of(painted([point], seen)) for point in points]
    # 90 degrees are 1.57 pixels: two pixels from the middle, after rounding
    assert found == [[2.0], [14.0], [22.0], [NO_VALUE], [12.0]]


def test_what_is_straight_behind_a_fisheye_is_not_seen(values_of):
    lens = camera(64, 64, f=10.0, c=(32.0, 32.0), model='equidistant')
    assert values_of(painted([(0, 0, -2)], view(numbered(64, 64), lens, ['pixel']))) == [NO_VALUE]


def test_points_that_are_not_finite_are_dropped_as_ever_and_not_unseen(voxelize):
    points = [at(1, 1), (NAN, 1, 1), (1, INF, 1), (0, 0, -INF), (1e38, 1e38, 1e38)]
    found = voxelize(painted(points, view(numbered(3, 4), paints=['pixel'])), GRID, ['max_pixel'])
    assert found.columns['max_pixel'].tolist() == [5.0]
    assert (found.stats.used, found.stats.nonfinite, found.stats.unseen) == (1, 3, 0)


def test_a_cloud_without_points_is_painted_without_harm(voxelize):
    seen = view(numbered(3, 4), paints=['pixel'], cell=2)
    found = voxelize(painted(np.empty((0, 3), F32), seen), GRID, ['max_pixel', 'rgb'])
    assert (len(found), found.stats.unseen) == (0, 0)


def test_of_many_points_each_takes_its_own_pixel(voxelize):
    points = np.tile(np.array([at(0, 0), at(3, 2), at(-2, 0)], F32), (50_000, 1))
    points[-3:] = at(2, 1)
    found = voxelize(painted(points, view(numbered(3, 4), paints=['pixel'])), GRID, ['sum_pixel'])
    assert found.columns['sum_pixel'].tolist()[1:] == [0.0, 3 * 6.0, 49_999 * 11.0]
    assert found.stats.unseen == 49_999


# -- where points are --------------------------------------------------------------------------


def test_points_are_painted_where_their_transform_brings_them(values_of):
    shift = np.eye(4)
    shift[0, 3] = 2.0
    moved = replace(
        painted([at(0, 0)], view(numbered(3, 4), paints=['pixel'])),
        transform=Transform.from_matrix(shift),
    )
    assert values_of(moved) == [2.0]


def test_points_are_painted_where_their_motion_brings_them(values_of):
    segments = np.zeros((2, 33), F32)
    segments[:, [0, 4, 8]] = 1.0
    segments[1, 27:30] = (1.0, 2.0, 0.0)  # T0 of all times from 4.2 ms on
    times = {'time': np.array([1e9 + 0.005])}  # s, more digits than a float32 has
    seen = view(numbered(3, 4), paints=['pixel', 'time'])
    motion = Motion('time', 1e9, 1e9, segments)
    moved = replace(painted([at(0, 0)], seen, **times), motion=motion)
    assert values_of(moved) == [9.0]
    assert values_of(moved, 'time') == [9.0]  # what was painted, not what the motion read


def test_points_are_painted_relative_to_their_origin(values_of):
    far = np.array([(1000.25 + 1, 2.0, 1.0)])
    seen = view(numbered(3, 4), paints=['pixel'])
    shifted = replace(cloud(far), input_origin=(1000.25, 0.0, 0.0), views=(seen,))
    assert values_of(shifted) == [9.0]


# -- what pixels give --------------------------------------------------------------------------

GREY_OF_10_20_40 = (4899 * 10 + 9617 * 20 + 1868 * 40 + 8192) >> 14


@pytest.mark.parametrize(
    ('encoding', 'pixel', 'colour', 'value'),
    [
        ('rgb8', (10, 20, 40), (10, 20, 40), GREY_OF_10_20_40),
        ('bgr8', (40, 20, 10), (10, 20, 40), GREY_OF_10_20_40),
        ('rgba8', (10, 20, 40, 99), (10, 20, 40), GREY_OF_10_20_40),
        ('bgra8', (40, 20, 10, 99), (10, 20, 40), GREY_OF_10_20_40),
        ('mono8', (7,), (7, 7, 7), 7.0),
        ('mono16', (0x1234,), (0x12, 0x12, 0x12), 0x1234),
        ('16UC1', (0xFFFF,), (0xFF, 0xFF, 0xFF), 0xFFFF),
    ],
)
@pytest.mark.parametrize('padding', [0, 3])
@pytest.mark.parametrize('big_endian', [False, True])
def test_each_encoding_gives_colours_and_one_value(
    voxelize, encoding, pixel, colour, value, padding, big_endian
):
    pixels = np.zeros((3, 4, len(pixel)), int)
    pixels[2, 3] = pixel
    seen = view(image_of(pixels, encoding, padding, big_endian), paints=['rgb', 'tint'])
    found = voxelize(painted([at(3, 2)], seen), GRID, ['rgb', 'max_tint'])
    assert found.columns['rgb'].view(np.uint32).tolist() == [packed(*colour)]
    assert found.columns['max_tint'].tolist() == [value]


@pytest.mark.parametrize('big_endian', [False, True])
def test_a_depth_that_is_not_finite_gives_no_value(voxelize, big_endian):
    depths = [[1.5, NAN, INF, -0.0]]
    seen = view(image_of(depths, '32FC1', 1, big_endian), paints=['depth'])
    points = [at(u, 0) for u in range(4)]
    found = voxelize(painted(points, seen), GRID, ['max_depth'])
    bits = found.columns['max_depth'].view(np.uint32).tolist()
    assert bits == [F32(1.5).view(np.uint32), NO_VALUE_BITS, NO_VALUE_BITS, 0]
    assert (found.stats.unseen, found.stats.value_nonfinite) == (2, 0)


# Squares of 2 x 2 pixels: r, g, g and b of the square at row R and column C are 16 R + C, more.
SQUARES = {'rggb': 'rGgb', 'bggr': 'bGgr', 'gbrg': 'Gbrg', 'grbg': 'Grbg'}


@pytest.mark.parametrize('pattern', SQUARES)
def test_a_mosaic_gives_the_colours_of_its_square(voxelize, pattern):
    base = {'r': 10, 'G': 50, 'g': 53, 'b': 90}
    mosaic = [
        [base[SQUARES[pattern][y % 2 * 2 + x % 2]] + 4 * (y // 2) + x // 2 for x in range(5)]
        for y in range(5)
    ]
    seen = view(image_of(mosaic, f'bayer_{pattern}8'), paints=['rgb', 'raw'])
    points = [at(0, 0), at(3, 1), at(4, 2), at(4, 4)]
    found = voxelize(painted(points, seen), GRID, ['rgb', 'max_raw'])
    # Of five columns the last belongs to no square: it takes that of columns 2 and 3; g rounds up.
    expected = [packed(10 + n, (103 + 2 * n + 1) // 2, 90 + n) for n in (0, 1, 5, 5)]
    assert found.columns['rgb'].view(np.uint32).tolist() == expected
    raw = [mosaic[v][u] for u, v in ((0, 0), (3, 1), (4, 2), (4, 4))]
    assert found.columns['max_raw'].tolist() == raw


# -- what is hidden ----------------------------------------------------------------------------


def test_a_point_behind_another_in_a_cell_is_hidden(values_of):
    seen = view(numbered(3, 4), paints=['pixel'], cell=1, tolerance=0.1)
    assert values_of(painted([at(1, 1), at(1, 1, 4.0)], seen)) == [5.0, NO_VALUE]
    assert values_of(painted([at(1, 1, 4.0), at(1, 1)], seen)) == [5.0, NO_VALUE]
    assert values_of(painted([at(1, 1), at(2, 1, 3.0)], seen)) == [5.0, 6.0]


def test_cells_begin_in_the_corner_of_the_image(values_of):
    lens = camera(5, 5)
    seen = view(numbered(5, 5), lens, ['pixel'], cell=2, tolerance=0.01)
    near, far = at(1, 1, 1.0), at(0, 0, 5.0)
    assert values_of(painted([near, far], seen)) == [6.0, NO_VALUE]
    assert values_of(painted([near, at(2, 1, 3.0)], seen)) == [6.0, 7.0]
    assert values_of(painted([at(4, 4, 1.0), at(3, 4, 1.5)], seen)) == [24.0, 23.0]


def test_the_tolerance_is_in_one_over_metres_of_distance(values_of):
    on_axis = [(0, 0, 1), (0, 0, 2), (0, 0, 4)]  # 1, 0.5 and 0.25 per metre
    for tolerance, count in ((0.49, 1), (0.5, 2), (0.75, 3)):
        seen = view(numbered(3, 4), paints=['pixel'], cell=1, tolerance=tolerance)
        assert values_of(painted(on_axis, seen)) == [0.0] * count + [NO_VALUE] * (3 - count)


def test_without_cells_everything_in_the_image_is_seen(values_of):
    seen = view(numbered(3, 4), paints=['pixel'], cell=0)
    assert values_of(painted([at(1, 1), at(1, 1, 4.0)], seen)) == [5.0, 5.0]


def test_points_outside_the_grid_hide_those_inside(voxelize):
    grid = Grid.from_range(1.0, [0, 0, 3, 8, 8, 8])
    seen = view(numbered(3, 4), paints=['pixel'], cell=1, tolerance=0.1)
    found = voxelize(painted([at(1, 1), at(1, 1, 4.0)], seen), grid, ['max_pixel'])
    assert (found.stats.used, found.stats.unseen) == (1, 1)


def test_points_that_are_not_looked_at_hide_nothing(values_of):
    seen = view(numbered(3, 4), paints=['pixel'], cell=1, tolerance=0.1)
    points = [at(1, 1, 4.0), at(1, 1)]
    assert values_of(painted(points, seen), max_points=1) == [5.0]


def test_clouds_do_not_hide_the_points_of_each_other(values_of):
    seen = view(numbered(3, 4), paints=['pixel'], cell=1, tolerance=0.1)
    clouds = [painted([at(1, 1)], seen), painted([at(1, 1, 4.0)], seen)]
    assert values_of(clouds) == [5.0, 5.0]


@pytest.mark.parametrize('model', ['plumb_bob', 'equidistant'])
@pytest.mark.parametrize('seed', range(6))
def test_a_plane_that_passes_the_camera_at_the_clearance_never_hides_itself(voxelize, model, seed):
    rng = np.random.default_rng(seed)
    cell, clearance = 4, 0.5
    focal = 30.0
    lens = camera(64, 48, focal, (31.5, 23.5), model)
    normal = rng.normal(size=3)
    normal /= np.linalg.norm(normal)
    rays = rng.normal(size=(3000, 3))
    rays[:, 2] = np.abs(rays[:, 2])
    points = rays * (clearance / (rays @ normal))[:, None]
    points = points[(points[:, 2] > 0) & (np.abs(points).max(axis=1) < 7.9)].astype(F32)
    whole = view(numbered(48, 64), lens, ['pixel'])
    # Two pixels of a cell are at most its diagonal apart.
    tested = whole._replace(cell=cell, tolerance=1.4143 * cell / (focal * clearance))
    without, with_test = (
        voxelize(painted(points, seen), GRID, ['max_pixel']).stats for seen in (whole, tested)
    )
    assert with_test.unseen == without.unseen < len(points)


def test_a_wall_hides_everything_behind_it(voxelize):
    side = np.linspace(-0.9, 0.9, 91)
    x, y = (values.reshape(-1) for values in np.meshgrid(side, side))
    wall = np.stack([2 * x, 2 * y, np.full(x.size, 2.0)], axis=1)
    behind = np.random.default_rng(0).uniform(-0.8, 0.8, (1000, 3))
    behind[:, 2] = np.linspace(3.0, 7.9, 1000)
    behind[:, :2] *= behind[:, 2:]
    behind = behind[np.abs(behind).max(axis=1) < 7.9]
    lens = camera(64, 64, 32.0, (31.5, 31.5))
    seen = view(numbered(64, 64), lens, ['pixel'], cell=2, tolerance=0.05)
    alone = voxelize(painted(behind.astype(F32), seen), GRID, ['max_pixel'])
    assert alone.stats.unseen < len(behind)
    points = np.concatenate([wall, behind]).astype(F32)
    grid = Grid.from_range(1.0, [-8, -8, 2.5, 8, 8, 8.5])
    found = voxelize(painted(points, seen), grid, ['max_pixel'])
    assert (found.stats.used, found.stats.unseen) == (len(behind), len(behind))


# -- several cameras -----------------------------------------------------------------------------


def test_the_first_camera_that_sees_a_point_paints_it(values_of):
    left = view(image_of([[1, 2]], 'mono8'), paints=['tint'])
    right = view(image_of([[3, 4, 5, 6]], 'mono8'), paints=['tint'])
    points = [at(u, 0) for u in range(5)]
    assert values_of(painted(points, left, right), 'tint') == [1, 2, 5, 6, NO_VALUE]
    assert values_of(painted(points, right, left), 'tint') == [3, 4, 5, 6, NO_VALUE]


def test_a_camera_without_a_value_leaves_the_point_to_the_next(values_of):
    holes = view(image_of([[NAN, 2.5]], '32FC1'), paints=['tint'])
    whole = view(image_of([[7, 8]], 'mono8'), paints=['tint'])
    assert values_of(painted([at(0, 0), at(1, 0)], holes, whole), 'tint') == [7.0, 2.5]


def test_a_camera_that_a_point_is_hidden_from_leaves_it_to_the_next(values_of):
    first = view(image_of([[1]], 'mono8'), paints=['tint'], cell=1, tolerance=0.1)
    second = view(image_of([[2]], 'mono8'), paints=['tint'])
    assert values_of(painted([(0, 0, 1), (0, 0, 4)], first, second), 'tint') == [1.0, 2.0]


def test_cameras_paint_fields_of_their_own(voxelize):
    colour = view(image_of([[(1, 2, 3)]]))
    label = view(image_of([[9]], 'mono8'), paints=['label'])
    found = voxelize(painted([(0, 0, 1)], colour, label), GRID, ['rgb', 'majority_label'])
    assert found.columns['rgb'].view(np.uint32).tolist() == [packed(1, 2, 3)]
    assert found.columns['majority_label'].tolist() == [9.0]


# -- beside the fields of messages ---------------------------------------------------------------


def test_a_painted_field_replaces_that_of_the_message(voxelize):
    points = [at(0, 0), at(1, 0), at(7, 0)]
    fields = {'r': np.full(3, 200, np.uint8), 'tint': np.full(3, 0.5, F32)}
    seen = view(image_of([[(1, 2, 3), (4, 5, 6)]]), paints=['rgb', 'tint'])
    found = voxelize(painted(points, seen, **fields), GRID, ['max_r', 'mean_tint'])
    assert found.columns['max_r'].tolist()[:2] == [1.0, 4.0]
    bits = found.columns['max_r'].view(np.uint32).tolist()
    assert bits[2] == NO_VALUE_BITS
    assert (found.stats.unseen, found.stats.value_nonfinite) == (1, 0)


def test_what_a_view_paints_and_nobody_asks_for_changes_nothing(voxelize):
    seen = view(image_of([[(1, 2, 3)]]), paints=['rgb', 'tint'])
    values = {'v': np.array([0.5], F32)}
    found = voxelize(painted([(0, 0, 1)], seen, **values), GRID, ['mean_v'])
    assert found.columns['mean_v'].tolist() == [0.5]
    assert (found.stats.unseen, found.stats.notes()) == (0, {})


def test_unseen_points_are_those_inside_the_grid_of_the_field_with_most(voxelize):
    colour = view(image_of([[(1, 2, 3), (4, 5, 6)]]))
    depth = view(image_of([[NAN, 1.0]], '32FC1'), paints=['depth'])
    points = [at(0, 0), at(1, 0), at(2, 0), at(3, 0), (99, 0, 1)]
    clouds = [painted(points, colour, depth), painted(points[:2], colour, depth)]
    found = voxelize(clouds, GRID, ['max_r', 'rgb', 'mean_depth'])
    assert (found.stats.used, found.stats.unseen) == (6, 4)
    assert found.stats.notes() == {Reason.POINT_OUT_OF_RANGE: 1, Reason.POINT_UNSEEN: 4}
    assert np.nan_to_num(found.columns['max_r'], nan=-1).tolist() == [1, 4, -1, -1]
    assert np.nan_to_num(found.columns['mean_depth'], nan=-1).tolist() == [-1, 1, -1, -1]


def test_a_cloud_without_views_that_lacks_a_painted_field_is_said_to(voxelize):
    seen = view(image_of([[(10, 20, 30)]]))
    bare, own = cloud([(0.5, 0, 1)] * 2), cloud([(0.5, 0, 1)], r=np.array([20], np.uint8))
    found = voxelize([painted([(0, 0, 1), (0, 0, -1)], seen), bare, own], GRID, ['mean_r'])
    assert found.columns['mean_r'].tolist()[1] == 15.0
    assert found.stats.fields_missing == ('r',)
    assert (found.stats.unseen, found.stats.value_nonfinite) == (1, 0)


def test_values_of_a_message_beside_a_painted_cloud_are_counted_as_ever(voxelize):
    seen = view(image_of([[3]], 'mono8'), paints=['v'])
    other = cloud([(0, 0, 1)] * 3, v=np.array([NAN, 2.0**17, 5.0]))
    found = voxelize([painted([(0, 0, 1), (0, 0, -1)], seen), other], GRID, ['mean_v', 'min_v'])
    assert found.columns['mean_v'].tolist()[1] == 4.0
    assert found.columns['min_v'].tolist()[1] == 3.0
    stats = found.stats
    assert (stats.unseen, stats.value_nonfinite, stats.value_range) == (1, 1, 1)


def test_a_cap_on_the_points_of_a_voxel_counts_only_those_that_stay(backend):
    rng = np.random.default_rng(0)
    points = rng.uniform(0.0, 0.9, (40, 3)).astype(F32)
    seen = view(image_of([[1]], 'mono8'), camera(1, 1, 0.1), ['v'], cell=1, tolerance=1e9)
    spec = replace(spec_of(GRID, ['count', 'mean_v']), max_points_per_voxel=8)
    found = backend.voxelize([painted(points, seen)], spec)
    assert found.stats.used == 8
    assert found.stats.unseen < 8
    assert found.columns['mean_v'].tolist() == [1.0]


# -- dense grids ------------------------------------------------------------------------------


def test_painted_fields_of_a_dense_grid_are_those_of_the_voxels(backend):
    rng = np.random.default_rng(1)
    points = rng.uniform(-8, 8, (500, 3)).astype(F32)
    lens = camera(8, 6, 4.0, (3.5, 2.5))
    picture = image_of(rng.integers(0, 256, (6, 8, 3)))
    seen = view(picture, lens, ['rgb', 'label'], cell=1, tolerance=0.2)
    spec = spec_of(GRID, ['count', 'mean_r', 'max_g', 'majority_label'])
    cells = backend.voxelize_dense([painted(points, seen)], spec)
    voxels = backend.voxelize([painted(points, seen)], spec)
    assert np.array_equal(cells, backend.densify(voxels))
    assert np.count_nonzero(cells[..., 1:]) > 30


def test_a_dense_grid_refuses_packed_colours(backend):
    with pytest.raises(ValueError, match='use mean_r, mean_g and mean_b'):
        backend.voxelize_dense([cloud([(0, 0, 1)])], spec_of(GRID, ['count', 'rgb']))


# -- what can not be ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ('changes', 'said'),
    [
        ({'camera': camera(4, 4)}, '4 x 4 pixels, the image has 4 x 3'),
        ({'paints': ('x',)}, "'x'"),
        ({'paints': ('rgb', 'r')}, "'r'"),
        ({'image': numbered(3, 4), 'paints': ('rgb',)}, '32FC1 has no colours'),
        ({'rotation': np.eye(3)}, 'float32'),
        ({'translation': np.array([0, 0, NAN], F32)}, 'finite'),
        ({'cell': -1}, 'negative'),
        ({'tolerance': NAN}, 'negative'),
    ],
)
def test_a_view_that_can_not_paint_is_refused_with_a_sentence(changes, said):
    seen = view(image_of(np.zeros((3, 4, 3))))._replace(**changes)
    with pytest.raises(ValueError, match=said):
        painted([(0, 0, 1)], seen)


def test_a_mosaic_without_a_square_is_refused():
    with pytest.raises(ValueError, match='mosaic of 4 x 1'):
        painted([(0, 0, 1)], view(image_of([[1, 2, 3, 4]], 'bayer_rggb8'), paints=['raw']))


def test_a_cloud_has_the_fields_that_its_views_paint():
    seen = view(image_of(np.zeros((3, 4, 3))), paints=['depth', 'rgb', 'time'])
    times = {'time': np.zeros(1, np.uint64)}
    found = painted([(0, 0, 1)], seen, seen._replace(paints=('rgb', 'label')), **times)
    assert found.painted == ('depth', 'r', 'g', 'b', 'time', 'label')
    assert all(found.has(name) for name in found.painted)
    assert {name: found.dtype_of(name) for name in ('r', 'label')} == {
        'r': np.uint8,
        'label': np.float32,
    }
    assert (found.dtype_of('time'), found.stored_dtype('time')) == (np.float32, np.uint64)
    assert not found.has('rgb')
