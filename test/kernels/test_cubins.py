# Copyright 2026 the robocache_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Compiled kernels are kept, wherever something can be kept, and never believed when broken."""

from __future__ import annotations

import logging
import os
import stat
import tempfile
import threading
from pathlib import Path

import pytest

from robocache_ros.backends.cuda import cubins
from robocache_ros.backends.cuda.compiler import Compiled
from robocache_ros.backends.cuda.cubins import cache_folder, cubin_of

CODE = bytes(range(256)) * 50


class Counting:
    """A compiler that counts what it compiles."""

    def __init__(self, source=b'source', header=b'header', version='12.9'):
        self.version = version
        self.count = 0
        self._sources = {'a.cu': source, 'common.cuh': header}

    def sources(self, file):
        return self._sources

    def compile(self, file, architecture):
        self.count += 1
        return Compiled(CODE, 'ptx', 'log')


def files_in(folder):
    return sorted(path.name for path in folder.iterdir())


def test_kernel_is_compiled_once(tmp_path):
    compiler = Counting()
    for _ in range(3):
        assert cubin_of(compiler, 'a', 90, tmp_path) == CODE
    assert compiler.count == 1
    (name,) = files_in(tmp_path)
    assert name.startswith('a-sm_90-')


def test_kernel_is_compiled_each_time_where_nothing_is_kept():
    compiler = Counting()
    assert [cubin_of(compiler, 'a', 90, None) for _ in range(2)] == [CODE, CODE]
    assert compiler.count == 2


@pytest.mark.parametrize(
    ('other', 'architecture'),
    [
        (Counting(source=b'sourcE'), 90),
        (Counting(header=b'headeR'), 90),
        (Counting(source=b'sourceh', header=b'eader'), 90),
        (Counting(version='13.0'), 90),
        (Counting(), 86),
    ],
    ids=['source', 'header', 'boundary', 'nvrtc', 'architecture'],
)
def test_whatever_changes_the_code_compiles_it_again(tmp_path, other, architecture):
    cubin_of(Counting(), 'a', 90, tmp_path)
    before = other.count
    cubin_of(other, 'a', architecture, tmp_path)
    assert other.count == before + 1


def test_options_are_part_of_the_key(tmp_path, monkeypatch):
    compiler = Counting()
    cubin_of(compiler, 'a', 90, tmp_path)
    monkeypatch.setattr(cubins, 'OPTIONS', ('-ftz=true',))
    cubin_of(compiler, 'a', 90, tmp_path)
    assert compiler.count == 2


@pytest.mark.parametrize('length', [0, 20, 32, 5000])
def test_truncated_file_is_compiled_again_and_mended(tmp_path, length):
    compiler = Counting()
    cubin_of(compiler, 'a', 90, tmp_path)
    (path,) = tmp_path.iterdir()
    path.write_bytes(path.read_bytes()[:length])
    for _ in range(2):
        assert cubin_of(compiler, 'a', 90, tmp_path) == CODE
    assert compiler.count == 2


def test_changed_byte_is_noticed(tmp_path):
    compiler = Counting()
    cubin_of(compiler, 'a', 90, tmp_path)
    (path,) = tmp_path.iterdir()
    kept = bytearray(path.read_bytes())
    kept[1000] ^= 1
    path.write_bytes(kept)
    assert cubin_of(compiler, 'a', 90, tmp_path) == CODE
    assert compiler.count == 2


def test_many_at_once_leave_one_whole_file(tmp_path):
    results = []

    def start():
        for _ in range(20):
            results.append(cubin_of(Counting(), 'a', 90, tmp_path))
            for path in tmp_path.glob('*.cubin'):
                path.write_bytes(b'half')  # what another process left behind

    threads = [threading.Thread(target=start) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert results == [CODE] * 80
    cubin_of(Counting(), 'a', 90, tmp_path)
    assert len(files_in(tmp_path)) == 1


def test_full_disk_stops_nothing(tmp_path, monkeypatch, caplog):
    write = Path.write_bytes

    def full(self, data):
        write(self, data[:100])
        raise OSError(28, 'No space left on device')

    monkeypatch.setattr(Path, 'write_bytes', full)
    assert cubin_of(Counting(), 'a', 90, tmp_path) == CODE
    assert 'No space left' in caplog.text
    assert files_in(tmp_path) == []


# ---- where


def test_folder_is_the_one_named_then_that_for_caches(tmp_path):
    named = {'ROBOCACHE_CACHE_DIR': str(tmp_path / 'a'), 'XDG_CACHE_HOME': str(tmp_path / 'b')}
    assert cache_folder(named) == tmp_path / 'a'
    del named['ROBOCACHE_CACHE_DIR']
    assert cache_folder(named) == tmp_path / 'b' / 'robocache_ros'
    assert (tmp_path / 'b' / 'robocache_ros').is_dir()


def test_folder_is_in_the_home_when_nothing_is_named(tmp_path, monkeypatch):
    monkeypatch.setenv('HOME', str(tmp_path))
    for environment in ({}, {'XDG_CACHE_HOME': 'relative'}, {'ROBOCACHE_CACHE_DIR': ''}):
        assert cache_folder(environment) == tmp_path / '.cache' / 'robocache_ros'


@pytest.fixture
def temporary(tmp_path, monkeypatch):
    """Return the folder of this user in a temporary folder of the test's."""
    monkeypatch.setattr(tempfile, 'gettempdir', lambda: str(tmp_path))
    cubins._say_once.cache_clear()
    return tmp_path / f'robocache_ros-{os.getuid()}'


@pytest.fixture
def unwritable(tmp_path):
    (tmp_path / 'file').touch()
    return {'ROBOCACHE_CACHE_DIR': str(tmp_path / 'file' / 'cache')}


def test_folder_that_cannot_be_written_is_told_once(temporary, unwritable, caplog):
    caplog.set_level(logging.WARNING)
    assert [cache_folder(unwritable) for _ in range(3)] == [temporary] * 3
    assert stat.S_IMODE(temporary.stat().st_mode) == 0o700
    (record,) = caplog.records
    assert 'file/cache: they are kept in' in record.getMessage()


def test_user_without_a_home_has_a_temporary_folder(temporary, monkeypatch):
    def homeless():
        raise RuntimeError('Could not determine home directory.')

    monkeypatch.setattr(Path, 'home', homeless)
    assert cache_folder({}) == temporary


def test_temporary_folder_that_others_can_write_is_not_believed(temporary, unwritable, caplog):
    temporary.mkdir()
    temporary.chmod(0o777)
    assert cache_folder(unwritable) is None
    assert 'compiled at every start' in caplog.text


def test_temporary_folder_that_is_a_link_is_not_believed(temporary, unwritable, tmp_path):
    (tmp_path / 'elsewhere').mkdir()
    temporary.symlink_to(tmp_path / 'elsewhere')
    assert cache_folder(unwritable) is None
