# Copyright 2026 the robocache_ros authors
# SPDX-License-Identifier: Apache-2.0
"""
What other tools rely on: names of statuses and values, and the groups that are made of them.

diagnostic_aggregator is on ROS installations only; its rules for names are short, and are
followed here by hand.
"""

from __future__ import annotations

from pathlib import Path

import pytest
from rig import cloud, values
from sensor_msgs.msg import PointCloud2

yaml = pytest.importorskip('yaml', reason='PyYAML reads the file')

CONFIG = Path(__file__).resolve().parents[2] / 'config' / 'diagnostic_aggregator.yaml'
ANALYZER = 'diagnostic_aggregator/GenericAnalyzer'
# With the type that diagnostic_aggregator takes each for; it ends when one is another.
KEYS = {
    'type': str,
    'path': str,
    'expected': list,
    'startswith': list,
    'remove_prefix': list,
    'find_and_remove_prefix': list,
    'timeout': float,
    'discard_stale': bool,
}
PLACED = {'base_frame': 'base_link', 'output_frame': 'base_link'}


def analyzers():
    """Return the analyzers of the file by the path they are shown under."""
    (root,) = yaml.safe_load(CONFIG.read_text()).items()
    assert root[0] == 'analyzers'  # name of the aggregator's node
    parameters = root[1]['ros__parameters']
    assert isinstance(parameters.pop('pub_rate'), float)
    top, found = parameters.pop('path'), {}
    for group in parameters.values():
        assert group['type'] == 'diagnostic_aggregator/AnalyzerGroup'
        for analyzer in group['analyzers'].values():
            found[f'/{top}/{group["path"]}/{analyzer["path"]}'] = analyzer
    return found


def shown(name):
    """Return where a status is shown: every analyzer that starts with its name."""
    places = []
    for path, analyzer in analyzers().items():
        prefixes = analyzer.get('find_and_remove_prefix', analyzer.get('startswith', []))
        removed = analyzer.get('find_and_remove_prefix', analyzer.get('remove_prefix', []))
        if any(name.startswith(prefix) for prefix in prefixes):
            for prefix in removed:
                name = name.removeprefix(prefix)
            places.append(f'{path}/{name}')
    return places


def test_the_file_for_the_aggregator_has_the_types_that_it_takes():
    assert analyzers()
    for analyzer in analyzers().values():
        assert analyzer['type'] == ANALYZER
        for key, value in analyzer.items():
            assert isinstance(value, KEYS[key]), key


def test_every_status_of_a_node_is_in_exactly_one_group_of_the_aggregator(rig):
    node = rig.active(sources=['lidar', 'imu', 'joints'], joints__joints=['elbow'], **PLACED)
    names = [f'/preprocessor: {part}' for part in rig.diagnose(node)]
    assert names[0] in analyzers()['/robocache_ros/preprocessor/node']['expected']
    found = [shown(name) for name in names]
    assert found == [
        [f'/robocache_ros/preprocessor/{path}']
        for path in (
            'node/node',
            'sources/lidar',
            'sources/imu',
            'sources/joints',
            *(['node/transforms'] if '/preprocessor: transforms' in names else []),
            'outputs/voxels',
            'outputs/features',
        )
    ]


def test_names_carry_the_full_name_of_the_node_and_all_statuses_one_hardware(rig):
    node = rig.active('filter', '/robot_1', sources=['lidar'])
    rig.diagnose(node)
    statuses = rig.arrays[-1].status
    assert {status.name.partition(': ')[0] for status in statuses} == {'/robot_1/filter'}
    assert {status.hardware_id for status in statuses} == {'robocache_ros'}


def test_every_value_has_a_key_of_its_own_that_the_page_explains(rig):
    page = (CONFIG.parents[1] / 'docs' / 'diagnostics.md').read_text()
    node = rig.active(sources=['lidar'])
    lidar = rig.publisher(PointCloud2, 'lidar/points')
    rig.settle(node, lidar)
    begin_ns = node.get_clock().now().nanoseconds
    rig.send(node, 'lidar', lidar, cloud(0), *(cloud(begin_ns + n) for n in range(6)))
    outputs = node._running.worker.outputs
    rig.wait(lambda: all(one.messages for one in outputs.values()), 'frames')
    for status in rig.diagnose(node).values():
        assert len(values(status)) == len(status.values)
        for key in values(status):
            general = key.split('.')[0] + '.' if '.' in key else key.split('_p')[0]
            assert f'`{general}' in page, key
