# Copyright 2026 the robocache_ros authors
# SPDX-License-Identifier: Apache-2.0
"""`robocache doctor`: its command line, and that it neither needs ROS nor hangs nor crashes."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from robocache_ros.__main__ import main
from robocache_ros.doctor import doctor
from robocache_ros.doctor.finding import Level, error, fine, mebibytes, told, warning
from robocache_ros.doctor.probe import Probe
from robocache_ros.doctor.report import as_json, as_text, exit_code

ROOT = Path(__file__).resolve().parents[2]
SOME = [fine('python', 'Good.'), warning('sockets', 'Small.', 'Grow.'), error('cam', 'No.', 'Do.')]
SLEEP = 'import time; time.sleep(600)'
STAND_INS = """
import os, signal, sys, time

def answers(asked):
    print('a library says hello')
    return {'heard': asked}

def hangs(asked):
    time.sleep(600)

def insists(asked):
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    print('up', flush=True)
    time.sleep(600)

def crashes(asked):
    os.kill(os.getpid(), 11)

def exits(asked):
    print('[ERROR] [17.5] [rcl]: no such middleware', file=sys.stderr, flush=True)
    os._exit(102)

def raises(asked):
    raise ValueError('a fault')

def lacks(asked):
    import no_such_package
"""


@pytest.fixture
def import_path(tmp_path, monkeypatch):
    """Give a folder that children import from first."""
    paths = [str(tmp_path), str(ROOT), os.environ.get('PYTHONPATH', '')]
    monkeypatch.setenv('PYTHONPATH', os.pathsep.join(paths))
    return tmp_path


@pytest.fixture
def probe(import_path):
    """Give a function that starts a probe of a stand-in."""
    (import_path / 'stand_ins.py').write_text(STAND_INS)
    started = []

    def start(name, limit_sec=30.0):
        started.append(Probe(f'stand_ins:{name}', {'é': [1]}, limit_sec))
        return started[-1]

    yield start
    for each in started:
        each.end()


def test_a_probe_hands_over_what_it_is_asked_and_what_it_finds(probe):
    assert probe('answers').facts() == {'heard': {'é': [1]}}


@pytest.mark.parametrize(
    ('name', 'facts'),
    [
        ('crashes', {'failed': 'it was ended by SIGSEGV'}),
        ('exits', {'failed': 'no such middleware'}),
        ('raises', {'failed': 'ValueError: a fault'}),
        ('lacks', {'absent': "No module named 'no_such_package'"}),
    ],
)
def test_a_probe_that_breaks_says_how(probe, name, facts):
    assert probe(name).facts() == facts


def test_a_probe_that_hangs_is_ended(probe):
    hanging = probe('hangs', limit_sec=0.2)
    assert hanging.facts() == {'failed': 'no answer within 0.2 s', 'hung': True}
    assert hanging._process.poll() is not None


def test_a_probe_that_does_not_want_to_end_is_forced(probe):
    insisting = probe('insists')
    deadline = time.monotonic() + 30
    while not os.fstat(insisting._output.fileno()).st_size:
        assert time.monotonic() < deadline
        time.sleep(0.01)
    insisting.end()
    assert insisting._process.poll() == -signal.SIGKILL


def test_a_check_that_raises_becomes_a_finding_and_the_others_go_on():
    def broken():
        yield fine('one', 'One.')
        raise KeyError('two')

    findings = []
    doctor._look(findings, broken)
    doctor._look(findings, lambda: [fine('three', 'Three.')])
    assert [one.about for one in findings] == ['one', 'doctor', 'three']
    assert "KeyError: 'two'" in findings[1].sentence
    assert 'report it' in findings[1].fix


def test_what_is_bad_comes_first_with_its_fix_and_what_is_fine_in_one_line():
    long = fine('paths', '/a/long/path ' * 20)
    lines = [line for line in as_text([*SOME, long]).splitlines() if line]
    assert lines.pop() == f'ok     paths: {long.sentence}'
    assert lines == [
        'robocache doctor: 1 error, 1 warning',
        'ERROR  cam: No.',
        '       Fix: Do.',
        'WARN   sockets: Small.',
        '       Fix: Grow.',
        'ok     python: Good.',
    ]


def test_json_holds_the_same():
    found = json.loads(as_json(SOME))
    assert (found['exit_code'], found['fine'][0]['sentence']) == (1, 'Good.')
    assert found['findings'][1] == {
        'level': 'warning', 'about': 'sockets', 'sentence': 'Small.', 'fix': 'Grow.',
    }  # fmt: skip


def test_warnings_alone_do_not_fail():
    assert (exit_code(SOME), exit_code(SOME[:2])) == (1, 0)
    assert 'all is well' in as_text(SOME[:1])


def test_the_same_is_not_said_twice():
    assert as_text([SOME[1], SOME[1]]).count('Small.') == 1


@pytest.mark.parametrize(
    ('text', 'sentence', 'fix'),
    [
        ('it is off: turn it on', 'It is off.', 'Turn it on.'),
        ('no GPU (in a container: --gpus all)', 'No GPU (in a container: --gpus all).', ''),
        ('/a has `x: y` set, wrong: set 1', '/a has `x: y` set, wrong.', 'Set 1.'),
        ('std::bad_alloc came: try again', 'Std::bad_alloc came.', 'Try again.'),
    ],
)
def test_the_fix_of_a_sentence_stands_behind_its_colon(text, sentence, fix):
    assert told(Level.WARNING, 'x', text)[2:] == (sentence, fix)


@pytest.mark.parametrize(
    ('nbytes', 'text'), [(2**19, '0.5 MiB'), (2**26, '64 MiB'), (3 * 2**29, '1.5 GiB')]
)
def test_sizes_are_readable(nbytes, text):
    assert mebibytes(nbytes) == text


@pytest.mark.parametrize('words', [['--watch', '0'], ['--watch', '1e9'], ['--parms', 'x']])
def test_arguments_that_are_none_end_with_exit_code_2(words, capsys):
    with pytest.raises(SystemExit, match='2'):
        main(['doctor', *words])
    assert 'usage: robocache doctor' in capsys.readouterr().err


def test_without_ros_it_says_so_and_looks_at_all_the_rest(import_path, monkeypatch, capsys):
    (import_path / 'rclpy.py').write_text('raise ModuleNotFoundError("No module named rclpy")')
    assert main(['doctor', '--json']) == 1
    found = json.loads(capsys.readouterr().out)
    assert [(one['level'], one['about']) for one in found['findings'][:1]] == [('error', 'ros')]
    assert 'No module named rclpy' in found['findings'][0]['sentence']
    assert 'setup.bash' in found['findings'][0]['fix']
    looked_at = {one['about'] for one in found['findings'] + found['fine']}
    assert looked_at >= {'python', 'package', 'numpy', 'cuda', 'torch', 'discovery', 'sockets'}


def test_an_interrupt_ends_it_and_all_it_has_started_without_a_traceback(import_path):
    up = import_path / 'up'
    program = f'import os; os.symlink(str(os.getpid()), {str(up)!r})\n{SLEEP}'
    (import_path / 'rclpy.py').write_text(program)
    words = [sys.executable, '-m', 'robocache_ros', 'doctor']
    process = subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    deadline = time.monotonic() + 30
    while not up.is_symlink():
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < deadline
        time.sleep(0.01)
    process.send_signal(signal.SIGINT)
    assert process.communicate(timeout=30) == (b'', b'')
    assert process.returncode == 130
    with pytest.raises(ProcessLookupError):
        os.kill(int(os.readlink(up)), 0)


def test_without_numpy_it_is_a_finding(import_path):
    (import_path / 'numpy.py').write_text('raise ImportError("built for another Python")')
    words = [sys.executable, '-m', 'robocache_ros', 'doctor', '--json']
    run = subprocess.run(words, capture_output=True, text=True, timeout=60, cwd=import_path)
    first, *others = json.loads(run.stdout)['findings']
    assert (run.returncode, run.stderr) == (1, '')
    assert first['sentence'] == 'NumPy can not be imported: built for another Python.'
    assert not [one for one in others if one['about'] in ('doctor', 'ros')]


def test_a_look_that_hangs_does_not_keep_it(import_path, monkeypatch, capsys):
    monkeypatch.setattr(doctor, 'LIMIT_SEC', 0.3)
    (import_path / 'torch.py').write_text(SLEEP)
    (import_path / 'rclpy.py').write_text(SLEEP)
    begin = time.monotonic()
    assert main(['doctor', '--watch', '0.1', '--json']) == 1
    assert time.monotonic() - begin < 60
    sentences = [one['sentence'] for one in json.loads(capsys.readouterr().out)['findings']]
    assert any('no answer within 0.4 s' in sentence for sentence in sentences)
