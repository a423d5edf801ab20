# Copyright 2026 the robocache_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Dense grids by the kernels, on the CPU in any order of threads and on a GPU, are NumPy's."""

from __future__ import annotations

import dataclasses
import mmap

import numpy as np
import pytest
from codec_messages import cloud as message
from cpu_device import CpuDevice
from devices import EVERY, Gpu
from voxel_oracle import CHANNELS, cloud, spec_of, unit_grid

from robocache_ros.backends.cuda import dense_plan
from robocache_ros.backends.cuda.dense import DenseGrids, occupancy_shape
from robocache_ros.backends.cuda.dense_plan import dense_shape
from robocache_ros.backends.cuda.device import Launch, Limits, OverLimit, Program
from robocache_ros.backends.cuda.jobs import DENSE_JOB
from robocache_ros.backends.cuda.staging import Staging
from robocache_ros.backends.numpy_backend import NumpyBackend
from robocache_ros.codec.cloud import CloudView, Transform, decode_cloud
from robocache_ros.grid import MAX_DENSE_CELLS, MAX_POINTS, Grid

F32, F64 = np.float32, np.float64
NAN, INF = float('nan'), float('inf')
ALL = list(CHANNELS)


@pytest.fixture(params=EVERY)
def device(request):
    return Gpu() if request.param == 'cuda' else CpuDevice(request.param, seed=7)


@pytest.fixture
def grids(device):
    return made(device)


def made(device, **options):
    return DenseGrids(Staging(device, Limits()), **options)


def grid_of(dims, size=0.25, corner=-2.0):
    return Grid((corner,) * 3, (size,) * 3, dims)


def scan(points, seed=1, spread=2.4):
    """Points in and around -2 .. 2 m, one in a hundred not finite; v has large and bad values."""
    rng = np.random.default_rng(seed)
    xyz = rng.uniform(-spread, spread, (points, 3)).astype(F32)
    v = (rng.normal(size=points) * 1e5).astype(F32)
    xyz[::100, 2], xyz[1::100, 0] = NAN, INF
    v[::9], v[1::90], v[2::90], v[3::90] = NAN, -0.0, 3e38, -INF
    return cloud(xyz, v=v)


def assert_equal(grids, clouds, spec):
    found = grids.voxelize(clouds, spec)
    right = NumpyBackend().voxelize_dense(clouds, spec)
    assert found.shape == right.shape
    assert found.dtype == right.dtype
    different = np.argwhere(found.view(np.uint32) != right.view(np.uint32))
    assert len(different) == 0, [(i, found[tuple(i)], right[tuple(i)]) for i in different[:5]]
    return found


def one_cell(values, **others):
    """All points in one cell."""
    return cloud([(0.5, 0.5, 0.5)] * len(values), v=np.asarray(values), **others)


# ---- shapes of the work


@pytest.mark.parametrize('channels', [['count'], ALL, ['max_v', 'count']], ids=len)
@pytest.mark.parametrize('points', [0, 1, 33, 3000])
@pytest.mark.parametrize('dims', [(16, 16, 16), (33, 9, 2), (1, 1, 1)], ids=str)
def test_a_grid_has_the_bits_of_numpy(grids, dims, points, channels):
    assert_equal(grids, [scan(points)], spec_of(grid_of(dims), channels))


@pytest.mark.parametrize('packed', [False, True])
@pytest.mark.parametrize('points', [0, 1, 33, 3000])
@pytest.mark.parametrize('dims', [(16, 16, 16), (33, 9, 2), (1, 1, 1)], ids=str)
def test_occupancy_has_the_bits_of_numpy(grids, dims, points, packed):
    grid = grid_of(dims)
    found = grids.occupancy([scan(points)], grid, MAX_POINTS, packed)
    right = NumpyBackend().occupancy([scan(points)], grid, packed=packed)
    assert found.dtype == right.dtype
    assert found.shape == right.shape
    assert found.tobytes() == right.tobytes()


@pytest.mark.parametrize('kernels', [(1, 8 * 2**10), (3, 20 * 2**10), (40, 99 * 2**10)], ids=str)
def test_shares_of_any_number_and_size_make_one_grid(kernels):
    multiprocessors, shared_bytes = kernels
    device = CpuDevice('shuffled', multiprocessors=multiprocessors, shared_bytes=shared_bytes)
    assert_equal(made(device), [scan(2000)], spec_of(grid_of((31, 30, 29), 0.14), ALL))
    assert max(step.shared_bytes for step in device.launches()) <= shared_bytes // 2


def test_shares_too_many_to_be_counted_in_shared_memory_are_counted_outside(grids, monkeypatch):
    monkeypatch.setattr(dense_plan, '_MOST_SHARED_COUNTS', 15)
    assert_equal(grids, [scan(5000)], spec_of(grid_of((16, 16, 16)), ALL))
    (count,) = (s for s in grids._staging.device.launches() if s.kernel == 'dense.sort_count')
    assert count.shared_bytes == 0


def test_shares_spread_a_floor_and_a_wall_over_the_blocks():
    device = CpuDevice(multiprocessors=16)
    grids = made(device)
    grid = grid_of((64, 64, 64), 0.0625)
    u, v = np.random.default_rng(2).uniform(-2, 2, (2, 4000)).astype(F32)
    flat = np.full_like(u, 0.5)
    for points in ((u, v, flat), (u, flat, v), (flat, u, v)):
        view = CloudView.from_columns(dict(zip('xyz', points, strict=True)))
        assert_equal(grids, [view], spec_of(grid, ['count', 'mean_x']))
        job = np.frombuffer(grids._staging._host.at_least(1).array, DENSE_JOB, 1)[0]
        shares = 1 << int(job['share_bits'])
        assert 4 * shares in {step.shared_bytes for step in device.launches()}
        scratch = grids._scratch.at_least(1)
        begin = int(job['counts']) - scratch.address
        counts = scratch.array[begin : begin + 4 * shares].view(np.uint32)
        assert counts.sum() == 4000
        assert counts.max() < 8 * 4000 / shares


# ---- where points are


def test_many_points_in_one_cell(grids):
    rng = np.random.default_rng(3)
    xyz = rng.uniform(0.5, 0.74, (5000, 3)).astype(F32)
    v = np.where(rng.random(5000) < 0.5, 1e5, -1e5 + 2.0**-18).astype(F64)
    for channels in (['count'], ALL):
        found = assert_equal(grids, [cloud(xyz, v=v)], spec_of(grid_of((16, 16, 16)), channels))
        assert found[..., 0].max() == 5000


def test_runs_of_points_in_one_cell(device, grids, monkeypatch):
    lengths = np.random.default_rng(10).integers(1, 70, 200)
    cells = np.random.default_rng(11).integers(-2, 19, (200, 3))
    xyz = np.repeat(cells * 0.25 - 1.9, lengths, axis=0).astype(F32)
    view, grid = cloud(xyz, v=xyz[:, 0].copy()), grid_of((16, 16, 16))
    assert_equal(grids, [view], spec_of(grid, ALL))
    for packed in (False, True):
        found = grids.occupancy([view], grid, MAX_POINTS, packed)
        right = NumpyBackend().occupancy([view], grid, packed=packed)
        assert found.tobytes() == right.tobytes()
    for exact in (2**24, 1):
        monkeypatch.setattr(dense_plan, '_EXACT_FLOATS', exact)
        assert_equal(made(device), [view], spec_of(grid, ['count']))


def test_points_on_faces_and_just_below_them(grids):
    edges = np.arange(-2, 2.25, 0.25).astype(F32)
    ends = np.concatenate([edges, np.nextafter(edges, F32(-9)), np.nextafter(edges, F32(9))])
    xyz = np.random.default_rng(4).choice(ends, (3000, 3))
    assert_equal(grids, [cloud(xyz, v=xyz[:, 0].copy())], spec_of(grid_of((16, 16, 16)), ALL))


def test_cells_that_are_no_cubes_and_far_away(grids):
    grid = Grid((1000.5, -20.25, 3.0), (0.3, 0.07, 1.1), (20, 30, 5))
    rng = np.random.default_rng(5)
    xyz = rng.uniform(grid.origin, grid.upper, (2000, 3)).astype(F32)
    assert_equal(grids, [cloud(xyz, v=xyz[:, 1].copy())], spec_of(grid, ALL))


def test_clouds_of_all_layouts_together(grids):
    points = [(0.1 * k - 1.5, 0.05 * k - 1.0, 0.3, k % 251, -k) for k in range(40)]
    fields = (('x', 0, 8, 1), ('y', 8, 8, 1), ('z', 16, 8, 1), ('v', 25, 2, 1), ('w', 27, 5, 1))
    odd = decode_cloud(message(points, fields, 33, width=8, padding=5, big_endian=True))
    moved = dataclasses.replace(odd, input_origin=(0.25, -0.5, 0.125))
    plain = [(0.04 * k - 1.0, 0.1, -0.9, 0.5 * k) for k in range(40)]
    names = (('x', 0, 7, 1), ('y', 4, 7, 1), ('z', 8, 7, 1), ('v', 12, 7, 1))
    without_w = decode_cloud(message(plain, names))
    channels = ['count', 'mean_v', 'sum_w', 'min_w', 'max_v', 'centroid', 'mean_x']
    clouds = [odd, scan(50), cloud([]), moved, without_w]
    assert_equal(grids, clouds, spec_of(grid_of((16, 16, 16)), channels))
    for limit in (1, 39, 41, 95, 1000):
        assert_equal(grids, clouds, spec_of(grid_of((4, 4, 4), 1.0), channels, max_points=limit))


@pytest.mark.parametrize('big_endian', [False, True])
@pytest.mark.parametrize('padding', [0, 3])
@pytest.mark.parametrize('step', [16, 17, 22, 32])
def test_one_cloud_of_any_layout(grids, step, padding, big_endian):
    points = [(0.1 * k - 1.5, 0.05 * k - 1.0, -0.02 * k, 0.5 * k) for k in range(40)]
    view = decode_cloud(
        message(points, step=step, width=8, padding=padding, big_endian=big_endian)
    )
    names = ['count', 'mean_intensity', 'centroid']
    turn = np.array([[0, -1, 0, 0.5], [1, 0, 0, -0.25], [0, 0, 1, 0.125], [0, 0, 0, 1.0]])
    for cloud_in in (
        view,
        dataclasses.replace(view, input_origin=(0.25, -0.5, 0.125)),
        dataclasses.replace(view, transform=Transform.from_matrix(turn)),
    ):
        for channels in (['count'], names):
            assert_equal(grids, [cloud_in], spec_of(grid_of((16, 16, 16)), channels))


# ---- values


@pytest.mark.parametrize(
    'values',
    [
        np.array([NAN, INF, -INF], F32),
        np.array([-0.0, -0.0], F32),
        np.array([-1e-46, 1e-46], F64),
        np.array([1e39, -1e39, 7.0], F64),
        np.array([131072 - 2.0**-18, 131072, 131072 + 2.0**-19], F64),
        np.array([-131072 + 2.0**-18, -131072], F64),
        np.array([2.0**-19, 3 * 2.0**-19, -(2.0**-19), 5 * 2.0**-19], F64),
        np.array([1e5, 2.0**-18, -1e5] * 700, F32),
        np.array([-1.0] * 5000, F32),
        np.array([3.4028235e38, -3.4028235e38, 1e-45, -1e-45], F32),
        np.array([2**32 - 1] * 9, np.uint32),
        np.array([-(2**31), 2**31 - 1] * 5, np.int32),
        np.array([0, 255, 7], np.uint8),
        np.array([-128, 127], np.int8),
        np.array([True, False, True]),
    ],
    ids=lambda values: f'{values.dtype}-{values[0]}',
)
def test_values_are_summed_and_compared_as_numpy_does(grids, values):
    spec = spec_of(unit_grid(2), ['count', 'mean_v', 'sum_v', 'min_v', 'max_v'])
    assert_equal(grids, [one_cell(values)], spec)


@pytest.mark.parametrize('resolution', [2.0**-64, 0.25, 2.0**64])
def test_resolutions_are_those_asked_for(grids, resolution):
    values = np.random.default_rng(6).normal(size=500) * resolution * 2.0**33
    spec = spec_of(unit_grid(2), ['count', 'mean_v', 'sum_v'], v=resolution)
    found = assert_equal(grids, [one_cell(values)], spec)
    assert found[0, 0, 0, 2] != 0


def test_counts_that_floats_can_not_count_are_counted_in_integers(grids, monkeypatch):
    monkeypatch.setattr(dense_plan, '_EXACT_FLOATS', 100)
    assert_equal(grids, [scan(3000)], spec_of(grid_of((16, 16, 16)), ['count']))
    launched = [step.kernel for step in grids._staging.device.launches()]
    assert launched[:2] == ['dense.count_integers', 'dense.integers_to_floats']


def test_as_many_fields_as_there_may_be(grids):
    names = [f'f{k}' for k in range(13)]
    columns = np.random.default_rng(8).normal(size=(13, 400)).astype(F32)
    xyz = np.random.default_rng(9).uniform(-2, 2, (400, 3)).astype(F32)
    view = cloud(xyz, **dict(zip(names, columns, strict=True)))
    channels = ['count', 'centroid', 'occupancy']
    channels += [f'{kind}_{name}' for name in names for kind in ('mean', 'sum', 'min', 'max')]
    assert_equal(grids, [view], spec_of(grid_of((8, 8, 8), 0.5), channels))
    with pytest.raises(OverLimit, match='14 point fields'):
        grids.voxelize([view], spec_of(grid_of((2, 2, 2)), [*channels, 'mean_x']))


def test_the_order_of_points_and_of_threads_never_shows(device):
    spec, grids = spec_of(grid_of((16, 16, 16)), ALL), made(device)
    rows = np.stack([scan(1500).column(name) for name in ('x', 'y', 'z', 'v')])
    right = NumpyBackend().voxelize_dense([scan(1500)], spec).tobytes()
    for seed in range(10):
        order = np.random.default_rng(seed).permutation(1500)
        columns = dict(zip('xyzv', rows[:, order], strict=True))
        assert grids.voxelize([CloudView.from_columns(columns)], spec).tobytes() == right


# ---- where the grid goes


@pytest.mark.parametrize('channels', [['count'], ALL], ids=len)
def test_out_is_filled_and_returned(grids, channels):
    spec = spec_of(grid_of((16, 16, 16)), channels)
    out = np.full(dense_shape(spec), 99, F32)
    assert grids.voxelize([scan(500)], spec, out) is out
    assert out.tobytes() == NumpyBackend().voxelize_dense([scan(500)], spec).tobytes()


def test_results_are_not_overwritten_by_the_next_call(grids):
    spec = spec_of(grid_of((16, 16, 16)), ALL)
    first = grids.voxelize([scan(500)], spec)
    kept = first.copy()
    grids.voxelize([scan(500, seed=2)], spec)
    assert first.tobytes() == kept.tobytes()


def test_what_numpy_refuses_is_refused(grids):
    with pytest.raises(ValueError, match='channel count'):
        grids.voxelize([scan(5)], spec_of(unit_grid(), ['mean_v']))
    with pytest.raises(ValueError, match='contiguous float32'):
        grids.voxelize([scan(5)], spec_of(unit_grid(), ['count']), np.zeros((4, 4, 4, 1)))
    vast = grid_of((2**11, 2**10, 2**10))
    for fill in (
        lambda: grids.voxelize([scan(5)], spec_of(vast, ['count'])),
        lambda: grids.occupancy([scan(5)], vast, MAX_POINTS, True),
    ):
        with pytest.raises(ValueError, match=r'more than 2\^31 - 1'):
            fill()


def test_more_points_than_the_device_takes_are_over_its_limit(device):
    grids = DenseGrids(Staging(device, Limits(max_points=99)))
    with pytest.raises(OverLimit, match='100 points'):
        grids.voxelize([scan(100)], spec_of(unit_grid(), ['count']))
    with pytest.raises(OverLimit, match='100 points'):
        grids.occupancy([scan(100)], unit_grid(), MAX_POINTS, False)


@pytest.mark.parametrize('channels', [['count'], ['count', 'mean_v']], ids=len)
def test_a_grid_comes_to_the_host_in_as_many_parts_as_it_needs(device, channels):
    grids = made(device, window_bytes=1024)
    grid = grid_of((16, 15, 7))
    assert_equal(grids, [scan(700)], spec_of(grid, channels))
    copies = [step for step in device.launches() if step.kernel == 'dense.copy']
    assert len(copies) == -(-grid.cells * 4 * len(channels) // 1024)
    for packed in (False, True):
        found = grids.occupancy([scan(700)], grid, MAX_POINTS, packed)
        right = NumpyBackend().occupancy([scan(700)], grid, packed=packed)
        assert found.tobytes() == right.tobytes()


def test_a_grid_may_stay_in_memory_of_the_device(device, grids):
    places = []

    def place(nbytes):
        places.append(device.allocate(nbytes))
        return places[-1]

    for channels in (['count'], ALL):
        spec = spec_of(grid_of((16, 15, 7)), channels)
        memory = grids.fill_voxels([scan(700)], spec, place)
        assert memory is places[-1]
        found = device.view(memory, F32, dense_shape(spec), 0)
        assert found.tobytes() == NumpyBackend().voxelize_dense([scan(700)], spec).tobytes()
    for packed in (False, True):
        memory = grids.fill_occupancy([scan(700)], spec.grid, MAX_POINTS, packed, place)
        found = device.view(memory, np.uint8, occupancy_shape(spec.grid, packed), 0)
        right = NumpyBackend().occupancy([scan(700)], spec.grid, packed=packed)
        assert found.tobytes() == right.tobytes()
    assert all(step.kernel != 'dense.copy' for step in device.launches())


@pytest.mark.parametrize('channels', [['count'], ['count', 'mean_v', 'max_v']], ids=len)
def test_all_bytes_that_are_copied_to_the_host_have_been_written(channels):
    grids = made(CpuDevice())
    assert_equal(grids, [scan(500)], spec_of(grid_of((33, 9, 2)), channels))
    nbytes = 33 * 9 * 2 * 4 * len(channels)
    assert nbytes % 16 == 8
    assert not grids._grid.at_least(1).array[nbytes : nbytes + 8].any()  # poison, if not


# ---- programs


@pytest.mark.parametrize('channels', [['count'], ALL], ids=len)
def test_calls_of_about_one_size_are_one_program(channels):
    device = CpuDevice()
    grids = made(device)
    spec = spec_of(grid_of((16, 16, 16)), channels)
    grids.voxelize([scan(4000)], spec)
    device.clear()
    for points in (2049, 3000, 4096):
        grids.voxelize([scan(points)], spec)
    assert len(set(device.programs)) == 1


class BlankDevice(CpuDevice):
    """Gives vast memory that is zero, takes room where it is written only, and is not cleared."""

    def allocate(self, nbytes):
        if nbytes < 2**27:
            return super().allocate(nbytes)
        pages = mmap.mmap(-1, nbytes)
        self.vast = Vast(np.frombuffer(pages, np.uint8))
        self._memories.add(self.vast)
        return self.vast

    def execute(self, program):
        launches = tuple(step for step in program.steps if isinstance(step, Launch))
        super().execute(Program(program.job, launches))


class Vast:
    def __init__(self, array):
        self.array, self.nbytes, self.address = array, array.nbytes, array.ctypes.data

    def intact(self):
        return True


@pytest.mark.parametrize(
    ('kind', 'dtype'), [('count', F32), ('bytes', np.uint8), ('bits', np.uint8)]
)
def test_grids_of_2_to_the_31_cells_are_addressed_with_64_bits(kind, dtype):
    device = BlankDevice(multiprocessors=1)
    grid = grid_of((2**20 - 1, 2048, 1), 1.0, 0.0)
    assert MAX_DENSE_CELLS - 2048 < grid.cells <= MAX_DENSE_CELLS
    corner = (grid.dims[0] - 0.5, 2047.5, 0.5)
    points = cloud([corner, (0.5, 0.5, 0.5), corner, (0.5, 1024.5, 0.5)])
    cells = [0, 1024 * grid.dims[0], grid.cells - 1]
    if kind == 'count':
        memory = made(device).fill_voxels([points], spec_of(grid, ['count']), device.allocate)
        found = device.view(memory, dtype, (grid.cells,), 0)[cells].tolist()
        assert found == [1.0, 1.0, 2.0]
    elif kind == 'bytes':
        memory = made(device).fill_occupancy([points], grid, 4, False, device.allocate)
        assert device.view(memory, dtype, (grid.cells,), 0)[cells].tolist() == [1, 1, 1]
    else:
        memory = made(device).fill_occupancy([points], grid, 4, True, device.allocate)
        found = device.view(memory, dtype, (memory.nbytes,), 0)
        assert np.flatnonzero(found).tolist() == [cell // 8 for cell in cells]
        assert found[[cell // 8 for cell in cells]].tolist() == [1 << cell % 8 for cell in cells]
