# Copyright 2026 the robocache_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Colours of points, held against the true colours of the surfaces that they were measured on."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.spatial import cKDTree

from robocache_ros.backends.numpy_backend import NumpyBackend
from robocache_ros.codec.camera import Camera
from robocache_ros.codec.stamp import stamp_ns
from robocache_ros.config import Config
from robocache_ros.decoding import Decoder, frame_of
from robocache_ros.demo.options import PARAMETERS
from robocache_ros.pipeline import Pipeline
from robocache_ros.resources import config_file
from robocache_ros.samples import VoxelFrame
from robocache_ros.sim import Box, CameraConfig, Robot, RobotConfig, World
from robocache_ros.sim.world import BOXES

pytest.importorskip('yaml', reason='needs PyYAML, as the package does')

# So small that nearly every point has a voxel of its own, whose centroid tells which it is.
ALONE = {
    'voxels.voxel_size': 0.02,
    'voxels.point_cloud_range': [-20.0, -20.0, -1.0, 20.0, 20.0, 7.0],
    'voxels.channels': ['count', 'centroid', 'rgb', 'mean_r'],
}


def painted_points(robot, config, sweep):
    """
    Points [N, 3] of a sweep in the frame of the robot, and their colours [N, 3].

    Goes through the whole pipeline. A point that no image saw has the colour -1.
    """
    pipeline = Pipeline(config, NumpyBackend())
    decoders = {source.name: Decoder(source, config.deskew) for source in config.sources}
    grids = []
    for event in robot.events(0.1 * sweep + 0.25):
        if event.source == 'camera':
            info = robot.message('camera_info', 0, event.publish_ns)
            pipeline.tell_camera('camera', Camera.from_info(info))
        if event.source in decoders:
            message = event.message
            t_ns, sample = decoders[event.source](message, stamp_ns(message.header))
            pipeline.push(event.publish_ns, event.source, t_ns, sample, frame_of(message))
        grids += [f for f in pipeline.advance(event.publish_ns) if isinstance(f, VoxelFrame)]
    voxels = grids[sweep].voxels
    columns = {name: values[voxels.count == 1] for name, values in voxels.columns.items()}
    points = np.stack([columns[f'centroid_{axis}'] for axis in 'xyz'], axis=1)
    bits = columns['rgb'].view(np.uint32)
    colors = np.stack([bits >> 16 & 255, bits >> 8 & 255, bits & 255], axis=1).astype(int)
    colors[np.isnan(columns['mean_r'])] = -1
    return points, colors


def true_colors(robot, points, capture_ns, t_ref_ns):
    """Colours [N, 3] of the surfaces that the measured points nearest to `points` lie on."""
    there = robot.true_points('lidar', capture_ns, t_ref_ns)
    away, nearest = cKDTree(there).query(points)
    assert np.percentile(away, 99) < 0.01
    return robot.true_colors('lidar', capture_ns)[nearest].astype(int)


@pytest.mark.parametrize(
    'lens',
    [
        {},
        {'distortion': (-0.28, 0.07, 1e-3, -8e-4, 0.0)},
        {
            'distortion_model': 'rational_polynomial',
            'distortion': (0.4, 0.05, 4e-4, -7e-4, 0.0, 0.7, 0.11, 0.0),
        },
        {
            'distortion_model': 'equidistant',
            'distortion': (0.02, -4e-3, 1e-3, -1e-4),
            'view_deg': 200.0,
        },
    ],
    ids=['straight', 'plumb_bob', 'rational_polynomial', 'equidistant'],
)
def test_points_of_a_robot_that_drives_and_turns_have_the_colour_of_their_surface(lens):
    config = Config.from_yaml(config_file(PARAMETERS))
    config = Config.from_mapping({**config.to_mapping(), **ALONE})
    robot = Robot(RobotConfig(camera=CameraConfig(**lens)))
    sweep = 3
    points, colors = painted_points(robot, config, sweep)
    painted = colors[:, 0] >= 0
    capture_ns = sweep * 100_000_000
    t_ref_ns = capture_ns + 99_937_500  # the last of 1600 columns
    true = true_colors(robot, points[painted], capture_ns, t_ref_ns)
    right = (np.abs(colors[painted] - true) <= 1).all(axis=1)
    assert painted.mean() > (0.45 if 'view_deg' in lens else 0.15)
    assert right.mean() >= 0.97


CRATE = Box((-1.0, 3.0, 0.0), (1.0, 4.0, 1.3), (220, 60, 50), 0.8)
BEHIND = {  # a robot that stands, whose LiDAR looks over a crate and whose camera does not
    'semi_axes': [0.0, 0.0],
    'turns': 0,
    'lidar.position': [0.0, 0.0, 2.6],
    'lidar.rings': 128,
    'lidar.lowest_deg': -40.0,
    'lidar.highest_deg': 0.0,
    'camera.position': [0.3, 0.0, 1.0],
}
STANDING = {
    'sources': ['lidar', 'camera'],
    'base_frame': 'base_link',
    'lidar.extrinsic': [0.0, 0.0, 2.6, 0.0, 0.0, 0.0],
    'camera.extrinsic': [0.3, 0.0, 1.0, -np.pi / 2, 0.0, -np.pi / 2],
    'camera.paint': ['rgb'],
    **ALONE,
}


def hidden(robot, points):
    """Which points [N, 3] in the frame of the robot the camera can not see: bool [N]."""
    base, camera = robot.pose('base', 0.0), robot.pose('camera', 0.0).position
    away = base.of(points.astype(np.float64)) - camera
    distance = np.linalg.norm(away, axis=1)
    rays = (away.T / distance).astype(np.float32)
    hits = robot.world.cast(camera[:, None].astype(np.float32), rays)
    return hits.distance < distance - 0.1


@pytest.mark.parametrize('occlusion_deg', [0.7, 0.0])
def test_what_is_behind_a_crate_does_not_take_its_colour(occlusion_deg):
    robot = Robot(RobotConfig.from_mapping(BEHIND), World([CRATE]))
    config = Config.from_mapping({**STANDING, 'camera.occlusion_deg': occlusion_deg})
    points, colors = painted_points(robot, config, 1)
    ahead = np.abs(points[:, 1]) < 0.8 * points[:, 0]  # well inside the image
    behind = ahead & (points[:, 0] > 4.1) & hidden(robot, points)
    assert behind.sum() > 1000
    crates = np.unique(robot.world.colors[BOXES:].astype(int), axis=0)
    has_its_colour = (colors[behind, None] == crates).all(axis=2).any(axis=1)
    if occlusion_deg:
        assert has_its_colour.mean() < 0.01
        # What is in sight keeps its own, but for a rim of a cell round the crate.
        assert (colors[ahead & ~behind, 0] >= 0).mean() > 0.95
    else:
        assert has_its_colour.mean() > 0.95
