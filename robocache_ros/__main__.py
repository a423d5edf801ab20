# Copyright 2026 the robocache_ros authors
# SPDX-License-Identifier: Apache-2.0
"""`python -m robocache_ros COMMAND`, or `robocache COMMAND`: everything the package can run."""

from __future__ import annotations

import argparse
import importlib
import os
import signal
import sys
from typing import Any, NamedTuple

from robocache_ros import __version__


class _Command(NamedTuple):
    module: str  # has main(argv); imported only when asked for, so that schema needs no ROS
    what: str


COMMANDS = {
    'node': _Command('robocache_ros.node', 'run the preprocessor node (takes --ros-args)'),
    'container': _Command(
        'robocache_ros.container', 'load nodes into one process (takes --ros-args)'
    ),
    'sim': _Command('robocache_ros.ros.sim_node', 'run the simulated robot (takes --ros-args)'),
    'demo': _Command('robocache_ros.demo.demo', 'run robot, node and monitor together'),
    'monitor': _Command(
        'robocache_ros.demo.monitor', 'watch a running node: rates, latency, counts'
    ),
    'prometheus': _Command(
        'robocache_ros.ros.prometheus', 'export /diagnostics of all nodes as metrics, over HTTP'
    ),
    'view': _Command('robocache_ros.demo.view', 'show inputs and outputs in the Rerun viewer'),
    'doctor': _Command('robocache_ros.doctor.doctor', 'say what is wrong here, and the fix'),
    'schema': _Command(__name__, 'print what a parameters file makes the node publish, as JSON'),
}

# What runs until a signal tells it to end, and then exits with 0.
NODES = ('node', 'container', 'sim', 'prometheus')
ROS_PACKAGES = {
    'rclpy', 'builtin_interfaces', 'diagnostic_msgs', 'geometry_msgs', 'lifecycle_msgs',
    'nav_msgs', 'rcl_interfaces', 'rosgraph_msgs', 'sensor_msgs', 'std_msgs',
}  # fmt: skip
NO_ROS = (
    'robocache {command} needs ROS 2: {cause}. Source an installation '
    "(`source /opt/ros/<distro>/setup.bash`), or on x86-64 run `pip install '.[ros]'` where the "
    'sources of robocache_ros are.'
)


def main(argv: list[str] | None = None) -> int:
    """Run one command and return its exit code; all that follows its name is the command's."""
    words = sys.argv[1:] if argv is None else argv
    if not words:
        _parser().print_help()
        return 2
    parsed = _parser().parse_args(words)
    try:
        code = _run(parsed)
        sys.stdout.flush()
        return code
    except BrokenPipeError:  # `| head` has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1


def _run(parsed: argparse.Namespace) -> int:
    if parsed.command == 'schema':
        return print_schema(parsed.arguments)
    if parsed.command in NODES:
        _leave_on_signals()
    try:
        module: Any = importlib.import_module(COMMANDS[parsed.command].module)
    except ImportError as error:
        if (error.name or '').partition('.')[0] not in ROS_PACKAGES:
            raise
        print(NO_ROS.format(command=parsed.command, cause=error), file=sys.stderr)
        return 1
    return int(module.main(parsed.arguments) or 0)


def _leave_on_signals() -> None:
    """Until a node catches them, end at once: it is only imported yet, which takes a while."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: os._exit(0))


def print_schema(argv: list[str]) -> int:
    """Print the schema that a parameters file gives; 1, and a sentence, when it is refused."""
    from robocache_ros.backends import BackendUnavailable, make_backend
    from robocache_ros.backends.workload import Workload
    from robocache_ros.config import Config, ConfigError
    from robocache_ros.config.params_file import read_params_file
    from robocache_ros.schema import Schema

    parser = argparse.ArgumentParser(prog='robocache schema', description=COMMANDS['schema'].what)
    parser.add_argument('--params', metavar='FILE', help='ROS parameters file; default: none')
    parser.add_argument('--node', default='/preprocessor', help='full name of the node')
    args = parser.parse_args(argv)
    try:
        flat = read_params_file(args.params, args.node) if args.params else {}
        config = Config.from_mapping(flat)
        workload = Workload.of(config)
        schema = Schema.from_config(config)
        backend = make_backend(config.backend, config.device_id, workload, wait=True)
    except (ConfigError, BackendUnavailable) as error:
        print(f'robocache schema: {error}', file=sys.stderr)
        return 1
    print(schema.to_json(backend.status()))
    backend.close()
    return 0


def _parser() -> argparse.ArgumentParser:
    width = max(map(len, COMMANDS)) + 1
    lines = [f'  {name:<{width}}{command.what}' for name, command in COMMANDS.items()]
    parser = argparse.ArgumentParser(
        prog='robocache',
        description='Time-aligned voxel grids and fused features from robot sensors.',
        epilog='commands:\n' + '\n'.join(lines),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument('--version', action='version', version=f'robocache_ros {__version__}')
    parser.add_argument('command', choices=COMMANDS, metavar='COMMAND', help='see below')
    parser.add_argument('arguments', nargs=argparse.REMAINDER, help="the command's own arguments")
    return parser


if __name__ == '__main__':
    sys.exit(main())
