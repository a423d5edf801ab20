# Copyright 2026 the robocache_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Frames and a configuration made by hand, and a managed node that publishes them."""

from __future__ import annotations

import numpy as np
from rclpy.lifecycle import LifecycleNode, TransitionCallbackReturn

from robocache_ros.backends.status import BackendStatus
from robocache_ros.config import Config
from robocache_ros.grid import PointStats, SparseVoxels
from robocache_ros.ros.outputs import Outputs
from robocache_ros.samples import FeatureFrame, VoxelFrame
from robocache_ros.schema import Schema

# One nanosecond short of a second: a stamp that went through a float would not survive.
T_REF_NS = 1_700_000_000_999_999_999
BACKEND = BackendStatus('numpy', 'a test')
FRAME_ID = 'lidar_tür/α'
NAN_BITS = 0x7FC00000

SMALL = {
    'sources': ['lidar', 'imu'],
    'voxels.voxel_size': 1.0,
    'voxels.point_cloud_range': [0.0, 0.0, 0.0, 4.0, 3.0, 2.0],
    'features.targets': 3,
    'lidar.occupancy_shape': [1, 1, 1],
}


def config_of(**changes):
    return Config.from_mapping({**SMALL, **{k.replace('__', '.'): v for k, v in changes.items()}})


def voxel_frame(config, t_ref_ns=T_REF_NS, dense=None):
    """Two voxels of a 4 x 3 x 2 grid: (1, 0, 0) with a mean, (3, 2, 1) without a valid value."""
    count = np.array([4_000_000_000, 1], np.uint32)  # more than an int32 holds
    mean = np.array([0.25, np.nan], np.float32)
    mean.view(np.uint32)[1] = NAN_BITS
    voxels = SparseVoxels(
        grid=config.grid,
        index=np.array([1, 23], np.int64),
        count=count,
        columns={'count': count, 'mean_intensity': mean},
        stats=PointStats(),
    )
    return VoxelFrame(t_ref_ns, 0, FRAME_ID, voxels, dense, {}, (), True, 0, 0)


def feature_frame(schema, t_ref_ns=T_REF_NS):
    """Values, ages and flags that are all different, so that none can be mistaken."""
    rows, width, groups = 3, len(schema.feature_names), len(schema.groups)
    values = np.arange(rows * width, dtype=np.float32).reshape(rows, width) / 8
    age = np.arange(rows * groups, dtype=np.float32).reshape(rows, groups) - 0.5
    valid = (np.arange(rows * groups) % 3 == 0).astype(np.uint8).reshape(rows, groups)
    dt = np.array([-0.04, -0.02, 0.0], np.float32)
    return FeatureFrame(t_ref_ns, 0, FRAME_ID, dt, values, valid, age, {}, (), True, 0, 0)


class Source(LifecycleNode):
    """A managed node with nothing but outputs."""

    def __init__(self, context, config, name='preprocessor', **options):
        super().__init__(name, context=context, **options)
        self.outputs = None
        self.use(config)

    def use(self, config):
        self.config = config
        self.schema = Schema.from_config(config)
        self.about = self.text_of(config)

    @staticmethod
    def text_of(config):
        return Schema.from_config(config).to_json(BACKEND)

    def on_configure(self, state):
        self.outputs = Outputs(self, self.schema, self.config, BACKEND)
        return super().on_configure(state)

    def on_cleanup(self, state):
        self.outputs.destroy()
        self.outputs = None
        return TransitionCallbackReturn.SUCCESS

    def started(self):
        self.trigger_configure()
        self.trigger_activate()
        return self

    def send(self, t_ref_ns=T_REF_NS):
        self.outputs.publish(voxel_frame(self.config, t_ref_ns))
        self.outputs.publish(feature_frame(self.schema, t_ref_ns))
