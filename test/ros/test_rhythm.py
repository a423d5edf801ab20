# Copyright 2026 the robocache_ros authors
# SPDX-License-Identifier: Apache-2.0
"""What the stamps and arrivals of a source amount to, by hand."""

from __future__ import annotations

import pytest

from robocache_ros.ros.rhythm import Beat, Rhythm

MS = 1_000_000
LATER_NS = 10**12  # stamps are of another time than arrivals


def heard(rhythm, times_ms, lag_ms=5.0, decode_ms=1):
    """Let messages of these times arrive, so much later; returns the arrival of the last."""
    arrival_ns = 0
    for time_ms in times_ms:
        arrival_ns = round((time_ms + lag_ms) * MS)
        rhythm.note(arrival_ns, LATER_NS + round(time_ms * MS), decode_ms * MS)
    return arrival_ns


def test_a_source_that_was_never_heard_has_no_rhythm():
    beat = Rhythm().look(now_ns=10**15)
    assert beat == Beat()
    assert beat.values() == {'gaps': '0', 'longest_gap_ms': '0.0'}


def test_a_steady_source_has_neither_gaps_nor_jitter():
    rhythm = Rhythm()
    beat = rhythm.look(heard(rhythm, range(0, 1000, 100)))
    assert (beat.gaps, beat.longest_gap_ms) == (0, 0.0)
    assert (beat.stamp_jitter_ms, beat.arrival_jitter_ms) == (0.0, 0.0)
    assert beat.least_lag_ns == 5 * MS - LATER_NS
    assert (beat.decode.p50_ms, beat.decode.p99_ms) == (1.0, 1.0)


def test_every_step_that_lacks_a_message_is_a_gap_and_counted_once():
    rhythm = Rhythm()
    rhythm.look(heard(rhythm, [0, 100, 200, 300, 400, 600]))  # one is missing
    beat = rhythm.look(heard(rhythm, [700, 849, 1300, 1400]))  # late is not missing; three are
    assert (beat.gaps, beat.longest_gap_ms) == (2, 451.0)
    again = rhythm.look(1405 * MS)
    assert (again.gaps, again.longest_gap_ms) == (2, 451.0)


def test_a_gap_between_two_looks_is_counted():
    rhythm = Rhythm()
    rhythm.look(heard(rhythm, range(0, 500, 100)))
    assert rhythm.look(heard(rhythm, range(700, 1200, 100))).gaps == 1


def test_messages_out_of_order_and_repeated_ones_are_no_gaps():
    rhythm = Rhythm()
    beat = rhythm.look(heard(rhythm, [0, 100, 200, 200, 300, 500, 400, 600, 700]))
    assert beat.gaps == 1  # as of 500 it was one
    assert rhythm.look(heard(rhythm, [800, 900])).gaps == 1


def test_a_time_that_begins_anew_is_no_gap_and_those_in_it_are_counted():
    rhythm = Rhythm()
    rhythm.look(heard(rhythm, range(5000, 6000, 100)))
    for k, time_ms in enumerate([0, 100, 200, 300, 400, 600]):
        assert rhythm.look(6000 * MS + 100 * k * MS).gaps == 0
        rhythm.note((6000 + 100 * k) * MS, LATER_NS + time_ms * MS, MS)
    assert rhythm.look(6500 * MS).gaps == 1


def test_jitter_of_stamps_and_of_arrivals_are_told_apart():
    rhythm = Rhythm()
    for k in range(40):
        rhythm.note((100 * k + (k % 2) * 10) * MS, (100 * k + (k % 4 == 1) * 2) * MS, MS)
    beat = rhythm.look(4000 * MS)
    assert beat.stamp_jitter_ms == pytest.approx(2.0)
    # Every step is 90 or 110 ms; the usual one is one of them or halfway.
    assert 10.0 <= beat.arrival_jitter_ms <= 20.0


def test_what_is_long_ago_does_not_count_but_its_gaps_stay():
    rhythm = Rhythm()
    now_ns = heard(rhythm, [0, 100, 200, 300, 400, 600])
    rhythm.look(now_ns)
    beat = rhythm.look(now_ns + 6_000 * MS)
    assert beat == Beat(gaps=1, longest_gap_ms=200.0)


def test_how_long_a_message_took_to_decode_is_known_by_its_arrival():
    rhythm = Rhythm()
    now_ns = heard(rhythm, [0, 100], decode_ms=3)
    assert rhythm.decoding_ns() == {now_ns - 100 * MS: 3 * MS, now_ns: 3 * MS}
