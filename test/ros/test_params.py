# Copyright 2026 the robocache_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Parameters on a real node: declared from the table, read back, refused in our words."""

from __future__ import annotations

from pathlib import Path

import pytest
import rclpy
from rcl_interfaces.msg import ParameterType
from rclpy.node import Node
from rclpy.parameter import Parameter

from robocache_ros.config import DEFAULTS, Config, ConfigError, parameters_of
from robocache_ros.config.params_file import read_params_file
from robocache_ros.ros.params import declare_parameters, read_config

YAML = Path(__file__).resolve().parent.parent.parent / 'config' / 'preprocessor.yaml'
SMALL = {'voxels.voxel_size': 1, 'voxels.point_cloud_range': [-8, -8, -4, 8, 8, 4]}


@pytest.fixture
def make_node(domain_id):
    """Give make_node(overrides, args=..., **node_arguments) -> a node with our parameters."""
    contexts = []

    def make(overrides=None, args=(), name='preprocessor', **arguments):
        context = rclpy.Context()
        contexts.append(context)
        rclpy.init(context=context, args=['--ros-args', *args], domain_id=domain_id)
        given = [Parameter(key, value=value) for key, value in (overrides or {}).items()]
        node = Node(name, context=context, parameter_overrides=given, **arguments)
        declare_parameters(node)
        return node

    yield make
    for context in contexts:
        context.try_shutdown()


def values_of(node, names):
    return {name: node.get_parameter(name).value for name in names}


def plain(value):
    return value if isinstance(value, bool | int | float | str) else list(value)


def with_default():
    """Return the parameters there are; one without a default is declared where it is given."""
    return [about for about in parameters_of(DEFAULTS) if about.default is not None]


def test_without_anything_given_the_node_has_every_parameter_at_its_default(make_node):
    node = make_node()
    assert read_config(node) == (Config.from_mapping({}), ())
    table = with_default()
    declared = values_of(node, [about.name for about in table])
    assert {n: plain(v) for n, v in declared.items()} == {
        about.name: plain(about.default) for about in table
    }
    of_rclpy = {'use_sim_time', 'start_type_description_service'}
    assert node.get_parameters_by_prefix('').keys() - of_rclpy == declared.keys()


def test_every_parameter_has_description_unit_range_and_says_whether_it_may_change(make_node):
    node = make_node()
    for about in with_default():
        described = node.describe_parameter(about.name)
        assert described.description.startswith(about.description)
        assert described.description.endswith(f' [{about.unit}]' if about.unit else '')
        assert described.additional_constraints == f'must be {about.allowed}'
        assert described.read_only == about.read_only
        assert described.dynamic_typing == (not about.read_only)
        spans = [*described.integer_range, *described.floating_point_range]
        if about.low is None:
            assert spans == []
        else:
            (span,) = spans
            assert (span.from_value, span.to_value) == (about.low, about.high)


@pytest.mark.parametrize('pose', [[1, 2, 3, 0, 0, 0], [1, 2, 3, 0, 0, 0, 1]], ids=len)
def test_an_extrinsic_is_declared_where_it_is_given_and_may_be_of_whole_numbers(make_node, pose):
    node = make_node({'base_frame': 'base_link', 'lidar.extrinsic': pose})
    assert read_config(node)[0].source('lidar').extrinsic == tuple(pose)
    described = node.describe_parameter('lidar.extrinsic')
    assert described.type == ParameterType.PARAMETER_DOUBLE_ARRAY
    assert described.read_only
    assert not node.has_parameter('imu.extrinsic')


def test_setting_what_is_read_once_is_refused_and_changes_nothing(make_node):
    node = make_node()
    (result,) = node.set_parameters([Parameter('lidar.topic', value='other')])
    assert not result.successful
    assert 'read-only' in result.reason
    assert read_config(node)[0] == Config.from_mapping({})


def test_whole_numbers_become_floats_where_floats_are_meant(make_node):
    node = make_node({**SMALL, 'trigger_rate_hz': 5, 'lidar.fields.intensity.resolution': 1})
    config, _ = read_config(node)
    assert config.grid.dims == (16, 16, 8)
    kinds = {
        'voxels.voxel_size': ParameterType.PARAMETER_DOUBLE,
        'voxels.point_cloud_range': ParameterType.PARAMETER_DOUBLE_ARRAY,
        'trigger_rate_hz': ParameterType.PARAMETER_DOUBLE,
        'lidar.fields.intensity.resolution': ParameterType.PARAMETER_DOUBLE,
        'lidar.occupancy_shape': ParameterType.PARAMETER_INTEGER_ARRAY,
    }
    assert {name: node.describe_parameter(name).type for name in kinds} == kinds


def test_three_voxel_sizes_are_an_array(make_node):
    cube = {'voxels.point_cloud_range': [-8, -8, -8, 8, 8, 8], 'voxels.voxel_size': [1, 2, 4]}
    node = make_node(cube)
    assert list(node.get_parameter('voxels.voxel_size').value) == [1.0, 2.0, 4.0]
    assert read_config(node)[0].grid.dims == (16, 8, 4)


def test_the_blocks_there_are_follow_from_the_sources(make_node):
    node = make_node(
        {
            'sources': ['rear', 'arm'],
            'trigger': 'arm',
            'rear.type': 'pointcloud2',
            'arm.type': 'joint_state',
            'arm.joints': ['a', 'b'],
        }
    )
    config, notices = read_config(node)
    assert notices == ()
    assert [source.type for source in config.sources] == ['pointcloud2', 'joint_state']
    names = ['rear.topic', 'rear.required', 'arm.topic', 'arm.required', 'arm.depth']
    assert list(values_of(node, names).values()) == [
        'rear/points',
        False,
        'arm/joint_states',
        True,
        200,
    ]
    assert not node.has_parameter('lidar.topic')


WRONG = {
    'type': ({'timeout_sec': 'soon'}, "timeout_sec must be a number from 0 to 60 s, not 'soon'"),
    'range': ({'features.targets': 0}, 'features.targets must be an integer from 1 to 10000'),
    'float range': ({'trigger_rate_hz': 1e6}, 'trigger_rate_hz must be a number from 0.01 to'),
    'array': ({'voxels.voxel_size': [0.1, 0.2]}, 'voxels.voxel_size must be one number or 3'),
    'choice': ({'lidar.qos': 'best'}, 'lidar.qos must be one of auto, reliable, best_effort'),
    'sources': ({'sources': 3}, 'sources must be a list of distinct names'),
    'source type': ({'sources': ['a'], 'a.type': 'b'}, 'a.type must be one of pointcloud2'),
    'name': ({'voxels.voxel_sise': 0.1}, 'unknown parameter voxels.voxel_sise: did you mean'),
    'joints': ({'sources': ['lidar', 'joints']}, 'joints.joints is missing'),
    'trigger': ({'trigger': 5}, 'trigger must be the name of a source, or rate, not 5'),
    'together': ({'timeout_sec': 5.0}, 'lidar.history_sec must be at least 5.2 s'),
}


@pytest.mark.parametrize(('given', 'sentence'), WRONG.values(), ids=list(WRONG))
def test_a_wrong_value_lets_the_node_live_and_refuses_to_configure(make_node, given, sentence):
    live = {about.name for about in parameters_of() if not about.read_only}
    node = make_node(given)
    with pytest.raises(ConfigError) as caught:
        read_config(node)
    assert caught.value.problems[0].startswith(sentence)
    for name, value in given.items():
        if node.has_parameter(name):  # `ros2 param get` shows what was given, not a default
            assert plain(node.get_parameter(name).value) == value
            assert node.describe_parameter(name).read_only == (name not in live)


def test_names_of_other_nodes_are_one_notice(make_node):
    node = make_node({'robot_radius': 0.3, 'planner.gain': 2.0, 'use_sim_time': True})
    _, notices = read_config(node)
    assert notices == ('parameters that are not ours are ignored: robot_radius, planner.gain',)


def test_a_parameter_that_somebody_declared_on_the_node_is_no_foreign_name(make_node):
    node = make_node({'extra': 1})
    node.declare_parameter('extra', 0)
    assert read_config(node)[1] == ()


def test_overrides_declared_automatically_are_read_all_the_same(make_node):
    node = make_node(SMALL, automatically_declare_parameters_from_overrides=True)
    assert read_config(node)[0].grid.dims == (16, 16, 8)


# -- through rcl: the command line and parameters files


def test_the_shipped_file_is_the_default_configuration_to_ros_too(make_node):
    node = make_node(args=['--params-file', str(YAML)])
    assert read_config(node) == (Config.from_mapping({}), ())


def test_one_source_on_the_command_line_beside_the_shipped_file(make_node):
    node = make_node(
        args=[
            '--params-file',
            str(YAML),
            '-p',
            'sources:=lidar',
            '-p',
            'lidar.topic:=/velodyne_points',
            '-p',
            'lidar.occupancy_shape:=[1, 2, 2]',
        ]
    )
    config, notices = read_config(node)
    assert [source.name for source in config.sources] == ['lidar']
    assert config.source('lidar').topic == '/velodyne_points'
    assert config.source('lidar').occupancy_shape == (1, 2, 2)
    assert notices == ('not in use, because not among sources [lidar]: camera, imu',)


def test_an_empty_list_in_a_file_is_refused_with_a_sentence(make_node, tmp_path):
    path = tmp_path / 'params.yaml'
    path.write_text('/**: {ros__parameters: {voxels: {channels: []}}}')
    with pytest.raises(ConfigError, match='voxels.channels must be a list.*an empty list'):
        read_config(make_node(args=['--params-file', str(path)]))


FORMS = """
/**:
  ros__parameters:
    lidar: {topic: every, time_offset_sec: 1e-3, history_sec: 3}
    voxels: {voxel_size: 1, point_cloud_range: [-8, -8, -4, 8, 8, 4]}
preprocessor:
  ros__parameters: {lidar.topic: root}
/robot/preprocessor:
  ros__parameters: {lidar.topic: robot}
fleet:
  preprocessor:
    ros__parameters:
      lidar: {topic: fleet}
/*/deep/preprocessor:
  ros__parameters: {lidar.topic: deep}
/**/other:
  ros__parameters: {lidar.topic: other}
"""


@pytest.mark.parametrize(
    ('namespace', 'name', 'topic'),
    [
        ('', 'preprocessor', 'root'),
        ('/robot', 'preprocessor', 'robot'),
        ('/fleet', 'preprocessor', 'fleet'),
        ('/x/deep', 'preprocessor', 'deep'),
        ('/x/y/deep', 'preprocessor', 'every'),
        ('/x/y', 'other', 'other'),
    ],
)
def test_a_file_means_the_same_with_and_without_ros(make_node, tmp_path, namespace, name, topic):
    path = tmp_path / 'params.yaml'
    path.write_text(FORMS)
    node = make_node(args=['--params-file', str(path)], name=name, namespace=namespace)
    config, _ = read_config(node)
    full_name = f'{namespace}/{name}'
    assert node.get_fully_qualified_name() == full_name
    assert config.source('lidar').topic == topic
    assert config.source('lidar').time_offset_ns == 1_000_000
    assert config == Config.from_mapping(read_params_file(path, full_name))
    assert config == Config.from_yaml(path, full_name)
