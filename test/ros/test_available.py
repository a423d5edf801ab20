# Copyright 2026 the robocache_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Says, visibly, when the ROS tests did not run (conftest.py then collects only this file)."""

from __future__ import annotations

import pytest


def test_rclpy_can_be_imported():
    try:
        import rclpy  # noqa: F401
    except ImportError as error:
        pytest.skip(f'the tests of test/ros need ROS 2 and were not collected: {error}')
