# Copyright 2026 the robocache_ros authors
# SPDX-License-Identifier: Apache-2.0
"""What a run amounted to: numbers for a file, a table for a terminal, a verdict for a person."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from robocache_ros.reasons import SMEARED, Reason

STAGES = ('transport', 'decode', 'wait', 'compute', 'encode', 'publish', 'total')
COUNTS = ('received', 'used', 'buffered', 'expired', 'lost_transport')


@dataclass
class Arrivals:
    """The messages of one output as they came in, oldest first."""

    stamp_ns: list[int] = field(default_factory=list)  # header
    received_ns: list[int] = field(default_factory=list)  # CLOCK_MONOTONIC
    size: list[float] = field(default_factory=list)  # occupied voxels, or fraction of valid groups


@dataclass
class Health:
    """What the node last said about itself in `/diagnostics`: values by part, and complaints."""

    node: Mapping[str, str] = field(default_factory=dict)
    sources: dict[str, Mapping[str, str]] = field(default_factory=dict)
    outputs: dict[str, Mapping[str, str]] = field(default_factory=dict)
    complaints: list[str] = field(default_factory=list)


@dataclass
class Observed:
    """Everything one run is judged by."""

    voxels: Arrivals = field(default_factory=Arrivals)
    features: Arrivals = field(default_factory=Arrivals)
    published: dict[str, int] = field(default_factory=dict)  # source -> messages sent
    trigger_sent_ns: dict[int, int] = field(default_factory=dict)  # stamp -> CLOCK_MONOTONIC
    sent_ns: tuple[int, int] = (0, 0)  # CLOCK_MONOTONIC of the first and last message sent
    health: Health = field(default_factory=Health)
    complaints_then: list[str] = field(default_factory=list)  # when the last message was sent

    def complaints(self) -> list[str]:
        """What the node said was wrong: while messages were sent, if ever any were."""
        return self.complaints_then if self.sent_ns[1] else self.health.complaints


def build_report(seen: Observed, cpu_sec: Mapping[str, float]) -> dict[str, Any]:
    """Sum a run up, ready for JSON; numbers nobody could measure are None."""
    health = seen.health
    names = sorted(set(health.sources) | set(seen.published))
    return {
        'backend': health.node.get('backend'),
        'duration_sec': round((seen.sent_ns[1] - seen.sent_ns[0]) / 1e9, 3),
        'triggers': len(seen.trigger_sent_ns),
        'voxels': _output(seen.voxels, seen.trigger_sent_ns, 'occupied_mean'),
        'features': _output(seen.features, seen.trigger_sent_ns, 'valid_mean'),
        'sources': {
            name: _source(health.sources.get(name, {}), seen.published.get(name)) for name in names
        },
        'deskew': {
            name: _deskew(values) for name, values in health.sources.items() if _is_timed(values)
        },
        'paint': _paint(health.outputs.get('voxels', {})),
        'encoders': {
            name: _encoder(values)
            for name, values in health.sources.items()
            if 'encoder' in values
        },
        'stages': {name: _stages(values) for name, values in health.outputs.items()},
        'cpu': {name: round(seconds, 2) for name, seconds in cpu_sec.items()},
    }


def _output(arrivals: Arrivals, sent_ns: Mapping[int, int], size_name: str) -> dict[str, Any]:
    received = arrivals.received_ns
    span_sec = (received[-1] - received[0]) / 1e9 if len(received) > 1 else 0.0
    return {
        'messages': len(received),
        'rate_hz': round((len(received) - 1) / span_sec, 3) if span_sec > 0 else 0.0,
        size_name: round(float(np.mean(arrivals.size)), 3) if arrivals.size else None,
        'latency_ms': _latency_ms(arrivals, sent_ns),
    }


def _latency_ms(arrivals: Arrivals, sent_ns: Mapping[int, int]) -> dict[str, float | None]:
    """From the publication of the message that triggered a frame to our reception of it."""
    triggers = _triggers_of(arrivals.stamp_ns, list(sent_ns))
    pairs = zip(triggers, arrivals.received_ns, strict=True)
    delays = [(now - sent_ns[stamp]) / 1e6 for stamp, now in pairs if stamp is not None]
    if not delays:
        return {'p50': None, 'p95': None, 'p99': None, 'max': None}
    p50, p95, p99 = (round(float(p), 3) for p in np.percentile(delays, [50, 95, 99]))
    return {'p50': p50, 'p95': p95, 'p99': p99, 'max': round(max(delays), 3)}


def _triggers_of(stamps_ns: Sequence[int], sent_ns: Sequence[int]) -> list[int | None]:
    """
    Return which of the stamps `sent_ns` each frame is of; None: of none that we know.

    The frame of a cloud may be of the time of its last point, up to a period after its stamp.
    """
    known = np.sort(np.asarray(sent_ns, np.int64))
    period_ns = np.diff(known).min() if len(known) > 1 else 1
    found: list[int | None] = []
    for stamp_ns, after in zip(stamps_ns, known.searchsorted(stamps_ns, 'right'), strict=True):
        newest = int(known[after - 1]) if after else None
        found.append(newest if newest is not None and stamp_ns - newest < period_ns else None)
    return found


def _source(values: Mapping[str, str], published: int | None) -> dict[str, Any]:
    dropped = {
        key.removeprefix('dropped.'): int(value)
        for key, value in values.items()
        if key.startswith('dropped.') and int(value)
    }
    counts = {name: int(values.get(name, 0)) for name in COUNTS}
    return {'published': published, **counts, 'dropped': dropped}


def _is_timed(values: Mapping[str, str]) -> bool:
    """Whether the node looks at the times of this source's points."""
    return bool(_smeared(values)) or 'point_time' in values


def _deskew(values: Mapping[str, str]) -> dict[str, Any]:
    """Which clouds of a source kept their smear, and what the node says of the others."""
    return {
        'now': values.get('deskew', ''),
        'agreement': values.get('deskew_agreement', ''),
        'point_time': values.get('point_time', ''),
        'smeared': _smeared(values),
    }


def _smeared(values: Mapping[str, str]) -> dict[str, int]:
    """How many clouds of a source kept their smear, by why."""
    counts = {reason.key: int(values.get(f'note.{reason.key}', 0)) for reason in SMEARED}
    return {key: count for key, count in counts.items() if count}


def _paint(values: Mapping[str, str]) -> dict[str, int] | None:
    """Points of all grids, and those that no camera saw; None where nothing is painted."""
    if 'painted' not in values:
        return None
    unseen = int(values.get(f'note.{Reason.POINT_UNSEEN.key}', 0))
    return {'points': int(values['points_used']), 'unseen': unseen}


def _encoder(values: Mapping[str, str]) -> dict[str, Any]:
    """What the node says of the encoder of a source, and which images it left out."""
    missed = {
        key.removeprefix('note.'): int(count)
        for key, count in values.items()
        if key.startswith('note.encoder_') and int(count)
    }
    durations_ms = {
        p: float(values[f'encoder_ms_{p}']) for p in ('p50', 'p99') if f'encoder_ms_{p}' in values
    }
    return {
        'state': values['encoder'],
        'device': values['encoder_device'],
        'encoded': int(values['encoded']),
        'missed': missed,
        'encode_ms': durations_ms,
    }


def _stages(values: Mapping[str, str]) -> dict[str, dict[str, float]]:
    """How long the frames of an output took, as far as the node knows."""
    return {
        f'{stage}_ms': {p: float(values[f'{stage}_ms_{p}']) for p in ('p50', 'p95', 'p99')}
        for stage in STAGES
        if f'{stage}_ms_p50' in values
    }


def unaccounted(source: Mapping[str, Any]) -> int:
    """Return by how much received = buffered + used + expired + dropped fails; 0 when it holds."""
    known = source['buffered'] + source['used'] + source['expired']
    return int(source['received'] - known - sum(source['dropped'].values()))


def problems(report: Mapping[str, Any]) -> list[str]:
    """Say in sentences what is wrong with a run; empty when nothing is."""
    found = []
    for name in ('voxels', 'features'):
        messages, triggers = report[name]['messages'], report['triggers']
        if messages == 0:
            found.append(f'No {name} came out.')
        elif triggers and messages != triggers:
            found.append(f'{name}: {messages} sent for {triggers} of the trigger.')
    for name, source in report['sources'].items():
        found += _source_problems(name, source)
    return found


def _source_problems(name: str, source: Mapping[str, Any]) -> list[str]:
    found = []
    if source['published'] is not None and source['published'] != source['received']:
        found.append(f'{name}: {source["published"]} sent, {source["received"]} received.')
    if source['lost_transport']:
        found.append(f'{name}: {source["lost_transport"]} lost, the middleware reports.')
    for reason, count in source['dropped'].items():
        found.append(f'{name}: {count} dropped ({reason}).')
    if unaccounted(source):
        found.append(f'{name}: {unaccounted(source)} not accounted for.')
    return found


def table(report: Mapping[str, Any]) -> list[str]:
    """Lay a report out for a terminal of 80 columns."""
    lines = [f'{"output":<10}{"messages":>9}{"rate Hz":>9}   latency ms: p50    p95    p99    max']
    for name in ('voxels', 'features'):
        output = report[name]
        latency = ''.join(f'{_number(v):>7}' for v in output['latency_ms'].values())
        lines.append(
            f'{name:<10}{output["messages"]:>9}{output["rate_hz"]:>9.1f}{"":>11}{latency}'
        )
    columns = ('published', 'received', 'used', 'buffered', 'expired')
    lines.append(f'{"source":<10}' + ''.join(f'{c:>10}' for c in columns) + '   dropped  lost')
    for name, source in report['sources'].items():
        counts = ''.join(f'{_number(source[c]):>10}' for c in columns)
        dropped = sum(source['dropped'].values())
        lines.append(f'{name:<10}{counts}{dropped:>10}{source["lost_transport"]:>6}')
    lines += [_deskew_line(name, deskew) for name, deskew in report['deskew'].items()]
    lines += [_paint_line(report['paint'])] if report['paint'] else []
    return lines + [_encoder_line(name, made) for name, made in report['encoders'].items()]


def _deskew_line(name: str, deskew: Mapping[str, Any]) -> str:
    parts = [deskew['now']]
    if deskew['agreement']:
        parts.append(f'agreement of sweeps {deskew["agreement"]}')
    parts += [f'{count} left smeared ({why})' for why, count in deskew['smeared'].items()]
    return f'{"deskew":<10}{name} {", ".join(parts)}'


def _paint_line(paint: Mapping[str, int]) -> str:
    share = 1 - paint['unseen'] / max(1, paint['points'])
    return f'{"paint":<10}{share:.0%} of the points in the grids seen by a camera'


def _encoder_line(name: str, made: Mapping[str, Any]) -> str:
    parts = [f'{made["state"]} on {made["device"]}', f'{made["encoded"]} encoded']
    parts += [f'{p} {value:.1f} ms' for p, value in made['encode_ms'].items()]
    parts += [f'{count} without ({why})' for why, count in made['missed'].items()]
    return f'{"encoder":<10}{name} {", ".join(parts)}'


def _number(value: float | None) -> str:
    if value is None:
        return '-'
    return str(value) if isinstance(value, int) else f'{value:.1f}'


def summary(report: Mapping[str, Any], complaints: Sequence[str] = ()) -> list[str]:
    """Say in plain words how a run went."""
    found = problems(report)
    lines = ['OK: ' + _success(report)] if not found else ['Not all is well:']
    lines += [f'  - {sentence}' for sentence in found]
    if found:
        lines += [f'  - the node says: {sentence}' for sentence in complaints]
    cpu = ', '.join(f'{name} {seconds:.1f}' for name, seconds in report['cpu'].items())
    if cpu:
        lines.append(f'CPU seconds in {report["duration_sec"]:.3g} s: {cpu}.')
    return lines


def _success(report: Mapping[str, Any]) -> str:
    voxels, features = report['voxels'], report['features']
    received = sum(source['received'] for source in report['sources'].values())
    return (
        f'{voxels["messages"]} voxel grids and {features["messages"]} feature tensors '
        f'from {received} messages, none lost, on the {report["backend"]} backend.'
    )
