"""Where the landmarks of a posed head come to lie, in its picture and in space.

`rotation` as in rotation.py. `translation` is how far the middle of the outer eye corners moved from its neutral place, in
eye distances. So a landmark is close to c + R (neutral + units - c) + eye_distance * translation with c the neutral
middle of the eyes (up to perspective).
"""
import numpy as np

from atl_face.topology import LIP_PAIRS
from atl_training.corpus.camera import IMAGE_AXES, MM_PER_DM, Camera
from atl_training.corpus.head import NECK_PIVOT, Head
from atl_training.corpus.motion import Performance
from atl_training.corpus.rotation import mesh_rotation


def pose_landmarks(head: Head, play: Performance, camera: Camera) -> dict[str, np.ndarray]:
    """Where the landmarks of a performance lie.

    Returns:
        landmarks (T, 68, 3) px (z in px of the eyes' depth), landmarks_3d (T, 68, 3) mm (origin: the neutral middle of the
        eyes; a child's head in an adult's size), translation (T, 3) eye distances.
    """
    points = head.landmarks(play.weights)
    turn = mesh_rotation(play.rotation)
    turned = np.einsum("tij,tpj->tpi", turn, points - NECK_PIVOT) + NECK_PIVOT + play.shift[:, None]
    follow = head.follow[head.landmark_rows][:, None]
    placed = points + follow * (turned - points)
    middle = head.eye_middle()
    moved = turn @ (middle - NECK_PIVOT) + NECK_PIVOT + play.shift - middle
    landmarks = camera.project(placed)
    for upper, lower in LIP_PAIRS:  # perspective and tilt may cross what touches
        overlap = np.maximum(landmarks[..., upper, 1] - landmarks[..., lower, 1], 0) / 2
        landmarks[..., upper, 1] -= overlap
        landmarks[..., lower, 1] += overlap
    return {
        "landmarks": landmarks.astype(np.float32),
        "landmarks_3d": ((placed - middle) * IMAGE_AXES * MM_PER_DM).astype(np.float32),
        "translation": (moved * IMAGE_AXES / camera.eye_distance).astype(np.float32),
    }
