# Copyright 2026 the robocache_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Resampling and fusion on a device: `kernels/fusion.cu` says how it is computed."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt

from robocache_ros.backends.cuda.device import Launch, Memory, Program, check
from robocache_ros.backends.cuda.jobs import FUSION_JOB, STRIP
from robocache_ros.backends.cuda.memory import Grown, bucket
from robocache_ros.backends.cuda.results import M, Place, Results, Span, copied, viewed
from robocache_ros.backends.cuda.samples import DeviceSamples
from robocache_ros.backends.cuda.staging import Parcel, Staging
from robocache_ros.interop import DeviceArray
from robocache_ros.resampling import (
    DTYPES,
    RULES,
    Fused,
    Resampled,
    Stream,
    columns_of,
    stored_dtype,
)
from robocache_ros.samples import AnyArray, IntArray

STRIP_COLUMNS = 128  # of a warp: four of each lane
_MAX_WARPS = 16  # of a block, as the kernel has it
_BLOCKS_EACH = 16  # of a multiprocessor; more rows take turns

_STORAGE: dict[str, npt.DTypeLike] = {
    'float32': np.float32,
    'float16': np.float16,
    'bfloat16': np.uint16,
}


class FusionResults(Results):
    """What a call gives: values [B, T, F], and the others [B, T, N] for N streams."""

    def __init__(
        self,
        streams: Sequence[Stream],
        targets: IntArray,
        out_dtype: str,
        *,
        with_samples: bool = False,
    ) -> None:
        """`with_samples`: also which samples were used."""
        super().__init__()
        self.out_dtype = out_dtype
        self.width = sum(stream.values.shape[2] for stream in streams)
        each = (*targets.shape, len(streams))
        self.values = self.add((*targets.shape, self.width), _STORAGE[out_dtype])
        self.valid = self.add(each, np.bool_)
        self.age = self.add(each, np.float32)
        self.lower = self.add(each, np.int64) if with_samples else None
        self.upper = self.add(each, np.int64) if with_samples else None

    def describe(self, job: Any, address: int) -> None:
        """Tell the job about memory for the results that begins at `address`."""
        job['format'], job['stride'] = DTYPES.index(self.out_dtype), self.width
        for name in ('values', 'valid', 'age', 'lower', 'upper'):
            span: Span | None = getattr(self, name)
            job[name] = 0 if span is None else address + span.begin


class Fusion:
    """Streams at target times, any number of them in one launch."""

    def __init__(self, staging: Staging) -> None:
        """Load the kernel; memory comes with the first call."""
        self._staging = staging
        self._host = Grown(staging.device.allocate_host)
        self._viewed = partial(viewed, staging.device)
        self._samples = DeviceSamples(staging)
        staging.device.load(['fusion'])

    def resample(self, stream: Stream, targets: IntArray, out_dtype: str) -> Resampled:
        """One stream at the targets [B, T], and which samples it was made of, on the host."""
        return self._resample(stream, targets, out_dtype, self._host.at_least, copied)

    def resample_on_device(
        self, stream: Stream, targets: IntArray, out_dtype: str, place: Place[Memory]
    ) -> Resampled:
        """Return the same as arrays of the device, in the memory that `place` gives."""
        return self._resample(stream, targets, out_dtype, place, self._viewed)

    def fuse(self, streams: Sequence[Stream], targets: IntArray, out_dtype: str) -> Fused:
        """Several streams at the targets [B, T], side by side, on the host."""
        return self._fuse(streams, targets, out_dtype, self._host.at_least, copied)

    def fuse_on_device(
        self, streams: Sequence[Stream], targets: IntArray, out_dtype: str, place: Place[Memory]
    ) -> Fused:
        """Return the same as arrays of the device, in the memory that `place` gives."""
        return self._fuse(streams, targets, out_dtype, place, self._viewed)

    def _resample(
        self,
        stream: Stream,
        targets: IntArray,
        out_dtype: str,
        place: Place[M],
        array: Callable[[M, Span], AnyArray],
    ) -> Resampled:
        results = FusionResults([stream], targets, out_dtype, with_samples=True)
        memory = self.run([stream], targets, results, place)
        spans = (results.valid, results.age, results.lower, results.upper)
        valid, age, lower, upper = (
            array(memory, span)[..., 0] for span in spans if span is not None
        )
        return Resampled(array(memory, results.values), valid, age, lower, upper)

    def _fuse(
        self,
        streams: Sequence[Stream],
        targets: IntArray,
        out_dtype: str,
        place: Place[M],
        array: Callable[[M, Span], AnyArray],
    ) -> Fused:
        results = FusionResults(streams, targets, out_dtype)
        memory = self.run(streams, targets, results, place)
        values, valid, age = (
            array(memory, span) for span in (results.values, results.valid, results.age)
        )
        return Fused(values, valid, age, columns_of(streams), (0,) * len(streams))

    def run(
        self,
        streams: Sequence[Stream],
        targets: IntArray,
        results: FusionResults,
        place: Place[M],
    ) -> M:
        """
        Compute the results into the memory that `place` gives, and return that memory.

        The values of all streams are on the host, or of all on the device; UnusableSamples where
        some of the latter have to be left out.
        """
        limits = self._staging.limits
        strips = _strips(streams, results.width)
        parcel = Parcel(
            np.dtype([('job', FUSION_JOB), ('strips', STRIP, strips.shape)], align=True)
        )
        times = np.array([parcel.add(stream.times) for stream in streams], np.uint64)
        on_device = isinstance(streams[0].values, DeviceArray)
        if on_device:
            values = self._samples.add(parcel, streams)
        else:
            values = np.array([parcel.add(stream.values) for stream in streams], np.uint64)
        aims = parcel.add(targets)
        check(parcel.nbytes, limits.max_message_bytes, 'bytes of samples and targets')
        check(results.nbytes, limits.max_message_bytes, 'bytes of results')
        base = self._staging.reserve(parcel)
        memory = place(results.nbytes)
        strips['times'] = (times + np.uint64(base))[strips['stream']]
        strips['values'] = (values + np.uint64(0 if on_device else base))[strips['stream']]
        parcel.job['strips'] = strips
        job = parcel.job['job']
        job['targets'], job['targets_each'] = base + aims, targets.shape[1]
        job['rows'], job['strips'], job['streams'] = targets.size, len(strips), len(streams)
        results.describe(job, memory.address)
        taking = self._samples.program(base) if on_device else None
        self._staging.send(parcel)
        if taking is not None:
            self._staging.device.execute(taking)
        self._staging.run(Program(base, (self._launch(len(strips), targets.size),)))
        if taking is not None:
            self._samples.check()
        return memory

    def _launch(self, strips: int, rows: int) -> Launch:
        """A warp for each strip and a block for each row; where there are too many, in turns."""
        most = self._staging.device.multiprocessors * _BLOCKS_EACH
        return Launch('fusion.fuse', min(bucket(rows), most), 32 * min(strips, _MAX_WARPS))


def _strips(streams: Sequence[Stream], out_width: int) -> npt.NDArray[Any]:
    """STRIP for every warp of a row, without addresses; a stream without columns has one too."""
    rows = []
    for k, (stream, columns) in enumerate(zip(streams, columns_of(streams), strict=True)):
        _, samples, width = stream.values.shape
        in_fours = stream.rule != 'slerp' and not (width | columns.start | out_width) % 4
        what = RULES.index(stream.rule), DTYPES.index(_stored(stream))
        for first in range(0, max(width, 1), STRIP_COLUMNS):
            count = min(width - first, STRIP_COLUMNS)
            part = (samples, width, first, count, columns.start + first, k)
            rows.append((0, 0, stream.max_gap_ns, *part, *what, in_fours))
    return np.array(rows, STRIP)


def _stored(stream: Stream) -> str:
    if isinstance(stream.values, DeviceArray):  # of float64 as well
        return str(stream.dtype)
    return stored_dtype(stream.values, stream.dtype)
