# Copyright 2026 the robocache_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Environment variables for processes that handle large messages; set before they start."""

from __future__ import annotations

from collections.abc import Mapping

from robocache_ros.resources import config_file

# Receiving 2 MB costs more in page faults on fresh memory than in copying: let malloc keep it.
MALLOC = {
    'MALLOC_MMAP_THRESHOLD_': str(2**30),
    'MALLOC_TRIM_THRESHOLD_': str(2**32),
    'MALLOC_TOP_PAD_': str(2**26),
}
# Any of these is a choice of the user's that a profile of ours would undo.
TRANSPORT_CHOICES = (
    'FASTDDS_DEFAULT_PROFILES_FILE',
    'FASTRTPS_DEFAULT_PROFILES_FILE',
    'FASTDDS_BUILTIN_TRANSPORTS',
)
ROOM_BYTES = 192 * 2**20  # of shared memory: a 64 MiB segment for us, a driver and a viewer


def fastdds_profile(name: str, env: Mapping[str, str]) -> dict[str, str]:
    """Return the variables that make Fast DDS load config/`name`."""
    path = str(config_file(name))
    variables = {'FASTDDS_DEFAULT_PROFILES_FILE': path}
    if env.get('ROS_DISTRO') in ('humble', 'jazzy'):  # the variable's name before Fast DDS 3
        variables['FASTRTPS_DEFAULT_PROFILES_FILE'] = path
    return variables


def for_large_messages(env: Mapping[str, str], shm_bytes: int) -> tuple[dict[str, str], str]:
    """
    Return what to add to an environment, and a sentence where something has to be left out.

    :param env: the environment so far; what it sets is left alone.
    :param shm_bytes: room in /dev/shm; without it for its segment, Fast DDS does not start.
    """
    added = {name: value for name, value in MALLOC.items() if name not in env}
    rmw = env.get('RMW_IMPLEMENTATION') or 'rmw_fastrtps_cpp'
    if not rmw.startswith('rmw_fastrtps') or any(env.get(name) for name in TRANSPORT_CHOICES):
        return added, ''
    if shm_bytes < ROOM_BYTES:
        return added, (
            f'/dev/shm has {shm_bytes >> 20} MB left, too little for large messages; Fast DDS '
            'keeps its default of 512 KiB, and loses best-effort messages above that: give the '
            'container --shm-size=1g'
        )
    return {**added, **fastdds_profile('fastdds_large_messages.xml', env)}, ''
