# Copyright 2026 the robocache_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Halves of a frame find each other, and what waits in vain is counted, not kept."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from robocache_ros.pairing import Pairing


def fed(pairing, *arrivals):
    """Feed (stream, stamp) and return the pairs, each half being its own name."""
    pairs = [pairing.add(s, stamp, f'{"vf"[s]}{stamp}') for s, stamp in arrivals]
    return [pair for pair in pairs if pair is not None]


def test_either_half_may_come_first():
    pairing = Pairing(depth=5)
    assert fed(pairing, (0, 1), (1, 1), (1, 2), (0, 2)) == [('v1', 'f1'), ('v2', 'f2')]
    assert pairing.unpaired == 0


def test_one_stream_may_run_ahead():
    pairing = Pairing(depth=5)
    assert fed(pairing, (0, 1), (0, 2), (0, 3), (1, 1), (1, 2)) == [('v1', 'f1'), ('v2', 'f2')]
    assert pairing.unpaired == 0


def test_what_waits_before_a_pair_waits_in_vain():
    pairing = Pairing(depth=5)
    assert fed(pairing, (0, 1), (0, 2), (1, 2), (1, 1)) == [('v2', 'f2')]
    assert pairing.unpaired == 1  # v1; f1 waits
    assert fed(pairing, (1, 3), (0, 3)) == [('v3', 'f3')]
    assert pairing.unpaired == 2


def test_what_waits_on_either_stream_is_counted():
    pairing = Pairing(depth=5)
    assert fed(pairing, (0, 1), (1, 2), (1, 3), (0, 3)) == [('v3', 'f3')]
    assert pairing.unpaired == 2  # v1 and f2


def test_no_more_than_depth_halves_wait():
    pairing = Pairing(depth=2)
    assert fed(pairing, (0, 1), (0, 2), (0, 3), (1, 1)) == []
    assert pairing.unpaired == 1
    assert fed(pairing, (1, 2)) == [('v2', 'f2')]


def test_a_stamp_of_an_earlier_run_does_not_pair_with_this_one():
    pairing = Pairing(depth=5)
    assert pairing.add(0, 7, 'old') is None
    assert pairing.add(0, 7, 'new') is None
    assert pairing.add(1, 7, 'features') == ('new', 'features')
    assert pairing.unpaired == 1


@given(
    voxels=st.lists(st.booleans(), min_size=1, max_size=12),
    features=st.lists(st.booleans(), min_size=1, max_size=12),
    turns=st.lists(st.integers(0, 1), max_size=24),
)
def test_with_room_every_stamp_on_both_streams_pairs_once(voxels, features, turns):
    streams = [[i for i, there in enumerate(flags) if there] for flags in (voxels, features)]
    pairing = Pairing(depth=12)
    pairs, waiting = [], [list(s) for s in streams]
    for turn in (*turns, *([0] * 12), *([1] * 12)):
        if waiting[turn]:
            stamp = waiting[turn].pop(0)
            pairs += fed(pairing, (turn, stamp))
    both = sorted(set(streams[0]) & set(streams[1]))
    assert pairs == [(f'v{stamp}', f'f{stamp}') for stamp in both]
    assert pairing.unpaired <= sum(map(len, streams)) - 2 * len(both)
