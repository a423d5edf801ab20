# Copyright 2026 the robocache_ros authors
# SPDX-License-Identifier: Apache-2.0
"""What a real node says in `/diagnostics` is on the page that Prometheus reads."""

from __future__ import annotations

import json
import re
import sys
import urllib.error
import urllib.request
from pathlib import Path

import pytest
from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus, KeyValue
from rig import cloud, imu, values
from sensor_msgs.msg import Imu, PointCloud2

from robocache_ros.metrics.board import Board
from robocache_ros.metrics.measurement import COUNTS
from robocache_ros.metrics.server import MetricsServer
from robocache_ros.ros.prometheus import Exporter

pytest.importorskip('prometheus_client', reason='needs prometheus-client')
from prometheus_client.parser import text_string_to_metric_families  # noqa: E402

ROOT = Path(__file__).resolve().parents[2]
DASHBOARD = ROOT / 'config' / 'grafana.json'
PAGE = ROOT / 'docs' / 'metrics.md'
# Whole numbers that may shrink. A new one has to be here or in COUNTS.
WHOLE_GAUGES = {'publishers', 'buffered', 'epoch', 'crossover'}
# Those of a CUDA backend, of /tf and of networks are not in this test.
NOT_HERE = re.compile(
    'robocache_(node_(computed|crossover|retry)|transforms_|source_(encode|painted|deskew_))'
)


@pytest.fixture
def exporter(rig, context):
    """Give the exporter, whose page is read with `metrics`."""
    board = Board()
    exporter = Exporter(board, MetricsServer(board, '127.0.0.1', 0), context=context)
    rig._executor.add_node(exporter)
    yield exporter
    rig._executor.remove_node(exporter)
    exporter.destroy_node()


def metrics(url):
    """Return {(name, labels): value} of a page."""
    with urllib.request.urlopen(url, timeout=10) as response:
        text = response.read().decode()
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def of_source(name, **labels):
    labels = {'node': '/robot_1/preprocessor', 'source': 'lidar'} | labels
    return f'robocache_source_{name}', tuple(sorted(labels.items()))


@pytest.fixture
def busy(rig):
    """Give a node that has had good and bad messages, and made frames that lack something."""
    node = rig.active(namespace='robot_1', sources=['lidar', 'imu'], features__named=True)
    lidar = rig.publisher(PointCloud2, '/robot_1/lidar/points')
    inertial = rig.publisher(Imu, '/robot_1/imu/data')
    rig.settle(node, lidar, inertial)
    begin_ns = node.get_clock().now().nanoseconds
    period_ns = 100_000_000
    rig.send(node, 'imu', inertial, *(imu(begin_ns + n * 10_000_000) for n in range(6)))
    rig.send(node, 'lidar', lidar, *(cloud(begin_ns + n * period_ns) for n in range(6)))
    rig.send(node, 'lidar', lidar, cloud(0), cloud(begin_ns))
    stats = node._running.worker.outputs['features']
    rig.wait(lambda: stats.messages == 6 and stats.partial, 'frames that lack the imu')
    return node


def test_the_page_has_what_a_node_says_until_the_server_is_closed(rig, exporter, busy):
    rig.diagnose(busy)
    url = exporter._server.url
    rig.wait(lambda: metrics(url).get(of_source('received_total')) == 8, 'all messages')
    found, status = metrics(url), values(rig.diagnose(busy)['source lidar'])
    assert found[of_source('dropped_total', reason='stamp_unset')] == 1
    assert found[of_source('dropped_total', reason='duplicate')] == 1
    assert found[of_source('state', state='ok')] == 1
    assert found[of_source('buffered')] == float(status['buffered'])
    exporter._server.close()
    with pytest.raises(urllib.error.URLError):
        metrics(url)


def test_what_other_packages_say_in_diagnostics_is_left_to_them(rig, exporter):
    publisher = rig.publisher(DiagnosticArray, '/diagnostics')
    rig.wait(lambda: publisher.get_subscription_count() >= 2, 'the exporter')
    values = [KeyValue(key='received', value='1')]
    publisher.publish(
        DiagnosticArray(
            status=[
                DiagnosticStatus(name='/a: source b', hardware_id='motor', values=values),
                DiagnosticStatus(
                    name='/ours: source b', hardware_id='robocache_ros', values=values
                ),
            ]
        )
    )
    found = rig.wait(lambda: metrics(exporter._server.url), 'metrics')
    assert {dict(labels)['node'] for _, labels in found} == {'/ours'}


def test_every_whole_number_of_a_node_is_known_to_grow_or_not_to(rig, busy):
    for status in rig.diagnose(busy).values():
        for key, text in values(status).items():
            first, _, last = key.partition('.')
            if text.isdigit():
                assert {first, last} & (COUNTS | WHOLE_GAUGES), f'{key} of {status.name} is new'
    assert not COUNTS & WHOLE_GAUGES


@pytest.fixture
def known(rig, exporter, busy):
    """Give the names of a real page, and the labels of each."""
    rig.diagnose(busy)
    found = rig.wait(lambda: metrics(exporter._server.url), 'metrics')
    labels = {}
    for name, pairs in found:
        labels.setdefault(name, set()).update(key for key, _ in pairs)
    return labels


def expressions():
    dashboard = json.loads(DASHBOARD.read_text())
    panels = dashboard['panels']
    variables = [v['query'] for v in dashboard['templating']['list'] if v['type'] == 'query']
    return panels, [target['expr'] for panel in panels for target in panel['targets']], variables


def test_the_dashboard_asks_for_metrics_and_labels_that_exist(known):
    panels, asked, variables = expressions()
    assert len(asked) >= len(panels) >= 10
    for text in [*asked, *variables]:
        names = re.findall(r'robocache_\w+', text)
        assert names
        for name in names:
            assert name in known, f'{name} in {text!r}'
            filters = re.findall(r'(\w+)(?:=~|!~|!=|=)"', text)
            grouped = re.findall(r'by \(([^)]*)\)', text)
            wanted = {*filters, *(label for g in grouped for label in g.split(', '))}
            assert wanted <= known[name], text
        for pair in ('()', '{}', '[]'):
            assert text.count(pair[0]) == text.count(pair[1]), text
    for panel in panels:
        for target in panel['targets']:
            legend = set(re.findall(r'{{(\w+)}}', target['legendFormat']))
            (name, *_) = re.findall(r'robocache_\w+', target['expr'])
            assert legend <= known[name], target


def test_panels_of_the_dashboard_have_ids_of_their_own_and_do_not_overlap():
    panels = expressions()[0]
    assert len({panel['id'] for panel in panels}) == len(panels)
    cells = [
        (x, y)
        for place in (panel['gridPos'] for panel in panels)
        for x in range(place['x'], place['x'] + place['w'])
        for y in range(place['y'], place['y'] + place['h'])
    ]
    assert len(cells) == len(set(cells))
    assert max(x for x, _ in cells) < 24


def test_the_page_of_the_documentation_names_metrics_that_exist(known):
    named = set(re.findall(r'robocache_[a-z_]+[a-z]', PAGE.read_text())) - {'robocache_ros'}
    assert len(named) > 10
    unknown = {name for name in named if name not in known and not NOT_HERE.match(name)}
    assert not unknown


def test_the_command_serves_until_it_is_told_to_stop(start_process, wait_until):
    command = [sys.executable, '-m', 'robocache_ros', 'prometheus', '--port']
    process = start_process(*command, 0)

    def url():
        return re.search(r'http://127.0.0.1:\d+/metrics', process.log.read_text())

    assert metrics(wait_until(url, 30, 'the page')[0]) == {}
    port = re.search(r':(\d+)/', url()[0])[1]
    second = start_process(*command, port)
    assert second.wait(30) == 1
    log = second.log.read_text()
    assert log.startswith(f'robocache prometheus: port {port} of 127.0.0.1 is taken')
    assert log.count('\n') == 1
    process.terminate()
    assert process.wait(10) == 0
    assert 'Traceback' not in process.log.read_text()


@pytest.mark.parametrize('port', ['-1', '65536', 'x'])
def test_a_port_that_is_none_is_a_wrong_usage(port, start_process):
    process = start_process(sys.executable, '-m', 'robocache_ros', 'prometheus', f'--port={port}')
    assert process.wait(30) == 2
    assert '--port' in process.log.read_text().splitlines()[-1]
