"""The lifecycle manager against nodes whose answers come late, out of turn, or never: no processes, no clock."""

import pytest

rclpy = pytest.importorskip("rclpy")

from lifecycle_msgs.msg import State  # noqa: E402
from lifecycle_msgs.srv import ChangeState, GetState  # noqa: E402
from rclpy.task import Future  # noqa: E402

from atl_bringup import lifecycle  # noqa: E402

AFTER = {1: ("unconfigured", "inactive"), 3: ("inactive", "active")}


class FakeClient:
    """Keeps requests until the test answers them."""

    def __init__(self):
        self.pending: list[tuple[object, Future]] = []

    def service_is_ready(self):
        return True

    def remove_pending_request(self, future):
        self.pending = [entry for entry in self.pending if entry[1] is not future]

    def call_async(self, request):
        self.pending.append((request, Future()))
        return self.pending[-1][1]


class FakeNode:
    """A lifecycle node whose requests wait in two queues; the test says in which order they are taken."""

    def __init__(self, managed):
        self.state = "unconfigured"
        self.refuses = False
        managed.get_state, managed.change_state = self.questions, self.steps = FakeClient(), FakeClient()

    def tell_state(self):
        _, future = self.questions.pending.pop(0)
        future.set_result(GetState.Response(current_state=State(label=self.state)))

    def take_step(self, answered=True):
        request, future = self.steps.pending[0]
        before, after = AFTER[request.transition.id]
        ok = self.state == before and not self.refuses
        self.state = after if ok else self.state
        if answered:
            self.steps.pending.pop(0)
            future.set_result(ChangeState.Response(success=ok))
        return ok


@pytest.fixture
def clock(monkeypatch):
    """A steady clock that the test moves."""

    class Clock:
        now = 100.0

    monkeypatch.setattr(lifecycle.time, "monotonic", lambda: Clock.now)
    return Clock


@pytest.fixture
def manager(monkeypatch):
    monkeypatch.setenv("ROS_DOMAIN_ID", "102")
    rclpy.init(args=["--ros-args", "-p", "nodes:=['/face']"])
    made = lifecycle.LifecycleManager()
    made._timer.cancel()
    yield made
    made.destroy_node()
    rclpy.try_shutdown()


@pytest.fixture
def face(manager, clock):
    """A fake node, and `tick()` on it: half a second goes by, the manager looks."""
    fake = FakeNode(manager._nodes[0])

    def tick():
        clock.now += 0.5
        manager._tick()

    fake.tick = tick
    return fake


def bring_up(face, manager):
    """Everything from here on is answered in turn."""
    for _ in range(12):
        face.tick()
        while face.steps.pending or face.questions.pending:
            face.take_step() if face.steps.pending else face.tell_state()
    assert face.state == "active" and manager._live
    assert not manager.stopped.done()


def test_answers_in_turn(face, manager):
    bring_up(face, manager)


@pytest.mark.parametrize("namespace, ends", [("/", True), ("/other_face", False)])
def test_a_manager_that_finds_another_of_its_name_ends_its_graph(face, manager, monkeypatch, namespace, ends):
    there = [("lifecycle_manager", "/"), ("lifecycle_manager", namespace)]
    manager._looks_until = lifecycle.time.monotonic() + lifecycle.TWIN_S
    monkeypatch.setattr(manager, "get_node_names_and_namespaces", lambda: there)
    face.tick()
    assert manager.stopped.done() == ends
    if ends:
        assert manager.stopped.result() == lifecycle.EXIT_REFUSED and not face.steps.pending and not face.questions.pending


def test_a_manager_stays_when_another_comes(face, manager, clock, monkeypatch):
    manager._looks_until = clock.now + lifecycle.TWIN_S
    bring_up(face, manager)
    monkeypatch.setattr(manager, "get_node_names_and_namespaces", lambda: 2 * [("lifecycle_manager", "/")])
    for _ in range(3):
        face.tick()
    assert not manager.stopped.done()


def test_a_state_that_overtakes_a_step_does_not_take_it_twice(face, manager):
    face.tick()
    face.tell_state()
    face.tick()  # asks to configure
    face.tick()  # asks for the state
    assert len(face.steps.pending) == len(face.questions.pending) == 1
    face.tell_state()  # still unconfigured: it came before the step in the node's queues
    assert len(face.steps.pending) == 1, "the step is still waited for"
    bring_up(face, manager)


def test_a_step_whose_answer_is_lost(face, manager):
    face.tick()
    face.tell_state()
    face.tick()
    face.take_step(answered=False)  # the node is inactive now, and the manager never hears of it
    face.steps.pending.clear()
    bring_up(face, manager)


def test_a_step_that_was_taken_twice_is_no_refusal(face, manager):
    face.tick()
    face.tell_state()
    face.tick()
    late = face.steps.pending[0]
    for _ in range(lifecycle.LOST_AFTER):
        face.tick()
        face.tell_state()  # unconfigured, twice: the step counts as lost
    face.tick()
    assert len(face.steps.pending) == 1, "asked for again"
    face.steps.pending.insert(0, late)
    assert face.take_step() and not face.take_step()  # but the first one does come; the second is refused
    bring_up(face, manager)


def test_a_refusal_ends_the_graph(face, manager):
    face.refuses = True
    face.tick()
    face.tell_state()
    face.tick()
    face.take_step()
    assert not manager.stopped.done()
    face.tell_state()
    assert manager.stopped.result() == lifecycle.EXIT_REFUSED


def test_a_node_that_was_shut_down_or_hangs_is_told_once(face, manager, monkeypatch):
    told = []
    monkeypatch.setattr(manager.get_logger(), "warning", told.append)
    bring_up(face, manager)
    for _ in range(60):
        face.tick()
    assert len(told) == 1 and "/face doesn't answer" in told[0]
    face.state = "finalized"
    for _ in range(12):
        face.tick()
        while face.questions.pending:
            face.tell_state()
    assert len(told) == 2 and "/face was shut down" in told[1] and not face.steps.pending


def test_a_node_that_once_was_active_may_refuse_for_a_while(face, manager):
    bring_up(face, manager)
    face.state, face.refuses, tries = "unconfigured", True, []
    for _ in range(60):
        face.tick()
        while face.steps.pending or face.questions.pending:
            if face.steps.pending:
                tries.append(lifecycle.time.monotonic())
            face.take_step() if face.steps.pending else face.tell_state()
    pauses = [after - before for before, after in zip(tries, tries[1:], strict=False)]
    assert 3 <= len(tries) <= 6 and pauses == sorted(pauses) and pauses[0] >= lifecycle.RETRY_FIRST_S
    assert not manager.stopped.done()
    face.refuses = False
    for _ in range(60):
        face.tick()
        while face.steps.pending or face.questions.pending:
            face.take_step() if face.steps.pending else face.tell_state()
    assert face.state == "active" and manager._live


def test_a_node_that_was_shut_down_keeps_nobody_from_being_brought_back(face, manager):
    other = lifecycle.Managed("/display", get_state=None, change_state=None)
    display = FakeNode(other)
    display.state = lifecycle.FINALIZED
    manager._nodes.insert(0, other)
    for _ in range(20):
        face.tick()
        while face.steps.pending or face.questions.pending or display.questions.pending:
            face.take_step() if face.steps.pending else (face if face.questions.pending else display).tell_state()
    assert face.state == "active" and not display.steps.pending
