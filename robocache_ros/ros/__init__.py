# Copyright 2026 the robocache_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The side that knows ROS: everything in here may import rclpy and messages."""
