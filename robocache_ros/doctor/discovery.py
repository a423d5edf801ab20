# Copyright 2026 the robocache_ros authors
# SPDX-License-Identifier: Apache-2.0
"""What in the environment decides which other nodes are seen."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from robocache_ros.doctor.finding import Finding, error, fine, warning

RANGES = ('SUBNET', 'LOCALHOST', 'OFF', 'SYSTEM_DEFAULT')
_LARGEST_DOMAIN = 232
# On Linux the ports of these are the ones that programs get which ask for any port.
_SHARED_PORTS = range(102, 215)


def check_discovery(env: Mapping[str, str]) -> Iterator[Finding]:
    """Look at the domain, and at how far discovery reaches."""
    found = [*_domain(env.get('ROS_DOMAIN_ID', '')), *_reach(env), *_server(env)]
    yield from found
    if not found:
        yield fine('discovery', _summary(env))


def _summary(env: Mapping[str, str]) -> str:
    chosen = [
        f'{name}={env[name]}'
        for name in ('ROS_AUTOMATIC_DISCOVERY_RANGE', 'ROS_STATIC_PEERS', 'ROS_LOCALHOST_ONLY')
        if env.get(name)
    ]
    return f'Domain {env.get("ROS_DOMAIN_ID") or 0}{", " if chosen else ""}{", ".join(chosen)}.'


def _domain(text: str) -> Iterator[Finding]:
    if not text:
        return
    if not text.isdecimal() or int(text) > _LARGEST_DOMAIN:
        yield error(
            'discovery',
            f'ROS_DOMAIN_ID is {text!r}, which is no domain: nothing of ROS starts.',
            f'Set it to a number from 0 to 101 (to {_LARGEST_DOMAIN} at most), or unset it.',
        )
    elif int(text) in _SHARED_PORTS:
        yield warning(
            'discovery',
            f'ROS_DOMAIN_ID is {text}, whose ports Linux also gives to other programs.',
            'Take a domain from 0 to 101.',
        )


def _reach(env: Mapping[str, str]) -> Iterator[Finding]:
    reach = env.get('ROS_AUTOMATIC_DISCOVERY_RANGE', '')
    if reach and reach.upper() not in RANGES:
        yield warning(
            'discovery',
            f'ROS_AUTOMATIC_DISCOVERY_RANGE is {reach!r}, which ROS does not know.',
            f'Set it to one of {", ".join(RANGES)}, or unset it.',
        )
    elif reach.upper() == 'OFF':
        yield error(
            'discovery',
            'ROS_AUTOMATIC_DISCOVERY_RANGE is OFF, so no other process is seen.',
            'Set it to SUBNET, or to LOCALHOST for this machine alone, or unset it.',
        )
    elif reach and env.get('ROS_DISTRO') == 'humble':
        yield warning(
            'discovery',
            'ROS_AUTOMATIC_DISCOVERY_RANGE is set, which Humble does not know.',
            'Set ROS_LOCALHOST_ONLY=1 for this machine alone.',
        )
    if env.get('ROS_LOCALHOST_ONLY') == '1' and env.get('ROS_DISTRO') != 'humble':
        yield warning(
            'discovery',
            'ROS_LOCALHOST_ONLY=1 hides other machines, and overrides the variables that are '
            'there since Iron.',
            'Unset it, and set ROS_AUTOMATIC_DISCOVERY_RANGE=LOCALHOST if that is meant.',
        )


def _server(env: Mapping[str, str]) -> Iterator[Finding]:
    server = env.get('ROS_DISCOVERY_SERVER', '')
    if server and env.get('ROS_SUPER_CLIENT', '').upper() not in ('TRUE', '1'):
        yield warning(
            'discovery',
            f'ROS_DISCOVERY_SERVER is {server}: from here, only the topics of our own are seen, '
            'so what follows about others is not complete.',
            'Run doctor with ROS_SUPER_CLIENT=TRUE.',
        )
