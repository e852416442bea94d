"""Every stage as an operator drives it: up, down, up again, and away, by its services, as a process of its own."""

import pytest

pytest.importorskip("rclpy")

from diagnostic_msgs.msg import DiagnosticArray  # noqa: E402
from lifecycle_msgs.msg import Transition as T  # noqa: E402
from lifecycle_msgs.srv import ChangeState  # noqa: E402

from atl_node.qos import reliable  # noqa: E402

TWICE = [T.TRANSITION_CONFIGURE, T.TRANSITION_ACTIVATE, T.TRANSITION_DEACTIVATE, T.TRANSITION_CLEANUP] * 2
AWAY = [T.TRANSITION_CONFIGURE, T.TRANSITION_ACTIVATE, T.TRANSITION_ACTIVE_SHUTDOWN]


@pytest.mark.parametrize("stage, parameters", [
    ("audio", {"source": "silence"}), ("audio", {"source": "topic"}), ("landmark", {}), ("diffusion", {}),
    ("display", {"sink": "none"}),
])  # fmt: skip
def test_a_stage_goes_up_and_down_twice_and_lives_on(graph, stage, parameters):
    process = graph.start(f"atl_{stage}_node.node", autostart=False, **parameters)
    client = graph.make(lambda: graph.node.create_client(ChangeState, f"/robot_face/{stage}/change_state"))
    assert client.wait_for_service(20)
    for step in [*TWICE, *AWAY]:
        answer = client.call_async(ChangeState.Request(transition=T(id=step)))
        graph.wait_for(lambda: answer.done() or process.poll() is not None, 40)  # noqa: B023
        assert process.poll() is None and answer.result().success, f"transition {step}"
    code, output = graph.stop(process)
    assert code == 0 and "Traceback" not in output, output


@pytest.mark.parametrize("parameters, words", [
    ({"autostart": False}, "not active, but unconfigured"),
    ({}, "nothing has come on `audio` for"),
    ({"use_sim_time": True}, "nothing comes on /clock"),
])  # fmt: skip
def test_a_stage_that_can_do_nothing_warns(graph, parameters, words):
    heard = []
    graph.make(lambda: graph.node.create_subscription(DiagnosticArray, "/diagnostics", heard.append, reliable(10)))
    graph.start("atl_landmark_node.node", **parameters)

    statuses = graph.wait_for(lambda: len(heard) > 5 and [status for message in heard[4:] for status in message.status])
    assert all(words in status.message and status.level == b"\x01" for status in statuses), statuses
