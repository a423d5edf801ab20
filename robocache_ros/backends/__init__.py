# Copyright 2026 the robocache_ros authors
# SPDX-License-Identifier: Apache-2.0
