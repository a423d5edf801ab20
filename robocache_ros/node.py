# Copyright 2026 the robocache_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The preprocessor: parameters -> config, subscriptions -> pipeline, frames -> publishers."""

from __future__ import annotations

import sys
import time
import traceback
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from functools import partial
from typing import Any

from rcl_interfaces.msg import SetParametersResult
from rclpy.clock import Clock, ClockType, JumpThreshold
from rclpy.duration import Duration
from rclpy.exceptions import ParameterException, ParameterNotDeclaredException
from rclpy.lifecycle import LifecycleNode, LifecycleState, TransitionCallbackReturn
from rclpy.parameter import Parameter

from robocache_ros.backends import Backend, BackendUnavailable, make_backend
from robocache_ros.backends.workload import Workload
from robocache_ros.config import Config, ConfigError
from robocache_ros.encoding import close_encoders, open_encoders
from robocache_ros.pipeline import Pipeline
from robocache_ros.ros.arguments import check_only_ros
from robocache_ros.ros.diagnostics import Diagnostics
from robocache_ros.ros.facts import Running
from robocache_ros.ros.frame_subscriptions import FrameSubscription, FrameSubscriptions, OnFrame
from robocache_ros.ros.inputs import Inputs
from robocache_ros.ros.log import BoundedLog
from robocache_ros.ros.outputs import Outputs
from robocache_ros.ros.params import (
    LiveParameters,
    answer_in_any_order,
    declare_parameters,
    read_config,
    set_in_any_order,
    sort_out_fixed,
)
from robocache_ros.ros.process import run
from robocache_ros.ros.transitions import answer_impossible
from robocache_ros.ros.worker import Worker
from robocache_ros.samples import Frame

SUCCESS = TransitionCallbackReturn.SUCCESS
FAILURE = TransitionCallbackReturn.FAILURE
ERROR = TransitionCallbackReturn.ERROR
_DIAGNOSTICS_PERIOD_SEC = 1.0
_WATCH_PERIOD_SEC = 0.25
_ERRORS_LOGGED = 5  # different ones; diagnostics count all of them


class PreprocessorNode(BoundedLog, LifecycleNode):
    """
    The managed node: its callbacks store samples, its one worker thread computes and publishes.

    unconfigured: `/diagnostics` only. inactive: subscribed, messages are ignored. active: at work.
    With `autostart: true` it configures and activates itself as soon as it is spun.
    """

    def __init__(self, node_name: str = 'preprocessor', **kwargs: Any) -> None:
        """Declare the parameters; `kwargs` as for rclpy.node.Node. All else comes later."""
        super().__init__(node_name, **kwargs)
        self.problem = ''  # why the last transition failed
        self.autostart_failed = False
        self._running: Running | None = None
        self._outputs: Outputs | None = None
        self._backend: Backend | None = None
        self._made = ExitStack()  # frees what configuring has made, the last thing first
        self._errors_logged: set[str] = set()
        self._consumers = FrameSubscriptions(f'{self.get_name()} frames', self._log_error)
        declare_parameters(self)
        self._parameters_set = LiveParameters(self, self._reconfigure)
        self._diagnostics = Diagnostics(self)
        answer_impossible(self)
        answer_in_any_order(self)
        # Steady, so that a paused simulation stops neither the start nor the diagnostics.
        clock = Clock(clock_type=ClockType.STEADY_TIME)
        self.create_timer(_DIAGNOSTICS_PERIOD_SEC, self._diagnose, clock=clock)
        self.create_timer(_WATCH_PERIOD_SEC, self._watch, clock=clock)
        # Anything but a plain false starts, also a wrong value: configuring then tells what it is.
        if self.get_parameter('autostart').value is not False:
            self._starter = self.create_timer(0.0, self._autostart, clock=clock)

    @property
    def lifecycle_state(self) -> str:
        """What the services of ROS call the state: unconfigured, inactive, active, finalized."""
        return str(self._state_machine.current_state[1])

    def on_configure(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Build everything from the parameters; if that fails, it stays unconfigured."""
        return self._attempt('configure', self._configure, undo=self._free)

    def on_activate(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Let messages in and frames out; if that fails, it stays inactive."""
        return self._attempt(
            'activate', partial(self._activate, state), undo=partial(self._deactivate, state)
        )

    def on_deactivate(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Ignore messages, send nothing; what is buffered stays."""
        return self._attempt('deactivate', partial(self._deactivate, state), failed=ERROR)

    def on_cleanup(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Free everything that configuring built."""
        return self._attempt('clean up', self._free, failed=ERROR)

    def on_shutdown(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Free everything, for good; finalized, also if that fails."""
        return self._attempt('shut down', self._free)

    def on_error(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Free everything, to be configured again, or finalized; `problem` says what led here."""
        before = self.problem
        result = self._attempt('free the rest', self._free)
        self.problem = '\n'.join(filter(None, (before, self.problem)))
        return result

    def subscribe_frames(self, callback: OnFrame, *, depth: int = 10) -> FrameSubscription:
        """
        Give every frame of this node to a callback in the same process, by reference.

        The callback gets a VoxelFrame or a FeatureFrame, whose arrays are read-only, and the
        Schema it was made with, in a thread of its own: neither a slow nor a failing one delays
        the node. It may be subscribed in any state, and stays until it is closed or the node is
        destroyed. docs/composition.md shows how.

        Args:
            callback: takes a frame and its schema.
            depth: frames of both kinds that wait for a slow callback; the oldest are dropped.
        """
        return self._consumers.add(callback, depth)

    def set_parameters(self, parameter_list: list[Parameter]) -> list[SetParametersResult]:
        """As in rclpy, but in any order in which they are right; raises nothing."""
        return set_in_any_order(self.set_parameters_atomically, parameter_list)

    def set_parameters_atomically(self, parameter_list: list[Parameter]) -> SetParametersResult:
        """
        As in rclpy, but a refusal names all that is wrong, and why, also a name there is not.

        A read-only parameter may be set to what it is: a file of all can be loaded.
        """
        changes, refusal = sort_out_fixed(self, parameter_list)
        if refusal is not None or not changes:
            return refusal or SetParametersResult(successful=True)
        try:
            result = super().set_parameters_atomically(changes)
        except ParameterNotDeclaredException:
            return self._parameters_set.unknown(changes)
        if not result.successful:  # rclpy stops at the first value out of its range
            result.reason = self._parameters_set.problems(changes) or result.reason
        return result

    def destroy_node(self) -> None:
        """Stop the worker and destroy the node; doing it again does nothing."""
        with ExitStack() as last_first:  # whatever one of them raises, the others are done
            # A private name of rclpy: it leaves this to the garbage collector, and until then the
            # node is seen by others.
            last_first.callback(self._state_machine.destroy_when_not_in_use)
            last_first.callback(super().destroy_node)
            last_first.callback(self._consumers.close)
            self._free()

    def _configure(self) -> None:
        config, notices = read_config(self)
        for notice in notices:
            self.get_logger().warning(notice)
        self._parameters_set.notices = notices
        workload = Workload.of(config)
        backend = make_backend(config.backend, config.device_id, workload)
        self._made.callback(backend.close)
        self._backend, found = backend, backend.status()
        encoders = open_encoders(config, live=True, on_done=self._on_encoded)
        self._made.callback(close_encoders, encoders.values())
        pipeline = Pipeline(config, backend, encoders=encoders, on_change=self._on_change)
        self._outputs = Outputs(self, pipeline.schema, config, found, pipeline.made_by)
        self._made.callback(self._outputs.destroy)
        send = partial(self._send, pipeline, self._outputs)
        worker = Worker(pipeline, send, self._on_worker_error, self.get_name())
        inputs = Inputs(self, config, pipeline, worker.wake)
        self._made.callback(inputs.destroy)
        self._running = Running(backend, pipeline, worker, inputs, time.monotonic_ns())
        self._made.callback(self._stop, self._running)
        self._diagnostics.restart()
        backwards = Duration(nanoseconds=-round(config.clock_jump_sec * 1e9))
        jumps = self.get_clock().create_jump_callback(
            JumpThreshold(min_forward=None, min_backward=backwards, on_clock_change=False),
            post_callback=self._on_clock_jump,
        )
        self._made.callback(jumps.unregister)
        topics = ', '.join(f'{each.source.name} from {each.topic}' for each in inputs)
        self.get_logger().info(f'Backend {found.name} ({found.reason}); {topics}.')

    def _reconfigure(self, config: Config) -> None:
        """Change parameters between two frames; where that raises, nothing has changed."""
        running, outputs = self._running, self._outputs
        if running is None or outputs is None:
            return  # configuring will read them
        with outputs.prepared(config):
            running.pipeline.reconfigure(config)
        if running.worker.alive:
            running.worker.wake()
        else:
            running.pipeline.apply_change(at_once=True)

    def _on_change(self) -> None:
        """Tell what the next frames will mean; called in the thread that makes them."""
        running, outputs = self._running, self._outputs
        if running is not None and outputs is not None:
            outputs.use(running.pipeline.schema)

    def _activate(self, state: LifecycleState) -> None:
        assert self._running is not None
        if super().on_activate(state) != SUCCESS:
            raise RuntimeError('a managed entity of this node refused')
        self._running.worker.start()
        self._running.inputs.set_active(True)

    def _deactivate(self, state: LifecycleState) -> None:
        assert self._running is not None
        try:
            self._stop(self._running)
            if not self._running.worker.alive:  # what waits for the next frame would wait for long
                self._running.pipeline.apply_change(at_once=True)
        finally:  # not before: the frame in hand is still sent
            super().on_deactivate(state)

    def _stop(self, running: Running) -> None:
        running.inputs.set_active(False)
        if not running.worker.stop():
            self.get_logger().warning('The frame in hand takes long; it will not be sent.')

    def _free(self) -> None:
        """Free all there is, even where some of it raises; what raised is not tried again."""
        self._running = self._outputs = self._backend = None
        try:
            self._made.pop_all().close()
        finally:  # rclpy remembers that there was an entity for as long as there is the node
            known = self.default_callback_group.entities
            known -= {entity for entity in tuple(known) if entity() is None}

    def _attempt(
        self,
        what: str,
        step: Callable[[], None],
        undo: Callable[[], None] | None = None,
        failed: TransitionCallbackReturn = FAILURE,
    ) -> TransitionCallbackReturn:
        """Do `step`, or `undo` it, say that `what` failed and why, and return `failed`."""
        problem = _problem_of(step)
        if not problem:
            self.problem = ''
            return SUCCESS
        trouble = _problem_of(undo) if undo is not None else ''
        self.problem = f'Can not {what}: {problem}'
        if trouble:  # half of it is still there, so all of it has to go
            self.problem, failed = f'{self.problem}\nNor undo that: {trouble}', ERROR
        if self.context.ok():  # else it is a shutdown that got in between, which is no problem
            self.get_logger().error(self.problem)
        return failed

    def _autostart(self) -> None:
        self.destroy_timer(self._starter)
        if self.lifecycle_state != 'unconfigured':  # a lifecycle manager was faster
            return
        if self.trigger_configure() != SUCCESS or self.trigger_activate() != SUCCESS:
            self.autostart_failed = True

    def _diagnose(self) -> None:
        self._diagnostics.publish(self.lifecycle_state, self.problem, self._running)
        if self._outputs is not None and self._backend is not None:
            self._outputs.tell_backend(self._backend.status())

    def _watch(self) -> None:
        self._diagnostics.watch(self.lifecycle_state, self.problem, self._running)

    def _on_clock_jump(self, jump: Any) -> None:
        if self._running is not None:
            clock_ns = self.get_clock().now().nanoseconds
            self._running.pipeline.clock_jumped(clock_ns, time.monotonic_ns())

    def _send(self, pipeline: Pipeline, outputs: Outputs, frame: Frame) -> int:
        """Give a frame to consumers here and elsewhere; called in the worker's thread."""
        self._consumers.offer(frame, pipeline.schema)
        return outputs.publish(frame)

    def _log_error(self, sentence: str) -> None:
        if self.context.ok():
            self.get_logger().error(sentence)

    def _on_encoded(self) -> None:
        """Let the worker see what may wait for an encoding; called in a thread of an encoder."""
        running = self._running
        if running is not None:
            running.worker.wake()

    def _on_worker_error(self, error: str, trace: str) -> None:
        """Log what went wrong in a computation; called in the worker's thread."""
        if not self.context.ok() or error in self._errors_logged:
            return
        if len(self._errors_logged) < _ERRORS_LOGGED:
            self._errors_logged.add(error)
            self.get_logger().error(
                f'A frame could not be computed, which is a bug; please report it. {trace}'
            )


def _problem_of(step: Callable[[], None]) -> str:
    """Do a step; return why it failed, '' if it did not."""
    try:
        step()
    except (ConfigError, BackendUnavailable, ParameterException) as error:
        return str(error)
    # Whatever it is: rclpy would swallow it, and nobody would know why the node does nothing.
    except Exception:
        return traceback.format_exc()
    return ''


def main(args: Sequence[str] | None = None) -> int:
    """Run the node until it is told to stop; 1 if it could not start."""
    check_only_ros('node', 'Time-aligned voxels and features from the topics of a robot.', args)
    return run(PreprocessorNode, args)


if __name__ == '__main__':
    sys.exit(main())
