# Copyright 2026 the robocache_ros authors
# SPDX-License-Identifier: Apache-2.0
"""What is wrong here, and the fix: looks at a machine and its ROS, and changes nothing."""
