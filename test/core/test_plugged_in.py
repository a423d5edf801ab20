# Copyright 2026 the robocache_ros authors
# SPDX-License-Identifier: Apache-2.0
"""An installed package brings a type of its own by an entry point, and a broken one says how."""

from __future__ import annotations

import itertools
import sys

import pytest
from codec_messages import made_of

from robocache_ros.config import Config, ConfigError, parameters_of
from robocache_ros.config.plugged_in import GROUP, plugged_in
from robocache_ros.decoding import decoder_of
from robocache_ros.schema import Schema

WORKING = """
from robocache_ros.config.message_types import MessageType, Row, Width

LOAD = MessageType(
    type={name!r},
    message='acme_msgs/msg/Load',
    topic_suffix='load',
    rows=(
        Row('total', 'total', (), 'linear', 'N'),
        Row('cells', 'cells', 'cells', 'linear', 'N'),
    ),
    widths=(Width('cells', 3, 'Cells that are features.'),),
)
"""
_number = itertools.count()


@pytest.fixture
def install(tmp_path, monkeypatch):
    """Put a distribution with one entry point and its module on sys.path; give its type."""
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(sys, 'dont_write_bytecode', True)
    plugged_in.cache_clear()

    def put(source, value='{module}:LOAD', name=None, distribution='acme'):
        number = next(_number)
        name, module = name or f'load_{number}', f'acme_module_{number}'
        info = tmp_path / f'{distribution}-1.2.dist-info'
        info.mkdir()
        (info / 'METADATA').write_text(
            f'Metadata-Version: 2.1\nName: {distribution}\nVersion: 1.2\n'
        )
        (info / 'entry_points.txt').write_text(
            f'[{GROUP}]\n{name} = {value.format(module=module)}\n'
        )
        (tmp_path / f'{module}.py').write_text(source.format(name=name))
        return name

    yield put
    plugged_in.cache_clear()


def config_with(kind, **given):
    flat = {f's.{key}': value for key, value in {'type': kind, **given}.items()}
    return Config.from_mapping({'sources': ['lidar', 's'], **flat})


def problem_with(kind):
    with pytest.raises(ConfigError) as caught:
        config_with(kind)
    (sentence,) = caught.value.problems
    return sentence


def test_a_type_of_another_package_is_a_source_like_ours(install):
    kind = install(WORKING)
    config = config_with(kind, cells=2)
    source = config.source('s')
    assert (source.topic, source.message) == ('s/load', 'acme_msgs/msg/Load')
    names = Schema.from_config(config).feature_names[-3:]
    assert names == ('s_total', 's_cells_0', 's_cells_1')
    vector = decoder_of(source)(made_of({'total': 6.0, 'cells': [1.0, 2.0, 3.0]}))
    assert vector.values.tolist() == [6, 1, 2]
    assert Config.from_mapping(config.to_mapping()) == config
    assert 's.cells' in {about.name for about in parameters_of({'s': kind})}


def test_its_parameters_are_checked_like_ours(install):
    kind = install(WORKING)
    with pytest.raises(ConfigError, match=r's\.cells must be an integer from 0 to 4096 values'):
        config_with(kind, cells='many')
    with pytest.raises(ConfigError, match=r'unknown parameter s\.cell: did you mean s\.cells'):
        config_with(kind, cell=2)


def test_a_type_that_nobody_brings_is_refused_with_those_there_are(install):
    install(WORKING)
    assert problem_with('loadd').startswith('s.type must be one of pointcloud2, image, ')


def test_a_type_of_ours_is_not_looked_for_elsewhere(install):
    install('raise RuntimeError', name='twist')
    assert config_with('twist').source('s').message == 'geometry_msgs/msg/Twist'


def test_a_module_that_raises_is_named_with_its_package_and_error(install):
    kind = install("raise RuntimeError('no licence')")
    sentence = problem_with(kind)
    assert sentence.startswith(
        f'type {kind} can not be used: the entry point {kind} = acme_module_'
    )
    assert sentence.endswith(' of acme 1.2 raises RuntimeError; no licence')


def test_a_module_that_is_not_there_is_named(install):
    kind = install(WORKING, value='acme_nowhere:LOAD')
    assert "raises ModuleNotFoundError; No module named 'acme_nowhere'" in problem_with(kind)


def test_an_entry_that_can_not_work_says_what_is_wrong_with_it(install):
    kind = install(WORKING.replace("'linear'", "'cubic'"))
    assert "the rule of total must be one of linear, slerp, hold, nearest, not 'cubic'" in (
        problem_with(kind)
    )


def test_what_is_no_message_type_is_refused(install):
    kind = install('LOAD = 3  # {name}')
    assert problem_with(kind).endswith(
        f'{kind} = acme_module_{next(_number) - 1}:LOAD of acme 1.2 is no MessageType of that '
        'type, but 3'
    )


def test_a_message_type_of_another_name_is_refused(install):
    kind = install(WORKING.replace('{name!r}', "'other'"))
    assert "is no MessageType of that type, but MessageType(type='other'" in problem_with(kind)


def test_two_packages_that_bring_one_type_are_both_named(install):
    kind = install(WORKING)
    install(WORKING, name=kind, distribution='boxes')
    assert problem_with(kind) == (
        f'type {kind} is brought by several packages, acme 1.2, boxes 1.2'
    )
