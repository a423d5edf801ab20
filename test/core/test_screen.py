# Copyright 2026 the robocache_ros authors
# SPDX-License-Identifier: Apache-2.0
"""On a terminal a block replaces the one before; in a file all of them stay."""

from __future__ import annotations

import io

from robocache_ros.demo.screen import Screen


class Terminal(io.StringIO):
    def isatty(self):
        return True


def test_a_block_is_redrawn_in_place_on_a_terminal():
    terminal = Terminal()
    screen = Screen(terminal)
    screen.show(['one', 'two'])
    screen.show(['three'])
    screen.show(['four'])
    assert terminal.getvalue() == 'one\ntwo\n\x1b[2F\x1b[Jthree\n\x1b[1F\x1b[Jfour\n'


def test_no_line_wraps_on_a_terminal(monkeypatch):
    monkeypatch.setenv('COLUMNS', '10')
    terminal = Terminal()
    Screen(terminal).show(['0123456789abc'])
    assert terminal.getvalue() == '0123456789\n'


def test_elsewhere_blocks_follow_each_other_less_often():
    file = io.StringIO()
    screen = Screen(file)
    screen.show(['one'])
    screen.show(['a line of any length ' * 20])
    assert file.getvalue() == 'one\n' + 'a line of any length ' * 20 + '\n'
    assert screen.period_sec > Screen(Terminal()).period_sec
