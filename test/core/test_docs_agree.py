# Copyright 2026 the robocache_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The YAML file, the code and the documentation say the same."""

from __future__ import annotations

import dataclasses
import importlib.util
import re
import subprocess
import sys
from importlib.machinery import SourceFileLoader
from pathlib import Path

import pytest

from robocache_ros.config import DEFAULTS, Config, parameters, parameters_of
from robocache_ros.config.fields_source import source_class
from robocache_ros.config.kinds import SOURCE_TYPES
from robocache_ros.config.params_file import read_params_file
from robocache_ros.config.plugged_in import GROUP
from robocache_ros.config.source import SourceConfig
from robocache_ros.reasons import Reason
from robocache_ros.transforms import asked_of_transforms

ROOT = Path(__file__).resolve().parent.parent.parent
YAML = ROOT / 'config' / 'preprocessor.yaml'
FRAMES = ROOT / 'docs' / 'frames.md'
SOURCES = ROOT / 'docs' / 'sources.md'
GENERATOR = ROOT / 'scripts' / 'generate_docs'
# A parameter that is commented out because its default depends on others, or there is none.
COMMENTED = re.compile(r'^( +)# ( *[a-z_.]+:( .*)?)$', re.MULTILINE)
OFF = {'joints': 'joint_state', 'odom': 'odometry'}  # unless they are named
EXAMPLES = {  # have no default to show
    'joints.joints',
    'lidar.fields.intensity.resolution',
    'lidar.extrinsic',
    'imu.extrinsic',
    'camera.extrinsic',
    'camera.paint',
}


@pytest.fixture(scope='module')
def uncommented(tmp_path_factory):
    path = tmp_path_factory.mktemp('yaml') / 'preprocessor.yaml'
    path.write_text(COMMENTED.sub(r'\1\2', YAML.read_text(encoding='utf-8')), encoding='utf-8')
    return path


@pytest.fixture
def generator():
    loader = SourceFileLoader('generate_docs', str(GENERATOR))
    module = importlib.util.module_from_spec(importlib.util.spec_from_loader(loader.name, loader))
    loader.exec_module(module)
    return module


@pytest.fixture(autouse=True)
def _no_bytecode(monkeypatch):
    monkeypatch.setattr(sys, 'dont_write_bytecode', True)  # beside the script


def test_the_yaml_file_is_the_default_configuration():
    flat = read_params_file(YAML)
    assert Config.from_mapping(flat) == Config.from_mapping({})
    assert Config.from_mapping(flat).notices(flat) == ()


def test_the_yaml_file_has_one_block_that_reaches_every_node():
    text = YAML.read_text(encoding='utf-8')
    assert re.findall(r'^\S.*:.*$', re.sub('#.*', '', text), re.MULTILINE) == ['/**:']


def test_the_yaml_file_shows_every_parameter_with_its_default(uncommented):
    shown = read_params_file(uncommented)
    default = {p.name: p.default for p in parameters_of({**DEFAULTS, **OFF})}
    assert shown.keys() == default.keys() | EXAMPLES
    different = {
        name: (value, shown[name])
        for name, value in default.items()
        if name not in EXAMPLES
        and (list(value) if isinstance(value, tuple) else value) != shown[name]
    }
    assert different == {}


def test_the_commented_parts_of_the_yaml_file_work_as_they_stand(uncommented):
    flat = read_params_file(uncommented)
    flat |= {'sources': [*flat['sources'], 'joints', 'odom'], 'base_frame': 'base_link'}
    config = Config.from_mapping(flat)
    assert config.source('joints').joints == ('shoulder', 'elbow')
    assert config.source('lidar').resolutions == {'intensity': 0.00390625}
    assert config.source('lidar').extrinsic == (0.0, 0.0, 1.6, 0.0, 0.0, 0.0)


def test_the_yaml_file_names_the_unit_of_every_parameter_that_has_one():
    lines = {}
    block = ''
    for line in YAML.read_text(encoding='utf-8').splitlines():
        line = re.sub(r'^( +)# ( *[a-z_.]+:)', r'\1\2', line)
        if head := re.fullmatch(r' {4}([a-z]+):', line):
            block = f'{head[1]}.'
        elif entry := re.match(r'( +)([a-z_.]+): ', line):
            lines[(block if len(entry[1]) == 6 else '') + entry[2]] = line
    units = {p.name: p.unit for p in parameters_of({**DEFAULTS, **OFF}) if p.unit}
    assert len(units) > 20
    assert [n for n, unit in units.items() if f'# [{unit}]' not in lines[n]] == []


def test_the_documentation_is_what_the_code_says():
    done = subprocess.run(
        [sys.executable, '-B', GENERATOR, '--check'], capture_output=True, text=True
    )
    assert done.stdout == ''
    assert done.returncode == 0


def test_every_parameter_and_every_reason_is_in_the_documentation(generator):
    page = generator.parameters_page()
    generic = {re.sub(r'^(lidar|camera|imu|joints|odom)\.', 'S.', n) for n in every_name()}
    assert [name for name in generic if f'| `{name}` |' not in page] == []
    short = generator.short_table()
    assert [name for name in generic if f'| `{name}` |' not in short] == []
    reasons = generator.reasons_page()
    assert [r.key for r in Reason if f'| `{r.key}` | {r.what} | {r.fix} |' not in reasons] == []


def every_name():
    return [p.name for p in parameters_of({**DEFAULTS, **OFF})]


def test_the_example_of_the_page_on_frames_is_a_configuration_without_a_surprise(tmp_path):
    (example,) = re.findall(r'```yaml\n(.*?)```', FRAMES.read_text(encoding='utf-8'), re.DOTALL)
    (tmp_path / 'frames.yaml').write_text(example, encoding='utf-8')
    flat = read_params_file(tmp_path / 'frames.yaml')
    config = Config.from_mapping(flat)
    assert config.notices(flat) == ()
    assert asked_of_transforms(config) == ()  # it tells where everything is
    assert config.deskew.imu == 'imu'
    assert [source.name for source in config.voxel_sources()] == ['lidar', 'lidar_rear']


def test_the_page_on_frames_names_every_reason_that_is_about_frames():
    page = FRAMES.read_text(encoding='utf-8')
    ours = ('transform_', 'motion_', 'point_time_', 'tf_')
    reasons = [reason.key for reason in Reason if reason.key.startswith(ours)]
    assert len(reasons) == 13
    assert [key for key in reasons if f'`{key}`' not in page] == []


def test_the_example_of_the_page_on_sources_is_a_configuration_without_a_surprise(tmp_path):
    (example,) = re.findall(r'```yaml\n(.*?)```', SOURCES.read_text(encoding='utf-8'), re.DOTALL)
    (tmp_path / 'sources.yaml').write_text(example, encoding='utf-8')
    flat = read_params_file(tmp_path / 'sources.yaml')
    config = Config.from_mapping(flat)
    assert config.notices(flat) == ()
    assert [source.stamp for source in config.sources] == ['header', 'header', 'header', 'receive']


def test_the_entry_of_the_page_on_sources_is_one():
    code = re.findall(r'```python\n(.*?)```', SOURCES.read_text(encoding='utf-8'), re.DOTALL)
    names: dict[str, object] = {}
    exec(code[0], names)
    scale = source_class(names['SCALE'])('hopper')
    assert [row.width(scale.widths) for row in scale.rows] == [1, 2, 4, 1]
    assert f"{{'{GROUP}': ['{scale.type} = acme_robot.features:SCALE']}}" in code[1]


def test_the_page_on_sources_names_every_type():
    page = SOURCES.read_text(encoding='utf-8')
    assert [kind for kind in SOURCE_TYPES if f'`{kind}`' not in page] == []


@pytest.fixture
def fresh_parameters():
    """Forget what was read of the parameters, before and after they are changed."""
    parameters._parameters_in.cache_clear()
    yield
    parameters._parameters_in.cache_clear()


def test_a_default_that_changes_changes_the_documentation(
    fresh_parameters, generator, monkeypatch
):
    field = next(f for f in dataclasses.fields(SourceConfig) if f.name == 'max_gap_sec')
    before = generator.pages()
    metadata = {'parameter': {**field.metadata['parameter'], 'default': 0.25}}
    monkeypatch.setattr(field, 'metadata', metadata)
    parameters._parameters_in.cache_clear()
    changed = [p.name for p, text in generator.pages().items() if before[p] != text]
    assert 'parameters.md' in changed
    assert '| `S.max_gap_sec` | `0.25` | s |' in generator.parameters_page()


def test_the_table_goes_between_the_markers_of_the_readme_and_nowhere_else(generator):
    old = f'# A\n{generator.BEGIN}\nold\n{generator.END}\nB\n'
    new = generator.readme(old)
    assert new == f'# A\n{generator.BEGIN}\n{generator.short_table()}\n{generator.END}\nB\n'
    assert generator.readme(new) == new
    assert generator.readme('# no markers\n') == '# no markers\n'
