# Copyright 2026 the robocache_ros authors
# SPDX-License-Identifier: Apache-2.0
"""`python -m robocache_ros prometheus`: what all nodes say in `/diagnostics`, over HTTP."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from functools import partial
from typing import Any

from diagnostic_msgs.msg import DiagnosticArray
from rclpy.node import Node
from rclpy.qos import QoSProfile

from robocache_ros.metrics.board import Board
from robocache_ros.metrics.measurement import Status
from robocache_ros.metrics.server import MetricsError, MetricsServer
from robocache_ros.ros.arguments import parse
from robocache_ros.ros.diagnostics import HARDWARE_ID
from robocache_ros.ros.log import BoundedLog
from robocache_ros.ros.process import run

_DEPTH = 100  # a fleet says everything in the same second


class Exporter(BoundedLog, Node):
    """Puts what our nodes say in `/diagnostics` on a board, which a server shows."""

    autostart_failed = False  # there is nothing to start

    def __init__(self, board: Board, server: MetricsServer, **kwargs: Any) -> None:
        """Subscribe; the server is closed with the node. `kwargs` as for rclpy.node.Node."""
        super().__init__('robocache_prometheus', **kwargs)
        self._board = board
        self._server = server
        self.create_subscription(
            DiagnosticArray, '/diagnostics', self._on_diagnostics, QoSProfile(depth=_DEPTH)
        )
        self.get_logger().info(f'Metrics of all nodes in /diagnostics: {server.url}')

    def destroy_node(self) -> None:
        """Give the port back and leave the graph."""
        self._server.close()
        super().destroy_node()

    def _on_diagnostics(self, message: DiagnosticArray) -> None:
        self._board.put(
            Status(one.name, one.level[0], {pair.key: pair.value for pair in one.values})
            for one in message.status
            if one.hardware_id == HARDWARE_ID
        )


def main(argv: Sequence[str] | None = None) -> int:
    """Export /diagnostics of all nodes of this package to Prometheus, until interrupted."""
    parser = argparse.ArgumentParser(
        prog='robocache prometheus', description=main.__doc__, epilog='--ros-args may follow.'
    )
    parser.add_argument(
        '--port', type=_port, default=9464, help='0 takes a free one (default %(default)s)'
    )
    parser.add_argument(
        '--address',
        default='127.0.0.1',
        help='interface to listen on; 0.0.0.0 is all of them (default %(default)s)',
    )
    arguments = parse(parser, argv)
    board = Board()
    try:
        server = MetricsServer(board, arguments.address, arguments.port)
    except MetricsError as error:
        print(f'robocache prometheus: {error}', file=sys.stderr)
        return 1
    return run(partial(Exporter, board, server), argv)


def _port(text: str) -> int:
    port = int(text)
    if not 0 <= port <= 65535:
        raise argparse.ArgumentTypeError(f'{port} is not between 0 and 65535')
    return port


if __name__ == '__main__':
    sys.exit(main())
