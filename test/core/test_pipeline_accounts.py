# Copyright 2026 the robocache_ros authors
# SPDX-License-Identifier: Apache-2.0
"""received = buffered + used + expired + dropped, whatever comes in and at every moment."""

from __future__ import annotations

import threading

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from small_robot import MS, Drive, cloud, image, imu, make_pipeline

from robocache_ros.reasons import Reason

PAYLOAD = {'lidar': cloud((0.5, 0.5, 0.5)), 'camera': image(3), 'imu': imu(1.0)}

stamps_ms = st.one_of(
    st.integers(5000, 5600), st.integers(5000, 9000), st.integers(0, 100), st.just(10**9)
)
steps = st.one_of(
    st.tuples(st.sampled_from(sorted(PAYLOAD)), stamps_ms),
    st.tuples(st.just('reject'), st.just(0)),
    st.tuples(st.just('clock'), stamps_ms),
)


@settings(max_examples=150, deadline=None)
@given(
    st.lists(steps, max_size=60),
    st.sampled_from(['lidar', 'imu', 'rate']),
    st.sampled_from(['partial', 'skip']),
)
def test_whatever_comes_in_is_accounted_for(script, trigger, on_timeout):
    drive = Drive(make_pipeline(trigger=trigger, on_timeout=on_timeout))
    sent = dict.fromkeys(PAYLOAD, 0)
    for number, (what, t_ms) in enumerate(script):
        at_ms = 20 * number
        if what == 'clock':
            drive.pipeline.clock_jumped(t_ms * MS, at_ms * MS)
        elif what == 'reject':
            drive.pipeline.reject('lidar', Reason.CLOUD_SIZE)
            sent['lidar'] += 1
        else:
            drive.push(what, t_ms, PAYLOAD[what], at_ms)
            sent[what] += 1
        drive.advance(at_ms)
        drive.assert_conserved()
    accounts = drive.status().sources
    assert {name: account.received for name, account in accounts.items()} == sent
    epochs = [frame.epoch for frame in drive.frames]
    assert epochs == sorted(epochs)


@settings(max_examples=50, deadline=None)
@given(st.lists(st.tuples(st.sampled_from(sorted(PAYLOAD)), st.integers(5000, 5900)), max_size=60))
def test_stamps_of_one_output_never_go_back_within_an_epoch(script):
    drive = Drive(make_pipeline())
    for number, (source, t_ms) in enumerate(script):
        drive.push(source, t_ms, PAYLOAD[source], at_ms=5000 + number)
        drive.advance(5000 + number)
    for output in ('voxels', 'features'):
        times = [f.t_ref_ns for f in drive.frames if hasattr(f, 'voxels') == (output == 'voxels')]
        assert times == sorted(set(times))


def test_the_account_holds_while_other_threads_push():
    pipeline = make_pipeline(None)
    per_thread = 200  # all of them fit into the ring buffers

    def send(source: str) -> None:
        for number in range(per_thread):
            pipeline.push(number * MS, source, number * MS, PAYLOAD[source])

    senders = [threading.Thread(target=send, args=(source,)) for source in PAYLOAD]
    for sender in senders:
        sender.start()
    frames = 0
    while any(sender.is_alive() for sender in senders):
        frames += len(list(pipeline.advance(per_thread * MS)))
        for account in pipeline.status(0).sources.values():
            parts = account.buffered + account.used + account.expired
            assert account.received == parts + sum(account.dropped.values())
    for sender in senders:
        sender.join()
    frames += len(list(pipeline.advance(10 * per_thread * MS)))
    assert frames == 2 * per_thread


def test_a_frame_whose_computation_fails_is_counted_and_the_next_one_goes_out(monkeypatch):
    drive = Drive(make_pipeline(sources=['lidar']))
    backend = drive.pipeline._assembler._backend
    voxelize = backend.voxelize
    monkeypatch.setattr(backend, 'voxelize', lambda *_: 1 / 0)
    drive.push('lidar', 100, PAYLOAD['lidar'])
    for _ in ('voxels', 'features'):
        with pytest.raises(ZeroDivisionError):
            drive.advance(100)
    monkeypatch.setattr(backend, 'voxelize', voxelize)
    drive.push('lidar', 200, PAYLOAD['lidar'])
    assert drive.advance(200) == [('voxels', 200), ('features', 200)]
    for output in drive.status().outputs.values():
        assert output.dropped == {Reason.FRAME_ERROR: 1}
