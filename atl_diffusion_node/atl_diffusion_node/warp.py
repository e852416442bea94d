"""Carry the portrait's pixels to where the landmarks go: a piecewise affine warp on one fixed triangulation."""
from functools import lru_cache

import cv2
import numpy as np
from scipy.spatial import Delaunay

from atl_face.topology import LIP_PAIRS

MIN_GAP = 0.006  # crop sides (1.5 px of 256): lips are held this far apart before warping, or their triangles fold over
HEADROOM = 0.375  # crop sides over the crop, that are warped with it: hair goes with the head, and is not to be torn there
BORDER = 5  # anchors along a side of the crop; they and those of the headroom stay, so the warp fades out towards the edges
FARTHEST = 10.0  # crop sides; a face lies within about one, and OpenCV never ends to fill a triangle far out
SKULL = [*range(27, 31), 36, 39, 42, 45]  # nose bridge and corners of the eyes: no expression moves them, as it does brows
CROWN = np.array([(0.25, 0.065), (0.5, 0.02), (0.75, 0.065), (0.3, -0.14), (0.5, -0.2), (0.7, -0.14)])
"""Points of the hair, crop coordinates: no landmark tells of it, and it goes with the skull."""
COLLAR = np.array([(0.3, 0.93), (0.5, 0.95), (0.7, 0.93)])
"""Points under the chin, crop coordinates: neck and clothes stay where a jaw opens, until it comes down upon them."""
NECK = 0.04  # crop sides, of it that stay between a chin and the collar
_MARGIN = 1.0 / 128  # the anchors lie just outside, so that every pixel is inside a triangle
FLAT = 1e-7  # crop areas, twice a triangle's
_SUBPIXEL = 4


def _anchors() -> np.ndarray:
    """Fixed points around the crop and its headroom, (20, 2) crop coordinates."""
    across = np.linspace(-_MARGIN, 1 + _MARGIN, BORDER)
    down = np.concatenate([[-HEADROOM - _MARGIN, -HEADROOM / 2], across])
    ends = {across[0], across[-1]}, {down[0], down[-1]}
    return np.array([(x, y) for y in down for x in across if x in ends[0] or y in ends[1]])


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


def surroundings(source: np.ndarray, target: np.ndarray) -> np.ndarray:
    """Where landmarks that go from `source` to `target`, (68, 2) each, take CROWN and COLLAR: (9, 2) crop coordinates."""
    before, after, crown = (points @ (1, 1j) for points in (source[SKULL], target[SKULL], CROWN))
    moved, middle = before - before.mean(), after.mean()
    turn = np.vdot(moved, after - middle) / max(np.vdot(moved, moved).real, 1e-9)  # the similarity of least squares
    crown = middle + turn * (crown - before.mean())
    collar = COLLAR.copy()
    collar[:, 1] = np.maximum(collar[:, 1], target[:, 1].max() + NECK)
    return np.clip(np.vstack([np.stack([crown.real, crown.imag], axis=1), collar]), (0, -HEADROOM), 1)  # within the anchors


class FaceWarp:
    """Backward warp maps from one face's landmarks to another's.

    Args:
        reference: (68, 2|3) crop coordinates of a face with an OPEN mouth: its Delaunay triangles are used for all.
    """

    def __init__(self, reference: np.ndarray):
        reference = np.asarray(reference)[:, :2]
        self.triangles = Delaunay(self.nodes(reference, reference)).simplices  # (n, 3)

    @staticmethod
    def nodes(source: np.ndarray, points: np.ndarray) -> np.ndarray:
        """The triangles' corners (97, 2) for landmarks `points` of a picture that has `source`, crop coordinates."""
        return np.vstack([part_lips(points), surroundings(source, points), ANCHORS])

    def displacement(self, source: np.ndarray, target: np.ndarray, size: int, above: int = 0) -> np.ndarray:
        """Where each pixel of the warped crop comes from, relative to itself: (above + size, size, 2) float32, crop coordinates.

        Args:
            source, target: (68, 2|3) crop coordinates of the picture's landmarks, and of those it is to have.
            above: rows over the crop, at most HEADROOM of it.
        """
        source, target = (np.asarray(points, np.float64)[:, :2] for points in (source, target))
        src, dst = (self.nodes(source, points)[self.triangles] for points in (source, target))  # (n, 3, 2)
        # In a triangle, x and y of what a pixel takes are linear in its own: solved by Cramer's rule for all of them at once.
        (ax, ay), (bx, by) = (np.diff(dst[:, [0, side]], axis=1)[:, 0].T for side in (1, 2))
        area = ax * by - bx * ay
        area[np.abs(area) < FLAT] = np.inf  # slivers have no pixels; what they would take is of no account
        offset = src - dst  # relative to itself
        first, second = (offset[:, side] - offset[:, 0] for side in (1, 2))
        across = (first * by[:, None] - second * ay[:, None]) / area[:, None]
        down = (second * ax[:, None] - first * bx[:, None]) / area[:, None]
        shift = offset[:, 0] - across * dst[:, 0, :1] - down * dst[:, 0, 1:]
        across, down, shift = (part @ (1, 1j) for part in (across, down, shift))  # x + iy: half the passes over pixels
        owner = np.zeros((above + size, size), np.int32)
        corners = np.round((dst * size + (0, above) - 0.5) * (1 << _SUBPIXEL)).astype(np.int32)
        for index, triangle in enumerate(corners):
            cv2.fillConvexPoly(owner, triangle, index, cv2.LINE_8, _SUBPIXEL)
        x, y = ((np.arange(begin, size) + 0.5).astype(np.float32) / size for begin in (0, -above))
        across, down, shift = (part.astype(np.complex64) for part in (across, down, shift))
        moved = across.take(owner)
        moved *= x
        along = down.take(owner)
        along *= y[:, None]
        moved += along
        moved += shift.take(owner)
        return moved.view(np.float32).reshape(above + size, size, 2)


def apply_warp(picture: np.ndarray, displacement: np.ndarray, first: int = 0) -> np.ndarray:
    """Warp a crop (H, S, 3) uint8, rows above it included, by a displacement (H, S, 2) of `FaceWarp`; rows from `first` on."""
    height, size = picture.shape[:2]
    place = pixel_grid(height, size)[first:] + displacement[first:] * size
    return cv2.remap(picture, place, None, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)


def moved(picture: np.ndarray, flow: np.ndarray) -> np.ndarray:
    """Pixels (H, W, C) taken from where a flow (H, W, 2) says, in their px, x then y; where it is 0 they stay as they are."""
    return cv2.remap(picture, pixel_grid(*picture.shape[:2]) + flow, None, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)


@lru_cache(maxsize=8)
def pixel_grid(height: int, width: int) -> np.ndarray:
    """(height, width, 2) float32: every pixel's own x and y."""
    y, x = np.mgrid[0:height, 0:width].astype(np.float32)
    return np.stack([x, y], axis=-1)
