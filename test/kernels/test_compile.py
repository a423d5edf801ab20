# Copyright 2026 the robocache_ros authors
# SPDX-License-Identifier: Apache-2.0
"""
Every kernel compiles for every GPU that we name, within budgets, to instructions that round.

It is the compiler step of a robot that runs here, and it needs no GPU. Which CUDA that is depends
on the environment: scripts/test runs this file with CUDA 12.9 and with CUDA 13.
"""

from __future__ import annotations

import functools
import os
import re
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

import pytest

from robocache_ros.backends import BackendUnavailable
from robocache_ros.backends.cuda.compiler import Compiler, load_nvrtc
from robocache_ros.backends.cuda.device import DeviceError
from robocache_ros.resources import kernel_dir

FILES = sorted(path.stem for path in kernel_dir().glob('*.cu'))
ARCHITECTURES = (75, 80, 86, 87, 89, 90, 100, 103, 110, 120, 121)


class Budget(NamedTuple):
    """What a kernel may take at most, on any of the architectures."""

    registers: int  # a thread
    spilled: int = 24  # bytes a thread, stores and loads each
    shared: int = 1024  # bytes a block, without the dynamic ones


# 64 registers let an SM hold 1024 threads, which is enough to hide what memory takes. A few bytes
# are spilled by choice of the assembler: it saves registers where one more block then fits.
DEFAULT = Budget(64)
BUDGETS = {
    'dense.reduce': Budget(64, 64),  # 1024 threads, all channels at once
    # A slerp's polynomials in float64; some assemblers spill to fit two blocks of 512 threads.
    'fusion.fuse': Budget(80, 48),
    # A counter for each tile that has one: of 64 KB, what four blocks of an SM take is a quarter.
    'voxels.mark': Budget(64, shared=4160),
    'voxels.refine_1': Budget(64, shared=4160),
    'voxels.refine_2': Budget(64, shared=4160),
}

# What rounds otherwise than NumPy does, or flushes denormals, or may be fused by the assembler.
BANNED = re.compile(
    r'\.ftz|\bfma\.|\bmad\.\S*f(?:32|64)|\.approx|\bdiv\.full'
    r'|^\s*(?:@\S+ )?(?:add|sub|mul)\.f(?:32|64)'
)

# What asks at run time whether an address is of shared memory: its kind is not said.
GENERIC_ATOMIC = re.compile(
    r'^\s*(?:@\S+ )?(?:atom|red)\.(?!\S*\b(?:global|shared)\b)', re.MULTILINE
)


@pytest.fixture(scope='module')
def nvrtc():
    try:
        return load_nvrtc()
    except BackendUnavailable as missing:
        if os.environ.get('ROBOCACHE_REQUIRE_NVRTC') == '1':
            raise
        pytest.skip(
            'needs CuPy and NVRTC: scripts/test runs it in .venv-cuda12 and .venv-cuda13 '
            f'({missing})'
        )


@pytest.fixture(scope='module')
def compiled(nvrtc):
    """Return {(file, architecture): Compiled} of all, or the error in its place."""
    compiler = Compiler(nvrtc)

    @functools.cache
    def compile_one(job):
        try:
            return compiler.compile(*job, ['--ptxas-options=-v'])
        except DeviceError as error:
            return error

    jobs = [(file, number) for file in FILES for number in architectures(compiler)]
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        return dict(zip(jobs, pool.map(compile_one, jobs), strict=True))


def architectures(compiler):
    """Return ARCHITECTURES as this CUDA calls them: Thor is 110 from CUDA 13 on, 101 before."""
    before_13 = compiler.version.startswith('12.')
    return [101 if number == 110 and before_13 else number for number in ARCHITECTURES]


def resources(log):
    """Return {kernel: Budget} of what the assembler says it used."""
    found = {}
    for part in log.split("Compiling entry function '")[1:]:
        number = functools.partial(number_before, part)
        found[part.partition("'")[0]] = Budget(
            int(re.search(r'Used (\d+) registers', part)[1]),
            max(number('bytes spill stores'), number('bytes spill loads')),
            number('bytes smem'),
        )
    return found


def number_before(text, words):
    match = re.search(rf'(\d+) {words}', text)
    return int(match[1]) if match else 0


def names_in(file):
    text = (kernel_dir() / f'{file}.cu').read_text()
    return set(re.findall(r'^KERNEL\((\w+),', text, re.MULTILINE))


@pytest.mark.parametrize('file', FILES)
def test_every_kernel_compiles_for_every_architecture(compiled, file):
    for (name, number), result in compiled.items():
        if name == file:
            assert not isinstance(result, DeviceError), str(result)
            assert result.cubin.startswith(b'\x7fELF')
            assert names_in(file) <= set(resources(result.log)), f'sm_{number}'


@pytest.mark.parametrize('file', FILES)
def test_kernels_keep_to_their_budgets(compiled, file):
    over = []
    for (name, number), result in compiled.items():
        for kernel, used in resources(result.log).items() if name == file else ():
            budget = BUDGETS.get(f'{file}.{kernel}', DEFAULT)
            if any(u > b for u, b in zip(used, budget, strict=True)):
                over.append(f'{file}.{kernel} on sm_{number}: {used}, allowed {budget}')
    assert not over, '\n'.join(over)


def test_every_budget_is_that_of_a_kernel():
    assert set(BUDGETS) <= {f'{file}.{name}' for file in FILES for name in names_in(file)}


@pytest.mark.parametrize('file', FILES)
def test_instructions_round_as_numpy_does(compiled, file):
    for (name, number), result in compiled.items():
        if name == file:
            lines = [line for line in result.ptx.splitlines() if BANNED.search(line)]
            assert not lines, f'sm_{number}: {lines}'


def test_atomics_of_kernels_with_shared_memory_know_which_memory_it_is(compiled):
    """Else each is an answer to wait for, and 64 bits are added in a loop."""
    generic = {
        f'{file}.{kernel} on sm_{number}'
        for (file, number), result in compiled.items()
        for kernel, body in bodies(result.ptx).items()
        if '.shared' in body and GENERIC_ATOMIC.search(body)
    }
    assert not generic


def bodies(ptx):
    """Return {kernel: its instructions}."""
    parts = ptx.split('.entry ')[1:]
    return {part.partition('(')[0]: part for part in parts}


def test_planted_generic_atomic_is_seen(nvrtc, tmp_path):
    # The kind is not known of an address that comes as a number.
    body = 'a[i] = 0; atomicAdd(*reinterpret_cast<unsigned long long**>(a), 1ull);'
    write_kernel(tmp_path, body)
    assert GENERIC_ATOMIC.search(Compiler(nvrtc, tmp_path).compile('planted', 90).ptx)


PLANTED = {
    'fused': ('a[0] * a[1] + a[2]', '--fmad=true'),
    'flushed': ('a[0] * a[1]', '-ftz=true'),
    'divided': ('a[0] / a[1]', '-prec-div=false'),
    'rooted': ('__fsqrt_rn(a[0]) + sqrtf(a[1])', '-prec-sqrt=false'),
    'by_hand': ('__fmaf_rn(a[0], a[1], a[2])', '--fmad=false'),
    'fast': ('__expf(a[0])', '--fmad=false'),
    'left_open': ('a[0] * a[1]', '--fmad=true'),
}


@pytest.mark.parametrize('plant', sorted(PLANTED))
def test_planted_instruction_is_found(nvrtc, tmp_path, plant):
    expression, option = PLANTED[plant]
    write_kernel(tmp_path, f'a[3] = {expression};')
    result = Compiler(nvrtc, tmp_path).compile('planted', 90, [option])
    assert any(map(BANNED.search, result.ptx.splitlines()))


def test_plain_arithmetic_is_not_found_out(nvrtc, tmp_path):
    write_kernel(tmp_path, 'a[3] = sqrtf(a[0]) * a[1] + a[2] / a[4] - a[5] + i * 3;')
    ptx = Compiler(nvrtc, tmp_path).compile('planted', 90).ptx
    assert not any(map(BANNED.search, ptx.splitlines()))


def test_planted_spill_is_seen(nvrtc, tmp_path):
    # 2048 threads on an SM leave each 32 registers, and 64 values are alive at the barrier.
    loop = '_Pragma("unroll") for (int k = 0; k < 64; ++k) '
    body = f'float v[64]; {loop} v[k] = a[k + i]; __syncthreads(); {loop} a[k * i] = v[63 - k];'
    write_kernel(tmp_path, body, '__launch_bounds__(1024, 2)')
    result = Compiler(nvrtc, tmp_path).compile('planted', 90, ['--ptxas-options=-v'])
    used = resources(result.log)['planted']
    assert used.registers == 32
    assert used.spilled > 0


def test_planted_shared_memory_is_seen(nvrtc, tmp_path):
    write_kernel(tmp_path, '__shared__ float b[300]; b[i] = a[i]; __syncthreads(); a[0] = b[9];')
    result = Compiler(nvrtc, tmp_path).compile('planted', 90, ['--ptxas-options=-v'])
    assert resources(result.log)['planted'].shared == 1200


def test_what_does_not_compile_is_told_with_the_line(nvrtc, tmp_path):
    write_kernel(tmp_path, 'a[0] = nonsense;')
    with pytest.raises(
        DeviceError, match=r'planted\.cu does not compile for sm_90 (.|\n)*nonsens'
    ):
        Compiler(nvrtc, tmp_path).compile('planted', 90)


def test_cubin_is_whole(compiled):
    """CuPy drops the last byte: the file must end where its header says."""
    for result in compiled.values():
        start, size, number = (
            int.from_bytes(result.cubin[begin:end], 'little')
            for begin, end in ((0x20, 0x28), (0x36, 0x38), (0x38, 0x3A))
        )
        assert start + size * number == len(result.cubin)


def write_kernel(folder, body, bounds=''):
    head = f'extern "C" __global__ void {bounds} planted(float* a)'
    (folder / 'planted.cu').write_text(f'{head} {{ int i = threadIdx.x; {body} }}\n')
