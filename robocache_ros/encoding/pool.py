# Copyright 2026 the robocache_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Threads that encode images beside the pipeline, which waits for none of them."""

from __future__ import annotations

import math
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from robocache_ros.backends.breaker import Breaker
from robocache_ros.config import ImageSource
from robocache_ros.encoding.attempt import MODEL_FAULTS, Attempt, Network, Picture, attempt
from robocache_ros.encoding.status import Account, EncoderStatus
from robocache_ros.reasons import Reason
from robocache_ros.samples import FloatArray

Done = Callable[[FloatArray | Reason], None]

FAILURES_IN_A_ROW = 3  # then the network is left alone for a while
SHORTEST_HANG_SEC = 5.0  # a call that takes less may be slow, but does not hang
HANG_TIMEOUTS = 10.0  # of `timeout_sec`, where that is more
MOST_HANGING = 3  # threads that hang; with so many no other is started
CLOSE_SEC = 0.5  # that closing waits for threads
_SLACK_SEC = 0.01  # after a deadline, so that it is surely over


@dataclass(eq=False)
class _Job:
    """An image that waits for its encoding."""

    picture: Picture
    done: Done
    since_sec: float


@dataclass(eq=False)
class _Worker:
    """A thread, and the call of the network that it is in."""

    job: _Job | None = None
    since_sec: float = 0.0
    thread: threading.Thread = field(init=False)


_Outcome = tuple[_Job, FloatArray | Reason]  # who is told what, once the lock is free


class EncoderPool:
    """
    An encoder of up to `workers` images at the same time.

    Every image gets its encoding or a reason, once: from a thread of the pool, or from within
    submit, stop or close. One of these threads does nothing but sleep until an image has waited
    too long, or a call hangs.
    Results come in the order in which they are ready. The newest images win: as many as
    there are workers wait, `timeout_sec` at most, and then the oldest makes room (ENCODER_BUSY).

    The breaker opens after three failures in a row, and when a call hangs. Images are then
    refused at once (ENCODER_OFF), and after a pause a single one is tried. Nothing can end a
    thread that hangs: it is left behind, and another takes its place with that try.
    """

    def __init__(
        self,
        source: ImageSource,
        network: Network,
        on_done: Callable[[], None] = lambda: None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """
        Encode the images of `source`; threads are started when they are needed.

        on_done: called after results that come by themselves, not from within submit or stop.
        clock: gives seconds and never goes back.
        """
        self._config = source.encoder
        self._name = f'{source.name}.encoder'
        self._network = network
        self._on_done = on_done
        self._clock = clock
        self._hang_sec = max(HANG_TIMEOUTS * self._config.timeout_sec, SHORTEST_HANG_SEC)
        self._hang_text = f'a call of the network has lasted longer than {self._hang_sec:g} s'
        lock = threading.Lock()  # guards all that follows
        self._changed = threading.Condition(lock)  # an image waits, or the pool is closed
        self._hurried = threading.Condition(lock)  # a deadline comes before `_watched_sec`
        self._watched_sec = math.inf  # when the watcher wakes by itself
        self._watcher: threading.Thread | None = None
        self._account = Account()
        self._breaker = Breaker(clock)  # open while it has a cause
        self._try: _Job | None = None  # the one image that an open breaker lets through
        self._failures = 0  # in a row
        self._last_text = ''
        self._waiting: deque[_Job] = deque()
        self._workers: list[_Worker] = []
        self._hanging = 0  # threads that were left behind and have not come back
        self._closed = False
        self._ending: list[threading.Thread] = []  # those there were when it was closed

    @property
    def identity(self) -> str:
        """What computes, and where."""
        return self._network.identity

    @property
    def digest(self) -> str:
        """SHA-256 of the file of the network."""
        return self._network.digest

    def submit(self, picture: Picture, done: Done) -> None:
        """Have a picture encoded; `done` gets the encoding, float32 [width], or a reason."""
        job = _Job(picture, done, self._clock())
        with self._changed:
            outcomes = self._overdue()
            outcomes += self._admit(job)
            self._watch_over()
        _tell(outcomes)

    def status(self) -> EncoderStatus:
        """Return how it goes."""
        with self._changed:
            state, sentence = self._state()
            return self._account.status(state, sentence, self._network.device)

    def stop(self) -> None:
        """Refuse what is under way and what comes; returns at once, threads end by themselves."""
        with self._changed:
            self._closed = True
            self._ending += [worker.thread for worker in self._workers]
            self._ending += [] if self._watcher is None else [self._watcher]
            busy = [worker for worker in self._workers if worker.job is not None]
            outcomes = self._refuse_waiting() + self._leave(busy)
            self._changed.notify_all()
            self._hurried.notify()
        _tell(outcomes)

    def close(self, wait_sec: float = CLOSE_SEC) -> None:
        """Stop, and wait that long for the threads; those that hang are left behind."""
        self.stop()
        end_sec = time.monotonic() + wait_sec
        for thread in self._ending:
            thread.join(max(0.0, end_sec - time.monotonic()))

    # -- under the lock: who is told what ---------------------------------------------------

    def _admit(self, job: _Job) -> list[_Outcome]:
        """Let an image wait, unless the network is off; the oldest makes room for it."""
        if self._closed or self._hanging >= MOST_HANGING:
            return [self._refuse(job, Reason.ENCODER_OFF)]
        if self._breaker.cause:
            if self._breaker.wait_sec > 0 or self._try is not None:
                return [self._refuse(job, Reason.ENCODER_OFF)]
            self._try = job
        outcomes = []
        if len(self._waiting) == self._config.workers:
            outcomes.append(self._refuse(self._waiting.popleft(), Reason.ENCODER_BUSY))
        self._waiting.append(job)
        self._start_worker()
        self._changed.notify()
        return outcomes

    def _judge(self, job: _Job, made: Attempt) -> list[_Outcome]:
        """Open or close the breaker after a call of the network."""
        if made.reason in MODEL_FAULTS:
            self._failures += 1
            self._last_text = f'{made.reason.key}: {made.text}'
            if job is self._try or self._failures >= FAILURES_IN_A_ROW:
                times = f'the network failed {self._failures} times in a row'
                return self._open(job, f'{times} ({self._last_text})')
        elif made.reason is None:
            self._failures = 0
            if job is self._try:
                self._breaker.succeeded()
        if job is self._try:
            self._try = None
        return []

    def _open(self, job: _Job, cause: str) -> list[_Outcome]:
        """Leave the network alone; what was begun before it was left alone changes nothing."""
        if self._breaker.cause and job is not self._try:
            return []
        self._breaker.failed(cause)
        self._try = None
        return self._refuse_waiting()

    def _overdue(self) -> list[_Outcome]:
        """Give up the workers whose call lasts too long, and the images that waited too long."""
        outcomes = []
        for worker in filter(self._hangs, list(self._workers)):
            assert worker.job is not None
            outcomes += self._open(worker.job, self._hang_text)
            outcomes += self._leave([worker])
        while self._waiting and self._waited_too_long(self._waiting[0]):
            outcomes.append(self._time_out(self._waiting.popleft()))
        return outcomes

    def _hangs(self, worker: _Worker) -> bool:
        return worker.job is not None and self._clock() - worker.since_sec > self._hang_sec

    def _waited_too_long(self, job: _Job) -> bool:
        return self._clock() - job.since_sec > self._config.timeout_sec

    def _time_out(self, job: _Job) -> _Outcome:
        if job is self._try:
            self._try = None
        return self._refuse(job, Reason.ENCODER_BUSY)

    def _leave(self, busy: Iterable[_Worker]) -> list[_Outcome]:
        """Leave workers behind in the midst of a call."""
        outcomes = []
        for worker in busy:
            assert worker.job is not None
            outcomes.append(self._refuse(worker.job, Reason.ENCODER_OFF))
            worker.job = None
            self._workers.remove(worker)
            self._hanging += 1
        return outcomes

    def _refuse_waiting(self) -> list[_Outcome]:
        outcomes = [self._refuse(job, Reason.ENCODER_OFF) for job in self._waiting]
        self._waiting.clear()
        return outcomes

    def _refuse(self, job: _Job, reason: Reason) -> _Outcome:
        self._account.refused(reason)
        return job, reason

    def _state(self) -> tuple[str, str]:
        if self._closed:
            return 'off', f'{self._name} is closed'
        if self._hanging >= MOST_HANGING:
            return 'off', (
                f'{self._name}: {self._hanging} calls of the network hang, and no other is begun '
                'before one returns or the process is started anew'
            )
        if self._breaker.cause:
            wait_sec = math.ceil(self._breaker.wait_sec)
            when = f'in {wait_sec} s' if wait_sec else 'with the next image'
            return 'off', f'{self._name}: {self._breaker.cause}; it is tried again {when}'
        if self._failures:
            return 'failing', f'{self._name}: the last image failed ({self._last_text})'
        return 'ok', ''

    # -- the workers -------------------------------------------------------------------------

    def _start_worker(self) -> None:
        """Start another thread if there is more to do than there are idle ones."""
        if self._more_than_idle() and len(self._workers) < self._config.workers:
            worker = _Worker()
            # A daemon: a network that hangs must not keep the process from ending.
            worker.thread = threading.Thread(
                target=self._work, args=(worker,), name=self._name, daemon=True
            )
            worker.thread.start()
            self._workers.append(worker)

    def _more_than_idle(self) -> bool:
        """Whether more images wait than there are idle threads, which are about to take one."""
        return len(self._waiting) > sum(worker.job is None for worker in self._workers)

    def _work(self, worker: _Worker) -> None:
        try:
            while (job := self._next(worker)) is not None:
                made = attempt(self._network, job.picture, self._config.width)
                if not self._finish(worker, job, made):
                    return
        finally:  # also when `done` raises: the next image gets another thread
            with self._changed:
                if worker in self._workers:
                    self._workers.remove(worker)

    def _next(self, worker: _Worker) -> _Job | None:
        """Wait for an image that has not waited too long; None: the pool is closed."""
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._waiting or self._closed)
                if self._closed:
                    return None
                job = self._waiting.popleft()
                if not self._waited_too_long(job):
                    worker.job, worker.since_sec = job, self._clock()
                    self._watch_over()
                    return job
                outcome = self._time_out(job)
            self._hand_over([outcome])

    def _finish(self, worker: _Worker, job: _Job, made: Attempt) -> bool:
        """Hand a result over; False: too late, the worker was left behind."""
        with self._changed:
            if worker.job is not job:
                self._hanging -= 1
                return False
            worker.job = None
            self._account.tried(made, self._clock() - worker.since_sec)
            outcomes = [(job, made.result), *self._judge(job, made)]
        self._hand_over(outcomes)
        return True

    # -- the watcher -------------------------------------------------------------------------

    def _watch_over(self) -> None:
        """Have the watcher wake in time; it mostly does, as it has slept for a while."""
        if self._deadline_sec() >= self._watched_sec:
            return
        if self._watcher is None:
            self._watcher = threading.Thread(
                target=self._watch, name=f'{self._name}.watcher', daemon=True
            )
            self._watcher.start()
        self._hurried.notify()

    def _deadline_sec(self) -> float:
        """When the next call hangs, or an image that no idle thread takes has waited too long."""
        busy = [worker.since_sec for worker in self._workers if worker.job is not None]
        deadlines = [since_sec + self._hang_sec for since_sec in busy]
        if self._more_than_idle():
            deadlines.append(self._waiting[0].since_sec + self._config.timeout_sec)
        return min(deadlines, default=math.inf)

    def _watch(self) -> None:
        try:
            while not self._closed:
                with self._changed:
                    outcomes = self._overdue()
                    if not outcomes and not self._closed:
                        self._sleep()
                if outcomes:
                    self._hand_over(outcomes)
        finally:  # also when `done` raises: the next image gets another watcher
            with self._changed:
                self._watcher, self._watched_sec = None, math.inf

    def _sleep(self) -> None:
        """Wait for the next deadline, or to be told of one before it."""
        self._watched_sec = self._deadline_sec()
        wait_sec = self._watched_sec - self._clock() + _SLACK_SEC
        self._hurried.wait(None if wait_sec == math.inf else max(0.0, wait_sec))

    def _hand_over(self, outcomes: list[_Outcome]) -> None:
        _tell(outcomes)
        self._on_done()


def _tell(outcomes: list[_Outcome]) -> None:
    for job, result in outcomes:
        job.done(result)
