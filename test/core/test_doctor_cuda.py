# Copyright 2026 the robocache_ros authors
# SPDX-License-Identifier: Apache-2.0
"""What doctor says about the driver, CuPy and torch, with a driver that is made up."""

from __future__ import annotations

import pytest

from robocache_ros.backends import BackendUnavailable
from robocache_ros.backends.cuda import cupy_device
from robocache_ros.doctor import cuda_facts
from robocache_ros.doctor.cuda import judge_cuda, judge_torch
from robocache_ros.doctor.finding import Level

GIB = 2**30
GPU = {'name': 'NVIDIA Toy', 'capability': '8.7', 'total': 64 * GIB, 'free': 60 * GIB}
DRIVER = {'cuda': '12.8', 'version': '570.86', 'devices': [GPU]}
CUPY = {'cupy': '14.2.0', 'runtime': '12.9', 'nvrtc': '12.9.86'}
NO_GPU = 'there is no NVIDIA driver: install one (in a container: start it with --gpus all)'
HUNG = {'failed': 'no answer within 30 s', 'hung': True}


class Libcuda:
    """Answers as the driver does, with one GPU."""

    status = 0

    def cuInit(self, flags):  # noqa: N802
        return self.status

    def cuDriverGetVersion(self, version):  # noqa: N802
        version._obj.value = 12080

    def cuDeviceGetCount(self, count):  # noqa: N802
        count._obj.value = 1

    def cuDeviceGet(self, handle, number):  # noqa: N802
        handle._obj.value = number

    def cuDeviceGetName(self, name, size, handle):  # noqa: N802
        name.value = b'NVIDIA Toy'

    def cuDeviceGetPCIBusId(self, bus, size, handle):  # noqa: N802
        bus.value = b'0000:01:00.0'

    def cuDeviceGetAttribute(self, value, attribute, handle):  # noqa: N802
        value._obj.value = {75: 8, 76: 7}[attribute]

    def cuDeviceTotalMem_v2(self, total, handle):  # noqa: N802
        total._obj.value = 64 * GIB


class Nvml:
    """Answers as NVML does."""

    lost = 0

    def nvmlInit_v2(self):  # noqa: N802
        return 0

    def nvmlSystemGetDriverVersion(self, version, size):  # noqa: N802
        version.value = b'570.86'

    def nvmlDeviceGetHandleByPciBusId_v2(self, bus, handle):  # noqa: N802
        assert bus.value == b'0000:01:00.0'
        return self.lost

    def nvmlDeviceGetMemoryInfo(self, handle, memory):  # noqa: N802
        memory._obj.free = 60 * GIB
        return 0


def machine(**libraries):
    """Return what loads a library, or raises as ctypes does."""

    def load(name):
        for key, library in libraries.items():
            if key in name:
                return library
        raise OSError(f'{name}: cannot open shared object file')

    return load


def findings(driver=DRIVER, cupy=CUPY, backend='auto', device_id=0):
    return list(judge_cuda(driver, cupy, backend, device_id))


def bad(found):
    return [one for one in found if one.level is not Level.FINE]


def told(found):
    return ' '.join(one.sentence for one in found)


def test_the_driver_tells_its_gpus_and_what_is_free():
    assert cuda_facts.driver({}, machine(cuda=Libcuda(), nvidia=Nvml())) == DRIVER


def test_without_nvml_it_is_not_told_what_is_free():
    (device,) = cuda_facts.driver({}, machine(cuda=Libcuda()))['devices']
    assert (device['total'], device['free']) == (64 * GIB, None)


def test_a_gpu_that_nvml_does_not_know_has_no_free_memory_told():
    nvml = Nvml()
    nvml.lost = 6
    (device,) = cuda_facts.driver({}, machine(cuda=Libcuda(), nvidia=nvml))['devices']
    assert device['free'] is None


def test_a_machine_without_a_driver_has_nothing_to_tell():
    assert cuda_facts.driver({}, machine()) == {}


def test_a_driver_that_does_not_start_says_its_status():
    cuda = Libcuda()
    cuda.status = 803
    facts = cuda_facts.driver({}, machine(cuda=cuda))
    assert facts == {'problem': 'cuInit returns 803', 'devices': []}


def test_all_is_well_with_driver_cupy_and_nvrtc():
    found = findings()
    assert not bad(found)
    sentences = told(found)
    for part in ('570.86', 'CUDA 12.8', '60.0 GiB of 64.0 GiB free', 'CuPy 14.2.0', '12.9.86'):
        assert part in sentences


@pytest.mark.parametrize(
    ('backend', 'level'), [('cuda', Level.ERROR), ('auto', Level.WARNING), ('numpy', Level.FINE)]
)
def test_a_gpu_that_cupy_can_not_use_is_as_bad_as_it_is_wanted(backend, level):
    found = findings(cupy={'problem': 'CuPy is not installed: pip install it'}, backend=backend)
    assert max(one.level for one in found) is level
    assert ('not asked for' in told(found)) == (backend == 'numpy')
    if level is not Level.FINE:
        (one,) = bad(found)
        assert (one.sentence, one.fix) == ('CuPy is not installed.', 'Pip install it.')


@pytest.mark.parametrize(('backend', 'problems'), [('cuda', 1), ('auto', 0), ('numpy', 0)])
def test_no_gpu_is_a_problem_only_where_one_is_asked_for(backend, problems):
    found = findings({}, {'problem': NO_GPU}, backend)
    assert len(bad(found)) == problems
    if problems:
        assert bad(found)[0].sentence == 'There is no NVIDIA driver.'
        assert '--gpus all' in bad(found)[0].fix


@pytest.mark.parametrize(
    ('backend', 'level'), [('cuda', Level.ERROR), ('auto', Level.WARNING), ('numpy', Level.FINE)]
)
def test_a_driver_that_hangs_is_named_and_nothing_else_is_guessed(backend, level):
    (one,) = findings(HUNG, CUPY, backend)
    assert one.level is level
    assert 'no answer within 30 s' in one.sentence


def test_cupy_that_crashes_is_a_finding():
    (one,) = bad(findings(cupy={'failed': 'it was ended by SIGSEGV'}))
    assert 'SIGSEGV' in one.sentence
    assert one.fix == 'Install it anew.'


def test_a_gpu_without_room_is_a_finding():
    (one,) = bad(findings({**DRIVER, 'devices': [{**GPU, 'free': 100 * 2**20}]}))
    assert '100 MiB' in one.sentence
    assert 'nvidia-smi' in one.fix


def test_facts_of_cupy_hold_its_complaint(monkeypatch):
    def unavailable(device_id):
        raise BackendUnavailable(f'GPU {device_id}: is not here')

    monkeypatch.setattr(cupy_device, 'versions', lambda: {'cupy': '1'})
    monkeypatch.setattr(cuda_facts, 'nvrtc_version', lambda: '12.9')
    monkeypatch.setattr(cupy_device, 'probe', unavailable)
    facts = cuda_facts.cupy({'device_id': 3})
    assert facts == {'cupy': '1', 'nvrtc': '12.9', 'problem': 'GPU 3: is not here'}


def test_torch_is_needed_only_by_encoders():
    absent = {'absent': "No module named 'torch'"}
    assert not bad(judge_torch(absent, []))
    (one,) = bad(judge_torch(absent, ['auto']))
    assert (one.level, 'pip install torch' in one.fix) == (Level.ERROR, True)


def test_torch_that_does_not_import_is_a_finding():
    assert bad(judge_torch({'failed': 'OSError: libcudart'}, []))[0].level is Level.WARNING


def test_an_encoder_on_cuda_needs_a_torch_that_finds_a_gpu():
    facts = {'version': '2.13.0', 'cuda': None, 'finds_gpu': False}
    assert not bad(judge_torch(facts, ['auto', 'cpu']))
    assert bad(judge_torch(facts, ['cuda']))[0].level is Level.ERROR
    assert not bad(judge_torch({**facts, 'cuda': '12.6', 'finds_gpu': True}, ['cuda']))
