# Copyright 2026 the robocache_ros authors
# SPDX-License-Identifier: Apache-2.0
"""A network for the demo, made when it starts: small, seeded, untrained, but a real one."""

from __future__ import annotations

import sys
from pathlib import Path

SEED = 7
WIDTH = 8  # features: as many as one plot shows
INPUT_SIZE = (48, 64)  # rows and columns
FILE = 'encoder.pt'
ON = f'encoder: a tiny network made now, its weights random (seed {SEED}): {WIDTH} features'
OFF = f'encoder: off, without torch; to see features of a network: {sys.executable} -m pip install'


def tiny_encoder(folder: str | Path, camera: str) -> tuple[list[str], str]:
    """Make a network for a camera: parameters of the node, none without torch, and a line."""
    try:
        path = write_tiny_model(folder)
    except (ImportError, OSError):  # it is not there, or what it needs is not
        return [], f'{OFF} torch'
    assignments = [
        f'{camera}.encoder.path:={path}',
        f'{camera}.encoder.width:={WIDTH}',
        f'{camera}.encoder.input_size:={list(INPUT_SIZE)}',
    ]
    return assignments, f'{ON} of {camera}'


def write_tiny_model(folder: str | Path) -> Path:
    """Write TorchScript that turns an image into WIDTH numbers; ImportError without torch."""
    import torch
    from torch import nn

    torch.manual_seed(SEED)
    network = nn.Sequential(
        nn.Conv2d(3, 8, kernel_size=5, stride=4),
        nn.ReLU(),
        nn.Conv2d(8, WIDTH, kernel_size=3, stride=2),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
    ).eval()
    path = Path(folder) / FILE
    torch.jit.trace(network, torch.zeros(1, 3, *INPUT_SIZE)).save(str(path))
    return path
