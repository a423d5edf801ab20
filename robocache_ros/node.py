# Copyright 2026 the robocache_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The preprocessor: parameters -> config, subscriptions -> pipeline, frames -> publishers."""

from __future__ import annotations

import sys
import time
import traceback
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from rclpy.clock import Clock, ClockType, JumpThreshold
from rclpy.duration import Duration
from rclpy.exceptions import ParameterException
from rclpy.lifecycle import LifecycleNode, LifecycleState, TransitionCallbackReturn

from robocache_ros.backends import Backend, BackendUnavailable, make_backend
from robocache_ros.backends.workload import Workload
from robocache_ros.config import ConfigError
from robocache_ros.encoding import Encodes, close_encoders, open_encoders
from robocache_ros.pipeline import Pipeline
from robocache_ros.ros.arguments import check_only_ros
from robocache_ros.ros.diagnostics import Diagnostics
from robocache_ros.ros.facts import Running
from robocache_ros.ros.inputs import Inputs
from robocache_ros.ros.outputs import Outputs
from robocache_ros.ros.params import declare_parameters, read_config
from robocache_ros.ros.process import run
from robocache_ros.ros.worker import Worker

SUCCESS = TransitionCallbackReturn.SUCCESS
FAILURE = TransitionCallbackReturn.FAILURE
_DIAGNOSTICS_PERIOD_SEC = 1.0
_ERRORS_LOGGED = 5  # different ones; diagnostics count all of them


class PreprocessorNode(LifecycleNode):
    """
    The managed node: its callbacks store samples, its one worker thread computes and publishes.

    unconfigured: `/diagnostics` only. inactive: subscribed, messages are ignored. active: at work.
    With `autostart: true` it configures and activates itself as soon as it is spun.
    """

    def __init__(self, node_name: str = 'preprocessor', **kwargs: Any) -> None:
        """Declare the parameters; `kwargs` as for rclpy.node.Node. All else comes later."""
        super().__init__(node_name, **kwargs)
        self.lifecycle_state = 'unconfigured'
        self.problem = ''  # why the last transition failed
        self.autostart_failed = False
        self._running: Running | None = None
        self._outputs: Outputs | None = None
        self._backend: Backend | None = None
        self._encoders: Mapping[str, Encodes] = {}
        self._jump_handle: Any = None
        self._errors_logged: set[str] = set()
        declare_parameters(self)
        self._diagnostics = Diagnostics(self)
        # Steady, so that a paused simulation stops neither the start nor the diagnostics.
        clock = Clock(clock_type=ClockType.STEADY_TIME)
        self.create_timer(_DIAGNOSTICS_PERIOD_SEC, self._diagnose, clock=clock)
        # Anything but a plain false starts, also a wrong value: configuring then tells what it is.
        if self.get_parameter('autostart').value is not False:
            self._starter = self.create_timer(0.0, self._autostart, clock=clock)

    def on_configure(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Build everything from the parameters; if that fails, `problem` says why."""
        return self._attempt('configure', 'inactive', self._configure, undo=self._free)

    def on_activate(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Let messages in and frames out."""
        super().on_activate(state)
        return self._attempt('activate', 'active', self._activate, undo=self._deactivate)

    def on_deactivate(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Ignore messages, send nothing; what is buffered stays."""
        super().on_deactivate(state)
        return self._attempt('deactivate', 'inactive', self._deactivate)

    def on_cleanup(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Free everything that configuring built."""
        return self._attempt('clean up', 'unconfigured', self._free)

    def on_shutdown(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Free everything, for good."""
        return self._attempt('shut down', 'finalized', self._free)

    def on_error(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Free everything, ready to be configured again."""
        return self._attempt('start anew', 'unconfigured', self._free)

    def destroy_node(self) -> None:
        """Stop the worker and destroy the node; doing it again does nothing."""
        self._free()
        super().destroy_node()

    def _configure(self) -> None:
        config, notices = read_config(self)
        for notice in notices:
            self.get_logger().warning(notice)
        workload = Workload.of(config)
        backend = make_backend(config.backend, config.device_id, workload)
        self._backend, found = backend, backend.status()
        self._encoders = open_encoders(config, live=True, on_done=self._on_encoded)
        pipeline = Pipeline(config, backend, encoders=self._encoders)
        self._outputs = Outputs(self, pipeline.schema, config, found, pipeline.made_by)
        worker = Worker(pipeline, self._outputs.publish, self._on_worker_error, self.get_name())
        inputs = Inputs(self, config, pipeline, worker.wake)
        self._running = Running(config, backend, pipeline, worker, inputs, time.monotonic_ns())
        self._diagnostics.restart()
        backwards = Duration(nanoseconds=-round(config.clock_jump_sec * 1e9))
        self._jump_handle = self.get_clock().create_jump_callback(
            JumpThreshold(min_forward=None, min_backward=backwards, on_clock_change=False),
            post_callback=self._on_clock_jump,
        )
        topics = ', '.join(f'{each.source.name} from {each.topic}' for each in inputs)
        self.get_logger().info(f'Backend {found.name} ({found.reason}); {topics}.')

    def _activate(self) -> None:
        assert self._running is not None
        self._running.worker.start()
        self._running.inputs.set_active(True)

    def _deactivate(self) -> None:
        assert self._running is not None
        self._running.inputs.set_active(False)
        if not self._running.worker.stop():
            self.get_logger().warning('The frame in hand takes long; it will not be sent.')

    def _free(self) -> None:
        if self._jump_handle is not None:
            self._jump_handle.unregister()
            self._jump_handle = None
        if self._running is not None:
            self._deactivate()
            self._running.inputs.destroy()
            self._running = None
        if self._outputs is not None:
            self._outputs.destroy()
            self._outputs = None
        close_encoders(self._encoders.values())
        self._encoders = {}
        if self._backend is not None:
            self._backend.close()
            self._backend = None

    def _attempt(
        self,
        what: str,
        state: str,
        step: Callable[[], None],
        undo: Callable[[], None] | None = None,
    ) -> TransitionCallbackReturn:
        """Do `step` to get into `state`, or `undo` it and say that `what` failed, and why."""
        try:
            step()
        except (ConfigError, BackendUnavailable, ParameterException) as error:
            problem = str(error)
        # Whatever it is: rclpy would swallow it, and nobody would know why the node does nothing.
        except Exception:
            problem = traceback.format_exc()
        else:
            self.lifecycle_state, self.problem = state, ''
            return SUCCESS
        if undo is not None:
            undo()
        self.problem = f'Can not {what}: {problem}'
        if self.context.ok():  # else it is a shutdown that got in between, which is no problem
            self.get_logger().error(self.problem)
        return FAILURE

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

    def _on_clock_jump(self, jump: Any) -> None:
        if self._running is not None:
            clock_ns = self.get_clock().now().nanoseconds
            self._running.pipeline.clock_jumped(clock_ns, time.monotonic_ns())

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


def main(args: Sequence[str] | None = None) -> int:
    """Run the node until it is told to stop; 1 if it could not start."""
    check_only_ros('node', 'Time-aligned voxels and features from the topics of a robot.', args)
    return run(PreprocessorNode, args)


if __name__ == '__main__':
    sys.exit(main())
