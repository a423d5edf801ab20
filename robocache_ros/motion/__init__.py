# Copyright 2026 the robocache_ros authors
# SPDX-License-Identifier: Apache-2.0
"""How a robot and its sensors move: poses over time, on the host and in float64."""
