# Copyright 2026 the robocache_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The simulated robot, the node and a monitor, run and shown together."""
