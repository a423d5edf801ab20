# Copyright 2026 the robocache_ros authors
# SPDX-License-Identifier: Apache-2.0
"""A pipeline fed with hostile messages: frames go on, and every message is accounted for."""

from __future__ import annotations

import random

import numpy as np
import pytest
from codec_messages import but, cloud, header, imu, joints
from codec_mutations import CLOUD_MUTATIONS, CLOUDS, FLOATS, IMAGE_MUTATIONS, IMAGES, mutated
from small_robot import MS, make_pipeline

from robocache_ros.codec.cloud import decode_cloud
from robocache_ros.codec.image import decode_image
from robocache_ros.codec.imu import decode_imu
from robocache_ros.codec.joints import joint_decoder
from robocache_ros.codec.stamp import stamp_ns
from robocache_ros.reasons import Reason, Rejected
from robocache_ros.samples import VoxelFrame

pytestmark = pytest.mark.filterwarnings('error')

SOURCES = ['lidar', 'camera', 'imu', 'joints']
DECODE = {
    'lidar': decode_cloud,
    'camera': decode_image,
    'imu': decode_imu,
    'joints': joint_decoder(['a', 'b'], ['position']),
}


def message(source, rng):
    """Message of a source, broken or not."""
    if source == 'lidar':
        return mutated(rng, CLOUDS, CLOUD_MUTATIONS)
    if source == 'camera':
        return mutated(rng, IMAGES, IMAGE_MUTATIONS)
    value = rng.choice(FLOATS) if rng.random() < 0.3 else 0.5
    if source == 'imu':
        return imu((value, 0.5, 0.5, 0.5), (0.1, value, 0.3))
    names = rng.choice((['a', 'b'], ['b', 'a', 'c'], ['a', 'c'], ['a', 'a', 'b']))
    return joints(names, [value] * rng.choice((len(names), len(names), 2)))


def receive(pipeline, source, msg, arrival_ns):
    """What the node does with a message; anything but Rejected would end it."""
    try:
        t_ns = stamp_ns(msg.header)
        sample = DECODE[source](msg)
        pipeline.push(arrival_ns, source, t_ns, sample, msg.header.frame_id)
    except Rejected as rejected:
        pipeline.reject(source, rejected.reason)


def accounts(pipeline, now_ns):
    for name, found in pipeline.status(now_ns).sources.items():
        left = found.buffered + found.used + found.expired + sum(found.dropped.values())
        assert found.received == left, name
        yield name, found


def test_frames_go_on_and_accounts_add_up_whatever_arrives():
    rng = random.Random(2026)
    pipeline = make_pipeline(
        sources=SOURCES,
        joints__type='joint_state',
        joints__joints=['a', 'b'],
        camera__grid=[1, 1],
    )
    sent = dict.fromkeys(SOURCES, 0)
    frames = []
    for tick in range(3000):
        now_ns = (tick + 1) * 10 * MS
        for source in SOURCES:
            msg = message(source, rng)
            stamp_s, stamp_ns_part = divmod(now_ns, 10**9)
            if rng.random() < 0.05:
                stamp_s, stamp_ns_part = rng.choice(((0, 0), (-1, 0), (5, 2**32 - 1)))
            msg = but(msg, header=header(stamp_s, stamp_ns_part))
            receive(pipeline, source, msg, now_ns)
            sent[source] += 1
        frames += pipeline.advance(now_ns)
    received = {name: found.received for name, found in accounts(pipeline, now_ns)}
    assert received == sent
    voxels = [frame for frame in frames if isinstance(frame, VoxelFrame)]
    features = [frame for frame in frames if not isinstance(frame, VoxelFrame)]
    assert len(voxels) > 300
    assert len(features) > 300
    assert all(np.isfinite(frame.values).all() for frame in features)
    dropped = {name: set(found.dropped) for name, found in accounts(pipeline, now_ns)}
    assert {Reason.CLOUD_SIZE, Reason.CLOUD_FIELD, Reason.STAMP_UNSET} <= dropped['lidar']
    assert {Reason.IMAGE_SIZE, Reason.IMAGE_ENCODING} <= dropped['camera']
    assert {Reason.NONFINITE, Reason.STAMP_INVALID} <= dropped['imu']
    assert {Reason.JOINT_MISSING, Reason.JOINT_LENGTH} <= dropped['joints']


def test_repaired_clouds_are_noted_once_each():
    pipeline = make_pipeline(sources=['lidar'])
    points = [(1.0, 1.0, 1.0, 7.0)] * 6
    for number in range(1, 4):
        msg = but(cloud(points, width=3), row_step=0, header=header(number, 0))
        receive(pipeline, 'lidar', msg, number * 10**9)
    ((_, found),) = accounts(pipeline, 4 * 10**9)
    assert found.notes[Reason.CLOUD_ROW_STEP] == 3
    assert not found.dropped
