# Copyright 2026 the robocache_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The package's files are found wherever it is installed."""

from __future__ import annotations

import importlib.util
import shutil
from pathlib import Path

import pytest

from robocache_ros import resources

MODULE = Path(resources.__file__)
SITE = 'lib/python3.12/site-packages'


def installed(modules, share):
    """Lay out an installation and load `resources` from it."""
    package = modules / 'robocache_ros'
    package.mkdir(parents=True)
    shutil.copy(MODULE, package)
    for folder in ('config', 'kernels', 'launch'):
        (share / folder).mkdir(parents=True)
    (share / 'package.xml').touch()
    (share / 'config' / 'a.yaml').touch()
    return load(package / 'resources.py')


def load(path):
    spec = importlib.util.spec_from_file_location('resources_under_test', path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize(
    ('modules', 'share'),
    [
        (f'venv/{SITE}', 'venv/share/robocache_ros'),
        ('usr/local/lib/python3.12/dist-packages', 'usr/local/share/robocache_ros'),
        (f'install/robocache_ros/{SITE}', 'install/robocache_ros/share/robocache_ros'),
        (f'install/{SITE}', 'install/share/robocache_ros'),  # colcon build --merge-install
        ('target', 'target/share/robocache_ros'),  # pip install --target
        ('checkout', 'checkout'),  # a source tree; also pip install -e
    ],
)
def test_files_are_found_in_every_layout(tmp_path, modules, share):
    found = installed(tmp_path / modules, tmp_path / share)
    assert found.share_dir() == tmp_path / share
    assert found.kernel_dir() == tmp_path / share / 'kernels'
    assert found.config_file('a.yaml') == tmp_path / share / 'config' / 'a.yaml'


def test_files_are_found_in_the_source_tree_through_a_symlink_install(tmp_path):
    installed(tmp_path / 'src', tmp_path / 'src')
    build = tmp_path / 'build' / 'robocache_ros'
    build.mkdir(parents=True)
    (build / 'robocache_ros').symlink_to(tmp_path / 'src' / 'robocache_ros')
    assert load(build / 'robocache_ros' / 'resources.py').share_dir() == tmp_path / 'src'


def test_the_nearest_share_folder_wins_over_one_further_up(tmp_path):
    (tmp_path / 'share' / 'robocache_ros').mkdir(parents=True)
    (tmp_path / 'share' / 'robocache_ros' / 'package.xml').touch()
    found = installed(tmp_path / 'venv' / SITE, tmp_path / 'venv/share/robocache_ros')
    assert found.share_dir() == tmp_path / 'venv/share/robocache_ros'


def test_incomplete_installation_says_what_to_do(tmp_path):
    (tmp_path / 'robocache_ros').mkdir()
    shutil.copy(MODULE, tmp_path / 'robocache_ros')
    with pytest.raises(FileNotFoundError, match='pip install'):
        load(tmp_path / 'robocache_ros' / 'resources.py').share_dir()


def test_unknown_configuration_file_names_those_there_are():
    with pytest.raises(FileNotFoundError, match='preprocessor.yaml'):
        resources.config_file('preprocesor.yaml')


def test_this_installation_is_complete():
    assert (resources.kernel_dir() / 'README.md').is_file()
    assert (resources.share_dir() / 'launch' / 'preprocessor.launch.py').is_file()
