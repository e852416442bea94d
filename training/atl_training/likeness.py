"""How much frames made anew look like the true ones to networks: mouths by clip, faces by set of clips.

The networks are not those of LPIPS and of FID and KID: `atl_evaluation.metrics.features`.
"""
from collections.abc import Iterable

import numpy as np

from atl_evaluation.metrics.extras import need
from atl_evaluation.metrics.features import VGG_LEAST, EfficientNetLite, Perceptual, frechet, kernel, squares
from atl_evaluation.metrics.picture import slices
from atl_evaluation.metrics.statistics import mean_of
from atl_face.topology import face_box, mouth_box
from atl_training.ways import TRUTH, Clip

EVERY = 5  # frames: neighbours are alike, and a frame takes both networks 0.15 s


class Networks:
    """Both networks, loaded once, on one thread: clips are judged side by side. Raises UserError `no_extra`."""

    def __init__(self):
        need("torch", "Likeness").set_num_threads(1)
        self.pairs, self.sets = Perceptual(), EfficientNetLite()


class Likeness:
    """One clip's true frames; called with those made anew, in step. Judged are every EVERY-th frame's mouth and the square
    around its face, where the true ones are."""

    def __init__(self, networks: Networks, clip: Clip):
        self._networks, self._clip = networks, clip
        height, width = clip.frames.shape[1:3]
        boxes = mouth_box(clip.landmarks[::EVERY])
        places = [(EVERY * k, *slices(box, height, width)) for k, box in enumerate(boxes) if np.isfinite(box).all()]
        self._mouths = [(k, rows, columns) for k, rows, columns in places
                        if min(rows.stop - rows.start, columns.stop - columns.start) >= VGG_LEAST]  # fmt: skip
        self._true = [networks.pairs.features(clip.frames[place]) for place in self._mouths]
        self.faces = self._faces(clip.frames)

    def mouths(self, made: np.ndarray) -> float:
        """`perceptual_hed_vgg_mouth` of frames (T, H, W, 3); NaN where every mouth is too small."""
        pairs = self._networks.pairs
        return mean_of([pairs.distance(true, pairs.features(made[place]))
                        for place, true in zip(self._mouths, self._true, strict=True)])  # fmt: skip

    def faces_of(self, way: str, made: np.ndarray) -> np.ndarray:
        """Features (n, 1280) of faces, for `of_sets`. The truth's are of other frames of the same film: they are the floor."""
        return self._faces(made, EVERY // 2 if way == TRUTH else 0)

    def _faces(self, frames: np.ndarray, first: int = 0) -> np.ndarray:
        return self._networks.sets(squares(frames[first::EVERY], face_box(self._clip.landmarks[first::EVERY])))


def of_sets(true: Iterable[np.ndarray], made: dict[str, list[np.ndarray]]) -> dict[str, dict[str, float]]:
    """Way -> `frechet_efficientnet`, `kernel_efficientnet` of all clips' faces, given each clip's features (n, 1280)."""
    real = np.concatenate(list(true))
    return {way: {"frechet_efficientnet": frechet(real, faces), "kernel_efficientnet": kernel(real, faces)}
            for way, faces in ((way, np.concatenate(clips)) for way, clips in made.items())}  # fmt: skip
