# Copyright 2026 the robocache_ros authors
# SPDX-License-Identifier: Apache-2.0
"""A table of rows makes a vector of any message: its numbers, which of them count, and why not."""

from __future__ import annotations

import array

import numpy as np
import pytest
from codec_messages import INF, NAN, made_of

from robocache_ros.codec.fields import Row, fields_decoder
from robocache_ros.reasons import Reason, Rejected

pytestmark = pytest.mark.filterwarnings('error')

XYZ = ('x', 'y', 'z')
FORCE = Row('wrench.force', 'force', XYZ, 'linear', 'N')
TURN = Row('pose.q', 'turn', ('x', 'y', 'z', 'w'), 'slerp', '1')
LEVEL = Row('level', 'level', (), 'hold', '1')
CHARGE = Row('charge', 'charge', (), 'hold', 'A h', optional=True)
DATA = Row('data', 'data', 'width', 'linear', 'unknown')


def message(force=(1.0, 2.0, 3.0), turn=(0.0, 0.0, 0.0, 1.0), level=4, charge=5.0, data=()):
    values = {f'wrench.force.{part}': v for part, v in zip('xyz', force, strict=True)}
    values |= {f'pose.q.{part}': v for part, v in zip('xyzw', turn, strict=True)}
    return made_of(values, level=level, charge=charge, data=data)


def decoded(msg, *rows, **widths):
    return fields_decoder(rows, widths)(msg)


def test_the_vector_has_the_numbers_of_the_rows_in_their_order():
    vector = decoded(message(), LEVEL, FORCE, TURN, CHARGE)
    assert vector.values.dtype == np.float32
    assert vector.values.tolist() == [4, 1, 2, 3, 0, 0, 0, 1, 5]
    assert vector.valid.dtype == np.bool_
    assert vector.valid.tolist() == [True] * 4
    assert vector.notes == {}
    assert vector.pose is None


def test_a_vector_is_not_that_of_the_message_before():
    decode = fields_decoder((LEVEL, FORCE), {})
    first, second = decode(message()), decode(message(force=(7.0, 8.0, 9.0), level=-1))
    assert first.values.tolist() == [4, 1, 2, 3]
    assert second.values.tolist() == [-1, 7, 8, 9]


@pytest.mark.parametrize(
    'hold',
    [list, tuple, np.array, lambda v: array.array('d', v), lambda v: array.array('f', v)],
    ids=['list', 'tuple', 'numpy', 'float64', 'float32'],
)
def test_of_an_array_that_is_longer_the_first_values_are_taken(hold):
    msg = message(data=hold([1.5, 2.5, 3.5, NAN]))
    vector = decoded(msg, LEVEL, DATA, width=3)
    assert vector.values.tolist() == [4, 1.5, 2.5, 3.5]
    assert vector.valid.tolist() == [True, True]


def test_an_array_that_is_shorter_takes_the_whole_message_and_says_how_long_it_is():
    with pytest.raises(Rejected) as caught:
        decoded(message(data=[1.0, 2.0]), LEVEL, DATA, width=3)
    assert caught.value.reason is Reason.ARRAY_SHORT
    assert caught.value.detail == 'data has 2 values, width is 3'


def test_integers_and_truth_values_are_numbers_as_well():
    vector = decoded(message(level=True, data=[0, 1, 2**24]), LEVEL, DATA, width=3)
    assert vector.values.tolist() == [1, 0, 1, 2**24]


def test_negative_zero_is_zero():
    vector = decoded(message(force=(-0.0,) * 3, data=[-0.0]), FORCE, DATA, width=1)
    assert not np.signbit(vector.values).any()


def test_a_value_is_the_nearest_that_float32_has():
    vector = decoded(message(force=(0.1, 1.0 + 2.0**-24 + 2.0**-50, 2.0**125.9)), FORCE)
    assert vector.values.tolist() == [np.float32(0.1), 1.0 + 2.0**-23, np.float32(2.0**125.9)]


@pytest.mark.parametrize('bad', [NAN, INF, -INF, 2.0**126, -(2.0**126), 1e300], ids=str)
@pytest.mark.parametrize(
    ('given', 'name'),
    [
        (lambda bad: {'force': (0.0, bad, 0.0)}, 'wrench.force.y'),
        (lambda bad: {'level': bad}, 'level'),
        (lambda bad: {'data': [0.0, 0.0, bad]}, 'data[2]'),
    ],
    ids=['component', 'number', 'array'],
)
def test_a_value_that_is_none_takes_the_whole_message_and_is_named(given, name, bad):
    msg = message(**{'data': [0.0] * 3, **given(bad)})
    with pytest.raises(Rejected) as caught:
        decoded(msg, LEVEL, FORCE, DATA, width=3)
    assert caught.value.reason is Reason.NONFINITE
    assert caught.value.detail == f'{name} is {bad}'


@pytest.mark.parametrize(
    ('turn', 'valid'),
    [
        ((0.0, 0.0, 0.0, 0.75), True),  # squared length 0.5625
        ((0.5, 0.5, 0.0, 0.0), True),  # 0.5
        ((1.0, 0.0, -1.0, 0.0), True),  # 2
        ((0.0, 0.6875, 0.0, 0.0), False),  # 0.47265625
        ((1.0, 1.0, 0.125, 0.0), False),  # 2.015625
        ((0.0, 0.0, 0.0, 0.0), False),
        ((0.0, 0.0, NAN, 1.0), False),
        ((1e300, 0.0, 0.0, 1.0), False),
    ],
)
def test_a_quaternion_that_is_no_rotation_is_neutral_and_noted_and_the_rest_counts(turn, valid):
    vector = decoded(message(turn=turn), FORCE, TURN, LEVEL)
    assert vector.valid.tolist() == [True, valid, True]
    assert vector.values[3:7].tolist() == list(turn if valid else (0.0, 0.0, 0.0, 1.0))
    assert vector.values[[0, 1, 2, 7]].tolist() == [1, 2, 3, 4]
    assert vector.notes == ({} if valid else {Reason.BAD_QUATERNION: 1})


def test_every_quaternion_that_is_none_is_counted():
    again = TURN._replace(name='again')
    assert decoded(message(turn=(0.0,) * 4), TURN, again).notes == {Reason.BAD_QUATERNION: 2}


def test_what_a_sensor_does_not_measure_is_an_invalid_group_and_no_fault():
    vector = decoded(message(charge=NAN), LEVEL, CHARGE, FORCE)
    assert vector.values.tolist() == [4, 0, 1, 2, 3]
    assert vector.valid.tolist() == [True, False, True]
    assert vector.notes == {}


def test_infinity_is_not_what_was_not_measured():
    with pytest.raises(Rejected, match='charge is inf'):
        decoded(message(charge=INF), CHARGE)
