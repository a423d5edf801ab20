# Copyright 2026 the robocache_ros authors
# SPDX-License-Identifier: Apache-2.0
"""A simulated robot, the node and a monitor in three processes: `./scripts/demo`."""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from typing import Any

from robocache_ros.demo.child import Child
from robocache_ros.demo.monitor import Monitor
from robocache_ros.demo.options import FAST_PARAMETERS, FAST_ROBOT, PARAMETERS, parse
from robocache_ros.demo.report import build_report, summary, table
from robocache_ros.demo.screen import Screen
from robocache_ros.demo.stop_signals import catch_stop_signals
from robocache_ros.demo.tiny_model import tiny_encoder
from robocache_ros.environment import MALLOC, fastdds_profile
from robocache_ros.resources import config_file

NODE = '/preprocessor'
TRIGGER, CAMERA = 'lidar', 'camera'
START_DEADLINE_SEC = 60.0  # a machine that is busy installing things is slow
DRAIN_DEADLINE_SEC = 10.0


class DemoError(Exception):
    """The demo can not go on: one sentence, and the last words of the process that failed."""


class Demo:
    """One run: start everything, watch, let it drain, sum up."""

    def __init__(
        self, options: argparse.Namespace, stopped: Callable[[], bool], stack: ExitStack
    ) -> None:
        """
        Prepare.

        Args:
            options: as `parse` gives them.
            stopped: tells whether the user has had enough.
            stack: undoes everything at its end.
        """
        self._options = options
        self._stopped = stopped
        self._stack = stack
        self._env = isolated_environment(options.domain)
        os.environ.clear()  # the monitor's own participant must not differ
        os.environ.update(self._env)
        self._log_dir = stack.enter_context(tempfile.TemporaryDirectory(prefix='robocache_'))
        self.monitor = Monitor(NODE, TRIGGER, options.domain)
        stack.callback(self.monitor.close)
        self._screen = Screen(sys.stdout)
        self._children: list[Child] = []
        self._own_cpu_sec = 0.0

    def run(self) -> None:
        """Run the demo to its end; KeyboardInterrupt when the user has had enough."""
        seen = self.monitor.seen
        encoder = encoder_assignments(self._options, self._log_dir)
        node = self._start(['node', '--ros-args', *node_parameters(self._options, encoder)])
        self._wait_for(lambda: seen.health.node.get('state') == 'active', node)
        if self._options.view or self._options.save:
            view = self._start(view_command(self._options))
            self._wait_for(lambda: self.monitor.listeners() > 1, view)
        sim = self._start(['sim', '--ros-args', *sim_parameters(self._options)])
        self._wait_for(lambda: bool(seen.published) or not sim.running, sim)
        self._watch(sim)
        self._drain()

    def finish(self) -> None:
        """End a run before its time: the simulator, then what the node still has to do."""
        for child in self._children:
            if child.name == 'sim':
                child.stop()
                self._drain()

    def report(self) -> dict[str, Any]:
        """Sum up what was seen until now."""
        cpu_sec = {child.name: child.cpu_sec() for child in self._children}
        cpu_sec['monitor'] = time.process_time() - self._own_cpu_sec
        return build_report(self.monitor.seen, cpu_sec)

    def _start(self, command: list[str]) -> Child:
        child = Child(command, self._env, self._log_dir)
        self._stack.callback(child.stop)
        self._children.append(child)
        return child

    def _spin_until(self, done: Callable[[], bool], timeout_sec: float) -> bool:
        in_time = self.monitor.spin_until(lambda: self._stopped() or done(), timeout_sec)
        if self._stopped():
            raise KeyboardInterrupt
        return in_time

    def _wait_for(self, done: Callable[[], bool], child: Child) -> None:
        print(f'starting {child.name} ...', flush=True)
        self._spin_until(lambda: done() or not child.running, START_DEADLINE_SEC)
        if not done():
            state = 'is not ready' if child.running else f'ended with {child.exit_code}'
            raise DemoError(f'{child.name} {state}; it said:\n{child.last_words()}')

    def _watch(self, sim: Child) -> None:
        """Show what happens until the simulator ends."""
        for child in self._children:
            child.mark_cpu()
        self._own_cpu_sec = time.process_time()
        while not self._spin_until(lambda: not sim.running, self._screen.period_sec):
            self._show()
        if sim.exit_code != 0:
            raise DemoError(f'sim ended with {sim.exit_code}; it said:\n{sim.last_words()}')

    def _show(self) -> None:
        report = self.report()
        title = (
            f'robocache_ros demo: {report["duration_sec"]:.1f} of {self._options.seconds:g} s, '
            f'ROS_DOMAIN_ID={self._options.domain}'
        )
        self._screen.show([title, *table(report)])

    def _drain(self) -> None:
        """Wait until the node has nothing more to do: two equal accounts in a row, in any case."""
        accounts: list[Any] = []

        def settled() -> bool:
            if not accounts or accounts[-1][0] != self.monitor.last_diagnostics_ns:
                report = self.report()
                now = {name: report[name] for name in ('voxels', 'features', 'sources')}
                accounts.append((self.monitor.last_diagnostics_ns, now))
            return len(accounts) > 2 and accounts[-1][1] == accounts[-2][1]

        self.monitor.spin_until(settled, DRAIN_DEADLINE_SEC)
        self._show()


def isolated_environment(domain: int) -> dict[str, str]:
    """Return the environment of a process that meets those of this run and nobody else."""
    env = {**MALLOC, **os.environ, **fastdds_profile('fastdds_isolated.xml', os.environ)}
    env['ROS_DOMAIN_ID'] = str(domain)
    env['ROS_AUTOMATIC_DISCOVERY_RANGE'] = 'SYSTEM_DEFAULT'
    for name in ('ROS_LOCALHOST_ONLY', 'ROS_STATIC_PEERS', 'ROS_DISCOVERY_SERVER'):
        env.pop(name, None)
    return env


def encoder_assignments(options: argparse.Namespace, folder: str) -> list[str]:
    """Make a network that encodes images, unless the user has one, and say which it is."""
    theirs = any(text.startswith(f'{CAMERA}.encoder.') for text in options.node_param)
    if options.fast or theirs:
        return []
    assignments, line = tiny_encoder(folder, CAMERA)
    print(line, flush=True)
    return assignments


def node_parameters(options: argparse.Namespace, encoder: Sequence[str] = ()) -> list[str]:
    """Return the node's parameters, those of an encoder among them, as ROS arguments."""
    file = str(config_file(FAST_PARAMETERS if options.fast else PARAMETERS))
    own = _parameters(f'backend:={options.backend}', *encoder, *options.node_param)
    return ['--params-file', file, *own]


def sim_parameters(options: argparse.Namespace) -> list[str]:
    """Return the simulator's: nothing that the node has no source for."""
    return _parameters(
        f'duration_sec:={options.seconds}',
        'start_delay_sec:=1.5',  # the node needs a moment to see the QoS of what it will get
        f'lidar.rate_hz:={options.rate}',
        'joints.rate_hz:=0.0',
        *(FAST_ROBOT if options.fast else ()),
        *options.sim_param,
    )


def view_command(options: argparse.Namespace) -> list[str]:
    """Return the command line of the viewer."""
    save = ['--save', str(options.save.absolute())] if options.save else []
    return ['view', '--node', NODE, *save]


def _parameters(*assignments: str) -> list[str]:
    return [word for assignment in assignments for word in ('-p', assignment)]


def main(argv: Sequence[str] | None = None) -> int:
    """Run the demo; 0 when voxels and features came out, 1 when not, 130 when interrupted."""
    options = parse(argv)
    stopped = catch_stop_signals()
    interrupted = False
    try:
        with ExitStack() as stack:
            demo = Demo(options, stopped, stack)
            try:
                demo.run()
            except KeyboardInterrupt:
                interrupted = True
                demo.finish()
            report, complaints = demo.report(), demo.monitor.seen.complaints()
    except DemoError as error:
        print(f'demo: {error}', file=sys.stderr)
        return 1
    if interrupted:
        print('interrupted; all processes have been stopped')
    if report['duration_sec'] or not interrupted:
        print('\n'.join(summary(report, complaints)))
        if options.report:
            options.report.write_text(json.dumps(report, indent=1) + '\n')
    if interrupted:
        return 130
    return int(min(report[name]['messages'] for name in ('voxels', 'features')) == 0)
