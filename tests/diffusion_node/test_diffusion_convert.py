"""Messages of the diffusion node: what a portrait's holds, and landmarks that aren't any."""

import numpy as np
import pytest
from builtin_interfaces.msg import Time

from atl_diffusion_node.convert import points_of, portrait_message
from atl_diffusion_node.portrait import default_portrait_path, load_portrait
from atl_face.errors import UserError
from atl_face.media import read_picture
from atl_msgs.msg import FaceLandmarks


def test_crop_and_landmarks_of_a_portrait_message_are_of_its_own_picture():
    portrait = load_portrait(default_portrait_path(), 256)  # a quarter of the file's height
    message = portrait_message(portrait, Time())
    picture = read_picture(bytes(message.data))
    assert picture.shape == (message.height, message.width, 3) == (256, 256, 3)
    assert np.array_equal(picture, portrait.picture)
    neutral = np.array(message.neutral).reshape(68, 3)
    eyes_px = portrait.transform.to_portrait(neutral[36:48])[:, :2]
    matrix = np.array(message.crop).reshape(2, 3)
    assert np.allclose(eyes_px @ matrix[:, :2].T + matrix[:, 2], neutral[36:48, :2], atol=1e-6)
    assert 0 < eyes_px.min() and eyes_px.max() < 256


def test_landmarks_come_back_as_they_were_sent():
    points = np.linspace(0, 1, 204, dtype=np.float32)
    assert np.array_equal(points_of(FaceLandmarks(topology="ibug68", points=points.tolist())).ravel(), points)


@pytest.mark.parametrize(
    "fields",
    [{"points": [0.5] * 203}, {"points": []}, {"points": [float("nan")] * 204}, {"points": [1e9] * 204},
     {"topology": "mesh468"}],
)
def test_what_is_no_landmarks_is_refused(fields):
    with pytest.raises(UserError, match="ibug68"):
        points_of(FaceLandmarks(**{"topology": "ibug68", "points": [0.5] * 204, **fields}))
