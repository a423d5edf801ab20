# Copyright 2026 the robocache_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Arrays of other libraries in and out of the functions: no copy, same kind, same bits."""

from __future__ import annotations

import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest
from function_calls import ASKED, GRID, NAMES, arrays, bits, calls
from other_arrays import CUPY, GpuArray, Library, gpu

from robocache_ros import Stream, api, backends, fuse, resample, voxelize
from robocache_ros.backends import BackendUnavailable
from robocache_ros.interop import DeviceArray, is_bfloat16, on_host, view
from robocache_ros.points import as_cloud

TIMES = [0, 100, 200]
VALUES = [[1.0, 10.0], [2.0, 20.0], [4.0, 40.0]]


@pytest.fixture
def torch():
    return pytest.importorskip('torch', reason='needs torch')


@pytest.fixture
def rows():
    rows = np.random.default_rng(9).uniform(-2.2, 2.2, (500, 4)).astype(np.float32)
    rows[:3, 3] = np.nan
    return rows


@pytest.fixture
def cupy(monkeypatch):
    """Put a stand-in for CuPy in its place, which has no GPU to compute on."""

    def refuse(name):
        raise BackendUnavailable('there is no GPU here')

    monkeypatch.setitem(sys.modules, 'cupy', CUPY)
    monkeypatch.setattr(backends, '_accelerator', refuse)
    monkeypatch.setattr(api, '_local', threading.local())


@pytest.fixture
def results(monkeypatch):
    """Collect what backends return, before it is given back."""
    made = []
    get_backend = api._backend

    class Recorder:
        def __init__(self, *which):
            self._run = get_backend(*which)

        def __getattr__(self, op):
            def run(*given, **named):
                made.append(getattr(self._run, op)(*given, **named))
                return made[-1]

            return run

    monkeypatch.setattr(api, '_backend', Recorder)
    return made


# -- torch ----------------------------------------------------------------------------------


@pytest.mark.parametrize('name', NAMES)
def test_tensors_in_are_tensors_out_with_the_same_bits(torch, name):
    wanted, found = calls()[name](), calls(torch.from_numpy)[name]()
    assert arrays(found).keys() == arrays(wanted).keys()
    for key, tensor in arrays(found).items():
        assert isinstance(tensor, torch.Tensor), key
        assert bits(tensor) == arrays(wanted)[key].tobytes(), key
        assert list(tensor.shape) == list(arrays(wanted)[key].shape)


@pytest.mark.parametrize('name', NAMES)
def test_tensors_have_the_memory_of_the_backends_results(torch, results, name):
    given = arrays(calls(torch.from_numpy)[name]())
    made = [arrays(result) for result in results]
    if name == 'with a bad sample':  # computed row by row, then joined
        assert len(made) == 2
        return
    for key, tensor in given.items():
        assert np.shares_memory(tensor.numpy(), made[0][key]), key


def test_columns_of_a_tensor_are_its_memory_whatever_its_strides(torch, rows):
    wide = torch.zeros(500, 9)
    wide[:, 2:6] = torch.from_numpy(rows)
    forms = {
        'rows': torch.from_numpy(rows),
        'columns': torch.from_numpy(np.ascontiguousarray(rows.T)).T,
        'part': wide[:, 2:6],
        'every other': torch.from_numpy(np.repeat(rows, 2, axis=0))[::2],
    }
    wanted = voxelize(rows, **ASKED)
    for form, tensor in forms.items():
        cloud = as_cloud(tensor, ['i'])
        for k, name in enumerate('xyzi'):
            column = tensor[:, k].numpy()
            assert np.shares_memory(cloud.columns[name], column), form
            assert cloud.columns[name].strides == column.strides
        found = voxelize(tensor, **ASKED)
        assert [bits(v) for v in arrays(found).values()] == [
            bits(v) for v in arrays(wanted).values()
        ], form
        assert found.stats == wanted.stats


def test_tensors_by_column_and_by_name_are_understood(torch, rows):
    wanted = voxelize(rows, **ASKED)
    columns = [torch.from_numpy(column) for column in rows.T]
    by_name = dict(zip('xyzi', columns, strict=True))
    for found in (
        voxelize(tuple(columns), **ASKED),
        voxelize(by_name, **GRID, channels=ASKED['channels']),
    ):
        assert isinstance(found.index, torch.Tensor)
        assert bits(found.columns['mean_i']) == bits(wanted.columns['mean_i'])


def test_types_of_torch_are_those_it_computes_with(torch, rows):
    found = voxelize(torch.from_numpy(rows), **ASKED)
    assert found.index.dtype == torch.int64
    assert found.count.dtype == found.columns['count'].dtype == torch.int32
    assert found.columns['mean_i'].dtype == torch.float32
    assert int(found.count.sum()) == found.stats.used
    fused = fuse([Stream(torch.tensor(TIMES), torch.tensor(VALUES))], torch.tensor([50]))
    assert (fused.values.dtype, fused.valid.dtype) == (torch.float32, torch.bool)


def test_centers_are_of_the_kind_of_the_points(torch, rows):
    wanted = voxelize(rows, **GRID).centers()
    for mine, its in zip(voxelize(torch.from_numpy(rows), **GRID).centers(), wanted, strict=True):
        assert isinstance(mine, torch.Tensor)
        assert bits(mine) == bits(its)


def test_a_transform_may_be_a_tensor(torch, rows):
    matrix = np.diag([1.0, 0.5, -1.0, 1.0])
    moved = voxelize(torch.from_numpy(rows), **GRID, transform=torch.from_numpy(matrix))
    assert bits(moved.index) == bits(voxelize(rows, **GRID, transform=matrix).index)


def test_bfloat16_is_torchs_own_type_in_and_out(torch):
    values = torch.tensor(VALUES, dtype=torch.bfloat16)
    found = resample(torch.tensor(TIMES), values, torch.tensor([50, 150]), out_dtype='bfloat16')
    assert found.values.dtype == torch.bfloat16
    assert found.values.tolist() == [[1.5, 15], [3, 30]]
    assert resample(TIMES, values, [50]).values.dtype == torch.float32
    seen = view(values)
    assert (seen.dtype, seen.tolist()[0]) == (np.uint16, [0x3F80, 0x4120])
    values[0, 0] = 2.0
    assert seen[0, 0] == 0x4000  # the same memory


def test_float16_is_kept(torch):
    values = torch.tensor(VALUES, dtype=torch.float16)
    found = resample(torch.tensor(TIMES), values, [50], out_dtype='float16')
    assert (found.values.dtype, found.values.tolist()) == (torch.float16, [[1.5, 15]])


def test_the_values_decide_the_kind_whatever_the_times_are(torch):
    found = fuse([(TIMES, torch.tensor(VALUES)), (torch.tensor(TIMES), VALUES)], [50])
    assert isinstance(found.values, torch.Tensor)
    assert found.values.tolist() == [[1.5, 15, 1.5, 15]]
    assert isinstance(resample(torch.tensor(TIMES), VALUES, [50]).values, np.ndarray)


def test_a_tensor_that_requires_a_gradient_is_refused(torch, rows):
    points = torch.from_numpy(rows).requires_grad_()
    with pytest.raises(ValueError, match=r'requires a gradient: .* pass tensor.detach\(\)'):
        voxelize(points, **GRID)
    assert len(voxelize(points.detach(), **GRID)) > 0
    with pytest.raises(ValueError, match='requires a gradient'):
        resample(TIMES, torch.tensor(VALUES, requires_grad=True), [50])


def test_a_tensor_that_is_nowhere_is_refused(torch):
    with pytest.raises(ValueError, match='tensor on the device meta: bring it to the CPU'):
        voxelize(torch.empty(5, 3, device='meta'), **GRID)


def test_points_of_bfloat16_are_refused_and_not_taken_for_integers(torch, rows):
    half = torch.from_numpy(rows).to(torch.bfloat16)
    with pytest.raises(ValueError, match='points of bfloat16, which no point field can hold'):
        voxelize(half, **GRID)
    with pytest.raises(ValueError, match="column 'x' of bfloat16"):
        voxelize(tuple(half.T), **GRID)


def test_a_result_stays_what_it_is_when_more_is_computed(torch, rows):
    held = voxelize(torch.from_numpy(rows), **ASKED)
    before = [bits(array) for array in arrays(held).values()]
    for shift in (0.3, 0.6, 0.9):
        voxelize(torch.from_numpy(rows + np.float32(shift)), **ASKED)
    assert [bits(array) for array in arrays(held).values()] == before


def test_the_example_of_the_readme_runs(torch):
    readme = (Path(__file__).resolve().parents[2] / 'README.md').read_text()
    example = readme.split('## On arrays')[1].split('```python\n')[1].split('```')[0]
    names = {}
    exec(example, names)
    assert isinstance(names['voxels'].columns['mean_i'], torch.Tensor)
    assert names['voxels'].stats.used == int(names['voxels'].count.sum()) > 0
    assert (names['grid'].shape, names['bits'].shape) == (
        (16, 128, 128, 1),
        (16 * 128 * 128 // 8,),
    )
    assert int((names['grid'] > 0).sum()) == len(names['voxels'])
    assert (names['table'].values.shape, names['table'].valid.all()) == ((8, 24, 10), True)


# -- anything that speaks DLPack ------------------------------------------------------------

needs_dlpack = pytest.mark.skipif(not hasattr(np, 'from_dlpack'), reason='needs NumPy >= 1.22')


@needs_dlpack
def test_a_library_of_the_array_api_gets_its_own_arrays_back(rows):
    found, wanted = voxelize(Library(rows), **ASKED), voxelize(rows, **ASKED)
    for key, array in arrays(wanted).items():
        mine = {'index': found.index, 'count': found.count, **found.columns}[key]
        assert isinstance(mine, Library), key
        assert bits(mine) == array.tobytes(), key
    assert np.shares_memory(as_cloud(Library(rows), ['i']).columns['y'], rows)


@needs_dlpack
def test_a_library_without_a_namespace_gets_numpy_arrays(rows, monkeypatch):
    monkeypatch.delattr(Library, '__array_namespace__')
    assert isinstance(voxelize(Library(rows), **ASKED).index, np.ndarray)


@needs_dlpack
def test_an_array_that_numpy_can_not_reach_is_refused(rows, monkeypatch):
    monkeypatch.setattr(Library, '__dlpack_device__', lambda self: (2, 0))
    with pytest.raises(ValueError, match=r'other_arrays array on a device \(DLPack type 2\)'):
        voxelize(Library(rows), **GRID)


def test_arrays_of_jax_are_understood(rows):
    jax = pytest.importorskip('jax', reason='needs jax')
    found = voxelize(jax.numpy.asarray(rows), **ASKED)
    assert isinstance(found.columns['mean_i'], jax.Array)
    assert bits(found.columns['mean_i']) == bits(voxelize(rows, **ASKED).columns['mean_i'])
    values = jax.numpy.asarray(VALUES, 'bfloat16')
    assert resample(TIMES, values, [50]).values.tolist() == [[1.5, 15]]


# -- arrays on a GPU, without one -----------------------------------------------------------


def test_an_array_on_a_gpu_is_seen_where_it_lies(cupy, rows):
    cloud = as_cloud(gpu(rows), ['i'])
    for k, name in enumerate('xyzi'):
        column = cloud.columns[name]
        assert isinstance(column, DeviceArray)
        assert column.address == rows[:, k].ctypes.data
        assert (column.shape, column.strides, column.dtype) == ((500,), (16,), np.float32)
        assert column.device_id == 0
    assert cloud.column('y').tobytes() == rows[:, 1].tobytes()  # copied out where asked for


@pytest.mark.parametrize('name', NAMES)
def test_without_cuda_arrays_on_a_gpu_are_computed_on_the_cpu_and_go_back(cupy, name):
    wanted, found = calls()[name](), calls(gpu)[name]()
    for key, array in arrays(wanted).items():
        mine = arrays(found)[key]
        assert isinstance(mine, GpuArray), key
        assert mine.tobytes() == array.tobytes(), key


def test_cuda_asked_for_and_absent_says_why(cupy, rows):
    with pytest.raises(BackendUnavailable, match='cuda was asked for, but there is no GPU here'):
        voxelize(gpu(rows), **GRID, backend='cuda')


@pytest.mark.parametrize('name', NAMES)
def test_the_numpy_backend_is_not_asked_for_arrays_on_a_gpu(cupy, name):
    with pytest.raises(ValueError, match="'numpy' computes on the CPU, and the arrays are on GPU"):
        calls(gpu)[name](backend='numpy')


def test_columns_in_two_places_are_refused(cupy, rows):
    x, y, z, _ = rows.T
    with pytest.raises(ValueError, match='columns on GPU 0 and the CPU: all have to be on one'):
        voxelize((gpu(x), y, gpu(z)), **GRID)


def test_coordinates_on_a_gpu_are_floats(cupy):
    with pytest.raises(ValueError, match="column 'x' on a GPU is int32, not float32 or float64"):
        voxelize(gpu(np.zeros((5, 3), np.int32)), **GRID)


def test_an_array_of_cupy_itself_is_seen_where_it_lies(rows):
    cupy = pytest.importorskip('cupy', reason='needs cupy')
    memory = cupy.cuda.UnownedMemory(rows.ctypes.data, rows.nbytes, rows, 0)
    array = cupy.ndarray(rows.shape, rows.dtype, cupy.cuda.MemoryPointer(memory, 0))
    columns = as_cloud(array[::2], ['i']).columns
    for k, name in enumerate('xyzi'):
        assert columns[name].address == rows[:, k].ctypes.data
        assert (columns[name].shape, columns[name].strides) == ((250,), (32,))
    assert 'float32' in repr(columns)  # which does not copy it to the host


def test_a_tensor_on_a_gpu_is_seen_where_it_lies(torch, rows):
    class OnGpu(torch.Tensor):
        device = torch.device('cuda', 1)

        def cpu(self):
            return self.as_subclass(torch.Tensor)

    column = view(torch.from_numpy(rows).as_subclass(OnGpu)[:, 2])
    assert column.address == rows[:, 2].ctypes.data
    assert (column.strides, column.dtype, column.device_id) == ((16,), np.float32, 1)
    assert column.download().tobytes() == rows[:, 2].tobytes()
    half = torch.tensor(VALUES, dtype=torch.bfloat16).as_subclass(OnGpu)
    assert (view(half).dtype, view(half).strides) == (np.uint16, (4, 2))
    assert on_host(half).tolist()[0] == [0x3F80, 0x4120]


# -- NumPy ----------------------------------------------------------------------------------


def test_nothing_is_imported_because_of_a_numpy_user():
    program = """
import sys
import numpy as np
from robocache_ros import occupancy, resample
grid = {'voxel_size': 1.0, 'point_cloud_range': [0, 0, 0, 2, 2, 2]}
occupancy(np.zeros((5, 3)), **grid, backend='numpy')
resample([0, 10], [[0.0], [1.0]], [5], backend='numpy')
print(sorted({'torch', 'cupy', 'jax'} & set(sys.modules)))
"""
    ran = subprocess.run([sys.executable, '-c', program], capture_output=True, text=True)
    assert ran.stdout == '[]\n', ran.stderr


def test_bfloat16_of_numpy_extensions_is_understood():
    ml_dtypes = pytest.importorskip('ml_dtypes', reason='needs ml_dtypes')
    values = np.array(VALUES, ml_dtypes.bfloat16)
    assert is_bfloat16(values)
    assert resample(TIMES, values, [50]).values.tolist() == [[1.5, 15]]
