# Copyright 2026 the robocache_ros authors
# SPDX-License-Identifier: Apache-2.0
"""What launch adds to the environment of a process, and what it leaves alone."""

from __future__ import annotations

import pytest

from robocache_ros.environment import MALLOC, for_large_messages
from robocache_ros.resources import config_file

PROFILE = str(config_file('fastdds_large_messages.xml'))
ENOUGH = 2**30


@pytest.mark.parametrize(
    'env', [{}, {'RMW_IMPLEMENTATION': ''}, {'RMW_IMPLEMENTATION': 'rmw_fastrtps_dynamic_cpp'}]
)
def test_fast_dds_gets_the_profile(env):
    added, complaint = for_large_messages(env, ENOUGH)
    assert added == {**MALLOC, 'FASTDDS_DEFAULT_PROFILES_FILE': PROFILE}
    assert complaint == ''


@pytest.mark.parametrize('distro', ['humble', 'jazzy'])
def test_older_fast_dds_gets_it_by_its_older_name(distro):
    added, _ = for_large_messages({'ROS_DISTRO': distro}, ENOUGH)
    assert added['FASTRTPS_DEFAULT_PROFILES_FILE'] == PROFILE


def test_newer_fast_dds_does_not_get_the_older_name_it_warns_about():
    added, _ = for_large_messages({'ROS_DISTRO': 'kilted'}, ENOUGH)
    assert 'FASTRTPS_DEFAULT_PROFILES_FILE' not in added


@pytest.mark.parametrize(
    'env',
    [
        {'RMW_IMPLEMENTATION': 'rmw_cyclonedds_cpp'},
        {'RMW_IMPLEMENTATION': 'rmw_zenoh_cpp'},
        {'FASTDDS_DEFAULT_PROFILES_FILE': 'mine.xml'},
        {'FASTRTPS_DEFAULT_PROFILES_FILE': 'mine.xml'},
        {'FASTDDS_BUILTIN_TRANSPORTS': 'LARGE_DATA'},
    ],
)
def test_another_middleware_or_a_profile_of_the_users_own_is_left_alone(env):
    assert for_large_messages(env, ENOUGH) == (MALLOC, '')


def test_malloc_settings_of_the_users_own_are_left_alone():
    added, _ = for_large_messages({'MALLOC_TOP_PAD_': '0'}, ENOUGH)
    assert 'MALLOC_TOP_PAD_' not in added
    assert 'MALLOC_TRIM_THRESHOLD_' in added


def test_too_little_shared_memory_keeps_the_default_transport_and_says_so():
    added, complaint = for_large_messages({}, 64 * 2**20)
    assert added == MALLOC  # with the profile, the node could not start at all
    assert '/dev/shm has 64 MB' in complaint
    assert '--shm-size' in complaint
