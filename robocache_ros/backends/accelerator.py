# Copyright 2026 the robocache_ros authors
# SPDX-License-Identifier: Apache-2.0
"""
The life of a CUDA backend beside NumPy: opened in the background, tried again, given up.

A device can be short of something for a while, be lost, or hang. It is never waited for, and what
is lost is not touched again: NumPy does the work, and the caller is told why.
"""

from __future__ import annotations

import atexit
import logging
import os
import threading
import traceback
import weakref
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, NamedTuple, TypeVar

from robocache_ros.backends.abandoned import keep_for_ever
from robocache_ros.backends.breaker import Breaker
from robocache_ros.backends.crossover import Crossover, described
from robocache_ros.backends.cuda.device import DeviceError, OutOfResources, OverLimit
from robocache_ros.reasons import Reason

if TYPE_CHECKING:
    from robocache_ros.backends import Opener, Operations

END_SEC = 10.0  # more than a compilation of all kernels takes
_FORKED = (
    'this process was forked, and CUDA works in the parent only: start it with the method spawn'
)
_log = logging.getLogger(__name__)
_Result = TypeVar('_Result')

# Finds the sizes from which on CUDA is faster, unless told to stop.
Tune = Callable[['Operations', Callable[[], bool]], Crossover]


class Refused(Exception):  # noqa: N818 - no error: NumPy does it
    """The device does not do this call; the reason says why."""

    def __init__(self, reason: Reason) -> None:
        super().__init__(reason.key)
        self.reason = reason


class Off(NamedTuple):
    """Why there is no CUDA until the process restarts."""

    reason: Reason
    sentence: str


class Accelerator:
    """
    Opens, uses and closes the operations on a device.

    `refuses` and `run` belong to one thread, the one that computes; the rest may be called from
    any. Whatever goes wrong in here, no more than one call of an operation pays for it.
    """

    def __init__(
        self, opener: Opener, tune: Tune, ops: Sequence[str], clock: Callable[[], float]
    ) -> None:
        """
        Begin to open.

        Args:
            opener: opens the device, which takes seconds; raises DeviceError.
            tune: finds the sizes from which on the device is faster.
            ops: names of the operations.
            clock: gives seconds and never goes back.
        """
        self.off: Off | None = None
        self.crossover: Crossover = {}
        self.opening = Breaker(clock)
        self.breakers = {op: Breaker(clock) for op in ops}
        self._process = os.getpid()
        self._opener = opener
        self._tune = tune
        self._cuda: Operations | None = None
        self._use = threading.Lock()  # held while the device is made to do something
        self._closed = threading.Event()
        self._thread = self._begin()
        _in_use.add(self)

    @property
    def ready(self) -> bool:
        """Whether the device has been opened and not been given up."""
        return self._cuda is not None

    def wait(self) -> None:
        """Wait for the opening that is under way."""
        self._thread.join()

    def refuses(self, op: str, size: int | None) -> Reason | None:
        """
        Return why the device is not to be tried with a call of this size; None if it is.

        A call without a size has its input on the device, where no size is too small.
        """
        if self.off is None and os.getpid() != self._process:
            self._give_up(Reason.GPU_LOST, None, _FORKED)
        opening = self._thread.is_alive()  # asked first: what it did until its end is seen below
        if self.off is not None:
            return self.off.reason
        if self._cuda is None:
            reason = Reason.GPU_RESOURCES if self.opening.cause else Reason.WARMING_UP
            if not opening and not self._closed.is_set() and self.opening.wait_sec == 0:
                self._thread = self._begin()
            return reason
        least = self.crossover.get(op)
        if size is not None and (least is None or size < least):
            return Reason.BELOW_CROSSOVER
        return Reason.GPU_RESOURCES if self.breakers[op].wait_sec else None

    def run(self, op: str, work: Callable[[Operations], _Result]) -> _Result:
        """
        Do the work on the device.

        Raises Refused where NumPy has to do it; anything else is wrong arguments, or a bug.
        """
        try:
            with self._use:
                return self._run(op, work)
        finally:
            self._close_unused()

    def give_up_after_bug(self, error: Exception) -> None:
        """Never touch the device again after an error that nobody has foreseen."""
        trace = ''.join(traceback.format_exception(error))
        _log.error('The CUDA backend failed, which is a bug; please report it. %s', trace)
        self._give_up(Reason.GPU_ERROR, error, f'{type(error).__name__}: {error}')

    def _give_up(self, reason: Reason, error: BaseException | None, sentence: str) -> None:
        """Leave the device as it is for ever, and all that `error` has seen of it."""
        keep_for_ever(error, self._cuda)
        self._cuda = None
        self.off = Off(reason, sentence)
        _log.error('CUDA is off until this process restarts: %s. %s', sentence, reason.fix)

    def close(self) -> None:
        """Give the device back, at once, or when the opening or computation under way is done."""
        self._closed.set()
        self._close_unused()

    def _begin(self) -> threading.Thread:
        # A daemon: nothing ends a compilation early, and it must not keep the process from ending.
        thread = threading.Thread(target=self._open, name='cuda_opening', daemon=True)
        thread.start()
        return thread

    def _open(self) -> None:
        cuda = None
        try:
            cuda = self._opener()
            self.crossover = self._tune(cuda, self._closed.is_set)
        except (OutOfResources, MemoryError) as error:
            self.opening.failed(str(error))
            cause = self.opening.cause  # not the error, which refers to memory of the device
            _log.warning('CUDA could not start, and will be tried again: %s', cause)
            _close(cuda)
        except DeviceError as error:
            self._cuda = cuda
            self._give_up(Reason.GPU_LOST, error, str(error))
        except Exception as error:
            self._cuda = cuda
            self.give_up_after_bug(error)
        else:
            self.opening.succeeded()
            self._cuda = cuda
            _log.info('CUDA is ready: %s.', described(self.crossover))
        self._close_unused()

    def _run(self, op: str, work: Callable[[Operations], _Result]) -> _Result:
        if self._cuda is None:  # closed since `refuses` looked
            raise Refused(Reason.WARMING_UP)
        breaker = self.breakers[op]
        try:
            result = work(self._cuda)
        except OverLimit:
            raise Refused(Reason.OVER_GPU_LIMIT) from None
        except (OutOfResources, MemoryError) as error:
            breaker.failed(str(error))
            pause_sec, cause = round(breaker.wait_sec), breaker.cause
            _log.warning('%s is computed on NumPy for %d s: %s', op, pause_sec, cause)
            raise Refused(Reason.GPU_RESOURCES) from None
        except DeviceError as error:
            self._give_up(Reason.GPU_LOST, error, str(error))
            raise Refused(Reason.GPU_LOST) from None
        except Exception:
            raise
        # Ctrl-C: what was queued may still run, and would meet the memory of the next call.
        except BaseException as error:
            self._give_up(Reason.GPU_LOST, error, 'a computation was interrupted')
            raise
        if breaker.cause:
            breaker.succeeded()
            _log.info('%s is computed on CUDA again.', op)
        return result

    def _close_unused(self) -> None:
        """Close the device if nothing is to be computed any more, unless somebody uses it now."""
        if self._closed.is_set() and self._use.acquire(blocking=False):
            try:
                cuda, self._cuda = self._cuda, None
                _close(cuda)
            finally:
                self._use.release()


_in_use: weakref.WeakSet[Accelerator] = weakref.WeakSet()


@atexit.register
def _close_all() -> None:
    """
    Give devices back, and wait for openings where a program ends soon after its first call.

    While the interpreter winds up it kills their threads, and C++ answers that with an abort.
    """
    for accelerator in list(_in_use):
        if os.getpid() == accelerator._process:  # else this is a fork, and CUDA the parent's
            accelerator.close()
            accelerator._thread.join(END_SEC)


def _close(cuda: Operations | None) -> None:
    try:
        if cuda is not None:
            cuda.close()
    except DeviceError as error:
        keep_for_ever(error, cuda)
