# Copyright 2026 the robocache_ros authors
# SPDX-License-Identifier: Apache-2.0
"""A hundred thousand mutated messages: only Rejected comes out, and what is read is right."""

from __future__ import annotations

import random
from collections import Counter

import numpy as np
import pytest
from codec_messages import header, imu, joints, slow_columns
from codec_mutations import CLOUD_MUTATIONS, CLOUDS, FLOATS, IMAGE_MUTATIONS, IMAGES, mutated
from codec_strategies import as_message

from robocache_ros.codec.cloud import decode_cloud
from robocache_ros.codec.image import decode_image
from robocache_ros.codec.imu import decode_imu
from robocache_ros.codec.joints import joint_decoder
from robocache_ros.codec.stamp import stamp_ns
from robocache_ros.codec.table import encode_table, read_features, read_voxels
from robocache_ros.reasons import Reason, Rejected

pytestmark = pytest.mark.filterwarnings('error')


def outcome(decode, msg, check):
    """Reason of the refusal, or None where the message was read and the check held."""
    try:
        found = decode(msg)
    except Rejected as rejected:
        refusal = rejected
    else:
        check(found, msg)
        return None
    assert 10 < len(refusal.detail) < 700
    return refusal.reason


def check_cloud(view, msg):
    assert view.n == msg.width * msg.height
    before = msg.data[:]
    columns = {name: view.column(name) for name in view.fields}
    assert {column.shape for column in (*columns.values(), *view.xyz())} == {(view.n,)}
    assert msg.data == before
    for name, expected in slow_columns(msg).items():
        expected = np.array(expected, columns[name].dtype)
        np.testing.assert_array_equal(columns[name], expected)


def check_image(view, msg):
    pixels = view.pixels()
    assert pixels.shape[:2] == (msg.height, msg.width)
    size = pixels[0, 0].nbytes
    last = (msg.height - 1) * msg.step + (msg.width - 1) * size
    assert pixels[-1, -1].tobytes() == msg.data[last : last + size].tobytes()


def check_vector(vector, _):
    assert np.isfinite(vector.values).all()
    assert (np.abs(vector.values) < 2.0**126).all()
    assert not np.signbit(vector.values[vector.values == 0]).any()


def check_stamp(found, given):
    assert divmod(found, 10**9) == (given.stamp.sec, given.stamp.nanosec)
    assert 0 < found < 2**63


def check_features(rows, msg):
    assert rows.values.shape == (msg.width, sum(rows.widths))
    assert rows.age.shape == rows.valid.shape == (msg.width, len(rows.groups))
    assert rows.dt.shape == (msg.width,)
    for block in (rows.dt, rows.values, rows.age, rows.valid):
        assert len(block.tobytes()) == block.nbytes  # every byte of it can be read


def check_voxels(rows, msg):
    assert {axis.shape for axis in (rows.x, rows.y, rows.z)} == {(len(rows),)}
    for name, values in slow_columns(msg).items():
        columns = {**rows.channels, **{axis: getattr(rows, axis) for axis in 'xyz'}}
        first = columns[name] if columns[name].ndim == 1 else columns[name][:, 0]
        np.testing.assert_array_equal(first, np.array(values, first.dtype))


def test_mutated_clouds():
    rng = random.Random(2026)
    met = Counter(
        outcome(decode_cloud, mutated(rng, CLOUDS, CLOUD_MUTATIONS), check_cloud)
        for _ in range(60_000)
    )
    reasons = {Reason.CLOUD_SIZE, Reason.CLOUD_FIELD, Reason.CLOUD_XYZ, Reason.TOO_LARGE}
    assert set(met) == {None, *reasons}
    assert met[None] > 15_000  # enough that reading itself is tested


def test_mutated_images():
    rng = random.Random(2026)
    met = Counter(
        outcome(decode_image, mutated(rng, IMAGES, IMAGE_MUTATIONS), check_image)
        for _ in range(20_000)
    )
    assert set(met) == {None, Reason.IMAGE_SIZE, Reason.IMAGE_ENCODING, Reason.TOO_LARGE}
    assert met[None] > 5_000


def test_mutated_imus():
    rng = random.Random(2026)
    met = Counter()

    def numbers(count):
        return tuple(rng.choice(FLOATS) if rng.random() < 0.1 else 0.5 for _ in range(count))

    for _ in range(10_000):
        msg = imu(numbers(4), numbers(3), numbers(3))
        for name in ('orientation', 'angular_velocity', 'linear_acceleration'):
            setattr(msg, f'{name}_covariance', [rng.choice(FLOATS)] * 9)
        met[outcome(decode_imu, msg, check_vector)] += 1
    assert set(met) == {None, Reason.NONFINITE}
    assert met[None] > 3_000


def test_mutated_joint_states():
    rng = random.Random(2026)
    met = Counter()
    decode = joint_decoder(['a', 'b'], ['position', 'velocity'])

    def numbers(length):
        length = rng.choice((0, length, length, length, length + 1))
        return [rng.choice(FLOATS) if rng.random() < 0.1 else 0.5 for _ in range(length)]

    for _ in range(10_000):
        name = rng.choices(('a', 'b', 'c', ''), k=rng.randrange(5))
        if rng.random() < 0.7:
            name = [*name, *sorted({'a', 'b'}.difference(name))]
        msg = joints(name, *(numbers(len(name)) for _ in range(3)))
        met[outcome(decode, msg, check_vector)] += 1
    assert set(met) == {None, Reason.NONFINITE, Reason.JOINT_MISSING, Reason.JOINT_LENGTH}
    assert met[None] > 1_000


def test_mutated_stamps():
    rng = random.Random(2026)
    met = Counter()
    for _ in range(10_000):
        sec = rng.choice((0, 0, 1, 2**31 - 1, -1, -(2**31), rng.randrange(-(2**31), 2**31)))
        nanosec = rng.choice((0, 0, 1, 10**9 - 1, 10**9, 2**32 - 1, rng.randrange(2**32)))
        met[outcome(stamp_ns, header(sec, nanosec), check_stamp)] += 1
    assert set(met) == {None, Reason.STAMP_UNSET, Reason.STAMP_INVALID}


def test_mutated_outputs_of_ours():
    features = encode_table(
        {
            'dt': np.zeros(3, np.float32),
            'schema_id': np.full(3, 7, np.uint32),
            'imu': np.ones((3, 2), np.float32),
            'imu_age': np.ones(3, np.float32),
            'imu_valid': np.ones(3, np.uint8),
        }
    )
    rng = random.Random(2026)
    for read, base, check in (
        (read_features, as_message(features), check_features),
        (read_voxels, CLOUDS[0], check_voxels),
    ):
        met = Counter(
            outcome(read, mutated(rng, (base,), CLOUD_MUTATIONS), check) for _ in range(5_000)
        )
        assert {None, Reason.CLOUD_SIZE, Reason.CLOUD_FIELD, Reason.TOO_LARGE} <= set(met)
        assert met[None] > 500
