"""The detector on the shipped portrait, and its refusals."""
import numpy as np
import pytest

from atl_diffusion_node.portrait import default_portrait_path, load_portrait
from atl_face.detect import find_face
from atl_face.errors import UserError
from atl_face.media import read_picture

pytest.importorskip("mediapipe", reason="mediapipe is not installed: no face can be looked for")


@pytest.fixture(scope="module")
def picture():
    return read_picture(default_portrait_path())


def test_the_shipped_landmarks_are_the_detectors(picture):
    portrait = load_portrait(default_portrait_path(), picture.shape[0])
    found = portrait.transform.to_crop(find_face(picture))
    assert np.abs(found[:, :2] - portrait.neutral[:, :2]).max() < 0.01


def refusal(picture):
    with pytest.raises(UserError) as refused:
        find_face(np.ascontiguousarray(picture))
    return refused.value.code


def test_refusals_name_their_reason(picture):
    assert refusal(np.full((300, 300, 3), 120, np.uint8)) == "no_face"
    assert refusal(np.hstack([picture, picture])) == "several_faces"
    import cv2

    assert refusal(cv2.resize(picture, (72, 72), interpolation=cv2.INTER_AREA)) in ("too_small", "no_face")


def test_off_centre_and_grey_faces_are_found(picture):
    grey = np.repeat(picture.mean(2, keepdims=True).astype(np.uint8), 3, 2)
    wide = np.full((picture.shape[0], 2 * picture.shape[1], 3), 90, np.uint8)
    wide[:, picture.shape[1]:] = grey
    points = find_face(wide)
    assert points[:, 0].min() > picture.shape[1]


@pytest.mark.parametrize("shape", [(20000, 3), (3, 20000), (1, 1)])
def test_a_picture_too_thin_for_a_face_is_a_sentence(shape):
    with pytest.raises(UserError, match="needs 32 at least") as refused:
        find_face(np.zeros((*shape, 3), np.uint8))
    assert refused.value.code == "too_small"
