# Copyright 2026 the robocache_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The package's own files agree with each other and with the code."""

from __future__ import annotations

import ast
import json
import os
import re
import runpy
import sys
import xml.etree.ElementTree as ElementTree
from pathlib import Path
from types import SimpleNamespace

import pytest

import robocache_ros
from robocache_ros.config import Config
from robocache_ros.schema import Schema

yaml = pytest.importorskip('yaml', reason='needs PyYAML, as the package does')
ROOT = Path(__file__).resolve().parents[2]
CONFIG = ROOT / 'config'
PYTHON_FILES = sorted(
    path
    for folder in ('robocache_ros', 'launch', 'test', 'scripts')
    for path in (ROOT / folder).rglob('*.py')
)
# Topics of the node and of the simulated robot, as the layouts in config/ may name them.
TOPICS = {
    '/preprocessor/voxels', '/preprocessor/features/latest', '/preprocessor/features/named',
    '/lidar/points', '/camera/image', '/diagnostics',
}  # fmt: skip


@pytest.fixture
def package_xml():
    return ElementTree.parse(ROOT / 'package.xml').getroot()


@pytest.fixture
def setup(monkeypatch):
    """Give the arguments that setup.py hands to setuptools."""
    arguments = {}
    fake = SimpleNamespace(
        setup=lambda **given: arguments.update(given),
        find_packages=lambda include: include,
    )
    monkeypatch.setitem(sys.modules, 'setuptools', fake)
    monkeypatch.chdir(ROOT)
    runpy.run_path(str(ROOT / 'setup.py'))
    return arguments


def ros_packages_imported():
    found = set()
    for path in [*ROOT.glob('robocache_ros/**/*.py'), *ROOT.glob('launch/*.py')]:
        for node in ast.walk(ast.parse(path.read_text())):
            names = [alias.name for alias in getattr(node, 'names', [])]
            if isinstance(node, ast.ImportFrom):
                names = [node.module]
            elif not isinstance(node, ast.Import):
                continue
            found.update(name.partition('.')[0] for name in names)
    return {
        name
        for name in found
        if re.fullmatch('rclpy|launch|launch_ros|.*_(msgs|interfaces)', name)
    }


def test_there_is_one_version(package_xml, setup):
    assert package_xml.findtext('version') == setup['version'] == robocache_ros.__version__


def test_package_xml_declares_the_ros_packages_that_are_imported_and_no_other(package_xml):
    declared = {tag.text for tag in package_xml.iter('exec_depend')}
    assert package_xml.get('format') == '3'
    assert package_xml.findtext('export/build_type') == 'ament_python'
    assert declared == ros_packages_imported() | {
        'python3-numpy',
        'python3-pil',
        'python3-yaml',
    }


def test_ros_extra_pins_the_wheel_of_every_ros_package_that_is_imported(setup):
    pinned = {
        re.fullmatch(r'ros-([a-z-]+)==[0-9.]+', text)[1] for text in setup['extras_require']['ros']
    }
    wanted = {name.replace('_', '-') for name in ros_packages_imported()}
    # Some are on ROS installations only; rmw-fastrtps-cpp is what rclpy talks through.
    only_there = {'launch', 'launch-ros', 'tf2-msgs', 'composition-interfaces'}
    assert pinned == wanted - only_there | {'rmw-fastrtps-cpp'}


def test_every_shared_file_is_installed(setup):
    installed = {source for _, sources in setup['data_files'] for source in sources}
    folders = ('config', 'config/sros2', 'kernels', 'launch', 'resource', 'scripts/ros2run')
    there = {
        str(path.relative_to(ROOT))
        for folder in folders
        for path in (ROOT / folder).iterdir()
        if path.is_file()
    }
    assert installed == there | {'package.xml'}
    assert setup['package_data'] == {'robocache_ros': ['py.typed']}


def test_one_script_goes_into_bin_and_one_component_is_registered(setup):
    assert setup['entry_points'] == {
        'console_scripts': ['robocache = robocache_ros.__main__:main'],
        'rclpy_components': [
            'robocache_ros::PreprocessorNode = robocache_ros.node:PreprocessorNode'
        ],
    }
    assert setup['install_requires'] == ['numpy>=1.21', 'pyyaml']


@pytest.mark.parametrize('path', sorted(ROOT.glob('scripts/ros2run/*')), ids=lambda p: p.name)
def test_executables_of_ros2_run_call_a_main_that_exists(path):
    assert os.access(path, os.X_OK)
    module = re.search(r'^from (robocache_ros\.\S+) import main$', path.read_text(), re.M)[1]
    source = (ROOT / (module.replace('.', '/') + '.py')).read_text()
    assert re.search(r'^def main\(', source, re.M)


@pytest.mark.parametrize('path', PYTHON_FILES, ids=lambda p: str(p.relative_to(ROOT)))
def test_python_file_starts_with_copyright_and_licence(path):
    assert path.read_text().startswith(
        '# Copyright 2026 the robocache_ros authors\n# SPDX-License-Identifier: Apache-2.0\n'
    )


def test_fast_dds_profiles_say_what_their_names_promise():
    transports = {}
    for name in ('isolated', 'large_messages'):
        root = ElementTree.parse(CONFIG / f'fastdds_{name}.xml').getroot()
        ns = {'': 'http://www.eprosima.com'}
        descriptors = root.findall('.//transport_descriptor', ns)
        transports[name] = [d.findtext('type', namespaces=ns) for d in descriptors]
        defined = [d.findtext('transport_id', namespaces=ns) for d in descriptors]
        assert [t.text for t in root.findall('.//userTransports/transport_id', ns)] == defined
        assert root.findtext('.//useBuiltinTransports', namespaces=ns) == 'false'
        assert int(root.findtext('.//segment_size', namespaces=ns)) >= 16 * 2**20
    assert transports == {'isolated': ['SHM'], 'large_messages': ['SHM', 'UDPv4']}


def test_rviz_shows_our_topics():
    layout = yaml.safe_load((CONFIG / 'preprocessor.rviz').read_text())
    displays = layout['Visualization Manager']['Displays']
    voxels = next(d for d in displays if d['Name'] == 'Voxels')
    assert (voxels['Color Transformer'], voxels['Channel Name']) == ('RGB8', 'count')
    shown = {d['Topic']['Value'] for d in displays if 'Topic' in d}
    assert shown == {'/preprocessor/voxels', '/lidar/points'}
    source = (ROOT / 'launch' / 'preprocessor.launch.py').read_text()
    assert all(f"'{topic}'" in source for topic in shown)  # remapped there


def test_foxglove_plots_the_features_that_its_labels_name():
    layout = json.loads((CONFIG / 'foxglove.json').read_text())
    text = json.dumps(layout)
    topics = set(re.findall(r'"(/[a-z/]+)["\.]', text))
    assert topics <= TOPICS
    assert '/preprocessor/voxels' in topics
    names = Schema.from_config(Config.from_mapping({})).feature_names
    plotted = re.findall(r'latest\.data\[(\d+)\]".*?"label": "(\w+)"', text)
    assert len(plotted) == 5
    assert all(names[int(index)] == label for index, label in plotted)
    by_id = layout['configById']
    placed = set(re.findall(r'"(?:first|second)": "([^"]+)"', json.dumps(layout['layout'])))
    tabbed = {tab['layout'] for tab in by_id['Tab!scene']['tabs']}
    assert placed | tabbed == set(by_id)
    modes = [
        by_id[panel]['topics']['/preprocessor/voxels']['colorMode'] for panel in sorted(tabbed)
    ]
    assert modes == ['rgb', 'colormap']


def test_plotjuggler_plots_features_that_exist():
    root = ElementTree.parse(CONFIG / 'plotjuggler.xml').getroot()
    curves = [curve.get('name') for curve in root.iter('curve')]
    names = Schema.from_config(Config.from_mapping({})).feature_names
    prefix, suffix = '/preprocessor/features/named/', '/position'
    assert len(curves) == 8
    for curve in curves:
        assert curve.startswith(prefix)
        assert curve.endswith(suffix)
        assert curve[len(prefix) : -len(suffix)] in names
