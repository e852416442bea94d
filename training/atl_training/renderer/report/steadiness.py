"""What must stay still: skin between frames in which the face hardly moves, and the edges at which the drawn face ends."""
import cv2
import numpy as np

from atl_diffusion_node.paste import EDGE
from atl_diffusion_node.portrait import Portrait
from atl_diffusion_node.views import FADE_PX
from atl_diffusion_node.views import MOUTH as MOUTH_VIEW
from atl_evaluation.metrics import picture
from atl_evaluation.metrics.statistics import mean_of
from atl_face.topology import BROW_LEFT, BROW_RIGHT, EYE_LEFT, EYE_RIGHT, MOUTH, eye_distance
from atl_landmark_node.face_model import RIGID
from atl_training.renderer.report.crop import SIZE, face_hull

STILL_PX = 0.25  # of the 128: mean step of the points that speech leaves alone; GRID's median, mostly the tracker's own tremble
KEPT = 1  # grey level that a pixel may differ by and still is the same: rounding
APART = 0.15  # eye distances that skin keeps from brows, eyes, mouth and the edge of the face: the margin of `mouth_box`


def skin(points: np.ndarray) -> np.ndarray:
    """Skin that speech leaves alone, bool (SIZE, SIZE), of landmarks (T, 68, 2) in the square: nose and upper cheeks, APART from
    eyes, brows and mouth in every frame, and above the mouth: below it the jaw moves."""
    margin = APART * eye_distance(points[0])
    below = max(points[:, part, 1].max() for part in (BROW_RIGHT, BROW_LEFT, EYE_RIGHT, EYE_LEFT)) + margin
    above = points[:, MOUTH, 1].min() - margin
    whole = np.all([face_hull(face) for face in points], axis=0).astype(np.uint8)
    reach = 2 * max(1, round(margin)) + 1
    rows = np.arange(SIZE)[:, None]
    return cv2.erode(whole, np.ones((reach, reach), np.uint8)).astype(bool) & (rows >= below) & (rows + 1 <= above)


def skin_flicker(squares: np.ndarray, points: np.ndarray) -> float:
    """Mean absolute difference in luma of `skin` from a frame to the next, grey levels of 255, over the pairs of frames between
    which the true face hardly moves (STILL_PX). NaN where there is no such pair.

    Pixels are compared where they are: to warp them back to one place by the landmarks would take out of a face that was drawn
    after those landmarks what they tremble, and out of the truth not.

    Args:
        squares: (T, SIZE, SIZE, 3). points: (T, 68, 2), the true face's, whatever is judged: all are asked about the same pairs.
    """
    still = np.linalg.norm(np.diff(points[:, RIGID], axis=0), axis=-1).mean(1) <= STILL_PX
    return mean_of(picture.flicker(squares, skin(points))[still])


def seams(portrait: Portrait, points: np.ndarray, ours: np.ndarray, warp_only: np.ndarray) -> dict[str, float]:
    """Edges in frames (T, H, W, 3) of landmarks (T, 68, 3) in crop coordinates: mean lengths of luma's gradient, levels a pixel.

    Of three bands in which what is drawn fades out at an edge, `crop` (what the network repaints, into what is only moved),
    `mouth` (its view's, into the face's) and `paste` (all of it, into the portrait):
    `seam_BAND` of the difference of ours from the warp alone, of `paste` from the portrait; `texture_BAND`, of what has no such
    edge, the warp alone or the portrait; and `edge_BAND`, ours over that, %: a visible edge makes it more than 100, blur less.
    """
    crop, paste = (np.zeros(portrait.picture.shape[:2], bool) for _ in range(2))
    inside = _from_edge(portrait)
    crop[portrait.region] = (inside > 0) & (inside < EDGE)
    paste[portrait.region] = (portrait.feather[..., 0] > 0) & (portrait.feather[..., 0] < 1)
    still = _luma(portrait.picture)
    rows = []
    for face, a, b in zip(points, map(_luma, ours), map(_luma, warp_only), strict=True):
        made, row = gradient(a), {}
        for name, band, plain in (("crop", crop, b), ("paste", paste, still), ("mouth", _mouth_band(portrait, face), b)):
            texture = gradient(plain)[band].mean()
            row |= {f"seam_{name}": gradient(a - plain)[band].mean(), f"texture_{name}": texture,
                    f"edge_{name}": 100 * made[band].mean() / texture}  # fmt: skip
        rows.append(row)
    return {name: mean_of([row[name] for row in rows]) for name in rows[0]}


def kept(portrait: Portrait, ours: np.ndarray, warp_only: np.ndarray) -> float:
    """How many pixels of the crop are the warp's own in our frames, (T, H, W, 3) uint8 both: per cent that differ by KEPT at most
    in each channel. A move of the flow that shows counts as a change."""
    inside = np.zeros(portrait.picture.shape[:2], bool)
    inside[portrait.region] = _from_edge(portrait) > 0
    pairs = zip(ours, warp_only, strict=True)
    return 100 * mean_of([(cv2.absdiff(*pair)[inside].max(axis=-1) <= KEPT).mean() for pair in pairs])


def gradient(luma: np.ndarray) -> np.ndarray:
    """Length of the gradient (H, W) of luma (H, W) float32, levels a pixel."""
    return np.hypot(*(cv2.Sobel(luma, cv2.CV_32F, *axis, scale=1 / 8) for axis in ((1, 0), (0, 1))))


def _from_edge(portrait: Portrait) -> np.ndarray:
    """How far within the crop the region's pixels are, (h, w) crop sides; negative beside it."""
    return np.minimum(portrait.region_uv, 1 - portrait.region_uv).min(axis=-1)


def _mouth_band(portrait: Portrait, points: np.ndarray) -> np.ndarray:
    """Pixels of the picture, bool (H, W), in which the mouth's view of landmarks (68, 3) fades into the face's."""
    rows, columns = MOUTH_VIEW.place(points)
    x, y = np.moveaxis(portrait.region_uv * MOUTH_VIEW.size, -1, 0)
    inside = np.minimum.reduce([x - columns.start, columns.stop - x, y - rows.start, rows.stop - y])
    band = np.zeros(portrait.picture.shape[:2], bool)
    band[portrait.region] = (inside > 0) & (inside < FADE_PX)
    return band


def _luma(frame: np.ndarray) -> np.ndarray:
    return cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY).astype(np.float32)
