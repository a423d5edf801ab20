# Copyright 2026 the robocache_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Values of streams that are on the device already, on their way to the fusion kernel."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from robocache_ros.backends.cuda.device import Clear, Launch, Program, check
from robocache_ros.backends.cuda.jobs import SAMPLES_JOB, SOURCE
from robocache_ros.backends.cuda.memory import Grown, Spans, bucket
from robocache_ros.backends.cuda.staging import Parcel, Staging
from robocache_ros.resampling import DTYPES, RULES, Stream, UnusableSamples

_THREADS = 256
_SAMPLES_EACH = _THREADS // 32  # of a block at a time
_BLOCKS_EACH = 8  # of a multiprocessor


class DeviceSamples:
    """Copies values to where the kernel reads them, end to end and without -0, and checks them."""

    def __init__(self, staging: Staging) -> None:
        """Memory comes with the first call."""
        self._staging = staging
        self._copies = Grown(staging.device.allocate)
        self._told = Grown(staging.device.allocate_host)
        self._job: Any = np.zeros(1, SAMPLES_JOB)
        self._at = 0, 0  # of the job and of the sources, in the parcel

    def add(self, parcel: Parcel, streams: Sequence[Stream]) -> npt.NDArray[np.uint64]:
        """Add to a parcel what is to be done; returns where the values of each stream will be."""
        sources = np.zeros(len(streams), SOURCE)
        spans = Spans()
        flag = spans.add(4)
        for source, stream in zip(sources, streams, strict=True):
            _describe(source, stream)
            itemsize = 4 if stream.dtype == 'float32' else 2
            source['to'] = spans.add(itemsize * int(np.prod(stream.values.shape)))
        check(spans.nbytes, self._staging.limits.max_message_bytes, 'bytes of samples')
        base = self._copies.at_least(spans.nbytes).address
        sources['to'] += np.uint64(base)
        sources['end'] = np.cumsum([int(np.prod(s.values.shape[:2])) for s in streams])
        sources['begin'][1:] = sources['end'][:-1]
        self._job['unusable'], self._job['samples'] = base + flag, sources['end'][-1]
        self._at = parcel.add(self._job), parcel.add(sources)
        return sources['to'].copy()

    def program(self, base: int) -> Program:
        """Return what does it, in a parcel that is going to lie at `base` on the device."""
        job, device = self._job[0], self._staging.device
        job['sources'], job['told'] = base + self._at[1], self._told.at_least(4).address
        most = _BLOCKS_EACH * device.multiprocessors
        blocks = min(bucket(int(job['samples'])) // _SAMPLES_EACH + 1, most)
        steps = (
            Clear(int(job['unusable']), 4),
            Launch('fusion.take', blocks, _THREADS),
            Launch('fusion.tell', 1, 32),
        )
        return Program(base + self._at[0], steps)

    def check(self) -> None:
        """Raise UnusableSamples if there are any, once all that was queued is done."""
        if np.frombuffer(self._told.at_least(4).array, np.uint32, 1)[0]:
            raise UnusableSamples


def _describe(source: Any, stream: Stream) -> None:
    values: Any = stream.values  # a DeviceArray
    source['from'], source['strides'] = values.address, values.strides
    source['samples'], source['width'] = values.shape[1:]
    source['rule'] = RULES.index(stream.rule)
    source['format'] = DTYPES.index(str(stream.dtype))
    source['wide'] = values.dtype == np.float64
