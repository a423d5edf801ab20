# Copyright 2026 the robocache_ros authors
# SPDX-License-Identifier: Apache-2.0
"""
A look that may hang or crash, so it is done in a process of its own, and not for ever.

`python -m robocache_ros.doctor.probe MODULE:FUNCTION` calls a function with what stands on its
input, and prints what it returns; both are JSON.
"""

from __future__ import annotations

import contextlib
import importlib
import json
import os
import re
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from typing import IO, Any

_GRACE_SEC = 1.0
_LOG_PREFIX = re.compile(r'(\[[^]]*\] ?)+: ')  # of rcl: level, time and name


class Probe:
    """A function that runs beside us; `facts` are what it says."""

    def __init__(self, function: str, asked: Mapping[str, Any], limit_sec: float) -> None:
        """
        Start it.

        Args:
            function: 'module:function'.
            asked: what it is called with.
            limit_sec: it is ended when it takes longer.
        """
        self._limit_sec = limit_sec
        self._deadline_sec = time.monotonic() + limit_sec
        self._output, self._errors = _file(), _file()
        with _file() as words:
            words.write(json.dumps(asked, default=str).encode())
            words.seek(0)
            self._process = subprocess.Popen(
                [sys.executable, '-m', __name__, function],
                stdin=words,
                stdout=self._output,
                stderr=self._errors,
            )

    def facts(self) -> dict[str, Any]:
        """
        Wait for its answer, and return what it found.

        'absent': instead of all else, why something could not be imported.
        'failed': instead of all else, why there is no answer.
        """
        try:
            self._process.wait(max(0.0, self._deadline_sec - time.monotonic()))
        except subprocess.TimeoutExpired:
            self.end()
            return {'failed': f'no answer within {self._limit_sec:g} s', 'hung': True}
        self._output.seek(0)
        lines = self._output.read().decode(errors='replace').splitlines()
        try:
            found = json.loads(lines[-1])
        except (IndexError, ValueError):
            return {'failed': self._why()}
        return found if isinstance(found, dict) else {'failed': self._why()}

    def end(self) -> None:
        """End it: ask, then force; what the kernel does not let go is left behind."""
        for ask in (self._process.terminate, self._process.kill):
            if self._process.poll() is None:
                ask()
                with contextlib.suppress(subprocess.TimeoutExpired):
                    self._process.wait(_GRACE_SEC)
        self._output.close()
        self._errors.close()

    def _why(self) -> str:
        code = self._process.returncode
        if code < 0:
            return f'it was ended by {signal.Signals(-code).name}'
        self._errors.seek(0)
        words = self._errors.read().decode(errors='replace').strip().splitlines()
        return _LOG_PREFIX.sub('', words[-1]) if words else f'it ended with exit code {code}'


def _file() -> IO[bytes]:
    """Make a file without a name: a pipe would be waited for while anybody holds its end."""
    return tempfile.TemporaryFile()


def main() -> None:
    """Answer a Probe."""
    module, _, function = sys.argv[1].partition(':')
    facts: dict[str, Any]
    try:
        facts = getattr(importlib.import_module(module), function)(json.load(sys.stdin))
    except ImportError as error:
        facts = {'absent': str(error)}
    except Exception as error:
        facts = {'failed': f'{type(error).__name__}: {error}'}
    # In a line of its own, whatever libraries have printed.
    print('\n' + json.dumps(facts, default=str), flush=True)
    os._exit(0)  # without what a broken driver does while it is unloaded


if __name__ == '__main__':
    main()
