# Copyright 2026 the robocache_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Parameters change between two frames: nothing is lost, and no frame is of both sides."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from small_robot import MS, SMALL, Drive, cloud, image, imu, make_pipeline, name_of

from robocache_ros.assembly import stale_features
from robocache_ros.backends import make_backend
from robocache_ros.codec.camera import Camera
from robocache_ros.codec.image import ImageView
from robocache_ros.config import Config, ConfigError, parameters_of
from robocache_ros.motion.pose import Pose, identity
from robocache_ros.pipeline import Pipeline
from robocache_ros.reasons import Reason
from robocache_ros.samples import FeatureFrame, VoxelFrame

POINTS = ((0.5, 0.5, 0.5), (1.2, 0.5, 0.5), (1.4, 0.5, 0.5), (3.5, 2.5, 1.5), (6.5, 7.5, 3.5))
LIDAR = {'sources': ['lidar']}
BOTH = {'sources': ['lidar', 'imu']}


def changed(pipeline: Pipeline, **parameters: object) -> Config:
    """Configuration of a pipeline with other parameters; `lidar__wait` stands for lidar.wait."""
    named = {key.replace('__', '.'): value for key, value in parameters.items()}
    return Config.from_mapping({**pipeline.config.to_mapping(), **named})


def reconfigure(drive: Drive, **parameters: object) -> None:
    drive.pipeline.reconfigure(changed(drive.pipeline, **parameters))


def schema_of(drive: Drive, frame: VoxelFrame | FeatureFrame) -> int:
    """Schema of a frame that has just come out: what the pipeline says then."""
    return drive.schemas[name_of(frame), frame.t_ref_ns]


class Watched(Drive):
    """Notes the schema that the pipeline has while each frame is in hand, as its owner sees it."""

    def __init__(self, pipeline: Pipeline) -> None:
        super().__init__(pipeline)
        self.schemas: dict[tuple[str, int], int] = {}

    def advance(self, now_ms: float) -> list[tuple[str, float]]:
        new = []
        for frame in self.pipeline.advance(int(now_ms * MS)):
            self.schemas[name_of(frame), frame.t_ref_ns] = self.pipeline.schema.schema_id
            new.append(frame)
        self.frames += new
        return [(name_of(frame), frame.t_ref_ns / MS) for frame in new]


def drive_of(**parameters: object) -> Watched:
    return Watched(make_pipeline(**parameters))


def test_a_change_takes_effect_with_the_next_frame_and_not_before():
    drive = drive_of(**LIDAR)
    drive.push('lidar', 0, cloud(*POINTS))
    drive.advance(0)
    before = drive.pipeline.schema
    reconfigure(drive, voxels__voxel_size=2.0)
    assert drive.pipeline.schema is before  # nobody has advanced
    drive.push('lidar', 100, cloud(*POINTS))
    drive.advance(100)
    first, second = drive.frame('voxels', 0), drive.frame('voxels', 100)
    assert (first.voxels.grid.dims, second.voxels.grid.dims) == ((8, 8, 4), (4, 4, 2))
    assert second.voxels.index.tolist() == [0, 5, 31]
    assert drive.pipeline.schema.schema_id != before.schema_id
    drive.assert_conserved()


READ_ONCE = {
    'lidar.topic': 'other',
    'lidar.history_sec': 3.0,
    'imu.extrinsic': [0.0, 0.0, 1.0, 0.0, 0.0, 0.0],
    'trigger': 'rate',
    'voxels.sources': ['lidar'],
    'max_message_bytes': 4096,
}


@pytest.mark.parametrize('name', READ_ONCE)
def test_what_is_read_once_can_not_change_and_the_refusal_names_it(name):
    pipeline = make_pipeline(base_frame='base_link')
    before = pipeline.config
    with pytest.raises(ConfigError, match=rf'{name} is read once.*Start the node anew') as caught:
        pipeline.reconfigure(changed(pipeline, **{name: READ_ONCE[name]}))
    assert len(caught.value.problems) == 1
    list(pipeline.advance(0))
    assert pipeline.config is before


def test_exactly_what_does_not_shape_the_inputs_may_change():
    live = {about.name for about in parameters_of() if not about.read_only}
    of_sources = {name.partition('.')[2] for name in live if name.startswith(('lidar', 'camera'))}
    assert of_sources == {
        'max_gap_sec', 'required', 'wait', 'occlusion_deg', 'occlusion_clearance',
        'occupancy_shape',
    }  # fmt: skip
    blocks = [about.name for about in parameters_of() if about.name.startswith(('vox', 'feat'))]
    assert {*blocks} - live == {'voxels.sources'}
    assert {name for name in live if '.' not in name} == {
        'timeout_sec', 'on_timeout', 'trigger_rate_hz',
    }  # fmt: skip


def test_the_newest_of_several_changes_counts():
    drive = drive_of(**LIDAR)
    for size in (2.0, 4.0, 0.5):
        reconfigure(drive, voxels__voxel_size=size)
    drive.push('lidar', 0, cloud(*POINTS))
    drive.advance(0)
    assert drive.frame('voxels', 0).voxels.grid.dims == (16, 16, 8)


def test_a_change_during_a_computation_is_for_the_next_frame():
    backend = make_backend('numpy')
    config = Config.from_mapping({**{k: v for k, v in SMALL.items() if 'imu' not in k}, **LIDAR})
    drive = Watched(Pipeline(config, backend))
    compute = backend.voxelize

    def voxelize(clouds, spec):
        reconfigure(drive, voxels__voxel_size=2.0, lidar__occupancy_shape=[2, 1, 1])
        return compute(clouds, spec)

    backend.voxelize = voxelize
    drive.push('lidar', 0, cloud(*POINTS))
    assert drive.advance(0) == [('voxels', 0.0), ('features', 0.0)]
    assert drive.frame('voxels', 0).voxels.grid.dims == (8, 8, 4)
    assert len({*drive.schemas.values()}) == 1  # the other half is of the same configuration
    drive.push('lidar', 100, cloud(*POINTS))
    drive.advance(100)
    assert drive.frame('voxels', 100).voxels.grid.dims == (4, 4, 2)
    assert drive.frame('features', 100).values.shape[1] == 2 + 3 + 3 + 2
    assert len({*drive.schemas.values()}) == 2


def test_both_halves_of_a_frame_are_of_one_configuration_though_one_waits():
    drive = drive_of(**BOTH)
    drive.imu(-10, 0)
    drive.push('lidar', 5, cloud(*POINTS))
    assert drive.advance(5) == [('voxels', 5.0)]  # the features wait for the IMU
    reconfigure(drive, voxels__voxel_size=2.0)
    drive.push('lidar', 8, cloud(*POINTS))
    assert drive.advance(8) == []  # so the next grid waits for them, too
    drive.imu(10)
    assert drive.advance(10) == [('features', 5.0), ('voxels', 8.0), ('features', 8.0)]
    first, second = (schema_of(drive, drive.frame('voxels', t)) for t in (5, 8))
    assert first == schema_of(drive, drive.frame('features', 5))
    assert second == schema_of(drive, drive.frame('features', 8)) != first
    drive.assert_conserved()


def test_a_change_waits_for_the_other_half_no_longer_than_a_frame_does():
    drive = drive_of(**BOTH, timeout_sec=0.05)
    drive.imu(-10, 0)
    drive.push('lidar', 5, cloud(*POINTS))
    drive.advance(5)
    reconfigure(drive, voxels__voxel_size=2.0)
    for t_ms in range(10, 50, 10):
        drive.push('lidar', t_ms, cloud(*POINTS))
        assert drive.advance(t_ms) == []
    assert drive.pipeline.next_deadline_ns() == 50 * MS
    drive.advance(50)
    grids = [frame for frame in drive.frames if isinstance(frame, VoxelFrame)]
    assert [frame.t_ref_ns // MS for frame in grids] == [5, 10, 20, 30, 40]
    assert [frame.voxels.grid.dims[0] for frame in grids] == [8, 4, 4, 4, 4]
    assert [output.dropped for output in drive.status().outputs.values()] == [{}, {}]
    drive.assert_conserved()


def test_a_change_without_frames_is_due_at_once():
    drive = drive_of(**LIDAR)
    assert drive.pipeline.next_deadline_ns() is None
    reconfigure(drive, voxels__voxel_size=2.0)
    assert drive.pipeline.next_deadline_ns() == 0
    assert drive.advance(0) == []
    assert drive.pipeline.config.grid.dims == (4, 4, 2)
    assert drive.pipeline.next_deadline_ns() is None


def test_whoever_owns_the_pipeline_learns_of_a_change_before_its_first_frame():
    told = []
    pipeline = Pipeline(
        make_pipeline(**LIDAR).config,
        make_backend('numpy'),
        on_change=lambda: told.append(pipeline.schema.schema_id),
    )
    pipeline.push(0, 'lidar', 0, cloud(*POINTS), 'lidar')
    pipeline.reconfigure(changed(pipeline, voxels__voxel_size=2.0))
    assert told == []
    next(pipeline.advance(0))
    assert told == [pipeline.schema.schema_id]
    pipeline.reconfigure(changed(pipeline, voxels__voxel_size=4.0))
    assert not pipeline.apply_change()  # its features are yet to come
    list(pipeline.advance(0))
    assert told[1:] == [pipeline.schema.schema_id]
    assert not pipeline.apply_change()


def test_where_nobody_advances_a_change_can_be_applied_by_hand():
    pipeline = make_pipeline(**LIDAR)
    pipeline.reconfigure(changed(pipeline, voxels__voxel_size=2.0))
    assert pipeline.apply_change()
    assert pipeline.config.grid.dims == (4, 4, 2)


def test_frames_that_wait_go_by_the_new_timeout():
    drive = drive_of(**BOTH, timeout_sec=1.0, trigger='imu', lidar__wait='until_t_ref')
    drive.push('lidar', -10, cloud(*POINTS))
    drive.push('lidar', 0, cloud(*POINTS))
    drive.imu(10)
    assert drive.advance(10) == []  # both halves wait for the next cloud
    reconfigure(drive, timeout_sec=0.015, on_timeout='skip')
    assert drive.advance(24) == []
    assert drive.pipeline.next_deadline_ns() == 25 * MS
    drive.advance(25)
    for output in drive.status().outputs.values():
        assert output.dropped == {Reason.FRAME_TIMEOUT: 1}
    drive.assert_conserved()


def test_a_cloud_is_voxelized_anew_for_a_faster_trigger_after_a_change():
    drive = drive_of(**BOTH, trigger='rate', trigger_rate_hz=100.0)
    drive.push('lidar', 0, cloud(*POINTS))
    drive.imu(0, 10)
    drive.advance(10)
    reconfigure(drive, voxels__voxel_size=2.0, voxels__channels=['count', 'max_intensity'])
    drive.imu(20)
    drive.advance(20)
    assert drive.frame('voxels', 10).voxels.grid.dims == (8, 8, 4)
    voxels = drive.frame('voxels', 20).voxels
    assert voxels.index.tolist() == [0, 5, 31]
    assert voxels.columns['max_intensity'].tolist() == [2.0, 3.0, 4.0]


def test_features_of_clouds_that_are_gone_are_not_valid_on_another_grid():
    drive = drive_of(**LIDAR, features__target_rate_hz=10.0)
    for t_ms in (0, 100, 200):
        drive.push('lidar', t_ms, cloud(*POINTS[: 1 + t_ms // 100]))
        drive.advance(t_ms)
    reconfigure(drive, voxels__voxel_size=2.0)
    drive.push('lidar', 300, cloud(*POINTS))
    drive.advance(300)
    frame = drive.frame('features', 300)
    assert frame.valid[:, 0].tolist() == [0, 1, 1]  # rows of 100, 200 and 300 ms
    assert frame.values[1:, 0].tolist() == [3.0, 5.0]
    assert frame.values[1:, 1].tolist() == [1.0, 3.0]  # occupied voxels: of the new grid
    drive.assert_conserved()


def test_features_of_clouds_stay_where_the_change_is_about_something_else():
    drive = drive_of(**LIDAR, features__target_rate_hz=10.0)
    for t_ms in (0, 100, 200):
        drive.push('lidar', t_ms, cloud(*POINTS[: 1 + t_ms // 100]))
        drive.advance(t_ms)
    reconfigure(drive, voxels__channels=['count'], timeout_sec=0.2, lidar__max_gap_sec=0.15)
    drive.push('lidar', 300, cloud(*POINTS))
    drive.advance(300)
    frame = drive.frame('features', 300)
    assert frame.valid[:, 0].tolist() == [1, 1, 1]
    assert frame.values[:, 0].tolist() == [2.0, 3.0, 5.0]


@pytest.mark.parametrize(
    ('rate_hz', 'times'),
    [(50.0, [140, 160, 180, 200]), (20.0, [150, 200]), (5.0, [200]), (10.0, [200])],
)
def test_another_trigger_rate_repeats_no_time_and_leaves_none_out(rate_hz, times):
    drive = drive_of(**BOTH, trigger='rate', trigger_rate_hz=10.0)
    drive.push('lidar', 0, cloud(*POINTS))
    drive.imu(*range(0, 130, 10))
    drive.advance(130)
    assert [f.t_ref_ns // MS for f in drive.frames if isinstance(f, VoxelFrame)] == [0, 100]
    reconfigure(drive, trigger_rate_hz=rate_hz)
    drive.advance(130)
    drive.imu(*range(130, 210, 10))
    drive.advance(210)
    assert [f.t_ref_ns // MS for f in drive.frames if isinstance(f, VoxelFrame)][2:] == times


def test_counts_epochs_and_calibrations_outlive_a_change():
    drive = drive_of(**BOTH)
    drive.imu(0, 10, 20)
    drive.push('lidar', 10, cloud(*POINTS))
    drive.advance(20)
    drive.pipeline.clock_jumped(0, 30 * MS)
    drive.pipeline.reject('lidar', Reason.STAMP_UNSET)
    before = drive.status()
    reconfigure(drive, voxels__voxel_size=2.0, imu__max_gap_sec=0.1, imu__required=True)
    drive.advance(40)
    assert drive.pipeline.config.grid.dims == (4, 4, 2)
    assert drive.status() == before


def test_a_source_counts_as_silent_by_the_new_timeout():
    drive = drive_of(**BOTH, timeout_sec=1.0)
    drive.imu(0, 10)
    assert drive.status(200).sources['imu'].state == 'ok'
    reconfigure(drive, timeout_sec=0.1)
    drive.advance(200)
    assert drive.status(200).sources['imu'].state == 'silent'


def test_another_occupancy_is_that_of_clouds_that_came_before_and_of_none():
    drive = drive_of(**BOTH, trigger='imu')
    drive.imu(0)
    drive.advance(0)
    reconfigure(drive, lidar__occupancy_shape=[4, 8, 8])
    drive.imu(10)  # there has been no cloud yet
    drive.advance(10)
    assert drive.frame('features', 10).values.shape[1] == 8 + 256 + 10
    drive.push('lidar', 12, cloud(*POINTS))
    drive.imu(20)
    drive.advance(20)
    assert drive.frame('features', 20).values[-1, 8:264].sum() == 4
    reconfigure(drive, lidar__occupancy_shape=[1, 1, 2])
    drive.imu(30)
    drive.advance(30)
    assert drive.frame('features', 30).values[-1, 8:10].tolist() == [1.0, 1.0]


def test_a_longer_timeout_lets_transforms_be_remembered_for_longer():
    pipeline = make_pipeline(**LIDAR, lidar__history_sec=20.0, base_frame='base_link')
    pipeline.reconfigure(changed(pipeline, timeout_sec=19.0))
    pipeline.apply_change()
    for t_ms in (0, 30_000):
        pipeline.tell_transform(0, 'base_link', 'lidar', t_ms * MS, identity())
    assert isinstance(pipeline._frames.tree.lookup('base_link', 'lidar', 0), Pose)


def test_motion_with_other_gaps_makes_other_features_of_clouds():
    deskewed = {'base_frame': 'base_link', 'deskew.imu': 'imu', 'imu.extrinsic': [0.0] * 6}
    before = make_pipeline(**BOTH, **deskewed).config
    for name, stale in (('imu.max_gap_sec', {'lidar'}), ('lidar.max_gap_sec', set())):
        after = Config.from_mapping({**before.to_mapping(), name: 0.05})
        assert stale_features(before, after) == stale


def test_cameras_paint_what_new_channels_ask_for_and_see_past_what_hides_no_more():
    painted = {'base_frame': 'base_link', 'sources': ['lidar', 'camera'], 'camera.paint': ['rgb']}
    mounted = {'lidar.extrinsic': [0.0] * 6, 'camera.occlusion_clearance': 10.0}
    ahead = [0.0, 4.0, 2.0, -math.pi / 2, 0.0, -math.pi / 2]
    drive = drive_of(**painted, **mounted, camera__extrinsic=ahead, voxels__channels=['count'])
    drive.pipeline.tell_camera('camera', Camera(16, 16, 8, 8, 7.5, 7.5, False, (0.0,) * 8, 100))
    red = ImageView(np.tile(np.array([200, 0, 0], np.uint8), 256), 16, 16, 48, 'rgb8', False, 'c')
    steps = ({}, {'voxels.channels': ['mean_r']}, {'camera.occlusion_deg': 0.0})
    for t_ms, step in enumerate(steps):
        reconfigure(drive, **step)
        drive.push('camera', 100 * t_ms, red)
        drive.push('lidar', 100 * t_ms, cloud((2.5, 4.0, 2.0), (7.5, 4.0, 2.0)))
        drive.advance(100 * t_ms)
    assert 'mean_r' not in drive.frame('voxels', 0).voxels.columns
    near, far = drive.frame('voxels', 100).voxels.columns['mean_r'].tolist()
    assert (near, math.isnan(far)) == (200.0, True)
    assert drive.frame('voxels', 200).voxels.columns['mean_r'].tolist() == [200.0, 200.0]


# -- any changes: from each on, frames are those of a new pipeline that was given the same

SAMPLES = sorted(
    [
        *(('lidar', t, cloud(*POINTS[: 2 + t // 100 % 4])) for t in range(0, 1000, 100)),
        *(('camera', t, image(t // 10)) for t in range(30, 1000, 100) if t != 430),
        *(('imu', t, imu(t)) for t in range(0, 1000, 20) if not 500 < t < 620),
    ],
    key=lambda sample: sample[1],
)
CHANGES = {
    'voxels.voxel_size': [0.5, 1.0, 2.0],
    'voxels.channels': [['count'], ['count', 'mean_intensity'], ['count', 'centroid']],
    'voxels.max_points': [2, 1000],
    'voxels.max_points_per_voxel': [0, 1],
    'voxels.seed': [0, 7],
    'voxels.dense': ['none', 'float32', 'uint8'],
    'features.targets': [1, 3, 6],
    'features.target_rate_hz': [50.0, 100.0],
    'timeout_sec': [0.04, 0.08],
    'on_timeout': ['partial', 'skip'],
    'lidar.max_gap_sec': [0.05, 0.2],
    'imu.max_gap_sec': [0.03, 0.2],
    'imu.required': [False, True],
    'imu.wait': ['newest', 'until_t_ref'],
    'camera.required': [False, True],
    'camera.wait': ['newest', 'until_t_ref'],
    'lidar.occupancy_shape': [[1, 2, 2], [2, 1, 1]],
}
one_change = st.tuples(
    st.integers(1, 8),  # before which cloud
    st.fixed_dictionaries({}, optional={key: st.sampled_from(v) for key, v in CHANGES.items()}),
)


def fed(pipeline: Pipeline, changes: dict[int, Config]) -> Watched:
    drive = Watched(pipeline)
    for source, t_ms, payload in SAMPLES:
        if source == 'lidar' and t_ms // 100 in changes:
            drive.advance(t_ms - 1)
            assert pipeline.next_deadline_ns() is None  # nothing waits
            pipeline.reconfigure(changes[t_ms // 100])
        drive.push(source, t_ms, payload)
        drive.advance(t_ms)
    drive.advance(1200)
    drive.assert_conserved()
    return drive


def assert_equal_grids(frame: VoxelFrame, other: VoxelFrame) -> None:
    assert frame.voxels.grid == other.voxels.grid
    np.testing.assert_array_equal(frame.voxels.index, other.voxels.index)
    assert frame.voxels.columns.keys() == other.voxels.columns.keys()
    for name, values in frame.voxels.columns.items():
        assert values.tobytes() == other.voxels.columns[name].tobytes(), name
    assert (frame.dense is None) == (other.dense is None)
    assert frame.dense is None or frame.dense.tobytes() == other.dense.tobytes()
    assert (frame.used, frame.complete) == (other.used, other.complete)


def assert_equal_tables(
    frame: FeatureFrame, other: FeatureFrame, pipeline: Pipeline, known_from_ns: int
) -> None:
    """To the bit; of clouds from the oldest one on that was still there at the change."""
    assert frame.dt.tobytes() == other.dt.tobytes()
    known = frame.t_ref_ns + np.round(frame.dt.astype(np.float64) * 1e9) >= known_from_ns
    column = 0
    for number, group in enumerate(pipeline.schema.groups):
        rows = known if group.source == 'lidar' else slice(None)
        columns = slice(column, column + group.width)
        for mine, theirs in (
            (frame.values[rows, columns], other.values[rows, columns]),
            (frame.valid[rows, number], other.valid[rows, number]),
            (frame.age[rows, number], other.age[rows, number]),
        ):
            assert mine.tobytes() == theirs.tobytes(), group.name
        column += group.width
    if known.all():
        assert frame.complete == other.complete


@settings(max_examples=25, deadline=None)
@given(st.lists(one_change, min_size=1, max_size=3, unique_by=lambda one: one[0]))
def test_after_any_changes_frames_are_those_of_a_new_pipeline(steps):
    config = make_pipeline(timeout_sec=0.08).config
    changes = {}
    for at, values in sorted(steps, key=lambda one: one[0]):
        try:
            config = changes[at] = Config.from_mapping({**config.to_mapping(), **values})
        except ConfigError:
            assume(False)
    drive = fed(make_pipeline(timeout_sec=0.08), changes)
    ends = [*list(changes)[1:], 99]
    for (at, config), end in zip(changes.items(), ends, strict=True):
        fresh = Pipeline(config, make_backend('numpy'))
        expected = {(name_of(f), f.t_ref_ns): f for f in fed(fresh, {}).frames}
        expected = {k: f for k, f in expected.items() if at <= k[1] // (100 * MS) < end}
        found = {(name_of(f), f.t_ref_ns): f for f in drive.frames}
        found = {k: f for k, f in found.items() if at <= k[1] // (100 * MS) < end}
        assert found.keys() == expected.keys()
        for key, frame in found.items():
            assert drive.schemas[key] == fresh.schema.schema_id
            if isinstance(frame, VoxelFrame):
                assert_equal_grids(frame, expected[key])
            else:
                assert_equal_tables(frame, expected[key], fresh, (at - 1) * 100 * MS)


def test_rows_of_clouds_that_gave_their_points_back_make_a_frame_partial_after_a_change():
    drive = Drive(make_pipeline(None, sources=['lidar'], features__targets=30))
    for t_ms in range(0, 300, 50):
        drive.push('lidar', t_ms, cloud((0.5, 0.5, 0.5)))
        drive.advance(t_ms)
    assert drive.frame('features', 250).complete
    config = drive.pipeline.config
    drive.pipeline.reconfigure(replace(config, voxels=replace(config.voxels, voxel_size=2.0)))
    drive.push('lidar', 300, cloud((0.5, 0.5, 0.5)))
    drive.advance(300)
    frame = drive.frame('features', 300)
    assert not frame.complete
    assert frame.valid[-1].all()
    assert not frame.valid[0].all()
    assert drive.status().sources['lidar'].notes[Reason.GRID_CHANGED] > 0
