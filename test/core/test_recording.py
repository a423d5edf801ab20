# Copyright 2026 the robocache_ros authors
# SPDX-License-Identifier: Apache-2.0
"""What is recorded for the viewer can be read back: places, colours, names, times."""

from __future__ import annotations

import sys

import numpy as np
import pytest

from robocache_ros.demo.recording import (
    MAX_POINTS,
    Recording,
    RerunMissing,
    colours,
    unpacked,
)

T_NS = 1_700_000_000_999_999_999
DARK, BRIGHT, GREY = [68, 1, 84], [253, 231, 37], [128, 128, 128]


@pytest.fixture
def recorded(tmp_path):
    """Give recorded(fill): what `fill(recording)` wrote, as {entity: {column: values}}."""
    chunks = pytest.importorskip('rerun.chunk', reason='needs a rerun-sdk that reads its files')

    def recorded(fill):
        path = tmp_path / 'test.rrd'
        recording = Recording(path)
        fill(recording)
        recording.close()
        found = {}
        for chunk in chunks.RrdReader(path).stream():
            columns = found.setdefault(chunk.entity_path, {})
            batch = chunk.to_record_batch()
            for name, column in zip(batch.schema.names, batch.columns, strict=True):
                is_time = str(column.type).startswith('timestamp')
                columns[name] = (column.cast('int64') if is_time else column).to_pylist()
        return found

    return recorded


def test_voxels_keep_place_size_colour_and_time(recorded):
    centers = np.array([[1, 2, 3], [4, 5, 6], [7, 8, 9]], np.float32)
    values = np.array([0, np.nan, 10], np.float32)
    box = recorded(lambda r: r.voxels(T_NS, centers, [0.5, 1.0, 2.0], values))['/world/voxels']
    assert box['Boxes3D:centers'][0] == centers.tolist()
    np.testing.assert_allclose(box['Boxes3D:half_sizes'][0], [[0.24, 0.48, 0.96]] * 3)
    assert rgb_of(box) == [DARK, GREY, BRIGHT]
    assert box['stamp'] == [T_NS]


def rgb_of(box):
    return [[(c >> 24) & 255, (c >> 16) & 255, (c >> 8) & 255] for c in box['Boxes3D:colors'][0]]


def test_voxels_with_colours_of_their_own_are_shown_in_them(recorded):
    centers = np.zeros((2 * MAX_POINTS + 1, 3), np.float32)
    own = (np.arange(len(centers) * 3) % 251).astype(np.uint8).reshape(-1, 3)
    box = recorded(lambda r: r.voxels(T_NS, centers, [1.0, 1.0, 1.0], own))['/world/voxels']
    assert rgb_of(box) == own[::3].tolist()


def test_a_packed_colour_is_red_green_and_blue_from_the_left():
    packed = np.array([0x00010203, 0x00FF0080, 0, 0x00FFFFFF], np.uint32).view(np.float32)
    result = unpacked(packed)
    assert result.dtype == np.uint8
    assert result.tolist() == [[1, 2, 3], [255, 0, 128], [0, 0, 0], [255, 255, 255]]
    # Every second one, as of a table whose columns lie beside each other.
    assert unpacked(packed[::2]).tolist() == [[1, 2, 3], [0, 0, 0]]
    assert unpacked(packed[:0]).shape == (0, 3)


def test_a_cloud_is_thinned_out_evenly(recorded):
    points = np.zeros((2 * MAX_POINTS + 1, 3), np.float32)
    points[:, 0] = np.arange(len(points))
    cloud = recorded(lambda r: r.cloud(T_NS, points))['/world/cloud']
    x = np.array(cloud['Points3D:positions'][0])[:, 0]
    assert len(x) <= MAX_POINTS
    assert set(np.diff(x)) == {3.0}
    assert 'Points3D:positions' in recorded(lambda r: r.cloud(T_NS, points[:0]))['/world/cloud']


def test_the_smeared_cloud_is_shown_apart_from_the_deskewed_one(recorded):
    points = np.array([[1, 2, 3], [4, 5, 6]], np.float32)

    def fill(recording):
        recording.arrange([], compare=True)
        recording.smeared(T_NS, points)
        recording.cloud(T_NS, points + 1)

    entities = recorded(fill)
    for path, moved in (('smeared', 0), ('cloud', 1)):
        cloud = entities[f'/world/{path}']
        assert cloud['Points3D:positions'][0] == (points + moved).tolist()
        assert cloud['stamp'] == [T_NS]


def test_voxels_are_thinned_out_evenly(recorded):
    centers = np.zeros((2 * MAX_POINTS + 1, 3), np.float32)
    centers[:, 0] = np.arange(len(centers))
    values = centers[:, 0]
    box = recorded(lambda r: r.voxels(T_NS, centers, [1.0, 1.0, 1.0], values))['/world/voxels']
    x = np.array(box['Boxes3D:centers'][0])[:, 0]
    assert MAX_POINTS / 2 < len(x) <= MAX_POINTS
    assert set(np.diff(x)) == {3.0}
    assert len(box['Boxes3D:colors'][0]) == len(box['Boxes3D:half_sizes'][0]) == len(x)


def test_curves_have_names(recorded):
    def fill(recording):
        recording.arrange(['imu/velocity'])
        recording.name_curves('imu/velocity', ['x', 'y'])
        recording.curves(T_NS, 'imu/velocity', np.array([1, 2], np.float32))

    curves = recorded(fill)['/features/imu/velocity']
    assert curves['SeriesLines:names'] == [['x', 'y']]
    assert curves['Scalars:scalars'] == [[1.0, 2.0]]


@pytest.mark.parametrize('shape', [(8, 16), (8, 16, 3)])
def test_images_are_compressed(shape, recorded):
    image = recorded(lambda r: r.image(T_NS, np.full(shape, 200, np.uint8)))['/camera']
    assert image['EncodedImage:media_type'] == [['image/jpeg']]


def test_without_the_viewer_it_says_what_to_install(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, 'rerun', None)
    with pytest.raises(RerunMissing, match='pip install'):
        Recording(tmp_path / 'test.rrd')


def test_colours_run_from_dark_to_bright_and_grey_means_no_value():
    assert colours(np.array([3.0, 3.0])).tolist() == [DARK, DARK]
    assert colours(np.array([np.nan, np.inf])).tolist() == [GREY, GREY]
    assert colours(np.array([])).shape == (0, 3)
    ramp = colours(np.arange(5)).astype(int)
    assert ramp[0].tolist() == DARK
    assert ramp[2].tolist() == pytest.approx([33, 145, 140], abs=10)  # 98th percentile is 3.92
    assert ramp[4].tolist() == BRIGHT
