# Copyright 2026 the robocache_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Transforms of /tf and /tf_static: what is good gets through, what is bad is told and counted."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest
from codec_messages import INF, NAN, but, header, transform

from robocache_ros.motion.frames import Frames
from robocache_ros.reasons import Reason
from robocache_ros.transforms import TransformReader

SECOND = 1_000_000_000
NOW = 5 * SECOND  # arrivals and stamps are by different clocks


class Tree:
    """What the reader sees of a pipeline: frames that are told transforms."""

    def __init__(self):
        self.frames = Frames()
        self.arrivals = []

    def tell_transform(self, arrival_ns, parent, child, t_ns, pose):
        self.arrivals.append(arrival_ns)
        if t_ns is None:
            self.frames.add_static(parent, child, pose)
        else:
            self.frames.add_dynamic(parent, child, t_ns, pose)

    def where(self, target, source, t_ns=NOW):
        found = self.frames.lookup(target, source, t_ns)
        return found if isinstance(found, Reason) else found.position.tolist()


class Told:
    """A reader, the tree it fills, and what it says."""

    def __init__(self):
        self.tree, self.sentences = Tree(), []
        self.reader = TransformReader(self.tree, self.sentences.append)

    def read(self, *transforms, static=False, arrival_ns=0):
        self.reader.read(arrival_ns, SimpleNamespace(transforms=list(transforms)), static)
        return self

    @property
    def refused(self):
        return dict(self.reader.refused)


def test_transforms_of_one_message_lie_in_the_tree_at_their_own_times():
    told = Told().read(
        transform('odom', 'base', NOW, (1.0, 2.0, 3.0)),
        transform('odom', 'base', NOW + SECOND // 10, (2.0, 2.0, 3.0)),
        transform('base', 'arm', NOW, (0.0, 0.0, 0.5)),
        arrival_ns=77,
    )
    assert told.tree.where('odom', 'base', NOW + SECOND // 20) == [1.5, 2.0, 3.0]
    assert told.tree.where('odom', 'arm') == [1.0, 2.0, 3.5]
    assert told.tree.where('odom', 'arm', NOW + 1) is Reason.TRANSFORM_LATE
    assert told.tree.arrivals == [77, 77, 77]
    assert (told.reader.received, told.refused, told.sentences) == (3, {}, [])


@pytest.mark.parametrize('stamp_ns', [0, NOW])
def test_what_tf_static_tells_is_for_all_times_whatever_its_stamp(stamp_ns):
    told = Told().read(transform('base', 'lidar', stamp_ns, (0.0, 0.0, 1.5)), static=True)
    for t_ns in (1, NOW - 1, NOW + 3600 * SECOND):
        assert told.tree.where('base', 'lidar', t_ns) == [0.0, 0.0, 1.5]


def test_tf_static_told_in_several_messages_adds_up():
    told = Told().read(transform('base', 'lidar', 0, (0.0, 0.0, 1.5)), static=True)
    told.read(transform('base', 'imu', 0, (0.5, 0.0, 0.0)), static=True)
    assert told.tree.where('imu', 'lidar') == [-0.5, 0.0, 1.5]


def test_a_slash_in_front_of_a_frame_counts_for_nothing():
    told = Told().read(transform('/odom', '/base', NOW, (1.0, 0.0, 0.0)))
    told.read(transform('odom', 'base', NOW + 1, (1.0, 0.0, 0.0)))
    assert told.tree.where('odom', 'base') == [1.0, 0.0, 0.0]
    assert told.refused == {}


GOOD = transform('odom', 'base', NOW)
UNSET = but(GOOD, header=header(0, 0, 'odom'))
BAD = {
    'no parent': (transform('', 'base', NOW), 'tf_frames'),
    'a parent of a slash': (transform('/', 'base', NOW), 'tf_frames'),
    'no child': (transform('odom', '', NOW), 'tf_frames'),
    'in itself': (transform('base', '/base', NOW), 'tf_frames'),
    'unset stamp': (UNSET, 'tf_stamp'),
    'time before time': (but(GOOD, header=header(-1, 5, 'odom')), 'tf_stamp'),
    'too many nanoseconds': (but(GOOD, header=header(5, SECOND, 'odom')), 'tf_stamp'),
    'zero quaternion': (transform('odom', 'base', NOW, rotation=(0.0,) * 4), 'tf_pose'),
    'short quaternion': (transform('odom', 'base', NOW, rotation=(0, 0, 0, 0.7)), 'tf_pose'),
    'NaN quaternion': (transform('odom', 'base', NOW, rotation=(0, 0, NAN, 1)), 'tf_pose'),
    'infinite quaternion': (transform('odom', 'base', NOW, rotation=(INF, 0, 0, 1)), 'tf_pose'),
    'NaN translation': (transform('odom', 'base', NOW, (0.0, NAN, 0.0)), 'tf_pose'),
    'infinite translation': (transform('odom', 'base', NOW, (-INF, 0.0, 0.0)), 'tf_pose'),
    'beyond the moon': (transform('odom', 'base', NOW, (0.0, 0.0, 1.1e9)), 'tf_pose'),
}


@pytest.mark.parametrize(('bad', 'key'), BAD.values(), ids=BAD)
def test_what_is_no_transform_is_counted_told_once_and_harms_no_other(bad, key):
    told = Told()
    for k in range(3):
        told.read(bad, transform('odom', 'other', NOW + k, (1.0, 0.0, 0.0)))
    reason = next(reason for reason in Reason if reason.key == key)
    assert told.refused == {reason: 3}
    assert told.reader.received == 6
    assert told.tree.where('odom', 'other') == [1.0, 0.0, 0.0]
    assert told.tree.where('odom', 'base') is Reason.TRANSFORM_UNKNOWN
    (sentence,) = told.sentences
    assert sentence.startswith('refused the frame ')
    assert ' on /tf (' in sentence
    assert key in sentence
    assert reason.fix in sentence


def test_an_unset_stamp_is_as_good_as_any_on_tf_static():
    told = Told().read(UNSET, static=True)
    assert (told.refused, told.tree.where('odom', 'base')) == ({}, [0.0, 0.0, 0.0])


def test_the_first_of_each_reason_is_told():
    told = Told()
    for bad, _ in BAD.values():
        told.read(bad)
    assert len(told.sentences) == len(told.refused) == 3
    assert sum(told.refused.values()) == len(BAD)


def test_of_two_publishers_that_contradict_each_other_the_first_one_counts():
    told = Told()
    for k in range(20):
        parent = ('odom', 'map')[k % 2]
        moved = transform(parent, 'base', NOW + k * SECOND // 50, (k, 0.0, 0.0))
        told.read(moved, arrival_ns=k * SECOND // 50)
    assert told.refused == {Reason.TF_PARENT: 10}
    assert told.tree.where('odom', 'base', NOW + SECOND // 50) == [1.0, 0.0, 0.0]
    (sentence,) = told.sentences
    assert sentence.startswith(
        "refused the frame 'base' in 'map' on /tf (tf_parent: 'base' is in 'odom' by /tf). Stop "
    )


def test_a_frame_whose_publisher_has_gone_may_move_to_another_parent():
    told = Told().read(transform('odom', 'base', NOW), arrival_ns=0)
    moved = transform('map', 'base', NOW + SECOND)
    told.read(moved, arrival_ns=SECOND - 1)
    assert told.refused == {Reason.TF_PARENT: 1}
    told.read(moved, arrival_ns=SECOND)
    assert told.refused == {Reason.TF_PARENT: 1}
    assert told.tree.where('map', 'base', NOW + SECOND) == [0.0, 0.0, 0.0]


@pytest.mark.parametrize('static', [True, False])
def test_a_fixed_frame_stays_in_its_parent(static):
    told = Told().read(transform('base', 'lidar', 0, (0.0, 0.0, 1.0)), static=True)
    told.read(transform('odom', 'lidar', NOW), static=static, arrival_ns=3600 * SECOND)
    assert told.refused == {Reason.TF_PARENT: 1}
    assert "'lidar' is in 'base' by /tf_static" in told.sentences[0]
    assert told.tree.where('base', 'lidar') == [0.0, 0.0, 1.0]


def test_a_transform_that_was_refused_claims_no_frame():
    told = Told().read(transform('map', 'base', NOW, (NAN, 0.0, 0.0)))
    told.read(transform('odom', 'base', NOW))
    assert told.refused == {Reason.TF_POSE: 1}


def test_a_sentence_stays_short_whatever_the_senders_call_their_frames():
    told = Told().read(transform('x' * 100_000, 'x' * 100_000, NOW))
    assert len(told.sentences[0]) < 400


def test_frames_that_come_and_go_leave_no_memory_behind():
    told = Told().read(transform('base', 'lidar', 0), static=True)
    for k in range(10_000):
        since_ns = k * SECOND // 100
        told.read(transform('odom', f'track_{k}', NOW + since_ns), arrival_ns=since_ns)
    assert len(told.reader._told) < 5000
    told.read(transform('odom', 'lidar', NOW), arrival_ns=200 * SECOND)
    assert told.refused == {Reason.TF_PARENT: 1}


def test_numbers_of_numpy_do_as_well():
    numbers = [np.float64(v) for v in (1.0, 2.0, 3.0)]
    assert Told().read(transform('a', 'b', NOW, numbers)).tree.where('a', 'b') == [1.0, 2.0, 3.0]
