"""The measures that every metric uses, against slow references."""
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from atl_face.topology import (
    ARKIT_52,
    WEIGHT,
    eye_distance,
    eye_openness,
    face_box,
    is_closed,
    lip_gap,
    lip_openings,
    mouth_box,
    unit_weights,
)


@pytest.fixture
def points():
    return np.random.default_rng(0).uniform(0, 100, (5, 68, 3))


def test_arkit_has_52_distinct_weights():
    assert len(ARKIT_52) == len(set(ARKIT_52)) == 52
    assert (WEIGHT["jawOpen"], WEIGHT["mouthClose"], WEIGHT["eyeBlinkLeft"]) == (17, 18, 0)  # Apple's order


def test_a_unit_without_a_side_acts_on_both_and_one_with_a_name_of_its_own_alone():
    weights = unit_weights({"browDown": 0.5, "mouthDimpleLeft": 0.25, "browInnerUp": 1.0})
    named = {name: weights[i] for name, i in WEIGHT.items() if weights[i]}
    assert named == {"browDownLeft": 0.5, "browDownRight": 0.5, "mouthDimpleLeft": 0.25, "browInnerUp": 1.0}
    with pytest.raises(KeyError):
        unit_weights({"brwDown": 1.0})


def test_lip_gap_is_the_mean_of_three_pairs_over_the_eye_distance(points):
    for face, gap in zip(points, lip_gap(points), strict=True):
        eyes = sum((face[45, i] - face[36, i]) ** 2 for i in range(2)) ** 0.5
        slow = sum(np.hypot(*(face[a, :2] - face[b, :2])) for a, b in ((61, 67), (62, 66), (63, 65))) / 3 / eyes
        assert gap == pytest.approx(slow)


def test_lip_openings_have_a_sign_and_their_mean_is_the_gap_of_upright_lips():
    face = np.zeros((68, 3))
    face[45, 0] = 2.0  # the eyes are 2 apart
    face[[67, 66, 65], 1] = 0.1, 0.2, -0.3
    assert lip_openings(face) == pytest.approx([0.1, 0.2, -0.3])
    assert lip_gap(face) == pytest.approx(np.mean(np.abs(lip_openings(face))) / 2)
    assert np.shape(lip_openings(np.stack([face] * 4))) == (3, 4)


@given(st.floats(0.01, 100), st.floats(-3, 3), st.floats(-50, 50))
def test_measures_do_not_depend_on_size_place_or_roll(scale, angle, shift):
    face = np.random.default_rng(1).uniform(0, 100, (68, 2))
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    moved = scale * face @ turn.T + shift
    assert lip_gap(moved) == pytest.approx(lip_gap(face), rel=1e-6)
    assert np.allclose(eye_openness(moved), eye_openness(face), rtol=1e-6)
    assert eye_distance(moved) == pytest.approx(scale * eye_distance(face), rel=1e-6)


def test_closed_follows_the_stated_threshold():
    assert list(is_closed(np.array([0.0, 0.029, 0.031, 0.3]))) == [True, True, False, False]


def test_boxes_hold_their_points(points):
    for face in points:
        x0, y0, x1, y1 = face_box(face)
        assert x0 < face[:, 0].min() and y1 > face[:, 1].max() and x1 > face[:, 0].max() and y0 < face[:, 1].min()
        x0, y0, x1, y1 = mouth_box(face)
        assert x0 < face[48:, 0].min() and x1 > face[48:, 0].max() and y0 < face[48:, 1].min() and y1 > face[48:, 1].max()
