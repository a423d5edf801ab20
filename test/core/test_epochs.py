# Copyright 2026 the robocache_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Which stamps of one source are glitches, gaps or a new time."""

from __future__ import annotations

from robocache_ros.timeline.epochs import Arrival, JumpGate

JUMP_NS = 10


def judged(gate: JumpGate, *stamps: int | tuple[int, int]) -> list[str]:
    """Push stamps, or (arrival, stamp) pairs; say what became of each: +accepted -glitch !back."""
    said = []
    for number, stamp in enumerate(stamps):
        arrival, t_ns = stamp if isinstance(stamp, tuple) else (number, stamp)
        judgement = gate.judge(Arrival(arrival, t_ns, ()))
        words = [f'-{one.t_ns}' for one in judgement.unconfirmed]
        words += [f'+{one.t_ns}' for one in judgement.accepted]
        said.append(' '.join(words) + ('!' if judgement.went_back else ''))
    return said


def test_stamps_within_the_jump_limit_are_accepted_in_any_order():
    assert judged(JumpGate(JUMP_NS), 100, 105, 95, 115) == ['+100', '+105', '+95', '+115']


def test_one_stamp_out_of_line_is_a_glitch():
    assert judged(JumpGate(JUMP_NS), 100, 5000, 101) == ['+100', '', '-5000 +101']
    assert judged(JumpGate(JUMP_NS), 100, 3, 101) == ['+100', '', '-3 +101']


def test_two_stamps_confirm_a_jump_back():
    assert judged(JumpGate(JUMP_NS), 100, 3, 4, 5) == ['+100', '', '+3 +4!', '+5']


def test_two_stamps_confirm_a_jump_forward_which_is_no_new_time():
    assert judged(JumpGate(JUMP_NS), 100, 500, 501) == ['+100', '', '+500 +501']


def test_two_glitches_to_different_sides_do_not_confirm_each_other():
    assert judged(JumpGate(JUMP_NS), 100, 500, 3, 101) == ['+100', '', '-500', '-3 +101']


def test_a_step_exactly_as_large_as_the_limit_is_no_jump():
    assert judged(JumpGate(JUMP_NS), 100, 110, 100) == ['+100', '+110', '+100']


def test_a_gap_that_the_arrival_clock_saw_as_well_needs_no_confirmation():
    assert judged(JumpGate(JUMP_NS), (0, 100), (400, 500)) == ['+100', '+500']


def test_a_slow_source_is_not_taken_for_a_jumping_one():
    stamps = [(k * 50, 1000 + k * 50) for k in range(5)]
    assert judged(JumpGate(JUMP_NS), *stamps) == ['+1000', '+1050', '+1100', '+1150', '+1200']


def test_a_slow_source_replayed_fast_is_confirmed_in_pairs():
    assert judged(JumpGate(JUMP_NS), 0, 50, 100) == ['+0', '', '+50 +100']


def test_a_restart_takes_the_sample_at_once_and_gives_up_the_held_one():
    gate = JumpGate(JUMP_NS)
    judged(gate, 100, 50)
    judgement = gate.restart(Arrival(9, 7, ()))
    assert [one.t_ns for one in judgement.accepted] == [7]
    assert [one.t_ns for one in judgement.unconfirmed] == [50]
    assert gate.newest_ns == 7
    assert gate.held == 0


def test_the_held_sample_is_counted_until_it_is_judged():
    gate = JumpGate(JUMP_NS)
    judged(gate, 100, 500)
    assert (gate.held, gate.newest_ns) == (1, 100)
