"""What the landmarks tell the renderer: the guide-noise mask (ATL-Diff, section 3.2) and line rasters.

All of it is per frame, so it is causal; the paper's mask is normalised over a whole clip, which a live face can't wait for.
"""
import cv2
import numpy as np

from atl_diffusion_node.polygons import SHIFT, fixed_point
from atl_face.topology import (
    BROW_LEFT,
    BROW_RIGHT,
    EYE_LEFT,
    EYE_RIGHT,
    INNER_LIPS,
    JAW,
    MOUTH,
    NOSE,
    OUTER_LIPS,
)

MASK_SIGMA = 4.0 / 128  # crop sides; the paper's Gaussian kernel of 25 at 128 px (its CREMA-D setting) has sigma 4.1 px
MASK_FLOOR = 0.1  # the paper's: a little noise everywhere, so that no pixel is beyond change
MOUTH_WEIGHT = 3.0  # of each of the mouth's points: together they weigh somewhat more than all others (60 : 48)
_LINES = ((JAW, False), (BROW_RIGHT, False), (BROW_LEFT, False), (NOSE, False), (EYE_RIGHT, True), (EYE_LEFT, True))


def point_weights(mouth: float = MOUTH_WEIGHT) -> np.ndarray:
    """How much each landmark weighs in the mask, (68,) float32: 1, and `mouth` each of the mouth's."""
    weights = np.ones(68, np.float32)
    weights[MOUTH] = mouth
    return weights


POINT_WEIGHT = point_weights()


def guide_mask(points: np.ndarray, size: int, place: tuple[slice, slice] = (slice(None), slice(None)),
               weights: np.ndarray = POINT_WEIGHT) -> np.ndarray:  # fmt: skip
    """The guide-noise mask M of a frame: where the landmarks are, noise may change the picture.

    M(u) = f + (1 - f) * g(u) / max g,   g(u) = sum_i w_i exp(-|u - p_i|^2 / (2 sigma^2))

    with the floor f and sigma above. A Gaussian splat is the paper's "rasterise, then blur" without the rounding to
    pixels, so M moves smoothly with the points and is differentiable in them; it is separable, hence one matrix product.

    Args:
        points: (68, 2|3) crop coordinates.
        size: pixels of the crop's side.
        place: rows and columns wanted; the mouth is among them, so that the largest g of all is (its points weigh most).
        weights: w, (68,).

    Returns:
        (size, size) float32 in [f, 1], or the part of it.
    """
    grid = (np.arange(size, dtype=np.float32) + 0.5) / size
    xy = np.asarray(points, np.float32)[:, :2]
    along_y, along_x = (np.exp(-((grid[part] - xy[:, i : i + 1]) ** 2) / (2 * MASK_SIGMA**2))
                        for part, i in zip(place, (1, 0), strict=True))  # (68, rows), (68, columns)  # fmt: skip
    g = (along_y * weights[:, None]).T @ along_x
    return MASK_FLOOR + (1 - MASK_FLOOR) * g / max(float(g.max()), 1e-6)


def rasters(points: np.ndarray, size: int) -> np.ndarray:
    """Pictures of the landmarks that the network sees beside the noise: (size, size, 3) uint8.

    Channel 0: the opening between the inner lips, filled. 1: lip lines (outer 255, inner 128). 2: all other lines.

    The paper gives the landmarks through the noise alone; lines say exactly where lips and lids are to be.
    """
    px = fixed_point(np.asarray(points, np.float64)[:, :2] * size)
    opening, lips, lines = (np.zeros((size, size), np.uint8) for _ in range(3))
    cv2.fillPoly(opening, [px[INNER_LIPS]], 255, cv2.LINE_AA, SHIFT)
    cv2.polylines(lips, [px[OUTER_LIPS]], True, 255, 1, cv2.LINE_AA, SHIFT)
    cv2.polylines(lips, [px[INNER_LIPS]], True, 128, 1, cv2.LINE_AA, SHIFT)
    for part, closed in _LINES:
        cv2.polylines(lines, [px[part]], closed, 255, 1, cv2.LINE_AA, SHIFT)
    return np.dstack([opening, lips, lines])
