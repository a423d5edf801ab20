# Copyright 2026 the robocache_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The network that turns the images of a source into features: the group `S.encoder`."""

from __future__ import annotations

import re
from dataclasses import dataclass

from robocache_ros.config.parameters import ConfigError, Problems, parameter, settle, shown

_IMAGENET_MEAN = (0.485, 0.456, 0.406)
_IMAGENET_STD = (0.229, 0.224, 0.225)
_SHA256 = re.compile('([0-9a-f]{64})?')


@dataclass(frozen=True)
class EncoderConfig:
    """Which network, and what it is fed with."""

    path: str = parameter(
        '',
        'File of a network, TorchScript or torch.export, whose output is a feature group of the '
        'source; see docs/encoders.md.',
        default_text='`""`: none',
    )
    width: int = parameter(
        0,
        'Values that the network puts out for one image.',
        low=0,
        high=65536,
        default_text='has to be given with `path`',
    )
    input_size: tuple[int, int] = parameter(
        (224, 224),
        'Rows and columns that an image is resized to.',
        unit='pixels',
        size=2,
        low=1,
        high=8192,
    )
    mean: tuple[float, ...] = parameter(
        _IMAGENET_MEAN,
        'Subtracted from colours of 0 to 1, three numbers; with one number the network is fed '
        'one channel: grey of 0 to 1, or the values of a 16 bit or float image.',
        low=-1e6,
        high=1e6,
    )
    std: tuple[float, ...] = parameter(
        _IMAGENET_STD,
        'Divides the same afterwards; as many numbers as `mean`.',
        low=1e-9,
        high=1e6,
    )
    device: str = parameter(
        'auto',
        'Where the network runs; `auto`: on a GPU where torch finds one.',
        choices=('auto', 'cpu', 'cuda'),
    )
    workers: int = parameter(
        1, 'Images that are encoded at the same time.', unit='threads', low=1, high=16
    )
    threads: int = parameter(
        1, 'CPU threads that torch may use for one image.', unit='threads', low=1, high=256
    )
    timeout_sec: float = parameter(
        0.1,
        'How long an image waits for a worker; then it has no encoding, and is counted.',
        unit='s',
        low=0.001,
        high=60.0,
    )
    sha256: str = parameter(
        '',
        'Digest of the file: another one is refused before torch sees it.',
        form='64 hexadecimal digits, or ""',
        default_text='`""`: any file',
    )

    def check(self, problems: Problems, prefix: str) -> None:
        """Set every value to its parsed one, and note what does not fit together."""
        try:
            settle(self, prefix)
        except ConfigError as error:
            problems.sentences += error.problems
            return
        if not self.path:
            return
        problems.check(
            self.width != 0,
            f'{prefix}width is missing: set it to the number of values that {self.path} puts out '
            'for one image',
        )
        problems.check(
            len(self.mean) == len(self.std) and len(self.mean) in (1, 3),
            f'{prefix}mean and {prefix}std must both have 3 numbers, or both 1, not '
            f'{shown(self.mean)} and {shown(self.std)}',
        )
        problems.check(
            _SHA256.fullmatch(self.sha256) is not None,
            f'{prefix}sha256 must be 64 hexadecimal digits in lower case, or "", not '
            f'{shown(self.sha256)}',
        )
