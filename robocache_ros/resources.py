# Copyright 2026 the robocache_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Where the package's files are: configuration, launch files, kernels."""

from __future__ import annotations

from pathlib import Path

NAME = 'robocache_ros'


def share_dir() -> Path:
    """
    Return the folder that holds package.xml, config/, kernels/ and launch/.

    That is the repository for a source tree, `pip install -e` and `colcon build
    --symlink-install`; it is `<prefix>/share/robocache_ros` for a wheel and for a colcon install,
    and the prefix is always one of the folders above the installed modules.
    """
    package = Path(__file__).resolve().parent
    if (package.parent / 'package.xml').is_file():
        return package.parent
    for prefix in package.parents:
        share = prefix / 'share' / NAME
        if (share / 'package.xml').is_file():
            return share
    raise FileNotFoundError(
        f'no share/{NAME}/package.xml above {package}: the installation is incomplete; '
        f'install with `pip install .` or `colcon build`'
    )


def kernel_dir() -> Path:
    """Return the folder of the CUDA kernels."""
    return share_dir() / 'kernels'


def config_file(name: str) -> Path:
    """Return the path of a file in config/, or raise FileNotFoundError naming those there are."""
    folder = share_dir() / 'config'
    path = folder / name
    if not path.is_file():
        known = ', '.join(sorted(p.name for p in folder.iterdir()))
        raise FileNotFoundError(f'no {name!r} in {folder}; there are: {known}')
    return path
