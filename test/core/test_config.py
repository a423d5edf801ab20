# Copyright 2026 the robocache_ros authors
# SPDX-License-Identifier: Apache-2.0
"""What a configuration is by default, what it accepts and what it derives."""

from __future__ import annotations

import array
import dataclasses
import pickle

import numpy as np
import pytest

from robocache_ros.config import (
    CloudSource,
    Config,
    ConfigError,
    FeatureConfig,
    ImageSource,
    ImuSource,
    JointStateSource,
    VoxelConfig,
    parameters_of,
)


def config(**given):
    """Build from parameter names written with __ for the dot."""
    return Config.from_mapping({name.replace('__', '.'): value for name, value in given.items()})


def test_the_default_is_lidar_camera_and_imu_triggered_by_the_lidar():
    c = Config.from_mapping({})
    assert [(s.name, type(s)) for s in c.sources] == [
        ('lidar', CloudSource),
        ('camera', ImageSource),
        ('imu', ImuSource),
    ]
    assert [s.topic for s in c.sources] == ['lidar/points', 'camera/image', 'imu/data']
    assert [s.depth for s in c.sources] == [5, 5, 200]
    assert [s.wait for s in c.sources] == ['newest', 'newest', 'until_t_ref']
    assert [s.required for s in c.sources] == [True, False, False]
    assert c.trigger == 'lidar'
    assert c.grid.dims == (512, 512, 40)
    assert c.voxels.voxel_size == (0.2, 0.2, 0.2)
    assert c.voxels.channels == ('count', 'mean_intensity')
    assert (c.features.targets, c.features.target_rate_hz) == (10, 50.0)


def test_required_follows_the_trigger_unless_it_is_given():
    assert [s.required for s in config(trigger='imu').sources] == [False, False, True]
    assert [s.required for s in config(trigger='rate').sources] == [False, False, False]
    c = config(trigger='imu', imu__required=False, camera__required=True)
    assert [s.required for s in c.sources] == [False, True, False]


def test_joints_of_that_name_listen_to_joint_states_and_others_below_their_name():
    c = config(
        sources=['lidar', 'joints', 'arm', 'rear', 'depth', 'gyro'],
        joints__joints=['a'],
        arm__type='joint_state',
        arm__joints=['b', 'c'],
        rear__type='pointcloud2',
        depth__type='image',
        gyro__type='imu',
    )
    topics = [s.topic for s in c.sources]
    assert topics == [
        'lidar/points',
        'joint_states',
        'arm/joint_states',
        'rear/points',
        'depth/image',
        'gyro/data',
    ]
    assert c.source('arm').joints == ('b', 'c')
    assert c.source('arm').interfaces == ('position',)
    assert isinstance(c.source('joints'), JointStateSource)
    with pytest.raises(KeyError):
        c.source('nose')


def test_the_type_of_a_well_known_name_can_be_changed():
    c = config(camera__type='pointcloud2')
    assert isinstance(c.source('camera'), CloudSource)
    assert c.source('camera').topic == 'camera/points'


@pytest.mark.parametrize(
    'three', [(1, 2, 3), [1, 2, 3], array.array('q', [1, 2, 3]), np.array([1, 2, 3])]
)
def test_whole_numbers_are_accepted_wherever_a_number_is_meant(three):
    c = config(
        voxels__voxel_size=three,
        voxels__point_cloud_range=[-12, -12, -6, 12, 12, 6],
        trigger_rate_hz=5,
        lidar__input_origin=three,
        lidar__occupancy_shape=[1, 1, 1],
        lidar__fields__intensity__resolution=1,
    )
    assert c.voxels.voxel_size == (1.0, 2.0, 3.0)
    assert c.grid.dims == (24, 12, 4)
    assert type(c.trigger_rate_hz) is float
    assert {type(v) for v in c.voxels.voxel_size} == {float}
    assert {type(v) for v in c.voxels.point_cloud_range} == {float}
    assert c.source('lidar').input_origin == (1.0, 2.0, 3.0)
    assert c.source('lidar').resolutions == {'intensity': 1.0}


def test_numpy_scalars_become_python_ones():
    c = config(features__targets=np.int32(3), timeout_sec=np.float32(0.5), autostart=np.bool_(0))
    assert c.features.targets == 3
    assert type(c.features.targets) is int
    assert type(c.timeout_sec) is float
    assert c.autostart is False


def test_one_name_without_brackets_is_a_list_of_one():
    assert [s.name for s in config(sources='lidar').sources] == ['lidar']
    assert config(voxels__channels='count').voxels.channels == ('count',)


def test_one_voxel_size_is_that_of_all_three_axes():
    assert config(voxels__voxel_size=0.4) == config(voxels__voxel_size=[0.4, 0.4, 0.4])


def test_voxel_sources_are_all_clouds_or_those_named():
    rear = {'rear__type': 'pointcloud2', 'sources': ['lidar', 'imu', 'rear']}
    assert [s.name for s in config(**rear).voxel_sources()] == ['lidar', 'rear']
    named = config(**rear, voxels__sources=['rear'])
    assert [s.name for s in named.voxel_sources()] == ['rear']
    assert [s.name for s in named.cloud_sources()] == ['lidar', 'rear']
    assert config(sources='camera', trigger='camera').voxel_sources() == ()


def test_the_voxel_spec_takes_limits_channels_and_resolutions_from_the_parameters():
    c = config(
        sources=['lidar', 'rear'],
        rear__type='pointcloud2',
        rear__fields__ring__resolution=4.0,
        lidar__fields__intensity__resolution=0.5,
        voxels__channels=['count', 'centroid', 'mean_intensity', 'sum_ring'],
        voxels__max_points=1000,
        voxels__max_voxels=100,
    )
    spec = c.voxel_spec
    assert [channel.name for channel in spec.channels] == list(c.voxels.channels)
    assert (spec.max_points, spec.max_voxels) == (1000, 100)
    assert spec.resolutions == {'intensity': 0.5, 'ring': 4.0}
    assert spec.grid is c.grid


def test_the_resolution_of_a_cloud_outside_the_grid_is_not_that_of_the_grid():
    c = config(
        sources=['lidar', 'rear'],
        rear__type='pointcloud2',
        rear__fields__intensity__resolution=4.0,
        lidar__fields__intensity__resolution=0.5,
        voxels__sources=['lidar'],
    )
    assert c.voxel_spec.resolutions == {'intensity': 0.5}


def test_durations_are_whole_nanoseconds():
    s = config(lidar__history_sec=2.1, lidar__max_gap_sec=0.3, lidar__time_offset_sec=-0.037)
    lidar = s.source('lidar')
    assert lidar.history_ns == 2_100_000_000
    assert lidar.max_gap_ns == 300_000_000
    assert lidar.time_offset_ns == -37_000_000


def test_a_configuration_can_not_be_changed_and_travels_to_other_processes():
    c = Config.from_mapping({'lidar.fields.intensity.resolution': 0.5})
    with pytest.raises(dataclasses.FrozenInstanceError):
        c.trigger = 'imu'
    assert pickle.loads(pickle.dumps(c)) == c
    assert hash(c) == hash(Config.from_mapping(c.to_mapping()))


def test_dataclasses_built_by_hand_are_checked_the_same_way():
    c = Config(
        (CloudSource('top', required=True), ImuSource('imu', topic='/imu')),
        trigger='top',
        voxels=VoxelConfig(voxel_size=1, point_cloud_range=(0, 0, 0, 8, 8, 4)),
        features=FeatureConfig(targets=1),
    )
    assert c == Config.from_mapping(c.to_mapping())
    assert c.source('top').topic == 'top/points'
    with pytest.raises(
        ConfigError, match='top.depth must be an integer from 1 to 10000 messages, not 0'
    ):
        CloudSource('top', depth=0)
    with pytest.raises(ConfigError, match='trigger must be one of top, rate'):
        Config((CloudSource('top'),))
    with pytest.raises(ConfigError, match='sources must name at least one'):
        Config((), trigger='rate')


def test_all_that_is_wrong_is_said_at_once_a_line_each():
    with pytest.raises(ConfigError) as caught:
        config(timeout_sec=-1, imu__qos='best', voxels__dense='int8', features__targets=0)
    lines = str(caught.value).splitlines()
    assert sorted(line.split()[0] for line in lines) == [
        'features.targets',
        'imu.qos',
        'timeout_sec',
        'voxels.dense',
    ]
    assert caught.value.problems == tuple(lines)
    assert pickle.loads(pickle.dumps(caught.value)).problems == caught.value.problems


@pytest.mark.parametrize(
    'about', [p for p in parameters_of() if p.low is not None], ids=lambda about: about.name
)
def test_both_ends_of_a_range_are_allowed_and_nothing_beyond(about):
    step = 1 if about.kind.startswith('integer') else 1e-6
    size = 6 if about.kind == 'pose' else about.size or (about.kind == 'numbers')
    for end, outwards in ((about.low, -step), (about.high, step)):
        inside = int(end) if step == 1 else end
        beyond = inside + outwards * max(1, abs(inside))
        about.parse([inside] * size if size else inside)
        with pytest.raises(ConfigError, match=f'{about.name} must be'):
            about.parse([beyond] * size if size else beyond)
