# Copyright 2026 the robocache_ros authors
# SPDX-License-Identifier: Apache-2.0
"""`resample` and `fuse` for people: shapes, types, what is refused and what is left out."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest

import robocache_ros
from robocache_ros import Stream, backends, fuse, resample
from robocache_ros.backends import BackendUnavailable

pytestmark = [pytest.mark.filterwarnings('error'), pytest.mark.usefixtures('package')]

TIMES = [0, 100, 200]
VALUES = [[1.0, 10.0], [2.0, 20.0], [4.0, 40.0]]
NAN, INF = float('nan'), float('inf')


def single(**change):
    """Resample three samples of two values at two times."""
    given = {'times': TIMES, 'values': VALUES, 'targets': [50, 150]} | change
    return resample(**given)


# -- shapes ---------------------------------------------------------------------------------


def test_one_sequence_needs_no_batch_axis():
    found = single()
    assert found.values.tolist() == [[1.5, 15], [3, 30]]
    assert found.valid.tolist() == [True, True]
    assert found.age.tolist() == [np.float32(50e-9)] * 2
    assert (found.lower.tolist(), found.upper.tolist(), found.dropped) == ([0, 1], [1, 2], 0)


def test_a_batch_has_its_own_times_and_targets():
    found = resample([TIMES, [0, 10, 20]], [VALUES, VALUES], [[50], [5]])
    assert found.values.tolist() == [[[1.5, 15]], [[1.5, 15]]]
    assert found.valid.shape == found.age.shape == found.lower.shape == (2, 1)


def test_times_and_targets_without_batch_axis_count_for_all():
    own = resample([TIMES] * 2, [VALUES] * 2, [[50, 150]] * 2)
    shared = resample(TIMES, [VALUES] * 2, [50, 150])
    for mine, its in zip(own[:5], shared[:5], strict=True):
        assert mine.tobytes() == its.tobytes()


def test_fuse_lays_streams_side_by_side():
    slow = Stream([0, 200], [[7.0], [9.0]], 'hold', 60)
    found = fuse([Stream(TIMES, VALUES), slow], [50, 150])
    assert found.values.tolist() == [[1.5, 15, 7], [3, 30, 7]]
    assert found.valid.tolist() == [[True, True], [True, False]]
    assert found.age[:, 1].tolist() == [np.float32(50e-9), np.float32(150e-9)]
    assert found.columns == (slice(0, 2), slice(2, 3))
    assert found.dropped == (0, 0)


def test_a_stream_may_be_a_plain_tuple():
    plain = fuse([(TIMES, VALUES), (TIMES, VALUES, 'hold')], [50])
    named = fuse([Stream(TIMES, VALUES), Stream(TIMES, VALUES, rule='hold')], [50])
    assert plain.values.tolist() == named.values.tolist() == [[1.5, 15, 1, 10]]


def test_fuse_of_a_batch():
    stream = Stream([TIMES] * 3, [VALUES] * 3)
    found = fuse([stream, stream], [50])
    assert found.values.tolist() == [[[1.5, 15, 1.5, 15]]] * 3
    assert found.valid.shape == found.age.shape == (3, 1, 2)


def test_a_stream_without_samples_is_zeros_and_never_valid():
    empty = Stream(np.empty(0, np.int64), np.empty((0, 2), np.float32))
    found = fuse([empty, Stream(TIMES, VALUES)], [50])
    assert found.values.tolist() == [[0, 0, 1.5, 15]]
    assert found.valid.tolist() == [[False, True]]
    assert found.age[0, 0] == 3600


def test_no_targets_give_no_rows():
    assert single(targets=np.empty(0, np.int64)).values.shape == (0, 2)


# -- types ----------------------------------------------------------------------------------


def test_other_integers_and_byte_orders_are_understood():
    plain = single(values=np.array(VALUES, np.float32))
    for times in (np.array(TIMES, np.int16), np.array(TIMES, '>i8'), np.array(TIMES, np.uint64)):
        assert single(times=times).values.tobytes() == plain.values.tobytes()
    for values in (np.array(VALUES, '>f4'), np.array(VALUES), np.array(VALUES, np.float16)):
        assert single(values=values).values.tobytes() == plain.values.tobytes()


def test_bfloat16_goes_in_and_out_as_bits():
    bits = (np.array(VALUES, np.float32).view(np.uint32) >> 16).astype(np.uint16)
    found = single(values=bits, dtype='bfloat16', out_dtype='bfloat16')
    assert found.values.dtype == np.uint16
    assert found.values.tolist() == [[0x3FC0, 0x4170], [0x4040, 0x41F0]]  # 1.5 15 3 30


def test_rules_and_gaps_are_passed_on():
    assert single(rule='hold').values.tolist() == [[1, 10], [2, 20]]
    assert single(rule='nearest', targets=[51]).values.tolist() == [[2, 20]]
    assert not single(max_gap_ns=99).valid.any()


# -- what is refused ------------------------------------------------------------------------


@pytest.mark.parametrize(
    ('change', 'sentence'),
    [
        (
            {'times': [0, 100, 100]},
            r'stream 0: times of row 0 do not increase: 100 ns, then 100 n',
        ),
        ({'times': [0.0, 0.1, 0.2]}, 'stream 0: times of type float64: integer nanoseconds'),
        ({'times': [0, 1, 2**62]}, 'stream 0: times: beyond 2.62 ns'),
        ({'times': np.array([0, 1, 2**63], np.uint64)}, 'stream 0: times: beyond 2.62 ns'),
        ({'times': [0, 100]}, r'times \[2\] and values \[3, 2\] do not fit'),
        ({'times': [[TIMES]]}, r'times of shape \[1, 1, 3\]: one or two axes'),
        ({'values': [1.0, 2.0, 3.0]}, r'times \[3\] and values \[3\] do not fit'),
        ({'values': np.array(VALUES, int)}, 'values of type int64 .* use float32, float16'),
        ({'values': np.array(VALUES, np.uint16)}, 'values of type uint16 with dtype=None'),
        ({'dtype': 'bfloat16'}, "values of type float32 with dtype='bfloat16'"),
        ({'dtype': 'float16'}, "values of type float32 with dtype='float16'"),
        ({'targets': [0.5]}, 'targets of type float64: integer nanoseconds'),
        ({'targets': [[50]]}, r'targets of shape \[1, 1\]: \[T\] for streams without batch axis'),
        ({'targets': [-(2**62)]}, 'targets: beyond'),
        ({'rule': 'cubic'}, "rule 'cubic' is not one of linear, slerp, hold, nearest"),
        ({'rule': 'slerp'}, 'slerp needs 4 values x y z w, not 2'),
        ({'max_gap_ns': -1}, 'max_gap_ns = -1 is not an integer in 0 .. 2.62'),
        ({'max_gap_ns': 0.2}, 'max_gap_ns = 0.2 is not an integer'),
        ({'out_dtype': 'int8'}, "out_dtype 'int8' is not one of float32, float16, bfloat16"),
        ({'backend': 'opencl'}, "unknown backend 'opencl'"),
    ],
)
def test_what_does_not_fit_is_refused_with_a_sentence(change, sentence):
    with pytest.raises(ValueError, match=sentence):
        single(**change)


def test_the_stream_and_row_at_fault_are_named():
    good, bad = Stream([TIMES] * 2, [VALUES] * 2), Stream([TIMES, [5, 4, 9]], [VALUES] * 2)
    with pytest.raises(ValueError, match=r'stream 1: times of row 1 .* 5 ns, then 4 ns'):
        fuse([good, bad], [50])


def test_streams_have_to_agree_on_the_batch():
    plain, two = Stream(TIMES, VALUES), Stream([TIMES] * 2, [VALUES] * 2)
    with pytest.raises(ValueError, match='some streams have a batch axis'):
        fuse([plain, two], [50])
    with pytest.raises(ValueError, match=r'different batch sizes: \[2, 3\]'):
        fuse([two, Stream([TIMES] * 3, [VALUES] * 3)], [50])
    with pytest.raises(ValueError, match=r'targets of shape \[3, 1\]: \[T\] or \[2, T\]'):
        fuse([two], [[1], [2], [3]])
    with pytest.raises(ValueError, match='no streams'):
        fuse([], [50])
    with pytest.raises(ValueError, match='batch of 0'):
        resample(np.empty((0, 3), int), np.empty((0, 3, 1)), [50])


def test_a_backend_that_is_not_there_says_why(monkeypatch):
    def refuse(name):
        raise BackendUnavailable('there is no GPU here')

    monkeypatch.setattr(backends, '_accelerator', refuse)
    with pytest.raises(BackendUnavailable, match='cuda was asked for, but there is no GPU here'):
        single(backend='cuda')


# -- what is left out -----------------------------------------------------------------------


@pytest.mark.parametrize('bad', [NAN, INF, -INF, 2.0**126, -(2.0**126), 1e300])
def test_a_sample_with_a_bad_value_is_left_out_whole(bad):
    found = single(values=[[1, 10], [bad, 20], [4, 40]], targets=[50, 150, 200])
    assert found.values.tolist() == [[1.75, 17.5], [3.25, 32.5], [4, 40]]
    assert (found.lower.tolist(), found.upper.tolist()) == ([0, 0, 2], [2, 2, 2])
    assert found.dropped == 1
    assert not single(values=[[1, 10], [2, bad], [4, 40]], max_gap_ns=100).valid.any()


def test_the_largest_values_are_resampled_without_overflow():
    top = float(np.nextafter(np.float32(2.0**126), np.float32(0)))
    found = resample([0, 100], [[-top], [top]], [50, 100])
    assert found.values.tolist() == [[0], [top]]
    assert found.dropped == 0


@pytest.mark.parametrize('dtype', ['float16', 'bfloat16'])
@pytest.mark.parametrize('bad', [0x7FFF, 0x7F80, 0xFF80, 0x7E80])
def test_bad_values_of_16_bits_are_left_out(dtype, bad):
    bits = np.array([[0], [bad], [0]], np.uint16)
    values = bits if dtype == 'bfloat16' else bits.view(np.float16)
    found = resample(TIMES, values, [100], dtype=dtype)
    assert (found.values.tolist(), found.dropped) == ([[0]], 1)


def test_the_largest_usable_bfloat16_is_used():
    found = resample([0], np.array([[0x7E7F]], np.uint16), [0], dtype='bfloat16')
    assert (found.values[0, 0], found.dropped) == (np.float32(2.0**125 * (2 - 2**-7)), 0)


def test_rows_lose_their_own_samples_only():
    rng = np.random.default_rng(0)
    values = rng.standard_normal((3, 8, 2)).astype(np.float32)
    times = np.cumsum(rng.integers(1, 50, (3, 8)), axis=1)
    targets = rng.integers(0, 400, (3, 6))
    values[0, 2, 1] = values[0, 7, 0] = values[2, 0, 0] = NAN
    found = resample(times, values, targets)
    assert found.dropped == 3
    for b, lost in enumerate(([2, 7], [], [0])):
        kept = np.delete(np.arange(8), lost)
        alone = resample(times[b][kept], values[b][kept], targets[b])
        assert found.values[b].tobytes() == alone.values.tobytes()
        assert found.valid[b].tobytes() == alone.valid.tobytes()
        assert found.age[b].tobytes() == alone.age.tobytes()
        assert (found.lower[b] == kept[alone.lower]).all()
        assert (found.upper[b] == kept[alone.upper]).all()


def test_fuse_leaves_out_per_stream_and_row():
    bad = np.array([VALUES, VALUES])
    bad[1, 1, 0] = INF
    streams = [Stream([TIMES] * 2, [VALUES] * 2), Stream([TIMES] * 2, bad)]
    found = fuse(streams, [50])
    assert found.values.tolist() == [[[1.5, 15, 1.5, 15]], [[1.5, 15, 1.75, 17.5]]]
    assert found.dropped == (0, 1)


def test_without_any_usable_sample_there_is_nothing_to_hold():
    found = single(values=np.full((3, 2), NAN))
    assert found.values.tolist() == [[0, 0], [0, 0]]
    assert (found.age == 3600).all()
    assert (found.lower == -1).all()
    assert found.dropped == 3


def test_quaternions_far_from_unit_length_are_left_out():
    identity, turn = [0, 0, 0, 1], [0, 0, 1, 0]
    for bad in ([0, 0, 0, 0], [0, 0, 0, 0.7], [1, 1, 0.1, 0], [NAN, 0, 0, 1]):
        found = resample(TIMES, np.array([identity, bad, turn], float), [100], rule='slerp')
        np.testing.assert_allclose(found.values[0], [0, 0, 0.5**0.5, 0.5**0.5], atol=6e-8)
        assert found.dropped == 1
    assert resample(TIMES, [identity, [1.0, 1, 0, 0], turn], [100], rule='slerp').dropped == 0


# -- the package ----------------------------------------------------------------------------


def test_input_is_not_written_to():
    arrays = [np.array(TIMES), np.array(VALUES, np.float32), np.array([50, 150])]
    before = [array.copy() for array in arrays]
    resample(*arrays)
    fuse([Stream(*arrays[:2])], arrays[2])
    for array, copy in zip(arrays, before, strict=True):
        assert array.tobytes() == copy.tobytes()


def test_results_are_not_overwritten_by_a_later_call():
    first = fuse([Stream(TIMES, VALUES)], [50])
    kept = [part.copy() for part in first[:3]]
    fuse([Stream(TIMES, [[9.0, 9.0]] * 3)], [1000])
    for part, copy in zip(first[:3], kept, strict=True):
        assert part.tobytes() == copy.tobytes()


def test_importing_the_package_loads_neither_ros_nor_torch_nor_numpy():
    code = (
        'import sys, robocache_ros; '
        "print([m for m in ('rclpy', 'torch', 'cupy', 'numpy') if m in sys.modules]); "
        'robocache_ros.fuse; '
        "print([m for m in ('rclpy', 'torch', 'cupy') if m in sys.modules])"
    )
    run = subprocess.run([sys.executable, '-c', code], capture_output=True, text=True, check=True)
    assert run.stdout.split() == ['[]', '[]']


def test_the_package_offers_its_functions_and_no_others():
    assert {'fuse', 'resample', 'voxelize', 'Stream'} <= set(dir(robocache_ros))
    with pytest.raises(AttributeError, match="no attribute 'fusee'"):
        robocache_ros.fusee  # noqa: B018


def test_minus_zero_does_not_survive_as_it_does_not_in_the_node():
    values = np.array([[-0.0], [-0.0]], np.float32)
    for rule in ('hold', 'linear', 'nearest'):
        found = resample([0, 10], values, [0, 5, 10], rule=rule, max_gap_ns=20)
        assert found.values.view(np.uint32).ravel().tolist() == [0, 0, 0], rule
