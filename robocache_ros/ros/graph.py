# Copyright 2026 the robocache_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Who else is there."""

from __future__ import annotations

from typing import Any

_SCHEMA = '/schema'


def preprocessors(node: Any) -> list[str]:
    """Return the full names of the preprocessors that `node` knows of: those with a schema."""
    return sorted(
        topic.removesuffix(_SCHEMA)
        for topic, types in node.get_topic_names_and_types()
        if topic.endswith(_SCHEMA) and 'std_msgs/msg/String' in types
        if node.count_publishers(topic)
    )
