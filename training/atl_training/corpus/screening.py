"""Throw away faces whose teeth or eyes poke through their skin: random proportions now and then make such."""
import cv2
import numpy as np

from atl_face.topology import INNER_LIPS
from atl_training.corpus.assets import UNITS
from atl_training.corpus.head import UNIT, Head

MOST_TEETH = 0.01  # share of the front teeth's vertices before shut lips: a corner of one tooth
MOST_EYES = 0.01  # share of the eyeballs' vertices before shut lids
LIP_LINE_DM = 0.03  # what is seen this near to the line between the lips is seen through it
MOST_TESTED = 400  # vertices of a part: those at the front, enough to find a tooth's corner
SHUT_POSES = (
    {}, {"mouthPressLeft": 0.3, "mouthPressRight": 0.3, "mouthRollLower": 0.18, "mouthRollUpper": 0.12},
    {"mouthSmileLeft": 0.6, "mouthSmileRight": 0.6}, {"mouthPucker": 0.7}, {"jawOpen": 0.3},
)  # fmt: skip


def poking(head: Head) -> dict[str, float]:
    """Shares of the vertices of teeth and eyes that are seen from the front though lips or lids are shut."""
    teeth = [_seen(head, "teeth", _shut(head, pose)) for pose in SHUT_POSES]
    lids = _weights({"eyeBlinkLeft": 1.0, "eyeBlinkRight": 1.0})
    return {"teeth": max(teeth), "eyes": _seen(head, "eyes", lids)}


def is_sound(head: Head) -> bool:
    """Whether a face may go into the corpus."""
    shares = poking(head)
    return shares["teeth"] <= MOST_TEETH and shares["eyes"] <= MOST_EYES


def _weights(pose: dict[str, float]) -> np.ndarray:
    weights = np.zeros(len(UNITS))
    for name, value in pose.items():
        weights[UNIT[name]] = value
    return weights


def _shut(head: Head, pose: dict[str, float]) -> np.ndarray:
    """The pose with its lips brought together by mouthClose."""
    weights = _weights(pose)
    closing = -head.lip_gap_units()[UNIT["mouthClose"]]
    weights[UNIT["mouthClose"]] = max(0.0, float(np.max(head.lip_gaps(weights) / closing)))
    return weights


def _seen(head: Head, part: str, weights: np.ndarray) -> float:
    """Share of a part's front vertices that no triangle of the skin covers towards the viewer (+z)."""
    vertices = head.vertices(weights)
    inner = vertices[head.part_slice(part)]
    inner = inner[np.argsort(-inner[:, 2])[:MOST_TESTED]]
    low, high = inner.min(0), inner.max(0)
    corners = vertices[head.parts[0].triangles]  # (t, 3, 3); the skin is the first part
    beside = (corners[..., :2].max(1) < low[:2]) | (corners[..., :2].min(1) > high[:2])
    a, b, c = np.moveaxis(corners[~beside.any(1) & (corners[..., 2].max(1) > low[2])], 1, 0)
    lips = np.float32(head.landmarks(weights)[INNER_LIPS, :2])
    area = _cross(b - a, c - a)
    seen = 0
    for point in inner:
        u, v = _cross(c - b, point - b) / area, _cross(a - c, point - c) / area
        depth = u * a[:, 2] + v * b[:, 2] + (1 - u - v) * c[:, 2]
        covered = np.any((u >= 0) & (v >= 0) & (u + v <= 1) & (depth > point[2]))
        seen += not covered and cv2.pointPolygonTest(lips, (float(point[0]), float(point[1])), True) < -LIP_LINE_DM
    return seen / len(inner)


def _cross(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    with np.errstate(divide="ignore", invalid="ignore"):
        return a[..., 0] * b[..., 1] - a[..., 1] * b[..., 0]
