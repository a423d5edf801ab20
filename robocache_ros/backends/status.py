# Copyright 2026 the robocache_ros authors
# SPDX-License-Identifier: Apache-2.0
"""What a backend says of itself: what computes now, why, and how often what did."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True)
class BackendStatus:
    """One look at a backend; sizes are points, pixels, cells, or targets times values."""

    name: str  # what computes now: numpy or cuda
    reason: str  # why it is this one: a phrase without a full stop
    fix: str = ''  # a sentence on what to do; '' where nothing has to be done
    crossover: Mapping[str, int | None] = field(default_factory=dict)  # op -> N*, None: never
    counts: Mapping[str, Mapping[str, int]] = field(default_factory=dict)  # op -> where or why
    retry_sec: Mapping[str, float] = field(default_factory=dict)  # op -> until CUDA is tried again

    @property
    def healthy(self) -> bool:
        """Whether all is as asked for."""
        return not self.fix

    @property
    def choice(self) -> tuple[str, str, str, Mapping[str, int | None]]:
        """What to tell when it changes; the rest changes all the time."""
        return self.name, self.reason, self.fix, self.crossover
