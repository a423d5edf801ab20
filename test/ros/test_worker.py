# Copyright 2026 the robocache_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The worker thread, driven by pipelines that do what a test tells them."""

from __future__ import annotations

import ctypes
import platform
import threading
import time
from collections import deque

import numpy as np
import pytest

from robocache_ros.ros import worker as worker_module
from robocache_ros.ros.latency import Passage, Timing, stages
from robocache_ros.ros.worker import Worker, flushes_denormals
from robocache_ros.samples import FeatureFrame, VoxelFrame

DEADLINE_SEC = 5


def voxel_frame(t_ref_ns=1, complete=True, arrival_ns=1000, ready_ns=3000):
    return VoxelFrame(t_ref_ns, 0, 'lidar', None, None, {}, (), complete, arrival_ns, ready_ns)


def feature_frame(t_ref_ns=1, complete=True, arrival_ns=1000, ready_ns=3000):
    empty = np.zeros((1, 1), np.float32)
    return FeatureFrame(
        t_ref_ns, 0, '', empty[0], empty, empty, empty, {}, (), complete, arrival_ns, ready_ns
    )


class Scripted:
    """A pipeline that yields what is put in, raises what is put in, and names a deadline."""

    def __init__(self, *script):
        self.script = deque(script)
        self.deadline_ns = None
        self.calls = []

    def advance(self, now_ns):
        self.calls.append(now_ns)
        while self.script:
            item = self.script.popleft()
            if isinstance(item, Exception):
                raise item
            yield item

    def next_deadline_ns(self):
        waiting = time.monotonic_ns() + 3600_000_000_000 if self.script else None
        return waiting if self.deadline_ns is None else self.deadline_ns


class Harness:
    def __init__(self, pipeline, publish=None):
        self.published = []
        self.complaints = []
        self._take = publish or self.published.append
        self.worker = Worker(
            pipeline,
            self._publish,
            lambda line, trace: self.complaints.append((line, trace)),
        )

    def _publish(self, frame):
        encoded_ns = time.monotonic_ns()
        self._take(frame)
        return encoded_ns

    def __enter__(self):
        self.worker.start()
        return self

    def __exit__(self, *_):
        assert self.worker.stop(DEADLINE_SEC)


def test_what_was_ready_before_the_start_is_published(wait_until):
    frames = [voxel_frame(1), feature_frame(1)]
    with Harness(Scripted(*frames)) as it:
        wait_until(lambda: len(it.published) == 2, DEADLINE_SEC, 'both frames')
    assert it.published == frames


def test_a_wake_makes_it_look_again(wait_until):
    pipeline = Scripted()
    with Harness(pipeline) as it:
        wait_until(lambda: pipeline.calls, DEADLINE_SEC, 'the first look')
        pipeline.script.append(voxel_frame())
        it.worker.wake()
        wait_until(lambda: it.published, DEADLINE_SEC, 'the frame')


def test_a_wake_while_no_frame_waits_disturbs_nobody(wait_until):
    pipeline = Scripted()
    with Harness(pipeline) as it:
        wait_until(lambda: pipeline.calls, DEADLINE_SEC, 'the first look')
        for _ in range(1000):
            it.worker.wake()
    assert len(pipeline.calls) == 1


def test_without_a_wake_it_looks_when_the_deadline_of_the_pipeline_has_come(wait_until):
    pipeline = Scripted()
    pipeline.deadline_ns = time.monotonic_ns() + 200_000_000
    with Harness(pipeline):
        wait_until(lambda: len(pipeline.calls) >= 2, DEADLINE_SEC, 'a look at the deadline')
        pipeline.deadline_ns = None
    assert pipeline.calls[1] >= pipeline.calls[0] + 100_000_000


def test_it_sleeps_while_there_is_no_deadline_and_no_wake(wait_until):
    pipeline = Scripted()
    with Harness(pipeline) as it:
        wait_until(lambda: pipeline.calls, DEADLINE_SEC, 'the first look')
        # Only a thread in its wait can be joined by stop; a busy one would have looked again.
        assert it.worker.stop(DEADLINE_SEC)
    assert len(pipeline.calls) == 1


def test_an_error_costs_its_frame_and_not_the_thread(wait_until):
    pipeline = Scripted(ValueError('no such cell'), voxel_frame(2))
    with Harness(pipeline) as it:
        wait_until(lambda: it.complaints, DEADLINE_SEC, 'the complaint')
        it.worker.wake()
        wait_until(lambda: it.published, DEADLINE_SEC, 'the next frame')
        assert it.worker.running
    assert it.worker.errors == 1
    assert it.worker.last_error == 'ValueError: no such cell'
    line, trace = it.complaints[0]
    assert line == it.worker.last_error
    assert 'in advance' in trace


def test_an_error_in_publishing_costs_its_frame_only(wait_until):
    seen = []

    def publish(frame):
        seen.append(frame.t_ref_ns)
        if frame.t_ref_ns == 1:
            raise RuntimeError('publisher gone')

    pipeline = Scripted(voxel_frame(1))
    with Harness(pipeline, publish) as it:
        wait_until(lambda: it.worker.errors == 1, DEADLINE_SEC, 'the error')
        pipeline.script.append(voxel_frame(2))
        it.worker.wake()
        wait_until(lambda: seen == [1, 2], DEADLINE_SEC, 'the second frame')
    assert it.worker.outputs['voxels'].messages == 1


def test_a_pipeline_that_always_fails_is_not_retried_in_a_busy_loop(wait_until):
    class Broken(Scripted):
        def advance(self, now_ns):
            self.calls.append(now_ns)
            raise KeyError('broken')

    pipeline = Broken()
    pipeline.deadline_ns = 0  # long past: nothing but the pause holds the worker back
    with Harness(pipeline):
        wait_until(lambda: len(pipeline.calls) >= 5, DEADLINE_SEC, 'five attempts')
    gaps = np.diff(pipeline.calls)
    assert gaps.min() >= 19_000_000


def test_stop_returns_although_a_computation_hangs_and_start_then_refuses():
    release = threading.Event()
    entered = threading.Event()

    def publish(frame):
        entered.set()
        release.wait(DEADLINE_SEC)

    worker = Harness(Scripted(voxel_frame()), publish).worker
    worker.start()
    assert entered.wait(DEADLINE_SEC)
    assert not worker.stop(0.05)
    with pytest.raises(RuntimeError, match='has not ended'):
        worker.start()
    release.set()
    assert worker.stop(DEADLINE_SEC)


def test_frames_that_become_ready_after_the_stop_are_not_published(wait_until):
    worker = None

    def publish(frame):
        seen.append(frame.t_ref_ns)
        worker._stopping = True  # as stop() does, in the middle of a batch

    seen = []
    worker = Harness(Scripted(voxel_frame(1), voxel_frame(2)), publish).worker
    worker.start()
    wait_until(lambda: not worker.running, DEADLINE_SEC, 'the end of the thread')
    worker.stop(DEADLINE_SEC)
    assert seen == [1]


def test_it_can_be_stopped_and_started_again_and_keeps_its_counts(wait_until):
    pipeline = Scripted(voxel_frame(1))
    it = Harness(pipeline)
    for n in (1, 2):
        with it:
            wait_until(lambda n=n: len(it.published) == n, DEADLINE_SEC, f'frame {n}')
        pipeline.script.append(voxel_frame(n + 1))
    assert it.worker.outputs['voxels'].messages == 2


def test_stop_without_start_is_fine():
    assert Harness(Scripted()).worker.stop()


def test_outputs_are_counted_apart_with_their_partial_frames(wait_until):
    frames = [voxel_frame(1), feature_frame(1, complete=False), feature_frame(2)]
    with Harness(Scripted(*frames)) as it:
        wait_until(lambda: len(it.published) == 3, DEADLINE_SEC, 'all frames')
    voxels, features = it.worker.outputs['voxels'], it.worker.outputs['features']
    assert (voxels.messages, voxels.partial) == (1, 0)
    assert (features.messages, features.partial) == (2, 1)


def test_every_stage_of_a_frame_is_timed_and_all_of_them_add_up(wait_until):
    now_ns = time.monotonic_ns()
    frame = voxel_frame(arrival_ns=now_ns - 7_000_000, ready_ns=now_ns - 2_000_000)
    with Harness(Scripted(frame)) as it:
        wait_until(lambda: it.worker.outputs['voxels'].messages, DEADLINE_SEC, 'the frame')
    (passage,) = it.worker.outputs['voxels'].passages()
    assert passage[:3] == (frame.t_ref_ns, frame.arrival_ns, frame.ready_ns)
    assert now_ns <= passage.computed_ns <= passage.encoded_ns <= passage.sent_ns
    found = stages([passage], {frame.arrival_ns: 1_000_000}, clock_ahead_ns=0)
    assert (found['decode'].p50_ms, found['wait'].p50_ms) == (1.0, 4.0)
    total = found.pop('total')
    assert 'transport' not in found  # the stamp is of another time than the clock
    assert sum(stage.p50_ms for stage in found.values()) == pytest.approx(total.p50_ms)


def test_stages_by_hand():
    ms = 1_000_000
    way = Passage(100 * ms, 1 * ms, 3 * ms, 8 * ms, 9 * ms, 9 * ms)
    found = stages([way], {}, clock_ahead_ns=104 * ms)
    assert list(found) == ['transport', 'wait', 'compute', 'encode', 'publish', 'total']
    assert [stage.p95_ms for stage in found.values()] == [5.0, 2.0, 5.0, 1.0, 0.0, 8.0]
    assert stages([], {}, clock_ahead_ns=0) == {}


def test_timing_percentiles_by_hand():
    timing = Timing.of([n * 1_000_000 for n in range(100, -1, -1)])  # 0..100 ms, unordered
    assert timing.p50_ms == pytest.approx(50.0)
    assert timing.p95_ms == pytest.approx(95.0)
    assert timing.p99_ms == pytest.approx(99.0)
    assert Timing.of([]) is None


@pytest.mark.parametrize('flushes', [False, True])
def test_a_thread_that_flushes_denormals_says_so(flushes, wait_until, monkeypatch, caplog):
    assert not worker_module.flushes_denormals()
    monkeypatch.setattr(worker_module, 'flushes_denormals', lambda: flushes)
    with Harness(Scripted(voxel_frame())) as it:
        wait_until(lambda: it.published, DEADLINE_SEC, 'a frame')
    assert ('rounds denormal numbers to zero' in caplog.text) == flushes


@pytest.mark.skipif(
    platform.system() != 'Linux' or platform.machine() != 'x86_64',
    reason='sets the control word of x86-64 through glibc',
)
def test_a_thread_that_flushes_denormals_is_found_out():
    libm = ctypes.CDLL('libm.so.6')
    environment = ctypes.create_string_buffer(64)  # fenv_t: 28 bytes of x87, then MXCSR
    found = []

    def probe():
        assert libm.fegetenv(environment) == 0
        mxcsr = ctypes.c_uint32.from_buffer(environment, 28)
        mxcsr.value |= 0x8040  # flush to zero, denormals are zero
        assert libm.fesetenv(environment) == 0
        found.append(flushes_denormals())

    thread = threading.Thread(target=probe)
    thread.start()
    thread.join()
    assert found == [True]
