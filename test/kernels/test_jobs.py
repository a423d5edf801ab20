# Copyright 2026 the robocache_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The structs of the host, as NumPy dtypes, lie in memory as the C++ compiler lays out theirs."""

from __future__ import annotations

import ctypes
import re

import numpy as np
import pytest
from cpu_device import KERNELS, build

from robocache_ros.backends.cuda import jobs

DTYPES = {
    ''.join(word.capitalize() for word in name.split('_')): dtype
    for name, dtype in vars(jobs).items()
    if isinstance(dtype, np.dtype)
}
FILES = sorted(path.stem for path in KERNELS.glob('*.cu'))
STRUCT = re.compile(r'^struct (\w+)', re.MULTILINE)
NUMBERS_EACH = 3  # of a member: offset, size, kind

LAYOUT = r"""
#include "%(file)s.cu"
#include <cstddef>
#include <type_traits>

template <class T>
constexpr long long kind_of() {
  using Element = std::remove_all_extents_t<T>;
  if (std::is_class_v<Element>) return 'V';
  if (std::is_floating_point_v<Element>) return 'f';
  return std::is_signed_v<Element> ? 'i' : 'u';
}

#define MEMBER(S, m) offsetof(S, m), sizeof(S::m), kind_of<decltype(S::m)>()
extern "C" __attribute__((visibility("default"))) const long long layout[] = {
%(numbers)s
};
"""


def structs_of(file):
    """Names of the structs in a file of kernels."""
    return set(STRUCT.findall((KERNELS / file).read_text()))


COMMON = structs_of('common.cuh')


def compiled_layout(tmp_path, file, names):
    """Return struct -> [size, (offset, size, kind) of each member ...] by the C++ compiler."""
    lines = []
    for name in names:
        members = [f'MEMBER({name}, {member}),' for member in DTYPES[name].names]
        lines += [f'sizeof({name}),', *members]
    source = tmp_path / f'layout_of_{file}.cu'
    source.write_text(LAYOUT % {'file': file, 'numbers': '\n'.join(lines)})
    library = ctypes.CDLL(str(build(source)))
    lengths = [1 + NUMBERS_EACH * len(DTYPES[name].names) for name in names]
    numbers = iter((ctypes.c_longlong * sum(lengths)).in_dll(library, 'layout'))
    return {
        name: [next(numbers) for _ in range(n)] for name, n in zip(names, lengths, strict=True)
    }


def host_layout(dtype):
    numbers = [dtype.itemsize]
    for member, offset in (dtype.fields[name][:2] for name in dtype.names):
        numbers += [offset, member.itemsize, ord(member.base.kind)]
    return numbers


@pytest.mark.parametrize('file', FILES)
def test_each_struct_has_the_layout_that_the_compiler_gives_it(tmp_path, file):
    names = sorted((structs_of(f'{file}.cu') | COMMON) & set(DTYPES))
    found = compiled_layout(tmp_path, file, names)
    assert found == {name: host_layout(DTYPES[name]) for name in names}


def test_each_dtype_has_a_struct_in_the_kernels():
    assert set(DTYPES) <= COMMON.union(*(structs_of(f'{file}.cu') for file in FILES))


@pytest.mark.parametrize('file', FILES)
def test_each_job_of_a_kernel_has_a_dtype(file):
    text = (KERNELS / f'{file}.cu').read_text()
    taken = set(re.findall(r'^KERNEL\(\w+, (\w+),', text, re.MULTILINE))
    assert taken
    assert taken <= set(DTYPES)


def test_a_member_that_moved_shows(tmp_path, monkeypatch):
    moved = np.dtype([('address', 'u8'), ('row_stride', 'i8'), ('point_stride', 'i8')], align=True)
    monkeypatch.setitem(DTYPES, 'Field', moved)
    found = compiled_layout(tmp_path, FILES[0], ['Field'])['Field']
    assert found != host_layout(moved)
    assert found[1:4] == [0, 8, ord('u')]
