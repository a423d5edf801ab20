# Copyright 2026 the robocache_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The demo: real processes, real middleware; it loses nothing, says so, and leaves nothing."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest
from rclpy.node import Node

from robocache_ros.demo.demo import encoder_assignments
from robocache_ros.demo.options import free_domain, parse
from robocache_ros.demo.report import unaccounted

# Light enough for a machine that runs other tests at the same time.
LIGHT = ('--sim-param', 'lidar.columns:=400', '--sim-param', 'imu.rate_hz:=100.0')
START = (sys.executable, '-m', 'robocache_ros', 'demo')


def processes_in(domain_id):
    """Command lines of the demo's processes that are alive in a ROS domain."""
    found = []
    for entry in Path('/proc').glob('[0-9]*'):
        try:
            environment = (entry / 'environ').read_bytes().split(b'\0')
            command = (entry / 'cmdline').read_bytes().replace(b'\0', b' ').decode()
        except OSError:  # gone meanwhile, or not ours
            continue
        if f'ROS_DOMAIN_ID={domain_id}'.encode() in environment and 'robocache_ros' in command:
            found.append(command)
    return found


@pytest.fixture
def demo(tmp_path, domain_id):
    """Give demo(*arguments) -> (exit code, what it printed, report or None)."""

    def demo(*arguments):
        path = tmp_path / 'report.json'
        done = subprocess.run(
            [*START, '--domain', str(domain_id), '--report', str(path), *arguments],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=90,
        )
        report = json.loads(path.read_text()) if path.exists() else None
        return done.returncode, done.stdout, report

    return demo


def test_a_short_run_loses_nothing_and_leaves_nothing(demo, domain_id):
    code, printed, report = demo('--seconds', '4', *LIGHT)
    assert code == 0, printed
    assert report['backend'] == 'numpy'
    assert report['duration_sec'] == pytest.approx(4, abs=1.5)
    sources = report['sources']
    assert set(sources) == {'lidar', 'camera', 'imu', 'odom'}
    for name, source in sources.items():
        assert unaccounted(source) == 0, (name, source)
        assert source['received'] == source['published'] > 0, (name, source)
        assert source['dropped'] == {}, (name, source)
        assert source['lost_transport'] == 0, (name, source)
    clouds = sources['lidar']['published']
    assert clouds >= 38
    assert report['voxels']['messages'] == clouds
    assert report['features']['messages'] == clouds
    assert report['voxels']['occupied_mean'] > 100
    for output in (report['voxels'], report['features']):
        latency = output['latency_ms']
        assert 0 < latency['p50'] <= latency['p95'] <= latency['p99'] <= latency['max']
    assert set(report['cpu']) == {'node', 'sim', 'monitor'}
    assert report['cpu']['node'] > 0
    assert report['cpu']['sim'] > 0.5  # of 4 s; it has ended before it was asked
    assert 'OK: ' in printed
    assert processes_in(domain_id) == []
    # It looks ahead, a quarter of the way round.
    paint = report['paint']
    assert 0.15 < 1 - paint['unseen'] / paint['points'] < 0.35
    assert report['deskew']['lidar']['now'] == 'on'
    check_encoder(printed, report)


def check_encoder(printed, report):
    """Without torch a line says how to have it; with it every image is encoded."""
    line = next(line for line in printed.splitlines() if line.startswith('encoder: '))
    if find_spec('torch') is None:
        assert line.endswith('-m pip install torch')
        assert report['encoders'] == {}
        return
    assert line.endswith('8 features of camera')
    encoder = report['encoders']['camera']
    assert encoder['state'] == 'ok'
    assert encoder['encoded'] + sum(encoder['missed'].values()) > 100
    assert encoder['encoded'] > 20


@pytest.mark.parametrize('words', [['--node-param', 'camera.encoder.path:=mine.pt'], ['--fast']])
def test_a_network_of_the_users_own_and_a_fast_robot_are_left_alone(words, capsys, tmp_path):
    assert encoder_assignments(parse(words), str(tmp_path)) == []
    assert capsys.readouterr().out == ''
    assert list(tmp_path.iterdir()) == []


def test_it_keeps_away_from_domains_in_use(context, domain_id):
    node = Node('somebody', context=context)
    assert domain_id not in {free_domain() for _ in range(500)}
    node.destroy_node()


def test_it_fails_when_nothing_comes_out(demo):
    code, printed, report = demo(
        *('--seconds', '1', '--rate', '0'),
        *('--sim-param', 'camera.rate_hz:=0.0', '--sim-param', 'imu.rate_hz:=0.0'),
    )
    assert code == 1
    assert report['voxels']['messages'] == 0
    assert 'No voxels came out.' in printed
    assert 'the node says: ' in printed


def test_it_fails_with_the_sentence_of_a_node_that_can_not_start(demo, domain_id):
    code, printed, report = demo('--seconds', '1', '--node-param', 'voxels.voxel_size:=-1.0')
    assert code == 1
    assert report is None
    assert 'voxels.voxel_size must be' in printed
    assert processes_in(domain_id) == []


def test_ctrl_c_ends_all_processes(start_process, wait_until, domain_id):
    demo = start_process(*START, '--seconds', '60', '--domain', domain_id, *LIGHT)
    wait_until(lambda: 'starting sim' in demo.log.read_text(), 30, 'the simulator to start')
    assert len(processes_in(domain_id)) >= 2
    os.kill(demo.pid, signal.SIGINT)
    assert demo.wait(timeout=20) == 130
    assert processes_in(domain_id) == []
    assert 'Traceback' not in demo.log.read_text()


def test_ctrl_c_in_the_midst_of_a_run_leaves_its_summary_and_report(
    start_process, wait_until, domain_id, tmp_path
):
    path = tmp_path / 'report.json'
    words = ('--seconds', '60', '--domain', domain_id, '--report', path, *LIGHT)
    demo = start_process(*START, *words)
    wait_until(lambda: ' of 60 s' in demo.log.read_text(), 60, 'the first table')
    os.kill(demo.pid, signal.SIGINT)
    assert demo.wait(timeout=30) == 130
    said = demo.log.read_text()
    assert 'interrupted; all processes have been stopped' in said
    assert 'CPU seconds in ' in said, said
    report = json.loads(path.read_text())
    assert 0 < report['duration_sec'] < 60
    assert unaccounted(report['sources']['lidar']) == 0


@pytest.mark.parametrize('option', ['--report', '--save'])
def test_a_file_that_can_not_be_written_is_refused_before_anything_starts(option, capsys):
    with pytest.raises(SystemExit, match='2'):
        parse([option, '/no/such/folder/file'])
    said = capsys.readouterr().err
    assert '/no/such/folder/file can not be written: No such file or directory' in said


def test_a_file_that_can_be_written_is_left_as_it_was(tmp_path):
    old = tmp_path / 'old'
    old.write_text('kept')
    assert parse(['--report', str(old)]).report.read_text() == 'kept'
    assert not parse(['--report', str(tmp_path / 'new')]).report.exists()
