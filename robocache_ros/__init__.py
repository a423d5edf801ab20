# Copyright 2026 the robocache_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Time-aligned voxel grids and fused features from robot sensors."""

__version__ = '0.1.0'
