"""Figures of mouths against the truth."""
import numpy as np

from atl_evaluation.metrics.motion import best_lag, correlation, gap_amplitude, landmark_distance
from atl_face.topology import eye_distance, lip_gap, lip_openings

NEAR = 1  # frames either way where the best lag may be: 40 ms is not heard


def of_motion(real: np.ndarray, made: np.ndarray) -> dict[str, float]:
    """Landmarks (T, 68, 3) against true ones on the same face, both without head motion.

    Returns: `gap_r` at lag 0, `gap_r_near` the best within NEAR frames, `amplitude` of the lip gap over the true one's,
    `abs_lag`, the size of the best correlation's lag (frames): early in one clip and late in the next isn't in step; `m_lmd` in
    % of the eye distance.
    """
    a, b = lip_gap(real), lip_gap(made)
    return {"gap_r": correlation(a, b), "gap_r_near": best_lag(a, b, NEAR)[1], "amplitude": gap_amplitude(a, b),
            "abs_lag": abs(best_lag(a, b)[0]), "m_lmd": float(landmark_distance(real, made, align=False).mean())}  # fmt: skip


def signed_gap(points: np.ndarray) -> np.ndarray:
    """Mean inner-lip gap of upright faces (..., 68, 3) in eye distances, below 0 where the lips are pressed into each other."""
    return np.mean(lip_openings(points), axis=0) / eye_distance(points)
