# Copyright 2026 the robocache_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Cameras that paint clouds, through the whole pipeline: which image, and seen from where."""

from __future__ import annotations

import math
import sys
from dataclasses import replace

import numpy as np
import pytest
from small_robot import MS, Drive, cloud, image, make_pipeline

from robocache_ros.codec.camera import Camera
from robocache_ros.codec.image import ImageView
from robocache_ros.codec.point_time import PointTimes
from robocache_ros.config import Config, ConfigError
from robocache_ros.motion.pose import Pose
from robocache_ros.reasons import Reason, Rejected
from robocache_ros.samples import Vector, VoxelFrame

HERE = [0, 0, 0, 0, 0, 0]
AHEAD = [-math.pi / 2, 0, -math.pi / 2]  # of an optical frame that looks along x
PAINTS = {
    'sources': ['lidar', 'camera'],
    'base_frame': 'base_link',
    'lidar.extrinsic': HERE,
    'camera.extrinsic': [0, 4, 2, *AHEAD],
    'camera.grid': [1, 1],
    'camera.paint': ['rgb'],
    'voxels.channels': ['count', 'mean_r', 'mean_b'],
}
SEES = Camera(16, 16, 8.0, 8.0, 7.5, 7.5, False, (0.0,) * 8, 100.0)  # y to the left, z up
LEFT, MIDDLE, RIGHT = (5.5, 6.5, 2.0), (5.5, 4.0, 2.0), (5.5, 1.5, 2.0)


def picture(left, right=None, encoding='rgb8'):
    """Image of 16 x 16 pixels, of one colour in each half."""
    half = [np.tile(np.array(c, np.uint8), 8) for c in (left, left if right is None else right)]
    row = np.concatenate(half)
    data = np.tile(row, 16)
    return ImageView(data, 16, 16, len(row), encoding, False, 'camera')


def moving(y):
    """Odometry of a robot y metres to the left."""
    values = np.zeros(13, np.float32)
    values[6] = 1
    return Vector(values, np.ones(4, bool), pose=np.array([0, y, 0, 0, 0, 0, 1], float))


RED, BLUE = (200, 0, 0), (0, 0, 100)


def drive_of(told=True, **parameters):
    drive = Drive(make_pipeline(None, **{**PAINTS, **parameters}))
    if told:
        drive.pipeline.tell_camera('camera', SEES)
    return drive


def grid_at(drive, t_ms):
    drive.advance(t_ms + 1000)
    return drive.frame('voxels', t_ms)


def reds(frame):
    """Mean red of the occupied voxels, lowest index first: those to the right come first."""
    return frame.voxels.columns['mean_r'].tolist()


def notes_of(drive):
    return dict(drive.status().sources['camera'].notes)


def test_a_point_takes_the_colour_of_the_pixel_it_falls_on():
    drive = drive_of()
    drive.push('camera', 100, picture(RED, BLUE))
    drive.push('lidar', 100, cloud(LEFT, RIGHT))
    frame = grid_at(drive, 100)
    assert reds(frame) == [0, 200]
    assert frame.voxels.columns['mean_b'].tolist() == [100, 0]
    assert frame.used == {'lidar': (100 * MS,), 'camera': (100 * MS,)}
    assert frame.complete
    assert notes_of(drive) == {}


@pytest.mark.parametrize(('times', 'chosen'), [((90, 104), 104), ((90, 110), 90), ((40, 99), 99)])
def test_the_image_nearest_in_time_paints_and_of_two_the_earlier(times, chosen):
    drive = drive_of()
    for t_ms in times:
        drive.push('camera', t_ms, picture((t_ms, 0, 0)), at_ms=1)
    drive.push('lidar', 100, cloud(MIDDLE), at_ms=2)
    frame = grid_at(drive, 100)
    assert reds(frame) == [chosen]
    assert frame.used['camera'] == (chosen * MS,)


def test_a_swept_cloud_is_painted_by_the_image_nearest_to_its_middle():
    drive = drive_of()
    for t_ms in (60, 100):
        drive.push('camera', t_ms, picture((t_ms, 0, 0)), at_ms=1)
    times = PointTimes('intensity', 0.0, 0.0, *(t * MS for t in (30, 30, 100)))
    drive.push('lidar', 100, replace(cloud(MIDDLE), times=times), at_ms=2)
    assert reds(grid_at(drive, 100)) == [60]


def test_without_an_image_near_enough_nothing_is_painted_and_diagnostics_can_say_so():
    drive = drive_of(camera__max_gap_sec=0.05)
    drive.push('camera', 40, picture(RED))
    drive.push('lidar', 100, cloud(MIDDLE))
    frame = grid_at(drive, 100)
    assert np.isnan(reds(frame)).all()
    assert not frame.complete
    assert 'camera' not in frame.used
    assert notes_of(drive) == {Reason.PAINT_NO_IMAGE: 1}
    assert drive.status().sources['lidar'].notes == {}  # it lacks no field


def test_a_camera_paints_from_the_moment_its_calibration_is_known():
    drive = drive_of(told=False)
    drive.push('camera', 100, picture(RED))
    drive.push('lidar', 100, cloud(MIDDLE))
    assert np.isnan(reds(grid_at(drive, 100))).all()
    assert notes_of(drive) == {Reason.CAMERA_INFO_MISSING: 1}
    drive.pipeline.tell_camera('camera', SEES)
    drive.push('lidar', 110, cloud(MIDDLE))
    assert reds(grid_at(drive, 110)) == [200]


def test_a_calibration_that_is_none_is_counted():
    drive = drive_of(told=False)
    drive.pipeline.tell_camera('camera', Reason.CAMERA_INFO_UNCALIBRATED)
    assert notes_of(drive) == {Reason.CAMERA_INFO_UNCALIBRATED: 1}


def test_a_calibration_of_another_shape_paints_nothing_and_one_of_another_size_is_scaled():
    drive = drive_of(told=False)
    drive.push('camera', 100, picture(RED, BLUE))
    drive.pipeline.tell_camera('camera', replace(SEES, height=12))
    drive.push('lidar', 100, cloud(LEFT))
    assert np.isnan(reds(grid_at(drive, 100))).all()
    assert notes_of(drive) == {Reason.CAMERA_INFO_SIZE: 1}
    twice = replace(SEES, width=32, height=32, fx=16.0, fy=16.0, cx=15.5, cy=15.5)
    drive.pipeline.tell_camera('camera', twice)
    drive.push('lidar', 110, cloud(LEFT, RIGHT))
    assert reds(grid_at(drive, 110)) == [0, 200]


def test_a_robot_that_moves_is_painted_from_where_its_camera_was():
    drive = drive_of(
        sources=['lidar', 'camera', 'odom'], deskew__odometry='odom', camera__grid=[1, 1]
    )
    for t_ms in range(0, 121, 10):  # sideways, 2.5 m from image to cloud
        drive.push('odom', t_ms, moving(0.05 * (t_ms - 50)))
    drive.push('camera', 50, picture(RED, BLUE))
    # Seen from the robot at 100 ms it is in the middle; at 50 ms it was 2.5 m further left.
    drive.push('lidar', 100, cloud(MIDDLE))
    frame = grid_at(drive, 100)
    assert reds(frame) == [200]
    assert frame.complete
    assert frame.used['odom'][0] <= 50 * MS  # known from the image on


def test_every_sweep_is_painted_by_its_own_image():
    parameters = {'sources': ['lidar', 'camera', 'odom'], 'deskew.odometry': 'odom'}
    drive = drive_of(**parameters, voxels__sweeps=3, camera__max_gap_sec=0.02)
    for t_ms in range(0, 400, 10):
        drive.push('odom', t_ms, moving(0.0))
        if t_ms % 100 == 0:
            drive.push('camera', t_ms, picture((t_ms // 10, 0, 0)))
            drive.push('lidar', t_ms, cloud((5.5, 3.5 + t_ms / 100, 2.0)))
        drive.advance(t_ms)
    frame = grid_at(drive, 300)
    assert reds(frame) == [10, 20, 30]
    assert frame.used['camera'] == (100 * MS, 200 * MS, 300 * MS)


def test_images_that_no_cloud_can_need_any_more_give_their_bytes_back():
    drive = drive_of(camera__max_gap_sec=0.05)
    for t_ms in range(0, 1000, 10):
        drive.push('camera', t_ms, picture(RED))
        if t_ms % 100 == 0:
            drive.push('lidar', t_ms, cloud(MIDDLE))
        drive.advance(t_ms)
    ring = drive.pipeline._timeline.tracks['camera'].ring
    held = [t for t, s in zip(ring.times, ring.column(0), strict=True) if s.payload is not None]
    assert held[0] <= 900 * MS - 50 * MS  # the last cloud may be asked for again
    assert held[0] >= 750 * MS


def test_a_cloud_asked_for_again_is_painted_again_if_a_nearer_image_has_come():
    drive = drive_of(trigger='rate', trigger_rate_hz=50.0)
    drive.push('camera', 90, picture(RED))
    drive.push('lidar', 100, cloud(MIDDLE))
    drive.advance(101)
    drive.push('camera', 99, picture(BLUE), at_ms=110)
    drive.push('camera', 121, picture(BLUE))
    drive.advance(2000)
    grids = [frame for frame in drive.frames if isinstance(frame, VoxelFrame)]
    assert [reds(grid) for grid in grids] == [[200], [0]]


def test_a_grid_waits_for_a_camera_that_is_waited_for():
    drive = drive_of(camera__wait='until_t_ref')
    for t_ms in (40, 80):
        drive.push('camera', t_ms, picture((t_ms, 0, 0)))
    drive.push('lidar', 100, cloud(MIDDLE))
    assert drive.advance(101) == []
    drive.push('camera', 110, picture((110, 0, 0)))
    assert ('voxels', 100) in drive.advance(111)
    assert reds(drive.frame('voxels', 100)) == [110]


def test_of_several_cameras_the_first_that_sees_a_point_paints_it():
    drive = drive_of(
        sources=['lidar', 'camera', 'rear'],
        rear__type='image',
        rear__grid=[1, 1],
        rear__paint=['rgb'],
        rear__extrinsic=[8, 4, 2, -math.pi / 2, 0, math.pi / 2],
    )
    drive.pipeline.tell_camera('rear', SEES)
    drive.push('camera', 100, picture(RED))
    drive.push('rear', 100, picture(BLUE))
    behind = (0.01, 0.5, 2.0)  # of the front camera: out of its image
    drive.push('lidar', 100, cloud(MIDDLE, behind))
    assert reds(grid_at(drive, 100)) == [0, 200]


def test_the_extrinsic_of_a_camera_may_come_over_tf():
    parameters = {key: value for key, value in PAINTS.items() if key != 'camera.extrinsic'}
    drive = Drive(make_pipeline(None, **parameters))
    drive.pipeline.tell_camera('camera', SEES)
    drive.push('camera', 100, picture(RED))
    drive.push('lidar', 100, cloud(MIDDLE))
    assert np.isnan(reds(grid_at(drive, 100))).all()
    assert notes_of(drive) == {Reason.TRANSFORM_UNKNOWN: 1}
    pose = Pose.of(PAINTS['camera.extrinsic'])
    drive.pipeline.tell_transform(0, 'base_link', 'camera', None, pose)
    drive.push('lidar', 110, cloud(MIDDLE))
    assert reds(grid_at(drive, 110)) == [200]


def test_labels_and_depths_become_fields_of_their_names():
    drive = drive_of(camera__paint=['label'], voxels__channels=['count', 'majority_label'])
    drive.push('camera', 100, image(7))
    drive.push('lidar', 100, cloud(MIDDLE, LEFT))
    assert grid_at(drive, 100).voxels.columns['majority_label'].tolist() == [7, 7]


def test_depths_have_no_colours():
    drive = drive_of()
    depths = np.full((16, 16), 2.5, '<f4').view(np.uint8).reshape(-1)
    drive.push('camera', 100, ImageView(depths, 16, 16, 64, '32FC1', False, 'camera'))
    drive.push('lidar', 100, cloud(MIDDLE))
    assert np.isnan(reds(grid_at(drive, 100))).all()
    assert notes_of(drive) == {Reason.PAINT_ENCODING: 1}


class Damaged(ImageView):
    """Stands for a compressed image whose damage shows when it is unpacked."""

    def unpacked(self):
        raise Rejected(Reason.IMAGE_CORRUPT, 'cut short')


def test_a_damaged_image_paints_nothing_and_has_no_features():
    drive = drive_of()
    drive.push('camera', 100, Damaged(**vars(picture(RED))))
    drive.push('lidar', 100, cloud(MIDDLE))
    frame = grid_at(drive, 100)
    assert np.isnan(reds(frame)).all()
    assert 'camera' not in frame.used
    table = drive.frame('features', 100)
    names = [group.name for group in drive.pipeline.schema.groups]
    assert table.valid[-1, names.index('camera_grid')] == 0
    assert notes_of(drive)[Reason.IMAGE_CORRUPT] == 1


CALIBRATION = """
image_width: 16
image_height: 16
camera_name: front
camera_matrix: {rows: 3, cols: 3, data: [8, 0, 7.5, 0, 8, 7.5, 0, 0, 1]}
distortion_model: plumb_bob
distortion_coefficients: {rows: 1, cols: 5, data: [0, 0, 0, 0, 0]}
rectification_matrix: {rows: 3, cols: 3, data: [1, 0, 0, 0, 1, 0, 0, 0, 1]}
projection_matrix: {rows: 3, cols: 4, data: [8, 0, 7.5, 0, 0, 8, 7.5, 0, 0, 0, 1, 0]}
"""


def test_a_calibration_that_one_has_already_is_a_file(tmp_path):
    file = tmp_path / 'front.yaml'
    file.write_text(CALIBRATION)
    drive = drive_of(told=False, camera__calibration=str(file))
    drive.push('camera', 100, picture(RED, BLUE))
    drive.push('lidar', 100, cloud(LEFT, RIGHT))
    assert reds(grid_at(drive, 100)) == [0, 200]


def test_what_a_calibration_file_holds_shapes_the_output_and_where_it_lies_does_not(tmp_path):
    ids = []
    for name, text in (('a', CALIBRATION), ('b', CALIBRATION), ('c', CALIBRATION + '# other')):
        (tmp_path / name).write_text(text)
        drive = drive_of(told=False, camera__calibration=str(tmp_path / name))
        ids.append(drive.pipeline.schema.schema_id)
    assert ids[0] == ids[1] != ids[2]


@pytest.mark.parametrize('text', [None, 'image_width: 16', ': : :', CALIBRATION.replace('8', '0')])
def test_a_calibration_file_that_is_none_is_refused_with_its_name(tmp_path, text):
    file = tmp_path / 'front.yaml'
    if text is not None:
        file.write_text(text)
    with pytest.raises(ConfigError, match=r'camera.calibration.*front.yaml'):
        drive_of(told=False, camera__calibration=str(file))


def test_a_tensor_has_no_channel_for_packed_colours():
    from robocache_ros.reading import VoxelRows, to_dense

    about = {
        'grid': {'origin': [0.0] * 3, 'voxel_size': [1.0] * 3, 'dims': [2, 1, 1]},
        'channels': [{'name': name, 'kind': name} for name in ('count', 'rgb')],
    }
    one = np.full(1, 0.5, np.float32)
    channels = {'count': np.array([3], np.uint32), 'rgb': np.array([0x808080], np.uint32)}
    grid = to_dense(VoxelRows(0, 'base_link', one, one, one, channels), about)
    assert grid.tolist() == [[[[3, 0]]]]


def test_compressed_images_without_a_decoder_are_refused_at_the_start(monkeypatch):
    monkeypatch.setitem(sys.modules, 'PIL', None)
    with pytest.raises(
        ConfigError, match='camera.type compressed_image is not possible: .*pillow'
    ):
        drive_of(camera__type='compressed_image')


@pytest.mark.parametrize(
    ('parameters', 'notice'),
    [
        ({'voxels.channels': ['count', 'mean_r']}, 'camera.paint: no channel asks for g, b'),
        ({'sources': ['camera'], 'trigger': 'camera'}, 'camera.paint: there is no cloud to paint'),
        ({'camera.encoder.width': 5}, 'no encoder without camera.encoder.path: camera.encoder.w'),
        (
            {'camera.paint': None, 'camera.calibration': 'front.yaml'},
            'camera.calibration: only a camera with camera.paint needs it',
        ),
    ],
)
def test_what_is_given_for_nothing_is_told(parameters, notice):
    flat = {**PAINTS, 'voxels.channels': ['rgb'], **parameters}
    flat = {key: value for key, value in flat.items() if value is not None}
    found = Config.from_mapping(flat).notices(flat)
    assert [one for one in found if one.startswith(notice)] != []
    assert not any(one.startswith(('camera', 'no encoder')) for one in notices_of({}))


def notices_of(parameters):
    flat = {**PAINTS, 'voxels.channels': ['rgb'], **parameters}
    return Config.from_mapping(flat).notices(flat)


def test_instead_of_a_damaged_image_the_next_nearest_paints_and_is_the_feature():
    drive = drive_of(features__targets=1)
    drive.push('camera', 60, picture(RED))
    drive.push('camera', 95, Damaged(**vars(picture(BLUE))))
    drive.push('lidar', 100, cloud(MIDDLE))
    frame = grid_at(drive, 100)
    assert reds(frame) == [200]
    assert frame.used['camera'] == (60 * MS,)
    assert frame.complete
    table = drive.frame('features', 100)
    names = [group.name for group in drive.pipeline.schema.groups]
    assert table.valid[-1, names.index('camera_grid')] == 1
    assert table.used['camera'] == (60 * MS,)


def test_a_damaged_image_is_counted_once_however_many_frames_look_at_it():
    drive = drive_of()
    drive.push('camera', 100, Damaged(**vars(picture(RED))))
    for t_ms in range(100, 200, 10):
        drive.push('lidar', t_ms, cloud(MIDDLE))
        drive.advance(t_ms)
    assert notes_of(drive)[Reason.IMAGE_CORRUPT] == 1


def test_a_grid_waits_for_the_transform_of_a_camera_at_the_time_of_its_image():
    parameters = {k: v for k, v in PAINTS.items() if k != 'camera.extrinsic'}
    drive = Drive(make_pipeline(None, **parameters, timeout_sec=0.3))
    drive.pipeline.tell_camera('camera', SEES)
    pose = Pose.of(PAINTS['camera.extrinsic'])
    drive.pipeline.tell_transform(0, 'base_link', 'camera', 90 * MS, pose)
    drive.push('camera', 105, picture(RED), at_ms=91)
    drive.push('lidar', 100, cloud(MIDDLE), at_ms=92)
    assert drive.advance(93) == [('features', 100)]
    drive.pipeline.tell_transform(110 * MS, 'base_link', 'camera', 110 * MS, pose)
    assert drive.advance(111) == [('voxels', 100)]
    assert reds(drive.frame('voxels', 100)) == [200]


def test_a_camera_that_is_waited_for_is_waited_for_up_to_the_middle_of_the_cloud():
    drive = drive_of(camera__wait='until_t_ref', deskew__to='start')
    times = PointTimes('intensity', 0.0, 0.0, *(t * MS for t in (100, 100, 200)))
    drive.push('camera', 105, picture((105, 0, 0)), at_ms=1)
    drive.push('lidar', 100, replace(cloud(MIDDLE), times=times), at_ms=2)
    assert drive.advance(3) == [('features', 100)]
    drive.push('camera', 152, picture((152, 0, 0)), at_ms=4)
    drive.advance(5)
    assert reds(drive.frame('voxels', 100)) == [152]


def test_a_lidar_that_has_died_keeps_no_images():
    drive = drive_of(
        sources=['lidar', 'rear', 'camera'],
        rear__type='pointcloud2',
        rear__extrinsic=HERE,
        rear__occupancy_shape=[1, 1, 1],
        camera__max_gap_sec=0.05,
    )
    drive.push('rear', 0, cloud(MIDDLE))
    for t_ms in range(0, 1500, 10):
        drive.push('camera', t_ms, picture(RED))
        if t_ms % 100 == 0:
            drive.push('lidar', t_ms, cloud(MIDDLE))
        drive.advance(t_ms)
    snapshots = drive.pipeline._timeline.tracks['camera'].ring.column(0)
    assert sum(one.payload is not None for one in snapshots) < 30


def test_a_cloud_whose_origin_the_extrinsic_takes_back_is_painted_where_it_is():
    drive = drive_of(lidar__input_origin=[100, 0, 0], lidar__extrinsic=[-100, 0, 0, 0, 0, 0])
    far = cloud((105.5, 6.5, 2.0), (105.5, 1.5, 2.0))
    drive.push('camera', 100, picture(RED, BLUE))
    drive.push('lidar', 100, replace(far, input_origin=(100.0, 0.0, 0.0)))
    assert reds(grid_at(drive, 100)) == [0, 200]


def test_a_cloud_in_the_frame_of_the_grid_that_counts_from_an_origin_is_painted_where_it_is():
    parameters = {k: v for k, v in PAINTS.items() if k != 'lidar.extrinsic'}
    drive = Drive(make_pipeline(None, **parameters))
    drive.pipeline.tell_camera('camera', SEES)
    here = cloud((6.5, 6.5, 2.0), (6.5, 1.5, 2.0), frame_id='base_link')
    drive.push('camera', 100, picture(RED, BLUE))
    drive.push('lidar', 100, replace(here, input_origin=(1.0, 0.0, 0.0)))
    assert reds(grid_at(drive, 100)) == [0, 200]


def test_a_camera_that_paints_what_nobody_asks_for_is_left_alone():
    drive = drive_of(told=False, voxels__channels=['count'])
    drive.push('camera', 100, picture(RED))
    drive.push('lidar', 100, cloud(MIDDLE))
    frame = grid_at(drive, 100)
    assert frame.complete
    assert 'camera' not in frame.used
    assert notes_of(drive) == {}
