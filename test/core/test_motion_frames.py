# Copyright 2026 the robocache_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The tree of frames: poses by hand and by matrices, and trees that contradict themselves."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from motion_truth import about_z, apart, matrix, pose, random_poses
from scipy.spatial.transform import Rotation

from robocache_ros.backends.numpy_slerp import slerp_columns
from robocache_ros.motion.frames import Frames
from robocache_ros.motion.pose import Pose
from robocache_ros.motion.quaternion import between
from robocache_ros.motion.trajectory import Trajectory
from robocache_ros.reasons import Reason

pytestmark = pytest.mark.filterwarnings('error')

UNKNOWN, LOOP = Reason.TRANSFORM_UNKNOWN, Reason.TRANSFORM_LOOP
LATE, OLD = Reason.TRANSFORM_LATE, Reason.TRANSFORM_OLD
SECOND = 1_000_000_000
LEFT = about_z(math.pi / 2)
AHEAD = pose([1, 0, 0])


def robot():
    """A LiDAR 1 m up, on a base that drives from x = 0 at 10 s to x = 1 at 10.1 s in odom."""
    frames = Frames()
    frames.add_static('base', 'lidar', pose([0, 0, 1], LEFT))
    for k in range(3):
        frames.add_dynamic('odom', 'base', 10 * SECOND + k * SECOND // 10, pose([k, 0, 0]))
    return frames


def close(found, position, rotation=(0.0, 0.0, 0.0, 1.0)):
    assert isinstance(found, Pose)
    np.testing.assert_allclose(found.position, position, rtol=0, atol=1e-12)
    assert apart(found.rotation, rotation) < 1e-12


# -- where frames are ---------------------------------------------------------------------------


def test_a_frame_lies_in_its_parent_as_it_was_told():
    frames = robot()
    close(frames.lookup('base', 'lidar', 0), [0, 0, 1], LEFT)
    close(frames.lookup('odom', 'base', 10 * SECOND), [0, 0, 0])


def test_a_parent_lies_in_its_child_the_other_way_round():
    # The LiDAR looks to the left: what is ahead of the base is to the right of it.
    frames = Frames()
    frames.add_static('base', 'lidar', pose([2, 0, 1], LEFT))
    close(frames.lookup('lidar', 'base', 0), [0, 2, -1], about_z(-math.pi / 2))


def test_between_two_samples_a_frame_moves_and_turns_evenly():
    frames = Frames()
    frames.add_dynamic('odom', 'base', 0, pose([0, 0, 0]))
    frames.add_dynamic('odom', 'base', 100, pose([8, 4, 2], LEFT))
    close(frames.lookup('odom', 'base', 25), [2, 1, 0.5], about_z(math.pi / 8))
    close(frames.lookup('odom', 'base', 100), [8, 4, 2], LEFT)


def test_a_chain_composes_fixed_and_moving_frames_at_the_time_asked_for():
    found = robot().lookup('odom', 'lidar', 10 * SECOND + SECOND // 20)
    close(found, [0.5, 0, 1], LEFT)


def test_siblings_meet_in_their_nearest_common_ancestor():
    # Two LiDARs on the base; that nothing is known of the base in odom does not matter.
    frames = robot()
    frames.add_static('base', 'rear', pose([-1, 0, 1], about_z(math.pi)))
    close(frames.lookup('rear', 'lidar', 99 * SECOND), [-1, 0, 0], about_z(-math.pi / 2))


def test_a_frame_lies_in_itself_known_or_not():
    frames = robot()
    for name in ('lidar', 'odom', 'nobody'):
        close(frames.lookup(name, name, 0), [0, 0, 0])


def test_poses_at_many_times_are_those_at_each():
    frames = robot()
    times = 10 * SECOND + np.arange(0, SECOND // 5, 7_654_321)
    found = frames.at('odom', 'lidar', times)
    assert found.rotation.shape == (len(times), 4)
    for k, t_ns in enumerate(times):
        one = frames.lookup('odom', 'lidar', t_ns)
        assert one.rotation.tolist() == found.rotation[k].tolist()
        assert one.position.tolist() == found.position[k].tolist()
    assert frames.at('odom', 'lidar', times[:0]).position.shape == (0, 3)


def test_a_random_tree_agrees_with_products_of_matrices():
    rng = np.random.default_rng(1)
    parents = [0, *(int(rng.integers(0, child)) for child in range(1, 12))]
    fixed, begin, end = (random_poses(12, seed) for seed in (2, 3, 4))
    frames = Frames()
    exact = [np.eye(4)]
    for child in range(1, 12):
        names = f'f{parents[child]}', f'f{child}'
        if child % 2:
            one = Pose(fixed.rotation[child], fixed.position[child])
            frames.add_static(*names, one)
        else:
            ends = [Pose(p.rotation[child], p.position[child]) for p in (begin, end)]
            for t_ns, at_end in zip((100, 200), ends, strict=True):
                frames.add_dynamic(*names, t_ns, at_end)
            first, last = (Rotation.from_quat(p.rotation) for p in ends)
            turn = Rotation.from_rotvec(0.3 * (first.inv() * last).as_rotvec())
            position = 0.7 * ends[0].position + 0.3 * ends[1].position
            one = Pose((first * turn).as_quat(), position)
        exact.append(exact[parents[child]] @ matrix(one))
    for target in range(12):
        for source in range(12):
            found = frames.lookup(f'f{target}', f'f{source}', 130)
            expected = np.linalg.inv(exact[target]) @ exact[source]
            np.testing.assert_allclose(matrix(found), expected, rtol=0, atol=1e-12)


def test_one_interpolation_has_the_bits_of_many():
    a, b = random_poses(300, 5).rotation, random_poses(300, 6).rotation
    b[:20] = a[:20]
    b[20:40] = -a[20:40]
    b[40:60] = a[40:60] + 1e-9
    weight = np.random.default_rng(7).random(300)
    weight[:80:4], weight[1:80:4] = 0.0, 1.0
    expected = slerp_columns(a.T.copy(), b.T.copy(), weight).T.tolist()
    for k in range(300):
        found = between(tuple(a[k].tolist()), tuple(b[k].tolist()), float(weight[k]))
        assert list(found) == expected[k]


def test_frames_and_trajectories_agree():
    times, poses = np.arange(0, 1000, 100), random_poses(10, 8)
    frames = Frames()
    for k, t_ns in enumerate(times):
        frames.add_dynamic('odom', 'base', t_ns, Pose(poses.rotation[k], poses.position[k]))
    wanted = np.arange(0, 901, 13)
    found = frames.at('odom', 'base', wanted)
    expected = Trajectory(times, poses, 10**9).at(wanted)
    np.testing.assert_allclose(found.position, expected.position, rtol=0, atol=1e-14)
    assert apart(found.rotation, expected.rotation).max() < 1e-14


def test_a_quaternion_that_is_not_quite_of_unit_length_is_made_so():
    frames = Frames()
    frames.add_static('base', 'lidar', pose([0, 0, 0], (0, 0, 0.8, 0.8)))
    frames.add_static('lidar', 'far', pose([100, 0, 0]))
    close(frames.lookup('base', 'far', 0), [0, 100, 0], LEFT)


def test_a_slash_in_front_of_a_name_counts_for_nothing():
    frames = Frames()
    frames.add_static('/base', 'lidar', AHEAD)
    close(frames.lookup('base', '/lidar', 0), [1, 0, 0])


# -- what is not known --------------------------------------------------------------------------


BEFORE = "'lidar' > 'base' > 'odom': the oldest pose of 'base' in 'odom' is from 1.5 s after"
AFTER = "'lidar' > 'base' > 'odom': the newest pose of 'base' in 'odom' is from 35.0 ms before"
MISSPELT = (
    "nothing is known of the frame 'lidarr'; frames known: 'base', 'lidar', 'odom', 'r2/base'"
)
APART = "nothing connects 'lidar' (in 'odom') with 'r2/base' (in 'r2/odom')"


@pytest.mark.parametrize(
    ('target', 'source', 'offset_ns', 'reason', 'sentence'),
    [
        ('base', 'lidarr', 0, UNKNOWN, f"{MISSPELT}, 'r2/odom'"),
        ('lidarr', 'base', 0, UNKNOWN, f"{MISSPELT}, 'r2/odom'"),
        ('r2/base', 'lidar', 0, UNKNOWN, APART),
        ('r2/odom', 'odom', 0, UNKNOWN, "nothing connects 'odom' with 'r2/odom'"),
        ('odom', 'lidar', 235_000_000, LATE, f'{AFTER} the time needed'),
        ('odom', 'lidar', -1_500_000_000, OLD, f'{BEFORE} the time needed'),
        ('odom', 'lidar', 0, None, "'lidar' > 'base' > 'odom': all is known"),
        ('base', 'lidar', -(10**15), None, "'lidar' > 'base': all is known"),
        ('lidar', 'odom', 0, None, "'odom' > 'base' > 'lidar': all is known"),
        ('nobody', 'nobody', 0, None, "'nobody': all is known"),
    ],
)
def test_what_is_missing_has_a_reason_and_a_sentence(target, source, offset_ns, reason, sentence):
    frames = robot()
    frames.add_static('r2/odom', 'r2/base', AHEAD)
    t_ns = 10 * SECOND + offset_ns
    for found in (
        frames.lookup(target, source, t_ns),
        frames.at(target, source, np.array([t_ns])),
    ):
        assert found is reason if reason else isinstance(found, Pose)
    assert frames.explain(target, source, t_ns) == sentence


def test_a_gap_between_two_samples_is_not_bridged():
    frames = Frames(max_gap_sec=0.1)
    for t_ns in (0, SECOND // 10, SECOND // 10 + SECOND // 10 + 1):
        frames.add_dynamic('odom', 'base', t_ns, AHEAD)
    assert isinstance(frames.lookup('odom', 'base', SECOND // 20), Pose)
    assert frames.lookup('odom', 'base', SECOND // 10 + 1) is OLD
    assert frames.explain('odom', 'base', SECOND // 10 + 1) == (
        "'base' > 'odom': no pose of 'base' in 'odom' is known in a gap of 100.0 ms around the "
        'time needed'
    )
    assert isinstance(frames.lookup('odom', 'base', SECOND // 10), Pose)  # a sample itself


def test_one_sample_is_known_at_its_time_only():
    frames = Frames()
    frames.add_dynamic('odom', 'base', 100, AHEAD)
    close(frames.lookup('odom', 'base', 100), [1, 0, 0])
    assert frames.lookup('odom', 'base', 99) is OLD
    assert frames.lookup('odom', 'base', 101) is LATE


def test_what_waiting_does_not_mend_is_told_first():
    frames = Frames()
    frames.add_dynamic('odom', 'base', 100, AHEAD)
    frames.add_dynamic('base', 'arm', 300, AHEAD)
    assert frames.lookup('odom', 'arm', 200) is OLD
    assert frames.lookup('arm', 'odom', 200) is OLD
    assert "'arm' in 'base'" in frames.explain('odom', 'arm', 200)
    frames.add_dynamic('arm', 'hand', 100, AHEAD)
    assert frames.lookup('base', 'hand', 200) is OLD  # though the hand, which is late, comes first
    frames.add_dynamic('base', 'arm', 150, AHEAD)
    assert frames.lookup('odom', 'arm', 200) is LATE
    assert frames.at('odom', 'arm', np.array([100, 200])) is OLD  # at the first of them


def test_nothing_is_known_before_anything_is_told():
    frames = Frames()
    assert frames.lookup('base', 'lidar', 0) is UNKNOWN
    assert frames.at('base', 'lidar', np.array([0])) is UNKNOWN
    assert frames.explain('base', 'lidar', 0) == (
        "nothing is known of the frame 'lidar'; frames known: none"
    )


def test_a_sentence_stays_short_whatever_the_senders_call_their_frames():
    frames = Frames()
    for k in range(1000):
        frames.add_static('base', f'{k:03d}\n' + 'x' * 10_000, AHEAD)
    for text in (frames.explain('base', 'y' * 10_000, 0), frames.explain('base', '', 0)):
        assert len(text) < 600
        assert '\n' not in text


# -- samples that come ---------------------------------------------------------------------------


@given(st.permutations(range(6)))
@settings(max_examples=30, deadline=None)
def test_samples_may_come_in_any_order(order):
    frames = Frames()
    for k in order:
        frames.add_dynamic('odom', 'base', k * 100, pose([k * k, 0, 0]))
    found = frames.at('odom', 'base', np.arange(0, 501, 50)).position[:, 0]
    assert found.tolist() == [0, 0.5, 1, 2.5, 4, 6.5, 9, 12.5, 16, 20.5, 25]


def test_a_sample_of_the_same_time_replaces_the_one_there_is():
    frames = robot()
    frames.add_dynamic('odom', 'base', 10 * SECOND, pose([7, 0, 0]))
    close(frames.lookup('odom', 'base', 10 * SECOND), [7, 0, 0])
    frames.add_static('base', 'lidar', pose([8, 0, 0]))
    close(frames.lookup('base', 'lidar', 0), [8, 0, 0])


def test_what_was_fixed_may_begin_to_move_and_the_other_way_round():
    frames = robot()
    frames.add_dynamic('base', 'lidar', 0, pose([9, 0, 0]))
    close(frames.lookup('base', 'lidar', 0), [9, 0, 0])
    assert frames.lookup('base', 'lidar', 1) is LATE
    frames.add_static('odom', 'base', pose([7, 0, 0]))
    close(frames.lookup('odom', 'base', 99 * SECOND), [7, 0, 0])


def test_samples_older_than_the_history_are_forgotten():
    frames = Frames(history_sec=1.0, max_gap_sec=0.5)
    for k in range(200):
        frames.add_dynamic('odom', 'base', k * SECOND // 10, pose([k, 0, 0]))
    newest = 199 * SECOND // 10
    close(frames.lookup('odom', 'base', newest - SECOND), [189, 0, 0])
    assert frames.lookup('odom', 'base', newest - SECOND - 1) is OLD
    # One that comes later than that does not come back.
    frames.add_dynamic('odom', 'base', newest - SECOND - 1, AHEAD)
    assert frames.lookup('odom', 'base', newest - SECOND - 1) is OLD
    close(frames.lookup('odom', 'base', newest), [199, 0, 0])


def test_one_sample_of_the_future_does_not_silence_a_frame():
    frames = Frames(history_sec=10.0)
    frames.add_dynamic('odom', 'base', 1000 * SECOND, AHEAD)
    for k in range(3):
        frames.add_dynamic('odom', 'base', k * SECOND // 10, pose([k, 0, 0]))
    close(frames.lookup('odom', 'base', SECOND // 20), [0.5, 0, 0])
    assert frames.lookup('odom', 'base', SECOND) is LATE


def test_an_old_sample_that_is_sent_again_and_again_is_no_jump():
    frames = robot()
    for _ in range(5):
        frames.add_dynamic('odom', 'base', -100 * SECOND, AHEAD)
    close(frames.lookup('odom', 'base', 10 * SECOND), [0, 0, 0])


def test_two_old_samples_with_a_new_one_in_between_are_no_jump():
    frames = robot()
    frames.add_dynamic('odom', 'base', -100 * SECOND, AHEAD)
    frames.add_dynamic('odom', 'base', 10 * SECOND + 1, AHEAD)
    frames.add_dynamic('odom', 'base', -100 * SECOND + 1, AHEAD)
    close(frames.lookup('odom', 'base', 10 * SECOND), [0, 0, 0])


def test_clearing_forgets_what_moves_and_keeps_what_is_fixed():
    frames = robot()
    frames.lookup('odom', 'lidar', 10 * SECOND)
    frames.clear()
    assert frames.lookup('odom', 'lidar', 10 * SECOND) is UNKNOWN
    close(frames.lookup('base', 'lidar', 0), [0, 0, 1], LEFT)
    frames.add_dynamic('odom', 'base', 5, AHEAD)  # an earlier time is as good as any
    close(frames.lookup('odom', 'base', 5), [1, 0, 0])


def test_frames_that_come_and_go_leave_no_memory_behind():
    frames = robot()
    for k in range(10_000):
        t_ns = (10 + k) * SECOND
        frames.add_dynamic('odom', 'base', t_ns, AHEAD)
        frames.add_dynamic('base', f'person_{k}', t_ns, AHEAD)
    close(frames.lookup('odom', f'person_{k}', t_ns), [2, 0, 0])
    close(frames.lookup('base', 'lidar', 0), [0, 0, 1], LEFT)
    assert frames.lookup('odom', 'person_0', t_ns) is UNKNOWN
    for k in range(10_000):
        frames.lookup(f'nobody_{k}', f'nobody_{k}', 0)
    sizes = [len(held) for held in vars(frames).values() if isinstance(held, dict)]
    assert max(sizes) < 3000


# -- trees that contradict themselves ------------------------------------------------------------


@pytest.mark.parametrize('length', [2, 3, 7])
def test_a_loop_is_told_and_never_followed(length):
    frames = Frames()
    for k in range(length):
        frames.add_static(f'f{(k + 1) % length}', f'f{k}', AHEAD)
    frames.add_static('f0', 'lidar', AHEAD)
    frames.add_static('f1', 'camera', AHEAD)
    for target, source in (('f0', 'f1'), ('camera', 'lidar'), ('lidar', 'f1'), ('map', 'lidar')):
        assert frames.lookup(target, source, 0) is LOOP
        assert frames.lookup(source, target, 0) is LOOP
    names = ' > '.join(f"'f{k % length}'" for k in range(length + 1))
    for target, source in (('camera', 'lidar'), ('map', 'lidar'), ('lidar', 'map')):
        assert frames.explain(target, source, 0) == (
            f'{names}: a frame can not be its own ancestor'
        )


def test_frames_below_a_loop_are_still_connected():
    frames = Frames()
    frames.add_static('map', 'odom', AHEAD)
    frames.add_static('odom', 'map', AHEAD)
    frames.add_static('odom', 'base', AHEAD)
    frames.add_static('base', 'lidar', AHEAD)
    close(frames.lookup('base', 'lidar', 0), [1, 0, 0])
    close(frames.lookup('odom', 'lidar', 0), [2, 0, 0])
    assert frames.lookup('map', 'lidar', 0) is LOOP


def test_a_loop_that_is_mended_is_forgotten():
    frames = Frames()
    frames.add_static('map', 'odom', AHEAD)
    frames.add_static('odom', 'map', AHEAD)
    assert frames.lookup('map', 'odom', 0) is LOOP
    frames.add_static('earth', 'map', AHEAD)
    close(frames.lookup('earth', 'odom', 0), [2, 0, 0])


def test_a_frame_that_is_told_another_parent_moves_there():
    frames = robot()
    close(frames.lookup('odom', 'base', 10 * SECOND), [0, 0, 0])
    frames.add_dynamic('map', 'base', 11 * SECOND, AHEAD)
    assert frames.lookup('odom', 'base', 10 * SECOND) is UNKNOWN
    close(frames.lookup('map', 'lidar', 11 * SECOND), [1, 0, 1], LEFT)


def test_two_publishers_that_give_a_frame_two_parents_are_told():
    frames = Frames()
    for k in range(6):
        frames.add_dynamic(('odom', 'map')[k % 2], 'base', k * SECOND // 10, AHEAD)
    assert frames.lookup('map', 'base', SECOND // 4) is OLD
    assert frames.explain('map', 'base', SECOND // 4) == (
        "'base' > 'map': the oldest pose of 'base' in 'map' is from 250.0 ms after the time "
        "needed; 'base' was in 'odom' before: two publishers?"
    )
    assert frames.lookup('odom', 'base', SECOND // 4) is UNKNOWN
    assert frames.explain('odom', 'base', SECOND // 4) == (
        "nothing is known of the frame 'odom'; frames known: 'base', 'map'; "
        "'base' was in 'odom' before: two publishers?"
    )


@pytest.mark.parametrize(
    ('parent', 'child'),
    [('base', 'base'), ('base', '/base'), ('', 'base'), ('base', ''), ('/', 'base')],
)
def test_a_frame_in_itself_or_without_a_name_is_refused(parent, child):
    frames = robot()
    for add in (frames.add_static, lambda p, c, one: frames.add_dynamic(p, c, 0, one)):
        with pytest.raises(ValueError, match='can not be a frame in'):
            add(parent, child, AHEAD)
    close(frames.lookup('base', 'lidar', 0), [0, 0, 1], LEFT)


@pytest.mark.parametrize(
    'wrong',
    [
        pose([0, 0, 0], (0, 0, 0, 0)),
        pose([0, 0, 0], (0, 0, 0, math.nan)),
        pose([0, 0, 0], (0, 0, 0, 2)),
        pose([0, math.nan, 0]),
        pose([math.inf, -math.inf, 0]),
        pose([0, 0, -math.inf]),
    ],
)
def test_what_is_no_pose_is_refused_and_changes_nothing(wrong):
    frames = robot()
    with pytest.raises(ValueError, match='is no pose'):
        frames.add_static('other', 'lidar', wrong)
    with pytest.raises(ValueError, match='is no pose'):
        frames.add_dynamic('odom', 'base', 10 * SECOND, wrong)
    close(frames.lookup('odom', 'lidar', 10 * SECOND), [0, 0, 1], LEFT)


names = st.sampled_from('abcdef')


@given(
    st.lists(
        st.tuples(names, names, st.booleans(), st.integers(-50, 50).map(lambda s: s * SECOND)),
        max_size=30,
    ),
    names,
    names,
    st.integers(-50, 50).map(lambda s: s * SECOND),
)
@settings(max_examples=300, deadline=None)
def test_whatever_is_told_every_question_has_an_answer(told, target, source, t_ns):
    frames = Frames(history_sec=20.0, max_gap_sec=5.0)
    parent_of = {}
    for parent, child, static, at_ns in told:
        if parent == child:
            continue
        parent_of[child] = parent
        if static:
            frames.add_static(parent, child, AHEAD)
        else:
            frames.add_dynamic(parent, child, at_ns, AHEAD)
    found = frames.lookup(target, source, t_ns)
    text = frames.explain(target, source, t_ns)
    assert text.count('\n') == 0
    if isinstance(found, Pose):
        assert text.endswith('all is known')
        # Every edge is one metre along the same axis.
        assert found.position[0] == pytest.approx(height(parent_of, source, target))
    else:
        assert found.key.startswith('transform_')
        assert not text.endswith('all is known')
        assert frames.at(target, source, np.array([t_ns])) is found


def height(parent_of, source, target):
    """Edges from the source up to the common ancestor, less those from the target up to it."""
    depths = {}
    for frame in (source, target):
        depths[frame] = way = [frame]
        while way[-1] in parent_of and parent_of[way[-1]] not in way:
            way.append(parent_of[way[-1]])
    common = next(name for name in depths[source] if name in depths[target])
    return depths[source].index(common) - depths[target].index(common)
