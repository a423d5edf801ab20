# Copyright 2026 the robocache_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The newest numbers of every node."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable
from typing import NamedTuple

from robocache_ros.metrics.measurement import Measurement, Status, measure

# Nodes tell something every second: one that has not for so long is gone, and so are its numbers.
PATIENCE_SEC = 10.0
_AGE = 'Time since the last message on /diagnostics.'


class _Told(NamedTuple):
    at_sec: float
    measurements: list[Measurement]


class Board:
    """The newest numbers of every node; from any thread."""

    def __init__(self, now_sec: Callable[[], float] = time.monotonic) -> None:
        """Begin without any node."""
        self._now_sec = now_sec
        self._lock = threading.Lock()
        self._nodes: dict[str, _Told] = {}

    def put(self, statuses: Iterable[Status]) -> None:
        """Replace all that was known of the nodes that have said these."""
        told: dict[str, dict[tuple[object, ...], Measurement]] = {}
        for status in statuses:
            # By name and labels: Prometheus refuses a page that says the same thing twice.
            ours = told.setdefault(status.node, {})
            ours |= {(one.name, one.labels): one for one in measure(status)}
        now_sec = self._now_sec()
        with self._lock:
            for node, ours in told.items():
                self._nodes[node] = _Told(now_sec, list(ours.values()))

    def measurements(self) -> list[Measurement]:
        """Return the numbers of all nodes that are still there, by node."""
        now_sec = self._now_sec()
        with self._lock:
            self._nodes = {
                node: told
                for node, told in self._nodes.items()
                if now_sec - told.at_sec <= PATIENCE_SEC
            }
            found = sorted(self._nodes.items())
        return [
            one
            for node, told in found
            for one in (*told.measurements, _age(node, now_sec - told.at_sec))
        ]


def _age(node: str, age_sec: float) -> Measurement:
    labels = (('node', node),)
    return Measurement('robocache_diagnostics_age_seconds', False, labels, age_sec, _AGE)
