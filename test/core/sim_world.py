# Copyright 2026 the robocache_ros authors
# SPDX-License-Identifier: Apache-2.0
"""How far points are from the simulated world: an oracle that casts no rays."""

from __future__ import annotations

import numpy as np


def off_surface(world, points):
    """Metres from the nearest surface of yard or boxes, [N] for points [3, N] in the world."""
    (x0, y0, z0), (x1, y1, _) = world.yard.low, world.yard.high
    x, y, z = points
    gaps = [np.abs(z - z0), np.abs(x - x0), np.abs(x - x1), np.abs(y - y0), np.abs(y - y1)]
    for box in world.boxes:
        low, high = np.array(box.low)[:, None], np.array(box.high)[:, None]
        outside = np.sqrt(
            (np.maximum(0, np.maximum(low - points, points - high)) ** 2).sum(axis=0)
        )
        inside = np.minimum(points - low, high - points).min(axis=0)
        gaps.append(np.where(inside > 0, inside, outside))
    return np.min(gaps, axis=0)
