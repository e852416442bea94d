"""The expression of a goal goes over the one in force, and ends with the goal."""

import pytest

from atl_audio_node.worn import WornExpression


@pytest.fixture
def topic():
    """The topic `expression` as one list, with the worn expression as publisher and hearer."""
    sent = []
    worn = WornExpression(sent.append, "own")
    worn.sent = sent
    return worn


def echo(topic):
    for message in topic.sent:
        topic.hear(message)


def test_what_nobody_changed_goes_back_to_the_faces_own(topic):
    topic.begin(1, "happy")
    topic.end(1)
    echo(topic)
    topic.begin(2, "sad")
    topic.end(2)
    assert topic.sent == ["happy", "own", "sad", "own"]


def test_what_others_published_before_or_meanwhile_is_put_back(topic):
    topic.hear("angry")
    topic.begin(1, "happy")
    echo(topic)
    topic.end(1)
    topic.begin(2, "happy")
    topic.hear("sad")
    topic.end(2)
    assert topic.sent == ["happy", "angry", "happy", "sad"]


def test_a_goal_that_wore_nothing_or_was_followed_puts_nothing_back(topic):
    topic.end(1)
    topic.begin(1, "happy")
    topic.begin(2, "sad")
    topic.end(1)
    assert topic.sent == ["happy", "sad"]
