# Copyright 2026 the robocache_ros authors
# SPDX-License-Identifier: Apache-2.0
"""A ROS parameters file read without ROS, as rcl reads it: for data loaders and tools."""

from __future__ import annotations

import logging
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from robocache_ros.config.parameters import ConfigError

_log = logging.getLogger(__name__)

_BLOCK = 'ros__parameters'
# rcl reads 1e3 as a number; YAML 1.1, which PyYAML follows, wants 1.0e+3.
_EXPONENT = re.compile(r'[-+]?[0-9]+(\.[0-9]*)?[eE][-+]?[0-9]+')


def read_params_file(path: str | Path, node: str = '/preprocessor') -> dict[str, Any]:
    """
    Return the parameters that the file gives the node of this full name, by dotted name.

    Blocks apply in the order of the file, whether keyed `/**`, by name or by namespace and name.
    """
    tree = _load(path)
    if tree is None:  # nothing at all, or comments
        tree = {}
    flat: dict[str, Any] = {}
    blocks = dict.fromkeys(key for key, _ in _node_blocks(tree, '', path))
    for key, parameters in _node_blocks(tree, '', path):
        if _pattern(key).fullmatch(node):
            flat.update(_flattened(parameters, ''))
    if not any(_pattern(key).fullmatch(node) for key in blocks):
        _log.warning(
            '%s holds nothing for the node %s: it has %s. A block `/**:` reaches every node.',
            path,
            node,
            f'parameters of {", ".join(blocks)}' if blocks else 'no parameters',
        )
    return flat


def _load(path: str | Path) -> Any:
    try:
        import yaml
    except ImportError as error:
        raise ConfigError(
            f'reading {path} needs PyYAML: pip install pyyaml, or give the parameters to '
            'Config.from_mapping'
        ) from error

    loader: Any = type('Loader', (yaml.SafeLoader,), {})
    loader.add_implicit_resolver('tag:yaml.org,2002:float', _EXPONENT, list('-+0123456789'))
    try:
        return yaml.load(Path(path).read_text(encoding='utf-8'), loader)
    except OSError as error:
        raise ConfigError(f'{path} can not be read: {error.strerror}') from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ConfigError(f'{path} is not YAML: {error}') from error


def _node_blocks(tree: Any, key: str, path: str | Path) -> Iterator[tuple[str, Mapping[Any, Any]]]:
    """Find the blocks of nodes: their full names or patterns, and what stands under them."""
    if not isinstance(tree, Mapping):
        raise ConfigError(
            f'{path} is not a ROS parameters file: it has no `{_BLOCK}:` under {key or "/**:"}'
        )
    for name, below in tree.items():
        if name != _BLOCK:
            yield from _node_blocks(below, f'{key}/{str(name).strip("/")}', path)
        elif isinstance(below, Mapping):
            yield key, below
        else:
            raise ConfigError(f'{path}: `{_BLOCK}:` of {key} has no parameters below it')


def _pattern(key: str) -> re.Pattern[str]:
    """Return the names that a key stands for: `*` is one part of a name, `**` any number."""
    parts = ('(/[^/]+)*' if p == '**' else '/[^/]+' if p == '*' else '/' + re.escape(p)
             for p in key.strip('/').split('/'))  # fmt: skip
    return re.compile(''.join(parts))


def _flattened(tree: Mapping[Any, Any], prefix: str) -> Iterator[tuple[str, Any]]:
    for name, value in tree.items():
        if isinstance(value, Mapping):
            yield from _flattened(value, f'{prefix}{name}.')
        else:
            yield f'{prefix}{name}', value
