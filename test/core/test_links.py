# Copyright 2026 the robocache_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Every link between pages leads somewhere, and every file that a page names is there."""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PAGES = sorted(
    [*ROOT.glob('*.md'), *ROOT.glob('docs/**/*.md'), ROOT / 'kernels' / 'README.md'],
)
FENCED = re.compile(r'^( *)(```+|~~~+).*?^\1\2 *$', re.MULTILINE | re.DOTALL)
CODE = re.compile(r'`+[^`\n]+`+')
LINK = re.compile(r'!?\[[^\]]*\]\(\s*<?([^)<>\s]+)>?(?:\s+"[^"]*")?\s*\)')
REFERENCE = re.compile(r'^ {0,3}\[[^\]]+\]:\s+<?(\S+?)>?\s*$', re.MULTILINE)
HEADING = re.compile(r'^#{1,6} +(.+?)(?: +#+)? *$', re.MULTILINE)
ANCHOR = re.compile(r'<a (?:id|name)="([^"]+)"')
# A path of this repository, as inline code: from its root, with one of its folders in front.
FOLDERS = 'config|docs|kernels|launch|robocache_ros|scripts|test'
NAMED = re.compile(rf'`(?:\./)?((?:{FOLDERS})/[\w./-]*)(?: [^`]*)?`')


@cache
def prose(page):
    """Return a page without its blocks of code."""
    return FENCED.sub('', page.read_text(encoding='utf-8'))


def links(page):
    """Return the targets of the links of a page, without those in code."""
    text = CODE.sub('', prose(page))
    return [*LINK.findall(text), *REFERENCE.findall(text)]


@cache
def anchors(page):
    """Return the anchors of a page: those of its headings as GitHub makes them, and its own."""
    found = set(ANCHOR.findall(prose(page)))
    seen = {}
    for heading in HEADING.findall(prose(page)):
        slug = slug_of(heading)
        count = seen.get(slug, 0)
        seen[slug] = count + 1
        found.add(f'{slug}-{count}' if count else slug)
    return found


def slug_of(heading):
    """Return the anchor of a heading: lower case, no punctuation, hyphens for blanks."""
    shown = re.sub(r'\[([^\]]*)\]\([^)]*\)', r'\1', heading).replace('`', '')
    return re.sub(r'[^\w\- ]', '', shown.strip().lower()).replace(' ', '-')


def broken(page, root=ROOT):
    """Return one sentence for each link of a page that leads nowhere."""
    found = []
    for target in links(page):
        if re.match(r'[a-z][a-z+.-]*:', target):
            continue  # of the net, where no test goes
        name, _, anchor = target.partition('#')
        path = (page.parent / name).resolve() if name else page
        if not path.is_relative_to(root) or not path.exists():
            found.append(f'{target}: there is no such file')
        elif anchor and path.suffix == '.md' and anchor not in anchors(path):
            found.append(f'{target}: that page has no such heading')
    return found


def missing(page, root=ROOT):
    """Return the paths that a page names as code and that are not there."""
    return [name for name in NAMED.findall(prose(page)) if not (root / name).exists()]


@pytest.mark.parametrize('page', PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_link_of_a_page_leads_somewhere(page):
    assert broken(page) == []


@pytest.mark.parametrize('page', PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_file_that_a_page_names_is_there(page):
    assert missing(page) == []


def test_every_page_is_in_the_index_of_the_site():
    index = ROOT / 'docs' / 'index.md'
    listed = {path.stem for path in (ROOT / 'docs').glob('*.md')} - {'index'}
    entries = re.findall(r'^([a-z_]+)$', index.read_text(encoding='utf-8'), re.MULTILINE)
    assert sorted(entries) == sorted(listed)


def test_a_link_to_nowhere_is_found(tmp_path):
    (tmp_path / 'other.md').write_text('# A `b`: c, d\n\n## A\n\n## A\n', encoding='utf-8')
    page = tmp_path / 'page.md'
    page.write_text(
        '[fine](other.md) [fine](other.md#a-b-c-d) [fine](other.md#a-1) [fine](#here)\n'
        '[fine](https://example.com/nothing)\n`[code](not_a_link.md)`\n'
        '```\n[code](not_a_link.md)\n```\n'
        '[gone](gone.md) [gone](other.md#gone) [gone](#gone) [gone](../../page.md)\n\n## Here\n',
        encoding='utf-8',
    )
    assert [sentence.partition(':')[0] for sentence in broken(page, tmp_path)] == [
        'gone.md',
        'other.md#gone',
        '#gone',
        '../../page.md',
    ]


def test_a_file_that_is_not_there_is_found(tmp_path):
    (tmp_path / 'config').mkdir()
    (tmp_path / 'config' / 'there.yaml').touch()
    page = tmp_path / 'page.md'
    page.write_text(
        '`config/there.yaml`, `./config/there.yaml --flag`, `camera/image`, `config/gone.yaml`\n',
        encoding='utf-8',
    )
    assert missing(page, tmp_path) == ['config/gone.yaml']
