# Copyright 2026 the robocache_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Every point is moved by its own time, in the order and with the roundings of numerics rule 8."""

from __future__ import annotations

import sys
from dataclasses import replace

import numpy as np
import pytest
from codec_messages import cloud as message
from deskew_oracle import SEGMENT_NS, motion, moved, segment, some_motion
from hypothesis import given
from hypothesis import strategies as st
from other_arrays import CUPY, GpuArray, gpu
from voxel_oracle import bits, spec_of, unit_grid

from robocache_ros import Motion, deskew, occupancy, voxelize
from robocache_ros.codec.cloud import CloudView, Transform
from robocache_ros.codec.point_time import PointTimes
from robocache_ros.motion.deskew import motion_of
from robocache_ros.motion.pose import Pose

F32 = np.float32
NAN, INF = float('nan'), float('inf')
QUARTER_TURN = [[0, -1, 0], [1, 0, 0], [0, 0, 1]]
XYZ_FIELDS = (('x', 0, 7, 1), ('y', 4, 7, 1), ('z', 8, 7, 1))


def rows(columns):
    return np.stack(columns, axis=1)


def at(times, by, point=(1.0, 2.0, 3.0), dtype='f8'):
    """Where a point comes to at each of these times."""
    times = np.array(times, dtype)
    x, y, z = (np.full(len(times), value, F32) for value in point)
    return rows(deskew({'x': x, 'y': y, 'z': z, 'time': times}, by)).tolist()


def some_points(n, seed=1):
    return np.random.default_rng(seed).uniform(-50, 50, (n, 3)).astype(F32)


def columns_of(points, times):
    x, y, z = points.T
    return {'x': x, 'y': y, 'z': z, 'time': times}


# -- by hand ----------------------------------------------------------------------------------


def test_a_point_goes_with_the_share_of_the_segment_that_has_passed():
    drive = motion(segment(dt=(4, 0, -8)))
    quarters = [0, SEGMENT_NS // 4, SEGMENT_NS // 2, 3 * SEGMENT_NS // 4]
    assert at(quarters, drive) == [[1, 2, 3], [2, 2, 1], [3, 2, -1], [4, 2, -3]]


def test_matrices_are_weighted_by_1_w_and_w_squared():
    # At w = 1/2: M0 p = (-2, 1, 3), M1 p / 2 = (1, 2, 3) / 2, M2 p / 4 = (8, 16, 24) / 4.
    by = motion(segment(QUARTER_TURN, np.eye(3), 8 * np.eye(3), t0=(10, 20, 30)))
    assert at([SEGMENT_NS // 2], by) == [[-2 + 0.5 + 2 + 10, 1 + 1 + 4 + 20, 3 + 1.5 + 6 + 30]]


def test_each_segment_has_numbers_of_its_own():
    by = motion(segment(t0=(10, 0, 0)), segment(t0=(20, 0, 0)), segment(t0=(30, 0, 0)))
    times = [SEGMENT_NS - 1, SEGMENT_NS, 2 * SEGMENT_NS - 1, 2 * SEGMENT_NS]
    assert [x for x, _, _ in at(times, by)] == [11, 21, 21, 31]


def test_times_beyond_the_ends_and_those_that_are_none_stay_at_an_end():
    by = motion(segment(t0=(10, 0, 0)), segment(t0=(20, 0, 0), dt=(4, 0, 0)))
    before = at([-1, -1e300, -INF, NAN], by)
    assert [x for x, _, _ in before] == [11, 11, 11, 11]
    # The last nanosecond of the last segment, not one later.
    last = F32(1) + (F32(20) + F32(1 - 2**-22) * F32(4))
    after = at([2 * SEGMENT_NS, 1e300, INF], by)
    assert [x for x, _, _ in after] == [last, last, last]


def test_a_time_is_rounded_to_whole_nanoseconds_halves_to_even():
    by = motion(segment(dt=(2**22, 0, 0)))  # a metre per nanosecond
    times = [0.5, 0.5000001, 1.5, 2.5]
    assert [x for x, _, _ in at(times, by, (0, 0, 0))] == [0, 1, 2, 2]


def test_a_time_that_is_rounded_into_the_next_segment_is_at_its_begin():
    by = motion(segment(dt=(8, 0, 0)), segment(t0=(100, 0, 0), dt=(8, 0, 0)))
    assert at([SEGMENT_NS - 0.5], by) == [[101, 2, 3]]


def test_values_of_the_field_become_times_by_base_and_scale():
    by = motion(segment(dt=(4, 0, 0)), scale=1e3, base=-7.0)
    half = SEGMENT_NS / 2 / 1e3  # us
    assert at([-7.0, -7.0 + half], by) == [[1, 2, 3], [3, 2, 3]]


def test_points_that_are_not_finite_move_without_a_warning():
    x = np.array([NAN, INF, 1e38], F32)
    points = {'x': x, 'y': x, 'z': x, 'time': np.zeros(3)}
    with np.errstate(all='raise'):
        found = rows(deskew(points, motion(segment(4 * np.ones((3, 3))))))
    assert not np.isfinite(found).any()


def test_no_points_are_no_trouble():
    empty = np.zeros(0, F32)
    found = deskew({'x': empty, 'y': empty, 'z': empty, 'time': empty}, some_motion(2))
    assert [(len(column), column.dtype) for column in found] == [(0, F32)] * 3


# -- to the bit, against one point at a time ------------------------------------------------------


@pytest.mark.parametrize('count', [1, 2, 24])
def test_every_product_and_sum_is_rounded_in_the_given_order(count):
    points, by = some_points(400), some_motion(count)
    end = count * SEGMENT_NS
    times = np.sort(np.random.default_rng(2).uniform(-0.1 * end, 1.1 * end, len(points)))
    found = rows(deskew(columns_of(points, times), by))
    assert found.tobytes() == moved(points, times, by).tobytes()


@pytest.mark.parametrize('order', ['of time', 'of rings', 'of rings that are staggered', 'none'])
def test_the_order_of_the_points_changes_nothing_about_where_they_come_to(order):
    rings, columns = 16, 250
    by, points = some_motion(24, scale=1e9), some_points(rings * columns)
    time = np.linspace(0, 0.1, len(points))  # firing by firing, 16 lasers each
    turns = {
        'of time': np.arange(len(points)),
        'of rings': np.arange(len(points)).reshape(columns, rings).T.ravel(),
        'of rings that are staggered': np.concatenate(
            [np.roll(np.arange(k, len(points), rings), 13 * k) for k in range(rings)]
        ),
        'none': np.random.default_rng(3).permutation(len(points)),
    }
    turn = turns[order]
    found = rows(deskew(columns_of(points[turn], time[turn]), by))
    assert found.tobytes() == moved(points, time, by)[turn].tobytes()


@pytest.mark.parametrize(
    'count', [300, 600, 70_000]
)  # more than 8, and 16 bits; more than 2^31 ns
def test_long_motions_are_no_different(count):
    by, points = some_motion(2), some_points(50)
    numbers = np.resize(by.segments, (count, 33)).copy()
    numbers[:, 27] = np.arange(count)
    by = by._replace(segments=numbers)
    times = np.random.default_rng(4).uniform(0, count * SEGMENT_NS, len(points))
    found = rows(deskew(columns_of(points, times), by))
    assert found.tobytes() == moved(points, times, by).tobytes()


def test_a_segment_with_more_points_than_a_block_is_no_different():
    n = 70_000
    by, points = some_motion(1), some_points(n)
    times = np.linspace(0, SEGMENT_NS, n)
    found = rows(deskew(columns_of(points, times), by))
    at = np.r_[0:5, 32_760:32_775, 65_530:65_545, n - 5 : n]
    assert found[at].tobytes() == moved(points[at], times[at], by).tobytes()


@pytest.mark.parametrize('dtype', ['f4', 'f8'])
@given(
    times=st.lists(st.floats(width=32) | st.floats(-1e8, 2e8, width=32), max_size=40),
    scale=st.sampled_from([1.0, 1e9, -3.0, 0.0]),
    base=st.floats(-1e9, 1e9),
)
def test_times_may_be_anything(dtype, times, scale, base):
    points, by = some_points(len(times)), some_motion(5, scale=scale, base=base)
    found = rows(deskew(columns_of(points, np.array(times, dtype)), by))
    assert found.tobytes() == moved(points, times, by).tobytes()


TIME_FIELDS = {
    'float32 s, some negative': (7, -0.099, 0.0006, 1e9),
    'float64 epoch s': (8, 1_700_000_000.0, 1_700_000_000.1, 1e9),
    'uint32 ns': (6, 0, 100_000_000, 1.0),
    'uint16 of 2 us': (4, 0, 50_000, 2000.0),
    'int64 ns': (9, -50_000_000, 50_000_000, 1.0),
    'uint64 epoch ns': (10, 1_700_000_000_000_000_000, 1_700_000_000_100_000_000, 1.0),
}


@pytest.mark.parametrize('layout', [{}, {'big_endian': True}, {'width': 20, 'padding': 5}])
@pytest.mark.parametrize('name', TIME_FIELDS)
def test_the_time_is_read_from_any_type_of_field_and_layout(name, layout):
    datatype, first, last, scale = TIME_FIELDS[name]
    whole = datatype not in (7, 8)
    points = some_points(100)
    times = np.linspace(first, last, len(points)).tolist()
    times = [int(t) if whole else float(F32(t)) if datatype == 7 else t for t in times]
    sent = message(
        [(*map(float, p), t) for p, t in zip(points, times, strict=True)],
        (*XYZ_FIELDS, ('time', 13, datatype, 1)),
        step=22,
        **layout,
    )
    by = some_motion(24, scale=scale, base=float(first))
    found = rows(deskew(sent, by))
    assert found.tobytes() == moved(points, times, by).tobytes()
    assert len(np.unique((np.array(times, 'f8') - first) * scale // SEGMENT_NS)) >= 20


# -- the truth ------------------------------------------------------------------------------------


def test_walls_seen_from_a_sensor_that_turns_and_drives_come_back_where_they_are():
    rng = np.random.default_rng(5)
    walls, times = rng.uniform(-20, 20, (5000, 3)), np.sort(rng.uniform(0, 0.1, 5000))
    rate, speed = 2.0, 5.0  # rad/s, m/s

    def poses_at(ns):  # of the sensor, in the frame of its pose at the end of the sweep
        since = ns / 1e9 - 0.1
        zero = np.zeros(len(ns))
        turn = [zero, zero, np.sin(rate * since / 2), np.cos(rate * since / 2)]
        return Pose(np.stack(turn, axis=1), np.stack([speed * since, zero, zero], axis=1))

    angle, along = rate * (times - 0.1), speed * (times - 0.1)
    c, s = np.cos(angle), np.sin(angle)
    x, y = walls[:, 0] - along, walls[:, 1]
    seen = np.stack([c * x + s * y, c * y - s * x, walls[:, 2]]).astype(F32)
    last_ns = 100_000_000
    by = motion_of(PointTimes('time', 1e9, 0.0, 0, 0, last_ns), poses_at)
    found = rows(deskew(dict(zip(('x', 'y', 'z', 'time'), (*seen, times), strict=True)), by))
    assert np.abs(seen.T - walls).max() > 1.0
    assert np.abs(found - walls).max() < 2e-5


# -- in voxels ----------------------------------------------------------------------------------


@pytest.fixture
def scene():
    points = np.random.default_rng(6).uniform(0, 4, (3000, 3)).astype(F32)
    times = np.random.default_rng(7).permutation(np.linspace(0, 24 * SEGMENT_NS, 3000))
    drive = [segment(t0=(0.1 * k, 0, 0), dt=(0.1, 0, 0)) for k in range(-12, 12)]
    return columns_of(points, times), motion(*drive)


@pytest.mark.usefixtures('package')
def test_voxels_of_points_with_a_motion_are_those_of_the_moved_points(scene):
    points, by = scene
    box = {'voxel_size': 0.5, 'point_cloud_range': [0, 0, 0, 4, 4, 4]}
    asked = {**box, 'channels': ['count', 'centroid', 'max_time']}
    there = {**points, **dict(zip('xyz', deskew(points, by), strict=True))}
    found, wanted = voxelize(points, **asked, motion=by), voxelize(there, **asked)
    assert bits(found) == bits(wanted)
    assert found.stats == wanted.stats
    assert bits(found) != bits(voxelize(points, **asked))
    dense = voxelize(points, **asked, motion=by, dense=True)
    assert dense.tobytes() == voxelize(there, **asked, dense=True).tobytes()
    cells = occupancy(points, **box, motion=by)
    assert cells.tobytes() == occupancy(there, **box).tobytes()


def test_each_cloud_has_its_own_motion_and_only_the_first_points_are_looked_at(backend):
    point = {'x': [0.5, 0.5], 'y': [0.5, 0.5], 'z': [0.5, 0.5], 'time': [0.0, 0.0]}
    cloud = CloudView.from_columns({k: np.array(v, F32) for k, v in point.items()})
    steps = [motion(segment(t0=(x, 0, 0))) for x in (1, 2)]
    clouds = [cloud, *(replace(cloud, motion=by) for by in steps)]
    found = backend.voxelize(clouds, spec_of(unit_grid(), ['count'], max_points=5))
    assert dict(zip(found.index.tolist(), found.count.tolist(), strict=True)) == {0: 2, 1: 2, 2: 1}


def test_the_input_origin_is_subtracted_before(backend):
    x = np.array([4_000_001.5])
    cloud = CloudView.from_columns(
        {'x': x, 'y': x, 'z': x, 'time': np.zeros(1)}, input_origin=(4_000_000.0,) * 3
    )
    by = motion(segment(2 * np.eye(3)))
    found = backend.voxelize([replace(cloud, motion=by)], spec_of(unit_grid(), ['count']))
    assert found.index.tolist() == [(3 * 4 + 3) * 4 + 3]


# -- arrays of others, and what is refused --------------------------------------------------------


def test_moved_points_are_of_the_kind_of_the_points(scene, monkeypatch):
    monkeypatch.setitem(sys.modules, 'cupy', CUPY)
    points, by = scene
    found = deskew({name: gpu(values) for name, values in points.items()}, by)
    assert all(isinstance(column, GpuArray) for column in found)
    assert rows(found).tobytes() == rows(deskew(points, by)).tobytes()


def test_tensors_come_back_as_tensors(scene):
    torch = pytest.importorskip('torch', reason='needs torch')
    points, by = scene
    found = deskew({name: torch.from_numpy(values) for name, values in points.items()}, by)
    assert all(isinstance(column, torch.Tensor) for column in found)
    assert torch.stack(found, dim=1).numpy().tobytes() == rows(deskew(points, by)).tobytes()


def test_the_points_themselves_are_left_as_they_are(scene):
    points, by = scene
    before = {name: values.copy() for name, values in points.items()}
    deskew(points, by)
    assert all(np.array_equal(points[name], before[name]) for name in points)


def test_columns_of_an_array_are_named_by_fields(scene):
    points, by = scene
    table = np.stack(list(points.values()), axis=1).astype(F32)
    named = {**points, 'time': table[:, 3]}
    found = deskew(table, by, fields=['time'])
    assert rows(found).tobytes() == rows(deskew(named, by)).tobytes()


GOOD = segment()


@pytest.mark.parametrize(
    ('by', 'said'),
    [
        (Motion('time', 1.0, 0.0, GOOD), r'float32 \[S, 33\], got float32 of shape \[33\]'),
        (Motion('time', 1.0, 0.0, GOOD[None, :32]), r'shape \[1, 32\]'),
        (Motion('time', 1.0, 0.0, np.zeros((0, 33), F32)), r'shape \[0, 33\]'),
        (Motion('time', 1.0, 0.0, GOOD[None].astype('f8')), 'got float64'),
        (Motion('time', 1.0, 0.0, [GOOD]), 'got None'),
        (motion(GOOD, base=NAN), 'finite'),
        (motion(GOOD, scale=INF), 'finite'),
        (motion(GOOD * F32(NAN)), 'finite'),
        (motion(GOOD, field='t'), "'t', which is no field"),
    ],
)
def test_what_is_no_motion_of_these_points_is_refused_with_a_sentence(by, said):
    with pytest.raises(ValueError, match=said):
        at([0], by)


def test_a_cloud_has_a_transform_or_a_motion_and_not_both(scene):
    points, by = scene
    cloud = CloudView.from_columns(points)
    still = Transform.from_matrix(np.diag([2.0, 2, 2, 1]))
    with pytest.raises(ValueError, match='not by both'):
        replace(cloud, transform=still, motion=by)
    with pytest.raises(ValueError, match='not by both'):
        voxelize(points, voxel_size=1, point_cloud_range=[0] * 3 + [4] * 3, motion=by,
                 transform=np.eye(4))  # fmt: skip
    box = {'voxel_size': 1.0, 'point_cloud_range': [-9, -9, -9, 9, 9, 9]}
    moving, scaled = replace(cloud, motion=by), replace(cloud, transform=still)
    assert bits(voxelize(scaled, **box, motion=by)) == bits(voxelize(moving, **box))
    assert bits(voxelize(moving, **box, transform=np.diag([2.0, 2, 2, 1]))) == bits(
        voxelize(scaled, **box)
    )
    assert bits(voxelize(moving, **box)) != bits(voxelize(scaled, **box))


# -- fields that are constant ------------------------------------------------------------------


def lagged(x, lag, **fields):
    columns = {
        'x': np.array(x, F32),
        'y': np.full(len(x), 0.5, F32),
        'z': np.full(len(x), 0.5, F32),
    }
    return replace(CloudView.from_columns({**columns, **fields}), constants={'time_lag': lag})


def test_a_constant_is_a_field_that_all_points_have_the_same_float32_of():
    cloud = lagged([1.0, 2.0, 3.0], 0.1)
    assert cloud.has('time_lag')
    assert cloud.dtype_of('time_lag') == F32
    assert cloud.column('time_lag').tolist() == [float(F32(0.1))] * 3
    assert cloud.column('time_lag', np.empty(9, 'f8'), limit=2).tolist() == [float(F32(0.1))] * 2
    assert not np.signbit(lagged([1.0], -0.0).column('time_lag')).any()


def test_a_constant_goes_before_a_field_of_the_message():
    cloud = lagged([1.0, 2.0], 0.25, time_lag=np.array([7, 8], np.int64))
    assert cloud.has('time_lag')
    assert cloud.column('time_lag').tolist() == [0.25, 0.25]


def test_channels_are_made_of_constants_and_clouds_without_them_lack_the_field(backend):
    channels = ['count', 'mean_time_lag', 'max_time_lag', 'sum_time_lag']
    clouds = [lagged([0.5, 1.5], 0.0), lagged([1.5, 1.5, 9.0], 0.125)]
    found = backend.voxelize(clouds, spec_of(unit_grid(), channels))
    assert found.index.tolist() == [0, 1]
    assert [found.columns[name].tolist() for name in channels] == [
        [1, 3], [0.0, F32(0.25 / 3)], [0.0, 0.125], [0.0, 0.25],
    ]  # fmt: skip
    plain = replace(clouds[0], constants={})
    assert backend.voxelize(
        [plain, clouds[1]], spec_of(unit_grid(), channels)
    ).stats.fields_missing
