"""Find the one face in a picture: mediapipe's FaceMesh (Apache-2.0, model inside its wheel) mapped to iBUG's 68 points."""
import contextlib
import os
import sys

import cv2
import numpy as np

from atl_face.errors import UserError

# FaceMesh vertices that stand for iBUG 0..67. Jaw and brow follow FaceMesh's outline, which lies up to a tenth of the
# eye distance outside dlib's; mouth and eyes agree to 2-4 %.
IBUG_OF_FACEMESH = np.array(
    [162, 234, 93, 58, 172, 136, 149, 148, 152, 377, 378, 365, 397, 288, 323, 454, 389]
    + [70, 63, 105, 66, 107, 336, 296, 334, 293, 300]
    + [168, 197, 5, 4, 75, 97, 2, 326, 305]
    + [33, 160, 158, 133, 153, 144, 362, 385, 387, 263, 373, 380]
    + [61, 39, 37, 0, 267, 269, 291, 405, 314, 17, 84, 181]
    + [78, 82, 13, 312, 308, 317, 14, 87]
)
MIN_FACE_PX = 48  # eye distance x 2.6 must give the crop some detail: below this a 256 px face is invention
DETECT_SIDE_PX = 1280  # larger pictures are shrunk for detection only: FaceMesh looks at 192 px anyway


@contextlib.contextmanager
def _quiet():
    """mediapipe's native log tells users nothing and has no switch: what it writes to stderr meanwhile is dropped."""
    sys.stderr.flush()
    kept, null = os.dup(2), os.open(os.devnull, os.O_WRONLY)
    os.dup2(null, 2)
    try:
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)
        os.close(null)


def _mesh(static: bool, faces: int):
    try:
        from mediapipe.python.solutions.face_mesh import FaceMesh
    except ImportError as error:
        raise UserError(
            f"mediapipe is missing ({error}), and without it no face can be found in a picture; install it with "
            "`pip install --no-deps mediapipe==0.10.21`.", "no_mediapipe") from error  # fmt: skip
    return FaceMesh(static_image_mode=static, max_num_faces=faces, refine_landmarks=True,
                    min_detection_confidence=0.4, min_tracking_confidence=0.4)  # fmt: skip


def _points(face, width: int, height: int) -> np.ndarray:
    points = np.array([(p.x * width, p.y * height, p.z * width) for p in face.landmark], np.float64)
    return points[IBUG_OF_FACEMESH]


def find_face(picture: np.ndarray) -> np.ndarray:
    """Landmarks of the only face in an RGB picture (H, W, 3) uint8, as (68, 3) portrait pixels.

    Raises:
        UserError: `no_face`, `several_faces` or `too_small`, with what was seen.
    """
    height, width = picture.shape[:2]
    if min(height, width) < MIN_FACE_PX:
        raise UserError(f"The picture is only {width}x{height} pixels: a face needs {MIN_FACE_PX} at least.", "too_small")
    shrink = min(1.0, DETECT_SIDE_PX / max(height, width))
    small = cv2.resize(picture, None, fx=shrink, fy=shrink, interpolation=cv2.INTER_AREA) if shrink < 1 else picture
    with _quiet(), _mesh(static=True, faces=3) as mesh:
        found = None
        # the short-range detector wants a face between a fifth and two thirds of the picture: pad when it sees nothing
        for pad in (0.0, 0.5, 1.5):
            by, bx = int(pad * small.shape[0]), int(pad * small.shape[1])
            padded = cv2.copyMakeBorder(small, by, by, bx, bx, cv2.BORDER_REPLICATE) if pad else small
            found = mesh.process(np.ascontiguousarray(padded)).multi_face_landmarks
            if found:
                faces = [_points(f, padded.shape[1], padded.shape[0]) - (bx, by, 0) for f in found]
                break
    if not found:
        raise UserError("No face was found in the picture; use one in which a face looks towards the camera, "
                        "unobstructed and lit.", "no_face")  # fmt: skip
    faces = sorted((f / shrink for f in faces), key=lambda f: -np.ptp(f[:, 0]))
    if len(faces) > 1 and np.ptp(faces[1][:, 0]) > 0.3 * np.ptp(faces[0][:, 0]):
        raise UserError(f"{len(faces)} faces were found in the picture; crop it so that one is left.", "several_faces")
    face_px = float(np.ptp(faces[0][:, 0]))
    if face_px < MIN_FACE_PX:
        raise UserError(f"The face is only {face_px:.0f} px wide and must have at least {MIN_FACE_PX}; "
                        "use a larger picture or crop closer.", "too_small")  # fmt: skip
    return faces[0]


class FaceTracker:
    """Landmarks frame by frame of a clip with one face; for data preparation and evaluation."""

    def __init__(self):
        with _quiet():
            self._mesh = _mesh(static=False, faces=1)
        self._has_begun = False

    def __call__(self, picture: np.ndarray) -> np.ndarray | None:
        """(68, 3) pixels of the face in an RGB frame (H, W, 3) uint8, or None where none is seen."""
        with contextlib.nullcontext() if self._has_begun else _quiet():  # it loads its networks with the first picture
            found = self._mesh.process(np.ascontiguousarray(picture)).multi_face_landmarks
        self._has_begun = True
        return _points(found[0], picture.shape[1], picture.shape[0]) if found else None

    def close(self):
        self._mesh.close()
