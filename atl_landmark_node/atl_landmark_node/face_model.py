"""From 52 face weights and a head pose to 68 landmarks of any portrait: a linear model on the portrait's own face.

The basis holds what each ARKit unit does to the 68 points of an average head (made by `atl_training.corpus basis` from
CC0 data; see data/README.md). A portrait lends its neutral points; identity stays out of the motion, motion out of the
identity.
"""
from importlib import resources

import numpy as np

from atl_face.align import CropTransform
from atl_face.topology import (
    EYE_LEFT,
    EYE_RIGHT,
    LID_PAIRS,
    LIP_PAIRS,
    MOUTH,
    OUTER_LIPS,
    WEIGHT,
    eye_distance,
    eye_openness,
    lip_gap,
)

PIVOT = np.array([0.0, 1.25, 0.95])
"""The head turns about the top of the neck: 11 cm below the eyes and 9 cm behind them, in eye distances."""
BLINK_CLOSES = 0.92  # of the eye's height at weight 1: landmarks of shut lids keep the lashes' breadth apart
# below each inner-lip pair and above it, the outer-lip points that follow when a parted mouth is closed, and how far: those
# beside the corners half as far, or lips that shut get horns
_OUTER_UPPER, _OUTER_LOWER = ((50, 49), (51,), (52, 53)), ((58, 59), (57,), (56, 55))
_FOLLOWS = (1.0, 0.5)
SMILE_GAP = 0.1  # eye distances that teeth part the lips by in a smile; what is more, the jaw has opened
RIGID = np.r_[0:3, 14:17, 27:36, 36, 39, 42, 45]  # points that speech leaves alone: temples, nose, eye corners


def load_basis() -> tuple[np.ndarray, np.ndarray]:
    """(52, 68, 3) displacement at weight 1, and the average neutral (68, 3), in eye distances."""
    with resources.as_file(resources.files(__package__) / "data" / "face_basis.npz") as path, np.load(path) as data:
        return data["basis"].astype(np.float64), data["neutral"].astype(np.float64)


def average_neutral() -> np.ndarray:
    """(68, 3) crop coordinates of the average face: whom the stage animates while it knows no portrait."""
    _, neutral = load_basis()
    return CropTransform.from_landmarks(neutral).to_crop(neutral)


def rotation_matrix(pitch: float, yaw: float, roll: float) -> np.ndarray:
    """(3, 3) for angles in radians: + pitch looks down, + yaw turns to the image's right, + roll leans to its right."""
    cx, sx, cy, sy, cz, sz = np.cos(pitch), np.sin(pitch), np.cos(yaw), np.sin(yaw), np.cos(roll), np.sin(roll)
    about_x = np.array([[1, 0, 0], [0, cx, -sx], [0, sx, cx]])
    about_y = np.array([[cy, 0, -sy], [0, 1, 0], [sy, 0, cy]])
    about_z = np.array([[cz, -sz, 0], [sz, cz, 0], [0, 0, 1]])
    return about_y @ about_x @ about_z


def rigid_fit(source: np.ndarray, target: np.ndarray) -> np.ndarray:
    """The rotation (3, 3) that turns centred `source` (n, 3) best onto centred `target` (Kabsch 1976)."""
    u, _, vt = np.linalg.svd((source - source.mean(0)).T @ (target - target.mean(0)))
    flip = np.diag([1, 1, np.sign(np.linalg.det(u @ vt))])
    return (u @ flip @ vt).T


def close_lips(points: np.ndarray) -> np.ndarray:
    """Neutral points (68, 3) with the inner lips brought together: speech starts from a closed mouth.

    A jaw that hangs is raised until SMILE_GAP is left. Where lips are apart then, the inner points meet half way and the outer
    points follow.
    """
    basis, average = load_basis()
    scale = float(eye_distance(points))
    pose = rigid_fit(average[RIGID], points[RIGID] / scale)
    jaw = basis[WEIGHT["jawOpen"]] @ pose.T
    opening = np.mean([np.linalg.norm(jaw[lower] - jaw[upper]) for upper, lower in LIP_PAIRS])
    points = points - np.clip((lip_gap(points) - SMILE_GAP) / opening, 0, 1) * jaw * scale
    for (upper, lower), outer_upper, outer_lower in zip(LIP_PAIRS, _OUTER_UPPER, _OUTER_LOWER, strict=True):
        half = (points[lower] - points[upper]) / 2
        for inner, outer, shift in ((upper, outer_upper, half), (lower, outer_lower, -half)):
            points[inner] += shift
            for index, share in zip(outer, _FOLLOWS, strict=False):
                points[index] += share * shift
    return points


class PortraitFace:
    """The linear model put onto one portrait.

    Args:
        neutral: (68, 3) landmarks of the portrait as it is, any unit (crop coordinates in the graph).
        basis: (52, 68, 3) another basis than the shipped one, as `load_basis` gives it.

    Attributes:
        neutral: (68, 3) with the lips closed.
        basis: (52, 68, 3) displacement per weight on this face, in the neutral's unit.
        scale: its eye distance, in the neutral's unit.
    """

    def __init__(self, neutral: np.ndarray, basis: np.ndarray | None = None):
        shipped, average = load_basis()
        basis = shipped if basis is None else basis
        self.scale = float(eye_distance(neutral))
        self._pose = pose = rigid_fit(average[RIGID], neutral[RIGID] / self.scale)
        self.neutral = close_lips(np.asarray(neutral, np.float64))
        gain = np.ones((52, 68, 1))
        for side, own, mean in zip(("left", "right"), eye_openness(neutral), eye_openness(average), strict=True):
            blink = WEIGHT["eyeBlink" + side.capitalize()]
            for pair in LID_PAIRS[side]:  # lids travel until this portrait's eyes are shut; further, they would cross
                upper, lower = pair
                rest = average[lower, 1] - average[upper, 1]
                closing = basis[blink, upper, 1] - basis[blink, lower, 1]
                gain[blink, pair] = BLINK_CLOSES * rest / closing * own / mean
        self.basis = (basis * gain) @ pose.T * self.scale
        # a wider or narrower mouth than average opens in proportion: sideways motion scales with its width
        own, mean = (np.ptp(p[OUTER_LIPS, 0]) / eye_distance(p) for p in (neutral, average))
        self._width = np.clip(own / mean, 0.7, 1.4)
        self.basis[:, MOUTH, 0] *= self._width
        eyes = (neutral[EYE_RIGHT].mean(0) + neutral[EYE_LEFT].mean(0)) / 2
        self._pivot = eyes + (pose @ PIVOT) * self.scale

    def points(self, weights: np.ndarray, rotation=(0.0, 0.0, 0.0), translation=(0.0, 0.0, 0.0)) -> np.ndarray:
        """Landmarks (68, 3) for weights (52,), head rotation (pitch, yaw, roll) rad, translation in eye distances."""
        shape = self.neutral + (weights @ self.basis.reshape(len(weights), -1)).reshape(self.neutral.shape)
        turn = rotation_matrix(*rotation)
        return (shape - self._pivot) @ turn.T + self._pivot + np.asarray(translation) * self.scale

    def to_average(self, moved: np.ndarray) -> np.ndarray:
        """Displacements (..., 68, 3) of this face, in the average face's eye distances and axes: what `basis` does, undone."""
        moved = moved / self.scale
        moved[..., MOUTH, 0] /= self._width
        return moved @ self._pose
