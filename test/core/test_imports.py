# Copyright 2026 the robocache_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Imports point one way: the core knows no ROS, no GPU library, nothing that is built on it."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

PACKAGE = Path(__file__).resolve().parents[2] / 'robocache_ros'

# From the bottom up; a module may import its own layer and those below. A folder is one unit.
LAYERS = {
    'words': {
        '__init__',
        'reasons',
        'samples',
        'grid',
        'resampling',
        'resources',
        'environment',
        'interop',
    },
    'codec': {'codec', 'points'},
    'config': {'config', 'launch_overrides'},
    'backends': {'backends', 'batch', 'cloud_features'},
    'motion': {'motion', 'encoding'},
    'schema': {'schema'},
    'timeline': {'timeline'},
    'pipeline': {
        'agreement',
        'robot_frames',
        'motion_sources',
        'placing',
        'painting',
        'assembly',
        'selecting',
        'sweep_watch',
        'pipeline',
        'api',
        'reading',
        'pairing',
        'decoding',
        'transforms',
        'camera_reader',
        'replay',
    },
    'sim': {'sim'},
    'metrics': {'metrics'},
    'ros': {'ros', 'node', 'reader', 'container'},
    'commands': {'demo', 'doctor', '__main__'},
}
MAY_IMPORT_ROS = LAYERS['ros'] | {'demo', 'doctor/graph_facts.py'}
ROS = {
    'rclpy', 'builtin_interfaces', 'diagnostic_msgs', 'geometry_msgs', 'lifecycle_msgs',
    'nav_msgs', 'rcl_interfaces', 'rosgraph_msgs', 'sensor_msgs', 'std_msgs', 'tf2_msgs',
}  # fmt: skip
# What else there is, and who may import it: inside a function, so that all else runs without it.
OPTIONAL = {
    'yaml': {'config', 'codec/camera.py'},
    'composition_interfaces': {'container'},
    'torch': {'reading', 'encoding', 'demo', 'doctor/cuda_facts.py'},
    'PIL': {'codec/decoder.py', 'sim'},
    'rerun': {'demo'},
    'prometheus_client': {'metrics/server.py'},
    'cupy': {'backends/cuda/cupy_device.py'},
    'cupy_backends': {'backends/cuda/compiler.py'},
}


def modules():
    return sorted(PACKAGE.rglob('*.py'))


def unit_of(path):
    """Return the name under which a file stands in LAYERS."""
    parts = path.relative_to(PACKAGE).with_suffix('').parts
    return parts[0]


def imports_of(path):
    """Yield (imported module, whether at the top of the file), but none for type checkers."""
    tree = ast.parse(path.read_text())
    skipped = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.If) and getattr(node.test, 'id', '') == 'TYPE_CHECKING':
            skipped.update(id(inner) for inner in ast.walk(node))
    for node in ast.walk(tree):
        if id(node) in skipped:
            continue
        names = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f'{path.name}: relative import'
            names = {module_of(f'{node.module}.{alias.name}') for alias in node.names}
        for name in names:
            yield name, node in tree.body


def module_of(name):
    """Return the module that `from a import b` reads, of `a.b`: itself if ours, else `a`."""
    path = PACKAGE.parent / name.replace('.', '/')
    ours = path.is_dir() or path.with_suffix('.py').is_file()
    return name if ours else name.rpartition('.')[0]


def rank_of(unit):
    ranks = [rank for rank, units in enumerate(LAYERS.values()) if unit in units]
    assert ranks, f'{unit} is new: give it a layer in {Path(__file__).name}'
    return ranks[0]


@pytest.mark.parametrize('path', modules(), ids=lambda p: str(p.relative_to(PACKAGE)))
def test_module_imports_only_what_its_layer_may(path):
    unit, file = unit_of(path), path.relative_to(PACKAGE).as_posix()
    for name, at_top in imports_of(path):
        top = name.partition('.')[0]
        if top == 'robocache_ros':
            other = name.split('.')[1] if '.' in name else '__init__'
            # The door of the package opens inwards: its functions are imported when first used.
            inward = unit == '__init__' and not at_top
            assert inward or rank_of(other) <= rank_of(unit), f'{unit} imports {name}'
        elif top in ROS:
            assert {unit, file} & MAY_IMPORT_ROS, f'{file} imports {name}'
        elif top in OPTIONAL:
            assert OPTIONAL[top] & {unit, file}, f'{file} imports {name}'
            assert not at_top, f'{unit} imports {name} at its top'
        else:
            assert top == 'numpy' or top in sys.stdlib_module_names, f'{unit} imports {name}'


def test_no_module_imports_itself_through_others():
    graph = {}
    for path in modules():
        parts = path.relative_to(PACKAGE.parent).with_suffix('').parts
        name = '.'.join(p for p in parts if p != '__init__')
        graph[name] = {other for other, at_top in imports_of(path) if at_top}

    done, open_now = set(), []

    def visit(name):
        assert name not in open_now, ' -> '.join([*open_now, name])
        if name in graph and name not in done:
            open_now.append(name)
            for other in sorted(graph[name]):
                visit(other)
            open_now.pop()
            done.add(name)

    for name in graph:
        visit(name)


BLOCKED = f"""
import importlib, pathlib, sys

class Block:
    def find_spec(self, name, path=None, target=None):
        if name.partition('.')[0] in {sorted(ROS | set(OPTIONAL) | {'cupy', 'cuda', 'scipy'})}:
            raise ModuleNotFoundError(f'{{name}} is blocked', name=name)

sys.meta_path.insert(0, Block())
"""


def run_blocked(program):
    argv = [sys.executable, '-c', BLOCKED + program]
    result = subprocess.run(argv, capture_output=True, text=True, cwd=PACKAGE.parent, timeout=60)
    assert result.returncode == 0, result.stderr
    return result.stdout


def test_core_is_imported_without_ros_gpu_libraries_or_yaml():
    core = [
        '.'.join(path.relative_to(PACKAGE.parent).with_suffix('').parts)
        for path in modules()
        if not {unit_of(path), path.relative_to(PACKAGE).as_posix()}
        & (MAY_IMPORT_ROS | {'__main__', 'demo'})
    ]
    run_blocked(f'for name in {core}: importlib.import_module(name)')


def test_core_computes_without_ros_gpu_libraries_or_yaml():
    program = """
import numpy as np
import robocache_ros
from robocache_ros.config import Config
from robocache_ros.schema import Schema

times = np.array([0, 10, 20])
values = np.array([[0.0], [1.0], [2.0]], np.float32)
print(robocache_ros.resample(times, values, np.array([5, 15])).values.ravel().tolist())
print(Schema.from_config(Config.from_mapping({})).schema_id > 0)
"""
    assert run_blocked(program).split() == ['[0.5,', '1.5]', 'True']


def test_importing_the_package_imports_not_even_numpy():
    program = "import robocache_ros; print('numpy' in sys.modules)"
    assert run_blocked(program).strip() == 'False'
