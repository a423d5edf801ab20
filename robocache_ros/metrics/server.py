# Copyright 2026 the robocache_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The page that Prometheus reads, and the port that it is served on."""

from __future__ import annotations

import errno
import threading
from collections.abc import Iterator
from socket import AF_INET6
from socketserver import ThreadingTCPServer
from typing import Any

from robocache_ros.metrics.board import Board

# A client that connects and says nothing keeps a thread for no longer than this.
_TIMEOUT_SEC = 5
_POLL_SEC = 0.1  # at which a server sees that it is to end


class MetricsError(Exception):
    """Why nothing can be served: one sentence, with the fix."""


class _Collector:
    """Hands the numbers of a board to the library."""

    def __init__(self, board: Board) -> None:
        self._board = board

    def collect(self) -> Iterator[Any]:
        from prometheus_client import Metric

        families: dict[str, Any] = {}
        for one in self._board.measurements():
            family = families.get(one.name)
            if family is None:
                kind = 'counter' if one.counts else 'gauge'
                family = families[one.name] = Metric(one.name, one.about, kind)
            family.add_sample(one.name + '_total' * one.counts, dict(one.labels), one.value)
        yield from families.values()


class _Server(ThreadingTCPServer):
    allow_reuse_address = True  # of a predecessor that has just ended
    daemon_threads = True


class _ServerOfIPv6(_Server):
    address_family = AF_INET6


class MetricsServer:
    """Serves the numbers of a board over HTTP until it is closed."""

    def __init__(self, board: Board, address: str, port: int) -> None:
        """
        Begin to serve.

        Args:
            board: what to serve.
            address: of the interface to listen on.
            port: to listen on; 0 takes one that is free.

        Raises:
            MetricsError: where the library is not installed, or the address can not be had.
        """
        try:
            from prometheus_client import CollectorRegistry, MetricsHandler
        except ImportError as error:
            raise MetricsError(
                f'needs prometheus-client ({error}): `pip install prometheus-client`, or '
                '`apt install python3-prometheus-client`.'
            ) from error
        # A registry of our own: the one of the library tells about this process, not the robot.
        registry = CollectorRegistry()
        registry.register(_Collector(board))
        handler = MetricsHandler.factory(registry)
        handler.timeout = _TIMEOUT_SEC
        make, host = (_ServerOfIPv6, f'[{address}]') if ':' in address else (_Server, address)
        try:
            self._server = make((address, port), handler)
        except OSError as error:
            raise MetricsError(_why(error, address, port)) from error
        self.url = f'http://{host}:{self._server.server_address[1]}/metrics'
        self._thread = threading.Thread(
            target=self._server.serve_forever, args=(_POLL_SEC,), name='metrics', daemon=True
        )
        self._thread.start()

    def close(self) -> None:
        """Stop, and give the port back."""
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


def _why(error: OSError, address: str, port: int) -> str:
    if error.errno == errno.EADDRINUSE:
        return (
            f'port {port} of {address} is taken, perhaps by another `robocache prometheus` '
            '(one is enough: it hears all nodes): end that one, or choose another --port.'
        )
    if error.errno == errno.EACCES:
        return f'port {port} is for root alone: choose a --port above 1023.'
    return (
        f'can not listen on port {port} of {address} ({error.strerror or error}): see --address.'
    )
