# Copyright 2026 the robocache_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Whatever is accepted survives the way to parameters and back; whatever is not is a sentence."""

from __future__ import annotations

from hypothesis import assume, event, given, settings
from hypothesis import strategies as st

from robocache_ros.config import Config, ConfigError, parameters_of
from robocache_ros.config.kinds import SOURCE_TYPES

NAMES = st.sampled_from(['lidar', 'rear', 'cam_2', 'imu', 'gyro', 'joints', 'arm', 'odom'])
LISTS = {
    'channels': st.lists(
        st.sampled_from(['count', 'occupancy', 'centroid', 'mean_ring', 'sum_t', 'max_x']),
        min_size=1,
        unique=True,
    ),
    'paint': st.lists(st.sampled_from(['rgb', 'label']), min_size=1, unique=True),
    'joints': st.lists(st.text(min_size=1, max_size=4), min_size=1, max_size=4, unique=True),
}
TEXTS = {
    'topic': st.sampled_from(['points', '/a/b', '~/c']),
    'output_frame': st.sampled_from(['', 'base_link', 'a/b']),
    'point_time': st.sampled_from(['auto', 'none', 't']),
    'info_topic': st.sampled_from(['', 'info']),
    'calibration': st.sampled_from(['', 'camera.yaml']),
    'path': st.just(''),
    'sha256': st.just('0' * 64),
}
MOVERS = {'deskew.imu': 'imu', 'deskew.odometry': 'odometry'}
FITTING = {  # so that most of what is drawn fits together
    'base_frame': st.sampled_from(['base_link', 'a/b']),
    'voxels.sweeps': st.just(1),
    'features.target_rate_hz': st.floats(10, 1e5),
    'timeout_sec': st.floats(0, 1),
    'voxels.voxel_size': st.sampled_from([0.1, 0.5, 1, [1, 0.5, 0.25]]),
    'voxels.point_cloud_range': st.sampled_from([[-4, -4, -4, 4, 4, 4], [0, 0, 0, 9.5, 9, 8.25]]),
}


def value_of(about):
    """Draw a valid value of one parameter."""
    field = about.name.rpartition('.')[2]
    if about.name in FITTING:
        return FITTING[about.name]
    if field == 'history_sec':
        return st.floats(3, 600)
    if field in LISTS and about.kind == 'texts':
        return LISTS[field]
    if about.choices:
        one = st.sampled_from(about.choices)
        return one if about.kind == 'text' else st.lists(one, min_size=1, unique=True)
    if about.kind in ('integer', 'integers'):
        one = st.integers(int(about.low), min(int(about.high), max(int(about.low), 8)))
        return st.lists(one, min_size=about.size, max_size=about.size) if about.size else one
    if about.kind in ('number', 'numbers'):
        one = st.floats(about.low, about.high)
        size = about.size or 3 * (about.kind == 'numbers')
        return st.lists(one, min_size=size, max_size=size) if size else one
    if about.kind == 'pose':
        return st.lists(st.floats(-10, 10), min_size=6, max_size=6)
    return st.booleans() if about.kind == 'bool' else TEXTS[field]


@st.composite
def mappings(draw):
    types = draw(st.dictionaries(NAMES, st.sampled_from(list(SOURCE_TYPES)), min_size=1))
    trigger = draw(st.sampled_from([*types, 'rate']))
    clouds = [name for name, kind in types.items() if kind == 'pointcloud2']
    flat = {'sources': list(types), 'trigger': trigger}
    for about in parameters_of(types, trigger):
        needed = about.default is None and not about.optional
        given_or_needed = needed or about.name in FITTING or draw(st.booleans())
        kind = MOVERS.get(about.name)
        if about.name.endswith('.type'):
            flat[about.name] = types[about.name.removesuffix('.type')]
        elif about.name == 'voxels.sources' and clouds:
            flat[about.name] = draw(st.lists(st.sampled_from(clouds), min_size=1, unique=True))
        elif kind:
            movers = [name for name, its in types.items() if its == kind]
            flat[about.name] = draw(st.sampled_from(['', *movers]))
        elif (
            about.name not in ('sources', 'trigger', 'voxels.sources', 'deskew.fixed_frame')
            and given_or_needed
        ):
            flat[about.name] = draw(value_of(about))
    for name in clouds:
        if draw(st.booleans()):
            flat[f'{name}.fields.ring.resolution'] = 2.0 ** draw(st.integers(-60, 60))
    return flat


@settings(max_examples=150, deadline=None)
@given(mappings())
def test_a_configuration_is_what_its_mapping_says_and_nothing_else(flat):
    try:
        config = Config.from_mapping(flat)
    except ConfigError as error:
        event(error.problems[0].split()[0])
        assume(False)
    mapping = config.to_mapping()
    assert Config.from_mapping(mapping) == config
    assert Config.from_mapping(mapping).to_mapping() == mapping
    assert [] not in mapping.values()
    for name in flat.keys() - {'voxels.voxel_size'}:
        assert mapping[name] == flat[name]


JUNK = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5) | st.binary(),
    lambda inner: st.lists(inner, max_size=7) | st.dictionaries(st.text(max_size=3), inner),
    max_leaves=8,
)
OUR_NAMES = [about.name for about in parameters_of()]


@settings(max_examples=300, deadline=None)
@given(st.dictionaries(st.sampled_from(OUR_NAMES) | st.text(max_size=12), JUNK, max_size=4))
def test_whatever_is_given_the_answer_is_a_configuration_or_a_sentence(flat):
    try:
        Config.from_mapping(flat).notices(flat)
    except ConfigError as error:
        problems = error.problems
    else:
        problems = ('none',)
    assert problems
    assert all(0 < len(sentence) < 1000 for sentence in problems)
