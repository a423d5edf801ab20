# Copyright 2026 the robocache_ros authors
# SPDX-License-Identifier: Apache-2.0
"""What doctor says about variables, profiles, shared memory and sockets."""

from __future__ import annotations

import fcntl
import os
import sys

import pytest

from robocache_ros.doctor.discovery import check_discovery
from robocache_ros.doctor.finding import Level
from robocache_ros.doctor.memory import (
    check_shared_memory,
    judge_live,
    judge_room,
    judge_stale,
)
from robocache_ros.doctor.segments import Segment, segments
from robocache_ros.doctor.software import (
    check_cupy_packages,
    check_load,
    check_package,
    check_python,
)
from robocache_ros.doctor.transport import check_sockets, check_transport, transport_of
from robocache_ros.resources import config_file

LARGE, ISOLATED = (str(config_file(f'fastdds_{n}.xml')) for n in ('large_messages', 'isolated'))
PROFILE = 'FASTDDS_DEFAULT_PROFILES_FILE'
MIB = 2**20
GIB = 2**30
NAME = 'fastdds_0123456789abcdef'


def bad(findings):
    return [one for one in findings if one.level is not Level.FINE]


def only(findings):
    (one,) = bad(findings)
    assert one.fix
    return one


@pytest.mark.parametrize(
    'env',
    [
        {},
        {'ROS_DOMAIN_ID': '101', 'ROS_AUTOMATIC_DISCOVERY_RANGE': 'LOCALHOST'},
        {'ROS_DISTRO': 'humble', 'ROS_LOCALHOST_ONLY': '1'},
        {'ROS_DISCOVERY_SERVER': '10.0.0.1:11811', 'ROS_SUPER_CLIENT': 'TRUE'},
    ],
)
def test_usual_settings_of_discovery_are_fine(env):
    (one,) = check_discovery(env)
    assert one.level is Level.FINE
    assert env.get('ROS_DOMAIN_ID', '0') in one.sentence


@pytest.mark.parametrize(
    ('env', 'level', 'word'),
    [
        ({'ROS_DOMAIN_ID': 'mine'}, Level.ERROR, 'no domain'),
        ({'ROS_DOMAIN_ID': '233'}, Level.ERROR, 'no domain'),
        ({'ROS_DOMAIN_ID': '150'}, Level.WARNING, 'other programs'),
        ({'ROS_AUTOMATIC_DISCOVERY_RANGE': 'OFF'}, Level.ERROR, 'no other process'),
        ({'ROS_AUTOMATIC_DISCOVERY_RANGE': 'LOCAL'}, Level.WARNING, 'does not know'),
        (
            {'ROS_AUTOMATIC_DISCOVERY_RANGE': 'SUBNET', 'ROS_DISTRO': 'humble'},
            Level.WARNING,
            'Humble',
        ),
        ({'ROS_LOCALHOST_ONLY': '1', 'ROS_DISTRO': 'jazzy'}, Level.WARNING, 'other machines'),
        ({'ROS_DISCOVERY_SERVER': '10.0.0.1:11811'}, Level.WARNING, 'not complete'),
    ],
)
def test_odd_settings_of_discovery_are_named(env, level, word):
    one = only(check_discovery(env))
    assert one.level is level
    assert word in one.sentence


@pytest.mark.parametrize(
    ('env', 'segment_bytes', 'sockets'),
    [
        ({}, 512 * 2**10, False),
        ({PROFILE: LARGE}, 64 * MIB, False),
        ({PROFILE: ISOLATED}, 16 * MIB, False),
        ({'FASTDDS_BUILTIN_TRANSPORTS': 'UDPv4'}, 0, True),
        ({'FASTDDS_BUILTIN_TRANSPORTS': 'LARGE_DATA'}, 512 * 2**10, False),
        ({'RMW_IMPLEMENTATION': 'rmw_cyclonedds_cpp'}, 0, True),
        ({'FASTRTPS_DEFAULT_PROFILES_FILE': LARGE, 'ROS_DISTRO': 'humble'}, 64 * MIB, False),
    ],
)
def test_the_transport_is_read_from_variables_and_profile(env, segment_bytes, sockets):
    transport, odd = transport_of(env)
    assert (transport.segment_bytes, transport.sockets, odd) == (segment_bytes, sockets, [])


def test_a_profile_without_shared_memory_uses_sockets(tmp_path):
    path = tmp_path / 'udp.xml'
    text = config_file('fastdds_isolated.xml').read_text()
    path.write_text(text.replace('<type>SHM<', '<type>UDPv4<'))
    assert transport_of({PROFILE: str(path)})[0].sockets
    path.write_text('<dds><participant is_default_profile="true"/></dds>')
    assert transport_of({PROFILE: str(path)})[0].segment_bytes == 512 * 2**10


def test_the_default_transport_says_what_it_loses_and_how_drivers_get_the_other():
    told = ' '.join(one.sentence for one in check_transport({}))
    assert 'above 512 KiB' in told
    assert f'{PROFILE}={LARGE}' in told


def test_a_profile_that_is_not_there_or_not_xml_is_a_finding(tmp_path):
    (tmp_path / 'not.xml').write_text('{}')
    for name, why in (('none.xml', 'No such file'), ('not.xml', 'not XML')):
        one = only(check_transport({PROFILE: str(tmp_path / name)}))
        assert why in one.sentence
        assert LARGE in one.fix


def test_the_older_variable_is_a_finding_where_it_is_not_read():
    env = {'FASTRTPS_DEFAULT_PROFILES_FILE': LARGE, 'ROS_DISTRO': 'kilted'}
    assert f'{PROFILE}={LARGE}' in only(check_transport(env)).fix


@pytest.mark.parametrize(
    ('receive', 'env', 'level'),
    [
        (212992, {'RMW_IMPLEMENTATION': 'rmw_cyclonedds_cpp'}, Level.WARNING),
        (8 * MIB, {'RMW_IMPLEMENTATION': 'rmw_cyclonedds_cpp'}, Level.FINE),
        (212992, {}, Level.FINE),  # shared memory
    ],
)
def test_small_socket_buffers_matter_where_messages_go_through_them(tmp_path, receive, env, level):
    for name in ('rmem_max', 'wmem_max'):
        (tmp_path / name).write_text(f'{receive}\n')
    (one,) = check_sockets(env, tmp_path)
    assert one.level is level
    assert (receive < MIB) == ('sysctl' in one.sentence + one.fix)


def test_limits_that_can_not_be_seen_are_no_problem(tmp_path):
    assert not bad(check_sockets({}, tmp_path))


def test_room_in_shared_memory_is_judged_by_the_profile():
    assert not bad(judge_room({}, 8 * GIB, 8 * GIB))
    assert not bad(judge_room({PROFILE: ISOLATED}, 64 * MIB, 60 * MIB))
    tight = only(judge_room({}, 64 * MIB, 64 * MIB))
    assert (tight.level, 'shm-size' in tight.fix) == (Level.WARNING, True)
    full = only(judge_room({PROFILE: LARGE}, 64 * MIB, 64 * MIB))
    assert (full.level, 'none can start' in full.sentence) == (Level.ERROR, True)
    assert not bad(judge_room({'RMW_IMPLEMENTATION': 'rmw_zenoh_cpp'}, MIB, 0))


def segment(tmp_path, nbytes=MIB, user=1000, stale=False, owner='driver (7)'):
    return Segment(tmp_path, nbytes, user, stale, owner)


def test_what_killed_processes_left_matters_where_it_takes_the_room(tmp_path):
    left = [segment(tmp_path, 64 * MIB, stale=True)] * 2
    one = only(judge_stale(left, GIB, GIB))
    assert '2 segments of Fast DDS (128 MiB)' in one.sentence
    assert 'fastdds shm clean' in one.fix
    assert bad(judge_stale(left[:1], 64 * GIB, 100 * MIB))
    assert not bad(judge_stale(left, 64 * GIB, 60 * GIB))
    assert not bad(judge_stale([], GIB, GIB))


def test_segments_of_live_processes_are_named_with_their_sizes(tmp_path):
    live = [segment(tmp_path, 64 * MIB, owner='node (8)'), segment(tmp_path, 2**19)]
    (one,) = judge_live(live, 1000)
    assert 'driver (7) 0.5 MiB, node (8) 64 MiB' in one.sentence
    (one,) = judge_live([segment(tmp_path)] * 8, 1000)
    assert one.sentence.endswith('2 more.')


def test_processes_of_another_user_are_a_finding(tmp_path):
    one = only(judge_live([segment(tmp_path, user=0, owner='driver (7)')], 1000))
    assert 'driver (7) 1 MiB runs ROS as another user' in one.sentence


def test_a_segment_is_stale_once_nobody_holds_its_lock(tmp_path):
    held, left, new = (tmp_path / f'{NAME[:-1]}{digit}' for digit in '123')
    for path in (held, left, new):
        path.write_bytes(bytes(MIB))
        path.with_name(f'{path.name}_el').touch()
        if path is not new:
            os.utime(path.with_name(f'{path.name}_el'), (0, 0))
    for name in ('fastdds_port7400', 'fastdds_port7400_el'):
        (tmp_path / name).touch()
        os.utime(tmp_path / name, (0, 0))
    with (tmp_path / f'{held.name}_el').open() as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        found = {one.path: one for one in segments(tmp_path, tmp_path / 'no locks')}
        named = {one.path: one for one in segments(tmp_path)}
    assert {path: one.stale for path, one in found.items()} == {
        held: False, left: True, new: False,
    }  # fmt: skip
    assert (found[held].nbytes, found[held].owner) == (MIB, '')
    assert f'({os.getpid()})' in named[held].owner


def test_looking_at_shared_memory_leaves_it_as_it_was(tmp_path):
    path = tmp_path / NAME
    path.write_bytes(bytes(MIB))
    lock = path.with_name(f'{NAME}_el')
    lock.touch()
    os.utime(lock, (0, 0))
    before = [(file.name, file.stat().st_mtime_ns) for file in sorted(tmp_path.iterdir())]
    assert list(check_shared_memory({}, tmp_path))
    assert before == [(file.name, file.stat().st_mtime_ns) for file in sorted(tmp_path.iterdir())]
    with lock.open() as handle:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)


def test_a_machine_without_shared_memory_is_no_problem(tmp_path):
    assert not bad(check_shared_memory({}, tmp_path / 'none'))


def test_an_old_python_is_an_error_and_this_one_is_not():
    assert only(check_python((3, 8, 10))).level is Level.ERROR
    assert not bad(check_python())


def test_a_machine_that_is_busy_is_a_warning():
    cores = len(os.sched_getaffinity(0))
    assert not bad(check_load(1.9 * cores))
    assert 'late' in only(check_load(2.1 * cores)).sentence
    assert list(check_load())


def test_missing_files_of_the_package_are_an_error(monkeypatch):
    def missing():
        raise FileNotFoundError('no package.xml: the installation is incomplete; install it')

    monkeypatch.setattr('robocache_ros.doctor.software.share_dir', missing)
    one = only(check_package())
    assert one.sentence.endswith('the installation is incomplete.')


def test_two_packages_of_cupy_are_a_finding(tmp_path, monkeypatch):
    for name in ('cupy_cuda12x', 'cupy_cuda13x'):
        folder = tmp_path / f'{name}-14.0.dist-info'
        folder.mkdir()
        (folder / 'METADATA').write_text(
            f'Metadata-Version: 2.1\nName: {name.replace("_", "-")}\n'
        )
    monkeypatch.setattr(sys, 'path', [str(tmp_path)])
    assert 'cupy-cuda12x, cupy-cuda13x' in only(check_cupy_packages()).sentence
