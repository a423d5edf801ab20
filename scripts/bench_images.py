# Copyright 2026 the robocache_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The cases with compressed images: from the bytes of a message to pixels."""

from __future__ import annotations

import array
import io
import struct
from functools import partial
from types import SimpleNamespace

import bench_inputs as inputs
import bench_peers as peers
import numpy as np
from bench_case import Case, check_equal

from robocache_ros.codec.compressed import decode_compressed

KINDS = {
    'jpeg': ('JPEG', {'quality': 85}),
    'progressive': ('JPEG', {'quality': 85, 'progressive': True}),
    'png': ('PNG', {'compress_level': 1}),
    'depth': ('PNG', {'compress_level': 9}),
}


def unpacking(name, found, kind, height, width):
    """Colours of a JPEG or PNG, or depth in metres of a compressedDepth; None without Pillow."""
    if 'PIL' not in found:
        return None
    scene = inputs.depth(height, width) if kind == 'depth' else inputs.scene(height, width)
    file = written(scene, *KINDS[kind])
    text = '32FC1; compressedDepth png' if kind == 'depth' else 'jpeg'
    data = struct.pack('<iff', 0, *inputs.DEPTH_PARAMETERS) + file if kind == 'depth' else file
    message = SimpleNamespace(
        header=SimpleNamespace(frame_id='camera'), format=text, data=array.array('B', data)
    )

    def ours():
        return decode_compressed(message).unpacked().pixels()

    # Depth: the peers stop at what is stored in the file.
    impls = {'numpy': ours, 'pillow': partial(peers.decode_pillow, file)}
    if 'cv2' in found:
        impls['cv2'] = partial(peers.decode_cv2, found['cv2'], np.frombuffer(file, np.uint8))
    if kind != 'depth':
        for impl, run in impls.items():
            check_equal(ours()[..., :3], run()[..., [2, 1, 0] if impl == 'cv2' else slice(3)], 3)
    what = f'{width} x {height}, {len(file) // 1000} kB'
    note = f'{what} of {kind}; ours from the message, checked, on one core as the others'
    return Case(name, note, impls)


def written(image, kind, options):
    """File of an image, made by Pillow."""
    from PIL import Image

    out = io.BytesIO()
    Image.fromarray(image).save(out, kind, **options)
    return out.getvalue()
