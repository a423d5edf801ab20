# Copyright 2026 the robocache_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Times what this package computes on the CPU beside whatever peers are installed."""

from __future__ import annotations

import gc
import json
import math
import os
import platform
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))

import bench_case  # noqa: E402
import bench_cases  # noqa: E402
import bench_peers  # noqa: E402
import numpy as np  # noqa: E402
from bench_arguments import parse_arguments  # noqa: E402

import robocache_ros  # noqa: E402

MIN_ROUNDS, MAX_ROUNDS = 5, 200
TURN_SEC = 0.002  # a call that takes less is repeated, as in a loop over a data set
SLOW = 10.0  # times as slow as the fastest: MIN_ROUNDS are enough


def main() -> None:
    """Run the cases, print a table for each, write the results as JSON if asked to."""
    arguments = parse_arguments()
    if not any(arguments.only in name for name, *_ in bench_cases.TABLE):
        names = ', '.join(name for name, *_ in bench_cases.TABLE)
        sys.exit(f'bench: no case has {arguments.only!r} in its name; there are: {names}')
    found, absent = bench_peers.find_peers()
    print(describe(found))
    for name, reason in absent.items():
        print(f'without {name} ({reason}): {bench_peers.HOW_TO_GET[name]}')
    results = []
    for case in bench_cases.all_cases(found, arguments.only):
        rows = measure(case.impls, arguments.seconds)
        print_case(case, rows)
        results += [{'case': case.name, 'impl': impl, **row} for impl, row in rows.items()]
    if arguments.json:
        report = {'machine': machine(found), 'results': results}
        arguments.json.write_text(json.dumps(report, indent=1) + '\n')
        print(f'\nwritten to {arguments.json}')


def measure(impls: dict[str, Callable[[], Any]], seconds: float) -> dict[str, dict[str, Any]]:
    """Let all take turns MIN_ROUNDS times, then those that are not slow for `seconds` more."""
    times: dict[str, list[float]] = {impl: [] for impl in impls}
    calls = {impl: calls_per_turn(run) for impl, run in impls.items()}
    gc.collect()
    gc.disable()
    end = math.inf
    running = list(impls)
    for done in range(MAX_ROUNDS):
        if done == MIN_ROUNDS:
            fastest = min(min(own) for own in times.values())
            running = [impl for impl in impls if min(times[impl]) < SLOW * fastest]
            end = time.perf_counter() + seconds
        for impl in running:
            times[impl].append(turn(impls[impl], calls[impl]))
        if time.perf_counter() > end:
            break
    gc.enable()
    return {
        impl: {
            'ms_p50': round(1e3 * statistics.median(own), 4),
            'ms_min': round(1e3 * min(own), 4),
            'rounds': len(own),
        }
        for impl, own in times.items()
    }


def turn(run: Callable[[], Any], calls: int) -> float:
    """Seconds per call of `calls` calls in a row; before short ones, one more for the caches."""
    if calls > 1:
        run()
    start = time.perf_counter()
    for _ in range(calls):
        run()
    return (time.perf_counter() - start) / calls


def calls_per_turn(run: Callable[[], Any]) -> int:
    """How many calls take at least TURN_SEC; 1 for everything that is slow enough by itself."""
    run()
    return max(1, math.ceil(TURN_SEC / max(min(turn(run, 1) for _ in range(3)), 1e-6)))


def print_case(case: bench_case.Case, rows: dict[str, dict[str, Any]]) -> None:
    """Print how long each took, and how many times as long as ours."""
    print(f'\n{case.name}: {case.note}')
    ours = rows['numpy']
    for impl, row in rows.items():
        ratios = [row[key] / ours[key] for key in ('ms_p50', 'ms_min')]
        print(
            f'  {impl:22} {row["ms_p50"]:10.3f} ms {ratios[0]:7.2f} x'
            f'   min {row["ms_min"]:9.3f} ms {ratios[1]:7.2f} x {row["rounds"]:5} rounds'
        )


def machine(found: dict[str, Any]) -> dict[str, Any]:
    """Where this ran, without the name of the machine."""
    return {
        'device': cpu_model(),
        'cores': len(os.sched_getaffinity(0)),
        'simd': [name for name in ('avx2', 'avx512f') if name in cpu_flags()],
        'python': platform.python_version(),
        'numpy': np.__version__,
        'peers': {name: version_of(name) for name in found},
        'robocache_ros': robocache_ros.__version__,
        'commit': commit(),
        'date': time.strftime('%Y-%m-%d'),
    }


def describe(found: dict[str, Any]) -> str:
    """Return the machine in one line."""
    what = machine(found)
    peers = ', '.join(f'{name} {number}' for name, number in what['peers'].items())
    return (
        f'{what["device"]}, {what["cores"]} cores ({" ".join(what["simd"])}), '
        f'Python {what["python"]}, NumPy {what["numpy"]}; {peers or "no peers"}'
    )


def cpu_model() -> str:
    """Return what the processor calls itself."""
    return cpu_info('model name') or platform.processor() or platform.machine()


def cpu_flags() -> list[str]:
    """Return the instruction sets of the processor."""
    return cpu_info('flags').split()


def cpu_info(key: str) -> str:
    """Return the value of the first line of /proc/cpuinfo with this key."""
    try:
        lines = Path('/proc/cpuinfo').read_text().splitlines()
    except OSError:
        return ''
    values = (line.partition(':')[2].strip() for line in lines if line.startswith(key))
    return next(values, '')


def version_of(name: str) -> str:
    """Return the version of an installed peer."""
    for package in (name, {'PIL': 'pillow'}.get(name, 'opencv-python-headless')):
        try:
            return version(package)
        except PackageNotFoundError:
            continue
    return 'unknown'


def commit() -> str | None:
    """Return the commit that was measured, marked if files of it were changed."""
    try:
        return subprocess.run(
            ['git', 'describe', '--always', '--dirty', '--abbrev=12'],
            cwd=ROOT,
            capture_output=True,
            text=True,
            check=True,
        ).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return None


if __name__ == '__main__':
    main()
