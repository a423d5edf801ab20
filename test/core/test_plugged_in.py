# Copyright 2026 the robocache_ros authors
# SPDX-License-Identifier: Apache-2.0
"""An installed package brings a type of its own by an entry point, and a broken one says how."""

from __future__ import annotations

import itertools
import sys

import pytest
from codec_messages import header, made_of

from robocache_ros.backends import make_backend
from robocache_ros.config import Config, ConfigError, parameters_of
from robocache_ros.config.plugged_in import GROUP, plugged_in
from robocache_ros.decoding import decoder_of
from robocache_ros.pipeline import Pipeline
from robocache_ros.reasons import Reason, Rejected
from robocache_ros.replay import replay
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


DECODED = """
import numpy as np
from robocache_ros.config.message_types import MessageType, Row, Width
from robocache_ros.samples import Vector

def decode(message, cells):
    values, valid = np.full(1 + cells, 5, np.float32), np.ones(2, np.bool_)
    return {answer}

LOAD = MessageType(
    {{name!r}}, 'acme_msgs/msg/Load', 'load',
    (Row('a', 'a', (), 'hold', '1'), Row('cells', 'cells', 'cells', 'hold', '1')),
    (Width('cells', 2, 'Cells.'),), decode=decode,
)
"""


@pytest.mark.parametrize(
    ('answer', 'told'),
    [
        ('Vector(values[:1], valid)', 'float32 [1] and bool [2]'),  # NumPy would make it three
        ('Vector(values[:2], valid)', 'float32 [2] and bool [2]'),
        ('Vector(np.full(4, 5, np.float32), valid)', 'float32 [4] and bool [2]'),
        ('Vector(values.reshape(1, 3), valid)', 'float32 [1, 3] and bool [2]'),
        ('Vector(values.astype(float), valid)', 'float64 [3] and bool [2]'),
        ('Vector(values, valid[:1])', 'float32 [3] and bool [1]'),
        ('Vector(values, [True, True])', 'float32 [3] and list'),
        ('Vector(5.0, valid)', 'float and bool [2]'),
    ],
)
def test_a_vector_that_its_rows_do_not_describe_costs_its_message(install, answer, told):
    source = config_with(install(DECODED.format(answer=answer)), cells=2).source('s')
    with pytest.raises(Rejected) as caught:
        decoder_of(source)(None)
    assert caught.value.reason is Reason.VECTOR_FORM
    assert caught.value.detail == (
        f'decode returned values and valid of {told}, and its rows are float32 [3] and bool [2]'
    )


def test_what_is_no_vector_costs_its_message(install):
    source = config_with(install(DECODED.format(answer='values'))).source('s')
    with pytest.raises(Rejected, match='decode returned a ndarray instead of a Vector') as caught:
        decoder_of(source)(None)
    assert caught.value.reason is Reason.VECTOR_FORM


@pytest.mark.parametrize('value', ['np.nan', '-np.inf', '2.0**124'])
def test_a_vector_that_fusion_can_not_use_costs_its_message(install, value):
    answer = f'Vector(values * np.float32({value}), valid)'
    source = config_with(install(DECODED.format(answer=answer))).source('s')
    with pytest.raises(Rejected) as caught:
        decoder_of(source)(None)
    assert caught.value.reason is Reason.NONFINITE


def test_a_vector_as_its_rows_say_is_used(install):
    kind = install(DECODED.format(answer='Vector(values, valid)'))
    vector = decoder_of(config_with(kind, cells=1).source('s'))(None)
    assert vector.values.tolist() == [5, 5]
    none = decoder_of(config_with(kind, cells=0).source('s'))
    with pytest.raises(
        Rejected, match=r'bool \[2\], and its rows are float32 \[1\] and bool \[1\]'
    ):
        none(None)  # there is no row for an array of which nothing is wanted


def test_a_recording_of_another_message_ends_with_a_sentence(install):
    kind = install(WORKING)
    config = config_with(kind)
    pipeline = Pipeline(config, make_backend('numpy'), max_backlog=None)
    message = made_of({'sum': 6.0, 'cells': [1.0, 2.0, 3.0]}, header=header())
    with pytest.raises(ConfigError) as caught:
        list(replay(pipeline, [(10**9, '/s/load', message)]))
    assert caught.value.problems == (
        f's.type {kind} has a row for total, which acme_msgs/msg/Load does not have',
    )
