# Copyright 2026 the robocache_ros authors
# SPDX-License-Identifier: Apache-2.0
"""What scripts say on a machine that lacks something, or that something fails on."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPTS = Path(__file__).resolve().parents[2] / 'scripts'
TOOLS = ('bash', 'cat', 'df', 'dirname', 'env', 'flock', 'mkdir', 'sed', 'sha256sum', 'tail')
if not all(map(shutil.which, TOOLS)):
    pytest.skip(f'needs {", ".join(TOOLS)}', allow_module_level=True)

# Stands in for a Python: tells its version, and fails to import what it is said to lack.
PYTHON = """#!/bin/bash
case "$*" in
  *"import {lacks}"*) exit 1 ;;
  *version_info*) echo {version} ;;
  *) echo "Python {version}.1" ;;
esac
"""


@pytest.mark.parametrize('script', ['demo', 'bench'])
def test_help_needs_nothing_installed(script, tmp_path):
    copy = tmp_path / 'repository'
    for folder in ('scripts', 'robocache_ros'):
        shutil.copytree(SCRIPTS.parent / folder, copy / folder)
    bare = tmp_path / 'python'  # a Python without any packages
    bare.write_text(f'#!/bin/bash\nexec {sys.executable} -S "$@"\n')
    bare.chmod(0o755)
    result = subprocess.run(
        [copy / 'scripts' / script, '--help'],
        env={'PATH': os.environ['PATH'], 'PYTHON': str(bare)},
        capture_output=True,
        text=True,
        timeout=30,
    )
    assert result.returncode == 0, result.stderr
    assert result.stdout.startswith(f'usage: {script} ')
    assert result.stderr == ''
    assert not list(copy.glob('.venv*'))


@pytest.fixture
def demo(tmp_path):
    """Run ./scripts/demo of a copy, with nothing on the PATH but TOOLS and what is faked."""
    path = tmp_path / 'bin'
    path.mkdir()
    for tool in TOOLS:
        (path / tool).symlink_to(shutil.which(tool))
    shutil.copytree(SCRIPTS, tmp_path / 'repository' / 'scripts')

    def run(machine='Linux x86_64', python='', lacks='rclpy', env=None):
        fakes = {'uname': f'#!/bin/bash\necho "{machine}"\n'}
        if python:
            fakes['python3'] = PYTHON.format(version=python, lacks=lacks)
        for name, text in fakes.items():
            (path / name).write_text(text)
            (path / name).chmod(0o755)
        result = subprocess.run(
            [tmp_path / 'repository' / 'scripts' / 'demo'],
            env={'PATH': str(path), **(env or {})},
            capture_output=True,
            text=True,
            timeout=30,
        )
        assert result.returncode == 1
        return result.stderr

    return run


@pytest.mark.parametrize(
    ('python', 'found'), [('3.14', 'Python 3.14.1'), ('3.9', 'Python 3.9.1'), ('', 'no python3')]
)
def test_python_of_another_age_is_named_and_so_is_the_fix(demo, python, found):
    said = demo(python=python)
    assert f'needs Python 3.10 to 3.13, and found {found}' in said
    assert 'apt install python3.12' in said


def test_machine_without_wheels_is_sent_to_a_ros_installation(demo):
    said = demo(machine='Linux aarch64', python='3.12')
    assert 'on Linux aarch64 install ROS 2, source /opt/ros' in said


def test_python_without_ensurepip_is_told_which_package_has_it(demo):
    assert 'apt install python3.12-venv' in demo(python='3.12', lacks='ensurepip')


def test_leftovers_of_a_ros_that_does_not_import_are_ignored_and_named(demo):
    leftovers = {
        'AMENT_PREFIX_PATH': '/opt/ros/humble',
        'PYTHONPATH': '/opt/ros/humble/lib',
        'ROS_DOMAIN_ID': '7',
    }
    said = demo(python='3.14', env=leftovers)
    assert 'ignoring PYTHONPATH AMENT_PREFIX_PATH ROS_DOMAIN_ID\n' in said


def test_gpu_check_ends_at_the_first_tool_that_finds_something(tmp_path):
    path = tmp_path / 'bin'
    path.mkdir()
    for tool in TOOLS:
        (path / tool).symlink_to(shutil.which(tool))
    fakes = {
        'python3': '[[ $1 != -m ]] || echo "tests $ROBOCACHE_REQUIRE_GPU"; exit 0',
        'compute-sanitizer': 'echo "$@"; [[ $2 != memcheck ]]',
    }
    for name, text in fakes.items():
        (path / name).write_text(f'#!/bin/bash\n{text}\n')
        (path / name).chmod(0o755)
    result = subprocess.run(
        [SCRIPTS / 'gpu_check'],
        env={'PATH': str(path)},
        capture_output=True,
        text=True,
        timeout=30,
    )
    assert result.returncode == 1, result.stderr
    tests, memcheck = result.stdout.splitlines()
    assert tests == 'tests 1'
    assert memcheck.startswith('--tool memcheck --error-exitcode 86 ')
    assert memcheck.endswith(' python3 -m pytest -q test/core test/kernels -k cuda')
