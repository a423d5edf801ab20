# Copyright 2026 the robocache_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The process: how it ends, with which exit code, and that it says why when it can not start."""

from __future__ import annotations

import itertools
import logging
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import pytest
from lifecycle_msgs.msg import Transition
from lifecycle_msgs.srv import ChangeState, GetState
from rclpy.executors import ExternalShutdownException
from rig import SECOND, START_NS, cloud, image
from sensor_msgs.msg import Image, PointCloud2

from robocache_ros.ros import process as process_module

ROOT = Path(__file__).resolve().parents[2]
NODE = (sys.executable, '-m', 'robocache_ros', 'node', '--ros-args')
DEADLINE_SEC = 20
RULE_SEC = 2.0  # from the signal to the end of the process


def ended_well(process, since):
    """Whether the process ended in time, with code 0 and no traceback."""
    assert process.wait(DEADLINE_SEC) == 0, process.log.read_text()
    took_sec = time.monotonic() - since
    assert 'Traceback' not in process.log.read_text()
    assert took_sec < RULE_SEC
    return True


def state_of(rig, process):
    client = rig.own.create_client(GetState, '/preprocessor/get_state')
    rig.wait(client.service_is_ready, 'the node', DEADLINE_SEC)
    future = client.call_async(GetState.Request())
    rig.wait(future.done, f'an answer; {process.log.read_text()}')
    rig.own.destroy_client(client)
    return future.result().current_state.label


def wait_until_active(rig, process):
    rig.wait(lambda: state_of(rig, process) == 'active', 'the node to become active')


@pytest.mark.parametrize(
    'signals',
    [
        (signal.SIGINT,),
        (signal.SIGTERM,),
        (signal.SIGINT, signal.SIGINT, signal.SIGTERM, signal.SIGINT),
    ],
    ids=lambda signals: '-'.join(s.name for s in signals),
)
def test_a_signal_ends_an_active_node_in_time_with_code_0(rig, start_process, signals):
    process = start_process(*NODE)
    wait_until_active(rig, process)
    since = time.monotonic()
    for number in signals:
        process.send_signal(number)
    assert ended_well(process, since)


def test_started_in_the_background_of_a_script_it_still_ends_by_both_signals(
    rig, start_process, tmp_path
):
    # A shell without job control starts `command &` with SIGINT ignored.
    pid = tmp_path / 'pid'
    command = ' '.join(NODE)
    process = start_process('sh', '-c', f'{command} & echo $! > {pid}; wait $!')
    wait_until_active(rig, process)
    since = time.monotonic()
    subprocess.run(['kill', '-INT', pid.read_text().strip()], check=True)
    assert ended_well(process, since)


# Where a signal arrives; each is a function of the process, by module and name.
MOMENTS = [
    'rclpy:init',
    'robocache_ros.ros.params:declare_parameters',
    'robocache_ros.ros.process:_Executor',
    'robocache_ros.node:read_config',
    'robocache_ros.node:Outputs',
    'robocache_ros.node:Inputs',
    'robocache_ros.node:Worker.start',
    'robocache_ros.node:Diagnostics.publish',
    'robocache_ros.node:PreprocessorNode.destroy_node',
]
INTERRUPTED = """
import importlib, os, signal, sys, threading, time
module, _, path = sys.argv[1].partition(':')
owner = importlib.import_module(module)
*outer, name = path.split('.')
for part in outer:
    owner = getattr(owner, part)
original = getattr(owner, name)
def interrupted(*args, **kwargs):
    if sys.argv[2] == 'before':
        interrupt()
    result = original(*args, **kwargs)
    if sys.argv[2] == 'after':
        interrupt()
    return result
def interrupt():
    print('interrupted', flush=True)
    os.kill(os.getpid(), signal.SIGTERM)
    time.sleep(0.05)  # so that rclpy's thread has shut the context down under us
setattr(owner, name, interrupted)
if path.endswith('destroy_node'):  # for which it has to end first
    threading.Timer(1.0, os.kill, (os.getpid(), signal.SIGINT)).start()
import robocache_ros.node
sys.exit(robocache_ros.node.main([]))
"""


@pytest.mark.parametrize('side', ['before', 'after'])
@pytest.mark.parametrize('moment', MOMENTS)
def test_a_signal_at_any_moment_ends_it_with_code_0_and_no_traceback(start_process, moment, side):
    process = start_process(sys.executable, '-c', INTERRUPTED, moment, side)
    assert process.wait(DEADLINE_SEC) == 0, process.log.read_text()
    log = process.log.read_text()
    assert 'interrupted' in log
    assert 'Traceback' not in log
    assert 'Can not' not in log


@pytest.mark.parametrize('number', [signal.SIGINT, signal.SIGTERM], ids=lambda number: number.name)
@pytest.mark.parametrize('program', ['node', 'sim', 'scripts/ros2run/preprocessor'])
def test_a_signal_while_it_is_only_imported_ends_it_at_once(
    start_process, wait_until, tmp_path, program, number
):
    slow = tmp_path / 'rclpy' / '__init__.py'
    slow.parent.mkdir()
    slow.write_text("import time\nprint('importing')\ntime.sleep(60)\n")
    words = [ROOT / program] if '/' in program else ['-m', 'robocache_ros', program]
    path = os.pathsep.join((str(tmp_path), str(ROOT)))
    process = start_process(sys.executable, *words, env={'PYTHONPATH': path})
    wait_until(lambda: process.log.read_text(), DEADLINE_SEC, 'the import')
    since = time.monotonic()
    process.send_signal(number)
    assert ended_well(process, since)


BUSY = """
import sys, threading
import numpy as np
import robocache_ros.node as node_module
from robocache_ros.encoding import EncoderPool
from robocache_ros.samples import VoxelFrame
hangs = threading.Event().wait
class Network:
    identity, digest, device = 'a test', 64 * '0', 'cpu'
    def encode(self, image):
        print('the network hangs', flush=True)
        hangs()
def open_encoders(config, live, on_done):
    return {'camera': EncoderPool(config.source('camera'), Network(), on_done)}
def consume(frame, schema):
    print(f'the consumer of {type(frame).__name__} hangs', flush=True)
    hangs()
class Node(node_module.PreprocessorNode):
    def __init__(self, **options):
        super().__init__(**options)
        self.subscribe_frames(consume)
node_module.open_encoders = open_encoders
node_module.PreprocessorNode = Node
sys.exit(node_module.main(sys.argv[1:]))
"""
ENCODES = {
    'sources': '[lidar,camera]',
    'camera.encoder.path': '/nowhere/net.pt',
    'camera.encoder.width': '3',
    'camera.encoder.input_size': '[8,8]',
    'camera.encoder.mean': '[0.0]',
    'camera.encoder.std': '[1.0]',
}


def test_a_network_and_a_consumer_that_hang_do_not_keep_the_process_from_ending(
    rig, start_process
):
    words = [word for key, value in ENCODES.items() for word in ('-p', f'{key}:={value}')]
    process = start_process(sys.executable, '-c', BUSY, '--ros-args', *words)
    lidar = rig.publisher(PointCloud2, 'lidar/points')
    camera = rig.publisher(Image, 'camera/image')
    wait_until_active(rig, process)
    numbers = itertools.count()

    def hangs(what):
        number = next(numbers)
        camera.publish(image(START_NS + number * SECOND // 10))
        lidar.publish(cloud(START_NS + number * SECOND // 10 + 1000))
        return f'the {what}' in process.log.read_text()

    rig.wait(lambda: hangs('network hangs'), 'the network to hang', DEADLINE_SEC)
    rig.wait(lambda: hangs('consumer of'), 'the consumer to hang', DEADLINE_SEC)
    since = time.monotonic()
    process.send_signal(signal.SIGTERM)
    assert ended_well(process, since)


ASLEEP = """
import functools, sys
import rclpy
from rclpy.node import Node
from rclpy.signals import SignalHandlerOptions
from robocache_ros.ros.process import run
# So that nothing wakes the executor, which happens with the handlers of rclpy now and then.
rclpy.init = functools.partial(rclpy.init, signal_handler_options=SignalHandlerOptions.NO)
class Quiet(Node):
    autostart_failed = False
sys.exit(run(lambda: Quiet('quiet', start_parameter_services=False)))
"""


def test_a_signal_that_wakes_nobody_ends_a_node_that_has_nothing_to_do(rig, start_process):
    process = start_process(sys.executable, '-c', ASLEEP)
    rig.wait(lambda: 'quiet' in rig.own.get_node_names(), 'the node', DEADLINE_SEC)
    since = time.monotonic()
    process.send_signal(signal.SIGTERM)
    assert ended_well(process, since)


IMPATIENT = """
import os, signal, sys, threading
import robocache_ros.node
class Late:
    def __del__(self, kill=os.kill, pid=os.getpid(), number=signal.SIGINT):
        kill(pid, number)  # while the interpreter winds up, long after its last signal handler
late = Late()
threading.Timer(1.0, os.kill, (os.getpid(), signal.SIGINT)).start()
sys.exit(robocache_ros.node.main([]))
"""


def test_a_second_signal_after_the_node_has_ended_changes_nothing(start_process):
    process = start_process(sys.executable, '-c', IMPATIENT)
    assert process.wait(DEADLINE_SEC) == 0, process.log.read_text()


@pytest.mark.parametrize(
    ('arguments', 'words'),
    [
        (('-p', 'trigger:=sonar'), 'sonar'),
        (('-p', 'backend:=cuda', '-p', 'device_id:=255'), 'cuda was asked for, but'),
        (('-p', 'voxels.voxel_sise:=0.1'), 'did you mean voxels.voxel_size?'),
        (('--params-file', '/no/such/file.yaml'), 'Can not start'),
        (('-p', 'lidar.extrinsic:=[0.5, 0, 1.5, 0, 0, 0]'), 'write all numbers alike'),
    ],
)
def test_what_can_not_start_says_why_and_exits_with_code_1(start_process, arguments, words):
    process = start_process(*NODE, *arguments)
    assert process.wait(DEADLINE_SEC) == 1
    log = process.log.read_text()
    assert words in log
    assert 'Traceback' not in log


@pytest.mark.parametrize('command', ['node', 'sim'])
def test_help_is_printed_and_nothing_is_started(start_process, command):
    process = start_process(sys.executable, '-m', 'robocache_ros', command, '--help')
    assert process.wait(DEADLINE_SEC) == 0
    said = process.log.read_text()
    assert said.startswith(f'usage: robocache {command} ')
    assert '--ros-args --params-file FILE' in said


@pytest.mark.parametrize('command', ['node', 'sim'])
def test_an_argument_that_is_not_for_ros_is_refused(start_process, command):
    words = ('--backend', 'numpy', '--ros-args', '-p', 'autostart:=false')
    process = start_process(sys.executable, '-m', 'robocache_ros', command, *words)
    assert process.wait(DEADLINE_SEC) == 2
    said = process.log.read_text()
    assert 'unknown: --backend numpy. What is for ROS follows --ros-args.' in said


def test_without_autostart_a_bad_parameter_does_not_end_the_process(rig, start_process):
    process = start_process(*NODE, '-p', 'autostart:=false', '-p', 'trigger:=sonar')
    rig.wait(lambda: rig.arrays, 'diagnostics', DEADLINE_SEC)
    assert process.poll() is None
    since = time.monotonic()
    process.send_signal(signal.SIGTERM)
    assert ended_well(process, since)


def test_a_transition_that_is_not_possible_neither_happens_nor_ends_the_process(
    rig, start_process
):
    process = start_process(*NODE, '-p', 'autostart:=false')
    assert state_of(rig, process) == 'unconfigured'
    client = rig.own.create_client(ChangeState, '/preprocessor/change_state')
    rig.wait(client.service_is_ready, 'the lifecycle service')
    request = ChangeState.Request()
    request.transition.id = Transition.TRANSITION_ACTIVATE
    future = client.call_async(request)
    rig.wait(future.done, 'the answer')
    assert not future.result().success
    assert 'Can not activate: the node is unconfigured' in process.log.read_text()
    assert state_of(rig, process) == 'unconfigured'
    assert process.poll() is None


class Failing:
    """An executor whose spin_once does what it is told, one item per call."""

    def __init__(self, *script):
        self.script = list(script)
        self.context = SimpleNamespace(ok=lambda: True)

    def spin_once(self):
        item = self.script.pop(0)
        if item is not None:
            raise item


class Log:
    def __init__(self):
        self.lines = []
        self.error = self.warning = self.info = self.lines.append


def spin(*script):
    log = Log()
    node = SimpleNamespace(autostart_failed=False, get_logger=lambda: log)
    executor = Failing(*script)
    process_module._spin(executor, node, [])
    return executor, log.lines


def test_errors_of_rclpy_are_logged_once_and_do_not_end_the_process():
    errors = [RuntimeError('not possible from here')] * 3
    executor, lines = spin(*errors, None, *errors, ExternalShutdownException())
    assert executor.script == []
    assert len(lines) == 1
    assert 'not possible from here' in lines[0]


def test_an_executor_that_only_fails_ends_the_process_at_last():
    with pytest.raises(RuntimeError, match='broken'):
        spin(*[RuntimeError('broken')] * 1000)


def test_what_the_core_logs_reaches_the_log_of_the_node_while_it_spins():
    log = Log()
    core = logging.getLogger('robocache_ros.timeline')
    with process_module._core_log(log):
        core.warning('time jumped %d s', 5)
        core.error('an error')
    core.error('nobody listens')
    assert log.lines == ['time jumped 5 s', 'an error']
