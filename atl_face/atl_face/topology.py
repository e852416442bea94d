"""The face in numbers: iBUG's 68 points, ARKit's 52 weights, and the few measures that every metric and threshold uses.

Points are arrays of shape (..., 68, 2) or (..., 68, 3): x to the image's right, y down, z away from the viewer,
all in one unit (pixels, crop sides or eye distances). Index 0 is at the image's left: the person's right.
"""
import numpy as np

# iBUG-68 (Sagonas et al., "300 Faces in-the-Wild Challenge", 2013)
JAW = slice(0, 17)
BROW_RIGHT = slice(17, 22)  # the person's right: the image's left
BROW_LEFT = slice(22, 27)
NOSE = slice(27, 36)
EYE_RIGHT = slice(36, 42)
EYE_LEFT = slice(42, 48)
OUTER_LIPS = slice(48, 60)
INNER_LIPS = slice(60, 68)
MOUTH = slice(48, 68)
RIGHT_OUTER_CANTHUS, LEFT_OUTER_CANTHUS = 36, 45
LIP_PAIRS = ((61, 67), (62, 66), (63, 65))  # inner upper lip over inner lower lip
LID_PAIRS = {"right": ((37, 41), (38, 40)), "left": ((43, 47), (44, 46))}

# ARKit's blend shapes in the order of ARFaceAnchor.BlendShapeLocation's documentation (left and right are the person's)
ARKIT_52 = (
    "eyeBlinkLeft", "eyeLookDownLeft", "eyeLookInLeft", "eyeLookOutLeft", "eyeLookUpLeft", "eyeSquintLeft",
    "eyeWideLeft", "eyeBlinkRight", "eyeLookDownRight", "eyeLookInRight", "eyeLookOutRight", "eyeLookUpRight",
    "eyeSquintRight", "eyeWideRight", "jawForward", "jawLeft", "jawRight", "jawOpen", "mouthClose", "mouthFunnel",
    "mouthPucker", "mouthLeft", "mouthRight", "mouthSmileLeft", "mouthSmileRight", "mouthFrownLeft",
    "mouthFrownRight", "mouthDimpleLeft", "mouthDimpleRight", "mouthStretchLeft", "mouthStretchRight",
    "mouthRollLower", "mouthRollUpper", "mouthShrugLower", "mouthShrugUpper", "mouthPressLeft", "mouthPressRight",
    "mouthLowerDownLeft", "mouthLowerDownRight", "mouthUpperUpLeft", "mouthUpperUpRight", "browDownLeft",
    "browDownRight", "browInnerUp", "browOuterUpLeft", "browOuterUpRight", "cheekPuff", "cheekSquintLeft",
    "cheekSquintRight", "noseSneerLeft", "noseSneerRight", "tongueOut",
)  # fmt: skip
WEIGHT = {name: i for i, name in enumerate(ARKIT_52)}
# the weights that speech moves; a sound-to-landmark model answers for these and leaves the rest to the face's life
SPEECH_WEIGHTS = tuple(n for n in ARKIT_52 if n.startswith(("jaw", "mouth")) or n == "tongueOut")
SPEECH = np.array([WEIGHT[name] for name in SPEECH_WEIGHTS])  # where they are among the 52


def unit_weights(amounts: dict[str, float]) -> np.ndarray:
    """ARKit weights (52,) of units by name: a unit without a side (browDown) acts on both.

    Raises:
        KeyError: ARKit has no such unit.
    """
    weights = np.zeros(len(ARKIT_52))
    for unit, amount in amounts.items():
        for name in (unit,) if unit in WEIGHT else (unit + "Left", unit + "Right"):
            weights[WEIGHT[name]] = amount
    return weights


CLOSED_LIP_GAP = 0.03
"""A mouth counts as closed below this lip gap (eye distances): about 2.7 mm on a face of 90 mm between the outer
canthi, just over what mediapipe reports on lips that touch (0.005-0.02)."""


def eye_distance(points: np.ndarray) -> np.ndarray:
    """Distance of the outer eye corners in the picture plane, (...,): the unit of every landmark metric."""
    return np.linalg.norm(points[..., LEFT_OUTER_CANTHUS, :2] - points[..., RIGHT_OUTER_CANTHUS, :2], axis=-1)


def lip_gap(points: np.ndarray) -> np.ndarray:
    """Mean distance of the three inner-lip pairs over the eye distance, (...,): 0 is shut, about 0.3 is wide open."""
    gaps = [np.linalg.norm(points[..., a, :2] - points[..., b, :2], axis=-1) for a, b in LIP_PAIRS]
    return np.mean(gaps, axis=0) / eye_distance(points)


def lip_openings(points):
    """How far the lower lip is below the upper one at the three inner-lip pairs of upright faces (..., 68, 2 or 3), a list of
    three (...,) in the points' unit: below 0 where lips are pressed into each other. For arrays of numpy and tensors of torch."""
    return [points[..., lower, 1] - points[..., upper, 1] for upper, lower in LIP_PAIRS]


def is_closed(gap: np.ndarray) -> np.ndarray:
    """Whether lips of this gap (eye distances, see `lip_gap`) count as closed, bool (...,)."""
    return np.asarray(gap) < CLOSED_LIP_GAP


_LIDS_AND_CORNERS = np.array([[*LID_PAIRS["left"], (42, 45)], [*LID_PAIRS["right"], (39, 36)]]).transpose(2, 0, 1)
"""(2, 2, 3) points: of each eye what is measured between its lids, twice, and between its corners. At once: this is asked
in every frame."""


def eye_openness(points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Eye aspect ratio (lid distance over eye width) of the person's left and right eye, each (...,); open is ~0.3.

    Soukupova and Cech, "Real-Time Eye Blink Detection using Facial Landmarks", 2016, equation 1.
    """

    apart = np.linalg.norm(points[..., _LIDS_AND_CORNERS[0], :2] - points[..., _LIDS_AND_CORNERS[1], :2], axis=-1)
    ratio = apart[..., :2].mean(axis=-1) / apart[..., 2]
    return ratio[..., 0], ratio[..., 1]


def _box(points: np.ndarray, part: slice, margin: float) -> np.ndarray:
    xy, pad = points[..., part, :2], margin * eye_distance(points)[..., None]
    return np.concatenate([xy.min(axis=-2) - pad, xy.max(axis=-2) + pad], axis=-1)


def face_box(points: np.ndarray) -> np.ndarray:
    """Box of all points with a margin of a tenth of the eye distance, (..., 4) as x0, y0, x1, y1."""
    return _box(points, slice(None), 0.1)


def mouth_box(points: np.ndarray) -> np.ndarray:
    """Box of the mouth's points with a margin of 0.15 eye distances, (..., 4) as x0, y0, x1, y1."""
    return _box(points, MOUTH, 0.15)
