# Copyright 2026 the robocache_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Whether the files that a configuration names can be used; a network may take any time."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from robocache_ros.backends.numpy_backend import NumpyBackend
from robocache_ros.config import Config, ConfigError
from robocache_ros.pipeline import Pipeline


def look(asked: Mapping[str, Any]) -> dict[str, Any]:
    """Make a pipeline of the parameters 'flat'; 'refused': one sentence for each problem."""
    flat = dict(asked['flat'])
    for name in [key for key in flat if key.endswith('.encoder.path') and flat[key]]:
        flat[name.replace('.encoder.path', '.encoder.device')] = 'cpu'  # a GPU is left alone
    try:
        Pipeline(Config.from_mapping(flat), NumpyBackend())
    except ConfigError as refused:
        return {'refused': list(refused.problems)}
    return {}
