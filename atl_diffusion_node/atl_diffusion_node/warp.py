"""Carry the portrait's pixels to where the landmarks go: a piecewise affine warp on one fixed triangulation."""
from dataclasses import dataclass
from functools import lru_cache

import cv2
import numpy as np
from scipy.spatial import Delaunay

from atl_diffusion_node.polygons import SHIFT, fixed_point
from atl_face.align import CropTransform
from atl_face.topology import LIP_PAIRS

MIN_GAP = 0.006  # crop sides (1.5 px of 256): lips are held this far apart before warping, or their triangles fold over
ABOVE, ASIDE, BELOW = 0.375, 0.125, 0.125
"""Crop sides around the crop (aside: on both sides) that are warped with it: hair and shoulders go with the head, and are not to
be torn where it ends. Multiples of 1/16, so that they are whole pixels. Aside and below, less leaves warped film farther from the
true one, and more .02 dB nearer at most (the model card has the figures)."""
LOW, HIGH = (-ASIDE, -ABOVE), (1 + ASIDE, 1 + BELOW)  # corners of all that, crop coordinates
BORDER = 4  # anchors along a side of that; they stay, so the warp fades out towards the edges
"""With a fifth, one is right over the crown: at a roll of 12 degrees the hair between them was torn."""
FARTHEST = 10.0  # crop sides; a face lies within about one, and OpenCV never ends to fill a triangle far out
SKULL = [*range(27, 31), 36, 39, 42, 45]  # nose bridge and corners of the eyes: no expression moves them, as it does brows
CROWN = np.array([(0.25, 0.065), (0.5, 0.02), (0.75, 0.065), (0.3, -0.14), (0.5, -0.2), (0.7, -0.14)])
"""Points of the hair, crop coordinates: no landmark tells of it, and it goes with the skull."""
COLLAR = np.array([(0.3, 0.93), (0.5, 0.95), (0.7, 0.93)])
"""Points under the chin, crop coordinates: neck and clothes stay where a jaw opens, until it comes down upon them."""
FOLLOWS = np.array([(0.22, 0.12), (0.33, 0.12), (0.22, 0.12)])
"""How much of the skull's way COLLAR goes along, in x and y: who sways, sways with the shoulders. It is about half of what
GRID's speakers do by dense optical flow; of none, half and all of that, half brings warped film nearest to the true one (the
model card has the figures). The studio's people sit still below the neck: they are nearest with none."""
NECK = 0.04  # crop sides, of it that stay between a chin and the collar
BESIDE = np.array([0, 1, 2, 14, 15, 16])  # the face's contour beside the eyes ...
CORNER, OUTWARDS = np.repeat([36, 45], 3), np.repeat([-1, 1], 3)  # ... whose corners are these
BESIDE_KEPT = 0.3
"""How much of its way from the eye's corner, along the eyes' line, that contour keeps at least. A head that turns by 15
degrees and more hides it behind the cheek, which is then what is seen there: with the contour, the far eye would come to the
face's edge, and triangles fold over. On the studio's people the warp alone is .06 dB nearer to heads turned by 20 to 30
degrees (.02 farther at .6; throwaway script)."""
_MARGIN = 1.0 / 128  # the anchors lie just outside, so that every pixel is inside a triangle
FLAT = 0.002  # crop sides (half a pixel): a triangle that is no higher is a sliver


def _anchors() -> np.ndarray:
    """Fixed points around all that is warped, (12, 2) crop coordinates."""
    across, down = (np.linspace(low - _MARGIN, high + _MARGIN, BORDER) for low, high in zip(LOW, HIGH, strict=True))
    ends = {across[0], across[-1]}, {down[0], down[-1]}
    return np.array([(x, y) for y in down for x in across if x in ends[0] or y in ends[1]])


ANCHORS = _anchors()


@dataclass(frozen=True)
class Room:
    """Pixels around a crop of `size` px."""

    size: int
    above: int = 0
    aside: int = 0
    below: int = 0

    @classmethod
    def around(cls, size: int) -> "Room":
        """All that is warped; `size` is a multiple of 16."""
        return cls(size, *(round(part * size) for part in (ABOVE, ASIDE, BELOW)))

    @property
    def shape(self) -> tuple[int, int]:
        """(rows, columns) with the crop."""
        return self.above + self.size + self.below, self.size + 2 * self.aside

    @property
    def crop(self) -> tuple[slice, slice]:
        """The crop's rows and columns in it."""
        return slice(self.above, self.above + self.size), slice(self.aside, self.aside + self.size)

    @property
    def corner(self) -> tuple[int, int]:
        """Where the crop begins in it, x and y."""
        return self.aside, self.above

    def cut(self, transform: CropTransform, picture: np.ndarray) -> np.ndarray:
        """The crop of a picture (H, W, C), and what is around it, (*shape, C)."""
        return transform.extract(picture, self.size, self.above, self.aside, self.below)


def part_lips(points: np.ndarray, gap: float = MIN_GAP) -> np.ndarray:
    """Points (68, 2) with every inner-lip pair at least `gap` apart in y; the triangles between lips then never flip."""
    points = points.copy()
    for upper, lower in LIP_PAIRS:
        lack = gap - (points[lower, 1] - points[upper, 1])
        if lack > 0:
            points[upper, 1] -= lack / 2
            points[lower, 1] += lack / 2
    return points


def keep_beside(source: np.ndarray, points: np.ndarray) -> np.ndarray:
    """Points (68, 2) whose contour beside the eyes keeps BESIDE_KEPT of its way from them in `source`, the picture's."""
    way, least = (((p[BESIDE] - p[CORNER]) @ _eye_line(p)) * OUTWARDS for p in (points, source))
    lack = np.maximum(np.minimum(least, BESIDE_KEPT * least) - way, 0)  # a portrait's own contour stays, wherever it is
    points = points.copy()
    points[BESIDE] += (OUTWARDS * lack)[:, None] * _eye_line(points)
    return points


def _eye_line(points: np.ndarray) -> np.ndarray:
    """Unit vector (2,) from eye to eye."""
    line = points[45] - points[36]
    return line / max(np.hypot(*line), 1e-9)


def surroundings(source: np.ndarray, target: np.ndarray) -> np.ndarray:
    """Where landmarks that go from `source` to `target`, (68, 2) each, take CROWN and COLLAR: (9, 2) crop coordinates."""
    before, after, crown = (points @ (1, 1j) for points in (source[SKULL], target[SKULL], CROWN))
    moved, middle = before - before.mean(), after.mean()
    turn = np.vdot(moved, after - middle) / max(np.vdot(moved, moved).real, 1e-9)  # the similarity of least squares
    crown = middle + turn * (crown - before.mean())
    way = middle - before.mean()
    collar = COLLAR + FOLLOWS * (way.real, way.imag)
    collar[:, 1] = np.maximum(collar[:, 1], target[:, 1].max() + NECK)
    around = np.vstack([np.stack([crown.real, crown.imag], axis=1), collar])
    return np.clip(around, LOW, HIGH)  # within the anchors


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
        """The triangles' corners (89, 2) for landmarks `points` of a picture that has `source`, crop coordinates."""
        return np.vstack([keep_beside(source, part_lips(points)), surroundings(source, points), ANCHORS])

    def displacement(self, source: np.ndarray, target: np.ndarray, room: Room) -> np.ndarray:
        """Where each pixel of the warped crop comes from, relative to itself: (*room.shape, 2) float32, crop coordinates.

        Args:
            source, target: (68, 2|3) crop coordinates of the picture's landmarks, and of those it is to have.
            room: the crop's size, and what is warped around it, at most `Room.around`.
        """
        source, target = (np.asarray(points, np.float64)[:, :2] for points in (source, target))
        src, dst = (self.nodes(source, points)[self.triangles] for points in (source, target))  # (n, 3, 2)
        # In a triangle, x and y of what a pixel takes are linear in its own: solved by Cramer's rule for all of them at once.
        (ax, ay), (bx, by) = (np.diff(dst[:, [0, side]], axis=1)[:, 0].T for side in (1, 2))
        area = ax * by - bx * ay
        # Pixels that a sliver's border touches take what its middle does: beyond the border it would say anything.
        longest = np.sqrt(np.maximum(np.maximum(ax * ax + ay * ay, bx * bx + by * by), (bx - ax) ** 2 + (by - ay) ** 2))
        flat = np.abs(area) <= FLAT * longest
        area[flat] = np.inf
        offset = src - dst  # relative to itself
        offset[flat] = offset[flat].mean(axis=1, keepdims=True)
        first, second = (offset[:, side] - offset[:, 0] for side in (1, 2))
        across = (first * by[:, None] - second * ay[:, None]) / area[:, None]
        down = (second * ax[:, None] - first * bx[:, None]) / area[:, None]
        shift = offset[:, 0] - across * dst[:, 0, :1] - down * dst[:, 0, 1:]
        across, down, shift = (part @ (1, 1j) for part in (across, down, shift))  # x + iy: half the passes over pixels
        owner = np.zeros(room.shape, np.int32)
        corners = fixed_point(dst * room.size + room.corner)
        for index in np.argsort(~flat, kind="stable"):  # slivers first: they get what no other triangle reaches
            cv2.fillConvexPoly(owner, corners[index], int(index), cv2.LINE_8, SHIFT)
        x, y = ((np.arange(count) - before + 0.5).astype(np.float32) / room.size
                for count, before in zip(room.shape[::-1], room.corner, strict=True))  # fmt: skip
        across, down, shift = (part.astype(np.complex64) for part in (across, down, shift))
        owner = owner.astype(np.intp)  # once: as an index, NumPy would do it each time
        moved = across[owner]
        moved *= x
        along = down[owner]
        along *= y[:, None]
        moved += along
        moved += shift[owner]
        return moved.view(np.float32).reshape(*room.shape, 2)

    def warped(self, picture: np.ndarray, source: np.ndarray, target: np.ndarray, room: Room) -> np.ndarray:
        """The crop (size, size, 3) of a `Room.cut` with landmarks `source`, warped to `target`."""
        return apply_warp(picture, self.displacement(source, target, room), room, crop_only=True)


def apply_warp(picture: np.ndarray, displacement: np.ndarray, room: Room, crop_only: bool = False) -> np.ndarray:
    """Warp a crop with its room (*room.shape, 3) uint8 by a displacement of `FaceWarp`; all of it, or its crop."""
    part = room.crop if crop_only else (slice(None), slice(None))
    place = pixel_grid(*room.shape)[part] + displacement[part] * room.size
    return cv2.remap(picture, place, None, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)


def moved(picture: np.ndarray, flow: np.ndarray) -> np.ndarray:
    """Pixels (H, W, C) taken from where a flow (H, W, 2) says, in their px, x then y; where it is 0 they stay as they are."""
    return cv2.remap(picture, pixel_grid(*picture.shape[:2]) + flow, None, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)


@lru_cache(maxsize=8)
def pixel_grid(height: int, width: int) -> np.ndarray:
    """(height, width, 2) float32: every pixel's own x and y."""
    y, x = np.mgrid[0:height, 0:width].astype(np.float32)
    return np.stack([x, y], axis=-1)
