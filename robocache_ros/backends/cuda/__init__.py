# Copyright 2026 the robocache_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The CUDA twin of the NumPy backend: same Protocol, same bits, computed by `kernels/*.cu`."""
