# Copyright 2026 the robocache_ros authors
# SPDX-License-Identifier: Apache-2.0
"""What a live graph lacks, as far as was seen of it within a few seconds."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from robocache_ros.doctor.finding import Finding, Level, error, fine, told, warning
from robocache_ros.reasons import Reason

ABOUT = 'graph'
_REASONS = {reason.key: reason for reason in Reason}
_SHOWN = 5
_SAME_CLOCK_SEC = 5.0
_INSTALL = (
    'Source an installation of ROS 2 in this shell and use its Python (`source '
    "/opt/ros/<distro>/setup.bash`), or on x86-64 run `pip install '.[ros]'` where the sources of "
    'robocache_ros are.'
)
_PROFILE = (
    'The driver may be idle or slow: listen longer, with --watch 20. If it sends clouds or '
    'images, set FASTDDS_DEFAULT_PROFILES_FILE to config/fastdds_large_messages.xml where it is '
    'started: without that, best-effort messages above 512 KiB are lost.'
)


def judge_ros(facts: Mapping[str, Any], env: Mapping[str, str]) -> Iterator[Finding]:
    """Judge whether ROS starts here at all."""
    distro = env.get('ROS_DISTRO')
    if 'absent' in facts:
        there = f', although {distro} is sourced' if distro else ''
        sentence = f'No ROS 2 that this Python can import{there}: {facts["absent"]}.'
        yield error('ros', sentence, f'{_INSTALL} Data loaders need none of it.')
    elif facts.get('hung'):
        yield error(
            'ros',
            f'Looking at the graph: {facts["failed"]}.',
            'Check RMW_IMPLEMENTATION, the discovery server and the network, then try again.',
        )
    elif 'failed' in facts:
        yield error(
            'ros',
            f'No node can be made here: {facts["failed"]}.',
            'Check RMW_IMPLEMENTATION (is its package installed?), ROS_DOMAIN_ID, the profile '
            'of the transport and the room in /dev/shm.',
        )
    else:
        yield fine('ros', f'ROS 2 {distro or "without ROS_DISTRO"}, {facts["rmw"]}.')


def judge_graph(facts: Mapping[str, Any], sim_time: bool) -> Iterator[Finding]:
    """Judge what was seen, see graph_facts, of a node that takes its time from /clock or not."""
    if 'nodes' not in facts:
        return
    yield from _company(facts)
    for problem in facts.get('refused', ()):
        yield error('parameters', f'Refused: {problem}.', 'Install it, or change the parameters.')
    if facts.get('transforms'):
        yield warning('/tf', facts['transforms'], 'Install tf2_msgs, or set each `extrinsic`.')
    yield from _clock(facts, sim_time)
    for name, source in facts.get('sources', {}).items():
        yield from judge_source(
            name, source, facts['watched_sec'], facts['clock'] > 0 and not sim_time
        )
    for name, camera in facts.get('cameras', {}).items():
        yield from _camera_info(name, *camera)
    yield from _diagnostics(facts)


def judge_source(
    name: str, facts: Mapping[str, Any], watch_sec: float, clock_unused: bool = False
) -> Iterator[Finding]:
    """Judge one source; `clock_unused`: /clock is there, but not what the node goes by."""
    level = Level.ERROR if facts['needed'] else Level.WARNING
    received = facts['received']
    reason = _missing(name, facts, watch_sec) if received == 0 else None
    if reason is not None:
        yield Finding(level, name, *reason)
        return
    if facts['incompatible']:
        yield told(Level.WARNING, name, facts['incompatible'])
    if facts['broken']:
        fix = 'This is a bug in robocache_ros; please report it.'
        yield error(name, f'A message could not be handled: {facts["broken"]}.', fix)
    for key, count in facts['dropped'].items():
        of_all = f'All {count}' if count >= received else f'{count} of {received}'
        yield Finding(
            level if count >= received else Level.WARNING,
            name,
            f'{of_all} messages on {facts["topic"]} can not be used ({key}): {_REASONS[key].what}',
            _REASONS[key].fix,
        )
    behind_sec = facts['behind_sec']
    if behind_sec is not None and abs(behind_sec) > _SAME_CLOCK_SEC and not clock_unused:
        side = 'behind' if behind_sec > 0 else 'ahead of'
        yield warning(
            name,
            f'Its stamps are {abs(behind_sec):.1f} s {side} the clock of the node.',
            'A bag: play it with --clock, and set use_sim_time: true. A sensor: set its clock, '
            f'or {name}.stamp: receive.',
        )
    if sum(facts['dropped'].values()) < received:
        nodes = ', '.join(facts['nodes'])
        yield fine(
            name,
            f'{received} received in {watch_sec:.0f} s on {facts["topic"]} from {nodes}, '
            f'{facts["qos"]}.',
        )


def _missing(name: str, facts: Mapping[str, Any], watch_sec: float) -> tuple[str, str] | None:
    """Say why nothing came, and the fix."""
    topic, kind = facts['topic'], facts['type']
    if facts['publishers'] == 0 and facts['other_types']:
        carried = ', '.join(facts['other_types'])
        return f'{topic} carries {carried}, not {kind}.', f'Set {name}.topic or {name}.type.'
    if facts['publishers'] == 0:
        found = ', '.join(facts['elsewhere'][:_SHOWN])
        return (
            f'Nobody publishes {kind} on {topic}{f", but on {found}" if found else ""}.',
            f'Start the driver, or set {name}.topic, or take {name} out of sources.',
        )
    if facts['incompatible']:
        return told(Level.ERROR, name, facts['incompatible'])[2:]
    nodes = ', '.join(facts['nodes'])
    return (
        f'{nodes} publishes {topic}, but nothing arrived in {watch_sec:.0f} s ({facts["qos"]}).',
        _PROFILE,
    )


def _camera_info(name: str, topic: str, publishers: int, problem: str) -> Iterator[Finding]:
    """Judge what tells how a camera that paints sees."""
    calibrate = f'name a file in {name}.calibration.'
    if not publishers:
        yield warning(
            name,
            f'Nobody publishes its CameraInfo on {topic}, so it paints nothing.',
            f'Start what does, or set {name}.info_topic, or {calibrate}',
        )
    elif problem:
        yield warning(
            name,
            f'Its CameraInfo on {topic} can not be used: {problem}',
            f'Calibrate the camera, or {calibrate}',
        )


def _company(facts: Mapping[str, Any]) -> Iterator[Finding]:
    nodes, ours = facts['nodes'], facts['preprocessors']
    if not nodes:
        yield warning(
            ABOUT,
            'No other node is seen.',
            'Start the drivers. If they run: give this shell their ROS_DOMAIN_ID, '
            'RMW_IMPLEMENTATION and discovery settings.',
        )
        return
    who = f'{len(nodes)} nodes are' if len(nodes) > 1 else f'{nodes[0]} is'
    running = f'preprocessor: {", ".join(ours)}' if ours else 'no preprocessor runs'
    yield fine(ABOUT, f'{who} seen; {running}.')


def _clock(facts: Mapping[str, Any], sim_time: bool) -> Iterator[Finding]:
    if sim_time and not facts['clock']:
        yield error(
            'clock',
            'use_sim_time is true, but nobody publishes /clock.',
            'Start the simulator, or `ros2 bag play --clock`, or set use_sim_time: false.',
        )
    elif facts['clock'] and 'sources' in facts and not sim_time:
        yield warning(
            'clock',
            'Somebody publishes /clock, but use_sim_time is false.',
            'Set use_sim_time: true for a simulation, or for a bag.',
        )


def _diagnostics(facts: Mapping[str, Any]) -> Iterator[Finding]:
    """Repeat what the preprocessors that run say of themselves, each cause once."""
    complaints = {name: said for name, said in facts['diagnostics'].items() if said[0]}
    sentences = {sentence for _, sentence in complaints.values()}
    for name, (level, sentence) in complaints.items():
        if any(cause != sentence and cause in sentence for cause in sentences):
            continue
        worse = Level.ERROR if level > 1 else Level.WARNING
        yield Finding(worse, name, sentence, 'As it says; /diagnostics has the numbers.')
