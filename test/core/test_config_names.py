# Copyright 2026 the robocache_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Unknown names: our typing errors are refused, other people's names are only said."""

from __future__ import annotations

import pytest

from robocache_ros.config import Config, ConfigError
from robocache_ros.config.names import edit_distance, nearest

REAR = {'sources': ['lidar', 'rear'], 'rear.type': 'pointcloud2'}


def notices(given):
    return Config.from_mapping(given).notices(given)


MISSPELT = {
    # in our groups: anything unknown, however far away
    'voxels.voxel_sise': 'voxels.voxel_size',
    'voxels.channel': 'voxels.channels',
    'voxels.zzz': 'voxels.',
    'features.target': 'features.targets',
    # in a block of a source
    'lidar.topik': 'lidar.topic',
    'lidar.grid': 'a source of type pointcloud2',
    'lidar.fields.ring.resolutoin': 'lidar.fields.F.resolution',
    'imu.fields.ring.resolution': 'a source of type imu',
    'imu.max_gap': 'imu.max_gap_sec',
    # blocks that are nearly ours
    'voxel.voxel_size': 'voxels.voxel_size',
    'feature.targets': 'features.targets',
    'lidr.topic': 'lidar.topic',
    'lidr.some_key': 'lidar.some_key',
    'front.topic': 'not among sources [lidar, camera, imu]',
    'front.fields.ring.resolution': 'not among sources',
    'trigger.rate_hz': 'trigger',
    # names of their own
    'source': 'sources',
    'triger': 'trigger',
    'timeout_secs': 'timeout_sec',
    'time_out_sec': 'timeout_sec',
    'bakend': 'backend',
    'device': None,  # distance 3 from device_id: somebody else's
    'voxel': 'voxels',
}


@pytest.mark.parametrize(('name', 'meant'), MISSPELT.items())
def test_a_name_that_is_nearly_ours_is_refused_and_the_right_one_named(name, meant):
    if meant is None:
        assert notices({name: 1}) == (f'parameters that are not ours are ignored: {name}',)
        return
    with pytest.raises(ConfigError) as caught:
        Config.from_mapping({name: 1})
    (sentence,) = caught.value.problems
    assert sentence.startswith(f'unknown parameter {name}: ')
    assert meant in sentence


def test_names_of_somebody_else_are_one_notice():
    given = {f'planner.gain_{i}': 1.0 for i in range(10)}
    given |= {'robot_radius': 0.3, 'scan.type': 'scan', 'scan.topic': '/scan', 'sim': True}
    (sentence,) = notices({'scan.min_height': 0.1, **given})
    assert sentence.startswith('parameters that are not ours are ignored: scan.min_height, ')
    assert sentence.endswith(' and 7 more')


def test_a_foreign_value_of_any_kind_is_no_error():
    assert len(notices({'scan.type': ['a', 'b'], 'x': None, 'y.z': {'a': 1}})) == 1


def test_names_that_rclpy_declares_are_neither_error_nor_notice():
    given = {
        'use_sim_time': True,
        'start_type_description_service': True,
        'qos_overrides./lidar/points.subscription.reliability': 'reliable',
    }
    assert notices(given) == ()


def test_a_source_switched_off_on_the_command_line_may_keep_its_block():
    full = Config.from_mapping({}).to_mapping()
    (sentence,) = notices({**full, 'sources': ['lidar']})
    assert sentence == 'not in use, because not among sources [lidar]: camera, imu'


def test_a_block_with_a_type_is_a_source_switched_off_even_beside_one_of_nearly_its_name():
    given = {**REAR, 'rear2.type': 'pointcloud2', 'rear2.topic': 'x', 'rear.topic': 'y'}
    assert notices(given) == ('not in use, because not among sources [lidar, rear]: rear2',)


def test_a_block_that_is_no_source_without_a_type_is_refused():
    with pytest.raises(ConfigError, match='a source front would also need front.type'):
        Config.from_mapping({'front.topic': 'points'})


def test_a_resolution_that_nothing_uses_is_a_notice():
    ring = {'lidar.fields.ring.resolution': 1}
    assert notices(ring) == ('no mean or sum channel needs lidar.fields.ring.resolution',)
    assert notices({**ring, 'voxels.channels': ['count', 'max_ring']}) != ()
    assert notices({**ring, 'voxels.channels': ['count', 'sum_ring']}) == ()
    assert notices({**ring, 'voxels.channels': ['mean_ring']}) == ()
    elsewhere = {**REAR, 'voxels.sources': ['rear'], 'voxels.channels': ['mean_ring']}
    assert notices({**ring, **elsewhere}) != ()


def test_edit_distance_counts_letters_put_in_left_out_and_changed():
    assert edit_distance('kitten', 'sitting') == 3
    assert edit_distance('', 'abc') == 3
    assert edit_distance('abc', 'abc') == 0
    assert edit_distance('trigger', 'triger') == 1
    assert edit_distance('ab', 'ba') == 2


def test_short_names_are_near_at_distance_one_only():
    assert nearest('sim', ['imu'], limit=2) == ''
    assert nearest('imo', ['imu'], limit=2) == 'imu'
    assert nearest('triggr', ['sources', 'trigger'], limit=2) == 'trigger'
    assert nearest('zzzzz', ['sources', 'trigger'], limit=2) == ''
    assert nearest('zzzzz', ['sources', 'trigger']) == 'sources'


def test_a_range_that_is_no_multiple_of_the_voxel_is_widened_and_said():
    given = {'voxels.voxel_size': 0.5, 'voxels.point_cloud_range': [0, 0, 0, 4.2, 4, 4]}
    (sentence,) = notices({**given, 'lidar.occupancy_shape': [1, 1, 1]})
    assert sentence == (
        'voxels.point_cloud_range is widened to whole voxels: up to (4.5, 4.0, 4.0) m'
    )
