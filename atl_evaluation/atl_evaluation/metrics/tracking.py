"""Landmarks of frames as the detector sees them: what every figure of motion is computed from."""
from collections.abc import Iterable

import numpy as np

from atl_face.detect import FaceTracker


def track(frames: Iterable[np.ndarray]) -> np.ndarray:
    """mediapipe's landmarks (T, 68, 3) in pixels of a clip's RGB frames (H, W, 3) uint8; NaN where it sees no face.

    Raises:
        UserError: `no_mediapipe`.
    """
    tracker, seen = FaceTracker(), []
    try:
        for frame in frames:
            points = tracker(frame)
            seen.append(np.full((68, 3), np.nan) if points is None else points)
    finally:
        tracker.close()
    return np.array(seen).reshape(-1, 68, 3)
