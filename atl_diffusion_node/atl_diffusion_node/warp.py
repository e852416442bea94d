"""Carry the portrait's pixels to where the landmarks go: a piecewise affine warp on one fixed triangulation."""
from functools import lru_cache

import cv2
import numpy as np
from scipy.spatial import Delaunay

from atl_face.topology import LIP_PAIRS

MIN_GAP = 0.006  # crop sides (1.5 px of 256): lips are held this far apart before warping, or their triangles fold over
BORDER = 5  # anchors along each side of the crop; they stay, so the warp fades out towards the crop's edge
FARTHEST = 10.0  # crop sides; a face lies within about one, and OpenCV never ends to fill a triangle far out
_MARGIN = 1.0 / 128  # the anchors lie just outside, so that every pixel of the crop is inside a triangle
_SUBPIXEL = 4


def _anchors() -> np.ndarray:
    """Fixed points around the crop, (16, 2) crop coordinates."""
    line = np.linspace(-_MARGIN, 1 + _MARGIN, BORDER)
    ends = (line[0], line[-1])
    return np.array([(x, y) for y in line for x in line if x in ends or y in ends])


ANCHORS = _anchors()


def part_lips(points: np.ndarray, gap: float = MIN_GAP) -> np.ndarray:
    """Points (68, 2) with every inner-lip pair at least `gap` apart in y; the triangles between lips then never flip."""
    points = points.copy()
    for upper, lower in LIP_PAIRS:
        lack = gap - (points[lower, 1] - points[upper, 1])
        if lack > 0:
            points[upper, 1] -= lack / 2
            points[lower, 1] += lack / 2
    return points


class FaceWarp:
    """Backward warp maps from one face's landmarks to another's.

    Args:
        reference: (68, 2|3) crop coordinates of a face with an OPEN mouth: its Delaunay triangles are used for all.
    """

    def __init__(self, reference: np.ndarray):
        self.triangles = Delaunay(np.vstack([np.asarray(reference)[:, :2], ANCHORS])).simplices  # (n, 3)

    def displacement(self, source: np.ndarray, target: np.ndarray, size: int) -> np.ndarray:
        """Where each pixel of the warped crop comes from, relative to itself: (size, size, 2) float32, crop coordinates.

        Args:
            source, target: (68, 2|3) crop coordinates of the picture's landmarks, and of those it is to have.
        """
        src = np.vstack([part_lips(np.asarray(source, np.float64)[:, :2]), ANCHORS])[self.triangles]  # (n, 3, 2)
        dst = np.vstack([part_lips(np.asarray(target, np.float64)[:, :2]), ANCHORS])[self.triangles]
        homogeneous = np.concatenate([dst, np.ones((*dst.shape[:2], 1))], axis=2)
        flat = np.abs(np.linalg.det(homogeneous)) < 1e-7  # slivers: no area, no pixels; keep the solver happy
        homogeneous[flat] += np.eye(3) * 1e-3
        affine = np.linalg.solve(homogeneous, src).astype(np.float32)  # (n, 3, 2): (x, y, 1) @ affine = source xy
        owner = np.zeros((size, size), np.int32)
        corners = np.round((dst * size - 0.5) * (1 << _SUBPIXEL)).astype(np.int32)
        for index, triangle in enumerate(corners):
            cv2.fillConvexPoly(owner, triangle, index, cv2.LINE_8, _SUBPIXEL)
        x, y = ((pixel_grid(size) + 0.5) / size).reshape(-1, 2).T
        a = affine.reshape(-1, 6)[owner.ravel()]
        moved = np.stack([x * (a[:, 0] - 1) + y * a[:, 2] + a[:, 4], x * a[:, 1] + y * (a[:, 3] - 1) + a[:, 5]], axis=1)
        return moved.reshape(size, size, 2)


WHOLE = (slice(None), slice(None))


def apply_warp(picture: np.ndarray, displacement: np.ndarray, window: tuple[slice, slice] = WHOLE) -> np.ndarray:
    """Warp a crop (S, S, 3) uint8 by a displacement (S, S, 2) of `FaceWarp`; `window`: the rows and columns wanted."""
    size = picture.shape[0]
    place = pixel_grid(size)[window] + displacement[window] * size
    return cv2.remap(picture, place, None, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)


def moved(picture: np.ndarray, flow: np.ndarray) -> np.ndarray:
    """Pixels (H, W, C) taken from where a flow (H, W, 2) says, in their px, x then y; where it is 0 they stay as they are."""
    height, width = picture.shape[:2]
    grid = pixel_grid(max(height, width))[:height, :width]
    return cv2.remap(picture, grid + flow, None, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)


@lru_cache(maxsize=4)
def pixel_grid(size: int) -> np.ndarray:
    """(size, size, 2) float32: every pixel's own x and y."""
    y, x = np.mgrid[0:size, 0:size].astype(np.float32)
    return np.stack([x, y], axis=-1)
