# Copyright 2026 the robocache_ros authors
# SPDX-License-Identifier: Apache-2.0
"""How messages travel: the middleware and its profile, and the buffers of sockets."""

from __future__ import annotations

import xml.etree.ElementTree as ElementTree
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

from robocache_ros.doctor.finding import Finding, fine, mebibytes, warning
from robocache_ros.environment import TRANSPORT_CHOICES
from robocache_ros.resources import config_file

DEFAULT_SEGMENT = 512 * 2**10  # of Fast DDS
ENOUGH_FOR_SOCKETS = 4 * 2**20  # a cloud or an image comes in many fragments at once
_LARGE = 'fastdds_large_messages.xml'
_OLD_NAME = 'FASTRTPS_DEFAULT_PROFILES_FILE'
_READ_OLD_NAME = ('humble', 'jazzy')
_LIMITS = Path('/proc/sys/net/core')


class Transport(NamedTuple):
    """What processes that are started in this environment send and receive with."""

    name: str
    segment_bytes: int  # of shared memory for each process; 0 where it is not used
    sockets: bool  # whether messages of this machine go through them


def transport_of(env: Mapping[str, str]) -> tuple[Transport, list[Finding]]:
    """Return what the environment chooses, and what is odd about it."""
    rmw = env.get('RMW_IMPLEMENTATION') or 'rmw_fastrtps_cpp'
    if not rmw.startswith('rmw_fastrtps'):
        return Transport(rmw, 0, sockets=True), []
    variable = next((name for name in TRANSPORT_CHOICES if env.get(name)), '')
    default = Transport('the default of Fast DDS', DEFAULT_SEGMENT, sockets=False)
    if not variable:
        return default, []
    value = env[variable]
    if not variable.endswith('_FILE'):
        udp = value.upper().startswith('UDP')
        named = Transport(f'{variable}={value}', 0 if udp else DEFAULT_SEGMENT, sockets=udp)
        return named, []
    if variable == _OLD_NAME and env.get('ROS_DISTRO', 'kilted') not in _READ_OLD_NAME:
        fix = f'Set FASTDDS_DEFAULT_PROFILES_FILE={value} as well.'
        return default, [warning('transport', f'{variable} is not read since Kilted.', fix)]
    try:
        return _transport_in(Path(value)), []
    except (OSError, ElementTree.ParseError) as bad:
        reason = bad.strerror if isinstance(bad, OSError) else f'it is not XML, {bad}'
        sentence = f'{variable} names {value}, which can not be read ({reason}): Fast DDS goes on '
        fix = f'Set it to {config_file(_LARGE)}, or unset it.'
        return default, [warning('transport', f'{sentence}with its default.', fix)]


def check_transport(env: Mapping[str, str]) -> Iterator[Finding]:
    """Look at the profile that this environment has."""
    transport, odd = transport_of(env)
    yield from odd
    size = ''
    if transport.segment_bytes:
        size = f', {mebibytes(transport.segment_bytes)} of shared memory per process'
    yield fine('transport', f'Started from here: {transport.name}{size}.')
    if transport.segment_bytes == DEFAULT_SEGMENT and not odd:
        yield fine(
            'transport',
            'A driver started like this loses best-effort messages above 512 KiB: set '
            f'FASTDDS_DEFAULT_PROFILES_FILE={config_file(_LARGE)} there. Launch sets it for the '
            'node.',
        )


def check_sockets(env: Mapping[str, str], limits: Path = _LIMITS) -> Iterator[Finding]:
    """Look at how much the kernel lets a socket hold."""
    try:
        read, write = (int((limits / name).read_text()) for name in ('rmem_max', 'wmem_max'))
    except (OSError, ValueError):
        yield fine('sockets', 'The limits of socket buffers can not be seen here.')
        return
    kib = f'Socket buffers of up to {read >> 10} KiB to receive, {write >> 10} KiB to send'
    wanted = f'sudo sysctl -w net.core.rmem_max={ENOUGH_FOR_SOCKETS}'
    transport, _ = transport_of(env)
    if read >= ENOUGH_FOR_SOCKETS:
        yield fine('sockets', f'{kib}.')
    elif transport.sockets:
        yield warning(
            'sockets',
            f'{kib}: clouds and images lose fragments in them with {transport.name}.',
            f'Run `{wanted}`.',
        )
    else:
        yield fine('sockets', f'{kib}; for clouds from other machines: `{wanted}`.')


def _transport_in(path: Path) -> Transport:
    """Read the profile of participants that is the default one; raises what reading raises."""
    tree = ElementTree.parse(path)
    for element in tree.iter():
        element.tag = element.tag.rpartition('}')[2]
    descriptors = {_text(one, 'transport_id'): one for one in tree.iter('transport_descriptor')}
    default = next((p for p in tree.iter('participant') if _is_default(p)), None)
    used = [] if default is None else [
        descriptors[name.text.strip()]
        for name in default.iterfind('.//userTransports/transport_id')
        if name.text and name.text.strip() in descriptors
    ]  # fmt: skip
    builtin = default is None or _text(default, './/useBuiltinTransports') != 'false'
    kinds = [_text(one, 'type') for one in used]
    sizes = [
        int(_text(one, 'segment_size') or DEFAULT_SEGMENT)
        for one in used
        if _text(one, 'type') == 'SHM'
    ]
    shared = max(sizes, default=DEFAULT_SEGMENT if builtin else 0)
    what = ' and '.join([*(['the built-in transports'] if builtin else []), *kinds])
    return Transport(f'{path} ({what})', shared, sockets=not shared)


def _is_default(participant: ElementTree.Element) -> bool:
    return participant.get('is_default_profile', '').lower() in ('true', '1')


def _text(element: ElementTree.Element, path: str) -> str:
    return (element.findtext(path) or '').strip()
