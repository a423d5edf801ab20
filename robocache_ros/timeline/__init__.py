# Copyright 2026 the robocache_ros authors
# SPDX-License-Identifier: Apache-2.0
"""When is a frame ready, and which samples make it: ring buffers, epochs, aligner."""
