# Copyright 2026 the robocache_ros authors
# SPDX-License-Identifier: Apache-2.0
"""`robocache doctor` beside a live graph that is odd in many ways."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

import pytest
from rig import BEST_EFFORT, RELIABLE, START_NS, cloud, image, imu
from sensor_msgs.msg import Image, Imu, Joy, PointCloud2

pytest.importorskip('yaml', reason='needs PyYAML, as the package does')
ROOT = Path(__file__).resolve().parents[2]
ODD = """
/**:
  ros__parameters:
    sources: [lidar, camera, imu, wrist, joy]
    use_sim_time: false
    base_frame: base
    camera: {qos: reliable, grid: [2, 2], paint: [rgb]}
    wrist: {type: wrench_stamped, topic: wrist/wrench}
    joy: {type: joy}
"""
DEADLINE_SEC = 60


@pytest.fixture
def doctor(rig, start_process, tmp_path):
    """Give a function that runs doctor while the rig spins, and returns its exit code and JSON."""
    for name in ('torch', 'cupy'):  # to import them takes longer than all the rest
        (tmp_path / f'{name}.py').write_text(f'raise ModuleNotFoundError(name={name!r})')
    path = os.pathsep.join([str(tmp_path), str(ROOT), os.environ.get('PYTHONPATH', '')])

    def run(*words, meanwhile=lambda: None, env=None):
        argv = ['-m', 'robocache_ros', 'doctor', '--json', '--watch', '1', *words]
        process = start_process(sys.executable, *argv, env={'PYTHONPATH': path, **(env or {})})

        def ended():
            meanwhile()
            return process.poll() is not None

        rig.wait(ended, 'the doctor', DEADLINE_SEC)
        return process.returncode, json.loads(process.log.read_text())

    return run


def by_source(found):
    first = {}
    for one in found['findings']:
        first.setdefault(one['about'], one)
    return first


def test_each_oddity_of_a_live_graph_is_named_with_its_fix(rig, doctor, tmp_path):
    params = tmp_path / 'odd.yaml'
    params.write_text(ODD)
    publishers = {
        rig.publisher(Image, '/lidar/points'): image(START_NS),  # not the type
        rig.publisher(Image, '/camera/image', BEST_EFFORT): image(START_NS),
        rig.publisher(Imu, '/imu/data', RELIABLE): imu(0),  # no stamp
        rig.publisher(PointCloud2, '/velodyne_points'): cloud(START_NS),
        rig.publisher(Joy, '/joy/joy', RELIABLE): Joy(axes=[0.0] * 6, buttons=[0] * 11),
    }
    for publisher, message in publishers.items():
        rig.own.create_timer(0.05, lambda p=publisher, m=message: p.publish(m))
    spoken, offered = set(), set()

    def watch_the_doctor():
        for name, namespace in rig.own.get_node_names_and_namespaces():
            if name.startswith('robocache_doctor'):
                spoken.update(dict(rig.own.get_publisher_names_and_types_by_node(name, namespace)))
                offered.update(dict(rig.own.get_service_names_and_types_by_node(name, namespace)))

    code, found = doctor('--params', params, meanwhile=watch_the_doctor)
    said = by_source(found)
    assert (code, found['exit_code']) == (1, 1)

    assert said['lidar']['level'] == 'error'  # it is the trigger
    assert 'carries sensor_msgs/msg/Image, not' in said['lidar']['sentence']
    assert said['lidar']['fix'] == 'Set lidar.topic or lidar.type.'

    assert said['camera']['level'] == 'warning'
    assert '/rig publishes /camera/image as best_effort' in said['camera']['sentence']
    assert said['camera']['fix'] == 'Set it to auto.'

    sentences = [one['sentence'] for one in found['findings'] if one['about'] == 'camera']
    assert 'CameraInfo on /camera/camera_info' in sentences[1]

    assert '(stamp_unset)' in said['imu']['sentence']
    assert 'All ' in said['imu']['sentence']
    assert '`stamp: receive`' in said['imu']['fix']

    assert said['wrist']['sentence'].startswith('Nobody publishes geometry_msgs/msg/WrenchStamped')
    assert 'take wrist out of sources' in said['wrist']['fix']

    assert all(one['fix'] for one in found['findings'])
    assert spoken <= {'/parameter_events'}  # as every node of rclpy has
    assert not offered


def test_a_graph_as_the_parameters_want_it_is_fine(rig, doctor, tmp_path):
    params = tmp_path / 'params.yaml'
    params.write_text('/**:\n  ros__parameters: {sources: [lidar], lidar: {topic: points}}\n')
    publisher = rig.publisher(PointCloud2, '/robot/points', BEST_EFFORT)

    def send():
        publisher.publish(cloud(rig.own.get_clock().now().nanoseconds))

    rig.own.create_timer(0.05, send)
    code, found = doctor('--params', params, '--node', '/robot/preprocessor')
    fine = {one['about']: one['sentence'] for one in found['fine']}
    assert code == 0
    assert 'lidar' not in by_source(found)
    assert 'on /robot/points from rig, best_effort' in fine['lidar']
    assert fine['graph'] == '/rig is seen; no preprocessor runs.'


def test_what_a_running_preprocessor_complains_of_is_repeated(rig, doctor):
    rig.active(sources=['lidar'])
    code, found = doctor()
    said = by_source(found)
    assert code == 1
    complaint = said['/preprocessor: source lidar']
    assert complaint['level'] == 'error'
    assert 'No publisher of sensor_msgs/msg/PointCloud2' in complaint['sentence']
    assert 'start the driver' in complaint['sentence']


def test_a_middleware_that_is_not_installed_is_a_finding(doctor):
    code, found = doctor(env={'RMW_IMPLEMENTATION': 'rmw_none_cpp'})
    assert code == 1
    assert 'RMW_IMPLEMENTATION' in by_source(found)['ros']['fix']
