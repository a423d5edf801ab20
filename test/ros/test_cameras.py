# Copyright 2026 the robocache_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Cameras of a real node: colours on voxels, encodings, and why there are none."""

from __future__ import annotations

import io
import math
import time

import numpy as np
import pytest
from rclpy.qos import DurabilityPolicy, QoSProfile
from rig import SECOND, START_NS, cloud, header, image, level, values
from sensor_msgs.msg import CameraInfo, CompressedImage, Image, PointCloud2

from robocache_ros.reading import read_features, read_voxels

PAINTS = {
    'sources': ['lidar', 'camera'],
    'base_frame': 'base_link',
    'lidar.extrinsic': [0.0] * 6,
    # z ahead along x of the robot; the grid of the rig is 16 x 16 x 4 m around it
    'camera.extrinsic': [-8.0, 0.0, 0.0, -math.pi / 2, 0.0, -math.pi / 2],
    'camera.paint': ['rgb'],
    'voxels.channels': ['count', 'rgb', 'mean_r'],
}
AHEAD = ((0.5, 0.5, 0.5, 10.0),)


def underscored(parameters):
    return {key.replace('.', '__'): value for key, value in parameters.items()}


def info(stamp_ns=START_NS, size=8, focal=4.0, model='plumb_bob'):
    message = CameraInfo(header=header(stamp_ns, 'camera'), height=size, width=size)
    middle = (size - 1) / 2
    message.distortion_model = model
    message.d = [0.0] * 5
    message.k = [focal, 0.0, middle, 0.0, focal, middle, 0.0, 0.0, 1.0]
    message.r = [1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0]
    message.p = [focal, 0.0, middle, 0.0, 0.0, focal, middle, 0.0, 0.0, 0.0, 1.0, 0.0]
    return message


def coloured(stamp_ns, rgb=(10, 20, 30), size=8):
    message = Image(header=header(stamp_ns, 'camera'), height=size, width=size, encoding='rgb8')
    message.step = 3 * size
    message.data.frombytes(bytes(rgb) * (size * size))
    return message


def listen(rig, node, name):
    heard = rig.collect(PointCloud2, f'/preprocessor/{name}')
    (ours,) = (p for p in node.publishers if p.topic_name.endswith(f'/{name}'))
    rig.wait(ours.get_subscription_count, 'the listener to be known')
    return heard


def tell(rig, node, message, qos=10):
    """Publish a CameraInfo until the node has taken it."""
    publisher = rig.own.create_publisher(CameraInfo, 'camera/camera_info', qos)
    camera = node._running.inputs.cameras['camera']

    def taken():
        if camera.publishers:
            publisher.publish(message)
        camera.look()
        return camera._reader._newest

    rig.wait(taken, 'the CameraInfo')
    return publisher


def first_grid(rig, node, *images):
    """Send images and a cloud of one point, and return the voxels that come of it."""
    heard = listen(rig, node, 'voxels')
    kind = type(images[0])
    topic = 'camera/image/compressed' if kind is CompressedImage else 'camera/image'
    camera, lidar = rig.publisher(kind, topic), rig.publisher(PointCloud2, 'lidar/points')
    rig.settle(node, camera, lidar)
    rig.send(node, 'camera', camera, *images)
    rig.send(node, 'lidar', lidar, cloud(START_NS, AHEAD))
    rig.wait(lambda: heard, 'the voxels')
    return read_voxels(heard[0])


def test_voxels_have_the_colour_of_the_image_as_viewers_read_it(rig):
    node = rig.active(**underscored(PAINTS))
    tell(rig, node, info())
    rows = first_grid(rig, node, coloured(START_NS))
    assert rows.channels['mean_r'].tolist() == [10]
    assert rows.channels['rgb'].view(np.uint32).tolist() == [0x0A141E]
    found = rig.diagnose(node)
    assert level(found['source camera']) == 0
    assert values(found['source camera'])['camera_info'] == '/camera/camera_info'
    assert values(found['source camera'])['extrinsic'] == 'camera.extrinsic'


def test_a_calibration_that_is_told_once_and_kept_is_read(rig):
    kept = QoSProfile(depth=1, durability=DurabilityPolicy.TRANSIENT_LOCAL)
    publisher = rig.own.create_publisher(CameraInfo, 'camera/camera_info', kept)
    publisher.publish(info())
    node = rig.active(**underscored(PAINTS))
    camera = node._running.inputs.cameras['camera']

    def taken():
        camera.look()
        return camera._reader._newest

    rig.wait(taken, 'the CameraInfo')
    assert first_grid(rig, node, coloured(START_NS)).channels['mean_r'].tolist() == [10]


def test_without_a_calibration_diagnostics_name_the_topic(rig):
    node = rig.active(**underscored(PAINTS))
    rows = first_grid(rig, node, coloured(START_NS))
    assert np.isnan(rows.channels['mean_r']).all()
    assert rows.channels['rgb'].view(np.uint32).tolist() == [0x808080]
    found = rig.diagnose(node)['source camera']
    assert level(found) == 1
    assert 'not painted by camera (camera_info_missing)' in found.message
    assert 'no publisher of sensor_msgs/msg/CameraInfo on /camera/camera_info' in found.message
    assert '`camera.calibration`' in found.message


def test_of_a_camera_that_was_never_calibrated_diagnostics_say_so(rig):
    node = rig.active(**underscored(PAINTS))
    tell(rig, node, info(focal=0.0))
    first_grid(rig, node, coloured(START_NS))
    found = rig.diagnose(node)['source camera']
    assert 'is of no use: camera_info_uncalibrated' in found.message


def test_a_calibration_that_turns_bad_is_told_while_the_one_before_is_used(rig):
    node = rig.active(**underscored(PAINTS))
    tell(rig, node, info())
    reader = node._running.inputs.cameras['camera']._reader
    reader.read(info(focal=0.0))
    assert first_grid(rig, node, coloured(START_NS)).channels['mean_r'].tolist() == [10]
    found = rig.diagnose(node)['source camera']
    assert level(found) == 1
    assert 'the one before it is still used: camera_info_uncalibrated' in found.message


def test_of_clouds_without_an_image_near_enough_diagnostics_say_so(rig):
    node = rig.active(**underscored(PAINTS))
    tell(rig, node, info())
    first_grid(rig, node, coloured(START_NS - SECOND // 2))
    found = rig.diagnose(node)['source camera']
    assert '1 cloud of the last' in found.message
    assert '(paint_no_image)' in found.message


def test_of_two_cameras_the_one_that_looks_elsewhere_is_named(rig):
    parameters = {
        **PAINTS,
        'sources': ['lidar', 'camera', 'labels'],
        'labels.type': 'image',
        'labels.topic': 'camera/labels',
        'labels.grid': [1, 1],
        'labels.extrinsic': [-8.0, 0.0, 0.0, 0.0, 0.0, 0.0],  # z up
        'labels.paint': ['label'],
        'voxels.channels': ['count', 'mean_r', 'majority_label'],
    }
    node = rig.active(**underscored(parameters))
    tell(rig, node, info())
    node._running.inputs.cameras['labels']._reader.read(info())
    labels = rig.publisher(Image, 'camera/labels')
    rig.settle(node, labels)
    rig.send(node, 'labels', labels, image(START_NS))
    rows = first_grid(rig, node, coloured(START_NS))
    assert rows.channels['mean_r'].tolist() == [10]
    sentence = rig.diagnose(node)['output voxels'].message
    assert sentence.startswith('labels gives no point its label')


def test_a_camera_that_looks_elsewhere_is_told_by_the_grid(rig):
    parameters = {
        **PAINTS,
        'camera.extrinsic': [-8.0, 0.0, 0.0, 0.0, 0.0, 0.0],
    }  # z up: no optical frame
    node = rig.active(**underscored(parameters))
    tell(rig, node, info())
    rows = first_grid(rig, node, coloured(START_NS))
    assert np.isnan(rows.channels['mean_r']).all()
    found = rig.diagnose(node)
    assert level(found['source camera']) == 0
    sentence = found['output voxels'].message
    assert 'camera gives no point its r, g, b: none of 1 point falls into its image' in sentence
    assert 'z ahead' in found['output voxels'].message


def test_a_calibration_is_read_while_the_node_is_inactive(rig):
    node = rig.node(**underscored(PAINTS), autostart=False)
    node.trigger_configure()
    tell(rig, node, info())
    assert 'camera' in node._running.pipeline._painter._told


def test_compressed_images_paint_and_are_features(rig):
    pillow = pytest.importorskip('PIL.Image', reason='Pillow decodes compressed images')
    file = io.BytesIO()
    pillow.new('RGB', (8, 8), (10, 20, 30)).save(file, 'PNG')
    message = CompressedImage(header=header(START_NS, 'camera'), format='png')
    message.data.frombytes(file.getvalue())
    parameters = {**PAINTS, 'camera.type': 'compressed_image'}
    node = rig.active(**underscored(parameters))
    table = listen(rig, node, 'features')
    tell(rig, node, info())
    rows = first_grid(rig, node, message)
    assert rows.channels['rgb'].view(np.uint32).tolist() == [0x0A141E]
    rig.wait(lambda: table, 'the features')
    features = read_features(table[0])
    grey = (4899 * 10 + 9617 * 20 + 1868 * 30 + 8192) >> 14
    begin = sum(features.widths[: features.groups.index('camera_grid')])
    assert features.values[-1, begin : begin + 4].tolist() == [grey] * 4


def test_an_image_that_is_cut_short_is_counted_and_told(rig):
    pillow = pytest.importorskip('PIL.Image', reason='Pillow decodes compressed images')
    file = io.BytesIO()
    noise = np.random.default_rng(0).integers(0, 256, (64, 64, 3), np.uint8)
    pillow.fromarray(noise).save(file, 'JPEG')
    message = CompressedImage(header=header(START_NS, 'camera'), format='jpeg')
    message.data.frombytes(file.getvalue()[: len(file.getvalue()) // 2])
    node = rig.active(**underscored({**PAINTS, 'camera.type': 'compressed_image'}))
    tell(rig, node, info(size=64))
    first_grid(rig, node, message)
    found = rig.diagnose(node)['source camera']
    assert values(found)['note.image_corrupt'] == '1'
    assert '1 image of the last' in found.message
    assert 'left out (image_corrupt). A compressed image is truncated' in found.message


@pytest.fixture
def network(tmp_path):
    """A network that puts out the means of the three colours."""
    torch = pytest.importorskip('torch', reason='networks need torch')

    class Means(torch.nn.Module):
        def forward(self, x):
            return x.mean(dim=(2, 3))

    path = tmp_path / 'means.pt'
    torch.jit.script(Means()).save(str(path))
    return str(path)


ENCODES = {
    'sources': ['lidar', 'camera'],
    'camera.encoder.width': 3,
    'camera.encoder.input_size': [8, 8],
    'camera.encoder.mean': [0.0, 0.0, 0.0],
    'camera.encoder.std': [1.0, 1.0, 1.0],
    'camera.encoder.device': 'cpu',
}


def test_what_a_network_makes_of_an_image_is_among_the_features(rig, network):
    node = rig.active(**underscored({**ENCODES, 'camera.encoder.path': network}))
    heard = listen(rig, node, 'features')
    camera = rig.publisher(Image, 'camera/image')
    lidar = rig.publisher(PointCloud2, 'lidar/points')
    rig.settle(node, camera, lidar)
    rig.send(node, 'camera', camera, coloured(START_NS, (51, 102, 204)))
    status = node._running.pipeline.status
    rig.wait(lambda: status(time.monotonic_ns()).encoders['camera'].done, 'the encoding')
    rig.send(node, 'lidar', lidar, cloud(START_NS + 1000))
    rig.wait(lambda: heard, 'the features')
    rows = read_features(heard[0])
    begin = sum(rows.widths[: rows.groups.index('camera_encoding')])
    assert rows.values[-1, begin : begin + 3] == pytest.approx([0.2, 0.4, 0.8])
    assert rows.valid[-1, rows.groups.index('camera_encoding')] == 1
    found = values(rig.diagnose(node)['source camera'])
    assert (found['encoder'], found['encoded']) == ('ok', '1')


def test_a_network_that_fails_takes_only_its_own_features_away(rig, tmp_path):
    torch = pytest.importorskip('torch', reason='networks need torch')

    class Shy(torch.nn.Module):
        def forward(self, x):
            assert bool(x.min() < 0.99), 'too bright for me'
            return x.mean(dim=(2, 3))

    path = tmp_path / 'shy.pt'
    torch.jit.script(Shy()).save(str(path))
    node = rig.active(**underscored({**ENCODES, 'camera.encoder.path': str(path)}))
    heard = listen(rig, node, 'features')
    camera = rig.publisher(Image, 'camera/image')
    lidar = rig.publisher(PointCloud2, 'lidar/points')
    rig.settle(node, camera, lidar)
    for number in range(4):
        rig.send(node, 'camera', camera, image(START_NS + number, grey=255))
    status = node._running.pipeline.status

    def notes():
        return status(time.monotonic_ns()).sources['camera'].notes

    rig.wait(lambda: sum(notes().values()) == 4, 'the network to have failed')
    rig.send(node, 'lidar', lidar, cloud(START_NS + 1000))
    rig.wait(lambda: heard, 'the features')
    rows = read_features(heard[0])
    assert rows.valid[-1, rows.groups.index('camera_encoding')] == 0
    assert rows.valid[-1, rows.groups.index('camera_grid')] == 1
    found = rig.diagnose(node)['source camera']
    assert level(found) == 1
    assert 'camera_encoding is not valid, camera_grid is as before' in found.message


@pytest.mark.parametrize('path', ['/nowhere/net.pt', __file__])
def test_a_file_that_is_no_network_is_refused_at_configure_by_its_name(rig, path):
    node = rig.node(**underscored({**ENCODES, 'camera.encoder.path': path}), autostart=False)
    node.trigger_configure()
    assert node.lifecycle_state == 'unconfigured'
    assert 'camera.encoder.path' in node.problem
    assert path in node.problem
