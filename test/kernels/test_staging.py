# Copyright 2026 the robocache_ros authors
# SPDX-License-Identifier: Apache-2.0
"""What a call sends arrives whole, whatever its parts are and whatever failed before."""

from __future__ import annotations

import numpy as np
import pytest
from cpu_device import CpuDevice, CpuMemory
from made_clouds import as_columns, as_message, assert_same, some_points, spec_of

from robocache_ros.backends.cuda import staging as staging_module
from robocache_ros.backends.cuda.device import Limits, OutOfResources, Program
from robocache_ros.backends.cuda.memory import Grown, Spans, bucket, padded
from robocache_ros.backends.cuda.staging import Parcel, Staging
from robocache_ros.backends.cuda.voxels import Voxelizer
from robocache_ros.backends.numpy_backend import NumpyBackend
from robocache_ros.grid import Grid
from robocache_ros.interop import DeviceArray

JOB = np.dtype([('address', 'u8'), ('n', 'i4')], align=True)
GRID = Grid.from_range(1.0, [-4, -4, -4, 4, 4, 4])


class Recorder(CpuDevice):
    """Keeps what was sent and in which order things happened."""

    def __init__(self):
        super().__init__()
        self.sent = []
        self.happened = []

    def send(self, source, begin, nbytes, address):
        self.sent.append((begin, nbytes))
        self.happened.append('send')
        super().send(source, begin, nbytes, address)

    def execute(self, program):
        self.happened.append('execute')
        super().execute(program)

    def wait(self, deadline_sec):
        self.happened.append(f'wait {deadline_sec}')


def received(base, nbytes):
    """Bytes of the device from an address on."""
    memory = np.ctypeslib.as_array((np.ctypeslib.ctypes.c_uint8 * nbytes).from_address(base))
    return memory.tobytes()


@pytest.mark.parametrize('chunk', [64, 100, 4096])
def test_parts_of_any_kind_arrive_where_the_job_says(monkeypatch, chunk):
    monkeypatch.setattr(staging_module, 'CHUNK_BYTES', chunk)
    device = Recorder()
    staging = Staging(device, Limits())
    rng = np.random.default_rng(1)
    table = rng.integers(0, 2**31, (60, 5))
    parts = [
        table,
        table[:, 1],
        table.astype('>i2')[::-3, 2],
        table.T,
        table[:7, :0],
        table[0, :3].astype('u1'),
        (table > 2**30)[:, 3],
    ]
    parcel = Parcel(JOB)
    offsets = [parcel.add(part) for part in parts]
    base = staging.reserve(parcel)
    parcel.job['address'], parcel.job['n'] = base + offsets[0], 7
    staging.send(parcel)
    job = np.frombuffer(received(base, JOB.itemsize), JOB)
    assert job.tolist() == [(base + offsets[0], 7)]
    for offset, part in zip(offsets, parts, strict=True):
        assert offset % 16 == 0
        assert received(base + offset, part.nbytes) == part.tobytes()
    # Every byte once, in order, in chunks of the size that was asked for, and the last word whole.
    ends = np.cumsum([nbytes for _, nbytes in device.sent])
    assert [begin for begin, _ in device.sent] == [0, *ends[:-1]]
    assert ends[-1] == padded(parcel.nbytes, 16) > parcel.nbytes
    assert max(nbytes for _, nbytes in device.sent) < chunk + 16 + 8  # a gap and one value


def test_memory_grows_to_powers_of_two_and_stays():
    staging = Staging(CpuDevice(), Limits())
    bases = []
    for n in (10, 500_000, 10, 400_000):
        parcel = Parcel(JOB)
        parcel.add(np.zeros(n))
        bases.append(staging.reserve(parcel))
    assert bases[1] == bases[2] == bases[3]


def test_old_memory_is_freed_before_a_larger_piece_is_allocated():
    sizes, alive = [], []

    class Counted(CpuMemory):
        def __init__(self, nbytes):
            super().__init__(nbytes)
            alive.append(nbytes)

        def __del__(self):
            alive.remove(self.nbytes)

    def allocate(nbytes):
        assert not alive
        sizes.append(nbytes)
        return Counted(nbytes)

    grown = Grown(allocate, least=64)
    for nbytes in (1, 64, 65, 1000, 10):
        assert grown.at_least(nbytes).nbytes >= nbytes
    assert sizes == [64, 128, 1024]


def test_memory_that_could_not_grow_is_asked_for_again():
    left = [1]

    def allocate(nbytes):
        if nbytes > 100 and left.pop():
            left.append(0)
            raise OutOfResources('full')
        return CpuMemory(nbytes)

    grown = Grown(allocate, least=64)
    grown.at_least(64)
    with pytest.raises(OutOfResources):
        grown.at_least(200)
    assert grown.at_least(200).nbytes == 256


def test_buckets_are_powers_of_two():
    assert [bucket(n, 4) for n in (0, 1, 4, 5, 8, 9)] == [4, 4, 4, 8, 8, 16]


def test_spans_do_not_touch():
    spans = Spans()
    assert [spans.add(nbytes) for nbytes in (1, 0, 256, 257)] == [0, 256, 256, 512]
    assert spans.nbytes == 1024


def test_a_call_ends_in_one_wait_with_the_deadline():
    device = Recorder()
    staging = Staging(device, Limits(deadline_sec=0.25))
    for _ in range(2):
        parcel = Parcel(JOB)
        base = staging.reserve(parcel)
        staging.send(parcel)
        staging.run(Program(base, ()))
    assert device.happened == ['send', 'execute', 'wait 0.25'] * 2


def test_memory_is_not_written_while_a_call_that_failed_may_still_read_it():
    device = Recorder()
    staging = Staging(device, Limits())
    parcel = Parcel(JOB)
    staging.reserve(parcel)
    staging.send(parcel)  # and then the launch fails
    device.happened.clear()
    staging.reserve(Parcel(JOB))
    assert device.happened == ['wait 1.0']


def test_points_cross_in_chunks_and_make_the_same_voxels(monkeypatch):
    monkeypatch.setattr(staging_module, 'CHUNK_BYTES', 1000)
    device = Recorder()
    kernels = Voxelizer(Staging(device, Limits()))
    clouds = [as_message(some_points(300, GRID), step=22), as_columns(some_points(200, GRID, 2))]
    spec = spec_of(GRID, ('count', 'centroid'))
    assert_same(kernels.voxelize(clouds, spec), NumpyBackend().voxelize(clouds, spec))
    assert len(device.sent) >= 9


def test_only_points_within_the_limit_and_columns_of_channels_cross():
    device = Recorder()
    kernels = Voxelizer(Staging(device, Limits()))
    spec = spec_of(GRID, ('count', 'max_v'), max_points=1000)
    columns = {**some_points(50_000, GRID), 'v': np.ones(50_000, 'u1'), 'w': np.ones(50_000)}
    for cloud in (as_columns(columns), as_message({**columns, 'w': columns['v']}, step=16)):
        device.sent.clear()
        kernels.voxelize([cloud], spec)
        payload = sum(nbytes for _, nbytes in device.sent)
        assert payload < (13 if cloud.columns else 16) * 1000 + 5000


def sent_bytes(device, columns, channels=('count', 'max_v')):
    """Bytes that cross for columns; the voxels are compared."""
    spec = spec_of(GRID, channels)
    kernels = Voxelizer(Staging(device, Limits()))
    device.sent.clear()
    found = kernels.voxelize([as_columns(columns)], spec)
    own = {name: values.copy() for name, values in columns.items()}
    assert_same(found, NumpyBackend().voxelize([as_columns(own)], spec))
    return sum(nbytes for _, nbytes in device.sent)


def test_columns_of_one_table_cross_as_its_rows():
    n = 3000
    columns = some_points(n, GRID)
    table = np.full((n, 5), 7, 'f4')
    for k, name in ((1, 'x'), (2, 'y'), (4, 'z')):
        table[:, k] = columns[name]
    rows = sent_bytes(
        Recorder(), {'x': table[:, 1], 'y': table[:, 2], 'z': table[:, 4], 'v': table[:, 0]}
    )
    assert 20 * n < rows < 20 * n + 5000
    points = np.zeros(n, [('v', 'u1'), ('z', '>f8'), ('x', 'f4'), ('gap', 'u2'), ('y', 'f4')])
    for name in 'xyz':
        points[name] = columns[name]
    points['v'] = np.arange(n)
    rows = sent_bytes(Recorder(), {name: points[name] for name in 'xyzv'})
    assert 19 * n - 2 < rows < 19 * n + 5000


def test_columns_of_different_or_mostly_unused_rows_cross_one_by_one():
    n = 3000
    columns = some_points(n, GRID)
    wide = np.zeros((n, 12), 'f4')
    other, far = np.zeros((n, 6), 'f4'), np.zeros((2 * n, 6), 'f4')
    v = np.arange(n, dtype='f4')
    for tables in ([wide] * 3, [other, other, other.copy()], [far[:n], far[:n], far[n:]]):
        found = {}
        for k, (name, table) in enumerate(zip('xyz', tables, strict=True)):
            table[:, k] = columns[name]
            found[name] = table[:, k]
        centroid = ('count', 'centroid')
        assert sent_bytes(Recorder(), found, centroid) < 12 * n + 5000
        assert sent_bytes(Recorder(), {**found, 'v': v}) < 16 * n + 5000
        backwards = {name: values[::-1] for name, values in found.items()}
        assert sent_bytes(Recorder(), backwards, centroid) < 12 * n + 5000


@pytest.mark.parametrize('every', [(1, 2, 2), (2, 1, 1), (1, 3, 2)])
def test_columns_that_step_differently_through_one_table(every):
    n = 2000
    table = np.stack([some_points(3 * n, GRID, seed)['x'] for seed in range(3)], axis=1)
    columns = {
        name: table[::k][:n, axis] for axis, (name, k) in enumerate(zip('xyz', every, strict=True))
    }
    assert sent_bytes(Recorder(), columns, ('count', 'centroid')) < 12 * n + 5000


def test_columns_on_the_device_are_read_where_they_are():
    device = Recorder()
    kernels = Voxelizer(Staging(device, Limits()))
    columns = some_points(4000, GRID)
    table = np.stack([columns['x'], columns['y'], columns['z'], columns['x']], axis=1)

    def on_device(values):
        return DeviceArray(
            values.ctypes.data, values.shape, values.strides, values.dtype, 0, values, values.copy
        )

    cloud = as_columns(dict(zip('xyzv', table.T, strict=True)))
    same = as_columns(dict(zip('xyzv', table.T, strict=True)))
    object.__setattr__(same, 'columns', {k: on_device(v) for k, v in same.columns.items()})
    spec = spec_of(GRID, ('count', 'centroid', 'mean_v'))
    found = kernels.voxelize([same], spec)
    assert_same(found, NumpyBackend().voxelize([cloud], spec))
    assert sum(nbytes for _, nbytes in device.sent) < 5000
