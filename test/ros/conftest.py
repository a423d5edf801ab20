# Copyright 2026 the robocache_ros authors
# SPDX-License-Identifier: Apache-2.0
"""What every ROS test gets: a domain of its own, shared memory only, and waiting with a deadline.

Fixtures:
    domain_id      a ROS domain that no other running test has, in any process of this user
    context        an rclpy Context in that domain, shut down at the end
    executor       a SingleThreadedExecutor of that context
    rig            nodes of both sides in that executor, see rig.py
    wait_until     wait_until(predicate, deadline_sec, what, executor=None)
    node_env       the environment for a subprocess in that domain
    start_process  start_process(*argv, env=None) -> Popen, stopped with the test; what it wrote is
                   in its `.log`, a Path
"""

from __future__ import annotations

import fcntl
import itertools
import os
import subprocess
import tempfile
import time
from pathlib import Path

import pytest

HERE = Path(__file__).resolve().parent
PROFILE = HERE.parent.parent / 'config' / 'fastdds_isolated.xml'

# Fast DDS reads its profile when the first participant of the process is made, so the environment
# is set here, before any test module imports rclpy. LOCALHOST (or ROS_LOCALHOST_ONLY) would
# install transports of its own beside the ones of the profile.
ISOLATION = {
    'FASTDDS_DEFAULT_PROFILES_FILE': str(PROFILE),
    'ROS_AUTOMATIC_DISCOVERY_RANGE': 'SYSTEM_DEFAULT',
}
if os.environ.get('ROS_DISTRO') in ('humble', 'jazzy'):  # the variable's name before Fast DDS 3
    ISOLATION['FASTRTPS_DEFAULT_PROFILES_FILE'] = str(PROFILE)
os.environ.update(ISOLATION)
for name in ('ROS_LOCALHOST_ONLY', 'ROS_STATIC_PEERS', 'ROS_DISCOVERY_SERVER'):
    os.environ.pop(name, None)

REQUIRED = os.environ.get('ROBOCACHE_REQUIRE_ROS') == '1'
try:
    import rclpy
    from rclpy.executors import SingleThreadedExecutor
except ImportError:
    if REQUIRED:
        raise
    # test_available.py stays and says, as a skip, that the rest was not collected.
    collect_ignore = [p.name for p in HERE.glob('test_*.py') if p.name != 'test_available.py']

# 1..99: domain 0 is everybody's, and above 101 the ports of a domain reach the ephemeral range.
DOMAINS = range(1, 100)
LOCKS = Path(tempfile.gettempdir()) / f'robocache_ros_domains_{os.getuid()}'
_turn = itertools.count(os.getpid())


@pytest.fixture
def domain_id():
    """Hold a free domain under a file lock until the test ends."""
    LOCKS.mkdir(exist_ok=True)
    for _ in DOMAINS:
        number = DOMAINS[next(_turn) % len(DOMAINS)]
        if Path(f'/dev/shm/fastdds_port{7400 + 250 * number}').exists():
            continue  # where a demo or a robot of somebody's is discovered
        with (LOCKS / str(number)).open('w') as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                continue
            yield number
            return
    pytest.fail(
        f'all {len(DOMAINS)} ROS domains are taken; see {LOCKS} and /dev/shm/fastdds_port*'
    )


@pytest.fixture
def context(domain_id):
    """Give an initialised rclpy Context in the test's own domain."""
    context = rclpy.Context()
    rclpy.init(context=context, domain_id=domain_id)
    yield context
    context.try_shutdown()


@pytest.fixture
def executor(context):
    """Give a SingleThreadedExecutor; its nodes are the test's to destroy."""
    executor = SingleThreadedExecutor(context=context)
    yield executor
    executor.shutdown()


@pytest.fixture
def rig(context, executor):
    """Give a Rig, which is closed with the test."""
    from rig import Rig  # it needs ROS

    rig = Rig(context, executor)
    yield rig
    rig.close()


@pytest.fixture
def wait_until():
    """Give `_wait_until`: no sleep on hope, a condition with a deadline and a sentence."""
    return _wait_until


def _wait_until(predicate, deadline_sec, what, executor=None):
    """Spin the executor (or poll) until the predicate holds and return its value.

    Fails with `what` when `deadline_sec` passes first.
    """
    deadline = time.monotonic() + deadline_sec
    while True:
        value = predicate()
        if value:
            return value
        if time.monotonic() > deadline:
            pytest.fail(f'waited {deadline_sec} s in vain for: {what}')
        if executor is None:
            time.sleep(0.01)
        else:
            executor.spin_once(timeout_sec=0.02)


@pytest.fixture
def node_env(domain_id):
    """Give the environment of a subprocess that shall meet this test's nodes."""
    return {
        **os.environ,
        **ISOLATION,
        'ROS_DOMAIN_ID': str(domain_id),
        'PYTHONUNBUFFERED': '1',
    }


@pytest.fixture
def start_process(node_env, tmp_path):
    """Start programs in the test's domain; those still running at the end are stopped."""
    started = []

    def start(*argv, env=None):
        log = tmp_path / f'process_{len(started)}.log'
        with log.open('w') as output:
            process = subprocess.Popen(
                [str(a) for a in argv],
                env={**node_env, **(env or {})},
                stdout=output,
                stderr=subprocess.STDOUT,
            )
        process.log = log
        started.append(process)
        return process

    yield start
    for process in started:
        _stop(process)


def _stop(process):
    process.terminate()
    try:
        process.wait(timeout=10)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
