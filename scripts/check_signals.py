# Copyright 2026 the robocache_ros authors
# SPDX-License-Identifier: Apache-2.0
"""
Ends nodes at random moments by SIGINT and SIGTERM: python scripts/check_signals.py.

A simulated robot publishes all the time, so that a node is hit while it starts, computes and
sends. Each trial has to end in 2 s with exit code 0, and without a traceback. Moments are counted
from when the process catches SIGTERM: until then it is the bare interpreter, which dies of it.
"""

from __future__ import annotations

import argparse
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))

from robocache_ros.environment import MALLOC, fastdds_profile  # noqa: E402

RULE_SEC = 2.0  # from the first signal to the end
DEADLINE_SEC = 30.0
NODE = ['-m', 'robocache_ros', 'node']
SIM = ['-m', 'robocache_ros', 'sim', '--ros-args', '-p', 'lidar.rings:=16']
_BIT = 1 << signal.SIGTERM - 1


def main() -> int:
    """Run the trials and tell those that failed; 1 if there were any."""
    arguments = parse_arguments()
    dice = random.Random(arguments.seed)
    env = environment(arguments.domain)
    took: list[float] = []
    uncaught: list[float] = []
    failures = 0
    with tempfile.TemporaryDirectory() as folder:
        robot = start(SIM, env, Path(folder) / 'sim.log')
        try:
            for trial in range(arguments.trials):
                log = Path(folder) / f'{trial}.log'
                moment_sec = dice.uniform(0.0, arguments.within)
                numbers = dice.choices(
                    (signal.SIGINT, signal.SIGTERM), k=dice.choice((1, 1, 2, 3))
                )
                since = time.monotonic()
                process = start(arguments.command or NODE, env, log)
                wait_until_it_catches(process)
                uncaught.append(time.monotonic() - since)
                time.sleep(moment_sec)
                problem, sec = interrupt(process, numbers, dice, log)
                took.append(sec)
                if problem:
                    failures += 1
                    names = ', '.join(signal.Signals(number).name for number in numbers)
                    print(f'trial {trial}: {names} after {moment_sec:.3f} s: {problem}')
                    print(log.read_text(errors='replace'), flush=True)
        finally:
            robot.terminate()
            robot.wait()
    took.sort()
    print(
        f'{arguments.trials} trials, {failures} failed; out after {took[len(took) // 2]:.2f} s '
        f'(median), {took[-1]:.2f} s (longest). Signals were caught '
        f'{sorted(uncaught)[len(uncaught) // 2]:.3f} s after the start of the process (median).'
    )
    return 1 if failures else 0


def interrupt(
    process: subprocess.Popen[bytes], numbers: list[signal.Signals], dice: random.Random, log: Path
) -> tuple[str, float]:
    """Send the signals, soon after each other; return what was wrong, '' if nothing, and when."""
    since = time.monotonic()
    for number in numbers:
        process.send_signal(number)
        time.sleep(dice.uniform(0.0, 0.05))
    try:
        code = process.wait(DEADLINE_SEC)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
        return f'it still ran after {DEADLINE_SEC:g} s', DEADLINE_SEC
    sec = time.monotonic() - since
    if code != 0:
        return f'exit code {code}', sec
    if 'Traceback' in log.read_text(errors='replace'):
        return 'a traceback', sec
    return f'it took {sec:.2f} s' if sec >= RULE_SEC else '', sec


def wait_until_it_catches(process: subprocess.Popen[bytes]) -> None:
    """Wait until the process has a handler for SIGTERM."""
    status = Path(f'/proc/{process.pid}/status')
    while process.poll() is None:
        lines = dict(line.split(':\t', 1) for line in status.read_text().splitlines())
        if int(lines['SigCgt'], 16) & _BIT:
            return
        time.sleep(0.002)


def start(words: list[str], env: dict[str, str], log: Path) -> subprocess.Popen[bytes]:
    """Start a process of this interpreter, which writes to `log`."""
    with log.open('wb') as output:
        return subprocess.Popen(
            [sys.executable, *words], env=env, stdout=output, stderr=subprocess.STDOUT
        )


def environment(domain: int) -> dict[str, str]:
    """Return an environment in which only these processes hear each other."""
    env = {**os.environ, **MALLOC, **fastdds_profile('fastdds_isolated.xml', os.environ)}
    env['ROS_AUTOMATIC_DISCOVERY_RANGE'] = 'SYSTEM_DEFAULT'
    env['ROS_DOMAIN_ID'] = str(domain)
    env['PYTHONPATH'] = os.pathsep.join(filter(None, (str(ROOT), env.get('PYTHONPATH'))))
    return env


def parse_arguments() -> argparse.Namespace:
    """Return what the command line says."""
    parser = argparse.ArgumentParser(description='Ends nodes at random moments by signals.')
    parser.add_argument('--trials', type=int, default=100)
    parser.add_argument('--within', type=float, default=3.0, help='latest moment, seconds')
    parser.add_argument('--seed', type=int, default=0, help='of the moments and signals')
    parser.add_argument('--domain', type=int, default=98, help='ROS domain that nobody uses')
    parser.add_argument(
        'command',
        nargs='*',
        help='what to end, for the interpreter; default: -m robocache_ros node',
    )
    return parser.parse_args()


if __name__ == '__main__':
    sys.exit(main())
