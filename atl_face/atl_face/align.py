"""The similarity crop: where in a portrait the face is drawn anew, and how to go there and back.

Two coordinate systems. Portrait pixels: pixel i covers [i, i + 1), so its centre is i + 0.5. Crop coordinates: [0, 1]
over the crop's side, y down; the crop is level with the eyes.
"""
from dataclasses import dataclass

import cv2
import numpy as np

from atl_face.topology import EYE_LEFT, EYE_RIGHT, OUTER_LIPS, eye_distance

CROP_SIDE = 2.6
"""Side of the crop in face scales: with a scale of one eye distance (about 90 mm) it spans 234 mm, from mid-forehead
to 4 cm under a resting chin, so that an opening jaw and 20 degrees of head turn stay inside."""
CROP_DROP = 0.6  # the crop's centre lies this far from the eyes towards the mouth: room for the jaw, not for the hair
MOUTH_SCALE = 1.05  # eyes-to-mouth times this is an average face's eye distance; steadies the scale under yaw


@dataclass(frozen=True)
class CropTransform:
    """A similarity from portrait pixels to crop coordinates.

    Attributes:
        matrix: (2, 3) float64; crop = matrix @ (x, y, 1).
    """

    matrix: np.ndarray

    @classmethod
    def from_landmarks(cls, points: np.ndarray) -> "CropTransform":
        """The crop of a face whose landmarks are (68, 2|3) portrait pixels."""
        xy = np.asarray(points, np.float64)[:, :2]
        right, left = xy[EYE_RIGHT].mean(0), xy[EYE_LEFT].mean(0)
        eyes, mouth = (right + left) / 2, xy[OUTER_LIPS].mean(0)
        scale = max(float(eye_distance(xy)), MOUTH_SCALE * float(np.linalg.norm(mouth - eyes)))
        centre = eyes + CROP_DROP * (mouth - eyes)
        across = (left - right) / np.linalg.norm(left - right)
        rotation = np.array([[across[0], across[1]], [-across[1], across[0]]]) / (CROP_SIDE * scale)
        return cls(np.hstack([rotation, (0.5 - rotation @ centre)[:, None]]))

    @classmethod
    def from_list(cls, values) -> "CropTransform":
        """From the six numbers of a `Portrait` message (row-major)."""
        return cls(np.asarray(values, np.float64).reshape(2, 3))

    @property
    def scale(self) -> float:
        """Crop sides per portrait pixel."""
        return float(np.sqrt(abs(np.linalg.det(self.matrix[:, :2]))))

    @property
    def side_px(self) -> float:
        """The crop's side in portrait pixels."""
        return 1.0 / self.scale

    def to_crop(self, points: np.ndarray) -> np.ndarray:
        """Portrait pixels to crop coordinates, (..., 2|3) to the same shape; a third coordinate is scaled alike."""
        points = np.asarray(points, np.float64)
        xy = points[..., :2] @ self.matrix[:, :2].T + self.matrix[:, 2]
        return np.concatenate([xy, points[..., 2:] * self.scale], axis=-1)

    def to_portrait(self, points: np.ndarray) -> np.ndarray:
        """Crop coordinates to portrait pixels, (..., 2|3) to the same shape."""
        points = np.asarray(points, np.float64)
        inverse = np.linalg.inv(self.matrix[:, :2])
        xy = (points[..., :2] - self.matrix[:, 2]) @ inverse.T
        return np.concatenate([xy, points[..., 2:] / self.scale], axis=-1)

    def scaled(self, factor: float) -> "CropTransform":
        """The same crop in a portrait resized by `factor`."""
        return CropTransform(np.hstack([self.matrix[:, :2] / factor, self.matrix[:, 2:]]))

    def _pixel_matrix(self, size: int) -> np.ndarray:
        """(2, 3) from portrait to crop, both as OpenCV counts: pixel centres at whole numbers."""
        linear = self.matrix[:, :2] * size
        offset = self.matrix[:, 2] * size + linear @ (0.5, 0.5) - 0.5
        return np.hstack([linear, offset[:, None]])

    def extract(self, picture: np.ndarray, size: int, above: int = 0, aside: int = 0, below: int = 0) -> np.ndarray:
        """Cut the crop out of a picture (H, W, C) as (size, size, C), antialiased, edges replicated; with so many more pixels of
        what is over it, on each side and under it, as (above + size + below, size + 2 aside, C)."""
        matrix = self._pixel_matrix(size)
        matrix[:, 2] += aside, above
        shrink = self.side_px / size
        if shrink > 1.5:  # INTER_AREA does not antialias in warpAffine: blur by the part of the shrinking that aliases
            picture = cv2.GaussianBlur(picture, (0, 0), 0.4 * shrink)
        shape = size + 2 * aside, above + size + below
        flags = cv2.INTER_CUBIC if shrink < 1 else cv2.INTER_LINEAR
        return cv2.warpAffine(picture, matrix, shape, flags=flags, borderMode=cv2.BORDER_REPLICATE)
