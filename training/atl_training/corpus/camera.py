"""A perspective camera in front of a head, and where it puts points in the picture."""

from dataclasses import dataclass

import numpy as np

NEAR_DM, FAR_DM = 1.0, 60.0
MM_PER_DM = 100.0
IMAGE_AXES = np.array([1.0, -1.0, -1.0])  # mesh (x right, y up, z to viewer) -> image (x right, y down, z away)


@dataclass(frozen=True)
class Camera:
    """Square picture of `size` px. `eye_px`: px of the resting outer-eye-corner distance; `eye_line`: its height, 0..1.

    yaw, pitch (rad): how far the camera stands to the image's right / above, looking at the face. roll (rad): how far it is
    tilted; + turns the picture's content clockwise.
    """

    size: int
    fov: float  # rad, full vertical angle
    target: np.ndarray  # (3,) dm: the middle of the eyes
    eye_distance: float  # dm
    eye_px: float
    eye_line: float = 0.40
    eye_column: float = 0.5
    yaw: float = 0.0
    pitch: float = 0.0
    roll: float = 0.0

    @property
    def px_per_dm(self) -> float:
        return self.eye_px / self.eye_distance

    @property
    def distance(self) -> float:
        """Distance to the eyes in dm that gives eye_px."""
        return self.size / (2 * self.px_per_dm * np.tan(self.fov / 2))

    def _axes(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        back = np.array(
            [np.sin(self.yaw) * np.cos(self.pitch), np.sin(self.pitch), np.cos(self.yaw) * np.cos(self.pitch)]
        )
        right = np.cross([0.0, 1.0, 0.0], back)
        right /= np.linalg.norm(right)
        up = np.cross(back, right)
        c, s = np.cos(self.roll), np.sin(self.roll)
        return c * right + s * up, c * up - s * right, back

    @property
    def position(self) -> np.ndarray:
        right, up, back = self._axes()
        across = (0.5 - self.eye_column) * self.size / self.px_per_dm
        down = (0.5 - self.eye_line) * self.size / self.px_per_dm
        return self.target + right * across - up * down + back * self.distance

    def view_projection(self) -> np.ndarray:
        """(4, 4) clip-space matrix for column vectors, OpenGL conventions."""
        view = np.eye(4)
        view[:3, :3] = np.stack(self._axes())
        view[:3, 3] = -view[:3, :3] @ self.position
        t = 1 / np.tan(self.fov / 2)
        depth = NEAR_DM - FAR_DM
        projection = np.array([
            [t, 0, 0, 0], [0, t, 0, 0], [0, 0, (FAR_DM + NEAR_DM) / depth, 2 * FAR_DM * NEAR_DM / depth], [0, 0, -1, 0],
        ])  # fmt: skip
        return projection @ view

    def matrix(self) -> np.ndarray:
        """(3, 4): what a pinhole camera does to points in millimetres, axes x right, y down, z away, origin in `target`:
        (u, v, w) = matrix @ (x, y, z, 1), pixel = (u, v) / w."""
        right, up, back = self._axes()
        focal, half = self.size / (2 * np.tan(self.fov / 2)), self.size / 2
        rows = np.stack([focal * right - half * back, -focal * up - half * back, -back])
        return np.hstack([rows * IMAGE_AXES / MM_PER_DM, (rows @ (self.target - self.position))[:, None]])

    def project(self, points: np.ndarray) -> np.ndarray:
        """Points (..., 3) dm -> (..., 3) px: x right, y down from the top left, z away from the viewer, 0 at the eyes."""
        right, up, back = self._axes()
        out = points - self.position
        depth = -(out @ back)
        scale = self.size / (2 * np.tan(self.fov / 2)) / depth
        x = self.size / 2 + (out @ right) * scale
        y = self.size / 2 - (out @ up) * scale
        return np.stack([x, y, (depth - self.distance) * self.px_per_dm], -1)
