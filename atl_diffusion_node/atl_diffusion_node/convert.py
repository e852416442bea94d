"""Messages to what the core takes, and back."""

import cv2
import numpy as np
from sensor_msgs.msg import CompressedImage, Image

from atl_diffusion_node import portrait as core
from atl_diffusion_node.warp import FARTHEST
from atl_face.errors import UserError
from atl_msgs.msg import FaceLandmarks, Portrait
from atl_msgs.srv import SetPortrait
from atl_node.arrays import to_array

REASONS = {
    "no_face": SetPortrait.Response.NO_FACE,
    "several_faces": SetPortrait.Response.SEVERAL_FACES,
    "too_small": SetPortrait.Response.TOO_SMALL,
}


def reason_of(error: UserError) -> int:
    """The reason code of `SetPortrait` for a refusal; anything else than a face's fault is UNREADABLE."""
    return REASONS.get(error.code, SetPortrait.Response.UNREADABLE)


def points_of(message: FaceLandmarks) -> np.ndarray:
    """Landmarks (68, 3) in crop coordinates; UserError where a message doesn't hold them."""
    points = np.asarray(message.points, np.float32)
    if message.topology != "ibug68" or points.size != 204 or not (np.abs(points) < FARTHEST).all():
        raise UserError("A message on landmarks isn't 68 x 3 numbers about a face's crop, of the topology ibug68: not drawn.",
                        "bad_points")  # fmt: skip
    return points.reshape(68, 3)


def image_message(frame: np.ndarray, header) -> Image:
    """An RGB frame (H, W, 3) uint8 as rgb8."""
    height, width = frame.shape[:2]
    return Image(header=header, height=height, width=width, encoding="rgb8", is_bigendian=0, step=3 * width,
                 data=to_array(frame))  # fmt: skip


def jpeg_message(frame: np.ndarray, header, quality: int) -> CompressedImage:
    _, data = cv2.imencode(".jpg", cv2.cvtColor(frame, cv2.COLOR_RGB2BGR), (cv2.IMWRITE_JPEG_QUALITY, quality))
    return CompressedImage(header=header, format="rgb8; jpeg compressed bgr8", data=data.tobytes())


def portrait_message(portrait: core.Portrait, stamp) -> Portrait:
    """The picture as it is drawn on, losslessly: `crop` and `neutral` are of its pixels, whatever file it came from."""
    _, data = cv2.imencode(".png", cv2.cvtColor(portrait.picture, cv2.COLOR_RGB2BGR))
    message = Portrait(id=portrait.id, format="png", data=data.tobytes())
    message.header.stamp, message.header.frame_id = stamp, "robot_face"
    message.height, message.width = portrait.picture.shape[:2]
    message.crop = portrait.transform.matrix.ravel()
    message.neutral = portrait.neutral.astype(np.float32).ravel()
    return message
