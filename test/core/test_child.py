# Copyright 2026 the robocache_ros authors
# SPDX-License-Identifier: Apache-2.0
"""A process we start is watched, heard, and ended whatever it does."""

from __future__ import annotations

import json
import os
import signal
import sys
import time

import pytest

from robocache_ros.demo import child as module
from robocache_ros.demo.child import Child


@pytest.fixture
def start(tmp_path):
    """Give start(*command) -> Child, ended with the test."""
    children = []

    def start(*command):
        children.append(Child(command, dict(os.environ), tmp_path))
        return children[-1]

    yield start
    for child in children:
        child.stop()


@pytest.fixture
def deaf(tmp_path, monkeypatch):
    """Give deaf(*signals): the next child is a shell that ignores them."""
    monkeypatch.setattr(module, '_GRACE_SEC', 0.3)

    def deaf(*signals):
        script = tmp_path / 'deaf'
        script.write_text(
            f"#!/bin/sh\ntrap '' {' '.join(signals)}\necho up\nwhile :; do sleep 0.1; done\n"
        )
        script.chmod(0o755)
        monkeypatch.setattr(sys, 'executable', str(script))

    return deaf


def wait_until(condition):
    deadline = time.monotonic() + 10
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_it_runs_a_command_and_keeps_its_words(start):
    child = start('schema')
    wait_until(lambda: not child.running)
    assert child.exit_code == 0
    assert json.loads(child.log.read_text())['schema_id'] > 0
    assert child.last_words(1) == '}'
    assert child.stop() == 0


def test_it_is_in_no_terminals_reach(start, deaf):
    deaf('HUP')
    child = start('sleep')
    assert os.getsid(child._process.pid) != os.getsid(0)


@pytest.mark.parametrize(
    ('ignored', 'ended_by'),
    [
        (['HUP'], signal.SIGINT),
        (['INT'], signal.SIGTERM),
        (['INT', 'TERM'], signal.SIGKILL),
    ],
)
def test_it_is_asked_then_told_then_forced_to_end(ignored, ended_by, start, deaf):
    deaf(*ignored)
    child = start('sleep')
    wait_until(lambda: 'up' in child.last_words())
    assert child.running
    assert child.stop() == -ended_by
    assert not child.running


def test_cpu_time_of_a_process_that_ended_unwatched_is_what_it_used(start, tmp_path, monkeypatch):
    script = tmp_path / 'busy'
    script.write_text(
        f'#!{sys.executable}\nimport time\n'
        'while time.process_time() < 0.5: pass\nprint(time.process_time())\n'
    )
    script.chmod(0o755)
    monkeypatch.setattr(sys, 'executable', str(script))
    first, second = start('sleep'), start('schema')  # with a log of its own each
    for child in (first, second):
        wait_until(lambda c=child: not c.running)
        assert child.cpu_sec() == pytest.approx(float(child.last_words()), abs=0.05)
        assert child.cpu_sec() >= 0.5


def test_cpu_time_counts_from_the_mark_and_outlives_the_process(start):
    child = start('schema')
    wait_until(lambda: child.cpu_sec() > 0.02)
    child.mark_cpu()
    assert child.cpu_sec() < 0.02
    wait_until(lambda: not child.running)
    last = child.cpu_sec()
    child.mark_cpu()
    assert last >= 0
    assert child.cpu_sec() == 0
