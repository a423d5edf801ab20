# Copyright 2026 the robocache_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Joint states as one vector: the configured joints, in the configured order."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from robocache_ros.codec.buffers import shown
from robocache_ros.codec.imu import LIMIT
from robocache_ros.reasons import Reason, Rejected
from robocache_ros.samples import FloatArray, Vector

INTERFACES = ('position', 'velocity', 'effort')


def joint_decoder(joints: Sequence[str], interfaces: Sequence[str]) -> Callable[[Any], Vector]:
    """
    Decoder of sensor_msgs/JointState for these joints: one group per interface, in this order.

    An interface that the message leaves empty is an invalid group of zeros. The decoder raises
    Rejected where the message lacks a joint or names it twice, where its arrays differ in length,
    or where a wanted value is not finite.
    """
    return _JointDecoder(tuple(joints), tuple(interfaces))


class _JointDecoder:
    """Finds the joints by name, and again only when the names change: they hardly ever do."""

    def __init__(self, joints: tuple[str, ...], interfaces: tuple[str, ...]) -> None:
        self._joints = joints
        self._interfaces = interfaces
        self._names: list[str] | None = None  # of the last message
        self._places: list[int] = []  # of our joints among them

    def __call__(self, msg: Any) -> Vector:
        names = list(msg.name)
        for interface in INTERFACES:
            length = len(getattr(msg, interface))
            if length not in (0, len(names)):
                raise Rejected(Reason.JOINT_LENGTH, f'{len(names)} names, {length} of {interface}')
        if names != self._names:
            self._places = self._find(names)
            self._names = names
        width = len(self._joints)
        values = np.zeros((len(self._interfaces), width), np.float32)
        valid = np.zeros(len(self._interfaces), np.bool_)
        for group, interface in enumerate(self._interfaces):
            if len(getattr(msg, interface)):
                values[group] = self._values(msg, interface)
                valid[group] = True
        values += 0.0  # no -0
        return Vector(values.reshape(-1), valid)

    def _find(self, names: list[str]) -> list[int]:
        for joint in self._joints:
            times = names.count(joint)
            if times != 1:
                some = ', '.join(shown(name) for name in names[:8])
                raise Rejected(
                    Reason.JOINT_MISSING, f'{joint!r} is {times} times among {some or "no names"}'
                )
        return [names.index(joint) for joint in self._joints]

    def _values(self, msg: Any, interface: str) -> FloatArray:
        wanted = np.asarray(getattr(msg, interface), np.float64)[self._places]
        with np.errstate(invalid='ignore'):
            usable = np.abs(wanted) < LIMIT  # false for NaN
        if not usable.all():
            worst = int(np.argmin(usable))
            raise Rejected(
                Reason.NONFINITE, f'{interface} of {self._joints[worst]!r} is {wanted[worst]}'
            )
        return wanted.astype(np.float32)
