# Copyright 2026 the robocache_ros authors
# SPDX-License-Identifier: Apache-2.0
"""What happens to tests on a GPU where there is none."""

from __future__ import annotations

import devices
import pytest

from robocache_ros.backends import BackendUnavailable


@pytest.fixture(autouse=True)
def _no_gpu(monkeypatch):
    def probe(device_id):
        raise BackendUnavailable('there is no NVIDIA driver')

    monkeypatch.setattr(devices, 'probe', probe)


def test_they_are_skipped_with_the_reason(monkeypatch):
    monkeypatch.delenv('ROBOCACHE_REQUIRE_GPU', raising=False)
    (mark,) = devices.marks_of_a_gpu.__wrapped__()
    assert (mark.name, mark.kwargs) == ('skip', {'reason': 'no GPU: there is no NVIDIA driver'})


def test_they_are_an_error_where_they_have_to_run(monkeypatch):
    monkeypatch.setenv('ROBOCACHE_REQUIRE_GPU', '1')
    with pytest.raises(BackendUnavailable, match='no NVIDIA driver'):
        devices.marks_of_a_gpu.__wrapped__()
