# Copyright 2026 the robocache_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The ring buffer keeps samples sorted, contiguous and accounted for."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from robocache_ros.reasons import Reason
from robocache_ros.timeline.ring import RingBuffer


def make_ring(capacity: int = 4, history_ns: int = 1000) -> RingBuffer:
    return RingBuffer(capacity, history_ns, [(np.float32, (1,))])


def fill(ring: RingBuffer, *times: int) -> list[Reason | None]:
    return [ring.insert(t, np.array([t / 2])) for t in times]


def test_samples_that_come_in_order_stay_in_order():
    ring = make_ring()
    assert fill(ring, 1, 2, 3) == [None, None, None]
    assert ring.times.tolist() == [1, 2, 3]
    assert ring.column(0).ravel().tolist() == [0.5, 1.0, 1.5]


def test_a_sample_out_of_order_is_inserted_where_it_belongs():
    ring = make_ring()
    fill(ring, 10, 30)
    ring.mark_used(np.array([30]))
    fill(ring, 20)
    assert ring.times.tolist() == [10, 20, 30]
    assert ring.column(0).ravel().tolist() == [5, 10, 15]
    assert ring.fates.tolist() == [0, 0, 1]


def test_an_equal_stamp_is_a_duplicate_and_the_first_one_stays():
    ring = make_ring()
    fill(ring, 10, 20)
    assert ring.insert(10, np.array([99.0])) is Reason.DUPLICATE
    assert ring.insert(20, np.array([99.0])) is Reason.DUPLICATE
    assert ring.column(0).ravel().tolist() == [5, 10]


@pytest.mark.parametrize(('t_ns', 'reason'), [(900, None), (899, Reason.LATE)])
def test_a_sample_older_than_the_history_is_late(t_ns, reason):
    ring = make_ring(history_ns=100)
    fill(ring, 1000)
    assert ring.insert(t_ns, np.zeros(1)) is reason


def test_samples_leave_when_newer_ones_push_them_out_of_the_history():
    ring = make_ring(history_ns=100)
    fill(ring, 1000, 1050)
    ring.mark_used(np.array([1000]))
    fill(ring, 1101, 1151)
    # The history begins at 1051; 1050 is the value held there.
    assert ring.times.tolist() == [1050, 1101, 1151]
    fill(ring, 1201)
    assert ring.times.tolist() == [1101, 1151, 1201]
    assert (ring.used, ring.expired) == (1, 1)


def test_a_full_ring_lets_the_oldest_go():
    ring = make_ring(capacity=2)
    fill(ring, 1, 2, 3)
    assert ring.times.tolist() == [2, 3]
    assert ring.expired == 1


def test_a_full_ring_refuses_what_is_older_than_all_it_keeps():
    ring = make_ring(capacity=2)
    assert fill(ring, 5, 6, 4) == [None, None, Reason.LATE]
    assert ring.times.tolist() == [5, 6]


def test_a_lost_sample_leaves_with_its_reason_unless_it_was_used():
    ring = make_ring()
    fill(ring, 1, 2, 3)
    ring.mark_lost(1, Reason.OVERLOAD)
    ring.mark_used(np.array([2]))
    ring.mark_lost(2, Reason.OVERLOAD)
    ring.flush(Reason.EPOCH_FLUSH)
    assert len(ring) == 0
    assert ring.used == 1
    assert ring.dropped == {Reason.OVERLOAD: 1, Reason.EPOCH_FLUSH: 1}


def test_a_sample_that_was_lost_to_one_frame_may_be_used_by_another():
    ring = make_ring()
    fill(ring, 1)
    ring.mark_lost(1, Reason.OVERLOAD)
    ring.mark_used(np.array([1]))
    ring.flush(Reason.EPOCH_FLUSH)
    assert (ring.used, dict(ring.dropped)) == (1, {})


def test_marking_times_that_are_not_here_changes_nothing():
    ring = make_ring()
    fill(ring, 10, 20)
    ring.mark_used(np.array([5, 15, 25]))
    assert ring.fates.tolist() == [0, 0]


def test_messages_that_left_are_not_kept_alive():
    ring = RingBuffer(2, 1000, [(object, ())])
    for t_ns in range(7):
        ring.insert(t_ns, f'message {t_ns}')
    held = [value for value in ring._columns[0] if value is not None]
    assert held == ['message 5', 'message 6']


@given(
    st.lists(st.integers(0, 400), max_size=60),
    st.integers(1, 8),
    st.integers(0, 100),
)
def test_any_arrivals_stay_sorted_bounded_and_accounted(times, capacity, history_ns):
    ring = make_ring(capacity, history_ns)
    refused = sum(reason is not None for reason in fill(ring, *times))
    kept = ring.times.tolist()
    assert kept == sorted(set(kept))
    assert len(kept) <= capacity
    if kept:
        assert kept[-1] == max(times)
        assert all(kept[-1] - t < max(history_ns, 1) for t in kept[1:])
    assert ring.column(0).ravel().tolist() == [t / 2 for t in kept]
    assert len(times) == refused + ring.used + ring.expired + len(ring)
