# Copyright 2026 the robocache_ros authors
# SPDX-License-Identifier: Apache-2.0
"""One table makes a source of every type of message: its features, its parameters, its time."""

from __future__ import annotations

import pickle
import re

import numpy as np
import pytest
from codec_messages import header, made_of

from robocache_ros.backends import make_backend
from robocache_ros.config import Config, ConfigError
from robocache_ros.config.kinds import SOURCE_TYPES
from robocache_ros.config.message_types import IMU, MESSAGE_TYPES, MessageType, Row, Width
from robocache_ros.decoding import Decoder, decoder_of, frame_of
from robocache_ros.pipeline import Pipeline
from robocache_ros.reasons import Reason, Rejected
from robocache_ros.replay import replay
from robocache_ros.schema import Schema, groups_of

SECOND = 1_000_000_000
NEEDED = {'float32_multi_array': {'width': 2}, 'float64_multi_array': {'width': 2}}
BY_TYPE = {about.type: about for about in MESSAGE_TYPES}


def source_of(kind, name='s', **given):
    flat = {'sources': [name], 'trigger': name, f'{name}.type': kind}
    flat |= {f'{name}.{key}': value for key, value in {**NEEDED.get(kind, {}), **given}.items()}
    return Config.from_mapping(flat).source(name)


def features_of(kind, **given):
    return [
        (group.name, group.names, group.rule, group.unit)
        for group in groups_of(source_of(kind, **given))
    ]


def three(name, parts='xyz'):
    return tuple(f'{name}_{part}' for part in parts)


@pytest.mark.parametrize('about', MESSAGE_TYPES, ids=lambda about: about.type)
def test_every_type_is_a_source_with_the_topic_message_and_groups_of_its_entry(about):
    source = source_of(about.type)
    assert (source.type, source.message) == (about.type, about.message)
    assert source.topic == f's/{about.topic_suffix}'
    assert source.depth == 200
    assert source.wait == about.wait
    assert source.stamp == ('header' if about.stamped else 'receive')
    found = [(group.name, group.rule, group.unit) for group in groups_of(source)]
    assert found == [(f's_{row.name}', row.rule, row.unit) for row in about.rows]


def test_every_other_type_names_its_message_as_ros_does():
    others = {kind: source for kind, source in SOURCE_TYPES.items() if kind not in BY_TYPE}
    assert {kind: source.message for kind, source in others.items()} == {
        'pointcloud2': 'sensor_msgs/msg/PointCloud2',
        'image': 'sensor_msgs/msg/Image',
        'compressed_image': 'sensor_msgs/msg/CompressedImage',
        'joint_state': 'sensor_msgs/msg/JointState',
    }


def test_the_types_are_those_that_are_promised():
    assert sorted(BY_TYPE) == sorted(
        ['imu', 'odometry', 'laser_scan', 'range', 'wrench_stamped', 'twist_stamped', 'twist',
         'pose_stamped', 'accel_stamped', 'vector3_stamped', 'point_stamped', 'temperature',
         'fluid_pressure', 'magnetic_field', 'battery_state', 'joy', 'float64',
         'float32_multi_array', 'float64_multi_array']
    )  # fmt: skip


def test_groups_are_named_after_the_source_and_columns_after_their_parts():
    assert features_of('wrench_stamped') == [
        ('s_force', three('s_force'), 'linear', 'N'),
        ('s_torque', three('s_torque'), 'linear', 'Nm'),
    ]
    assert features_of('pose_stamped') == [
        ('s_position', three('s_position'), 'linear', 'm'),
        ('s_orientation', three('s_orientation', 'xyzw'), 'slerp', '1'),
    ]
    assert features_of('temperature') == [('s_temperature', ('s_temperature',), 'hold', 'degC')]
    assert features_of('laser_scan', beams=3) == [
        ('s_ranges', three('s_ranges', '012'), 'hold', 'm'),
    ]
    assert features_of('float64_multi_array', width=1) == [
        ('s_values', ('s_values_0',), 'linear', 'unknown'),
    ]


def test_an_array_of_which_nothing_is_wanted_makes_no_group():
    assert features_of('joy', axes=2, buttons=0) == [
        ('s_axes', three('s_axes', '01'), 'hold', '-1 to 1')
    ]
    decode = decoder_of(source_of('joy', axes=2, buttons=0))
    vector = decode(made_of({'axes': [0.5, -1.0], 'buttons': []}))
    assert vector.values.tolist() == [0.5, -1]
    assert vector.valid.tolist() == [True]
    with pytest.raises(ConfigError, match=r'\[s.axes, s.buttons\] must not all be 0'):
        source_of('joy', axes=0, buttons=0)


@pytest.mark.parametrize(
    ('kind', 'values', 'vector'),
    [
        ('twist', {'linear.x': 1, 'linear.y': 2, 'linear.z': 3, 'angular.x': 4, 'angular.y': 5,
                   'angular.z': 6}, [1, 2, 3, 4, 5, 6]),
        ('point_stamped', {'point.x': 1, 'point.y': 2, 'point.z': 3}, [1, 2, 3]),
        ('fluid_pressure', {'fluid_pressure': 101325, 'variance': 1}, [101325]),
        ('range', {'range': 9, 'min_range': 1, 'max_range': 4}, [4]),
        ('laser_scan', {'ranges': [9, 3, 2, 9], 'range_min': 1, 'range_max': 4}, [3, 2]),
        ('joy', {'axes': [0.5, -1], 'buttons': [0, 1, 1]}, [0.5, -1, 0, 1]),
        ('battery_state', {'voltage': 24, 'current': -2, 'charge': float('nan'),
                           'percentage': 0.5, 'temperature': float('nan'),
                           'power_supply_status': 2}, [24, -2, 0, 0.5, 0, 2]),
        ('float64', {'data': 7}, [7]),
        ('float32_multi_array', {'data': [1, 2, 3]}, [1, 2]),
    ],
)  # fmt: skip
def test_messages_become_vectors(kind, values, vector):
    widths = {'laser_scan': {'beams': 2}, 'joy': {'axes': 2, 'buttons': 2}}.get(kind, {})
    source = source_of(kind, **widths)
    found = decoder_of(source)(made_of(values))
    assert found.values.tolist() == vector
    assert len(found.values) == sum(group.width for group in groups_of(source))
    assert len(found.valid) == len(groups_of(source))


def test_a_battery_that_does_not_measure_something_says_so_in_its_group():
    values = dict.fromkeys(('voltage', 'current', 'percentage', 'power_supply_status'), 1.0)
    values |= {'charge': float('nan'), 'temperature': float('nan')}
    found = decoder_of(source_of('battery_state'))(made_of(values))
    assert found.valid.tolist() == [True, True, False, True, False, True]
    values['voltage'] = float('nan')
    with pytest.raises(Rejected, match='voltage is nan'):
        decoder_of(source_of('battery_state'))(made_of(values))


def test_a_message_without_a_header_can_not_be_timed_by_it():
    assert source_of('twist', stamp='receive').stamp == 'receive'
    with pytest.raises(ConfigError) as caught:
        source_of('twist', stamp='header')
    assert caught.value.problems == (
        "s.stamp must be receive, as geometry_msgs/msg/Twist has no header, not 'header'",
    )


def test_an_array_needs_to_be_told_how_much_of_it_is_wanted():
    with pytest.raises(ConfigError, match=r's\.width is missing: Values of `data` that'):
        source_of('float64_multi_array', width=None)
    with pytest.raises(ConfigError, match=r's\.width must be an integer from 0 to 4096'):
        source_of('float64_multi_array', width=4097)


@pytest.mark.parametrize('about', MESSAGE_TYPES, ids=lambda about: about.type)
def test_a_configuration_goes_into_another_process_and_is_the_same(about):
    flat = {'sources': ['s'], 'trigger': 's', 's.type': about.type, 's.max_gap_sec': 0.5}
    flat |= {f's.{key}': value for key, value in NEEDED.get(about.type, {}).items()}
    config = Config.from_mapping(flat)
    again = pickle.loads(pickle.dumps(config))
    assert again == config
    assert type(again.source('s')) is type(config.source('s'))
    assert Config.from_mapping(config.to_mapping()) == config


def test_the_width_of_an_array_changes_the_id_and_its_depth_does_not():
    def schema_id(**given):
        flat = {'sources': ['lidar', 's'], 's.type': 'laser_scan', **given}
        return Schema.from_config(Config.from_mapping(flat)).schema_id

    assert schema_id(**{'s.beams': 32}) != schema_id()
    assert schema_id(**{'s.depth': 7}) == schema_id()


def test_the_groups_of_an_imu_and_of_odometry_are_what_they_were_before_there_was_a_table():
    assert features_of('imu') == [
        ('s_orientation', three('s_orientation', 'xyzw'), 'slerp', '1'),
        ('s_angular_velocity', three('s_angular_velocity'), 'linear', 'rad/s'),
        ('s_linear_acceleration', three('s_linear_acceleration'), 'linear', 'm/s^2'),
    ]
    assert features_of('odometry') == [
        ('s_position', three('s_position'), 'linear', 'm'),
        ('s_orientation', three('s_orientation', 'xyzw'), 'slerp', '1'),
        ('s_linear_velocity', three('s_linear_velocity'), 'linear', 'm/s'),
        ('s_angular_velocity', three('s_angular_velocity'), 'linear', 'rad/s'),
    ]


def test_a_message_without_a_header_is_in_no_frame():
    assert frame_of(made_of({'linear.x': 1.0})) == ''
    assert frame_of(made_of({'point.x': 1.0}, header=header(frame_id='tool'))) == 'tool'


def test_the_time_of_arrival_is_shifted_as_a_stamp_is():
    flat = {'sources': ['lidar', 's'], 's.type': 'float64', 's.time_offset_sec': -0.25}
    config = Config.from_mapping(flat)
    t_ns, vector = Decoder(config.source('s'), config.deskew)(made_of({'data': 2.0}), SECOND)
    assert (t_ns, vector.values.tolist()) == (750_000_000, [2.0])


def test_a_recording_of_messages_without_a_header_is_timed_by_its_own_clock():
    config = Config.from_mapping(
        {
            'sources': ['cmd'],
            'trigger': 'rate',
            'trigger_rate_hz': 10.0,
            'cmd.type': 'twist',
            'cmd.topic': 'cmd_vel',
            'features.targets': 1,
        }
    )
    still = {f'{part}.{axis}': 0.0 for part in ('linear', 'angular') for axis in 'xyz'}
    told = [
        (t_ns, '/cmd_vel', made_of({**still, 'linear.x': t_ns / SECOND}))
        for t_ns in range(SECOND + 50_000_000, 2 * SECOND, 100_000_000)
    ]
    told.append((told[-1][0] + 1, '/cmd_vel', made_of({**still, 'linear.x': float('nan')})))
    pipeline = Pipeline(config, make_backend('numpy'), max_backlog=None)
    frames = list(replay(pipeline, told))
    speeds = {frame.t_ref_ns: float(frame.values[0, 0]) for frame in frames}
    assert speeds[1_200_000_000] == np.float32(1.2)  # halfway from 1.15 to 1.25
    assert frames[0].valid.tolist() == [[1, 1]]
    assert pipeline.status(2 * SECOND).sources['cmd'].dropped == {Reason.NONFINITE: 1}


GOOD = {
    'type': 'load',
    'message': 'acme_msgs/msg/Load',
    'topic_suffix': 'load',
    'rows': (Row('cells', 'cells', 'width', 'linear', 'N'),),
    'widths': (Width('width', 4, 'Cells.'),),
}
TURN = Row('q', 'turn', ('x', 'y', 'z', 'w'), 'slerp', '1')


@pytest.mark.parametrize(
    ('change', 'problem'),
    [
        ({'type': 'Load'}, "type must look like .* not 'Load'"),
        ({'message': 'acme_msgs/Load'}, 'message must look like .*/msg/'),
        ({'rows': ()}, 'rows must hold at least one row'),
        ({'wait': 'forever'}, "wait must be until_t_ref or newest, not 'forever'"),
        ({'widths': ()}, "the parts of cells are 'width', which is none of the widths"),
        ({'topic_suffix': ''}, "topic_suffix must look like .* not ''"),
        ({'topic_suffix': 3}, 'topic_suffix must look like .* not 3'),
        ({'type': None}, 'type must look like .* not an empty list or nothing'),
        ({'stamped': 'no'}, "stamped must be True or False, not 'no'"),
        ({'decode': 'cells'}, "decode must be a function, or None, not 'cells'"),
        ({'rows': [TURN]}, r'rows must be a tuple of Row, not \[Row\(.*'),
        ({'rows': (('q', 'q', (), 'hold', '1'),)}, r"rows must be a tuple of Row, not \(\('q'"),
        ({'rows': (TURN._replace(path=''),)}, "the path of turn must look like .* not ''"),
        ({'rows': (TURN._replace(path='q..x'),)}, "the path of turn must look .* not 'q..x'"),
        ({'rows': (TURN._replace(unit=1),)}, 'the unit of turn must be a text, not 1'),
        ({'rows': (TURN._replace(optional=1),)}, 'optional of turn must be True or False, not 1'),
        ({'rows': (TURN._replace(parts=None),)}, 'must be a tuple of names, .* not None'),
        (
            {'rows': (TURN._replace(parts=['x', 'y', 'z', 'w']),)},
            r"the parts of turn must be a tuple of names, or the name of a width, not \['x', 'y'",
        ),
        (
            {'rows': (TURN._replace(parts=('x', 'y', 'x', 'w')),)},
            r"the parts of turn must name everything once, not \['x'\] twice",
        ),
        (
            {'rows': (TURN._replace(parts=('x', 'y', 'X Y', 'w')),)},
            "one of the parts of turn must look like .* not 'X Y'",
        ),
        ({'widths': ['width']}, r"^widths must be a tuple of Width, not \['width'\]\nthe parts"),
        ({'widths': None}, '^widths must be a tuple of Width, not None\nthe parts'),
        (
            {'widths': (Width('width', 4097, 'Cells.'),)},
            'the default of width must be an integer from 0 to 4096, or None, not 4097',
        ),
        ({'widths': (Width('width', True, 'Cells.'),)}, 'the default of width .* not True'),
        ({'widths': (Width('width', 4, None),)}, 'description of width must be a text, not None'),
        ({'rows': (TURN, TURN)}, "rows must name everything once, not \\['turn'\\] twice"),
        ({'rows': (TURN._replace(rule='cubic'),)}, "the rule of turn must be one of .* 'cubic'"),
        ({'rows': (TURN._replace(parts=('x', 'y')),)}, 'the parts of turn must be x, y, z and w'),
        ({'rows': (TURN._replace(name='x_age'),)}, 'must not end in _age or _valid, .* as x_age'),
        ({'rows': (TURN._replace(name='A b'),)}, "the name of a row must look like .* 'A b'"),
    ],
)
def test_an_entry_that_can_not_work_is_refused_when_it_is_written(change, problem):
    MessageType(**GOOD)
    with pytest.raises(ConfigError) as caught:
        MessageType(**{**GOOD, **change})
    assert re.search(problem, str(caught.value))
    assert len(caught.value.problems) == (2 if 'widths must' in problem else 1)


@pytest.mark.parametrize(
    'name',
    ['depth', 'name', 'type', 'message', 'topic_suffix', 'about', 'rows', 'widths', 'parameters',
     'history_ns', 'extrinsic', 'class'],
)  # fmt: skip
def test_a_width_is_not_called_what_every_source_has(name):
    entry = {**GOOD, 'rows': (Row('cells', 'cells', name, 'linear', 'N'),)}
    with pytest.raises(ConfigError) as caught:
        MessageType(**{**entry, 'widths': (Width(name, 4, 'Cells.'),)})
    (sentence,) = caught.value.problems
    assert sentence.startswith(f'a width can not be called {name}: every source has that already')


def test_a_block_of_somebody_else_may_have_parameters_of_the_same_name():
    config = Config.from_mapping({'window.width': 640, 'filter.beams': 3})
    assert 'window.width' in config.notices({'window.width': 640})[0]


def test_the_types_with_classes_of_their_own_keep_them():
    assert SOURCE_TYPES['imu'].about is IMU
    assert 'gyro_bias' in SOURCE_TYPES['imu'].parameters('imu')
