"""The lifecycle manager: configures all nodes at once, activates them in order, brings restarted ones back.

It asks each node for its state and takes the next step towards `active`. A node that was started again says
`unconfigured`, so bringing up and bringing back are the same thing; one that an operator has deactivated is activated
again, too: who wants to drive the nodes himself runs them without the manager. A node that refuses a step, and then
still is where it was, ends the manager with EXIT_REFUSED, and with it the graph: the node itself has said why. Once it has
been active, a refusal may pass (a screen that is away, a port that is taken), and the step is tried again. A node with a bug in a
step ends by itself and is started again.

Answers can be lost (a client that a restarted node has not discovered yet) and overtake one another (two services are
two queues). So a step counts as lost only when two questions that were asked after it were answered without it; and
a step that was taken twice for all that is refused by the node, which is then found further on, and all is well.

A second graph of the same names in one ROS domain would answer for the first and draw over it. Its manager, in its first seconds,
sees the other's, and ends its own graph.
"""

from __future__ import annotations

import sys
import time
from dataclasses import dataclass

from lifecycle_msgs.msg import Transition
from lifecycle_msgs.srv import ChangeState, GetState
from rclpy.client import Client
from rclpy.clock import Clock, ClockType
from rclpy.node import Node
from rclpy.parameter import Parameter
from rclpy.task import Future

from atl_bringup.shared_memory import sweep
from atl_node.run import Stoppable, run_node

TICK_S = 0.1  # between looks while a node isn't active
WATCH_S = 0.5  # between looks while all are; so a restarted node is noticed within a second
UNANSWERED_S = 1.0  # a question to a process that died is never answered: ask again
SILENT_AFTER = 10  # questions in a row without an answer; then it is told that a node hangs
RETRY_FIRST_S, RETRY_LAST_S = 1.0, 30.0  # the pause doubles with every refusal in a row
SWEEP_S = 10.0  # a node that dies again and again while it loads leaves 33 MB each time
TWIN_S, LIVE_TWIN_S = 5.0, 1.0
"""For so long after its begin, and after its face is live, a manager looks for another of its name: discovery takes less, and one
that began before stays."""
LOST_AFTER = 2  # questions answered before a step's answer; then that answer won't come
EXIT_REFUSED = 2
FINALIZED = "finalized"


@dataclass(frozen=True)
class Step:
    """A transition, the state that it leads to, and its participle."""

    id: int
    leads_to: str
    participle: str


STEPS = {
    "unconfigured": Step(Transition.TRANSITION_CONFIGURE, "inactive", "configured"),
    "inactive": Step(Transition.TRANSITION_ACTIVATE, "active", "activated"),
}


@dataclass
class Managed:
    """What the manager knows of one node; times are seconds of its clock."""

    name: str
    get_state: Client
    change_state: Client
    state: str = ""  # as last told; empty when not known
    asked: Future | None = None
    asked_at: float = 0.0
    step: Future | None = None  # a transition that hasn't been answered
    step_from: str = ""  # the state in which it was asked for
    overtaken: int = 0  # questions asked after the step and answered before it
    unanswered: int = 0  # questions in a row
    was_active: bool = False  # since the manager began
    pause_s: float = 0.0  # that the last refusal in a row was followed by
    retry_at: float = 0.0  # no step before


class LifecycleManager(Stoppable, Node):
    """Brings the nodes of its parameter `nodes` (full names, in order of activation) to `active` for good."""

    def __init__(self):
        super().__init__("lifecycle_manager")
        names = self.declare_parameter("nodes", Parameter.Type.STRING_ARRAY).value or []
        self._nodes = [
            Managed(
                name,
                # Made first: of two answers that are there, a transition's is handled before a state's.
                change_state=self.create_client(ChangeState, f"{name}/change_state"),
                get_state=self.create_client(GetState, f"{name}/get_state"),
            )
            for name in names
        ]
        self._live = False
        self._looks_until = time.monotonic() + TWIN_S
        sweep()
        steady = Clock(clock_type=ClockType.STEADY_TIME)
        self._timer = self.create_timer(TICK_S, self._tick, clock=steady)
        self._sweeper = self.create_timer(SWEEP_S, sweep, clock=steady)

    def _has_twin(self) -> bool:
        """Whether another manager of this name runs in the domain; only one that has just begun looks."""
        if time.monotonic() > self._looks_until:
            return False
        return self.get_node_names_and_namespaces().count((self.get_name(), self.get_namespace())) > 1

    def _tick(self) -> None:
        if self._has_twin():
            self.get_logger().error(f"another avatar runs as {self.get_namespace()} in this ROS domain: end it, or give this one "
                                    "another namespace or ROS_DOMAIN_ID")  # fmt: skip
            self._timer.cancel()
            self.finish(EXIT_REFUSED)
            return
        earlier_active = True
        for node in self._nodes:
            ready = node.state == "unconfigured" or (node.state == "inactive" and earlier_active)
            if ready and node.step is None and node.asked is None and time.monotonic() >= node.retry_at:
                self._take_step(node)
            earlier_active &= node.state in ("active", FINALIZED)
        if earlier_active != self._live:
            self._live = earlier_active
            self._timer.timer_period_ns = int(1e9 * (WATCH_S if self._live else TICK_S))
            if self._live:
                self._looks_until = min(self._looks_until, time.monotonic() + LIVE_TWIN_S)
                but = ", ".join(node.name for node in self._nodes if node.state == FINALIZED)
                self.get_logger().info(f"all nodes{but and f' but {but}'} are active: the face is live")
        for node in self._nodes:
            self._ask(node)

    def _ask(self, node: Managed) -> None:
        """Asks for the state when it is due."""
        waited_s = time.monotonic() - node.asked_at
        if node.asked is not None:
            if waited_s > UNANSWERED_S:
                node.get_state.remove_pending_request(node.asked)
                node.asked, node.unanswered = None, node.unanswered + 1
                if node.unanswered == SILENT_AFTER:
                    self.get_logger().warning(f"{node.name} doesn't answer: it hangs, or still loads what it needs")
            return
        settled = node.state == "active" or node.step is not None
        found = node.get_state.service_is_ready() and node.change_state.service_is_ready()
        if waited_s < (WATCH_S if settled else TICK_S) or not found:
            return
        node.asked_at = time.monotonic()
        node.asked = node.get_state.call_async(GetState.Request())
        node.asked.add_done_callback(lambda answer: self._hear_state(node, answer))

    def _hear_state(self, node: Managed, answer: Future) -> None:
        if answer is not node.asked:
            return
        node.asked, node.unanswered = None, 0
        if node.step is not None:
            node.overtaken += 1
            if node.overtaken < LOST_AFTER:
                return
            node.change_state.remove_pending_request(node.step)
            node.step = None
        state = answer.result().current_state.label
        if state == FINALIZED and node.state != state:
            self.get_logger().warning(f"{node.name} was shut down: it stays so until its process is started again")
        elif node.state == "active" and state != "active":
            self.get_logger().info(f"{node.name} is {state}: bringing it back")
            sweep()
        self._note(node, state)

    def _note(self, node: Managed, state: str) -> None:
        node.state = state
        if state == "active":
            node.was_active, node.pause_s = True, 0.0

    def _take_step(self, node: Managed) -> None:
        node.step_from, node.overtaken = node.state, 0
        request = ChangeState.Request(transition=Transition(id=STEPS[node.state].id))
        node.asked_at = time.monotonic()
        node.step = node.change_state.call_async(request)
        node.step.add_done_callback(lambda answer: self._hear_step(node, answer))

    def _hear_step(self, node: Managed, answer: Future) -> None:
        if answer is not node.step:
            return
        node.step = None
        if answer.result().success:
            self._note(node, STEPS[node.step_from].leads_to)
            return
        # Whoever refuses lives on and answers; a node with a bug ends right after this, and never does.
        if node.asked is not None:
            node.get_state.remove_pending_request(node.asked)
        node.state, node.asked_at = "", time.monotonic()
        node.asked = node.get_state.call_async(GetState.Request())
        node.asked.add_done_callback(lambda answer: self._hear_refused(node, answer))

    def _hear_refused(self, node: Managed, answer: Future) -> None:
        """The state after a refusal: the end of the graph, unless the same step had been taken before, or may succeed later."""
        if answer is not node.asked:
            return
        node.asked = None
        node.state = answer.result().current_state.label
        if node.state != node.step_from:
            return
        refused = f"{node.name} could not be {STEPS[node.state].participle}"
        if node.was_active:
            node.pause_s = min(2 * node.pause_s or RETRY_FIRST_S, RETRY_LAST_S)
            node.retry_at = time.monotonic() + node.pause_s
            self.get_logger().warning(f"{refused} again: the next try is in {node.pause_s:g} s")
        else:
            self.get_logger().info(f"ending the graph: {refused}")
            self.finish(EXIT_REFUSED)


def main(args: list[str] | None = None) -> int:
    """Runs the manager until the graph ends; returns the exit code."""
    return run_node(LifecycleManager, args)


if __name__ == "__main__":
    sys.exit(main())
