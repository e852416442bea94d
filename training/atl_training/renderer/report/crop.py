"""The 128-pixel square in which frames are judged, and the areas of it.

Whole frames, paste-back included, are cut to it: square, its side SIDE times the height of FaceMesh's box in the first frame
(hairline to chin), centred on that box, fixed over the clip, resized with area interpolation. A published figure on 128 pixels
of face is comparable with nothing larger.
"""
import cv2
import numpy as np

from atl_evaluation.metrics import picture
from atl_evaluation.metrics.statistics import mean_of
from atl_face.detect import FaceTracker
from atl_face.errors import UserError
from atl_face.topology import EYE_LEFT, EYE_RIGHT, eye_distance, mouth_box

SIZE = 128  # px
SIDE = 1.4  # heights of the mesh: hair, ears and the collar lie within
EYE_MARGIN = 0.1  # eye distances around an eye's points: lids and lashes
OUTSIDE = "outside"  # mouth and eyes: what was seen in the portrait and mostly only moves
AREAS = ("mouth", "eyes", "face", "around")


class FaceCrop:
    """The square of one clip.

    Args:
        points: (N, 2|3) px of the first frame, whose box it is laid around.
    """

    def __init__(self, points: np.ndarray):
        low, high = points[:, :2].min(0), points[:, :2].max(0)
        self._side = max(1, round(SIDE * (high - low)[1]))
        self._corner = np.round((low + high) / 2 - self._side / 2).astype(int)

    @classmethod
    def of_face(cls, frame: np.ndarray) -> "FaceCrop":
        """Around FaceMesh's box in a clip's first frame, RGB (H, W, 3) uint8.

        Raises:
            UserError: `no_face` is seen in it.
        """
        tracker = FaceTracker()
        try:
            vertices = tracker.vertices(frame)
        finally:
            tracker.close()
        if vertices is None:
            raise UserError("FaceMesh sees no face in the first frame of a clip that is to be judged; leave it out.", "no_face")
        return cls(vertices)

    def pictures(self, frames: np.ndarray, interpolation: int = cv2.INTER_AREA) -> np.ndarray:
        """(T, SIZE, SIZE, 3) uint8 of frames (T, H, W, 3); beyond the picture its edge goes on."""
        height, width = frames.shape[1:3]
        (x, y), side = self._corner, self._side
        pad = max(0, -x, -y, x + side - width, y + side - height)
        cut = []
        for frame in frames:
            wide = cv2.copyMakeBorder(frame, pad, pad, pad, pad, cv2.BORDER_REPLICATE)
            square = wide[y + pad:y + pad + side, x + pad:x + pad + side]
            cut.append(cv2.resize(square, (SIZE, SIZE), interpolation=interpolation))
        return np.stack(cut)

    def points(self, landmarks: np.ndarray) -> np.ndarray:
        """Landmarks (..., 68, 2|3) px of the frames in px of the square, (..., 68, 2)."""
        return (landmarks[..., :2] - self._corner) * (SIZE / self._side)


def areas(points: np.ndarray) -> dict[str, np.ndarray]:
    """AREAS of a square with landmarks (68, 2), bool (SIZE, SIZE) each; together they are all of it.

    `mouth` is `atl_face.topology.mouth_box` as every metric takes it, `eyes` two boxes, `face` the rest of the landmarks' hull,
    `around` everything beyond.
    """
    mouth, eyes = (np.zeros((SIZE, SIZE), bool) for _ in range(2))
    mouth[picture.slices(mouth_box(points), SIZE, SIZE)] = True
    for part in (EYE_RIGHT, EYE_LEFT):
        margin = EYE_MARGIN * eye_distance(points)
        box = np.concatenate([points[part].min(0) - margin, points[part].max(0) + margin])
        eyes[picture.slices(box, SIZE, SIZE)] = True
    eyes &= ~mouth
    hull = face_hull(points) & ~mouth & ~eyes
    return {"mouth": mouth, "eyes": eyes, "face": hull, "around": ~(mouth | eyes | hull)}


def face_hull(points: np.ndarray) -> np.ndarray:
    """The landmarks' convex hull, bool (SIZE, SIZE): from brows to chin."""
    hull = np.zeros((SIZE, SIZE), np.uint8)
    cv2.fillConvexPoly(hull, cv2.convexHull(np.round(points).astype(np.int32)), 1)
    return hull.astype(bool)


def compared(real: np.ndarray, made: np.ndarray, points: np.ndarray) -> dict[str, float]:
    """Figures of a clip's squares (T, SIZE, SIZE, 3) against the true ones, means over frames.

    `psnr`, `ssim`, and `psnr_mouth`, `ssim_mouth`, `sharpness_mouth` in the mouth's box; `psnr_AREA` of every area and
    `psnr_outside` of `face` and `around` together; `error_AREA`, the area's share of the squared error, %: where it is lost.
    points: (T, 68, 2) of the true face.
    """
    boxes = mouth_box(points)
    figures = {"psnr": picture.psnr(real, made), "ssim": picture.ssim(real, made),
               "psnr_mouth": picture.psnr(real, made, boxes), "ssim_mouth": picture.ssim(real, made, boxes),
               "sharpness_mouth": picture.sharpness(real, made, boxes)}  # fmt: skip
    by_frame: dict[str, list[float]] = {}
    for a, b, face in zip(real, made, points, strict=True):
        masks = areas(face)
        error = np.square(a.astype(np.float64) - b).sum(-1)
        for name, mask in masks.items():
            by_frame.setdefault(f"error_{name}", []).append(100 * error[mask].sum() / max(error.sum(), 1))
        for name, mask in (masks | {OUTSIDE: masks["face"] | masks["around"]}).items():
            by_frame.setdefault(f"psnr_{name}", []).append(picture.psnr(a[mask][None, None], b[mask][None, None])[0])
    return {name: mean_of(values) for name, values in (by_frame | figures).items()}
