"""Image messages to arrays: as a view without cv_bridge, through it where it is there."""

import array
from types import SimpleNamespace

import numpy as np
import pytest

from atl_face.errors import UserError

pytest.importorskip("rclpy")

from sensor_msgs.msg import Image  # noqa: E402

from atl_display_node.convert import picture_of, playout_message  # noqa: E402
from atl_node.arrays import samples_of  # noqa: E402
from atl_node.stamps import to_ns  # noqa: E402


def message(rows, encoding, width, step=None):
    data = array.array("B", np.ascontiguousarray(rows).tobytes())
    return Image(height=len(rows), width=width, encoding=encoding, step=step or width, data=data)


def test_rgb8_is_a_view_and_padding_is_left_out():
    pixels = np.random.default_rng(0).integers(0, 255, (5, 7, 3), np.uint8)
    padded = np.pad(pixels.reshape(5, 21), ((0, 0), (0, 11)))
    image = message(padded, "rgb8", 7, step=32)
    picture = picture_of(image)
    np.testing.assert_array_equal(picture, pixels)
    assert np.shares_memory(picture, np.frombuffer(image.data, np.uint8))


def test_bgr8_and_mono8():
    pixels = np.random.default_rng(1).integers(0, 255, (4, 6, 3), np.uint8)
    np.testing.assert_array_equal(picture_of(message(pixels, "bgr8", 6, 18)), pixels[:, :, ::-1])
    grey = picture_of(message(pixels[:, :, 0], "mono8", 6, 6))
    np.testing.assert_array_equal(grey, np.stack([pixels[:, :, 0]] * 3, axis=2))


def test_what_cannot_be_shown_is_a_sentence():
    with pytest.raises(UserError, match="32FC1"):
        picture_of(message(np.zeros((2, 8), np.uint8), "32FC1", 2, 8))
    with pytest.raises(UserError, match="shorter"):
        picture_of(message(np.zeros((2, 6), np.uint8), "rgb8", 2, 60))


def test_cv_bridge_is_asked_for_unusual_encodings_where_it_is_there():
    asked = []
    bridge = SimpleNamespace(imgmsg_to_cv2=lambda image, encoding: asked.append(encoding) or "picture")
    assert picture_of(Image(encoding="yuv422"), bridge) == "picture" and asked == ["rgb8"]


def test_what_cv_bridge_can_not_read_is_a_sentence():
    def refuse(image, encoding):
        raise TypeError("no such conversion")

    with pytest.raises(UserError, match="no such conversion"):
        picture_of(Image(encoding="bayer_rggb8"), SimpleNamespace(imgmsg_to_cv2=refuse))


def test_sound_and_time_go_there_and_back():
    samples = np.arange(-160, 160, dtype=np.int16)
    chunk = playout_message(7, 640, 12_345_678_901, samples)
    np.testing.assert_array_equal(samples_of(chunk.samples), samples)
    assert to_ns(chunk.header.stamp) == 12_345_678_901
    assert (chunk.stream_id, chunk.first_sample, chunk.sample_rate) == (7, 640, 16000)
