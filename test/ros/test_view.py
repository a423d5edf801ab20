# Copyright 2026 the robocache_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The viewer shows what is on the topics, and explains itself where it can not."""

from __future__ import annotations

import sys
from collections import Counter
from importlib.util import find_spec
from unittest import mock

import numpy as np
import pytest
from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus, KeyValue
from hand_made import T_REF_NS, Source, config_of, feature_frame, voxel_frame
from rclpy.node import Node
from sensor_msgs.msg import Image, Imu, PointCloud2
from std_msgs.msg import String

from robocache_ros.codec.image import decode_image
from robocache_ros.codec.table import encode_table
from robocache_ros.demo import view
from robocache_ros.ros.outputs import to_cloud
from robocache_ros.ros.sim_node import _fill
from robocache_ros.sim import Robot, RobotConfig
from robocache_ros.sim.robot import START_NS
from robocache_ros.sim.world import WALL_COLORS


class FakeRecording:
    """Keeps what it is told, by what."""

    def __init__(self):
        self.calls = {}

    def __getattr__(self, name):
        return lambda *arguments: self.calls.setdefault(name, []).append(arguments)


def options_of(*argv):
    return view.parse_options(argv)


@pytest.fixture
def viewer(context, executor):
    """Give viewer(*argv) -> FakeRecording that a Viewer with these arguments fills."""
    nodes = []

    def viewer(*argv):
        node = Node('view', context=context)
        nodes.append(node)
        executor.add_node(node)
        recording = FakeRecording()
        recording.viewer = view.Viewer(node, options_of(*argv), recording)
        return recording

    yield viewer
    for node in nodes:
        node.destroy_node()


@pytest.fixture
def source(context):
    node = Source(context, config_of()).started()
    yield node
    node.destroy_node()


def test_outputs_are_shown_with_their_names(viewer, source, executor, wait_until):
    calls = viewer().calls

    def shown():
        source.send()
        return 'voxels' in calls and 'curves' in calls

    wait_until(shown, 10, 'voxels and curves', executor)
    stamp, centers, size, values = calls['voxels'][0]
    assert stamp == T_REF_NS
    assert centers.tolist() == [[1.5, 0.5, 0.5], [3.5, 2.5, 1.5]]
    assert size == [1.0, 1.0, 1.0]
    np.testing.assert_array_equal(values, np.array([0.25, np.nan], np.float32))
    names = dict(calls['name_curves'])
    assert names['imu/orientation'] == ['x', 'y', 'z', 'w']
    newest = feature_frame(source.schema).values[-1]
    first = source.schema.feature_names.index('imu_orientation_x')
    curve = next(c for c in calls['curves'] if c[1] == 'imu/orientation')
    assert curve[2].tolist() == newest[first : first + 4].tolist()
    assert calls['arrange'][0] == (list(names), False)
    assert 'lidar/centroid' in names


def test_the_channel_that_gives_the_colour_can_be_chosen(viewer, source, executor, wait_until):
    calls = viewer('--channel', 'count').calls

    def shown():
        source.send()
        return 'voxels' in calls

    wait_until(shown, 10, 'voxels', executor)
    assert calls['voxels'][0][3].tolist() == [4_000_000_000, 1]


def test_an_unknown_channel_is_refused_with_those_there_are(viewer, source, executor, wait_until):
    viewer('--channel', 'colour')

    def shown():
        source.send()

    with pytest.raises(ValueError, match="no channel 'colour'; there are: count, mean_intensity"):
        wait_until(shown, 10, 'a refusal', executor)


def show_coloured(recording):
    """Show two voxels with a channel rgb, red and nearly black; return what was recorded."""
    config = config_of(
        sources=['lidar', 'imu', 'camera'],
        base_frame='base_link',
        deskew__imu='imu',
        voxels__channels=['count', 'rgb', 'mean_intensity'],
        camera__paint=['rgb'],
    )
    x = np.array([1.5, 3.5], np.float32)
    rgb = np.array([0x00FF0000, 0x00010203], np.uint32).view(np.float32)
    count = np.array([2, 4], np.uint32)
    table = encode_table({'x': x, 'y': x, 'z': x, 'count': count, 'rgb': rgb, 'mean_intensity': x})
    recording.viewer._on_schema(String(data=Source.text_of(config)))
    recording.viewer._on_voxels(to_cloud(table, voxel_frame(config)))
    return recording.calls


def test_voxels_with_a_channel_rgb_are_shown_in_these_colours(viewer):
    calls = show_coloured(viewer())
    ((_, centers, _, shown),) = calls['voxels']
    assert centers.tolist() == [[1.5] * 3, [3.5] * 3]
    assert shown.dtype == np.uint8
    assert shown.tolist() == [[255, 0, 0], [1, 2, 3]]
    # They are what is looked at, not how the cloud was before its deskew.
    assert calls['arrange'] == [(mock.ANY, False)]


def test_another_channel_may_give_the_colour_of_coloured_voxels(viewer):
    ((*_, values),) = show_coloured(viewer('--channel', 'count'))['voxels']
    assert values.tolist() == [2, 4]


def test_clouds_lose_their_missing_points_and_malformed_ones_are_left_out(viewer):
    recording = viewer()
    x = np.array([1, np.nan, 3], np.float32)
    good = to_cloud(encode_table({'x': x, 'y': x, 'z': x}), voxel_frame(config_of()))
    bad = PointCloud2(header=good.header, width=5)
    show = recording.viewer._guarded(recording.viewer._on_cloud)
    show(bad)
    show(good)
    ((stamp, points),) = recording.calls['cloud']
    assert stamp == T_REF_NS
    assert points.tolist() == [[1, 1, 1], [3, 3, 3]]


TURNING = {  # a robot that turns on the spot, half a turn a second
    'semi_axes': [0.0, 0.0],
    'loop_sec': 2.0,
    'lidar.rings': 4,
    'lidar.columns': 400,
    'camera.rate_hz': 0.0,
    'imu.gyro_noise': 0.0,
    'imu.rate_hz': 100.0,
}
DESKEW = {
    'base_frame': 'base_link',
    'deskew.imu': 'imu',
    'lidar.extrinsic': [0.0, 0.0, 1.6, 0.0, 0.0, 0.0],
    'imu.extrinsic': [0.0, 0.0, 0.0, 0.0, 0.0, 0.0],
}


def test_a_node_that_deskews_is_shown_before_and_after_beside_each_other(
    context, viewer, executor, wait_until
):
    calls = viewer().calls
    config = config_of(**{name.replace('.', '__'): value for name, value in DESKEW.items()})
    node = Source(context, config).started()
    about = node.create_publisher(DiagnosticArray, '/diagnostics', 10)
    wait_until(about.get_subscription_count, 10, 'the viewer', executor)
    # The topics are those that the node says, not the ones that are in its parameters' defaults.
    topics = {'lidar': '/lidar/points', 'imu': '/y/imu'}
    kinds = {'lidar': PointCloud2, 'imu': Imu}
    outputs = {name: node.create_publisher(kinds[name], topics[name], 200) for name in topics}
    said = DiagnosticArray(
        status=[
            DiagnosticStatus(
                name=f'/preprocessor: source {name}', values=[KeyValue(key='topic', value=topic)]
            )
            for name, topic in topics.items()
        ]
    )

    def heard():
        about.publish(said)
        return all(output.get_subscription_count() for output in outputs.values())

    wait_until(heard, 10, 'the viewer to listen to the inputs', executor)
    robot = Robot(RobotConfig.from_mapping(TURNING))
    events = (event for event in robot.events() if event.source in outputs)

    def shown():
        event = next(events)
        outputs[event.source].publish(_fill(kinds[event.source](), event.message))
        return len(calls.get('cloud', ())) >= 2

    wait_until(shown, 20, 'two clouds', executor)
    assert calls['arrange'] == [(mock.ANY, True)]
    for (stamp, smeared), (same, deskewed) in zip(calls['smeared'], calls['cloud'], strict=True):
        assert stamp == same
        t_ref_ns = stamp - START_NS
        true = robot.true_points('lidar', t_ref_ns - 99_750_000, t_ref_ns)
        assert np.linalg.norm(deskewed - true, axis=1).max() < 0.005
        assert np.linalg.norm(smeared - true, axis=1).max() > 1.0
    node.destroy_node()


def test_a_cloud_is_shown_where_its_extrinsic_puts_it_beside_the_voxels(viewer, context):
    recording = viewer()
    above = [0.0, 0.0, 2.0, 0.0, 0.0, 0.0]
    text = Source.text_of(config_of(base_frame='base_link', lidar__extrinsic=above))
    recording.viewer._on_schema(String(data=text))
    x = np.array([1, 2, 3], np.float32)
    cloud = to_cloud(encode_table({'x': x, 'y': x, 'z': x}), voxel_frame(config_of()))
    recording.viewer._on_cloud(cloud)
    assert 'cloud' not in recording.calls  # where it lies for itself is no place beside voxels
    recording.viewer._on_input('lidar', cloud)
    ((stamp, points),) = recording.calls['cloud']
    assert stamp == T_REF_NS
    assert points.tolist() == [[1, 1, 3], [2, 2, 4], [3, 3, 5]]
    assert 'smeared' not in recording.calls
    assert recording.calls['arrange'] == [(mock.ANY, False)]


def test_no_more_than_ten_images_a_second_are_kept(viewer):
    recording = viewer()
    for k in range(30):
        message = image('mono8', np.zeros((2, 2), np.uint8))
        message.header.stamp.nanosec = 1 + k * 33_000_000
        recording.viewer._on_image(message)
    assert len(recording.calls['image']) == 10


def image(encoding, pixels):
    message = Image(encoding=encoding, height=pixels.shape[0], width=pixels.shape[1])
    message.step = pixels.strides[0]
    message.data.frombytes(pixels.tobytes())
    message.header.stamp.sec = 1
    return message


@pytest.mark.parametrize(
    ('encoding', 'pixel', 'shown'),
    [
        ('rgb8', np.uint8([1, 2, 3]), [1, 2, 3]),
        ('bgr8', np.uint8([1, 2, 3]), [3, 2, 1]),
        ('bgra8', np.uint8([1, 2, 3, 4]), [3, 2, 1]),
        ('mono8', np.uint8(7), 7),
        ('mono16', np.uint16(1000), 255),
        ('32FC1', np.float32(np.nan), 0),
    ],
)
def test_every_encoding_becomes_eight_bits(encoding, pixel, shown):
    pixels = np.tile(pixel, (2, 3, 1)) if pixel.ndim else np.full((2, 3), pixel)
    result = view.to_pixels(decode_image(image(encoding, pixels)))
    assert result.dtype == np.uint8
    assert result.shape[:2] == (2, 3)
    assert result[1, 2].tolist() == shown


def test_without_a_display_it_points_to_save(monkeypatch, capsys):
    for name in ('DISPLAY', 'WAYLAND_DISPLAY'):
        monkeypatch.delenv(name, raising=False)
    assert view.main([]) == 1
    assert '--save' in capsys.readouterr().err


def test_without_the_viewer_it_says_what_to_install(monkeypatch, capsys, tmp_path):
    monkeypatch.setitem(sys.modules, 'rerun', None)
    assert view.main(['--save', str(tmp_path / 'x.rrd')]) == 1
    assert 'pip install' in capsys.readouterr().err


# For a machine that runs other tests at the same time, and a viewer beside them.
LIGHT = tuple(
    word
    for setting in ('lidar.columns:=400', 'imu.rate_hz:=100.0', 'camera.rate_hz:=10.0')
    for word in ('--sim-param', setting)
)


@pytest.fixture
def recorded(start_process, tmp_path, domain_id):
    """Record a demo of three seconds; returns the chunks of what changed."""
    chunks = pytest.importorskip('rerun.chunk', reason='needs a rerun-sdk that reads its files')
    path = tmp_path / 'demo.rrd'

    def record(*arguments):
        demo = start_process(
            *(sys.executable, '-m', 'robocache_ros', 'demo', '--seconds', '3', '--save', path),
            *('--domain', domain_id, *LIGHT, *arguments),
        )
        assert demo.wait(timeout=60) == 0, demo.log.read_text()
        return [chunk for chunk in chunks.RrdReader(path).stream() if not chunk.is_static]

    return record


def rows_of(chunks):
    """How often something was recorded, by its path."""
    rows = Counter()
    for chunk in chunks:
        rows[chunk.entity_path] += chunk.num_rows
    return rows


def test_a_recorded_demo_holds_every_frame(recorded):
    chunks = recorded()
    rows = rows_of(chunks)
    assert rows['/world/voxels'] >= 28
    assert rows['/world/cloud'] >= 26  # none while motion begins
    assert rows['/world/smeared'] == 0
    assert rows['/camera'] >= 28
    assert rows['/features/imu/angular_velocity'] == rows['/world/voxels']
    assert ('/features/camera/encoding' in rows) == (find_spec('torch') is not None)
    assert '/features/camera/grid' not in rows  # more columns than a plot can show
    shown = set()
    for chunk in chunks:
        if chunk.entity_path == '/world/voxels':
            for colors in chunk.to_record_batch()['Boxes3D:colors'].to_pylist():
                shown.update(color >> 8 for color in colors)
    walls = {r << 16 | g << 8 | b for r, g, b in WALL_COLORS}  # it turns once round
    assert walls < shown
    assert 0x808080 in shown  # what the camera has not seen


def test_a_recorded_fast_demo_holds_every_frame_smeared_and_deskewed(recorded):
    chunks = recorded('--fast')
    rows = rows_of(chunks)
    clouds = {'/world/cloud': [], '/world/smeared': []}
    for chunk in chunks:
        if chunk.entity_path in clouds:
            points = chunk.to_record_batch()['Points3D:positions']
            clouds[chunk.entity_path] += points.to_pylist()
    assert rows['/world/voxels'] >= 28
    assert rows['/world/cloud'] == rows['/world/smeared'] >= 26
    alike = [one == other for one, other in zip(*clouds.values(), strict=True)]
    assert sum(alike) <= 1  # the first, while motion begins
