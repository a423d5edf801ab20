# Copyright 2026 the robocache_ros authors
# SPDX-License-Identifier: Apache-2.0
"""
The component container, asked over DDS as `ros2 component` and launch ask it.

By the services of composition_interfaces where that is installed, else by stand-ins.
"""

from __future__ import annotations

import importlib
import importlib.util
import itertools
import os
import re
import signal
import sys
import textwrap
import threading
import time
from pathlib import Path

import pytest
import stand_in
from diagnostic_msgs.srv import AddDiagnostics
from rcl_interfaces.msg import Log
from rclpy.logging import LoggingSeverity
from rclpy.parameter import Parameter
from rig import SECOND, START_NS, cloud
from sensor_msgs.msg import PointCloud2

from robocache_ros.container import ComponentContainer

ROOT = Path(__file__).resolve().parents[2]
DEADLINE_SEC = 20
REAL = importlib.util.find_spec('composition_interfaces') is not None
PREPROCESSOR = {'package_name': 'robocache_ros', 'plugin_name': 'robocache_ros::PreprocessorNode'}
LIDAR = {'sources': ['lidar'], 'lidar.occupancy_shape': [1, 2, 2]}
COMPONENTS = """
    import sys
    from rclpy.node import Node

    class Plain(Node):
        def __init__(self, **kwargs):
            super().__init__('plain', **kwargs)

    class Broken(Node):
        def __init__(self, **kwargs):
            super().__init__('broken', **kwargs)
            self.create_timer(1.0, self.destroy_node)  # a cycle, for the garbage collector
            raise ValueError('the arm is not plugged in')

    class Leaving(Node):
        def __init__(self, **kwargs):
            sys.exit('no licence')

    class Clinging(Plain):
        def destroy_node(self):
            super().destroy_node()
            raise OSError('the port is gone')

    class Leaver(Node):
        def __init__(self, **kwargs):
            super().__init__('leaver', **kwargs)
            self.gone = False
            self.create_timer(0.01, self._leave)

        def _leave(self):
            self.destroy_node()
            self.gone = True

    class Stillborn(Plain):
        def __init__(self, **kwargs):
            super().__init__(**kwargs)
            self.destroy_node()

    def no_node(**kwargs):
        return 'a string'
"""
NAMES = ('Plain', 'Broken', 'Leaving', 'Clinging', 'Leaver', 'Stillborn', 'Policy', 'no_node')


@pytest.fixture
def registered(tmp_path, monkeypatch):
    """Register components of a package `acme`, and ours as setup.py says it; give the folder."""
    declared = re.search(r"'rclpy_components': \[f'(.+)'\]", (ROOT / 'setup.py').read_text())[1]
    ours = declared.replace('{NAME}', 'robocache_ros')
    theirs = [f'acme::{name} = acme_components:{name}' for name in NAMES]
    lines = [ours, *theirs, 'acme::Absent = acme_components:Absent']
    info = tmp_path / 'acme-1.0.dist-info'
    info.mkdir()
    (info / 'METADATA').write_text('Metadata-Version: 2.1\nName: acme\nVersion: 1.0\n')
    (info / 'entry_points.txt').write_text('[rclpy_components]\n' + '\n'.join(lines))
    guide = (ROOT / 'docs' / 'composition.md').read_text()
    policy = re.search(r'```python\n([^`]*class Policy.*?)```', guide, re.DOTALL)[1]
    acts = 'acted = []\n\ndef act(*given):\n    acted.append(given)\n'
    program = f'{textwrap.dedent(COMPONENTS)}\n{policy}\n{acts}'
    (tmp_path / 'acme_components.py').write_text(program)
    monkeypatch.syspath_prepend(tmp_path)
    yield tmp_path
    sys.modules.pop('acme_components', None)


class Asked:
    """Asks a container, which `wait` spins if it is in this process."""

    def __init__(self, rig, types, name='/ComponentManager'):
        self._rig, self._types, self._name = rig, types, name
        self._clients = {}

    def _ask(self, kind, name, **given):
        service = getattr(self._types, kind)
        path = f'{self._name}/_container/{name}'
        if path not in self._clients:
            carrier = service if REAL else AddDiagnostics
            self._clients[path] = self._rig.own.create_client(carrier, path)
            self._rig.wait(self._clients[path].service_is_ready, path, DEADLINE_SEC)
        request = service.Request(**given)
        if not REAL:
            request = AddDiagnostics.Request(load_namespace=stand_in.dump(request))
        future = self._clients[path].call_async(request)
        self._rig.wait(future.done, f'the answer of {path}', DEADLINE_SEC)
        answer = future.result()
        return answer if REAL else service.Response(**stand_in.load(answer.message))

    def load(self, plugin=None, parameters=(), extra_arguments=(), **given):
        given = {**PREPROCESSOR, **given}
        if plugin is not None:
            given |= {'package_name': plugin.partition('::')[0], 'plugin_name': plugin}
        pairs = {'parameters': dict(parameters), 'extra_arguments': dict(extra_arguments)}
        lists = {
            key: [Parameter(name, value=value).to_parameter_msg() for name, value in each.items()]
            for key, each in pairs.items()
        }
        return self._ask('LoadNode', 'load_node', **given, **lists)

    def unload(self, unique_id):
        return self._ask('UnloadNode', 'unload_node', unique_id=unique_id)

    def list(self):
        answer = self._ask('ListNodes', 'list_nodes')
        return dict(zip(answer.unique_ids, answer.full_node_names, strict=True))


@pytest.fixture
def types(monkeypatch):
    """Give the types of the services."""
    if REAL:
        return importlib.import_module('composition_interfaces.srv')
    monkeypatch.setitem(sys.modules, 'composition_interfaces', None)
    return stand_in.install()


@pytest.fixture
def container(rig, context, registered, types):
    """Give a container in the executor of the rig."""
    kind = ComponentContainer if REAL else stand_in.container_type()
    node = rig._add(kind(context=context))
    yield node
    rig._executor.remove_node(node)
    node.destroy_node()


@pytest.fixture
def asked(rig, container, types):
    return Asked(rig, types)


def loaded(container, answer):
    assert answer.success, answer.error_message
    return container._loaded[answer.unique_id][1]


def nodes_of(container):
    """Return all nodes of the process that the executor knows of."""
    return {node.get_fully_qualified_name() for node in container.executor.get_nodes()}


def test_a_preprocessor_is_loaded_and_starts_itself(rig, container, asked):
    answer = asked.load()
    assert (answer.full_node_name, answer.unique_id) == ('/preprocessor', 1)
    assert answer.error_message == ''
    node = loaded(container, answer)
    rig.wait(lambda: node.lifecycle_state == 'active', 'the node to start')
    assert asked.list() == {1: '/preprocessor'}


def test_name_namespace_remap_rules_and_parameters_reach_the_node(rig, container, asked):
    answer = asked.load(
        node_name='front',
        node_namespace='/robot1',
        remap_rules=['lidar/points:=/velodyne'],
        parameters={**LIDAR, 'voxels.voxel_size': 0.5},
    )
    assert answer.full_node_name == '/robot1/front'
    node = loaded(container, answer)
    assert node.get_parameter('voxels.voxel_size').value == 0.5
    rig.wait(lambda: node.lifecycle_state == 'active', 'the node to start')
    assert '/velodyne' in {each.topic_name for each in node.subscriptions}
    assert node.resolve_topic_name('~/voxels') == '/robot1/front/voxels'


def test_unloading_takes_a_node_away_and_its_id_is_not_used_again(rig, container, asked):
    threads = threading.active_count()
    first = asked.load(parameters=LIDAR)
    node = loaded(container, first)
    rig.wait(lambda: node.lifecycle_state == 'active', 'the node to start')
    rig.wait(lambda: 'preprocessor' in rig.own.get_node_names(), 'the node in the graph')
    assert asked.unload(first.unique_id).success
    rig.wait(lambda: 'preprocessor' not in rig.own.get_node_names(), 'it to be gone')
    assert threading.active_count() == threads
    assert nodes_of(container) == {'/rig', '/ComponentManager'}
    again = asked.unload(first.unique_id)
    assert not again.success
    assert again.error_message == 'No node found with unique_id: 1'
    assert asked.load(parameters=LIDAR).unique_id == 2
    assert asked.list() == {2: '/preprocessor'}


def test_nodes_of_other_packages_are_loaded_as_well_side_by_side(container, asked):
    assert asked.load('acme::Plain').full_node_name == '/plain'
    assert asked.load('acme::Plain', node_name='second').full_node_name == '/second'
    assert asked.list() == {1: '/plain', 2: '/second'}


@pytest.mark.parametrize(
    ('given', 'words'),
    [
        ({'plugin': 'acme::Arm'}, 'acme::Plain, .*, robocache_ros::PreprocessorNode'),
        ({'plugin_name': 'PreprocessorNode'}, 'register theirs as package::Class'),
        ({'package_name': 'acme'}, 'robocache_ros::PreprocessorNode of package acme'),
        ({'plugin': 'acme::Absent'}, 'Failed to import acme_components:Absent: '),
        ({'plugin': 'acme::Broken'}, 'Component constructor threw an exception: the arm is not'),
        ({'plugin': 'acme::Leaving'}, 'Component constructor threw an exception: no licence'),
        ({'plugin': 'acme::Stillborn'}, 'acme::Stillborn destroyed itself while it was made'),
        ({'plugin': 'acme::no_node'}, "made 'a string', which is no node"),
        ({'remap_rules': ['nonsense']}, 'Component constructor threw an exception: .*nonsense'),
        ({'node_name': 'a b'}, 'Component constructor threw an exception: '),
        ({'log_level': 7}, 'log_level 7 is none of 10'),
        (
            {'extra_arguments': {'use_intra_process_comms': 1}},
            "Extra component argument 'use_intra_process_comms' must be a boolean",
        ),
        (
            {'extra_arguments': {'use_clock_thread': True}},
            "Extra component argument 'use_clock_thread' is not supported; there are: ",
        ),
    ],
)
def test_what_can_not_be_loaded_is_explained_and_nothing_of_it_stays(
    rig, container, asked, capfd, given, words
):
    plain = asked.load('acme::Plain')
    answer = asked.load(**given)
    assert not answer.success
    assert re.search(words, answer.error_message), answer.error_message
    assert (answer.full_node_name, answer.unique_id) == ('', 0)
    assert 'Traceback' not in answer.error_message
    assert answer.error_message.partition('\n')[0] in capfd.readouterr().err
    assert asked.list() == {plain.unique_id: '/plain'}
    known = {'rig', 'ComponentManager', 'plain'}
    rig.wait(lambda: set(rig.own.get_node_names()) == known, 'half a node to be gone')


def test_a_second_node_of_a_name_is_refused_and_the_first_goes_on(rig, container, asked):
    logs = []
    rig.own.create_subscription(Log, '/rosout', logs.append, 100)
    first = loaded(container, asked.load('acme::Plain'))
    answer = asked.load('acme::Plain')
    assert not answer.success
    assert answer.error_message.startswith('/plain is in this container already')
    assert asked.load('acme::Plain', node_name='ComponentManager').success is False
    assert asked.list() == {1: '/plain'}

    def heard():
        first.get_logger().info('still here')
        return any(log.msg == 'still here' for log in logs)

    rig.wait(heard, 'the log of the first one')


def test_a_preprocessor_that_can_not_start_stays_and_says_why(rig, container, asked):
    node = loaded(container, asked.load(parameters={'trigger': 'sonar'}))
    rig.wait(lambda: node.autostart_failed, 'the failure')
    assert 'sonar' in node.problem
    assert asked.list() == {1: '/preprocessor'}
    assert not container.autostart_failed
    assert asked.unload(1).success


def test_extra_arguments_are_those_of_a_node_of_rclpy(container, asked, capfd):
    extra = {'use_intra_process_comms': True, 'enable_rosout': False}
    node = loaded(
        container,
        asked.load('acme::Plain', extra_arguments={**extra, 'start_parameter_services': False}),
    )
    assert 'use_intra_process_comms changes nothing for /plain' in capfd.readouterr().err
    assert not any('rosout' in each.topic_name for each in node.publishers)
    assert not any('get_parameters' in each.srv_name for each in node.services)


def test_a_level_of_the_log_is_that_of_the_loaded_node_alone(container, asked):
    node = loaded(container, asked.load('acme::Plain', log_level=40))
    assert node.get_logger().get_effective_level() == LoggingSeverity.ERROR
    assert container.get_logger().get_effective_level() == LoggingSeverity.INFO


def test_a_node_that_fails_to_be_destroyed_is_gone_and_it_is_said(container, asked):
    assert asked.load('acme::Clinging').success
    answer = asked.unload(1)
    assert not answer.success
    assert answer.error_message == 'Destroying /plain raised OSError: the port is gone'
    assert asked.list() == {}
    assert asked.load('acme::Plain').success


def test_a_component_that_destroys_itself_is_listed_and_can_be_unloaded(rig, container, asked):
    leaver = loaded(container, asked.load('acme::Leaver'))
    rig.wait(lambda: leaver.gone, 'the component to destroy itself')
    assert asked.load('acme::Plain').success
    assert not asked.load('acme::Leaver').success  # the name is taken until it is unloaded
    assert asked.list() == {1: '/leaver', 2: '/plain'}
    assert asked.unload(1).success
    assert asked.list() == {2: '/plain'}
    assert asked.load('acme::Leaver').full_node_name == '/leaver'


def test_the_policy_of_the_guide_gets_frames_also_of_a_node_that_is_loaded_anew(
    rig, container, asked
):
    threads = threading.active_count()
    policy = asked.load('acme::Policy')
    acted = sys.modules['acme_components'].acted
    points = rig.publisher(PointCloud2, '/robot1/lidar/points')
    for number in (1, 2):
        answer = asked.load(parameters=LIDAR, node_namespace='/robot1')
        preprocessor = loaded(container, answer)
        rig.wait(lambda p=preprocessor: p.lifecycle_state == 'active', 'the node to start')
        rig.wait(lambda p=preprocessor: p._consumers._all, 'the policy to find it')
        rig.settle(preprocessor, points)
        points.publish(cloud(START_NS))
        rig.wait(lambda n=number: len(acted) == n, 'the policy to act')
        assert asked.unload(answer.unique_id).success
    values, valid, names = acted[-1]
    assert values.shape[1] == len(names)
    assert not valid.flags.writeable
    assert asked.unload(policy.unique_id).success
    assert threading.active_count() == threads


def test_nodes_are_loaded_and_unloaded_while_messages_pour_in(rig, container, asked, capfd):
    stranger = rig.stranger()
    publisher = stranger.create_publisher(PointCloud2, '/lidar/points', 5)
    done = threading.Event()

    def pour():
        for number in itertools.count():
            publisher.publish(cloud(START_NS + number * SECOND // 100))
            if done.wait(0.002):
                return

    pouring = threading.Thread(target=pour)
    pouring.start()
    try:
        other = loaded(container, asked.load(node_name='other', parameters=LIDAR))
        rig.wait(lambda: other.lifecycle_state == 'active', 'the other node')
        for _ in range(4):
            answer = asked.load(parameters=LIDAR)
            node = loaded(container, answer)
            rig.wait(lambda n=node: n.lifecycle_state == 'active', 'the node to start')
            rig.wait(lambda n=node: rig.received(n, 'lidar') > 5, 'clouds')
            assert asked.unload(answer.unique_id).success
        before = rig.received(other, 'lidar')
        rig.wait(lambda: rig.received(other, 'lidar') > before + 5, 'the other node to go on')
    finally:
        done.set()
        pouring.join()
    assert asked.list() == {1: '/other'}
    said = capfd.readouterr().err
    assert 'Traceback' not in said
    assert 'ERROR' not in said


def test_destroying_the_container_destroys_what_it_has_loaded(rig, context, registered, types):
    threads = threading.active_count()
    kind = ComponentContainer if REAL else stand_in.container_type()
    container = rig._add(kind(context=context))
    node = loaded(container, Asked(rig, types).load(parameters=LIDAR))
    rig.wait(lambda: node.lifecycle_state == 'active', 'the node to start')
    rig._executor.remove_node(node)
    rig._executor.remove_node(container)
    container.destroy_node()
    container.destroy_node()
    rig.wait(lambda: rig.own.get_node_names() == ['rig'], 'both nodes to be gone')
    assert threading.active_count() == threads


@pytest.mark.parametrize('number', [signal.SIGINT, signal.SIGTERM], ids=lambda n: n.name)
def test_a_signal_ends_a_container_with_nodes_in_time_with_code_0(
    rig, registered, types, start_process, number
):
    path = f'{registered}{os.pathsep}{ROOT}{os.pathsep}{os.environ.get("PYTHONPATH", "")}'
    executable = ROOT / 'scripts' / 'ros2run' / 'component_container'
    program = executable if REAL else Path(stand_in.__file__)
    words = ('--ros-args', '-r', '__node:=box', '-r', '__ns:=/robot1')
    process = start_process(sys.executable, program, *words, env={'PYTHONPATH': path})
    asked = Asked(rig, types, '/robot1/box')
    assert asked.load(parameters=LIDAR).full_node_name == '/preprocessor'  # not /robot1/box
    assert asked.load('acme::Plain').success
    assert not asked.load('acme::Broken').success
    since = time.monotonic()
    process.send_signal(number)
    assert process.wait(DEADLINE_SEC) == 0, process.log.read_text()
    assert time.monotonic() - since < 2.0
    log = process.log.read_text()
    assert log.count('Traceback') == 1  # that of the broken one, as it was loaded
    assert 'ValueError: the arm is not plugged in' in log


WITHOUT = """
import sys
sys.modules['composition_interfaces'] = None  # an import of it fails
from robocache_ros.__main__ import main
sys.exit(main(['container']))
"""


def test_without_composition_interfaces_it_says_so_and_exits_with_code_1(start_process):
    process = start_process(sys.executable, '-c', WITHOUT)
    assert process.wait(DEADLINE_SEC) == 1
    said = process.log.read_text().splitlines()
    assert len(said) == 1
    assert 'apt install ros-$ROS_DISTRO-composition-interfaces' in said[0]
