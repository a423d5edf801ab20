# Copyright 2026 the robocache_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Whatever a network does, every image gets its encoding or a reason, once, and nobody waits."""

from __future__ import annotations

import subprocess
import sys
import threading
from collections import Counter

import numpy as np
import pytest
from fake_network import DEADLINE_SEC, WIDTH, Clock, Gate, Listener, Network, good, picture, source

from robocache_ros.encoding import EncoderPool, close_encoders, pool
from robocache_ros.encoding.pool import MOST_HANGING
from robocache_ros.reasons import Reason, Rejected

BUSY, OFF = Reason.ENCODER_BUSY, Reason.ENCODER_OFF
FAILED, NONFINITE = Reason.ENCODER_FAILED, Reason.ENCODER_NONFINITE


class Rig:
    """A pool with a clock that stands still, a network that obeys and a listener."""

    def __init__(self, **encoder):
        self.clock, self.network, self.listener = Clock(), Network(), Listener()
        self.woken = threading.Semaphore(0)
        self.pool = EncoderPool(source(**encoder), self.network, self.woken.release, self.clock)
        self._gates = []

    def gate(self):
        """Make the network stop from now on, in a gate of its own."""
        gate = Gate()
        self._gates.append(gate)
        self.network.behave = gate
        return gate

    def submit(self, *values, error=None):
        for value in values:
            self.pool.submit(picture(value, error), self.listener.expect(value))

    def run(self, value, error=None):
        """Submit one picture, wait for it and return what came."""
        count = len(self.listener.results) + 1
        self.submit(value, error=error)
        return self.listener.wait(count)[-1][1]

    def fail_three_times(self):
        self.network.behave = raising
        assert [self.run(n) for n in range(3)] == [FAILED] * 3

    def let_go(self):
        for gate in self._gates:
            gate.open.set()


@pytest.fixture
def rig():
    rigs = []

    def make(**encoder):
        rigs.append(Rig(**encoder))
        return rigs[-1]

    yield make
    for made in rigs:
        made.let_go()
        made.pool.close()
    for thread in threads() + watchers():
        thread.join(DEADLINE_SEC)


def threads():
    """Return those of pools that have not ended and call networks."""
    return [thread for thread in threading.enumerate() if thread.name == 'camera.encoder']


def watchers():
    """Return those of pools that have not ended and look for what is overdue."""
    return [thread for thread in threading.enumerate() if thread.name == 'camera.encoder.watcher']


def raising(image):
    raise ValueError(f'no cat in\n{image}')


# -- what comes out -----------------------------------------------------------------------------


def test_images_become_encodings(rig):
    rig = rig()
    got = []
    arrived = threading.Event()
    rig.pool.submit(picture(7.0), lambda result: (got.append(result), arrived.set()))
    assert arrived.wait(DEADLINE_SEC)
    assert got[0].dtype == np.float32
    assert got[0].tolist() == [7.0, 0.5]
    assert (rig.pool.status().state, rig.pool.status().sentence) == ('ok', '')


@pytest.mark.parametrize(
    ('output', 'reason', 'text'),
    [
        ([1.0, np.nan], NONFINITE, '1 of 2 values are NaN'),
        ([-np.inf, 1.0], NONFINITE, '1 of 2'),
        ([2.0**126, -(2.0**126)], NONFINITE, '2 of 2'),
        ([1.0], Reason.ENCODER_WIDTH, '1 values instead of 2'),
        ([1.0, 2.0, 3.0], Reason.ENCODER_WIDTH, '3 values instead of 2'),
        ([[1.0, 2.0]], Reason.ENCODER_WIDTH, '2 values'),
    ],
)
def test_what_fusion_can_not_use_gets_the_reason(rig, output, reason, text):
    rig = rig()
    rig.network.behave = lambda image: np.array(output, np.float32)
    assert rig.run(1) is reason
    status = rig.pool.status()
    assert status.state == 'failing'
    assert reason.key in status.sentence
    assert text in status.sentence


def test_the_text_of_an_error_is_told_in_one_line(rig):
    rig = rig()
    rig.network.behave = raising
    assert rig.run(5) is FAILED
    assert 'ValueError: no cat in 5' in rig.pool.status().sentence
    rig.network.behave = lambda image: 1 / 0 if image else raising('x' * 5000)
    assert rig.run(0) is FAILED
    assert len(rig.pool.status().sentence) < 350


def test_a_damaged_image_is_not_the_fault_of_the_network(rig):
    rig = rig()
    corrupt = Rejected(Reason.IMAGE_CORRUPT, 'truncated')
    assert [rig.run(n, corrupt) for n in range(5)] == [Reason.IMAGE_CORRUPT] * 5
    assert rig.pool.status().state == 'ok'
    assert rig.network.seen == []


def test_durations_are_from_image_to_encoding(rig):
    rig = rig()

    def slow(image):
        rig.clock.now += image * 1e-3
        return good(image)

    rig.network.behave = slow
    assert rig.pool.status().p50_ms is None
    for milliseconds in range(1, 101):
        rig.run(milliseconds)
    status = rig.pool.status()
    assert status.p50_ms == pytest.approx(50)
    assert status.p99_ms == pytest.approx(99)
    assert status.done == 100


# -- waiting ------------------------------------------------------------------------------------


def test_the_newest_image_takes_the_place_of_the_one_that_waits(rig):
    rig = rig(workers=1)
    gate = rig.gate()
    rig.submit(1)
    gate.wait_entered()
    rig.submit(2, 3, 4)
    assert rig.listener.results == [(2, BUSY), (3, BUSY)]
    gate.open.set()
    assert rig.listener.wait(4)[2:] == [(1, 1.0), (4, 4.0)]


def test_of_several_that_wait_the_oldest_makes_room(rig):
    rig = rig(workers=2)
    gate = rig.gate()
    rig.submit(1, 2)
    gate.wait_entered(2)
    rig.submit(3, 4, 5)
    assert rig.listener.results == [(3, BUSY)]
    gate.open.set()
    assert sorted(rig.listener.wait(5)[1:]) == [(1, 1.0), (2, 2.0), (4, 4.0), (5, 5.0)]


def test_an_image_that_waited_too_long_is_not_computed(rig):
    rig = rig(workers=1, timeout_sec=0.1)
    gate = rig.gate()
    rig.submit(1)
    gate.wait_entered()
    rig.submit(2)
    rig.clock.now += 0.125
    gate.open.set()
    assert sorted(rig.listener.wait(2)) == [(1, 1.0), (2, BUSY)]
    assert rig.network.seen == [1]


def test_an_image_that_waits_too_long_is_told_so_while_all_workers_are_busy(rig):
    rig = rig(workers=1, timeout_sec=0.01)
    gate = rig.gate()
    rig.submit(1)
    gate.wait_entered()
    rig.submit(2)
    rig.clock.now += 0.02
    assert rig.listener.wait(1) == [(2, BUSY)]  # nothing else is submitted, no call ends
    assert rig.woken.acquire(timeout=DEADLINE_SEC)
    assert rig.pool.status().counts == {BUSY: 1}
    gate.open.set()
    assert rig.listener.wait(2)[1] == (1, 1.0)


def test_an_image_that_waited_just_as_long_as_it_may_is_computed(rig):
    rig = rig(workers=1, timeout_sec=0.125)
    gate = rig.gate()
    rig.submit(1)
    gate.wait_entered()
    rig.submit(2)
    rig.clock.now += 0.125
    gate.open.set()
    assert rig.listener.wait(2) == [(1, 1.0), (2, 2.0)]


def test_workers_compute_at_the_same_time(rig):
    rig = rig(workers=3)
    meeting = threading.Barrier(3, timeout=DEADLINE_SEC)

    def meet(image):
        meeting.wait()
        return good(image)

    rig.network.behave = meet
    rig.submit(1, 2, 3)
    assert sorted(rig.listener.wait(3)) == [(1, 1.0), (2, 2.0), (3, 3.0)]


def test_an_idle_thread_is_used_before_another_is_started(rig):
    rig = rig(workers=8)
    for n in range(20):
        rig.run(n)
    assert len(threads()) == 1


# -- the breaker --------------------------------------------------------------------------------


def test_after_three_failures_in_a_row_images_are_refused_at_once(rig):
    rig = rig()
    rig.fail_three_times()
    rig.submit(3, 4)
    assert rig.listener.results[3:] == [(3, OFF), (4, OFF)]
    assert len(rig.network.seen) == 3
    status = rig.pool.status()
    assert status.state == 'off'
    assert status.sentence == (
        'camera.encoder: the network failed 3 times in a row (encoder_failed: ValueError: no cat '
        'in 2); it is tried again in 1 s'
    )
    assert status.counts == {FAILED: 3, OFF: 2}


def test_different_failures_count_together_and_a_success_starts_the_count_anew(rig):
    rig = rig()
    outputs = iter([[np.nan, 0], [1], [1, 2], [np.nan, 0], [1], [1, 2, 3]])
    rig.network.behave = lambda image: np.array(next(outputs), np.float32)
    for n in range(5):
        rig.run(n)
        assert rig.pool.status().state == ('ok' if n == 2 else 'failing')
    rig.run(5)
    assert rig.pool.status().state == 'off'


def test_images_that_wait_when_the_breaker_opens_are_refused(rig):
    rig = rig(workers=1)
    rig.network.behave = raising
    rig.run(1)
    rig.run(2)
    gate = Gate()

    def stop_and_raise(image):
        gate(image)
        raising(image)

    rig.network.behave = stop_and_raise
    rig.submit(3)
    gate.wait_entered()
    rig.submit(4)
    gate.open.set()
    assert rig.listener.wait(4)[2:] == [(3, FAILED), (4, OFF)]


def test_a_good_try_after_the_pause_closes_the_breaker(rig):
    rig = rig()
    rig.fail_three_times()
    rig.network.behave = good
    rig.clock.now += 0.99
    assert rig.run(3) is OFF
    rig.clock.now += 0.02
    assert 'with the next image' in rig.pool.status().sentence
    assert rig.run(4) == 4.0
    assert rig.pool.status().state == 'ok'
    assert rig.run(5) == 5.0


def test_a_bad_try_doubles_the_pause(rig):
    rig = rig()
    rig.fail_three_times()
    rig.clock.now += 1.0
    assert rig.run(3) is FAILED
    rig.clock.now += 1.99
    assert rig.run(4) is OFF
    rig.clock.now += 0.02
    assert rig.run(5) is FAILED


def test_only_one_image_is_tried(rig):
    rig = rig(workers=4)
    rig.fail_three_times()
    rig.clock.now += 1.0
    gate = rig.gate()
    rig.submit(3, 4, 5)
    assert rig.listener.results[3:] == [(4, OFF), (5, OFF)]
    gate.open.set()
    assert rig.listener.wait(6)[5] == (3, 3.0)


def test_a_damaged_image_is_no_try(rig):
    rig = rig()
    rig.fail_three_times()
    rig.clock.now += 1.0
    rig.network.behave = good
    assert rig.run(3, Rejected(Reason.IMAGE_CORRUPT, 'cut')) is Reason.IMAGE_CORRUPT
    assert rig.pool.status().state == 'off'
    assert rig.run(4) == 4.0
    assert rig.pool.status().state == 'ok'


def test_an_image_that_waited_too_long_is_no_try(rig):
    rig = rig()
    rig.fail_three_times()
    rig.clock.now += 1.0
    rig.clock.step = 1.0  # from submitting to picking up, too
    assert rig.run(3) is BUSY
    rig.clock.step = 0.0
    rig.network.behave = good
    assert rig.run(4) == 4.0


def test_failures_of_calls_begun_before_the_breaker_opened_do_not_double_the_pause(rig):
    rig = rig(workers=4)
    meeting = threading.Barrier(4, timeout=DEADLINE_SEC)

    def meet_and_raise(image):
        meeting.wait()
        raising(image)

    rig.network.behave = meet_and_raise
    rig.submit(1, 2, 3, 4)
    rig.listener.wait(4)
    rig.network.behave = good
    rig.clock.now += 1.0
    assert rig.run(5) == 5.0


# -- networks that hang -------------------------------------------------------------------------


def test_a_call_that_hangs_is_given_up_and_another_thread_takes_over_after_a_pause(rig):
    rig = rig(workers=1, timeout_sec=0.1)
    gate = rig.gate()
    rig.submit(1)
    gate.wait_entered()
    rig.clock.now += 5.01
    rig.submit(2)
    assert sorted(rig.listener.wait(2)) == [(1, OFF), (2, OFF)]
    assert 'longer than 5 s; it is tried again in 1 s' in rig.pool.status().sentence
    rig.network.behave = good
    assert rig.run(3) is OFF
    rig.clock.now += 1.0
    assert rig.run(4) == 4.0
    assert rig.pool.status().state == 'ok'


def test_a_slow_call_does_not_hang(rig):
    rig = rig(workers=1, timeout_sec=2.0)
    gate = rig.gate()
    rig.submit(1)
    gate.wait_entered()
    rig.clock.now += 20.0  # ten timeouts
    assert rig.pool.status().state == 'ok'
    gate.open.set()
    assert rig.listener.wait(1) == [(1, 1.0)]


def test_a_call_that_hangs_is_told_though_no_other_image_comes(rig, monkeypatch):
    monkeypatch.setattr(pool, 'SHORTEST_HANG_SEC', 0.01)
    rig = rig(workers=2, timeout_sec=0.001)
    gate = rig.gate()
    rig.submit(1)
    gate.wait_entered()
    rig.clock.now += 0.02
    assert rig.listener.wait(1) == [(1, OFF)]
    assert rig.woken.acquire(timeout=DEADLINE_SEC)
    status = rig.pool.status()
    assert status.counts == {OFF: 1}
    assert status.sentence == (
        'camera.encoder: a call of the network has lasted longer than 0.01 s; it is tried again '
        'in 1 s'
    )


@pytest.mark.filterwarnings('ignore::pytest.PytestUnhandledThreadExceptionWarning')
def test_a_listener_that_raises_does_not_end_the_watch(rig):
    rig = rig(workers=1, timeout_sec=0.01)
    gate = rig.gate()
    rig.submit(1)
    gate.wait_entered()

    def done(result):
        raise RuntimeError('the listener is broken')

    left = watchers()
    rig.pool.submit(picture(2), done)
    rig.clock.now += 0.02
    for thread in left:
        thread.join(DEADLINE_SEC)
    rig.submit(3)
    rig.clock.now += 0.02
    assert rig.listener.wait(1) == [(3, BUSY)]


def test_a_look_at_the_status_tells_nobody_anything(rig):
    """Whoever looks may hold a lock that `done` asks for."""
    rig = rig(workers=1)
    tellers = []
    gate = rig.gate()
    arrived = threading.Event()
    rig.pool.submit(
        picture(1), lambda result: (tellers.append(threading.current_thread()), arrived.set())
    )
    gate.wait_entered()
    rig.clock.now += 6.0
    rig.pool.status()
    assert threading.current_thread() not in tellers
    gate.open.set()
    assert arrived.wait(DEADLINE_SEC)


def test_a_call_that_comes_back_after_all_changes_nothing(rig):
    rig = rig(workers=1)
    gate = rig.gate()
    rig.submit(1)
    gate.wait_entered()
    left = threads()
    rig.clock.now += 6.0
    rig.submit(2)
    assert sorted(rig.listener.wait(2)) == [(1, OFF), (2, OFF)]
    gate.open.set()
    for thread in left:
        thread.join(DEADLINE_SEC)
        assert not thread.is_alive()
    status = rig.pool.status()
    assert (status.state, status.done, status.counts) == ('off', 0, {OFF: 2})
    assert len(rig.listener.results) == 2


def test_a_network_that_hangs_whenever_it_is_tried_gets_no_more_threads(rig):
    rig = rig(workers=1)
    gates = []
    for n in range(MOST_HANGING):
        gates.append(rig.gate())
        rig.submit(n)
        gates[n].wait_entered()
        rig.clock.now += 6.0
        rig.submit(n)
        rig.clock.now += 60.0  # longer than any pause
    assert rig.run(10) is OFF
    assert f'{MOST_HANGING} calls of the network hang' in rig.pool.status().sentence
    assert rig.network.seen == list(range(MOST_HANGING))
    left = threads()
    gates[0].open.set()
    rig.network.behave = good
    left[0].join(DEADLINE_SEC)
    assert rig.run(11) == 11.0
    assert rig.pool.status().state == 'ok'


def test_a_bad_try_after_a_hang_doubles_the_pause(rig):
    rig = rig(workers=1)
    gate = rig.gate()
    rig.submit(1)
    gate.wait_entered()
    rig.clock.now += 6.0
    rig.submit(0)
    rig.listener.wait(2)
    rig.network.behave = raising
    rig.clock.now += 1.0
    assert rig.run(2) is FAILED
    rig.clock.now += 1.99
    assert rig.run(3) is OFF
    rig.clock.now += 0.02
    assert rig.run(4) is FAILED


def test_two_workers_that_hang_at_once_open_the_breaker_once(rig):
    rig = rig(workers=2)
    gate = rig.gate()
    rig.submit(1, 2)
    gate.wait_entered(2)
    rig.clock.now += 6.0
    rig.submit(0)
    rig.listener.wait(3)
    rig.network.behave = good
    rig.clock.now += 1.0
    assert rig.run(3) == 3.0


# -- the end ------------------------------------------------------------------------------------


def test_close_refuses_what_is_under_way_and_does_not_wait_for_a_hanging_network(rig):
    rig = rig(workers=1)
    gate = rig.gate()
    rig.submit(1)
    gate.wait_entered()
    rig.submit(2)
    rig.pool.close()  # would never return if it waited
    assert sorted(rig.listener.results) == [(1, OFF), (2, OFF)]
    rig.submit(3)
    assert rig.listener.results[2] == (3, OFF)
    gate.open.set()
    rig.pool.close(DEADLINE_SEC)
    assert len(rig.listener.results) == 3
    assert rig.pool.status().state == 'off'


def test_close_ends_the_threads(rig):
    rig = rig(workers=4)
    rig.run(1)
    assert len(watchers()) == 1
    rig.pool.close()
    assert threads() + watchers() == []


def test_encoders_that_hang_are_waited_for_together(monkeypatch):
    clock, calls = Clock(), []
    monkeypatch.setattr('time.monotonic', clock)

    class Slow:
        def stop(self):
            calls.append('stop')

        def close(self, wait_sec):
            calls.append(wait_sec)
            clock.now += wait_sec

    close_encoders([Slow(), Slow(), Slow()])
    assert calls == ['stop', 'stop', 'stop', pool.CLOSE_SEC, 0.0, 0.0]


def test_stop_tells_everybody_and_waits_for_nothing(rig):
    rig = rig(workers=1)
    gate = rig.gate()
    rig.submit(1)
    gate.wait_entered()
    rig.submit(2)
    rig.pool.stop()
    assert sorted(rig.listener.results) == [(1, OFF), (2, OFF)]
    assert len(threads()) == 1
    gate.open.set()
    rig.pool.close(DEADLINE_SEC)
    assert threads() + watchers() == []


def test_a_network_that_hangs_does_not_keep_the_process_from_ending():
    program = """
import threading
from types import SimpleNamespace
from robocache_ros.config import EncoderConfig, ImageSource
from robocache_ros.encoding import EncoderPool

entered = threading.Event()

class Hanging:
    identity, digest, device = '', '', 'cpu'

    def encode(self, image):
        entered.set()
        threading.Event().wait()

source = ImageSource('camera', encoder=EncoderConfig(path='x', width=2))
pool = EncoderPool(source, Hanging())
pool.submit(SimpleNamespace(unpacked=lambda keep: None), print)
assert entered.wait(20)
pool.close()
"""
    result = subprocess.run(
        [sys.executable, '-c', program], capture_output=True, text=True, timeout=60
    )
    assert (result.returncode, result.stderr) == (0, '')
    assert result.stdout == 'Reason.ENCODER_OFF\n'


# -- who is told, and how -----------------------------------------------------------------------


def test_nobody_is_told_a_result_while_the_pool_is_locked(rig):
    rig = rig(workers=1)
    free = []

    def done(result):
        # From another thread, as a lock may be taken twice by its own.
        looking = threading.Thread(target=rig.pool.status, daemon=True)
        looking.start()
        looking.join(DEADLINE_SEC)
        free.append(not looking.is_alive())
        rig.listener.expect('')(result)

    gate = rig.gate()
    rig.pool.submit(picture(1), done)
    gate.wait_entered()
    rig.pool.submit(picture(2), done)
    rig.pool.submit(picture(3), done)  # pushes the second out
    gate.open.set()
    rig.listener.wait(3)  # two from the worker
    gate = rig.gate()
    rig.pool.submit(picture(4), done)
    gate.wait_entered()
    rig.pool.close()
    rig.pool.submit(picture(5), done)
    assert free == [True] * 5


def test_only_results_that_come_by_themselves_wake_who_waits(rig):
    rig = rig(workers=1)
    rig.run(0)
    assert rig.woken.acquire(timeout=DEADLINE_SEC)
    gate = rig.gate()
    rig.submit(1)
    gate.wait_entered()
    rig.submit(2, 3)
    rig.pool.close()
    assert len(rig.listener.results) == 4
    assert not rig.woken.acquire(blocking=False)


@pytest.mark.filterwarnings('ignore::pytest.PytestUnhandledThreadExceptionWarning')
def test_a_listener_that_raises_costs_its_thread_and_no_more(rig):
    rig = rig(workers=1)

    def done(result):
        raise RuntimeError('the listener is broken')

    rig.pool.submit(picture(1), done)
    for thread in threads():
        thread.join(DEADLINE_SEC)
    assert rig.run(2) == 2.0


def test_every_image_is_told_once_and_counted_once(rig):
    rig = rig(workers=3, timeout_sec=0.1)
    told, lock = Counter(), threading.Lock()
    kinds = np.random.default_rng(5).integers(0, 8, 3000)

    def behave(image):
        if kinds[image] == 0:
            raise ValueError
        return np.full(WIDTH, np.nan if kinds[image] == 1 else 1.0, np.float32)

    def tell(n):
        def done(result):
            with lock:
                told[n] += 1

        return done

    rig.network.behave = behave
    for n in range(len(kinds)):
        rig.clock.now += 0.01
        error = Rejected(Reason.IMAGE_CORRUPT, '') if kinds[n] == 2 else None
        rig.pool.submit(picture(n, error), tell(n))
    rig.pool.close()
    assert told == Counter(range(len(kinds)))
    status = rig.pool.status()
    assert status.done + sum(status.counts.values()) == len(kinds)
    assert status.done > 0
    assert BUSY in status.counts
