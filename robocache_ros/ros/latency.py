# Copyright 2026 the robocache_ros authors
# SPDX-License-Identifier: Apache-2.0
"""How long frames took on their way through the node, stage by stage."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from robocache_ros.samples import IntArray

# A clock further from the stamps than this is another one: a bag plays without its clock.
_SAME_CLOCK_MS = 60_000.0


class Passage(NamedTuple):
    """When one frame had got how far; monotonic, but for the time it is of."""

    t_ref_ns: int
    arrival_ns: int  # of the message that triggered it
    ready_ns: int
    computed_ns: int
    encoded_ns: int
    sent_ns: int


@dataclass(frozen=True)
class Timing:
    """Percentiles of some durations, in milliseconds."""

    p50_ms: float
    p95_ms: float
    p99_ms: float

    @classmethod
    def of(cls, durations_ns: Sequence[int] | IntArray) -> Timing | None:
        """Summarise durations in nanoseconds; None where there are none."""
        if len(durations_ns) == 0:
            return None
        ordered = np.sort(np.asarray(durations_ns, np.int64))
        ranks = (round(q * (len(ordered) - 1)) for q in (0.50, 0.95, 0.99))
        return cls(*(float(ordered[rank]) * 1e-6 for rank in ranks))

    def values(self, name: str) -> dict[str, str]:
        """Return what diagnostics show of it."""
        return {
            f'{name}_ms_p50': f'{self.p50_ms:.2f}',
            f'{name}_ms_p95': f'{self.p95_ms:.2f}',
            f'{name}_ms_p99': f'{self.p99_ms:.2f}',
        }


def stages(
    passages: Sequence[Passage], decoding_ns: Mapping[int, int], clock_ahead_ns: int
) -> dict[str, Timing]:
    """
    Return how long frames took, in the order in which things happen to them.

    All but `transport` add up to `total`, from the arrival of a message to the publication of
    its frame. A stage that is known of no frame is left out.

    Args:
        passages: of the frames.
        decoding_ns: arrival of a message -> how long it took to become a sample.
        clock_ahead_ns: of the monotonic clock is the one that stamps are compared to. Where they
            are of another time altogether, `transport` is left out.
    """
    decoding = [decoding_ns.get(frame.arrival_ns) for frame in passages]
    pairs = list(zip(passages, decoding, strict=True))
    found = {
        'transport': [p.arrival_ns + clock_ahead_ns - p.t_ref_ns for p in passages],
        'decode': [taken for taken in decoding if taken is not None],
        'wait': [p.ready_ns - p.arrival_ns - (taken or 0) for p, taken in pairs],
        'compute': [p.computed_ns - p.ready_ns for p in passages],
        'encode': [p.encoded_ns - p.computed_ns for p in passages],
        'publish': [p.sent_ns - p.encoded_ns for p in passages],
        'total': [p.sent_ns - p.arrival_ns for p in passages],
    }
    timings = {stage: Timing.of(durations_ns) for stage, durations_ns in found.items()}
    known = {stage: timing for stage, timing in timings.items() if timing is not None}
    if known and abs(known['transport'].p50_ms) > _SAME_CLOCK_MS:
        del known['transport']
    return known
