"""Expressions as messages: what is left out of one is natural, and what comes back is what was sent."""

from dataclasses import replace

import pytest

from atl_face import emotion
from atl_face.emotion import asked_of
from atl_face.errors import UserError
from atl_landmark_node.convert import expression_message
from atl_msgs.msg import Expression

OWN = emotion.Expression("sad", 0.5, style=1.5)


def test_a_message_that_names_only_its_label_is_that_expression_in_full():
    """`ros2 topic pub … "{label: happy}"` must neither be invisible (intensity 0) nor freeze the face (style 0)."""
    assert asked_of(Expression(label="happy"), OWN) == emotion.Expression("happy")
    assert asked_of(Expression(), emotion.Expression()) == emotion.Expression()


def test_an_empty_label_is_the_faces_own_expression_with_the_gaze_asked_for():
    assert asked_of(Expression(), OWN) == OWN
    assert asked_of(Expression(gaze_yaw=0.25), OWN) == replace(OWN, gaze_yaw=0.25)


def test_expressions_survive_the_way():
    wanted = emotion.Expression("sad", 0.5, 3, 0.25, 0.125, -0.25)
    assert asked_of(expression_message(wanted), OWN) == wanted


@pytest.mark.parametrize("fields", [{"label": "bored"}, {"intensity": 2.0}, {"style": -1.0}, {"level": 9}, {"gaze_yaw": 3.0}])
def test_what_is_out_of_range_is_refused(fields):
    with pytest.raises(UserError):
        asked_of(Expression(**fields), OWN)
