# Copyright 2026 the robocache_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The page on operations quotes what the node says, and leads to every group of reasons."""

from __future__ import annotations

import re
from pathlib import Path

from robocache_ros.environment import TRANSPORT_CHOICES

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / 'docs' / 'operations.md').read_text(encoding='utf-8')
SEEN = re.findall(r'^\| ([^|]+) \|', PAGE, re.MULTILINE)
QUOTED = [text for cell in SEEN for text in re.findall(r'`([A-Za-z][^`]* [^`]*)`', cell)]
# What is written in pieces, one below the other, is one sentence.
SOURCES = re.sub(
    r"""['"]\n\s+f?['"]""",
    '',
    '\n'.join(path.read_text(encoding='utf-8') for path in ROOT.glob('robocache_ros/**/*.py')),
)


def test_every_sentence_it_quotes_is_one_that_the_node_says():
    assert len(QUOTED) > 8
    pieces = [piece for text in QUOTED for piece in text.split(' … ')]
    assert [piece for piece in pieces if piece.removesuffix(' …') not in SOURCES] == []


def test_it_leads_to_every_group_of_reasons():
    groups = re.findall(
        r'^## (.+)$', (ROOT / 'docs' / 'reasons.md').read_text(encoding='utf-8'), re.MULTILINE
    )
    linked = set(re.findall(r'reasons\.md#([\w-]+)', PAGE))
    assert {group.lower().replace(' ', '-') for group in groups} == linked


def test_it_names_the_variables_that_the_package_reads():
    read = set(re.findall(r"'(ROBOCACHE_[A-Z_]+)'", SOURCES))
    assert read
    assert [name for name in (*read, TRANSPORT_CHOICES[0]) if f'`{name}`' not in PAGE] == []
