# Copyright 2026 the robocache_ros authors
# SPDX-License-Identifier: Apache-2.0
"""A process of ours that we start, watch and always end."""

from __future__ import annotations

import os
import resource
import signal
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

_TICKS_PER_SEC = os.sysconf('SC_CLK_TCK')
_GRACE_SEC = 5.0


class Child:
    """`python -m robocache_ros COMMAND ...`, deaf to the Ctrl-C meant for its parent."""

    def __init__(
        self, command: Sequence[str], env: Mapping[str, str], log_dir: str | Path
    ) -> None:
        """
        Start it.

        Args:
            command: a command of robocache_ros and its arguments.
            env: its whole environment.
            log_dir: gets what it prints, in `<command>.log`.
        """
        self.name = command[0]
        self.log = Path(log_dir) / f'{self.name}.log'
        self._cpu_total_sec: float | None = None  # once it has ended
        self._cpu_mark_sec = 0.0
        with self.log.open('w') as log:
            self._process = subprocess.Popen(
                [sys.executable, '-m', 'robocache_ros', *command],
                env=env,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    @property
    def running(self) -> bool:
        """Whether it has not ended yet."""
        return self.exit_code is None

    @property
    def exit_code(self) -> int | None:
        """Its exit code, None while it runs."""
        return self._reap(self._process.poll)

    def last_words(self, lines: int = 15) -> str:
        """Return the end of what it printed."""
        return '\n'.join(self.log.read_text(errors='replace').splitlines()[-lines:])

    def mark_cpu(self) -> None:
        """Count CPU time from here on."""
        self._cpu_mark_sec += self.cpu_sec()

    def cpu_sec(self) -> float:
        """Return the CPU time since `mark_cpu`, until now or until it ended."""
        total = _cpu_sec(self._process.pid) if self.running else self._cpu_total_sec
        return (total or 0.0) - self._cpu_mark_sec

    def stop(self) -> int:
        """End it: ask, insist, force. Return its exit code."""
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGKILL):
            if self.running:
                self._process.send_signal(number)
            try:
                self._reap(lambda: self._process.wait(timeout=_GRACE_SEC))
                break
            except subprocess.TimeoutExpired:
                continue
        else:
            self._reap(self._process.wait)
        return self._process.returncode

    def _reap(self, ask: Callable[[], int | None]) -> int | None:
        """Ask for the exit code, and note the CPU time when it comes: it is told only then."""
        before_sec = _cpu_sec_of_the_ended()
        code = ask()
        if code is not None and self._cpu_total_sec is None:
            self._cpu_total_sec = _cpu_sec_of_the_ended() - before_sec
        return code


def _cpu_sec_of_the_ended() -> float:
    """Return user + system time of all processes of ours that have ended and were waited for."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def _cpu_sec(pid: int) -> float:
    """Return user + system time of a process that we have not waited for yet."""
    # The name in brackets may hold blanks: count the fields from its end.
    fields = Path(f'/proc/{pid}/stat').read_text().rpartition(')')[2].split()
    return (int(fields[11]) + int(fields[12])) / _TICKS_PER_SEC
