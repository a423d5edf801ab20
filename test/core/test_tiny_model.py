# Copyright 2026 the robocache_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The network that the demo makes: a real one, the same every time; and a line without torch."""

from __future__ import annotations

import sys

import numpy as np
import pytest

from robocache_ros.codec.image import decode_image
from robocache_ros.config import Config
from robocache_ros.demo.options import PARAMETERS
from robocache_ros.demo.tiny_model import INPUT_SIZE, WIDTH, tiny_encoder, write_tiny_model
from robocache_ros.resources import config_file
from robocache_ros.sim import CameraConfig, Robot, RobotConfig


@pytest.fixture
def torch():
    return pytest.importorskip('torch', reason='needs torch, to make a network')


def test_it_turns_images_into_features_the_same_ones_every_time(torch, tmp_path):
    images = torch.rand(2, 3, *INPUT_SIZE, generator=torch.Generator().manual_seed(1))
    found = []
    for folder in ('one', 'two'):
        (tmp_path / folder).mkdir()
        network = torch.jit.load(str(write_tiny_model(tmp_path / folder)))
        found.append([network(image[None]).detach().numpy()[0] for image in images])
    assert np.array_equal(found[0], found[1])
    assert found[0][0].shape == (WIDTH,)
    assert np.abs(found[0][0] - found[0][1]).max() > 0


def test_its_parameters_make_features_of_the_camera_of_the_demo(torch, tmp_path):
    yaml = pytest.importorskip('yaml', reason='needs PyYAML, as the package does')
    from robocache_ros.encoding import open_encoders

    assignments, line = tiny_encoder(tmp_path, 'camera')
    assert line.endswith(f'{WIDTH} features of camera')
    given = dict(assignment.split(':=') for assignment in assignments)
    encoder = {name: yaml.safe_load(value) for name, value in given.items()}
    config = Config.from_yaml(config_file(PARAMETERS))
    config = Config.from_mapping({**config.to_mapping(), **encoder})
    camera = CameraConfig(width=64, height=48)
    image = decode_image(Robot(RobotConfig(camera=camera)).message('camera', 0, 1))
    answers = []
    encoders = open_encoders(config, live=False)
    encoders['camera'].submit(image, answers.append)
    encoders['camera'].close()
    (features,) = answers
    assert features.shape == (WIDTH,)
    assert np.isfinite(features).all()


def test_without_torch_there_is_no_encoder_and_a_line_says_how_to_have_it(monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, 'torch', None)
    assignments, line = tiny_encoder(tmp_path, 'camera')
    assert assignments == []
    assert line.startswith('encoder: off, without torch; ')
    assert line.endswith(f'{sys.executable} -m pip install torch')
    assert '\n' not in line
    assert list(tmp_path.iterdir()) == []
