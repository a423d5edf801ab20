# Copyright 2026 the robocache_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The shared memory of blocks of kernels/dense.cu: of which cells, and which sums of them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from robocache_ros.backends.cuda.device import Device
from robocache_ros.backends.cuda.jobs import DENSE_COLUMN, DENSE_VALUE
from robocache_ros.grid import Channel, VoxelSpec

_CHUNK = 32  # cells
_KINDS = ('count', 'occupancy', 'mean', 'sum', 'min', 'max', 'centroid')  # in the kernel's order
_FIRST_FIELD = 3  # after x, y, z
_SUM_WORDS = 3  # two halves, and the number of values
_CENTROID_WORDS = 6  # two halves along each axis
# Two blocks of a multiprocessor fit in its shared memory: one writes while the other adds.
_BLOCKS_AT_A_TIME = 2
_TAKEN_BYTES = 1024  # of shared memory by CUDA, for each block
_SHARES_PER_MULTIPROCESSOR = 4  # at least, so that none waits long for the last


class Shares(NamedTuple):
    """How the cells of a grid are dealt out to blocks: 2^bits shares of so many chunks of 32."""

    bits: int
    chunks_each: int
    shared_bytes: int  # of a block

    @classmethod
    def of(cls, cells: int, words: int, device: Device) -> Shares:
        """Make shares that fit in shared memory with `words` of 4 bytes per cell."""
        chunks = -(-cells // _CHUNK)
        chunk_bytes = 4 * words * _CHUNK
        # The largest block leaves room for what CUDA takes of one: more of them take it again.
        room = device.shared_bytes - (_BLOCKS_AT_A_TIME - 1) * _TAKEN_BYTES
        most = max(1, room // (_BLOCKS_AT_A_TIME * chunk_bytes))
        least_shares = min(chunks, _SHARES_PER_MULTIPROCESSOR * device.multiprocessors)
        shares = max(-(-chunks // most), least_shares)
        bits = (shares - 1).bit_length()
        chunks_each = -(-chunks // (1 << bits))
        return cls(bits, chunks_each, chunks_each * chunk_bytes)

    @property
    def number(self) -> int:
        """How many shares."""
        return 1 << self.bits


class Words(NamedTuple):
    """The words of a cell: word 0 counts points; where the others are that the channels need."""

    columns: npt.NDArray[Any]  # DENSE_COLUMN of each column of the output
    values: npt.NDArray[Any]  # DENSE_VALUE of each field
    each: int  # words of a cell
    centroid: int  # the first of those of the centroid; 0: none

    @classmethod
    def of(cls, spec: VoxelSpec, resolutions: Sequence[float]) -> Words:
        """Lay out the words of a spec; `resolutions` are those of sums, of its fields."""
        values = np.zeros(len(spec.fields), DENSE_VALUE)
        words = 1
        centroid = 0
        if any(channel.kind == 'centroid' for channel in spec.channels):
            centroid, words = words, words + _CENTROID_WORDS
        for number, name in enumerate(spec.fields):
            kinds = {channel.kind for channel in spec.channels if name in channel.fields}
            value = values[number]
            value['field'] = _FIRST_FIELD + number
            value['steps'] = 1.0 / resolutions[number]  # a power of two: exact
            if kinds & {'mean', 'sum'}:
                value['sum'], words = words, words + _SUM_WORDS
            if 'min' in kinds:
                value['least'], words = words, words + 1
            if 'max' in kinds:
                value['greatest'], words = words, words + 1
        fields = dict(zip(spec.fields, values, strict=True))
        rows = [row for channel in spec.channels for row in _columns_of(channel, fields, centroid)]
        return cls(np.array(rows, DENSE_COLUMN), values, words, centroid)

    def describe(self, job: Any) -> None:
        """Write them to a DENSE_JOB."""
        job['column_count'], job['value_count'] = len(self.columns), len(self.values)
        job['columns'][: len(self.columns)] = self.columns
        job['values'][: len(self.values)] = self.values
        job['word_count'], job['centroid'] = self.each, self.centroid


def _columns_of(
    channel: Channel, fields: dict[str, Any], centroid: int
) -> list[tuple[float, int, int]]:
    """DENSE_COLUMN of each column that a channel fills."""
    kind = _KINDS.index(channel.kind)
    if channel.kind == 'centroid':
        return [(1.0, kind + axis, centroid + 2 * axis) for axis in range(3)]
    if channel.field is None:
        return [(1.0, kind, 0)]
    value = fields[channel.field]
    place = {'min': 'least', 'max': 'greatest'}.get(channel.kind, 'sum')
    return [(1.0 / value['steps'], kind, value[place])]
