# Copyright 2026 the robocache_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Values at target times, by every rule, worked out by hand and against other people's code."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from robocache_ros.resampling import RULES, Stream

pytestmark = pytest.mark.filterwarnings('error')

SEC = 1_000_000_000
GAP = 200_000_000
EPOCH = 1_760_000_000 * SEC  # a time of today, where float64 seconds have steps of 238 ns


@pytest.fixture(scope='session')
def one(resample):
    def run(times, values, targets, rule='linear', max_gap_ns=GAP):
        """Resample one sequence of scalars; returns the result without batch and value axes."""
        values = np.array(values, np.float32).reshape(1, len(times), 1)
        stream = Stream(np.array([times], np.int64), values, rule, max_gap_ns)
        found = resample(stream, np.array([targets], np.int64))
        return found._replace(
            values=found.values[0, :, 0],
            valid=found.valid[0],
            age=found.age[0],
            lower=found.lower[0],
            upper=found.upper[0],
        )

    return run


# -- linear --------------------------------------------------------------------------------


def test_linear_between_two_samples_uses_both_and_ages_from_the_earlier(one):
    found = one([0, 100], [10, 20], [25, 50, 75])
    assert found.values.tolist() == [12.5, 15.0, 17.5]
    assert found.valid.tolist() == [True, True, True]
    assert found.age.tolist() == [np.float32(25e-9), np.float32(50e-9), np.float32(75e-9)]
    assert found.lower.tolist() == [0, 0, 0]
    assert found.upper.tolist() == [1, 1, 1]


def test_an_exact_hit_is_that_sample_alone(one):
    found = one([0, 100, 200], [10, 20, 40], [0, 100, 200])
    assert found.values.tolist() == [10, 20, 40]
    assert found.valid.all()
    assert found.age.tolist() == [0, 0, 0]
    assert found.lower.tolist() == found.upper.tolist() == [0, 1, 2]


def test_an_exact_hit_is_valid_whatever_the_gaps_beside_it(one):
    found = one([0, 10 * SEC, 20 * SEC], [1, 2, 3], [10 * SEC])
    assert (found.values[0], found.valid[0]) == (2, True)


def test_outside_the_samples_the_nearest_is_held_and_not_valid(one):
    found = one([100, 200], [10, 20], [99, 100, 200, 201, 300])
    assert found.values.tolist() == [10, 10, 20, 20, 20]
    assert found.valid.tolist() == [False, True, True, False, False]
    assert found.age.tolist() == [np.float32(-1e-9), 0, 0, np.float32(1e-9), np.float32(100e-9)]
    assert found.lower.tolist() == found.upper.tolist() == [0, 0, 1, 1, 1]


def test_a_bracket_of_just_max_gap_is_interpolated_and_one_more_is_held(one):
    assert one([0, 100], [10, 20], [50], max_gap_ns=100).values.tolist() == [15]
    held = one([0, 100], [10, 20], [49, 50, 51], max_gap_ns=99)
    assert held.values.tolist() == [10, 10, 20]  # the earlier one when tied
    assert held.valid.tolist() == [False, False, False]
    assert held.lower.tolist() == held.upper.tolist() == [0, 0, 1]
    # Age counts from the newest sample that is not later, also where the later one is held.
    assert held.age.tolist() == [np.float32(49e-9), np.float32(50e-9), np.float32(51e-9)]


def test_a_single_sample_is_valid_at_its_own_time_only(one):
    found = one([100], [7], [99, 100, 101])
    assert found.values.tolist() == [7, 7, 7]
    assert found.valid.tolist() == [False, True, False]


def test_times_of_today_keep_every_nanosecond(one):
    found = one([EPOCH, EPOCH + 4], [0, 4], [EPOCH + k for k in range(5)])
    assert found.values.tolist() == [0, 1, 2, 3, 4]


def test_the_weight_is_rounded_to_float32_before_it_is_used(one):
    expected = np.float32(1 / 3) * np.float32(5)
    assert expected != np.float32(1 / 3 * 5)
    assert one([0, 3], [0, 5], [1]).values[0] == expected


def test_the_weight_divides_in_float64(one):
    # 2^24 + 1 and 2^25 + 3 are no float32: rounding them first would give another weight.
    t, gap = 2**24 + 1, 2**25 + 3
    weight = np.float32(t / gap)
    assert weight != np.float32(t) / np.float32(gap)
    assert one([0, gap], [0, 1], [t]).values[0] == weight


def test_linear_agrees_with_np_interp(one):
    rng = np.random.default_rng(1)
    times = np.sort(rng.choice(10**9, 80, replace=False))
    values = rng.standard_normal(80).astype(np.float32)
    targets = rng.integers(-(10**7), 10**9 + 10**7, 500)
    found = one(times, values, targets, max_gap_ns=10**10)
    expected = np.interp(targets, times, values.astype(np.float64))
    np.testing.assert_allclose(found.values, expected, rtol=0, atol=5e-7)
    assert (found.valid == ((targets >= times[0]) & (targets <= times[-1]))).all()


# -- hold and nearest ----------------------------------------------------------------------


def test_hold_takes_the_sample_before_while_it_is_not_older_than_max_gap(one):
    found = one([100, 200], [10, 20], [99, 100, 199, 200, 250, 251], 'hold', max_gap_ns=50)
    assert found.values.tolist() == [10, 10, 10, 20, 20, 20]
    assert found.valid.tolist() == [False, True, False, True, True, False]
    assert found.lower.tolist() == found.upper.tolist() == [0, 0, 0, 1, 1, 1]
    assert found.age[0] == np.float32(-1e-9)


def test_nearest_takes_the_earlier_of_two_equally_near(one):
    found = one([0, 100], [10, 20], [0, 49, 50, 51, 100], 'nearest')
    assert found.values.tolist() == [10, 10, 10, 20, 20]
    assert found.valid.all()
    assert found.lower.tolist() == found.upper.tolist() == [0, 0, 0, 1, 1]


def test_nearest_is_valid_within_max_gap_of_the_sample_and_inside_the_samples(one):
    found = one([0, 100], [10, 20], [-1, 30, 31, 50, 69, 70, 101], 'nearest', max_gap_ns=30)
    assert found.values.tolist() == [10, 10, 10, 10, 20, 20, 20]
    assert found.valid.tolist() == [False, True, False, False, False, True, False]


def test_nearest_ages_from_the_sample_before_though_it_takes_the_one_after(one):
    assert one([0, 100], [10, 20], [80], 'nearest').age[0] == np.float32(80e-9)


# -- no samples, shapes, targets ------------------------------------------------------------


@pytest.mark.parametrize('rule', RULES)
def test_without_samples_there_are_zeros_or_the_identity(resample, rule):
    stream = Stream(np.empty((2, 0), np.int64), np.empty((2, 0, 4), np.float32), rule)
    found = resample(stream, np.array([[0, 5, SEC]] * 2))
    row = [0, 0, 0, 1] if rule == 'slerp' else [0, 0, 0, 0]
    assert found.values.tolist() == [[row] * 3] * 2
    assert not found.valid.any()
    assert (found.age == 3600).all()
    assert (found.lower == -1).all()
    assert (found.upper == -1).all()


def test_targets_may_come_in_any_order_and_repeat(one):
    found = one([0, 128], [0, 128], [70, 30, 30, 99, 1])
    assert found.values.tolist() == [70, 30, 30, 99, 1]


def test_a_stream_without_columns_has_valid_and_age_all_the_same(resample):
    stream = Stream(np.array([[0, 100]]), np.zeros((1, 2, 0), np.float32))
    found = resample(stream, np.array([[-5, 50]]))
    assert found.values.shape == (1, 2, 0)
    assert found.valid.tolist() == [[False, True]]
    assert found.age.tolist() == [[np.float32(-5e-9), np.float32(50e-9)]]


def test_input_is_not_written_to(resample):
    times, values, targets = np.array([[0, 100]]), np.ones((1, 2, 1), np.float32), np.array([[7]])
    for array in (times, values, targets):
        array.flags.writeable = False
    for rule in ('linear', 'hold', 'nearest'):
        resample(Stream(times, values, rule, 10), targets)


def test_a_strided_window_gives_the_same_as_its_copy(resample):
    rng = np.random.default_rng(2)
    times = np.arange(0, 20, 2, dtype=np.int64)[None]
    ring = rng.standard_normal((1, 10, 7)).astype(np.float32)
    targets = np.array([[3, 9, 18]])
    view = resample(Stream(times, ring[:, :, 2:5]), targets)
    copy = resample(Stream(times, ring[:, :, 2:5].copy()), targets)
    assert view.values.tobytes() == copy.values.tobytes()


# -- batches and several streams ------------------------------------------------------------


@st.composite
def batches(draw):
    """Streams of a batch, each row with its own times; and targets in and around them."""
    batch = draw(st.integers(1, 4))
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    streams = []
    for _ in range(draw(st.integers(1, 4))):
        rule = draw(st.sampled_from(RULES))
        samples = draw(st.integers(0, 12))
        width = 4 if rule == 'slerp' else draw(st.integers(1, 5))
        start = draw(st.sampled_from([0, -50, EPOCH]))
        steps = rng.integers(1, 40, (batch, samples))
        values = rng.standard_normal((batch, samples, width)).astype(np.float32)
        if rule == 'slerp':
            values /= np.linalg.norm(values, axis=2, keepdims=True)
        gap = draw(st.sampled_from([0, 10, 25, GAP]))
        streams.append(Stream(start + np.cumsum(steps, axis=1), values, rule, gap))
    start = draw(st.sampled_from([0, EPOCH]))
    targets = start + rng.integers(-30, 300, (batch, draw(st.integers(1, 9))))
    return streams, targets


@settings(max_examples=150, deadline=None)
@given(batches())
def test_a_batch_is_its_sequences_one_by_one_bit_for_bit(resample, case):
    streams, targets = case
    for stream in streams:
        whole = resample(stream, targets)
        for b in range(len(targets)):
            row = stream._replace(times=stream.times[b][None], values=stream.values[b][None])
            single = resample(row, targets[b : b + 1])
            for mine, its in zip(whole[:5], single[:5], strict=True):
                assert mine[b].tobytes() == its[0].tobytes()


@settings(max_examples=100, deadline=None)
@given(batches(), st.randoms(use_true_random=False))
def test_sequences_and_targets_may_be_permuted(resample, case, random):
    streams, targets = case
    rows = random.sample(range(len(targets)), len(targets))
    columns = random.sample(range(targets.shape[1]), targets.shape[1])
    for stream in streams:
        plain = resample(stream, targets)
        mixed = stream._replace(times=stream.times[rows], values=stream.values[rows])
        other = resample(mixed, targets[rows][:, columns])
        for mine, its in zip(plain[:5], other[:5], strict=True):
            assert mine[rows][:, columns].tobytes() == its.tobytes()


@settings(max_examples=150, deadline=None)
@given(batches())
def test_fuse_puts_what_resample_gives_side_by_side(fuse, resample, case):
    streams, targets = case
    fused = fuse(streams, targets)
    assert fused.values.shape[2] == sum(stream.values.shape[2] for stream in streams)
    for k, stream in enumerate(streams):
        single = resample(stream, targets)
        assert fused.values[..., fused.columns[k]].tobytes() == single.values.tobytes()
        assert fused.valid[..., k].tobytes() == single.valid.tobytes()
        assert fused.age[..., k].tobytes() == single.age.tobytes()


@settings(max_examples=150, deadline=None)
@given(batches())
def test_values_are_never_nan_and_stay_between_the_samples_used(resample, case):
    streams, targets = case
    for stream in streams:
        found = resample(stream, targets)
        assert np.isfinite(found.values).all()
        if stream.times.shape[1] == 0 or stream.rule == 'slerp':
            continue
        first = np.take_along_axis(stream.values, found.lower[..., None], axis=1)
        second = np.take_along_axis(stream.values, found.upper[..., None], axis=1)
        slack = 4e-7 * np.maximum(np.abs(first), np.abs(second))
        assert (found.values >= np.minimum(first, second) - slack).all()
        assert (found.values <= np.maximum(first, second) + slack).all()
        alike = found.lower == found.upper
        assert (found.values[alike] == first[alike]).all()


@settings(max_examples=150, deadline=None)
@given(batches())
def test_results_follow_the_definition_read_literally(resample, case):
    """The rules again, one target at a time, as they are written in the documentation."""
    streams, targets = case
    for stream in streams:
        if stream.times.shape[1] == 0:
            continue
        found = resample(stream, targets)
        for b, k in np.ndindex(*targets.shape):
            times = stream.times[b].tolist()
            t = int(targets[b, k])
            got = (found.lower[b, k], found.upper[b, k], bool(found.valid[b, k]))
            assert got == literal(times, t, stream.rule, stream.max_gap_ns)
            before = [s for s in times if s <= t]
            age = t - (before[-1] if before else times[0])
            assert found.age[b, k] == np.float32(age / 1e9)


def literal(times, t, rule, max_gap):
    """Indices of the samples used, and validity."""
    i = max([k for k, s in enumerate(times) if s <= t], default=-1)
    near = min(range(len(times)), key=lambda k: (abs(times[k] - t), k))
    inside = times[0] <= t <= times[-1]
    if rule == 'hold':
        return max(i, 0), max(i, 0), i >= 0 and t - times[i] <= max_gap
    if rule == 'nearest':
        return near, near, inside and abs(times[near] - t) <= max_gap
    if not inside:
        return near, near, False
    if times[i] == t:
        return i, i, True
    if times[i + 1] - times[i] > max_gap:
        return near, near, False
    return i, i + 1, True
