# Copyright 2026 the robocache_ros authors
# SPDX-License-Identifier: Apache-2.0
"""What `/diagnostics` says, as metrics for Prometheus; knows no ROS."""
