"""Turns of the head, as angles and as matrices.

Axes: x to the image's right, y down, z away from the viewer (right-handed). Angles are pitch, yaw, roll in radians:
R = Rz(roll) Ry(yaw) Rx(pitch), relative to the neutral face: + pitch nods down, + yaw turns the nose to the image's left,
+ roll turns clockwise in the image.
"""
import numpy as np

from atl_training.corpus.camera import IMAGE_AXES


def rotation_matrix(angles: np.ndarray) -> np.ndarray:
    """Rz(roll) Ry(yaw) Rx(pitch) for angles (..., 3) = pitch, yaw, roll: (..., 3, 3)."""
    (cx, cy, cz), (sx, sy, sz) = np.moveaxis(np.cos(angles), -1, 0), np.moveaxis(np.sin(angles), -1, 0)
    rows = [
        [cz * cy, cz * sy * sx - sz * cx, cz * sy * cx + sz * sx],
        [sz * cy, sz * sy * sx + cz * cx, sz * sy * cx - cz * sx],
        [-sy, cy * sx, cy * cx],
    ]
    return np.stack([np.stack(row, -1) for row in rows], -2)


def angles_of(matrix: np.ndarray) -> np.ndarray:
    """Pitch, yaw, roll (..., 3) of rotation matrices (..., 3, 3): the inverse of `rotation_matrix` below 90 degrees."""
    m = matrix
    return np.stack([np.arctan2(m[..., 2, 1], m[..., 2, 2]), -np.arcsin(np.clip(m[..., 2, 0], -1, 1)),
                     np.arctan2(m[..., 1, 0], m[..., 0, 0])], -1)  # fmt: skip


def mesh_rotation(angles: np.ndarray) -> np.ndarray:
    """The same turn in mesh axes."""
    flip = np.diag(IMAGE_AXES)
    return flip @ rotation_matrix(angles) @ flip
