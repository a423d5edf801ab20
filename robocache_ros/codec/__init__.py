# Copyright 2026 the robocache_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Bytes of a message to NumPy views and back; the only place that knows message layouts."""
