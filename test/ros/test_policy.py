# Copyright 2026 the robocache_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The policy for SROS2 allows what the running node does, and nothing else."""

from __future__ import annotations

import importlib.util
import re
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
POLICY = ROOT / 'config' / 'sros2' / 'policies.xml'
OPTIONAL = re.compile(r'<!-- [^<>]*: (<topic>[^<>]*</topic>) -->')
ASKS = {  # how the ROS graph is asked about a node, by kind of rule and what is allowed
    ('topic', 'publish'): 'get_publisher_names_and_types_by_node',
    ('topic', 'subscribe'): 'get_subscriber_names_and_types_by_node',
    ('service', 'reply'): 'get_service_names_and_types_by_node',
    ('service', 'request'): 'get_client_names_and_types_by_node',
}
# All that the comments of the policy are about.
EVERYTHING = {
    'sources': ['lidar', 'camera', 'imu', 'joints', 'odom'],
    'joints__joints': ['shoulder'],
    'base_frame': 'base_link',
    'camera__paint': ['rgb'],
    'voxels__channels': ['count', 'mean_r'],
    'voxels__dense': 'uint8',
    'features__named': True,
    'use_sim_time': True,
}
NOT_HERE = set()
if importlib.util.find_spec('tf2_msgs') is None:
    NOT_HERE |= {('topic', 'subscribe', '/tf'), ('topic', 'subscribe', '/tf_static')}
if importlib.util.find_spec('rclpy.type_description_service') is None:  # before Jazzy
    NOT_HERE |= {('service', 'reply', '/preprocessor/get_type_description')}


@pytest.fixture
def policy():
    return POLICY.read_text(encoding='utf-8')


def allowed(policy, namespace=None, node=None):
    """Return what the one profile of a policy allows, with names as SROS2 expands them."""
    (profile,) = ElementTree.fromstring(policy).iterfind('enclaves/enclave/profiles/profile')
    ns = (namespace or profile.get('ns')).rstrip('/')
    found = set()
    for rules in profile:
        for qualifier, verdict in rules.attrib.items():
            assert verdict == 'ALLOW'
            for rule in rules:
                found.add((rule.tag, qualifier, full(rule.text, ns, node or profile.get('node'))))
    return found


def full(name, ns, node):
    """Return the full name of a topic or service, which policies name relative to the node."""
    if name.startswith('/'):
        return name
    return f'{ns}/{node}{name[1:]}' if name.startswith('~') else f'{ns}/{name}'


def used(rig, node):
    """Return what a node does, as the ROS graph has it."""
    return {
        (kind, qualifier, name)
        for (kind, qualifier), ask in ASKS.items()
        for name, _ in getattr(rig.own, ask)(node.get_name(), node.get_namespace())
    }


def test_the_policy_allows_what_the_node_does_with_its_defaults_and_nothing_else(rig, policy):
    node = rig.active()
    assert used(rig, node) == allowed(policy) - NOT_HERE


def test_with_its_commented_lines_it_allows_what_the_node_does_with_every_option(rig, policy):
    node = rig.active(**EVERYTHING)
    everything, count = OPTIONAL.subn(r'\1', policy)
    assert count == 8
    assert used(rig, node) == allowed(everything) - NOT_HERE


def test_in_a_namespace_it_needs_another_ns_and_node_only(rig, policy):
    node = rig.active('front', namespace='/robot1')
    there = {(*rest, name.replace('/preprocessor/', '/robot1/front/')) for *rest, name in NOT_HERE}
    assert used(rig, node) == allowed(policy, '/robot1', 'front') - there


def test_the_name_of_the_profile_is_that_of_the_node_and_of_its_enclave(rig, policy):
    node = rig.node(autostart=False)
    enclave = ElementTree.fromstring(policy).find('enclaves/enclave')
    profile = enclave.find('profiles/profile')
    assert (profile.get('ns'), profile.get('node')) == (node.get_namespace(), node.get_name())
    assert enclave.get('path') == node.get_fully_qualified_name()
