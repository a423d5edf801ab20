# Copyright 2026 the robocache_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The cases with motion: deskew alone, clouds of several sensors, and several sweeps of one."""

from __future__ import annotations

from dataclasses import replace
from functools import partial

import bench_inputs as inputs
import bench_peers as peers
import numpy as np
from bench_case import Case, check_equal

from robocache_ros import deskew
from robocache_ros.backends import make_backend
from robocache_ros.codec.cloud import decode_cloud
from robocache_ros.codec.point_time import PointTimes
from robocache_ros.grid import Channel, Grid, VoxelSpec
from robocache_ros.motion.deskew import motion_of
from robocache_ros.motion.pose import Pose, compose, matrices
from robocache_ros.motion.trajectory import Trajectory

TURN_RATE, SPEED = 2.0, 5.0  # rad/s, m/s
SWEEP_SEC = 0.1
SAMPLE_NS = 5_000_000  # odometry at 200 Hz
SIZE = 0.2  # of a voxel, metres


def body(seconds):
    """Poses [k] of a robot that drives in a circle, in the frame it is in at 0 s."""
    angle, zero = TURN_RATE * seconds, np.zeros(len(seconds))
    radius = SPEED / TURN_RATE
    along = [radius * np.sin(angle), radius * (1.0 - np.cos(angle)), zero]
    turn = [zero, zero, np.sin(angle / 2), np.cos(angle / 2)]
    return Pose(np.stack(turn, axis=1), np.stack(along, axis=1))


class Sweep:
    """A cloud of a sensor on the robot, its motion known from odometry, in all forms."""

    def __init__(self, points, seconds, end_sec=0.0, mount=None, lag=None):
        """`seconds` [n] since the begin of the sweep; it ends `end_sec` before the target time."""
        mount = Pose.of([0.0] * 6) if mount is None else mount
        first_ns = round((end_sec - SWEEP_SEC) * 1e9)
        self._knots = np.arange(first_ns, first_ns + round(SWEEP_SEC * 1e9) + 1, SAMPLE_NS)
        self._path = Trajectory(
            self._knots, compose(body(self._knots / 1e9), mount), max_gap_ns=10 * SAMPLE_NS
        )
        self._points, self._first_ns = points, first_ns
        self._seconds = seconds.astype(np.float32)
        self._message = inputs.cloud_message(points, inputs.features(len(points), 1), seconds)
        self._constants = {} if lag is None else {'time_lag': lag}

    def ours(self):
        """Return the message as a cloud with a motion, which is made of the poses each time."""
        first, length = self._first_ns, round(SWEEP_SEC * 1e9)
        times = PointTimes('time', 1e9, 0.0, first, first, first + length)
        motion = motion_of(times, self._path.at)
        cloud = decode_cloud(self._message)
        return replace(cloud, motion=motion, constants=self._constants)

    def for_scipy(self):
        """Points, times, and the poses in between, all float64."""
        knots = (self._knots - self._first_ns) / 1e9
        times = np.minimum(self._seconds.astype(np.float64), knots[-1])
        return self._points.astype(np.float64), times, knots, *self._path.pose

    def for_kiss(self, kiss_icp):
        """Points, times, how far the sensor came during the sweep, and where it was then."""
        begin, end = (_matrix(self._path.pose, at) for at in (0, -1))
        points = peers.kiss_cloud(kiss_icp, self._points)
        return points, self._seconds.astype(np.float64), np.linalg.inv(begin) @ end, end


def _matrix(poses, at):
    matrix = np.eye(4)
    matrix[:3, :3], matrix[:3, 3] = matrices(poses.rotation[at]), poses.position[at]
    return matrix


def deskewed(name, found, n, order):
    """Points of one sweep, each moved by its own time."""
    points, seconds = scan(n)
    if order == 'rings':
        turn = np.arange(n).reshape(-1, inputs.BEAMS).T.ravel()
        points, seconds = points[turn], seconds[turn]
    sweep = Sweep(points, seconds)

    def ours():
        cloud = sweep.ours()
        return deskew(replace(cloud, motion=None), cloud.motion)

    impls = {'numpy': ours}
    if 'kiss_icp' in found:
        preprocessor = peers.kiss_preprocessor(found['kiss_icp'])
        impls['kiss_icp'] = partial(
            preprocessor._preprocess, *sweep.for_kiss(found['kiss_icp'])[:3]
        )
    if 'scipy' in found:
        impls['scipy_slerp'] = partial(peers.deskew_scipy, *sweep.for_scipy())
    for impl, run in impls.items():
        if impl != 'numpy':
            check_equal(np.stack(ours(), axis=1), run(), 0.002)
    note = (
        f'{n} points at {TURN_RATE:g} rad/s and {SPEED:g} m/s. Ours from the bytes of a message '
        'and 200 Hz poses; kiss_icp on one core, float64, its points and times made before'
    )
    return Case(name, note, impls)


def merged_clouds(name, found, count, n):
    """Clouds of several sensors of one robot, deskewed to one time, in one grid."""
    mounts = [
        Pose.of([1.0 - k, 0.5 * k, 0.2 * k, 0.02 * k, -0.01 * k, 0.8 * k]) for k in range(count)
    ]
    sweeps = [Sweep(*scan(n), mount=mount) for mount in mounts]
    note = f'{count} clouds of {n} points to voxels of {SIZE} m with their count'
    return Case(name, note, _merging(found, sweeps, ['count']))


def merged_sweeps(name, found, count, n):
    """The last sweeps of one sensor, moved to where they are at the end of the newest."""
    ends = [-SWEEP_SEC * k for k in range(count)]
    sweeps = [Sweep(*scan(n), end_sec=end, lag=-end) for end in ends]
    impls = _merging(found, sweeps, ['count', 'max_time_lag'])
    note = (
        f'{count} sweeps of {n} points to voxels of {SIZE} m with their count (ours: and the '
        'largest time_lag)'
    )
    return Case(name, note, impls)


def scan(n, *walls):
    """Points in the order of their times, and these in seconds: a firing of all beams at once."""
    firing = np.arange(n) // inputs.BEAMS
    return inputs.ring_scan(n, *walls), SWEEP_SEC * firing / firing[-1]


def _merging(found, sweeps, channels):
    bounds = [-80.0, -80.0, -20.0, 80.0, 80.0, 20.0]
    spec = VoxelSpec(
        Grid.from_range(SIZE, bounds), tuple(Channel.parse(channel) for channel in channels)
    )
    backend = make_backend('numpy')

    def ours():
        return backend.voxelize([sweep.ours() for sweep in sweeps], spec)

    impls = {'numpy': ours}
    if 'kiss_icp' in found:
        kiss_icp = found['kiss_icp']
        preprocessor = peers.kiss_preprocessor(kiss_icp)
        given = [sweep.for_kiss(kiss_icp) for sweep in sweeps]
        impls['kiss_icp'] = partial(peers.merge_kiss, kiss_icp, preprocessor, given, SIZE)
        _check_count(len(ours()), len(impls['kiss_icp']()))
    if 'scipy' in found:
        given = [sweep.for_scipy() for sweep in sweeps]
        impls['scipy_slerp'] = partial(peers.merge_scipy, given, SIZE)
        _check_count(len(ours()), len(impls['scipy_slerp']()[0]))
    return impls


def _check_count(ours, theirs):
    if abs(ours - theirs) > 0.01 * ours:
        raise SystemExit(f'{theirs} voxels where ours are {ours}')
