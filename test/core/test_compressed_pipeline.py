# Copyright 2026 the robocache_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Compressed images on their way through the pipeline: as raw ones, or counted."""

from __future__ import annotations

import numpy as np
import pytest
from codec_messages import image
from packed_images import flat_jpeg, packed, png
from small_robot import Drive, cloud, make_pipeline

from robocache_ros.decoding import decoder_of
from robocache_ros.reasons import Reason

pytest.importorskip('PIL.Image', reason='needs Pillow, which decodes')

COLOURS = [[(10 * x, 7 * y, x * y // 2) for x in range(20)] for y in range(16)]


def features_of(messages, kind):
    """Row of features at the last message, one every 10 ms, and what was counted on the way."""
    drive = Drive(make_pipeline(sources=['lidar', 'camera'], camera__type=kind,
                                camera__channels='rgb'))  # fmt: skip
    decode = decoder_of(drive.pipeline.config.source('camera'))
    for number, message in enumerate(messages):
        drive.push('camera', 100 + 10 * number, decode(message))
    last_ms = 90 + 10 * len(messages)
    drive.push('lidar', last_ms, cloud((1, 1, 1)))
    drive.advance(10_000)
    drive.assert_conserved()
    names = [group.name for group in drive.pipeline.schema.groups]
    frame = drive.frame('features', last_ms)
    column = names.index('camera_grid')
    return frame.values[-1], frame.valid[-1, column], drive.status().sources['camera']


def test_image_has_the_features_of_its_pixels_however_it_was_sent():
    values = bytes(value for row in COLOURS for pixel in row for value in pixel)
    raw = features_of([image('rgb8', 20, 16, 60, data=values)], 'image')
    sent = features_of([packed(png(COLOURS, colour=2))], 'compressed_image')
    assert sent[0].tobytes() == raw[0].tobytes()
    assert sent[1] == raw[1] == 1
    assert np.any(sent[0] > 0)


def test_image_that_is_cut_is_counted_and_the_last_good_one_is_used():
    good, cut = packed(flat_jpeg(200, 16, 16)), packed(flat_jpeg(220, 16, 16)[:-2])
    values, valid, account = features_of([good, cut], 'compressed_image')
    assert valid == 1
    assert np.count_nonzero(values == 200) == 8 * 8 * 3
    assert account.notes[Reason.IMAGE_CORRUPT] >= 1
    assert features_of([cut], 'compressed_image')[1] == 0
