# Copyright 2026 the robocache_ros authors
# SPDX-License-Identifier: Apache-2.0
"""What an encoder makes of images becomes features, in the order of their stamps."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
from small_robot import MS, SMALL, Drive, cloud, frame_bytes, image, make_pipeline

from robocache_ros.backends import make_backend
from robocache_ros.config import Config
from robocache_ros.pipeline import Pipeline
from robocache_ros.reasons import Reason
from robocache_ros.schema import Schema

WIDTH = 3


class HandEncoder:
    """An encoder whose every answer is given by the test."""

    identity, digest = 'by hand', '0' * 64

    def __init__(self):
        self.open = []  # (grey of the image, done)
        self.closed = False

    def submit(self, picture, done):
        self.open.append((int(picture.unpacked(keep=False).data[0]), done))

    def answer(self, grey, found=None):
        """Encode the image of this grey as three times its grey, or say why not."""
        (entry,) = (one for one in self.open if one[0] == grey)
        self.open.remove(entry)
        entry[1](np.full(WIDTH, grey, np.float32) if found is None else found)

    def status(self):
        return None

    def stop(self):
        self.closed = True

    def close(self, wait_sec=0.0):
        self.stop()


class AtOnce(HandEncoder):
    """An encoder that answers while the image is submitted."""

    def submit(self, picture, done):
        super().submit(picture, done)
        self.answer(int(picture.data[0]))


@pytest.fixture
def network(tmp_path):
    """A file that stands for a network: nobody opens it here."""
    path = tmp_path / 'net.pt'
    path.write_bytes(b'weights')
    return str(path)


def drive_of(network, encoder, **parameters):
    named = {key.replace('__', '.'): value for key, value in parameters.items()}
    flat = {
        **SMALL,
        'sources': ['lidar', 'camera'],
        'camera.grid': [1, 1],
        'camera.encoder.path': network,
        'camera.encoder.width': WIDTH,
        **named,
    }
    config = Config.from_mapping(flat)
    return Drive(Pipeline(config, make_backend('numpy'), None, encoders={'camera': encoder}))


def newest(drive, t_ms, name='camera_encoding'):
    """Values, validity and age of a group in the newest row of a table."""
    schema, table = drive.pipeline.schema, drive.frame('features', t_ms)
    number = [group.name for group in schema.groups].index(name)
    begin = sum(group.width for group in schema.groups[:number])
    columns = slice(begin, begin + schema.groups[number].width)
    valid, age = table.valid[-1, number], table.age[-1, number]
    return table.values[-1, columns].tolist(), int(valid), pytest.approx(float(age), abs=1e-6)


def test_an_encoding_is_a_feature_group_beside_the_grid(network):
    encoder = HandEncoder()
    drive = drive_of(network, encoder)
    drive.push('camera', 90, image(7))
    encoder.answer(7)
    drive.push('lidar', 100, cloud((1, 1, 1)))
    drive.advance(101)
    assert newest(drive, 100) == ([7, 7, 7], 1, 0.01)
    assert newest(drive, 100, 'camera_grid') == ([7], 1, 0.01)
    assert drive.frame('features', 100).used['camera'] == (90 * MS,)


def test_of_a_slow_encoder_the_newest_encoded_image_is_used_and_its_age_tells(network):
    encoder = HandEncoder()
    drive = drive_of(network, encoder)
    for t_ms, grey in ((60, 6), (80, 8), (90, 9)):
        drive.push('camera', t_ms, image(grey))
    encoder.answer(8)
    encoder.answer(6)  # later, though it is older: the order of stamps stays
    drive.push('lidar', 100, cloud((1, 1, 1)))
    drive.advance(101)
    assert newest(drive, 100) == ([8, 8, 8], 1, 0.02)
    assert newest(drive, 100, 'camera_grid') == ([9], 1, 0.01)
    assert drive.frame('features', 100).used['camera'] == (80 * MS, 90 * MS)


def test_an_encoding_that_comes_after_its_image_has_given_its_bytes_back_still_counts(network):
    encoder = HandEncoder()
    drive = drive_of(network, encoder, camera__max_gap_sec=1.0)
    drive.push('camera', 10, image(1))
    for t_ms in range(20, 400, 10):
        drive.push('lidar', t_ms, cloud((1, 1, 1)))
        drive.push('camera', t_ms, image(t_ms // 10))
        drive.advance(t_ms)
    encoder.answer(1)
    drive.push('lidar', 400, cloud((1, 1, 1)))
    drive.advance(400)
    assert newest(drive, 400) == ([1, 1, 1], 1, 0.39)


def test_without_an_encoding_the_grid_stays_valid_and_the_reason_is_counted(network):
    encoder = HandEncoder()
    drive = drive_of(network, encoder)
    drive.push('camera', 90, image(7))
    encoder.answer(7, Reason.ENCODER_FAILED)
    drive.push('lidar', 100, cloud((1, 1, 1)))
    drive.advance(101)
    values, valid, _ = newest(drive, 100)
    assert (values, valid) == ([0, 0, 0], 0)
    assert newest(drive, 100, 'camera_grid') == ([7], 1, 0.01)
    assert Counter(drive.status().sources['camera'].notes) == {Reason.ENCODER_FAILED: 1}
    assert drive.frame('features', 100).missing == ()


def test_a_frame_waits_for_the_encoding_of_a_camera_that_is_waited_for(network):
    encoder = HandEncoder()
    drive = drive_of(network, encoder, camera__wait='until_t_ref')
    drive.push('camera', 90, image(9))
    drive.push('camera', 110, image(11))
    drive.push('lidar', 100, cloud((1, 1, 1)), at_ms=111)
    assert drive.advance(112) == [('voxels', 100)]
    encoder.answer(9)
    assert drive.advance(113) == [('features', 100)]
    assert newest(drive, 100) == ([9, 9, 9], 1, 0.01)
    assert drive.frame('features', 100).complete


@pytest.mark.parametrize('later_ms', [250, 5000])
def test_an_encoding_that_never_comes_holds_up_no_frame_that_its_image_is_too_old_for(
    network, later_ms
):
    drive = drive_of(network, HandEncoder(), camera__wait='until_t_ref')
    drive.push('camera', 90, image(9))
    drive.push('lidar', 90 + later_ms, cloud((1, 1, 1)))
    drive.advance(90 + later_ms + 350)  # the camera is silent by now
    assert [name for name, _ in frame_bytes(drive.frames)] == ['voxels', 'features']
    drive.push('lidar', 500 + later_ms, cloud((1, 1, 1)))
    found = drive.advance(501 + later_ms)
    assert found == [('voxels', 500 + later_ms), ('features', 500 + later_ms)]


def test_it_does_not_wait_longer_than_for_anything_else(network):
    drive = drive_of(network, HandEncoder(), camera__wait='until_t_ref', timeout_sec=0.05)
    drive.push('camera', 90, image(9))
    drive.push('camera', 110, image(11))
    drive.push('lidar', 100, cloud((1, 1, 1)), at_ms=111)
    drive.advance(160)
    assert drive.advance(161) == [('features', 100)]
    assert not drive.frame('features', 100).complete


def test_an_encoder_that_answers_at_once_may_do_so_while_the_image_is_pushed(network):
    drive = drive_of(network, AtOnce())
    drive.push('camera', 90, image(7))
    drive.push('lidar', 100, cloud((1, 1, 1)))
    drive.advance(101)
    assert newest(drive, 100) == ([7, 7, 7], 1, 0.01)


def test_when_the_encoding_came_does_not_show_in_a_frame(network):
    frames = []
    for encoder in (AtOnce(), HandEncoder()):
        drive = drive_of(network, encoder)
        for t_ms, grey in ((80, 8), (90, 9)):
            drive.push('camera', t_ms, image(grey))
        for grey in (9, 8) if type(encoder) is HandEncoder else ():
            encoder.answer(grey)
        drive.push('lidar', 100, cloud((1, 1, 1)))
        drive.advance(101)
        frames.append(frame_bytes(drive.frames))
    assert frames[0] == frames[1]


def test_the_network_shapes_the_output_and_how_it_runs_does_not(tmp_path):
    def id_of(content, **parameters):
        (tmp_path / 'net.pt').write_bytes(content)
        flat = {
            'camera.encoder.path': str(tmp_path / 'net.pt'),
            'camera.encoder.width': WIDTH,
            **{f'camera.encoder.{key}': value for key, value in parameters.items()},
        }
        return Schema.from_config(Config.from_mapping(flat)).schema_id

    assert id_of(b'a') == id_of(b'a', workers=4, device='cpu', timeout_sec=1.0, threads=2)
    assert id_of(b'a') != id_of(b'b')
    assert id_of(b'a') != id_of(b'a', input_size=[96, 96])
    assert id_of(b'a') != id_of(b'a', mean=[0.5, 0.5, 0.5])


def test_without_an_encoder_its_parameters_shape_nothing():
    plain = Schema.from_config(Config.from_mapping({})).schema_id
    other = Config.from_mapping({'camera.encoder.input_size': [96, 96]})
    assert Schema.from_config(other).schema_id == plain


def test_a_pipeline_of_its_own_encodes_every_image_as_it_comes():
    torch = pytest.importorskip('torch', reason='the network needs torch')
    import tempfile

    class Mean(torch.nn.Module):
        def forward(self, x):
            return x.mean(dim=(2, 3))

    with tempfile.NamedTemporaryFile(suffix='.pt') as file:
        torch.jit.script(Mean()).save(file.name)
        drive = Drive(
            make_pipeline(
                None,
                sources=['lidar', 'camera'],
                camera__grid=[1, 1],
                camera__encoder__path=file.name,
                camera__encoder__width=WIDTH,
                camera__encoder__input_size=[8, 8],
                camera__encoder__mean=[0.0, 0.0, 0.0],
                camera__encoder__std=[1.0, 1.0, 1.0],
                camera__encoder__device='cpu',
            )
        )
    drive.push('camera', 90, image(51))
    drive.push('lidar', 100, cloud((1, 1, 1)))
    drive.advance(101)
    values, valid, _ = newest(drive, 100)
    assert values == pytest.approx([0.2, 0.2, 0.2])
    assert valid == 1
    assert drive.pipeline.made_by['camera.encoder'].startswith('torch')
