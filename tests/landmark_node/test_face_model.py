"""The linear face: rotations, lips that close, lids that shut, identity that stays."""
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from atl_face.topology import LID_PAIRS, WEIGHT, lip_gap
from atl_landmark_node.face_model import PortraitFace, average_neutral, close_lips, rigid_fit, rotation_matrix


def weights(**values):
    out = np.zeros(52)
    for name, value in values.items():
        out[WEIGHT[name]] = value
    return out


@given(*[st.floats(-1, 1)] * 3)
def test_rigid_fit_recovers_any_rotation(pitch, yaw, roll):
    turn = rotation_matrix(pitch, yaw, roll)
    assert np.allclose(turn @ turn.T, np.eye(3)) and np.linalg.det(turn) == pytest.approx(1)
    cloud = np.random.default_rng(0).normal(size=(12, 3))
    assert np.allclose(rigid_fit(cloud, cloud @ turn.T + 5), turn, atol=1e-6)


def test_directions_of_the_head_are_as_documented():
    nose = np.array([0, 0, -1.0])
    assert (rotation_matrix(0.2, 0, 0) @ nose)[1] > 0  # + pitch looks down
    assert (rotation_matrix(0, 0.2, 0) @ nose)[0] > 0  # + yaw turns to the image's right
    assert (rotation_matrix(0, 0, 0.2) @ np.array([1.0, 0, 0]))[1] > 0  # + roll leans to the image's right


def test_rest_is_the_portrait_itself_with_its_lips_together():
    neutral = average_neutral()
    neutral[66, 1] += 0.02  # lips apart in the portrait
    neutral[[65, 67], 1] += 0.015
    assert lip_gap(neutral) > 0.03
    rest = PortraitFace(neutral).points(np.zeros(52))
    assert lip_gap(rest) < 1e-6
    others = np.setdiff1d(np.arange(68), [*range(48, 68)])
    assert np.allclose(rest[others], neutral[others])
    assert np.allclose(close_lips(rest), rest)


def test_a_jaw_that_hangs_in_the_portrait_is_raised():
    shut = PortraitFace(average_neutral()).points(np.zeros(52))
    hanging = PortraitFace(average_neutral()).points(weights(jawOpen=0.7))
    rest = close_lips(hanging)
    assert lip_gap(hanging) > 0.25 and lip_gap(rest) < 1e-6
    for part in (slice(6, 11), slice(48, 60)):  # chin, outer lips
        assert np.abs(rest - shut)[part].max() < 0.5 * np.abs(hanging - shut)[part].max()


def test_jaw_opens_and_mouth_close_closes():
    face = PortraitFace(average_neutral())
    assert lip_gap(face.points(weights(jawOpen=0.5))) > 0.12
    assert lip_gap(face.points(weights(jawOpen=0.3, mouthClose=0.3))) < 0.01


def test_a_blink_shuts_this_portraits_eyes_whatever_their_size():
    for stretch in (0.7, 1.0, 1.3):
        neutral = average_neutral()
        for eye in (slice(36, 42), slice(42, 48)):
            centre = neutral[eye, 1].mean()
            neutral[eye, 1] = centre + stretch * (neutral[eye, 1] - centre)
        face = PortraitFace(neutral)
        shut = face.points(weights(eyeBlinkLeft=1, eyeBlinkRight=1))
        for upper, lower in LID_PAIRS["left"] + LID_PAIRS["right"]:
            left_open = (shut[lower, 1] - shut[upper, 1]) / (neutral[lower, 1] - neutral[upper, 1])
            assert 0 <= left_open < 0.2  # shut, and never crossed


def test_motion_is_scaled_and_turned_with_the_portrait():
    neutral, motion = average_neutral(), weights(jawOpen=0.4, mouthSmileLeft=0.5)
    moved = PortraitFace(neutral).points(motion) - PortraitFace(neutral).points(np.zeros(52))
    turn = rotation_matrix(0, 0, 0.3)
    other = PortraitFace(2 * neutral @ turn.T)
    assert np.allclose(other.points(motion) - other.points(np.zeros(52)), 2 * moved @ turn.T, atol=0.02)
