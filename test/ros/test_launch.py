# Copyright 2026 the robocache_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The launch files, run by the real launch where it is installed."""

from __future__ import annotations

import importlib.util
import os
import re
import signal
import sys
from pathlib import Path

import pytest
from lifecycle_msgs.srv import GetState
from rcl_interfaces.srv import GetParameters
from rclpy.node import Node
from rclpy.parameter import parameter_value_to_python
from sensor_msgs.msg import PointCloud2

from robocache_ros.environment import MALLOC
from robocache_ros.resources import share_dir

# Not importorskip: importing launch changes the logging of this process.
if importlib.util.find_spec('launch_ros') is None:
    pytest.skip('launch is on ROS installations only', allow_module_level=True)

ROOT = Path(__file__).resolve().parents[2]
LAUNCH = """
import sys
from launch import LaunchDescription, LaunchService
from launch.actions import IncludeLaunchDescription
arguments = [text.split(':=', 1) for text in sys.argv[2:]]
service = LaunchService()
include = IncludeLaunchDescription(sys.argv[1], launch_arguments=arguments)
service.include_launch_description(LaunchDescription([include]))
sys.exit(service.run())
"""


@pytest.fixture
def launch(tmp_path, start_process):
    """Launch a file of ours, from a prefix that looks like an installed one."""
    prefix = tmp_path / 'prefix'
    (prefix / 'lib').mkdir(parents=True)
    (prefix / 'lib' / 'robocache_ros').symlink_to(ROOT / 'scripts' / 'ros2run')
    index = prefix / 'share' / 'ament_index' / 'resource_index' / 'packages'
    index.mkdir(parents=True)
    (index / 'robocache_ros').touch()
    env = {
        'AMENT_PREFIX_PATH': f'{prefix}:{os.environ.get("AMENT_PREFIX_PATH", sys.prefix)}',
        'PATH': f'{Path(sys.executable).parent}:{os.environ["PATH"]}',
        'PYTHONPATH': f'{ROOT}:{os.environ.get("PYTHONPATH", "")}',
        'ROS_LOG_DIR': str(tmp_path / 'log'),
    }

    launched = []

    def start(name, *arguments):
        path = share_dir() / 'launch' / name
        launched.append(start_process(sys.executable, '-c', LAUNCH, path, *arguments, env=env))
        return launched[-1]

    yield start
    for process in launched:
        if process.poll() is None:  # on SIGTERM launch would leave its nodes behind
            process.send_signal(signal.SIGINT)
            process.wait(timeout=20)


@pytest.fixture
def node(context, executor):
    node = Node('test', context=context)
    executor.add_node(node)
    yield node
    node.destroy_node()


@pytest.fixture
def ask(node, executor, wait_until):
    """Call a service of the launched node once it is there."""

    def call(kind, name, request):
        client = node.create_client(kind, name)
        wait_until(client.service_is_ready, 20, f'the service {name}', executor)
        future = client.call_async(request)
        wait_until(future.done, 10, f'an answer of {name}', executor)
        return future.result()

    return call


def parameters_of(ask, node_name, *names):
    reply = ask(GetParameters, f'{node_name}/get_parameters', GetParameters.Request(names=names))
    return [parameter_value_to_python(value) for value in reply.values]


def test_arguments_win_over_every_block_of_the_parameters_file(tmp_path, launch, ask):
    block = '  ros__parameters: {autostart: true, lidar: {topic: file, history_sec: 3.0}}\n'
    keys = ('/r1/eyes', '/**', '/**/eyes', '/*/eyes', '/r1/*')
    params = tmp_path / 'params.yaml'
    params.write_text(''.join(f'{key}:\n{block}' for key in keys))
    launch(
        'preprocessor.launch.py',
        f'params_file:={params}',
        'namespace:=r1',
        'name:=eyes',
        'sources:=lidar',
        'cloud_topic:=/velodyne_points',
        'autostart:=false',
    )
    names = ('sources', 'lidar.topic', 'lidar.history_sec', 'autostart')
    values = parameters_of(ask, '/r1/eyes', *names)
    assert values == [['lidar'], '/velodyne_points', 3.0, False]
    state = ask(GetState, '/r1/eyes/get_state', GetState.Request())
    assert state.current_state.label == 'unconfigured'


def test_one_line_without_a_file_configures_and_activates(launch, ask, wait_until):
    launch('preprocessor.launch.py', 'sources:=lidar', 'cloud_topic:=/velodyne_points')

    def active():
        state = ask(GetState, '/preprocessor/get_state', GetState.Request())
        return state.current_state.label == 'active'

    wait_until(active, 20, 'an active node')


def test_failure_to_configure_ends_the_launch_with_its_sentence(launch):
    process = launch('preprocessor.launch.py', 'backend:=cuda')
    assert process.wait(timeout=30) == 1
    assert 'cuda was asked for' in process.log.read_text()


def test_wrong_argument_ends_the_launch_with_a_sentence(launch):
    process = launch('preprocessor.launch.py', 'sources:=lidar', 'imu_topic:=/x')
    assert process.wait(timeout=30) == 1
    assert 'no source of type imu is in use' in process.log.read_text()


@pytest.fixture
def registered(tmp_path, monkeypatch):
    """Register the component of setup.py, for a tree that was not installed with it."""
    declared = re.search(r"'rclpy_components': \[f'(.+)'\]", (ROOT / 'setup.py').read_text())[1]
    info = tmp_path / 'site' / 'robocache_ros-0.0.dist-info'
    info.mkdir(parents=True)
    (info / 'METADATA').write_text('Metadata-Version: 2.1\nName: robocache_ros\nVersion: 0.0\n')
    entry = declared.replace('{NAME}', 'robocache_ros')
    (info / 'entry_points.txt').write_text(f'[rclpy_components]\n{entry}\n')
    path = f'{info.parent}{os.pathsep}{os.environ.get("PYTHONPATH", "")}'
    monkeypatch.setenv('PYTHONPATH', path)


def test_the_container_of_the_documentation_loads_its_node(
    registered, launch, tmp_path, ask, wait_until
):
    pytest.importorskip('composition_interfaces')
    page = (ROOT / 'docs' / 'composition.md').read_text()
    path = tmp_path / 'composed.launch.py'
    path.write_text(re.search(r'```python\n(.+?)```', page, re.DOTALL)[1])
    process = launch(path)

    def active():
        state = ask(GetState, '/robot1/preprocessor/get_state', GetState.Request())
        return state.current_state.label == 'active'

    wait_until(active, 20, 'an active node')
    values = parameters_of(ask, '/robot1/preprocessor', 'sources', 'voxels.voxel_size')
    assert values == [['lidar', 'imu'], 0.4]
    log = process.log.read_text()
    assert "Loaded node '/robot1/preprocessor' in container '/robot1/sensors'" in log
    assert 'lidar from /velodyne_points' in log


@pytest.mark.parametrize('name', ['preprocessor.launch.py', 'demo.launch.py'])
def test_without_rviz_the_launch_ends_with_a_sentence_before_anything_is_started(launch, name):
    process = launch(name, 'rviz:=true')
    assert process.wait(timeout=30) == 1
    said = process.log.read_text()
    assert 'rviz:=true, but rviz2 is not installed: `sudo apt install ros-' in said
    assert 'process started' not in said


def test_what_has_no_effect_is_said(tmp_path, launch, wait_until):
    params = tmp_path / 'params.yaml'
    params.write_text('/r1/eyes:\n  ros__parameters: {sources: [lidar]}\n')
    process = launch('preprocessor.launch.py', f'params_file:={params}', 'source:=lidar')
    wait_until(lambda: 'process started' in process.log.read_text(), 20, 'the node')
    said = process.log.read_text()
    assert 'launch argument source is not known and has no effect: did you mean sources?' in said
    assert 'holds nothing for the node /preprocessor: it has parameters of /r1/eyes.' in said


def test_demo_gives_voxels_in_its_namespace_and_ends_cleanly(launch, node, executor, wait_until):
    received = []
    node.create_subscription(PointCloud2, '/r1/preprocessor/voxels', received.append, 5)
    process = launch('demo.launch.py', 'namespace:=r1')
    wait_until(lambda: len(received) >= 5, 40, 'five voxel frames', executor)
    assert received[-1].width > 0
    assert [field.name for field in received[-1].fields][-1] == 'rgb'

    children = Path(f'/proc/{process.pid}/task/{process.pid}/children').read_text().split()
    assert len(children) == 2
    for child in children:
        variables = Path(f'/proc/{child}/environ').read_text().split('\0')
        assert {f'{name}={value}' for name, value in MALLOC.items()} <= set(variables)

    process.send_signal(signal.SIGINT)
    assert process.wait(timeout=20) == 0
    assert process.log.read_text().count('process has finished cleanly') == 2
