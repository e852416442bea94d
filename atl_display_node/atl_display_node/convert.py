"""Messages to arrays and back: pictures as a view, unusual encodings through cv_bridge where the distribution has it."""

import importlib

import numpy as np
from sensor_msgs.msg import Image

from atl_face.errors import UserError
from atl_face.stream import SAMPLE_RATE
from atl_msgs.msg import AudioChunk
from atl_node.arrays import to_array
from atl_node.stamps import to_time

CHANNELS = {"rgb8": 3, "bgr8": 3, "mono8": 1}


def find_cv_bridge():
    """A CvBridge, or None where there is none that works (the package index's one breaks with NumPy 2)."""
    try:
        return importlib.import_module("cv_bridge").CvBridge()
    except (ImportError, AttributeError):
        return None


def picture_of(message: Image, bridge=None) -> np.ndarray:
    """The picture of a message as (H, W, 3) uint8 RGB; a view of the message's data where it is rgb8.

    Raises:
        UserError: an encoding that can't be shown, or fewer bytes than the message's size asks for.
    """
    channels = CHANNELS.get(message.encoding)
    if channels is None and bridge is not None:
        try:
            return bridge.imgmsg_to_cv2(message, "rgb8")
        except Exception as error:  # CvBridgeError, cv2.error, TypeError: whatever its version raises
            raise UserError(f"cv_bridge can't read an image of image_raw ({error}).", "bad_image") from error
    if channels is None:
        known = ", ".join(CHANNELS)
        raise UserError(f"image_raw has the encoding {message.encoding!r}: publish one of {known}.", "bad_image")
    step = message.step or message.width * channels
    if len(message.data) < step * message.height or step < message.width * channels:
        raise UserError("An image on image_raw is shorter than its width and height say.", "bad_image")
    rows = np.frombuffer(message.data, np.uint8)[: step * message.height].reshape(message.height, step)
    picture = rows[:, : message.width * channels].reshape(message.height, message.width, channels)
    if message.encoding == "mono8":
        return np.repeat(picture, 3, axis=2)
    return picture[:, :, ::-1] if message.encoding == "bgr8" else picture


def playout_message(stream_id: int, first_sample: int, media_time_ns: int, samples: np.ndarray) -> AudioChunk:
    """20 ms to be heard now; the stamp is their media time, which is that of the frame shown with them."""
    message = AudioChunk(stream_id=stream_id, first_sample=first_sample, sample_rate=SAMPLE_RATE)
    message.header.stamp = to_time(media_time_ns)
    message.samples = to_array(samples)
    return message
