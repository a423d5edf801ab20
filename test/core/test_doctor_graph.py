# Copyright 2026 the robocache_ros authors
# SPDX-License-Identifier: Apache-2.0
"""What doctor says about a parameters file, and about a graph that was looked at."""

from __future__ import annotations

import pytest

from robocache_ros.doctor import config_facts
from robocache_ros.doctor.finding import Level
from robocache_ros.doctor.graph import judge_graph, judge_ros, judge_source
from robocache_ros.doctor.params import judge_pipeline, read_params

pytest.importorskip('yaml', reason='needs PyYAML, as the package does')
SOURCE = {
    'needed': True, 'topic': '/lidar/points', 'type': 'sensor_msgs/msg/PointCloud2',
    'publishers': 1, 'nodes': ['driver'], 'other_types': [], 'elsewhere': [], 'incompatible': '',
    'qos': 'best_effort (auto)', 'received': 30, 'dropped': {}, 'broken': '', 'behind_sec': 0.1,
}  # fmt: skip
GRAPH = {
    'nodes': ['/driver'], 'preprocessors': [], 'diagnostics': {}, 'clock': 0, 'watched_sec': 3.0,
}  # fmt: skip


def params_file(tmp_path, text):
    path = tmp_path / 'params.yaml'
    path.write_text(f'/**:\n  ros__parameters: {text}\n')
    return str(path)


def of_source(**changes):
    return list(judge_source('lidar', {**SOURCE, **changes}, 3.0))


def of_graph(sim_time=False, **changes):
    return list(judge_graph({**GRAPH, **changes}, sim_time))


def bad(found):
    return [one for one in found if one.level is not Level.FINE]


def only(found):
    (one,) = bad(found)
    return one


def test_a_source_that_delivers_is_one_line():
    (one,) = of_source()
    assert one.level is Level.FINE
    assert '30 received in 3 s on /lidar/points from driver' in one.sentence


@pytest.mark.parametrize(('needed', 'level'), [(True, Level.ERROR), (False, Level.WARNING)])
def test_a_source_that_is_missing_is_as_bad_as_it_is_needed(needed, level):
    one = only(of_source(received=0, publishers=0, needed=needed))
    assert one.level is level
    assert one.sentence == 'Nobody publishes sensor_msgs/msg/PointCloud2 on /lidar/points.'


def test_topics_that_carry_the_type_are_named():
    one = only(of_source(received=0, publishers=0, elsewhere=[f'/t{i}' for i in range(9)]))
    assert 'but on /t0, /t1, /t2, /t3, /t4.' in one.sentence


def test_another_type_is_named():
    one = only(of_source(received=0, publishers=0, other_types=['sensor_msgs/msg/Image']))
    assert 'carries sensor_msgs/msg/Image, not sensor_msgs/msg/PointCloud2' in one.sentence
    assert 'lidar.type' in one.fix


def test_a_publisher_that_is_not_heard_is_named_with_the_profile_it_needs():
    one = only(of_source(received=0))
    assert 'driver publishes /lidar/points, but nothing arrived' in one.sentence
    assert 'fastdds_large_messages.xml' in one.fix


@pytest.mark.parametrize(('received', 'level'), [(0, Level.ERROR), (9, Level.WARNING)])
def test_an_incompatible_publisher_is_worse_if_it_is_the_only_one(received, level):
    text = '/d publishes /t as best_effort, but `lidar.qos` asks for reliable: set it to auto.'
    one = only(of_source(received=received, incompatible=text))
    assert (one.level, one.fix) == (level, 'Set it to auto.')


@pytest.mark.parametrize(('count', 'level'), [(30, Level.ERROR), (3, Level.WARNING)])
def test_messages_that_can_not_be_used_are_named_by_reason(count, level):
    found = of_source(dropped={'stamp_unset': count})
    assert only(found).level is level
    assert '(stamp_unset): The header stamp is zero.' in only(found).sentence
    assert 'stamp: receive' in only(found).fix
    assert (len(found) == 2) == (count < 30)  # fine, but for those


def test_stamps_of_another_clock_are_a_finding_unless_it_is_that_of_a_simulation():
    assert '90.0 s behind' in only(of_source(behind_sec=90.0)).sentence
    assert '90.0 s ahead of' in only(of_source(behind_sec=-90.0)).sentence
    assert not bad(of_source(behind_sec=None))
    found = of_graph(clock=1, sources={'lidar': {**SOURCE, 'behind_sec': 90.0}})
    assert only(found).about == 'clock'


def test_a_camera_that_paints_needs_its_camera_info():
    told = of_graph(cameras={'a': ['/a/camera_info', 0, ''], 'b': ['/b', 1, 'K is zero.']})
    assert [one.about for one in bad(told)] == ['a', 'b']
    assert 'on /a/camera_info, so it paints nothing' in bad(told)[0].sentence
    assert bad(told)[1].sentence.endswith('used: K is zero.')
    assert not bad(of_graph(cameras={'c': ['/c', 1, '']}))


def test_a_message_that_breaks_the_node_is_a_bug():
    assert 'report it' in only(of_source(broken='KeyError: 1')).fix


def test_an_empty_graph_is_a_warning():
    assert 'ROS_DOMAIN_ID' in only(of_graph(nodes=[])).fix


def test_sim_time_without_a_clock_is_an_error():
    assert only(of_graph(sim_time=True)).level is Level.ERROR
    assert not bad(of_graph(sim_time=True, clock=1))


def test_each_cause_that_running_preprocessors_complain_of_is_repeated_once():
    cause = 'No publisher: start the driver.'
    said = {
        '/p: output voxels': [2, f'Nothing to send: lidar does not deliver. {cause}'],
        '/p: lidar': [2, cause],
        '/p: imu': [0, '200 Hz.'],
    }
    one = only(of_graph(preprocessors=['/p'], diagnostics=said))
    assert one[:3] == (Level.ERROR, '/p: lidar', cause)


def test_packages_and_transforms_that_are_lacking_are_findings():
    found = bad(of_graph(refused=['x.type needs the package y'], transforms='No tf2_msgs.'))
    assert [one.level for one in found] == [Level.ERROR, Level.WARNING]


@pytest.mark.parametrize(
    ('facts', 'word'),
    [
        ({'absent': "No module named 'rclpy'"}, 'although jazzy is sourced'),
        ({'failed': 'no answer within 30 s', 'hung': True}, 'no answer'),
        ({'failed': 'RCLError: no rmw'}, 'RCLError: no rmw'),
    ],
)
def test_ros_that_does_not_start_is_an_error_and_the_graph_is_not_judged(facts, word):
    one = only(judge_ros(facts, {'ROS_DISTRO': 'jazzy'}))
    assert (one.level, word in one.sentence, bool(one.fix)) == (Level.ERROR, True, True)
    assert not list(judge_graph(facts, False))


def test_a_good_parameters_file_is_one_line(tmp_path):
    params = read_params(params_file(tmp_path, '{sources: [lidar]}'), '/preprocessor')
    (one,) = params.findings
    assert (one.level, one.sentence.endswith('lidar.')) == (Level.FINE, True)
    assert params.config is not None


def test_each_thing_refused_is_a_finding(tmp_path):
    path = params_file(tmp_path, '{timeout_sec: -1.0, voxels: {voxel_size: 0.0}}')
    found = read_params(path, '/preprocessor').findings
    assert [one.level for one in found] == [Level.ERROR] * 2
    words = sorted(one.sentence.split()[1] for one in found)
    assert words == ['timeout_sec', 'voxels.voxel_size']


def test_one_topic_read_as_two_types_is_an_error(tmp_path):
    text = '{sources: [lidar, camera], lidar: {topic: /ns/a}, camera: {topic: a}}'
    path = params_file(tmp_path, text)
    one = only(read_params(path, '/ns/preprocessor').findings)
    assert 'as sensor_msgs/msg/PointCloud2, and camera as sensor_msgs/msg/Image' in one.sentence
    assert not bad(read_params(path, '/preprocessor').findings)
    text = '{sources: [lidar, camera], lidar: {topic: ~/a}, camera: {topic: preprocessor/a}}'
    assert bad(read_params(params_file(tmp_path, text), '/preprocessor').findings)


def test_a_file_that_is_not_there_is_an_error(tmp_path):
    one = only(read_params(str(tmp_path / 'none.yaml'), '/preprocessor').findings)
    assert 'No such file' in one.sentence


def test_a_file_for_another_node_is_a_warning(tmp_path):
    path = tmp_path / 'params.yaml'
    path.write_text('/eyes:\n  ros__parameters: {sources: [lidar]}\n')
    one = only(read_params(str(path), '/preprocessor').findings)
    assert 'nothing for the node /preprocessor' in one.sentence


def test_files_that_the_parameters_name_are_tried(tmp_path):
    flat = {'sources': ['lidar', 'camera'], 'base_frame': 'b', 'camera.paint': ['rgb']}
    facts = config_facts.look({'flat': {**flat, 'camera.calibration': str(tmp_path / 'none')}})
    one = only(judge_pipeline(facts))
    assert (one.level, 'camera.calibration' in one.sentence) == (Level.ERROR, True)
    assert not list(judge_pipeline(config_facts.look({'flat': flat})))


def test_an_encoder_is_tried_on_the_cpu_whatever_it_asks_for(monkeypatch):
    seen = []
    monkeypatch.setattr(config_facts, 'Pipeline', lambda config, backend: seen.append(config))
    block = {'path': 'a.pt', 'width': 3, 'device': 'cuda'}
    flat = {f'camera.encoder.{name}': value for name, value in block.items()}
    assert config_facts.look({'flat': flat}) == {}
    assert seen[0].source('camera').encoder.device == 'cpu'


def test_a_network_that_takes_for_ever_is_a_warning_and_a_bug_an_error():
    hung = {'failed': 'no answer within 30 s', 'hung': True}
    assert only(judge_pipeline(hung)).level is Level.WARNING
    assert only(judge_pipeline({'failed': 'KeyError: 1'})).level is Level.ERROR


def test_the_devices_of_encoders_are_told(tmp_path):
    text = '{camera: {encoder: {path: /none.pt, width: 3, device: cuda}}}'
    assert read_params(params_file(tmp_path, text), '/preprocessor').encoder_devices == ['cuda']
    assert read_params(params_file(tmp_path, '{}'), '/preprocessor').encoder_devices == []
