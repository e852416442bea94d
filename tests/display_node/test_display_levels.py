"""What the display node's diagnostics say of its sink."""

import pytest

rclpy = pytest.importorskip("rclpy")

from atl_display_node import node as display  # noqa: E402
from atl_display_node.sinks import NoSink  # noqa: E402
from atl_node.node import Level  # noqa: E402


class MovedSink(NoSink):
    """A sink with what a test sets."""

    def figures(self):
        return {"figure": 7}


@pytest.fixture
def sink(monkeypatch):
    sink = MovedSink()
    monkeypatch.setattr(display, "make_sink", lambda *_: sink)
    return sink


@pytest.fixture
def node(sink):
    rclpy.init(signal_handler_options=rclpy.SignalHandlerOptions.NO)
    node = display.DisplayNode()
    node.trigger_configure()
    node.trigger_activate()
    yield node
    node.trigger_shutdown()
    node.destroy_node()
    rclpy.try_shutdown()


def test_a_problem_of_the_sink_is_an_error_until_it_is_over(node, sink):
    assert node.diagnostics()[0] == Level.OK
    sink.problem = "a picture can't be encoded"
    level, sentence, figures = node.diagnostics()
    assert (level, sentence) == (Level.ERROR, sink.problem) and figures["figure"] == 7
    sink.problem = ""
    assert node.diagnostics()[0] == Level.OK


def test_a_warning_of_the_sink_is_one_and_a_problem_is_told_before_it(node, sink):
    sink.warning = "the sound is off"
    assert node.diagnostics()[:2] == (Level.WARN, "the sound is off")
    sink.problem = "a picture can't be encoded"
    assert node.diagnostics()[0] == Level.ERROR
