# Copyright 2026 the robocache_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The benchmark runs with whatever is installed, and writes what it measured."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

BENCH = Path(__file__).parents[2] / 'scripts' / 'bench.py'

pytestmark = pytest.mark.skipif(not BENCH.exists(), reason='installed without scripts/')


def run(*arguments):
    command = [sys.executable, str(BENCH), *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)


def test_results_are_printed_as_a_table_and_written_as_json(tmp_path):
    report = tmp_path / 'bench.json'
    done = run('--only', 'fusion_b1_t10', '--seconds', '0.05', '--json', str(report))
    assert done.returncode == 0, done.stderr
    assert 'fusion_b1_t10: B = 1, T = 10' in done.stdout
    written = json.loads(report.read_text())
    assert {'device', 'cores', 'python', 'numpy', 'peers', 'commit', 'date'} <= set(
        written['machine']
    )
    rows = {(row['case'], row['impl']): row for row in written['results']}
    assert {('fusion_b1_t10', 'numpy'), ('fusion_b1_t10', 'np_interp')} <= set(rows)
    for row in rows.values():
        assert set(row) == {'case', 'impl', 'ms_p50', 'ms_min', 'rounds'}
        assert 0 < row['ms_min'] <= row['ms_p50']
        assert row['rounds'] >= 5


def test_peers_that_are_not_installed_are_named_with_how_to_get_them():
    done = run('--only', 'fusion_b1_t10', '--seconds', '0.01')
    assert done.returncode == 0, done.stderr
    for peer, how in (('open3d', 'pip install open3d'), ('small_gicp', 'pip install small_gicp')):
        assert f'{peer} ' in done.stdout
        assert (f'without {peer}' in done.stdout) == (how in done.stdout)


def test_a_case_that_does_not_exist_is_an_error_that_names_those_that_do():
    done = run('--only', 'no such case')
    assert done.returncode == 1
    assert "no case has 'no such case' in its name; there are: " in done.stderr
    assert 'fusion_b1_t10' in done.stderr


def test_a_file_that_can_not_be_written_is_refused_before_anything_is_measured():
    done = run('--json', '/no/such/folder/bench.json')
    assert done.returncode == 2
    assert 'can not be written: No such file or directory' in done.stderr
    assert done.stdout == ''


def test_a_case_whose_library_is_missing_is_left_out(monkeypatch):
    monkeypatch.syspath_prepend(BENCH.parent)
    cases = __import__('bench_cases')
    assert list(cases.all_cases({}, 'jpeg_1080p')) == []
