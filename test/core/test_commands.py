# Copyright 2026 the robocache_ros authors
# SPDX-License-Identifier: Apache-2.0
"""`python -m robocache_ros COMMAND`: help, errors and the schema, without ROS."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest
from fake_cuda import Opener

import robocache_ros
from robocache_ros.__main__ import COMMANDS, main
from robocache_ros.backends import ACCELERATORS
from robocache_ros.config import Config
from robocache_ros.schema import Schema

GPU = Opener()


def open_fake(device_id, limits):
    """Find a GPU that computes on NumPy."""
    return GPU


WITHOUT_ROS = """
import sys
sys.modules['rclpy'] = None  # an import of it fails
from robocache_ros.__main__ import main
sys.exit(main(sys.argv[1:]))
"""


def test_help_names_every_command(capsys):
    with pytest.raises(SystemExit, match='0'):
        main(['--help'])
    shown = capsys.readouterr().out
    assert all(f'\n  {name} ' in shown for name in COMMANDS)


def test_without_a_command_it_prints_the_help(capsys):
    assert main([]) == 2
    assert '\n  monitor ' in capsys.readouterr().out


def test_a_reader_that_has_seen_enough_is_no_error():
    words = [sys.executable, '-m', 'robocache_ros', 'schema']
    process = subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    process.stdout.close()
    assert process.stderr.read() == b''
    assert process.wait(timeout=60) == 1


def test_version_is_printed(capsys):
    with pytest.raises(SystemExit, match='0'):
        main(['--version'])
    assert capsys.readouterr().out.split() == ['robocache_ros', robocache_ros.__version__]


def test_unknown_command_is_refused_with_the_known_ones(capsys):
    with pytest.raises(SystemExit, match='2'):
        main(['nodes'])
    assert "invalid choice: 'nodes'" in capsys.readouterr().err


@pytest.mark.parametrize('command', ['node', 'sim', 'monitor', 'demo'])
def test_command_that_needs_ros_says_how_to_get_it(command):
    argv = [sys.executable, '-c', WITHOUT_ROS, command]
    result = subprocess.run(argv, capture_output=True, text=True, timeout=60)
    assert result.returncode == 1
    assert "pip install '.[ros]'" in result.stderr
    assert 'Traceback' not in result.stderr


def test_schema_of_the_defaults_is_that_of_the_node(capsys):
    assert main(['schema']) == 0
    document = json.loads(capsys.readouterr().out)
    assert document['schema_id'] == Schema.from_config(Config.from_mapping({})).schema_id
    assert list(document['backend']) == ['name', 'reason', 'crossover']


def test_schema_of_a_parameters_file_has_its_sources(tmp_path, capsys):
    params = tmp_path / 'params.yaml'
    params.write_text('/**:\n  ros__parameters: {sources: [lidar]}\n')
    assert main(['schema', '--params', str(params)]) == 0
    printed = capsys.readouterr().out
    assert 'lidar_points' in printed
    assert 'imu_orientation' not in printed


def test_schema_of_the_block_of_one_node(tmp_path, capsys):
    params = tmp_path / 'params.yaml'
    params.write_text('/r1/eyes:\n  ros__parameters: {sources: [lidar]}\n')
    ids = []
    for node in ('/r1/eyes', '/r2/eyes'):
        assert main(['schema', '--params', str(params), '--node', node]) == 0
        ids.append(json.loads(capsys.readouterr().out)['schema_id'])
    assert ids[1] == Schema.from_config(Config.from_mapping({})).schema_id != ids[0]


def test_schema_tells_from_which_sizes_on_cuda_computes(tmp_path, capsys, monkeypatch):
    monkeypatch.setitem(ACCELERATORS, 'cuda', f'{__name__}:open_fake')
    params = tmp_path / 'params.yaml'
    params.write_text('{/**: {ros__parameters: {backend: cuda}}}')
    assert main(['schema', '--params', str(params)]) == 0
    backend = json.loads(capsys.readouterr().out)['backend']
    assert (backend['name'], backend['crossover']['voxelize']) == ('cuda', 0)
    assert GPU.cuda.closed


@pytest.mark.parametrize(
    ('text', 'sentence'),
    [
        ('{voxels: {voxel_size: -1.0}}', 'voxels.voxel_size must be'),
        ('{backend: cuda, device_id: 255}', 'cuda was asked for, but'),
    ],
)
def test_schema_of_a_refused_file_is_a_sentence_and_exit_code_1(tmp_path, capsys, text, sentence):
    params = tmp_path / 'params.yaml'
    params.write_text(f'/**:\n  ros__parameters: {text}\n')
    assert main(['schema', '--params', str(params)]) == 1
    assert sentence in capsys.readouterr().err
