# Copyright 2026 the robocache_ros authors
# SPDX-License-Identifier: Apache-2.0
"""What is in a frame: values by hand, and nothing but a function of the samples it names."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from small_robot import MS, Drive, cloud, frame_bytes, image, imu, make_pipeline

from robocache_ros.codec.cloud import CloudView
from robocache_ros.reasons import Reason, Rejected
from robocache_ros.samples import FeatureFrame, VoxelFrame

POINT = cloud((0.5, 0.5, 0.5))


def column(frame: FeatureFrame, drive: Drive, name: str) -> list[float]:
    """One feature over the rows."""
    return frame.values[:, drive.pipeline.schema.feature_names.index(name)].tolist()


def group(drive: Drive, name: str) -> int:
    return [group.name for group in drive.pipeline.schema.groups].index(name)


def test_the_grid_holds_the_cloud_of_the_trigger():
    drive = Drive(make_pipeline(sources=['lidar']))
    drive.push('lidar', 100, cloud((0.5, 0.5, 0.5), (3.2, 1.1, 2.9), (3.9, 1.9, 2.1), (9, 0, 0)))
    drive.advance(100)
    frame = drive.frame('voxels', 100)
    # index = (z * 8 + y) * 8 + x on a grid of 8 x 8 x 4 cells of one metre
    assert frame.voxels.index.tolist() == [0, (2 * 8 + 1) * 8 + 3]
    assert frame.voxels.count.tolist() == [1, 2]
    assert frame.voxels.columns['mean_intensity'].tolist() == [0.0, 1.5]
    assert frame.frame_id == 'lidar'
    outputs = drive.status().outputs['voxels']
    assert (outputs.points, outputs.points_used) == (4, 3)
    assert outputs.notes == {Reason.POINT_OUT_OF_RANGE: 1}


def test_imu_rows_are_interpolated_and_marked():
    drive = Drive(make_pipeline(sources=['lidar', 'imu']))
    drive.imu(85, 95, 105)  # the rate is the time in ms; targets are 80, 90 and 100 ms
    drive.push('lidar', 100, POINT)
    drive.advance(105)
    frame = drive.frame('features', 100)
    assert column(frame, drive, 'imu_angular_velocity_x') == [85.0, 90.0, 100.0]
    at = group(drive, 'imu_angular_velocity')
    assert frame.valid[:, at].tolist() == [0, 1, 1]
    assert frame.age[:, at].tolist() == pytest.approx([-0.005, 0.005, 0.005])
    assert frame.dt.tolist() == pytest.approx([-0.02, -0.01, 0.0])
    assert frame.used['imu'] == (85 * MS, 95 * MS, 105 * MS)


def test_an_imu_without_orientation_keeps_its_columns_and_says_so():
    drive = Drive(make_pipeline(sources=['lidar', 'imu']))
    for t_ms in (80, 90, 100):
        drive.push('imu', t_ms, imu(t_ms, oriented=False))
    drive.push('lidar', 100, POINT)
    drive.advance(100)
    frame = drive.frame('features', 100)
    assert frame.valid[:, group(drive, 'imu_orientation')].tolist() == [0, 0, 0]
    assert column(frame, drive, 'imu_orientation_w') == [1.0, 1.0, 1.0]
    assert frame.age[:, group(drive, 'imu_orientation')].tolist() == [3600.0] * 3
    assert frame.valid[:, group(drive, 'imu_angular_velocity')].tolist() == [1, 1, 1]


def test_orientation_is_interpolated_between_the_samples_that_have_one():
    drive = Drive(make_pipeline(sources=['lidar', 'imu']))
    for t_ms, oriented in ((80, True), (90, False), (100, True)):
        drive.push('imu', t_ms, imu(t_ms, oriented))
    drive.push('lidar', 100, POINT)
    drive.advance(100)
    frame = drive.frame('features', 100)
    at = group(drive, 'imu_orientation')
    assert frame.valid[:, at].tolist() == [1, 1, 1]
    assert frame.age[1, at] == np.float32(0.01)


def test_a_source_never_seen_is_zeros_invalid_and_very_old():
    drive = Drive(make_pipeline())
    drive.push('lidar', 100, POINT)
    drive.advance(100)
    frame = drive.frame('features', 100)
    at = group(drive, 'camera_grid')
    assert frame.valid[:, at].tolist() == [0, 0, 0]
    assert frame.age[:, at].tolist() == [3600.0] * 3
    assert column(frame, drive, 'camera_grid_0_0') == [0.0] * 3
    assert column(frame, drive, 'imu_orientation_w') == [1.0] * 3
    assert frame.used == {'lidar': (100 * MS,), 'camera': (), 'imu': ()}


def test_images_are_held_until_the_next_one():
    drive = Drive(make_pipeline(sources=['lidar', 'camera']))
    drive.push('camera', 85, image(10))
    drive.push('camera', 95, image(20))
    drive.push('camera', 105, image(30))
    drive.push('lidar', 100, POINT)
    drive.advance(105)
    frame = drive.frame('features', 100)
    assert column(frame, drive, 'camera_grid_0_0') == [10.0, 10.0, 20.0]
    at = group(drive, 'camera_grid')
    assert frame.valid[:, at].tolist() == [0, 1, 1]
    assert frame.used['camera'] == (85 * MS, 95 * MS)


def test_cloud_features_come_from_the_grid():
    drive = Drive(make_pipeline(sources=['lidar']))
    drive.push('lidar', 100, cloud((0.5, 0.5, 0.5), (7.5, 7.5, 0.5), (7.6, 7.6, 0.6)))
    drive.advance(100)
    frame = drive.frame('features', 100)
    assert column(frame, drive, 'lidar_points') == [3.0] * 3
    assert column(frame, drive, 'lidar_occupied') == [2.0] * 3
    # centres (0.5, 0.5, 0.5) once and (7.5, 7.5, 0.5) twice
    assert column(frame, drive, 'lidar_centroid_x')[0] == pytest.approx(15.5 / 3)
    assert column(frame, drive, 'lidar_centroid_z')[0] == 0.5
    assert column(frame, drive, 'lidar_extent_x')[0] == 8.0
    occupancy = [
        column(frame, drive, f'lidar_occupancy_0_{y}_{x}')[0] for y, x in np.ndindex(2, 2)
    ]
    assert occupancy == [1.0, 0.0, 0.0, 1.0]
    assert frame.valid[:, group(drive, 'lidar_points')].tolist() == [0, 0, 1]


def test_an_empty_cloud_is_a_frame_whose_centroid_is_not_valid():
    drive = Drive(make_pipeline(sources=['lidar']))
    drive.push('lidar', 100, cloud())
    drive.advance(100)
    assert len(drive.frame('voxels', 100).voxels.index) == 0
    frame = drive.frame('features', 100)
    assert frame.valid[-1, group(drive, 'lidar_points')] == 1
    assert frame.valid[-1, group(drive, 'lidar_centroid')] == 0


def test_a_cloud_that_no_transform_leads_to_the_output_frame_is_left_out_and_counted():
    drive = Drive(make_pipeline(sources=['lidar'], output_frame='base_link'))
    drive.push('lidar', 100, POINT)
    assert drive.advance(100) == []
    status = drive.status()
    assert status.outputs['voxels'].dropped == {Reason.FRAME_NO_CLOUD: 1}
    assert status.outputs['voxels'].frame_id == 'base_link'
    # Its features would be those of another box than the grid, and the trigger is required.
    assert status.outputs['features'].dropped == {Reason.FRAME_REQUIRED: 1}
    assert status.sources['lidar'].notes == {Reason.TRANSFORM_UNKNOWN: 1}
    assert status.sources['lidar'].frame_id == 'lidar'


def test_only_the_source_in_another_frame_is_blamed_for_it():
    rear = {'rear.type': 'pointcloud2', 'rear.occupancy_shape': [1, 1, 1]}
    drive = Drive(make_pipeline(sources=['lidar', 'rear'], **rear))
    drive.push('rear', 90, cloud((0.5, 0.5, 0.5), frame_id='rear'))
    drive.push('lidar', 100, POINT)
    drive.advance(100)
    status = drive.status()
    assert status.sources['rear'].notes == {Reason.FRAME_MISMATCH: 1}
    assert status.sources['lidar'].notes == status.outputs['voxels'].notes == {}


def test_a_cloud_without_the_field_of_a_channel_is_noted_at_its_source_with_what_it_has():
    drive = Drive(make_pipeline(sources=['lidar']))
    one = np.ones(1, np.float32)
    columns = {'x': one, 'y': one, 'z': one, 't': np.ones(1, np.uint64)}
    drive.push('lidar', 100, CloudView.from_columns(columns, frame_id='lidar'))
    drive.advance(100)
    account = drive.status().sources['lidar']
    assert account.notes == {Reason.FIELD_MISSING: 1}
    assert account.fields == ('x', 'y', 'z')  # a 64-bit time is no value of a channel
    drive.push('lidar', 200, POINT)
    drive.advance(200)
    account = drive.status().sources['lidar']
    assert account.notes == {Reason.FIELD_MISSING: 1}
    assert account.fields == ('x', 'y', 'z', 'intensity')


def test_two_lidars_in_one_frame_make_one_grid():
    rear = {'rear.type': 'pointcloud2', 'rear.occupancy_shape': [1, 1, 1]}
    drive = Drive(make_pipeline(sources=['lidar', 'rear'], **rear))
    drive.push('rear', 90, cloud((0.5, 0.5, 0.5), (1.5, 0.5, 0.5)))
    drive.push('lidar', 100, POINT)
    drive.advance(100)
    frame = drive.frame('voxels', 100)
    assert frame.voxels.count.tolist() == [2, 1]
    features = drive.frame('features', 100)
    assert column(features, drive, 'lidar_points')[-1] == 1.0
    assert column(features, drive, 'rear_points')[-1] == 2.0


def test_a_cloud_beyond_its_gap_does_not_go_into_the_grid():
    rear = {'rear.type': 'pointcloud2', 'rear.occupancy_shape': [1, 1, 1]}
    drive = Drive(make_pipeline(sources=['lidar', 'rear'], **rear))
    drive.push('rear', 100, POINT)
    drive.push('lidar', 301, POINT)
    drive.advance(301)
    assert drive.frame('voxels', 301).missing == ('rear',)
    assert drive.frame('voxels', 301).used == {'lidar': (301 * MS,)}


def test_an_image_smaller_than_its_grid_is_refused():
    drive = Drive(make_pipeline(sources=['lidar', 'camera']))
    with pytest.raises(Rejected, match='image_too_small: 8 x 7 pixels'):
        drive.push('camera', 100, image(1, rows=7, cols=8))
    assert drive.status().sources['camera'].received == 0


def test_the_bytes_of_old_clouds_and_images_are_given_back():
    drive = Drive(make_pipeline(sources=['lidar', 'camera']))
    for t_ms in range(100, 1100, 100):
        drive.push('camera', t_ms, image(1))
        drive.push('lidar', t_ms, POINT)
        drive.advance(t_ms)
    for source, kept in (('lidar', 1), ('camera', 0)):
        snapshots = drive.pipeline._timeline.tracks[source].ring.column(0)
        assert sum(snapshot.payload is not None for snapshot in snapshots) == kept


def test_rejected_messages_are_received_and_dropped():
    drive = Drive(make_pipeline())
    drive.pipeline.reject('lidar', Reason.CLOUD_SIZE)
    account = drive.status().sources['lidar']
    assert account.received == 1
    assert account.dropped == {Reason.CLOUD_SIZE: 1}


streams = st.fixed_dictionaries(
    {
        'lidar': st.sets(st.integers(0, 60), min_size=1, max_size=6),
        'camera': st.sets(st.integers(0, 60), max_size=8),
        'imu': st.sets(st.integers(0, 60), max_size=30),
    }
)


def sample_of(source: str, t: int):
    """Some sample that differs from time to time."""
    if source == 'lidar':
        return cloud((t % 8 + 0.5, 0.5, 0.5), (t % 5, t % 3, t % 4))
    return image(t) if source == 'camera' else imu(t, oriented=t % 3 > 0)


@settings(max_examples=60, deadline=None)
@given(streams, st.randoms(use_true_random=False))
def test_a_frame_is_a_pure_function_of_the_samples_it_names(times, random):
    arrivals = [(source, 10 * t, sample_of(source, t)) for source in times for t in times[source]]
    random.shuffle(arrivals)
    drive = Drive(make_pipeline(None))
    drive.deliver(arrivals)
    for frame in drive.frames:
        Drive(make_pipeline(None)).assert_makes_again(frame, arrivals)


@settings(max_examples=60, deadline=None)
@given(streams, st.randoms(use_true_random=False))
def test_frames_made_when_everything_has_arrived_do_not_depend_on_the_order(times, random):
    arrivals = [(source, 10 * t, sample_of(source, t)) for source in times for t in times[source]]
    in_order, shuffled = Drive(make_pipeline(None)), Drive(make_pipeline(None))
    in_order.deliver_at_once(sorted(arrivals, key=lambda arrival: arrival[1]))
    random.shuffle(arrivals)
    shuffled.deliver_at_once(arrivals)
    assert frame_bytes(in_order.frames) == frame_bytes(shuffled.frames)


def test_both_halves_carry_the_same_time_and_frame():
    drive = Drive(make_pipeline(sources=['lidar', 'imu']))
    drive.imu(90, 100)
    drive.push('lidar', 100, POINT)
    drive.advance(100)
    voxels, features = drive.frames
    assert isinstance(voxels, VoxelFrame)
    assert isinstance(features, FeatureFrame)
    assert (voxels.t_ref_ns, voxels.frame_id) == (features.t_ref_ns, features.frame_id)
