# Copyright 2026 the robocache_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Launch arguments become parameters; an empty argument becomes none."""

from __future__ import annotations

import pytest

from robocache_ros.config import Config, ConfigError
from robocache_ros.config.params_file import read_params_file
from robocache_ros.launch_overrides import (
    ARGUMENTS,
    first_source,
    full_name,
    misspelt,
    overrides,
    switch,
    write_overrides,
)


def test_empty_arguments_override_nothing():
    assert overrides(dict.fromkeys(ARGUMENTS, ''), {}) == {}


@pytest.mark.parametrize('text', ['lidar,imu', 'lidar, imu', '[lidar, imu]', "['lidar','imu']"])
def test_sources_are_a_list_of_names(text):
    assert overrides({'sources': text}, {}) == {'sources': ['lidar', 'imu']}


def test_topics_go_to_the_first_source_of_their_type():
    topics = {'cloud_topic': '/velodyne_points', 'image_topic': '/front', 'imu_topic': '/xsens'}
    assert overrides(topics, {}) == {
        'lidar.topic': '/velodyne_points',
        'camera.topic': '/front',
        'imu.topic': '/xsens',
    }


def test_sources_of_the_parameters_file_decide_which_is_first():
    from_file = {'sources': ['gyro', 'rear', 'lidar'], 'rear.type': 'pointcloud2',
                 'gyro.type': 'imu'}  # fmt: skip
    assert overrides({'cloud_topic': '/c'}, from_file) == {'rear.topic': '/c'}


def test_sources_argument_wins_over_the_parameters_file():
    from_file = {'sources': ['rear', 'lidar'], 'rear.type': 'pointcloud2'}
    values = overrides({'sources': 'lidar', 'cloud_topic': '/c'}, from_file)
    assert values == {'sources': ['lidar'], 'lidar.topic': '/c'}


def test_a_launch_argument_that_is_nearly_one_of_ours_is_told_which_was_meant():
    (sentence,) = misspelt(['sources', 'cloud_topik', 'robot_name', 'map'])
    assert sentence.startswith('launch argument cloud_topik is not known')
    assert sentence.endswith('did you mean cloud_topic?')


def test_topic_without_a_source_to_read_it_is_refused():
    with pytest.raises(ConfigError, match='imu_topic:=/x.*type imu.*sources are lidar'):
        overrides({'sources': 'lidar', 'imu_topic': '/x'}, {})


@pytest.mark.parametrize(('text', 'value'), [('true', True), ('True', True), ('false', False)])
def test_switches_become_booleans(text, value):
    arguments = {'autostart': text, 'use_sim_time': text}
    assert overrides(arguments, {}) == {'autostart': value, 'use_sim_time': value}


def test_switch_that_is_neither_true_nor_false_is_refused():
    with pytest.raises(ConfigError, match='rviz:=yes, but it must be true or false'):
        switch('rviz', 'yes')
    assert switch('rviz', '') is False


def test_first_source_of_a_type_that_is_not_in_use_is_none():
    assert first_source('image', {'sources': ['lidar']}) == ''


@pytest.mark.parametrize(
    ('outer', 'namespace', 'name'),
    [
        ('', '', '/preprocessor'),
        ('', 'r1', '/r1/preprocessor'),
        ('', '/r1/', '/r1/preprocessor'),
        ('/fleet', '', '/fleet/preprocessor'),
        ('/fleet', 'r1', '/fleet/r1/preprocessor'),
        ('/fleet', '/r1', '/r1/preprocessor'),
    ],
)
def test_full_name_is_in_the_outer_namespace_unless_absolute(outer, namespace, name):
    assert full_name(outer, namespace, 'preprocessor') == name


@pytest.mark.parametrize('node', ['/preprocessor', '/r1/preprocessor', '/fleet/r1/preprocessor'])
def test_written_file_gives_the_node_its_values_in_any_namespace(tmp_path, node):
    values = overrides(
        {'sources': 'lidar', 'cloud_topic': 'true', 'backend': 'numpy', 'autostart': 'false'}, {}
    )
    write_overrides(tmp_path / 'overrides.yaml', 'preprocessor', values)
    flat = read_params_file(tmp_path / 'overrides.yaml', node)
    assert flat == {
        'sources': ['lidar'],
        'backend': 'numpy',
        'autostart': False,
        'lidar.topic': 'true',
    }
    assert Config.from_mapping(flat).source('lidar').topic == 'true'


def test_a_robot_of_its_own_frame_names_it_and_who_tells_how_it_moves():
    given = {'sources': 'lidar,odom', 'base_frame': 'base_link', 'odom_topic': '/wheels/odom'}
    values = overrides(given, {})
    config = Config.from_mapping(values)
    assert config.base_frame == 'base_link'
    assert config.source('odom').topic == '/wheels/odom'
    with pytest.raises(ConfigError, match='odom_topic:=/o, but no source of type odometry'):
        overrides({'odom_topic': '/o'}, {})


def test_a_robot_without_a_lidar_names_its_trigger():
    given = {'sources': 'camera', 'trigger': 'camera', 'image_topic': '/cam'}
    values = overrides(given, {})
    assert values == {'sources': ['camera'], 'trigger': 'camera', 'camera.topic': '/cam'}
    assert Config.from_mapping(values).trigger == 'camera'
