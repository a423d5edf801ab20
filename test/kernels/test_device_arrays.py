# Copyright 2026 the robocache_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Arrays on a device through the functions of the package: read there, and left there."""

from __future__ import annotations

import random
import sys

import numpy as np
import pytest
from cpu_device import CpuDevice
from deskew_oracle import some_motion
from faulty_device import FaultyDevice
from other_arrays import CUPY, GpuArray, gpu

from robocache_ros import Stream, api, fuse, occupancy, resample, voxelize
from robocache_ros.backends import abandoned, twin
from robocache_ros.backends.cuda.cuda_backend import CudaBackend
from robocache_ros.backends.cuda.device import DeviceHung, DeviceLost, Limits, OutOfResources
from robocache_ros.backends.cuda.leases import SLOTS
from robocache_ros.backends.numpy_backend import NumpyBackend
from robocache_ros.backends.workload import Workload
from robocache_ros.grid import SparseVoxels

GRID = {'voxel_size': 0.5, 'point_cloud_range': [-2, -2, -2, 2, 2, 2]}
CHANNELS = ['count', 'occupancy', 'centroid', 'mean_i', 'min_i', 'max_i', 'sum_i']
ASKED = {**GRID, 'channels': CHANNELS, 'fields': ['i']}
TURNED = [[0, -1, 0, 0.25], [1, 0, 0, 0], [0, 0, 1, -0.125], [0, 0, 0, 1]]
DRIVEN = some_motion(3, field='i', scale=3e6)  # by the values of i, as if they were times
CALLS = {
    'voxelize': lambda points: voxelize(points, **ASKED),
    'no channel but count': lambda points: voxelize(points[:, :3], **GRID),
    'transform': lambda points: voxelize(points, **ASKED, transform=TURNED),
    'motion': lambda points: voxelize(points, **ASKED, motion=DRIVEN),
    'motion, dense': lambda points: voxelize(points, **ASKED, motion=DRIVEN, dense=True),
    'cap': lambda points: voxelize(points, **ASKED, max_points_per_voxel=3, seed=5),
    'few voxels': lambda points: voxelize(points, **ASKED, max_voxels=7),
    'dense': lambda points: voxelize(points, **ASKED, dense=True),
    'dense count': lambda points: voxelize(points, **GRID, dense=True),
    'occupancy': lambda points: occupancy(points, **GRID),
    'packed': lambda points: occupancy(points, **GRID, packed=True),
}
FORMS = {
    'rows': lambda rows: rows,
    'columns': np.asfortranarray,
    'part': lambda rows: np.repeat(np.repeat(rows, 2, axis=0), 3, axis=1)[1::2, 2::3],
    'backwards': lambda rows: rows[::-1].copy()[::-1],
    'float64': lambda rows: rows.astype(np.float64),
}


class Device(CpuDevice):
    """Counts what is sent and notes whom it follows; fails where told."""

    def __init__(self, **options):
        super().__init__(**options)
        self.sent = 0
        self.followed = []
        self.error = None

    def follow(self, array):
        self.followed.append(array)

    def send(self, source, begin, nbytes, address):
        if self.error is not None:
            raise self.error
        self.sent += nbytes
        super().send(source, begin, nbytes, address)

    def has(self, array):
        """Whether an array lies in memory of this device."""
        at = array.__array_interface__['data'][0]
        return any(m.address <= at < m.address + m.nbytes for m in self._memories)


@pytest.fixture
def rows():
    rows = np.random.default_rng(9).uniform(-2.2, 2.2, (3000, 4)).astype(np.float32)
    rows[:3, 3] = np.nan
    rows[3, 0] = np.nan
    return rows


@pytest.fixture
def device(monkeypatch):
    """Put a device of the tests behind backend 'auto', where CUDA is never worth it."""
    made = Device()
    monkeypatch.setitem(sys.modules, 'cupy', CUPY)
    monkeypatch.setattr(Workload, 'cases', lambda self: {})
    monkeypatch.setattr(abandoned, '_kept', [])
    backend = twin.TwinBackend(
        NumpyBackend,
        lambda: CudaBackend(made, Limits(max_points=5000)),
        Workload.general(),
        always=False,
    )
    backend.wait_until_ready()
    made.counts = lambda op: backend.status().counts.get(op)
    monkeypatch.setattr(api, '_backend', lambda name, device_id: backend)
    yield made
    made.check()


def arrays(result):
    """Return all arrays of a result."""
    if isinstance(result, SparseVoxels):
        return {'index': result.index, 'counts': result.count, **result.columns}
    return {'grid': result}


def assert_same(found, wanted):
    assert arrays(found).keys() == arrays(wanted).keys()
    for name, array in arrays(wanted).items():
        mine = arrays(found)[name]
        assert isinstance(mine, GpuArray), name
        assert (mine.dtype, mine.shape) == (array.dtype, array.shape), name
        assert mine.tobytes() == array.tobytes(), name
    if isinstance(wanted, SparseVoxels):
        assert found.stats == wanted.stats


@pytest.mark.parametrize('form', FORMS)
@pytest.mark.parametrize('call', CALLS)
def test_arrays_on_the_device_give_the_bits_of_numpy_there(device, rows, call, form):
    points = FORMS[form](rows)
    wanted = CALLS[call](points)
    assert device.launches() == []
    found = CALLS[call](gpu(points))
    assert_same(found, wanted)
    assert all(device.has(array) for array in arrays(found).values())
    assert device.launches() != []


@pytest.mark.parametrize('call', CALLS)
def test_no_points_are_no_points_on_a_device_as_well(device, rows, call):
    assert_same(CALLS[call](gpu(rows[:0])), CALLS[call](rows[:0]))


@pytest.mark.parametrize('call', CALLS)
def test_only_a_header_is_sent(device, rows, call):
    CALLS[call](gpu(rows))
    assert 0 < device.sent < 4096 < rows.nbytes


def test_what_makes_the_points_is_waited_for_once_per_library(device, rows):
    points = gpu(rows)
    for number, call in enumerate(CALLS.values(), 1):
        call(points)
        assert len(device.followed) == number
    assert np.shares_memory(device.followed[0], points)


def test_results_that_are_held_are_never_overwritten(device, rows):
    draw = random.Random(5)
    made = [np.roll(rows, shift, axis=1) for shift in range(4)]
    wanted = [CALLS['voxelize'](points) for points in made]
    held = []
    for _ in range(60):
        if held and draw.random() < 0.45:
            held.pop(draw.randrange(len(held)))
        which = draw.randrange(4)
        held.append((CALLS['voxelize'](gpu(made[which])), which))
        for found, number in held:
            assert_same(found, wanted[number])
    assert len(held) > SLOTS


def test_results_that_are_dropped_make_the_next_program_the_same(device, rows):
    for _ in range(5):
        CALLS['dense'](gpu(rows))
    assert len(set(device.programs)) == 1


def test_one_column_of_a_result_holds_all_of_it(device, rows):
    first = CALLS['voxelize'](gpu(rows)).columns['mean_i'][5:]
    before = first.tobytes()
    for _ in range(2 * SLOTS):
        CALLS['voxelize'](gpu(rows[::2].copy()))
    assert first.tobytes() == before


def test_more_than_the_device_takes_is_computed_on_the_cpu_and_goes_back(device, rows):
    many = np.concatenate([rows, rows])
    for name, call in CALLS.items():
        assert_same(call(gpu(many)), call(many))
        assert device.launches() == [], name
    assert device.counts('occupancy')['over_gpu_limit'] == 2


def test_a_device_out_of_memory_leaves_it_to_the_cpu(device, rows):
    device.error = OutOfResources('no memory left')
    assert_same(CALLS['voxelize'](gpu(rows)), CALLS['voxelize'](rows))
    assert device.counts('voxelize')['gpu_resources'] == 1


def test_a_device_that_is_lost_can_not_give_its_arrays(device, rows):
    device.error = DeviceLost('the GPU fell off the bus')
    for _ in range(2):
        with pytest.raises(
            DeviceLost, match='the input is on a GPU that failed, restart: the GPU'
        ):
            CALLS['voxelize'](gpu(rows))
    assert len(CALLS['voxelize'](rows)) > 0


@pytest.mark.parametrize('order', ['reverse', 'shuffled'])
def test_the_order_of_threads_changes_nothing(rows, monkeypatch, order):
    monkeypatch.setitem(sys.modules, 'cupy', CUPY)
    backend = CudaBackend(Device(order=order), Limits())
    monkeypatch.setattr(api, '_backend', lambda name, device_id: backend)
    found = [CALLS[call](gpu(rows)) for call in ('voxelize', 'dense', 'packed')]
    monkeypatch.setattr(api, '_backend', lambda name, device_id: NumpyBackend())
    for mine, call in zip(found, ('voxelize', 'dense', 'packed'), strict=True):
        assert_same(mine, CALLS[call](rows))


# -- every error at every call --------------------------------------------------------------


class Rig:
    """The package on a device that fails at one call, counted from the first after opening."""

    def __init__(self, monkeypatch, fail_at=None, error=None):
        self.device = FaultyDevice(CpuDevice(multiprocessors=1))
        backend = twin.TwinBackend(
            NumpyBackend,
            lambda: CudaBackend(self.device, Limits()),
            Workload.general(),
            always=True,
        )
        backend.wait_until_ready()
        self.opened = len(self.device.calls)
        if fail_at is not None:
            self.device.fail_at, self.device.error = self.opened + fail_at, error
        monkeypatch.setattr(api, '_backend', lambda name, device_id: backend)


@pytest.fixture
def rig(monkeypatch):
    monkeypatch.setitem(sys.modules, 'cupy', CUPY)
    monkeypatch.setattr(Workload, 'cases', lambda self: {})
    monkeypatch.setattr(abandoned, '_kept', [])
    monkeypatch.setattr(api, '_backend', lambda name, device_id: NumpyBackend())
    return lambda *which: Rig(monkeypatch, *which)


FAILING = {
    'voxelize': CALLS['voxelize'],
    'dense': CALLS['dense'],
    'packed': CALLS['packed'],
    'resample': lambda points: resample(np.arange(len(points)) * 10, points, np.arange(9) * 7 + 3),
}


def assert_same_result(found, wanted):
    (same if isinstance(wanted, tuple) else assert_same)(found, wanted)


@pytest.mark.parametrize('call', FAILING)
def test_out_of_memory_at_any_call_leaves_the_bits_as_they_are(rig, rows, call):
    points = rows[4:40].copy()
    wanted = FAILING[call](points)
    whole = rig()
    assert_same_result(FAILING[call](gpu(points)), wanted)
    calls = whole.device.calls[whole.opened :]
    assert {'follow', 'send', 'execute', 'wait', 'view'} <= set(calls)
    for fail_at in range(len(calls)):
        failing = rig(fail_at, OutOfResources('no memory left'))
        for _ in range(2):
            assert_same_result(FAILING[call](gpu(points)), wanted)
        assert failing.device.calls[failing.opened + fail_at] == calls[fail_at]


@pytest.mark.parametrize('call', FAILING)
@pytest.mark.parametrize('error', [DeviceLost, DeviceHung])
def test_a_device_that_fails_at_any_call_is_not_called_again(rig, rows, call, error):
    points = rows[4:40].copy()
    whole = rig()
    FAILING[call](gpu(points))
    for fail_at in range(len(whole.device.calls) - whole.opened):
        failing = rig(fail_at, error('the GPU is gone'))
        for _ in range(2):
            with pytest.raises(DeviceLost, match='the input is on a GPU that failed, restart'):
                FAILING[call](gpu(points))
        assert failing.device.calls_after == []


# -- values of streams ----------------------------------------------------------------------

TIMES = np.cumsum(np.random.default_rng(1).integers(1, 20_000_000, (3, 40)), axis=1)
TARGETS = np.random.default_rng(2).integers(-20_000_000, int(TIMES.max()), (3, 9))


def values(width=5, dtype='float32', rule='linear', seed=3):
    """Return values [3, 40, width] with all kinds of zeros, and the dtype a Stream has to name."""
    made = np.random.default_rng(seed).standard_normal((3, 40, width))
    if rule == 'slerp':
        made /= np.sqrt((made**2).sum(axis=2, keepdims=True))
    else:
        made[:, ::7] = -0.0
        made[:, 3] = -1e-40  # denormal in float32
    if dtype == 'bfloat16':
        return (made.astype(np.float32).view(np.uint32) >> 16).astype(np.uint16), dtype
    return made.astype(dtype), None


def same(found, wanted):
    for name, array in wanted._asdict().items():
        mine = getattr(found, name)
        if not isinstance(array, np.ndarray):
            assert mine == array, name
            continue
        assert isinstance(mine, GpuArray), name
        assert (mine.dtype, mine.shape) == (array.dtype, array.shape), name
        assert mine.tobytes() == array.tobytes(), name


SPREADS = {
    'as they are': lambda array: array,
    'time first': lambda array: np.ascontiguousarray(array.swapaxes(0, 1)).swapaxes(0, 1),
    'part': lambda array: np.repeat(np.repeat(array, 2, axis=1), 3, axis=2)[:, 1::2, 2::3],
    'backwards': lambda array: array[::-1, :, ::-1].copy()[::-1, :, ::-1],
    'one for all': lambda array: np.broadcast_to(array[:1], array.shape),
}


@pytest.mark.parametrize('spread', SPREADS)
@pytest.mark.parametrize('dtype', ['float32', 'float64', 'float16', 'bfloat16'])
@pytest.mark.parametrize('rule', ['linear', 'slerp', 'hold', 'nearest'])
def test_values_on_the_device_give_the_bits_of_numpy_there(device, rule, dtype, spread):
    stored, named = values(4 if rule == 'slerp' else 5, dtype, rule)
    given = SPREADS[spread](stored)
    options = {'rule': rule, 'max_gap_ns': 15_000_000, 'dtype': named, 'out_dtype': 'float32'}
    wanted = resample(TIMES, given, TARGETS, **options)
    assert device.launches() == []
    found = resample(TIMES, gpu(given), TARGETS, **options)
    same(found, wanted)
    assert device.has(found.values)
    assert device.counts('resample') == {'below_crossover': 1, 'cuda': 1}


@pytest.mark.parametrize('out_dtype', ['float32', 'float16', 'bfloat16'])
def test_streams_of_many_kinds_are_fused_on_the_device(device, out_dtype):
    def streams(change):
        kinds = [
            (130, 'float32', 'linear'),
            (4, 'float64', 'slerp'),
            (64, 'bfloat16', 'hold'),
            (3, 'float16', 'nearest'),
        ]
        for width, dtype, rule in kinds:
            stored, named = values(width, dtype, rule)
            yield Stream(TIMES, change(stored), rule, 15_000_000, named)
        yield Stream(TIMES[:, :0], change(np.zeros((3, 0, 2), np.float32)))
        yield Stream(TIMES, change(np.zeros((3, 40, 0), np.float32)))

    wanted = fuse(list(streams(np.asarray)), TARGETS, out_dtype=out_dtype)
    found = fuse(list(streams(gpu)), TARGETS, out_dtype=out_dtype)
    same(found, wanted)
    assert device.has(found.values)
    assert device.has(found.age)
    sent = TIMES.nbytes * 5 + TARGETS.nbytes  # and none of the values
    assert sent < device.sent < sent + 2048


def test_a_sequence_without_batch_axis_is_fused_on_the_device(device):
    stored, _ = values()
    given = [Stream(TIMES[0], stored[0])], TARGETS[0]
    found = fuse([Stream(TIMES[0], gpu(stored[0]))], TARGETS[0])
    same(found, fuse(*given))
    assert device.has(found.values)


def test_times_may_be_on_the_device_as_well(device):
    stored, _ = values()
    found = resample(gpu(TIMES), gpu(stored), gpu(TARGETS))
    same(found, resample(TIMES, stored, TARGETS))
    with pytest.raises(ValueError, match='times of row 0 do not increase'):
        resample(gpu(TIMES[:, ::-1]), gpu(stored), TARGETS)


@pytest.mark.parametrize('dtype', ['float32', 'float64', 'float16', 'bfloat16'])
@pytest.mark.parametrize('bad', ['nan', 'inf', '-inf', '2^126', '-2^126'])
def test_samples_that_are_not_usable_are_left_out_as_on_the_host(device, dtype, bad):
    stored, named = values(40, dtype)
    if dtype == 'float16' and '2^126' in bad:
        return  # which it does not have
    number = np.float32(bad.replace('2^126', '8.507059173023462e37'))
    bits = np.array(number).view(np.uint32) >> 16
    stored[1, 17, 33] = bits if dtype == 'bfloat16' else number
    wanted = resample(TIMES, stored, TARGETS, dtype=named)
    assert wanted.dropped == 1
    same(resample(TIMES, gpu(stored), TARGETS, dtype=named), wanted)
    same(
        fuse([Stream(TIMES, gpu(stored), dtype=named)] * 2, TARGETS),
        fuse([Stream(TIMES, stored, dtype=named)] * 2, TARGETS),
    )


def test_a_sequence_without_batch_axis_may_have_samples_to_be_left_out(device):
    stored = values()[0][0]
    stored[17, 2] = np.nan
    wanted = resample(TIMES[0], stored, TARGETS[0])
    assert wanted.dropped == 1
    same(resample(TIMES[0], gpu(stored), TARGETS[0]), wanted)


@pytest.mark.parametrize('dtype', ['float32', 'float64', 'float16', 'bfloat16'])
def test_the_largest_values_are_usable(device, dtype):
    stored, named = values(40, dtype)
    below = np.nextafter(np.float32(2**126), np.float32(0))
    stored[1, 17, 33] = {'float16': 65504, 'bfloat16': 0x7E7F}.get(dtype, below)
    wanted = resample(TIMES, stored, TARGETS, dtype=named)
    found = resample(TIMES, gpu(stored), TARGETS, dtype=named)
    same(found, wanted)
    assert device.has(found.values)


@pytest.mark.parametrize('size', [0.0, 0.49, 0.5, 2.0, 2.01, np.nan])
def test_quaternions_far_from_unit_length_are_left_out_as_on_the_host(device, size):
    stored, _ = values(4, 'float32', 'slerp')
    stored[1, 17] = [0, 0, np.sqrt(size / 2), np.sqrt(size / 2)]
    stored[1, 18] = [size == 2.0, 0, 0, 1]  # 2 exactly, too
    wanted = resample(TIMES, stored, TARGETS, rule='slerp')
    found = resample(TIMES, gpu(stored), TARGETS, rule='slerp')
    same(found, wanted)
    assert device.has(found.values) == (wanted.dropped == 0)


def test_what_the_device_does_not_fuse_is_fused_on_the_cpu_and_goes_back(device):
    stored, _ = values()
    wanted = resample(TIMES, stored, TARGETS)
    device.error = OutOfResources('no memory left')
    same(resample(TIMES, gpu(stored), TARGETS), wanted)
    device.error = DeviceLost('the GPU fell off the bus')
    with pytest.raises(DeviceLost, match='the input is on a GPU that failed, restart: the GPU'):
        fuse([Stream(TIMES, gpu(stored))], TARGETS)


def test_streams_in_two_places_are_refused(device):
    stored, _ = values()
    with pytest.raises(ValueError, match='values of streams on GPU 0 and the CPU: all have to be'):
        fuse([Stream(TIMES, gpu(stored)), Stream(TIMES, stored)], TARGETS)


def test_values_on_the_device_are_of_the_types_of_the_host(device):
    with pytest.raises(ValueError, match='stream 0: values of type int32 with dtype=None'):
        fuse([Stream(TIMES, gpu(np.zeros((3, 40, 2), np.int32)))], TARGETS)


def test_results_of_fusion_that_are_held_are_never_overwritten(device):
    made = [values(seed=seed)[0] for seed in range(3)]
    wanted = [resample(TIMES, array, TARGETS) for array in made]
    held = []
    for step in range(4 * SLOTS):
        held.append((resample(TIMES, gpu(made[step % 3]), TARGETS), step % 3))
        if step % 3 == 1:
            held.pop(step // 2)
        for found, number in held:
            same(found, wanted[number])


@pytest.mark.parametrize('order', ['reverse', 'shuffled'])
def test_the_order_of_threads_changes_nothing_of_fusion(monkeypatch, order):
    monkeypatch.setitem(sys.modules, 'cupy', CUPY)
    stored, _ = values(70)
    backend = CudaBackend(Device(order=order), Limits())
    monkeypatch.setattr(api, '_backend', lambda name, device_id: backend)
    found = resample(TIMES, gpu(stored), TARGETS)
    monkeypatch.setattr(api, '_backend', lambda name, device_id: NumpyBackend())
    same(found, resample(TIMES, stored, TARGETS))
