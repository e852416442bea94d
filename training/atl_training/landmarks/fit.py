"""Fit speech weights to tracked landmarks, so that real motion and the corpus's speak one language.

A frame is turned onto the clip's neutral face by its rigid points, then its mouth and jaw are explained by the linear
model: non-negative least squares with a small ridge and a pull towards the frame before.
"""
import numpy as np

from atl_face.topology import JAW, MOUTH, SPEECH, lip_gap
from atl_landmark_node.face_model import RIGID, PortraitFace, rigid_fit

POINTS = np.r_[np.arange(68)[JAW][4:13], np.arange(68)[MOUTH]]  # the lower jaw and the mouth
DEPTH_TRUST = 0.3  # a tracker's z is a guess
RIDGE, INERTIA = 2e-3, 4e-3  # per squared eye distance: enough to settle what 68 points leave open (tongue, rolls)
ITERATIONS = 150
NEUTRAL_FRAMES = 6  # the frames with the least lip gap make a clip's neutral face


def level_to(neutral: np.ndarray, points: np.ndarray) -> np.ndarray:
    """Points (68, 3) turned, scaled and shifted onto `neutral` (68, 3) by their rigid points."""
    a, b = points[RIGID], neutral[RIGID]
    scale = np.linalg.norm(b - b.mean(0)) / np.linalg.norm(a - a.mean(0))
    turn = rigid_fit(a, b)
    return (points - a.mean(0)) @ turn.T * scale + b.mean(0)


def closed_neutral(landmarks: np.ndarray) -> np.ndarray:
    """The neutral face (68, 3) of tracked landmarks (T, 68, 3): the mean of the frames with the most closed mouth."""
    order = np.argsort(lip_gap(landmarks))[:NEUTRAL_FRAMES]
    first = landmarks[order[0]].astype(np.float64)
    return np.mean([level_to(first, landmarks[i].astype(np.float64)) for i in order], axis=0)


def fit_speech_weights(landmarks: np.ndarray, neutral: np.ndarray) -> np.ndarray:
    """Weights (T, len(SPEECH_WEIGHTS)) in [0, 1] of tracked landmarks (T, 68, 3) over a neutral (68, 3), its lips closed."""
    level, face = np.stack([level_to(neutral, points) for points in landmarks]), PortraitFace(neutral)
    return fit_weights(level - face.neutral, face, SPEECH, POINTS)


def fit_weights(moved: np.ndarray, face: PortraitFace, units: np.ndarray, points: np.ndarray) -> np.ndarray:
    """Weights (T, len(units)) in [0, 1] that explain how far some points moved.

    Args:
        moved: (T, 68, 3) levelled landmarks minus the face's neutral ones.
        units: rows of ARKIT_52. points: rows of the 68 points that they have to explain.
    """
    axis_trust = np.array([1, 1, DEPTH_TRUST])
    basis = (face.basis[units][:, points] / face.scale * axis_trust).reshape(len(units), -1)  # (n, 3 P)
    target = (moved[:, points] / face.scale * axis_trust).reshape(len(moved), -1)
    gram = basis @ basis.T + (RIDGE + 2 * INERTIA) * np.eye(len(units))
    pull = target @ basis.T
    rate = 1.0 / np.linalg.eigvalsh(gram)[-1]
    weights = np.zeros((len(moved), len(units)))
    for _ in range(ITERATIONS):  # projected gradient
        around = np.concatenate([weights[:1], weights[:-1]]) + np.concatenate([weights[1:], weights[-1:]])
        weights = np.clip(weights - rate * (weights @ gram - pull - INERTIA * around), 0, 1)
    return weights
