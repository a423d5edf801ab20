# Copyright 2026 the robocache_ros authors
# SPDX-License-Identifier: Apache-2.0
"""`robocache doctor`: why does it not work? Looks, tells what is wrong and how to mend it."""

from __future__ import annotations

import argparse
import contextlib
import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import partial
from typing import Any

from robocache_ros.doctor.cuda import judge_cuda, judge_torch
from robocache_ros.doctor.discovery import check_discovery
from robocache_ros.doctor.finding import Finding, warning
from robocache_ros.doctor.memory import check_shared_memory
from robocache_ros.doctor.probe import Probe
from robocache_ros.doctor.report import as_json, as_text, exit_code
from robocache_ros.doctor.software import (
    check_cupy_packages,
    check_load,
    check_numpy,
    check_package,
    check_python,
)
from robocache_ros.doctor.transport import check_sockets, check_transport

LIMIT_SEC = 30.0  # for each look; all of them are taken at once
_LONGEST_WATCH_SEC = 60.0
_INTERRUPTED = 130  # as shells have it
_EPILOG = """
exit code:
  0  nothing keeps the node from working (there may be warnings)
  1  something does
  2  these arguments can not be understood

It changes nothing. With --params it has the subscriptions of the node for a few seconds."""


def main(argv: Sequence[str] | None = None) -> int:
    """Look, print what was found, and return the exit code."""
    options = _parse(argv)
    try:
        findings = examine(os.environ, options.params, options.node, options.watch)
    except KeyboardInterrupt:
        return _INTERRUPTED
    print(as_json(findings) if options.json else as_text(findings))
    return exit_code(findings)


def examine(
    env: Mapping[str, str], path: str | None, node: str, watch_sec: float
) -> list[Finding]:
    """
    Return all findings; whatever fails becomes one.

    Args:
        env: environment to judge.
        path: of a parameters file, to compare the live graph to.
        node: full name of the node that the file is for.
        watch_sec: for how long to listen.
    """
    findings: list[Finding] = []
    look = partial(_look, findings)
    for check in (check_python, check_package, check_numpy, check_cupy_packages, check_load):
        look(check)
    if not exit_code(findings):  # else nothing of the rest can be imported
        look(partial(_examine_live, env, path, node, watch_sec))
    for in_env in (check_discovery, check_transport, check_shared_memory, check_sockets):
        look(partial(in_env, env))
    return findings


def _examine_live(
    env: Mapping[str, str], path: str | None, node: str, watch_sec: float
) -> Iterator[Finding]:
    """Yield what can be told of ROS, the graph and CUDA, all of which may hang."""
    # Only here, as they need NumPy, whose absence shall be a finding as well.
    from robocache_ros.doctor.graph import judge_graph, judge_ros
    from robocache_ros.doctor.params import Params, judge_pipeline, read_params

    params = read_params(path, node) if path else Params(node)
    yield from params.findings
    flat = None if params.config is None else dict(params.flat)
    backend = params.config.backend if params.config else 'auto'
    device_id = params.config.device_id if params.config else 0
    asked = {'flat': flat, 'node': node, 'watch_sec': watch_sec, 'device_id': device_id}
    with contextlib.ExitStack() as probes:
        start = partial(_start, probes, asked)
        graph = start('graph_facts:look', watch_sec)
        driver, cupy, torch = (start(f'cuda_facts:{name}') for name in ('driver', 'cupy', 'torch'))
        pipeline = start('config_facts:look') if flat is not None else dict
        seen = graph()
        yield from judge_ros(seen, env)
        yield from judge_pipeline(pipeline())
        yield from judge_graph(seen, bool((flat or {}).get('use_sim_time')))
        yield from judge_cuda(driver(), cupy(), backend, device_id)
        yield from judge_torch(torch(), params.encoder_devices)


def _start(
    probes: contextlib.ExitStack,
    asked: Mapping[str, Any],
    function: str,
    more_sec: float = 0.0,
) -> Callable[[], dict[str, Any]]:
    """Start a probe, which ends with `probes`; return what waits for its facts."""
    probe = Probe(f'robocache_ros.doctor.{function}', asked, LIMIT_SEC + more_sec)
    probes.callback(probe.end)
    return probe.facts


def _look(findings: list[Finding], check: Callable[[], Iterable[Finding]]) -> None:
    """Add what a check finds; one that fails is a bug, and no reason not to do the others."""
    try:
        for finding in check():
            findings.append(finding)
    except Exception as error:
        findings.append(
            warning(
                'doctor',
                f'A bug in robocache_ros ended a look: {type(error).__name__}: {error}.',
                'Please report it; what is said of other things holds all the same.',
            )
        )


def _parse(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog='robocache doctor',
        description='Why does it not work? Looks at this machine, its ROS and its live topics.',
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    add('--params', metavar='FILE', help='ROS parameters file to compare the live topics to')
    add('--node', default='/preprocessor', help='full name of the node the file is for')
    add('--watch', type=float, default=3.0, metavar='SEC', help='how long to listen (default 3)')
    add('--json', action='store_true', help='print JSON')
    options = parser.parse_args(argv)
    if not 0 < options.watch <= _LONGEST_WATCH_SEC:
        parser.error(f'--watch must be above 0 and at most {_LONGEST_WATCH_SEC:g} seconds')
    options.node = f'/{options.node.strip("/")}'
    return options
