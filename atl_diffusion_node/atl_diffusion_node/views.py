"""The two views of a face that the network draws: all of the crop at half its size, and the mouth at the crop's own.

A face moves as a whole, and what a warp doesn't know of that (the head's outline, hair, neck, shadows, lids) is coarse: half the
size shows it for a quarter of the cost. Lips and teeth are fine and small, and are drawn once more over it.
"""
from dataclasses import dataclass

import cv2
import numpy as np

from atl_diffusion_node.guide import POINT_WEIGHT, guide_mask, rasters
from atl_diffusion_node.runtime import FACE_SIZE, MOUTH_WINDOW, WINDOWS

BELOW_MOUTH = 0.04  # crop sides from the mouth's corners down to the middle of its view: a jaw opens downwards
CORNERS = [48, 54]  # of the mouth: unlike its middle, they hardly move when it opens
FADE_PX = 12  # over so many pixels at its edges the mouth's view fades into the face's


@dataclass(frozen=True)
class View:
    """Where a view lies in the crop, and what the network sees of it.

    Attributes:
        shape: (H, W) px.
        fine: a part of the crop at its own size, which follows the mouth; else the whole crop, smaller.
    """

    name: str
    shape: tuple[int, int]
    fine: bool

    @property
    def size(self) -> int:
        """Side of the crop that it is cut from, px."""
        return FACE_SIZE if self.fine else self.shape[0]

    def place(self, points: np.ndarray) -> tuple[slice, slice]:
        """Its rows and columns in that crop, for landmarks (68, 2|3) in crop coordinates; even, for the half-sized lines."""
        if not self.fine:
            return tuple(slice(0, side) for side in self.shape)
        x, y = self.size * (np.asarray(points)[CORNERS, :2].mean(0) + (0.0, BELOW_MOUTH))
        corner = [int(np.clip(2 * round((at - side / 2) / 2), 0, self.size - side))
                  for at, side in zip((y, x), self.shape, strict=True)]  # fmt: skip
        return tuple(slice(at, at + side) for at, side in zip(corner, self.shape, strict=True))

    def picture(self, crop: np.ndarray, points: np.ndarray) -> np.ndarray:
        """Its part of a crop (FACE_SIZE, FACE_SIZE, 3) uint8 with those landmarks: (H, W, 3) float32 in [-1, 1]."""
        if not self.fine:
            crop = cv2.resize(crop, self.shape[::-1], interpolation=cv2.INTER_AREA)
        return crop[self.place(points)].astype(np.float32) / 127.5 - 1.0

    def lines(self, points: np.ndarray) -> np.ndarray:
        """The landmark lines in it, at half its size: (H/2, W/2, 3) float32 in [0, 1]."""
        rows, columns = (slice(part.start // 2, part.stop // 2) for part in self.place(points))
        return rasters(points, self.size // 2)[rows, columns].astype(np.float32) / 255.0

    def mask(self, points: np.ndarray, weights: np.ndarray = POINT_WEIGHT) -> np.ndarray:
        """The guide-noise mask in it, (H, W) float32."""
        return guide_mask(points, self.size, self.place(points), weights)


FACE, MOUTH = (View(name, window, name == "mouth") for name, window in WINDOWS.items())
VIEWS = {view.name: view for view in (FACE, MOUTH)}


def to_network(picture: np.ndarray) -> np.ndarray:
    """(H, W, C) to (1, C, H, W)."""
    return np.ascontiguousarray(picture.transpose(2, 0, 1)[None])


def fade_out(height: int, width: int) -> np.ndarray:
    """(height, width, 1) float32: 1 inside, falling to 0 over FADE_PX towards every edge."""
    rows, columns = (np.clip((np.minimum(np.arange(n), n - 1 - np.arange(n))) / FADE_PX, 0, 1) for n in (height, width))
    return np.minimum(rows[:, None], columns)[..., None].astype(np.float32)


MOUTH_FADE = fade_out(*MOUTH_WINDOW)
