# Copyright 2026 the robocache_ros authors
# SPDX-License-Identifier: Apache-2.0
"""A replay makes the frames that the node would have made, of messages from anywhere."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from codec_messages import but, cloud, header, imu
from small_robot import MS, SMALL, Drive, frame_bytes, make_pipeline, name_of

from robocache_ros.codec.cloud import decode_cloud
from robocache_ros.codec.imu import decode_imu
from robocache_ros.reasons import Reason
from robocache_ros.replay import replay

LIDAR, IMU = '/lidar/points', '/imu/data'
POINTS = [(0.5, 0.5, 0.5, 3.0), (1.5, 0.5, 0.5, 4.0)]


def stamped(message, t_ms, frame_id='lidar'):
    sec, ms = divmod(t_ms, 1000)
    return but(message, header=header(sec, ms * MS, frame_id))


def recording(steps=30):
    """(time of reception, topic, message): a cloud every 100 ms, an IMU sample every 10 ms."""
    for k in range(1, steps + 1):
        t_ms = 1000 + 10 * k
        yield (t_ms + 2) * MS, IMU, stamped(imu(rate=(0.0, 0.0, k / 8)), t_ms)
        if k % 10 == 0:
            yield (t_ms + 5) * MS, LIDAR, stamped(cloud(POINTS), t_ms)


def pipeline(**parameters):
    return make_pipeline(None, sources=['lidar', 'imu'], **parameters)


def test_frames_are_those_of_the_samples_pushed_by_hand():
    drive = Drive(pipeline())
    decoders = {LIDAR: ('lidar', decode_cloud), IMU: ('imu', decode_imu)}
    for received_ns, topic, message in recording():
        source, decode = decoders[topic]
        t_ms = message.header.stamp.sec * 1000 + message.header.stamp.nanosec / MS
        drive.push(source, t_ms, decode(message), at_ms=received_ns / MS)
        drive.advance(received_ns / MS)
    frames = list(replay(pipeline(), recording()))
    assert [name_of(frame) for frame in frames].count('voxels') == 3
    by_hand = frame_bytes(drive.frames)
    assert {key: frame_bytes(frames)[key] for key in by_hand} == by_hand


def test_messages_that_are_refused_are_accounted_for_and_other_topics_left_out():
    lost = pipeline()
    bad = but(stamped(cloud(POINTS), 1400), width=1000)
    unset = stamped(imu(), 0)
    messages = [*recording(), (1400 * MS, LIDAR, bad), (1401 * MS, IMU, unset)]
    list(replay(lost, [*messages, (1402 * MS, '/tf', None)]))
    status = lost.status(1402 * MS)
    assert status.sources['lidar'].dropped == {Reason.CLOUD_SIZE: 1}
    assert status.sources['imu'].dropped == {Reason.STAMP_UNSET: 1}
    assert status.sources['lidar'].received == 4


def test_a_frame_that_waits_in_vain_leaves_at_its_timeout_also_at_the_end():
    late = [m for m in recording(20) if m[0] < 1100 * MS or m[1] == LIDAR]  # the IMU ends first
    frames = list(replay(pipeline(timeout_sec=0.05), late))
    waited = {
        (name_of(frame), frame.t_ref_ns // MS): (frame.ready_ns - frame.arrival_ns) // MS
        for frame in frames
    }
    # The IMU, last heard at 1092 ms, counts as silent 50 ms later, at 1142 ms.
    assert waited == {
        ('voxels', 1100): 0,
        ('features', 1100): 37,
        ('voxels', 1200): 0,
        ('features', 1200): 0,
    }


def test_relative_topics_are_those_of_the_namespace_and_times_follow_the_source():
    moved = pipeline(imu__time_offset_sec=0.5, lidar__stamp='receive')
    messages = [(t, f'/r1{topic}', message) for t, topic, message in recording()]
    assert list(replay(pipeline(), messages)) == []
    list(replay(moved, messages, namespace='/r1'))
    sources = moved.status(0).sources
    assert sources['lidar'].newest_ns == 1305 * MS
    assert sources['imu'].newest_ns == 1800 * MS


def test_a_cloud_whose_points_have_times_is_of_the_time_of_the_last():
    timed = pipeline(lidar__point_time='intensity', lidar__point_time_unit='ms')
    list(replay(timed, recording()))  # the last cloud at 1300 ms, its points 3 and 4 ms later
    assert timed.status(0).sources['lidar'].newest_ns == 1304 * MS


def test_the_replay_of_the_readme_runs(tmp_path, monkeypatch):
    rosbag2 = pytest.importorskip('rosbags.rosbag2', reason='rosbags is not installed')
    from rosbags.typesys import Stores, get_typestore

    store = get_typestore(Stores.ROS2_HUMBLE)
    name = 'sensor_msgs/msg/PointCloud2'
    monkeypatch.chdir(tmp_path)
    with rosbag2.Writer(Path('my_bag'), version=9) as bag:
        connection = bag.add_connection(LIDAR, name, typestore=store)
        for t_ns, topic, message in recording():
            if topic == LIDAR:
                cdr = store.serialize_cdr(real(store, name, message), name)
                bag.write(connection, t_ns, cdr)
    blocks = ''.join(f'    {key}: {value}\n' for key, value in SMALL.items())
    Path('my.yaml').write_text(f'/**:\n  ros__parameters:\n{blocks}')
    readme = (Path(__file__).resolve().parents[2] / 'README.md').read_text()
    example = readme.split('## A replay')[1].split('```python\n')[1].split('```')[0]
    assert len([line for line in example.splitlines() if line]) <= 11
    saved = []
    exec(example, {'save': saved.append})
    assert [name_of(frame) for frame in saved] == ['voxels', 'features'] * 3
    assert saved[0].voxels.columns['mean_intensity'].tolist() == [3.0, 4.0]


def real(store, name, message):
    """Return the message as one of rosbags; nested parts first."""
    types = {'header': 'std_msgs/msg/Header', 'stamp': 'builtin_interfaces/msg/Time'}
    parts = {}
    for key, value in vars(message).items():
        if isinstance(value, SimpleNamespace):
            value = real(store, types[key], value)
        elif key == 'fields':
            value = [real(store, 'sensor_msgs/msg/PointField', field) for field in value]
        elif key == 'data':
            value = np.array(value)
        parts[key] = value
    return store.types[name](**parts)
