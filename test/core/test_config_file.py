# Copyright 2026 the robocache_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Parameters files read without ROS mean what they mean to ROS."""

from __future__ import annotations

import logging
import sys

import pytest

from robocache_ros.config import Config, ConfigError
from robocache_ros.config.params_file import read_params_file


@pytest.fixture
def write(tmp_path):
    def write(text):
        path = tmp_path / 'params.yaml'
        path.write_text(text, encoding='utf-8')
        return path

    return write


def test_one_block_for_every_node(write):
    path = write("""
/**:
  ros__parameters:
    sources: [lidar]
    voxels: {voxel_size: 1, point_cloud_range: [-8, -8, -4, 8, 8, 4]}
    lidar.topic: /velodyne_points
    lidar:
      fields:
        intensity: {resolution: 0.5}
""")
    c = Config.from_yaml(path)
    assert c.grid.dims == (16, 16, 8)
    assert c.source('lidar').topic == '/velodyne_points'
    assert c.source('lidar').resolutions == {'intensity': 0.5}


FORMS = """
/**:
  ros__parameters: {a: 1, every: 1}
preprocessor:
  ros__parameters: {a: 2, root: 1}
/robot/preprocessor:
  ros__parameters: {a: 3}
fleet:
  preprocessor:
    ros__parameters: {a: 4}
/*/deep/preprocessor:
  ros__parameters: {a: 5}
/**/other:
  ros__parameters: {a: 6}
"""


@pytest.mark.parametrize(
    ('node', 'meant'),
    {
        '/preprocessor': {'a': 2, 'every': 1, 'root': 1},
        '/robot/preprocessor': {'a': 3, 'every': 1},
        '/fleet/preprocessor': {'a': 4, 'every': 1},
        '/x/deep/preprocessor': {'a': 5, 'every': 1},
        '/x/y/deep/preprocessor': {'a': 1, 'every': 1},
        '/a/b/other': {'a': 6, 'every': 1},
        '/other': {'a': 6, 'every': 1},
    }.items(),
)
def test_blocks_reach_the_nodes_their_key_names(write, node, meant):
    assert read_params_file(write(FORMS), node) == meant


def test_later_blocks_win(write):
    path = write("""
preprocessor:
  ros__parameters: {a: 2}
/**:
  ros__parameters: {a: 1}
""")
    assert read_params_file(path) == {'a': 1}


def test_numbers_with_an_exponent_are_numbers_as_they_are_to_ros(write):
    path = write('/**: {ros__parameters: {a: 1e3, b: -1e-3, c: 1.5E2, d: 10, e: "1e3"}}')
    values = read_params_file(path)
    assert values == {'a': 1000.0, 'b': -0.001, 'c': 150.0, 'd': 10, 'e': '1e3'}
    assert type(values['a']) is float


@pytest.mark.parametrize(
    ('text', 'sentence'),
    [
        ('a: 1', 'is not a ROS parameters file: it has no `ros__parameters:` under /a'),
        ('[1, 2]', 'is not a ROS parameters file'),
        ('/**: {ros__parameters: }', r'`ros__parameters:` of /\*\* has no parameters below it'),
        ('a: [', 'is not YAML'),
        ('/**: {ros__parameters: {timeout_sec: soon}}', "timeout_sec must be a number.*'soon'"),
        ('/**: {ros__parameters: {voxels: {size: 1}}}', 'unknown parameter voxels.size'),
    ],
)
def test_a_file_that_is_wrong_is_refused_with_a_sentence(write, text, sentence):
    with pytest.raises(ConfigError, match=sentence):
        Config.from_yaml(write(text))


@pytest.mark.parametrize('text', ['', '# nothing yet\n', '{}'])
def test_an_empty_file_changes_nothing_as_it_does_for_ros(write, text):
    assert Config.from_yaml(write(text)) == Config.from_mapping({})


def test_a_file_that_holds_nothing_for_the_node_is_said_with_what_it_holds(write, caplog):
    path = write('/r1/eyes: {ros__parameters: {a: 1}}\nears: {ros__parameters: {a: 1}}\n')
    assert read_params_file(path, '/preprocessor') == {}
    (record,) = caplog.records
    said = record.getMessage()
    assert (
        'holds nothing for the node /preprocessor: it has parameters of /r1/eyes, /ears.' in said
    )
    caplog.clear()
    assert read_params_file(path, '/r1/eyes') == {'a': 1}
    assert caplog.records == []


def test_a_file_that_is_not_there_is_refused_with_a_sentence(tmp_path):
    with pytest.raises(ConfigError, match='none.yaml can not be read: No such file'):
        Config.from_yaml(tmp_path / 'none.yaml')


def test_bytes_that_are_no_text_are_refused_with_a_sentence(tmp_path):
    path = tmp_path / 'p.yaml'
    path.write_bytes(b'\xff\xfe\xff')
    with pytest.raises(ConfigError, match='is not YAML'):
        Config.from_yaml(path)


def test_without_pyyaml_the_sentence_says_what_to_install(write, monkeypatch):
    monkeypatch.setitem(sys.modules, 'yaml', None)
    with pytest.raises(ConfigError, match='needs PyYAML: pip install pyyaml'):
        Config.from_yaml(write('/**: {ros__parameters: {a: 1}}'))


def test_names_of_other_nodes_in_the_file_are_logged_once(write, caplog):
    path = write('/**: {ros__parameters: {robot_radius: 0.3, max_speed: 2}}')
    with caplog.at_level(logging.WARNING):
        assert Config.from_yaml(path) == Config.from_mapping({})
    (record,) = caplog.records
    assert 'robot_radius, max_speed' in record.getMessage()
