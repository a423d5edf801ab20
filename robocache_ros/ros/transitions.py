# Copyright 2026 the robocache_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Requests for a transition that is not possible: answered, with a sentence in the log."""

from __future__ import annotations

from typing import Any

from rclpy.lifecycle import LifecycleNode


def answer_impossible(node: LifecycleNode) -> None:
    """
    Let a node answer every request of `change_state`.

    Before Kilted rclpy raises where a transition is not possible, and nobody gets an answer: who
    waits for one without a limit, as Nav2's lifecycle manager does, waits for ever.
    """
    service = next(each for each in node.services if each.srv_type.__name__ == 'ChangeState')
    change = service.callback

    def answer(request: Any, response: Any) -> Any:
        # The one private name of rclpy that tells this without a service call to oneself.
        machine = node._state_machine
        possible = {number: label for number, label, *_ in machine.available_transitions}
        asked = request.transition
        if asked.label in possible.values() or (not asked.label and asked.id in possible):
            return change(request, response)
        known = {number: label for number, label, *_ in machine.transition_graph}
        node.get_logger().warning(
            f'Can not {asked.label or known.get(asked.id, "do that")}: the node is '
            f'{machine.current_state[1]}, from where there is '
            f'{" or ".join(possible.values()) or "no way back: start it again"}.'
        )
        response.success = False
        return response

    service.callback = answer
