# Copyright 2026 the robocache_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The schema says what the numbers mean, and its id changes when they mean something else."""

from __future__ import annotations

import json

import pytest

from robocache_ros.backends.status import BackendStatus
from robocache_ros.config import Config, ConfigError
from robocache_ros.schema import Schema


def schema_of(**parameters: object) -> Schema:
    flat = {key.replace('__', '.'): value for key, value in parameters.items()}
    return Schema.from_config(Config.from_mapping(flat))


def test_groups_follow_the_order_of_the_sources():
    names = [group.name for group in schema_of(sources=['imu', 'lidar']).groups]
    assert names == [
        'imu_orientation',
        'imu_angular_velocity',
        'imu_linear_acceleration',
        'lidar_points',
        'lidar_occupied',
        'lidar_centroid',
        'lidar_extent',
        'lidar_occupancy',
    ]


def test_every_column_has_one_name():
    schema = schema_of(sources=['lidar', 'camera', 'imu'])
    # 1 + 1 + 3 + 3 + 4 * 8 * 8 of the lidar, 8 * 8 of the camera, 4 + 3 + 3 of the IMU
    assert len(schema.feature_names) == 264 + 64 + 10
    assert len(set(schema.feature_names)) == 338


def test_joint_features_are_named_after_the_joints():
    schema = schema_of(
        sources=['lidar', 'arm'],
        arm__type='joint_state',
        arm__joints=['elbow', 'wrist'],
        arm__interfaces=['position', 'velocity'],
    )
    assert schema.feature_names[-4:] == (
        'arm_position_elbow',
        'arm_position_wrist',
        'arm_velocity_elbow',
        'arm_velocity_wrist',
    )


def test_colour_images_have_three_columns_per_cell():
    schema = schema_of(
        trigger='camera', sources=['camera'], camera__grid=[1, 2], camera__channels='rgb'
    )
    expected = [f'camera_grid_0_{c}_{colour}' for c in (0, 1) for colour in 'rgb']
    assert list(schema.feature_names) == expected


@pytest.mark.parametrize(
    'operational',
    [
        {'backend': 'numpy'},
        {'lidar__topic': 'velodyne_points'},
        {'imu__depth': 7},
        {'imu__qos': 'reliable'},
        {'autostart': False},
    ],
)
def test_where_data_comes_from_and_who_computes_does_not_change_the_id(operational):
    assert schema_of(**operational).schema_id == schema_of().schema_id


@pytest.mark.parametrize(
    'shaping',
    [
        {'voxels__voxel_size': 0.4},
        {'voxels__channels': ['count']},
        {'features__targets': 5},
        {'imu__max_gap_sec': 0.3},
        {'camera__channels': 'rgb'},
        {'sources': ['lidar', 'imu', 'camera']},
        {'voxels__max_points': 500000},
    ],
)
def test_what_shapes_the_output_changes_the_id(shaping):
    assert schema_of(**shaping).schema_id != schema_of().schema_id


def test_the_id_does_not_depend_on_how_a_number_was_written():
    assert schema_of(timeout_sec=1).schema_id == schema_of(timeout_sec=1.0).schema_id


def test_the_document_begins_with_a_summary_for_people():
    sizes = {'voxelize': 30000, 'resample': None}
    text = schema_of().to_json(BackendStatus('cuda', 'measured', crossover=sizes))
    document = json.loads(text)
    assert list(document)[0] == 'summary'
    assert '512 x 512 x 40 cells' in document['summary']
    assert document['schema_id'] == schema_of().schema_id
    assert document['backend'] == {
        'name': 'cuda',
        'reason': 'measured',
        'crossover': sizes,
    }
    assert document['grid']['dims'] == [512, 512, 40]
    assert 'nan' not in text.lower()


def test_the_summary_says_who_tells_where_clouds_are_and_how_they_move():
    def summary(**given):
        return json.loads(schema_of(**given).to_json(BackendStatus('numpy', 'asked for')))[
            'summary'
        ]

    assert 'Frame' not in summary()
    rear = {'sources': ['lidar', 'rear', 'imu', 'odom'], 'rear__type': 'pointcloud2'}
    placed = {**rear, 'base_frame': 'base_link', 'lidar__extrinsic': [0, 0, 1, 0, 0, 0]}
    assert summary(**placed).endswith(' Frame: base_link, lidar by its extrinsic, rear by /tf.')
    by_both = {'deskew__imu': 'imu', 'deskew__odometry': 'odom', 'rear__point_time': 't'}
    assert summary(**placed, **by_both).endswith(
        ' Motion: told by imu and odom, times of points: lidar auto, rear t.'
    )
    by_tf = {'deskew__fixed_frame': 'map', 'output_frame': 'odom'}
    assert ' Frame: odom, lidar by ' in summary(**placed, **by_tf)
    assert ' Motion: told by /tf in map, ' in summary(**placed, **by_tf)


def test_two_sources_may_not_make_features_of_one_name():
    arm = {'imu_angular__type': 'joint_state', 'imu_angular__joints': ['elbow']}
    arm['imu_angular__interfaces'] = ['velocity']
    with pytest.raises(ConfigError, match='imu and imu_angular .* imu_angular_velocity'):
        schema_of(sources=['lidar', 'imu', 'imu_angular'], **arm)
