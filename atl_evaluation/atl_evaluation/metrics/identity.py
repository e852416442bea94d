"""Whose face the frames show: dlib's embedding of them against the portrait's, and against other people's.

A raw cosine between such embeddings says little (different people average 0.84): figures are distances, and a verdict at a
threshold with impostors beside it. dlib and face_recognition_models are extras (`extras.INSTALL`); what is computed from
embeddings (n, 128) needs neither. An embedding takes 0.1 s: every third frame will do, neighbours are alike.
"""
from collections.abc import Callable, Iterable

import cv2
import numpy as np

from atl_evaluation.metrics.extras import need
from atl_evaluation.metrics.statistics import mean_of

SAME_PERSON = 0.38
"""Embedding distance up to which it is the same person: same face 0.13-0.38, different people 0.74-0.84 when tried on other
pictures. Stricter than the 0.6 with which dlib's author verifies the photographs of LFW."""
SMALL_PX = 400  # a picture below is searched at twice its size: dlib's detector wants 80 px of face
FLOOR_BLUR_PX = 1.0  # a measure's floor, here and elsewhere: what it says of the same picture, blurred so much


class Embedder:
    """dlib's face embedding with its 5-point alignment (King, "High Quality Face Recognition with Deep Metric Learning", 2017).

    Raises:
        UserError: `no_extra`, dlib or its models are not installed.
    """

    def __init__(self):
        dlib = need("dlib", "Identity")
        models = need("face_recognition_models", "Identity")
        self._detector = dlib.get_frontal_face_detector()
        self._shape = dlib.shape_predictor(models.pose_predictor_five_point_model_location())
        self._net = dlib.face_recognition_model_v1(models.face_recognition_model_location())

    def __call__(self, picture: np.ndarray) -> np.ndarray | None:
        """(128,) of the largest face in an RGB picture (H, W, 3) uint8, or None."""
        faces = self._detector(picture, 1 if min(picture.shape[:2]) < SMALL_PX else 0)
        if not faces:
            return None
        face = max(faces, key=lambda r: r.area())
        return np.array(self._net.compute_face_descriptor(picture, self._shape(picture, face)))


def embeddings(embed: Callable[[np.ndarray], np.ndarray | None], pictures: Iterable[np.ndarray]) -> np.ndarray:
    """(n, 128) of pictures, NaN where no face is found. One that repeats the one before isn't embedded again."""
    found, before = [], None
    for picture in pictures:
        if before is None or not np.array_equal(picture, before):
            one = embed(picture)
        found.append(np.full(128, np.nan) if one is None else one)
        before = picture
    return np.array(found).reshape(-1, 128)


def floor_of(embed: Callable[[np.ndarray], np.ndarray | None], portrait: np.ndarray) -> float:
    """The portrait's distance to itself blurred by a pixel: what the measure itself can't tell. NaN without a face."""
    own, blurred = embeddings(embed, [portrait, cv2.GaussianBlur(portrait, (0, 0), FLOOR_BLUR_PX)])
    return float(np.linalg.norm(own - blurred))


def identity(own: np.ndarray, frames: np.ndarray, impostors: np.ndarray | None = None) -> dict[str, float]:
    """Figures of a clip by the catalogue's names: `identity_distance`, `identity_verified`; given impostors, also
    `impostor_nearest` and `impostors_verified`.

    own: (128,) of the portrait, NaN where no face was found in it: then every figure is. frames: (n, 128), NaN where none was
    found: such a frame has no distance and is not verified. impostors: (m, 128) of other people.
    """
    distance = np.linalg.norm(frames - own, axis=-1)
    verified = 100 * np.mean(distance <= SAME_PERSON) if np.isfinite(own).all() else np.nan
    figures = {"identity_distance": mean_of(distance), "identity_verified": float(verified)}
    if impostors is None:
        return figures
    others = np.linalg.norm(frames[:, None] - impostors, axis=-1)
    others = others[np.isfinite(others)]
    return figures | {"impostor_nearest": float(others.min()) if len(others) else float("nan"),
                      "impostors_verified": 100 * mean_of(others <= SAME_PERSON)}  # fmt: skip
