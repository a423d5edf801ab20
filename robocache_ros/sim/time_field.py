# Copyright 2026 the robocache_ros authors
# SPDX-License-Identifier: Apache-2.0
"""How a cloud says when each of its points was measured: the ways of the drivers there are."""

from __future__ import annotations

from array import array
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

Points = npt.NDArray[np.void]

# Which part of a sweep is over at the time that its header has.
STAMPS_AT = {'start': 0.0, 'middle': 0.5, 'end': 1.0}


class TimeField(NamedTuple):
    """A field of a cloud, and what its values count."""

    type: str  # '' for none
    per_sec: float
    since: str  # what they count from: header, sweep, or epoch


TIME_FIELDS = {
    'time': TimeField('<f4', 1.0, 'header'),  # negative where the header comes later
    't': TimeField('<u4', 1e9, 'sweep'),
    'offset_time': TimeField('<u4', 1e9, 'sweep'),
    'time_stamp': TimeField('<u4', 1e9, 'sweep'),
    'timestamp': TimeField('<f8', 1.0, 'epoch'),
    'none': TimeField('', 0.0, 'sweep'),
}


def with_time_field(points: Points, name: str, header_sec: float) -> Points:
    """
    Return points [N] with the time field `name` in place of their own, which is `time`.

    `header_sec`: from the start of the sweep to the time of the header. What counts from the
    epoch counts from the start of the sweep until `date` knows when that is.
    """
    about = TIME_FIELDS[name]
    if name == 'time' and header_sec == 0.0:
        return points
    fields = [(n, f[0]) for n, f in (points.dtype.fields or {}).items() if n != 'time']
    if about.type:
        fields.append((name, np.dtype(about.type)))
    result = np.empty(len(points), fields)
    for field, _ in fields:
        if field != name:
            result[field] = points[field]
    if about.type:
        since = points['time'].astype(np.float64)
        since -= header_sec if about.since == 'header' else 0.0
        scaled = since * about.per_sec
        result[name] = np.rint(scaled) if result[name].dtype.kind == 'u' else scaled
    return result


def date(body: dict[str, Any], name: str, start_ns: int) -> dict[str, Any]:
    """Return the body of a cloud whose sweep starts at `start_ns`: only absolute times change."""
    about = TIME_FIELDS[name]
    if about.since != 'epoch':
        return body
    fields = {field.name: field for field in body['fields']}
    data = np.frombuffer(body['data'], np.uint8).reshape(-1, body['point_step']).copy()
    offset, size = fields[name].offset, np.dtype(about.type).itemsize
    since = np.ascontiguousarray(data[:, offset : offset + size]).view(about.type)
    data[:, offset : offset + size] = (since + start_ns * 1e-9).view(np.uint8)
    return {**body, 'data': array('B', data.tobytes())}
