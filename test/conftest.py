# Copyright 2026 the robocache_ros authors
# SPDX-License-Identifier: Apache-2.0
"""
What holds for all folders of tests.

Tests of the core and of the kernels find each other's helpers. Without hypothesis, tests that need
it are skipped, and the others in their files are not: a machine with a GPU may have nothing but
numpy, cupy and pytest.
"""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import pytest

sys.path += [str(Path(__file__).resolve().parent / folder) for folder in ('core', 'kernels')]


class _Anything(ModuleType):
    """A module of hypothesis, and whatever comes out of one."""

    def __getattr__(self, name):
        if name.startswith('__'):
            raise AttributeError(name)
        return self

    def __call__(self, *args, **options):
        return self

    def __or__(self, other):
        return self


def _stand_in():
    module = _Anything('hypothesis')
    module.given = lambda *args, **options: pytest.mark.skip(reason='needs hypothesis')
    module.settings = lambda *args, **options: lambda test: test
    for name in ('hypothesis', 'hypothesis.strategies', 'hypothesis.extra'):
        sys.modules[name] = module


def _without_deadline():
    from hypothesis import settings

    settings.register_profile('patient', deadline=None)  # a busy machine is no failure
    settings.load_profile('patient')


if importlib.util.find_spec('hypothesis') is None:
    _stand_in()
else:
    _without_deadline()
