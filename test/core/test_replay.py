# Copyright 2026 the robocache_ros authors
# SPDX-License-Identifier: Apache-2.0
"""A replay makes the frames that the node would have made, of messages from anywhere."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from codec_messages import but, cloud, header, imu, transform
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


TF, TF_STATIC = '/tf', '/tf_static'
FRAMES = {'base_frame': 'base_link', 'deskew__fixed_frame': 'odom', 'timeout_sec': 0.05}


def told(*transforms):
    return SimpleNamespace(transforms=list(transforms))


def driven(until_ms=1400):
    """A robot on /tf, at x = 1 m at 1100 ms and 10 m/s fast, with a LiDAR 2 m above it."""
    mast = transform('base_link', 'lidar', 0, (0.0, 0.0, 2.0))
    yield 1000 * MS, TF_STATIC, told(mast)
    for t_ms in range(1000, until_ms, 20):
        pose = transform('odom', 'base_link', t_ms * MS, (t_ms / 100 - 10, 0.0, 0.0))
        yield (t_ms + 3) * MS, TF, told(pose)


def merged(*recordings):
    return sorted((m for r in recordings for m in r), key=lambda message: message[0])


def voxels_of(pipeline, messages):
    return [frame for frame in replay(pipeline, messages) if name_of(frame) == 'voxels']


def test_transforms_of_the_recording_tell_where_clouds_are():
    frames = voxels_of(pipeline(**FRAMES), merged(driven(), recording()))
    assert [frame.frame_id for frame in frames] == ['base_link'] * 3
    assert [frame.complete for frame in frames] == [True] * 3
    for frame in frames:  # POINTS, 2 m higher; the cell of a point is z * 64 + y * 8 + x
        assert frame.voxels.index.tolist() == [2 * 64, 2 * 64 + 1]


def test_clouds_of_several_sweeps_lie_where_the_transforms_say_the_robot_was():
    swept = pipeline(**FRAMES, voxels__sweeps=2, lidar__max_gap_sec=0.5)
    frames = voxels_of(
        swept, merged(driven(), [(t, p, m) for t, p, m in recording() if p == LIDAR])
    )
    # 10 m/s for 0.1 s: the points of the cloud before lie 1 m further back, one of them outside.
    assert frames[1].voxels.index.tolist() == [2 * 64, 2 * 64 + 1]
    assert frames[1].voxels.columns['count'].tolist() == [2, 1]


def test_a_cloud_waits_for_the_transform_that_is_recorded_after_it():
    late = [
        (received_ns + 30 * MS * (topic == TF), topic, m) for received_ns, topic, m in driven()
    ]
    frames = voxels_of(pipeline(**FRAMES), merged(late, recording(20)))
    assert [frame.voxels.index.tolist() for frame in frames] == [[128, 129]] * 2
    # The pose of 1100 ms arrives at 1133 ms, the cloud did at 1105 ms.
    assert [(frame.ready_ns - frame.arrival_ns) // MS for frame in frames] == [28, 28]


def test_transforms_that_are_none_are_refused_as_live_and_do_no_harm(caplog):
    elsewhere = told(transform('map', 'base_link', 1000 * MS, (9.0, 0.0, 0.0)))
    wrong = [
        (received_ns + MS, TF, elsewhere) for received_ns, topic, _ in driven() if topic == TF
    ]
    moving = pipeline(**FRAMES)
    frames = voxels_of(moving, merged(driven(), wrong, recording()))
    assert [frame.complete for frame in frames] == [True] * 3
    assert Reason.MOTION_MISSING not in moving.status(0).sources['lidar'].notes
    found = [r.message for r in caplog.records if r.name == 'robocache_ros.transforms']
    assert ['tf_parent' in message for message in found] == [True]


def test_transforms_are_not_looked_at_where_nothing_asks_for_them():
    junk = [(1000 * MS, TF, None), (1000 * MS, TF_STATIC, None)]
    assert len(voxels_of(pipeline(), merged(junk, recording()))) == 3


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


def test_a_calibration_that_came_later_does_not_paint_what_had_gone_out_before():
    parameters = {
        'sources': ['lidar', 'camera', 'imu'],
        'base_frame': 'base_link',
        'lidar__extrinsic': [0.0] * 6,
        'camera__extrinsic': [-1.0, 0.5, 0.5, -np.pi / 2, 0.0, -np.pi / 2],
        'camera__grid': [1, 1],
        'camera__paint': ['rgb'],
        'camera__wait': 'until_t_ref',  # in vain, until the frame is due
        'voxels__channels': ['count', 'mean_r'],
    }
    told = SimpleNamespace(
        width=8, height=8, distortion_model='', d=[], k=[8, 0, 3.5, 0, 8, 3.5, 0, 0, 1],
        r=[0.0] * 9, p=[0.0] * 12, binning_x=0, binning_y=0,
        roi=SimpleNamespace(x_offset=0, y_offset=0, width=0, height=0),
    )  # fmt: skip
    seen = SimpleNamespace(
        header=header(0, 990 * MS, 'camera'), width=8, height=8, step=8, encoding='mono8',
        is_bigendian=0, data=bytes([50]) * 64,
    )  # fmt: skip
    late = [(1000 * MS, '/camera/image', seen), (1001 * MS, LIDAR, stamped(cloud(POINTS), 1000))]
    for info_ms, red in ((5000, np.nan), (900, 50)):
        messages = sorted([*late, (info_ms * MS, '/camera/camera_info', told)], key=lambda m: m[0])
        frames = list(replay(make_pipeline(None, **parameters), messages))
        (grid,) = (frame for frame in frames if name_of(frame) == 'voxels')
        np.testing.assert_array_equal(grid.voxels.columns['mean_r'], [red, red])
