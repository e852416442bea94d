"""Find the one face in a picture: mediapipe's FaceMesh (Apache-2.0, model inside its wheel) mapped to iBUG's 68 points."""
import contextlib
import os
import sys
from types import ModuleType

import cv2
import numpy as np

from atl_face.errors import UserError
from atl_face.topology import EYE_RIGHT, MOUTH

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
MIN_FACE_PX = 32  # between the temples; below it landmarks are more than a hundredth of the crop's side off
DETECT_SIDE_PX = 1280  # larger pictures are shrunk for detection only: FaceMesh looks at 192 px anyway
AROUND = 1.0  # how much of a small face's own box FaceMesh is shown on every side of it: it looks for the face once more
CUT_OFF = 0.1  # so many of the points of eyes and mouth may lie outside the picture, where FaceMesh only guesses
EYES_AND_MOUTH = slice(EYE_RIGHT.start, MOUTH.stop)


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


@contextlib.contextmanager
def _no_pyplot():
    """An empty stand-in for matplotlib while mediapipe is loaded, which would load it for drawings that nobody asks for here
    (0.4 s, 30 MB)."""
    names = [] if "matplotlib.pyplot" in sys.modules else [n for n in ("matplotlib", "matplotlib.pyplot") if n not in sys.modules]
    sys.modules.update({name: ModuleType(name) for name in names})
    try:
        yield
    finally:
        for name in names:
            del sys.modules[name]


def _solutions():
    """The modules face_mesh and face_detection of mediapipe.

    Raises:
        UserError: it isn't installed.
    """
    try:
        with _no_pyplot():
            from mediapipe.python.solutions import face_detection, face_mesh
    except ImportError as error:
        raise UserError(
            f"mediapipe is missing ({error}), and without it no face can be found in a picture; install it with "
            "`pip install --no-deps mediapipe==0.10.21`.", "no_mediapipe") from error  # fmt: skip
    return face_mesh, face_detection


def _mesh(static: bool, faces: int):
    return _solutions()[0].FaceMesh(static_image_mode=static, max_num_faces=faces, refine_landmarks=True,
                                    min_detection_confidence=0.4, min_tracking_confidence=0.4)  # fmt: skip


def _finder():
    """mediapipe's detector of faces that are small in the picture: it gives boxes and scores, and no landmarks."""
    return _solutions()[1].FaceDetection(model_selection=1, min_detection_confidence=0.4)


def _vertices(face, width: int, height: int) -> np.ndarray:
    return np.array([(p.x * width, p.y * height, p.z * width) for p in face.landmark], np.float64)


def find_face(picture: np.ndarray) -> np.ndarray:
    """Landmarks of the only face in an RGB picture (H, W, 3) uint8, as (68, 3) portrait pixels.

    The picture may lie on its side or head, and the face be small in it and anywhere.

    Raises:
        UserError: `no_face` (also for one that the edge cuts off), `several_faces` or `too_small`, with what was seen.
    """
    height, width = picture.shape[:2]
    if min(height, width) < MIN_FACE_PX:
        raise UserError(f"The picture is only {width}x{height} pixels: a face needs {MIN_FACE_PX} at least.", "too_small")
    shrink = min(1.0, DETECT_SIDE_PX / max(height, width))
    small = cv2.resize(picture, None, fx=shrink, fy=shrink, interpolation=cv2.INTER_AREA) if shrink < 1 else picture
    with _quiet(), _finder() as finder, _mesh(static=True, faces=3) as mesh:
        turns, boxes = _upright(finder, small)
        faces = _faces(mesh, np.rot90(small, turns)) / shrink
        if not len(faces):
            faces = _small_faces(mesh, np.rot90(picture, turns), boxes)
    if not len(faces):
        raise UserError("No face was found in the picture; use one in which a face looks towards the camera, "
                        "unobstructed and lit.", "no_face")  # fmt: skip
    faces = sorted(_turned_back(faces, turns, width, height), key=lambda f: -_size(f))
    if len(faces) > 1 and _size(faces[1]) > 0.3 * _size(faces[0]):
        raise UserError(f"{len(faces)} faces were found in the picture; crop it so that one is left.", "several_faces")
    face_px = _size(faces[0])
    if face_px < MIN_FACE_PX:
        raise UserError(f"The face is only {face_px:.0f} px wide and must have at least {MIN_FACE_PX}; "
                        "use a larger picture or crop closer.", "too_small")  # fmt: skip
    needed = faces[0][EYES_AND_MOUTH, :2]
    if ((needed < 0) | (needed > (width, height))).any(axis=1).mean() > CUT_OFF:
        raise UserError("The picture's edge cuts the face off; use one that shows both eyes and the whole mouth.", "no_face")
    return faces[0]


def _upright(finder, picture: np.ndarray) -> tuple[int, list]:
    """The quarter turns (of np.rot90) that put the face upright, 0 in doubt, and the finder's boxes then.

    Left to itself, FaceMesh takes a forehead for a chin rather than see that a face is upside down.
    """
    best, score = (0, []), 0.0
    for turns in range(4):
        boxes = finder.process(np.ascontiguousarray(np.rot90(picture, turns))).detections or []
        if (most := max((box.score[0] for box in boxes), default=0.0)) > score:
            best, score = (turns, boxes), most
        if best[1] and best[0] == 0:  # a face as large as the picture is often found upside down too
            break
    return best


def _size(points: np.ndarray) -> float:
    """From temple to temple, in pixels, however the face lies."""
    return float(np.linalg.norm(points[16, :2] - points[0, :2]))


def _faces(mesh, picture: np.ndarray) -> np.ndarray:
    """Landmarks (n, 68, 3) of up to three faces, in pixels of the picture."""
    # FaceMesh's detector wants a face between a fifth and two thirds of the picture: pad when it sees nothing
    for pad in (0.0, 0.5, 1.5):
        by, bx = int(pad * picture.shape[0]), int(pad * picture.shape[1])
        padded = cv2.copyMakeBorder(picture, by, by, bx, bx, cv2.BORDER_REPLICATE) if pad else picture
        if found := mesh.process(np.ascontiguousarray(padded)).multi_face_landmarks:
            faces = np.array([_vertices(f, padded.shape[1], padded.shape[0]) for f in found])
            return faces[:, IBUG_OF_FACEMESH] - (bx, by, 0)
    return np.zeros((0, 68, 3))


def _small_faces(mesh, picture: np.ndarray, boxes: list) -> np.ndarray:
    """The same of faces that are small in the picture, which is looked at where the boxes (of `_finder`) are."""
    found, (height, width) = [np.zeros((0, 68, 3))], picture.shape[:2]
    for box in boxes:
        box = box.location_data.relative_bounding_box
        side = max(box.width * width, box.height * height)
        x0, y0 = max(0, int(box.xmin * width - AROUND * side)), max(0, int(box.ymin * height - AROUND * side))
        part = picture[y0 : y0 + int((1 + 2 * AROUND) * side), x0 : x0 + int((1 + 2 * AROUND) * side)]
        found.append(_faces(mesh, part)[:1] + (x0, y0, 0))
    return np.concatenate(found)


def _turned_back(points: np.ndarray, turns: int, width: int, height: int) -> np.ndarray:
    """Points (..., 3) of a picture of width x height that was turned by np.rot90, in pixels of the picture as it was."""
    points, middle = points.copy(), np.array([width, height]) / 2
    turn = np.linalg.matrix_power(np.array([[0, -1], [1, 0]]), turns)
    points[..., :2] = (points[..., :2] - middle[:: -1 if turns % 2 else 1]) @ turn.T + middle
    return points


class FaceTracker:
    """Landmarks frame by frame of a clip with one face; for data preparation and evaluation."""

    def __init__(self):
        with _quiet():
            self._mesh = _mesh(static=False, faces=1)
        self._has_begun = False

    def __call__(self, picture: np.ndarray) -> np.ndarray | None:
        """(68, 3) pixels of the face in an RGB frame (H, W, 3) uint8, or None where none is seen."""
        vertices = self.vertices(picture)
        return None if vertices is None else vertices[IBUG_OF_FACEMESH]

    def vertices(self, picture: np.ndarray) -> np.ndarray | None:
        """The same of all of FaceMesh's vertices, (478, 3): they reach from the hairline to the chin."""
        picture = np.ascontiguousarray(picture)
        if not self._has_begun:
            with _quiet():  # it loads its networks with the first picture
                self._mesh.process(picture)  # this answer is its detector's; the second is settled
            self._has_begun = True
        found = self._mesh.process(picture).multi_face_landmarks
        return _vertices(found[0], picture.shape[1], picture.shape[0]) if found else None

    def close(self):
        self._mesh.close()
