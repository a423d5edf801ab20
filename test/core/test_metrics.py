# Copyright 2026 the robocache_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Statuses of `/diagnostics` become metrics under stable names, and go when their node goes."""

from __future__ import annotations

import http.client
import re
import socket
import sys

import pytest

from robocache_ros.metrics.board import PATIENCE_SEC, Board
from robocache_ros.metrics.measurement import Status, measure
from robocache_ros.metrics.server import MetricsError, MetricsServer

LOOPBACK = '127.0.0.1'


def numbers(part='source lidar', level=0, node='/preprocessor', **values):
    """Return what is made of a status, but for its level, as {name{labels}: value}."""
    values = {key.replace('__', '.'): text for key, text in values.items()}
    found = {}
    for one in measure(Status(f'{node}: {part}', level, values)):
        labels = ','.join(f'{key}={value}' for key, value in one.labels)
        found[f'{one.name}{"_total" * one.counts}{{{labels}}}'] = one.value
    assert found.pop(f'robocache_status_level{{node={node},part={part}}}') == level
    return found


LIDAR = '{node=/preprocessor,source=lidar}'


def test_a_level_is_a_number_for_every_part_of_every_node():
    assert numbers(level=2) == {}
    assert numbers(part='node', level=3, node='/robot_1/filter') == {}


def test_a_count_of_a_source_has_the_labels_node_and_source():
    assert numbers(received='42', used='7') == {
        f'robocache_source_received_total{LIDAR}': 42,
        f'robocache_source_used_total{LIDAR}': 7,
    }


def test_what_may_shrink_is_no_count():
    assert numbers(buffered='42', publishers='1') == {
        f'robocache_source_buffered{LIDAR}': 42,
        f'robocache_source_publishers{LIDAR}': 1,
    }


def test_units_become_those_that_prometheus_wants():
    found = numbers(
        rate_hz='9.98', latency_ms='-4.2', fill='97%', deskew_agreement='82% (60% without turning)'
    )
    assert found == pytest.approx(
        {
            f'robocache_source_rate_hertz{LIDAR}': 9.98,
            f'robocache_source_latency_seconds{LIDAR}': -0.0042,
            f'robocache_source_fill_ratio{LIDAR}': 0.97,
            f'robocache_source_deskew_agreement_ratio{LIDAR}': 0.82,
        }
    )


def test_a_reason_is_a_label():
    found = numbers(dropped__stamp_unset='3', dropped__late='1', note__field_missing='5')
    labels = '{{node=/preprocessor,source=lidar,reason={}}}'.format
    assert found == {
        'robocache_source_dropped_total' + labels('stamp_unset'): 3,
        'robocache_source_dropped_total' + labels('late'): 1,
        'robocache_source_note_total' + labels('field_missing'): 5,
    }


def test_an_output_tells_the_sources_that_it_lacked():
    assert numbers(part='output voxels', late__imu='3', invalid__camera='4') == {
        'robocache_output_late_total{node=/preprocessor,output=voxels,source=imu}': 3,
        'robocache_output_invalid_total{node=/preprocessor,output=voxels,source=camera}': 4,
    }


def test_percentiles_of_all_stages_are_one_metric():
    found = numbers(part='output voxels', wait_ms_p50='1.50', total_ms_p99='20.00')
    labels = '{{node=/preprocessor,output=voxels,stage={},quantile={}}}'.format
    assert found == pytest.approx(
        {
            'robocache_output_stage_seconds' + labels('wait', '0.5'): 0.0015,
            'robocache_output_stage_seconds' + labels('total', '0.99'): 0.02,
        }
    )


def test_operations_tell_where_they_were_computed():
    found = numbers(
        part='node',
        voxelize__cuda='90',
        voxelize__crossover='20000',
        resample__crossover='never',
        voxelize__retry_sec='12.5',
    )
    operation = '{node=/preprocessor,operation=voxelize'
    assert found == {
        f'robocache_node_computed_total{operation},where=cuda}}': 90,
        f'robocache_node_crossover{operation}}}': 20000,
        f'robocache_node_retry_seconds{operation}}}': 12.5,
    }


def test_a_state_is_a_label_of_a_metric_that_is_1():
    assert numbers(part='node', state='active', version='1.0', backend='numpy') == {
        'robocache_node_state{node=/preprocessor,state=active}': 1,
        'robocache_node_version{node=/preprocessor,version=1.0}': 1,
        'robocache_node_backend{node=/preprocessor,backend=numpy}': 1,
    }


@pytest.mark.parametrize('text', ['', 'reliable (auto)', '/lidar/points', '1.0 2.0', 'nan', '1_0'])
def test_a_text_is_no_metric(text):
    assert numbers(qos=text) == {}


def test_a_part_without_a_name_has_the_label_node_alone():
    assert numbers(part='transforms', received='5', rate_hz='2.00') == {
        'robocache_transforms_received_total{node=/preprocessor}': 5,
        'robocache_transforms_rate_hertz{node=/preprocessor}': 2,
    }


def test_a_key_that_is_new_becomes_a_gauge_whatever_its_letters():
    found = {one.name: one.counts for one in measure(Status('/a: source l', 0, {'a.µ-x': '5'}))}
    assert found['robocache_source_a___x'] is False


class Clock:
    now = 1000.0

    def __call__(self):
        return self.now


def told(node, **values):
    return Status(f'{node}: source lidar', 0, values)


def on(board):
    return {
        (dict(one.labels)['node'], one.name): one.value
        for one in board.measurements()
        if one.name != 'robocache_status_level'
    }


def test_a_board_keeps_the_newest_of_each_node():
    clock = Clock()
    board = Board(clock)
    board.put([told('/a', received='1', used='1'), told('/b', received='7')])
    clock.now += 2.0
    board.put([told('/a', received='2')])
    assert on(board) == {
        ('/a', 'robocache_source_received'): 2,
        ('/a', 'robocache_diagnostics_age_seconds'): 0,
        ('/b', 'robocache_source_received'): 7,
        ('/b', 'robocache_diagnostics_age_seconds'): 2,
    }


def test_a_node_that_says_nothing_any_more_goes_and_may_come_back():
    clock = Clock()
    board = Board(clock)
    board.put([told('/a', received='1')])
    clock.now += PATIENCE_SEC
    assert on(board)
    clock.now += 0.1
    assert on(board) == {}
    board.put([told('/a', received='2')])
    assert on(board)['/a', 'robocache_source_received'] == 2


def test_what_is_said_twice_is_served_once():
    board = Board(Clock())
    board.put([told('/a', received='1'), told('/a', received='2')])
    assert on(board)['/a', 'robocache_source_received'] == 2
    assert len(board.measurements()) == 3  # and the level, and the age


@pytest.fixture
def served():
    """Give a board and the page that shows it."""
    pytest.importorskip('prometheus_client', reason='needs prometheus-client')
    board = Board()
    server = MetricsServer(board, LOOPBACK, 0)
    yield board, server
    server.close()


def page(url):
    host, port = re.fullmatch(r'http://(.+):(\d+)/metrics', url).groups()
    connection = http.client.HTTPConnection(host.strip('[]'), int(port), timeout=10)
    connection.request('GET', '/metrics')
    response = connection.getresponse()
    assert response.status == 200
    text = response.read().decode()
    connection.close()
    return text


def test_the_page_is_what_prometheus_reads(served):
    from prometheus_client.parser import text_string_to_metric_families

    board, server = served
    hostile = 'a"b\\c\nd'
    board.put(
        [
            Status(
                '/a: source lidar', 1, {'received': '5', 'dropped.late': '2', 'rate_hz': '9.5'}
            ),
            Status('/b: node', 0, {'state': hostile}),
        ]
    )
    families = {one.name: one for one in text_string_to_metric_families(page(server.url))}
    kinds = {name: family.type for name, family in families.items()}
    assert kinds == {
        'robocache_status_level': 'gauge',
        'robocache_source_received': 'counter',
        'robocache_source_dropped': 'counter',
        'robocache_source_rate_hertz': 'gauge',
        'robocache_node_state': 'gauge',
        'robocache_diagnostics_age_seconds': 'gauge',
    }
    (dropped,) = families['robocache_source_dropped'].samples
    assert dropped.name == 'robocache_source_dropped_total'
    assert dropped.labels == {'node': '/a', 'source': 'lidar', 'reason': 'late'}
    assert dropped.value == 2
    assert families['robocache_node_state'].samples[0].labels['state'] == hostile
    assert all(family.documentation for family in families.values())


def test_without_a_node_the_page_is_empty(served):
    assert page(served[1].url) == ''


def test_a_port_that_is_taken_is_explained(served):
    port = int(re.search(r':(\d+)/', served[1].url)[1])
    with pytest.raises(MetricsError, match=f'port {port} of 127.0.0.1 is taken.*another --port'):
        MetricsServer(Board(), LOOPBACK, port)


def test_an_address_that_is_not_ours_is_explained(served):
    with pytest.raises(
        MetricsError, match=r'can not listen on port 0 of 192\.0\.2\.1 .*--address'
    ):
        MetricsServer(Board(), '192.0.2.1', 0)


def test_the_page_is_on_the_asked_interface_alone(served):
    assert served[1].url.startswith('http://127.0.0.1:')


def test_a_closed_server_gives_the_port_back():
    pytest.importorskip('prometheus_client', reason='needs prometheus-client')
    server = MetricsServer(Board(), LOOPBACK, 0)
    port = int(re.search(r':(\d+)/', server.url)[1])
    assert page(server.url) == ''
    server.close()
    again = MetricsServer(Board(), LOOPBACK, port)
    assert page(again.url) == ''
    again.close()


def has_ipv6():
    try:
        with socket.create_server(('::1', 0), family=socket.AF_INET6):
            return True
    except OSError:
        return False


@pytest.mark.skipif(not has_ipv6(), reason='no loopback of IPv6 here')
def test_the_page_is_on_ipv6_as_well():
    pytest.importorskip('prometheus_client', reason='needs prometheus-client')
    server = MetricsServer(Board(), '::1', 0)
    assert page(server.url) == ''
    assert server.url.startswith('http://[::1]:')
    server.close()


def test_without_the_library_a_sentence_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, 'prometheus_client', None)
    with pytest.raises(MetricsError, match='pip install prometheus-client.*apt install'):
        MetricsServer(Board(), LOOPBACK, 0)
