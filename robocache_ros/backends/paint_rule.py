# Copyright 2026 the robocache_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Constants of how images are read and points are painted, the same on every backend."""

from __future__ import annotations

import numpy as np

Z_MIN = np.float32(0.05)  # m; a point nearer to the camera than this is not looked at
# atan(h) = h (1 - h^2/3 + h^4/5 ... + h^16/17), good to the last bit of float32 for h < 0.4. Three
# halvings bring 170 degrees there.
HALVINGS = 2  # after the first, which is r / (d + z)
# Lowest first; rounded to float32 where they are used.
ATAN = tuple((1 - k % 2 * 2) / (2 * k + 1) for k in range(9))
# Grey of BT.601: (4899 r + 9617 g + 1868 b + 8192) >> 14
GREY = {'r': 4899, 'g': 9617, 'b': 1868}
GREY_HALF = 8192
GREY_SHIFT = 14
LABELS = 2**16  # of a majority: 0 .. 65535
NO_COLOUR = 0x80  # each of r, g and b of a voxel without a valid value of it
