"""One portrait, ready to be drawn: its picture at the output's size, where its face is, and the crop that is drawn anew."""
import hashlib
import json
from dataclasses import dataclass
from functools import cached_property
from importlib import resources
from pathlib import Path

import cv2
import numpy as np

from atl_diffusion_node.warp import HIGH, LOW
from atl_face.align import CropTransform
from atl_face.detect import find_face
from atl_face.errors import UserError
from atl_face.files import existing_file
from atl_face.media import read_picture

FEATHER = 0.07  # crop sides over which the drawn face fades into the portrait; wide enough that no seam is seen
MAX_HEIGHT_PX = 4096
_DATA = resources.files(__package__) / "data"


def fade_in(inside: np.ndarray, over: float = FEATHER) -> np.ndarray:
    """0 to 1 for how far inside an edge a pixel lies, in crop sides: a smoothstep, whose ends nobody sees."""
    ramp = np.clip(inside / over, 0, 1)
    return ramp * ramp * (3 - 2 * ramp)


def default_portrait_path() -> Path:
    """The shipped synthetic portrait."""
    return Path(str(_DATA / "default_portrait.png"))


@dataclass(frozen=True)
class Portrait:
    """A face to be drawn.

    Attributes:
        id: first 16 hex digits of the SHA-256 of the picture file.
        picture: (H, W, 3) uint8 RGB at the output's size, both sides even.
        transform: from pixels of `picture` to crop coordinates.
        neutral: (68, 3) landmarks of the face as it is in the picture, crop coordinates.
    """

    id: str
    picture: np.ndarray
    transform: CropTransform
    neutral: np.ndarray

    @cached_property
    def region(self) -> tuple[slice, slice]:
        """Rows and columns of `picture` that the crop and what is warped around it touch."""
        height, width = self.picture.shape[:2]
        corners = self.transform.to_portrait(np.array([(x, y) for x in (LOW[0], HIGH[0]) for y in (LOW[1], HIGH[1])]))
        x0, y0 = np.floor(corners.min(0)).astype(int)
        x1, y1 = np.ceil(corners.max(0)).astype(int)
        return slice(max(y0, 0), min(y1, height)), slice(max(x0, 0), min(x1, width))

    @cached_property
    def region_uv(self) -> np.ndarray:
        """Crop coordinates of the pixel centres of the region, (h, w, 2) float32."""
        rows, columns = self.region
        y, x = np.mgrid[rows, columns]
        return self.transform.to_crop(np.stack([x + 0.5, y + 0.5], axis=-1)).astype(np.float32)

    @cached_property
    def feather(self) -> np.ndarray:
        """How much of the drawn face each pixel of the region takes, (h, w, 1) float32: 1 inside, 0 at the edge."""
        uv = self.region_uv
        inside = np.minimum(uv - LOW, HIGH - uv).min(axis=-1)
        return fade_in(inside).astype(np.float32)[..., None]


def output_shape(height: int, width: int, target_height: int | None, limit: int = MAX_HEIGHT_PX) -> tuple[int, int]:
    """(height, width) of the output for a picture: scaled to `target_height` (None: its own, at most `limit`), even."""
    wanted = min(height, limit) if target_height is None else target_height
    scale = wanted / height
    return max(2, round(height * scale / 2) * 2), max(2, round(width * scale / 2) * 2)


def load_portrait(source: str | Path | bytes, target_height: int | None = None, limit: int = 1080) -> Portrait:
    """Read a picture, find its face, and scale it to the output's size.

    Args:
        source: a path or the file's bytes.
        target_height: height of the output in pixels; None keeps the picture's own, at most `limit`.

    Raises:
        UserError: unreadable, no face, several faces, or one that is too small.
    """
    if isinstance(source, bytes):
        data, name = source, "the given bytes"
    else:
        try:
            data, name = existing_file(source, "picture file").read_bytes(), str(source)
        except OSError as error:
            raise UserError(f"{source} can't be read ({error.strerror}).", "unreadable") from error
    picture = read_picture(data, name)
    portrait_id = hashlib.sha256(data).hexdigest()[:16]
    points = _shipped_landmarks(portrait_id)
    if points is None:
        points = find_face(picture)
    return fit_portrait(portrait_id, picture, points, output_shape(*picture.shape[:2], target_height, limit))


def fit_portrait(portrait_id: str, picture: np.ndarray, points: np.ndarray, shape: tuple[int, int]) -> Portrait:
    """A portrait from a picture and its landmarks (68, 3) px, scaled to `shape` (height, width)."""
    scale = shape[0] / picture.shape[0]
    transform = CropTransform.from_landmarks(points)
    if picture.shape[:2] != shape:
        shrinks = scale < 1
        picture = cv2.resize(picture, shape[::-1], interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_CUBIC)
    neutral = np.float64(np.float32(transform.to_crop(points)))
    return Portrait(portrait_id, picture, transform.scaled(scale), neutral)


def _shipped_landmarks(portrait_id: str) -> np.ndarray | None:
    """Landmarks (68, 3) px of the default portrait, shipped beside it: it starts without loading the detector."""
    record = _DATA / "default_portrait.json"
    if not record.is_file():
        return None
    shipped = json.loads(record.read_text())
    return np.array(shipped["landmarks_px"], np.float64) if shipped["id"] == portrait_id else None
